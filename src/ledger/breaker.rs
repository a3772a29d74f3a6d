//! The circuit breaker: which suppressions wait for a hold, and what is counted to tell.

use jiff::{SignedDuration, Timestamp};

use super::facts::{OpenHold, clock_hour};
use super::{Alarm, Book, RateKey, Subject, slot_of, undo};
use crate::policy::{Change, Jump, KeyKind, Usual};

/// After so many more held addresses the operator is told again.
const TOLD_EVERY: u64 = 1_000;

/// An event that is held.
#[derive(Debug)]
pub struct Held {
    /// The number of the hold.
    pub hold: i64,
    /// What the operator is to be told.
    pub alarm: Option<Alarm>,
}

impl Book<'_, '_> {
    /// Whether a change is held; one that is not is counted by its keys. What only renews an entry is neither: an
    /// address counts once a term, however many reports there are about it.
    pub(super) fn weigh(&mut self, subject: &Subject, now: Timestamp, change: &Change) -> Option<Held> {
        if !self.breaker.weighs(change) || !self.is_new(subject, change, now) {
            return None;
        }
        let held = self.join_open(subject, now).or_else(|| self.open_hold(subject, now));
        if held.is_none() {
            self.count_rates(subject, now);
        }
        held
    }

    /// The keys by which a suppression may be held. A list that is mailed for the first time has unknown users at many
    /// domains, and that is no fault of the rule that finds them: only domains that are known tell a jump there. What may
    /// end by itself always may be a fault of ours.
    fn asked_keys(&self, subject: &Subject, now: Timestamp) -> Vec<RateKey> {
        let of_all = self.tells_of_rule_and_host(subject, now);
        let asked = subject.rate_keys().filter(|(kind, _)| of_all || *kind == KeyKind::Domain);
        asked.map(|(kind, name)| (kind, name.to_owned())).collect()
    }

    /// Whether a suppression says something about its rule and its host, and not of its domain alone.
    fn tells_of_rule_and_host(&self, subject: &Subject, now: Timestamp) -> bool {
        let domain = (KeyKind::Domain, subject.domain().to_owned());
        subject.class.recheckable()
            || (!domain.1.is_empty() && self.usual(&domain, now).days >= self.breaker.history_days)
    }

    /// The open hold that a suppression joins, where there is one for a key of it.
    pub fn join_open(&mut self, subject: &Subject, now: Timestamp) -> Option<Held> {
        if !self.breaker.enabled {
            return None;
        }
        let takes = |hold: &OpenHold| !hold.recheckable_only || subject.class.recheckable();
        let keys = self.asked_keys(subject, now);
        let key = keys.into_iter().find(|key| self.facts.holds.get(key).is_some_and(takes))?;
        self.hold_one_more(subject, &key, false)
    }

    /// The hold that a suppression opens.
    fn open_hold(&mut self, subject: &Subject, now: Timestamp) -> Option<Held> {
        let keys = self.asked_keys(subject, now);
        let (key, jump) = keys.into_iter().find_map(|key| {
            let jump = self.jump(subject, &key, now)?;
            Some((key, jump))
        })?;
        let recheckable_only = matches!(jump, Jump::Recheckable { .. });
        match self.facts.holds.get_mut(&key) {
            // One that held only what may end by itself is widened where the key has a history by now.
            Some(hold) => {
                hold.why = jump.to_string();
                hold.recheckable_only &= recheckable_only;
            }
            None => {
                self.facts.numbers.hold += 1;
                let id = self.facts.numbers.hold;
                let hold = OpenHold {
                    id,
                    opened_at: super::whole_seconds(now),
                    why: jump.to_string(),
                    recheckable_only,
                    held: 0,
                };
                self.tell_hold(&key, &hold);
                self.facts.holds.insert(key.clone(), hold);
            }
        }
        self.hold_one_more(subject, &key, true)
    }

    /// Whether a key jumps, and is not let pass because a person released it not long ago.
    fn jump(&self, subject: &Subject, key: &RateKey, now: Timestamp) -> Option<Jump> {
        if !self.breaker.enabled {
            return None;
        }
        let recent = self.facts.recent(key, slot_of(now));
        if !self.breaker.may_trip(recent) {
            return None;
        }
        let jump = self.breaker.judge(subject.class.recheckable(), recent, self.usual(key, now))?;
        let pass = SignedDuration::from_hours(self.breaker.pass_hours.into());
        let since = now.checked_sub(pass).unwrap_or(Timestamp::UNIX_EPOCH);
        let passed = self.facts.released.get(key).is_some_and(|released| *released > since);
        (!passed).then_some(jump)
    }

    fn usual(&self, key: &RateKey, now: Timestamp) -> Usual {
        let hours = self.facts.usual.get(key).and_then(|hours| hours.get(&clock_hour(slot_of(now))));
        hours.map(super::UsualHours::usual).unwrap_or_default()
    }

    fn hold_one_more(&mut self, subject: &Subject, key: &RateKey, opened: bool) -> Option<Held> {
        let hold = self.facts.holds.get_mut(key)?;
        hold.held += 1;
        self.writes.holds.insert(key.clone(), hold.clone());
        let (id, held, why) = (hold.id, hold.held, hold.why.clone());
        // Another report about an address that waits already is kept, and no news.
        let is_news = self.facts.waiting.insert((subject.recipient_key.clone(), id));
        let mut told = opened;
        if is_news {
            let added = self.added.entry(id).or_default();
            *added += 1; // the first one is counted too
            told |= added.is_multiple_of(TOLD_EVERY);
        }
        let undo = undo(key.0.as_str(), &key.1, hold.opened_at);
        let alarm =
            told.then(|| Alarm { hold: id, kind: key.0.as_str(), name: key.1.clone(), why, held, undo });
        Some(Held { hold: id, alarm })
    }

    /// Counts a suppression by a bounce under its keys. One domain counts for a rule and a host up to its share only, so
    /// that those jump when several domains do.
    pub fn count_rates(&mut self, subject: &Subject, at: Timestamp) {
        let slot = slot_of(at);
        let domain = (KeyKind::Domain, subject.domain().to_owned());
        let within_share = self.facts.recent(&domain, slot).all < u64::from(self.breaker.share());
        let of_all = within_share && self.tells_of_rule_and_host(subject, at);
        let recheckable = subject.class.recheckable();
        for (kind, name) in subject.rate_keys() {
            if kind != KeyKind::Domain && !of_all {
                continue;
            }
            let key = (kind, name.to_owned());
            self.facts.count(&key, slot, recheckable);
            let written = self.writes.rates.entry((key, slot)).or_default();
            written.all += 1;
            written.recheckable += u64::from(recheckable);
        }
    }
}
