//! What people do to the list, inside the writer's transaction.

use jiff::Timestamp;
use sqlx::Arguments;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};

use super::super::{AuditOrigin, ManualEntry, Removal, SuppressionFilter};
use super::audit::removed;
use super::facts::{Judge, load};
use super::filter::{Sql, of_entries};
use super::stored::{Written, resolve};
use super::write::write;
use super::written;
use crate::ledger::Needs;

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

/// Takes back every entry that stands and matches a filter. SQLite moves the rows; none of them is held here.
pub(super) async fn undo(
    connection: &mut SqliteConnection,
    filter: SuppressionFilter,
    now: Timestamp,
    actor: Option<String>,
) -> Result<u64, sqlx::Error> {
    let why = match filter.in_words() {
        words if words.is_empty() => "taken back by filter: every entry".to_owned(),
        words => format!("taken back by filter: {words}"),
    };
    // Expired entries are kept.
    let filter = SuppressionFilter { active_at: Some(now), ..filter };
    let mut noted = SqliteArguments::default();
    for value in [Some(written(now)), Some(AuditOrigin::Undo.as_str().to_owned()), actor, Some(why)] {
        noted.add(value).map_err(sqlx::Error::Encode)?;
    }
    let mut sql = Sql::with_arguments(removed!("TRUE", "?", "?", "?", "?"), noted);
    of_entries(&mut sql, &filter);
    sql.build().execute(&mut *connection).await?;
    let mut sql = Sql::new(
        "DELETE FROM counters WHERE scope = 'address' AND name IN (SELECT address_key FROM suppressions WHERE TRUE",
    );
    of_entries(&mut sql, &filter);
    sql.push(
        ") AND EXISTS (
             SELECT 1 FROM suppressions
             WHERE suppressions.address_key = counters.name AND suppressions.stream IN (0, counters.stream)",
    );
    of_entries(&mut sql, &filter);
    sql.push(")").build().execute(&mut *connection).await?;
    let mut sql = Sql::new("DELETE FROM suppressions WHERE TRUE");
    of_entries(&mut sql, &filter);
    Ok(sql.build().execute(&mut *connection).await?.rows_affected())
}
