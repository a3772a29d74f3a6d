//! What goes into a store and what comes out.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::{Addresses, Alarm, AuditOrigin, Filter, Replayed};
use crate::classify::Classification;
use crate::policy::{Breaker, Policy, Reason};
use crate::returnpath::Trust;

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

/// A message on its way into the store.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// SHA-256 of the message without its trace header fields; the same message is recorded once.
    pub digest: [u8; 32],
    /// When it was taken.
    pub received_at: Timestamp,
    /// Who brings it in later than that; `None` where it just came.
    pub replayed: Option<Replayed>,
    /// Address and port of the client.
    pub peer: String,
    /// Its EHLO name.
    pub helo: String,
    /// The protocol in the words of RFC 3848: `ESMTPS`; `None` where it came by none.
    pub protocol: Option<&'static str>,
    /// Version and cipher suite; `None` in the clear.
    pub tls: Option<String>,
    /// MAIL FROM, empty for `<>`.
    pub reverse_path: String,
    /// RCPT TO, each.
    pub recipients: Vec<String>,
    /// ORCPT of each, where it had one.
    pub original_recipients: Vec<Option<String>>,
    /// ENVID of the bounce itself.
    pub envelope_id: Option<String>,
    /// What it is: `dsn`, `feedback`, …
    pub kind: &'static str,
    /// Message-ID.
    pub message_id: Option<String>,
    /// From.
    pub sender: Option<String>,
    /// Subject.
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
    pub size: u64,
    /// Something in it is neither proven nor applied, or nothing is in it: anybody may have sent it.
    pub unproven: bool,
    /// The message, zstd-compressed.
    pub raw: Vec<u8>,
    /// One a recipient.
    pub events: Vec<NewEvent>,
}

impl NewMessage {
    /// Octets that it takes in the store, about.
    #[must_use]
    pub fn octets(&self) -> u64 {
        /// What a row has besides its texts, with its places in the indexes: that of a message, and that of an event.
        const ROW: usize = 512;
        const EVENT_ROW: usize = 768;
        /// An event stands in the outbox as well.
        const COPIES: usize = 2;
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let texts = [
            &self.envelope_id,
            &self.message_id,
            &self.sender,
            &self.subject,
            &self.reporting_mta,
            &self.original_envelope_id,
            &self.original_message_id,
            &self.original_from,
            &self.original_subject,
        ];
        let lists = [&self.recipients, &self.original_to, &self.defects];
        let mut octets = ROW + self.raw.len() + texts.into_iter().map(length).sum::<usize>();
        octets += lists.into_iter().flatten().map(String::len).sum::<usize>();
        octets += self.original_recipients.iter().map(length).sum::<usize>();
        for event in &self.events {
            let texts = [
                &event.original_recipient,
                &event.final_recipient,
                &event.status,
                &event.diagnostic_type,
                &event.diagnostic_code,
                &event.remote_mta,
            ];
            let own = event.recipient.len() + event.classification.evidence.len();
            octets += COPIES * (EVENT_ROW + own + texts.into_iter().map(length).sum::<usize>());
        }
        octets as u64
    }
}

/// What a report says about one recipient, on its way into the store.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The group in the report that it is read from: content and place, unique over all time. An event is kept
    /// under this and its recipient ([`NewEvent::attributed_key`]), one that changes the list under a key made of
    /// that ([`NewEvent::applied_key`]), so that one report changes nobody twice, in whatever order and to whichever
    /// addresses it comes.
    pub key: [u8; 32],
    /// How far the report is believed.
    pub trust: Trust,
    /// It waits for somebody to approve it, since nothing proves it and it could change something.
    pub quarantined: bool,
    /// Whether its decision is applied to the list.
    pub applies: bool,
    /// The sending stream.
    pub stream: i64,
    /// The address the sender used.
    pub recipient: String,
    /// Its comparison form.
    pub recipient_key: String,
    /// Original-Recipient.
    pub original_recipient: Option<String>,
    /// Final-Recipient.
    pub final_recipient: Option<String>,
    /// Action.
    pub action: Option<&'static str>,
    /// Status as reported.
    pub status: Option<String>,
    /// Type of the Diagnostic-Code.
    pub diagnostic_type: Option<String>,
    /// Diagnostic-Code.
    pub diagnostic_code: Option<String>,
    /// Remote-MTA.
    pub remote_mta: Option<String>,
    /// Last-Attempt-Date.
    pub last_attempt_date: Option<Timestamp>,
    /// Our conclusion.
    pub classification: Classification,
}

impl NewEvent {
    /// The key of what a group says about a recipient, given in its comparison form.
    #[must_use]
    pub fn attributed_key(group: &[u8; 32], recipient_key: &str) -> [u8; 32] {
        Sha256::new().chain_update(group).chain_update(recipient_key).finalize().into()
    }

    /// The key under which the same changes the list, whether or not it waits under the other in vain.
    #[must_use]
    pub fn applied_key(attributed: &[u8; 32]) -> [u8; 32] {
        Sha256::new().chain_update(attributed).chain_update(b"\0applied").finalize().into()
    }

    /// The key under which it is recorded once more, from another message with this digest: it changes nothing.
    #[must_use]
    pub fn repeated_key(attributed: &[u8; 32], digest: &[u8; 32]) -> [u8; 32] {
        Sha256::new()
            .chain_update(attributed)
            .chain_update(b"\0repeated")
            .chain_update(digest)
            .finalize()
            .into()
    }
}

/// What became of a message in [`super::Store::record`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The message's number.
    pub id: i64,
    /// It had been there; nothing was changed.
    pub duplicate: bool,
    /// What each event did, in the order of the events; empty for a duplicate. `None` for one that was known from
    /// another delivery of the same report.
    pub changes: Vec<EventChange>,
    /// Holds that were opened, and those that grew long.
    pub alarms: Vec<Alarm>,
}

/// What an event did to the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventChange {
    /// Its address is suppressed now, by this event.
    Suppressed,
    /// The day was counted.
    Counted,
    /// The address was suppressed already.
    Seen,
    /// Counters were cleared.
    Cleared,
    /// Unproven: recorded only.
    Quarantined,
    /// It would have suppressed, and waits for a person, since far more than usual do so.
    Held,
    /// A person decided that it shall change nothing.
    Discarded,
    /// Nothing.
    None,
}

impl EventChange {
    /// The word used in output and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suppressed => "suppressed",
            Self::Counted => "counted",
            Self::Seen => "seen",
            Self::Cleared => "cleared",
            Self::Quarantined => "quarantined",
            Self::Held => "held",
            Self::Discarded => "discarded",
            Self::None => "none",
        }
    }
}

/// An entry made by a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualEntry {
    /// The address as written.
    pub address: String,
    /// Its comparison form.
    pub address_key: String,
    /// The stream, [`super::ANY_STREAM`] for every one.
    pub stream: i64,
    /// What it comes from.
    pub origin: AuditOrigin,
    /// Who makes it.
    pub actor: Option<String>,
    /// When.
    pub now: Timestamp,
    /// Until when; `None` for ever.
    pub expires_at: Option<Timestamp>,
    /// Why, in the person's words.
    pub note: Option<String>,
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
