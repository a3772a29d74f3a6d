//! What the ledger settled, written inside the writer's transaction: a few statements a table, whatever the group's size.

use jiff::Timestamp;
use sqlx::query_builder::Separated;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Executor, QueryBuilder, Sqlite};

use super::read::json;
use super::written;
use crate::ledger::{AuditEntry, Entry, EventRow, NewMessage, Told, Writes};

/// Rows of one statement: the sizes for which statements are kept prepared.
const SIZES: [usize; 5] = [512, 128, 32, 8, 1];

/// Writes the rows, in the order in which they refer to each other.
pub(super) async fn write(connection: &mut SqliteConnection, writes: &Writes<'_>) -> Result<(), sqlx::Error> {
    messages(connection, &writes.messages).await?;
    update(
        connection,
        "UPDATE messages SET copies = copies + asked.value ->> 1 FROM json_each(?1) AS asked WHERE messages.id = asked.value ->> 0",
        &writes.copies.iter().collect::<Vec<_>>(),
    )
    .await?;
    holds(connection, writes).await?;
    events(connection, &writes.events).await?;
    update(
        connection,
        "UPDATE events SET change = 'none', repeats = asked.value ->> 1 FROM json_each(?1) AS asked
         WHERE events.id = asked.value ->> 0",
        &writes.superseded,
    )
    .await?;
    let settled = writes.settled.iter().map(|row| (row.event, row.change.as_str(), written(row.at), &row.by));
    update(
        connection,
        "UPDATE events SET change = asked.value ->> 1, settled_at = asked.value ->> 2, settled_by = asked.value ->> 3
         FROM json_each(?1) AS asked WHERE events.id = asked.value ->> 0",
        &settled.collect::<Vec<_>>(),
    )
    .await?;
    let rejudged = writes.rejudged.iter().map(|row| (row.event, row.change.as_str(), row.hold));
    update(
        connection,
        "UPDATE events SET change = asked.value ->> 1, hold = coalesce(asked.value ->> 2, hold)
         FROM json_each(?1) AS asked WHERE events.id = asked.value ->> 0",
        &rejudged.collect::<Vec<_>>(),
    )
    .await?;
    entries(connection, &writes.entries).await?;
    update(
        connection,
        "DELETE FROM suppressions
         WHERE (address_key, stream) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1))",
        &writes.removed,
    )
    .await?;
    counters(connection, writes).await?;
    aggregates(connection, writes).await?;
    audit(connection, &writes.audit).await?;
    told(connection, &writes.told).await
}

/// Runs a statement over a list of things; not where it is empty.
async fn update<T: serde::Serialize>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    asked: &[T],
) -> Result<(), sqlx::Error> {
    if !asked.is_empty() {
        sqlx::query(sql).bind(json(&asked)?).execute(connection).await?;
    }
    Ok(())
}

/// Inserts rows, many in a statement.
async fn insert<'a, T>(
    connection: &mut SqliteConnection,
    into: &'static str,
    rows: &'a [T],
    on_conflict: &'static str,
    mut bind: impl FnMut(&mut Separated<'_, Sqlite, &'static str>, &'a T),
) -> Result<(), sqlx::Error> {
    let mut rest = rows;
    while !rest.is_empty() {
        let size = SIZES.into_iter().find(|size| *size <= rest.len()).unwrap_or(1);
        let (chunk, others) = rest.split_at(size);
        rest = others;
        let mut statement = QueryBuilder::<Sqlite>::new(into);
        statement.push_values(chunk, |mut values, row| bind(&mut values, row));
        statement.push(on_conflict).build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn messages(connection: &mut SqliteConnection, rows: &[(i64, &NewMessage)]) -> Result<(), sqlx::Error> {
    let into = "INSERT INTO messages (id, digest, received_at, peer, helo, reverse_path, recipients,
        original_recipients, envelope_id, kind, message_id, sender, subject, reporting_mta, original_envelope_id,
        arrival_date, original_message_id, original_from, original_to, original_subject, defects, size, raw, protocol,
        tls, replayed_at, recorded_at, unproven) ";
    insert(connection, into, rows, "", |values, (id, message)| {
        let replayed_at = message.replayed.as_ref().map(|replayed| replayed.at);
        values
            .push_bind(*id)
            .push_bind(&message.digest[..])
            .push_bind(written(message.received_at))
            .push_bind(&message.peer)
            .push_bind(&message.helo)
            .push_bind(&message.reverse_path)
            .push_bind(list(&message.recipients))
            .push_bind(serde_json::Value::from(message.original_recipients.clone()).to_string())
            .push_bind(&message.envelope_id)
            .push_bind(message.kind)
            .push_bind(&message.message_id)
            .push_bind(&message.sender)
            .push_bind(&message.subject)
            .push_bind(&message.reporting_mta)
            .push_bind(&message.original_envelope_id)
            .push_bind(message.arrival_date.map(written))
            .push_bind(&message.original_message_id)
            .push_bind(&message.original_from)
            .push_bind(list(&message.original_to))
            .push_bind(&message.original_subject)
            .push_bind(list(&message.defects))
            .push_bind(i64::try_from(message.size).unwrap_or(i64::MAX))
            .push_bind(Some(&message.raw).filter(|raw| !raw.is_empty()))
            .push_bind(message.protocol)
            .push_bind(&message.tls)
            .push_bind(replayed_at.map(written))
            .push_bind(written(replayed_at.unwrap_or(message.received_at)))
            .push_bind(message.unproven);
    })
    .await
}

async fn holds(connection: &mut SqliteConnection, writes: &Writes<'_>) -> Result<(), sqlx::Error> {
    for ((kind, name), hold) in &writes.holds {
        sqlx::query(
            "INSERT INTO holds (id, kind, name, opened_at, why, recheckable, held) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (id) DO UPDATE SET why = excluded.why, recheckable = excluded.recheckable, held = excluded.held",
        )
        .bind(hold.id)
        .bind(kind.as_str())
        .bind(name)
        .bind(written(hold.opened_at))
        .bind(&hold.why)
        .bind(hold.recheckable_only)
        .bind(hold.held)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn events(connection: &mut SqliteConnection, rows: &[EventRow<'_>]) -> Result<(), sqlx::Error> {
    let into = "INSERT INTO events (id, event_key, message, received_at, stream, trust, recipient, recipient_key,
        original_recipient, final_recipient, action, status, effective_status, reply_code, diagnostic_type,
        diagnostic_code, remote_mta, last_attempt_date, bounce_type, category, class, decision, rule, evidence_field,
        evidence, facts, change, domain, hold, repeats, applies) ";
    insert(connection, into, rows, "", |values, row| {
        let (event, result) = (&row.event, &row.event.classification);
        let facts = (!result.facts.is_empty()).then(|| serde_json::to_string(&result.facts));
        values
            .push_bind(row.id)
            .push_bind(&row.key[..])
            .push_bind(row.message)
            .push_bind(written(row.received_at))
            .push_bind(event.stream)
            .push_bind(event.trust.as_str())
            .push_bind(&event.recipient)
            .push_bind(&event.recipient_key)
            .push_bind(&event.original_recipient)
            .push_bind(&event.final_recipient)
            .push_bind(event.action)
            .push_bind(&event.status)
            .push_bind(result.effective_status.map(|status| status.to_string()))
            .push_bind(result.reply_code.map(|code| i64::from(code.get())))
            .push_bind(&event.diagnostic_type)
            .push_bind(&event.diagnostic_code)
            .push_bind(&event.remote_mta)
            .push_bind(event.last_attempt_date.map(written))
            .push_bind(result.bounce_type.as_str())
            .push_bind(result.category.as_str())
            .push_bind(result.class.as_str())
            .push_bind(result.decision.as_str())
            .push_bind(&result.rule)
            .push_bind(result.evidence_field.as_str())
            .push_bind(&result.evidence)
            .push_bind(facts.map(Result::unwrap_or_default))
            .push_bind(row.change.as_str())
            .push_bind(crate::address::domain_of(&event.recipient_key).unwrap_or_default())
            .push_bind(row.hold)
            .push_bind(row.repeats)
            .push_bind(row.applies);
    })
    .await
}

/// Writes entries, new or in the place of others. Their values are bound one by one: to unpack as many from JSON takes
/// SQLite longer than to write them.
pub(super) async fn entries(connection: &mut SqliteConnection, rows: &[Entry]) -> Result<(), sqlx::Error> {
    let into = "INSERT INTO suppressions (address_key, stream, address, reason, class, status, rule, remote_mta,
        evidence, note, first_seen, last_seen, count, expires_at, recheckable, soft_term_days, origin, event, domain,
        changed_at, ended) ";
    let on_conflict = " ON CONFLICT (address_key, stream) DO UPDATE SET
        address = excluded.address, reason = excluded.reason, class = excluded.class, status = excluded.status,
        rule = excluded.rule, remote_mta = excluded.remote_mta, evidence = excluded.evidence, note = excluded.note,
        first_seen = excluded.first_seen, last_seen = excluded.last_seen, count = excluded.count,
        expires_at = excluded.expires_at, recheckable = excluded.recheckable,
        soft_term_days = excluded.soft_term_days, origin = excluded.origin, event = excluded.event,
        domain = excluded.domain, changed_at = excluded.changed_at, ended = excluded.ended";
    insert(connection, into, rows, on_conflict, |values, entry| {
        values
            .push_bind(&entry.address_key)
            .push_bind(entry.stream)
            .push_bind(&entry.address)
            .push_bind(entry.reason.as_str())
            .push_bind(&entry.class)
            .push_bind(&entry.status)
            .push_bind(&entry.rule)
            .push_bind(&entry.remote_mta)
            .push_bind(&entry.evidence)
            .push_bind(&entry.note)
            .push_bind(written(entry.first_seen))
            .push_bind(written(entry.last_seen))
            .push_bind(entry.count)
            .push_bind(entry.expires_at.map(written))
            .push_bind(entry.recheckable)
            .push_bind(entry.soft_term_days)
            .push_bind(entry.origin.as_str())
            .push_bind(entry.event)
            .push_bind(entry.domain())
            .push_bind(written(entry.changed_at))
            .push_bind(entry.ended);
    })
    .await
}

/// What is counted by day and by slot.
async fn counters(connection: &mut SqliteConnection, writes: &Writes<'_>) -> Result<(), sqlx::Error> {
    let gone = writes.days_gone.iter().map(|(name, (stream, kind, day))| (name, stream, kind.as_str(), day));
    update(
        connection,
        "DELETE FROM counters WHERE (scope, name, stream, kind, day) IN
             (SELECT 'address', value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?1))",
        &gone.collect::<Vec<_>>(),
    )
    .await?;
    let days = writes
        .days
        .iter()
        .map(|(name, (stream, kind, day))| ("address", name, stream, kind.as_str(), day, 1));
    let hosts = writes
        .hosts
        .iter()
        .map(|((scope, name, stream, class, day), count)| (*scope, name, stream, *class, day, *count));
    update(
        connection,
        "INSERT INTO counters (scope, name, stream, kind, day, count)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?1) WHERE TRUE
         ON CONFLICT (scope, name, stream, kind, day) DO UPDATE SET count = count + excluded.count",
        &days.chain(hosts).collect::<Vec<_>>(),
    )
    .await?;
    let rates = writes
        .rates
        .iter()
        .map(|(((kind, name), slot), recent)| (kind.as_str(), name, slot, recent.all, recent.recheckable));
    update(
        connection,
        "INSERT INTO suppression_rates (kind, name, slot, count, recheckable)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?1) WHERE TRUE
         ON CONFLICT (kind, name, slot) DO UPDATE SET
             count = count + excluded.count, recheckable = recheckable + excluded.recheckable",
        &rates.collect::<Vec<_>>(),
    )
    .await
}

async fn audit(connection: &mut SqliteConnection, rows: &[AuditEntry]) -> Result<(), sqlx::Error> {
    let into = "INSERT INTO audit (at, address_key, address, stream, action, origin, actor, before, after, why, event) ";
    insert(connection, into, rows, "", |values, row| {
        values
            .push_bind(written(row.at))
            .push_bind(&row.address_key)
            .push_bind(&row.address)
            .push_bind(row.stream)
            .push_bind(row.action)
            .push_bind(row.origin.as_str())
            .push_bind(&row.actor)
            .push_bind(&row.before)
            .push_bind(&row.after)
            .push_bind(&row.why)
            .push_bind(row.event);
    })
    .await
}

/// What others are told, in the order in which it happened.
async fn told(connection: &mut SqliteConnection, rows: &[Told]) -> Result<(), sqlx::Error> {
    let at = written(Timestamp::now());
    insert(
        connection,
        "INSERT INTO outbox (at, type, address_key, stream, data) ",
        rows,
        "",
        |values, row| {
            values
                .push_bind(at.clone())
                .push_bind(row.kind)
                .push_bind(&row.address_key)
                .push_bind(row.stream)
                .push_bind(&row.data);
        },
    )
    .await
}

/// Statistics: what was counted and is nothing any more goes.
async fn aggregates(connection: &mut SqliteConnection, writes: &Writes<'_>) -> Result<(), sqlx::Error> {
    let rows: Vec<_> = writes.aggregates.iter().filter(|(_, count)| **count != 0).collect();
    update(
        connection,
        "INSERT INTO aggregates (day, domain, stream, class, decision, change, count)
             SELECT value -> 0 ->> 0, value -> 0 ->> 1, value -> 0 ->> 2, value -> 0 ->> 3, value -> 0 ->> 4,
                    value -> 0 ->> 5, value ->> 1 FROM json_each(?1) WHERE TRUE
         ON CONFLICT (day, domain, stream, class, decision, change) DO UPDATE SET count = count + excluded.count",
        &rows,
    )
    .await?;
    let fewer: Vec<_> = rows.into_iter().filter(|(_, count)| **count < 0).map(|(key, _)| key).collect();
    update(
        connection,
        "DELETE FROM aggregates WHERE count <= 0 AND (day, domain, stream, class, decision, change) IN
             (SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?1))",
        &fewer,
    )
    .await
}

fn list(list: &[String]) -> String {
    serde_json::Value::from(list).to_string()
}

/// From here on everything is tried only, until [`end_dry_run`] takes it back.
pub(super) async fn begin_dry_run(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    connection.execute("SAVEPOINT dry_run").await.map(drop)
}

/// Takes back what was tried.
pub(super) async fn end_dry_run(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    connection.execute("ROLLBACK TO dry_run").await?;
    connection.execute("RELEASE dry_run").await.map(drop)
}
