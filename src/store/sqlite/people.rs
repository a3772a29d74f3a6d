//! What people do to the list, inside the writer's transaction.

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::super::{ManualEntry, Removal, SuppressionFilter};
use super::entries::place;
use super::facts::{Judge, load, to_entry};
use super::filter::{Sql, of_entries};
use super::stored::{Written, resolve};
use super::write::write;
use super::written;
use crate::ledger::{Cause, Entry, EntryKey, Facts, Needs};

/// Puts an address on the list by hand.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    judge: &Judge,
    mut entry: ManualEntry,
) -> Result<(), sqlx::Error> {
    let addresses = &judge.settings.addresses;
    let stored_key = resolve(connection, addresses, &entry.address_key).await?;
    let texts = Written::beside(addresses, &stored_key, &entry.address_key);
    entry.address = texts.address(&stored_key, &entry.address);
    entry.note = entry.note.map(|note| texts.text(&note));
    entry.address_key = stored_key;
    let facts = load(connection, judge, &Needs::address(&entry.address_key)).await?;
    let ((), writes) = judge.settle(facts, |book| book.add(entry));
    write(connection, &writes).await
}

/// Takes an address off the list, as far as it stands there.
pub(super) async fn remove(
    connection: &mut SqliteConnection,
    judge: &Judge,
    mut removal: Removal,
) -> Result<bool, sqlx::Error> {
    removal.address_key = resolve(connection, &judge.settings.addresses, &removal.address_key).await?;
    let facts = load(connection, judge, &Needs::address(&removal.address_key)).await?;
    let (stood, writes) = judge.settle(facts, |book| book.remove(&removal));
    write(connection, &writes).await?;
    Ok(stood)
}

/// Takes back a page of the entries that stand and match a filter; how many, and where the next page begins.
pub(super) async fn undo(
    connection: &mut SqliteConnection,
    judge: &Judge,
    filter: &SuppressionFilter,
    cause: Cause,
) -> Result<(u64, Option<EntryKey>), sqlx::Error> {
    let mut sql = Sql::new("SELECT suppressions.* FROM suppressions WHERE TRUE");
    of_entries(&mut sql, filter);
    place(&mut sql, filter);
    let rows = sql.build().fetch_all(&mut *connection).await?;
    let entries = rows.iter().map(to_entry).collect::<Result<Vec<Entry>, _>>()?;
    let mut needs = Needs::default();
    needs.addresses.extend(entries.iter().map(|entry| entry.address_key.clone()));
    let facts = load(connection, judge, &needs).await?;
    let ((), writes) =
        judge.settle(facts, |book| entries.iter().for_each(|entry| book.take_back(entry, &cause)));
    write(connection, &writes).await?;
    let last = entries.last().filter(|_| entries.len() as u64 == u64::from(filter.limit));
    Ok((entries.len() as u64, last.map(Entry::key)))
}

/// Notes that entries have run out, a bounded number at once, those first that did so first.
pub(super) async fn expire(
    connection: &mut SqliteConnection,
    judge: &Judge,
    now: Timestamp,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT * FROM suppressions WHERE expires_at IS NOT NULL AND ended = 0 AND expires_at <= ?1
         ORDER BY expires_at, address_key, stream LIMIT ?2",
    )
    .bind(written(now))
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let mut facts = Facts::default();
    let mut keys = Vec::with_capacity(rows.len());
    for row in &rows {
        let entry = to_entry(row)?;
        keys.push(entry.key());
        facts.entries.insert(entry.key(), entry);
    }
    let ((), writes) = judge.settle(facts, |book| keys.iter().for_each(|key| book.expire(key)));
    write(connection, &writes).await?;
    Ok(keys.len() as u64)
}
