//! Reading the list: what stands, what matches a filter, and the whole story of an address.

use std::cmp::Ordering;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::super::{
    ANY_STREAM, AuditRow, Page, StoreError, Story, StoryPlace, Suppression, SuppressionFilter, ToldEvent,
};
use super::filter::{Sql, and, of_entries};
use super::page::page;
use super::read::{failed, maybe_time, time, to_event};
use super::written;
use crate::policy::Reason;

/// An entry with the message behind it.
macro_rules! entries {
    () => {
        entries!("")
    };
    ($more:literal) => {
        concat!(
            "SELECT suppressions.*, events.message AS bounce, events.trust AS trust",
            $more,
            " FROM suppressions LEFT JOIN events ON events.id = suppressions.event WHERE "
        )
    };
}

pub(super) use entries;

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
    standing.sort_by(by_weight);
    Ok(standing)
}

/// The weightier reason, then what lasts longer, then what reaches further: stream 0 stands first before.
pub(super) fn by_weight(a: &Suppression, b: &Suppression) -> Ordering {
    let end = |entry: &Suppression| entry.expires_at.unwrap_or(Timestamp::MAX);
    b.reason.cmp(&a.reason).then_with(|| end(b).cmp(&end(a)))
}

/// A page of entries, by address, then by stream.
pub(super) async fn list(
    pool: &SqlitePool,
    filter: &SuppressionFilter,
) -> Result<Page<Suppression>, StoreError> {
    let ask = |last: Option<&Suppression>, limit: u32| {
        let after = last.map(|last| (last.address_key.clone(), last.stream)).or_else(|| filter.after.clone());
        let filter = SuppressionFilter { after, limit, ..filter.clone() };
        let mut sql = Sql::new(concat!(entries!(), "TRUE"));
        of_entries(&mut sql, &filter);
        place(&mut sql, &filter);
        sql
    };
    page(pool, filter.limit, ask, to_suppression).await
}

/// The place of a filter's page.
fn after(sql: &mut Sql, filter: &SuppressionFilter) {
    if let Some((address, stream)) = &filter.after {
        sql.push(" AND (suppressions.address_key, suppressions.stream) > (");
        sql.push_bind(address.clone()).push(", ").push_bind(*stream).push(")");
    }
}

/// The page of a filter: in the order of addresses, then of streams.
pub(super) fn place(sql: &mut Sql, filter: &SuppressionFilter) {
    after(sql, filter);
    sql.push(" ORDER BY suppressions.address_key, suppressions.stream LIMIT ").push_bind(filter.limit);
}

/// How many entries match.
pub(super) async fn count(pool: &SqlitePool, filter: &SuppressionFilter) -> Result<u64, StoreError> {
    let mut sql = Sql::new("SELECT count(*) FROM suppressions WHERE TRUE");
    of_entries(&mut sql, filter);
    after(&mut sql, filter);
    let count: i64 = sql.build_query_scalar().fetch_one(pool).await.map_err(failed)?;
    Ok(count.unsigned_abs())
}

/// The entries of an address, and what was before a place.
pub(super) async fn story(
    pool: &SqlitePool,
    keys: &[String; 2],
    place: StoryPlace,
    limit: u32,
) -> Result<Story, StoreError> {
    let mut sql = Sql::new(entries!());
    keyed(&mut sql, "address_key", keys);
    let entries = sql.push(" ORDER BY suppressions.stream").build().fetch_all(pool).await.map_err(failed)?;
    let older_changes = |last: Option<&(i64, AuditRow)>, limit: u32| {
        let mut sql = Sql::new(
            "SELECT audit.*, events.message AS bounce FROM audit LEFT JOIN events ON events.id = audit.event WHERE ",
        );
        keyed(&mut sql, "audit.address_key", keys);
        and(&mut sql, "audit.id <", Some(last.map_or(place.change, |last| last.0)));
        sql.push(" ORDER BY audit.id DESC LIMIT ").push_bind(limit);
        sql
    };
    let changes = page(pool, limit, older_changes, |row| Ok((row.try_get("id")?, to_audit(row)?))).await?;
    let older_events = |last: Option<&ToldEvent>, limit: u32| {
        let (at, event) = last.map_or(place.report, |last| (last.received_at, last.event.event));
        let mut sql = Sql::new("SELECT * FROM events WHERE ");
        keyed(&mut sql, "recipient_key", keys);
        sql.push(" AND (received_at, id) < (").push_bind(written(at)).push(", ").push_bind(event);
        sql.push(") ORDER BY received_at DESC, id DESC LIMIT ").push_bind(limit);
        sql
    };
    let events = page(pool, limit, older_events, to_told_event).await?;
    let older = StoryPlace {
        change: changes.items.last().map_or(place.change, |last| last.0),
        report: events.items.last().map_or(place.report, |last| (last.received_at, last.event.event)),
    };
    let older = (changes.more || events.more).then_some(older);
    let mut changes: Vec<AuditRow> = changes.items.into_iter().rev().map(|(_, change)| change).collect();
    // A term that is over may be noted later than it was.
    changes.sort_by_key(|change| change.at);
    Ok(Story {
        entries: entries.iter().map(to_suppression).collect::<Result<_, _>>()?,
        changes,
        events: events.items.into_iter().rev().collect(),
        older,
    })
}

/// The condition on an address under its keys. One value keeps the order of the index.
fn keyed(sql: &mut Sql, column: &str, [plain, hashed]: &[String; 2]) {
    sql.push(column).push(" IN (").push_bind(plain.clone());
    if hashed != plain {
        sql.push(", ").push_bind(hashed.clone());
    }
    sql.push(")");
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

pub(super) fn to_told_event(row: &SqliteRow) -> Result<ToldEvent, StoreError> {
    Ok(ToldEvent {
        bounce: row.try_get("message")?,
        received_at: time(row, "received_at")?,
        event: to_event(row)?,
    })
}
