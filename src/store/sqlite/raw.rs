//! Dropping raw messages, inside the writer's transaction.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::written;

/// Octets that are dropped in one transaction: what is dropped is overwritten, and goes through the log.
pub(super) const AT_ONCE: u64 = 4 << 20;

/// Drops raw bytes older than a time, a bounded number at once.
pub(super) async fn prune(
    connection: &mut SqliteConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let oldest = sqlx::query(
        "SELECT id, length(raw) AS octets FROM messages WHERE raw IS NOT NULL AND recorded_at < ?1
         ORDER BY recorded_at LIMIT ?2",
    )
    .bind(written(before))
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    drop_first(connection, &oldest, AT_ONCE.cast_signed()).await
}

/// Drops the oldest raw bytes that nothing proves, while these are more octets than `keep`; a bounded number at once.
pub(super) async fn prune_unproven(
    connection: &mut SqliteConnection,
    keep: u64,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let beyond = unproven(&mut *connection).await?.saturating_sub(i64::try_from(keep).unwrap_or(i64::MAX));
    if beyond <= 0 {
        return Ok(0);
    }
    let oldest = sqlx::query(
        "SELECT id, length(raw) AS octets FROM messages INDEXED BY messages_unproven_raw
         WHERE unproven AND raw IS NOT NULL ORDER BY recorded_at LIMIT ?1",
    )
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    drop_first(connection, &oldest, beyond.min(AT_ONCE.cast_signed())).await
}

/// Octets of raw messages that nothing proves.
pub(super) async fn unproven(executor: impl sqlx::sqlite::SqliteExecutor<'_>) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT coalesce(sum(length(raw)), 0) FROM messages INDEXED BY messages_unproven_raw
         WHERE unproven AND raw IS NOT NULL",
    )
    .fetch_one(executor)
    .await
}

/// Drops the first of these messages, until they are so many octets.
async fn drop_first(
    connection: &mut SqliteConnection,
    messages: &[SqliteRow],
    octets: i64,
) -> Result<u64, sqlx::Error> {
    let (mut ids, mut dropped) = (Vec::new(), 0);
    for row in messages {
        if dropped >= octets {
            break;
        }
        dropped += row.try_get::<i64, _>("octets")?;
        ids.push(row.try_get::<i64, _>("id")?);
    }
    let pruned = sqlx::query("UPDATE messages SET raw = NULL WHERE id IN (SELECT value FROM json_each(?1))")
        .bind(serde_json::Value::from(ids).to_string())
        .execute(connection)
        .await?;
    Ok(pruned.rows_affected())
}
