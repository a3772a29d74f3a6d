//! What an event does to the list: decided by policy and history, then written. The same for an event on its way
//! in and for one that waited and is let through by a person.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::super::{ANY_STREAM, EventChange, NewEvent, host_name};
use super::audit::{self, Cause, Noted};
use super::breaker::Judge;
use super::stored::{Written, resolve};
use super::written;
use crate::address::domain_of;
use crate::classify::{Basis, Class, Decision};
use crate::policy::{Change, CounterKind, Entry, History, Policy, Reason, Scope, Standing, Verdict, day_of};

/// What of an event matters to the list.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    /// The address, as written.
    pub(super) recipient: String,
    /// Its comparison form.
    pub(super) recipient_key: String,
    /// The sending stream.
    pub(super) stream: i64,
    /// The host that said it.
    pub(super) remote_mta: Option<String>,
    /// Our conclusion.
    pub(super) class: Class,
    /// What it does.
    pub(super) decision: Decision,
    /// The code that decided.
    pub(super) effective_status: Option<String>,
    /// The rule that decided.
    pub(super) rule: String,
    /// The text that decided.
    pub(super) evidence: String,
}

impl Subject {
    /// That of an event on its way in.
    pub(super) fn of(event: &NewEvent) -> Self {
        let result = &event.classification;
        Self {
            recipient: event.recipient.clone(),
            recipient_key: event.recipient_key.clone(),
            stream: event.stream,
            remote_mta: event.remote_mta.as_deref().and_then(host_name),
            class: result.class,
            decision: result.decision,
            effective_status: result.effective_status.map(|status| status.to_string()),
            rule: result.rule.clone(),
            evidence: result.evidence.clone(),
        }
    }

    /// That of a stored event, under the key that the list has it under by now.
    pub(super) async fn stored(
        connection: &mut SqliteConnection,
        judge: &Judge,
        row: &SqliteRow,
    ) -> Result<Self, sqlx::Error> {
        let (class, decision): (String, String) = (row.try_get("class")?, row.try_get("decision")?);
        let addresses = &judge.settings.addresses;
        let (recipient, key): (String, String) = (row.try_get("recipient")?, row.try_get("recipient_key")?);
        let recipient_key = resolve(connection, addresses, &key).await?;
        let texts = Written::beside(addresses, &recipient_key, &key);
        Ok(Self {
            recipient: texts.address(&recipient_key, &recipient),
            recipient_key,
            stream: row.try_get("stream")?,
            remote_mta: row.try_get::<Option<String>, _>("remote_mta")?.as_deref().and_then(host_name),
            class: Class::from_name(&class).ok_or_else(|| corrupt("class", &class))?,
            decision: Decision::from_name(&decision).ok_or_else(|| corrupt("decision", &decision))?,
            effective_status: row.try_get("effective_status")?,
            rule: row.try_get("rule")?,
            evidence: texts.text(&row.try_get::<String, _>("evidence")?),
        })
    }

    /// What was concluded, as far as the list goes by it.
    fn verdict(&self) -> Verdict {
        Verdict { class: self.class, decision: self.decision, basis: Basis::of(&self.rule) }
    }

    /// The domain of the address; empty where it has none.
    pub(super) fn domain(&self) -> &str {
        domain_of(&self.recipient_key).unwrap_or_default()
    }

    /// What decided, in words.
    pub(super) fn why(&self) -> String {
        let status = self.effective_status.as_ref().map(|status| format!(" {status}")).unwrap_or_default();
        format!("{}{status}: {} (rule {})", self.class.as_str(), self.evidence, self.rule)
    }

    /// The stream of an entry that reaches so far.
    pub(super) const fn stream_of(&self, scope: Scope) -> i64 {
        match scope {
            Scope::Global => ANY_STREAM,
            Scope::Stream => self.stream,
        }
    }

    /// The stream of the counters that reach so far; `None` is all of them.
    fn counters_of(&self, scope: Scope) -> Option<i64> {
        (scope == Scope::Stream).then_some(self.stream)
    }
}

/// The word for what a change does.
pub(super) const fn said(change: &Change) -> EventChange {
    match change {
        Change::None => EventChange::None,
        Change::Count(_) => EventChange::Counted,
        Change::Suppress(_) => EventChange::Suppressed,
        Change::Seen(_) => EventChange::Seen,
        Change::Clear { .. } => EventChange::Cleared,
    }
}

/// What the event does, by policy and history, at its own time; `as_of` is when it is let through.
pub(super) async fn decide(
    connection: &mut SqliteConnection,
    policy: &Policy,
    subject: &Subject,
    now: Timestamp,
    as_of: Timestamp,
) -> Result<Change, sqlx::Error> {
    let verdict = subject.verdict();
    let kind = verdict.counter();
    let oldest = day_of(now) - i64::from(policy.window_days(kind));
    let scope = policy.scope(verdict);
    let own = subject.stream_of(scope);
    let mut standing = standing(connection, &subject.recipient_key, own).await?;
    standing.end(as_of, now);
    let history = History {
        standing: standing.own,
        everywhere: standing.everywhere,
        counted_days: sqlx::query_scalar(
            "SELECT day FROM counters WHERE scope = 'address' AND name = ?1 AND (?2 IS NULL OR stream = ?2) AND kind = ?3
                 AND day >= ?4",
        )
        .bind(&subject.recipient_key)
        .bind(subject.counters_of(scope))
        .bind(kind.as_str())
        .bind(oldest)
        .fetch_all(&mut *connection)
        .await?,
    };
    Ok(policy.apply(verdict, &history, now))
}

/// The entries that an event is weighed against.
#[derive(Default)]
struct Found {
    /// The one that its own would take the place of.
    own: Option<Standing>,
    /// The one for every stream, where that is another.
    everywhere: Option<Standing>,
}

impl Found {
    /// What has run out by `as_of` stands in nobody's way any more, though it stood when the event came in.
    fn end(&mut self, as_of: Timestamp, now: Timestamp) {
        for standing in [&mut self.own, &mut self.everywhere].into_iter().flatten() {
            if !standing.active(as_of) {
                standing.expires_at = standing.expires_at.map(|end| end.min(now));
            }
        }
    }
}

async fn standing(
    connection: &mut SqliteConnection,
    address_key: &str,
    own: i64,
) -> Result<Found, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT stream, reason, expires_at, recheckable, soft_term_days FROM suppressions
         WHERE address_key = ?1 AND stream IN (?2, ?3)",
    )
    .bind(address_key)
    .bind(own)
    .bind(ANY_STREAM)
    .fetch_all(connection)
    .await?;
    let mut found = Found::default();
    for row in &rows {
        let standing = Some(to_standing(row)?);
        if row.try_get::<i64, _>("stream")? == own {
            found.own = standing;
        } else {
            found.everywhere = standing;
        }
    }
    Ok(found)
}

pub(super) fn to_standing(row: &SqliteRow) -> Result<Standing, sqlx::Error> {
    let reason: String = row.try_get("reason")?;
    let expires_at: Option<String> = row.try_get("expires_at")?;
    Ok(Standing {
        reason: Reason::from_name(&reason).ok_or_else(|| corrupt("reason", &reason))?,
        expires_at: expires_at.map(|at| at.parse().map_err(|_| corrupt("expires_at", &at))).transpose()?,
        recheckable: row.try_get("recheckable")?,
        soft_term_days: row.try_get("soft_term_days")?,
    })
}

pub(super) fn corrupt(column: &str, value: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("{value:?} was not written by dsnd").into(),
    }
}

/// Writes a change as of `now`, the time of the event, and counts against domain and host. The cause says who let
/// it come to that, for the history of the list.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    subject: &Subject,
    event: i64,
    now: Timestamp,
    change: &Change,
    cause: &Cause,
) -> Result<(), sqlx::Error> {
    apply_to_list(connection, subject, event, now, change, cause).await?;
    count_hosts(connection, subject, now).await
}

/// Writes a change only: for an event that was counted against domain and host when it came in.
pub(super) async fn apply_to_list(
    connection: &mut SqliteConnection,
    subject: &Subject,
    event: i64,
    now: Timestamp,
    change: &Change,
    cause: &Cause,
) -> Result<(), sqlx::Error> {
    let Change::Suppress(entry) = change else {
        return apply_quietly(connection, subject, event, now, change, cause).await;
    };
    let key = &subject.recipient_key;
    let stream = subject.stream_of(entry.scope);
    // What ran out while the event waited has run out first.
    let before = audit::before(connection, key, stream, cause.at.unwrap_or(now)).await?;
    apply_quietly(connection, subject, event, now, change, cause).await?;
    let mut why = subject.why();
    if entry.lengthens {
        why = format!("lasts longer: {why}");
    }
    let noted = Noted { address_key: key, stream, at: now, before, why: Some(&why), event: Some(event) };
    audit::written_now(connection, noted, &subject.recipient, cause).await
}

/// The same without a word in the history, for whoever notes there what comes of several.
pub(super) async fn apply_quietly(
    connection: &mut SqliteConnection,
    subject: &Subject,
    event: i64,
    now: Timestamp,
    change: &Change,
    cause: &Cause,
) -> Result<(), sqlx::Error> {
    let key = &subject.recipient_key;
    match change {
        Change::None => {}
        Change::Count(kind) => {
            count(connection, "address", key, subject.stream, kind.as_str(), now, false).await?
        }
        Change::Seen(scope) => {
            sqlx::query(
                "UPDATE suppressions SET last_seen = max(last_seen, ?3), count = count + 1
                 WHERE address_key = ?1 AND stream = ?2",
            )
            .bind(key)
            .bind(subject.stream_of(*scope))
            .bind(written(now))
            .execute(&mut *connection)
            .await?;
        }
        Change::Suppress(entry) => {
            if entry.lengthens {
                lengthen(connection, subject, now, entry, cause).await?;
            } else {
                upsert(connection, subject, event, now, entry, cause).await?;
            }
            if let Some(kind) = entry.consumes {
                let streams = subject.counters_of(entry.scope);
                clear_counter(connection, key, streams, Some(kind), Some(now)).await?;
            }
        }
        Change::Clear { counted, unconfirmed } => {
            clear_counter(connection, key, subject.counters_of(*counted), None, Some(now)).await?;
            let (streams, kind) = (subject.counters_of(*unconfirmed), CounterKind::Unconfirmed);
            clear_counter(connection, key, streams, Some(kind), Some(now)).await?;
        }
    }
    Ok(())
}

/// Counts an event against its domain and its host, where its class is one of theirs.
pub(super) async fn count_hosts(
    connection: &mut SqliteConnection,
    subject: &Subject,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let class = subject.class;
    if class.counts_host() {
        if !subject.domain().is_empty() {
            let domain = subject.domain();
            count(connection, "domain", domain, subject.stream, class.as_str(), now, true).await?;
        }
        if let Some(host) = &subject.remote_mta {
            count(connection, "host", host, subject.stream, class.as_str(), now, true).await?;
        }
    }
    Ok(())
}

async fn upsert(
    connection: &mut SqliteConnection,
    subject: &Subject,
    event: i64,
    now: Timestamp,
    entry: &Entry,
    cause: &Cause,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO suppressions (address_key, stream, address, reason, class, status, rule, evidence, first_seen,
                                   last_seen, count, expires_at, recheckable, soft_term_days, origin, event, domain,
                                   remote_mta, changed_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, 1, ?10, ?11, ?12, ?17, ?13, ?14, ?15, ?16)
         ON CONFLICT (address_key, stream) DO UPDATE SET
             address = excluded.address, reason = excluded.reason, class = excluded.class, status = excluded.status,
             rule = excluded.rule, evidence = excluded.evidence, note = NULL, last_seen = max(last_seen, excluded.last_seen),
             first_seen = CASE WHEN ended OR expires_at <= excluded.last_seen THEN excluded.first_seen
                               ELSE min(first_seen, excluded.first_seen) END,
             count = CASE WHEN ended OR expires_at <= excluded.last_seen THEN 1 ELSE count + 1 END,
             expires_at = excluded.expires_at, recheckable = excluded.recheckable,
             soft_term_days = excluded.soft_term_days, origin = excluded.origin, event = excluded.event,
             domain = excluded.domain, remote_mta = excluded.remote_mta, changed_at = excluded.changed_at, ended = 0",
    )
    .bind(&subject.recipient_key)
    .bind(subject.stream_of(entry.scope))
    .bind(&subject.recipient)
    .bind(entry.reason.as_str())
    .bind(subject.class.as_str())
    .bind(&subject.effective_status)
    .bind(&subject.rule)
    .bind(&subject.evidence)
    .bind(written(now))
    .bind(entry.expires_at.map(written))
    .bind(entry.recheckable)
    .bind(entry.soft_term_days)
    .bind(event)
    .bind(subject.domain())
    .bind(&subject.remote_mta)
    .bind(written(cause.at.unwrap_or(now)))
    .bind(cause.origin_of_entry())
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives an entry a later end, and leaves who made it and why.
async fn lengthen(
    connection: &mut SqliteConnection,
    subject: &Subject,
    now: Timestamp,
    entry: &Entry,
    cause: &Cause,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE suppressions SET expires_at = ?3, recheckable = ?4, last_seen = max(last_seen, ?5), count = count + 1,
                                 changed_at = ?6, ended = 0
         WHERE address_key = ?1 AND stream = ?2",
    )
    .bind(&subject.recipient_key)
    .bind(subject.stream_of(entry.scope))
    .bind(entry.expires_at.map(written))
    .bind(entry.recheckable)
    .bind(written(now))
    .bind(written(cause.at.unwrap_or(now)))
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts a day: once for an address, every time for a domain or a host.
async fn count(
    connection: &mut SqliteConnection,
    scope: &str,
    name: &str,
    stream: i64,
    kind: &str,
    now: Timestamp,
    every_time: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO counters (scope, name, stream, kind, day, count) VALUES (?1, ?2, ?3, ?4, ?5, 1)
         ON CONFLICT (scope, name, stream, kind, day) DO UPDATE SET count = count + ?6",
    )
    .bind(scope)
    .bind(name)
    .bind(stream)
    .bind(kind)
    .bind(day_of(now))
    .bind(i64::from(every_time))
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets what was counted against an address: in one stream or in all, of one kind or of each, up to a day or
/// altogether. An event that waited says nothing of what came later.
pub(super) async fn clear_counter(
    connection: &mut SqliteConnection,
    address_key: &str,
    stream: Option<i64>,
    kind: Option<CounterKind>,
    until: Option<Timestamp>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM counters WHERE scope = 'address' AND name = ?1 AND (?2 IS NULL OR stream = ?2)
             AND (?3 IS NULL OR kind = ?3) AND (?4 IS NULL OR day <= ?4)",
    )
    .bind(address_key)
    .bind(stream)
    .bind(kind.map(CounterKind::as_str))
    .bind(until.map(day_of))
    .execute(connection)
    .await?;
    Ok(())
}
