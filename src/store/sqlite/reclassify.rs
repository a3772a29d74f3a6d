//! Judging stored events anew. An address whose events mean something else gets its entries as if they had always meant
//! that: what rests on its events is taken down, and they are applied once more, each as of its own time.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::super::{NewConclusion, Reclassified, Reclassify, Reclassifying, StoreError, StoredEvent};
use super::facts::{Judge, change, load, source, stored_subject};
use super::read::{corrupt, failed, list, maybe_time, stored_time, time, to_event};
use super::write::{begin_dry_run, end_dry_run, write};
use super::{SqliteStore, written};
use crate::classify::{Class, Decision};
use crate::ledger::{JudgedEvent, Needs};

impl Reclassify for SqliteStore {
    async fn stored_events(
        &self,
        after: i64,
        since: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let rows = sqlx::query(
            "SELECT events.*, messages.digest, messages.kind, messages.reverse_path, messages.recipients,
                    messages.peer, messages.reporting_mta, messages.raw IS NOT NULL AS raw_kept
             FROM events CROSS JOIN messages ON messages.id = events.message
             WHERE events.id > ?1 AND (?2 IS NULL OR events.received_at >= ?2) ORDER BY events.id LIMIT ?3",
        )
        .bind(after)
        .bind(since.map(written))
        .bind(limit)
        .fetch_all(&self.readers.tasks)
        .await
        .map_err(failed)?;
        rows.iter().map(to_stored).collect()
    }

    async fn count_events(&self, since: Option<Timestamp>) -> Result<u64, StoreError> {
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM events WHERE ?1 IS NULL OR received_at >= ?1")
                .bind(since.map(written))
                .fetch_one(&self.readers.tasks)
                .await
                .map_err(failed)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn reclassify(
        &self,
        addresses: Vec<Reclassifying>,
        by: String,
        at: Timestamp,
        dry_run: bool,
    ) -> Result<Vec<Reclassified>, StoreError> {
        let events = addresses.iter().map(|address| address.events.len()).sum();
        self.writer()?
            .send(
                events,
                Box::new(move |connection, judge| {
                    Box::pin(reclassify(connection, judge, addresses, by, at, dry_run))
                }),
            )
            .await
    }
}

fn to_stored(row: &SqliteRow) -> Result<StoredEvent, StoreError> {
    Ok(StoredEvent {
        event: to_event(row)?,
        key: row.try_get("event_key")?,
        recipient_key: row.try_get("recipient_key")?,
        bounce: row.try_get("message")?,
        digest: row.try_get("digest")?,
        received_at: time(row, "received_at")?,
        kind: row.try_get("kind")?,
        reverse_path: row.try_get("reverse_path")?,
        peer: row.try_get("peer")?,
        return_paths: list(row, "recipients")?,
        reporting_mta: row.try_get("reporting_mta")?,
        raw_kept: row.try_get("raw_kept")?,
        applies: row.try_get("applies")?,
    })
}

async fn reclassify(
    connection: &mut SqliteConnection,
    judge: &Judge,
    addresses: Vec<Reclassifying>,
    by: String,
    at: Timestamp,
    dry_run: bool,
) -> Result<Vec<Reclassified>, sqlx::Error> {
    // What a dry run adds to holds is not remembered.
    let own;
    let judge = if dry_run {
        begin_dry_run(connection).await?;
        own = Judge::new(judge.settings.clone());
        &own
    } else {
        judge
    };
    let mut all = Vec::with_capacity(addresses.len());
    for address in &addresses {
        let work = Work { judge, by: &by, at, address };
        all.push(work.run(connection).await?);
    }
    if dry_run {
        end_dry_run(connection).await?;
    }
    Ok(all)
}

/// One address.
struct Work<'a> {
    judge: &'a Judge,
    by: &'a str,
    at: Timestamp,
    address: &'a Reclassifying,
}

impl Work<'_> {
    async fn run(&self, connection: &mut SqliteConnection) -> Result<Reclassified, sqlx::Error> {
        let mut anew = BTreeSet::new();
        for new in &self.address.events {
            if self.conclude(connection, new).await? {
                anew.insert(new.event);
            }
        }
        if anew.is_empty() {
            return Ok(Reclassified::default());
        }
        let rows = sqlx::query(
            "SELECT *, formerly ->> 'class' AS former_class, formerly ->> 'decision' AS former_decision,
                    formerly ->> 'rule' AS former_rule
             FROM events WHERE recipient_key = ?1 ORDER BY received_at, id",
        )
        .bind(&self.address.recipient_key)
        .fetch_all(&mut *connection)
        .await?;
        let (mut events, mut needs) = (Vec::with_capacity(rows.len()), Needs::default());
        for row in &rows {
            let mut event = judged(connection, self.judge, row).await?;
            if anew.contains(&event.id) {
                event.formerly = former(row)?;
                needs.subject(&event.subject, event.received_at);
            }
            events.push(event);
        }
        let heard = match events.first() {
            Some(event) => last_by_person(connection, &event.subject.recipient_key).await?,
            None => None,
        };
        let facts = load(connection, self.judge, &needs).await?;
        let (done, writes) = self.judge.settle(facts, |book| book.rejudge(events, heard, self.at, self.by));
        write(connection, &writes).await?;
        Ok(done)
    }

    /// Gives an event its new conclusion; false where it has another one by now than was read.
    async fn conclude(
        &self,
        connection: &mut SqliteConnection,
        new: &NewConclusion,
    ) -> Result<bool, sqlx::Error> {
        let now = &new.now;
        let updated = sqlx::query(
            "UPDATE events SET reclassified_at = ?4,
                 formerly = json_object('class', class, 'decision', decision, 'bounce_type', bounce_type, 'rule', rule,
                     'evidence_field', evidence_field, 'effective_status', effective_status, 'change', change),
                 class = ?5, decision = ?6, bounce_type = ?7, category = ?8, rule = ?9, evidence_field = ?10,
                 evidence = ?11, effective_status = ?12, reply_code = ?13, facts = ?14
             WHERE id = ?1 AND class = ?2 AND decision = ?3",
        )
        .bind(new.event)
        .bind(&new.was.0)
        .bind(&new.was.1)
        .bind(written(self.at))
        .bind(now.class.as_str())
        .bind(now.decision.as_str())
        .bind(now.bounce_type.as_str())
        .bind(now.category.as_str())
        .bind(&now.rule)
        .bind(now.evidence_field.as_str())
        .bind(&now.evidence)
        .bind(now.effective_status.map(|status| status.to_string()))
        .bind(now.reply_code.map(|code| i64::from(code.get())))
        .bind((!now.facts.is_empty()).then(|| serde_json::to_string(&now.facts).unwrap_or_default()))
        .execute(connection)
        .await?;
        Ok(updated.rows_affected() > 0)
    }
}

/// A stored event with its conclusion of now.
async fn judged(
    connection: &mut SqliteConnection,
    judge: &Judge,
    row: &SqliteRow,
) -> Result<JudgedEvent, sqlx::Error> {
    Ok(JudgedEvent {
        id: row.try_get("id")?,
        received_at: stored_time(row, "received_at")?,
        settled_at: maybe_time(row, "settled_at")
            .map_err(|error| corrupt("settled_at", &error.to_string()))?,
        change: change(row)?,
        repeats: row.try_get::<Option<i64>, _>("repeats")?.is_some(),
        applies: row.try_get("applies")?,
        subject: stored_subject(connection, judge, row).await?,
        source: source(row)?,
        formerly: None,
    })
}

/// What an event was concluded to be before: its class and decision, and both with its rule in words.
fn former(row: &SqliteRow) -> Result<Option<(Class, Decision, String)>, sqlx::Error> {
    let Some(class) = row.try_get::<Option<String>, _>("former_class")? else { return Ok(None) };
    let (decision, rule): (String, String) = (row.try_get("former_decision")?, row.try_get("former_rule")?);
    Ok(Some((
        Class::from_name(&class).ok_or_else(|| corrupt("formerly", &class))?,
        Decision::from_name(&decision).ok_or_else(|| corrupt("formerly", &decision))?,
        format!("{class} (rule {rule})"),
    )))
}

/// When a person last changed an address.
async fn last_by_person(
    connection: &mut SqliteConnection,
    key: &str,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let row = sqlx::query(
        "SELECT max(at) AS at FROM audit WHERE address_key = ?1
             AND origin NOT IN ('bounce', 'replay', 'expiry', 'quarantine', 'hold', 'reclassify')",
    )
    .bind(key)
    .fetch_one(connection)
    .await?;
    maybe_time(&row, "at").map_err(|error| corrupt("at", &error.to_string()))
}
