//! Judging the events of an address anew. It gets its entries as if they had always meant that: what rests on its events
//! is taken down, and they are applied once more, each as of its own time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{
    AuditOrigin, Book, Cause, Entry, EntryKey, EventChange, Held, Noted, RejudgedEvent, Source, Subject, said,
};
use crate::classify::{Class, Decision};
use crate::policy::{Change, Reason, day_of, may_change};

/// A stored event, with today's conclusion.
#[derive(Debug)]
pub struct JudgedEvent {
    /// Its number.
    pub id: i64,
    /// When it came in.
    pub received_at: Timestamp,
    /// When a person settled it.
    pub settled_at: Option<Timestamp>,
    /// What it has done.
    pub change: EventChange,
    /// It repeats another delivery of the same report.
    pub repeats: bool,
    /// Its decision is applied without a person's word.
    pub applies: bool,
    /// What matters of it.
    pub subject: Subject,
    /// Its message, and how far that is believed.
    pub source: Source,
    /// Where its conclusion is new: the former class and decision, and the former one in words.
    pub formerly: Option<(Class, Decision, String)>,
}

/// What became of the events of one address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reclassified {
    /// Each event that was changed.
    pub events: Vec<ReclassifiedEvent>,
    /// What that did to the list.
    pub entries: Vec<ReclassifiedEntry>,
}

/// What became of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReclassifiedEvent {
    /// Its number.
    pub event: i64,
    /// What it had done to the list.
    pub before: &'static str,
    /// What it does now.
    pub after: &'static str,
}

/// What became of an entry of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReclassifiedEntry {
    /// The stream, 0 for every one.
    pub stream: i64,
    /// `added`, `changed` or `removed`.
    pub action: &'static str,
    /// The entry that stood; null where there was none.
    pub before: Option<Value>,
    /// The entry that stands; null where there is none.
    pub after: Option<Value>,
}

/// As what an event is counted: its class, its decision, and what it did.
type Counted = (Class, Decision, EventChange);

impl JudgedEvent {
    /// As what it is counted so far.
    fn counted(&self) -> Counted {
        let now = (self.subject.class, self.subject.decision);
        let (class, decision) =
            self.formerly.as_ref().map_or(now, |(class, decision, _)| (*class, *decision));
        (class, decision, self.change)
    }

    /// Whether it counts: it is believed, waits for nobody, and repeats no other.
    fn counts(&self) -> bool {
        use EventChange::{Cleared, Counted, None, Seen, Suppressed};
        let did = matches!(self.change, Suppressed | Counted | Seen | Cleared);
        !self.repeats && (did || (self.change == None && self.applies))
    }

    /// What becomes of it where it does not count, by its new conclusion: what could change something waits for a person,
    /// what cannot need not.
    fn waits(&self) -> EventChange {
        let may = may_change(self.subject.verdict());
        match self.change {
            EventChange::Quarantined | EventChange::Held if !may => EventChange::None,
            EventChange::None if may && !self.applies && self.settled_at.is_none() && !self.repeats => {
                EventChange::Quarantined
            }
            change => change,
        }
    }
}

/// An entry as it stood.
struct Former {
    entry: Entry,
    stands: bool,
}

impl Former {
    /// It rests on a bounce, and is no person's.
    fn by_bounce(&self) -> bool {
        matches!(self.entry.origin, AuditOrigin::Bounce | AuditOrigin::Replay)
            && self.entry.reason != Reason::Manual
    }
}

impl Book<'_, '_> {
    /// Applies the events of one address anew, in the order in which they came in; `heard` is when a person last changed
    /// it. What a person put on the list stays as it is, and what came before has been heard.
    pub fn rejudge(
        &mut self,
        mut events: Vec<JudgedEvent>,
        heard: Option<Timestamp>,
        at: Timestamp,
        by: &str,
    ) -> Reclassified {
        let mut done = Reclassified::default();
        let former: Vec<Counted> = events.iter().map(JudgedEvent::counted).collect();
        for event in events.iter_mut().filter(|event| event.formerly.is_some()) {
            let (before, after) = (event.change, event.waits());
            self.change_to(event.id, before, after, None);
            event.change = after;
            done.events.push(told(event.id, before, after));
        }
        // What a person let through counts from then on.
        let heard = |event: &JudgedEvent| {
            heard.is_some_and(|heard| event.settled_at.unwrap_or(event.received_at) <= heard)
        };
        let counts: Vec<&JudgedEvent> =
            events.iter().filter(|event| event.counts() && !heard(event)).collect();
        if counts.iter().any(|event| event.formerly.is_some()) {
            done.entries = self.rebuild(&counts, at, by, &mut done.events);
        }
        let became: HashMap<i64, &str> = done.events.iter().map(|told| (told.event, told.after)).collect();
        for (event, former) in events.iter().zip(former) {
            let now = became.get(&event.id).and_then(|word| EventChange::from_name(word));
            self.count_anew(event, former, now.unwrap_or(event.change));
        }
        done
    }

    /// Counts an event as what it became.
    fn count_anew(&mut self, event: &JudgedEvent, (class, decision, change): Counted, now: EventChange) {
        if event.repeats {
            return;
        }
        let (of, subject) = ((event.received_at, event.applies), &event.subject);
        let whose = (subject.domain(), subject.stream);
        self.count_event(of, whose, (class, decision), change, -1);
        self.count_event(of, whose, (subject.class, subject.decision), now, 1);
    }

    /// Takes down what rests on the events, applies them once more, and notes what is another entry by then.
    fn rebuild(
        &mut self,
        events: &[&JudgedEvent],
        at: Timestamp,
        by: &str,
        changes: &mut Vec<ReclassifiedEvent>,
    ) -> Vec<ReclassifiedEntry> {
        let Some(first) = events.first() else { return Vec::new() };
        let address = &first.subject.recipient_key;
        let ids: BTreeSet<i64> = events.iter().map(|event| event.id).collect();
        let entries: Vec<Entry> = self.facts.entries_of(address).cloned().collect();
        let former = entries
            .into_iter()
            .map(|entry| Former { stands: self.before(&entry.key(), at).is_some(), entry });
        // An entry whose event is gone cannot be made anew: it stands, and only new conclusions may change it.
        let (down, stay): (Vec<Former>, Vec<Former>) = former.partition(|former| {
            former.by_bounce() && former.entry.event.is_some_and(|event| ids.contains(&event))
        });
        for former in &down {
            self.take(&former.entry.key());
        }
        self.clear_since(address, day_of(first.received_at));
        let cause =
            Cause { origin: AuditOrigin::Reclassify, actor: Some(by.to_owned()), at: None, why: None };
        for event in events {
            self.facts.sources.insert(event.id, event.source);
            self.once_more(event, &stay, &cause, changes);
        }
        self.compare(address, down, &stay, events, &Cause { at: Some(at), ..cause })
    }

    /// Applies an event as of its own time.
    fn once_more(
        &mut self,
        event: &JudgedEvent,
        stay: &[Former],
        cause: &Cause,
        changes: &mut Vec<ReclassifiedEvent>,
    ) {
        let JudgedEvent { id, received_at, subject, .. } = event;
        let anew = event.formerly.is_some();
        let mut change = self.decide(subject, *received_at, *received_at);
        let mut hold = None;
        if let Change::Suppress(entry) = &change {
            let stream = subject.stream_of(entry.scope);
            let standing = stay.iter().find(|former| former.entry.stream == stream);
            if standing.is_some_and(|standing| !standing.by_bounce() || !anew) {
                change = Change::Seen(entry.scope);
            } else if anew && event.change != EventChange::Suppressed && self.breaker.weighs(&change) {
                // A jump opens no hold here, and what one holds waits there.
                hold = self.join_open(subject, *received_at);
            }
        }
        let after = if hold.is_some() { EventChange::Held } else { said(&change) };
        // What stays was seen when it was.
        let stays = |scope| stay.iter().any(|former| former.entry.stream == subject.stream_of(scope));
        if hold.is_none() && !matches!(change, Change::Seen(scope) if stays(scope)) {
            self.apply_quietly(subject, *id, *received_at, &change, cause);
        }
        self.change_to(*id, event.change, after, hold);
        match changes.iter_mut().find(|told| told.event == *id) {
            Some(told) => told.after = after.as_str(),
            None if event.change != after => changes.push(told(*id, event.change, after)),
            None => {}
        }
    }

    /// What stands now beside what stood: what is the same gets its own back, the rest is noted in the history.
    fn compare(
        &mut self,
        address: &str,
        down: Vec<Former>,
        stay: &[Former],
        events: &[&JudgedEvent],
        cause: &Cause,
    ) -> Vec<ReclassifiedEntry> {
        let at = cause.at.unwrap_or_default();
        let mut down: BTreeMap<i64, Former> =
            down.into_iter().map(|former| (former.entry.stream, former)).collect();
        let kept: BTreeMap<i64, &Former> = stay.iter().map(|former| (former.entry.stream, former)).collect();
        let there = self.facts.entries_of(address).map(|entry| entry.stream);
        let streams: BTreeSet<i64> = down.keys().copied().chain(there).collect();
        let mut told = Vec::new();
        for stream in streams {
            let key = (address.to_owned(), stream);
            let old = down.remove(&stream);
            let stood = old.as_ref().or(kept.get(&stream).copied()).filter(|former| former.stands);
            let stood = stood.map(|former| former.entry.clone());
            let now = self.stands(&key, at);
            let same = stood.as_ref().map(essence) == now.as_ref().map(essence);
            if now.is_none() && !kept.contains_key(&stream) {
                match &old {
                    // It has no expiry to record.
                    Some(_) => self.touch(key.clone()).into_iter().for_each(|entry| entry.ended = true),
                    // Over before it was made: it was never there.
                    None => drop(self.take(&key)),
                }
            }
            // A new term begins anew.
            if let Some(old) = old.filter(|old| old.stands || now.is_none())
                && let Some(entry) = self.touch(key.clone())
            {
                give_back(entry, &old.entry, same);
            }
            let Some(event) = events.iter().rev().find(|event| event.formerly.is_some()) else { continue };
            if same {
                continue;
            }
            if let Some(entry) = self.touch(key.clone()).filter(|entry| !entry.ended) {
                entry.changed_at = super::whole_seconds(at);
            }
            let formerly = event.formerly.as_ref().map(|(_, _, words)| words.as_str()).unwrap_or_default();
            let why = Some(format!("judged anew: {}, not {formerly}", event.subject.why()));
            let told_key = key.clone();
            let noted = Noted { key, at, before: stood.clone(), why, event: Some(event.id) };
            let action = self.note(noted, &event.subject.recipient, cause);
            let now = self.stands(&told_key, at);
            let value = |entry: Option<Entry>| entry.and_then(|entry| serde_json::to_value(entry).ok());
            told.push(ReclassifiedEntry { stream, action, before: value(stood), after: value(now) });
        }
        told
    }

    /// The entry that suppresses at a moment.
    fn stands(&self, key: &EntryKey, at: Timestamp) -> Option<Entry> {
        self.facts.entries.get(key).filter(|entry| !entry.ended && !entry.is_over(at)).cloned()
    }

    fn change_to(&mut self, event: i64, before: EventChange, after: EventChange, hold: Option<Held>) {
        if before != after || hold.is_some() {
            let hold = hold.map(|held| held.hold);
            self.writes.rejudged.push(RejudgedEvent { event, change: after, hold });
        }
    }
}

fn told(event: i64, before: EventChange, after: EventChange) -> ReclassifiedEvent {
    ReclassifiedEvent { event, before: before.as_str(), after: after.as_str() }
}

/// What makes an entry that entry.
fn essence(entry: &Entry) -> impl PartialEq + use<> {
    let texts = [&entry.class, &entry.status, &entry.rule, &entry.evidence].map(Clone::clone);
    (entry.reason, texts, entry.expires_at, entry.recheckable, entry.event)
}

/// Gives an entry that was made anew what its former self had seen.
fn give_back(entry: &mut Entry, old: &Entry, same: bool) {
    entry.first_seen = entry.first_seen.min(old.first_seen);
    entry.last_seen = entry.last_seen.max(old.last_seen);
    entry.count = entry.count.max(old.count);
    entry.origin = old.origin;
    if same {
        entry.changed_at = old.changed_at;
    }
}
