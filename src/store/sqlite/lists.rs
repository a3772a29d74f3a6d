//! Whole lists in and out: set-based, a few statements for a thousand rows.

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row, Sqlite};

use super::super::Addresses;
use super::super::{
    AuditOrigin, Imported, ListEntry, ListMark, ListPart, Lists, PartImported, Snapshot, StoreError,
    SuppressionFilter,
};
use super::audit::{entry_json, expired};
use super::entries::place;
use super::facts::Judge;
use super::filter::{Sql, of_entries};
use super::join::{Joining, Row as Write};
use super::read::{failed, maybe_time, time};
use super::stored::{Written, resolve_all};
use super::{SqliteStore, written};
use crate::policy::Reason;

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
        let joining = weigh(&mut connection, part.entries, part.at, i64::MAX).await;
        Ok(joining.map_err(failed)?.imported)
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
    async fn next(&mut self, limit: u32) -> Result<Vec<ListEntry>, StoreError> {
        self.filter.limit = limit;
        let mut sql = Sql::new("SELECT * FROM suppressions WHERE TRUE");
        of_entries(&mut sql, &self.filter);
        place(&mut sql, &self.filter);
        let rows = sql.build().fetch_all(&self.pool).await.map_err(failed)?;
        let entries = rows.iter().map(to_entry).collect::<Result<Vec<_>, _>>()?;
        if let Some(last) = entries.last() {
            self.filter.after = Some((last.address_key.clone(), last.stream));
        }
        Ok(entries)
    }
}

fn to_entry(row: &SqliteRow) -> Result<ListEntry, StoreError> {
    let reason: String = row.try_get("reason")?;
    Ok(ListEntry {
        address: row.try_get("address")?,
        address_key: row.try_get("address_key")?,
        stream: row.try_get("stream")?,
        reason: Reason::from_name(&reason)
            .ok_or_else(|| StoreError::Corrupt { what: format!("reason {reason:?} of a suppression") })?,
        class: row.try_get("class")?,
        status: row.try_get("status")?,
        rule: row.try_get("rule")?,
        remote_mta: row.try_get("remote_mta")?,
        evidence: row.try_get("evidence")?,
        note: row.try_get("note")?,
        first_seen: time(row, "first_seen")?,
        last_seen: time(row, "last_seen")?,
        count: row.try_get("count")?,
        expires_at: maybe_time(row, "expires_at")?,
        recheckable: row.try_get("recheckable")?,
        soft_term_days: row.try_get("soft_term_days")?,
    })
}

/// What comes of the entries of a part, by what stands; `history` tells what the same list wrote before.
async fn weigh(
    connection: &mut SqliteConnection,
    entries: Vec<ListEntry>,
    now: Timestamp,
    history: i64,
) -> Result<Joining, sqlx::Error> {
    let keys: Vec<_> = entries.iter().map(|entry| (&entry.address_key, entry.stream)).collect();
    let rows = sqlx::query(concat!(
        "SELECT suppressions.*, ",
        entry_json!(),
        " AS entry, expires_at <= ?2 AS over,
         EXISTS (SELECT 1 FROM audit WHERE audit.address_key = suppressions.address_key AND audit.id > ?3
                     AND audit.stream = suppressions.stream AND audit.origin = 'import') AS listed
         FROM json_each(?1) AS part CROSS JOIN suppressions
         ON address_key = part.value ->> 0 AND suppressions.stream = part.value ->> 1"
    ))
    .bind(json(&keys)?)
    .bind(written(now))
    .bind(history)
    .fetch_all(&mut *connection)
    .await?;
    let mut joining = Joining::beside(&rows, now)?;
    entries.into_iter().for_each(|entry| joining.add(entry));
    Ok(joining)
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
    let now = written(at);
    let joining = weigh(connection, entries, at, history).await?;
    let imported = joining.imported;
    end_what_is_over(connection, &joining).await?;
    let writes: Vec<Write> = joining.into_rows();
    put(connection, writes.iter().filter(|row| !row.longer), &now).await?;
    let (mut lengthened, mut noted) = (Vec::new(), Vec::with_capacity(writes.len()));
    for row in &writes {
        if row.longer {
            lengthened.push((
                &row.address_key,
                row.stream,
                &row.expires_at,
                row.recheckable,
                row.soft_term_days,
            ));
        }
        noted.push((&row.address_key, row.stream, &row.before, row.longer));
    }
    if !lengthened.is_empty() {
        sqlx::query(LENGTHEN).bind(json(&lengthened)?).bind(&now).execute(&mut *connection).await?;
    }
    if !noted.is_empty() {
        sqlx::query(NOTE)
            .bind(json(&noted)?)
            .bind(&now)
            .bind(AuditOrigin::Import.as_str())
            .bind(actor)
            .bind(why)
            .execute(&mut *connection)
            .await?;
    }
    let others_write = mark.is_some_and(|mark| mark.version != version);
    Ok(PartImported { imported, mark: ListMark { history, version }, others_write })
}

/// Gives entries the keys that they are kept under, and what goes with a hashed one: nothing that names anybody.
async fn keep_as_stored(
    connection: &mut SqliteConnection,
    addresses: &Addresses,
    entries: &mut [ListEntry],
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

/// Rows of one statement: each has 18 values, and SQLite takes 32,766.
const ROWS: usize = 1_000;

/// Writes entries that are new, or take the place of others. Their values are bound one by one: to unpack as many from
/// JSON takes SQLite longer than to write them.
async fn put(
    connection: &mut SqliteConnection,
    rows: impl Iterator<Item = &Write>,
    now: &str,
) -> Result<(), sqlx::Error> {
    let rows: Vec<&Write> = rows.collect();
    for rows in rows.chunks(ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO suppressions
             (address_key, stream, address, reason, class, status, rule, remote_mta, evidence, note, first_seen,
              last_seen, count, expires_at, recheckable, soft_term_days, domain, changed_at, origin) ",
        );
        query.push_values(rows, |mut values, row| {
            values
                .push_bind(&row.address_key)
                .push_bind(row.stream)
                .push_bind(&row.address)
                .push_bind(row.reason)
                .push_bind(&row.class)
                .push_bind(&row.status)
                .push_bind(&row.rule)
                .push_bind(&row.remote_mta)
                .push_bind(&row.evidence)
                .push_bind(&row.note)
                .push_bind(&row.first_seen)
                .push_bind(&row.last_seen)
                .push_bind(row.count)
                .push_bind(&row.expires_at)
                .push_bind(row.recheckable)
                .push_bind(row.soft_term_days)
                .push_bind(&row.domain)
                .push_bind(now)
                .push("'import'");
        });
        query.push(
            " ON CONFLICT (address_key, stream) DO UPDATE SET
                 address = excluded.address, reason = excluded.reason, class = excluded.class,
                 status = excluded.status, rule = excluded.rule, remote_mta = excluded.remote_mta,
                 evidence = excluded.evidence, note = excluded.note, first_seen = excluded.first_seen,
                 last_seen = excluded.last_seen, count = excluded.count, expires_at = excluded.expires_at,
                 recheckable = excluded.recheckable, soft_term_days = excluded.soft_term_days,
                 origin = excluded.origin, event = NULL, domain = excluded.domain,
                 changed_at = excluded.changed_at, ended = 0",
        );
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Entries that stay as they are and end later.
const LENGTHEN: &str = "UPDATE suppressions
 SET expires_at = value ->> 2, recheckable = value ->> 3, soft_term_days = value ->> 4, changed_at = ?2
 FROM json_each(?1)
 WHERE address_key = value ->> 0 AND stream = value ->> 1";

/// The history of both.
const NOTE: &str = concat!(
    "INSERT INTO audit (at, address_key, address, stream, action, origin, actor, before, after, why)
     SELECT ?2, address_key, address, stream, iif(value ->> 2 IS NULL, 'added', 'changed'), ?3, ?4, value ->> 2, ",
    entry_json!(),
    ", iif(value ->> 3, 'lasts longer: ' || ?5, ?5)
     FROM json_each(?1) CROSS JOIN suppressions ON address_key = value ->> 0 AND stream = value ->> 1"
);

/// What ran out and was not noted yet has run out first.
async fn end_what_is_over(connection: &mut SqliteConnection, joining: &Joining) -> Result<(), sqlx::Error> {
    let over = joining.over();
    if over.is_empty() {
        return Ok(());
    }
    let over = json(&over)?;
    macro_rules! over {
        () => {
            "WHERE (address_key, stream) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1))"
        };
    }
    sqlx::query(expired!(concat!("FROM suppressions ", over!())))
        .bind(&over)
        .execute(&mut *connection)
        .await?;
    sqlx::query(concat!("UPDATE suppressions SET ended = 1 ", over!()))
        .bind(&over)
        .execute(connection)
        .await?;
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}
