//! Judging stored events anew. An address whose events mean something else gets its entries as if they had always meant
//! that: what rests on its events is taken down, and they are applied once more, each as of its own time.

mod standing;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::super::{
    AuditOrigin, EventChange, NewConclusion, Reclassified, ReclassifiedEntry, ReclassifiedEvent, Reclassify,
    Reclassifying, StoreError, StoredEvent,
};
use super::apply::{Subject, apply_quietly, corrupt, decide, said};
use super::audit::{self, Cause, Noted};
use super::breaker::{self, Judge};
use super::read::{failed, list, time, to_event};
use super::settle::{begin_dry_run, end_dry_run, received_at};
use super::{SqliteStore, written};
use crate::classify::{Basis, Class, Decision};
use crate::policy::{Change, Verdict, day_of, may_change};
use standing::{Entry, entries, essence, give_back};

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
    // What a dry run finds usual is not remembered.
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

/// An event that counts, as it is stored by now.
struct Believed {
    id: i64,
    received_at: Timestamp,
    change: String,
    subject: Subject,
    /// Its conclusion is new.
    anew: bool,
}

impl Work<'_> {
    async fn run(&self, connection: &mut SqliteConnection) -> Result<Reclassified, sqlx::Error> {
        let mut done = Reclassified::default();
        let mut anew = BTreeSet::new();
        for new in &self.address.events {
            if self.conclude(connection, new).await? {
                anew.insert(new.event);
            }
        }
        if anew.is_empty() {
            return Ok(done);
        }
        let rows = sqlx::query("SELECT * FROM events WHERE recipient_key = ?1 ORDER BY received_at, id")
            .bind(&self.address.recipient_key)
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            let id: i64 = row.try_get("id")?;
            if anew.contains(&id) {
                let before: String = row.try_get("change")?;
                let after = waits(row)?.unwrap_or_else(|| before.clone());
                change_to(connection, id, &before, &after, None).await?;
                done.events.push(ReclassifiedEvent { event: id, before, after });
            }
        }
        let believed = self.believed(connection, &rows, &anew).await?;
        if believed.iter().any(|event| event.anew) {
            done.entries = self.rebuild(connection, &believed, &mut done.events).await?;
        }
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

    /// The events that count, in their order. What came before a person last changed the address has been heard.
    async fn believed(
        &self,
        connection: &mut SqliteConnection,
        rows: &[SqliteRow],
        anew: &BTreeSet<i64>,
    ) -> Result<Vec<Believed>, sqlx::Error> {
        let mut believed = Vec::new();
        let mut heard: Option<String> = None;
        for row in rows {
            if !counts(row)? {
                continue;
            }
            let subject = Subject::stored(connection, self.judge, row).await?;
            if heard.is_none() {
                heard = Some(last_by_person(connection, &subject.recipient_key).await?);
            }
            // What a person let through counts from then on.
            let settled: Option<String> = row.try_get("settled_at")?;
            let since = settled.unwrap_or(row.try_get("received_at")?);
            if heard.as_ref().is_some_and(|heard| since <= *heard) {
                continue;
            }
            let id = row.try_get("id")?;
            believed.push(Believed {
                id,
                received_at: received_at(row)?,
                change: row.try_get("change")?,
                subject,
                anew: anew.contains(&id),
            });
        }
        Ok(believed)
    }

    /// Takes down what rests on the events, applies them once more, and notes what is another entry by then.
    async fn rebuild(
        &self,
        connection: &mut SqliteConnection,
        believed: &[Believed],
        told: &mut Vec<ReclassifiedEvent>,
    ) -> Result<Vec<ReclassifiedEntry>, sqlx::Error> {
        let Some(first) = believed.first() else { return Ok(Vec::new()) };
        let key = &first.subject.recipient_key;
        let ids: BTreeSet<i64> = believed.iter().map(|event| event.id).collect();
        let entries = entries(connection, key, self.at, true).await?;
        // An entry whose event is gone cannot be made anew: it stands, and only new conclusions may change it.
        let (down, stay): (Vec<Entry>, Vec<Entry>) = entries
            .into_iter()
            .partition(|entry| entry.by_bounce && entry.event.is_some_and(|event| ids.contains(&event)));
        for entry in &down {
            sqlx::query("DELETE FROM suppressions WHERE address_key = ?1 AND stream = ?2")
                .bind(key)
                .bind(entry.stream)
                .execute(&mut *connection)
                .await?;
        }
        sqlx::query("DELETE FROM counters WHERE scope = 'address' AND name = ?1 AND day >= ?2")
            .bind(key)
            .bind(day_of(first.received_at))
            .execute(&mut *connection)
            .await?;
        for event in believed {
            self.once_more(connection, event, &stay, told).await?;
        }
        self.compare(connection, key, down, &stay, believed).await
    }

    /// Applies an event as of its own time.
    async fn once_more(
        &self,
        connection: &mut SqliteConnection,
        event: &Believed,
        stay: &[Entry],
        told: &mut Vec<ReclassifiedEvent>,
    ) -> Result<(), sqlx::Error> {
        let Believed { id, received_at, subject, .. } = event;
        let policy = &self.judge.settings.policy;
        let mut change = decide(connection, policy, subject, *received_at, *received_at).await?;
        let mut hold = None;
        if let Change::Suppress(entry) = &change {
            let stream = subject.stream_of(entry.scope);
            let standing = stay.iter().find(|entry| entry.stream == stream);
            let scope = entry.scope;
            if standing.is_some_and(|standing| !standing.by_bounce || !event.anew) {
                change = Change::Seen(scope);
            } else if event.anew
                && event.change != EventChange::Suppressed.as_str()
                && self.judge.settings.breaker.weighs(&change)
            {
                hold = breaker::join_open(connection, self.judge, subject, *received_at).await?;
            }
        }
        let word = if hold.is_some() { EventChange::Held } else { said(&change) };
        // What stays was seen when it was.
        let stays = |scope| stay.iter().any(|entry| entry.stream == subject.stream_of(scope));
        if hold.is_none() && !matches!(change, Change::Seen(scope) if stays(scope)) {
            apply_quietly(connection, subject, *id, *received_at, &change, &self.cause(None)).await?;
        }
        change_to(connection, *id, &event.change, word.as_str(), hold).await?;
        match told.iter_mut().find(|told| told.event == *id) {
            Some(told) => told.after = word.as_str().to_owned(),
            None if event.change != word.as_str() => told.push(ReclassifiedEvent {
                event: *id,
                before: event.change.clone(),
                after: word.as_str().to_owned(),
            }),
            None => {}
        }
        Ok(())
    }

    /// What stands now beside what stood: what is the same gets its own back, the rest is noted in the history.
    async fn compare(
        &self,
        connection: &mut SqliteConnection,
        key: &str,
        down: Vec<Entry>,
        stay: &[Entry],
        believed: &[Believed],
    ) -> Result<Vec<ReclassifiedEntry>, sqlx::Error> {
        let mut before: BTreeMap<i64, Entry> = down.into_iter().map(|entry| (entry.stream, entry)).collect();
        let after: BTreeMap<i64, Entry> = entries(connection, key, self.at, false)
            .await?
            .into_iter()
            .map(|entry| (entry.stream, entry))
            .collect();
        let kept: BTreeMap<i64, &Entry> = stay.iter().map(|entry| (entry.stream, entry)).collect();
        let streams: BTreeSet<i64> = before.keys().chain(after.keys()).copied().collect();
        let mut told = Vec::new();
        for stream in streams {
            let old = before.remove(&stream);
            let stood = old.as_ref().or(kept.get(&stream).copied()).and_then(|entry| entry.stands.clone());
            let stands = after.get(&stream).and_then(|entry| entry.stands.clone());
            if stands.is_none() && !kept.contains_key(&stream) {
                // Nobody has to note its end any more.
                sqlx::query("UPDATE suppressions SET ended = 1 WHERE address_key = ?1 AND stream = ?2")
                    .bind(key)
                    .bind(stream)
                    .execute(&mut *connection)
                    .await?;
            }
            let same = stood.as_ref().map(essence) == stands.as_ref().map(essence);
            if let Some(old) = &old {
                // A new term begins anew.
                if old.stands.is_some() || stands.is_none() {
                    give_back(connection, key, old, same.then_some(old.changed_at.as_str())).await?;
                }
            } else if stands.is_none() && !kept.contains_key(&stream) {
                // Over before it was made: it was never there.
                sqlx::query("DELETE FROM suppressions WHERE address_key = ?1 AND stream = ?2")
                    .bind(key)
                    .bind(stream)
                    .execute(&mut *connection)
                    .await?;
            }
            if same {
                continue;
            }
            let Some(event) = believed.iter().rev().find(|event| event.anew) else { continue };
            sqlx::query(
                "UPDATE suppressions SET changed_at = ?3 WHERE address_key = ?1 AND stream = ?2 AND NOT ended",
            )
            .bind(key)
            .bind(stream)
            .bind(written(self.at))
            .execute(&mut *connection)
            .await?;
            let why = self.why(connection, event).await?;
            let noted = Noted {
                address_key: key,
                stream,
                at: self.at,
                before: stood.as_ref().map(Value::to_string),
                why: Some(&why),
                event: Some(event.id),
            };
            let after = stands.as_ref().map(Value::to_string);
            let cause = self.cause(Some(self.at));
            audit::replaced(connection, noted, &event.subject.recipient, after.as_deref(), &cause).await?;
            let action = match (&stood, &stands) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            };
            told.push(ReclassifiedEntry { stream, action, before: stood, after: stands });
        }
        Ok(told)
    }

    fn cause(&self, at: Option<Timestamp>) -> Cause {
        Cause { origin: AuditOrigin::Reclassify, actor: Some(self.by.to_owned()), at, why: None }
    }

    /// What decided, for the history.
    async fn why(&self, connection: &mut SqliteConnection, event: &Believed) -> Result<String, sqlx::Error> {
        let formerly: Option<String> = sqlx::query_scalar(
            "SELECT json_extract(formerly, '$.class') || ' (rule ' || json_extract(formerly, '$.rule') || ')'
             FROM events WHERE id = ?1",
        )
        .bind(event.id)
        .fetch_one(connection)
        .await?;
        Ok(format!("judged anew: {}, not {}", event.subject.why(), formerly.unwrap_or_default()))
    }
}

/// Whether an event counts: it is believed, waits for nobody, and repeats no other.
fn counts(row: &SqliteRow) -> Result<bool, sqlx::Error> {
    let change: String = row.try_get("change")?;
    let repeats: Option<i64> = row.try_get("repeats")?;
    let did = ["suppressed", "counted", "seen", "cleared"].contains(&change.as_str());
    let idle = change == EventChange::None.as_str() && row.try_get("applies")?;
    Ok(repeats.is_none() && (did || idle))
}

/// What becomes of an event that does not count, by its new conclusion: what could change something waits for a
/// person, what cannot need not. `None`: it stays as it is.
fn waits(row: &SqliteRow) -> Result<Option<String>, sqlx::Error> {
    let (change, class, decision): (String, String, String) =
        (row.try_get("change")?, row.try_get("class")?, row.try_get("decision")?);
    let basis = Basis::of(row.try_get("rule")?);
    let may = match (Class::from_name(&class), Decision::from_name(&decision)) {
        (Some(class), Some(decision)) => may_change(Verdict { class, decision, basis }),
        _ => return Err(corrupt("class", &class)),
    };
    let settled: Option<String> = row.try_get("settled_at")?;
    let repeats: Option<i64> = row.try_get("repeats")?;
    let applies: bool = row.try_get("applies")?;
    let becomes = match change.as_str() {
        "quarantined" | "held" if !may => EventChange::None,
        "none" if may && !applies && settled.is_none() && repeats.is_none() => EventChange::Quarantined,
        _ => return Ok(None),
    };
    Ok(Some(becomes.as_str().to_owned()))
}

async fn change_to(
    connection: &mut SqliteConnection,
    event: i64,
    before: &str,
    after: &str,
    hold: Option<i64>,
) -> Result<(), sqlx::Error> {
    if before != after || hold.is_some() {
        sqlx::query("UPDATE events SET change = ?2, hold = coalesce(?3, hold) WHERE id = ?1")
            .bind(event)
            .bind(after)
            .bind(hold)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// When a person last changed an address; empty where nobody has.
async fn last_by_person(connection: &mut SqliteConnection, key: &str) -> Result<String, sqlx::Error> {
    let last: Option<String> = sqlx::query_scalar(
        "SELECT max(at) FROM audit WHERE address_key = ?1
             AND origin NOT IN ('bounce', 'replay', 'expiry', 'quarantine', 'hold', 'reclassify')",
    )
    .bind(key)
    .fetch_one(connection)
    .await?;
    Ok(last.unwrap_or_default())
}
