//! The outbox on SQLite.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use tokio::sync::watch;

use super::super::{EventType, Outbox, OutboxBounds, OutboxEvent, OutboxFilter, Page, StoreError};
use super::filter::{Sql, and, of_outbox};
use super::page::page;
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

    async fn outbox(&self, filter: &OutboxFilter) -> Result<Page<OutboxEvent>, StoreError> {
        let ask = |last: Option<&OutboxEvent>, limit: u32| {
            let last = last.map(|last| last.id);
            let mut sql = Sql::new("SELECT * FROM outbox WHERE id > ");
            sql.push_bind(last.filter(|_| !filter.latest).unwrap_or(filter.after));
            and(&mut sql, "id <=", filter.through);
            and(&mut sql, "id <", last.filter(|_| filter.latest));
            if !filter.types.is_empty() {
                sql.push(" AND type IN (SELECT value FROM json_each(")
                    .push_bind(words(&filter.types))
                    .push("))");
            }
            of_outbox(&mut sql, &filter.common);
            sql.push(if filter.latest { " ORDER BY id DESC LIMIT " } else { " ORDER BY id LIMIT " });
            sql.push_bind(limit);
            sql
        };
        let mut events = page(&self.readers.listings, filter.limit, ask, to_event).await?;
        if filter.latest {
            events.items.reverse();
        }
        Ok(events)
    }

    async fn outbox_event(&self, id: i64) -> Result<Option<OutboxEvent>, StoreError> {
        let row = sqlx::query("SELECT * FROM outbox WHERE id = ?1")
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
