//! Reading the counts that the triggers of `0004_lifecycle.sql` keep.

use jiff::civil::Date;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::super::{Changes, Decisions, Dimension, Statistics, StatisticsFilter, StatisticsRow, StoreError};
use super::SqliteStore;
use super::read::failed;

/// The first of the days that are counted.
const FIRST_DAY: Date = Date::constant(1970, 1, 1);

/// What rows are told apart by; day 4 was a Monday.
macro_rules! keys {
    () => {
        "iif(?1, day, NULL) AS by_day, iif(?11, day - (day + 3) % 7, NULL) AS by_week, iif(?2, class, NULL) AS by_class,
         iif(?3, domain, NULL) AS by_domain, iif(?4, stream, NULL) AS by_stream"
    };
}

/// Which are counted.
macro_rules! counted {
    () => {
        " WHERE day >= ?5 AND day < ?6 AND (?7 IS NULL OR class = ?7) AND (?8 IS NULL OR domain = ?8)
            AND (?9 IS NULL OR stream = ?9)
          GROUP BY by_day, by_week, by_class, by_domain, by_stream"
    };
}

/// The counts; which addresses came on the list, the history knows, which is there for longer than the events. It notes
/// no change before the event that made it.
const STATISTICS: &str = concat!(
    "WITH counted AS MATERIALIZED (SELECT ",
    keys!(),
    ", sum(count) AS events,
        sum(count) FILTER (WHERE decision = 'suppress') AS suppress,
        sum(count) FILTER (WHERE decision = 'count') AS count,
        sum(count) FILTER (WHERE decision = 'host') AS host,
        sum(count) FILTER (WHERE decision = 'sender') AS sender,
        sum(count) FILTER (WHERE decision = 'complaint') AS complaint,
        sum(count) FILTER (WHERE decision = 'ignore') AS ignore,
        sum(count) FILTER (WHERE change = 'suppressed') AS suppressing,
        sum(count) FILTER (WHERE change = 'counted') AS counted,
        sum(count) FILTER (WHERE change = 'seen') AS seen,
        sum(count) FILTER (WHERE change = 'cleared') AS cleared,
        sum(count) FILTER (WHERE change = 'quarantined') AS quarantined,
        sum(count) FILTER (WHERE change = 'held') AS held,
        sum(count) FILTER (WHERE change = 'discarded') AS discarded,
        sum(count) FILTER (WHERE change = 'none') AS none
     FROM aggregates",
    counted!(),
    " ORDER BY by_day, by_week, events DESC, by_class, by_domain, by_stream LIMIT ?10),
     added AS MATERIALIZED (SELECT ",
    keys!(),
    ", count(*) AS addresses FROM (
         SELECT coalesce(unixepoch(events.received_at), unixepoch(after ->> 'last_seen')) / 86400 AS day,
                coalesce(events.class, after ->> 'class') AS class,
                coalesce(events.domain, replace(audit.address_key,
                    rtrim(audit.address_key, replace(audit.address_key, '@', '')), '')) AS domain,
                coalesce(events.stream, audit.stream) AS stream
         FROM audit LEFT JOIN events ON events.id = audit.event
         WHERE audit.action = 'added' AND audit.event IS NOT NULL AND (?12 IS NULL OR audit.at >= ?12))",
    counted!(),
    ")
     SELECT counted.*, coalesce(addresses, 0) AS suppressed FROM counted LEFT JOIN added
         ON added.by_day IS counted.by_day AND added.by_week IS counted.by_week AND added.by_class IS counted.by_class
            AND added.by_domain IS counted.by_domain AND added.by_stream IS counted.by_stream
     ORDER BY counted.by_day, counted.by_week, events DESC, counted.by_class, counted.by_domain, counted.by_stream"
);

impl Statistics for SqliteStore {
    async fn statistics(&self, filter: &StatisticsFilter) -> Result<Vec<StatisticsRow>, StoreError> {
        let by = |dimension| filter.by.contains(&dimension);
        let rows = sqlx::query(STATISTICS)
            .bind(by(Dimension::Day))
            .bind(by(Dimension::Class))
            .bind(by(Dimension::Domain))
            .bind(by(Dimension::Stream))
            .bind(filter.since.map_or(i64::MIN, day_of))
            .bind(filter.until.map_or(i64::MAX, day_of))
            .bind(filter.class.map(|class| class.as_str()))
            .bind(&filter.domain)
            .bind(filter.stream)
            .bind(filter.limit)
            .bind(by(Dimension::Week))
            .bind(filter.since.map(|day| day.to_string()))
            .fetch_all(&self.readers.listings)
            .await
            .map_err(failed)?;
        rows.iter().map(to_row).collect()
    }
}

fn to_row(row: &SqliteRow) -> Result<StatisticsRow, StoreError> {
    let number = |column: &str| -> Result<u64, StoreError> {
        let sum: Option<i64> = row.try_get(column)?;
        Ok(sum.map_or(0, |sum| u64::try_from(sum).unwrap_or(0)))
    };
    // A report about an address that stands there already makes its entry anew, at most.
    let suppressing = number("suppressing")?;
    let suppressed = number("suppressed")?.min(suppressing);
    let first = |column: &str| row.try_get::<Option<i64>, _>(column)?.map(date_of).transpose();
    Ok(StatisticsRow {
        day: first("by_day")?,
        week: first("by_week")?,
        class: row.try_get("by_class")?,
        domain: row.try_get("by_domain")?,
        stream: row.try_get("by_stream")?,
        stream_name: None,
        events: number("events")?,
        decisions: Decisions {
            suppress: number("suppress")?,
            count: number("count")?,
            host: number("host")?,
            sender: number("sender")?,
            complaint: number("complaint")?,
            ignore: number("ignore")?,
        },
        changes: Changes {
            suppressed,
            counted: number("counted")?,
            seen: number("seen")? + (suppressing - suppressed),
            cleared: number("cleared")?,
            quarantined: number("quarantined")?,
            held: number("held")?,
            discarded: number("discarded")?,
            none: number("none")?,
        },
    })
}

/// Days since 1970-01-01.
fn day_of(date: Date) -> i64 {
    FIRST_DAY.duration_until(date).as_hours() / 24
}

fn date_of(day: i64) -> Result<Date, StoreError> {
    let date = jiff::Span::new().try_days(day).and_then(|span| FIRST_DAY.checked_add(span));
    date.map_err(|_| StoreError::Corrupt { what: format!("day {day} of the statistics") })
}
