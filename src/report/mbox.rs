//! mbox files: several messages in one, set apart by `From ` lines (RFC 4155).

use std::borrow::Cow;

use super::header::{field_name, line_end, trim_eol};

/// The messages of a file, one at a time: of an mbox each message without its `From ` line and with `>From `
/// lines put back; of anything else the file as it is.
///
/// A `From ` line begins a message only at the start of the file or where the line before is empty, and where a
/// header field follows: running text that begins with the word sets nothing apart.
#[derive(Debug)]
pub struct Messages<'a> {
    bytes: &'a [u8],
    /// Where the next message's `From ` line stands; `None` at the end.
    at: Option<usize>,
}

/// Splits a file.
#[must_use]
pub fn messages(bytes: &[u8]) -> Messages<'_> {
    Messages { bytes, at: Some(0) }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Cow<'a, [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at?;
        if !is_separator(self.bytes, start) {
            // Not an mbox: only its first line tells.
            self.at = None;
            return Some(Cow::Borrowed(&self.bytes[start..]));
        }
        let body = line_end(self.bytes, start);
        let next = next_separator(self.bytes, body);
        self.at = next;
        let message = &self.bytes[body..next.unwrap_or(self.bytes.len())];
        Some(unescaped(message))
    }
}

/// Where the next separator stands at or after `at`, which begins a line.
fn next_separator(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut after_empty = false;
    while at < bytes.len() {
        if after_empty && is_separator(bytes, at) {
            return Some(at);
        }
        let end = line_end(bytes, at);
        after_empty = trim_eol(&bytes[at..end]).is_empty();
        at = end;
    }
    None
}

/// Whether a `From ` line stands here, and a header field below it.
fn is_separator(bytes: &[u8], at: usize) -> bool {
    if !bytes[at..].starts_with(b"From ") {
        return false;
    }
    let mut next = line_end(bytes, at);
    // Some programs quote the line of the mailbox a message was moved from.
    while bytes[next..].starts_with(b">From ") {
        next = line_end(bytes, next);
    }
    let line = trim_eol(&bytes[next..line_end(bytes, next)]);
    field_name(line).is_some()
}

/// Takes one `>` from lines of `>`s and `From ` (RFC 4155, appendix A), but not from the header.
fn unescaped(message: &[u8]) -> Cow<'_, [u8]> {
    let escaped = |line: &[u8]| {
        let quotes = line.iter().take_while(|&&byte| byte == b'>').count();
        quotes > 0 && line[quotes..].starts_with(b"From ")
    };
    let mut lines = message.split_inclusive(|&byte| byte == b'\n');
    if !lines.clone().any(escaped) {
        return Cow::Borrowed(message);
    }
    let mut out = Vec::with_capacity(message.len());
    for line in lines.by_ref() {
        out.extend_from_slice(line);
        if trim_eol(line).is_empty() {
            break;
        }
    }
    for line in lines {
        out.extend_from_slice(if escaped(line) { &line[1..] } else { line });
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(file: &str) -> Vec<String> {
        messages(file.as_bytes()).map(|message| String::from_utf8(message.into_owned()).unwrap()).collect()
    }

    #[test]
    fn messages_are_set_apart_by_from_lines() {
        assert_eq!(
            split("From a@x Mon Jan 1\nSubject: 1\n\none\n\nFrom b@x Mon Jan 1\r\nSubject: 2\r\n\r\ntwo\r\n"),
            ["Subject: 1\n\none\n\n", "Subject: 2\r\n\r\ntwo\r\n"]
        );
    }

    #[test]
    fn a_single_message_stays_as_it_is() {
        for file in
            ["Subject: 1\n\nFrom here on\nTo: there\n\nFrom a\nSubject: no\n", "", "From nobody\n\ntext\n"]
        {
            assert_eq!(split(file), [file]);
        }
        assert_eq!(split("From a@x Mon Jan 1\nSubject: 1\n\none\n"), ["Subject: 1\n\none\n"]);
    }

    #[test]
    fn running_text_sets_nothing_apart() {
        let body = "Subject: 1\n\nIt came\nFrom me: a\n\nFrom now on all is well.\n";
        assert_eq!(split(&format!("From a@x Mon Jan 1\n{body}")), [body]);
    }

    #[test]
    fn quoted_from_lines_are_put_back() {
        assert_eq!(
            split("From a@x\n>From q\nSubject: 1\n\n>From me\n>>From you\n> From x\n"),
            [">From q\nSubject: 1\n\nFrom me\n>From you\n> From x\n"]
        );
    }
}
