//! Recorded messages, one or a page of them. What a filter takes is found by an index, and a page is bounded in octets.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::super::page::Room;
use super::super::{
    Addresses, Bounce, BounceEvent, BounceFilter, Filter, LISTED_RECIPIENTS, Page, SHOWN_RECIPIENTS,
    StoreError,
};
use super::filter::{Sql, and, asks_events, of_events, of_messages};
use super::read::{failed, list, maybe_time, time, to_event};
use super::written;

/// Events read at once.
const EVENTS_AT_ONCE: usize = 50;

/// Every column of a message but its raw bytes.
const MESSAGE: &str =
    "SELECT id, received_at, copies, peer, helo, protocol, tls, reverse_path, recipients, original_recipients,
            envelope_id, kind, message_id, sender, subject, reporting_mta, original_envelope_id, arrival_date,
            original_message_id, original_from, original_to, original_subject, defects, size,
            raw IS NOT NULL AS raw_kept, (SELECT count(*) FROM events WHERE message = messages.id) AS events
     FROM messages WHERE id = ?1";

/// The numbers of the messages that a filter takes, the newest first. The index of the narrowest condition leads to them.
pub(super) fn matching(sql: &mut Sql, addresses: &Addresses, filter: &BounceFilter, limit: u32) {
    let BounceFilter { recipient_key, common, kind, before, limit: _ } = filter;
    let of_an_event = recipient_key.is_some() || asks_events(common);
    let id = if of_an_event { "events.message" } else { "messages.id" };
    if of_an_event {
        let index = event_index(recipient_key.is_some(), common);
        sql.push("SELECT DISTINCT events.message FROM events INDEXED BY ").push(index);
        sql.push(" CROSS JOIN messages ON messages.id = events.message WHERE TRUE");
    } else {
        let index = if kind.is_some() { " INDEXED BY messages_kind" } else { "" };
        sql.push("SELECT messages.id FROM messages").push(index).push(" WHERE TRUE");
    }
    and(sql, "messages.kind =", kind.clone());
    sql.push(" AND ").push(id);
    and_before(sql, *before);
    of_messages(sql, common);
    if let Some(since) = common.since {
        // Messages are recorded in the order of their numbers, and none before it was received.
        sql.push(" AND ")
            .push(id)
            .push(" >= (SELECT min(id) FROM messages INDEXED BY messages_recorded_at WHERE recorded_at >= ");
        sql.push_bind(written(since)).push(")");
    }
    if let [Some(plain), hashed] = addresses.both(recipient_key.as_deref()) {
        sql.push(" AND events.recipient_key IN (").push_bind(plain).push(", ").push_bind(hashed).push(")");
    }
    if of_an_event {
        of_events(sql, common);
    }
    sql.push(" ORDER BY ").push(id).push(" DESC LIMIT ").push_bind(limit);
}

fn and_before(sql: &mut Sql, before: Option<i64>) {
    sql.push(" < ").push_bind(before.unwrap_or(i64::MAX));
}

/// The index that leads to events: that of the condition which the fewest hold.
fn event_index(of_a_recipient: bool, filter: &Filter) -> &'static str {
    if of_a_recipient {
        "events_recipient"
    } else if filter.listed_ip.is_some() {
        "events_listed_ip"
    } else if filter.remote_mta.is_some() {
        "events_remote_mta"
    } else if filter.domain.is_some() {
        "events_domain"
    } else if filter.rule.is_some() {
        "events_rule"
    } else if filter.class.is_some() {
        "events_class"
    } else if filter.trust.is_some() {
        "events_trust"
    } else {
        "events_message"
    }
}

/// A page of messages with their events, the newest first.
pub(super) async fn bounces(
    pool: &SqlitePool,
    addresses: &Addresses,
    filter: &BounceFilter,
) -> Result<Page<Bounce>, StoreError> {
    let mut connection = pool.acquire().await.map_err(failed)?;
    // One more than is shown says whether there are more.
    let mut sql = Sql::new("");
    matching(&mut sql, addresses, filter, filter.limit.saturating_add(1));
    let ids: Vec<i64> = sql.build_query_scalar().fetch_all(&mut *connection).await.map_err(failed)?;
    let ids = Page::cut(ids, filter.limit);
    let mut page = Page { items: Vec::new(), more: ids.more };
    let mut room = Room::default();
    for (index, id) in ids.items.iter().enumerate() {
        // One that is gone by now is not missed.
        let bounce = one(&mut connection, *id, 0, LISTED_RECIPIENTS, &mut room).await?;
        page.items.extend(bounce);
        if room.is_gone() {
            page.more |= index + 1 < ids.items.len();
            break;
        }
    }
    Ok(page)
}

/// How many messages a filter takes; it stops at `most`.
pub(super) async fn count(
    pool: &SqlitePool,
    addresses: &Addresses,
    filter: &BounceFilter,
    most: u32,
) -> Result<u64, StoreError> {
    let mut sql = Sql::new("SELECT count(*) FROM (");
    matching(&mut sql, addresses, filter, most);
    let count: i64 = sql.push(")").build_query_scalar().fetch_one(pool).await.map_err(failed)?;
    Ok(count.unsigned_abs())
}

/// One message, with its events after one of them.
pub(super) async fn bounce(pool: &SqlitePool, id: i64, after: i64) -> Result<Option<Bounce>, StoreError> {
    let mut connection = pool.acquire().await.map_err(failed)?;
    one(&mut connection, id, after, SHOWN_RECIPIENTS, &mut Room::default()).await
}

/// A message with at most so many of its events, and no more of these than there is room for.
async fn one(
    connection: &mut SqliteConnection,
    id: i64,
    after: i64,
    most: usize,
    room: &mut Room,
) -> Result<Option<Bounce>, StoreError> {
    let row = sqlx::query(MESSAGE).bind(id).fetch_optional(&mut *connection).await.map_err(failed)?;
    let Some(row) = row else { return Ok(None) };
    let mut bounce = to_bounce(&row)?;
    room.take(&bounce);
    let mut after = after;
    'events: while bounce.recipients.len() < most {
        let wanted = EVENTS_AT_ONCE.min(most - bounce.recipients.len());
        let rows = sqlx::query("SELECT * FROM events WHERE message = ?1 AND id > ?2 ORDER BY id LIMIT ?3")
            .bind(id)
            .bind(after)
            .bind(i64::try_from(wanted).unwrap_or(i64::MAX))
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        for row in &rows {
            let event: BounceEvent = to_event(row)?;
            room.take(&event);
            after = event.event;
            bounce.recipients.push(event);
            if room.is_gone() {
                break 'events;
            }
        }
        if rows.len() < wanted {
            return Ok(Some(bounce));
        }
    }
    let more = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM events WHERE message = ?1 AND id > ?2)");
    let more: bool = more.bind(id).bind(after).fetch_one(connection).await.map_err(failed)?;
    bounce.next_recipient = more.then_some(after);
    Ok(Some(bounce))
}

fn to_bounce(row: &SqliteRow) -> Result<Bounce, StoreError> {
    Ok(Bounce {
        id: row.try_get("id")?,
        received_at: time(row, "received_at")?,
        copies: row.try_get("copies")?,
        peer: row.try_get("peer")?,
        helo: row.try_get("helo")?,
        protocol: row.try_get("protocol")?,
        tls: row.try_get("tls")?,
        reverse_path: row.try_get("reverse_path")?,
        return_paths: list(row, "recipients")?,
        envelope_original_recipients: list(row, "original_recipients")?,
        envelope_id: row.try_get("envelope_id")?,
        kind: row.try_get("kind")?,
        message_id: row.try_get("message_id")?,
        sender: row.try_get("sender")?,
        subject: row.try_get("subject")?,
        reporting_mta: row.try_get("reporting_mta")?,
        original_envelope_id: row.try_get("original_envelope_id")?,
        arrival_date: maybe_time(row, "arrival_date")?,
        original_message_id: row.try_get("original_message_id")?,
        original_from: row.try_get("original_from")?,
        original_to: list(row, "original_to")?,
        original_subject: row.try_get("original_subject")?,
        defects: list(row, "defects")?,
        size: row.try_get("size")?,
        raw_kept: row.try_get("raw_kept")?,
        recipients: Vec::new(),
        recipient_count: row.try_get("events")?,
        next_recipient: None,
    })
}
