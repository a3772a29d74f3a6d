//! What a store tells about itself to those who watch it.

use std::future::Future;

use jiff::Timestamp;

use super::StoreError;

/// What waits for a person, and how large the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vital {
    /// Events that wait in the quarantine.
    pub quarantined: u64,
    /// Open holds.
    pub holds: u64,
    /// Events that wait in them.
    pub held: u64,
    /// Octets of raw messages that nothing proves.
    pub unproven_raw: u64,
    /// Octets of pages in the database that hold nothing.
    pub unused_bytes: u64,
    /// Size of the database in octets.
    pub database_bytes: u64,
    /// Size of what is committed and not folded into it yet.
    pub log_bytes: u64,
}

/// So many changes of the list that were of one sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeCount {
    /// What they came from: an [`super::AuditOrigin`].
    pub origin: String,
    /// `added`, `changed`, `removed` or `expired`.
    pub action: String,
    /// Why the address is on the list, where it was added.
    pub reason: Option<String>,
    /// How many.
    pub count: u64,
}

/// What can be watched. All of it is read; nothing waits for the writer.
pub trait Vitals {
    /// What takes no more time than it takes to count what waits.
    fn vitals(&self) -> impl Future<Output = Result<Vital, StoreError>> + Send;

    /// How many entries suppress at `now`, by reason. Looks at every entry.
    fn entries_by_reason(
        &self,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<(String, u64)>, StoreError>> + Send;

    /// The number of the last change of the list; 0 where there was none.
    fn last_change(&self) -> impl Future<Output = Result<i64, StoreError>> + Send;

    /// What the changes after a number were, at most `limit` of them, and the number of the last of these; `None`
    /// where there were none. Any program may have made them.
    fn changes_after(
        &self,
        after: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Option<(i64, Vec<ChangeCount>)>, StoreError>> + Send;
}
