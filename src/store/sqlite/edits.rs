//! Entries of addresses by name: many at once, and changed under a condition.

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteExecutor};
use sqlx::{Connection, Row};

use super::super::{
    ANY_STREAM, Condition, Edited, Entries, Put, PutDone, Removal, Standing, StoreError, Suppression,
};
use super::entries::{by_weight, entries, to_suppression};
use super::read::failed;
use super::{SqliteStore, people, written};

impl Entries for SqliteStore {
    async fn entries_of(
        &self,
        address_key: &str,
        stream: Option<i64>,
        now: Timestamp,
    ) -> Result<Vec<Suppression>, StoreError> {
        of_address(&self.readers, address_key, stream, now).await
    }

    async fn standing_of(
        &self,
        address_keys: &[String],
        stream: Option<i64>,
        now: Timestamp,
    ) -> Result<Standing, StoreError> {
        let keys = serde_json::to_string(address_keys).unwrap_or_default();
        let mut connection = self.readers.acquire().await.map_err(failed)?;
        // Both questions about the same moment.
        let mut at_once = connection.begin().await.map_err(failed)?;
        let standing = standing_of(&mut at_once, &keys, stream, now).await?;
        at_once.rollback().await.map_err(failed)?;
        Ok(standing)
    }

    async fn put(&self, put: Put) -> Result<Edited<PutDone>, StoreError> {
        self.writer()?.send(1, Box::new(move |connection, _| Box::pin(edit(connection, put)))).await
    }

    async fn take_off(&self, removal: Removal, condition: Condition) -> Result<Edited<bool>, StoreError> {
        self.writer()?
            .send(1, Box::new(move |connection, _| Box::pin(take_off(connection, removal, condition))))
            .await
    }
}

async fn of_address(
    executor: impl SqliteExecutor<'_>,
    address_key: &str,
    stream: Option<i64>,
    now: Timestamp,
) -> Result<Vec<Suppression>, StoreError> {
    let rows = sqlx::query(concat!(
        entries!(),
        "address_key = ?1 AND (?2 IS NULL OR suppressions.stream = ?2) AND (expires_at IS NULL OR expires_at > ?3)
         ORDER BY suppressions.stream"
    ))
    .bind(address_key)
    .bind(stream)
    .bind(written(now))
    .fetch_all(executor)
    .await
    .map_err(failed)?;
    rows.iter().map(to_suppression).collect()
}

async fn standing_of(
    connection: &mut SqliteConnection,
    keys: &str,
    stream: Option<i64>,
    now: Timestamp,
) -> Result<Standing, StoreError> {
    let mut standing = Standing::default();
    let rows = sqlx::query(concat!(
        entries!(),
        "address_key IN (SELECT value FROM json_each(?1)) AND (?2 IS NULL OR suppressions.stream IN (?2, ?3))
         AND (expires_at IS NULL OR expires_at > ?4) ORDER BY address_key, suppressions.stream"
    ))
    .bind(keys)
    .bind(stream)
    .bind(ANY_STREAM)
    .bind(written(now))
    .fetch_all(&mut *connection)
    .await
    .map_err(failed)?;
    for row in &rows {
        let entry = to_suppression(row)?;
        standing.entries.entry(entry.address_key.clone()).or_default().push(entry);
    }
    standing.entries.values_mut().for_each(|entries| by_weight(entries));
    // Few wait: from what is held to whom it is about, and not the other way.
    let rows = sqlx::query(
        "SELECT recipient_key, hold FROM events INDEXED BY events_held
         WHERE hold IS NOT NULL AND change = 'held' AND recipient_key IN (SELECT value FROM json_each(?1))
         ORDER BY received_at",
    )
    .bind(keys)
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    for row in &rows {
        standing.holds.insert(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(standing)
}

/// What stands, within the writer's transaction.
async fn seen(
    connection: &mut SqliteConnection,
    address_key: &str,
    stream: Option<i64>,
    now: Timestamp,
) -> Result<Vec<Suppression>, sqlx::Error> {
    of_address(connection, address_key, stream, now).await.map_err(|error| match error {
        StoreError::Sql(error) => error,
        error => sqlx::Error::Decode(Box::new(error)),
    })
}

async fn edit(connection: &mut SqliteConnection, put: Put) -> Result<Edited<PutDone>, sqlx::Error> {
    let Put { entry, seen: stream, condition, force } = put;
    let (address_key, now) = (entry.address_key.clone(), entry.now);
    if !condition.holds(&seen(&mut *connection, &address_key, stream, now).await?) {
        return Ok(Edited::Changed);
    }
    let standing = seen(&mut *connection, &address_key, Some(entry.stream), now).await?.pop();
    let created = standing.is_none();
    if let Some(standing) = standing.filter(|standing| !force && standing.outweighs(entry.expires_at)) {
        return Ok(Edited::Weightier(Box::new(standing)));
    }
    people::add(&mut *connection, entry).await?;
    let entries = seen(connection, &address_key, stream, now).await?;
    Ok(Edited::Done(PutDone { created, entries }))
}

async fn take_off(
    connection: &mut SqliteConnection,
    removal: Removal,
    condition: Condition,
) -> Result<Edited<bool>, sqlx::Error> {
    let standing = seen(&mut *connection, &removal.address_key, removal.stream, removal.now).await?;
    if !condition.holds(&standing) {
        return Ok(Edited::Changed);
    }
    people::remove(connection, removal).await.map(Edited::Done)
}
