//! `dsnd holds list|show|release|discard`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::person::{self, person};
use super::{block_on, filter, listing, open_store, output};
use crate::config::Config;
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{HeldEvent, Hold, HoldFilter, HoldVerdict, Store, open_holds, settle_whole_hold};

/// Verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Holds {
    /// List what is held back, the newest first.
    List(Box<List>),
    /// Show one hold and the events in it, the oldest first.
    ///
    /// `came before` is the command that takes off the list what came through within the hour before it opened.
    ///
    /// Exit status 0, or 1 when there is no such hold.
    Show(Show),
    /// Let what is held through: every event does what it would have done when it came in.
    ///
    /// The key is not held again for breaker.pass_hours. A release that was cut short is finished by the next one.
    /// Exit status 0, or 1 when a hold is not there or settled already.
    Release(Settle),
    /// Decide that what is held shall change nothing.
    ///
    /// What came through before the hold opened is still on the list; the command that takes it off is said.
    ///
    /// Exit status 0, or 1 when a hold is not there or settled already.
    Discard(Settle),
}

/// `list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Also holds that were released or discarded.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: filter::Options,
    /// At most this many.
    #[arg(long, value_name = "N", default_value = "50")]
    limit: u32,
    /// One JSON object a hold.
    #[arg(long)]
    json: bool,
}

/// `show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The number of the hold, as listed.
    id: i64,
    /// At most this many events.
    #[arg(long, value_name = "N", default_value = "50")]
    limit: u32,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// `release` and `discard`.
#[derive(Debug, Args)]
pub(super) struct Settle {
    /// Numbers of holds, as listed.
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "ID")]
    ids: Vec<i64>,
    /// Every open hold.
    #[arg(long)]
    all: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
    /// One JSON object a hold.
    #[arg(long)]
    json: bool,
}

/// A hold with what is in it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    hold: &'a Hold,
    events: &'a [HeldEvent],
}

/// What became of one hold.
#[derive(Debug, Serialize)]
struct Settled<'a> {
    hold: i64,
    /// `released`, `discarded`, `would be released`, `would be discarded`, `settled already`, `no such hold`.
    state: &'a str,
    /// Events settled by this command, or that would be.
    events: u64,
    /// Those of them that suppress their address now; null where nothing was tried.
    suppressed: Option<u64>,
}

/// Runs a verb.
pub(super) fn run(config: Option<&Path>, verb: &Holds) -> anyhow::Result<ExitCode> {
    block_on(async {
        match verb {
            Holds::List(arguments) => list(config, arguments).await,
            Holds::Show(arguments) => show(config, arguments).await,
            Holds::Release(arguments) => settle(config, arguments, HoldVerdict::Release).await,
            Holds::Discard(arguments) => settle(config, arguments, HoldVerdict::Discard).await,
        }
    })
}

async fn list(config: Option<&Path>, arguments: &List) -> anyhow::Result<ExitCode> {
    let config = Config::load_without_keys(config)?;
    let store = open_store(&config, Access::Read).await?;
    let filter = HoldFilter {
        all: arguments.all,
        common: arguments.filter.resolve(&config)?,
        ..HoldFilter::default()
    };
    let mut out = output::stdout();
    let after = |last: Option<&Hold>| HoldFilter { before: last.map(|last| last.id), ..filter.clone() };
    let fetch = async |last: Option<&Hold>, limit| store.holds(&HoldFilter { limit, ..after(last) }).await;
    let count = async |last: Option<&Hold>| store.count_holds(&after(last), listing::COUNTED + 1).await;
    let headings = ["id", "kind", "name", "state", "waiting", "held", "opened", "why"];
    listing::list(arguments.limit, !arguments.json, fetch, count, |page, first| {
        if arguments.json {
            return page.iter().try_for_each(|hold| output::json_line(&mut out, hold));
        }
        let cells = |hold: &Hold| {
            vec![
                hold.id.to_string(),
                hold.kind.clone(),
                hold.name.clone(),
                hold.state.clone(),
                hold.waiting.to_string(),
                hold.held.to_string(),
                hold.opened_at.to_string(),
                hold.why.clone(),
            ]
        };
        output::rows(&mut out, &headings, page.iter().map(cells).collect(), first)
    })
    .await?;
    out.flush()?;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn show(config: Option<&Path>, arguments: &Show) -> anyhow::Result<ExitCode> {
    let config = Config::load_without_keys(config)?;
    let store = open_store(&config, Access::Read).await?;
    let Some(hold) = store.hold(arguments.id).await? else {
        output::error(&format!(
            "there is no hold {}; `dsnd holds list --all` shows those there are",
            arguments.id
        ));
        return Ok(ExitCode::FAILURE);
    };
    let mut out = output::stdout();
    if !arguments.json {
        print(&mut out, &hold)?;
    }
    let fetch = async |last: Option<&HeldEvent>, limit: u32| {
        let after = last.map_or(0, |last| last.event);
        store.held(hold.id, after, limit).await
    };
    let count =
        async |_: Option<&HeldEvent>| Ok(hold.held.unsigned_abs().saturating_sub(u64::from(arguments.limit)));
    let mut events = Vec::new(); // of the one JSON object
    listing::list(arguments.limit, !arguments.json, fetch, count, |page, first| {
        if arguments.json {
            events.extend_from_slice(page);
            return Ok(());
        }
        table(&mut out, page, first)
    })
    .await?;
    if arguments.json {
        output::json_line(&mut out, &Shown { hold: &hold, events: &events })?;
    }
    out.flush()?;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn print(out: &mut impl Write, hold: &Hold) -> anyhow::Result<()> {
    let bold = anstyle::Style::new().bold();
    writeln!(out, "{bold}hold {}{bold:#}: {}", hold.id, hold.state)?;
    output::field(out, &hold.kind.replace('_', " "), Some(&hold.name))?;
    output::field(out, "opened", Some(&hold.opened_at.to_string()))?;
    output::field(out, "because of", Some(&hold.why))?;
    let only = "only what may end by itself: dead domains, hosts that are not reached";
    output::field(out, "holds", hold.recheckable_only.then_some(only))?;
    let count = format!("{}; {} wait, about {} addresses", hold.held, hold.waiting, hold.addresses);
    output::field(out, "events", Some(&count))?;
    let by = hold.settled_by.as_deref().unwrap_or("unknown");
    let undo = (hold.state != "released").then(|| output::clean(&hold.undo()));
    output::field(out, "came before", undo.as_deref())?;
    output::field(out, "settled", hold.settled_at.map(|at| format!("{at} by {by}")).as_deref())?;
    writeln!(out)?;
    Ok(())
}

fn table(out: &mut impl Write, events: &[HeldEvent], first: bool) -> anyhow::Result<()> {
    let cells = |event: &HeldEvent| {
        vec![
            event.event.to_string(),
            event.bounce.to_string(),
            event.received_at.to_string(),
            event.recipient.clone(),
            event.class.clone(),
            event.change.clone(),
            event.evidence.clone(),
        ]
    };
    let headings = ["event", "bounce", "received", "recipient", "class", "change", "evidence"];
    output::rows(out, &headings, events.iter().map(cells).collect(), first)
}

async fn settle(config: Option<&Path>, arguments: &Settle, verdict: HoldVerdict) -> anyhow::Result<ExitCode> {
    let config = Config::load_without_keys(config)?;
    // A dry run of a release does it all and takes it back.
    let reads = arguments.dry_run && verdict == HoldVerdict::Discard;
    let store = open_store(&config, if reads { Access::Read } else { Access::Write }).await?;
    let mut ids = arguments.ids.clone();
    if arguments.all {
        ids = open_holds(&store).await?.iter().rev().map(|hold| hold.id).collect();
    }
    if !arguments.dry_run {
        let mut waiting = 0;
        for id in &ids {
            let hold = store.hold(*id).await?.filter(|hold| hold.state == "open");
            waiting += hold.map_or(0, |hold| hold.waiting.unsigned_abs());
        }
        let verb = if verdict == HoldVerdict::Release { "Release" } else { "Discard" };
        let holds = output::counted(ids.len() as u64, "hold");
        let question = format!("{verb} {holds} with {}", output::counted(waiting, "event"));
        person::sure(&question, arguments.yes || waiting == 0)?;
    }
    let mut out = output::stdout();
    let mut all_settled = true;
    for id in ids {
        let hold = store.hold(id).await?;
        let undo = hold.as_ref().map(Hold::undo).filter(|_| verdict == HoldVerdict::Discard);
        let (settled, done) = match hold {
            None => (Settled { hold: id, state: "no such hold", events: 0, suppressed: None }, false),
            Some(hold) if hold.state != "open" => {
                (Settled { hold: id, state: "settled already", events: 0, suppressed: None }, false)
            }
            Some(hold) if reads => {
                let events = hold.waiting.unsigned_abs();
                (Settled { hold: id, state: "would be discarded", events, suppressed: None }, true)
            }
            Some(_) => settle_all(&store, id, verdict, arguments.dry_run).await?,
        };
        all_settled &= done;
        if arguments.json {
            output::json_line(&mut out, &settled)?;
        } else {
            let suppressed = settled.suppressed.filter(|_| verdict == HoldVerdict::Release);
            let verb = if arguments.dry_run { "would suppress" } else { "suppress" };
            let suppressed =
                suppressed.map(|count| format!("; {count} of them {verb} their address")).unwrap_or_default();
            let events =
                if done { format!(", {} events{suppressed}", settled.events) } else { String::new() };
            writeln!(out, "hold {id}: {}{events}", settled.state)?;
            if let Some(undo) = undo.filter(|_| done) {
                writeln!(
                    out,
                    "what came before it is still on the list; to take it off: {}",
                    output::clean(&undo)
                )?;
            }
        }
    }
    out.flush()?;
    store.close().await;
    Ok(if all_settled { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Settles a hold; true when this command closed it.
async fn settle_all(
    store: &SqliteStore,
    id: i64,
    verdict: HoldVerdict,
    dry_run: bool,
) -> anyhow::Result<(Settled<'static>, bool)> {
    let settled = settle_whole_hold(store, id, verdict, &person(), dry_run).await?;
    let state = match verdict {
        _ if !settled.closed => "settled already",
        HoldVerdict::Release if dry_run => "would be released",
        HoldVerdict::Release => "released",
        HoldVerdict::Discard => "discarded",
    };
    let told = Settled { hold: id, state, events: settled.events, suppressed: Some(settled.suppressed) };
    Ok((told, settled.closed))
}
