//! Where bounces and the suppression list are kept.
//!
//! [`Store`] is the contract every engine keeps; `contract.rs` holds the tests that say so, and
//! [`sqlite::SqliteStore`] is the first engine.

pub mod sqlite;
mod types;

#[cfg(test)]
mod contract;

use std::future::Future;
use std::path::PathBuf;

use jiff::Timestamp;

pub use types::{
    Bounce, BounceEvent, BounceFilter, EventChange, ManualEntry, NewEvent, NewMessage, Pressure, Recorded,
    Suppression, SuppressionFilter,
};

/// The stream of everything that names none; an entry in it suppresses in every stream.
pub const ANY_STREAM: i64 = 0;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Locked, full, read-only or failing: it may work later. Nothing was kept.
    #[error("the database cannot take this now: {0}")]
    Unavailable(String),
    /// There is no database.
    #[error("there is no database at {0}; `dsnd serve` creates it, and `store.path` says where it is")]
    Missing(PathBuf),
    /// The file was written by a newer program.
    #[error(
        "{path} was written by a newer dsnd (schema {found}, this program knows up to {known}); update dsnd"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The file was written by an older program and this command only reads.
    #[error(
        "{path} has schema {found}, this program needs {known}; start `dsnd serve` once to bring it up to date"
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The file is something else.
    #[error("{path} is no dsnd database: {cause}")]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What was seen.
        cause: String,
    },
    /// The file cannot be created or opened.
    #[error("cannot open the database {path}: {cause}")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: String,
    },
    /// A statement failed for a reason that waiting does not mend.
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    /// What is stored cannot be read back.
    #[error("database: {what}")]
    Corrupt {
        /// Which row and value.
        what: String,
    },
}

/// A store for bounces and the list. Methods may be called from many tasks at once; writers are put in one
/// line and committed in groups, readers never wait for them (contract 7).
pub trait Store: Send + Sync + 'static {
    /// Records a message with its events and applies them to the list, all in one transaction. Returns when
    /// that is committed and synced (contract 1). A message recorded before changes nothing (contract 2).
    fn record(&self, message: NewMessage) -> impl Future<Output = Result<Recorded, StoreError>> + Send;

    /// How busy the writers are.
    fn pressure(&self) -> Pressure;

    /// The entry that suppresses an address (in comparison form) at `now`, if one does.
    fn suppression(
        &self,
        address_key: &str,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Suppression>, StoreError>> + Send;

    /// Entries in the order of their addresses.
    fn suppressions(
        &self,
        filter: &SuppressionFilter,
    ) -> impl Future<Output = Result<Vec<Suppression>, StoreError>> + Send;

    /// Puts an address on the list by hand, in place of what is there.
    fn add(&self, entry: ManualEntry) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes an address off the list and forgets what was counted against it. Says whether it was there.
    fn remove(&self, address_key: &str) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Messages with their events, the newest first.
    fn bounces(&self, filter: &BounceFilter) -> impl Future<Output = Result<Vec<Bounce>, StoreError>> + Send;

    /// One message with its events.
    fn bounce(&self, id: i64) -> impl Future<Output = Result<Option<Bounce>, StoreError>> + Send;

    /// The raw bytes of a message: `None` when there is no such message or its bytes were pruned.
    fn raw(&self, id: i64) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// Drops the raw bytes of at most `limit` messages received before `before`; returns how many.
    fn prune_raw(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;
}
