//! Header sections: where one ends, and its fields as raw slices (RFC 5322 §2.2).
//!
//! Values stay undecoded until somebody asks for them, so a message of a million header lines costs one pass.

use memchr::memchr;

/// Fields kept of one header section; what comes after them is passed over. Real messages have under 200.
const MAX_FIELDS: usize = 10_000;

/// Fields that only a message header has, never running text.
const MESSAGE_FIELDS: [&str; 10] = [
    "content-type",
    "mime-version",
    "received",
    "return-path",
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "content-transfer-encoding",
];

/// The fields of one header section, in order.
#[derive(Debug, Default)]
pub(super) struct Header<'a> {
    fields: Vec<(&'a str, &'a [u8])>,
    /// Whether there were more than are kept.
    pub(super) overflow: bool,
    /// Whether the body began without the blank line before it.
    pub(super) no_blank_line: bool,
}

impl<'a> Header<'a> {
    /// Reads the header section that `bytes` begin with; gives it and the offset of the body.
    ///
    /// `of_message` says that a whole message starts here: blank lines, a byte order mark and mbox `From `
    /// lines before the header are passed over, and so is a single line of junk between two fields.
    pub(super) fn read(bytes: &'a [u8], of_message: bool) -> (Self, usize) {
        let mut header = Self::default();
        let mut open: Option<(&'a str, usize)> = None;
        let mut at = if of_message { start_of_message(bytes) } else { 0 };
        let mut value_end = at;
        while at < bytes.len() {
            let end = line_end(bytes, at);
            let line = trim_eol(&bytes[at..end]);
            if line.is_empty() {
                at = end;
                break; // RFC 5322 §2.1: the body follows the first empty line
            }
            if matches!(line[0], b' ' | b'\t') {
                let blank = line.trim_ascii().is_empty();
                if blank && (open.is_none() || !continues(&bytes[end..])) {
                    at = end;
                    break;
                }
                value_end = end; // RFC 5322 §2.2.3: folding
            } else if let Some((name, colon)) = field_name(line) {
                header.close(open.take(), bytes, value_end);
                open = Some((name, at + colon + 1));
                value_end = end;
            } else if of_message && (is_mbox_line(line) || message_field_follows(&bytes[end..])) {
                header.close(open.take(), bytes, value_end);
            } else {
                header.no_blank_line = true;
                break;
            }
            at = end;
        }
        header.close(open, bytes, value_end);
        (header, at)
    }

    fn close(&mut self, open: Option<(&'a str, usize)>, bytes: &'a [u8], end: usize) {
        let Some((name, start)) = open else { return };
        if self.fields.len() < MAX_FIELDS {
            self.fields.push((name, &bytes[start..end]));
        } else {
            self.overflow = true;
        }
    }

    /// Puts a field on top of the others.
    pub(super) fn put_first(&mut self, name: &'a str, raw: &'a [u8]) {
        self.fields.insert(0, (name, raw));
    }

    /// The raw value of the first field of that name, any case.
    pub(super) fn first(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The raw values of all fields of that name, any case.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// Whether any of these fields is there.
    pub(super) fn has_any(&self, names: &[&str]) -> bool {
        self.fields.iter().any(|(field, _)| names.iter().any(|name| field.eq_ignore_ascii_case(name)))
    }
}

/// The offset after the line that starts at `at`, its end of line included.
pub(super) fn line_end(bytes: &[u8], at: usize) -> usize {
    memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length + 1)
}

/// A line without its CRLF, LF, or CRs before an LF.
pub(super) fn trim_eol(line: &[u8]) -> &[u8] {
    let mut line = line.strip_suffix(b"\n").unwrap_or(line);
    while let Some(rest) = line.strip_suffix(b"\r") {
        line = rest;
    }
    line
}

/// The field name that a line begins with, and where its colon stands (RFC 5322 §2.2; white space before the
/// colon is §4.5).
pub(super) fn field_name(line: &[u8]) -> Option<(&str, usize)> {
    let colon = memchr(b':', &line[..line.len().min(200)])?;
    let name = line[..colon].trim_ascii_end();
    let printable = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic());
    Some((std::str::from_utf8(name).ok().filter(|_| printable)?, colon))
}

fn is_mbox_line(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line.starts_with(b">From ")
}

pub(super) fn start_of_message(bytes: &[u8]) -> usize {
    let mut at = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    while at < bytes.len() {
        let end = line_end(bytes, at);
        let line = trim_eol(&bytes[at..end]);
        if !line.trim_ascii().is_empty() && !is_mbox_line(line) {
            break;
        }
        at = end;
    }
    at
}

/// Whether the header goes on in the next line.
fn continues(rest: &[u8]) -> bool {
    let line = trim_eol(&rest[..line_end(rest, 0)]);
    matches!(line.first(), Some(b' ' | b'\t')) || field_name(line).is_some()
}

fn message_field_follows(rest: &[u8]) -> bool {
    let line = trim_eol(&rest[..line_end(rest, 0)]);
    field_name(line)
        .is_some_and(|(name, _)| MESSAGE_FIELDS.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(&str, String)>, &str) {
        let (header, body) = Header::read(text.as_bytes(), true);
        let value =
            |raw: &[u8]| String::from_utf8_lossy(raw).split_whitespace().collect::<Vec<_>>().join(" ");
        (header.fields.iter().map(|(name, raw)| (*name, value(raw))).collect(), &text[body..])
    }

    #[test]
    fn a_header_ends_at_the_first_empty_line_whatever_the_line_ends() {
        for text in [
            "From: a\r\nTo: b\r\n c\r\n\r\nbody",
            "From: a\nTo: b\n\tc\n\nbody",
            "From: a\r\nTo: b\n c\n\r\nbody",
        ] {
            let (fields, body) = read(text);
            assert_eq!(fields, [("From", "a".to_owned()), ("To", "b c".to_owned())], "{text:?}");
            assert_eq!(body, "body", "{text:?}");
        }
    }

    #[test]
    fn mbox_lines_blank_lines_and_junk_cost_no_field() {
        let (fields, body) =
            read("\n\nFrom MAILER-DAEMON Mon Jan 1\n>From x\nFrom: a\n+++ junk\nSubject: s\n\nbody");
        assert_eq!(fields.len(), 2);
        assert_eq!(body, "body");
    }

    #[test]
    fn a_missing_blank_line_ends_the_header_where_the_text_begins() {
        let (fields, body) = read("Subject: s\nYour message came back.\nReason: none\n");
        assert_eq!(fields.len(), 1);
        assert_eq!(body, "Your message came back.\nReason: none\n");
    }

    #[test]
    fn nothing_at_all_is_an_empty_header() {
        for text in ["", "\n", "\r\n\r\n", "From x\n", " "] {
            assert!(read(text).0.is_empty(), "{text:?}");
        }
    }
}
