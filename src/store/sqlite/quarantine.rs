//! Unproven bounces: listed, counted, approved, discarded.

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
use super::filter::{Sql, and, of_events, of_messages};
use super::read::{failed, maybe_time, time};
use super::settle::{LetThrough, begin_dry_run, end_dry_run, let_through, received_at, settled};
use super::written;
use crate::address::Mailbox;
use crate::returnpath::Trust;

/// Rows read at once, of which a filter for clients may leave few.
const CHUNK: u32 = 1_000;

/// A page of what waits, by number or address by address. Each has its index: without them every event there ever was
/// would be looked at.
pub(super) fn page(addresses: &Addresses, filter: &QuarantineFilter) -> Sql {
    let mut sql = Sql::new(
        "SELECT events.id, events.message, events.received_at, events.recipient, events.recipient_key, events.stream,
                events.class, events.effective_status, events.decision, events.rule, events.evidence, events.trust,
                events.remote_mta, messages.peer FROM ",
    );
    waiting(&mut sql, addresses, filter, CHUNK);
    sql
}

/// How many events wait that a filter takes; it stops at `most`.
pub(super) async fn count(
    pool: &SqlitePool,
    addresses: &Addresses,
    filter: &QuarantineFilter,
    most: u32,
) -> Result<u64, StoreError> {
    if filter.peer.is_some() {
        // Networks are compared here.
        let filter = QuarantineFilter { limit: most, ..filter.clone() };
        return Ok(quarantined(pool, addresses, &filter).await?.len() as u64);
    }
    let mut sql = Sql::new("SELECT count(*) FROM (SELECT events.id FROM ");
    waiting(&mut sql, addresses, filter, most);
    let count: i64 = sql.push(")").build_query_scalar().fetch_one(pool).await.map_err(failed)?;
    Ok(count.unsigned_abs())
}

/// The events that wait and that a filter takes, in its order and from its place on.
fn waiting(sql: &mut Sql, addresses: &Addresses, filter: &QuarantineFilter, limit: u32) {
    let QuarantineFilter {
        bounce, recipient_key, common, approvable, after, by_address, after_address, ..
    } = filter;
    let index = if *by_address { "events_waiting_address" } else { "events_waiting" };
    sql.push("events INDEXED BY ")
        .push(index)
        .push(" CROSS JOIN messages ON messages.id = events.message WHERE events.change = 'quarantined'");
    if !by_address {
        and(sql, "events.id >", *after);
    } else if let Some((address, at, event)) = after_address {
        sql.push(" AND (events.recipient_key, events.received_at, events.id) > (");
        sql.push_bind(address.clone()).push(", ").push_bind(written(*at)).push(", ");
        sql.push_bind(*event).push(")");
    }
    and(sql, "events.message =", *bounce);
    if let [Some(plain), hashed] = addresses.both(recipient_key.as_deref()) {
        sql.push(" AND events.recipient_key IN (").push_bind(plain).push(", ").push_bind(hashed).push(")");
    }
    of_messages(sql, common);
    of_events(sql, common);
    if *approvable && common.trust.is_none() {
        sql.push(" AND events.trust <> ").push_bind(Trust::TokenOnly.as_str());
    }
    let order = if *by_address { "events.recipient_key, events.received_at, events.id" } else { "events.id" };
    sql.push(" ORDER BY ").push(order).push(" LIMIT ").push_bind(limit);
}

/// Events that wait, in the order of their numbers or address by address.
pub(super) async fn quarantined(
    pool: &SqlitePool,
    addresses: &Addresses,
    filter: &QuarantineFilter,
) -> Result<Vec<Quarantined>, StoreError> {
    let wanted = usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    let mut filter = filter.clone();
    while found.len() < wanted {
        let rows = page(addresses, &filter).build().fetch_all(pool).await.map_err(failed)?;
        for row in &rows {
            let event = to_quarantined(row)?;
            filter.after = Some(event.event);
            filter.after_address = Some((event.recipient_key.clone(), event.received_at, event.event));
            if found.len() < wanted && filter.takes(&event.peer) {
                found.push(event);
            }
        }
        if rows.len() < CHUNK as usize {
            break;
        }
    }
    Ok(found)
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
