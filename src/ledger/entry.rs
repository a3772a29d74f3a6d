//! An entry of the list: what the store keeps, and what the history says of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::AuditOrigin;
use crate::address::domain_of;
use crate::policy::{Reason, Standing};

/// An address as it is stored (in clear or hashed), and a stream.
pub type EntryKey = (String, i64);

/// An entry. Serialised, it is what the history keeps. Times are whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The address as last written.
    pub address: String,
    /// The stream, 0 for every one.
    pub stream: i64,
    /// Why.
    pub reason: Reason,
    /// Precisely why, for entries made by bounces.
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
    /// Until when; `None`: without an end.
    pub expires_at: Option<Timestamp>,
    /// A recovered host may release it.
    pub recheckable: bool,
    /// Length of the last soft term in days.
    pub soft_term_days: u32,
    /// What made it.
    pub origin: AuditOrigin,
    /// The event behind it.
    pub event: Option<i64>,
    /// The stored form of the address.
    #[serde(skip)]
    pub address_key: String,
    /// When it was made or last changed.
    #[serde(skip)]
    pub changed_at: Timestamp,
    /// It has expired, and the history says so.
    #[serde(skip)]
    pub ended: bool,
}

impl Entry {
    /// Where it stands.
    #[must_use]
    pub fn key(&self) -> EntryKey {
        (self.address_key.clone(), self.stream)
    }

    /// The domain of its address; empty where it has none.
    #[must_use]
    pub fn domain(&self) -> &str {
        domain_of(&self.address_key).unwrap_or_default()
    }

    /// What policy weighs.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        Standing {
            reason: self.reason,
            expires_at: self.expires_at,
            recheckable: self.recheckable,
            soft_term_days: self.soft_term_days,
        }
    }

    /// Whether its term is over.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        !self.standing().active(now)
    }

    /// What the history keeps of it: a JSON object.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A time as it is stored: whole seconds.
#[must_use]
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
