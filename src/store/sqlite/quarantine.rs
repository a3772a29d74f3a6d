//! Unproven bounces: listed, counted, approved, discarded.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::super::{
    Addresses, EventChange, Outcome, Page, QuarantineFilter, Quarantined, Settling, StoreError, Verdict,
};
use super::facts::{Judge, idle_event, load, waiting_event};
use super::filter::{Sql, and, of_events, of_messages};
use super::page::{page, sifted};
use super::read::{corrupt, failed, json, maybe_time, time};
use super::write::{begin_dry_run, end_dry_run, write};
use super::written;
use crate::address::Mailbox;
use crate::ledger::Needs;
use crate::returnpath::Trust;

/// Rows read at once where a filter for clients may leave few of them.
const CHUNK: u32 = 1_000;

/// What waits, by number or address by address. Each has its index: without them every event there ever was would be
/// looked at.
pub(super) fn question(addresses: &Addresses, filter: &QuarantineFilter, limit: u32) -> Sql {
    let mut sql = Sql::new(
        "SELECT events.id, events.message, events.received_at, events.recipient, events.recipient_key, events.stream,
                events.class, events.effective_status, events.decision, events.rule, events.evidence, events.diagnostic_code,
                events.trust,
                events.remote_mta, messages.peer FROM ",
    );
    waiting(&mut sql, addresses, filter, limit);
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
        let mut filter = QuarantineFilter { limit: most, ..filter.clone() };
        loop {
            let page = quarantined(pool, addresses, &filter).await?;
            filter.limit -= u32::try_from(page.items.len()).unwrap_or(u32::MAX).min(filter.limit);
            match page.items.last() {
                Some(last) if page.more && filter.limit > 0 => filter = after(&filter, last),
                _ => return Ok(u64::from(most - filter.limit)),
            }
        }
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

/// A page of events that wait, in the order of their numbers or address by address.
pub(super) async fn quarantined(
    pool: &SqlitePool,
    addresses: &Addresses,
    filter: &QuarantineFilter,
) -> Result<Page<Quarantined>, StoreError> {
    let ask = |last: Option<&Quarantined>, limit| match last {
        Some(last) => question(addresses, &after(filter, last), limit),
        None => question(addresses, filter, limit),
    };
    match filter.peer {
        Some(_) => {
            sifted(pool, filter.limit, CHUNK, ask, to_quarantined, |event| filter.takes(&event.peer)).await
        }
        None => page(pool, filter.limit, ask, to_quarantined).await,
    }
}

/// The rest of a filter after an event.
fn after(filter: &QuarantineFilter, last: &Quarantined) -> QuarantineFilter {
    let after_address = Some((last.recipient_key.clone(), last.received_at, last.event));
    QuarantineFilter { after: Some(last.event), after_address, ..filter.clone() }
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
        diagnostic_code: row.try_get("diagnostic_code")?,
        trust: row.try_get("trust")?,
        peer: row.try_get("peer")?,
        remote_mta: row.try_get("remote_mta")?,
    })
}

/// Settles events in their order; a dry run takes it all back.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    judge: &Judge,
    settling: Settling,
) -> Result<Vec<Outcome>, sqlx::Error> {
    let Settling { events, verdict, by, at, dry_run } = settling;
    if dry_run {
        begin_dry_run(connection).await?;
    }
    let rows = sqlx::query(
        "SELECT events.* FROM json_each(?1) AS asked CROSS JOIN events ON events.id = asked.value WHERE change = 'quarantined'",
    )
    .bind(json(&events)?)
    .fetch_all(&mut *connection)
    .await?;
    let mut waiting = HashMap::with_capacity(rows.len());
    let mut needs = Needs::default();
    for row in &rows {
        let event = if verdict == Verdict::Approve {
            let event = waiting_event(connection, judge, row).await?;
            needs.subject(&event.subject, event.received_at);
            needs.events.extend(event.applied_keys());
            event
        } else {
            idle_event(judge, row)?
        };
        waiting.insert(event.event, event);
    }
    let facts = load(connection, judge, &needs).await?;
    let (outcomes, writes) = judge.settle(facts, |book| {
        let mut settle_one = |event: &i64| {
            let waiting = waiting.remove(event)?;
            if verdict == Verdict::Discard {
                book.discard(&waiting, at, &by);
                return Some(Outcome::Settled(EventChange::Discarded));
            }
            if Mailbox::parse(&waiting.subject.recipient).is_err() {
                return Some(Outcome::NoAddress);
            }
            Some(book.approve(&waiting, at, &by).map_or_else(Outcome::Idle, Outcome::Settled))
        };
        events.iter().map(&mut settle_one).collect::<Vec<_>>()
    });
    write(connection, &writes).await?;
    let mut all = Vec::with_capacity(events.len());
    for (event, outcome) in events.into_iter().zip(outcomes) {
        all.push(match outcome {
            Some(outcome) => outcome,
            None => not_waiting(connection, event).await?,
        });
    }
    if dry_run {
        end_dry_run(connection).await?;
    }
    Ok(all)
}

/// Why an event is not settled.
async fn not_waiting(connection: &mut SqliteConnection, event: i64) -> Result<Outcome, sqlx::Error> {
    let row = sqlx::query("SELECT change, settled_at, settled_by FROM events WHERE id = ?1").bind(event);
    let Some(row) = row.fetch_optional(connection).await? else { return Ok(Outcome::Missing) };
    let at = maybe_time(&row, "settled_at").map_err(|error| corrupt("settled_at", &error.to_string()))?;
    Ok(Outcome::NotWaiting { change: row.try_get("change")?, at, by: row.try_get("settled_by")? })
}
