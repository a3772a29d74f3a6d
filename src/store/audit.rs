//! The history of the list: what was changed, by whom, and why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{BounceEvent, Suppression};

/// What a change of the list came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Origin)]
pub enum AuditOrigin {
    /// A bounce or a complaint, when it came in.
    Bounce,
    /// A bounce or a complaint that a person brought in from a file.
    Replay,
    /// A person, for one address.
    Cli,
    /// A program, with a token of the HTTP API.
    Api,
    /// A person, by importing a list.
    Import,
    /// Nobody: its time was over.
    Expiry,
    /// A person, who took entries back by what they have in common.
    Undo,
    /// A person, who approved an unproven report.
    Quarantine,
    /// A person, who released a hold.
    Hold,
    /// A person, who had stored events judged anew.
    Reclassify,
}

impl AuditOrigin {
    /// Every one.
    pub const ALL: [Self; 10] = [
        Self::Bounce,
        Self::Replay,
        Self::Quarantine,
        Self::Hold,
        Self::Reclassify,
        Self::Cli,
        Self::Api,
        Self::Import,
        Self::Expiry,
        Self::Undo,
    ];

    /// The origin that a word stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == name)
    }

    /// The word used in output and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bounce => "bounce",
            Self::Replay => "replay",
            Self::Cli => "cli",
            Self::Api => "api",
            Self::Import => "import",
            Self::Expiry => "expiry",
            Self::Undo => "undo",
            Self::Quarantine => "quarantine",
            Self::Hold => "hold",
            Self::Reclassify => "reclassify",
        }
    }
}

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

/// Who brings in a message that came at another time, and when: what it changes is written down as done now, and by
/// them, while days and terms count from when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Now.
    pub at: Timestamp,
    /// The person.
    pub actor: String,
}

/// Takes one address off the list.
#[derive(Debug, Clone)]
pub struct Removal {
    /// Its comparison form.
    pub address_key: String,
    /// Only from this stream; `None` for every entry that it has.
    pub stream: Option<i64>,
    /// When.
    pub now: Timestamp,
    /// What it comes from.
    pub origin: AuditOrigin,
    /// Who does it.
    pub actor: Option<String>,
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
