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
    EventChange, Idle, Outcome, Page, QuarantineFilter, Quarantined, Settling, Store, Streams, Verdict,
};

/// Events read at once while listing.
const PAGE: u32 = 500;

/// Events settled in one transaction, so that bounces that come in meanwhile need not wait long.
const BATCH: usize = 500;

/// The most, where that keeps the events about one address together: what one does depends on those before.
const LARGEST_BATCH: usize = 4_000;

/// The summary's word for events that were approved and did nothing.
const IDLE: &str = "changing nothing";

/// Verbs.
#[derive(Debug, Subcommand)]
pub(super) enum QuarantineVerb {
    /// List unproven bounces, the oldest first, a line a recipient.
    List(Box<List>),
    /// Approve unproven bounces: each does what it would have done when it came in.
    ///
    /// Terms and thresholds count from that day; existing entries are never shortened. Exit status 0: done.
    /// 1: an event that was named by its number did not wait, or names no valid address.
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
    /// At most so many.
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
    fn in_store(&self, streams: &Streams) -> anyhow::Result<QuarantineFilter> {
        Ok(QuarantineFilter {
            bounce: self.bounce,
            recipient_key: self.recipient.as_deref().map(comparison_form),
            common: self.options.resolve(streams)?,
            peer: self.peer,
            limit: PAGE,
            ..QuarantineFilter::default()
        })
    }
}

/// Whether everything that waits is meant.
fn is_empty(filter: &QuarantineFilter) -> bool {
    let QuarantineFilter { bounce, recipient_key, common, peer, .. } = filter;
    bounce.is_none() && recipient_key.is_none() && peer.is_none() && common.is_empty()
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

/// An event to settle; the rest is known where it was found by a filter.
struct Chosen {
    event: i64,
    bounce: Option<i64>,
    recipient: Option<String>,
    recipient_key: String,
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
    let filter = arguments.filter.in_store(&config.streams)?;
    let mut out = output::stdout();
    let after = |last: Option<&Quarantined>| QuarantineFilter {
        after: last.map(|last| last.event),
        ..filter.clone()
    };
    let fetch = async |last: Option<&Quarantined>, limit: u32| {
        let filter = QuarantineFilter { limit: limit.saturating_add(1), ..after(last) };
        Ok(Page::cut(store.quarantined(&filter).await?, limit))
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
    let filter = arguments.filter.in_store(&config.streams)?;
    if !by_number && is_empty(&filter) && !arguments.all {
        anyhow::bail!(
            "say which: numbers that `dsnd quarantine list` shows, a filter such as --domain, or --all"
        );
    }
    let store = open_store(&config, Access::Write).await?;
    let mut queue = if by_number {
        Queue::named(&arguments.events)?
    } else {
        ask(&store, arguments, &filter, verdict).await?;
        Queue::matching(filter)
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

/// Events to settle, of which no more than a transaction's worth is held at once.
struct Queue {
    chosen: Vec<Chosen>,
    /// Where the next page begins; `None` when there is none.
    filter: Option<QuarantineFilter>,
}

impl Queue {
    /// Events that were named by their numbers, each once; all in one transaction.
    fn named(numbers: &[i64]) -> anyhow::Result<Self> {
        let mut numbers = numbers.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() > LARGEST_BATCH {
            anyhow::bail!(
                "{} events at once are too many; name {LARGEST_BATCH} at most, or use a filter",
                numbers.len()
            );
        }
        let chosen = |event| Chosen { event, bounce: None, recipient: None, recipient_key: String::new() };
        Ok(Self { chosen: numbers.into_iter().map(chosen).collect(), filter: None })
    }

    /// What a filter finds: address by address, each in the order in which it came in.
    fn matching(filter: QuarantineFilter) -> Self {
        Self { chosen: Vec::new(), filter: Some(QuarantineFilter { by_address: true, ..filter }) }
    }

    /// The events of the next transaction; none at the end. It ends between addresses where it can be done: a dry
    /// run, which takes each back, then counts as the run itself does.
    async fn next(&mut self, store: &SqliteStore) -> anyhow::Result<Vec<Chosen>> {
        while self.filter.is_some()
            && whole(&self.chosen) == self.chosen.len()
            && self.chosen.len() < LARGEST_BATCH
        {
            self.read(store).await?;
        }
        let end = match self.filter {
            None if self.chosen.iter().all(|chosen| chosen.recipient_key.is_empty()) => self.chosen.len(),
            _ => whole(&self.chosen),
        };
        let rest = self.chosen.split_off(end.min(LARGEST_BATCH));
        Ok(std::mem::replace(&mut self.chosen, rest))
    }

    async fn read(&mut self, store: &SqliteStore) -> anyhow::Result<()> {
        let Some(mut filter) = self.filter.take() else { return Ok(()) };
        let page = store.quarantined(&filter).await?;
        if let Some(last) = page.last()
            && page.len() as u32 == filter.limit
        {
            filter.after_address = Some((last.recipient_key.clone(), last.received_at, last.event));
            self.filter = Some(filter);
        }
        self.chosen.extend(page.into_iter().map(|event| Chosen {
            event: event.event,
            bounce: Some(event.bounce),
            recipient: Some(event.recipient).filter(|recipient| !recipient.is_empty()),
            recipient_key: event.recipient_key,
        }));
        Ok(())
    }
}

/// How many from the beginning make a transaction that ends between addresses, where it can be done.
fn whole(chosen: &[Chosen]) -> usize {
    let mut end = BATCH.min(chosen.len());
    while end > 0
        && end < chosen.len()
        && end < LARGEST_BATCH
        && !chosen[end].recipient_key.is_empty()
        && chosen[end].recipient_key == chosen[end - 1].recipient_key
    {
        end += 1;
    }
    end
}

fn tell(out: &mut impl Write, chosen: &Chosen, outcome: &Outcome, arguments: &Settle) -> anyhow::Result<()> {
    let (change, problem) = match outcome {
        Outcome::Settled(change) => (Some(change.as_str()), None),
        Outcome::Idle(idle) => (Some(EventChange::None.as_str()), Some(why_idle(*idle).to_owned())),
        Outcome::NoAddress => (None, Some("names no valid address, so it cannot be approved".to_owned())),
        Outcome::NotWaiting { change, at, by } => (None, Some(settled_before(change, *at, by.as_deref()))),
        Outcome::Missing => (None, Some("there is no such event".to_owned())),
    };
    let Chosen { event, bounce, recipient, .. } = chosen;
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

const fn why_idle(idle: Idle) -> &'static str {
    match idle {
        Idle::TermOver => "changes nothing: its term is over",
        Idle::ToldBefore => "changes nothing: the same report has counted already",
        Idle::NotTheAddress => "changes nothing for the address",
    }
}

fn settled_before(change: &str, at: Option<Timestamp>, by: Option<&str>) -> String {
    match (at, by) {
        (Some(at), Some(by)) => format!("does not wait: {change} since {at}, by {by}"),
        _ => format!("does not wait: {change}"),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_about_one_address_stay_in_one_transaction() {
        let chosen =
            |event, key: &str| Chosen { event, bounce: None, recipient: None, recipient_key: key.to_owned() };
        let mut all: Vec<_> = (0..499).map(|event| chosen(event, "")).collect();
        all.extend((499..600).map(|event| chosen(event, "a@x.example")));
        all.extend((600..700).map(|event| chosen(event, "b@x.example")));
        assert_eq!((whole(&all), whole(&all[600..])), (600, 100));
        let flood: Vec<_> = (0..5_000).map(|event| chosen(event, "a@x.example")).collect();
        assert_eq!(whole(&flood), LARGEST_BATCH, "and no transaction is without bounds");
        assert_eq!(whole(&[]), 0);
        let numbers: Vec<i64> = (1..=600).collect();
        assert_eq!(Queue::named(&numbers).unwrap().chosen.len(), 600, "those named are settled together");
        assert!(Queue::named(&(0..5_000).collect::<Vec<_>>()).is_err());
    }
}
