//! A message comes in: duplicate → repeat → quarantine → weigh → apply.

use jiff::Timestamp;

use super::{
    Alarm, Arrival, Book, Cause, EventChange, EventRow, Held, KnownEvent, NewEvent, NewMessage, Recorded,
    Subject, said,
};
use crate::address::domain_of;
use crate::policy::Change;

impl<'m> Book<'_, 'm> {
    /// Records a message, applies its events, and says what they did.
    pub fn arrive(&mut self, arrival: &'m Arrival) -> Recorded {
        let Arrival { message, attributed, keys } = arrival;
        if let Some(&id) = self.facts.messages.get(&message.digest) {
            *self.writes.copies.entry(id).or_default() += 1;
            return Recorded { id, duplicate: true, changes: Vec::new(), alarms: Vec::new() };
        }
        self.facts.numbers.message += 1;
        let id = self.facts.numbers.message;
        self.facts.messages.insert(message.digest, id);
        let cause = Cause::bounce(message.replayed.as_ref());
        let mut changes = Vec::with_capacity(message.events.len());
        let mut alarms = Vec::new();
        let mut believed = Vec::new();
        for ((event, attributed), keys) in message.events.iter().zip(attributed).zip(keys) {
            self.facts.numbers.event += 1;
            let mut row = EventRow {
                id: self.facts.numbers.event,
                message: id,
                received_at: message.received_at,
                key: *attributed,
                change: EventChange::None,
                hold: None,
                repeats: self.known(event, attributed, keys),
                applies: false,
                event,
            };
            if event.is_believed() {
                believed.push(([*attributed, event.key], keys));
            }
            if row.repeats.is_some() {
                // Nothing is thrown away, and nothing counts twice.
                row.key = NewEvent::repeated_key(attributed, &message.digest);
            } else if event.is_believed() {
                row.key = NewEvent::applied_key(attributed);
                row.applies = true;
                let over = message.replayed.as_ref().map(|replayed| replayed.at);
                self.believe(&mut row, (message, over), &cause, &mut alarms);
            } else if event.quarantined {
                row.change = EventChange::Quarantined;
            }
            if !row.applies {
                self.tell_event(&row, message);
            }
            if row.repeats.is_none() {
                let result = &event.classification;
                let domain = domain_of(&event.recipient_key).unwrap_or_default();
                let concluded = (result.class, result.decision);
                self.count_event(
                    (row.received_at, row.applies),
                    (domain, event.stream),
                    concluded,
                    row.change,
                    1,
                );
            }
            changes.push(row.change);
            let known = KnownEvent {
                event: row.id,
                message: id,
                recipient_key: event.recipient_key.clone(),
                change: row.change,
            };
            self.facts.events.insert(row.key, known);
            self.writes.events.push(row);
        }
        self.writes.messages.push((id, message));
        self.wait_no_more(id, &believed);
        Recorded { id, duplicate: false, changes, alarms }
    }

    /// Applies an event that is proven, or trusted, or holds it. What was brought in after its term is over does nothing.
    fn believe(
        &mut self,
        row: &mut EventRow<'_>,
        (message, brought_at): (&NewMessage, Option<Timestamp>),
        cause: &Cause,
        alarms: &mut Vec<Alarm>,
    ) {
        let (subject, now) = (Subject::of(row.event), row.received_at);
        let mut change = self.decide(&subject, now, now);
        if brought_at.is_some_and(|at| change.is_over(at)) {
            change = Change::None;
        }
        self.count_hosts(&subject, now);
        if let Some(Held { hold, alarm }) = self.weigh(&subject, now, &change) {
            row.change = EventChange::Held;
            row.hold = Some(hold);
            alarms.extend(alarm);
            self.tell_event(row, message);
        } else {
            row.change = said(&change);
            self.facts.sources.insert(row.id, (row.message, row.event.trust.as_str()));
            self.tell_event(row, message);
            self.apply(&subject, row.id, now, &change, cause);
        }
    }

    /// The message of another delivery of the same report that brought an event (contract 2). One that waited there in
    /// vain, or that a person discarded, does not stand in the way of one that is proven.
    fn known(&self, event: &NewEvent, attributed: &[u8; 32], keys: &[String; 2]) -> Option<i64> {
        let stands_in_the_way = |known: &&KnownEvent| {
            let in_vain = matches!(known.change, EventChange::Quarantined | EventChange::Discarded);
            keys.contains(&known.recipient_key) && (!event.is_believed() || !in_vain)
        };
        let applied = self.facts.events.get(&NewEvent::applied_key(attributed));
        // Schema 1 kept an event under the key of its group alone.
        let waiting = || {
            let mut kept = [&event.key, attributed].into_iter().filter_map(|key| self.facts.events.get(key));
            kept.find(stands_in_the_way)
        };
        applied.or_else(waiting).map(|known| known.message)
    }

    /// What waited of reports that a message brought with a proof, or trusted, waits no more: it counts there.
    fn wait_no_more(&mut self, message: i64, believed: &[([[u8; 32]; 2], &[String; 2])]) {
        for (event_keys, keys) in believed {
            for key in event_keys {
                let Some(known) = self.facts.events.get_mut(key) else { continue };
                if known.change == EventChange::Quarantined
                    && known.message != message
                    && keys.contains(&known.recipient_key)
                {
                    known.change = EventChange::None;
                    self.writes.superseded.push((known.event, message));
                }
            }
        }
    }
}
