//! What a group of commands asks about, and what the store knows of it.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::{Arrival, Entry, EntryKey, EventChange, NewEvent, Source, Subject};
use crate::classify::Decision;
use crate::policy::{Breaker, CounterKind, KeyKind, Recent, USUAL_DAYS, Usual};

/// Seconds that are counted together by the breaker.
const SLOT: i64 = 300;

/// Slots in an hour.
const HOUR: i64 = 12;

/// What suppressions are counted by, and its name.
pub type RateKey = (KeyKind, String);

/// A day that is counted against an address: in which stream, as what, and which.
pub type CountedAs = (i64, CounterKind, i64);

/// The slot that a time lies in.
#[must_use]
pub fn slot_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(SLOT)
}

/// The slots of the hour that ends with this one.
#[must_use]
pub fn hour_before(slot: i64) -> std::ops::RangeInclusive<i64> {
    slot - HOUR + 1..=slot
}

/// The hour of the clock in which the hour that ends with this slot began. What is usual lies before it, so that it
/// hardly changes within an hour.
pub(super) fn clock_hour(slot: i64) -> i64 {
    hour_before(slot).start().div_euclid(HOUR)
}

/// The slots in which the usual of an hour lies.
#[must_use]
pub fn usual_slots(hour: i64) -> std::ops::Range<i64> {
    (hour - USUAL_DAYS * 24) * HOUR..hour * HOUR
}

/// The slots before this one no longer say what is usual.
#[must_use]
pub fn oldest_slot(now: Timestamp) -> i64 {
    slot_of(now) - (USUAL_DAYS * 24 + 2) * HOUR
}

/// What a group of commands asks about.
#[derive(Debug, Default)]
pub struct Needs {
    /// Digests of messages.
    pub digests: Vec<[u8; 32]>,
    /// Keys of events.
    pub events: Vec<[u8; 32]>,
    /// Addresses as they are stored: their entries, counted days, and what waits for holds.
    pub addresses: BTreeSet<String>,
    /// What the breaker counts, each with a slot that is asked about.
    pub rates: BTreeSet<(KeyKind, String, i64)>,
    /// Domains of which it matters how long they are known.
    of_domain: BTreeSet<String>,
    /// How many events of the group may add to each.
    added: HashMap<RateKey, u64>,
}

impl Needs {
    /// What is asked about one address.
    #[must_use]
    pub fn address(stored_key: &str) -> Self {
        Self { addresses: BTreeSet::from([stored_key.to_owned()]), ..Self::default() }
    }

    /// What a message asks about.
    pub fn arrival(&mut self, arrival: &Arrival) {
        self.digests.push(arrival.message.digest);
        for (event, attributed) in arrival.message.events.iter().zip(&arrival.attributed) {
            self.events.extend([NewEvent::applied_key(attributed), *attributed, event.key]);
            if event.is_believed() {
                self.subject(&Subject::of(event), arrival.message.received_at);
            }
        }
    }

    /// What an event asks about that changes the list.
    pub fn subject(&mut self, subject: &Subject, at: Timestamp) {
        self.addresses.insert(subject.recipient_key.clone());
        if !matches!(subject.decision, Decision::Suppress | Decision::Count) {
            return;
        }
        if !subject.class.recheckable() {
            self.of_domain.insert(subject.domain().to_owned());
        }
        for (kind, name) in subject.rate_keys() {
            *self.added.entry((kind, name.to_owned())).or_default() += 1;
            self.rates.insert((kind, name.to_owned(), slot_of(at)));
        }
    }

    /// The keys of whose usual the group asks, with the hour: that of domains whose addresses may be dead, and of others where so many are
    /// suppressed that they may jump.
    #[must_use]
    pub fn usual(&self, facts: &Facts, breaker: &Breaker) -> BTreeSet<(KeyKind, String, i64)> {
        let of_domain = |(kind, name, _): &(KeyKind, String, i64)| {
            *kind == KeyKind::Domain && self.of_domain.contains(name)
        };
        let asked = self.rates.iter().filter(|rate| of_domain(rate) || self.may_jump(rate, facts, breaker));
        asked.map(|(kind, name, slot)| (*kind, name.clone(), clock_hour(*slot))).collect()
    }

    /// Whether a key may jump while the group is settled.
    #[must_use]
    pub fn may_trip(&self, facts: &Facts, breaker: &Breaker) -> bool {
        self.rates.iter().any(|rate| self.may_jump(rate, facts, breaker))
    }

    fn may_jump(
        &self,
        (kind, name, slot): &(KeyKind, String, i64),
        facts: &Facts,
        breaker: &Breaker,
    ) -> bool {
        let key = (*kind, name.clone());
        let added = self.added.get(&key).copied().unwrap_or_default();
        let Recent { all, recheckable } = facts.recent(&key, *slot);
        breaker.may_trip(Recent { all: all + added, recheckable: recheckable + added })
    }
}

/// An event that is kept under one of the keys that were asked about.
#[derive(Debug, Clone)]
pub struct KnownEvent {
    /// Its number.
    pub event: i64,
    /// Its message.
    pub message: i64,
    /// The stored form of its address.
    pub recipient_key: String,
    /// What it has done.
    pub change: EventChange,
}

/// A hold that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenHold {
    /// Its number.
    pub id: i64,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// The numbers, in words.
    pub why: String,
    /// Only suppressions wait that may end by themselves.
    pub recheckable_only: bool,
    /// How many events it has held.
    pub held: i64,
}

/// What is usual for a key: remembered, or with the hours that tell it.
#[derive(Debug, Clone, Default)]
pub struct UsualHours {
    hours: Option<BTreeMap<i64, u64>>,
    usual: OnceCell<Usual>,
}

impl UsualHours {
    /// From hours with their suppressions, each once.
    #[must_use]
    pub fn of(hours: BTreeMap<i64, u64>) -> Self {
        Self { hours: Some(hours), usual: OnceCell::new() }
    }

    /// What was found out not long ago; what the group adds to it does not matter.
    #[must_use]
    pub fn known(usual: Usual) -> Self {
        Self { hours: None, usual: usual.into() }
    }

    /// What is usual.
    #[must_use]
    pub fn usual(&self) -> Usual {
        let counted = || self.hours.iter().flatten().map(|(hour, count)| (*hour, *count)).collect::<Vec<_>>();
        *self.usual.get_or_init(|| Usual::of(&counted()))
    }

    fn add(&mut self, slot: i64) {
        if let Some(hours) = &mut self.hours {
            *hours.entry(slot.div_euclid(HOUR)).or_default() += 1;
            self.usual.take();
        }
    }
}

/// The highest numbers that were given.
#[derive(Debug, Clone, Copy, Default)]
pub struct Numbers {
    /// To a message.
    pub message: i64,
    /// To an event.
    pub event: i64,
    /// To a hold.
    pub hold: i64,
}

/// What the store knows of what was asked; it changes while the group is settled, so that each command sees what the
/// ones before it did.
#[derive(Debug, Default)]
pub struct Facts {
    /// Numbers that were given.
    pub numbers: Numbers,
    /// Messages by their digests.
    pub messages: HashMap<[u8; 32], i64>,
    /// Events by their keys.
    pub events: HashMap<[u8; 32], KnownEvent>,
    /// Entries of the addresses, also those whose time is over.
    pub entries: BTreeMap<EntryKey, Entry>,
    /// Where the events behind the entries come from, and those that the group brings.
    pub sources: HashMap<i64, Source>,
    /// Days counted against the addresses.
    pub days: BTreeMap<String, BTreeSet<CountedAs>>,
    /// Suppressions by key and slot, within the hours that were asked about.
    pub rates: HashMap<RateKey, BTreeMap<i64, Recent>>,
    /// What is usual, by key and hour.
    pub usual: HashMap<RateKey, BTreeMap<i64, UsualHours>>,
    /// Holds that are open.
    pub holds: HashMap<RateKey, OpenHold>,
    /// When holds were last released.
    pub released: HashMap<RateKey, Timestamp>,
    /// Addresses that wait for a hold.
    pub waiting: HashSet<(String, i64)>,
}

impl Facts {
    /// Suppressions of a key within the hour that ends with a slot.
    #[must_use]
    pub fn recent(&self, key: &RateKey, slot: i64) -> Recent {
        let slots = self.rates.get(key).into_iter().flat_map(|slots| slots.range(hour_before(slot)));
        slots.fold(Recent::default(), |sum, (_, recent)| Recent {
            all: sum.all + recent.all,
            recheckable: sum.recheckable + recent.recheckable,
        })
    }

    /// Counts a suppression of a key in a slot.
    pub(super) fn count(&mut self, key: &RateKey, slot: i64, recheckable: bool) {
        let counted = self.rates.entry(key.clone()).or_default().entry(slot).or_default();
        counted.all += 1;
        counted.recheckable += u64::from(recheckable);
        for (hour, usual) in self.usual.get_mut(key).into_iter().flatten() {
            if usual_slots(*hour).contains(&slot) {
                usual.add(slot);
            }
        }
    }

    /// The entries of an address, by stream.
    pub fn entries_of<'a>(&'a self, address_key: &str) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let key = |stream| (address_key.to_owned(), stream);
        self.entries.range(key(i64::MIN)..=key(i64::MAX)).map(|(_, entry)| entry)
    }
}
