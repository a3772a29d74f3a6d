//! Lists that come in and go out as a whole: entries by the thousand.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{StoreError, SuppressionFilter};
use crate::policy::Reason;

/// An entry as lists carry it from one store to another: what it says, and nothing of how it came here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// The address as written.
    pub address: String,
    /// Its comparison form.
    pub address_key: String,
    /// The stream, [`super::ANY_STREAM`] for every one.
    pub stream: i64,
    /// Why.
    pub reason: Reason,
    /// Precisely why.
    pub class: Option<String>,
    /// The enhanced status code that decided.
    pub status: Option<String>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The host that said so.
    pub remote_mta: Option<String>,
    /// The text that decided.
    pub evidence: Option<String>,
    /// A person's words.
    pub note: Option<String>,
    /// First event under this entry.
    pub first_seen: Timestamp,
    /// Last event.
    pub last_seen: Timestamp,
    /// How many events.
    pub count: i64,
    /// Until when; `None` for ever.
    pub expires_at: Option<Timestamp>,
    /// A recovered host may release it.
    pub recheckable: bool,
    /// How many days the last soft term was, 0 when there was none.
    pub soft_term_days: u32,
}

/// A part of a list on its way in.
#[derive(Debug, Clone)]
pub struct ListPart {
    /// Its entries, all of which suppress at [`Self::at`].
    pub entries: Vec<ListEntry>,
    /// Who brings it.
    pub actor: Option<String>,
    /// When, the same for every part of a list.
    pub at: Timestamp,
    /// What it is, for the history: `import of list.csv`.
    pub why: String,
    /// What the answer to the part before said; `None` for the first part.
    pub mark: Option<ListMark>,
}

/// Where the database stood when a list began, and after the last of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListMark {
    /// The last row of the history before the list began.
    pub history: i64,
    /// A number that changes when another process writes.
    pub version: i64,
}

/// What became of the entries of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportCounts)]
pub struct Imported {
    /// On the list now, where nothing stood.
    pub added: u64,
    /// Outweighed or outlasted what stood: that entry is stronger or longer now.
    pub changed: u64,
    /// Stand already, at least as strong and as long.
    pub known: u64,
    /// Came more than once in the list, for the same stream.
    pub duplicates: u64,
}

impl Imported {
    /// All of them.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.added + self.changed + self.known + self.duplicates
    }
}

impl std::ops::AddAssign for Imported {
    fn add_assign(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.known += other.known;
        self.duplicates += other.duplicates;
    }
}

/// The answer to a part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartImported {
    /// What became of it.
    pub imported: Imported,
    /// For the next part.
    pub mark: ListMark,
    /// Another process wrote to the database since the part before: it may be waiting for its turn.
    pub others_write: bool,
}

/// A list on its way out, in the order of its addresses and streams. Each page is as the list is when it is asked for: an
/// entry that stands all the time is in it once, one that comes or goes meanwhile may be.
pub trait Snapshot: Send {
    /// The next entries, `limit` at most; none at the end.
    fn next(&mut self, limit: u32) -> impl Future<Output = Result<Vec<ListEntry>, StoreError>> + Send;
}

/// Whole lists, in and out.
pub trait Lists: Send + Sync + 'static {
    /// A list on its way out.
    type Snapshot: Snapshot + 'static;

    /// Puts a part of a list on the list in one transaction. Nothing that stands is shortened or made weaker.
    fn import(&self, part: ListPart) -> impl Future<Output = Result<PartImported, StoreError>> + Send;

    /// What [`Self::import`] would do, without doing it. What came twice within the part is seen, what came in
    /// another part is not.
    fn weigh(&self, part: ListPart) -> impl Future<Output = Result<Imported, StoreError>> + Send;

    /// The entries that match a filter; where the filter's page begins and ends does not matter.
    fn export(
        &self,
        filter: SuppressionFilter,
    ) -> impl Future<Output = Result<Self::Snapshot, StoreError>> + Send;
}
