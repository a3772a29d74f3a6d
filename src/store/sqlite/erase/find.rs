//! Finding everything that names a person. Readers do it, a bounded number of rows at once, so that no snapshot keeps the
//! log from being folded.

use sqlx::Row;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::Plan;
use crate::store::StoreError;
use crate::store::sqlite::read::{self, failed};

/// Rows looked at in one statement.
const AT_ONCE: i64 = 5_000;

/// Rows that name the person.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Messages, by number; ascending.
    pub(super) messages: Vec<i64>,
    /// Rows of the history.
    pub(super) audit: Vec<i64>,
    /// Events of the outbox.
    pub(super) outbox: Vec<i64>,
    /// Entries of others that quote her: address and stream.
    pub(super) entries: Vec<(String, i64)>,
}

impl Found {
    pub(super) const fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.audit.is_empty() && self.outbox.is_empty() && self.entries.is_empty()
    }
}

/// Up to which rows was looked.
#[derive(Debug, Default)]
pub(super) struct Since {
    messages: i64,
    events: i64,
    audit: i64,
    outbox: i64,
    entries: bool,
}

/// A table, and the texts in it that strangers chose, as one text.
struct Texts {
    /// The number that is wanted, the table, the condition besides.
    select: &'static str,
}

const MESSAGES: Texts = Texts {
    select: "SELECT id AS wanted, concat_ws(char(10), helo, reverse_path, recipients, original_recipients, envelope_id, message_id,
                    sender, subject, reporting_mta, original_envelope_id, original_message_id, original_from,
                    original_to, original_subject, defects) AS text
             FROM messages WHERE id > ?1 AND id <= ?2 AND instr(lower(text), ?3)",
};

const EVENTS: Texts = Texts {
    select: "SELECT message AS wanted, concat_ws(char(10), recipient, recipient_key, original_recipient, final_recipient, status,
                    diagnostic_code, remote_mta, evidence, facts, formerly) AS text
             FROM events WHERE id > ?1 AND id <= ?2 AND instr(lower(text), ?3)",
};

const AUDIT: Texts = Texts {
    select: "SELECT id AS wanted, concat_ws(char(10), address, before, after, why) AS text
             FROM audit WHERE id > ?1 AND id <= ?2 AND instr(lower(text), ?3)",
};

const OUTBOX: Texts = Texts {
    select: "SELECT id AS wanted, data AS text FROM outbox WHERE id > ?1 AND id <= ?2 AND instr(lower(data), ?3)",
};

/// Everything that names her and was written since.
pub(super) async fn find(
    pool: &SqlitePool,
    plan: &Plan,
    since: &mut Since,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Found, StoreError> {
    let last: (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT coalesce(max(id), 0) FROM messages), (SELECT coalesce(max(id), 0) FROM events),
                (SELECT coalesce(max(id), 0) FROM audit), (SELECT coalesce(max(id), 0) FROM outbox)",
    )
    .fetch_one(pool)
    .await
    .map_err(failed)?;
    let rows =
        [2 * (last.0 - since.messages), last.1 - since.events, last.2 - since.audit, last.3 - since.outbox];
    let told = Told { progress, total: rows.iter().sum(), done: 0.into() };
    let mut found = Found::default();
    let mut messages = by_key(
        pool,
        "SELECT DISTINCT message FROM events WHERE recipient_key IN (?1, ?2) AND id > ?3",
        plan,
        since.events,
    )
    .await?;
    found.audit = by_key(
        pool,
        "SELECT id FROM audit WHERE address_key IN (?1, ?2) AND id > ?3 AND action <> 'erased'",
        plan,
        since.audit,
    )
    .await?;
    messages.extend(in_texts(pool, plan, &EVENTS, since.events..last.1, &told).await?);
    messages.extend(in_texts(pool, plan, &MESSAGES, since.messages..last.0, &told).await?);
    messages.extend(in_raw(pool, plan, since.messages..last.0, &told).await?);
    found.audit.extend(in_texts(pool, plan, &AUDIT, since.audit..last.2, &told).await?);
    found.outbox =
        by_key(pool, "SELECT id FROM outbox WHERE address_key IN (?1, ?2) AND id > ?3", plan, since.outbox)
            .await?;
    found.outbox.extend(in_texts(pool, plan, &OUTBOX, since.outbox..last.3, &told).await?);
    if !since.entries {
        found.entries = in_entries(pool, plan).await?;
    }
    for ids in [&mut messages, &mut found.audit, &mut found.outbox] {
        ids.sort_unstable();
        ids.dedup();
    }
    found.messages = messages;
    *since = Since { messages: last.0, events: last.1, audit: last.2, outbox: last.3, entries: true };
    Ok(found)
}

/// Says how far it has come.
struct Told<'p> {
    progress: &'p (dyn Fn(u64, u64) + Sync),
    total: i64,
    done: std::sync::atomic::AtomicI64,
}

impl Told<'_> {
    fn more(&self, rows: i64) {
        let done = self.done.fetch_add(rows, std::sync::atomic::Ordering::Relaxed) + rows;
        (self.progress)(u64::try_from(done).unwrap_or(0), u64::try_from(self.total).unwrap_or(0));
    }
}

async fn by_key(
    pool: &SqlitePool,
    statement: &'static str,
    plan: &Plan,
    after: i64,
) -> Result<Vec<i64>, StoreError> {
    let [plain, hashed] = &plan.keys;
    sqlx::query_scalar(statement).bind(plain).bind(hashed).bind(after).fetch_all(pool).await.map_err(failed)
}

/// A number of a row for each text that names her.
async fn in_texts(
    pool: &SqlitePool,
    plan: &Plan,
    texts: &Texts,
    rows: std::ops::Range<i64>,
    told: &Told<'_>,
) -> Result<Vec<i64>, StoreError> {
    let mut found = Vec::new();
    let mut from = rows.start;
    while from < rows.end {
        let to = (from + AT_ONCE).min(rows.end);
        let candidates = sqlx::query(texts.select)
            .bind(from)
            .bind(to)
            .bind(plan.person.needle())
            .fetch_all(pool)
            .await
            .map_err(failed)?;
        for row in &candidates {
            if named(plan, row)? {
                found.push(row.try_get("wanted")?);
            }
        }
        told.more(to - from);
        from = to;
    }
    Ok(found)
}

fn named(plan: &Plan, row: &SqliteRow) -> Result<bool, StoreError> {
    Ok(plan.person.is_in(&row.try_get::<String, _>("text")?))
}

/// Messages that are kept as they came and name her somewhere.
async fn in_raw(
    pool: &SqlitePool,
    plan: &Plan,
    rows: std::ops::Range<i64>,
    told: &Told<'_>,
) -> Result<Vec<i64>, StoreError> {
    let finder = plan.person.finder();
    let mut found = Vec::new();
    let mut from = rows.start;
    while from < rows.end {
        let to = (from + AT_ONCE).min(rows.end);
        let kept: Vec<i64> =
            sqlx::query_scalar("SELECT id FROM messages WHERE id > ?1 AND id <= ?2 AND raw IS NOT NULL")
                .bind(from)
                .bind(to)
                .fetch_all(pool)
                .await
                .map_err(failed)?;
        for id in kept {
            if read::raw(pool, id).await?.is_some_and(|raw| finder.is_in_message(&raw)) {
                found.push(id);
            }
        }
        told.more(to - from);
        from = to;
    }
    Ok(found)
}

/// Entries of others whose texts quote her.
async fn in_entries(pool: &SqlitePool, plan: &Plan) -> Result<Vec<(String, i64)>, StoreError> {
    let mut found = Vec::new();
    let mut after = (String::new(), -1);
    loop {
        let rows = sqlx::query(
            "SELECT address_key, stream, concat_ws(char(10), evidence, note, remote_mta) AS text FROM suppressions
             WHERE (address_key, stream) > (?1, ?2) AND instr(lower(text), ?3) ORDER BY address_key, stream LIMIT ?4",
        )
        .bind(&after.0)
        .bind(after.1)
        .bind(plan.person.needle())
        .bind(AT_ONCE)
        .fetch_all(pool)
        .await
        .map_err(failed)?;
        for row in &rows {
            after = (row.try_get("address_key")?, row.try_get("stream")?);
            if named(plan, row)? && !plan.keys.contains(&after.0) {
                found.push(after.clone());
            }
        }
        if i64::try_from(rows.len()).unwrap_or(0) < AT_ONCE {
            return Ok(found);
        }
    }
}
