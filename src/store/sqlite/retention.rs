//! Dropping what is old, inside the writer's transaction.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::super::{Dropped, OldCounters, OldEvents, Place, Retention, StoreError};
use super::{SqliteStore, read, written};

impl Retention for SqliteStore {
    async fn prune_events(&self, old: OldEvents) -> Result<Dropped, StoreError> {
        let rows = rows(old.events);
        self.writer()?
            .send_freeing(rows, Box::new(move |connection, _| Box::pin(prune_events(connection, old))))
            .await
    }

    async fn prune_holds(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.writer()?
            .send_freeing(
                rows(limit),
                Box::new(move |connection, _| Box::pin(prune_holds(connection, before, limit))),
            )
            .await
    }

    async fn prune_counters(&self, old: OldCounters, limit: u32) -> Result<u64, StoreError> {
        self.writer()?
            .send_freeing(
                rows(limit),
                Box::new(move |connection, _| Box::pin(prune_counters(connection, old, limit))),
            )
            .await
    }

    async fn prune_statistics(&self, before_day: i64, limit: u32) -> Result<u64, StoreError> {
        self.writer()?
            .send_freeing(
                rows(limit),
                Box::new(move |connection, _| Box::pin(prune_statistics(connection, before_day, limit))),
            )
            .await
    }
}

fn rows(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// A page of messages in the order in which they were recorded, and whether each may go: nothing of it waits, and no
/// other points to it.
const PAGE: &str = "
    SELECT id, recorded_at,
           NOT EXISTS (SELECT 1 FROM events WHERE message = messages.id AND change IN ('quarantined', 'held')
                                              AND (?2 IS NULL OR messages.recorded_at >= ?2))
           AND NOT EXISTS (SELECT 1 FROM events INDEXED BY events_repeats WHERE repeats = messages.id) AS goes
    FROM messages INDEXED BY messages_recorded_at
    WHERE recorded_at < ?1 AND (recorded_at, id) > (?3, ?4) ORDER BY recorded_at, id LIMIT ?5";

async fn prune_events(connection: &mut SqliteConnection, old: OldEvents) -> Result<Dropped, sqlx::Error> {
    let page = sqlx::query(PAGE)
        .bind(written(old.before))
        .bind(old.waiting_before.map(written))
        .bind(old.after.as_ref().map_or_else(String::new, |after| written(after.recorded_at)))
        .bind(old.after.as_ref().map_or(0, |after| after.id))
        .bind(old.messages)
        .fetch_all(&mut *connection)
        .await?;
    let mut going: Vec<i64> = Vec::with_capacity(page.len());
    for row in &page {
        if row.try_get("goes")? {
            going.push(row.try_get("id")?);
        }
    }
    let going = serde_json::Value::from(going).to_string();
    let events = sqlx::query(
        "DELETE FROM events WHERE id IN
             (SELECT id FROM events WHERE message IN (SELECT value FROM json_each(?1)) LIMIT ?2)",
    )
    .bind(&going)
    .bind(old.events)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    let messages = sqlx::query(
        "DELETE FROM messages WHERE id IN (SELECT value FROM json_each(?1))
             AND NOT EXISTS (SELECT 1 FROM events WHERE message = messages.id)",
    )
    .bind(&going)
    .execute(&mut *connection)
    .await?
    .rows_affected();
    let next = if events == u64::from(old.events) {
        old.after.or(Some(Place { recorded_at: Timestamp::UNIX_EPOCH, id: 0 })) // what is left of them goes first
    } else if page.len() < rows(old.messages) {
        None
    } else {
        page.last().map(place_of).transpose()?
    };
    Ok(Dropped { messages, events, next })
}

fn place_of(row: &sqlx::sqlite::SqliteRow) -> Result<Place, sqlx::Error> {
    let recorded_at =
        read::time(row, "recorded_at").map_err(|error| read::corrupt("recorded_at", &error.to_string()))?;
    Ok(Place { recorded_at, id: row.try_get("id")? })
}

async fn prune_holds(
    connection: &mut SqliteConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let pruned = sqlx::query(
        "DELETE FROM holds WHERE id IN
             (SELECT id FROM holds WHERE state <> 'open' AND settled_at < ?1
                  AND NOT EXISTS (SELECT 1 FROM events WHERE hold = holds.id) LIMIT ?2)",
    )
    .bind(written(before))
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(pruned.rows_affected())
}

async fn prune_counters(
    connection: &mut SqliteConnection,
    old: OldCounters,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let mut pruned = 0;
    for (scope, before) in [("address", Some(old.addresses)), ("domain", old.hosts), ("host", old.hosts)] {
        let left = u64::from(limit).saturating_sub(pruned);
        let Some(before) = before.filter(|_| left > 0) else { continue };
        let dropped = sqlx::query(
            "DELETE FROM counters WHERE (scope, name, stream, kind, day) IN
                 (SELECT scope, name, stream, kind, day FROM counters INDEXED BY counters_day
                  WHERE scope = ?1 AND day < ?2 LIMIT ?3)",
        )
        .bind(scope)
        .bind(before)
        .bind(i64::try_from(left).unwrap_or(i64::MAX))
        .execute(&mut *connection)
        .await?;
        pruned += dropped.rows_affected();
    }
    Ok(pruned)
}

async fn prune_statistics(
    connection: &mut SqliteConnection,
    before_day: i64,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let pruned = sqlx::query(
        "DELETE FROM aggregates WHERE (day, domain, stream, class, decision, change) IN
             (SELECT day, domain, stream, class, decision, change FROM aggregates WHERE day < ?1 ORDER BY day LIMIT ?2)",
    )
    .bind(before_day)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(pruned.rows_affected())
}

/// Drops counts that no longer say what is usual, a bounded number at once.
pub(super) async fn prune_rates(
    connection: &mut SqliteConnection,
    now: Timestamp,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let pruned = sqlx::query(
        "DELETE FROM suppression_rates WHERE (kind, name, slot) IN
             (SELECT kind, name, slot FROM suppression_rates WHERE slot < ?1 ORDER BY slot LIMIT ?2)",
    )
    .bind(crate::ledger::oldest_slot(now))
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(pruned.rows_affected())
}
