//! Amazon SES: its notifications as JSON, bare or wrapped by SNS, in the body of a mail. Bounces, complaints,
//! deliveries and delays, under the names of notifications and of event publishing.

use serde_json::Value;

use super::letter::Letter;
use super::text::address_in;
use super::{Family, Reading, failed};
use crate::report::feedback::{Feedback, complainer};
use crate::report::{Action, Diagnostic, MessageFields, RecipientFields, ReturnedMessage, dsn, fields, mime};

/// Most recipients taken from one notification.
const MAX_RECIPIENTS: usize = 1_000;

pub(super) struct Ses;

impl Family for Ses {
    fn name(&self) -> &'static str {
        "ses"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let start = letter.text.find('{')?;
        if !letter.text[..start].trim().is_empty() {
            return None;
        }
        let outer = object(&letter.text[start..])?;
        let inner = match outer.get("Message").and_then(Value::as_str) {
            Some(message) => object(message)?,
            None => outer,
        };
        let kind = text(&inner, "notificationType").or_else(|| text(&inner, "eventType"))?;
        let mut reading = match kind {
            "Bounce" => bounce(inner.get("bounce")?),
            "Complaint" => complaint(inner.get("complaint")?),
            "Delivery" => delivery(inner.get("delivery")?),
            "DeliveryDelay" => delay(inner.get("deliveryDelay")?),
            _ => return None,
        };
        reading.original = inner.get("mail").map(original);
        Some(reading)
    }
}

/// The object that a text begins with. Mailers break its long lines inside of strings, which JSON forbids: then
/// the breaks are taken out.
fn object(json: &str) -> Option<Value> {
    let first = |json: &str| {
        let mut values = serde_json::Deserializer::from_str(json).into_iter::<Value>();
        values.next()?.ok().filter(Value::is_object)
    };
    first(json).or_else(|| first(&json.replace("\n ", "").replace('\n', "")))
}

fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten().take(MAX_RECIPIENTS)
}

/// The address of a recipient: an object's `emailAddress`, or a string; a name before it is passed over.
fn address(value: &Value) -> Option<String> {
    address_in(text(value, "emailAddress").or_else(|| value.as_str())?)
}

fn bounce(bounce: &Value) -> Reading {
    let kind = text(bounce, "bounceType").unwrap_or_default();
    let subtype = text(bounce, "bounceSubType").unwrap_or_default();
    let recipient = |value: &Value| {
        let said = text(value, "diagnosticCode");
        let mut fields = failed(&address(value)?, "");
        fields.action = text(value, "action").and_then(dsn::action).or(fields.action);
        fields.status = text(value, "status").and_then(dsn::status);
        if fields.status.is_none() && said.is_none() {
            fields.status = status_of(kind, subtype).and_then(|code| code.parse().ok());
        }
        fields.diagnostic_code = Some(match said {
            Some(said) => diagnostic(said),
            None => Diagnostic { kind: None, text: format!("{kind} {subtype}").trim().to_owned() },
        });
        fields.remote_mta = text(bounce, "remoteMtaIp").and_then(fields::mta);
        Some(fields)
    };
    Reading {
        recipients: list(bounce, "bouncedRecipients").filter_map(recipient).collect(),
        message: MessageFields {
            reporting_mta: text(bounce, "reportingMTA").and_then(fields::mta),
            ..MessageFields::default()
        },
        ..Reading::default()
    }
}

/// What SES calls a bounce where it hands on neither Status nor reply (its "Bounce types" table).
fn status_of(kind: &str, subtype: &str) -> Option<&'static str> {
    Some(match (kind, subtype) {
        ("Permanent", "NoEmail") => "5.1.1",
        ("Permanent", "Suppressed" | "OnAccountSuppressionList") => "5.1.1",
        (_, "MailboxFull") => "4.2.2",
        (_, "MessageTooLarge") => "4.3.4",
        (_, "ContentRejected" | "AttachmentRejected") => "5.6.0",
        ("Transient", _) => "4.0.0",
        _ => return None,
    })
}

fn complaint(complaint: &Value) -> Reading {
    // SES itself "complains" about addresses that the account's own suppression list holds: nobody did.
    let own_list = text(complaint, "complaintSubType") == Some("OnAccountSuppressionList");
    let feedback_type = text(complaint, "complaintFeedbackType").map(str::to_ascii_lowercase);
    let recipients =
        list(complaint, "complainedRecipients").filter_map(|one| Some(complainer(Some(address(one)?))));
    Reading {
        recipients: recipients.collect(),
        feedback: Some(Feedback {
            // Without a type the provider's loop gave none, and such loops carry complaints about spam.
            feedback_type: if own_list {
                Some("other".to_owned())
            } else {
                feedback_type.or(Some("abuse".to_owned()))
            },
            user_agent: text(complaint, "userAgent").map(str::to_owned),
            arrival_date: text(complaint, "arrivalDate").and_then(mime::date),
            ..Feedback::default()
        }),
        ..Reading::default()
    }
}

fn delivery(delivery: &Value) -> Reading {
    let reply = text(delivery, "smtpResponse");
    let recipient = |value: &Value| {
        Some(RecipientFields {
            action: Some(Action::Delivered),
            status: reply.and_then(dsn::status),
            diagnostic_code: reply.map(diagnostic),
            remote_mta: text(delivery, "remoteMtaIp").and_then(fields::mta),
            ..failed(&address(value)?, "")
        })
    };
    Reading {
        recipients: list(delivery, "recipients").filter_map(recipient).collect(),
        message: MessageFields {
            reporting_mta: text(delivery, "reportingMTA").and_then(fields::mta),
            ..MessageFields::default()
        },
        ..Reading::default()
    }
}

fn delay(delay: &Value) -> Reading {
    let recipient = |value: &Value| {
        Some(RecipientFields {
            action: Some(Action::Delayed),
            status: text(value, "status").and_then(dsn::status),
            diagnostic_code: text(value, "diagnosticCode").map(diagnostic),
            will_retry_until: text(delay, "expirationTime").and_then(mime::date),
            ..failed(&address(value)?, "")
        })
    };
    Reading {
        recipients: list(delay, "delayedRecipients").filter_map(recipient).collect(),
        ..Reading::default()
    }
}

fn diagnostic(said: &str) -> Diagnostic {
    let (kind, text) = fields::typed(said);
    Diagnostic { kind, text: text.to_owned() }
}

/// What the notification tells of the message.
fn original(mail: &Value) -> ReturnedMessage {
    let headers = mail.get("commonHeaders").unwrap_or(&Value::Null);
    let id = text(headers, "messageId").unwrap_or_default();
    let to = if headers.get("to").is_some() { list(headers, "to") } else { list(mail, "destination") };
    ReturnedMessage {
        message_id: mime::message_id(id.as_bytes()),
        from: list(headers, "from").find_map(address).or_else(|| text(mail, "source").and_then(address_in)),
        to: to.filter_map(address).collect(),
        delivered_to: Vec::new(),
        subject: text(headers, "subject").map(str::to_owned),
    }
}
