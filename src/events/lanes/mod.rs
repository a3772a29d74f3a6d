//! The order in which one endpoint gets its events: a lane for each address, and what becomes of what is refused.
//! No I/O, and the time is an argument.
//!
//! A refusal is about its event: it is tried again in doubling intervals, and the later ones of its address wait behind
//! it; other addresses go on. An endpoint that cannot be reached, or refuses many different addresses in a row, is down:
//! single events of different addresses ask again, in intervals that double as well, until one is taken. One that answers
//! is asked at once with what it did not see yet.
//!
//! Only the first few events of a lane are known here: the rest is in the store alone, so that many events about one
//! address hold up no other.

mod health;
mod progress;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::client::Answer;
use crate::store::{Head, PassedBy, Waiting, WebhookState};
use health::{Health, LONGEST, Refusal, interval, later};
pub(super) use health::{PATIENCE, Turn};

/// Events that are known here at most: those that are tried again are among them.
const MOST: usize = 50_000;

/// Events known here that could go now.
const WINDOW: usize = 512;

/// Events of one lane that are known here.
const LANE: usize = 32;

/// Events put aside, until the store has to know of them.
const ASIDE: usize = 2 * WINDOW;

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

/// The events of one address.
#[derive(Debug, Default)]
struct Lane {
    known: BTreeSet<i64>,
    /// The last that was known here.
    last: i64,
    /// There may be later ones that the store alone knows.
    more: bool,
}

impl Lane {
    /// Whether what comes next stays in the store for now.
    fn is_full(&self, most: usize) -> bool {
        self.more || self.known.len() >= most
    }
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
    /// Events of one lane that are known here.
    lane: usize,
    state: WebhookState,
    /// What the store holds of that.
    written: WebhookState,
    /// Every event up to this one is known, or done with.
    read_to: i64,
    /// The last that was tried, or put aside.
    reached: i64,
    items: BTreeMap<i64, Item>,
    lanes: HashMap<Arc<str>, Lane>,
    /// Lanes of which nothing is known here any more, but the store may have more.
    hungry: BTreeSet<Arc<str>>,
    /// The first of each lane that is not on its way: those that were not tried,
    untried: BTreeSet<i64>,
    /// and those that were, by when they may go.
    due: BTreeSet<(Timestamp, i64)>,
    flying: usize,
    /// Those of them that were tried before.
    again: usize,
    /// Events that only `through` tells the store of.
    fresh: BTreeSet<i64>,
    /// Events that are not known here, and that the store is to know of by itself.
    aside: BTreeSet<i64>,
    health: Health,
    delivered: Vec<i64>,
    changed: BTreeSet<i64>,
    dead: Vec<PassedBy>,
}

impl Lanes {
    /// An endpoint as the store knows it.
    pub(super) fn new(state: WebhookState, concurrency: usize) -> Self {
        Self {
            concurrency,
            lane: LANE,
            read_to: state.through,
            reached: state.through,
            written: state.clone(),
            state,
            items: BTreeMap::new(),
            lanes: HashMap::new(),
            hungry: BTreeSet::new(),
            untried: BTreeSet::new(),
            due: BTreeSet::new(),
            flying: 0,
            again: 0,
            fresh: BTreeSet::new(),
            aside: BTreeSet::new(),
            health: Health::default(),
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

    /// How many more events may be put in. Events behind an earlier one of their lane take no place. One that is not there
    /// gets more when there is none left to ask it with.
    pub(super) fn room(&self) -> usize {
        let enough = if self.health.down.is_some_and(|down| down.whole) { 0 } else { WINDOW / 2 };
        if self.untried.len() > enough || self.aside.len() >= ASIDE {
            return 0;
        }
        (WINDOW - self.untried.len()).min(MOST.saturating_sub(self.items.len()))
    }

    /// How many of the events that were passed by may be put in.
    pub(super) fn room_for_waiting(&self) -> usize {
        ASIDE.min(MOST.saturating_sub(self.items.len()))
    }

    /// Puts in an event that was passed by.
    pub(super) fn wait(&mut self, waiting: Waiting, now: Timestamp) {
        // A later page may have it once more.
        if self.items.contains_key(&waiting.event) {
            return;
        }
        let name = lane_of(&waiting.address_key, waiting.event);
        if let Some(lane) = self.lanes.get_mut(&*name)
            && lane.is_full(self.lane)
        {
            lane.more = true;
            return;
        }
        let item = Item {
            lane: name,
            at: waiting.at,
            attempts: waiting.attempts,
            failed_at: waiting.failed_at,
            // What is further ahead than any wait was written while the clock was wrong.
            next_at: waiting
                .next_at
                .map_or(Timestamp::MIN, |at| if at > later(now, LONGEST) { now } else { at }),
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
        let name = lane_of(&head.address_key, head.event);
        if let Some(lane) = self.lanes.get_mut(&*name)
            && lane.is_full(self.lane)
        {
            lane.more = true;
            self.aside.insert(head.event);
            self.reached = self.reached.max(head.event);
            return;
        }
        let item = Item {
            lane: name,
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
        let first = lane.known.first().copied();
        lane.known.insert(event);
        lane.last = lane.last.max(event);
        self.items.insert(event, item);
        if first.is_none_or(|first| event < first) {
            if let Some(first) = first {
                self.stays(first);
            }
            self.goes(event);
        }
    }

    /// The first of its lane may go.
    fn goes(&mut self, event: i64) {
        let Some(item) = self.items.get(&event) else { return };
        if item.next_at == Timestamp::MIN {
            self.untried.insert(event);
        } else {
            self.due.insert((item.next_at, event));
        }
    }

    fn stays(&mut self, event: i64) {
        self.untried.remove(&event);
        if let Some(item) = self.items.get(&event) {
            self.due.remove(&(item.next_at, event));
        }
    }

    /// A lane of which nothing is known here any more: its address, the event after which the store is to be asked, and
    /// for how many.
    pub(super) fn hungry(&self) -> Option<(Arc<str>, i64, usize)> {
        // What is put aside has to be in the store first.
        let name = self.hungry.first().filter(|_| self.aside.is_empty())?;
        Some((Arc::clone(name), self.lanes.get(name)?.last, self.lane))
    }

    /// Puts in what the store has of such a lane.
    pub(super) fn feed(&mut self, name: &Arc<str>, found: Vec<Waiting>, now: Timestamp) {
        let more = found.len() >= self.lane;
        self.hungry.remove(name);
        self.lanes.remove(name);
        found.into_iter().for_each(|waiting| self.wait(waiting, now));
        if let Some(lane) = self.lanes.get_mut(name) {
            lane.more = more;
        }
    }

    /// What could be tried now.
    fn choose(&self, now: Timestamp) -> Option<i64> {
        let untried = self.untried.first().copied();
        if let Some(down) = self.health.down {
            if self.flying > 0 {
                return None;
            }
            // Another address each time, from both ends: what it does not take may stand together.
            let untried = if down.probes % 2 == 0 { self.untried.last().copied() } else { untried };
            let refused = self.due.first().map(|(_, event)| *event).filter(|_| now >= down.at);
            return untried.filter(|_| now >= down.others_at).or(refused);
        }
        if self.flying >= self.concurrency {
            return None;
        }
        let (at, event) = self.due.first().copied().unzip();
        event.filter(|_| self.may_try_again() && at.is_some_and(|at| now >= at)).or(untried)
    }

    /// What was refused, or not answered, leaves room for the rest.
    const fn may_try_again(&self) -> bool {
        self.again < self.concurrency.div_ceil(2)
    }

    /// The next event to try now.
    pub(super) fn next(&mut self, now: Timestamp) -> Option<i64> {
        let event = self.choose(now)?;
        self.stays(event);
        let item = self.items.get_mut(&event)?;
        item.flying = true;
        self.flying += 1;
        self.again += usize::from(item.attempts > 0);
        if let Some(down) = &mut self.health.down {
            down.probe = Some(event);
        }
        Some(event)
    }

    /// When [`Self::next`] may have something, where no answer comes before.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let first = self.due.first().map(|(at, _)| *at);
        if let Some(down) = self.health.down {
            let others = self.untried.first().map(|_| down.others_at);
            let wake = others.into_iter().chain(first.map(|_| down.at)).min();
            return wake.filter(|_| self.flying == 0);
        }
        if self.flying >= self.concurrency {
            return None;
        }
        let untried = self.untried.first().map(|_| Timestamp::MIN);
        untried.or(first.filter(|_| self.may_try_again()))
    }

    /// It is not on its way any more.
    fn land(&mut self, event: i64) -> Option<&mut Item> {
        let item = self.items.get_mut(&event)?;
        if std::mem::take(&mut item.flying) {
            self.flying -= 1;
            self.again -= usize::from(item.attempts > 0);
        }
        Some(item)
    }

    /// Puts an event back that could not be tried, for a reason that is not the endpoint's.
    pub(super) fn put_back(&mut self, event: i64, until: Timestamp) {
        let Some(item) = self.land(event) else { return };
        item.next_at = until;
        self.goes(event);
        if let Some(down) = self.health.down.as_mut().filter(|down| down.probe == Some(event)) {
            down.rest(until);
        }
    }

    /// There was nothing to try: the event was erased, or the format of the endpoint has no words for it.
    pub(super) fn skip(&mut self, event: i64) {
        self.land(event);
        self.reached = self.reached.max(event);
        self.remove(event);
        if let Some(down) = self.health.down.as_mut().filter(|down| down.probe == Some(event)) {
            down.probe = None; // another one asks
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
        self.land(event);
        self.reached = self.reached.max(event);
        match answer {
            Answer::Taken => {
                self.remove(event);
                self.state.failing_since = None;
                self.state.error = None;
                self.state.delivered_at = Some(now);
                (Outcome::Delivered, self.health.took())
            }
            Answer::Refused { error, retry_after, whole } => {
                let asked = retry_after.unwrap_or_default().min(LONGEST);
                let first = self.items.get(&event).is_some_and(|item| item.attempts == 0);
                self.refuse(error, &Refusal { event, first, whole, asked, now, jitter })
            }
        }
    }

    fn refuse(&mut self, error: String, refusal: &Refusal) -> (Outcome, Turn) {
        let Refusal { event, asked, now, jitter, .. } = *refusal;
        let since = now.min(self.state.failing_since.unwrap_or(now));
        self.state.failing_since = Some(since);
        self.state.error = Some(error.clone());
        let Some(item) = self.items.get_mut(&event) else { return (Outcome::Retried, Turn::Same) };
        item.attempts += 1;
        item.error = Some(error);
        item.next_at = later(now, interval(item.attempts, jitter).max(asked));
        let failed_at = now.min(item.failed_at.unwrap_or(now));
        item.failed_at = Some(failed_at);
        let turn = self.health.refused(&Arc::clone(&item.lane), refusal, since);
        if now.duration_since(failed_at) >= PATIENCE {
            self.give_up(event, now);
            return (Outcome::Dead, turn);
        }
        self.goes(event);
        self.fresh.remove(&event);
        self.changed.insert(event);
        (Outcome::Retried, turn)
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

    /// The next event of all, which there was no room for, is given up.
    pub(super) fn bury(&mut self, head: &Head, wanted: bool, now: Timestamp) {
        self.read_to = self.read_to.max(head.event);
        if wanted {
            let error = self.state.error.clone();
            let (event, dead_at) = (head.event, Some(now));
            self.dead.push(PassedBy { event, attempts: 0, failed_at: None, next_at: None, dead_at, error });
        }
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
        self.stays(event);
        let item = self.items.remove(&event)?;
        self.fresh.remove(&event);
        self.changed.remove(&event);
        if item.stored {
            self.delivered.push(event);
        }
        if let Some(lane) = self.lanes.get_mut(&item.lane) {
            let was_first = lane.known.first() == Some(&event);
            lane.known.remove(&event);
            match lane.known.first().copied() {
                None if lane.more => {
                    self.hungry.insert(Arc::clone(&item.lane));
                }
                None => {
                    self.lanes.remove(&item.lane);
                }
                Some(next) if was_first => self.goes(next),
                Some(_) => {}
            }
        }
        Some(item)
    }

    /// The clock was set: what is to come is as far away as before, and what was is as long ago.
    pub(super) fn shift(&mut self, by: SignedDuration) {
        let moved = |at: &mut Timestamp| *at = at.checked_add(by).unwrap_or(*at);
        for item in self.items.values_mut() {
            moved(&mut item.at);
            item.failed_at.iter_mut().for_each(moved);
            if item.next_at > Timestamp::MIN {
                moved(&mut item.next_at);
            }
        }
        self.due = std::mem::take(&mut self.due)
            .into_iter()
            .map(|(_, event)| (self.items.get(&event).map_or(Timestamp::MIN, |item| item.next_at), event))
            .collect();
        self.state.failing_since.iter_mut().for_each(moved);
        if let Some(down) = &mut self.health.down {
            moved(&mut down.at);
            moved(&mut down.others_at);
        }
    }
}

/// Which lane an event goes in. One that is about no address waits for no other.
fn lane_of(address_key: &str, event: i64) -> Arc<str> {
    if address_key.is_empty() { event.to_string().into() } else { address_key.into() }
}

#[cfg(test)]
mod tests;
