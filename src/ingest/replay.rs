//! Messages that a person brings in from files.

use std::time::Instant;

use jiff::Timestamp;

use super::{Ingest, IngestSettings, digest, message_digest, prepare, verdict_of};
use crate::classify::Classifier;
use crate::policy::{Change, History, Policy};
use crate::smtp::Envelope;
use crate::store::{EventChange, NewEvent, NewMessage, Replayed, Store, StoreError};

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

/// What a message of `now` would do to a list on which nothing stands, one a recipient, if it were brought at `as_of`: what
/// stands and was counted, and holds, are the store's.
///
/// # Errors
/// [`StoreError`] when the message could not be compressed.
pub fn preview(
    classifier: &Classifier,
    settings: &IngestSettings,
    envelope: &Envelope,
    message: &[u8],
    policy: &Policy,
    (now, as_of): (Timestamp, Timestamp),
) -> Result<Vec<EventChange>, StoreError> {
    let would =
        |event: &NewEvent| match policy.apply(verdict_of(&event.classification), &History::default(), now) {
            _ if event.quarantined => EventChange::Quarantined,
            change if !event.applies || change.is_over(as_of) => EventChange::None,
            Change::Suppress(_) => EventChange::Suppressed,
            Change::Count(_) => EventChange::Counted,
            Change::None | Change::Seen(_) | Change::Clear { .. } => EventChange::None,
        };
    Ok(prepare(classifier, settings, envelope, message, now)?.events.iter().map(would).collect())
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
