//! The parts of a message: a flat walk over multiparts, by our own hand and without recursion
//! (RFC 2046 §5.1, RFC 6522).
//!
//! A `message/rfc822` part is a leaf here: a returned message that itself holds a report must not be read as
//! this one. Whoever wants to look inside walks it on its own.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use super::defects::Defects;
use super::header::{Header, field_name, line_end, trim_eol};
use super::mime::{self, ContentType, Encoding};

/// Multiparts inside multiparts that are opened; deeper ones stay closed.
const MAX_DEPTH: usize = 16;
/// Parts looked at in one message.
const MAX_PARTS: usize = 1_000;
/// Multiparts that are themselves transfer-encoded (forbidden by RFC 2045 §6.4, seen nonetheless) and opened.
const MAX_ENCODED: usize = 3;

/// A part that holds no other parts.
#[derive(Debug)]
pub(super) struct Leaf<'a> {
    /// What it says it is.
    pub(super) content_type: ContentType,
    /// How it is encoded.
    pub(super) encoding: Encoding,
    /// Everything after its header, still encoded.
    pub(super) body: Cow<'a, [u8]>,
    /// The part with its header, as it came; only of parts whose body may have begun too early.
    pub(super) whole: Option<Cow<'a, [u8]>>,
    /// Whether a `multipart/report` holds it.
    pub(super) in_report: bool,
}

impl Leaf<'_> {
    /// The body with its transfer encoding undone; at most `limit` encoded bytes.
    pub(super) fn decoded(&self, limit: usize, defects: &mut Defects) -> Cow<'_, [u8]> {
        let (bytes, clean) = mime::decode(&self.body, self.encoding, limit);
        if !clean {
            defects.add(
                "mime",
                "a transfer encoding could not be decoded cleanly",
                &self.content_type.essence,
            );
        }
        bytes
    }
}

/// A message taken apart.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// The message's own header.
    pub(super) header: Header<'a>,
    /// The message's own type.
    pub(super) content_type: ContentType,
    /// Its leaves in the order they came.
    pub(super) leaves: Vec<Leaf<'a>>,
}

struct Node<'a> {
    bytes: Cow<'a, [u8]>,
    depth: usize,
    in_report: bool,
    in_digest: bool,
}

/// Takes a message apart.
pub(super) fn walk<'a>(message: &'a [u8], defects: &mut Defects) -> Parts<'a> {
    let (header, body_at) = Header::read(message, true);
    if header.overflow {
        defects.add("mime", "too many header fields; the later ones were not read", "");
    }
    let mut parts = Parts { content_type: content_type(&header), header, leaves: Vec::new() };
    let root = Node { bytes: Cow::Borrowed(message), depth: 0, in_report: false, in_digest: false };
    let mut stack = vec![root];
    let (mut seen, mut encoded) = (0, 0);
    while let Some(node) = stack.pop() {
        seen += 1;
        let (mut leaf, guessed) = if node.depth == 0 {
            entity(&node, &parts.header, parts.content_type.clone(), body_at)
        } else {
            let (header, body_at) = Header::read(&node.bytes, false);
            entity(&node, &header, content_type(&header), body_at)
        };
        let multipart = leaf.content_type.essence.starts_with("multipart/") || guessed;
        if !multipart {
            let after = parts_after_status(&mut leaf, defects);
            parts.leaves.push(leaf);
            stack.extend(after.into_iter().rev().map(|bytes| Node {
                bytes,
                depth: node.depth + 1,
                in_report: node.in_report,
                in_digest: false,
            }));
            continue;
        }
        if node.depth >= MAX_DEPTH || (leaf.encoding != Encoding::Identity && encoded >= MAX_ENCODED) {
            defects.add("mime", "parts nested too deep; the inner ones were not opened", "");
            continue;
        }
        if leaf.encoding != Encoding::Identity {
            encoded += 1;
            leaf.body = Cow::Owned(leaf.decoded(usize::MAX, defects).into_owned());
            leaf.encoding = Encoding::Identity;
        }
        // A text that returns a multipart message without saying so: what stands before is the report.
        if guessed
            && let Some((_, at)) = guess_boundary(&leaf.body)
            && !leaf.body[..at].trim_ascii().is_empty()
        {
            parts.leaves.push(Leaf {
                content_type: ContentType { essence: "text/plain".into(), ..ContentType::default() },
                encoding: Encoding::Identity,
                body: slice(&leaf.body, 0..at),
                whole: None,
                in_report: node.in_report,
            });
        }
        let room = MAX_PARTS.saturating_sub(seen + stack.len());
        let ranges = children(&leaf, room, defects);
        if ranges.is_empty() {
            leaf.content_type = ContentType { essence: "text/plain".into(), ..leaf.content_type };
            parts.leaves.push(leaf);
            continue;
        }
        let in_report = node.in_report || leaf.content_type.essence == "multipart/report"; // RFC 6522 §3
        let in_digest = leaf.content_type.essence == "multipart/digest";
        stack.extend(ranges.into_iter().rev().map(|range| Node {
            bytes: slice(&leaf.body, range),
            depth: node.depth + 1,
            in_report,
            in_digest,
        }));
    }
    parts
}

fn content_type(header: &Header<'_>) -> ContentType {
    header.first("Content-Type").map(mime::content_type).unwrap_or_default()
}

/// One entity, whose header is read; the second value says that it is a multipart which does not say so.
fn entity<'a>(
    node: &Node<'a>,
    header: &Header<'_>,
    mut content_type: ContentType,
    body_at: usize,
) -> (Leaf<'a>, bool) {
    let Node { bytes, depth, in_report, in_digest } = node;
    let encoding = header.first("Content-Transfer-Encoding").map(mime::encoding).unwrap_or_default();
    if content_type.essence.is_empty() && *in_digest {
        content_type.essence = "message/rfc822".into(); // RFC 2046 §5.1.5
    }
    // RFC 2046 §5.1: a part's header has Content- fields only. Anything else in it means that the blank line
    // is missing.
    let strays = *depth > 0 && is_message(&content_type.essence) && header.has_any(&STRAY_FIELDS);
    let body = &bytes[body_at..];
    let guessed = *depth == 0
        && content_type.essence.is_empty()
        && guess_boundary(body).is_some_and(|(boundary, at)| !is_of_quoted_message(body, boundary, at));
    let whole = strays.then(|| bytes.clone());
    // A borrowed message gives borrowed parts; only a decoded one is copied.
    let body = slice(bytes, body_at..bytes.len());
    (Leaf { content_type, encoding, body, whole, in_report: *in_report }, guessed)
}

/// Fields of a returned header or a delivery status that a part's own header never has.
const STRAY_FIELDS: [&str; 8] = [
    "reporting-mta",
    "final-recipient",
    "original-recipient",
    "arrival-date",
    "received",
    "from",
    "to",
    "message-id",
];

/// The types of a delivery-status part.
pub(super) const DELIVERY_STATUS: [&str; 2] = [
    "message/delivery-status",        // RFC 3464 §2.1
    "message/global-delivery-status", // RFC 6533 §4
];

fn is_message(essence: &str) -> bool {
    essence.starts_with("message/") || essence == "text/rfc822-headers"
}

fn slice<'a>(bytes: &Cow<'a, [u8]>, range: Range<usize>) -> Cow<'a, [u8]> {
    match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[range]),
        Cow::Owned(bytes) => Cow::Owned(bytes[range].to_vec()),
    }
}

/// The ranges of a multipart's parts. A boundary that is missing or wrong is guessed from the first line that
/// looks like one.
fn children(leaf: &Leaf<'_>, room: usize, defects: &mut Defects) -> Vec<Range<usize>> {
    let named = leaf.content_type.boundary.as_deref();
    let mut found = named.map(|boundary| split(&leaf.body, boundary.as_bytes(), room)).unwrap_or_default();
    if found.ranges.is_empty() {
        defects.add("mime", "the boundary parameter is missing or wrong", named.unwrap_or_default());
        if let Some((boundary, _)) = guess_boundary(&leaf.body) {
            found = split(&leaf.body, boundary, room);
        }
    }
    if found.full {
        defects.add("mime", "too many parts; the later ones were not read", "");
    } else if found.open {
        defects.add("mime", "the closing boundary is missing", named.unwrap_or_default());
    }
    found.ranges
}

/// A delivery status that runs into a delimiter nobody announced is cut there; gives the parts after it.
fn parts_after_status<'a>(leaf: &mut Leaf<'a>, defects: &mut Defects) -> Vec<Cow<'a, [u8]>> {
    if !DELIVERY_STATUS.contains(&leaf.content_type.essence.as_str()) || leaf.encoding != Encoding::Identity {
        return Vec::new();
    }
    let Some((boundary, at)) = guess_boundary(&leaf.body) else { return Vec::new() };
    defects.add("mime", "a delimiter inside of the delivery status", &String::from_utf8_lossy(boundary));
    let ranges = split(&leaf.body[at..], boundary, 10).ranges;
    let parts = ranges.into_iter().map(|range| slice(&leaf.body, at + range.start..at + range.end)).collect();
    leaf.body = slice(&leaf.body, 0..at);
    parts
}

#[derive(Debug, Default)]
struct Split {
    ranges: Vec<Range<usize>>,
    open: bool,
    full: bool,
}

/// Splits a multipart body at its delimiter lines (RFC 2046 §5.1.1).
fn split(body: &[u8], boundary: &[u8], room: usize) -> Split {
    let mut out = Split::default();
    let mut start = None;
    for at in delimiters(body) {
        let end = line_end(body, at);
        if let Some(rest) = body[at + 2..end].trim_ascii_end().strip_prefix(boundary)
            && matches!(rest, b"" | b"--")
        {
            if let Some(start) = start.take() {
                out.ranges.push(start..before_line_end(body, start, at));
            }
            if !rest.is_empty() {
                return out; // RFC 2046 §5.1.1: what follows the closing delimiter is no part
            }
            if out.ranges.len() >= room {
                out.full = true;
                return out;
            }
            start = Some(end);
        }
    }
    if let Some(start) = start {
        out.open = true;
        out.ranges.push(start..body.len());
    }
    out
}

/// Where the lines begin that two hyphens open.
fn delimiters(body: &[u8]) -> impl Iterator<Item = usize> {
    let first = body.starts_with(b"--").then_some(0);
    first.into_iter().chain(memmem::find_iter(body, b"\n--").map(|at| at + 1))
}

/// The end of a part: the line end before a delimiter belongs to the delimiter (RFC 2046 §5.1.1).
fn before_line_end(body: &[u8], start: usize, at: usize) -> usize {
    let part = &body[start..at];
    start + part.strip_suffix(b"\r\n").or_else(|| part.strip_suffix(b"\n")).unwrap_or(part).len()
}

/// The boundary of the first line `--something` that a `Content-` field follows, and where that line starts.
fn guess_boundary(body: &[u8]) -> Option<(&[u8], usize)> {
    delimiters(body).find_map(|at| {
        let end = line_end(body, at);
        let boundary = trim_eol(&body[at + 2..end]).trim_ascii_end();
        let next = body[end..].get(..8);
        let announced = next.is_some_and(|next| next.eq_ignore_ascii_case(b"content-"));
        (announced && !boundary.is_empty()).then_some((boundary, at))
    })
}

/// Whether a delimiter belongs to a message that the text returns or quotes: a header inside of the text announces it
/// (RFC 2046 §5.1.1). A body that begins with a field is the rest of the message's own header.
fn is_of_quoted_message(body: &[u8], boundary: &[u8], at: usize) -> bool {
    const PARAMETER: &[u8] = b"boundary=";
    let boundary = &boundary[..boundary.len().min(70)]; // RFC 2046 §5.1.1: no longer than that
    let before = &body[..at];
    let first = before.trim_ascii_start();
    let own_header = field_name(trim_eol(&first[..line_end(first, 0)])).is_some();
    let announces = |from: usize| {
        let rest = &before[from + PARAMETER.len()..];
        rest.strip_prefix(b"\"").unwrap_or(rest).starts_with(boundary)
    };
    !own_header
        && before
            .windows(PARAMETER.len())
            .enumerate()
            .any(|(from, text)| text.eq_ignore_ascii_case(PARAMETER) && announces(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(message: &str) -> Vec<String> {
        let parts = walk(message.as_bytes(), &mut Defects::default());
        parts.leaves.into_iter().map(|leaf| leaf.content_type.essence).collect()
    }

    const PARTS: &str =
        "--b\nContent-Type: text/plain\n\nx\n--b\nContent-Type: message/delivery-status\n\ny\n--b--\n";

    #[test]
    fn a_message_that_does_not_say_that_it_is_a_multipart_is_one_unless_its_text_returns_one() {
        let of_parts = ["text/plain", "message/delivery-status"];
        assert_eq!(types(&format!("Subject: s\n\n{PARTS}")), of_parts);
        let rest_of_header = "MIME-Version: 1.0\nContent-Type: multipart/report; boundary=b\n\n";
        let rest_first = ["text/plain", "text/plain", "message/delivery-status"];
        assert_eq!(types(&format!("Subject: s\n\n{rest_of_header}{PARTS}")), rest_first);
        for announced in ["boundary=b", "\n\tboundary=\"b\"", "Boundary=\"b\"; charset=x"] {
            let copy = format!("From: a@x.example\nContent-Type: multipart/report; {announced}\n\n{PARTS}");
            assert_eq!(types(&format!("Subject: s\n\nIt failed.\n\n{copy}")), [""], "{announced}");
        }
    }
}
