//! What is written, statement by statement, inside the writer's transaction.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::super::{ANY_STREAM, EventChange, ManualEntry, NewEvent, NewMessage, Recorded};
use super::written;
use crate::address::domain_of;
use crate::policy::{Change, CounterKind, Entry, History, Policy, Reason, Standing, counter_of, day_of};

/// Records a message, applies its events, and says what they did.
pub(super) async fn record(
    connection: &mut SqliteConnection,
    policy: &Policy,
    message: NewMessage,
) -> Result<Recorded, sqlx::Error> {
    let known = sqlx::query("UPDATE messages SET copies = copies + 1 WHERE digest = ?1 RETURNING id")
        .bind(&message.digest[..])
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = known {
        return Ok(Recorded { id: row.try_get(0)?, duplicate: true, changes: Vec::new() });
    }
    let id = insert_message(connection, &message).await?;
    let mut changes = Vec::with_capacity(message.events.len());
    for event in &message.events {
        let exists = sqlx::query("SELECT 1 FROM events WHERE event_key = ?1")
            .bind(&event.key[..])
            .fetch_optional(&mut *connection)
            .await?;
        if exists.is_some() {
            changes.push(EventChange::Seen);
            continue;
        }
        let (change, write) = decide(connection, policy, event, message.received_at).await?;
        let event_id = insert_event(connection, id, message.received_at, event, change).await?;
        if let Some(write) = write {
            apply(connection, event, event_id, message.received_at, &write).await?;
        }
        changes.push(change);
    }
    Ok(Recorded { id, duplicate: false, changes })
}

/// What the event does, by policy and history; the change to write, if it is to be applied.
async fn decide(
    connection: &mut SqliteConnection,
    policy: &Policy,
    event: &NewEvent,
    now: Timestamp,
) -> Result<(EventChange, Option<Change>), sqlx::Error> {
    if event.quarantined {
        return Ok((EventChange::Quarantined, None));
    }
    if !event.applies {
        return Ok((EventChange::None, None)); // it names nobody who could be on the list
    }
    let class = event.classification.class;
    let kind = counter_of(class);
    let oldest = day_of(now) - i64::from(policy.window_days(kind));
    let history = History {
        standing: standing(connection, &event.recipient_key).await?,
        counted_days: sqlx::query_scalar(
            "SELECT day FROM counters WHERE scope = 'address' AND name = ?1 AND stream = ?2 AND kind = ?3 AND day >= ?4",
        )
        .bind(&event.recipient_key)
        .bind(event.stream)
        .bind(kind.as_str())
        .bind(oldest)
        .fetch_all(&mut *connection)
        .await?,
    };
    let change = policy.apply(class, event.classification.decision, &history, now);
    let said = match &change {
        Change::None => EventChange::None,
        Change::Count(_) => EventChange::Counted,
        Change::Suppress(_) => EventChange::Suppressed,
        Change::Seen => EventChange::Seen,
        Change::Clear => EventChange::Cleared,
    };
    Ok((said, Some(change)))
}

async fn standing(
    connection: &mut SqliteConnection,
    address_key: &str,
) -> Result<Option<Standing>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT reason, expires_at, recheckable, soft_term_days FROM suppressions WHERE address_key = ?1 AND stream = ?2",
    )
    .bind(address_key)
    .bind(ANY_STREAM)
    .fetch_optional(connection)
    .await?;
    row.map(|row: SqliteRow| {
        let reason: String = row.try_get("reason")?;
        let expires_at: Option<String> = row.try_get("expires_at")?;
        Ok(Standing {
            reason: Reason::from_name(&reason).ok_or_else(|| corrupt("reason", &reason))?,
            expires_at: expires_at
                .map(|at| at.parse().map_err(|_| corrupt("expires_at", &at)))
                .transpose()?,
            recheckable: row.try_get("recheckable")?,
            soft_term_days: row.try_get("soft_term_days")?,
        })
    })
    .transpose()
}

fn corrupt(column: &str, value: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("{value:?} was not written by dsnd").into(),
    }
}

async fn apply(
    connection: &mut SqliteConnection,
    event: &NewEvent,
    event_id: i64,
    now: Timestamp,
    change: &Change,
) -> Result<(), sqlx::Error> {
    match change {
        Change::None => {}
        Change::Count(kind) => {
            count(connection, "address", &event.recipient_key, event.stream, kind.as_str(), now, false)
                .await?
        }
        Change::Seen => {
            sqlx::query("UPDATE suppressions SET last_seen = ?3, count = count + 1 WHERE address_key = ?1 AND stream = ?2")
                .bind(&event.recipient_key)
                .bind(ANY_STREAM)
                .bind(written(now))
                .execute(&mut *connection)
                .await?;
        }
        Change::Suppress(entry) => {
            upsert(connection, event, event_id, now, entry).await?;
            if let Some(kind) = entry.consumes {
                clear_counter(connection, &event.recipient_key, Some(kind)).await?;
            }
        }
        Change::Clear => clear_counter(connection, &event.recipient_key, None).await?,
    }
    let class = event.classification.class;
    if class.counts_host() {
        if let Some(domain) = domain_of(&event.recipient_key) {
            count(connection, "domain", domain, event.stream, class.as_str(), now, true).await?;
        }
        if let Some(host) = &event.remote_mta {
            count(connection, "host", &host.to_lowercase(), event.stream, class.as_str(), now, true).await?;
        }
    }
    Ok(())
}

async fn upsert(
    connection: &mut SqliteConnection,
    event: &NewEvent,
    event_id: i64,
    now: Timestamp,
    entry: &Entry,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO suppressions (address_key, stream, address, reason, class, status, rule, evidence, first_seen,
                                   last_seen, count, expires_at, recheckable, soft_term_days, origin, event)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, 1, ?10, ?11, ?12, 'bounce', ?13)
         ON CONFLICT (address_key, stream) DO UPDATE SET
             address = excluded.address, reason = excluded.reason, class = excluded.class, status = excluded.status,
             rule = excluded.rule, evidence = excluded.evidence, note = NULL, last_seen = excluded.last_seen,
             first_seen = CASE WHEN expires_at <= excluded.last_seen THEN excluded.first_seen ELSE first_seen END,
             count = CASE WHEN expires_at <= excluded.last_seen THEN 1 ELSE count + 1 END,
             expires_at = excluded.expires_at, recheckable = excluded.recheckable,
             soft_term_days = excluded.soft_term_days, origin = excluded.origin, event = excluded.event",
    )
    .bind(&event.recipient_key)
    .bind(ANY_STREAM)
    .bind(&event.recipient)
    .bind(entry.reason.as_str())
    .bind(event.classification.class.as_str())
    .bind(event.classification.effective_status.map(|status| status.to_string()))
    .bind(&event.classification.rule)
    .bind(&event.classification.evidence)
    .bind(written(now))
    .bind(entry.expires_at.map(written))
    .bind(entry.recheckable)
    .bind(entry.soft_term_days)
    .bind(event_id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts a day: once for an address, every time for a domain or a host.
async fn count(
    connection: &mut SqliteConnection,
    scope: &str,
    name: &str,
    stream: i64,
    kind: &str,
    now: Timestamp,
    every_time: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO counters (scope, name, stream, kind, day, count) VALUES (?1, ?2, ?3, ?4, ?5, 1)
         ON CONFLICT (scope, name, stream, kind, day) DO UPDATE SET count = count + ?6",
    )
    .bind(scope)
    .bind(name)
    .bind(stream)
    .bind(kind)
    .bind(day_of(now))
    .bind(i64::from(every_time))
    .execute(connection)
    .await?;
    Ok(())
}

async fn clear_counter(
    connection: &mut SqliteConnection,
    address_key: &str,
    kind: Option<CounterKind>,
) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM counters WHERE scope = 'address' AND name = ?1 AND (?2 IS NULL OR kind = ?2)")
        .bind(address_key)
        .bind(kind.map(CounterKind::as_str))
        .execute(connection)
        .await?;
    Ok(())
}

/// Puts an address on the list by hand.
pub(super) async fn add(connection: &mut SqliteConnection, entry: ManualEntry) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO suppressions (address_key, stream, address, reason, note, first_seen, last_seen, count,
                                   expires_at, origin)
         VALUES (?1, ?2, ?3, 'manual', ?4, ?5, ?5, 1, ?6, 'cli')
         ON CONFLICT (address_key, stream) DO UPDATE SET
             address = excluded.address, reason = excluded.reason, class = NULL, status = NULL, rule = NULL,
             evidence = NULL, note = excluded.note, last_seen = excluded.last_seen, expires_at = excluded.expires_at,
             recheckable = 0, origin = excluded.origin, event = NULL",
    )
    .bind(&entry.address_key)
    .bind(ANY_STREAM)
    .bind(&entry.address)
    .bind(&entry.note)
    .bind(written(entry.now))
    .bind(entry.expires_at.map(written))
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

/// Drops raw bytes older than a time, a bounded number at once.
pub(super) async fn prune_raw(
    connection: &mut SqliteConnection,
    before: Timestamp,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let pruned = sqlx::query(
        "UPDATE messages SET raw = NULL WHERE id IN
             (SELECT id FROM messages WHERE raw IS NOT NULL AND received_at < ?1 ORDER BY received_at LIMIT ?2)",
    )
    .bind(written(before))
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(pruned.rows_affected())
}

async fn insert_message(connection: &mut SqliteConnection, message: &NewMessage) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO messages (digest, received_at, peer, helo, reverse_path, recipients, envelope_id, kind, message_id,
                               sender, subject, reporting_mta, original_envelope_id, arrival_date, original_message_id,
                               original_from, original_to, original_subject, defects, size, raw)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
         RETURNING id",
    )
    .bind(&message.digest[..])
    .bind(written(message.received_at))
    .bind(&message.peer)
    .bind(&message.helo)
    .bind(&message.reverse_path)
    .bind(json_list(&message.recipients))
    .bind(&message.envelope_id)
    .bind(message.kind)
    .bind(&message.message_id)
    .bind(&message.sender)
    .bind(&message.subject)
    .bind(&message.reporting_mta)
    .bind(&message.original_envelope_id)
    .bind(message.arrival_date.map(written))
    .bind(&message.original_message_id)
    .bind(&message.original_from)
    .bind(json_list(&message.original_to))
    .bind(&message.original_subject)
    .bind(json_list(&message.defects))
    .bind(i64::try_from(message.size).unwrap_or(i64::MAX))
    .bind(&message.raw)
    .fetch_one(connection)
    .await
}

async fn insert_event(
    connection: &mut SqliteConnection,
    message: i64,
    received_at: Timestamp,
    event: &NewEvent,
    change: EventChange,
) -> Result<i64, sqlx::Error> {
    let result = &event.classification;
    sqlx::query_scalar(
        "INSERT INTO events (event_key, message, received_at, stream, trust, recipient, recipient_key, original_recipient,
                             final_recipient, action, status, effective_status, reply_code, diagnostic_type,
                             diagnostic_code, remote_mta, last_attempt_date, bounce_type, category, class, decision,
                             rule, evidence_field, evidence, facts, change)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
                 ?23, ?24, ?25, ?26)
         RETURNING id",
    )
    .bind(&event.key[..])
    .bind(message)
    .bind(written(received_at))
    .bind(event.stream)
    .bind(event.trust.as_str())
    .bind(&event.recipient)
    .bind(&event.recipient_key)
    .bind(&event.original_recipient)
    .bind(&event.final_recipient)
    .bind(event.action)
    .bind(&event.status)
    .bind(result.effective_status.map(|status| status.to_string()))
    .bind(result.reply_code.map(|code| i64::from(code.get())))
    .bind(&event.diagnostic_type)
    .bind(&event.diagnostic_code)
    .bind(&event.remote_mta)
    .bind(event.last_attempt_date.map(written))
    .bind(result.bounce_type.as_str())
    .bind(result.category.as_str())
    .bind(result.class.as_str())
    .bind(result.decision.as_str())
    .bind(&result.rule)
    .bind(result.evidence_field.as_str())
    .bind(&result.evidence)
    .bind((!result.facts.is_empty()).then(|| serde_json::to_string(&result.facts).unwrap_or_default()))
    .bind(change.as_str())
    .fetch_one(connection)
    .await
}

fn json_list(list: &[String]) -> String {
    serde_json::Value::from(list).to_string()
}
