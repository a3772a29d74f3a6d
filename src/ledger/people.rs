//! What people do to the list, one address at once.

use jiff::Timestamp;

use super::{ANY_STREAM, AuditOrigin, Book, Cause, Entry, Noted, whole_seconds};
use crate::policy::Reason;

/// An entry made by a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManualEntry {
    /// The address as written.
    pub address: String,
    /// Its comparison form.
    pub address_key: String,
    /// The stream, [`ANY_STREAM`](super::ANY_STREAM) for every one.
    pub stream: i64,
    /// What it comes from.
    pub origin: AuditOrigin,
    /// Who makes it.
    pub actor: Option<String>,
    /// When.
    pub now: Timestamp,
    /// Until when; `None` for ever.
    pub expires_at: Option<Timestamp>,
    /// Why, in the person's words.
    pub note: Option<String>,
}

/// Takes one address off the list.
#[derive(Debug, Clone)]
pub struct Removal {
    /// Its comparison form.
    pub address_key: String,
    /// Only from this stream; `None` for every entry that it has.
    pub stream: Option<i64>,
    /// When.
    pub now: Timestamp,
    /// What it comes from.
    pub origin: AuditOrigin,
    /// Who does it.
    pub actor: Option<String>,
}

impl Book<'_, '_> {
    /// Puts an address on the list by hand, in place of what is there.
    pub fn add(&mut self, manual: ManualEntry) {
        let key = (manual.address_key.clone(), manual.stream);
        let before = self.before(&key, manual.now);
        let now = whole_seconds(manual.now);
        let former = self.facts.entries.get(&key);
        let standing = former.filter(|former| !former.is_over(now));
        let entry = Entry {
            address: manual.address.clone(),
            address_key: manual.address_key,
            stream: manual.stream,
            reason: Reason::Manual,
            class: None,
            status: None,
            rule: None,
            remote_mta: None,
            evidence: None,
            note: manual.note.clone(),
            first_seen: standing.map_or(now, |standing| standing.first_seen),
            last_seen: now,
            count: standing.map_or(1, |standing| standing.count),
            expires_at: manual.expires_at.map(whole_seconds),
            recheckable: false,
            soft_term_days: former.map_or(0, |former| former.soft_term_days),
            origin: manual.origin,
            event: None,
            changed_at: now,
            ended: false,
        };
        self.put(entry);
        let cause = Cause { origin: manual.origin, actor: manual.actor, at: None, why: None };
        let noted = Noted { key, at: manual.now, before, why: manual.note, event: None };
        self.note(noted, &manual.address, &cause);
    }

    /// Takes an address off the list, as far as it stands there: expired entries are kept. What was counted against it is
    /// forgotten, so that it starts anew.
    pub fn remove(&mut self, removal: &Removal) -> bool {
        let asked = |entry: &&Entry| {
            removal.stream.is_none_or(|stream| stream == entry.stream) && !entry.is_over(removal.now)
        };
        let standing = self.facts.entries_of(&removal.address_key).filter(asked).cloned();
        let standing: Vec<Entry> = standing.collect();
        let (origin, actor) = (removal.origin, removal.actor.clone());
        let cause = Cause { origin, actor, at: Some(removal.now), why: None };
        standing.iter().for_each(|entry| self.take_off(entry, &cause));
        self.clear(&removal.address_key, removal.stream, None, None);
        !standing.is_empty()
    }

    /// Takes an entry back that has something in common with others. What was counted against its address, as far as it
    /// reached, is forgotten.
    pub fn take_back(&mut self, entry: &Entry, cause: &Cause) {
        self.take_off(entry, cause);
        let streams = (entry.stream != ANY_STREAM).then_some(entry.stream);
        self.clear(&entry.address_key, streams, None, None);
    }

    fn take_off(&mut self, entry: &Entry, cause: &Cause) {
        self.take(&entry.key());
        let (key, before, event) = (entry.key(), Some(entry.clone()), entry.event);
        let at = cause.at.unwrap_or(entry.last_seen);
        self.note(Noted { key, at, before, why: None, event }, &entry.address, cause);
    }
}
