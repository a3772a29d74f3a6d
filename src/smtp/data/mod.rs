//! The text after DATA: where it ends, and what it says (RFC 5321 §4.1.1.4, §4.5.2).
//!
//! Only CRLF.CRLF ends it, or `.CRLF` as the very first line. Everything that merely resembles it (`LF.LF`,
//! `CR.CR`, `LF.CRLF`, `CRLF.LF`, `CRLF.CR` …) is data: a server that takes one of these for the end can be made
//! to run the rest of a message as commands (SMTP smuggling, CVE-2023-51764).

mod body;

pub(super) use body::{Body, Dropped};

use super::limits::memory::Reservation;

/// A message as it came out of the decoder.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// All of it.
    Complete {
        /// The octets between DATA's 354 and the final dot, dot-decoded, or those of all chunks; line ends as they
        /// came.
        octets: Vec<u8>,
        /// A CR or an LF outside a CRLF is among them.
        bare_newlines: bool,
    },
    /// It was larger than the cap; nothing of it was kept.
    TooBig,
    /// There was no memory left for it; nothing of it was kept.
    NoRoom,
}

/// Where in a line the decoder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Directly after CRLF, or at the start of the data.
    LineStart,
    /// After a dot at the start of a line.
    Dot,
    /// After a dot and a CR at the start of a line.
    DotCr,
    /// Anywhere else in a line.
    Inside,
    /// After a CR that is not written yet.
    Cr,
}

/// Decodes one message, in any chunking, within `2 * max_size` octets of memory.
#[derive(Debug)]
pub struct DataDecoder {
    body: Body,
    state: State,
    bare_newlines: bool,
}

impl DataDecoder {
    /// A decoder for a message of at most `max_size` octets, dots decoded.
    #[must_use]
    pub fn new(max_size: usize) -> Self {
        Self::within(max_size, Reservation::default())
    }

    /// The same, with memory asked for before the message grows. What `reservation` cannot hold is read and
    /// dropped: [`Message::NoRoom`].
    #[must_use]
    pub const fn within(max_size: usize, reservation: Reservation) -> Self {
        Self { body: Body::new(max_size, reservation), state: State::LineStart, bare_newlines: false }
    }

    /// Takes bytes from the front of `input`. `Some(n)`: the message ended after `n` of them, what follows are
    /// commands. `None`: all were taken and the message goes on.
    pub fn feed(&mut self, input: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < input.len() {
            let byte = input[at];
            match (self.state, byte) {
                (State::DotCr, b'\n') => {
                    return Some(at + 1); // RFC 5321 §4.1.1.4: <CRLF>.<CRLF>
                }
                (State::LineStart, b'.') => self.state = State::Dot,
                (State::Dot, b'\r') => self.state = State::DotCr,
                (State::DotCr, _) => {
                    // The dot is dropped, the CR belongs to the text; the byte is looked at again.
                    self.state = State::Cr; // RFC 5321 §4.5.2
                    continue;
                }
                (State::Cr, b'\n') => {
                    self.body.push(b"\r\n");
                    self.state = State::LineStart;
                }
                (State::Cr, _) => {
                    self.bare_newlines = true; // RFC 5321 §2.3.8: a CR without its LF is data
                    self.body.push(b"\r");
                    self.state = State::Inside;
                    continue;
                }
                (State::LineStart | State::Inside, b'\r') => self.state = State::Cr,
                // After a dot at the start of a line: the dot is dropped with it. RFC 5321 §4.5.2
                (State::LineStart | State::Dot | State::Inside, _) => {
                    let rest = &input[at..];
                    let length = rest.iter().position(|&byte| byte == b'\r').unwrap_or(rest.len());
                    // RFC 5321 §2.3.8: an LF without its CR is data
                    self.bare_newlines = self.bare_newlines || rest[..length].contains(&b'\n');
                    self.body.push(&rest[..length]);
                    self.state = State::Inside;
                    at += length;
                    continue;
                }
            }
            at += 1;
        }
        None
    }

    /// The message, once [`DataDecoder::feed`] has found its end.
    #[must_use]
    pub fn finish(self) -> Message {
        self.finish_with().0
    }

    /// The message, and what it holds of the memory: to be kept as long as the message is.
    #[must_use]
    pub fn finish_with(self) -> (Message, Reservation) {
        self.body.finish(self.bare_newlines)
    }
}

#[cfg(test)]
mod tests;
