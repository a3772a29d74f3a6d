//! Reverse-paths and forward-paths as the field writes them (RFC 5321 §4.1.2).

use std::borrow::Cow;
use std::net::Ipv4Addr;

use crate::address::{ForwardPath, Mailbox, ReversePath};

/// What follows `keyword` and its colon: the path and the parameters. White space around the colon is none of
/// RFC 5321 §3.3, but many send it.
pub(super) fn after_keyword<'a>(arguments: &'a str, keyword: &str) -> Option<&'a str> {
    let (word, rest) = arguments.split_at_checked(keyword.len())?;
    let rest = rest.trim_ascii_start().strip_prefix(':')?;
    word.eq_ignore_ascii_case(keyword).then(|| rest.trim_ascii_start())
}

/// The path, in its angle brackets or without, and the parameters after it. A `>` or a space in a quoted string or behind
/// a backslash ends nothing.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let bracketed = text.starts_with('<');
    let mut quoted = false;
    let mut escaped = false;
    let mut end = None;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
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
        // A quote that never closes hides the bracket (`<"@example.com>`), and so does a backslash: then it is none.
        None if bracketed => text.find('>')? + 1,
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
    let text = without_source_route(text)?;
    let at = if text.starts_with('"') { closing_quote(text)? + 1 } else { text.rfind('@')? };
    let (local_part, domain) = text.split_at(at);
    let domain = host(domain.strip_prefix('@')?);
    if text.starts_with('"') || !local_part.contains('\\') {
        return Mailbox::parse(&format!("{local_part}@{domain}")).ok();
    }
    Mailbox::new(&unescaped(local_part)?, &domain).ok()
}

/// Where the quoted string that the text begins with ends.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    let ends = |(_, byte): &(usize, u8)| {
        let quotes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        quotes
    };
    text.bytes().enumerate().skip(1).find(ends).map(|(at, _)| at)
}

/// An unquoted local part whose backslashes quote the character behind them, as RFC 821 §4.1.2 has it.
fn unescaped(local_part: &str) -> Option<String> {
    let mut content = String::with_capacity(local_part.len());
    let mut chars = local_part.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => content.push(chars.next()?),
            c if c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';' | '"' | '(' | ')') => return None,
            c => content.push(c),
        }
    }
    Some(content)
}

/// A host as it is written; `#123` is the address of that number (RFC 821 §4.1.2).
pub(super) fn host(text: &str) -> Cow<'_, str> {
    let digits = text.strip_prefix('#').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse::<u32>().ok());
    number.map_or(Cow::Borrowed(text), |number| Cow::Owned(format!("[{}]", Ipv4Addr::from(number))))
}

/// RFC 5321 §4.1.1.3: a source route is taken and not followed. It ends at the first colon that is not in an
/// address literal (`@[IPv6:2001:db8::1],@b.example:user@example.com`).
fn without_source_route(text: &str) -> Option<&str> {
    let mut rest = text;
    while rest.starts_with('@') {
        let mut literal = false;
        let colon = rest.bytes().position(|byte| {
            match byte {
                b'[' => literal = true,
                b']' => literal = false,
                _ => {}
            }
            byte == b':' && !literal
        })?;
        rest = &rest[colon + 1..];
    }
    Some(rest)
}
