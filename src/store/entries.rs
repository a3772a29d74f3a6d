//! Entries of single addresses, asked for and changed by programs that may not be alone in doing so.

use std::future::Future;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{ManualEntry, Removal, StoreError, Suppression, ToldEvent};
use crate::policy::Reason;

/// What somebody saw of an address before changing it (RFC 9110 §13.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// Go on only with one of these versions.
    pub matches: Option<Versions>,
    /// Go on only without any of these versions.
    pub none_matches: Option<Versions>,
}

/// Versions of the entries of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// Whatever it is, as long as there is one.
    Any,
    /// These.
    These(Vec<String>),
}

impl Versions {
    fn hold(&self, version: Option<&str>) -> bool {
        match (self, version) {
            (_, None) => false,
            (Self::Any, Some(_)) => true,
            (Self::These(known), Some(version)) => known.iter().any(|known| known == version),
        }
    }
}

impl Condition {
    /// Whether it holds for entries as they stand.
    #[must_use]
    pub fn holds(&self, entries: &[Suppression]) -> bool {
        let version = version(entries);
        let version = version.as_deref();
        self.matches.as_ref().is_none_or(|versions| versions.hold(version))
            && self.none_matches.as_ref().is_none_or(|versions| !versions.hold(version))
    }
}

/// What tells one state of entries from any other; `None` where there are none.
#[must_use]
pub fn version(entries: &[Suppression]) -> Option<String> {
    if entries.is_empty() {
        return None;
    }
    let mut digest = Sha256::new();
    for entry in entries {
        // What is shown of it, but for the stream's name, which the configuration gives.
        let plain = Suppression { stream_name: None, ..entry.clone() };
        digest.update(serde_json::to_vec(&plain).unwrap_or_default());
    }
    let digest: [u8; 32] = digest.finalize().into();
    Some(data_encoding::HEXLOWER.encode(&digest[..12]))
}

/// What came of a change under a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited<T> {
    /// It was made.
    Done(T),
    /// What stands is not what was seen; nothing was changed.
    Changed,
    /// What stands weighs more than what was to take its place; nothing was changed.
    Weightier(Box<Suppression>),
}

/// An entry by hand, under a condition.
#[derive(Debug, Clone)]
pub struct Put {
    /// The entry.
    pub entry: ManualEntry,
    /// The entries that the condition is about: those that hold in this stream; `None`: all.
    pub seen: Option<i64>,
    /// What was seen.
    pub condition: Condition,
    /// Also in place of what weighs more: a complaint, or what lasts longer.
    pub force: bool,
}

/// What a [`Put`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutDone {
    /// There was none in its stream before.
    pub created: bool,
    /// The entries that the condition was about, as they stand now.
    pub entries: Vec<Suppression>,
}

impl Suppression {
    /// Whether it would lose by a person's entry in its place that ends then.
    #[must_use]
    pub fn outweighs(&self, expires_at: Option<Timestamp>) -> bool {
        let shorter = expires_at.is_some_and(|new| self.expires_at.is_none_or(|old| old > new));
        self.reason == Reason::Complaint || shorter
    }
}

/// A day on which an address bounced softly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedDay {
    /// What it is counted under: a [`crate::policy::CounterKind`].
    pub kind: String,
    /// In which stream.
    pub stream: i64,
    /// The UTC day, counted from 1970-01-01.
    pub day: i64,
}

/// What is known of an address.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Standing {
    /// The entries that suppress it, the weightiest first.
    pub entries: Vec<Suppression>,
    /// What the report behind the weightiest says (Diagnostic-Code), where it is still there.
    pub reply: Option<String>,
    /// When that report came in.
    pub replied_at: Option<Timestamp>,
    /// The hold that a bounce of it waits in, the newest where there are several.
    pub hold: Option<i64>,
    /// How many unproven bounces of it wait.
    pub unproven: u64,
    /// The days that are counted, in every stream; those too that lie too far back to matter.
    pub counted: Vec<CountedDay>,
    /// The last believed report that mail to it failed, unless one that it was delivered came later.
    pub last_failure: Option<ToldEvent>,
}

/// Entries by their addresses.
pub trait Entries: Send + Sync + 'static {
    /// The entries that an address (in comparison form) has at `now`, by stream; with `stream`, those that hold in it: its own,
    /// and the one for every stream.
    fn entries_of(
        &self,
        address_key: &str,
        stream: Option<i64>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Suppression>, StoreError>> + Send;

    /// What is known of addresses (in comparison form), in the order of the question; with `stream`, what counts in it.
    fn standing_of(
        &self,
        address_keys: &[String],
        stream: Option<i64>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Standing>, StoreError>> + Send;

    /// Puts an address on the list by hand, if its condition holds then.
    fn put(&self, put: Put) -> impl Future<Output = Result<Edited<PutDone>, StoreError>> + Send;

    /// Takes an address off the list, if the condition holds then for what [`Self::entries_of`] says of the
    /// removal's stream. With a stream only its own entry goes. Says whether that stood there.
    fn take_off(
        &self,
        removal: Removal,
        condition: Condition,
    ) -> impl Future<Output = Result<Edited<bool>, StoreError>> + Send;
}
