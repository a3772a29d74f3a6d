//! How what is old goes: in bounded numbers, so that whoever writes beside it never waits for long.

use std::future::Future;

use jiff::Timestamp;

use super::StoreError;

/// Which messages go with their events, and how many at once.
#[derive(Debug, Clone)]
pub struct OldEvents {
    /// Those that were recorded before this …
    pub before: Timestamp,
    /// … and those with events that still wait for a person only when they were recorded before this; `None`: they
    /// stay for as long as they wait.
    pub waiting_before: Option<Timestamp>,
    /// Where the batch before ended, from [`Dropped::next`].
    pub after: Option<Place>,
    /// So many messages are looked at.
    pub messages: u32,
    /// So many events go at most. A message with more of them goes in several batches.
    pub events: u32,
}

/// A place in the order in which messages were recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// When the message was recorded.
    pub recorded_at: Timestamp,
    /// Its number.
    pub id: i64,
}

/// What a batch of [`Retention::prune_events`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Messages that are gone.
    pub messages: u64,
    /// Events that are gone.
    pub events: u64,
    /// Where the next batch begins; `None`: this was the last one.
    pub next: Option<Place>,
}

/// What counters are too old to be asked for again. Days are UTC days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldCounters {
    /// Those of addresses before this day.
    pub addresses: i64,
    /// Those of domains and hosts before this day; `None` keeps them.
    pub hosts: Option<i64>,
}

/// Drops what is old. Every method is one bounded transaction; its caller goes on while there is more.
pub trait Retention: Send + Sync + 'static {
    /// Drops old messages with their events. A message stays while one of its events waits for a person, and while a
    /// later delivery of the same report that is still kept points to it: for as long the same report changes
    /// nothing again (contract 2). Entries of the list and the history keep what they say; their `bounce` is empty
    /// from then on.
    fn prune_events(&self, old: OldEvents) -> impl Future<Output = Result<Dropped, StoreError>> + Send;

    /// Drops at most `limit` holds that were settled before a time and have no events any more; returns how many.
    fn prune_holds(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Drops at most `limit` old counters; returns how many.
    fn prune_counters(
        &self,
        old: OldCounters,
        limit: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Drops at most `limit` rows of statistics of days before this one; returns how many.
    fn prune_statistics(
        &self,
        before_day: i64,
        limit: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
