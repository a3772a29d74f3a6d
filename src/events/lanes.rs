//! The order in which one endpoint gets its events: a lane for each address, and what becomes of what is refused.
//! No I/O, and the time is an argument.
//!
//! An event that is refused is tried again in doubling intervals, and the later ones of its address wait behind it;
//! other addresses go on. An endpoint that refuses everybody, or cannot be reached, is down: a single event asks again
//! and again, in intervals that double as well, and nothing more is read until it was taken.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::client::Answer;
use crate::store::{Head, PassedBy, Progress, Waiting, WebhookState};

/// Events that are known here at most: those that were passed by are among them.
pub(super) const MOST: usize = 10_000;

/// Events that are known here besides those that were passed by.
const WINDOW: usize = 512;

/// Lanes that were refused without anything being taken in between, before the endpoint is thought to be down.
const DOWN_AFTER: usize = 5;

/// The first interval.
const FIRST: Duration = Duration::from_secs(1);

/// The longest interval, and the longest that an endpoint may ask for.
const LONGEST: Duration = Duration::from_secs(3_600);

/// How long an event is tried.
pub(super) const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

/// An event that is known here.
#[derive(Debug, Clone)]
struct Item {
    lane: Arc<str>,
    at: Timestamp,
    attempts: u32,
    failed_at: Option<Timestamp>,
    next_at: Timestamp,
    error: Option<String>,
    /// The store knows of it by itself.
    stored: bool,
    flying: bool,
}

/// The endpoint takes nothing.
#[derive(Debug, Clone, Copy)]
struct Down {
    /// Tries since then, all in vain.
    probes: u32,
    /// The next one.
    at: Timestamp,
    /// The event that is asking now.
    probe: Option<i64>,
}

/// What an answer changed for the endpoint as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    Same,
    /// It takes nothing any more.
    WentDown,
    /// It takes something again.
    CameUp,
    /// It has taken nothing for so long that what is old is given up.
    Hopeless,
}

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Delivered,
    Retried,
    Dead,
}

/// The events of one endpoint.
#[derive(Debug)]
pub(super) struct Lanes {
    concurrency: usize,
    state: WebhookState,
    /// What the store holds of that.
    written: WebhookState,
    /// Every event up to this one is known, or done with.
    read_to: i64,
    items: BTreeMap<i64, Item>,
    lanes: HashMap<Arc<str>, BTreeSet<i64>>,
    /// The first of each lane that is not on its way, by when it may go.
    ready: BTreeSet<(Timestamp, i64)>,
    flying: usize,
    /// Events that only `through` tells the store of.
    fresh: BTreeSet<i64>,
    failing: HashSet<Arc<str>>,
    down: Option<Down>,
    delivered: Vec<i64>,
    changed: BTreeSet<i64>,
    dead: Vec<PassedBy>,
}

impl Lanes {
    /// An endpoint as the store knows it.
    pub(super) fn new(state: WebhookState, concurrency: usize) -> Self {
        Self {
            concurrency,
            read_to: state.through,
            written: state.clone(),
            state,
            items: BTreeMap::new(),
            lanes: HashMap::new(),
            ready: BTreeSet::new(),
            flying: 0,
            fresh: BTreeSet::new(),
            failing: HashSet::new(),
            down: None,
            delivered: Vec::new(),
            changed: BTreeSet::new(),
            dead: Vec::new(),
        }
    }

    /// How the store knows it.
    pub(super) const fn written(&self) -> &WebhookState {
        &self.written
    }

    /// The last event that is known.
    pub(super) const fn read_to(&self) -> i64 {
        self.read_to
    }

    /// How many more events may be put in.
    pub(super) fn room(&self) -> usize {
        let asks_already = self.down.is_some() && !self.items.is_empty();
        if asks_already || self.fresh.len() > WINDOW / 2 {
            return 0;
        }
        (WINDOW - self.fresh.len()).min(MOST.saturating_sub(self.items.len()))
    }

    /// How many of the events that were passed by may be put in.
    pub(super) fn room_for_waiting(&self) -> usize {
        if self.items.len() > MOST / 2 { 0 } else { MOST - self.items.len() }
    }

    /// Puts in an event that was passed by.
    pub(super) fn wait(&mut self, waiting: Waiting) {
        let item = Item {
            lane: waiting.address_key.into(),
            at: waiting.at,
            attempts: waiting.attempts,
            failed_at: waiting.failed_at,
            next_at: waiting.next_at.unwrap_or(Timestamp::MIN),
            error: None,
            stored: true,
            flying: false,
        };
        self.insert(waiting.event, item);
    }

    /// Puts in the next event of all; where it is not wanted, it is done with.
    pub(super) fn offer(&mut self, head: Head, wanted: bool) {
        self.read_to = self.read_to.max(head.event);
        if !wanted || self.items.contains_key(&head.event) {
            return;
        }
        let item = Item {
            lane: head.address_key.into(),
            at: head.at,
            attempts: 0,
            failed_at: None,
            next_at: Timestamp::MIN,
            error: None,
            stored: false,
            flying: false,
        };
        self.fresh.insert(head.event);
        self.insert(head.event, item);
    }

    fn insert(&mut self, event: i64, item: Item) {
        let lane = self.lanes.entry(Arc::clone(&item.lane)).or_default();
        let first = lane.first().copied();
        lane.insert(event);
        if first.is_none_or(|first| event < first) {
            self.ready.insert((item.next_at, event));
            if let Some(first) = first.and_then(|first| Some((self.items.get(&first)?.next_at, first))) {
                self.ready.remove(&first);
            }
        }
        self.items.insert(event, item);
    }

    /// The next event to try now.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<i64> {
        let (at, event) = *self.ready.first()?;
        match &mut self.down {
            Some(down) => {
                if self.flying > 0 || now < down.at {
                    return None;
                }
                down.probe = Some(event);
            }
            None if self.flying >= self.concurrency || now < at => return None,
            None => {}
        }
        self.ready.pop_first();
        self.items.get_mut(&event)?.flying = true;
        self.flying += 1;
        Some(event)
    }

    /// When [`Self::next`] may have something, where no answer comes before.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let (at, _) = self.ready.first()?;
        match self.down {
            Some(down) => (self.flying == 0).then_some(down.at),
            None => (self.flying < self.concurrency).then_some(*at),
        }
    }

    /// Puts an event back that could not be tried, for a reason that is not the endpoint's.
    pub(super) fn put_back(&mut self, event: i64, until: Timestamp) {
        if let Some(item) = self.items.get_mut(&event) {
            (item.flying, item.next_at) = (false, until);
            self.ready.insert((until, event));
            self.flying -= 1;
        }
        if let Some(down) = self.down.as_mut().filter(|down| down.probe == Some(event)) {
            (down.probe, down.at) = (None, until);
        }
    }

    /// Takes the answer to a try. `jitter` is between 0 and 1.
    pub(super) fn settle(
        &mut self,
        event: i64,
        answer: Answer,
        now: Timestamp,
        jitter: f64,
    ) -> (Outcome, Turn) {
        if self.items.get(&event).is_some_and(|item| item.flying) {
            self.flying -= 1;
        }
        match answer {
            Answer::Taken => {
                self.remove(event);
                (Outcome::Delivered, self.took(now))
            }
            Answer::Refused { error, retry_after, whole } => {
                let asked = retry_after.unwrap_or_default().min(LONGEST);
                let outcome = self.refuse(event, &error, asked, now, jitter);
                (outcome, self.refused(event, error, asked, whole, now, jitter))
            }
        }
    }

    fn took(&mut self, now: Timestamp) -> Turn {
        self.state.failing_since = None;
        self.state.error = None;
        self.state.delivered_at = Some(now);
        self.failing.clear();
        if self.down.take().is_none() {
            return Turn::Same;
        }
        // What waited for its next try has waited for the endpoint.
        for (_, event) in std::mem::take(&mut self.ready) {
            if let Some(item) = self.items.get_mut(&event) {
                item.next_at = item.next_at.min(now);
                self.ready.insert((item.next_at, event));
            }
        }
        Turn::CameUp
    }

    fn refuse(&mut self, event: i64, error: &str, asked: Duration, now: Timestamp, jitter: f64) -> Outcome {
        let Some(item) = self.items.get_mut(&event) else { return Outcome::Retried };
        item.flying = false;
        item.attempts += 1;
        item.error = Some(error.to_owned());
        let failed_at = *item.failed_at.get_or_insert(now);
        self.failing.insert(Arc::clone(&item.lane));
        if now.duration_since(failed_at) >= PATIENCE {
            self.give_up(event, now);
            return Outcome::Dead;
        }
        item.next_at = later(now, interval(item.attempts, jitter).max(asked));
        self.ready.insert((item.next_at, event));
        self.fresh.remove(&event);
        self.changed.insert(event);
        Outcome::Retried
    }

    fn refused(
        &mut self,
        event: i64,
        error: String,
        asked: Duration,
        whole: bool,
        now: Timestamp,
        jitter: f64,
    ) -> Turn {
        let since = *self.state.failing_since.get_or_insert(now);
        self.state.error = Some(error);
        let wait = |probes| later(now, interval(probes, jitter).max(asked));
        match &mut self.down {
            None if whole || self.failing.len() >= DOWN_AFTER => {
                self.down = Some(Down { probes: 1, at: wait(1), probe: None });
                Turn::WentDown
            }
            None => Turn::Same,
            Some(down) if down.probe == Some(event) => {
                *down = Down { probes: down.probes + 1, at: wait(down.probes + 1), probe: None };
                if now.duration_since(since) >= PATIENCE { Turn::Hopeless } else { Turn::Same }
            }
            // It was on its way when the endpoint went down.
            Some(down) => {
                down.at = down.at.max(later(now, asked));
                Turn::Same
            }
        }
    }

    /// Gives up everything that is as old as the patience with the endpoint. True: whatever is not known here, and as
    /// old, is to be given up as well.
    pub(super) fn give_up_old(&mut self, now: Timestamp) -> bool {
        let old: Vec<i64> = self
            .items
            .iter()
            .filter(|(_, item)| !item.flying && now.duration_since(item.at) >= PATIENCE)
            .map(|(event, _)| *event)
            .collect();
        for event in old {
            self.give_up(event, now);
        }
        self.fresh.is_empty()
    }

    /// Events up to this one were given up in the store.
    pub(super) fn buried(&mut self, through: i64) {
        self.read_to = self.read_to.max(through);
        self.written.through = through;
        self.state.through = through;
    }

    fn give_up(&mut self, event: i64, now: Timestamp) {
        let Some(item) = self.remove(event) else { return };
        self.dead.push(PassedBy {
            event,
            attempts: item.attempts,
            failed_at: item.failed_at,
            next_at: None,
            dead_at: Some(now),
            error: item.error.or_else(|| self.state.error.clone()),
        });
        if item.stored {
            // Its row becomes that of the dead letter.
            self.delivered.retain(|delivered| *delivered != event);
        }
    }

    /// The event is done with; the next of its lane may go.
    fn remove(&mut self, event: i64) -> Option<Item> {
        let item = self.items.remove(&event)?;
        self.ready.remove(&(item.next_at, event));
        self.fresh.remove(&event);
        self.changed.remove(&event);
        if item.stored {
            self.delivered.push(event);
        }
        if let Some(lane) = self.lanes.get_mut(&item.lane) {
            let was_first = lane.first() == Some(&event);
            lane.remove(&event);
            match lane.first().copied() {
                None => {
                    self.lanes.remove(&item.lane);
                }
                Some(next) if was_first => {
                    if let Some(next_at) = self.items.get(&next).map(|item| item.next_at) {
                        self.ready.insert((next_at, next));
                    }
                }
                Some(_) => {}
            }
        }
        Some(item)
    }

    /// What the store does not know yet, if anything.
    pub(super) fn progress(&mut self) -> Option<Progress> {
        // What waits behind an event that was passed by is passed by with it.
        let behind = |event: &&i64| {
            let first = self.items.get(event).and_then(|item| self.lanes.get(&item.lane)?.first());
            first.is_some_and(|first| *first != **event && !self.fresh.contains(first))
        };
        let behind: Vec<i64> = self.fresh.iter().filter(behind).copied().collect();
        for event in behind {
            self.fresh.remove(&event);
            self.changed.insert(event);
        }
        self.state.through = self.fresh.first().map_or(self.read_to, |first| first - 1);
        let nothing = self.delivered.is_empty() && self.changed.is_empty() && self.dead.is_empty();
        if nothing && self.state == self.written {
            return None;
        }
        let mut passed_by = std::mem::take(&mut self.dead);
        for event in std::mem::take(&mut self.changed) {
            let Some(item) = self.items.get_mut(&event) else { continue };
            item.stored = true;
            passed_by.push(PassedBy {
                event,
                attempts: item.attempts,
                failed_at: item.failed_at,
                next_at: (item.attempts > 0).then_some(item.next_at),
                dead_at: None,
                error: item.error.clone(),
            });
        }
        Some(Progress {
            state: self.state.clone(),
            delivered: std::mem::take(&mut self.delivered),
            passed_by,
        })
    }

    /// The store knows it now.
    pub(super) fn wrote(&mut self, progress: Progress) {
        self.written = progress.state;
    }

    /// The store did not take it: it is told again.
    pub(super) fn not_written(&mut self, progress: Progress) {
        self.delivered.extend(progress.delivered);
        for passed in progress.passed_by {
            if passed.dead_at.is_some() {
                self.dead.push(passed);
            } else if self.items.contains_key(&passed.event) {
                self.changed.insert(passed.event);
            }
        }
    }

    /// How many tries are on their way.
    #[cfg(test)]
    pub(super) const fn flying(&self) -> usize {
        self.flying
    }
}

/// How long after so many tries the next one comes: doubled each time, and a fifth more or less, so that not all come
/// at once.
fn interval(attempts: u32, jitter: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST);
    doubled.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0)).min(LONGEST)
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
