//! Removing what was found, inside the writer's transaction.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Executor, Row};

use super::Plan;
use crate::store::erasure::{Erased, Touched};
use crate::store::sqlite::stored::hash_entries_as;
use crate::store::sqlite::written;

/// What stands where the address stood, in texts that others have a part in.
const ERASED: &str = "[erased]";

/// What an entry says that stays on the list.
const NOTE: &str = "address erased";

/// Her own entries, and what is counted. One that suppresses her goes on under its hash, without the words of the
/// report behind it; what has run out goes.
pub(super) async fn entries(connection: &mut SqliteConnection, plan: &Plan) -> Result<Erased, sqlx::Error> {
    let [plain, hashed] = &plan.keys;
    let mut erased = Erased::default();
    let kept = plan.hashed.is_some();
    let removed = sqlx::query(
        "DELETE FROM suppressions WHERE address_key IN (?1, ?2) AND (NOT ?3 OR ended OR expires_at <= ?4)",
    )
    .bind(plain)
    .bind(hashed)
    .bind(kept)
    .bind(written(plan.at))
    .execute(&mut *connection)
    .await?;
    erased.suppressions.removed = removed.rows_affected();
    if kept {
        hash_entries_as(connection, plain, hashed, |_| None).await?;
        let rewritten = sqlx::query(
            "UPDATE suppressions SET note = ?2, evidence = NULL, event = NULL
             WHERE address_key = ?1 AND (note IS NOT ?2 OR evidence IS NOT NULL OR event IS NOT NULL)",
        )
        .bind(hashed)
        .bind(NOTE)
        .execute(&mut *connection)
        .await?;
        erased.suppressions.rewritten = rewritten.rows_affected();
        erased.still_suppressed =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM suppressions WHERE address_key = ?1)")
                .bind(hashed)
                .fetch_one(&mut *connection)
                .await?;
    }
    let counters = sqlx::query("DELETE FROM counters WHERE scope = 'address' AND name IN (?1, ?2)")
        .bind(plain)
        .bind(hashed)
        .execute(connection)
        .await?;
    erased.counters.removed = counters.rows_affected();
    Ok(erased)
}

/// Messages that name her: her events go, with the raw message; what is about others stays without her.
pub(super) async fn messages(
    connection: &mut SqliteConnection,
    plan: &Plan,
    ids: Vec<i64>,
) -> Result<Erased, sqlx::Error> {
    let mut erased = Erased::default();
    for id in ids {
        erased.events.add(events(connection, plan, id).await?);
        let others: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM events WHERE message = ?1 AND recipient_key <> '')",
        )
        .bind(id)
        .fetch_one(&mut *connection)
        .await?;
        let raw = sqlx::query("UPDATE messages SET raw = NULL WHERE id = ?1 AND raw IS NOT NULL")
            .bind(id)
            .execute(&mut *connection)
            .await?;
        erased.raw.removed += raw.rows_affected();
        let rewritten = if others {
            scrub_message(connection, plan, id).await?
        } else {
            blank_message(connection, id).await?
        };
        erased.messages.rewritten += rewritten;
    }
    Ok(erased)
}

async fn events(
    connection: &mut SqliteConnection,
    plan: &Plan,
    message: i64,
) -> Result<Touched, sqlx::Error> {
    let [plain, hashed] = &plan.keys;
    let removed = sqlx::query("DELETE FROM events WHERE message = ?1 AND recipient_key IN (?2, ?3)")
        .bind(message)
        .bind(plain)
        .bind(hashed)
        .execute(&mut *connection)
        .await?;
    let mut touched = Touched { removed: removed.rows_affected(), rewritten: 0 };
    const TEXTS: [&str; 9] = [
        "recipient",
        "original_recipient",
        "final_recipient",
        "status",
        "diagnostic_code",
        "remote_mta",
        "evidence",
        "facts",
        "formerly",
    ];
    let rows = sqlx::query("SELECT * FROM events WHERE message = ?1")
        .bind(message)
        .fetch_all(&mut *connection)
        .await?;
    for row in &rows {
        let Some(texts) = scrubbed(plan, row, &TEXTS)? else { continue };
        let mut update = sqlx::query(
            "UPDATE events SET recipient = ?2, original_recipient = ?3, final_recipient = ?4, status = ?5,
                               diagnostic_code = ?6, remote_mta = ?7, evidence = ?8, facts = ?9, formerly = ?10 WHERE id = ?1",
        )
        .bind(row.try_get::<i64, _>("id")?);
        for text in texts {
            update = update.bind(text);
        }
        update.execute(&mut *connection).await?;
        touched.rewritten += 1;
    }
    Ok(touched)
}

/// The texts of a row without her; `None` where none of them named her.
fn scrubbed(
    plan: &Plan,
    row: &SqliteRow,
    columns: &[&str],
) -> Result<Option<Vec<Option<String>>>, sqlx::Error> {
    let mut changed = false;
    let mut texts = Vec::with_capacity(columns.len());
    for column in columns {
        let text: Option<String> = row.try_get(*column)?;
        let scrubbed = text.as_ref().and_then(|text| plan.person.scrub(text, ERASED));
        changed |= scrubbed.is_some();
        texts.push(scrubbed.or(text));
    }
    Ok(changed.then_some(texts))
}

/// A message that is about her alone keeps what tells it from others, and what kind it was.
async fn blank_message(connection: &mut SqliteConnection, id: i64) -> Result<u64, sqlx::Error> {
    let blanked = sqlx::query(
        "UPDATE messages SET reverse_path = '', recipients = '[]', original_recipients = '[]', envelope_id = NULL,
             message_id = NULL, sender = NULL, subject = NULL, original_envelope_id = NULL, original_message_id = NULL,
             original_from = NULL, original_to = '[]', original_subject = NULL, defects = '[]', reporting_mta = NULL, helo = ''
         WHERE id = ?1",
    )
    .bind(id)
    .execute(connection)
    .await?;
    Ok(blanked.rows_affected())
}

/// One that is about others, too, loses what names her, and its subjects, which may name her by words that stand in no
/// address.
async fn scrub_message(connection: &mut SqliteConnection, plan: &Plan, id: i64) -> Result<u64, sqlx::Error> {
    const TEXTS: [&str; 13] = [
        "helo",
        "reverse_path",
        "recipients",
        "original_recipients",
        "envelope_id",
        "message_id",
        "sender",
        "original_envelope_id",
        "original_message_id",
        "original_from",
        "original_to",
        "defects",
        "reporting_mta",
    ];
    let row = sqlx::query(
        "SELECT helo, reverse_path, recipients, original_recipients, envelope_id, message_id, sender,
                original_envelope_id, original_message_id, original_from, original_to, defects,
                reporting_mta
         FROM messages WHERE id = ?1",
    )
    .bind(id)
    .fetch_one(&mut *connection)
    .await?;
    let mut update = sqlx::query(
        "UPDATE messages SET helo = ?2, reverse_path = ?3, recipients = ?4, original_recipients = ?5, envelope_id = ?6,
             message_id = ?7, sender = ?8, original_envelope_id = ?9, original_message_id = ?10, original_from = ?11,
             original_to = ?12, defects = ?13, reporting_mta = ?14, subject = NULL, original_subject = NULL
         WHERE id = ?1",
    )
    .bind(id);
    for column in TEXTS {
        let text: Option<String> = row.try_get(column)?;
        update = update.bind(text.map(|text| plan.person.scrub(&text, ERASED).unwrap_or(text)));
    }
    Ok(update.execute(connection).await?.rows_affected())
}

/// Rows of the history: hers go, those of others that quote her do so no more.
pub(super) async fn audit(
    connection: &mut SqliteConnection,
    plan: &Plan,
    ids: Vec<i64>,
) -> Result<Erased, sqlx::Error> {
    permit(connection).await?;
    let [plain, hashed] = &plan.keys;
    let mut erased = Erased::default();
    for id in ids {
        let removed =
            sqlx::query("DELETE FROM audit WHERE id = ?1 AND address_key IN (?2, ?3) AND action <> 'erased'")
                .bind(id)
                .bind(plain)
                .bind(hashed)
                .execute(&mut *connection)
                .await?;
        erased.audit.removed += removed.rows_affected();
        let row = sqlx::query("SELECT address, before, after, why FROM audit WHERE id = ?1")
            .bind(id)
            .fetch_optional(&mut *connection)
            .await?;
        let Some(row) = row else { continue };
        let Some(texts) = scrubbed(plan, &row, &["address", "before", "after", "why"])? else { continue };
        let mut update =
            sqlx::query("UPDATE audit SET address = ?2, before = ?3, after = ?4, why = ?5 WHERE id = ?1")
                .bind(id);
        for text in texts {
            update = update.bind(text);
        }
        update.execute(&mut *connection).await?;
        erased.audit.rewritten += 1;
    }
    forbid(connection).await?;
    Ok(erased)
}

/// Events that were told, or wait to be: hers go, those of others quote her no more.
pub(super) async fn outbox(
    connection: &mut SqliteConnection,
    plan: &Plan,
    ids: Vec<i64>,
) -> Result<Erased, sqlx::Error> {
    let [plain, hashed] = &plan.keys;
    let mut erased = Erased::default();
    for id in ids {
        let removed = sqlx::query("DELETE FROM outbox WHERE id = ?1 AND address_key IN (?2, ?3)")
            .bind(id)
            .bind(plain)
            .bind(hashed)
            .execute(&mut *connection)
            .await?;
        erased.outbox.removed += removed.rows_affected();
        let row = sqlx::query("SELECT data FROM outbox WHERE id = ?1")
            .bind(id)
            .fetch_optional(&mut *connection)
            .await?;
        let Some(row) = row else { continue };
        let Some(mut texts) = scrubbed(plan, &row, &["data"])? else { continue };
        sqlx::query("UPDATE outbox SET data = ?2 WHERE id = ?1")
            .bind(id)
            .bind(texts.pop().flatten())
            .execute(&mut *connection)
            .await?;
        erased.outbox.rewritten += 1;
    }
    Ok(erased)
}

/// Entries of others that quote her.
pub(super) async fn quoted(
    connection: &mut SqliteConnection,
    plan: &Plan,
    entries: Vec<(String, i64)>,
) -> Result<Erased, sqlx::Error> {
    let mut erased = Erased::default();
    for (key, stream) in entries {
        let row = sqlx::query(
            "SELECT evidence, note, remote_mta FROM suppressions WHERE address_key = ?1 AND stream = ?2",
        )
        .bind(&key)
        .bind(stream)
        .fetch_optional(&mut *connection)
        .await?;
        let Some(row) = row else { continue };
        let Some(texts) = scrubbed(plan, &row, &["evidence", "note", "remote_mta"])? else { continue };
        let mut update = sqlx::query(
            "UPDATE suppressions SET evidence = ?3, note = ?4, remote_mta = ?5 WHERE address_key = ?1 AND stream = ?2",
        )
        .bind(key)
        .bind(stream);
        for text in texts {
            update = update.bind(text);
        }
        update.execute(&mut *connection).await?;
        erased.suppressions.rewritten += 1;
    }
    Ok(erased)
}

/// The one row that stays: somebody was erased, by whom and when.
pub(super) async fn note(connection: &mut SqliteConnection, plan: &Plan) -> Result<Erased, sqlx::Error> {
    let key = plan.hashed.as_deref().unwrap_or_default();
    sqlx::query(
        "INSERT INTO audit (at, address_key, address, stream, action, origin, actor, why)
         VALUES (?1, ?2, ?2, 0, 'erased', 'cli', ?3, 'an address was erased')",
    )
    .bind(written(plan.at))
    .bind(key)
    .bind(&plan.by)
    .execute(connection)
    .await?;
    Ok(Erased::default())
}

/// From here on rows of the history may be changed, in this transaction.
pub(in crate::store::sqlite) async fn permit(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    connection.execute("INSERT OR IGNORE INTO erasure (id) VALUES (1)").await.map(drop)
}

/// And from here on not any more.
pub(in crate::store::sqlite) async fn forbid(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    connection.execute("DELETE FROM erasure").await.map(drop)
}
