//! Forgetting a person: what is asked, and what was removed.

use std::future::Future;

use jiff::Timestamp;
use serde::Serialize;

use super::StoreError;

/// A person to be forgotten.
#[derive(Debug, Clone)]
pub struct Erasure {
    /// The address, as written.
    pub address: String,
    /// Who asks for it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Say what would be removed, and change nothing.
    pub dry_run: bool,
}

/// Rows of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Touched {
    /// Rows that are gone.
    pub removed: u64,
    /// Rows that stay for others, or as numbers, and name the person no more.
    pub rewritten: u64,
}

impl Touched {
    /// Whether there was nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.removed == 0 && self.rewritten == 0
    }

    pub(super) const fn add(&mut self, more: Self) {
        self.removed += more.removed;
        self.rewritten += more.rewritten;
    }
}

/// What was removed of a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Erased {
    /// Reports about the person.
    pub events: Touched,
    /// Messages: a row stays, so that the same message does not come in anew.
    pub messages: Touched,
    /// Raw messages that named the person.
    pub raw: Touched,
    /// Entries of the list; rewritten: kept under a keyed hash, or entries of others that quoted the address.
    pub suppressions: Touched,
    /// Days that were counted against the address.
    pub counters: Touched,
    /// The history of the list.
    pub audit: Touched,
    /// Events that others were or would be told.
    pub outbox: Touched,
    /// Whether the address is still suppressed, under its keyed hash.
    pub still_suppressed: bool,
}

impl Erased {
    /// Every table with what was removed of it.
    #[must_use]
    pub const fn tables(&self) -> [(&'static str, Touched); 7] {
        [
            ("suppressions", self.suppressions),
            ("events", self.events),
            ("messages", self.messages),
            ("raw messages", self.raw),
            ("counters", self.counters),
            ("audit", self.audit),
            ("outbox", self.outbox),
        ]
    }

    /// Whether nothing was there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables().iter().all(|(_, touched)| touched.is_empty())
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.events.add(more.events);
        self.messages.add(more.messages);
        self.raw.add(more.raw);
        self.suppressions.add(more.suppressions);
        self.counters.add(more.counters);
        self.audit.add(more.audit);
        self.outbox.add(more.outbox);
        self.still_suppressed |= more.still_suppressed;
    }
}

/// How addresses stand in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressesStand {
    /// Some in clear.
    pub clear: bool,
    /// Some hashed.
    pub hashed: bool,
}

/// A store that can forget.
pub trait Erase: Send + Sync {
    /// Removes everything that names a person, in transactions of bounded size: reports, raw messages, what is counted
    /// and what was noted. Other persons in the same messages stay. With a hash key, an entry that suppresses the address goes
    /// on doing so under its keyed hash; without one it goes, too. A row of the history says that an address was
    /// erased, and not which.
    ///
    /// May be broken off and asked for again. `progress` is told how many rows of how many have been looked at.
    fn erase(
        &self,
        erasure: &Erasure,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> impl Future<Output = Result<Erased, StoreError>> + Send;

    /// Hashes every address that was recorded in clear, in transactions of bounded size, and drops what cannot be kept
    /// then: raw messages, subjects, and whom they were from and to. Returns how many rows were looked at. May be broken
    /// off and asked for again; what is hashed already stays as it is.
    ///
    /// # Errors
    /// Also where addresses are not to be hashed ([`super::Addresses::all_hashed`]).
    fn hash_everything(
        &self,
        progress: &(dyn Fn(u64, u64) + Sync),
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Whether addresses stand in clear, and whether any stand hashed.
    fn addresses_stand(&self) -> impl Future<Output = Result<AddressesStand, StoreError>> + Send;

    /// Puts what lies in the engine's log into its place and empties the log, so that nothing of what was removed
    /// stands there any more. False when other programs were reading all the time: then it happens later.
    fn fold_log(&self) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Writes the whole file anew, without the pages that are not used. Writers wait meanwhile.
    fn rewrite(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}
