//! Holds: what waits, and what a person says about it.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::super::{
    EventChange, Filter, HeldEvent, Hold, HoldFilter, HoldSettled, HoldSettling, HoldVerdict, Page,
    StoreError,
};
use super::facts::{Judge, idle_event, load, waiting_event};
use super::filter::{Sql, and, of_events, of_messages};
use super::page::page;
use super::read::{failed, maybe_time, time};
use super::write::{begin_dry_run, end_dry_run, write};
use super::written;
use crate::ledger::Needs;

const HOLD: &str = "
    SELECT *, (SELECT count(*) FROM events WHERE hold = holds.id AND change = 'held') AS waiting,
           (SELECT count(DISTINCT recipient_key) FROM events WHERE hold = holds.id AND change = 'held') AS addresses
    FROM holds WHERE ";

/// A page of holds, the newest first.
pub(super) async fn list(pool: &SqlitePool, filter: &HoldFilter) -> Result<Page<Hold>, StoreError> {
    let ask = |last: Option<&Hold>, limit: u32| {
        let mut sql = Sql::new(HOLD);
        matching(&mut sql, filter, last.map(|last| last.id).or(filter.before), limit);
        sql
    };
    page(pool, filter.limit, ask, to_hold).await
}

/// How many holds a filter takes; it stops at `most`.
pub(super) async fn count(pool: &SqlitePool, filter: &HoldFilter, most: u32) -> Result<u64, StoreError> {
    let mut sql = Sql::new("SELECT count(*) FROM (SELECT id FROM holds WHERE ");
    matching(&mut sql, filter, filter.before, most);
    let count: i64 = sql.push(")").build_query_scalar().fetch_one(pool).await.map_err(failed)?;
    Ok(count.unsigned_abs())
}

/// The conditions on holds: an event of a hold has all that a filter asks of events.
fn matching(sql: &mut Sql, filter: &HoldFilter, before: Option<i64>, limit: u32) {
    let HoldFilter { all, common, before: _, limit: _ } = filter;
    sql.push(if *all { "TRUE" } else { "state = 'open'" });
    and(sql, "holds.id <", before);
    and(sql, "opened_at >=", common.since.map(written));
    and(sql, "opened_at <", common.until.map(written));
    let of_event = Filter { since: None, until: None, ..common.clone() };
    if !of_event.is_empty() {
        sql.push(
            " AND EXISTS (SELECT 1 FROM events INDEXED BY events_hold JOIN messages ON messages.id = events.message
                          WHERE events.hold = holds.id",
        );
        of_messages(sql, &of_event);
        of_events(sql, &of_event);
        sql.push(")");
    }
    sql.push(" ORDER BY holds.id DESC LIMIT ").push_bind(limit);
}

/// One hold.
pub(super) async fn one(pool: &SqlitePool, id: i64) -> Result<Option<Hold>, StoreError> {
    let row =
        Sql::new(HOLD).push("id = ").push_bind(id).build().fetch_optional(pool).await.map_err(failed)?;
    row.as_ref().map(to_hold).transpose()
}

/// What a hold has held, the oldest first.
pub(super) async fn held(
    pool: &SqlitePool,
    id: i64,
    after: i64,
    limit: u32,
) -> Result<Page<HeldEvent>, StoreError> {
    let ask = |last: Option<&HeldEvent>, limit: u32| {
        let mut sql = Sql::new("SELECT * FROM events WHERE hold = ");
        sql.push_bind(id).push(" AND id > ").push_bind(last.map_or(after, |last| last.event));
        sql.push(" ORDER BY id LIMIT ").push_bind(limit);
        sql
    };
    page(pool, limit, ask, to_held).await
}

fn to_hold(row: &SqliteRow) -> Result<Hold, StoreError> {
    Ok(Hold {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        name: row.try_get("name")?,
        opened_at: time(row, "opened_at")?,
        why: row.try_get("why")?,
        recheckable_only: row.try_get("recheckable")?,
        state: row.try_get("state")?,
        held: row.try_get("held")?,
        waiting: row.try_get("waiting")?,
        addresses: row.try_get("addresses")?,
        settled_at: maybe_time(row, "settled_at")?,
        settled_by: row.try_get("settled_by")?,
    })
}

fn to_held(row: &SqliteRow) -> Result<HeldEvent, StoreError> {
    Ok(HeldEvent {
        event: row.try_get("id")?,
        bounce: row.try_get("message")?,
        received_at: time(row, "received_at")?,
        recipient: row.try_get("recipient")?,
        class: row.try_get("class")?,
        effective_status: row.try_get("effective_status")?,
        rule: row.try_get("rule")?,
        evidence: row.try_get("evidence")?,
        remote_mta: row.try_get("remote_mta")?,
        change: row.try_get("change")?,
    })
}

/// Settles some events of an open hold, and closes it with the last of them; a dry run writes nothing.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    judge: &Judge,
    settling: HoldSettling,
) -> Result<Option<HoldSettled>, sqlx::Error> {
    let open: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM holds WHERE id = ?1 AND state = 'open')")
            .bind(settling.id)
            .fetch_one(&mut *connection)
            .await?;
    if !open {
        return Ok(None);
    }
    if settling.dry_run.is_some() {
        begin_dry_run(connection).await?;
    }
    let rows = next(connection, &settling).await?;
    let (mut waiting, mut needs) = (Vec::with_capacity(rows.len()), Needs::default());
    for row in &rows {
        if settling.verdict == HoldVerdict::Discard {
            waiting.push(idle_event(judge, row)?);
            continue;
        }
        let event = waiting_event(connection, judge, row).await?;
        needs.subject(&event.subject, event.received_at);
        waiting.push(event);
    }
    let facts = load(connection, judge, &needs).await?;
    let HoldSettling { id, verdict, by, at, limit, dry_run } = settling;
    // Each event is decided as of its own time, by what stands now. One whose term is over by now does nothing.
    let (suppressed, writes) = judge.settle(facts, |book| match verdict {
        HoldVerdict::Release => {
            let changes = waiting.iter().map(|event| book.release(id, event, at, &by));
            changes.filter(|change| *change == EventChange::Suppressed).count()
        }
        HoldVerdict::Discard => {
            waiting.iter().for_each(|event| book.discard(event, at, &by));
            0
        }
    });
    let events = rows.len() as u64;
    // Fewer than asked for: in this transaction nobody else adds one.
    let settled = HoldSettled { events, suppressed: suppressed as u64, closed: events < u64::from(limit) };
    if dry_run.is_some() {
        end_dry_run(connection).await?;
        return Ok(Some(settled));
    }
    write(connection, &writes).await?;
    if settled.closed {
        let state = if verdict == HoldVerdict::Release { "released" } else { "discarded" };
        sqlx::query("UPDATE holds SET state = ?2, settled_at = ?3, settled_by = ?4 WHERE id = ?1")
            .bind(id)
            .bind(state)
            .bind(written(at))
            .bind(by)
            .execute(connection)
            .await?;
    }
    Ok(Some(settled))
}

/// The events of a hold that are settled next.
async fn next(
    connection: &mut SqliteConnection,
    settling: &HoldSettling,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    sqlx::query(
        "SELECT * FROM events WHERE hold = ?1 AND change = 'held' ORDER BY received_at, id LIMIT ?2 OFFSET ?3",
    )
    .bind(settling.id)
    .bind(settling.limit)
    .bind(i64::try_from(settling.dry_run.unwrap_or(0)).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await
}
