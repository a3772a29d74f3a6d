//! Reading the list: what stands, what matches a filter, and the whole story of an address.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqlitePool, SqliteRow};

use super::super::{ANY_STREAM, AuditRow, StoreError, Story, Suppression, SuppressionFilter, ToldEvent};
use super::read::{failed, maybe_time, time, to_event};
use super::written;
use crate::policy::Reason;

/// How many changes, and how many events, of one address are told: the newest.
const TOLD: usize = 1_000;

/// An entry with the message behind it.
macro_rules! entries {
    () => {
        "SELECT suppressions.*, events.message AS bounce, events.trust AS trust
         FROM suppressions LEFT JOIN events ON events.id = suppressions.event WHERE "
    };
}

/// The condition that a filter is; [`bind`] gives it its values, from the first on.
macro_rules! filter {
    () => {
        "(?1 IS NULL OR suppressions.expires_at IS NULL OR suppressions.expires_at > ?1)
           AND (?2 IS NULL OR suppressions.domain = ?2)
           AND (?3 IS NULL OR suppressions.reason = ?3)
           AND (?4 IS NULL OR suppressions.stream = ?4)
           AND (?5 IS NULL OR suppressions.rule = ?5)
           AND (?6 IS NULL OR suppressions.remote_mta = ?6)
           AND (?7 IS NULL OR suppressions.changed_at >= ?7)
           AND (NOT ?8 OR ?3 = 'manual' OR ?9 = 'import'
                OR (suppressions.origin IN ('bounce', 'replay') AND (?3 IS NOT NULL OR suppressions.reason <> 'complaint')))
           AND (?9 IS NULL OR suppressions.origin = ?9)"
    };
}
pub(super) use {entries, filter};

/// A query with its values.
pub(super) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// Gives the condition of a filter its values.
pub(super) fn bind<'q>(query: Query<'q>, filter: &SuppressionFilter) -> Query<'q> {
    query
        .bind(filter.active_at.map(written))
        .bind(filter.domain.clone())
        .bind(filter.reason.map(Reason::as_str))
        .bind(filter.stream)
        .bind(filter.rule.clone())
        .bind(filter.remote_mta.clone())
        .bind(filter.since.map(written))
        .bind(filter.spared)
        .bind(filter.origin.clone())
}

/// The entries that suppress an address now, the weightiest first.
pub(super) async fn standing(
    pool: &SqlitePool,
    [plain, hashed]: &[String; 2],
    stream: Option<i64>,
    now: Timestamp,
) -> Result<Vec<Suppression>, StoreError> {
    let rows = sqlx::query(concat!(
        entries!(),
        "address_key IN (?1, ?5) AND (?2 IS NULL OR suppressions.stream IN (?2, ?3)) AND (expires_at IS NULL OR expires_at > ?4)
         ORDER BY suppressions.stream"
    ))
    .bind(plain)
    .bind(stream)
    .bind(ANY_STREAM)
    .bind(written(now))
    .bind(hashed)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let mut standing = rows.iter().map(to_suppression).collect::<Result<Vec<_>, _>>()?;
    by_weight(&mut standing);
    Ok(standing)
}

/// The weightier reason, then what lasts longer, then what reaches further: stream 0 stands first before.
pub(super) fn by_weight(standing: &mut [Suppression]) {
    let end = |entry: &Suppression| entry.expires_at.unwrap_or(Timestamp::MAX);
    standing.sort_by(|a, b| b.reason.cmp(&a.reason).then_with(|| end(b).cmp(&end(a))));
}

/// Entries by address, then by stream.
pub(super) async fn list(
    pool: &SqlitePool,
    filter: &SuppressionFilter,
) -> Result<Vec<Suppression>, StoreError> {
    let query = sqlx::query(concat!(
        entries!(),
        filter!(),
        " AND (address_key, suppressions.stream) > (?10, ?11) ORDER BY address_key, suppressions.stream LIMIT ?12"
    ));
    let (address, stream) = filter.after.clone().unwrap_or((String::new(), -1));
    let rows = bind(query, filter)
        .bind(address)
        .bind(stream)
        .bind(filter.limit)
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    rows.iter().map(to_suppression).collect()
}

/// How many entries match.
pub(super) async fn count(pool: &SqlitePool, filter: &SuppressionFilter) -> Result<u64, StoreError> {
    let query = sqlx::query(concat!("SELECT count(*) FROM suppressions WHERE ", filter!()));
    let row = bind(query, filter).fetch_one(pool).await.map_err(failed)?;
    Ok(u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0))
}

/// Everything about an address.
pub(super) async fn story(pool: &SqlitePool, [plain, hashed]: &[String; 2]) -> Result<Story, StoreError> {
    let entries = sqlx::query(concat!(entries!(), "address_key IN (?1, ?2) ORDER BY suppressions.stream"))
        .bind(plain)
        .bind(hashed)
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    // One more than is told says whether there are more.
    let limit = i64::try_from(TOLD + 1).unwrap_or(i64::MAX);
    let changes = sqlx::query(
        "SELECT audit.*, events.message AS bounce FROM audit LEFT JOIN events ON events.id = audit.event
         WHERE audit.address_key IN (?1, ?3) ORDER BY audit.id DESC LIMIT ?2",
    )
    .bind(plain)
    .bind(limit)
    .bind(hashed)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let events = sqlx::query(
        "SELECT * FROM events WHERE recipient_key IN (?1, ?3) ORDER BY received_at DESC, id DESC LIMIT ?2",
    )
    .bind(plain)
    .bind(limit)
    .bind(hashed)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let cut = changes.len() > TOLD || events.len() > TOLD;
    let mut changes =
        changes.iter().take(TOLD).rev().map(to_audit).collect::<Result<Vec<_>, StoreError>>()?;
    // A term that is over may be noted later than it was.
    changes.sort_by_key(|change| change.at);
    Ok(Story {
        entries: entries.iter().map(to_suppression).collect::<Result<_, _>>()?,
        changes,
        events: events.iter().take(TOLD).rev().map(to_told_event).collect::<Result<_, _>>()?,
        cut,
    })
}

pub(super) fn to_suppression(row: &SqliteRow) -> Result<Suppression, StoreError> {
    let reason: String = row.try_get("reason")?;
    Ok(Suppression {
        address: row.try_get("address")?,
        address_key: row.try_get("address_key")?,
        stream: row.try_get("stream")?,
        stream_name: None,
        reason: Reason::from_name(&reason)
            .ok_or_else(|| StoreError::Corrupt { what: format!("reason {reason:?} of a suppression") })?,
        class: row.try_get("class")?,
        status: row.try_get("status")?,
        rule: row.try_get("rule")?,
        remote_mta: row.try_get("remote_mta")?,
        evidence: row.try_get("evidence")?,
        note: row.try_get("note")?,
        first_seen: time(row, "first_seen")?,
        last_seen: time(row, "last_seen")?,
        count: row.try_get("count")?,
        changed_at: time(row, "changed_at")?,
        expires_at: maybe_time(row, "expires_at")?,
        recheckable: row.try_get("recheckable")?,
        origin: row.try_get("origin")?,
        bounce: row.try_get("bounce")?,
        trust: row.try_get("trust")?,
    })
}

fn to_audit(row: &SqliteRow) -> Result<AuditRow, StoreError> {
    let entry = |column: &str| -> Result<Option<serde_json::Value>, StoreError> {
        let text: Option<String> = row.try_get(column)?;
        text.map(|text| {
            serde_json::from_str(&text)
                .map_err(|_| StoreError::Corrupt { what: format!("{column} of the audit: {text:?}") })
        })
        .transpose()
    };
    Ok(AuditRow {
        at: time(row, "at")?,
        stream: row.try_get("stream")?,
        stream_name: None,
        action: row.try_get("action")?,
        origin: row.try_get("origin")?,
        actor: row.try_get("actor")?,
        before: entry("before")?,
        after: entry("after")?,
        why: row.try_get("why")?,
        event: row.try_get("event")?,
        bounce: row.try_get("bounce")?,
    })
}

fn to_told_event(row: &SqliteRow) -> Result<ToldEvent, StoreError> {
    Ok(ToldEvent {
        bounce: row.try_get("message")?,
        received_at: time(row, "received_at")?,
        event: to_event(row)?,
    })
}
