//! What people do to the list, inside the writer's transaction.

use sqlx::sqlite::SqliteConnection;

use super::super::{ANY_STREAM, ManualEntry};
use super::apply::clear_counter;
use super::written;
use crate::address::domain_of;

/// Puts an address on the list by hand.
pub(super) async fn add(connection: &mut SqliteConnection, entry: ManualEntry) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO suppressions (address_key, stream, address, reason, note, first_seen, last_seen, count,
                                   expires_at, origin, domain)
         VALUES (?1, ?2, ?3, 'manual', ?4, ?5, ?5, 1, ?6, 'cli', ?7)
         ON CONFLICT (address_key, stream) DO UPDATE SET
             address = excluded.address, reason = excluded.reason, class = NULL, status = NULL, rule = NULL,
             evidence = NULL, note = excluded.note, last_seen = excluded.last_seen, expires_at = excluded.expires_at,
             recheckable = 0, origin = excluded.origin, event = NULL, domain = excluded.domain,
             remote_mta = NULL, ended = 0",
    )
    .bind(&entry.address_key)
    .bind(ANY_STREAM)
    .bind(&entry.address)
    .bind(&entry.note)
    .bind(written(entry.now))
    .bind(entry.expires_at.map(written))
    .bind(domain_of(&entry.address_key).unwrap_or_default())
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes an address off the list; what was counted against it is forgotten, so that it starts anew.
pub(super) async fn remove(
    connection: &mut SqliteConnection,
    address_key: String,
) -> Result<bool, sqlx::Error> {
    let removed = sqlx::query("DELETE FROM suppressions WHERE address_key = ?1 AND stream = ?2")
        .bind(&address_key)
        .bind(ANY_STREAM)
        .execute(&mut *connection)
        .await?;
    clear_counter(connection, &address_key, None).await?;
    Ok(removed.rows_affected() > 0)
}
