//! The outbox on SQLite. Triggers of the schema fill it, so that whatever writes to the list cannot forget it.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use tokio::sync::watch;

use super::super::{EventType, Outbox, OutboxBounds, OutboxEvent, OutboxFilter, StoreError};
use super::read::{failed, time};
use super::{SqliteStore, written};

impl Outbox for SqliteStore {
    fn newest(&self) -> watch::Receiver<i64> {
        self.writer.as_ref().map_or_else(|| watch::channel(0).1, |writer| writer.newest())
    }

    async fn outbox_bounds(&self) -> Result<OutboxBounds, StoreError> {
        let row = sqlx::query(
            "SELECT through, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0) AS newest
             FROM outbox_pruned",
        )
        .fetch_one(&self.readers.tasks)
        .await
        .map_err(failed)?;
        Ok(OutboxBounds { pruned_through: row.try_get("through")?, newest: row.try_get("newest")? })
    }

    async fn outbox(&self, filter: &OutboxFilter) -> Result<Vec<OutboxEvent>, StoreError> {
        macro_rules! found {
            ($order:literal) => {
                concat!(
                    "SELECT * FROM outbox_events
                     WHERE id > ?1 AND (?2 IS NULL OR at >= ?2)
                       AND (?3 = '[]' OR type IN (SELECT value FROM json_each(?3))) ORDER BY id ",
                    $order,
                    " LIMIT ?4"
                )
            };
        }
        let mut rows = sqlx::query(if filter.latest { found!("DESC") } else { found!("") })
            .bind(filter.after)
            .bind(filter.since.map(written))
            .bind(words(&filter.types))
            .bind(filter.limit)
            .fetch_all(&self.readers.tasks)
            .await
            .map_err(failed)?;
        if filter.latest {
            rows.reverse();
        }
        rows.iter().map(to_event).collect()
    }

    async fn outbox_event(&self, id: i64) -> Result<Option<OutboxEvent>, StoreError> {
        let row = sqlx::query("SELECT * FROM outbox_events WHERE id = ?1")
            .bind(id)
            .fetch_optional(&self.readers.tasks)
            .await
            .map_err(failed)?;
        row.as_ref().map(to_event).transpose()
    }

    async fn prune_outbox(
        &self,
        before: Timestamp,
        webhooks: Vec<String>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let rows = usize::try_from(limit).unwrap_or(usize::MAX);
        self.writer()?
            .send_freeing(
                rows,
                Box::new(move |connection, _| Box::pin(prune(connection, before, webhooks, limit))),
            )
            .await
    }
}

/// The number of the last event that was written.
pub(super) async fn newest(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0)")
        .fetch_one(connection)
        .await
}

/// The first rows are the oldest, so that no index over the time is needed: it looks from there to the first that is
/// younger.
async fn prune(
    connection: &mut SqliteConnection,
    before: Timestamp,
    webhooks: Vec<String>,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let webhooks = serde_json::Value::from(webhooks).to_string();
    let gone: Vec<i64> = sqlx::query_scalar(
        "DELETE FROM outbox WHERE id IN (
             SELECT id FROM outbox
             WHERE id < coalesce((SELECT id FROM outbox WHERE at >= ?1 ORDER BY id LIMIT 1), 9223372036854775807)
               AND id <= coalesce((SELECT min(through) FROM webhooks
                                   WHERE name IN (SELECT value FROM json_each(?2))), 9223372036854775807)
               AND NOT EXISTS (SELECT 1 FROM webhook_deliveries
                               WHERE event = id AND state = 'waiting'
                                 AND webhook IN (SELECT value FROM json_each(?2)))
             ORDER BY id LIMIT ?3)
         RETURNING id",
    )
    .bind(written(before))
    .bind(&webhooks)
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    if let Some(last) = gone.iter().max() {
        sqlx::query("UPDATE outbox_pruned SET through = max(through, ?1)")
            .bind(last)
            .execute(&mut *connection)
            .await?;
        // A webhook that is used no more is forgotten when what it would come to next is.
        sqlx::query(
            "DELETE FROM webhooks WHERE through < ?1 AND name NOT IN (SELECT value FROM json_each(?2))
                 AND NOT EXISTS (SELECT 1 FROM webhook_deliveries WHERE webhook = name)",
        )
        .bind(last)
        .bind(&webhooks)
        .execute(connection)
        .await?;
    }
    Ok(u64::try_from(gone.len()).unwrap_or(u64::MAX))
}

fn to_event(row: &SqliteRow) -> Result<OutboxEvent, StoreError> {
    let data: String = row.try_get("data")?;
    Ok(OutboxEvent {
        id: row.try_get("id")?,
        kind: kind(row)?,
        timestamp: time(row, "at")?,
        address_key: row.try_get("address_key")?,
        stream: row.try_get("stream")?,
        data: serde_json::from_str(&data)
            .map_err(|_| StoreError::Corrupt { what: format!("data of an event: {data:?}") })?,
    })
}

pub(super) fn kind(row: &SqliteRow) -> Result<EventType, StoreError> {
    let word: String = row.try_get("type")?;
    EventType::from_name(&word)
        .ok_or_else(|| StoreError::Corrupt { what: format!("type {word:?} of an event") })
}

/// Types as a JSON list.
fn words(types: &[EventType]) -> String {
    let words: Vec<&str> = types.iter().map(|kind| kind.as_str()).collect();
    serde_json::Value::from(words).to_string()
}
