//! Entries of addresses by name: many at once, and changed under a condition.

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqliteExecutor};

use super::super::{
    ANY_STREAM, Condition, Edited, Entries, Put, PutDone, Removal, Standing, StoreError, Suppression,
};
use super::entries::{entries, to_suppression};
use super::facts::Judge;
use super::read::failed;
use super::{SqliteStore, people, standing, written};

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
    ) -> Result<Vec<Standing>, StoreError> {
        let stored: Vec<_> = address_keys.iter().map(|key| self.addresses().keys(key)).collect();
        standing::of(&self.readers.lookups, &stored, stream, now).await
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
