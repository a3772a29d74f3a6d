//! Whole lists in and out: set-based, a few statements for a thousand rows.

use std::collections::HashSet;

use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::super::{
    Addresses, Imported, ListMark, ListPart, Lists, PartImported, Snapshot, StoreError, SuppressionFilter,
};
use super::SqliteStore;
use super::entries::place;
use super::facts::{Judge, load, to_entry};
use super::filter::{Sql, of_entries};
use super::read::{failed, json};
use super::stored::{Written, resolve_all};
use super::write::write;
use crate::ledger::{Entry, EntryKey, Facts, Needs};

impl Lists for SqliteStore {
    type Snapshot = SqliteSnapshot;

    async fn import(&self, part: ListPart) -> Result<PartImported, StoreError> {
        let rows = part.entries.len();
        self.writer()?
            .send(rows, Box::new(move |connection, judge| Box::pin(import(connection, judge, part))))
            .await
    }

    async fn weigh(&self, mut part: ListPart) -> Result<Imported, StoreError> {
        // Who was erased and is hashed alone is not looked for.
        if self.addresses().all_hashed() {
            for entry in &mut part.entries {
                let [_, hashed] = self.addresses().keys(&entry.address_key);
                entry.address_key = hashed;
            }
        }
        let mut connection = self.readers.tasks.acquire().await.map_err(failed)?;
        let judge = Judge::default();
        let (facts, listed) = beside(&mut connection, &judge, &part.entries, None).await.map_err(failed)?;
        let (imported, _) =
            judge.settle(facts, |book| book.import(part.entries, &listed, part.at, None, &part.why));
        Ok(imported)
    }

    async fn export(&self, filter: SuppressionFilter) -> Result<SqliteSnapshot, StoreError> {
        let filter = SuppressionFilter { after: None, ..filter };
        Ok(SqliteSnapshot { pool: self.readers.tasks.clone(), filter })
    }
}

/// A list on its way out. It holds no connection between two pages: an export that nobody reads keeps neither a
/// snapshot nor the log.
#[derive(Debug)]
pub struct SqliteSnapshot {
    pool: SqlitePool,
    filter: SuppressionFilter,
}

impl Snapshot for SqliteSnapshot {
    async fn next(&mut self, limit: u32) -> Result<Vec<Entry>, StoreError> {
        self.filter.limit = limit;
        let mut sql = Sql::new("SELECT * FROM suppressions WHERE TRUE");
        of_entries(&mut sql, &self.filter);
        place(&mut sql, &self.filter);
        let rows = sql.build().fetch_all(&self.pool).await.map_err(failed)?;
        let entries = rows.iter().map(to_entry).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        if let Some(last) = entries.last() {
            self.filter.after = Some((last.address_key.clone(), last.stream));
        }
        Ok(entries)
    }
}

/// What the store knows beside a part, and the keys that earlier parts of the same list wrote.
async fn beside(
    connection: &mut SqliteConnection,
    judge: &Judge,
    entries: &[Entry],
    mark: Option<ListMark>,
) -> Result<(Facts, HashSet<EntryKey>), sqlx::Error> {
    let mut needs = Needs::default();
    needs.addresses.extend(entries.iter().map(|entry| entry.address_key.clone()));
    let facts = load(connection, judge, &needs).await?;
    let Some(mark) = mark else { return Ok((facts, HashSet::new())) };
    let listed: Vec<EntryKey> = sqlx::query_as(
        "SELECT DISTINCT address_key, stream FROM json_each(?1) AS asked CROSS JOIN audit ON address_key = asked.value
         WHERE audit.id > ?2 AND origin = 'import'",
    )
    .bind(json(&needs.addresses)?)
    .bind(mark.history)
    .fetch_all(connection)
    .await?;
    Ok((facts, listed.into_iter().collect()))
}

/// Writes a part of a list, and its history.
async fn import(
    connection: &mut SqliteConnection,
    judge: &Judge,
    part: ListPart,
) -> Result<PartImported, sqlx::Error> {
    let ListPart { mut entries, actor, at, why, mark } = part;
    keep_as_stored(connection, &judge.settings.addresses, &mut entries).await?;
    let version: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *connection).await?;
    let history = match mark {
        Some(mark) => mark.history,
        None => {
            // Room for every page that a part touches: else they go to the log and come back several times.
            sqlx::raw_sql("PRAGMA cache_size = -16384").execute(&mut *connection).await?; // KiB
            sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM audit").fetch_one(&mut *connection).await?
        }
    };
    let (facts, listed) = beside(connection, judge, &entries, mark).await?;
    let (imported, writes) = judge.settle(facts, |book| book.import(entries, &listed, at, actor, &why));
    write(connection, &writes).await?;
    let others_write = mark.is_some_and(|mark| mark.version != version);
    Ok(PartImported { imported, mark: ListMark { history, version }, others_write })
}

/// Gives entries the keys that they are kept under, and what goes with a hashed one: nothing that names anybody.
async fn keep_as_stored(
    connection: &mut SqliteConnection,
    addresses: &Addresses,
    entries: &mut [Entry],
) -> Result<(), sqlx::Error> {
    if addresses.key().is_none() {
        return Ok(());
    }
    let forms: Vec<String> = entries.iter().map(|entry| entry.address_key.clone()).collect();
    let keys = resolve_all(connection, addresses, &forms).await?;
    for (entry, stored_key) in entries.iter_mut().zip(keys) {
        let texts = Written::beside(addresses, &stored_key, &entry.address_key);
        entry.address = texts.address(&stored_key, &entry.address);
        for text in [&mut entry.evidence, &mut entry.note].into_iter().flatten() {
            *text = texts.text(text);
        }
        entry.address_key = stored_key;
    }
    Ok(())
}
