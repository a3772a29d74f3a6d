//! What is asked: by readers, who never wait for the writer.

use std::io::Read;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::super::{BounceEvent, StoreError};
use super::writer::unavailable;
use crate::classify::{Class, Decision};

/// Largest message that is unpacked again, in bytes; the receiver takes none as large.
const MAX_UNPACKED: u64 = 1 << 30;

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

/// A time in a row that the writer reads.
pub(super) fn stored_time(row: &SqliteRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    time(row, column).map_err(|error| corrupt(column, &error.to_string()))
}

pub(super) fn class_and_decision(row: &SqliteRow) -> Result<(Class, Decision), sqlx::Error> {
    let (class, decision): (String, String) = (row.try_get("class")?, row.try_get("decision")?);
    Ok((
        Class::from_name(&class).ok_or_else(|| corrupt("class", &class))?,
        Decision::from_name(&decision).ok_or_else(|| corrupt("decision", &decision))?,
    ))
}

pub(super) fn corrupt(column: &str, value: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("{value:?} was not written by dsnd").into(),
    }
}

/// A list of things that a statement is about.
pub(super) fn json(value: &impl serde::Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

pub(super) fn list<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    column: &str,
) -> Result<Vec<T>, StoreError> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text)
        .map_err(|_| StoreError::Corrupt { what: format!("{column}: {text:?} is no list") })
}
