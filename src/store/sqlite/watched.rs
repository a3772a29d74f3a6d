//! What is known of an address beside the entries that suppress it.

use sqlx::Row;
use sqlx::sqlite::SqlitePool;

use super::super::{CountedDay, StoreError, Watched};
use super::entries::to_told_event;
use super::read::failed;

/// Bounces of an address (under both of its keys) that wait, days that are counted, and the last failure.
pub(super) async fn watched(
    pool: &SqlitePool,
    [plain, hashed]: &[String; 2],
    stream: Option<i64>,
) -> Result<Watched, StoreError> {
    let unproven: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM events INDEXED BY events_waiting_address
         WHERE change = 'quarantined' AND recipient_key IN (?1, ?2)",
    )
    .bind(plain)
    .bind(hashed)
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    let rows = sqlx::query(
        "SELECT kind, stream, day FROM counters
         WHERE scope = 'address' AND name IN (?1, ?2) AND (?3 IS NULL OR stream IN (0, ?3)) ORDER BY kind, stream, day",
    )
    .bind(plain)
    .bind(hashed)
    .bind(stream)
    .fetch_all(pool)
    .await
    .map_err(failed)?;
    let counted = rows
        .iter()
        .map(|row| Ok(CountedDay { kind: row.try_get(0)?, stream: row.try_get(1)?, day: row.try_get(2)? }))
        .collect::<Result<_, sqlx::Error>>()
        .map_err(failed)?;
    // A delivery after it says that it is over.
    let last = sqlx::query(
        "SELECT * FROM events INDEXED BY events_recipient
         WHERE recipient_key IN (?1, ?2) AND change NOT IN ('quarantined', 'discarded')
           AND (bounce_type <> 'none' OR decision = 'sender' OR class = 'delivered')
         ORDER BY received_at DESC, id DESC LIMIT 1",
    )
    .bind(plain)
    .bind(hashed)
    .fetch_optional(pool)
    .await
    .map_err(failed)?;
    let last = last.as_ref().map(to_told_event).transpose()?;
    Ok(Watched {
        unproven: unproven.unsigned_abs(),
        counted,
        last_failure: last.filter(|told| told.event.class != "delivered"),
    })
}
