//! `dsnd suppressions add|remove`.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::list::table;
use super::{Filter, brief, open_store, output, person, stream_of, streams};
use crate::address::Mailbox;
use crate::config::Config;
use crate::policy::Reason;
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{
    self, ANY_STREAM, AuditOrigin, Entries, ManualEntry, Removal, Store, Streams, Suppression,
    SuppressionFilter,
};

/// Entries that a dry run shows.
const SAMPLE: u32 = 20;

/// `add`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Add {
    /// Addresses.
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// For so many days instead of for ever.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
    /// Only in this stream, by name or number, instead of in every one.
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    /// Also in place of a complaint, or of an entry that would last longer.
    #[arg(long)]
    force: bool,
    /// Why, for whoever looks at the entry later.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// One JSON object an address.
    #[arg(long)]
    json: bool,
}

/// `remove`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Remove {
    /// Addresses; with --stream, only their entries there.
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// Say what would be removed, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Remove what a filter matches without asking.
    #[arg(long)]
    yes: bool,
    /// One JSON object an address; with a filter, one.
    #[arg(long)]
    json: bool,
}

/// The answer for one address.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    address: &'a str,
    change: &'a str,
}

/// The answer for a filter.
#[derive(Debug, Serialize)]
struct Undone<'a> {
    dry_run: bool,
    /// How many entries match.
    matched: u64,
    /// How many were taken off the list.
    removed: u64,
    /// The first of those that match, in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<&'a [Suppression]>,
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

/// Puts addresses on the list.
pub(super) async fn add(config: &Config, arguments: Add) -> anyhow::Result<ExitCode> {
    let mailboxes = parse_all(&arguments.addresses)?;
    let stream = stream_of(&config.streams, arguments.stream.as_deref())?.unwrap_or(ANY_STREAM);
    let store = open_store(config, Access::Write).await?;
    let now = Timestamp::now();
    let own = async |mailbox: &Mailbox| {
        let standing = store.standing(&mailbox.comparison_form(), Some(stream), now).await?;
        anyhow::Ok(standing.into_iter().find(|entry| entry.stream == stream))
    };
    let expires_at = match arguments.days {
        Some(days) => Some(now.checked_add(SignedDuration::from_hours(24 * i64::from(days)))?),
        None => None,
    };
    if !arguments.force {
        for mailbox in &mailboxes {
            if let Some(entry) = own(mailbox).await?.filter(|entry| entry.outweighs(expires_at)) {
                store.close().await;
                anyhow::bail!("{}; nothing was changed", weightier(&config.streams, &entry));
            }
        }
    }
    let mut out = output::stdout();
    for mailbox in mailboxes {
        let address = mailbox.to_string();
        let before = own(&mailbox).await?;
        store
            .add(ManualEntry {
                address: address.clone(),
                address_key: mailbox.comparison_form(),
                stream,
                origin: AuditOrigin::Cli,
                actor: Some(person::person()),
                now,
                expires_at,
                note: arguments.note.clone(),
            })
            .await?;
        let change = match before {
            Some(_) if arguments.json => "changed".to_owned(),
            Some(Suppression { reason, expires_at: end, .. }) => {
                let (before, after) = (term(reason, end), term(Reason::Manual, expires_at));
                format!("changed: {before} -> {after}")
            }
            None => "added".to_owned(),
        };
        changed(&mut out, &address, &change, arguments.json)?;
    }
    out.flush()?;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// `hard until 2027-05-20T21:52:05Z`.
fn term(reason: Reason, end: Option<Timestamp>) -> String {
    let end = end.map_or_else(|| "for ever".to_owned(), |end| format!("until {end}"));
    format!("{} {end}", reason.as_str())
}

fn weightier(streams: &Streams, entry: &Suppression) -> String {
    let what = if entry.reason == Reason::Complaint { "a complaint" } else { "an entry that lasts longer" };
    format!("{} has {what} ({}); --force puts yours in its place", entry.address, brief(streams, entry))
}

/// Takes addresses off the list, or what a filter matches.
pub(super) async fn remove(config: &Config, arguments: &Remove) -> anyhow::Result<ExitCode> {
    let mailboxes = parse_all(&arguments.addresses)?;
    let filter = arguments.filter.resolve(config)?;
    let stream = filter.common.stream;
    let only_stream = store::Filter { stream, ..store::Filter::default() };
    let asks = filter.reason.is_some() || filter.common != only_stream;
    match (mailboxes.is_empty(), asks) {
        (false, true) => anyhow::bail!(
            "addresses and a filter exclude each other (only --stream goes with addresses); nothing was changed"
        ),
        (true, false) if stream.is_none() => {
            anyhow::bail!("say which: addresses, or a filter such as --since 2h or --domain example.com")
        }
        _ => {}
    }
    let access = if arguments.dry_run { Access::Read } else { Access::Write };
    let store = open_store(config, access).await?;
    let result = if mailboxes.is_empty() {
        undo(config, &store, arguments, filter).await
    } else {
        remove_each(&store, arguments, &mailboxes, stream).await
    };
    store.close().await;
    result
}

async fn remove_each(
    store: &SqliteStore,
    arguments: &Remove,
    mailboxes: &[Mailbox],
    stream: Option<i64>,
) -> anyhow::Result<ExitCode> {
    let mut out = output::stdout();
    let mut all_there = true;
    for mailbox in mailboxes {
        let address_key = mailbox.comparison_form();
        let (there, word) = if arguments.dry_run {
            let standing = store.entries_of(&address_key, stream, Timestamp::now()).await?;
            let there = standing.iter().any(|entry| stream.is_none_or(|stream| entry.stream == stream));
            (there, "would be removed")
        } else {
            let removal = Removal {
                address_key,
                stream,
                now: Timestamp::now(),
                origin: AuditOrigin::Cli,
                actor: Some(person::person()),
            };
            (store.remove(removal).await?, "removed")
        };
        all_there &= there;
        let word = if there { word } else { "not on the list" };
        changed(&mut out, &mailbox.to_string(), word, arguments.json)?;
    }
    out.flush()?;
    Ok(ExitCode::from(u8::from(!all_there)))
}

async fn undo(
    config: &Config,
    store: &SqliteStore,
    arguments: &Remove,
    filter: SuppressionFilter,
) -> anyhow::Result<ExitCode> {
    let now = Timestamp::now();
    let filter = SuppressionFilter { active_at: Some(now), spared: true, limit: SAMPLE, ..filter };
    let mut out = output::stdout();
    if arguments.dry_run {
        let matched = store.count(&filter).await?;
        let mut sample = store.suppressions(&filter).await?.items;
        sample.iter_mut().for_each(|entry| streams::name_entry(&config.streams, entry));
        if arguments.json {
            let undone = Undone { dry_run: true, matched, removed: 0, sample: Some(&sample) };
            output::json_line(&mut out, &undone)?;
        } else {
            writeln!(out, "{} would be removed", entries(matched))?;
            if !sample.is_empty() {
                table(&mut out, &config.streams, &sample, true)?;
            }
            let more = matched.saturating_sub(sample.len() as u64);
            if more > 0 {
                writeln!(out, "and {more} more")?;
            }
        }
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    if !arguments.yes {
        let matched = store.count(&filter).await?;
        let what = format!("Remove {} ({})", entries(matched), filter.in_words());
        person::sure(&what, matched == 0)?;
    }
    let removed = store.undo(filter, now, Some(person::person())).await?;
    if arguments.json {
        output::json_line(&mut out, &Undone { dry_run: false, matched: removed, removed, sample: None })?;
    } else {
        writeln!(out, "{} removed", entries(removed))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn entries(number: u64) -> String {
    format!("{number} {}", if number == 1 { "entry" } else { "entries" })
}

fn changed(out: &mut impl Write, address: &str, change: &str, json: bool) -> anyhow::Result<()> {
    if json {
        return output::json_line(out, &Changed { address, change });
    }
    writeln!(out, "{}: {change}", output::clean(address))?;
    Ok(())
}
