//! Cutting what a client sends into command lines, in bounded memory.
//!
//! A command line ends at CRLF and nowhere else (RFC 5321 §2.3.8). A bare LF does not end it, although many
//! servers let it: where two servers in a row disagree about that, text that one of them sees inside a
//! command is a command to the other. Here such a line is refused as a whole: the reply goes out at the bare LF
//! (somebody who types into `nc` learns what is wrong), and whatever follows up to the CRLF is dropped, so that
//! there is exactly one reply to one line and nothing of the line is ever run.
//!
//! BDAT is the exception. Octets follow it without waiting for a reply (RFC 3030 §2), and where the line that counts
//! them is refused they would be taken for commands. So such a line is told apart, to end the connection.

use super::settings::MAX_COMMAND_LINE;

/// What came out of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line without its CRLF, at most [`MAX_COMMAND_LINE`] octets with it.
    Complete(Vec<u8>),
    /// A line that was longer, reported when its end has come; nothing of it was kept.
    TooLong,
    /// A line holds a bare LF; reported at once, the rest of the line will be dropped silently.
    BareNewline,
    /// One of these two, in which somebody who ends lines otherwise reads a BDAT: nobody knows what follows.
    BrokenBdat,
    /// What no SMTP client sends, [`is_foreign`] or the start of a TLS handshake; nothing of it was kept.
    Foreign,
}

/// Methods of HTTP (RFC 9110 §9, RFC 5789), and the first word of HTTP/2 (RFC 9113 §3.4).
const HTTP_METHODS: &[&str] =
    &["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"];

/// How TLS begins: a handshake record of version 3 (RFC 8446 §5.1).
const TLS_HANDSHAKE: [u8; 2] = [0x16, 0x03];

/// Whether a line is one of HTTP or of a message's header. A web page can have a browser post anything to a port of the
/// machine that it runs on; the lines before its text are such ones, so that whoever ends there never comes to the text.
#[must_use]
pub fn is_foreign(line: &[u8]) -> bool {
    let is_method =
        |word: &[u8]| HTTP_METHODS.iter().any(|method| word.eq_ignore_ascii_case(method.as_bytes()));
    let word = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).next().unwrap_or_default();
    // RFC 5322 §2.2: a field's name is printable, and its colon follows at once
    let name = word.split(|byte| *byte == b':').next().unwrap_or_default();
    let is_field = name.len() < word.len() && !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    (is_method(word) || is_field) && !announces_chunk(line)
}

/// Whether a line, or what follows a bare CR or LF in it, begins as BDAT does, however badly written.
#[must_use]
pub fn announces_chunk(line: &[u8]) -> bool {
    let mut verb = Verb::default();
    verb.read(line);
    verb.read(b"\n");
    verb == Verb::Bdat
}

/// Looks for BDAT at the start of a line and behind each bare CR or LF, in pieces of any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Verb {
    /// At the start, white space aside.
    #[default]
    Start,
    /// So many letters of BDAT have come.
    Letters(usize),
    /// Another verb.
    Other,
    /// There was one, and whatever comes does not change that.
    Bdat,
}

impl Verb {
    fn read(&mut self, octets: &[u8]) {
        const BDAT: &[u8; 4] = b"BDAT";
        for octet in octets {
            *self = match (*self, octet) {
                (Self::Bdat, _) => return,
                (Self::Letters(4), octet) if !octet.is_ascii_alphanumeric() => Self::Bdat,
                (_, b'\r' | b'\n') => Self::Start,
                (Self::Start, octet) if octet.is_ascii_whitespace() => Self::Start,
                (Self::Start, octet) if octet.eq_ignore_ascii_case(&BDAT[0]) => Self::Letters(1),
                (Self::Letters(count @ 1..=3), octet) if octet.eq_ignore_ascii_case(&BDAT[count]) => {
                    Self::Letters(count + 1)
                }
                _ => Self::Other,
            };
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Collecting,
    /// Over the limit; [`Line::TooLong`] is owed when the line ends.
    TooLong,
    /// Already answered; nothing is owed.
    Poisoned,
}

/// Collects one line at a time. An empty one holds no memory.
#[derive(Debug)]
pub struct LineReader {
    partial: Vec<u8>,
    state: State,
    verb: Verb,
    /// The line was dropped, and began as a foreign one.
    foreign: bool,
    /// The last byte was a CR (needed where `partial` is not kept).
    after_cr: bool,
}

impl LineReader {
    /// A reader at the start of a line.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            partial: Vec::new(),
            state: State::Collecting,
            verb: Verb::Start,
            foreign: false,
            after_cr: false,
        }
    }

    /// Takes bytes from the front of `input` until a line is decided, and says how many it took.
    /// Without a line all of `input` was taken. May be called with any chunking.
    pub fn feed(&mut self, input: &[u8]) -> (usize, Option<Line>) {
        let mut at = 0;
        if let Some(taken) = self.tls_handshake(input) {
            return (taken, Some(Line::Foreign));
        }
        while let Some(length) = input[at..].iter().position(|&byte| byte == b'\n') {
            let after_cr = if length == 0 { self.after_cr } else { input[at + length - 1] == b'\r' };
            self.keep(&input[at..=at + length]);
            at += length + 1;
            self.after_cr = false;
            let sound = after_cr && self.state == State::Collecting;
            if self.verb == Verb::Bdat && !sound {
                *self = Self::new();
                return (at, Some(Line::BrokenBdat));
            }
            match (after_cr, self.state) {
                (true, state) => {
                    let Self { partial: mut line, foreign, .. } = std::mem::take(self);
                    match state {
                        State::Collecting => {
                            line.truncate(line.len() - 2);
                            let line = if is_foreign(&line) { Line::Foreign } else { Line::Complete(line) };
                            return (at, Some(line));
                        }
                        State::TooLong if foreign => return (at, Some(Line::Foreign)),
                        State::TooLong => return (at, Some(Line::TooLong)),
                        State::Poisoned => {
                            if let Some(taken) = self.tls_handshake(&input[at..]) {
                                return (at + taken, Some(Line::Foreign));
                            }
                        }
                    }
                }
                (false, State::Collecting) => {
                    self.state = State::Poisoned; // RFC 5321 §2.3.8
                    let foreign = is_foreign(&std::mem::take(&mut self.partial));
                    return (at, Some(if foreign { Line::Foreign } else { Line::BareNewline }));
                }
                (false, State::TooLong | State::Poisoned) => {}
            }
        }
        if let Some(last) = input[at..].last() {
            self.after_cr = *last == b'\r';
            self.keep(&input[at..]);
        }
        (input.len(), None)
    }

    /// How many bytes it takes to see that a TLS handshake begins where a line would.
    fn tls_handshake(&mut self, input: &[u8]) -> Option<usize> {
        let seen = self.partial.len();
        let rest = TLS_HANDSHAKE.get(seen..).filter(|rest| !rest.is_empty())?;
        let begins = self.state == State::Collecting && TLS_HANDSHAKE.starts_with(&self.partial);
        (begins && input.starts_with(rest)).then(|| {
            *self = Self::new();
            rest.len()
        })
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.verb.read(bytes);
        if self.state != State::Collecting {
            return;
        }
        if self.partial.len() + bytes.len() > MAX_COMMAND_LINE {
            self.state = State::TooLong; // RFC 5321 §4.5.3.1.4
            let room = (MAX_COMMAND_LINE - self.partial.len()).min(bytes.len());
            self.partial.extend_from_slice(&bytes[..room]);
            self.foreign = is_foreign(&std::mem::take(&mut self.partial));
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }
}

impl Default for LineReader {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> Vec<Line> {
        let mut reader = LineReader::new();
        let mut lines = Vec::new();
        for chunk in chunks {
            let mut rest = *chunk;
            while !rest.is_empty() {
                let (taken, line) = reader.feed(rest);
                rest = &rest[taken..];
                lines.extend(line);
            }
        }
        lines
    }

    fn complete(text: &str) -> Line {
        Line::Complete(text.as_bytes().to_vec())
    }

    #[test]
    fn only_crlf_ends_a_command_line() {
        assert_eq!(lines(&[b"NOOP\r\nQUIT\r\n"]), [complete("NOOP"), complete("QUIT")]);
        assert_eq!(lines(&[b"NO\rOP\r\r\n"]), [complete("NO\rOP\r")]);
        assert_eq!(lines(&[b"\r\n"]), [complete("")]);
        assert_eq!(lines(&[b"NOOP\r", b"\nQUIT"]), [complete("NOOP")]);
    }

    #[test]
    fn nothing_of_a_line_with_a_bare_newline_is_run_and_it_is_answered_once() {
        assert_eq!(
            lines(&[b"NOOP x\nMAIL FROM:<>\nDATA\r\nQUIT\r\n"]),
            [Line::BareNewline, complete("QUIT")]
        );
        assert_eq!(lines(&[b"\n\n\r\nQUIT\r\n"]), [Line::BareNewline, complete("QUIT")]);
    }

    #[test]
    fn a_broken_line_that_somebody_may_read_as_bdat_is_told_apart() {
        for broken in [
            "BDAT 5\n",
            " \tbdat\n",
            "BDAT\n",
            "NOOP\nBDAT 5 LAST\r\n",
            "NOOP\n\n BDAT:5\n",
            "NOOP\nx\rbDaT 5\r\n",
            &format!("BDAT {}\r\n", "0".repeat(MAX_COMMAND_LINE)),
            &format!("{}BDAT 5\r\n", " ".repeat(MAX_COMMAND_LINE)),
            &format!("{}\nBDAT 5\r\n", "x".repeat(MAX_COMMAND_LINE)),
        ] {
            for size in [1, 7, 10_000] {
                let found = lines(&broken.as_bytes().chunks(size).collect::<Vec<_>>());
                assert_eq!(found.last(), Some(&Line::BrokenBdat), "{broken:?}");
                let complete = found.iter().any(|line| matches!(line, Line::Complete(_)));
                assert!(!complete && found.len() <= 2, "{found:?}");
            }
        }
        assert_eq!(lines(&[b"BDATA\n\r\n"]), [Line::BareNewline]);
        assert_eq!(lines(&[b"XBDAT 5\nBDA T\nB DAT\r\nBDAT 5\r\n"]), [Line::BareNewline, complete("BDAT 5")]);
        assert!(announces_chunk(b"NOOP\rBDAT 5") && announces_chunk(b"BDAT") && announces_chunk(b"bdat-5"));
        assert!(!announces_chunk(b"NOOP BDAT 5") && !announces_chunk(b"BDAT5") && !announces_chunk(b""));
    }

    #[test]
    fn what_no_smtp_client_sends_is_told_apart() {
        for line in [
            "POST / HTTP/1.1\r\n",
            "get /\r\n",
            "PUT\r\n",
            "HEAD / HTTP/1.0\r\n",
            "DELETE / HTTP/1.1\r\n",
            "CONNECT mx.example:25 HTTP/1.1\r\n",
            "OPTIONS * HTTP/1.1\r\n",
            "TRACE / HTTP/1.1\r\n",
            "PATCH / HTTP/1.1\r\n",
            "PRI * HTTP/2.0\r\n",
            "Host: mx.example:25\r\n",
            "Content-Length:7\r\n",
            "x-a:\r\n",
            "GET / HTTP/1.0\nHost: mx.example\n\r\n",
            &format!("POST /{} HTTP/1.1\r\n", "x".repeat(MAX_COMMAND_LINE)),
            "\x16\x03\x01\x02\0\x01",
            "NOOP\n\r\n\x16\x03\x01",
        ] {
            for size in [1, 2, 7, 10_000] {
                let found = lines(&line.as_bytes().chunks(size).collect::<Vec<_>>());
                assert!(found.contains(&Line::Foreign), "{line:?}: {found:?}");
                assert!(!found.iter().any(|line| matches!(line, Line::Complete(_))), "{found:?}");
            }
        }
        for line in [
            "MAIL FROM:<a@b.example>",
            "RCPT TO: a",
            "POSTING",
            "EHLO host:",
            " x:",
            ":",
            "BDAT:5",
            "NOOP\x16\x03",
        ] {
            assert_eq!(lines(&[line.as_bytes(), b"\r\n"]), [complete(line)]);
        }
    }

    #[test]
    fn a_line_of_2048_octets_is_taken_and_one_more_is_not() {
        let longest = "x".repeat(MAX_COMMAND_LINE - 2);
        assert_eq!(lines(&[longest.as_bytes(), b"\r\n"]), [complete(&longest)]);
        let too_long = format!("{longest}x\r\nQUIT\r\n");
        assert_eq!(lines(&[too_long.as_bytes()]), [Line::TooLong, complete("QUIT")]);
    }

    #[test]
    fn an_endless_line_takes_no_memory() {
        let mut reader = LineReader::new();
        for _ in 0..1_000 {
            assert_eq!(reader.feed(&[b'x'; 4_096]), (4_096, None));
            assert!(reader.partial.capacity() <= MAX_COMMAND_LINE);
        }
        assert_eq!(reader.feed(b"\nx\r\n"), (4, Some(Line::TooLong)));
    }

    proptest::proptest! {
        #[test]
        fn chunking_never_changes_the_lines(
            pieces in proptest::collection::vec(proptest::sample::select(vec!["\r", "\n", "\r\n", "a", "QUIT", "GET /", "x:", "\x16", "\x03"]), 0..40),
            size in 1usize..7,
        ) {
            let text = pieces.concat().into_bytes();
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            proptest::prop_assert_eq!(lines(&chunks), lines(&[&text]));
        }
    }
}
