//! A message that comes in chunks by BDAT (RFC 3030 §2): octets that are counted and never decoded.
//!
//! Nothing in a chunk ends it but its count, so no dot and no line end has a meaning here.

use super::data::{Message, append};

/// Collects the chunks of one message, within `2 * max_size` octets of memory.
#[derive(Debug)]
pub struct ChunkedMessage {
    octets: Vec<u8>,
    max_size: usize,
    too_big: bool,
    /// The last octet was a CR; its LF may stand in the next chunk.
    after_cr: bool,
    bare_newlines: bool,
}

impl ChunkedMessage {
    /// An empty message of at most `max_size` octets.
    #[must_use]
    pub const fn new(max_size: usize) -> Self {
        Self { octets: Vec::new(), max_size, too_big: false, after_cr: false, bare_newlines: false }
    }

    /// A chunk of `size` octets comes next: what cannot fit is not collected at all.
    pub fn announce(&mut self, size: u64) {
        let room = self.max_size.saturating_sub(self.octets.len());
        if usize::try_from(size).map_or(true, |size| size > room) {
            self.give_up();
        }
    }

    /// Takes octets of a chunk, as many at a time as there are.
    pub fn push(&mut self, octets: &[u8]) {
        if self.too_big {
            return;
        }
        if !append(&mut self.octets, octets, self.max_size) {
            self.give_up();
            return;
        }
        for &octet in octets {
            // RFC 5321 §2.3.8: a CR without its LF, an LF without its CR
            self.bare_newlines |= (octet == b'\n') != self.after_cr;
            self.after_cr = octet == b'\r';
        }
    }

    /// Whether it has outgrown its limit; then nothing of it is kept.
    #[must_use]
    pub const fn is_too_big(&self) -> bool {
        self.too_big
    }

    /// The message, after its last chunk.
    #[must_use]
    pub fn finish(self) -> Message {
        if self.too_big {
            return Message::TooBig;
        }
        Message::Complete { octets: self.octets, bare_newlines: self.bare_newlines || self.after_cr }
    }

    fn give_up(&mut self) {
        self.too_big = true;
        self.octets = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::smtp::data::DataDecoder;

    fn collected(chunks: &[&[u8]], max_size: usize) -> Message {
        let mut message = ChunkedMessage::new(max_size);
        for chunk in chunks {
            message.announce(chunk.len() as u64);
            message.push(chunk);
        }
        message.finish()
    }

    #[test]
    fn octets_stay_as_they_are_wherever_chunks_are_cut() {
        for chunks in [&[&b"..a\r\n.\r\nb"[..]][..], &[b"..a\r", b"", b"\n.\r\n", b"b"]] {
            let whole = Message::Complete { octets: b"..a\r\n.\r\nb".to_vec(), bare_newlines: false };
            assert_eq!(collected(chunks, 100), whole);
        }
        assert_eq!(collected(&[], 0), Message::Complete { octets: Vec::new(), bare_newlines: false });
    }

    #[test]
    fn what_is_too_big_is_dropped_as_soon_as_it_is_announced() {
        assert_eq!(collected(&[b"12345", b"6"], 5), Message::TooBig);
        assert!(matches!(collected(&[b"12345"], 5), Message::Complete { .. }));
        let mut message = ChunkedMessage::new(5);
        message.push(b"123");
        message.announce(u64::MAX);
        assert!(message.is_too_big());
        assert_eq!(message.octets.capacity(), 0);
    }

    proptest! {
        /// Both ways into the program see the same bare CR and LF.
        #[test]
        fn bare_line_ends_are_those_that_data_would_find(
            pieces in proptest::collection::vec(prop::sample::select(vec!["\r", "\n", "\r\n", "a"]), 0..20),
            size in 1usize..5,
        ) {
            let mut text = pieces.concat().into_bytes();
            text.extend_from_slice(b"x\r\n");
            let mut decoder = DataDecoder::new(1_000);
            decoder.feed(&text);
            decoder.feed(b".\r\n");
            prop_assert_eq!(collected(&text.chunks(size).collect::<Vec<_>>(), 1_000), decoder.finish());
        }
    }
}
