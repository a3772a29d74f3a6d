//! `dsnd bounces list|show`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{block_on, evidence, filter, listing, open_store, output, streams};
use crate::address::comparison_form;
use crate::config::Config;
use crate::store::sqlite::Access;
use crate::store::{Bounce, BounceEvent, BounceFilter, Store, Streams};

/// What a line of the list has.
pub(super) const HEADINGS: [&str; 10] =
    ["id", "received", "recipient", "class", "status", "decision", "change", "trust", "stream", "subject"];

/// Verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Bounces {
    /// List what came in, the newest first, a line a recipient.
    List(Box<List>),
    /// Show one message: what it said, what was concluded, and what that changed.
    Show(Show),
}

/// `list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only bounces about this address.
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// Only messages of this kind.
    #[arg(long, value_name = "KIND", value_parser = ["dsn", "feedback", "text_bounce", "auto_reply", "mdn", "unrecognized"])]
    kind: Option<String>,
    #[command(flatten)]
    filter: filter::Options,
    /// At most this many messages.
    #[arg(long, value_name = "N", default_value = "50")]
    limit: u32,
    /// One JSON object a message.
    #[arg(long)]
    json: bool,
}

/// `show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The number of the message, as listed and as said in the SMTP reply.
    id: i64,
    /// Only recipients after this event: a report about very many is shown in parts.
    #[arg(
        long,
        value_name = "EVENT",
        conflicts_with = "raw",
        default_value = "0",
        hide_default_value = true
    )]
    after: i64,
    /// The message as it was received, and nothing else.
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs a verb.
pub(super) fn run(config: Option<&Path>, verb: &Bounces) -> anyhow::Result<ExitCode> {
    let config = &Config::load_without_keys(config)?;
    block_on(async {
        match verb {
            Bounces::List(arguments) => list(config, arguments).await,
            Bounces::Show(arguments) => show(config, arguments).await,
        }
    })
}

async fn list(config: &Config, arguments: &List) -> anyhow::Result<ExitCode> {
    let store = open_store(config, Access::Read).await?;
    let filter = BounceFilter {
        recipient_key: arguments.recipient.as_deref().map(comparison_form),
        common: arguments.filter.resolve(config)?,
        kind: arguments.kind.clone(),
        before: None,
        limit: listing::PAGE,
    };
    let mut out = output::stdout();
    let after = |last: Option<&Bounce>| BounceFilter { before: last.map(|last| last.id), ..filter.clone() };
    let fetch =
        async |last: Option<&Bounce>, limit| store.bounces(&BounceFilter { limit, ..after(last) }).await;
    let count = async |last: Option<&Bounce>| store.count_bounces(&after(last), listing::COUNTED + 1).await;
    listing::list(arguments.limit, !arguments.json, fetch, count, |page, first| {
        page.iter_mut().for_each(|bounce| streams::name_bounce(&config.streams, bounce));
        if arguments.json {
            return page.iter().try_for_each(|bounce| output::json_line(&mut out, bounce));
        }
        let lines = page.iter().flat_map(|bounce| lines(&config.streams, bounce)).collect();
        output::rows(&mut out, &HEADINGS, lines, first)
    })
    .await?;
    out.flush()?;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// A line a recipient, with the subject of the message that bounced; one for a message without any, with its own. The
/// subject has a column of its own: a stranger writes it, and it must not pass for a recipient.
fn lines(streams: &Streams, bounce: &Bounce) -> Vec<Vec<String>> {
    let start = |rest: [String; 8]| {
        let mut line = vec![bounce.id.to_string(), bounce.received_at.to_string()];
        line.extend(rest);
        line
    };
    if bounce.recipients.is_empty() {
        let subject = bounce.subject.clone().unwrap_or_default();
        let none = String::new;
        return vec![start([none(), bounce.kind.clone(), none(), none(), none(), none(), none(), subject])];
    }
    let line = |event: &BounceEvent| {
        start([
            event.recipient.clone(),
            event.class.clone(),
            event.effective_status.clone().unwrap_or_default(),
            event.decision.clone(),
            what_it_did(event),
            event.trust.clone(),
            streams::label(streams, event.stream),
            bounce.original_subject.clone().unwrap_or_default(),
        ])
    };
    let mut lines: Vec<_> = bounce.recipients.iter().map(line).collect();
    if bounce.next_recipient.is_some() {
        let more = format!("… {} more recipients", left_out(bounce));
        let none = String::new;
        lines.push(start([more, none(), none(), none(), none(), none(), none(), none()]));
    }
    lines
}

/// How many recipients are not shown.
fn left_out(bounce: &Bounce) -> i64 {
    bounce.recipient_count - i64::try_from(bounce.recipients.len()).unwrap_or(i64::MAX)
}

/// What an event did to the list, for a reader; one that waits says for which hold.
fn what_it_did(event: &BounceEvent) -> String {
    match event.hold {
        Some(hold) if event.change == "held" => format!("held, hold {hold}"),
        _ => event.change.clone(),
    }
}

async fn show(config: &Config, arguments: &Show) -> anyhow::Result<ExitCode> {
    let store = open_store(config, Access::Read).await?;
    let id = arguments.id;
    let Some(mut bounce) = store.bounce_after(id, arguments.after).await? else {
        anyhow::bail!("there is no bounce {id}; `dsnd bounces list` shows those there are");
    };
    if arguments.raw {
        let Some(raw) = store.raw(id).await? else {
            anyhow::bail!("the raw message of bounce {id} was dropped after its time (store.raw_days)");
        };
        let mut out = std::io::stdout().lock();
        out.write_all(&raw)?;
        out.flush()?;
        store.close().await;
        return Ok(ExitCode::SUCCESS);
    }
    streams::name_bounce(&config.streams, &mut bounce);
    let mut out = output::stdout();
    if arguments.json {
        output::json_line(&mut out, &bounce)?;
    } else {
        print(&mut out, &config.streams, &bounce)?;
    }
    out.flush()?;
    if let Some(next) = bounce.next_recipient {
        let (shown, all) = (bounce.recipients.len(), bounce.recipient_count);
        output::note(&format!(
            "{shown} of {all} recipients; the next: dsnd bounces show {id} --after {next}"
        ));
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn print(out: &mut impl Write, streams: &Streams, bounce: &Bounce) -> anyhow::Result<()> {
    let bold = anstyle::Style::new().bold();
    writeln!(out, "{bold}bounce {}{bold:#}: {}", bounce.id, bounce.kind)?;
    let copies = if bounce.copies > 1 { format!(", came {} times", bounce.copies) } else { String::new() };
    output::field(out, "received", Some(&format!("{}{copies}", bounce.received_at)))?;
    let helo = if bounce.helo.is_empty() { String::new() } else { format!(" ({})", bounce.helo) };
    output::field(out, "from host", Some(&format!("{}{helo}", bounce.peer)))?;
    let tls = bounce.tls.as_ref().map(|tls| format!(", {tls}")).unwrap_or_default();
    let protocol = bounce.protocol.as_ref().map(|protocol| format!("{protocol}{tls}"));
    output::field(out, "protocol", protocol.as_deref())?;
    output::field(out, "reverse-path", Some(&format!("<{}>", bounce.reverse_path)))?;
    output::field(out, "return path", Some(&bounce.return_paths.join(", ")))?;
    let asked: Vec<&str> = bounce.envelope_original_recipients.iter().flatten().map(String::as_str).collect();
    output::field(out, "ORCPT", Some(&asked.join(", ")))?;
    output::field(out, "ENVID", bounce.envelope_id.as_deref())?;
    output::field(out, "subject", bounce.subject.as_deref())?;
    output::field(out, "reported by", bounce.reporting_mta.as_deref())?;
    output::field(out, "about message", bounce.original_message_id.as_deref())?;
    output::field(out, "its subject", bounce.original_subject.as_deref())?;
    output::field(
        out,
        "size",
        Some(&format!("{} octets{}", bounce.size, if bounce.raw_kept { "" } else { ", dropped" })),
    )?;
    for defect in &bounce.defects {
        output::field(out, "could not read", Some(defect))?;
    }
    for event in &bounce.recipients {
        let style = output::style_of(&event.decision);
        let address = if event.recipient.is_empty() { "(no address)" } else { &event.recipient };
        let did = match event.decision.as_str() {
            "sender" => "our fault; list unchanged".to_owned(),
            _ => what_it_did(event),
        };
        let (address, decision) = (output::clean(address), &event.decision);
        let heading = format!("{bold}{address}{bold:#}  {style}{decision}{style:#} ({did})");
        writeln!(out, "\n{}", output::fitted("  ", &heading, "    "))?;
        output::field(out, "class", Some(&event.class))?;
        output::field(out, "type", Some(&event.bounce_type))?;
        output::field(out, "action", event.action.as_deref())?;
        output::field(out, "status", event.status.as_deref())?;
        output::field(out, "effective status", event.effective_status.as_deref())?;
        output::field(out, "rule", Some(&event.rule))?;
        match event.diagnostic_code.as_deref().and_then(|text| evidence::marked(text, &event.evidence)) {
            Some(marked) => output::styled_field(out, "diagnostic", &marked)?,
            None => {
                let because = evidence::because(&event.evidence, &event.evidence_field);
                output::field(out, "because of", Some(&because))?;
                output::field(out, "diagnostic", event.diagnostic_code.as_deref())?;
            }
        }
        output::field(out, "remote host", event.remote_mta.as_deref())?;
        for (label, value) in output::facts(event.facts.as_ref(), event.remote_mta.as_deref()) {
            output::field(out, &label, Some(&value))?;
        }
        output::field(out, "trust", Some(&event.trust))?;
        output::field(out, "stream", Some(&streams::label(streams, event.stream)))?;
        let see = event.hold.map(|hold| format!("{hold}, see dsnd holds show {hold}"));
        output::field(out, "hold", see.as_deref())?;
        let before =
            event.repeats.map(|bounce| format!("in bounce {bounce}: the same report, which counts once"));
        output::field(out, "came before", before.as_deref())?;
        let by = event.settled_by.as_deref().unwrap_or("unknown");
        output::field(out, "settled", event.settled_at.map(|at| format!("{at}, by {by}")).as_deref())?;
    }
    Ok(())
}
