//! A message, explained: what `dsnd explain --json` and the API answer.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{add_nameless, assess, attribute, complained_path};
use crate::classify::{Basis, BounceType, Category, Class, Classifier, Decision, Facts};
use crate::report::{Action, RecipientFields, Report};
use crate::returnpath::{ReturnPath, ReturnPaths, Trust};
use crate::status::ReplyCode;

/// One message, explained; the field names are the same everywhere.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub struct Explained<'a> {
    /// The file, or `-`.
    pub source: &'a str,
    /// `dsn`, `feedback`, `text_bounce`, `auto_reply`, `mdn` or `unrecognized`.
    pub kind: &'static str,
    /// What the report says of itself.
    pub report: ReportPart,
    /// The message that came back, as far as it is in there.
    pub original: Option<OriginalPart>,
    /// One a recipient.
    pub recipients: Vec<RecipientPart>,
    /// What could not be read.
    pub defects: Vec<String>,
}

/// What a report says of itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReportFields)]
pub struct ReportPart {
    /// Reporting-MTA.
    pub reporting_mta: Option<String>,
    /// Original-Envelope-Id.
    pub original_envelope_id: Option<String>,
    /// DSN-Gateway: who made the report out of another system's.
    pub dsn_gateway: Option<String>,
    /// Received-From-MTA: who handed the message to the reporting MTA.
    pub received_from_mta: Option<String>,
    /// Arrival-Date, also of a complaint.
    pub arrival_date: Option<Timestamp>,
    /// Source-IP of a complaint: who sent the message.
    #[schema(value_type = Option<String>)]
    pub source_ip: Option<IpAddr>,
    /// User-Agent of a complaint: the program that wrote it.
    pub user_agent: Option<String>,
    /// Reported-Domain of a complaint.
    pub reported_domains: Vec<String>,
    /// Message-ID.
    pub message_id: Option<String>,
    /// Subject.
    pub subject: Option<String>,
}

/// A message that came back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReturnedMessage)]
pub struct OriginalPart {
    /// Message-ID.
    pub message_id: Option<String>,
    /// From.
    pub from: Option<String>,
    /// To and Cc.
    pub to: Vec<String>,
    /// Subject.
    pub subject: Option<String>,
}

/// One recipient of a report.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExplainedRecipient)]
pub struct RecipientPart {
    /// The address the sender used.
    pub recipient: Option<String>,
    /// How far it would be believed; without a return path nothing proves it.
    pub trust: &'static str,
    /// Original-Recipient.
    pub original_recipient: Option<String>,
    /// Final-Recipient.
    pub final_recipient: Option<String>,
    /// Action.
    pub action: Option<&'static str>,
    /// Status as reported.
    pub status: Option<String>,
    /// The code that decided.
    pub effective_status: Option<String>,
    /// The reply code.
    pub reply_code: Option<u16>,
    /// Type of the Diagnostic-Code.
    pub diagnostic_type: Option<String>,
    /// Diagnostic-Code.
    pub diagnostic_code: Option<String>,
    /// Remote-MTA.
    pub remote_mta: Option<String>,
    /// Last-Attempt-Date.
    pub last_attempt_date: Option<Timestamp>,
    /// Final-Log-ID: how the reporting MTA's log names this recipient's delivery.
    pub final_log_id: Option<String>,
    /// Hard, soft or none.
    pub bounce_type: BounceType,
    /// What the code is about.
    pub category: Category,
    /// What is concluded.
    pub class: Class,
    /// What it does.
    pub decision: Decision,
    /// The rule that decided.
    pub rule: String,
    /// The code suppresses, and no rule knows the text beside it: it counts until a second one on another day.
    pub unconfirmed: bool,
    /// The field that decided.
    pub evidence_field: &'static str,
    /// The text that decided.
    pub evidence: String,
    /// What else the text tells.
    #[schema(value_type = Object)]
    pub facts: Facts,
    /// The text that the evidence stands in, folded to one line.
    #[serde(skip)]
    pub context: Option<String>,
}

/// Reads a message and says what it means; records nothing. `arrival` is what is known of the address that it came to,
/// with all the return paths of ours.
#[must_use]
pub fn explain<'a>(
    classifier: &Classifier,
    source: &'a str,
    message: &[u8],
    arrival: Option<(&ReturnPaths, &ReturnPath)>,
) -> Explained<'a> {
    let mut report = Report::parse(message);
    if let Some((_, path)) = arrival {
        add_nameless(&mut report, std::slice::from_ref(path));
    }
    let mut recipients: Vec<_> =
        report.recipients.iter().map(|fields| recipient(classifier, &report, fields)).collect();
    if let Some((ours, path)) = arrival {
        let named: Vec<_> = recipients.iter().map(|part| part.recipient.clone()).collect();
        let mut paths = vec![path.clone()];
        paths.extend(complained_path(&report, &named, ours, Timestamp::now()));
        let attributions = attribute(ours.keys(), &paths, &report, named);
        for (part, attribution) in recipients.iter_mut().zip(attributions) {
            part.recipient = attribution.recipient;
            part.trust = attribution.trust.as_str();
        }
    }
    let feedback = report.feedback.unwrap_or_default();
    Explained {
        source,
        kind: report.kind.as_str(),
        recipients,
        report: ReportPart {
            reporting_mta: report.message.reporting_mta.map(|mta| mta.value),
            dsn_gateway: report.message.dsn_gateway.map(|mta| mta.value),
            received_from_mta: report.message.received_from_mta.map(|mta| mta.value),
            source_ip: feedback.source_ip,
            user_agent: feedback.user_agent,
            reported_domains: feedback.reported_domains,
            original_envelope_id: report.message.original_envelope_id,
            arrival_date: report.message.arrival_date.or(feedback.arrival_date),
            message_id: report.header.message_id.map(|id| format!("<{id}>")),
            subject: report.header.subject,
        },
        original: report.original.map(|original| OriginalPart {
            message_id: original.message_id.map(|id| format!("<{id}>")),
            from: original.from,
            to: original.to,
            subject: original.subject,
        }),
        defects: report
            .defects
            .into_iter()
            .map(|defect| format!("{}: {}", defect.place, defect.what))
            .collect(),
    }
}

fn recipient(classifier: &Classifier, report: &Report, fields: &RecipientFields) -> RecipientPart {
    let assessed = assess(classifier, report, fields);
    let result = assessed.classification;
    let sources = assessed.evidence.sources.into_iter();
    let mut shown = sources.filter(|source| source.field == result.evidence_field);
    let context = shown.find(|source| source.text.contains(&result.evidence));
    RecipientPart {
        context: context.map(|source| source.text),
        recipient: assessed.recipient,
        trust: Trust::Unsigned.as_str(),
        original_recipient: fields.original_recipient.as_ref().map(|address| address.value.clone()),
        final_recipient: fields.final_recipient.as_ref().map(|address| address.value.clone()),
        action: fields.action.map(Action::as_str),
        status: fields.status.map(|status| status.to_string()),
        effective_status: result.effective_status.map(|status| status.to_string()),
        reply_code: result.reply_code.map(ReplyCode::get),
        diagnostic_type: fields.diagnostic_code.as_ref().and_then(|code| code.kind.clone()),
        diagnostic_code: fields.diagnostic_code.as_ref().map(|code| code.text.clone()),
        remote_mta: fields.remote_mta.as_ref().map(|mta| mta.value.clone()),
        last_attempt_date: fields.last_attempt_date,
        final_log_id: fields.final_log_id.clone(),
        bounce_type: result.bounce_type,
        category: result.category,
        class: result.class,
        decision: result.decision,
        unconfirmed: Basis::of(&result.rule) == Basis::Unconfirmed,
        rule: result.rule,
        evidence_field: result.evidence_field.as_str(),
        evidence: result.evidence,
        facts: result.facts,
    }
}
