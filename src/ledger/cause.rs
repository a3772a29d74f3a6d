//! Who changes the list, and when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a change of the list came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
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

/// Who brings in a message that came at another time, and when: what it changes is written down as done now, and by
/// them, while days and terms count from when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Now.
    pub at: Timestamp,
    /// The person.
    pub actor: String,
}

/// Who let a change come about, and when.
#[derive(Debug, Clone)]
pub struct Cause {
    /// What it came from.
    pub origin: AuditOrigin,
    /// The person, where there is one.
    pub actor: Option<String>,
    /// When that person did it; `None`: at the time of the event.
    pub at: Option<Timestamp>,
    /// What is to be said besides, before what decided.
    pub why: Option<String>,
}

impl Cause {
    /// A bounce did it, when it came in or when a person brought it.
    #[must_use]
    pub fn bounce(replayed: Option<&Replayed>) -> Self {
        Self {
            origin: replayed.map_or(AuditOrigin::Bounce, |_| AuditOrigin::Replay),
            actor: replayed.map(|replayed| replayed.actor.clone()),
            at: replayed.map(|replayed| replayed.at),
            why: None,
        }
    }

    /// What the entry says that it came from: a bounce is one, whoever let it through.
    #[must_use]
    pub const fn origin_of_entry(&self) -> AuditOrigin {
        match self.origin {
            AuditOrigin::Replay => AuditOrigin::Replay,
            _ => AuditOrigin::Bounce,
        }
    }
}
