//! `dsnd explain FILE…|-`.

mod card;

use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::return_path::{self, Arrival};
use super::{FAILED, output};
use crate::classify::evidence::Evidence;
use crate::classify::guide::Language;
use crate::classify::{BounceType, Category, Class, Classifier, Decision, Facts};
use crate::ingest::{add_nameless, assess, attribute, complained_path};
use crate::report::{Action, RecipientFields, Report, mbox};
use crate::returnpath::Trust;
use crate::status::ReplyCode;

/// Largest message that is read, in bytes.
const MAX_MESSAGE: u64 = 256 * 1024 * 1024;

/// Arguments.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Message files; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// One JSON object a message.
    #[arg(long)]
    json: bool,
    /// Leave out the explanation of each code.
    #[arg(long, conflicts_with = "json")]
    short: bool,
    /// The language of explanations.
    #[arg(long, value_enum, default_value = "en")]
    lang: Language,
    /// The address the messages came to: says how far they are believed. Keys come from the configuration.
    #[arg(long, value_name = "ADDRESS")]
    return_path: Option<String>,
}

/// One message, explained; the field names are the same everywhere.
#[derive(Debug, Serialize)]
struct Explained<'a> {
    source: &'a str,
    kind: &'static str,
    report: ReportPart,
    original: Option<OriginalPart>,
    recipients: Vec<RecipientPart>,
    defects: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ReportPart {
    reporting_mta: Option<String>,
    original_envelope_id: Option<String>,
    arrival_date: Option<Timestamp>,
    message_id: Option<String>,
    subject: Option<String>,
}

#[derive(Debug, Serialize)]
struct OriginalPart {
    message_id: Option<String>,
    from: Option<String>,
    to: Vec<String>,
    subject: Option<String>,
}

#[derive(Debug, Serialize)]
struct RecipientPart {
    recipient: Option<String>,
    /// How far it would be believed; without a return path nothing proves it.
    trust: &'static str,
    original_recipient: Option<String>,
    final_recipient: Option<String>,
    action: Option<&'static str>,
    status: Option<String>,
    effective_status: Option<String>,
    reply_code: Option<u16>,
    diagnostic_type: Option<String>,
    diagnostic_code: Option<String>,
    remote_mta: Option<String>,
    last_attempt_date: Option<Timestamp>,
    bounce_type: BounceType,
    category: Category,
    class: Class,
    decision: Decision,
    rule: String,
    evidence_field: &'static str,
    evidence: String,
    facts: Facts,
    /// The text that the evidence stands in, folded to one line.
    #[serde(skip)]
    context: Option<String>,
}

/// Explains every file; goes on after one that cannot be read, and says so in the exit status.
pub(super) fn run(config: Option<&Path>, arguments: &Explain) -> anyhow::Result<ExitCode> {
    let arrival = match &arguments.return_path {
        Some(address) => Some(return_path::arrival(config, address)?),
        None => None,
    };
    let classifier = super::classifier(config)?;
    let mut out = output::stdout();
    let mut code = ExitCode::SUCCESS;
    for source in &arguments.files {
        let message = match read(source) {
            Ok(message) => message,
            Err(error) => {
                output::error(&format!("cannot read {source}: {error}"));
                code = ExitCode::from(FAILED);
                continue;
            }
        };
        for (index, message) in mbox::messages(&message).enumerate() {
            // The first bears the file's name alone, so that a file of one message is called what it is.
            let source = if index == 0 { source.clone() } else { format!("{source}#{}", index + 1) };
            let explained = explain(&classifier, &source, &message, arrival.as_ref());
            if arguments.json {
                output::json_line(&mut out, &explained)?;
            } else {
                card::print(&mut out, &explained, classifier.registry(), arguments)?;
            }
        }
    }
    out.flush()?;
    Ok(code)
}

fn read(source: &str) -> std::io::Result<Vec<u8>> {
    let input: Box<dyn Read> = if source == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(source)?)
    };
    let mut message = Vec::new();
    input.take(MAX_MESSAGE + 1).read_to_end(&mut message)?;
    if message.len() as u64 > MAX_MESSAGE {
        return Err(std::io::Error::other(format!("larger than {} MiB", MAX_MESSAGE >> 20)));
    }
    Ok(message)
}

fn explain<'a>(
    classifier: &Classifier,
    source: &'a str,
    message: &[u8],
    arrival: Option<&Arrival>,
) -> Explained<'a> {
    let mut report = Report::parse(message);
    if let Some(Arrival { path, .. }) = arrival {
        add_nameless(&mut report, std::slice::from_ref(path));
    }
    let mut recipients: Vec<_> =
        report.recipients.iter().map(|fields| recipient(classifier, &report, fields)).collect();
    if let Some(Arrival { ours, path }) = arrival {
        let named: Vec<_> = recipients.iter().map(|part| part.recipient.clone()).collect();
        let mut paths = vec![path.clone()];
        paths.extend(complained_path(&report, &named, ours, Timestamp::now()));
        let attributions = attribute(ours.keys(), &paths, &report, named);
        for (part, attribution) in recipients.iter_mut().zip(attributions) {
            part.recipient = attribution.recipient;
            part.trust = attribution.trust.as_str();
        }
    }
    Explained {
        source,
        kind: report.kind.as_str(),
        recipients,
        report: ReportPart {
            reporting_mta: report.message.reporting_mta.map(|mta| mta.value),
            original_envelope_id: report.message.original_envelope_id,
            arrival_date: report.message.arrival_date,
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
    let context = Evidence::gather(report, fields)
        .sources
        .into_iter()
        .find(|source| source.field == result.evidence_field && source.text.contains(&result.evidence));
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
        bounce_type: result.bounce_type,
        category: result.category,
        class: result.class,
        decision: result.decision,
        rule: result.rule,
        evidence_field: result.evidence_field.as_str(),
        evidence: result.evidence,
        facts: result.facts,
    }
}
