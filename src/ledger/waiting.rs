//! What a person lets through that waited: unproven events, and those of a hold.

use jiff::Timestamp;

use super::{AuditOrigin, Book, Cause, EventChange, LetThrough, NewEvent, Subject, said};

/// An event that waits.
#[derive(Debug)]
pub struct WaitingEvent {
    /// Its number.
    pub event: i64,
    /// The key that it is kept under.
    pub key: [u8; 32],
    /// When it came in.
    pub received_at: Timestamp,
    /// What matters of it.
    pub subject: Subject,
}

impl WaitingEvent {
    /// The keys under which another delivery of the same report would have been applied.
    #[must_use]
    pub fn applied_keys(&self) -> [[u8; 32]; 2] {
        // Schema 1 kept what waited under the key of its group alone.
        let grouped = NewEvent::attributed_key(&self.key, &self.subject.recipient_key);
        [NewEvent::applied_key(&self.key), NewEvent::applied_key(&grouped)]
    }
}

/// Why an approved event changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// Another delivery of the same report has done it.
    ToldBefore,
    /// It would have suppressed for a time that is over.
    TermOver,
    /// It does not speak against the address.
    NotTheAddress,
}

impl Book<'_, '_> {
    /// Does what an unproven event would have done when it came in; nothing, where another delivery of the same report
    /// has done it (contract 2).
    ///
    /// # Errors
    /// Why it did nothing; it waits no more all the same.
    pub fn approve(&mut self, waiting: &WaitingEvent, at: Timestamp, by: &str) -> Result<EventChange, Idle> {
        if waiting.applied_keys().iter().any(|key| self.facts.events.contains_key(key)) {
            self.settled(waiting.event, EventChange::None, at, by);
            return Err(Idle::ToldBefore);
        }
        let cause =
            Cause { origin: AuditOrigin::Quarantine, actor: Some(by.to_owned()), at: Some(at), why: None };
        let (change, over) = self.let_in(waiting, at, by, &cause);
        self.count_hosts(&waiting.subject, waiting.received_at);
        match change {
            EventChange::None if over => Err(Idle::TermOver),
            EventChange::None => Err(Idle::NotTheAddress),
            change => Ok(change),
        }
    }

    /// Does what a held event would have done when it came in.
    pub fn release(&mut self, hold: i64, waiting: &WaitingEvent, at: Timestamp, by: &str) -> EventChange {
        let why = Some(format!("hold {hold} released"));
        let cause = Cause { origin: AuditOrigin::Hold, actor: Some(by.to_owned()), at: Some(at), why };
        self.let_in(waiting, at, by, &cause).0
    }

    /// Decides an event as of its own time, by what stands now: existing entries are never shortened. Says too whether its
    /// term is over by now.
    fn let_in(
        &mut self,
        waiting: &WaitingEvent,
        at: Timestamp,
        by: &str,
        cause: &Cause,
    ) -> (EventChange, bool) {
        let WaitingEvent { event, received_at, subject, .. } = waiting;
        let LetThrough { change, over, new } = self.let_through(subject, *received_at, at);
        self.apply(subject, *event, *received_at, &change, cause);
        if new && self.breaker.weighs(&change) {
            // What a person lets through belongs to what is usual.
            self.count_rates(subject, *received_at);
        }
        let change = said(&change);
        self.settled(*event, change, at, by);
        (change, over)
    }
}
