//! `dsnd suppressions check|list|add|remove`.

use std::io::{BufRead, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{FAILED, block_on, open_store, output};
use crate::address::Mailbox;
use crate::policy::Reason;
use crate::store::sqlite::Access;
use crate::store::{ManualEntry, Store, Suppression, SuppressionFilter};

/// Entries read at once while listing.
const PAGE: u32 = 500;

/// Verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Suppressions {
    /// Ask whether addresses are suppressed, and why.
    ///
    /// Exit status 0: none is. 1: at least one is. 2: it could not be told.
    Check(Check),
    /// List the entries, by address.
    List(List),
    /// Put addresses on the list by hand.
    Add(Add),
    /// Take addresses off the list, and forget what was counted against them.
    ///
    /// Exit status 0: all were on it. 1: at least one was not.
    Remove(Remove),
}

/// `check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Addresses; `-` reads them from standard input, one a line.
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// One JSON object an address.
    #[arg(long)]
    json: bool,
}

/// `list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only addresses at this domain.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Only entries for this reason.
    #[arg(long, value_enum)]
    reason: Option<ReasonWord>,
    /// Also entries whose time is over.
    #[arg(long)]
    all: bool,
    /// At most so many.
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// One JSON object an entry.
    #[arg(long)]
    json: bool,
}

/// `add`.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// Addresses.
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// For so many days instead of for ever.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
    /// Why, for whoever looks at the entry later.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// One JSON object an address.
    #[arg(long)]
    json: bool,
}

/// `remove`.
#[derive(Debug, Args)]
pub(super) struct Remove {
    /// Addresses.
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// One JSON object an address.
    #[arg(long)]
    json: bool,
}

/// A reason, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReasonWord {
    Soft,
    Hard,
    Manual,
    Complaint,
}

impl From<ReasonWord> for Reason {
    fn from(word: ReasonWord) -> Self {
        match word {
            ReasonWord::Soft => Self::Soft,
            ReasonWord::Hard => Self::Hard,
            ReasonWord::Manual => Self::Manual,
            ReasonWord::Complaint => Self::Complaint,
        }
    }
}

/// The answer of `check` for one address.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    address: &'a str,
    suppressed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<&'a Suppression>,
}

/// The answer of `add` and `remove` for one address.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    address: &'a str,
    change: &'static str,
}

/// Runs a verb.
pub(super) fn run(config: Option<&Path>, verb: Suppressions) -> anyhow::Result<ExitCode> {
    block_on(async {
        match verb {
            Suppressions::Check(arguments) => check(config, &arguments).await,
            Suppressions::List(arguments) => list(config, &arguments).await,
            Suppressions::Add(arguments) => add(config, arguments).await,
            Suppressions::Remove(arguments) => remove(config, &arguments).await,
        }
    })
}

async fn check(config: Option<&Path>, arguments: &Check) -> anyhow::Result<ExitCode> {
    let store = open_store(config, Access::Read).await?;
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
            let entry = store.suppression(&mailbox.comparison_form(), now).await?;
            suppressed |= entry.is_some();
            if arguments.json {
                let checked =
                    Checked { address: address.trim(), suppressed: entry.is_some(), entry: entry.as_ref() };
                output::json_line(&mut out, &checked)?;
            } else {
                print_checked(&mut out, address.trim(), entry.as_ref())?;
            }
        }
    }
    out.flush()?;
    store.close().await;
    Ok(ExitCode::from(if untold { FAILED } else { u8::from(suppressed) }))
}

fn print_checked(out: &mut impl Write, address: &str, entry: Option<&Suppression>) -> anyhow::Result<()> {
    let word = if entry.is_some() { "suppressed" } else { "ok" };
    let style = output::style_of(word);
    writeln!(out, "{}: {style}{word}{style:#}", output::clean(address))?;
    let Some(entry) = entry else { return Ok(()) };
    output::field(out, "reason", Some(&reason(entry)))?;
    output::field(out, "evidence", entry.evidence.as_deref())?;
    output::field(out, "rule", entry.rule.as_deref())?;
    output::field(out, "trust", entry.trust.as_deref())?;
    output::field(out, "note", entry.note.as_deref())?;
    output::field(out, "until", Some(&until(entry)))?;
    let seen = format!("{} times, first {}, last {}", entry.count, entry.first_seen, entry.last_seen);
    output::field(out, "seen", Some(&seen))?;
    output::field(out, "see", entry.bounce.map(|id| format!("dsnd bounces show {id}")).as_deref())?;
    Ok(())
}

fn reason(entry: &Suppression) -> String {
    let mut text = entry.reason.as_str().to_owned();
    for more in [&entry.class, &entry.status].into_iter().flatten() {
        text.push(' ');
        text.push_str(more);
    }
    text
}

fn until(entry: &Suppression) -> String {
    match entry.expires_at {
        Some(at) if entry.recheckable => format!("{at}, or until its host is found back"),
        Some(at) => at.to_string(),
        None => "for ever".to_owned(),
    }
}

async fn list(config: Option<&Path>, arguments: &List) -> anyhow::Result<ExitCode> {
    let store = open_store(config, Access::Read).await?;
    let mut left = arguments.limit.unwrap_or(u32::MAX);
    let mut filter = SuppressionFilter {
        active_at: (!arguments.all).then(Timestamp::now),
        domain: arguments.domain.as_deref().map(crate::address::domain_key),
        reason: arguments.reason.map(Reason::from),
        after: None,
        limit: PAGE,
    };
    let mut out = output::stdout();
    let mut first = true;
    while left > 0 {
        filter.limit = PAGE.min(left);
        let page = store.suppressions(&filter).await?;
        if arguments.json {
            for entry in &page {
                output::json_line(&mut out, entry)?;
            }
        } else if first || !page.is_empty() {
            let cells = |entry: &Suppression| {
                vec![
                    entry.address.clone(),
                    entry.reason.as_str().to_owned(),
                    entry.class.clone().unwrap_or_default(),
                    entry.status.clone().unwrap_or_default(),
                    entry.count.to_string(),
                    entry.last_seen.to_string(),
                    entry.expires_at.map_or_else(|| "never".to_owned(), |at| at.to_string()),
                    entry.trust.clone().unwrap_or_default(),
                ]
            };
            let headings = ["address", "reason", "class", "status", "count", "last seen", "expires", "trust"];
            output::rows(&mut out, &headings, page.iter().map(cells).collect(), first)?;
        }
        first = false;
        left -= u32::try_from(page.len()).unwrap_or(left).min(left);
        match page.last() {
            Some(last) if page.len() as u32 == filter.limit => filter.after = Some(last.address_key.clone()),
            _ => break,
        }
    }
    out.flush()?;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Every address, or the first that is none: nothing is changed then.
fn parse_all(addresses: &[String]) -> anyhow::Result<Vec<Mailbox>> {
    addresses
        .iter()
        .map(|address| {
            Mailbox::parse(address).with_context(|| format!("{address:?} is no address; nothing was changed"))
        })
        .collect()
}

async fn add(config: Option<&Path>, arguments: Add) -> anyhow::Result<ExitCode> {
    let mailboxes = parse_all(&arguments.addresses)?;
    let store = open_store(config, Access::Write).await?;
    let now = Timestamp::now();
    let expires_at = match arguments.days {
        Some(days) => Some(now.checked_add(SignedDuration::from_hours(24 * i64::from(days)))?),
        None => None,
    };
    let mut out = output::stdout();
    for mailbox in mailboxes {
        let address = mailbox.to_string();
        store
            .add(ManualEntry {
                address: address.clone(),
                address_key: mailbox.comparison_form(),
                now,
                expires_at,
                note: arguments.note.clone(),
            })
            .await?;
        changed(&mut out, &address, "added", arguments.json)?;
    }
    out.flush()?;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn remove(config: Option<&Path>, arguments: &Remove) -> anyhow::Result<ExitCode> {
    let mailboxes = parse_all(&arguments.addresses)?;
    let store = open_store(config, Access::Write).await?;
    let mut out = output::stdout();
    let mut all_there = true;
    for mailbox in mailboxes {
        let there = store.remove(&mailbox.comparison_form()).await?;
        all_there &= there;
        changed(
            &mut out,
            &mailbox.to_string(),
            if there { "removed" } else { "not on the list" },
            arguments.json,
        )?;
    }
    out.flush()?;
    store.close().await;
    Ok(ExitCode::from(u8::from(!all_there)))
}

fn changed(out: &mut impl Write, address: &str, change: &'static str, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json_line(out, &Changed { address, change });
    }
    writeln!(out, "{}: {change}", output::clean(address))?;
    Ok(())
}
