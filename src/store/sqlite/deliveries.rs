//! How far each webhook is, on SQLite.

use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::super::{
    Again, DeadLetter, Deliveries, Head, PassedBy, Progress, StoreError, Waiting, WebhookStanding,
    WebhookState,
};
use super::outbox::kind;
use super::read::{failed, maybe_time, time};
use super::{SqliteStore, written};
use crate::returnpath::Trust;

impl Deliveries for SqliteStore {
    async fn webhook(&self, name: &str) -> Result<WebhookState, StoreError> {
        let known = "SELECT * FROM webhooks WHERE name = ?1";
        let row = sqlx::query(known).bind(name).fetch_optional(&self.readers.tasks).await.map_err(failed)?;
        if let Some(row) = row {
            return to_state(&row);
        }
        let new = name.to_owned();
        self.writer()?.send(1, Box::new(move |connection, _| Box::pin(enrol(connection, new)))).await?;
        let row = sqlx::query(known).bind(name).fetch_one(&self.readers.tasks).await.map_err(failed)?;
        to_state(&row)
    }

    async fn webhooks(&self) -> Result<Vec<WebhookStanding>, StoreError> {
        let rows = sqlx::query(
            "SELECT *, (SELECT count(*) FROM outbox WHERE id > through) AS behind,
                    (SELECT count(*) FROM webhook_deliveries WHERE webhook = name AND state = 'waiting') AS waiting,
                    (SELECT count(*) FROM webhook_deliveries WHERE webhook = name AND state = 'dead') AS dead
             FROM webhooks ORDER BY name",
        )
        .fetch_all(&self.readers.tasks)
        .await
        .map_err(failed)?;
        let standing = |row: &SqliteRow| {
            Ok(WebhookStanding {
                state: to_state(row)?,
                behind: row.try_get("behind")?,
                waiting: row.try_get("waiting")?,
                dead: row.try_get("dead")?,
            })
        };
        rows.iter().map(standing).collect()
    }

    async fn heads(&self, after: i64, limit: u32) -> Result<Vec<Head>, StoreError> {
        let rows = sqlx::query(
            "SELECT outbox.id, at, type, address_key, outbox.stream, data ->> '$.trust' AS trust, applies
             FROM outbox LEFT JOIN events ON events.id = data ->> '$.event'
             WHERE outbox.id > ?1 ORDER BY outbox.id LIMIT ?2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(&self.readers.tasks)
        .await
        .map_err(failed)?;
        let head = |row: &SqliteRow| {
            Ok(Head {
                event: row.try_get("id")?,
                at: time(row, "at")?,
                kind: kind(row)?,
                address_key: row.try_get("address_key")?,
                stream: row.try_get("stream")?,
                believed: believed(row)?,
            })
        };
        rows.iter().map(head).collect()
    }

    async fn waiting(&self, name: &str, after: i64, limit: u32) -> Result<Vec<Waiting>, StoreError> {
        let rows = sqlx::query(
            "SELECT event, at, address_key, attempts, failed_at, next_at
             FROM webhook_deliveries JOIN outbox ON outbox.id = event
             WHERE webhook = ?1 AND state = 'waiting' AND event > ?2 ORDER BY event LIMIT ?3",
        )
        .bind(name)
        .bind(after)
        .bind(limit)
        .fetch_all(&self.readers.tasks)
        .await
        .map_err(failed)?;
        rows.iter().map(to_waiting).collect()
    }

    async fn waiting_about(
        &self,
        name: &str,
        address_key: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Waiting>, StoreError> {
        // By the address first: one webhook may have many events waiting.
        let rows = sqlx::query(
            "SELECT event, at, address_key, attempts, failed_at, next_at
             FROM outbox INDEXED BY outbox_address CROSS JOIN webhook_deliveries ON event = outbox.id
             WHERE address_key = ?4 AND outbox.id > ?2 AND webhook = ?1 AND state = 'waiting'
             ORDER BY outbox.id LIMIT ?3",
        )
        .bind(name)
        .bind(after)
        .bind(limit)
        .bind(address_key)
        .fetch_all(&self.readers.tasks)
        .await
        .map_err(failed)?;
        rows.iter().map(to_waiting).collect()
    }

    async fn progress(&self, progress: Progress) -> Result<bool, StoreError> {
        let rows = 1 + progress.delivered.len() + progress.passed_by.len();
        self.writer()?.send(rows, Box::new(move |connection, _| Box::pin(write(connection, progress)))).await
    }

    async fn dead(
        &self,
        name: Option<&str>,
        after: Option<(String, i64)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let (webhook, event) = after.unwrap_or_default();
        let rows = sqlx::query(
            "SELECT webhook, event, type, outbox.at, data ->> '$.address' AS address,
                    data ->> '$.recipient' AS recipient, attempts, failed_at, dead_at, error
             FROM webhook_deliveries JOIN outbox ON outbox.id = event
             WHERE state = 'dead' AND (?1 IS NULL OR webhook IN (?1, ?1 || '/unproven'))
               AND (webhook, event) > (?2, ?3)
             ORDER BY webhook, event LIMIT ?4",
        )
        .bind(name)
        .bind(webhook)
        .bind(event)
        .bind(limit)
        .fetch_all(&self.readers.tasks)
        .await
        .map_err(failed)?;
        let letter = |row: &SqliteRow| {
            let address: Option<String> = row.try_get("address")?;
            Ok(DeadLetter {
                webhook: row.try_get("webhook")?,
                event: row.try_get("event")?,
                kind: kind(row)?,
                timestamp: time(row, "at")?,
                address: address.or(row.try_get("recipient")?),
                attempts: row.try_get("attempts")?,
                failed_at: maybe_time(row, "failed_at")?,
                dead_at: maybe_time(row, "dead_at")?,
                error: row.try_get("error")?,
            })
        };
        rows.iter().map(letter).collect()
    }

    async fn again(&self, name: &str, what: Again) -> Result<u64, StoreError> {
        let name = name.to_owned();
        let events = self
            .writer()?
            .send(1, Box::new(move |connection, _| Box::pin(again(connection, name, what))))
            .await?;
        let Again::From(first) = what else { return Ok(events) };
        // They may be many: the writer does not wait for their number.
        let counted = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE id >= ?1").bind(first);
        let events: i64 = counted.fetch_one(&self.readers.listings).await.map_err(failed)?;
        Ok(events.unsigned_abs())
    }
}

async fn enrol(connection: &mut SqliteConnection, name: String) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT OR IGNORE INTO webhooks (name, through)
         VALUES (?1, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'outbox'), 0))",
    )
    .bind(name)
    .execute(connection)
    .await
    .map(drop)
}

async fn write(connection: &mut SqliteConnection, progress: Progress) -> Result<bool, sqlx::Error> {
    let Progress { state, delivered, passed_by } = progress;
    if !delivered.is_empty() {
        sqlx::query(
            "DELETE FROM webhook_deliveries WHERE webhook = ?1 AND event IN (SELECT value FROM json_each(?2))",
        )
        .bind(&state.name)
        .bind(serde_json::Value::from(delivered).to_string())
        .execute(&mut *connection)
        .await?;
    }
    let row = sqlx::query(
        "UPDATE webhooks SET failing_since = ?3, error = ?4, delivered_at = ?5,
                             through = iif(replays = ?2, ?6, through)
         WHERE name = ?1 RETURNING through, replays",
    )
    .bind(&state.name)
    .bind(state.replays)
    .bind(state.failing_since.map(written))
    .bind(&state.error)
    .bind(state.delivered_at.map(written))
    .bind(state.through)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(false) };
    if !passed_by.is_empty() {
        pass_by(connection, &state.name, row.try_get("through")?, &passed_by).await?;
    }
    Ok(row.try_get::<i64, _>("replays")? == state.replays)
}

/// What was erased meanwhile is not brought back, and what the webhook comes to once more is not passed by.
async fn pass_by(
    connection: &mut SqliteConnection,
    name: &str,
    through: i64,
    events: &[PassedBy],
) -> Result<(), sqlx::Error> {
    let rows = events.iter().map(|passed| {
        json!({
            "event": passed.event, "attempts": passed.attempts, "failed_at": passed.failed_at.map(written),
            "next_at": passed.next_at.map(written), "dead_at": passed.dead_at.map(written), "error": passed.error,
        })
    });
    sqlx::query(
        "INSERT OR REPLACE INTO webhook_deliveries (webhook, event, state, attempts, failed_at, next_at, dead_at, error)
         SELECT ?1, value ->> '$.event', iif(value ->> '$.dead_at' IS NULL, 'waiting', 'dead'),
                value ->> '$.attempts', value ->> '$.failed_at', value ->> '$.next_at', value ->> '$.dead_at',
                value ->> '$.error'
         FROM json_each(?2) WHERE value ->> '$.event' <= ?3 AND value ->> '$.event' IN (SELECT id FROM outbox)",
    )
    .bind(name)
    .bind(serde_json::Value::from_iter(rows).to_string())
    .bind(through)
    .execute(connection)
    .await
    .map(drop)
}

async fn again(connection: &mut SqliteConnection, name: String, what: Again) -> Result<u64, sqlx::Error> {
    enrol(connection, name.clone()).await?;
    let events = match what {
        Again::Dead(limit) => {
            sqlx::query(
                "UPDATE webhook_deliveries SET state = 'waiting', attempts = 0, failed_at = NULL, next_at = NULL,
                                               dead_at = NULL
                 WHERE webhook = ?1 AND event IN (SELECT event FROM webhook_deliveries
                                                  WHERE webhook = ?1 AND state = 'dead' ORDER BY event LIMIT ?2)",
            )
            .bind(&name)
            .bind(limit)
            .execute(&mut *connection)
            .await?
            .rows_affected()
        }
        Again::Event(event) => {
            // What it comes to anyway is not sent twice.
            sqlx::query(
                "INSERT OR REPLACE INTO webhook_deliveries (webhook, event, state)
                 SELECT name, ?2, 'waiting' FROM webhooks
                 WHERE name = ?1 AND through >= ?2 AND EXISTS (SELECT 1 FROM outbox WHERE id = ?2)",
            )
            .bind(&name)
            .bind(event)
            .execute(&mut *connection)
            .await?
            .rows_affected()
        }
        Again::From(first) => {
            // The webhook goes back to before this event: it gets those that follow in their order once more.
            for statement in [
                "UPDATE webhooks SET through = min(through, ?2 - 1) WHERE name = ?1",
                "DELETE FROM webhook_deliveries WHERE webhook = ?1 AND event >= ?2",
            ] {
                sqlx::query(statement).bind(&name).bind(first).execute(&mut *connection).await?;
            }
            0
        }
    };
    sqlx::query("UPDATE webhooks SET replays = replays + 1 WHERE name = ?1")
        .bind(&name)
        .execute(connection)
        .await?;
    Ok(events)
}

fn to_waiting(row: &SqliteRow) -> Result<Waiting, StoreError> {
    Ok(Waiting {
        event: row.try_get("event")?,
        at: time(row, "at")?,
        address_key: row.try_get("address_key")?,
        attempts: row.try_get("attempts")?,
        failed_at: maybe_time(row, "failed_at")?,
        next_at: maybe_time(row, "next_at")?,
    })
}

/// What is no report holds. A report does where it is proven, or the operator trusted it without.
fn believed(row: &SqliteRow) -> Result<bool, StoreError> {
    let trust: Option<String> = row.try_get("trust")?;
    let applies: Option<bool> = row.try_get("applies")?;
    Ok(trust.is_none_or(|trust| trust == Trust::Proven.as_str()) || applies == Some(true))
}

fn to_state(row: &SqliteRow) -> Result<WebhookState, StoreError> {
    Ok(WebhookState {
        name: row.try_get("name")?,
        through: row.try_get("through")?,
        replays: row.try_get("replays")?,
        failing_since: maybe_time(row, "failing_since")?,
        error: row.try_get("error")?,
        delivered_at: maybe_time(row, "delivered_at")?,
    })
}
