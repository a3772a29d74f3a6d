//! A group that is settled at once gives the same rows as its commands settled one by one.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::classify::evidence::EvidenceField;
use crate::classify::{BounceType, Category, Class, Classification, Facts as TextFacts, Severity};
use crate::policy::{Breaker, Policy, Recent};
use crate::returnpath::Trust;

const DAY: i64 = 86_400;

/// An engine in memory: it answers needs and writes rows, and knows no rule.
#[derive(Debug, Default, Clone, PartialEq)]
struct World {
    numbers: (i64, i64, i64),
    messages: BTreeMap<[u8; 32], (i64, i64)>,
    events: BTreeMap<i64, StoredRow>,
    entries: BTreeMap<EntryKey, Entry>,
    days: BTreeMap<(String, CountedAs), ()>,
    hosts: BTreeMap<HostCount, i64>,
    rates: BTreeMap<(RateKey, i64), (u64, u64)>,
    holds: BTreeMap<RateKey, OpenHold>,
    audit: Vec<String>,
    told: Vec<String>,
    aggregates: BTreeMap<Aggregate, i64>,
}

#[derive(Debug, Clone, PartialEq)]
struct StoredRow {
    key: [u8; 32],
    message: i64,
    recipient_key: String,
    received_at: Timestamp,
    subject: String,
    change: EventChange,
    hold: Option<i64>,
    repeats: Option<i64>,
}

/// Something that changes the list.
#[derive(Debug, Clone)]
enum Command {
    Arrive(Box<NewMessage>),
    Add(&'static str, i64, Timestamp, Option<Timestamp>),
    Remove(&'static str, Option<i64>, Timestamp),
}

fn arrival(message: &NewMessage) -> Arrival {
    let attributed = |event: &NewEvent| NewEvent::attributed_key(&event.key, &event.recipient_key);
    let keys = |event: &NewEvent| [event.recipient_key.clone(), event.recipient_key.clone()];
    Arrival {
        message: message.clone(),
        attributed: message.events.iter().map(attributed).collect(),
        keys: message.events.iter().map(keys).collect(),
    }
}

impl World {
    fn facts(&self, needs: &Needs, breaker: &Breaker) -> Facts {
        let (message, event, hold) = self.numbers;
        let mut facts = Facts { numbers: Numbers { message, event, hold }, ..Facts::default() };
        for digest in &needs.digests {
            if let Some((id, _)) = self.messages.get(digest) {
                facts.messages.insert(*digest, *id);
            }
        }
        for (id, row) in &self.events {
            if needs.events.contains(&row.key) {
                let (recipient_key, change) = (row.recipient_key.clone(), row.change);
                facts
                    .events
                    .insert(row.key, KnownEvent { event: *id, message: row.message, recipient_key, change });
            }
            if let Some(hold) = row.hold.filter(|_| row.change == EventChange::Held) {
                facts.waiting.insert((row.recipient_key.clone(), hold));
            }
        }
        let asked = |address: &String| needs.addresses.contains(address);
        facts.entries = self.entries.clone().into_iter().filter(|((address, _), _)| asked(address)).collect();
        for event in facts.entries.values().filter_map(|entry| entry.event) {
            facts.sources.insert(event, (self.events[&event].message, "proven"));
        }
        for (address, day) in self.days.keys().filter(|(address, _)| asked(address)) {
            facts.days.entry(address.clone()).or_default().insert(*day);
        }
        for (kind, name, slot) in &needs.rates {
            let key = (*kind, name.clone());
            for slot in hour_before(*slot) {
                if let Some((all, recheckable)) = self.rates.get(&(key.clone(), slot)) {
                    let recent = Recent { all: *all, recheckable: *recheckable };
                    facts.rates.entry(key.clone()).or_default().insert(slot, recent);
                }
            }
            if let Some(hold) = self.holds.get(&key) {
                facts.holds.insert(key, hold.clone());
            }
        }
        for (kind, name, hour) in needs.usual(&facts, breaker) {
            let mut hours = BTreeMap::<i64, u64>::new();
            for slot in usual_slots(hour) {
                if let Some((all, _)) = self.rates.get(&((kind, name.clone()), slot)) {
                    *hours.entry(slot.div_euclid(12)).or_default() += all;
                }
            }
            let usual = UsualHours::of(hours);
            facts.usual.entry((kind, name)).or_default().insert(hour, usual);
        }
        facts
    }

    fn write(&mut self, writes: &Writes<'_>) {
        for (id, message) in &writes.messages {
            self.messages.insert(message.digest, (*id, 1));
            self.numbers.0 = self.numbers.0.max(*id);
        }
        for (id, copies) in &writes.copies {
            self.messages.values_mut().filter(|(of, _)| of == id).for_each(|(_, count)| *count += copies);
        }
        for (key, hold) in &writes.holds {
            self.numbers.2 = self.numbers.2.max(hold.id);
            self.holds.insert(key.clone(), hold.clone());
        }
        for row in &writes.events {
            self.numbers.1 = self.numbers.1.max(row.id);
            let stored = StoredRow {
                key: row.key,
                message: row.message,
                recipient_key: row.event.recipient_key.clone(),
                received_at: row.received_at,
                subject: format!("{:?}", Subject::of(row.event)),
                change: row.change,
                hold: row.hold,
                repeats: row.repeats,
            };
            assert!(self.events.insert(row.id, stored).is_none(), "a number is given once");
        }
        for (event, message) in &writes.superseded {
            let row = self.events.get_mut(event).expect("it stands");
            (row.change, row.repeats) = (EventChange::None, Some(*message));
        }
        for entry in &writes.entries {
            self.entries.insert(entry.key(), entry.clone());
        }
        for key in &writes.removed {
            self.entries.remove(key);
        }
        for day in &writes.days_gone {
            assert!(self.days.remove(day).is_some(), "it was counted");
        }
        for day in &writes.days {
            assert!(self.days.insert(day.clone(), ()).is_none(), "it was not counted");
        }
        for (key, count) in &writes.hosts {
            *self.hosts.entry(key.clone()).or_default() += count;
        }
        for (key, recent) in &writes.rates {
            let counted = self.rates.entry(key.clone()).or_default();
            counted.0 += recent.all;
            counted.1 += recent.recheckable;
        }
        self.audit.extend(writes.audit.iter().map(|row| format!("{row:?}")));
        self.told.extend(writes.told.iter().map(|row| format!("{row:?}")));
        for (key, count) in &writes.aggregates {
            *self.aggregates.entry(key.clone()).or_default() += count;
        }
    }

    fn settle(&mut self, group: &[Command], policy: &Policy, breaker: &Breaker) {
        let arrivals: Vec<Option<Arrival>> = group
            .iter()
            .map(|command| match command {
                Command::Arrive(message) => Some(arrival(message)),
                _ => None,
            })
            .collect();
        let mut needs = Needs::default();
        for (command, arrival) in group.iter().zip(&arrivals) {
            match (command, arrival) {
                (_, Some(arrival)) => needs.arrival(arrival),
                (Command::Add(address, ..) | Command::Remove(address, ..), _) => {
                    needs.addresses.insert((*address).to_owned());
                }
                (Command::Arrive(_), None) => {}
            }
        }
        let mut added = HashMap::new();
        let mut book = Book::open(policy, breaker, &mut added, self.facts(&needs, breaker));
        for (command, arrival) in group.iter().zip(&arrivals) {
            let (origin, actor) = (AuditOrigin::Cli, None);
            match (command, arrival) {
                (_, Some(arrival)) => drop(book.arrive(arrival)),
                (&Command::Add(address, stream, now, expires_at), _) => book.add(ManualEntry {
                    address: address.to_owned(),
                    address_key: address.to_owned(),
                    stream,
                    origin,
                    actor,
                    now,
                    expires_at,
                    note: None,
                }),
                (&Command::Remove(address, stream, now), _) => {
                    let address_key = address.to_owned();
                    book.remove(&Removal { address_key, stream, now, origin, actor });
                }
                (Command::Arrive(_), None) => {}
            }
        }
        let writes = book.close();
        self.write(&writes);
    }
}

const ADDRESSES: [&str; 3] = ["a@one.example", "b@one.example", "c@two.example"];

fn event() -> impl Strategy<Value = NewEvent> {
    let class = prop_oneof![
        4 => Just((Class::RecipientUnknown, Severity::Permanent)),
        4 => Just((Class::Expired, Severity::Transient)),
        2 => Just((Class::MailboxFull, Severity::Transient)),
        2 => Just((Class::HostUnreachable, Severity::Permanent)),
        2 => Just((Class::Delivered, Severity::Transient)),
        1 => Just((Class::Complaint, Severity::Transient)),
    ];
    (class, 0..3_usize, 0..3_i64, 0..4_u8, prop::bool::weighted(0.2), any::<bool>()).prop_map(
        |((class, severity), address, stream, group, quarantined, unconfirmed)| NewEvent {
            key: [group; 32],
            trust: if quarantined { Trust::Unsigned } else { Trust::Proven },
            quarantined,
            applies: !quarantined,
            stream,
            recipient: ADDRESSES[address].to_owned(),
            recipient_key: ADDRESSES[address].to_owned(),
            original_recipient: None,
            final_recipient: None,
            action: Some("failed"),
            status: None,
            diagnostic_type: None,
            diagnostic_code: None,
            remote_mta: Some("mx.example.org".to_owned()),
            last_attempt_date: None,
            classification: Classification {
                class,
                category: Category::Addressing,
                bounce_type: BounceType::Hard,
                decision: class.decision(severity),
                rule: if unconfirmed { "unconfirmed.5.1.1" } else { "iana.5.1.1" }.to_owned(),
                evidence_field: EvidenceField::DiagnosticCode,
                evidence: "550 5.1.1".to_owned(),
                effective_status: "5.1.1".parse().ok(),
                reply_code: None,
                facts: TextFacts::default(),
            },
        },
    )
}

fn command() -> impl Strategy<Value = (u32, Command)> {
    let message = (0..20_u8, prop::collection::vec(event(), 0..4)).prop_map(|(number, events)| {
        Command::Arrive(Box::new(NewMessage {
            digest: [number; 32],
            received_at: Timestamp::UNIX_EPOCH,
            replayed: None,
            peer: String::new(),
            helo: String::new(),
            protocol: None,
            tls: None,
            reverse_path: String::new(),
            recipients: vec![],
            original_recipients: vec![],
            envelope_id: None,
            kind: "dsn",
            message_id: None,
            sender: None,
            subject: None,
            reporting_mta: None,
            original_envelope_id: None,
            arrival_date: None,
            original_message_id: None,
            original_from: None,
            original_to: vec![],
            original_subject: None,
            defects: vec![],
            size: 0,
            unproven: false,
            raw: vec![],
            events,
        }))
    });
    let zero = Timestamp::UNIX_EPOCH;
    let add = (0..3_usize, 0..3_i64, any::<bool>()).prop_map(move |(address, stream, ends)| {
        Command::Add(ADDRESSES[address], stream, zero, ends.then_some(zero))
    });
    let remove = (0..3_usize, prop::option::of(0..3_i64))
        .prop_map(move |(address, stream)| Command::Remove(ADDRESSES[address], stream, zero));
    (0..12_u32, prop_oneof![8 => message, 1 => add, 1 => remove])
}

/// Gives commands their times: a few days apart, or within a minute.
fn timed(commands: Vec<(u32, Command)>) -> Vec<Command> {
    let mut second = 20_000 * DAY;
    let at = |second| Timestamp::from_second(second).unwrap();
    let timed = commands.into_iter().map(|(gap, mut command)| {
        second += if gap > 8 { i64::from(gap) * DAY } else { i64::from(gap) };
        match &mut command {
            Command::Arrive(message) => message.received_at = at(second),
            Command::Add(_, _, now, ends) => {
                *now = at(second);
                *ends = ends.map(|_| at(second + 5 * DAY));
            }
            Command::Remove(_, _, now) => *now = at(second),
        }
        command
    });
    timed.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_group_at_once_is_as_its_commands_one_by_one(
        commands in prop::collection::vec(command(), 1..40),
        cuts in prop::collection::vec(1..12_usize, 1..20),
        careful in any::<bool>(),
    ) {
        let policy = Policy::default();
        let breaker = match careful {
            true => Breaker { min_per_hour: 2, recheckable_per_hour: 1, history_days: 1, factor: 1, ..Breaker::default() },
            false => Breaker::default(),
        };
        let commands = timed(commands);
        let (mut one_by_one, mut in_groups) = (World::default(), World::default());
        for command in &commands {
            one_by_one.settle(std::slice::from_ref(command), &policy, &breaker);
        }
        let (mut rest, mut cuts) = (&commands[..], cuts.iter().cycle());
        while !rest.is_empty() {
            let (group, others) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
            in_groups.settle(group, &policy, &breaker);
            rest = others;
        }
        prop_assert_eq!(one_by_one, in_groups);
    }
}
