//! `dsnd stats`: how many bounces there were, by day, week, class, domain and stream.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::filter::{class, stream_of};
use super::{block_on, open_store, output, streams};
use crate::address::domain_key;
use crate::classify::Class;
use crate::config::Config;
use crate::store::sqlite::Access;
use crate::store::{ANY_STREAM, Dimension, Statistics, StatisticsFilter, StatisticsRow, Streams};
use crate::when;

/// Days that are shown where nobody says from when on.
const USUAL_DAYS: i64 = 30;

/// Arguments.
#[derive(Debug, Args)]
pub(super) struct Stats {
    /// What has a row of its own, several separated by commas: `--by domain`, `--by day,class`.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "day", value_name = "WHAT")]
    by: Vec<By>,
    /// From this UTC day on: a date, or how long ago (1d, 7d, 12w). Without it: the last 30 days.
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    since: Option<Timestamp>,
    /// Up to the beginning of this UTC day. Without it: up to now. `--since 14d --until 7d` and `--since 7d` share no day.
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    until: Option<Timestamp>,
    /// Only bounces of this class, such as recipient_unknown.
    #[arg(long, value_name = "CLASS", value_parser = class(), hide_possible_values = true)]
    class: Option<Class>,
    /// Only bounces of recipients at this domain.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Only bounces of this stream, by name or number; 0: those of none.
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    /// At most this many rows.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// One JSON object a row.
    #[arg(long)]
    json: bool,
}

/// What counts are told apart by, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Day,
    Week,
    Class,
    Domain,
    Stream,
}

impl From<By> for Dimension {
    fn from(by: By) -> Self {
        match by {
            By::Day => Self::Day,
            By::Week => Self::Week,
            By::Class => Self::Class,
            By::Domain => Self::Domain,
            By::Stream => Self::Stream,
        }
    }
}

/// Shows the counts.
pub(super) fn run(config: Option<&Path>, arguments: &Stats) -> anyhow::Result<ExitCode> {
    let config = Config::load_without_keys(config)?;
    let usual = Timestamp::now() - SignedDuration::from_hours(24 * (USUAL_DAYS - 1));
    let mut filter = StatisticsFilter {
        by: arguments.by.iter().copied().map(Dimension::from).collect(),
        since: Some(date(arguments.since.unwrap_or(usual))),
        until: arguments.until.map(date),
        class: arguments.class,
        domain: arguments.domain.as_deref().map(domain_key),
        stream: stream_of(&config.streams, arguments.stream.as_deref())?,
        limit: arguments.limit.saturating_add(1),
    };
    // In the order in which rows are sorted, each once.
    filter.by = Dimension::ALL.into_iter().filter(|dimension| filter.by.contains(dimension)).collect();
    let mut rows = block_on(async {
        let store = open_store(&config, Access::Read).await?;
        let rows = store.statistics(&filter).await?;
        store.close().await;
        Ok(rows)
    })?;
    let limit = usize::try_from(arguments.limit).unwrap_or(usize::MAX);
    let cut = rows.len() > limit;
    rows.truncate(limit);
    let mut out = output::stdout();
    if arguments.json {
        for row in &mut rows {
            let name = row.stream.and_then(|stream| config.streams.name(stream));
            row.stream_name = name.map(str::to_owned);
            output::json_line(&mut out, row)?;
        }
    } else {
        table(&mut out, &config.streams, &filter.by, &rows)?;
    }
    out.flush()?;
    if cut {
        output::error(&format!("there are more than {limit} rows; --limit shows more of them"));
    }
    Ok(ExitCode::SUCCESS)
}

fn date(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

fn table(
    out: &mut impl Write,
    streams: &Streams,
    by: &[Dimension],
    rows: &[StatisticsRow],
) -> anyhow::Result<()> {
    let word = |row: &StatisticsRow, dimension: &Dimension| match dimension {
        Dimension::Day => row.day.map(|day| day.to_string()).unwrap_or_default(),
        Dimension::Week => row.week.map(|day| day.to_string()).unwrap_or_default(),
        Dimension::Class => row.class.clone().unwrap_or_default(),
        // What is not proven names domains that nobody has to believe.
        Dimension::Domain => row.domain.clone().filter(|name| !name.is_empty()).unwrap_or("-".to_owned()),
        Dimension::Stream => match row.stream.unwrap_or(ANY_STREAM) {
            ANY_STREAM => "-".to_owned(),
            stream => streams::label(streams, stream),
        },
    };
    let cells = |row: &StatisticsRow| {
        let changes = &row.changes;
        let numbers = [
            row.events,
            changes.suppressed,
            changes.counted,
            changes.seen,
            changes.cleared,
            changes.quarantined + changes.held,
            changes.discarded,
            changes.none,
        ];
        let words = by.iter().map(|dimension| word(row, dimension));
        words.chain(numbers.iter().map(u64::to_string)).collect()
    };
    let numbers = ["bounces", "suppressed", "counted", "seen", "cleared", "waits", "discarded", "none"];
    let headings: Vec<&str> = by.iter().map(|dimension| dimension.as_str()).chain(numbers).collect();
    output::rows(out, &headings, rows.iter().map(cells).collect(), true)
}
