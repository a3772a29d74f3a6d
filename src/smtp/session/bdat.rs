//! BDAT: chunks, and what is read and dropped of them (RFC 3030 §2).
//!
//! Whatever is wrong with a transaction, the octets of a chunk are never looked at as commands: they are counted off
//! first and refused then. Where the count cannot be read, or is beyond all reason, the connection ends.

use super::{Outcome, Received, Session, ok, replies};
use crate::smtp::chunks::ChunkedMessage;
use crate::smtp::data::Dropped;
use crate::smtp::reply::Reply;

/// The longest chunk that is read, if only to be dropped: 1 GiB, the most that `smtp.max_message_size` can be.
const MAX_CHUNK: u64 = 1 << 30;

/// The chunk that is being read.
#[derive(Debug)]
pub(super) struct Chunk {
    size: u64,
    last: bool,
    /// It is dropped, and answered with this.
    refusal: Option<Outcome>,
}

impl Session {
    pub(super) fn bdat(&mut self, size: u64, last: bool) -> Outcome {
        if size > MAX_CHUNK {
            self.reset();
            return Outcome::Lost(replies::too_big());
        }
        let refusal = match &mut self.transaction {
            None => Some(self.no_transaction()),
            Some(transaction) if transaction.recipients.is_empty() => {
                let refused = transaction.refused;
                Some(self.no_recipients(refused))
            }
            Some(transaction) => {
                let (limits, max_size) = (&self.settings.limits, self.settings.max_message_size);
                let begin = || ChunkedMessage::within(max_size, self.client.body(limits, max_size));
                transaction.chunks.get_or_insert_with(begin).announce(size);
                None
            }
        };
        self.chunk = Some(Chunk { size, last, refusal });
        Outcome::Chunk(size)
    }

    /// Takes octets of the chunk that [`super::Next::Chunk`] announced, as many at a time as there are.
    pub fn octets(&mut self, octets: &[u8]) {
        let taken = self.chunk.as_ref().is_some_and(|chunk| chunk.refusal.is_none());
        let chunks = self.transaction.as_mut().and_then(|transaction| transaction.chunks.as_mut());
        if let Some(chunks) = chunks.filter(|_| taken) {
            chunks.push(octets);
        }
    }

    /// Ends the chunk, whose octets have all been read, and with the last one the transaction.
    ///
    /// # Panics
    /// When no [`super::Next::Chunk`] came before.
    #[must_use]
    pub fn chunk(&mut self) -> Received {
        let chunk = self.chunk.take().expect("a chunk ends only after BDAT announced it");
        if let Some(refusal) = chunk.refusal {
            return Received::Answered(self.step("BDAT", refusal)); // RFC 3030 §2: after its octets
        }
        let chunks = self.transaction.as_mut().and_then(|transaction| transaction.chunks.take());
        let chunks = chunks.expect("a chunk that is taken has a transaction");
        if chunk.last {
            let (message, reservation) = chunks.finish_with();
            return self.message(message, reservation);
        }
        let outcome = if let Some(why) = chunks.dropped() {
            // RFC 3030 §2: the transaction has failed; chunks that are on their way already get 503
            self.reset();
            self.mail_refused = true;
            ok(match why {
                Dropped::TooBig => replies::too_big(),
                Dropped::NoRoom => replies::no_room(),
            })
        } else {
            if let Some(transaction) = &mut self.transaction {
                transaction.chunks = Some(chunks);
            }
            ok(Reply::new(250, 0, 0, format!("{} octets received", chunk.size)))
        };
        Received::Answered(self.step("BDAT", outcome))
    }

    /// Whether chunks have come and the last one has not.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| transaction.chunks.is_some())
    }
}
