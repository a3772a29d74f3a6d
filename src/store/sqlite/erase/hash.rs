//! Bringing what was recorded in clear into the hashed form, in small transactions.

use std::sync::Arc;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::write::{forbid, permit};
use crate::address::comparison_form;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::job::Operation;
use crate::store::sqlite::read::failed;
use crate::store::sqlite::stored::{Written, blind, hash_entries, hashed, in_json, original_recipient};
use crate::store::{HashKey, StoreError, is_hashed};

/// Rows in one transaction.
const AT_ONCE: i64 = 200;

/// A table that is walked by its numbers.
#[derive(Debug, Clone, Copy)]
enum Table {
    Messages,
    Audit,
    Outbox,
}

/// Hashes every address in every table; how many rows were looked at.
pub(super) async fn everything(
    store: &SqliteStore,
    key: &HashKey,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<u64, StoreError> {
    let last: (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT coalesce(max(id), 0) FROM messages), (SELECT coalesce(max(id), 0) FROM audit),
                (SELECT coalesce(max(id), 0) FROM outbox),
                (SELECT count(*) FROM suppressions) + (SELECT count(*) FROM counters WHERE scope = 'address')",
    )
    .fetch_one(&store.readers.tasks)
    .await
    .map_err(failed)?;
    let total = u64::try_from(last.0 + last.1 + last.2 + last.3).unwrap_or(0);
    let mut done = 0;
    // The list first: what is asked most is hidden first, and found under either key meanwhile.
    for statement in [
        "SELECT DISTINCT address_key FROM suppressions WHERE address_key > ?1 ORDER BY address_key LIMIT ?2",
        "SELECT DISTINCT name FROM counters WHERE scope = 'address' AND name > ?1 ORDER BY name LIMIT ?2",
    ] {
        let mut after = String::new();
        loop {
            let keys: Vec<String> = sqlx::query_scalar(statement)
                .bind(&after)
                .bind(AT_ONCE)
                .fetch_all(&store.readers.tasks)
                .await
                .map_err(failed)?;
            let Some(last) = keys.last() else { break };
            after.clone_from(last);
            done += keys.len() as u64;
            let clear = keys.into_iter().filter(|key| !key.is_empty() && !is_hashed(key)).collect();
            entries(store, key, clear).await?;
            progress(done.min(total), total);
        }
    }
    for (table, last) in [(Table::Messages, last.0), (Table::Audit, last.1), (Table::Outbox, last.2)] {
        let mut from = 0;
        while from < last {
            let to = (from + AT_ONCE).min(last);
            rows(store, key, table, from, to).await?;
            done += u64::try_from(to - from).unwrap_or(0);
            progress(done.min(total), total);
            from = to;
        }
    }
    Ok(done)
}

async fn entries(store: &SqliteStore, key: &HashKey, clear: Vec<String>) -> Result<(), StoreError> {
    if clear.is_empty() {
        return Ok(());
    }
    let (key, rows) = (key.clone(), clear.len());
    let operation: Operation<()> = Box::new(move |connection, _| {
        Box::pin(async move {
            for plain in &clear {
                hash_entries(connection, &key, plain, &key.hashed(plain)).await?;
            }
            Ok(())
        })
    });
    store.writer()?.send_freeing(rows, operation).await
}

async fn rows(
    store: &SqliteStore,
    key: &HashKey,
    table: Table,
    from: i64,
    to: i64,
) -> Result<(), StoreError> {
    let key = Arc::new(key.clone());
    let operation: Operation<()> = Box::new(move |connection, _| {
        Box::pin(async move {
            match table {
                Table::Messages => messages(connection, &key, from, to).await,
                Table::Audit => audit(connection, &key, from, to).await,
                Table::Outbox => outbox(connection, &key, from, to).await,
            }
        })
    });
    store.writer()?.send_freeing(usize::try_from(to - from).unwrap_or(0), operation).await
}

fn text(row: &SqliteRow, column: &str) -> Result<Option<String>, sqlx::Error> {
    row.try_get(column)
}

/// An address as it is stored, hashed.
fn key_of(key: &HashKey, address: &str) -> String {
    hashed(key, &comparison_form(address))
}

async fn messages(
    connection: &mut SqliteConnection,
    key: &HashKey,
    from: i64,
    to: i64,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query(
        "SELECT id, reverse_path, recipients, original_recipients, envelope_id, message_id, sender, original_envelope_id,
                original_message_id, defects, helo, reporting_mta
         FROM messages WHERE id > ?1 AND id <= ?2",
    )
    .bind(from)
    .bind(to)
    .fetch_all(&mut *connection)
    .await?;
    for row in &rows {
        let id: i64 = row.try_get("id")?;
        let events = sqlx::query("SELECT * FROM events WHERE message = ?1")
            .bind(id)
            .fetch_all(&mut *connection)
            .await?;
        let mut names = Vec::new();
        for event in &events {
            names.extend(text(event, "recipient")?);
            names.extend(text(event, "original_recipient")?);
            names.extend(text(event, "final_recipient")?);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        message(connection, key, row, id, &names).await?;
        for row in &events {
            event(connection, key, row).await?;
        }
    }
    Ok(())
}

async fn message(
    connection: &mut SqliteConnection,
    key: &HashKey,
    row: &SqliteRow,
    id: i64,
    names: &[&str],
) -> Result<(), sqlx::Error> {
    let texts = Written::hashed(key, names);
    let reverse_path: String = row.try_get("reverse_path")?;
    let list = |column: &str| -> Result<Vec<Option<String>>, sqlx::Error> {
        Ok(serde_json::from_str(&row.try_get::<String, _>(column)?).unwrap_or_default())
    };
    let recipients = list("recipients")?;
    let paths: Vec<String> = recipients.iter().flatten().map(|path| comparison_form(path)).collect();
    let original_recipients: Vec<Option<String>> = list("original_recipients")?
        .into_iter()
        .map(|recipient| recipient.map(|recipient| original_recipient(key, &paths, &recipient)))
        .collect();
    let recipients: Vec<String> = recipients.iter().flatten().map(|path| blind(path)).collect();
    sqlx::query(
        "UPDATE messages SET reverse_path = ?2, recipients = ?3, original_recipients = ?4, envelope_id = ?5, message_id = ?6,
             sender = ?7, original_envelope_id = ?8, original_message_id = ?9, defects = ?10, subject = NULL,
             original_from = NULL, original_to = '[]', original_subject = NULL, raw = NULL, helo = ?11, reporting_mta = ?12
         WHERE id = ?1",
    )
    .bind(id)
    .bind(if reverse_path.is_empty() { reverse_path } else { key_of(key, &reverse_path) })
    .bind(serde_json::Value::from(recipients).to_string())
    .bind(serde_json::Value::from(original_recipients).to_string())
    .bind(text(row, "envelope_id")?.map(|text| texts.text(&text)))
    .bind(text(row, "message_id")?.map(|text| texts.id(&text)))
    .bind(text(row, "sender")?.map(|sender| key_of(key, &sender)))
    .bind(text(row, "original_envelope_id")?.map(|text| texts.text(&text)))
    .bind(text(row, "original_message_id")?.map(|text| texts.id(&text)))
    .bind(in_json(&row.try_get::<String, _>("defects")?, &texts))
    .bind(texts.text(&row.try_get::<String, _>("helo")?))
    .bind(text(row, "reporting_mta")?.map(|text| texts.text(&text)))
    .execute(connection)
    .await?;
    Ok(())
}

async fn event(connection: &mut SqliteConnection, key: &HashKey, row: &SqliteRow) -> Result<(), sqlx::Error> {
    let recipient: String = row.try_get("recipient")?;
    let (original, last) = (text(row, "original_recipient")?, text(row, "final_recipient")?);
    let names: Vec<&str> = [Some(&recipient), original.as_ref(), last.as_ref()]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let texts = Written::hashed(key, &names);
    sqlx::query(
        "UPDATE events SET recipient = ?2, recipient_key = ?3, original_recipient = ?4, final_recipient = ?5, status = ?6,
             diagnostic_code = ?7, remote_mta = ?8, evidence = ?9, facts = ?10, formerly = ?11
         WHERE id = ?1",
    )
    .bind(row.try_get::<i64, _>("id")?)
    .bind(key_of(key, &recipient))
    .bind(hashed(key, &row.try_get::<String, _>("recipient_key")?))
    .bind(original.as_ref().map(|address| key_of(key, address)))
    .bind(last.as_ref().map(|address| key_of(key, address)))
    .bind(text(row, "status")?.map(|text| texts.text(&text)))
    .bind(text(row, "diagnostic_code")?.map(|text| texts.text(&text)))
    .bind(text(row, "remote_mta")?.map(|text| texts.text(&text)))
    .bind(texts.text(&row.try_get::<String, _>("evidence")?))
    .bind(text(row, "facts")?.map(|facts| in_json(&facts, &texts)))
    .bind(text(row, "formerly")?.map(|formerly| in_json(&formerly, &texts)))
    .execute(connection)
    .await?;
    Ok(())
}

async fn audit(
    connection: &mut SqliteConnection,
    key: &HashKey,
    from: i64,
    to: i64,
) -> Result<(), sqlx::Error> {
    permit(connection).await?;
    let rows =
        sqlx::query("SELECT id, address_key, before, after, why FROM audit WHERE id > ?1 AND id <= ?2")
            .bind(from)
            .bind(to)
            .fetch_all(&mut *connection)
            .await?;
    for row in &rows {
        let address_key: String = row.try_get("address_key")?;
        let texts = Written::hashed(key, &[&address_key]);
        sqlx::query("UPDATE audit SET address_key = ?2, address = ?2, before = ?3, after = ?4, why = ?5 WHERE id = ?1")
            .bind(row.try_get::<i64, _>("id")?)
            .bind(hashed(key, &address_key))
            .bind(text(row, "before")?.map(|entry| in_json(&entry, &texts)))
            .bind(text(row, "after")?.map(|entry| in_json(&entry, &texts)))
            .bind(text(row, "why")?.map(|text| texts.text(&text)))
            .execute(&mut *connection)
            .await?;
    }
    forbid(connection).await
}

async fn outbox(
    connection: &mut SqliteConnection,
    key: &HashKey,
    from: i64,
    to: i64,
) -> Result<(), sqlx::Error> {
    let rows = sqlx::query("SELECT id, address_key, data FROM outbox WHERE id > ?1 AND id <= ?2")
        .bind(from)
        .bind(to)
        .fetch_all(&mut *connection)
        .await?;
    for row in &rows {
        let address_key: String = row.try_get("address_key")?;
        let data = text(row, "data")?;
        let called: serde_json::Value =
            data.as_deref().and_then(|data| serde_json::from_str(data).ok()).unwrap_or_default();
        let called = ["recipient", "original_recipient", "final_recipient"].map(|name| called[name].as_str());
        let names: Vec<&str> = called.into_iter().flatten().chain([address_key.as_str()]).collect();
        let texts = Written::hashed(key, &names);
        sqlx::query("UPDATE outbox SET address_key = ?2, data = ?3 WHERE id = ?1")
            .bind(row.try_get::<i64, _>("id")?)
            .bind(hashed(key, &address_key))
            .bind(data.map(|data| in_json(&data, &texts)))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
