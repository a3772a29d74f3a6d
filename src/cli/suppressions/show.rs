//! `dsnd suppressions show`: the whole story of an address.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::check::headline;
use super::{brief, open_store, output, streams};
use crate::address::Mailbox;
use crate::config::Config;
use crate::store::sqlite::Access;
use crate::store::{
    AuditRow, Checked, Store, Story, StoryPlace, Streams, Suppression, ToldEvent, check, reply,
};

/// How many changes, and how many reports, are told: the newest.
const TOLD: u32 = 1_000;

/// `show`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// The address.
    address: String,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    address: &'a str,
    suppressed: bool,
    entries: &'a [Suppression],
    changes: &'a [AuditRow],
    events: &'a [ToldEvent],
    /// There are older changes or events.
    cut: bool,
    /// How many unproven bounces of it wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_unproven: Option<u64>,
    /// What it comes to, in one sentence.
    summary: &'a str,
}

/// Tells the story.
pub(super) async fn run(config: &Config, arguments: &Show) -> anyhow::Result<ExitCode> {
    let mailbox = Mailbox::parse(&arguments.address)
        .with_context(|| format!("{:?} is no address", arguments.address))?;
    let store = open_store(config, Access::Read).await?;
    let key = mailbox.comparison_form();
    let mut story = store.story(&key, StoryPlace::default(), TOLD).await?;
    let now = Timestamp::now();
    let asked = vec![mailbox.to_string()];
    let mut answers = check(&store, &config.policy, &config.streams, asked, None, now).await?;
    let Some(Checked { address, suppressed, summary, waits_unproven, .. }) = answers.pop() else {
        anyhow::bail!("there is no answer");
    };
    store.close().await;
    streams::name_story(&config.streams, &mut story);
    let mut out = output::stdout();
    if arguments.json {
        let shown = Shown {
            address: &address,
            suppressed,
            entries: &story.entries,
            changes: &story.changes,
            events: &story.events,
            cut: story.older.is_some(),
            waits_unproven,
            summary: &summary,
        };
        output::json_line(&mut out, &shown)?;
    } else if story.is_empty() {
        writeln!(out, "{}: nothing is known of it", output::clean(&address))?;
    } else {
        writeln!(out, "{}", headline(&address, &summary))?;
        print(&mut out, &config.streams, &story, now)?;
    }
    out.flush()?;
    Ok(ExitCode::from(u8::from(story.is_empty())))
}

fn stands(entry: &Suppression, now: Timestamp) -> bool {
    entry.expires_at.is_none_or(|end| end > now)
}

fn print(out: &mut impl Write, streams: &Streams, story: &Story, now: Timestamp) -> anyhow::Result<()> {
    for entry in &story.entries {
        let label = if stands(entry, now) { "entry" } else { "was suppressed" };
        output::field(out, label, Some(&brief(streams, entry)))?;
    }
    if story.older.is_some() {
        output::field(out, "left out", Some("what is older"))?;
    }
    writeln!(out)?;
    let mut lines: Vec<(Timestamp, Vec<String>)> = Vec::new();
    lines.extend(story.events.iter().map(|told| (told.received_at, event_line(streams, told))));
    lines.extend(story.changes.iter().map(|change| (change.at, change_line(streams, change))));
    lines.sort_by_key(|line| line.0); // stable: a report stands before what it changed
    let headings = ["time", "what", "details", "by", "why", "stream"];
    output::rows(out, &headings, lines.into_iter().map(|line| line.1).collect(), true)
}

fn event_line(streams: &Streams, told: &ToldEvent) -> Vec<String> {
    let event = &told.event;
    let status = event.effective_status.as_ref().map(|status| format!(" {status}")).unwrap_or_default();
    vec![
        told.received_at.to_string(),
        "report".to_owned(),
        match event.decision.as_str() {
            "sender" => format!("{}{status}: our fault; list unchanged", event.class),
            decision => format!("{}{status}: {decision} ({})", event.class, event.change),
        },
        format!("bounce {}, {}", told.bounce, event.trust),
        reply(event),
        streams::label(streams, event.stream),
    ]
}

fn change_line(streams: &Streams, change: &AuditRow) -> Vec<String> {
    let details = match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!("{} -> {}", told(before), told(after)),
        (Some(entry), None) | (None, Some(entry)) => told(entry),
        (None, None) => String::new(),
    };
    let by = match (&change.actor, change.bounce) {
        (Some(actor), Some(bounce)) => format!("{actor} ({}), bounce {bounce}", change.origin),
        (Some(actor), None) => format!("{actor} ({})", change.origin),
        (None, Some(bounce)) => format!("bounce {bounce}"),
        (None, None) => change.origin.clone(),
    };
    vec![
        change.at.to_string(),
        change.action.clone(),
        details,
        by,
        change.why.clone().unwrap_or_default(),
        streams::reach(streams, change.stream),
    ]
}

/// An entry of the history in few words.
fn told(entry: &Value) -> String {
    let text = |key: &str| entry[key].as_str();
    let reason = text("reason").unwrap_or_default();
    let class = text("class").filter(|class| *class != reason);
    let class = class.map(|class| format!(" {class}")).unwrap_or_default();
    match text("expires_at") {
        Some(end) => format!("{reason}{class} until {end}"),
        None => format!("{reason}{class} for ever"),
    }
}
