//! The circuit breaker's numbers: how many suppressions each key led to, and the holds that are open. Everything
//! inside the writer's transaction.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::super::holds::undo;
use super::super::{ANY_STREAM, Alarm, Settings};
use super::apply::{Subject, corrupt};
use super::written;
use crate::policy::{Change, Jump, KeyKind, Recent, USUAL_DAYS, Usual};

/// Seconds that are counted together.
const SLOT: i64 = 300;

/// Slots in an hour.
const HOUR: i64 = 12;

/// Keys whose usual is remembered; it is looked up again when there are more.
const REMEMBERED: usize = 4_096;

/// After so many more held addresses the operator is told again.
const TOLD_EVERY: u64 = 1_000;

/// What the writer decides by: the settings, and what is usual for the keys it was asked about.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// What the operator set.
    pub(super) settings: Settings,
    /// The usual of a key in an hour. It lies before that hour, so it hardly changes within it; a busy key would
    /// have its 90 days summed up for every bounce otherwise.
    usual: Mutex<HashMap<(KeyKind, String), (i64, Usual)>>,
    /// How many addresses were added to an open hold by this process: the operator is told again by them.
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
}

/// The slot that a time lies in.
fn slot_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(SLOT)
}

/// An event that is held.
#[derive(Debug)]
pub(super) struct Held {
    /// The number of the hold.
    pub(super) hold: i64,
    /// What the operator is to be told.
    pub(super) alarm: Option<Alarm>,
}

/// What is known of one key of an event.
struct Key<'a> {
    kind: KeyKind,
    name: &'a str,
    hold: Option<i64>,
    recent: Recent,
}

/// Whether a change puts an address on the list that was not on it, so far as the entry reaches. To be asked before
/// it is applied.
pub(super) async fn is_new(
    connection: &mut SqliteConnection,
    subject: &Subject,
    change: &Change,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let Change::Suppress(entry) = change else { return Ok(false) };
    sqlx::query_scalar(
        "SELECT NOT EXISTS (SELECT 1 FROM suppressions WHERE address_key = ?1 AND stream IN (?2, ?3)
                            AND (expires_at IS NULL OR expires_at > ?4))",
    )
    .bind(&subject.recipient_key)
    .bind(subject.stream_of(entry.scope))
    .bind(ANY_STREAM)
    .bind(written(now))
    .fetch_one(connection)
    .await
}

/// Whether a suppression says something about its rule and its host, and not of its domain alone. A list that is
/// mailed for the first time has unknown users at many domains, and that is no fault of the rule that finds them:
/// only domains that are known tell a jump there. What may end by itself always may be a fault of ours.
async fn tells_of_rule_and_host(
    connection: &mut SqliteConnection,
    judge: &Judge,
    subject: &Subject,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    if subject.class.recheckable() {
        return Ok(true);
    }
    let days = usual(connection, judge, KeyKind::Domain, subject.domain(), now).await?.days;
    Ok(!subject.domain().is_empty() && days >= judge.settings.breaker.history_days)
}

/// Whether a suppression is held: by a hold that is open, or by one that it opens. Call it only for changes that the
/// breaker weighs, before they are applied.
pub(super) async fn weigh(
    connection: &mut SqliteConnection,
    judge: &Judge,
    subject: &Subject,
    now: Timestamp,
) -> Result<Option<Held>, sqlx::Error> {
    if !judge.settings.breaker.enabled {
        return Ok(None);
    }
    let mut keys = keys(connection, subject, now).await?;
    if !tells_of_rule_and_host(connection, judge, subject, now).await? {
        keys.retain(|key| key.kind == KeyKind::Domain);
    }
    if let Some(key) = keys.iter().find(|key| key.hold.is_some())
        && let Some(hold) = key.hold
    {
        return hold_one_more(connection, judge, subject, hold, key, false).await.map(Some);
    }
    for key in &keys {
        if let Some(jump) = jump(connection, judge, subject, key, now).await? {
            let hold = open(connection, key, &jump, now).await?;
            return hold_one_more(connection, judge, subject, hold, key, true).await.map(Some);
        }
    }
    Ok(None)
}

/// The open hold that a suppression joins, where there is one for a key of it: it is judged anew, so that no hold opens
/// for it.
pub(super) async fn join_open(
    connection: &mut SqliteConnection,
    judge: &Judge,
    subject: &Subject,
    now: Timestamp,
) -> Result<Option<i64>, sqlx::Error> {
    if !judge.settings.breaker.enabled {
        return Ok(None);
    }
    let mut keys = keys(connection, subject, now).await?;
    if !tells_of_rule_and_host(connection, judge, subject, now).await? {
        keys.retain(|key| key.kind == KeyKind::Domain);
    }
    for key in &keys {
        if let Some(hold) = key.hold {
            return hold_one_more(connection, judge, subject, hold, key, false)
                .await
                .map(|held| Some(held.hold));
        }
    }
    Ok(None)
}

/// Every key of an event, in the order in which they are asked.
async fn keys<'a>(
    connection: &mut SqliteConnection,
    subject: &'a Subject,
    now: Timestamp,
) -> Result<Vec<Key<'a>>, sqlx::Error> {
    let names = [
        Some(subject.domain()).filter(|name| !name.is_empty()),
        subject.remote_mta.as_deref(),
        Some(&subject.rule),
    ];
    let last = slot_of(now);
    let rows = sqlx::query(
        "SELECT 0 AS key, sum(count) AS count, sum(recheckable) AS recheckable,
                (SELECT id FROM holds WHERE kind = 'domain' AND name = ?1 AND state = 'open' AND recheckable <= ?6) AS hold
         FROM suppression_rates WHERE kind = 'domain' AND name = ?1 AND slot BETWEEN ?4 AND ?5
         UNION ALL
         SELECT 1, sum(count), sum(recheckable),
                (SELECT id FROM holds WHERE kind = 'remote_mta' AND name = ?2 AND state = 'open' AND recheckable <= ?6)
         FROM suppression_rates WHERE kind = 'remote_mta' AND name = ?2 AND slot BETWEEN ?4 AND ?5
         UNION ALL
         SELECT 2, sum(count), sum(recheckable),
                (SELECT id FROM holds WHERE kind = 'rule' AND name = ?3 AND state = 'open' AND recheckable <= ?6)
         FROM suppression_rates WHERE kind = 'rule' AND name = ?3 AND slot BETWEEN ?4 AND ?5
         ORDER BY key",
    )
    .bind(names[0])
    .bind(names[1])
    .bind(names[2])
    .bind(last - HOUR + 1)
    .bind(last)
    .bind(subject.class.recheckable())
    .fetch_all(connection)
    .await?;
    let mut keys = Vec::with_capacity(KeyKind::ALL.len());
    for ((kind, name), row) in KeyKind::ALL.into_iter().zip(names).zip(&rows) {
        let Some(name) = name else { continue };
        let number = |column: &str| {
            row.try_get::<Option<i64>, _>(column)
                .map(|sum| sum.map_or(0, |sum| u64::try_from(sum).unwrap_or(0)))
        };
        let recent = Recent { all: number("count")?, recheckable: number("recheckable")? };
        keys.push(Key { kind, name, hold: row.try_get("hold")?, recent });
    }
    Ok(keys)
}

/// Whether a key jumps, and is not let pass because a person released it not long ago.
async fn jump(
    connection: &mut SqliteConnection,
    judge: &Judge,
    subject: &Subject,
    key: &Key<'_>,
    now: Timestamp,
) -> Result<Option<Jump>, sqlx::Error> {
    let breaker = &judge.settings.breaker;
    if !breaker.may_trip(key.recent) {
        return Ok(None);
    }
    let usual = usual(connection, judge, key.kind, key.name, now).await?;
    let Some(jump) = breaker.judge(subject.class.recheckable(), key.recent, usual) else { return Ok(None) };
    let pass = jiff::SignedDuration::from_hours(breaker.pass_hours.into());
    let passed: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM holds
                        WHERE kind = ?1 AND name = ?2 AND state = 'released' AND settled_at > ?3)",
    )
    .bind(key.kind.as_str())
    .bind(key.name)
    .bind(written(now.checked_sub(pass).unwrap_or(Timestamp::UNIX_EPOCH)))
    .fetch_one(connection)
    .await?;
    Ok((!passed).then_some(jump))
}

/// What is usual for a key: the hours before the one in which the last hour began.
async fn usual(
    connection: &mut SqliteConnection,
    judge: &Judge,
    kind: KeyKind,
    name: &str,
    now: Timestamp,
) -> Result<Usual, sqlx::Error> {
    let hour = (slot_of(now) - HOUR + 1).div_euclid(HOUR);
    let place = (kind, name.to_owned());
    let lock = || judge.usual.lock().unwrap_or_else(PoisonError::into_inner);
    let known = lock().get(&place).copied();
    if let Some((_, usual)) = known.filter(|(of, _)| *of == hour) {
        return Ok(usual);
    }
    let hours: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT slot / 12 AS hour, sum(count) FROM suppression_rates
         WHERE kind = ?1 AND name = ?2 AND slot >= ?3 AND slot < ?4 GROUP BY hour",
    )
    .bind(kind.as_str())
    .bind(name)
    .bind((hour - USUAL_DAYS * 24) * HOUR)
    .bind(hour * HOUR)
    .fetch_all(connection)
    .await?;
    let hours: Vec<_> =
        hours.into_iter().map(|(hour, count)| (hour, u64::try_from(count).unwrap_or(0))).collect();
    let usual = Usual::of(&hours);
    let mut remembered = lock();
    if remembered.len() >= REMEMBERED {
        remembered.clear();
    }
    remembered.insert(place, (hour, usual));
    Ok(usual)
}

/// Opens a hold. One that held only what may end by itself is widened where the key has a history by now.
async fn open(
    connection: &mut SqliteConnection,
    key: &Key<'_>,
    jump: &Jump,
    now: Timestamp,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "INSERT INTO holds (kind, name, opened_at, why, recheckable) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (kind, name) WHERE state = 'open'
             DO UPDATE SET why = excluded.why, recheckable = min(recheckable, excluded.recheckable)
         RETURNING id",
    )
    .bind(key.kind.as_str())
    .bind(key.name)
    .bind(written(now))
    .bind(jump.to_string())
    .bind(matches!(jump, Jump::Recheckable { .. }))
    .fetch_one(connection)
    .await
}

async fn hold_one_more(
    connection: &mut SqliteConnection,
    judge: &Judge,
    subject: &Subject,
    hold: i64,
    key: &Key<'_>,
    opened: bool,
) -> Result<Held, sqlx::Error> {
    // Another report about an address that waits already is kept, and no news.
    let waits: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM events INDEXED BY events_recipient
                        WHERE recipient_key = ?1 AND hold = ?2 AND change = 'held')",
    )
    .bind(&subject.recipient_key)
    .bind(hold)
    .fetch_one(&mut *connection)
    .await?;
    let (held, why, opened_at): (i64, String, String) =
        sqlx::query_as("UPDATE holds SET held = held + 1 WHERE id = ?1 RETURNING held, why, opened_at")
            .bind(hold)
            .fetch_one(connection)
            .await?;
    // The first one is counted too.
    let again = !waits && added(judge, hold).is_multiple_of(TOLD_EVERY);
    let told = opened || again;
    let opened_at: Timestamp = opened_at.parse().map_err(|_| corrupt("opened_at", &opened_at))?;
    let kind = key.kind.as_str();
    let undo = || undo(kind, key.name, opened_at);
    let alarm = told.then(|| Alarm { hold, kind, name: key.name.to_owned(), why, held, undo: undo() });
    Ok(Held { hold, alarm })
}

/// How many addresses this process has added to a hold, with one more.
fn added(judge: &Judge, hold: i64) -> u64 {
    let mut added = judge.added.lock().unwrap_or_else(PoisonError::into_inner);
    if added.len() >= REMEMBERED {
        added.clear();
    }
    let count = added.entry(hold).or_default();
    *count += 1;
    *count
}

/// Counts a suppression by a bounce under its three keys. One domain counts for a rule and a host up to its share
/// only, so that those jump when several domains do.
pub(super) async fn count(
    connection: &mut SqliteConnection,
    judge: &Judge,
    subject: &Subject,
    at: Timestamp,
) -> Result<(), sqlx::Error> {
    let slot = slot_of(at);
    let of_all = tells_of_rule_and_host(connection, judge, subject, at).await?;
    sqlx::query(
        "WITH keys (kind, name) AS (VALUES ('domain', ?1), ('remote_mta', ?2), ('rule', ?3))
         INSERT INTO suppression_rates (kind, name, slot, count, recheckable)
         SELECT kind, name, ?4, 1, ?5 FROM keys
         WHERE name <> '' AND (kind = 'domain' OR ?7 AND ?6 > (SELECT coalesce(sum(count), 0) FROM suppression_rates AS own
               WHERE own.kind = 'domain' AND own.name = ?1 AND own.slot BETWEEN ?4 - 11 AND ?4))
         ON CONFLICT (kind, name, slot) DO UPDATE SET
             count = count + 1, recheckable = recheckable + excluded.recheckable",
    )
    .bind(subject.domain())
    .bind(&subject.remote_mta)
    .bind(&subject.rule)
    .bind(slot)
    .bind(subject.class.recheckable())
    .bind(judge.settings.breaker.share())
    .bind(of_all)
    .execute(connection)
    .await?;
    Ok(())
}

/// Drops counts that no longer say what is usual, a bounded number at once.
pub(super) async fn prune(
    connection: &mut SqliteConnection,
    now: Timestamp,
    limit: u32,
) -> Result<u64, sqlx::Error> {
    let oldest = slot_of(now) - (USUAL_DAYS * 24 + 2) * HOUR;
    let pruned = sqlx::query(
        "DELETE FROM suppression_rates WHERE (kind, name, slot) IN
             (SELECT kind, name, slot FROM suppression_rates WHERE slot < ?1 ORDER BY slot LIMIT ?2)",
    )
    .bind(oldest)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(pruned.rows_affected())
}
