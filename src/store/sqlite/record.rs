//! What is written, statement by statement, inside the writer's transaction.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::super::{EventChange, NewEvent, NewMessage, Recorded};
use super::apply::{Subject, apply, count_hosts, decide, said};
use super::audit::Cause;
use super::breaker::{self, Held, Judge};
use super::stored::Arriving;
use super::written;
use crate::address::domain_of;
use crate::policy::Change;

/// Records a message, applies its events, and says what they did.
pub(super) async fn record(
    connection: &mut SqliteConnection,
    judge: &Judge,
    mut arriving: Arriving,
) -> Result<Recorded, sqlx::Error> {
    let message = &arriving.message;
    let known = sqlx::query("UPDATE messages SET copies = copies + 1 WHERE digest = ?1 RETURNING id")
        .bind(&message.digest[..])
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = known {
        return Ok(Recorded {
            id: row.try_get(0)?,
            duplicate: true,
            changes: Vec::new(),
            alarms: Vec::new(),
        });
    }
    arriving.settle(connection, &judge.settings.addresses).await?;
    let Arriving { message, attributed, keys } = &arriving;
    let id = insert_message(connection, message).await?;
    let cause = Cause::bounce(message.replayed.as_ref());
    let mut changes = Vec::with_capacity(message.events.len());
    let mut alarms = Vec::new();
    for ((event, attributed), keys) in message.events.iter().zip(attributed).zip(keys) {
        let now = message.received_at;
        if let Some(first) = known_in(connection, event, attributed, keys).await? {
            let stand = Stand::repeats(attributed, first, &message.digest);
            insert_event(connection, id, now, event, stand).await?;
            changes.push(EventChange::None);
            continue;
        }
        let waits = if event.quarantined { EventChange::Quarantined } else { EventChange::None };
        let change = if event.applies && !event.quarantined {
            let subject = Subject::of(event);
            let change = decide(connection, &judge.settings.policy, &subject, now, now).await?;
            match weigh(connection, judge, &subject, now, &change).await? {
                Some(Held { hold, alarm }) => {
                    let stand = Stand::of(event, attributed, EventChange::Held, Some(hold));
                    insert_event(connection, id, now, event, stand).await?;
                    count_hosts(connection, &subject, now).await?;
                    alarms.extend(alarm);
                    EventChange::Held
                }
                None => {
                    let stand = Stand::of(event, attributed, said(&change), None);
                    let event_id = insert_event(connection, id, now, event, stand).await?;
                    apply(connection, &subject, event_id, now, &change, &cause).await?;
                    said(&change)
                }
            }
        } else {
            insert_event(connection, id, now, event, Stand::of(event, attributed, waits, None)).await?;
            waits
        };
        changes.push(change);
    }
    Ok(Recorded { id, duplicate: false, changes, alarms })
}

/// Whether a change is held; one that is not is counted by its keys. What only renews an entry is neither: an
/// address counts once a term, however many reports there are about it.
async fn weigh(
    connection: &mut SqliteConnection,
    judge: &Judge,
    subject: &Subject,
    now: Timestamp,
    change: &Change,
) -> Result<Option<Held>, sqlx::Error> {
    if !judge.settings.breaker.weighs(change) || !breaker::is_new(connection, subject, change, now).await? {
        return Ok(None);
    }
    let held = breaker::weigh(connection, judge, subject, now).await?;
    if held.is_none() {
        breaker::count(connection, judge, subject, now).await?;
    }
    Ok(held)
}

/// How an event stands in the table.
struct Stand {
    key: [u8; 32],
    change: EventChange,
    hold: Option<i64>,
    repeats: Option<i64>,
    applies: bool,
}

impl Stand {
    fn of(event: &NewEvent, attributed: &[u8; 32], change: EventChange, hold: Option<i64>) -> Self {
        let applied = event.applies && !event.quarantined;
        let key = if applied { NewEvent::applied_key(attributed) } else { *attributed };
        Self { key, change, hold, repeats: None, applies: applied }
    }

    /// That of an event which another message brought before: nothing is thrown away, and nothing counts twice.
    fn repeats(attributed: &[u8; 32], first: i64, digest: &[u8; 32]) -> Self {
        let key = NewEvent::repeated_key(attributed, digest);
        Self { key, change: EventChange::None, hold: None, repeats: Some(first), applies: false }
    }
}

/// The message of another delivery of the same report that brought it (contract 2). One that waited there in vain,
/// or that a person discarded, does not stand in the way of one that is proven.
async fn known_in(
    connection: &mut SqliteConnection,
    event: &NewEvent,
    attributed: &[u8; 32],
    [plain, hashed]: &[String; 2],
) -> Result<Option<i64>, sqlx::Error> {
    let waits = event.quarantined || !event.applies;
    // Schema 1 kept an event under the key of its group alone.
    sqlx::query_scalar(
        "SELECT message FROM events WHERE event_key IN (?1, ?2, ?3)
             AND (event_key = ?1 OR (recipient_key IN (?5, ?6) AND (?4 OR change NOT IN ('quarantined', 'discarded'))))
         ORDER BY event_key <> ?1 LIMIT 1",
    )
    .bind(&NewEvent::applied_key(attributed)[..])
    .bind(&attributed[..])
    .bind(&event.key[..])
    .bind(waits)
    .bind(plain)
    .bind(hashed)
    .fetch_optional(connection)
    .await
}

async fn insert_message(connection: &mut SqliteConnection, message: &NewMessage) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO messages (digest, received_at, peer, helo, reverse_path, recipients, original_recipients, envelope_id, kind, message_id,
                               sender, subject, reporting_mta, original_envelope_id, arrival_date, original_message_id,
                               original_from, original_to, original_subject, defects, size, raw, protocol, tls, replayed_at,
                               recorded_at, unproven)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
                 ?23, ?24, ?25, ?26, ?27)
         RETURNING id",
    )
    .bind(&message.digest[..])
    .bind(written(message.received_at))
    .bind(&message.peer)
    .bind(&message.helo)
    .bind(&message.reverse_path)
    .bind(json_list(&message.recipients))
    .bind(serde_json::Value::from(message.original_recipients.clone()).to_string())
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
    .bind(Some(&message.raw).filter(|raw| !raw.is_empty()))
    .bind(message.protocol)
    .bind(&message.tls)
    .bind(message.replayed.as_ref().map(|replayed| written(replayed.at)))
    .bind(written(message.replayed.as_ref().map_or(message.received_at, |replayed| replayed.at)))
    .bind(message.unproven)
    .fetch_one(connection)
    .await
}

async fn insert_event(
    connection: &mut SqliteConnection,
    message: i64,
    received_at: Timestamp,
    event: &NewEvent,
    stand: Stand,
) -> Result<i64, sqlx::Error> {
    let result = &event.classification;
    sqlx::query_scalar(
        "INSERT INTO events (event_key, message, received_at, stream, trust, recipient, recipient_key, original_recipient,
                             final_recipient, action, status, effective_status, reply_code, diagnostic_type,
                             diagnostic_code, remote_mta, last_attempt_date, bounce_type, category, class, decision,
                             rule, evidence_field, evidence, facts, change, domain, hold, repeats, applies)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
                 ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)
         RETURNING id",
    )
    .bind(&stand.key[..])
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
    .bind(stand.change.as_str())
    .bind(domain_of(&event.recipient_key).unwrap_or_default())
    .bind(stand.hold)
    .bind(stand.repeats)
    .bind(stand.applies)
    .fetch_one(connection)
    .await
}

fn json_list(list: &[String]) -> String {
    serde_json::Value::from(list).to_string()
}
