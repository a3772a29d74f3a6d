//! The history of the list: what was changed, by whom, and why.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{BounceEvent, Suppression};

/// One change of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = SuppressionChange)]
pub struct AuditRow {
    /// When.
    pub at: Timestamp,
    /// The stream of the entry, 0 for every one.
    pub stream: i64,
    /// Its name in the configuration, where it has one there.
    pub stream_name: Option<String>,
    /// `added`, `changed`, `removed` or `expired`.
    pub action: String,
    /// What it came from: `bounce`, `replay`, `cli`, `api`, `import`, `expiry`, `undo`, `quarantine`, `hold`, `reclassify`.
    pub origin: String,
    /// The person, where there was one.
    pub actor: Option<String>,
    /// The entry before; null where none stood.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// The entry after; null where none stands.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
    /// Why, in words.
    pub why: Option<String>,
    /// The event behind it.
    pub event: Option<i64>,
    /// The message of that event, for `dsnd bounces show`.
    pub bounce: Option<i64>,
}

/// An event, with what is needed to find its message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AddressReport)]
pub struct ToldEvent {
    /// The message, for `dsnd bounces show`.
    pub bounce: i64,
    /// When it was taken.
    pub received_at: Timestamp,
    /// The event itself.
    #[serde(flatten)]
    pub event: BounceEvent,
}

/// Everything that is known about one address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Story {
    /// Its entries, by stream, also those whose time is over.
    pub entries: Vec<Suppression>,
    /// What was changed, in the order in which it was.
    pub changes: Vec<AuditRow>,
    /// Reports about it, in the order in which they came.
    pub events: Vec<ToldEvent>,
    /// Where older changes or reports than these begin; `None`: there are none.
    pub older: Option<StoryPlace>,
}

/// A place in the story of an address; by default its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoryPlace {
    /// Only changes with numbers below this.
    pub change: i64,
    /// Only reports before this time and event.
    pub report: (Timestamp, i64),
}

impl Default for StoryPlace {
    fn default() -> Self {
        Self { change: i64::MAX, report: (Timestamp::MAX, i64::MAX) }
    }
}

impl Story {
    /// Whether the address was never heard of.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.changes.is_empty() && self.events.is_empty()
    }
}
