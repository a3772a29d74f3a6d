//! Where bounces and the suppression list are kept.
//!
//! [`Store`] is the contract every engine keeps; `contract.rs` holds the tests that say so, and
//! [`sqlite::SqliteStore`] is the first engine. Addresses go in and are asked for in comparison form; whether they are
//! kept in clear or hashed is behind the contract ([`Addresses`]).

mod addresses;
mod answer;
mod audit;
mod backup;
mod deliveries;
mod entries;
mod erasure;
mod filter;
mod holds;
mod known;
mod lists;
mod outbox;
mod page;
mod quarantine;
mod reclassify;
mod retention;
mod settling;
pub mod sqlite;
mod statistics;
mod streams;
mod tokens;
mod types;
mod vitals;
pub mod whose;

#[cfg(test)]
pub(crate) mod contract;

use std::future::Future;
use std::path::PathBuf;

use jiff::Timestamp;

pub use addresses::{Addresses, HASH_KEY_OCTETS, HashKey, HashKeyError, is_hashed};
pub use answer::{Checked, Counted, check, reply};
pub use audit::{AuditRow, Story, StoryPlace, ToldEvent};
pub use backup::Backup;
pub use deliveries::{
    Again, DeadLetter, Deliveries, Head, PassedBy, Progress, Waiting, WebhookStanding, WebhookState,
};
pub use entries::{Condition, CountedDay, Edited, Entries, Put, PutDone, Standing, Versions, version};
pub use erasure::{AddressesStand, Erase, Erased, Erasure, Touched};
pub use filter::Filter;
pub use holds::{
    HeldEvent, Hold, HoldFilter, HoldSettled, HoldSettling, HoldVerdict, open_holds, settle_whole_hold,
};
pub use known::Known;
pub use lists::{ListMark, ListPart, Lists, PartImported, Snapshot};
pub use outbox::{EventType, Outbox, OutboxBounds, OutboxEvent, OutboxFilter};
pub use page::{LISTED_RECIPIENTS, PAGE_OCTETS, Page, SHOWN_RECIPIENTS};
pub use quarantine::{Outcome, QuarantineFilter, Quarantined, Settling, Verdict};
pub use reclassify::{NewConclusion, Reclassify, Reclassifying, StoredEvent};
pub use retention::{Dropped, OldCounters, OldEvents, Place, Retention};
pub use settling::{ChosenEvent, SettlingQueue, TooManyEvents};
pub use statistics::{Changes, Decisions, Dimension, Statistics, StatisticsFilter, StatisticsRow};
pub use streams::{HIGHEST_STREAM, Streams};
pub use tokens::{NewToken, Probe, Token, TokenScope, Tokens};
pub use types::{Bounce, BounceEvent, BounceFilter, Pressure, Settings, Suppression, SuppressionFilter};
pub use vitals::{ChangeCount, Vital, Vitals};

pub use crate::ledger::{
    ANY_STREAM, Alarm, AuditOrigin, Entry, EventChange, Idle, Imported, ManualEntry, NewEvent, NewMessage,
    Reclassified, ReclassifiedEntry, ReclassifiedEvent, Recorded, Removal, Replayed,
};

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
    /// Addresses in the file were hashed with another key than the one that is configured.
    #[error(
        "addresses in {0} were hashed with another key: none of them would be found; give \
         store.hash_key_file the file with the key that was used"
    )]
    OtherHashKey(PathBuf),
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

    /// The entries that suppress an address (in comparison form) at `now`, the weightiest first: those for every
    /// stream and those of `stream`; with `None`, those of any.
    fn standing(
        &self,
        address_key: &str,
        stream: Option<i64>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Suppression>, StoreError>> + Send;

    /// The weightiest of [`Self::standing`].
    fn suppression(
        &self,
        address_key: &str,
        stream: Option<i64>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Option<Suppression>, StoreError>> + Send {
        async move { Ok(self.standing(address_key, stream, now).await?.into_iter().next()) }
    }

    /// What is known about an address (in comparison form): its entries, and the newest changes and reports before a
    /// place, at most `limit` and [`PAGE_OCTETS`] of each.
    fn story(
        &self,
        address_key: &str,
        place: StoryPlace,
        limit: u32,
    ) -> impl Future<Output = Result<Story, StoreError>> + Send;

    /// A page of entries in the order of their addresses, then of their streams.
    fn suppressions(
        &self,
        filter: &SuppressionFilter,
    ) -> impl Future<Output = Result<Page<Suppression>, StoreError>> + Send;

    /// How many entries [`Self::suppressions`] would list, page after page, from the filter's place on.
    fn count(&self, filter: &SuppressionFilter) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Puts an address on the list by hand, in place of what is there.
    fn add(&self, entry: ManualEntry) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes an address off the list and forgets what was counted against it. Says whether it stood there:
    /// expired entries are kept.
    fn remove(&self, removal: Removal) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Takes every entry of a filter off the list, a page in a transaction, and forgets what was counted against their
    /// addresses. Returns how many; where the filter's page begins and ends does not matter. Whoever asks may begin again
    /// after a crash.
    fn undo(
        &self,
        filter: SuppressionFilter,
        now: Timestamp,
        actor: Option<String>,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Notes that at most `limit` entries have run out by `now`; returns how many.
    fn expire(&self, now: Timestamp, limit: u32) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// A page of messages, the newest first, each with at most [`LISTED_RECIPIENTS`] of its events. It ends before
    /// `limit` messages where it has [`PAGE_OCTETS`].
    fn bounces(&self, filter: &BounceFilter)
    -> impl Future<Output = Result<Page<Bounce>, StoreError>> + Send;

    /// How many messages [`Self::bounces`] would list, page after page; it stops counting at `most`.
    fn count_bounces(
        &self,
        filter: &BounceFilter,
        most: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// One message with its events after the one with the number `after`: at most [`SHOWN_RECIPIENTS`], and
    /// [`PAGE_OCTETS`] in all. [`Bounce::next_recipient`] says where the next ones begin.
    fn bounce_after(
        &self,
        id: i64,
        after: i64,
    ) -> impl Future<Output = Result<Option<Bounce>, StoreError>> + Send;

    /// One message with the first of its events: [`Self::bounce_after`].
    fn bounce(&self, id: i64) -> impl Future<Output = Result<Option<Bounce>, StoreError>> + Send {
        self.bounce_after(id, 0)
    }

    /// The raw bytes of a message: `None` when there is no such message or its bytes were pruned.
    fn raw(&self, id: i64) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;

    /// A page of unproven events, the oldest first.
    fn quarantined(
        &self,
        filter: &QuarantineFilter,
    ) -> impl Future<Output = Result<Page<Quarantined>, StoreError>> + Send;

    /// How many events [`Self::quarantined`] would list, page after page; it stops counting at `most`.
    fn count_quarantined(
        &self,
        filter: &QuarantineFilter,
        most: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Approves or discards events that wait, in their order and in one transaction; what became of each. An
    /// approved event does what it would have done when it was received: existing entries are never shortened, and a
    /// recipient whom another delivery of the same report has changed is left alone (contract 2).
    fn settle(&self, settling: Settling) -> impl Future<Output = Result<Vec<Outcome>, StoreError>> + Send;

    /// Drops the raw bytes of the oldest messages that nothing proves, at most `limit` of them, while there are more
    /// than `keep` octets of these; returns how many messages. None is the end.
    fn prune_unproven(&self, keep: u64, limit: u32) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Drops the raw bytes of at most `limit` messages recorded before `before`, fewer where they are large; returns how
    /// many. None is the end.
    fn prune_raw(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// A page of holds, the newest first.
    fn holds(&self, filter: &HoldFilter) -> impl Future<Output = Result<Page<Hold>, StoreError>> + Send;

    /// How many holds [`Self::holds`] would list, page after page; it stops counting at `most`.
    fn count_holds(
        &self,
        filter: &HoldFilter,
        most: u32,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// One hold.
    fn hold(&self, id: i64) -> impl Future<Output = Result<Option<Hold>, StoreError>> + Send;

    /// What a hold has held, the oldest first: a page of events with numbers above `after`.
    fn held(
        &self,
        id: i64,
        after: i64,
        limit: u32,
    ) -> impl Future<Output = Result<Page<HeldEvent>, StoreError>> + Send;

    /// Settles at most so many events of an open hold, the oldest first, each as of the time it was received; with
    /// the last of them the hold is closed. Whoever asks goes on until it is, and may begin again after a crash.
    /// `None`: there is no such hold, or it is settled. A dry run does it and takes it back.
    fn settle_hold(
        &self,
        settling: HoldSettling,
    ) -> impl Future<Output = Result<Option<HoldSettled>, StoreError>> + Send;

    /// Drops counts of suppressions that are too old to say what is usual, at most `limit`; returns how many.
    fn prune_rates(&self, now: Timestamp, limit: u32)
    -> impl Future<Output = Result<u64, StoreError>> + Send;
}
