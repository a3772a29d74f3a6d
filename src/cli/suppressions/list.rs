//! `dsnd suppressions list`.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;

use super::{Filter, listing, open_store, output, streams};
use crate::config::Config;
use crate::store::sqlite::Access;
use crate::store::{Store, Streams, Suppression, SuppressionFilter};

/// `list`.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    filter: Filter,
    /// Also entries whose time is over.
    #[arg(long)]
    all: bool,
    /// At most this many.
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// One JSON object an entry.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(config: &Config, arguments: &List) -> anyhow::Result<ExitCode> {
    let filter = SuppressionFilter {
        active_at: (!arguments.all).then(Timestamp::now),
        ..arguments.filter.resolve(config)?
    };
    let store = open_store(config, Access::Read).await?;
    let mut out = output::stdout();
    let after = |last: Option<&Suppression>| SuppressionFilter {
        after: last.map(|last| (last.address_key.clone(), last.stream)),
        ..filter.clone()
    };
    let fetch = async |last: Option<&Suppression>, limit: u32| {
        store.suppressions(&SuppressionFilter { limit, ..after(last) }).await
    };
    let count = async |last: Option<&Suppression>| store.count(&after(last)).await;
    let limit = arguments.limit.unwrap_or(u32::MAX);
    listing::list(limit, !arguments.json, fetch, count, |page, first| {
        page.iter_mut().for_each(|entry| streams::name_entry(&config.streams, entry));
        if arguments.json {
            return page.iter().try_for_each(|entry| output::json_line(&mut out, entry));
        }
        table(&mut out, &config.streams, page, first)
    })
    .await?;
    out.flush()?;
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Entries, a line each; the first page has the headings.
pub(super) fn table(
    out: &mut impl Write,
    streams: &Streams,
    entries: &[Suppression],
    first: bool,
) -> anyhow::Result<()> {
    let cells = |entry: &Suppression| {
        vec![
            entry.address.clone(),
            entry.reason.as_str().to_owned(),
            entry.class.clone().unwrap_or_default(),
            entry.status.clone().unwrap_or_default(),
            entry.count.to_string(),
            entry.last_seen.to_string(),
            entry.expires_at.map_or_else(|| "for ever".to_owned(), |at| at.to_string()),
            entry.trust.clone().unwrap_or_default(),
            streams::reach(streams, entry.stream),
        ]
    };
    let headings = ["address", "reason", "class", "status", "count", "last seen", "until", "trust", "stream"];
    output::rows(out, &headings, entries.iter().map(cells).collect(), first)
}
