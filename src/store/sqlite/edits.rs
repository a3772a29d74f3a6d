//! Entries of addresses by name: many at once, and changed under a condition.

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteExecutor};
use sqlx::{Connection, Row};

use super::super::{
    ANY_STREAM, Condition, Edited, Entries, Put, PutDone, Removal, Standing, StoreError, Suppression, Watched,
};
use super::breaker::Judge;
use super::entries::{by_weight, entries, to_suppression};
use super::read::failed;
use super::watched::watched;
use super::{SqliteStore, people, written};

impl Entries for SqliteStore {
    async fn entries_of(
        &self,
        address_key: &str,
        stream: Option<i64>,
        now: Timestamp,
    ) -> Result<Vec<Suppression>, StoreError> {
        of_address(&self.readers.lookups, &self.addresses().keys(address_key), stream, now).await
    }

    async fn standing_of(
        &self,
        address_keys: &[String],
        stream: Option<i64>,
        now: Timestamp,
    ) -> Result<Standing, StoreError> {
        let addresses = self.addresses();
        let stored: Vec<[String; 2]> = address_keys.iter().map(|key| addresses.keys(key)).collect();
        let keys = serde_json::Value::from_iter(stored.iter().flatten().map(String::as_str)).to_string();
        let mut connection = self.readers.lookups.acquire().await.map_err(failed)?;
        // Both questions about the same moment.
        let mut at_once = connection.begin().await.map_err(failed)?;
        let found = standing_of(&mut at_once, &keys, stream, now).await?;
        at_once.rollback().await.map_err(failed)?;
        let mut standing = Standing::default();
        for (key, [plain, hashed]) in address_keys.iter().zip(stored) {
            let mut entries = found.entries.get(&plain).cloned().unwrap_or_default();
            if hashed != plain {
                entries.extend(found.entries.get(&hashed).into_iter().flatten().cloned());
            }
            if !entries.is_empty() {
                by_weight(&mut entries);
                standing.entries.insert(key.clone(), entries);
            }
            if let Some(hold) = found.holds.get(&plain).max(found.holds.get(&hashed)) {
                standing.holds.insert(key.clone(), *hold);
            }
            let both = if hashed == plain { &[&plain][..] } else { &[&plain, &hashed] };
            let unproven = both.iter().filter_map(|key| found.unproven.get(*key)).sum();
            if unproven > 0 {
                standing.unproven.insert(key.clone(), unproven);
            }
        }
        Ok(standing)
    }

    async fn watched(&self, address_key: &str, stream: Option<i64>) -> Result<Watched, StoreError> {
        watched(&self.readers.lookups, &self.addresses().keys(address_key), stream).await
    }

    async fn put(&self, put: Put) -> Result<Edited<PutDone>, StoreError> {
        self.writer()?
            .send(1, Box::new(move |connection, judge| Box::pin(edit(connection, judge, put))))
            .await
    }

    async fn take_off(&self, removal: Removal, condition: Condition) -> Result<Edited<bool>, StoreError> {
        self.writer()?
            .send(
                1,
                Box::new(move |connection, judge| Box::pin(take_off(connection, judge, removal, condition))),
            )
            .await
    }
}

async fn of_address(
    executor: impl SqliteExecutor<'_>,
    [plain, hashed]: &[String; 2],
    stream: Option<i64>,
    now: Timestamp,
) -> Result<Vec<Suppression>, StoreError> {
    let rows = sqlx::query(concat!(
        entries!(),
        "address_key IN (?1, ?4) AND (?2 IS NULL OR suppressions.stream IN (?2, ?5))
         AND (expires_at IS NULL OR expires_at > ?3) ORDER BY suppressions.stream"
    ))
    .bind(plain)
    .bind(stream)
    .bind(written(now))
    .bind(hashed)
    .bind(ANY_STREAM)
    .fetch_all(executor)
    .await
    .map_err(failed)?;
    rows.iter().map(to_suppression).collect()
}

/// What is held about addresses, the oldest first.
pub(super) const HELD: &str = "
    SELECT recipient_key, hold FROM json_each(?1) AS asked CROSS JOIN events INDEXED BY events_held_address
        ON recipient_key = asked.value
    WHERE change = 'held' AND hold IS NOT NULL ORDER BY received_at";

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
    let rows = sqlx::query(HELD).bind(keys).fetch_all(&mut *connection).await.map_err(failed)?;
    for row in &rows {
        standing.holds.insert(row.try_get(0)?, row.try_get(1)?);
    }
    let rows = sqlx::query(
        "SELECT recipient_key, count(*) FROM events INDEXED BY events_waiting_address
         WHERE change = 'quarantined' AND recipient_key IN (SELECT value FROM json_each(?1)) GROUP BY recipient_key",
    )
    .bind(keys)
    .fetch_all(connection)
    .await
    .map_err(failed)?;
    for row in &rows {
        standing.unproven.insert(row.try_get(0)?, row.try_get::<i64, _>(1)?.unsigned_abs());
    }
    Ok(standing)
}

/// What stands, within the writer's transaction.
async fn seen(
    connection: &mut SqliteConnection,
    judge: &Judge,
    address_key: &str,
    stream: Option<i64>,
    now: Timestamp,
) -> Result<Vec<Suppression>, sqlx::Error> {
    of_address(connection, &judge.settings.addresses.keys(address_key), stream, now).await.map_err(|error| {
        match error {
            StoreError::Sql(error) => error,
            error => sqlx::Error::Decode(Box::new(error)),
        }
    })
}

async fn edit(
    connection: &mut SqliteConnection,
    judge: &Judge,
    put: Put,
) -> Result<Edited<PutDone>, sqlx::Error> {
    let Put { entry, seen: stream, condition, force } = put;
    let (address_key, now) = (entry.address_key.clone(), entry.now);
    if !condition.holds(&seen(&mut *connection, judge, &address_key, stream, now).await?) {
        return Ok(Edited::Changed);
    }
    let mut standing = seen(&mut *connection, judge, &address_key, Some(entry.stream), now).await?;
    // In whose place it is put: not the one for every stream, where it is for one.
    standing.retain(|standing| standing.stream == entry.stream);
    let standing = standing.pop();
    let created = standing.is_none();
    if let Some(standing) = standing.filter(|standing| !force && standing.outweighs(entry.expires_at)) {
        return Ok(Edited::Weightier(Box::new(standing)));
    }
    people::add(&mut *connection, judge, entry).await?;
    let entries = seen(connection, judge, &address_key, stream, now).await?;
    Ok(Edited::Done(PutDone { created, entries }))
}

async fn take_off(
    connection: &mut SqliteConnection,
    judge: &Judge,
    removal: Removal,
    condition: Condition,
) -> Result<Edited<bool>, sqlx::Error> {
    let standing = seen(&mut *connection, judge, &removal.address_key, removal.stream, removal.now).await?;
    if !condition.holds(&standing) {
        return Ok(Edited::Changed);
    }
    people::remove(connection, judge, removal).await.map(Edited::Done)
}
