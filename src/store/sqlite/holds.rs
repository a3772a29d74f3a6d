//! Holds: what waits, and what a person says about it.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::super::{
    AuditOrigin, EventChange, Filter, HeldEvent, Hold, HoldFilter, HoldSettled, HoldSettling, HoldVerdict,
    Page, StoreError,
};
use super::apply::{Subject, apply_to_list, said};
use super::audit::Cause;
use super::breaker::{self, Judge};
use super::filter::{Sql, and, of_events, of_messages};
use super::page::page;
use super::read::{failed, maybe_time, time};
use super::settle::{
    LetThrough, begin_dry_run, end_dry_run, let_through, received_at, settled as settled_event,
};
use super::written;

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

/// Settles some events of an open hold, and closes it with the last of them; a dry run does it and takes it back.
pub(super) async fn settle(
    connection: &mut SqliteConnection,
    judge: &Judge,
    settling: HoldSettling,
) -> Result<Option<HoldSettled>, sqlx::Error> {
    if settling.dry_run.is_none() {
        return settle_some(connection, judge, &settling).await;
    }
    begin_dry_run(connection).await?;
    // What it finds usual is not remembered.
    let judge = Judge::new(judge.settings.clone());
    let settled = settle_some(connection, &judge, &settling).await?;
    end_dry_run(connection).await?;
    Ok(settled)
}

async fn settle_some(
    connection: &mut SqliteConnection,
    judge: &Judge,
    settling: &HoldSettling,
) -> Result<Option<HoldSettled>, sqlx::Error> {
    let open: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM holds WHERE id = ?1 AND state = 'open')")
            .bind(settling.id)
            .fetch_one(&mut *connection)
            .await?;
    if !open {
        return Ok(None);
    }
    let mut settled = match settling.verdict {
        HoldVerdict::Release => release(connection, judge, settling).await?,
        HoldVerdict::Discard => discard(connection, settling).await?,
    };
    // Fewer than asked for: in this transaction nobody else adds one.
    settled.closed = settled.events < u64::from(settling.limit);
    if settled.closed {
        let state = match settling.verdict {
            HoldVerdict::Release => "released",
            HoldVerdict::Discard => "discarded",
        };
        sqlx::query("UPDATE holds SET state = ?2, settled_at = ?3, settled_by = ?4 WHERE id = ?1")
            .bind(settling.id)
            .bind(state)
            .bind(written(settling.at))
            .bind(&settling.by)
            .execute(connection)
            .await?;
    }
    Ok(Some(settled))
}

async fn discard(
    connection: &mut SqliteConnection,
    settling: &HoldSettling,
) -> Result<HoldSettled, sqlx::Error> {
    let discarded = sqlx::query(
        "UPDATE events SET change = 'discarded', settled_at = ?2, settled_by = ?3 WHERE id IN
             (SELECT id FROM events WHERE hold = ?1 AND change = 'held' ORDER BY received_at, id LIMIT ?4)",
    )
    .bind(settling.id)
    .bind(written(settling.at))
    .bind(&settling.by)
    .bind(settling.limit)
    .execute(connection)
    .await?;
    Ok(HoldSettled { events: discarded.rows_affected(), suppressed: 0, closed: false })
}

/// Each event is decided as of its own time, by what stands now: existing entries are never shortened. One whose term
/// is over by now does nothing.
async fn release(
    connection: &mut SqliteConnection,
    judge: &Judge,
    settling: &HoldSettling,
) -> Result<HoldSettled, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT * FROM events WHERE hold = ?1 AND change = 'held' ORDER BY received_at, id LIMIT ?2 OFFSET ?3",
    )
    .bind(settling.id)
    .bind(settling.limit)
    .bind(i64::try_from(settling.dry_run.unwrap_or(0)).unwrap_or(i64::MAX))
    .fetch_all(&mut *connection)
    .await?;
    let cause = Cause {
        origin: AuditOrigin::Hold,
        actor: Some(settling.by.clone()),
        at: Some(settling.at),
        why: Some(format!("hold {} released", settling.id)),
    };
    let mut settled = HoldSettled::default();
    for row in &rows {
        let event: i64 = row.try_get("id")?;
        let subject = Subject::stored(connection, judge, row).await?;
        let received_at = received_at(row)?;
        let LetThrough { change, new, .. } =
            let_through(connection, judge, &subject, received_at, settling.at).await?;
        apply_to_list(connection, &subject, event, received_at, &change, &cause).await?;
        let said = said(&change);
        if said == EventChange::Suppressed {
            if new {
                // What a person lets through belongs to what is usual.
                breaker::count(connection, judge, &subject, received_at).await?;
            }
            settled.suppressed += 1;
        }
        settled_event(connection, event, said, settling.at, &settling.by).await?;
        settled.events += 1;
    }
    Ok(settled)
}
