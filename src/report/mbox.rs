//! mbox files: several messages in one, set apart by `From ` lines (RFC 4155).
//!
//! The variants differ in how a line of a body that begins with `From ` is kept from being one of those. mboxo and
//! mboxrd put a `>` before it, which is taken away again; mboxcl and mboxcl2 say with Content-Length where the body ends,
//! which counts where it is true.

use std::borrow::Cow;

use super::header::{field_name, line_end, start_of_message, trim_eol};

/// Longest header in which Content-Length is looked for, in octets.
const MAX_HEADER: usize = 1024 * 1024;

/// Octets that are looked at together.
const PIECE: usize = 64 * 1024;

/// The messages of a file, one at a time: of an mbox each message without its `From ` line and with `>From `
/// lines put back; of anything else the file as it is.
///
/// A `From ` line begins a message only at the start of the file or where the line before is empty, and where a
/// header field follows: running text that begins with the word sets nothing apart.
pub fn messages(file: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mut pieces = file.chunks(PIECE);
    let mut splitter = Splitter::new(usize::MAX);
    std::iter::from_fn(move || {
        loop {
            match splitter.next_message() {
                Some(Piece::Message(message)) => return Some(message),
                Some(Piece::TooLarge) => {}
                None if splitter.ended => return None,
                None => match pieces.next() {
                    Some(piece) => splitter.feed(piece),
                    None => splitter.end(),
                },
            }
        }
    })
}

/// Whether it begins as messages do (RFC 5322 §2.2), with a header field; empty lines and `From ` lines before are
/// passed over.
#[must_use]
pub fn begins_with_field(message: &[u8]) -> bool {
    let start = start_of_message(message);
    field_name(trim_eol(&message[start..line_end(message, start)])).is_some()
}

/// A message of a file, or what there is instead.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A whole one, as [`messages`] gives it.
    Message(Vec<u8>),
    /// One that is larger than is taken; it is passed over.
    TooLarge,
}

/// Splits a file that comes in pieces, and keeps no more of it than one message.
#[derive(Debug)]
pub struct Splitter {
    /// Octets of a message that are taken.
    limit: usize,
    buffer: Vec<u8>,
    ended: bool,
    /// What the file is, once that is known.
    is_mbox: Option<bool>,
    /// Where the message begins, which is being looked through.
    body: usize,
    scan: Scan,
    /// The message is too large: nothing of it is kept.
    dropping: bool,
    done: bool,
}

impl Splitter {
    /// A splitter at the beginning of a file, which takes messages of so many octets.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: Vec::new(),
            ended: false,
            is_mbox: None,
            body: 0,
            scan: Scan::from(0),
            dropping: false,
            done: false,
        }
    }

    /// More of the file.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// That was all of it.
    pub const fn end(&mut self) {
        self.ended = true;
    }

    /// The next message; none until there is more.
    pub fn next_message(&mut self) -> Option<Piece> {
        if self.done {
            return None;
        }
        if self.is_mbox.is_none() {
            self.is_mbox = is_separator(&self.buffer, 0, self.ended || self.buffer.len() > MAX_HEADER);
            match self.is_mbox {
                None => return None,
                Some(true) => self.begin(0),
                Some(false) => {}
            }
        }
        let found = match self.is_mbox {
            Some(true) => self.scan.next_separator(&self.buffer, self.ended),
            _ if self.ended => Found::End,
            _ => Found::More,
        };
        match found {
            Found::More => {
                if self.buffer.len() - self.body > self.limit {
                    self.drop_seen();
                }
                None
            }
            Found::Separator(next) => {
                let piece = self.take(next);
                self.begin(next);
                Some(piece)
            }
            Found::End => {
                self.done = true;
                Some(self.take(self.buffer.len()))
            }
        }
    }

    /// The message up to there.
    fn take(&mut self, end: usize) -> Piece {
        if std::mem::take(&mut self.dropping) || end - self.body > self.limit {
            return Piece::TooLarge;
        }
        let message = &self.buffer[self.body..end];
        Piece::Message(if self.is_mbox == Some(true) {
            unescaped(message).into_owned()
        } else {
            message.to_vec()
        })
    }

    /// A message begins with the separator there.
    fn begin(&mut self, separator: usize) {
        self.buffer.drain(..separator);
        self.body = line_end(&self.buffer, 0);
        self.scan = Scan::from(self.body);
    }

    /// Nothing of a message that is too large is needed but the line that is being looked at.
    fn drop_seen(&mut self) {
        self.dropping = true;
        let keep = if self.is_mbox == Some(true) { self.scan.at } else { self.buffer.len() };
        self.buffer.drain(..keep);
        self.body = 0;
        self.scan = Scan {
            at: 0,
            looked: self.scan.looked - keep.min(self.scan.looked),
            content_end: None,
            ..self.scan
        };
        if self.buffer.len() > self.limit {
            // A line without an end begins no message, whatever follows in it.
            self.buffer.clear();
            self.scan = Scan { after_empty: false, in_header: false, ..Scan::from(0) };
        }
    }
}

/// What a look for the next separator found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// One that begins there.
    Separator(usize),
    /// None up to the end.
    End,
    /// More has to come.
    More,
}

/// Where a look for the next separator stands.
#[derive(Debug, Clone, Copy)]
struct Scan {
    /// The beginning of the line that is looked at, and how far its end was looked for.
    at: usize,
    looked: usize,
    /// Where the message's header begins.
    start: usize,
    /// The line before is empty.
    after_empty: bool,
    in_header: bool,
    /// Where the body ends, by Content-Length.
    content_end: Option<usize>,
}

impl Scan {
    /// At the beginning of a message.
    const fn from(body: usize) -> Self {
        Self { at: body, looked: body, start: body, after_empty: false, in_header: true, content_end: None }
    }

    fn next_separator(&mut self, bytes: &[u8], ended: bool) -> Found {
        while self.at < bytes.len() {
            if self.after_empty && !self.in_header {
                match is_separator(bytes, self.at, ended) {
                    None => return Found::More,
                    Some(false) => {}
                    Some(true) => match self.content_end.filter(|end| *end > self.at) {
                        None => return Found::Separator(self.at),
                        // It stands within what Content-Length says is the body, if that is true.
                        Some(end) => match ends_message(bytes, end, ended) {
                            None => return Found::More,
                            Some(false) => return Found::Separator(self.at),
                            Some(true) => {
                                (self.at, self.looked, self.after_empty) = (end, end, true);
                                continue;
                            }
                        },
                    },
                }
            }
            let end = bytes[self.looked..].iter().position(|&byte| byte == b'\n');
            let end = match end {
                Some(length) => self.looked + length + 1,
                None if ended => bytes.len(),
                None => {
                    self.looked = bytes.len();
                    return Found::More;
                }
            };
            self.after_empty = trim_eol(&bytes[self.at..end]).is_empty();
            if self.after_empty && self.in_header {
                self.in_header = false;
                let header = bytes.get(self.start..self.at).unwrap_or_default();
                self.content_end = content_length(header).and_then(|length| end.checked_add(length));
            }
            (self.at, self.looked) = (end, end);
        }
        if ended { Found::End } else { Found::More }
    }
}

/// Whether a message ends there, so that the next begins or nothing follows but empty lines; `None` until more comes.
fn ends_message(bytes: &[u8], end: usize, ended: bool) -> Option<bool> {
    let mut at = end;
    for _ in 0..3 {
        if at >= bytes.len() {
            return ended.then_some(at == bytes.len());
        }
        let next = line_end(bytes, at);
        if !trim_eol(&bytes[at..next]).is_empty() {
            return is_separator(bytes, at, ended);
        }
        at = next;
    }
    Some(false)
}

/// What Content-Length says in a header.
fn content_length(header: &[u8]) -> Option<usize> {
    if header.len() > MAX_HEADER {
        return None;
    }
    let mut lines = header.split(|&byte| byte == b'\n');
    lines.find_map(|line| {
        let (name, colon) = field_name(line)?;
        let value = name.eq_ignore_ascii_case("content-length").then(|| line[colon + 1..].trim_ascii())?;
        std::str::from_utf8(value).ok()?.parse().ok()
    })
}

/// Whether a `From ` line stands here, and a header field below it; `None` until more has come.
fn is_separator(bytes: &[u8], at: usize, ended: bool) -> Option<bool> {
    let begins = b"From ";
    let rest = &bytes[at..];
    if !rest.starts_with(begins) {
        let may = rest.len() < begins.len() && begins.starts_with(rest) && !ended;
        return if may { None } else { Some(false) };
    }
    let whole = |start: usize| {
        let end = line_end(bytes, start);
        (ended || bytes[..end].last() == Some(&b'\n') && end > start).then_some(end)
    };
    let mut next = whole(at)?;
    loop {
        let end = whole(next)?;
        // Some programs quote the line of the mailbox a message was moved from.
        if !bytes[next..].starts_with(b">From ") {
            return Some(field_name(trim_eol(&bytes[next..end])).is_some());
        }
        next = end;
    }
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
        messages(file.as_bytes()).map(|message| String::from_utf8(message).unwrap()).collect()
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

    /// The same in pieces, which must come to the same.
    fn in_pieces(file: &str, piece: usize, limit: usize) -> Vec<String> {
        let mut splitter = Splitter::new(limit);
        let mut found = Vec::new();
        let mut take = |splitter: &mut Splitter| {
            while let Some(piece) = splitter.next_message() {
                found.push(match piece {
                    Piece::Message(message) => String::from_utf8(message).unwrap(),
                    Piece::TooLarge => "too large".to_owned(),
                });
            }
        };
        for bytes in file.as_bytes().chunks(piece) {
            splitter.feed(bytes);
            take(&mut splitter);
        }
        splitter.end();
        take(&mut splitter);
        found
    }

    #[test]
    fn a_file_in_pieces_is_split_as_one_at_once() {
        for file in [
            "From a@x Mon Jan 1\nSubject: 1\n\none\n\nFrom b@x Mon Jan 1\r\nSubject: 2\r\n\r\ntwo\r\n",
            "Subject: 1\n\nFrom here on\nTo: there\n\nFrom a\nSubject: no\n",
            "From nobody\n\ntext\n",
            "",
            "From",
            "From a@x Mon Jan 1\n>From q\nSubject: 1\n\n>From me\n\nFrom \n\n>>From you\n> From x",
        ] {
            for piece in [1, 2, 5, 1_000] {
                assert_eq!(in_pieces(file, piece, 1_000), split(file), "{file:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_content_length_that_is_true_says_where_a_message_ends() {
        let inner = "one\n\nFrom c@x Mon Jan 1\nSubject: not one\n\nmore\n";
        let mbox = |length: usize| {
            format!(
                "From a@x Mon Jan 1\nSubject: 1\nContent-Length: {length}\n\n{inner}\nFrom b@x Mon Jan 1\nSubject: 2\n\ntwo\n"
            )
        };
        let found = split(&mbox(inner.len()));
        assert_eq!((found.len(), found[1].as_str()), (2, "Subject: 2\n\ntwo\n"), "{found:?}");
        for length in [inner.len() - 3, 3, 1_000, usize::MAX] {
            assert_eq!(split(&mbox(length)).len(), 3, "{length} is not true");
        }
        for length in [inner.len(), 3, 1_000] {
            for piece in [1, 7, 1_000] {
                assert_eq!(in_pieces(&mbox(length), piece, 1_000), split(&mbox(length)), "{length}, {piece}");
            }
        }
    }

    #[test]
    fn a_message_that_is_too_large_costs_itself_alone() {
        let long = "x".repeat(300);
        let file = format!(
            "From a@x\nSubject: 1\n\none\n\nFrom b@x\nSubject: 2\n\n{long}\n{long}\n\nFrom c@x\nSubject: 3\n\nthree\n"
        );
        for piece in [1, 10, 64, 2_000] {
            let found = in_pieces(&file, piece, 100);
            assert_eq!(found, ["Subject: 1\n\none\n\n", "too large", "Subject: 3\n\nthree\n"], "{piece}");
        }
        assert_eq!(in_pieces(&long, 64, 100), ["too large"]);
    }
}
