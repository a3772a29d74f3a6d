//! `dsnd events list|webhooks|dead|replay|test`.

mod replay;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{block_on, filter, open_store, output};
use crate::config::Config;
use crate::events::named;
use crate::store::sqlite::Access;
use crate::store::{DeadLetter, Deliveries, EventType, Outbox, OutboxEvent, OutboxFilter, WebhookStanding};

/// Rows read at once while listing.
const PAGE: u32 = 500;

/// Verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Events {
    /// List events in the order in which they were committed: the last ones, or with --after or --since the first.
    List(Box<List>),
    /// Show how every webhook stands: how far it is, what waits, what was given up, and what is wrong.
    Webhooks(Webhooks),
    /// List events that were given up, because a webhook did not take them for a day.
    ///
    /// They are kept for events.keep_days; `dsnd events replay --dead` brings them once more.
    Dead(Dead),
    /// Let webhooks have events again, also while the daemon runs: it begins within seconds.
    ///
    /// It counts them first and asks, unless --yes is given; in a pipe it needs --yes. --dry-run only counts. An event keeps its
    /// webhook-id, so that a receiver that has it can drop the double. Exit status 0, or 1 when there is nothing to
    /// bring again, or 2 when there is no such event.
    Replay(replay::Replay),
    /// Send a test event to a webhook, from here, and say what it answers.
    ///
    /// Its type is webhook.test, and it tells of nothing. Exit status 0 when it was taken, else 1.
    Test(replay::Test),
}

/// `list`.
#[derive(Debug, Args)]
pub(super) struct List {
    /// Only events after this one.
    #[arg(long, value_name = "ID")]
    after: Option<i64>,
    #[command(flatten)]
    filter: filter::Options,
    /// Only these types.
    #[arg(long = "type", value_name = "TYPE", value_parser = event_type())]
    types: Vec<EventType>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value = "50")]
    limit: u32,
    /// One JSON object an event, as webhooks get it.
    #[arg(long)]
    json: bool,
}

/// `webhooks`.
#[derive(Debug, Args)]
pub(super) struct Webhooks {
    /// One JSON object a webhook.
    #[arg(long)]
    json: bool,
}

/// `dead`.
#[derive(Debug, Args)]
pub(super) struct Dead {
    /// Only those of this webhook.
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// At most this many.
    #[arg(long, value_name = "N", default_value = "50")]
    limit: u32,
    /// One JSON object an event.
    #[arg(long)]
    json: bool,
}

/// How a webhook stands, and what the configuration says about it.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    standing: &'a WebhookStanding,
    /// `enabled`, `disabled`, or `not configured`.
    configured: &'a str,
    host: Option<&'a str>,
}

fn event_type() -> impl TypedValueParser<Value = EventType> {
    let all = EventType::ALL.map(EventType::as_str);
    PossibleValuesParser::new(all).try_map(|name| EventType::from_name(&name).ok_or("no type"))
}

/// Runs a verb.
pub(super) fn run(config: Option<&Path>, verb: &Events) -> anyhow::Result<ExitCode> {
    block_on(async {
        let config = Config::load(config)?;
        match verb {
            Events::List(arguments) => list(&config, arguments).await,
            Events::Webhooks(arguments) => webhooks(&config, arguments).await,
            Events::Dead(arguments) => dead(&config, arguments).await,
            Events::Replay(arguments) => replay::replay(&config, arguments).await,
            Events::Test(arguments) => replay::test(&config, arguments).await,
        }
    })
}

async fn list(config: &Config, arguments: &List) -> anyhow::Result<ExitCode> {
    let store = open_store(config, Access::Read).await?;
    let mut out = output::stdout();
    let common = arguments.filter.resolve(config)?;
    let latest = arguments.after.is_none() && common.since.is_none();
    let mut filter = OutboxFilter {
        after: arguments.after.unwrap_or(0),
        through: None,
        common,
        types: arguments.types.clone(),
        limit: arguments.limit,
        latest,
    };
    let (mut left, mut first, mut more, mut latest_pages) = (arguments.limit, true, true, Vec::new());
    while more {
        filter.limit = PAGE.min(left);
        let page = store.outbox(&filter).await?;
        left -= u32::try_from(page.items.len()).unwrap_or(left).min(left);
        more = page.more && left > 0;
        if latest {
            filter.through = page.items.first().map(|oldest| oldest.id - 1);
            latest_pages.push(page.items);
        } else {
            filter.after = page.items.last().map_or(filter.after, |last| last.id);
            print(&mut out, config, page.items, arguments.json, first)?;
            first = false;
        }
    }
    for page in latest_pages.into_iter().rev() {
        print(&mut out, config, page, arguments.json, first)?;
        first = false;
    }
    out.flush()?;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

fn print(
    out: &mut impl Write,
    config: &Config,
    events: Vec<OutboxEvent>,
    json: bool,
    first: bool,
) -> anyhow::Result<()> {
    let events = events.into_iter().map(|event| named(event, &config.streams));
    if json {
        for event in events {
            output::json_line(out, &event)?;
        }
        return Ok(());
    }
    let cells = |event: OutboxEvent| {
        vec![
            event.id.to_string(),
            event.timestamp.to_string(),
            event.kind.as_str().to_owned(),
            subject(&event.data),
            about(&event),
        ]
    };
    let rows: Vec<_> = events.map(cells).collect();
    output::rows(out, &["event", "written", "type", "about", "what"], rows, first)
}

/// Whom or what an event is about.
fn subject(data: &Value) -> String {
    let named = ["recipient", "address", "name"].into_iter().find_map(|key| data[key].as_str());
    named.unwrap_or_default().to_owned()
}

/// What it says, in a few words.
fn about(event: &OutboxEvent) -> String {
    let data = &event.data;
    let words: [&Value; 3] = match event.kind {
        EventType::BounceRecorded | EventType::ComplaintRecorded => {
            [&data["class"], &data["trust"], &data["change"]]
        }
        EventType::SuppressionAdded | EventType::SuppressionRemoved => {
            [&data["reason"], &data["change"]["action"], &data["change"]["origin"]]
        }
        EventType::HoldOpened => [&data["kind"], &data["why"], &Value::Null],
    };
    words.iter().filter_map(|word| word.as_str()).collect::<Vec<_>>().join(", ")
}

async fn webhooks(config: &Config, arguments: &Webhooks) -> anyhow::Result<ExitCode> {
    let store = open_store(config, Access::Read).await?;
    let standings = store.webhooks().await?;
    let mut out = output::stdout();
    let shown = standings.iter().map(|standing| {
        let webhook =
            config.webhooks.iter().find(|webhook| webhook.names().any(|name| name == standing.state.name));
        let configured = match webhook {
            Some(webhook) if webhook.enabled => "enabled",
            Some(_) => "disabled",
            None => "not configured",
        };
        Shown { standing, configured, host: webhook.and_then(|webhook| webhook.url.host_str()) }
    });
    if arguments.json {
        for webhook in shown {
            output::json_line(&mut out, &webhook)?;
        }
    } else {
        let cells = |Shown { standing, configured, host }: Shown<'_>| {
            let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
            vec![
                standing.state.name.clone(),
                configured.to_owned(),
                host.unwrap_or_default().to_owned(),
                standing.state.through.to_string(),
                standing.behind.to_string(),
                standing.waiting.to_string(),
                standing.dead.to_string(),
                time(standing.state.delivered_at),
                time(standing.state.failing_since),
                standing.state.error.clone().unwrap_or_default(),
            ]
        };
        let headings = [
            "name",
            "state",
            "host",
            "through",
            "behind",
            "waiting",
            "dead",
            "delivered",
            "failing since",
            "error",
        ];
        output::rows(&mut out, &headings, shown.map(cells).collect(), true)?;
    }
    out.flush()?;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

async fn dead(config: &Config, arguments: &Dead) -> anyhow::Result<ExitCode> {
    let store = open_store(config, Access::Read).await?;
    let mut out = output::stdout();
    let (mut after, mut left, mut first) = (None, arguments.limit, true);
    while left > 0 {
        let limit = PAGE.min(left);
        let page = store.dead(arguments.endpoint.as_deref(), after, limit).await?;
        if arguments.json {
            for letter in &page {
                output::json_line(&mut out, letter)?;
            }
        } else {
            let cells = |letter: &DeadLetter| {
                vec![
                    letter.webhook.clone(),
                    letter.event.to_string(),
                    letter.kind.as_str().to_owned(),
                    letter.address.clone().unwrap_or_default(),
                    letter.timestamp.to_string(),
                    letter.attempts.to_string(),
                    letter.dead_at.map(|at| at.to_string()).unwrap_or_default(),
                    letter.error.clone().unwrap_or_default(),
                ]
            };
            let headings = ["webhook", "event", "type", "about", "written", "tries", "given up", "error"];
            output::rows(&mut out, &headings, page.iter().map(cells).collect(), first)?;
        }
        first = false;
        left -= u32::try_from(page.len()).unwrap_or(left).min(left);
        match page.last() {
            Some(last) if page.len() == limit as usize => after = Some((last.webhook.clone(), last.event)),
            _ => break,
        }
    }
    out.flush()?;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}
