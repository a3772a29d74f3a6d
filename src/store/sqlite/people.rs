//! What people do to the list, inside the writer's transaction.

use jiff::Timestamp;
use sqlx::Arguments;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};

use super::super::{AuditOrigin, ManualEntry, Removal, SuppressionFilter};
use super::apply::clear_counter;
use super::audit::{self, Cause, Noted, removed};
use super::breaker::Judge;
use super::filter::{Sql, of_entries};
use super::stored::{Written, resolve};
use super::written;
use crate::address::domain_of;

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
    let before = audit::before(connection, &entry.address_key, entry.stream, entry.now).await?;
    sqlx::query(
        "INSERT INTO suppressions (address_key, stream, address, reason, note, first_seen, last_seen, count,
                                   expires_at, origin, domain, changed_at)
         VALUES (?1, ?2, ?3, 'manual', ?4, ?5, ?5, 1, ?6, ?8, ?7, ?5)
         ON CONFLICT (address_key, stream) DO UPDATE SET
             address = excluded.address, reason = excluded.reason, class = NULL, status = NULL, rule = NULL,
             evidence = NULL, note = excluded.note,
             first_seen = iif(expires_at <= excluded.last_seen, excluded.first_seen, first_seen),
             count = iif(expires_at <= excluded.last_seen, 1, count), last_seen = excluded.last_seen, expires_at = excluded.expires_at,
             recheckable = 0, origin = excluded.origin, event = NULL, domain = excluded.domain,
             remote_mta = NULL, changed_at = excluded.changed_at, ended = 0",
    )
    .bind(&entry.address_key)
    .bind(entry.stream)
    .bind(&entry.address)
    .bind(&entry.note)
    .bind(written(entry.now))
    .bind(entry.expires_at.map(written))
    .bind(domain_of(&entry.address_key).unwrap_or_default())
    .bind(entry.origin.as_str())
    .execute(&mut *connection)
    .await?;
    let noted = Noted {
        address_key: &entry.address_key,
        stream: entry.stream,
        at: entry.now,
        before,
        why: entry.note.as_deref(),
        event: None,
    };
    let cause = Cause { origin: entry.origin, actor: entry.actor, at: None, why: None };
    audit::written_now(connection, noted, &entry.address, &cause).await
}

/// Takes an address off the list, as far as it stands there: expired entries are kept. What was counted
/// against it is forgotten, so that it starts anew.
pub(super) async fn remove(
    connection: &mut SqliteConnection,
    judge: &Judge,
    removal: Removal,
) -> Result<bool, sqlx::Error> {
    macro_rules! its_entries {
        () => {
            "address_key = ?1 AND (?2 IS NULL OR stream = ?2) AND (expires_at IS NULL OR expires_at > ?3)"
        };
    }
    let Removal { address_key, stream, now, origin, actor } = removal;
    let address_key = resolve(connection, &judge.settings.addresses, &address_key).await?;
    sqlx::query(removed!(its_entries!(), "?3", "?4", "?5", "?6"))
        .bind(&address_key)
        .bind(stream)
        .bind(written(now))
        .bind(origin.as_str())
        .bind(&actor)
        .bind(None::<String>)
        .execute(&mut *connection)
        .await?;
    let removed = sqlx::query(concat!("DELETE FROM suppressions WHERE ", its_entries!()))
        .bind(&address_key)
        .bind(stream)
        .bind(written(now))
        .execute(&mut *connection)
        .await?;
    clear_counter(connection, &address_key, stream, None, None).await?;
    Ok(removed.rows_affected() > 0)
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
