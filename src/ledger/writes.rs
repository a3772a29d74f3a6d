//! What is to be written: rows by table. An engine writes them and knows no rule.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    AuditOrigin, CountedAs, Entry, EntryKey, EventChange, NewEvent, NewMessage, OpenHold, RateKey, Told,
};
use crate::policy::Recent;

/// An event to insert.
#[derive(Debug)]
pub struct EventRow<'m> {
    /// Its number.
    pub id: i64,
    /// That of its message.
    pub message: i64,
    /// When that was taken.
    pub received_at: Timestamp,
    /// The event.
    pub event: &'m NewEvent,
    /// The key that it is kept under.
    pub key: [u8; 32],
    /// What it did.
    pub change: EventChange,
    /// The hold that it waits for.
    pub hold: Option<i64>,
    /// The message that brought the same before.
    pub repeats: Option<i64>,
    /// Whether its decision was applied to the list.
    pub applies: bool,
}

/// What became of an event that waited.
#[derive(Debug)]
pub struct SettledEvent {
    /// Its number.
    pub event: i64,
    /// What it did.
    pub change: EventChange,
    /// When.
    pub at: Timestamp,
    /// Who said so.
    pub by: String,
}

/// What an event does that was judged anew.
#[derive(Debug)]
pub struct RejudgedEvent {
    /// Its number.
    pub event: i64,
    /// What it does.
    pub change: EventChange,
    /// The hold that it waits for, where it is another than before.
    pub hold: Option<i64>,
}

/// A change of an entry, for the history.
#[derive(Debug)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// The stored form of the address.
    pub address_key: String,
    /// The address as written.
    pub address: String,
    /// The stream.
    pub stream: i64,
    /// `added`, `changed`, `removed` or `expired`.
    pub action: &'static str,
    /// What it came from.
    pub origin: AuditOrigin,
    /// The person, where there was one.
    pub actor: Option<String>,
    /// [`Entry::to_json`] of the entry before.
    pub before: Option<String>,
    /// [`Entry::to_json`] of the entry after.
    pub after: Option<String>,
    /// Why, in words.
    pub why: Option<String>,
    /// The event behind it.
    pub event: Option<i64>,
}

/// What events about a domain or a host are counted by: `domain` or `host`, its name, the stream, the class, the day.
pub type HostCount = (&'static str, String, i64, &'static str, i64);

/// What events are counted by, for statistics: the UTC day, the domain, the stream, the class, the decision and what it did.
pub type Aggregate = (i64, String, i64, &'static str, &'static str, &'static str);

/// Rows to write in one transaction, in the order of the fields.
#[derive(Debug, Default)]
pub struct Writes<'m> {
    /// New messages, with their numbers.
    pub messages: Vec<(i64, &'m NewMessage)>,
    /// How often known messages came again.
    pub copies: BTreeMap<i64, i64>,
    /// Holds that were opened, or have another standing.
    pub holds: BTreeMap<RateKey, OpenHold>,
    /// New events.
    pub events: Vec<EventRow<'m>>,
    /// Events that waited and are proven now: by these messages.
    pub superseded: Vec<(i64, i64)>,
    /// Events that a person settled.
    pub settled: Vec<SettledEvent>,
    /// Events that were judged anew.
    pub rejudged: Vec<RejudgedEvent>,
    /// Entries that are new or changed.
    pub entries: Vec<Entry>,
    /// Entries that are gone.
    pub removed: Vec<EntryKey>,
    /// Days that are counted against an address.
    pub days: Vec<(String, CountedAs)>,
    /// Days that are not counted any more.
    pub days_gone: Vec<(String, CountedAs)>,
    /// To add to what is counted for domains and hosts.
    pub hosts: BTreeMap<HostCount, i64>,
    /// To add to what the breaker counts.
    pub rates: BTreeMap<(RateKey, i64), Recent>,
    /// The history.
    pub audit: Vec<AuditEntry>,
    /// What others are told.
    pub told: Vec<Told>,
    /// To add to what is counted by the day.
    pub aggregates: BTreeMap<Aggregate, i64>,
}

/// The difference of two sets of days.
pub(super) fn days_between(
    before: &BTreeMap<String, BTreeSet<CountedAs>>,
    after: &BTreeMap<String, BTreeSet<CountedAs>>,
) -> Vec<(String, CountedAs)> {
    let none = BTreeSet::new();
    let fresh = |(address, days): (&String, &BTreeSet<CountedAs>)| {
        let before = before.get(address).unwrap_or(&none);
        days.difference(before).map(|day| (address.clone(), *day)).collect::<Vec<_>>()
    };
    after.iter().flat_map(fresh).collect()
}
