//! The list while a group of commands is settled: what stands, and what each command changes of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::writes::days_between;
use super::{
    ANY_STREAM, AuditEntry, AuditOrigin, Cause, CountedAs, Entry, EntryKey, EventChange, Facts, LetThrough,
    Subject, Writes, whole_seconds,
};
use crate::classify::{Class, Decision};
use crate::policy::{self, Breaker, Change, CounterKind, History, Policy, Standing, day_of};

/// The list while a group of commands is settled. Each command sees what the ones before it did.
#[derive(Debug)]
pub struct Book<'r, 'm> {
    pub(super) policy: &'r Policy,
    pub(super) breaker: &'r Breaker,
    /// How many addresses were added to an open hold by this process: the operator is told again by them.
    pub(super) added: &'r mut HashMap<i64, u64>,
    /// What is known by now.
    pub facts: Facts,
    pub(super) writes: Writes<'m>,
    days_before: BTreeMap<String, BTreeSet<CountedAs>>,
    touched: BTreeSet<EntryKey>,
}

impl<'r, 'm> Book<'r, 'm> {
    /// Opens it on what the store knows.
    pub fn open(
        policy: &'r Policy,
        breaker: &'r Breaker,
        added: &'r mut HashMap<i64, u64>,
        facts: Facts,
    ) -> Self {
        let days_before = facts.days.clone();
        Self {
            policy,
            breaker,
            added,
            facts,
            writes: Writes::default(),
            days_before,
            touched: BTreeSet::new(),
        }
    }

    /// What is to be written.
    #[must_use]
    pub fn close(mut self) -> Writes<'m> {
        self.writes.days = days_between(&self.days_before, &self.facts.days);
        self.writes.days_gone = days_between(&self.facts.days, &self.days_before);
        for key in self.touched {
            match self.facts.entries.remove(&key) {
                Some(entry) => self.writes.entries.push(entry),
                None => self.writes.removed.push(key),
            }
        }
        self.writes
    }

    /// What an event of `now` does by policy and history; `as_of` is when it is let through.
    #[must_use]
    pub fn decide(&self, subject: &Subject, now: Timestamp, as_of: Timestamp) -> Change {
        let verdict = subject.verdict();
        let kind = verdict.counter();
        let oldest = day_of(now) - i64::from(self.policy.window_days(kind));
        let scope = self.policy.scope(verdict);
        let own = subject.stream_of(scope);
        let standing = |stream| {
            let entry = self.facts.entries.get(&(subject.recipient_key.clone(), stream));
            entry.map(|entry| ended(entry.standing(), as_of, now))
        };
        let streams = subject.counters_of(scope);
        let days = self.facts.days.get(&subject.recipient_key).into_iter().flatten();
        let counts = |(stream, of, day): &&CountedAs| {
            streams.is_none_or(|only| only == *stream) && *of == kind && *day >= oldest
        };
        let history = History {
            standing: standing(own),
            everywhere: if own == ANY_STREAM { None } else { standing(ANY_STREAM) },
            counted_days: days.filter(counts).map(|(_, _, day)| *day).collect(),
        };
        self.policy.apply(verdict, &history, now)
    }

    /// What an event of `received_at` does that is let through at `at`. To be asked before it is applied.
    #[must_use]
    pub fn let_through(&self, subject: &Subject, received_at: Timestamp, at: Timestamp) -> LetThrough {
        let mut change = self.decide(subject, received_at, at);
        let over = change.is_over(at);
        if over {
            change = Change::None;
        }
        let new = self.is_new(subject, &change, received_at);
        LetThrough { change, over, new }
    }

    /// Whether a change puts an address on the list that was not on it, so far as the entry reaches. To be asked before
    /// it is applied.
    pub(super) fn is_new(&self, subject: &Subject, change: &Change, now: Timestamp) -> bool {
        let Change::Suppress(entry) = change else { return false };
        let stands = |stream| {
            let entry = self.facts.entries.get(&(subject.recipient_key.clone(), stream));
            entry.is_some_and(|entry| !entry.is_over(now))
        };
        !stands(subject.stream_of(entry.scope)) && !stands(ANY_STREAM)
    }

    /// Makes a change as of `now`, the time of the event, and notes it in the history. The cause says who let it come to
    /// that.
    pub fn apply(&mut self, subject: &Subject, event: i64, now: Timestamp, change: &Change, cause: &Cause) {
        let Change::Suppress(entry) = change else {
            return self.apply_quietly(subject, event, now, change, cause);
        };
        let key = (subject.recipient_key.clone(), subject.stream_of(entry.scope));
        // What ran out while the event waited has run out first.
        let before = self.before(&key, cause.at.unwrap_or(now));
        self.apply_quietly(subject, event, now, change, cause);
        let mut why = subject.why();
        if entry.lengthens {
            why = format!("lasts longer: {why}");
        }
        let noted = Noted { key, at: now, before, why: Some(why), event: Some(event) };
        self.note(noted, &subject.recipient, cause);
    }

    /// The same without a word in the history, for whoever notes there what comes of several.
    pub fn apply_quietly(
        &mut self,
        subject: &Subject,
        event: i64,
        now: Timestamp,
        change: &Change,
        cause: &Cause,
    ) {
        let address = &subject.recipient_key;
        match change {
            Change::None => {}
            Change::Count(kind) => {
                let days = self.facts.days.entry(address.clone()).or_default();
                days.insert((subject.stream, *kind, day_of(now)));
            }
            Change::Seen(scope) => {
                if let Some(entry) = self.touch((address.clone(), subject.stream_of(*scope))) {
                    see(entry, now);
                }
            }
            Change::Suppress(entry) => {
                self.suppress(subject, event, now, entry, cause);
                if let Some(kind) = entry.consumes {
                    self.clear(address, subject.counters_of(entry.scope), Some(kind), Some(day_of(now)));
                }
            }
            // An event that waited says nothing of what came later.
            Change::Clear { counted, unconfirmed } => {
                self.clear(address, subject.counters_of(*counted), None, Some(day_of(now)));
                let streams = subject.counters_of(*unconfirmed);
                self.clear(address, streams, Some(CounterKind::Unconfirmed), Some(day_of(now)));
            }
        }
    }

    fn suppress(
        &mut self,
        subject: &Subject,
        event: i64,
        now: Timestamp,
        fresh: &policy::Entry,
        cause: &Cause,
    ) {
        let key = (subject.recipient_key.clone(), subject.stream_of(fresh.scope));
        let expires_at = fresh.expires_at.map(whole_seconds);
        let changed_at = whole_seconds(cause.at.unwrap_or(now));
        if fresh.lengthens {
            // Who made it and why stays.
            if let Some(entry) = self.touch(key) {
                see(entry, now);
                entry.expires_at = expires_at;
                entry.recheckable = fresh.recheckable;
                entry.changed_at = changed_at;
                entry.ended = false;
            }
            return;
        }
        let now = whole_seconds(now);
        let mut entry = Entry {
            address: subject.recipient.clone(),
            address_key: key.0.clone(),
            stream: key.1,
            reason: fresh.reason,
            class: Some(subject.class.as_str().to_owned()),
            status: subject.effective_status.clone(),
            rule: Some(subject.rule.clone()),
            remote_mta: subject.remote_mta.clone(),
            evidence: Some(subject.evidence.clone()),
            note: None,
            first_seen: now,
            last_seen: now,
            count: 1,
            expires_at,
            recheckable: fresh.recheckable,
            soft_term_days: fresh.soft_term_days,
            origin: cause.origin_of_entry(),
            event: Some(event),
            changed_at,
            ended: false,
        };
        if let Some(former) = self.facts.entries.get(&key) {
            entry.last_seen = entry.last_seen.max(former.last_seen);
            if !former.ended && !former.is_over(now) {
                entry.first_seen = entry.first_seen.min(former.first_seen);
                entry.count = former.count + 1;
            }
        }
        self.put(entry);
    }

    /// Puts an entry in the place of the one that is there.
    pub fn put(&mut self, entry: Entry) {
        self.touched.insert(entry.key());
        self.facts.entries.insert(entry.key(), entry);
    }

    /// Takes an entry away.
    pub fn take(&mut self, key: &EntryKey) -> Option<Entry> {
        let entry = self.facts.entries.remove(key)?;
        self.touched.insert(key.clone());
        Some(entry)
    }

    /// An entry, to be changed.
    pub fn touch(&mut self, key: EntryKey) -> Option<&mut Entry> {
        let entry = self.facts.entries.get_mut(&key)?;
        self.touched.insert(key);
        Some(entry)
    }

    /// Forgets what was counted against an address: in one stream or in all, of one kind or of each, up to a day or
    /// altogether.
    pub fn clear(
        &mut self,
        address: &str,
        stream: Option<i64>,
        kind: Option<CounterKind>,
        until: Option<i64>,
    ) {
        if let Some(days) = self.facts.days.get_mut(address) {
            days.retain(|(of, counted, day)| {
                stream.is_some_and(|stream| stream != *of)
                    || kind.is_some_and(|kind| kind != *counted)
                    || until.is_some_and(|until| *day > until)
            });
        }
    }

    /// Forgets what was counted against an address from a day on.
    pub(super) fn clear_since(&mut self, address: &str, from: i64) {
        if let Some(days) = self.facts.days.get_mut(address) {
            days.retain(|(_, _, day)| *day < from);
        }
    }

    /// The entry that stands, as the history keeps it; to be asked before it is changed. One that has run out stands no
    /// more: when that was not noted yet, it is now.
    pub fn before(&mut self, key: &EntryKey, now: Timestamp) -> Option<Entry> {
        let entry = self.facts.entries.get(key).filter(|entry| !entry.ended)?;
        if !entry.is_over(now) {
            return Some(entry.clone());
        }
        self.expire(key);
        None
    }

    /// Notes that an entry has run out.
    pub fn expire(&mut self, key: &EntryKey) {
        let Some(entry) = self.touch(key.clone()) else { return };
        entry.ended = true;
        let entry = entry.clone();
        let noted = AuditEntry {
            at: entry.expires_at.unwrap_or_default(),
            address_key: entry.address_key.clone(),
            address: entry.address.clone(),
            stream: entry.stream,
            action: "expired",
            origin: AuditOrigin::Expiry,
            actor: None,
            before: Some(entry.to_json()),
            after: None,
            why: Some("its time was over".to_owned()),
            event: None,
        };
        self.tell_entry(&entry, &noted);
        self.writes.audit.push(noted);
    }

    /// Notes in the history that another entry stands now, or none; which of the two, or `changed`.
    pub fn note(&mut self, noted: Noted, address: &str, cause: &Cause) -> &'static str {
        let Noted { key, at, before, why, event } = noted;
        let after = self.facts.entries.get(&key).filter(|entry| !entry.ended).cloned();
        let why: Vec<&str> = [cause.why.as_deref(), why.as_deref()].into_iter().flatten().collect();
        let action = match (&before, &after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let (address_key, stream) = key;
        let noted = AuditEntry {
            at: cause.at.unwrap_or(at),
            address_key,
            address: address.to_owned(),
            stream,
            action,
            origin: cause.origin,
            actor: cause.actor.clone(),
            before: before.as_ref().map(Entry::to_json),
            after: after.as_ref().map(Entry::to_json),
            why: (!why.is_empty()).then(|| why.join(": ")),
            event,
        };
        if let Some(entry) = after.or(before) {
            self.tell_entry(&entry, &noted);
        }
        self.writes.audit.push(noted);
        action
    }

    /// Counts an event against its domain and its host, where its class is one of theirs.
    pub fn count_hosts(&mut self, subject: &Subject, now: Timestamp) {
        let class = subject.class;
        if !class.counts_host() {
            return;
        }
        let domain = Some(subject.domain()).filter(|domain| !domain.is_empty());
        for (scope, name) in [("domain", domain), ("host", subject.remote_mta.as_deref())] {
            let Some(name) = name else { continue };
            let counted = (scope, name.to_owned(), subject.stream, class.as_str(), day_of(now));
            *self.writes.hosts.entry(counted).or_default() += 1;
        }
    }

    /// Counts an event of a day for statistics, or takes back that it was: as what it was concluded to be, and as what it
    /// did. What nothing proves counts for no domain, since a stranger can name any number.
    pub(super) fn count_event(
        &mut self,
        (at, applies): (Timestamp, bool),
        (domain, stream): (&str, i64),
        (class, decision): (Class, Decision),
        change: EventChange,
        count: i64,
    ) {
        use EventChange::{Cleared, Counted, Seen, Suppressed};
        let known = applies || matches!(change, Suppressed | Counted | Seen | Cleared);
        let domain = if known { domain.to_owned() } else { String::new() };
        let counted = (day_of(at), domain, stream, class.as_str(), decision.as_str(), change.as_str());
        *self.writes.aggregates.entry(counted).or_default() += count;
    }
}

/// A change of the entry of one address in one stream.
#[derive(Debug)]
pub struct Noted {
    /// The entry.
    pub key: EntryKey,
    /// The time of the change, where the cause has none of its own.
    pub at: Timestamp,
    /// The entry that stood before: what [`Book::before`] said.
    pub before: Option<Entry>,
    /// What decided.
    pub why: Option<String>,
    /// The event behind it.
    pub event: Option<i64>,
}

/// One more event under an entry.
fn see(entry: &mut Entry, now: Timestamp) {
    entry.last_seen = entry.last_seen.max(whole_seconds(now));
    entry.count += 1;
}

/// What has run out by `as_of` stands in nobody's way any more, though it stood when the event came in.
fn ended(mut standing: Standing, as_of: Timestamp, now: Timestamp) -> Standing {
    if !standing.active(as_of) {
        standing.expires_at = standing.expires_at.map(|end| end.min(now));
    }
    standing
}
