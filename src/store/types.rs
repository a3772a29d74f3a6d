//! What goes into a store and what comes out.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Addresses, Filter};
use crate::policy::{Breaker, Policy, Reason};

/// What the operator set about what bounces do to the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Thresholds and terms.
    pub policy: Policy,
    /// When suppressions wait for a person.
    pub breaker: Breaker,
    /// How addresses are kept. It is settled when a store is opened; [`super::sqlite::SqliteStore::replace`] leaves it.
    pub addresses: Addresses,
}

/// How busy a store's writers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pressure {
    /// Writes that were asked for and are not committed yet.
    pub waiting: usize,
    /// How long the first write of the last commit waited for its end.
    pub commit_latency: Duration,
    /// How long the oldest of the writes that wait has waited.
    pub oldest: Duration,
}

/// An entry on the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Suppression {
    /// The address as last written.
    pub address: String,
    /// The comparison form.
    #[serde(skip)]
    pub address_key: String,
    /// The stream, 0 for every one.
    pub stream: i64,
    /// Its name in the configuration, where it has one there.
    pub stream_name: Option<String>,
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
    /// When it was made or last changed.
    pub changed_at: Timestamp,
    /// Until when; null: without an end.
    pub expires_at: Option<Timestamp>,
    /// A recovered host may release it.
    pub recheckable: bool,
    /// What made it: `bounce`, `replay`, `cli`, `api`, `import`.
    pub origin: String,
    /// The message behind it, for `dsnd bounces show`.
    pub bounce: Option<i64>,
    /// How far that message is believed.
    pub trust: Option<String>,
}

/// Which entries to list, to count or to take back.
#[derive(Debug, Clone, Default)]
pub struct SuppressionFilter {
    /// What they have in common.
    pub common: Filter,
    /// Entries that suppress at this moment; `None` lists those that have run out too.
    pub active_at: Option<Timestamp>,
    /// Only this reason.
    pub reason: Option<Reason>,
    /// Leaves out what may only be taken back when it is asked for by its reason: what persons put there, and
    /// complaints. Imported lists may be taken back by their origin.
    pub spared: bool,
    /// Only entries after this address (comparison form) and stream: the last of the page before.
    pub after: Option<(String, i64)>,
    /// At most so many.
    pub limit: u32,
}

impl SuppressionFilter {
    /// What it asks for, in words; when it asks for anything.
    #[must_use]
    pub fn in_words(&self) -> String {
        let reason = self.reason.map(|reason| format!("reason {}", reason.as_str()));
        self.common.words().chain(reason).collect::<Vec<_>>().join(", ")
    }
}

/// Which messages to list.
#[derive(Debug, Clone, Default)]
pub struct BounceFilter {
    /// Only those with an event about this address (comparison form).
    pub recipient_key: Option<String>,
    /// What they have in common: one event of a message has it all.
    pub common: Filter,
    /// Only this kind.
    pub kind: Option<String>,
    /// Only ids below this one: the last of the page before.
    pub before: Option<i64>,
    /// At most so many messages.
    pub limit: u32,
}

/// A recorded message with its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Bounce {
    /// The message's number.
    pub id: i64,
    /// When it was taken.
    pub received_at: Timestamp,
    /// How often the same message came.
    pub copies: i64,
    /// Address and port of the client.
    pub peer: String,
    /// Its EHLO name.
    pub helo: String,
    /// The protocol in the words of RFC 3848, such as `ESMTPS`; null where it came by none.
    pub protocol: Option<String>,
    /// TLS version and cipher suite; null in the clear.
    pub tls: Option<String>,
    /// MAIL FROM, empty for `<>`.
    pub reverse_path: String,
    /// RCPT TO.
    pub return_paths: Vec<String>,
    /// ORCPT of each (RFC 3461 §4.2), null where it had none.
    pub envelope_original_recipients: Vec<Option<String>>,
    /// ENVID of the bounce itself (RFC 3461 §4.4).
    pub envelope_id: Option<String>,
    /// What it is.
    pub kind: String,
    /// Message-ID of the report.
    pub message_id: Option<String>,
    /// From of the report.
    pub sender: Option<String>,
    /// Subject of the report.
    pub subject: Option<String>,
    /// Reporting-MTA.
    pub reporting_mta: Option<String>,
    /// Original-Envelope-Id.
    pub original_envelope_id: Option<String>,
    /// Arrival-Date.
    pub arrival_date: Option<Timestamp>,
    /// Message-ID of the returned message.
    pub original_message_id: Option<String>,
    /// From of the returned message.
    pub original_from: Option<String>,
    /// To and Cc of the returned message.
    pub original_to: Vec<String>,
    /// Subject of the returned message.
    pub original_subject: Option<String>,
    /// What could not be read.
    pub defects: Vec<String>,
    /// Octets as received.
    pub size: i64,
    /// Whether the raw message is still kept.
    pub raw_kept: bool,
    /// How many recipients the report has.
    pub recipient_count: i64,
    /// One a recipient. In a list these are the first 100 at most, and of one message the first 1,000.
    pub recipients: Vec<BounceEvent>,
    /// Where there are more recipients: the number of the last event that is shown. `after` with this number shows the
    /// next ones.
    pub next_recipient: Option<i64>,
}

/// A recorded event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct BounceEvent {
    /// The event's number.
    pub event: i64,
    /// The sending stream, 0 where the return path names none.
    pub stream: i64,
    /// Its name in the configuration, where it has one there.
    pub stream_name: Option<String>,
    /// How far the report is believed.
    pub trust: String,
    /// The address the sender used.
    pub recipient: String,
    /// Original-Recipient.
    pub original_recipient: Option<String>,
    /// Final-Recipient.
    pub final_recipient: Option<String>,
    /// Action.
    pub action: Option<String>,
    /// Status as reported.
    pub status: Option<String>,
    /// The code that decided.
    pub effective_status: Option<String>,
    /// The reply code.
    pub reply_code: Option<i64>,
    /// Type of the Diagnostic-Code.
    pub diagnostic_type: Option<String>,
    /// Diagnostic-Code.
    pub diagnostic_code: Option<String>,
    /// Remote-MTA.
    pub remote_mta: Option<String>,
    /// Last-Attempt-Date.
    pub last_attempt_date: Option<Timestamp>,
    /// hard, soft or none.
    pub bounce_type: String,
    /// Subject of the code.
    pub category: String,
    /// Our conclusion.
    pub class: String,
    /// What it does.
    pub decision: String,
    /// The rule that decided.
    pub rule: String,
    /// The field that decided.
    pub evidence_field: String,
    /// The text that decided.
    pub evidence: String,
    /// What else the text tells: a JSON object, or null.
    pub facts: Option<serde_json::Value>,
    /// What it did to the list.
    pub change: String,
    /// The hold that it waits or waited for.
    pub hold: Option<i64>,
    /// The message that brought the same before, in whose place this one changes nothing.
    pub repeats: Option<i64>,
    /// When a person settled what waited; null where it did not wait, or still does.
    pub settled_at: Option<Timestamp>,
    /// Who.
    pub settled_by: Option<String>,
}
