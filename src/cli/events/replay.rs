//! `dsnd events replay|test`: events that a webhook gets once more, and one that tells of nothing.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use clap::{ArgGroup, Args};
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::{open_store, output, person};
use crate::config::Config;
use crate::events::{self, Answer, Endpoint, HttpReceiver};
use crate::store::Outbox;
use crate::store::sqlite::Access;
use crate::when;

/// `replay`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["dead", "since", "id"]))]
pub(in crate::cli) struct Replay {
    /// Only for this webhook; otherwise for each that is configured.
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// What was given up.
    #[arg(long)]
    dead: bool,
    /// What was written at this time or later: 2026-11-21, 2026-11-21T20:00:00Z, or how long ago, such as 2h or 3d.
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    since: Option<Timestamp>,
    /// This event.
    #[arg(long, value_name = "N")]
    id: Option<i64>,
    /// Say how many events would be brought again, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask. In a pipe it is needed.
    #[arg(long)]
    yes: bool,
    /// One JSON object a webhook.
    #[arg(long)]
    json: bool,
}

/// `test`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Test {
    /// The webhook; may be left out where there is one alone.
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// What a webhook gets again.
#[derive(Debug, Serialize)]
struct Brought<'a> {
    webhook: &'a str,
    events: u64,
    dry_run: bool,
}

/// What a webhook says to a test event.
#[derive(Debug, Serialize)]
struct Tested<'a> {
    webhook: &'a str,
    taken: bool,
    error: Option<String>,
    milliseconds: u128,
}

/// The webhooks that are meant: the one that is named, or all.
fn chosen<'a>(config: &'a Config, named: Option<&str>) -> anyhow::Result<Vec<&'a Endpoint>> {
    let all = &config.webhooks;
    anyhow::ensure!(!all.is_empty(), "no [[webhook]] is configured");
    let Some(named) = named else { return Ok(all.iter().collect()) };
    if let Some(endpoint) = all.iter().find(|endpoint| endpoint.name == named) {
        return Ok(vec![endpoint]);
    }
    let names: Vec<&str> = all.iter().map(|endpoint| endpoint.name.as_str()).collect();
    anyhow::bail!("{named:?} is no webhook; there are {}", names.join(", "))
}

pub(super) async fn replay(config: &Config, arguments: &Replay) -> anyhow::Result<ExitCode> {
    let chosen = chosen(config, arguments.endpoint.as_deref())?;
    let what = match (arguments.since, arguments.id) {
        (Some(since), _) => events::Replay::Since(since),
        (None, Some(id)) => events::Replay::Event(id),
        (None, None) => events::Replay::Dead,
    };
    let access = if arguments.dry_run { Access::Read } else { Access::Write };
    let store = open_store(config, access).await?;
    if let Some(id) = arguments.id
        && store.outbox_event(id).await?.is_none()
    {
        store.close().await;
        anyhow::bail!("there is no event {id}");
    }
    let mut counts = Vec::with_capacity(chosen.len());
    for endpoint in chosen {
        counts.push((endpoint, what.count(&store, endpoint).await?));
    }
    let total: u64 = counts.iter().map(|(_, events)| events).sum();
    if total > 0 && !arguments.dry_run {
        person::sure(&what_again(&counts), arguments.yes)?;
    }
    let mut out = output::stdout();
    for (endpoint, events) in counts {
        if !arguments.dry_run {
            what.run(&store, endpoint).await?;
        }
        let webhook = endpoint.name.as_str();
        if arguments.json {
            output::json_line(&mut out, &Brought { webhook, events, dry_run: arguments.dry_run })?;
        } else {
            let are = match (arguments.dry_run, events) {
                (true, _) => "would be",
                (false, 1) => "is",
                (false, _) => "are",
            };
            writeln!(out, "{webhook}: {} {are} brought again", output::counted(events, "event"))?;
        }
    }
    out.flush()?;
    store.close().await;
    Ok(if total == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn what_again(counts: &[(&Endpoint, u64)]) -> String {
    let each = counts
        .iter()
        .map(|(endpoint, events)| format!("{} to {}", output::counted(*events, "event"), endpoint.name));
    format!("Bring {} again", each.collect::<Vec<_>>().join(", "))
}

pub(super) async fn test(config: &Config, arguments: &Test) -> anyhow::Result<ExitCode> {
    let chosen = chosen(config, arguments.endpoint.as_deref())?;
    let [endpoint] = chosen[..] else {
        let names: Vec<&str> = chosen.iter().map(|endpoint| endpoint.name.as_str()).collect();
        anyhow::bail!("which webhook? --endpoint names one of {}", names.join(", "));
    };
    let receiver = HttpReceiver::new(endpoint.clone())?;
    let started = Instant::now();
    let error = match receiver.test().await {
        Answer::Taken => None,
        Answer::Refused { error, .. } => Some(error),
    };
    let (webhook, milliseconds, taken) =
        (endpoint.name.as_str(), started.elapsed().as_millis(), error.is_none());
    let mut out = output::stdout();
    if arguments.json {
        output::json_line(&mut out, &Tested { webhook, taken, error, milliseconds })?;
    } else {
        let what = error
            .map_or_else(|| "took the test event".to_owned(), |error| format!("did not take it: {error}"));
        writeln!(out, "{webhook} {} ({milliseconds} ms)", output::clean(&what))?;
    }
    out.flush()?;
    Ok(if taken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
