//! Lists that come in and go out as a whole: entries by the thousand.

use jiff::Timestamp;

use super::{Imported, StoreError, SuppressionFilter};
use crate::ledger::Entry;

/// A part of a list on its way in.
#[derive(Debug, Clone)]
pub struct ListPart {
    /// Its entries, all of which suppress at [`Self::at`].
    pub entries: Vec<Entry>,
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
    fn next(&mut self, limit: u32) -> impl Future<Output = Result<Vec<Entry>, StoreError>> + Send;
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
