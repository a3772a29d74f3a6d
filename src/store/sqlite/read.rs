//! What is asked: by readers, who never wait for the writer.

use std::io::Read;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::super::{Addresses, Bounce, BounceEvent, BounceFilter, StoreError};
use super::filter::{Sql, of_bounces};
use super::writer::unavailable;

/// Largest message that is unpacked again, in bytes; the receiver takes none as large.
const MAX_UNPACKED: u64 = 1 << 30;

/// Every column of a message but its raw bytes.
macro_rules! message_columns {
    () => {
        "SELECT id, received_at, copies, peer, helo, protocol, tls, reverse_path, recipients, original_recipients, envelope_id, kind, message_id, sender, subject,
                reporting_mta, original_envelope_id, arrival_date, original_message_id, original_from, original_to,
                original_subject, defects, size, raw IS NOT NULL AS raw_kept
         FROM messages "
    };
}

/// A page of messages, from the newest on: each is asked for its events, and no list of all that match is made.
pub(super) fn page(addresses: &Addresses, filter: &BounceFilter) -> Sql {
    let mut sql = Sql::new(concat!(message_columns!(), "WHERE TRUE"));
    of_bounces(&mut sql, addresses, filter);
    sql.push(" ORDER BY messages.id DESC LIMIT ").push_bind(filter.limit);
    sql
}

/// Messages with their events, the newest first.
pub(super) async fn bounces(
    pool: &SqlitePool,
    addresses: &Addresses,
    filter: &BounceFilter,
) -> Result<Vec<Bounce>, StoreError> {
    let rows = page(addresses, filter).build().fetch_all(pool).await.map_err(failed)?;
    let mut bounces = Vec::with_capacity(rows.len());
    for row in &rows {
        bounces.push(with_events(pool, row).await?);
    }
    Ok(bounces)
}

/// One message with its events.
pub(super) async fn bounce(pool: &SqlitePool, id: i64) -> Result<Option<Bounce>, StoreError> {
    let row = sqlx::query(concat!(message_columns!(), "WHERE id = ?1"))
        .bind(id)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    match row {
        Some(row) => with_events(pool, &row).await.map(Some),
        None => Ok(None),
    }
}

/// The message as it was received.
pub(super) async fn raw(pool: &SqlitePool, id: i64) -> Result<Option<Vec<u8>>, StoreError> {
    let packed: Option<Option<Vec<u8>>> = sqlx::query_scalar("SELECT raw FROM messages WHERE id = ?1")
        .bind(id)
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    let Some(packed) = packed.flatten() else { return Ok(None) };
    let mut decoder = zstd::stream::read::Decoder::new(&packed[..])
        .map_err(|error| StoreError::Corrupt { what: format!("message {id}: {error}") })?;
    let mut bytes = Vec::new();
    decoder
        .by_ref()
        .take(MAX_UNPACKED)
        .read_to_end(&mut bytes)
        .map_err(|error| StoreError::Corrupt { what: format!("message {id}: {error}") })?;
    Ok(Some(bytes))
}

pub(super) fn failed(error: sqlx::Error) -> StoreError {
    match unavailable(&error) {
        Some(cause) => StoreError::Unavailable(cause),
        None => StoreError::Sql(error),
    }
}

async fn with_events(pool: &SqlitePool, row: &SqliteRow) -> Result<Bounce, StoreError> {
    let id: i64 = row.try_get("id")?;
    let events = sqlx::query("SELECT * FROM events WHERE message = ?1 ORDER BY id")
        .bind(id)
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    Ok(Bounce {
        id,
        received_at: time(row, "received_at")?,
        copies: row.try_get("copies")?,
        peer: row.try_get("peer")?,
        helo: row.try_get("helo")?,
        protocol: row.try_get("protocol")?,
        tls: row.try_get("tls")?,
        reverse_path: row.try_get("reverse_path")?,
        return_paths: list(row, "recipients")?,
        envelope_original_recipients: list(row, "original_recipients")?,
        envelope_id: row.try_get("envelope_id")?,
        kind: row.try_get("kind")?,
        message_id: row.try_get("message_id")?,
        sender: row.try_get("sender")?,
        subject: row.try_get("subject")?,
        reporting_mta: row.try_get("reporting_mta")?,
        original_envelope_id: row.try_get("original_envelope_id")?,
        arrival_date: maybe_time(row, "arrival_date")?,
        original_message_id: row.try_get("original_message_id")?,
        original_from: row.try_get("original_from")?,
        original_to: list(row, "original_to")?,
        original_subject: row.try_get("original_subject")?,
        defects: list(row, "defects")?,
        size: row.try_get("size")?,
        raw_kept: row.try_get("raw_kept")?,
        recipients: events.iter().map(to_event).collect::<Result<_, _>>()?,
    })
}

pub(super) fn to_event(row: &SqliteRow) -> Result<BounceEvent, StoreError> {
    Ok(BounceEvent {
        event: row.try_get("id")?,
        stream: row.try_get("stream")?,
        stream_name: None,
        trust: row.try_get("trust")?,
        recipient: row.try_get("recipient")?,
        original_recipient: row.try_get("original_recipient")?,
        final_recipient: row.try_get("final_recipient")?,
        action: row.try_get("action")?,
        status: row.try_get("status")?,
        effective_status: row.try_get("effective_status")?,
        reply_code: row.try_get("reply_code")?,
        diagnostic_type: row.try_get("diagnostic_type")?,
        diagnostic_code: row.try_get("diagnostic_code")?,
        remote_mta: row.try_get("remote_mta")?,
        last_attempt_date: maybe_time(row, "last_attempt_date")?,
        bounce_type: row.try_get("bounce_type")?,
        category: row.try_get("category")?,
        class: row.try_get("class")?,
        decision: row.try_get("decision")?,
        rule: row.try_get("rule")?,
        evidence_field: row.try_get("evidence_field")?,
        evidence: row.try_get("evidence")?,
        facts: row
            .try_get::<Option<String>, _>("facts")?
            .map(|text| {
                serde_json::from_str(&text)
                    .map_err(|_| StoreError::Corrupt { what: format!("facts: {text:?}") })
            })
            .transpose()?,
        change: row.try_get("change")?,
        hold: row.try_get("hold")?,
        repeats: row.try_get("repeats")?,
        settled_at: maybe_time(row, "settled_at")?,
        settled_by: row.try_get("settled_by")?,
    })
}

pub(super) fn time(row: &SqliteRow, column: &str) -> Result<Timestamp, StoreError> {
    maybe_time(row, column)?.ok_or_else(|| StoreError::Corrupt { what: format!("{column} is empty") })
}

pub(super) fn maybe_time(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| {
        text.parse().map_err(|_| StoreError::Corrupt { what: format!("{column}: {text:?} is no time") })
    })
    .transpose()
}

pub(super) fn list<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    column: &str,
) -> Result<Vec<T>, StoreError> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text)
        .map_err(|_| StoreError::Corrupt { what: format!("{column}: {text:?} is no list") })
}
