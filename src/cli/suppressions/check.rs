//! `dsnd suppressions check`.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;

use super::super::{FAILED, evidence};
use super::{brief, open_store, output, reason, stream_of, streams, until};
use crate::address::Mailbox;
use crate::config::Config;
use crate::store::sqlite::Access;
use crate::store::{Checked, Streams, check};

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
            if let Err(error) = Mailbox::parse(&address) {
                if argument == "-" && address.trim_start().starts_with('#') {
                    continue; // a remark, as in a list that is imported
                }
                output::error(&format!("{:?} is no address: {error}", address.trim()));
                untold = true;
                continue;
            }
            let address = address.trim();
            let asked = vec![address.to_owned()];
            let answers = check(&store, &config.policy, &config.streams, asked, stream, now).await?;
            let Some(answer) = answers.first() else { continue };
            if !answer.suppressed && lacks_key {
                output::error(&format!("{address}: nobody can tell without the hash key"));
                untold = true;
                continue;
            }
            suppressed |= answer.suppressed;
            if arguments.json {
                output::json_line(&mut out, answer)?;
            } else {
                writeln!(out, "{}", headline(address, &answer.summary))?;
                print(&mut out, &config.streams, answer)?;
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
    output::fitted("", &format!("{}: {style}{word}{style:#}{rest}", output::clean(address)), "  ")
}

fn print(out: &mut impl Write, streams: &Streams, answer: &Checked) -> anyhow::Result<()> {
    let Some(entry) = &answer.entry else { return Ok(()) };
    output::field(out, "reason", Some(&reason(entry)))?;
    let whole = answer.reply.as_deref().zip(entry.evidence.as_deref());
    match whole.and_then(|(text, words)| evidence::marked(text, words)) {
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
    for other in &answer.others {
        output::field(out, "also", Some(&brief(streams, other)))?;
    }
    output::field(out, "see", entry.bounce.map(|id| format!("dsnd bounces show {id}")).as_deref())?;
    let hold = answer.waits_in_hold.map(|id| format!("a bounce waits in hold {id}"));
    output::field(out, "hold", hold.as_deref())?;
    Ok(())
}
