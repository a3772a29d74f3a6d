//! `dsnd suppressions check`.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::super::{FAILED, evidence};
use super::sentence::{self, Counted, progress};
use super::{brief, open_store, output, reason, stream_of, streams, until};
use crate::address::{Mailbox, comparison_form};
use crate::config::Config;
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{BounceEvent, Entries, Store, Streams, Suppression, ToldEvent, Watched};

/// `check`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Check {
    /// Addresses; `-` reads them from standard input, one a line.
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// The stream that is to be sent in, by name or number: entries of other streams do not count. Without it, every
    /// entry does.
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    /// One JSON object an address.
    #[arg(long)]
    json: bool,
}

/// The answer for one address.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    address: &'a str,
    suppressed: bool,
    /// The weightiest entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<&'a Suppression>,
    /// Those that suppress it as well.
    #[serde(skip_serializing_if = "<[Suppression]>::is_empty")]
    others: &'a [Suppression],
    /// The hold that a bounce of it waits in.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_in_hold: Option<i64>,
    /// How many unproven bounces of it wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_unproven: Option<u64>,
    /// The days that are counted against it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    counted: Vec<Counted>,
    /// The last report that mail to it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<&'a ToldEvent>,
    /// All of it in one sentence.
    summary: &'a str,
}

pub(super) async fn run(config: &Config, arguments: &Check) -> anyhow::Result<ExitCode> {
    let stream = stream_of(&config.streams, arguments.stream.as_deref())?;
    let store = open_store(config, Access::Read).await?;
    let lacks_key = store.lacks_hash_key().await?;
    let now = Timestamp::now();
    let mut out = output::stdout();
    let (mut suppressed, mut untold) = (false, false);
    for argument in &arguments.addresses {
        let addresses: Box<dyn Iterator<Item = std::io::Result<String>>> = if argument == "-" {
            // A line that is no UTF-8 is no address; it must not end the run.
            Box::new(
                std::io::stdin()
                    .lock()
                    .split(b'\n')
                    .map(|line| line.map(|line| String::from_utf8_lossy(&line).into_owned())),
            )
        } else {
            Box::new(std::iter::once(Ok(argument.clone())))
        };
        for address in addresses {
            let address = address.context("cannot read addresses from standard input")?;
            if address.trim().is_empty() && argument == "-" {
                continue;
            }
            let mailbox = match Mailbox::parse(&address) {
                Ok(mailbox) => mailbox,
                Err(error) => {
                    output::error(&format!("{:?} is no address: {error}", address.trim()));
                    untold = true;
                    continue;
                }
            };
            let mut standing = store.standing(&mailbox.comparison_form(), stream, now).await?;
            if standing.is_empty() && lacks_key {
                output::error(&format!("{}: cannot be told without the hash key", address.trim()));
                untold = true;
                continue;
            }
            standing.iter_mut().for_each(|entry| streams::name_entry(&config.streams, entry));
            let key = mailbox.comparison_form();
            let hold = store.hold_of(&key).await?;
            let watched = store.watched(&key, stream).await?;
            let counted = progress(&config.policy, &watched.counted, now);
            let decided = decided(&store, &key, standing.first(), &watched).await?;
            let summary = match standing.first() {
                Some(entry) => sentence::suppressed(entry, decided.as_ref()),
                None => sentence::ok(&watched, &counted, hold),
            };
            suppressed |= !standing.is_empty();
            let address = address.trim();
            if arguments.json {
                let (entry, others) = (standing.first(), standing.get(1..).unwrap_or_default());
                let checked = Checked {
                    address,
                    suppressed: entry.is_some(),
                    entry,
                    others,
                    waits_in_hold: hold,
                    waits_unproven: Some(watched.unproven).filter(|number| *number > 0),
                    counted,
                    last_failure: watched.last_failure.as_ref(),
                    summary: &summary,
                };
                output::json_line(&mut out, &checked)?;
            } else {
                writeln!(out, "{}", headline(address, &summary))?;
                print(&mut out, &config.streams, &standing, decided.as_ref())?;
                if let (Some(id), false) = (hold, standing.is_empty()) {
                    output::field(&mut out, "hold", Some(&format!("a bounce waits in hold {id}")))?;
                }
            }
        }
    }
    out.flush()?;
    store.close().await;
    Ok(ExitCode::from(if untold { FAILED } else { u8::from(suppressed) }))
}

/// `user@example.com: ok; …`, its word coloured.
pub(super) fn headline(address: &str, summary: &str) -> String {
    let word = summary.split(';').next().unwrap_or(summary);
    let style = output::style_of(word);
    let rest = output::clean(&summary[word.len()..]);
    format!("{}: {style}{word}{style:#}{rest}", output::clean(address))
}

/// The report about an address that made its entry, while it is kept.
pub(super) async fn decided(
    store: &SqliteStore,
    address_key: &str,
    entry: Option<&Suppression>,
    watched: &Watched,
) -> anyhow::Result<Option<BounceEvent>> {
    let Some(bounce) = entry.and_then(|entry| entry.bounce) else { return Ok(None) };
    if let Some(told) = watched.last_failure.as_ref().filter(|told| told.bounce == bounce) {
        return Ok(Some(told.event.clone()));
    }
    let bounce = store.bounce(bounce).await?;
    let events = bounce.into_iter().flat_map(|bounce| bounce.recipients);
    Ok(events.into_iter().find(|event| comparison_form(&event.recipient) == address_key))
}

fn print(
    out: &mut impl Write,
    streams: &Streams,
    standing: &[Suppression],
    decided: Option<&BounceEvent>,
) -> anyhow::Result<()> {
    let [entry, others @ ..] = standing else { return Ok(()) };
    output::field(out, "reason", Some(&reason(entry)))?;
    let whole = decided.and_then(|event| event.diagnostic_code.as_deref());
    let marked = whole.zip(entry.evidence.as_deref()).and_then(|(text, words)| evidence::marked(text, words));
    match marked {
        Some(marked) => output::styled_field(out, "evidence", &marked)?,
        None => output::field(out, "evidence", entry.evidence.as_deref())?,
    }
    output::field(out, "rule", entry.rule.as_deref())?;
    output::field(out, "trust", entry.trust.as_deref())?;
    output::field(out, "note", entry.note.as_deref())?;
    output::field(out, "stream", Some(&streams::reach(streams, entry.stream)))?;
    output::field(out, "until", Some(&until(entry)))?;
    let times = if entry.count == 1 { "time" } else { "times" };
    let seen = format!("{} {times}, first {}, last {}", entry.count, entry.first_seen, entry.last_seen);
    output::field(out, "seen", Some(&seen))?;
    for other in others {
        output::field(out, "also", Some(&brief(streams, other)))?;
    }
    output::field(out, "see", entry.bounce.map(|id| format!("dsnd bounces show {id}")).as_deref())?;
    Ok(())
}
