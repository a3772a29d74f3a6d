//! Reverse-paths and forward-paths as the field writes them (RFC 5321 §4.1.2).

use crate::address::{ForwardPath, Mailbox, ReversePath};

/// What follows `keyword` and its colon: the path and the parameters. White space around the colon is none of
/// RFC 5321 §3.3, but many send it.
pub(super) fn after_keyword<'a>(arguments: &'a str, keyword: &str) -> Option<&'a str> {
    let (word, rest) = arguments.split_at_checked(keyword.len())?;
    let rest = rest.trim_ascii_start().strip_prefix(':')?;
    word.eq_ignore_ascii_case(keyword).then(|| rest.trim_ascii_start())
}

/// The path, in its angle brackets or without, and the parameters after it. A `>` or a space inside a
/// quoted string ends nothing.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let bracketed = text.starts_with('<');
    let mut quoted = false;
    let mut escaped = false;
    let mut end = None;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if bracketed && !quoted => {
                end = Some(at + 1);
                break;
            }
            b' ' | b'\t' if !bracketed && !quoted => {
                end = Some(at);
                break;
            }
            _ => {}
        }
    }
    let end = match end {
        Some(end) => end,
        None if !bracketed && !quoted && !text.is_empty() => text.len(),
        // A quote that never closes hides the bracket (`<"@example.com>`): then it is no quote.
        None if bracketed && quoted => text.find('>')? + 1,
        None => return None,
    };
    let (path, parameters) = text.split_at(end);
    (parameters.is_empty() || parameters.starts_with([' ', '\t'])).then_some((path, parameters))
}

/// The argument of `MAIL FROM` without its parameters. In angle brackets anything is one; without them only a mailbox.
#[must_use]
pub fn reverse_path(path: &str) -> Option<ReversePath> {
    match inner(path) {
        Some("") => Some(ReversePath::Null), // RFC 5321 §4.5.5
        Some(inner) => {
            Some(mailbox(inner).map_or_else(|| ReversePath::Other(inner.to_owned()), ReversePath::Mailbox))
        }
        None => mailbox(path).map(ReversePath::Mailbox),
    }
}

/// The argument of `RCPT TO` without its parameters, with or without angle brackets: a mailbox or `postmaster`.
#[must_use]
pub fn forward_path(path: &str) -> Option<ForwardPath> {
    let path = inner(path).unwrap_or(path);
    if path.eq_ignore_ascii_case("postmaster") {
        return Some(ForwardPath::Postmaster); // RFC 5321 §4.5.1
    }
    mailbox(path).map(ForwardPath::Mailbox)
}

fn inner(path: &str) -> Option<&str> {
    path.strip_prefix('<')?.strip_suffix('>').map(str::trim_ascii)
}

fn mailbox(text: &str) -> Option<Mailbox> {
    // What was no UTF-8 is no address that anything could be compared with.
    if text.contains(char::REPLACEMENT_CHARACTER) || text.starts_with('<') {
        return None;
    }
    Mailbox::parse(without_source_route(text)?).ok()
}

/// RFC 5321 §4.1.1.3: a source route is taken and not followed. It ends at the first colon that is not in an
/// address literal (`@[IPv6:2001:db8::1],@b.example:user@example.com`).
fn without_source_route(text: &str) -> Option<&str> {
    if !text.starts_with('@') {
        return Some(text);
    }
    let mut literal = false;
    let colon = text.bytes().position(|byte| {
        match byte {
            b'[' => literal = true,
            b']' => literal = false,
            _ => {}
        }
        byte == b':' && !literal
    })?;
    let rest = &text[colon + 1..];
    (!rest.starts_with('@')).then_some(rest)
}
