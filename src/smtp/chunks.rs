//! A message that comes in chunks by BDAT (RFC 3030 §2): octets that are counted and never decoded.
//!
//! Nothing in a chunk ends it but its count, so no dot and no line end has a meaning here.

use super::data::{Body, Dropped, Message};
use super::limits::memory::Reservation;

/// Collects the chunks of one message, within `2 * max_size` octets of memory.
#[derive(Debug)]
pub struct ChunkedMessage {
    body: Body,
    /// The last octet was a CR; its LF may stand in the next chunk.
    after_cr: bool,
    bare_newlines: bool,
}

impl ChunkedMessage {
    /// An empty message of at most `max_size` octets.
    #[must_use]
    pub fn new(max_size: usize) -> Self {
        Self::within(max_size, Reservation::default())
    }

    /// The same, with memory asked for before the message grows. What `reservation` cannot hold is read and
    /// dropped: [`Message::NoRoom`].
    #[must_use]
    pub const fn within(max_size: usize, reservation: Reservation) -> Self {
        Self { body: Body::new(max_size, reservation), after_cr: false, bare_newlines: false }
    }

    /// A chunk of `size` octets comes next: what cannot fit is not collected at all.
    pub fn announce(&mut self, size: u64) {
        self.body.announce(size);
    }

    /// Takes octets of a chunk, as many at a time as there are.
    pub fn push(&mut self, octets: &[u8]) {
        self.body.push(octets);
        if self.body.dropped().is_some() {
            return;
        }
        for &octet in octets {
            // RFC 5321 §2.3.8: a CR without its LF, an LF without its CR
            self.bare_newlines |= (octet == b'\n') != self.after_cr;
            self.after_cr = octet == b'\r';
        }
    }

    /// Why nothing of it is kept, where that is so.
    pub(super) const fn dropped(&self) -> Option<Dropped> {
        self.body.dropped()
    }

    /// The message, after its last chunk.
    #[must_use]
    pub fn finish(self) -> Message {
        self.finish_with().0
    }

    /// The message, and what it holds of the memory: to be kept as long as the message is.
    #[must_use]
    pub fn finish_with(self) -> (Message, Reservation) {
        self.body.finish(self.bare_newlines || self.after_cr)
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
        assert_eq!(message.dropped(), Some(Dropped::TooBig));
        message.push(b"45");
        assert_eq!(message.finish(), Message::TooBig, "and stays so");
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
