//! The text after DATA: where it ends, and what it says (RFC 5321 §4.1.1.4, §4.5.2).
//!
//! Only CRLF.CRLF ends it, or `.CRLF` as the very first line. Everything that merely resembles it (`LF.LF`,
//! `CR.CR`, `LF.CRLF`, `CRLF.LF`, `CRLF.CR` …) is data: a server that takes one of these for the end can be made
//! to run the rest of a message as commands (SMTP smuggling, CVE-2023-51764).

/// The smallest buffer a message gets when its first octet arrives.
const FIRST_ALLOCATION: usize = 8 * 1024;

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
    octets: Vec<u8>,
    max_size: usize,
    state: State,
    bare_newlines: bool,
    too_big: bool,
}

impl DataDecoder {
    /// A decoder for a message of at most `max_size` octets, dots decoded.
    #[must_use]
    pub const fn new(max_size: usize) -> Self {
        Self { octets: Vec::new(), max_size, state: State::LineStart, bare_newlines: false, too_big: false }
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
                    self.push(b"\r\n");
                    self.state = State::LineStart;
                }
                (State::Cr, _) => {
                    self.bare_newlines = true; // RFC 5321 §2.3.8: a CR without its LF is data
                    self.push(b"\r");
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
                    self.push(&rest[..length]);
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
        if self.too_big {
            return Message::TooBig;
        }
        Message::Complete { octets: self.octets, bare_newlines: self.bare_newlines }
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.too_big {
            return;
        }
        if !append(&mut self.octets, bytes, self.max_size) {
            self.too_big = true;
            self.octets = Vec::new();
        }
    }
}

/// Appends to a message of at most `max_size` octets; false, and nothing done, when it would be larger.
pub(super) fn append(octets: &mut Vec<u8>, bytes: &[u8], max_size: usize) -> bool {
    let needed = octets.len() + bytes.len();
    if needed > max_size {
        return false;
    }
    if needed > octets.capacity() {
        // Doubling as `Vec` does, but never beyond the cap.
        let wanted = needed.max(octets.capacity() * 2).max(FIRST_ALLOCATION).min(max_size);
        octets.reserve_exact(wanted - octets.len());
    }
    octets.extend_from_slice(bytes);
    true
}

#[cfg(test)]
mod tests;
