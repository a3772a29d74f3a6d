//! Events in the shape of Amazon SES's notifications, for consumers that read those.

use serde_json::{Value, json};

use crate::returnpath::Trust;
use crate::store::{EventType, OutboxEvent};

/// A notification; `None` for events that SES has none for, and for reports that do not count: SES has no word for
/// them, and whoever reads its notifications takes each for true (contract 4).
pub(super) fn notification(event: &OutboxEvent, id: &str) -> Option<Value> {
    let data = &event.data;
    match event.kind {
        EventType::BounceRecorded | EventType::ComplaintRecorded if !counts(data) => None,
        EventType::BounceRecorded => Some(json!({
            "notificationType": "Bounce",
            "bounce": bounce(data, id),
            "mail": mail(data),
        })),
        EventType::ComplaintRecorded => Some(json!({
            "notificationType": "Complaint",
            "complaint": complaint(data, id),
            "mail": mail(data),
        })),
        EventType::SuppressionAdded | EventType::SuppressionRemoved | EventType::HoldOpened => None,
    }
}

/// Whether a report was believed when it came, and did not have to wait for a person.
fn counts(data: &Value) -> bool {
    match data["change"].as_str() {
        Some("suppressed" | "counted" | "seen" | "cleared") => true,
        Some("none") => data["trust"] == Trust::Proven.as_str(),
        _ => false,
    }
}

fn bounce(data: &Value, id: &str) -> Value {
    let (kind, sub) = kind(data);
    let mut recipient = json!({ "emailAddress": data["recipient"] });
    let status =
        Some(&data["effective_status"]).filter(|status| !status.is_null()).unwrap_or(&data["status"]);
    for (name, value) in
        [("action", data["action"].clone()), ("status", status.clone()), ("diagnosticCode", diagnostic(data))]
    {
        if !value.is_null() {
            recipient[name] = value;
        }
    }
    let mut bounce = json!({
        "feedbackId": id,
        "bounceType": kind,
        "bounceSubType": sub,
        "bouncedRecipients": [recipient],
        "timestamp": time(&data["received_at"]),
    });
    if let Some(mta) = data["reporting_mta"].as_str() {
        bounce["reportingMTA"] = format!("dns; {mta}").into();
    }
    if let Some(ip) = data["facts"]["remote_ip"].as_str() {
        bounce["remoteMtaIp"] = ip.into();
    }
    bounce
}

/// `bounceType` and `bounceSubType`. SES means by Permanent that the address is to be mailed no more.
fn kind(data: &Value) -> (&'static str, &'static str) {
    let class = data["class"].as_str().unwrap_or_default();
    match (data["bounce_type"].as_str().unwrap_or_default(), class) {
        (_, "undetermined") => ("Undetermined", "Undetermined"),
        ("hard", "recipient_unknown") => ("Permanent", "NoEmail"),
        ("hard", _) => ("Permanent", "General"),
        (_, "mailbox_full") => ("Transient", "MailboxFull"),
        (_, "message_too_large") => ("Transient", "MessageTooLarge"),
        (_, "virus") => ("Transient", "AttachmentRejected"),
        (_, "content_rejected" | "spam_content") => ("Transient", "ContentRejected"),
        _ => ("Transient", "General"),
    }
}

fn complaint(data: &Value, id: &str) -> Value {
    let mut complaint = json!({
        "feedbackId": id,
        "complaintSubType": null,
        "complainedRecipients": [{ "emailAddress": data["recipient"] }],
        "timestamp": time(&data["received_at"]),
    });
    if !data["arrival_date"].is_null() {
        complaint["arrivalDate"] = time(&data["arrival_date"]);
    }
    if let Some(kind) = data["evidence"].as_str().and_then(|text| text.strip_prefix("Feedback-Type: ")) {
        complaint["complaintFeedbackType"] = kind.into();
    }
    complaint
}

/// The message that came back, as far as the report tells. When it was sent is seldom said: the report's own time
/// stands in.
fn mail(data: &Value) -> Value {
    let sent = Some(&data["arrival_date"]).filter(|at| !at.is_null()).unwrap_or(&data["received_at"]);
    let mut common = json!({ "to": [data["recipient"]] });
    if !data["original_from"].is_null() {
        common["from"] = json!([data["original_from"]]);
    }
    for (name, key) in [("messageId", "original_message_id"), ("subject", "original_subject")] {
        if !data[key].is_null() {
            common[name] = data[key].clone();
        }
    }
    json!({
        "timestamp": time(sent),
        "source": data["original_from"].as_str().unwrap_or_default(),
        "messageId": data["original_message_id"].as_str().unwrap_or_default(),
        "destination": [data["recipient"]],
        "headersTruncated": true,
        "headers": [],
        "commonHeaders": common,
    })
}

/// `smtp; 550 5.1.1 …`, as the field has it.
fn diagnostic(data: &Value) -> Value {
    let Some(code) = data["diagnostic_code"].as_str() else { return Value::Null };
    data["diagnostic_type"].as_str().map_or_else(|| code.into(), |kind| format!("{kind}; {code}").into())
}

/// With milliseconds, as SES writes them.
fn time(at: &Value) -> Value {
    at.as_str().map_or(Value::Null, |at| at.replace('Z', ".000Z").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventType, data: Value) -> OutboxEvent {
        let timestamp = "2026-11-21T20:00:00Z".parse().unwrap();
        OutboxEvent { id: 1, kind, timestamp, address_key: String::new(), stream: 0, data }
    }

    fn data() -> Value {
        json!({
            "recipient": "dead@example.org", "action": "failed", "status": "5.0.0", "effective_status": "5.1.1",
            "diagnostic_type": "smtp", "diagnostic_code": "550 5.1.1 gone", "bounce_type": "hard",
            "class": "recipient_unknown", "received_at": "2026-11-21T20:00:00Z", "arrival_date": "2026-11-21T19:00:00Z",
            "reporting_mta": "mx.example.org", "facts": {"remote_ip": "192.0.2.7"}, "original_message_id": "1@x",
            "original_from": "news@example.com", "original_subject": "Our news",
            "trust": "proven", "change": "suppressed",
        })
    }

    #[test]
    fn a_bounce_is_told_as_ses_does() {
        let told = notification(&event(EventType::BounceRecorded, data()), "evt_1").unwrap();
        let wanted = json!({
            "notificationType": "Bounce",
            "bounce": {
                "feedbackId": "evt_1", "bounceType": "Permanent", "bounceSubType": "NoEmail",
                "bouncedRecipients": [{"emailAddress": "dead@example.org", "action": "failed", "status": "5.1.1",
                                       "diagnosticCode": "smtp; 550 5.1.1 gone"}],
                "timestamp": "2026-11-21T20:00:00.000Z", "reportingMTA": "dns; mx.example.org",
                "remoteMtaIp": "192.0.2.7",
            },
            "mail": {
                "timestamp": "2026-11-21T19:00:00.000Z", "source": "news@example.com", "messageId": "1@x",
                "destination": ["dead@example.org"], "headersTruncated": true, "headers": [],
                "commonHeaders": {"from": ["news@example.com"], "to": ["dead@example.org"], "messageId": "1@x",
                                  "subject": "Our news"},
            },
        });
        assert_eq!(told, wanted);
    }

    #[test]
    fn a_complaint_is_told_as_ses_does_and_the_rest_is_not() {
        let mut said = data();
        said["evidence"] = "Feedback-Type: abuse".into();
        let told = notification(&event(EventType::ComplaintRecorded, said), "evt_1").unwrap();
        assert_eq!(told["notificationType"], "Complaint");
        let complaint = json!({
            "feedbackId": "evt_1", "complaintSubType": null,
            "complainedRecipients": [{"emailAddress": "dead@example.org"}], "timestamp": "2026-11-21T20:00:00.000Z",
            "arrivalDate": "2026-11-21T19:00:00.000Z", "complaintFeedbackType": "abuse",
        });
        assert_eq!(told["complaint"], complaint);
        for kind in [EventType::SuppressionAdded, EventType::SuppressionRemoved, EventType::HoldOpened] {
            assert_eq!(notification(&event(kind, data()), "evt_1"), None);
        }
    }

    #[test]
    fn what_nobody_believes_or_what_waits_is_not_told() {
        for (trust, change, told) in [
            ("proven", "suppressed", true),
            ("proven", "none", true),
            ("unsigned", "counted", true), // the operator trusts it
            ("unsigned", "quarantined", false),
            ("unsigned", "none", false),
            ("token_only", "none", false),
            ("proven", "held", false),
            ("proven", "discarded", false),
        ] {
            for kind in [EventType::BounceRecorded, EventType::ComplaintRecorded] {
                let mut said = data();
                (said["trust"], said["change"]) = (trust.into(), change.into());
                assert_eq!(notification(&event(kind, said), "evt_1").is_some(), told, "{trust} {change}");
            }
        }
    }

    #[test]
    fn every_kind_of_bounce_has_a_type_that_ses_knows() {
        for (bounce_type, class, wanted) in [
            ("hard", "domain_invalid", ("Permanent", "General")),
            ("soft", "mailbox_full", ("Transient", "MailboxFull")),
            ("soft", "message_too_large", ("Transient", "MessageTooLarge")),
            ("soft", "virus", ("Transient", "AttachmentRejected")),
            ("soft", "spam_content", ("Transient", "ContentRejected")),
            ("soft", "expired", ("Transient", "General")),
            ("soft", "undetermined", ("Undetermined", "Undetermined")),
        ] {
            assert_eq!(kind(&json!({"bounce_type": bounce_type, "class": class})), wanted, "{class}");
        }
    }
}
