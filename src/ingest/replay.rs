//! Messages that a person brings in from files.

use std::time::Instant;

use jiff::Timestamp;

use super::{Ingest, IngestSettings, digest, message_digest};
use crate::smtp::Envelope;
use crate::store::{NewMessage, Replayed, Store, StoreError};

/// A message that was read and judged, on its way into the store.
#[derive(Debug)]
pub struct Prepared {
    pub(super) message: NewMessage,
    pub(super) started: Instant,
}

impl<S: Store> Ingest<S> {
    /// Reads and judges a message that came in at another time; thresholds and terms count from then. The history of
    /// the list names who brings it in, and says when they did.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub async fn prepare_replay(
        &self,
        envelope: Envelope,
        message: Vec<u8>,
        came_at: Timestamp,
        replayed: Replayed,
    ) -> Result<Prepared, StoreError> {
        let mut prepared = self.prepare(envelope, message, came_at).await?;
        prepared.message.replayed = Some(replayed);
        Ok(prepared)
    }
}

/// The digest that a message would be recorded under: it tells whether it was before, and costs far less than reading
/// it.
#[must_use]
pub fn recorded_digest(
    settings: &IngestSettings,
    envelope: &Envelope,
    message: &[u8],
    came_at: Timestamp,
) -> [u8; 32] {
    let to = || envelope.recipients.iter().map(|recipient| &recipient.forward_path);
    let paths: Vec<_> = to().map(|path| settings.return_paths.accepted(path)).collect();
    let unsigned_counts = settings.unsigned_trust.covers(envelope.peer.address.ip(), to());
    message_digest(&digest(message, came_at), &paths, unsigned_counts)
}
