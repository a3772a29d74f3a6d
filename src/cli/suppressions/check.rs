//! `dsnd suppressions check`.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::super::FAILED;
use super::{brief, open_store, output, reason, stream_of, streams, until};
use crate::address::Mailbox;
use crate::config::Config;
use crate::store::sqlite::Access;
use crate::store::{Store, Streams, Suppression};

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
            let hold = store.hold_of(&mailbox.comparison_form()).await?;
            suppressed |= !standing.is_empty();
            if arguments.json {
                let (entry, others) = (standing.first(), standing.get(1..).unwrap_or_default());
                let address = address.trim();
                let suppressed = entry.is_some();
                let checked = Checked { address, suppressed, entry, others, waits_in_hold: hold };
                output::json_line(&mut out, &checked)?;
            } else {
                print(&mut out, &config.streams, address.trim(), &standing, hold)?;
            }
        }
    }
    out.flush()?;
    store.close().await;
    Ok(ExitCode::from(if untold { FAILED } else { u8::from(suppressed) }))
}

fn print(
    out: &mut impl Write,
    streams: &Streams,
    address: &str,
    standing: &[Suppression],
    hold: Option<i64>,
) -> anyhow::Result<()> {
    let word = if standing.is_empty() { "ok" } else { "suppressed" };
    let waits = hold.map(|id| format!("; a bounce waits in hold {id}")).unwrap_or_default();
    let style = output::style_of(word);
    writeln!(out, "{}: {style}{word}{style:#}{waits}", output::clean(address))?;
    let [entry, others @ ..] = standing else { return Ok(()) };
    output::field(out, "reason", Some(&reason(entry)))?;
    output::field(out, "evidence", entry.evidence.as_deref())?;
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
