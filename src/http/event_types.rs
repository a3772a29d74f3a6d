//! What events look like, as the description has them: those of `/v1/events`, and the bodies of webhooks.
//!
//! The store keeps an event's data as JSON (`outbox_events`). These types are its shape; nothing is made of them but the
//! description. What is added later has to stand here, too: `tests/http/events.rs` holds the two together.

#![allow(dead_code, reason = "these types are described, and no value is made of them")]

use jiff::Timestamp;
use serde_json::Value;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, ParameterBuilder, ParameterIn, PathItem, Paths,
};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use crate::classify::{BounceType, Category, Class, Decision};
use crate::policy::Reason;
use crate::store::EventType;

/// What happened.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(discriminator(property_name = "type", mapping(
    ("bounce.recorded" = "#/components/schemas/BounceRecorded"),
    ("complaint.recorded" = "#/components/schemas/ComplaintRecorded"),
    ("suppression.added" = "#/components/schemas/SuppressionAdded"),
    ("suppression.removed" = "#/components/schemas/SuppressionRemoved"),
    ("hold.opened" = "#/components/schemas/HoldOpened"),
)))]
pub(super) enum Event {
    BounceRecorded(BounceRecorded),
    ComplaintRecorded(ComplaintRecorded),
    SuppressionAdded(SuppressionAdded),
    SuppressionRemoved(SuppressionRemoved),
    HoldOpened(HoldOpened),
}

/// A kind of event with its data.
macro_rules! event {
    ($(#[$doc:meta])* $name:ident, $kind:ident, $word:literal, $data:ty) => {
        $(#[$doc])*
        #[derive(ToSchema)]
        pub(super) struct $name {
            /// Its number; later events have higher ones.
            #[schema(minimum = 1)]
            id: i64,
            #[schema(inline)]
            r#type: $kind,
            /// When it was written.
            timestamp: Timestamp,
            /// What happened.
            data: $data,
        }

        /// The only word that stands there.
        struct $kind;

        impl PartialSchema for $kind {
            fn schema() -> RefOr<Schema> {
                let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([$word]));
                word.description(Some("What it tells of.")).into()
            }
        }

        impl ToSchema for $kind {}
    };
}

event!(
    /// A report says that a message to a recipient was not delivered.
    BounceRecorded, BounceRecordedType, "bounce.recorded", ReportedRecipient
);
event!(
    /// A recipient complained.
    ComplaintRecorded, ComplaintRecordedType, "complaint.recorded", ReportedRecipient
);
event!(
    /// An address is on the list that was not on it.
    SuppressionAdded, SuppressionAddedType, "suppression.added", ChangedSuppression
);
event!(
    /// An entry was taken off the list, or its time is over.
    SuppressionRemoved, SuppressionRemovedType, "suppression.removed", ChangedSuppression
);
event!(
    /// Suppressions wait for a person, because far more than usual came at once.
    HoldOpened, HoldOpenedType, "hold.opened", OpenedHold
);

/// One recipient of a report. The names are those of `dsnd bounces show --json`.
#[derive(ToSchema)]
pub(super) struct ReportedRecipient {
    /// The number of the message.
    bounce: i64,
    /// The number of what it says about this recipient.
    event: i64,
    /// When the message was taken.
    received_at: Timestamp,
    /// What the message is: `dsn`, `feedback`, `text_bounce` …
    kind: String,
    /// `bounce`, or `replay` where it came from a file.
    origin: String,
    /// The sending stream, 0 where the return path names none.
    stream: i64,
    /// Its name in the configuration.
    stream_name: Option<String>,
    /// How far the report is believed: `proven`, `token_only`, `unsigned`.
    trust: String,
    /// The address the sender used.
    recipient: String,
    /// Original-Recipient.
    original_recipient: Option<String>,
    /// Final-Recipient.
    final_recipient: Option<String>,
    /// Action.
    action: Option<String>,
    /// Status as reported.
    status: Option<String>,
    /// The code that decided.
    effective_status: Option<String>,
    /// The reply code.
    reply_code: Option<i64>,
    /// Type of the Diagnostic-Code.
    diagnostic_type: Option<String>,
    /// Diagnostic-Code.
    diagnostic_code: Option<String>,
    /// Remote-MTA.
    remote_mta: Option<String>,
    /// Last-Attempt-Date.
    last_attempt_date: Option<Timestamp>,
    /// Hard, soft or none.
    bounce_type: BounceType,
    /// The subject of the code.
    category: Category,
    /// What was concluded.
    class: Class,
    /// What that does.
    decision: Decision,
    /// The rule that decided.
    rule: String,
    /// The field that decided.
    evidence_field: String,
    /// The text that decided.
    evidence: String,
    /// What else the text tells.
    #[schema(value_type = Option<Object>)]
    facts: Option<Value>,
    /// What it did to the list: `suppressed`, `counted`, `seen`, `cleared`, `quarantined`, `held`, `none`.
    change: String,
    /// The hold that it waits in.
    hold: Option<i64>,
    /// Reporting-MTA.
    reporting_mta: Option<String>,
    /// Original-Envelope-Id.
    original_envelope_id: Option<String>,
    /// Arrival-Date.
    arrival_date: Option<Timestamp>,
    /// Message-ID of the message that came back.
    original_message_id: Option<String>,
    /// Its From.
    original_from: Option<String>,
    /// Its subject.
    original_subject: Option<String>,
}

/// An entry of the list as it stands, or as it stood, and what was done to it.
#[derive(ToSchema)]
pub(super) struct ChangedSuppression {
    /// The address.
    #[schema(required = false)]
    address: String,
    /// The stream, 0 for every one.
    #[schema(required = false)]
    stream: i64,
    /// Its name in the configuration.
    stream_name: Option<String>,
    /// Why it is suppressed.
    #[schema(required = false)]
    reason: Reason,
    /// Precisely why, for entries made by bounces.
    class: Option<String>,
    /// The enhanced status code that decided.
    status: Option<String>,
    /// The rule that decided.
    rule: Option<String>,
    /// The host that said so.
    remote_mta: Option<String>,
    /// The text that decided.
    evidence: Option<String>,
    /// A person's words.
    note: Option<String>,
    /// The first event under this entry.
    #[schema(required = false)]
    first_seen: Timestamp,
    /// The last event.
    #[schema(required = false)]
    last_seen: Timestamp,
    /// How many events.
    #[schema(required = false)]
    count: i64,
    /// Until when it suppresses; null: without an end.
    expires_at: Option<Timestamp>,
    /// It may end by itself when its host recovers.
    #[schema(required = false)]
    recheckable: bool,
    /// How many days the last soft term was, 0 where there was none.
    #[schema(required = false)]
    soft_term_days: u32,
    /// What made the entry: `bounce`, `replay`, `cli`, `api`, `import`.
    #[schema(required = false)]
    origin: String,
    /// The number of what a report says about a recipient, where that made the entry.
    event: Option<i64>,
    /// The number of the message behind it.
    bounce: Option<i64>,
    /// How far that message is believed.
    trust: Option<String>,
    /// What was done.
    change: ListChange,
}

/// What was done to an entry.
#[derive(ToSchema)]
pub(super) struct ListChange {
    /// `added`, `removed`, `expired`.
    action: String,
    /// When.
    at: Timestamp,
    /// What it came from: `bounce`, `replay`, `cli`, `api`, `import`, `expiry`, `undo`, `quarantine`, `hold`, `reclassify`.
    origin: String,
    /// Who did it.
    actor: Option<String>,
    /// Why, in words.
    why: Option<String>,
}

/// Suppressions with one thing in common, which wait for a person.
#[derive(ToSchema)]
pub(super) struct OpenedHold {
    /// The number of the hold.
    id: i64,
    /// What they have in common: `domain`, `remote_mta`, `rule`.
    kind: String,
    /// Which domain, host or rule.
    name: String,
    /// The time of the first event that waits.
    opened_at: Timestamp,
    /// The numbers, in words.
    why: String,
    /// Only suppressions wait that may end by themselves.
    recheckable_only: bool,
    /// `open`.
    state: String,
}

/// What is sent to the endpoints of `[[webhook]]`: one event in a request.
pub(super) fn webhooks() -> Paths {
    let mut paths = Paths::new();
    for kind in EventType::ALL {
        let (schema, id, summary) = match kind {
            EventType::BounceRecorded => {
                ("BounceRecorded", "onBounceRecorded", "A message was not delivered")
            }
            EventType::ComplaintRecorded => {
                ("ComplaintRecorded", "onComplaintRecorded", "A recipient complained")
            }
            EventType::SuppressionAdded => {
                ("SuppressionAdded", "onSuppressionAdded", "An address is on the list")
            }
            EventType::SuppressionRemoved => {
                ("SuppressionRemoved", "onSuppressionRemoved", "An entry was taken off, or its time is over")
            }
            EventType::HoldOpened => ("HoldOpened", "onHoldOpened", "Suppressions wait for a person"),
        };
        paths
            .paths
            .insert(kind.as_str().to_owned(), PathItem::new(HttpMethod::Post, webhook(schema, id, summary)));
    }
    paths
}

fn webhook(schema: &str, id: &str, summary: &str) -> Operation {
    let header = |name: &str, description: &str| {
        let text = ObjectBuilder::new().schema_type(Type::String);
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(description))
            .schema(Some(text))
            .build()
    };
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    let body = RequestBodyBuilder::new()
        .description(Some("With webhook.format = \"ses\" it is a notification of Amazon SES instead."))
        .content("application/json", content)
        .required(Some(Required::True));
    OperationBuilder::new()
        .operation_id(Some(id))
        .tag("webhooks")
        .summary(Some(summary))
        .parameter(header("webhook-id", "The same for every try, and for no other event"))
        .parameter(header("webhook-timestamp", "When this try was made, in seconds since 1970"))
        .parameter(header("webhook-signature", "`v1,` and base64 of HMAC-SHA-256 of `id.timestamp.body`"))
        .request_body(Some(body.build()))
        .response(
            "2XX",
            ResponseBuilder::new().description("It is taken; any other answer, and it comes again"),
        )
        .build()
}
