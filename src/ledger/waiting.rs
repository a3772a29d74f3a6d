//! What a person lets through that waited: unproven events, and those of a hold.

use jiff::Timestamp;

use super::{
    AuditOrigin, Book, Cause, EventChange, LetThrough, NewEvent, SettledEvent, Source, Subject, said,
};

/// An event that waits.
#[derive(Debug)]
pub struct WaitingEvent {
    /// Its number.
    pub event: i64,
    /// The key that it is kept under.
    pub key: [u8; 32],
    /// Its message, and how far that is believed.
    pub source: Source,
    /// When it came in.
    pub received_at: Timestamp,
    /// It is `quarantined` or `held`.
    pub change: EventChange,
    /// Its decision is applied without a person's word.
    pub applies: bool,
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
            self.settled(waiting, EventChange::None, at, by);
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
        let WaitingEvent { event, received_at, subject, source, .. } = waiting;
        self.facts.sources.insert(*event, *source);
        let LetThrough { change, over, new } = self.let_through(subject, *received_at, at);
        self.apply(subject, *event, *received_at, &change, cause);
        if new && self.breaker.weighs(&change) {
            // What a person lets through belongs to what is usual.
            self.count_rates(subject, *received_at);
        }
        let change = said(&change);
        self.settled(waiting, change, at, by);
        (change, over)
    }

    /// An event never does anything.
    pub fn discard(&mut self, waiting: &WaitingEvent, at: Timestamp, by: &str) {
        self.settled(waiting, EventChange::Discarded, at, by);
    }

    /// What became of an event that waited, who decided it, and when.
    fn settled(&mut self, waiting: &WaitingEvent, change: EventChange, at: Timestamp, by: &str) {
        let WaitingEvent { event, received_at, subject, change: former, .. } = waiting;
        self.writes.settled.push(SettledEvent { event: *event, change, at, by: by.to_owned() });
        let of = (*received_at, waiting.applies);
        let (whose, concluded) = ((subject.domain(), subject.stream), (subject.class, subject.decision));
        self.count_event(of, whose, concluded, *former, -1);
        self.count_event(of, whose, concluded, change, 1);
    }
}
