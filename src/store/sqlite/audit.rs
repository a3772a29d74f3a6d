//! The history of the list: every change of an entry is a row that nobody changes again. All that is written to
//! the list goes through here.

use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;

use super::written;

/// An entry as the history keeps it: a JSON object, with the names that `--json` has.
macro_rules! entry_json {
    () => {
        "json_object('address', address, 'stream', stream, 'reason', reason, 'class', class, 'status', status,
             'rule', rule, 'remote_mta', remote_mta, 'evidence', evidence, 'note', note, 'first_seen', first_seen,
             'last_seen', last_seen, 'count', count, 'expires_at', expires_at,
             'recheckable', json(iif(recheckable, 'true', 'false')), 'soft_term_days', soft_term_days,
             'origin', origin, 'event', event)"
    };
}

/// The statement that notes that entries are about to be removed: which (a condition), and the places of the values
/// for when, origin, actor and why.
macro_rules! removed {
    ($which:expr, $at:literal, $origin:literal, $actor:literal, $why:literal) => {
        concat!(
            "INSERT INTO audit (at, address_key, address, stream, action, origin, actor, before, why, event) SELECT ",
            $at,
            ", address_key, address, stream, 'removed', ",
            $origin,
            ", ",
            $actor,
            ", ",
            $crate::store::sqlite::audit::entry_json!(),
            ", ",
            $why,
            ", event FROM suppressions WHERE ",
            $which
        )
    };
}
pub(super) use {entry_json, removed};

/// The statement that notes that entries have run out: which, from FROM on.
macro_rules! expired {
    ($which:expr) => {
        concat!(
            "INSERT INTO audit (at, address_key, address, stream, action, origin, before, why)
             SELECT expires_at, address_key, address, stream, 'expired', 'expiry', ",
            $crate::store::sqlite::audit::entry_json!(),
            ", 'its time was over' ",
            $which
        )
    };
}
pub(super) use expired;

/// Notes that entries have run out, a bounded number at once, those first that did so first.
pub(super) async fn expire(
    connection: &mut SqliteConnection,
    now: Timestamp,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    macro_rules! over {
        () => {
            "FROM suppressions WHERE expires_at IS NOT NULL AND ended = 0 AND expires_at <= ?1
             ORDER BY expires_at, address_key, stream LIMIT ?2"
        };
    }
    sqlx::query(expired!(over!())).bind(written(now)).bind(limit).execute(&mut *connection).await?;
    let ended = sqlx::query(concat!(
        "UPDATE suppressions SET ended = 1 WHERE (address_key, stream) IN (SELECT address_key, stream ",
        over!(),
        ")"
    ))
    .bind(written(now))
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(ended.rows_affected())
}
