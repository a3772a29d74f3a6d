//! The history of the list: every change of an entry is a row that nobody changes again. All that is written to
//! the list goes through here.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::super::{AuditOrigin, Replayed};
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

/// Who let a change come about, and when.
#[derive(Debug, Clone)]
pub(super) struct Cause {
    pub(super) origin: AuditOrigin,
    /// The person, where there is one.
    pub(super) actor: Option<String>,
    /// When that person did it; `None`: at the time of the event.
    pub(super) at: Option<Timestamp>,
    /// What is to be said besides, before what decided.
    pub(super) why: Option<String>,
}

impl Cause {
    /// A bounce did it, when it came in or when a person brought it.
    pub(super) fn bounce(replayed: Option<&Replayed>) -> Self {
        Self {
            origin: replayed.map_or(AuditOrigin::Bounce, |_| AuditOrigin::Replay),
            actor: replayed.map(|replayed| replayed.actor.clone()),
            at: replayed.map(|replayed| replayed.at),
            why: None,
        }
    }

    /// What the entry says that it came from: a bounce is one, whoever let it through.
    pub(super) const fn origin_of_entry(&self) -> &'static str {
        match self.origin {
            AuditOrigin::Replay => AuditOrigin::Replay.as_str(),
            _ => AuditOrigin::Bounce.as_str(),
        }
    }
}

/// A change of the entry of one address in one stream.
#[derive(Debug)]
pub(super) struct Noted<'a> {
    pub(super) address_key: &'a str,
    pub(super) stream: i64,
    /// The time of the change, where the cause has none of its own.
    pub(super) at: Timestamp,
    /// The entry that stood before: what [`before`] said.
    pub(super) before: Option<String>,
    /// What decided.
    pub(super) why: Option<&'a str>,
    pub(super) event: Option<i64>,
}

/// The entry that stands, as the history keeps it; to be asked before it is changed. One that has run out stands
/// no more: when that was not noted yet, it is now.
pub(super) async fn before(
    connection: &mut SqliteConnection,
    address_key: &str,
    stream: i64,
    now: Timestamp,
) -> Result<Option<String>, sqlx::Error> {
    let row = sqlx::query(concat!(
        "SELECT ",
        entry_json!(),
        " AS entry, ended, expires_at <= ?3 AS over FROM suppressions WHERE address_key = ?1 AND stream = ?2"
    ))
    .bind(address_key)
    .bind(stream)
    .bind(written(now))
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    if row.try_get("ended")? {
        return Ok(None);
    }
    if row.try_get::<Option<bool>, _>("over")?.unwrap_or(false) {
        sqlx::query(expired!("FROM suppressions WHERE address_key = ?1 AND stream = ?2"))
            .bind(address_key)
            .bind(stream)
            .execute(&mut *connection)
            .await?;
        sqlx::query("UPDATE suppressions SET ended = 1 WHERE address_key = ?1 AND stream = ?2")
            .bind(address_key)
            .bind(stream)
            .execute(&mut *connection)
            .await?;
        return Ok(None);
    }
    row.try_get("entry")
}

/// The entry of an address in a stream as the history keeps it, whether or not its time is over.
pub(super) async fn as_json(
    connection: &mut SqliteConnection,
    address_key: &str,
    stream: i64,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(concat!(
        "SELECT ",
        entry_json!(),
        " FROM suppressions WHERE address_key = ?1 AND stream = ?2"
    ))
    .bind(address_key)
    .bind(stream)
    .fetch_optional(connection)
    .await
}

/// Notes that another entry stands now, or none: `after` is what [`as_json`] says of it.
pub(super) async fn replaced(
    connection: &mut SqliteConnection,
    noted: Noted<'_>,
    address: &str,
    after: Option<&str>,
    cause: &Cause,
) -> Result<(), sqlx::Error> {
    let action = match (&noted.before, after) {
        (None, _) => "added",
        (_, None) => "removed",
        _ => "changed",
    };
    sqlx::query(
        "INSERT INTO audit (at, address_key, address, stream, action, origin, actor, before, after, why, event)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )
    .bind(written(cause.at.unwrap_or(noted.at)))
    .bind(noted.address_key)
    .bind(address)
    .bind(noted.stream)
    .bind(action)
    .bind(cause.origin.as_str())
    .bind(&cause.actor)
    .bind(&noted.before)
    .bind(after)
    .bind(noted.why)
    .bind(noted.event)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that an entry was just made or changed.
pub(super) async fn written_now(
    connection: &mut SqliteConnection,
    noted: Noted<'_>,
    address: &str,
    cause: &Cause,
) -> Result<(), sqlx::Error> {
    let why: Vec<&str> = [cause.why.as_deref(), noted.why].into_iter().flatten().collect();
    sqlx::query(concat!(
        "INSERT INTO audit (at, address_key, address, stream, action, origin, actor, before, after, why, event)
         VALUES (?1, ?2, ?3, ?4, iif(?5 IS NULL, 'added', 'changed'), ?6, ?7, ?5,
                 (SELECT ",
        entry_json!(),
        " FROM suppressions WHERE address_key = ?2 AND stream = ?4), ?8, ?9)"
    ))
    .bind(written(cause.at.unwrap_or(noted.at)))
    .bind(noted.address_key)
    .bind(address)
    .bind(noted.stream)
    .bind(noted.before)
    .bind(cause.origin.as_str())
    .bind(&cause.actor)
    .bind((!why.is_empty()).then(|| why.join(": ")))
    .bind(noted.event)
    .execute(connection)
    .await?;
    Ok(())
}

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
