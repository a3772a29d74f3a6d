//! `dsnd quarantine list|approve|discard`.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use super::{block_on, filter, listing, open_store, output, person, streams};
use crate::address::comparison_form;
use crate::config::Config;
use crate::returnpath::network;
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{
    ChosenEvent, Outcome, QuarantineFilter, Quarantined, Settling, SettlingQueue, Store, Streams,
    TooManyEvents, Verdict,
};

/// The summary's word for events that were approved and did nothing.
const IDLE: &str = "changing nothing";

/// Verbs.
#[derive(Debug, Subcommand)]
pub(super) enum QuarantineVerb {
    /// List unproven bounces, the oldest first, a line a recipient.
    List(Box<List>),
    /// Approve unproven bounces: each does what it would have done when it came in.
    ///
    /// Terms and thresholds count from that day; existing entries are never shortened. A filter or --all leaves out those
    /// with the trust token_only, which came to the return path of another address: approve them by number, or with
    /// --trust token_only. Exit status 0: done. 1: an event that was named by its number did not wait, or names no valid address.
    Approve(Box<Settle>),
    /// Discard unproven bounces: they never change the list. They stay recorded.
    ///
    /// Exit status 0: done. 1: an event that was named by its number did not wait.
    Discard(Box<Settle>),
}

/// `list`.
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    filter: Filter,
    /// At most this many.
    #[arg(long, value_name = "N", default_value = "50")]
    limit: u32,
    /// One JSON object an event.
    #[arg(long)]
    json: bool,
}

/// `approve` and `discard`.
#[derive(Debug, Args)]
pub(super) struct Settle {
    /// Events by their numbers, as `dsnd quarantine list` shows them.
    #[arg(value_name = "EVENT", conflicts_with_all = ["bounce", "recipient", "peer", "domain", "class", "rule", "remote_mta", "listed_ip", "origin", "stream", "trust", "since", "until", "all"])]
    events: Vec<i64>,
    #[command(flatten)]
    filter: Filter,
    /// Every unproven bounce.
    #[arg(long)]
    all: bool,
    /// Say what would happen, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask, however many there are. In a pipe it is needed with a filter or --all.
    #[arg(long)]
    yes: bool,
    /// One JSON object an event.
    #[arg(long)]
    json: bool,
}

/// Which events; all conditions must hold.
#[derive(Debug, Args)]
struct Filter {
    /// Only those of this message, by the number that `dsnd bounces list` shows.
    #[arg(long, value_name = "ID")]
    bounce: Option<i64>,
    /// Only those about this address.
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// Only what clients in this network brought, such as 192.0.2.0/24, or this one.
    #[arg(long, value_name = "NETWORK|IP", value_parser = network)]
    peer: Option<IpNet>,
    #[command(flatten)]
    options: filter::Options,
}

impl Filter {
    /// The filter of the store.
    fn in_store(&self, config: &Config) -> anyhow::Result<QuarantineFilter> {
        Ok(QuarantineFilter {
            bounce: self.bounce,
            recipient_key: self.recipient.as_deref().map(comparison_form),
            common: self.options.resolve(config)?,
            peer: self.peer,
            ..QuarantineFilter::default()
        })
    }
}

/// What became of an event, as JSON.
#[derive(Debug, Serialize)]
struct Told<'a> {
    event: i64,
    bounce: Option<i64>,
    recipient: Option<&'a str>,
    /// What it did, or in a dry run would do; null where it was not settled.
    change: Option<&'static str>,
    /// Why it was not settled, or did nothing.
    problem: Option<String>,
    dry_run: bool,
}

/// Runs a verb.
pub(super) fn run(config: Option<&Path>, verb: &QuarantineVerb) -> anyhow::Result<ExitCode> {
    block_on(async {
        match verb {
            QuarantineVerb::List(arguments) => list(config, arguments).await,
            QuarantineVerb::Approve(arguments) => settle(config, arguments, Verdict::Approve).await,
            QuarantineVerb::Discard(arguments) => settle(config, arguments, Verdict::Discard).await,
        }
    })
}

async fn list(config: Option<&Path>, arguments: &List) -> anyhow::Result<ExitCode> {
    let config = Config::load_without_keys(config)?;
    let store = open_store(&config, Access::Read).await?;
    let filter = arguments.filter.in_store(&config)?;
    let mut out = output::stdout();
    let after = |last: Option<&Quarantined>| QuarantineFilter {
        after: last.map(|last| last.event),
        ..filter.clone()
    };
    let fetch = async |last: Option<&Quarantined>, limit: u32| {
        store.quarantined(&QuarantineFilter { limit, ..after(last) }).await
    };
    let count =
        async |last: Option<&Quarantined>| store.count_quarantined(&after(last), listing::COUNTED + 1).await;
    let headings =
        ["event", "bounce", "received", "recipient", "class", "decision", "trust", "stream", "client"];
    listing::list(arguments.limit, !arguments.json, fetch, count, |page, first| {
        page.iter_mut().for_each(|event| streams::name_waiting(&config.streams, event));
        if arguments.json {
            return page.iter().try_for_each(|event| output::json_line(&mut out, event));
        }
        let lines = page.iter().map(|event| cells(&config.streams, event)).collect();
        output::rows(&mut out, &headings, lines, first)
    })
    .await?;
    out.flush()?;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn cells(streams: &Streams, event: &Quarantined) -> Vec<String> {
    vec![
        event.event.to_string(),
        event.bounce.to_string(),
        event.received_at.to_string(),
        event.recipient.clone(),
        event.class.clone(),
        event.decision.clone(),
        event.trust.clone(),
        streams::label(streams, event.stream),
        event.peer.clone(),
    ]
}

async fn settle(config: Option<&Path>, arguments: &Settle, verdict: Verdict) -> anyhow::Result<ExitCode> {
    let by_number = !arguments.events.is_empty();
    let config = Config::load_without_keys(config)?;
    let mut filter = arguments.filter.in_store(&config)?;
    filter.approvable = verdict == Verdict::Approve;
    if !by_number && filter.is_empty() && !arguments.all {
        anyhow::bail!(
            "say which: numbers that `dsnd quarantine list` shows, a filter such as --domain, or --all"
        );
    }
    let store = open_store(&config, Access::Write).await?;
    let mut queue = if by_number {
        SettlingQueue::named(&arguments.events).map_err(|TooManyEvents { given, most }| {
            anyhow::anyhow!("{given} events at once are too many; name {most} at most, or use a filter")
        })?
    } else {
        ask(&store, arguments, &filter, verdict).await?;
        SettlingQueue::matching(filter)
    };
    let by = person::person();
    let mut out = output::stdout();
    let mut changes: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut left_alone = 0;
    let mut any = false;
    loop {
        let batch = queue.next(&store).await?;
        if batch.is_empty() {
            break;
        }
        any = true;
        let settling = Settling {
            events: batch.iter().map(|chosen| chosen.event).collect(),
            verdict,
            by: by.clone(),
            at: Timestamp::now(),
            dry_run: arguments.dry_run,
        };
        let outcomes = store.settle(settling).await?;
        for (chosen, outcome) in batch.iter().zip(outcomes) {
            match &outcome {
                Outcome::Settled(change) => *changes.entry(change.as_str()).or_default() += 1,
                Outcome::Idle(_) => *changes.entry(IDLE).or_default() += 1,
                _ => left_alone += 1,
            }
            tell(&mut out, chosen, &outcome, arguments)?;
        }
    }
    if !arguments.json && !any {
        writeln!(out, "no unproven bounce matches; `dsnd quarantine list` shows those there are")?;
    }
    if !arguments.json && any {
        writeln!(out, "{}", summary(verdict, arguments.dry_run, &changes, left_alone))?;
    }
    out.flush()?;
    store.close().await;
    let missed = by_number && left_alone > 0;
    Ok(ExitCode::from(u8::from(missed)))
}

/// Says how many a filter matches, and asks before they are settled.
async fn ask(
    store: &SqliteStore,
    arguments: &Settle,
    filter: &QuarantineFilter,
    verdict: Verdict,
) -> anyhow::Result<()> {
    if arguments.dry_run || arguments.yes {
        return Ok(());
    }
    let count = store.count_quarantined(filter, u32::MAX).await?;
    if count == 0 {
        return Ok(());
    }
    let verb = if verdict == Verdict::Approve { "Approve" } else { "Discard" };
    let what = format!("{verb} {} (--dry-run shows what that does)", output::counted(count, "bounce"));
    person::sure(&what, false)
}

fn tell(
    out: &mut impl Write,
    chosen: &ChosenEvent,
    outcome: &Outcome,
    arguments: &Settle,
) -> anyhow::Result<()> {
    let (change, problem) = (outcome.change(), outcome.problem());
    let ChosenEvent { event, bounce, recipient, .. } = chosen;
    if arguments.json {
        let recipient = recipient.as_deref();
        let told =
            Told { event: *event, bounce: *bounce, recipient, change, problem, dry_run: arguments.dry_run };
        return output::json_line(out, &told);
    }
    let about = recipient.as_ref().map(|recipient| format!(" {recipient}")).unwrap_or_default();
    let said = problem.or_else(|| change.map(str::to_owned)).unwrap_or_default();
    writeln!(out, "{event}{}: {}", output::clean(&about), output::clean(&said))?;
    Ok(())
}

/// `approved 3: 2 suppressed, 1 counted; 1 left alone`.
fn summary(
    verdict: Verdict,
    dry_run: bool,
    changes: &BTreeMap<&'static str, usize>,
    left_alone: usize,
) -> String {
    let verb = match (verdict, dry_run) {
        (Verdict::Approve, false) => "approved",
        (Verdict::Approve, true) => "would approve",
        (Verdict::Discard, false) => "discarded",
        (Verdict::Discard, true) => "would discard",
    };
    let mut said = format!("{verb} {}", changes.values().sum::<usize>());
    if verdict == Verdict::Approve && !changes.is_empty() {
        let each: Vec<_> = changes.iter().map(|(change, count)| format!("{count} {change}")).collect();
        said.push_str(&format!(": {}", each.join(", ")));
    }
    if left_alone > 0 {
        said.push_str(&format!("; {left_alone} left alone"));
    }
    said
}
