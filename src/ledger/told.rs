//! What others are told: events of the outbox, frozen as they are when they are written.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{AuditEntry, Book, Entry, EventRow, NewMessage, OpenHold, RateKey, whole_seconds};
use crate::classify::{BounceType, Class, Facts};

/// An event for others.
#[derive(Debug)]
pub struct Told {
    /// `bounce.recorded`, `complaint.recorded`, `suppression.added`, `suppression.removed`, `hold.opened`.
    pub kind: &'static str,
    /// Events of one address are delivered in order; empty where it is about none.
    pub address_key: String,
    /// The stream.
    pub stream: i64,
    /// What happened: a JSON object.
    pub data: String,
}

/// The message behind an event, and how far it is believed.
pub type Source = (i64, &'static str);

#[derive(Serialize)]
struct ToldBounce<'m> {
    bounce: i64,
    event: i64,
    received_at: Timestamp,
    kind: &'static str,
    origin: &'static str,
    stream: i64,
    trust: &'static str,
    recipient: &'m str,
    original_recipient: Option<&'m str>,
    final_recipient: Option<&'m str>,
    action: Option<&'static str>,
    status: Option<&'m str>,
    effective_status: Option<String>,
    reply_code: Option<u16>,
    diagnostic_type: Option<&'m str>,
    diagnostic_code: Option<&'m str>,
    remote_mta: Option<&'m str>,
    last_attempt_date: Option<Timestamp>,
    bounce_type: &'static str,
    category: &'static str,
    class: &'static str,
    decision: &'static str,
    rule: &'m str,
    evidence_field: &'static str,
    evidence: &'m str,
    facts: Option<&'m Facts>,
    change: &'static str,
    hold: Option<i64>,
    reporting_mta: Option<&'m str>,
    original_envelope_id: Option<&'m str>,
    arrival_date: Option<Timestamp>,
    original_message_id: Option<&'m str>,
    original_from: Option<&'m str>,
    original_subject: Option<&'m str>,
}

#[derive(Serialize)]
struct ToldEntry<'e> {
    #[serde(flatten)]
    entry: &'e Entry,
    bounce: Option<i64>,
    trust: Option<&'static str>,
    change: ToldChange<'e>,
}

#[derive(Serialize)]
struct ToldChange<'e> {
    action: &'static str,
    at: Timestamp,
    origin: &'static str,
    actor: Option<&'e str>,
    why: Option<&'e str>,
}

#[derive(Serialize)]
struct ToldHold<'h> {
    id: i64,
    kind: &'static str,
    name: &'h str,
    opened_at: Timestamp,
    why: &'h str,
    recheckable_only: bool,
    state: &'static str,
}

impl Book<'_, '_> {
    /// Tells of an event that came in. A report that came again tells nothing new. Reports that nobody's mail failed
    /// (delays, deliveries, automatic replies) are no bounces.
    pub(super) fn tell_event(&mut self, row: &EventRow<'_>, message: &NewMessage) {
        let (event, result) = (row.event, &row.event.classification);
        let complaint = result.class == Class::Complaint;
        if row.repeats.is_some() || (result.bounce_type == BounceType::None && !complaint) {
            return;
        }
        let data = ToldBounce {
            bounce: row.message,
            event: row.id,
            received_at: whole_seconds(row.received_at),
            kind: message.kind,
            origin: if message.replayed.is_some() { "replay" } else { "bounce" },
            stream: event.stream,
            trust: event.trust.as_str(),
            recipient: &event.recipient,
            original_recipient: event.original_recipient.as_deref(),
            final_recipient: event.final_recipient.as_deref(),
            action: event.action,
            status: event.status.as_deref(),
            effective_status: result.effective_status.map(|status| status.to_string()),
            reply_code: result.reply_code.map(|code| code.get()),
            diagnostic_type: event.diagnostic_type.as_deref(),
            diagnostic_code: event.diagnostic_code.as_deref(),
            remote_mta: event.remote_mta.as_deref(),
            last_attempt_date: event.last_attempt_date.map(whole_seconds),
            bounce_type: result.bounce_type.as_str(),
            category: result.category.as_str(),
            class: result.class.as_str(),
            decision: result.decision.as_str(),
            rule: &result.rule,
            evidence_field: result.evidence_field.as_str(),
            evidence: &result.evidence,
            facts: Some(&result.facts).filter(|facts| !facts.is_empty()),
            change: row.change.as_str(),
            hold: row.hold,
            reporting_mta: message.reporting_mta.as_deref(),
            original_envelope_id: message.original_envelope_id.as_deref(),
            arrival_date: message.arrival_date.map(whole_seconds),
            original_message_id: message.original_message_id.as_deref(),
            original_from: message.original_from.as_deref(),
            original_subject: message.original_subject.as_deref(),
        };
        let kind = if complaint { "complaint.recorded" } else { "bounce.recorded" };
        self.tell(kind, event.recipient_key.clone(), event.stream, &data);
    }

    /// Tells of an entry that was added, removed or ran out. What stood and is changed goes on suppressing: no news.
    pub(super) fn tell_entry(&mut self, entry: &Entry, audit: &AuditEntry) {
        let kind = match audit.action {
            "added" => "suppression.added",
            "removed" | "expired" => "suppression.removed",
            _ => return,
        };
        let source = audit.event.and_then(|event| self.facts.sources.get(&event)).copied();
        let data = ToldEntry {
            entry,
            bounce: source.map(|(message, _)| message),
            trust: source.map(|(_, trust)| trust),
            change: ToldChange {
                action: audit.action,
                at: whole_seconds(audit.at),
                origin: audit.origin.as_str(),
                actor: audit.actor.as_deref(),
                why: audit.why.as_deref(),
            },
        };
        self.tell(kind, audit.address_key.clone(), audit.stream, &data);
    }

    /// Tells of a hold that was opened.
    pub(super) fn tell_hold(&mut self, (kind, name): &RateKey, hold: &OpenHold) {
        let data = ToldHold {
            id: hold.id,
            kind: kind.as_str(),
            name,
            opened_at: whole_seconds(hold.opened_at),
            why: &hold.why,
            recheckable_only: hold.recheckable_only,
            state: "open",
        };
        self.tell("hold.opened", String::new(), super::ANY_STREAM, &data);
    }

    fn tell(&mut self, kind: &'static str, address_key: String, stream: i64, data: &impl Serialize) {
        let data = serde_json::to_string(data).unwrap_or_else(|_| Value::Null.to_string());
        self.writes.told.push(Told { kind, address_key, stream, data });
    }
}
