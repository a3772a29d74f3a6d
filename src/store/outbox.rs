//! What happened, for those who want to be told: events that are written in the transaction of what they tell of.

use std::future::Future;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;
use tokio::sync::watch;

use super::{Filter, Page, StoreError};

/// What an event tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventType {
    /// A report says that a message to a recipient was not delivered.
    BounceRecorded,
    /// A recipient complained.
    ComplaintRecorded,
    /// An address is on the list that was not on it.
    SuppressionAdded,
    /// An entry was taken off the list, or its time is over.
    SuppressionRemoved,
    /// Suppressions wait for a person, because far more than usual came at once.
    HoldOpened,
}

impl EventType {
    /// Every one.
    pub const ALL: [Self; 5] = [
        Self::BounceRecorded,
        Self::ComplaintRecorded,
        Self::SuppressionAdded,
        Self::SuppressionRemoved,
        Self::HoldOpened,
    ];

    /// The word used in output, in the configuration and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BounceRecorded => "bounce.recorded",
            Self::ComplaintRecorded => "complaint.recorded",
            Self::SuppressionAdded => "suppression.added",
            Self::SuppressionRemoved => "suppression.removed",
            Self::HoldOpened => "hold.opened",
        }
    }

    /// The type with this word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An event, as it is handed to whoever wants to be told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutboxEvent {
    /// Its number; later events have higher ones.
    pub id: i64,
    /// What it tells of.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// When it was written.
    pub timestamp: Timestamp,
    /// The address it is about, in comparison form; empty for none.
    #[serde(skip)]
    pub address_key: String,
    /// The stream it is about, 0 for every one.
    #[serde(skip)]
    pub stream: i64,
    /// What happened: an object.
    pub data: Value,
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct OutboxFilter {
    /// Only those after this one.
    pub after: i64,
    /// Only those up to this one.
    pub through: Option<i64>,
    /// What they have in common, and when they were written. Events about the list have the origin of the change.
    pub common: Filter,
    /// Only these types; empty for all.
    pub types: Vec<EventType>,
    /// At most so many.
    pub limit: u32,
    /// Where there are more: the last ones, not the first.
    pub latest: bool,
}

/// Which numbers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxBounds {
    /// Events up to this one may have been dropped, since their time was over.
    pub pruned_through: i64,
    /// The last that was written.
    pub newest: i64,
}

/// Events in the order in which they were committed.
pub trait Outbox: Send + Sync + 'static {
    /// The number of the newest event that this process knows of. It changes with every commit here that wrote one;
    /// other processes ring no bell.
    fn newest(&self) -> watch::Receiver<i64>;

    /// Which numbers there are.
    fn outbox_bounds(&self) -> impl Future<Output = Result<OutboxBounds, StoreError>> + Send;

    /// A page of events, the oldest first.
    fn outbox(
        &self,
        filter: &OutboxFilter,
    ) -> impl Future<Output = Result<Page<OutboxEvent>, StoreError>> + Send;

    /// One event; `None` where there is none of this number any more.
    fn outbox_event(&self, id: i64) -> impl Future<Output = Result<Option<OutboxEvent>, StoreError>> + Send;

    /// Drops events written before a time, the oldest first, at most so many; returns how many. What one of these
    /// webhooks has still to get stays.
    fn prune_outbox(
        &self,
        before: Timestamp,
        webhooks: Vec<String>,
        limit: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
