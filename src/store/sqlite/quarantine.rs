//! What waits for a person because nothing proves it: listed, approved, discarded.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::super::{
    Addresses, AuditOrigin, EventChange, Idle, NewEvent, Outcome, QuarantineFilter, Quarantined, Settling,
    StoreError, Verdict,
};
use super::apply::{Subject, apply, corrupt, said};
use super::audit::Cause;
use super::breaker::{self, Judge};
use super::read::{failed, maybe_time, time};
use super::settle::{LetThrough, begin_dry_run, end_dry_run, let_through, received_at, settled};
use super::written;
use crate::address::Mailbox;
use crate::returnpath::Trust;

/// Rows read at once, of which a filter for clients or hosts may leave few.
const CHUNK: u32 = 1_000;

/// What waits, by one of its indexes: without them every event there ever was would be looked at.
macro_rules! waiting {
    ($index:literal, $place:literal, $order:literal) => {
        concat!(
            "SELECT events.*, messages.peer FROM events INDEXED BY ",
            $index,
            " CROSS JOIN messages ON messages.id = events.message WHERE change = 'quarantined' AND ",
            $place,
            " AND (?2 IS NULL OR message = ?2)
              AND (?3 IS NULL OR domain = ?3)
              AND (?4 IS NULL OR recipient_key IN (?4, ?12))
              AND (?5 IS NULL OR class = ?5)
              AND (?6 IS NULL OR trust = ?6)
              AND (?7 IS NULL OR events.received_at >= ?7)
              AND (?8 IS NULL OR events.received_at < ?8)
              ORDER BY ",
            $order,
            " LIMIT ?9"
        )
    };
}

/// By number.
pub(super) const WAITING: &str = waiting!("events_waiting", "events.id > ?1", "events.id");

/// Address by address.
pub(super) const WAITING_BY_ADDRESS: &str = waiting!(
    "events_waiting_address",
    "(recipient_key, events.received_at, events.id) > (?10, ?11, ?1)",
    "recipient_key, events.received_at, events.id"
);

/// Events that wait, in the order of their numbers or address by address.
pub(super) async fn quarantined(
    pool: &SqlitePool,
    addresses: &Addresses,
    filter: &QuarantineFilter,
) -> Result<Vec<Quarantined>, StoreError> {
    let wanted = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    let mut filter = filter.clone();
    let [plain, hashed] = addresses.both(filter.recipient_key.as_deref());
    filter.recipient_key = plain;
    while found.len() < wanted {
        let rows = chunk(pool, &filter, hashed.as_deref()).await?;
        for row in &rows {
            let event = to_quarantined(row)?;
            filter.after = Some(event.event);
            filter.after_address = Some((event.recipient_key.clone(), event.received_at, event.event));
            if found.len() < wanted && filter.takes(&event.peer, event.remote_mta.as_deref()) {
                found.push(event);
            }
        }
        if rows.len() < CHUNK as usize {
            break;
        }
    }
    Ok(found)
}

async fn chunk(
    pool: &SqlitePool,
    filter: &QuarantineFilter,
    hashed: Option<&str>,
) -> Result<Vec<SqliteRow>, StoreError> {
    let place = filter.after_address.as_ref().filter(|_| filter.by_address);
    let after = if filter.by_address { place.map(|(_, _, event)| *event) } else { filter.after };
    let statement = if filter.by_address { WAITING_BY_ADDRESS } else { WAITING };
    let query = sqlx::query(statement)
        .bind(after.unwrap_or(0))
        .bind(filter.bounce)
        .bind(&filter.domain)
        .bind(&filter.recipient_key)
        .bind(&filter.class)
        .bind(filter.trust.map(Trust::as_str))
        .bind(filter.since.map(written))
        .bind(filter.before.map(written))
        .bind(CHUNK);
    let query = if filter.by_address {
        let (address, at) =
            place.map_or_else(Default::default, |(address, at, _)| (address.clone(), written(*at)));
        query.bind(address).bind(at)
    } else {
        query.bind("").bind("")
    };
    query.bind(hashed).fetch_all(pool).await.map_err(failed)
}

fn to_quarantined(row: &SqliteRow) -> Result<Quarantined, StoreError> {
    Ok(Quarantined {
        event: row.try_get("id")?,
        bounce: row.try_get("message")?,
        received_at: time(row, "received_at")?,
        recipient: row.try_get("recipient")?,
        recipient_key: row.try_get("recipient_key")?,
        stream: row.try_get("stream")?,
        stream_name: None,
        class: row.try_get("class")?,
        effective_status: row.try_get("effective_status")?,
        decision: row.try_get("decision")?,
        rule: row.try_get("rule")?,
        evidence: row.try_get("evidence")?,
        trust: row.try_get("trust")?,
        peer: row.try_get("peer")?,
        remote_mta: row.try_get("remote_mta")?,
    })
}

/// Settles events in their order; a dry run does it all and takes it back.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    judge: &Judge,
    settling: Settling,
) -> Result<Vec<Outcome>, sqlx::Error> {
    if settling.dry_run {
        begin_dry_run(connection).await?;
    }
    let mut outcomes = Vec::with_capacity(settling.events.len());
    for event in &settling.events {
        outcomes.push(settle_one(connection, judge, &settling, *event).await?);
    }
    if settling.dry_run {
        end_dry_run(connection).await?;
    }
    Ok(outcomes)
}

async fn settle_one(
    connection: &mut SqliteConnection,
    judge: &Judge,
    settling: &Settling,
    event: i64,
) -> Result<Outcome, sqlx::Error> {
    let row = sqlx::query("SELECT * FROM events WHERE id = ?1").bind(event).fetch_optional(&mut *connection);
    let Some(row) = row.await? else { return Ok(Outcome::Missing) };
    let change: String = row.try_get("change")?;
    if change != EventChange::Quarantined.as_str() {
        let at = maybe_time(&row, "settled_at").map_err(|error| decode_error(&error))?;
        return Ok(Outcome::NotWaiting { change, at, by: row.try_get("settled_by")? });
    }
    let (change, outcome) = match settling.verdict {
        Verdict::Discard => (EventChange::Discarded, Outcome::Settled(EventChange::Discarded)),
        Verdict::Approve => {
            let subject = Subject::stored(connection, judge, &row).await?;
            if Mailbox::parse(&subject.recipient).is_err() {
                return Ok(Outcome::NoAddress);
            }
            let cause = Cause {
                origin: AuditOrigin::Quarantine,
                actor: Some(settling.by.clone()),
                at: Some(settling.at),
                why: None,
            };
            match approve(connection, judge, &subject, event, &row, &cause, settling.at).await? {
                Ok(change) => (change, Outcome::Settled(change)),
                Err(idle) => (EventChange::None, Outcome::Idle(idle)),
            }
        }
    };
    settled(connection, event, change, settling.at, &settling.by).await?;
    Ok(outcome)
}

/// Does what the event would have done when it came in; nothing, where another delivery of the same report has
/// done it (contract 2).
async fn approve(
    connection: &mut SqliteConnection,
    judge: &Judge,
    subject: &Subject,
    event: i64,
    row: &SqliteRow,
    cause: &Cause,
    at: Timestamp,
) -> Result<Result<EventChange, Idle>, sqlx::Error> {
    let key: Vec<u8> = row.try_get("event_key")?;
    let key = <[u8; 32]>::try_from(key).map_err(|_| corrupt("event_key", "not 32 octets"))?;
    // Schema 1 kept what waited under the key of its group alone.
    let grouped = NewEvent::attributed_key(&key, &subject.recipient_key);
    let done: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM events WHERE event_key IN (?1, ?2))")
        .bind(&NewEvent::applied_key(&key)[..])
        .bind(&NewEvent::applied_key(&grouped)[..])
        .fetch_one(&mut *connection)
        .await?;
    if done {
        return Ok(Err(Idle::ToldBefore));
    }
    let received_at = received_at(row)?;
    let LetThrough { change, over, new } = let_through(connection, judge, subject, received_at, at).await?;
    apply(connection, subject, event, received_at, &change, cause).await?;
    if new && judge.settings.breaker.weighs(&change) {
        // What a person lets through belongs to what is usual.
        breaker::count(connection, judge, subject, received_at).await?;
    }
    Ok(match said(&change) {
        EventChange::None if over => Err(Idle::TermOver),
        EventChange::None => Err(Idle::NotTheAddress),
        said => Ok(said),
    })
}

fn decode_error(error: &StoreError) -> sqlx::Error {
    corrupt("events", &error.to_string())
}
