//! What the ledger asks about, read inside the writer's transaction: one statement a table, whatever the group's size.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::super::{EventChange, Settings};
use super::read::{class_and_decision, corrupt, json, maybe_time, stored_time, time};
use super::stored::{Written, resolve};
use crate::address::host_name;
use crate::ledger::{
    AuditOrigin, Book, Entry, Facts, KnownEvent, Needs, Numbers, OpenHold, RateKey, Source, Subject,
    UsualHours, WaitingEvent, Writes, hour_before, usual_slots,
};
use crate::policy::{CounterKind, KeyKind, Reason, Recent, Usual};
use crate::returnpath::Trust;

/// Keys whose usual is remembered, and holds whose growth is; more are looked up again.
const REMEMBERED: usize = 4_096;

/// What the writer decides by: the settings, and what one group leaves to the next.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// What the operator set.
    pub(super) settings: Settings,
    /// The usual of a key in an hour: a busy key would have its 90 days summed up for every group otherwise.
    usual: Mutex<HashMap<RateKey, (i64, Usual)>>,
    /// How many addresses this process added to open holds.
    added: Mutex<HashMap<i64, u64>>,
}

impl Judge {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Goes by other settings from now on, where they are others.
    pub(super) fn follow(&mut self, settings: &Settings) {
        if self.settings != *settings {
            *self = Self::new(settings.clone());
        }
    }

    /// Settles commands on what is known, and says what is to be written.
    pub(super) fn settle<'m, T>(
        &self,
        facts: Facts,
        commands: impl FnOnce(&mut Book<'_, 'm>) -> T,
    ) -> (T, Writes<'m>) {
        let mut added = lock(&self.added);
        let mut book = Book::open(&self.settings.policy, &self.settings.breaker, &mut added, facts);
        let done = commands(&mut book);
        (done, book.close())
    }
}

fn lock<K, V>(remembered: &Mutex<HashMap<K, V>>) -> MutexGuard<'_, HashMap<K, V>> {
    let mut remembered = remembered.lock().unwrap_or_else(PoisonError::into_inner);
    if remembered.len() >= REMEMBERED {
        remembered.clear();
    }
    remembered
}

/// Loads what a group needs.
pub(super) async fn load(
    connection: &mut SqliteConnection,
    judge: &Judge,
    needs: &Needs,
) -> Result<Facts, sqlx::Error> {
    let mut facts = Facts { numbers: numbers(connection).await?, ..Facts::default() };
    let rows = ask(
        connection,
        "SELECT digest, messages.id FROM json_each(?1) AS asked CROSS JOIN messages ON digest = unhex(asked.value)",
        needs.digests.iter().map(hex),
    );
    for row in rows.await? {
        facts.messages.insert(octets(&row, "digest")?, row.try_get("id")?);
    }
    let rows = ask(
        connection,
        "SELECT event_key, events.id, message, recipient_key, change
         FROM json_each(?1) AS asked CROSS JOIN events ON event_key = unhex(asked.value)",
        needs.events.iter().map(hex),
    );
    for row in rows.await? {
        let known = KnownEvent {
            event: row.try_get("id")?,
            message: row.try_get("message")?,
            recipient_key: row.try_get("recipient_key")?,
            change: change(&row)?,
        };
        facts.events.insert(octets(&row, "event_key")?, known);
    }
    list(connection, needs, &mut facts).await?;
    rates(connection, judge, needs, &mut facts).await?;
    Ok(facts)
}

/// Entries and counted days.
async fn list(
    connection: &mut SqliteConnection,
    needs: &Needs,
    facts: &mut Facts,
) -> Result<(), sqlx::Error> {
    let rows = ask(
        connection,
        "SELECT suppressions.*, events.message AS message, events.trust AS trust
         FROM json_each(?1) AS asked CROSS JOIN suppressions ON address_key = asked.value
         LEFT JOIN events ON events.id = suppressions.event",
        needs.addresses.iter(),
    );
    for row in rows.await? {
        let entry = to_entry(&row)?;
        if let (Some(event), Some(_)) = (entry.event, row.try_get::<Option<i64>, _>("message")?) {
            facts.sources.insert(event, source(&row)?);
        }
        facts.entries.insert(entry.key(), entry);
    }
    let rows = ask(
        connection,
        "SELECT name, stream, kind, day FROM json_each(?1) AS asked
         CROSS JOIN counters ON scope = 'address' AND name = asked.value",
        needs.addresses.iter(),
    );
    for row in rows.await? {
        let kind: String = row.try_get("kind")?;
        let Some(kind) = CounterKind::from_name(&kind) else { return Err(corrupt("kind", &kind)) };
        let days = facts.days.entry(row.try_get("name")?).or_default();
        days.insert((row.try_get("stream")?, kind, row.try_get("day")?));
    }
    Ok(())
}

/// What the breaker goes by.
async fn rates(
    connection: &mut SqliteConnection,
    judge: &Judge,
    needs: &Needs,
    facts: &mut Facts,
) -> Result<(), sqlx::Error> {
    let slots = |(kind, name, slot): &(KeyKind, String, i64)| {
        let hour = hour_before(*slot);
        serde_json::json!([kind.as_str(), name, hour.start(), hour.end()])
    };
    let rows = ask(
        connection,
        "SELECT kind, name, slot, count, recheckable FROM json_each(?1) AS asked
         CROSS JOIN suppression_rates ON kind = asked.value ->> 0 AND name = asked.value ->> 1
             AND slot BETWEEN asked.value ->> 2 AND asked.value ->> 3",
        needs.rates.iter().map(slots),
    );
    for row in rows.await? {
        let recent = Recent { all: number(&row, "count")?, recheckable: number(&row, "recheckable")? };
        facts.rates.entry(rate_key(&row)?).or_default().insert(row.try_get("slot")?, recent);
    }
    let names: BTreeSet<_> = needs.rates.iter().map(|(kind, name, _)| (kind.as_str(), name)).collect();
    let rows = ask(
        connection,
        "SELECT holds.* FROM json_each(?1) AS asked
         CROSS JOIN holds ON kind = asked.value ->> 0 AND name = asked.value ->> 1 AND state = 'open'",
        names.iter(),
    );
    for row in rows.await? {
        let hold = OpenHold {
            id: row.try_get("id")?,
            opened_at: stored_time(&row, "opened_at")?,
            why: row.try_get("why")?,
            recheckable_only: row.try_get("recheckable")?,
            held: row.try_get("held")?,
        };
        facts.holds.insert(rate_key(&row)?, hold);
    }
    if !facts.holds.is_empty() {
        let rows = ask(
            connection,
            "SELECT DISTINCT recipient_key, hold FROM json_each(?1) AS asked
             CROSS JOIN events INDEXED BY events_held_address ON recipient_key = asked.value
             WHERE change = 'held' AND hold IS NOT NULL",
            needs.addresses.iter(),
        );
        for row in rows.await? {
            facts.waiting.insert((row.try_get("recipient_key")?, row.try_get("hold")?));
        }
    }
    usual(connection, judge, needs, facts).await
}

/// What is usual for the keys that it is asked of, and which of them a person released.
async fn usual(
    connection: &mut SqliteConnection,
    judge: &Judge,
    needs: &Needs,
    facts: &mut Facts,
) -> Result<(), sqlx::Error> {
    let asked = needs.usual(facts, &judge.settings.breaker);
    let mut unknown = Vec::new();
    {
        let remembered = lock(&judge.usual);
        for (kind, name, hour) in asked {
            match remembered.get(&(kind, name.clone())) {
                Some((of, usual)) if *of == hour => {
                    facts.usual.entry((kind, name)).or_default().insert(hour, UsualHours::known(*usual));
                }
                _ => unknown.push((kind, name, hour)),
            }
        }
    }
    let slots = |(kind, name, hour): &(KeyKind, String, i64)| {
        let slots = usual_slots(*hour);
        serde_json::json!([kind.as_str(), name, slots.start, slots.end])
    };
    let rows = ask(
        connection,
        "SELECT asked.key AS asked, slot / 12 AS hour, sum(count) AS count FROM json_each(?1) AS asked
         CROSS JOIN suppression_rates ON kind = asked.value ->> 0 AND name = asked.value ->> 1
             AND slot >= asked.value ->> 2 AND slot < asked.value ->> 3 GROUP BY 1, 2",
        unknown.iter().map(slots),
    );
    let mut hours: HashMap<i64, BTreeMap<i64, u64>> = HashMap::new();
    for row in rows.await? {
        hours.entry(row.try_get("asked")?).or_default().insert(row.try_get("hour")?, number(&row, "count")?);
    }
    for (asked, (kind, name, hour)) in (0..).zip(unknown) {
        let usual = UsualHours::of(hours.remove(&asked).unwrap_or_default());
        lock(&judge.usual).insert((kind, name.clone()), (hour, usual.usual()));
        facts.usual.entry((kind, name)).or_default().insert(hour, usual);
    }
    if needs.may_trip(facts, &judge.settings.breaker) {
        let rows = sqlx::query(
            "SELECT kind, name, max(settled_at) AS settled_at FROM holds WHERE state = 'released' GROUP BY kind, name",
        );
        for row in rows.fetch_all(connection).await? {
            facts.released.insert(rate_key(&row)?, stored_time(&row, "settled_at")?);
        }
    }
    Ok(())
}

/// The highest numbers that were given.
async fn numbers(connection: &mut SqliteConnection) -> Result<Numbers, sqlx::Error> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT name, seq FROM sqlite_sequence").fetch_all(connection).await?;
    let of = |table: &str| rows.iter().find(|(name, _)| name == table).map_or(0, |(_, number)| *number);
    Ok(Numbers { message: of("messages"), event: of("events"), hold: of("holds") })
}

/// Asks about a list of things; nothing where it is empty.
async fn ask<T: Serialize>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    asked: impl Iterator<Item = T>,
) -> Result<Vec<SqliteRow>, sqlx::Error> {
    let asked: Vec<T> = asked.collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query(sql).bind(json(&asked)?).fetch_all(connection).await
}

fn hex(octets: &[u8; 32]) -> String {
    data_encoding::HEXLOWER.encode(octets)
}

fn octets(row: &SqliteRow, column: &str) -> Result<[u8; 32], sqlx::Error> {
    <[u8; 32]>::try_from(row.try_get::<&[u8], _>(column)?).map_err(|_| corrupt(column, "not 32 octets"))
}

fn number(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    Ok(u64::try_from(row.try_get::<i64, _>(column)?).unwrap_or(0))
}

fn rate_key(row: &SqliteRow) -> Result<RateKey, sqlx::Error> {
    let kind: String = row.try_get("kind")?;
    let kind = KeyKind::from_name(&kind).ok_or_else(|| corrupt("kind", &kind))?;
    Ok((kind, row.try_get("name")?))
}

/// Where an event comes from.
pub(super) fn source(row: &SqliteRow) -> Result<Source, sqlx::Error> {
    let trust: String = row.try_get("trust")?;
    let trust = Trust::from_name(&trust).ok_or_else(|| corrupt("trust", &trust))?;
    Ok((row.try_get("message")?, trust.as_str()))
}

pub(super) fn change(row: &SqliteRow) -> Result<EventChange, sqlx::Error> {
    let change: String = row.try_get("change")?;
    EventChange::from_name(&change).ok_or_else(|| corrupt("change", &change))
}

/// A row of the list.
pub(super) fn to_entry(row: &SqliteRow) -> Result<Entry, sqlx::Error> {
    let (reason, origin): (String, String) = (row.try_get("reason")?, row.try_get("origin")?);
    Ok(Entry {
        address: row.try_get("address")?,
        stream: row.try_get("stream")?,
        reason: Reason::from_name(&reason).ok_or_else(|| corrupt("reason", &reason))?,
        class: row.try_get("class")?,
        status: row.try_get("status")?,
        rule: row.try_get("rule")?,
        remote_mta: row.try_get("remote_mta")?,
        evidence: row.try_get("evidence")?,
        note: row.try_get("note")?,
        first_seen: stored_time(row, "first_seen")?,
        last_seen: stored_time(row, "last_seen")?,
        count: row.try_get("count")?,
        expires_at: maybe_time(row, "expires_at")
            .map_err(|error| corrupt("expires_at", &error.to_string()))?,
        recheckable: row.try_get("recheckable")?,
        soft_term_days: row.try_get("soft_term_days")?,
        origin: AuditOrigin::from_name(&origin).ok_or_else(|| corrupt("origin", &origin))?,
        event: row.try_get("event")?,
        address_key: row.try_get("address_key")?,
        // Entries of the first versions have none.
        changed_at: time(row, "changed_at").unwrap_or_default(),
        ended: row.try_get("ended")?,
    })
}

/// What matters to the list of a stored event, under the key that the list has it under by now.
pub(super) async fn stored_subject(
    connection: &mut SqliteConnection,
    judge: &Judge,
    row: &SqliteRow,
) -> Result<Subject, sqlx::Error> {
    let key: String = row.try_get("recipient_key")?;
    let recipient_key = resolve(connection, &judge.settings.addresses, &key).await?;
    subject_under(judge, row, recipient_key)
}

/// The same under a key of the list.
fn subject_under(judge: &Judge, row: &SqliteRow, recipient_key: String) -> Result<Subject, sqlx::Error> {
    let addresses = &judge.settings.addresses;
    let (recipient, key): (String, String) = (row.try_get("recipient")?, row.try_get("recipient_key")?);
    let texts = Written::beside(addresses, &recipient_key, &key);
    let (class, decision) = class_and_decision(row)?;
    Ok(Subject {
        recipient: texts.address(&recipient_key, &recipient),
        recipient_key,
        stream: row.try_get("stream")?,
        remote_mta: row.try_get::<Option<String>, _>("remote_mta")?.as_deref().and_then(host_name),
        class,
        decision,
        effective_status: row.try_get("effective_status")?,
        rule: row.try_get("rule")?,
        evidence: texts.text(&row.try_get::<String, _>("evidence")?),
    })
}

/// A stored event that waits, to be let through.
pub(super) async fn waiting_event(
    connection: &mut SqliteConnection,
    judge: &Judge,
    row: &SqliteRow,
) -> Result<WaitingEvent, sqlx::Error> {
    let subject = stored_subject(connection, judge, row).await?;
    waiting_under(row, subject)
}

/// A stored event that waits, to be discarded: where its address stands on the list does not matter.
pub(super) fn idle_event(judge: &Judge, row: &SqliteRow) -> Result<WaitingEvent, sqlx::Error> {
    waiting_under(row, subject_under(judge, row, row.try_get("recipient_key")?)?)
}

fn waiting_under(row: &SqliteRow, subject: Subject) -> Result<WaitingEvent, sqlx::Error> {
    Ok(WaitingEvent {
        event: row.try_get("id")?,
        key: octets(row, "event_key")?,
        source: source(row)?,
        received_at: stored_time(row, "received_at")?,
        change: change(row)?,
        applies: row.try_get("applies")?,
        subject,
    })
}
