//! What is written, statement by statement, inside the writer's transaction.

use std::collections::HashSet;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sqlx::sqlite::SqliteConnection;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::super::{EventChange, NewEvent, NewMessage, Recorded};
use super::apply::{Subject, apply, count_hosts, decide, said};
use super::audit::Cause;
use super::breaker::{self, Held, Judge};
use super::stored::Arriving;
use super::written;
use crate::address::domain_of;
use crate::policy::Change;

/// Events that one statement writes: each binds 30 values, of some 32,000 that a statement may have.
const ROWS_AT_ONCE: usize = 100;

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
    let now = message.received_at;
    let groups: Vec<Group<'_>> = message.events.iter().zip(attributed).zip(keys).collect();
    let known = known_in(connection, &groups).await?;
    let mut changes = Vec::with_capacity(groups.len());
    let mut alarms = Vec::new();
    // What changes nothing is written many rows at once: a stranger's large report keeps nobody waiting for long.
    let mut rows: Vec<(&NewEvent, Stand)> = Vec::new();
    let mut seen = HashSet::new();
    for (group, known) in groups.iter().zip(known) {
        let ((event, attributed), _) = *group;
        let again = seen.contains(attributed) || seen.contains(&event.key);
        if again || event.applies {
            insert_events(connection, id, now, &std::mem::take(&mut rows)).await?;
        }
        // It may be an earlier group of this message that brought it.
        let known = if again { known_in(connection, &[*group]).await?.pop().flatten() } else { known };
        seen.insert(attributed);
        if let Some(first) = known {
            rows.push((event, Stand::repeats(attributed, first, &message.digest)));
            changes.push(EventChange::None);
            continue;
        }
        let waits = if event.quarantined { EventChange::Quarantined } else { EventChange::None };
        let change = if event.applies && !event.quarantined {
            let subject = Subject::of(event);
            let mut change = decide(connection, &judge.settings.policy, &subject, now, now).await?;
            if message.replayed.as_ref().is_some_and(|replayed| change.is_over(replayed.at)) {
                change = Change::None;
            }
            match weigh(connection, judge, &subject, now, &change).await? {
                Some(Held { hold, alarm }) => {
                    let stand = Stand::of(event, attributed, EventChange::Held, Some(hold));
                    insert_events(connection, id, now, &[(event, stand)]).await?;
                    count_hosts(connection, &subject, now).await?;
                    alarms.extend(alarm);
                    EventChange::Held
                }
                None => {
                    let stand = Stand::of(event, attributed, said(&change), None);
                    let event_id = insert_events(connection, id, now, &[(event, stand)]).await?;
                    apply(connection, &subject, event_id, now, &change, &cause).await?;
                    said(&change)
                }
            }
        } else {
            rows.push((event, Stand::of(event, attributed, waits, None)));
            waits
        };
        changes.push(change);
    }
    insert_events(connection, id, now, &rows).await?;
    let believed: Vec<_> =
        groups.iter().filter(|((event, _), _)| event.applies && !event.quarantined).collect();
    wait_no_more(connection, id, &believed).await?;
    Ok(Recorded { id, duplicate: false, changes, alarms })
}

/// What waited of reports that a message brought with a proof, or trusted, waits no more: it counts there.
async fn wait_no_more(
    connection: &mut SqliteConnection,
    message: i64,
    believed: &[&Group<'_>],
) -> Result<(), sqlx::Error> {
    let hex = |octets: &[u8]| HEXLOWER.encode(octets);
    if believed.is_empty() {
        return Ok(());
    }
    let asked = believed.iter().map(|((event, attributed), [plain, hashed])| {
        serde_json::json!([hex(&attributed[..]), hex(&event.key), plain, hashed])
    });
    let asked = serde_json::Value::from_iter(asked);
    sqlx::query(
        "UPDATE events SET change = 'none', repeats = ?2 WHERE change = 'quarantined' AND message <> ?2 AND id IN (
             SELECT events.id FROM json_each(?1) AS asked CROSS JOIN events
                 ON event_key IN (unhex(asked.value ->> 0), unhex(asked.value ->> 1))
             WHERE recipient_key IN (asked.value ->> 2, asked.value ->> 3))",
    )
    .bind(asked.to_string())
    .bind(message)
    .execute(connection)
    .await?;
    Ok(())
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

/// An event of a message, its key, and the keys that its recipient may stand under.
type Group<'m> = ((&'m NewEvent, &'m [u8; 32]), &'m [String; 2]);

/// For each event the message of another delivery of the same report that brought it (contract 2). One that waited there
/// in vain, or that a person discarded, does not stand in the way of one that is proven.
async fn known_in(
    connection: &mut SqliteConnection,
    groups: &[Group<'_>],
) -> Result<Vec<Option<i64>>, sqlx::Error> {
    let hex = |octets: &[u8]| HEXLOWER.encode(octets);
    let asked = groups.iter().map(|((event, attributed), [plain, hashed])| {
        let waits = event.quarantined || !event.applies;
        let applied = hex(&NewEvent::applied_key(attributed));
        serde_json::json!([applied, hex(&attributed[..]), hex(&event.key), waits, plain, hashed])
    });
    // Schema 1 kept an event under the key of its group alone. The last row about a group is the one that counts.
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT asked.key, message
         FROM json_each(?1) AS asked
         CROSS JOIN events
             ON event_key IN (unhex(asked.value ->> 0), unhex(asked.value ->> 1), unhex(asked.value ->> 2))
         WHERE event_key = unhex(asked.value ->> 0)
            OR (recipient_key IN (asked.value ->> 4, asked.value ->> 5)
                AND (asked.value ->> 3 OR change NOT IN ('quarantined', 'discarded')))
         ORDER BY asked.key, event_key = unhex(asked.value ->> 0)",
    )
    .bind(serde_json::Value::from_iter(asked).to_string())
    .fetch_all(connection)
    .await?;
    let mut known = vec![None; groups.len()];
    for (group, message) in rows {
        if let Some(place) = usize::try_from(group).ok().and_then(|group| known.get_mut(group)) {
            *place = Some(message);
        }
    }
    Ok(known)
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

/// Writes events in their order; the number of the last one, 0 for none.
async fn insert_events(
    connection: &mut SqliteConnection,
    message: i64,
    received_at: Timestamp,
    rows: &[(&NewEvent, Stand)],
) -> Result<i64, sqlx::Error> {
    let mut last = 0;
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let mut statement = QueryBuilder::<Sqlite>::new(
            "INSERT INTO events (event_key, message, received_at, stream, trust, recipient, recipient_key,
                                 original_recipient, final_recipient, action, status, effective_status, reply_code,
                                 diagnostic_type, diagnostic_code, remote_mta, last_attempt_date, bounce_type, category,
                                 class, decision, rule, evidence_field, evidence, facts, change, domain, hold, repeats,
                                 applies) ",
        );
        statement.push_values(rows, |mut row, (event, stand)| {
            let result = &event.classification;
            let facts = (!result.facts.is_empty()).then(|| serde_json::to_string(&result.facts));
            row.push_bind(&stand.key[..])
                .push_bind(message)
                .push_bind(written(received_at))
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
                .push_bind(stand.change.as_str())
                .push_bind(domain_of(&event.recipient_key).unwrap_or_default())
                .push_bind(stand.hold)
                .push_bind(stand.repeats)
                .push_bind(stand.applies);
        });
        statement.push(" RETURNING id");
        // There is a statement for each number of rows: only the most usual one is kept.
        let ids: Vec<i64> =
            statement.build_query_scalar().persistent(rows.len() == 1).fetch_all(&mut *connection).await?;
        last = ids.into_iter().max().unwrap_or(last);
    }
    Ok(last)
}

fn json_list(list: &[String]) -> String {
    serde_json::Value::from(list).to_string()
}
