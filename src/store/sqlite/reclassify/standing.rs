//! What stands on the list for an address, before and after its events are applied once more.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::super::apply::corrupt;
use super::super::{audit, written};

/// An entry that stands or stood.
pub(super) struct Entry {
    pub(super) stream: i64,
    pub(super) event: Option<i64>,
    /// It rests on a bounce, and is no person's.
    pub(super) by_bounce: bool,
    /// As the history keeps it; `None` where its time is over.
    pub(super) stands: Option<Value>,
    pub(super) origin: String,
    pub(super) first_seen: String,
    pub(super) last_seen: String,
    pub(super) count: i64,
    pub(super) changed_at: String,
}

/// The entries of an address. What has run out by `at` stands no more; that is noted where `note` says so.
pub(super) async fn entries(
    connection: &mut SqliteConnection,
    key: &str,
    at: Timestamp,
    note: bool,
) -> Result<Vec<Entry>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT *, expires_at <= ?2 AS over FROM suppressions WHERE address_key = ?1 ORDER BY stream",
    )
    .bind(key)
    .bind(written(at))
    .fetch_all(&mut *connection)
    .await?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        let stream: i64 = row.try_get("stream")?;
        let (reason, origin): (String, String) = (row.try_get("reason")?, row.try_get("origin")?);
        let over = row.try_get::<Option<bool>, _>("over")?.unwrap_or(false);
        let stands = if note {
            audit::before(connection, key, stream, at).await?
        } else if over || row.try_get("ended")? {
            None
        } else {
            audit::as_json(connection, key, stream).await?
        };
        let stands = stands
            .map(|entry| serde_json::from_str(&entry).map_err(|_| corrupt("suppressions", &entry)))
            .transpose()?;
        entries.push(Entry {
            stream,
            event: row.try_get("event")?,
            by_bounce: ["bounce", "replay"].contains(&origin.as_str()) && reason != "manual",
            stands,
            origin,
            first_seen: row.try_get("first_seen")?,
            last_seen: row.try_get("last_seen")?,
            count: row.try_get("count")?,
            changed_at: row.try_get("changed_at")?,
        });
    }
    Ok(entries)
}

/// What makes an entry that entry.
pub(super) fn essence(entry: &Value) -> Vec<Value> {
    ["reason", "class", "status", "rule", "evidence", "expires_at", "recheckable", "event"]
        .iter()
        .map(|field| entry[*field].clone())
        .collect()
}

/// Gives an entry that was made anew what its former self had seen; `changed_at` where it is the same entry.
pub(super) async fn give_back(
    connection: &mut SqliteConnection,
    key: &str,
    old: &Entry,
    changed_at: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE suppressions SET first_seen = min(first_seen, ?3), last_seen = max(last_seen, ?4),
                                 count = max(count, ?5), origin = ?6, changed_at = coalesce(?7, changed_at)
         WHERE address_key = ?1 AND stream = ?2",
    )
    .bind(key)
    .bind(old.stream)
    .bind(&old.first_seen)
    .bind(&old.last_seen)
    .bind(old.count)
    .bind(&old.origin)
    .bind(changed_at)
    .execute(connection)
    .await?;
    Ok(())
}
