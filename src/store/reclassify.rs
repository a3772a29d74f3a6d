//! Judging stored events anew: what they rest on comes out, what today's rules say goes in.

use std::future::Future;

use jiff::Timestamp;

use super::{BounceEvent, StoreError};
use crate::classify::Classification;
use crate::ledger::Reclassified;

/// A stored event with what its conclusion rests on.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// The event.
    pub event: BounceEvent,
    /// The key that it is recorded under.
    pub key: Vec<u8>,
    /// The key of its address, as it is stored.
    pub recipient_key: String,
    /// Its message.
    pub bounce: i64,
    /// The digest of that message.
    pub digest: Vec<u8>,
    /// When it was taken.
    pub received_at: Timestamp,
    /// What the message is.
    pub kind: String,
    /// MAIL FROM of the message, empty for `<>`.
    pub reverse_path: String,
    /// Who brought the message.
    pub peer: String,
    /// RCPT TO of the message.
    pub return_paths: Vec<String>,
    /// Reporting-MTA.
    pub reporting_mta: Option<String>,
    /// Whether the raw message is still kept.
    pub raw_kept: bool,
    /// Its decision is applied without a person's word.
    pub applies: bool,
}

/// What today's rules say of a stored event.
#[derive(Debug, Clone)]
pub struct NewConclusion {
    /// The event's number.
    pub event: i64,
    /// Its class and decision as they were read. Where they are others by now, nothing is done.
    pub was: (String, String),
    /// The conclusion.
    pub now: Classification,
}

/// Every event of one address with a new conclusion.
#[derive(Debug, Clone)]
pub struct Reclassifying {
    /// The key of the address, as it is stored with its events.
    pub recipient_key: String,
    /// The events, at least one.
    pub events: Vec<NewConclusion>,
}

/// Events that can be judged anew.
pub trait Reclassify: Send + Sync + 'static {
    /// Events with numbers above `after`, received at `since` or later, by their numbers; at most `limit`.
    fn stored_events(
        &self,
        after: i64,
        since: Option<Timestamp>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<StoredEvent>, StoreError>> + Send;

    /// How many events [`Self::stored_events`] gives in all.
    fn count_events(&self, since: Option<Timestamp>) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Gives events their new conclusions and makes the list what it would be with them, all in one transaction; what
    /// became of each address, in their order. What a person put on the list stays as it is, and what happened before
    /// a person last changed an address has no say. A suppression that an open hold would hold waits there. A dry run
    /// does it and takes it back.
    fn reclassify(
        &self,
        addresses: Vec<Reclassifying>,
        by: String,
        at: Timestamp,
        dry_run: bool,
    ) -> impl Future<Output = Result<Vec<Reclassified>, StoreError>> + Send;
}
