//! Brings the events of the outbox to one endpoint, until told to stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::body;
use super::client::{Answer, Receiver};
use super::endpoint::{Endpoint, Way};
use super::lanes::{Lanes, Outcome, PATIENCE, Turn};
use crate::metrics;
use crate::store::{Deliveries, Outbox, StoreError, Streams};

/// How often the store is asked for what other processes have written.
const POLL: Duration = Duration::from_secs(5);

/// How often, at most, it is written down how far an endpoint is: what was delivered since then comes twice where the
/// program is killed.
const WRITE_EVERY: Duration = Duration::from_millis(250);

/// How long the store is left alone when it could not be asked.
const PAUSE: Duration = Duration::from_secs(5);

/// How often, at most, the log tells of refusals.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Events given up in one transaction.
const BURIED_AT_ONCE: u32 = 1_000;

/// A clock that goes so much differently from ours was set, or the machine slept.
const SET: SignedDuration = SignedDuration::from_secs(60);

/// The time of the day, from a clock that does not jump by itself.
#[derive(Debug, Clone, Copy)]
struct Clock {
    date: Timestamp,
    at: Instant,
}

impl Clock {
    fn now(&self) -> Timestamp {
        self.date.checked_add(self.at.elapsed()).unwrap_or(Timestamp::MAX)
    }

    /// How far the date was set since it was taken; from now on it is this one.
    fn set(&mut self, date: Timestamp) -> Option<SignedDuration> {
        let by = date.duration_since(self.now());
        if by.abs() < SET {
            return None;
        }
        *self = Self { date, at: Instant::now() };
        Some(by)
    }

    /// The moment at which it will be that late.
    fn when(&self, at: Timestamp) -> Instant {
        let ahead = Duration::try_from(at.duration_since(self.now())).unwrap_or_default();
        Instant::now() + ahead.min(POLL)
    }
}

/// Brings events to one endpoint.
#[derive(Debug)]
pub struct Dispatcher<S, R> {
    store: Arc<S>,
    receiver: Arc<R>,
    endpoint: Arc<Endpoint>,
    way: Way,
    /// What the database and the log call it.
    name: String,
    streams: Arc<Streams>,
    shutdown: CancellationToken,
    grace: Duration,
    /// What the time of the day is taken from.
    date: fn() -> Timestamp,
}

/// What a try came to.
#[derive(Debug)]
enum Tried {
    /// The endpoint's answer, after so long.
    Answered(Answer, Duration),
    /// There was nothing to bring.
    Nothing,
    /// The store could not be asked.
    Unread,
}

/// What runs while an endpoint is served.
struct Work {
    clock: Clock,
    lanes: Lanes,
    tries: JoinSet<Tried>,
    /// The event that each of them is about.
    tried: HashMap<Id, i64>,
    newest: watch::Receiver<i64>,
    /// There may be events that were not read.
    news: bool,
    /// Whether all that was passed by was read, and up to which event.
    waiting: Option<i64>,
    /// The store could not be asked: it is left alone until then.
    rest: Option<Instant>,
    refusals: Refusals,
    next_poll: Instant,
    next_write: Instant,
}

impl Work {
    /// Whether the store may be asked.
    fn may_read(&self) -> bool {
        self.rest.is_none_or(|rest| Instant::now() >= rest)
    }

    /// The event of a try that ended, and what it came to. One that panicked leaves its place as well.
    fn ended(&mut self, ended: Result<(Id, Tried), JoinError>) -> Option<(i64, Tried)> {
        let (id, tried) = ended.unwrap_or_else(|panic| {
            error!(error = %panic, "a fault of dsnd: bringing an event panicked; it is tried again");
            let error = "dsnd panicked while it brought the event".to_owned();
            let answer = Answer::Refused { error, retry_after: None, whole: false };
            (panic.id(), Tried::Answered(answer, Duration::ZERO))
        });
        Some((self.tried.remove(&id)?, tried))
    }

    /// Whether there is something to read, and room for it.
    fn has_more(&self) -> bool {
        match self.waiting {
            Some(_) => self.lanes.room_for_waiting() > 0,
            None => (self.news && self.lanes.room() > 0) || self.lanes.hungry().is_some(),
        }
    }
}

/// Tells the log of refusals: of the first at once, of those that follow once a minute.
#[derive(Debug, Default)]
struct Refusals {
    told: Option<Instant>,
    count: u64,
    last: String,
}

impl Refusals {
    fn add(&mut self, error: &str) {
        self.count += 1;
        error.clone_into(&mut self.last);
    }

    /// How many there were since the log was told, and the last of them, where it is time to tell.
    fn due(&mut self, now: Instant) -> Option<(u64, String)> {
        if self.count == 0 || self.told.is_some_and(|told| now < told + TELL_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some((std::mem::take(&mut self.count), std::mem::take(&mut self.last)))
    }
}

impl<S: Outbox + Deliveries, R: Receiver> Dispatcher<S, R> {
    /// Brings the events of a store to an endpoint on one of its ways, through `receiver`. When `shutdown` is
    /// cancelled, what is on its way may end within `grace`.
    #[must_use]
    pub fn new(
        store: Arc<S>,
        receiver: Arc<R>,
        (endpoint, way): (Arc<Endpoint>, Way),
        streams: Arc<Streams>,
        shutdown: CancellationToken,
        grace: Duration,
    ) -> Self {
        let name = endpoint.named(way);
        Self { store, receiver, endpoint, way, name, streams, shutdown, grace, date: Timestamp::now }
    }

    /// The same with another time of the day.
    #[cfg(test)]
    pub(super) fn dated(self, date: fn() -> Timestamp) -> Self {
        Self { date, ..self }
    }

    /// Works until the shutdown.
    pub async fn run(&self) {
        while !self.shutdown.is_cancelled() {
            match self.store.webhook(&self.name).await {
                Ok(state) => {
                    debug!(webhook = self.name, through = state.through, "events are brought");
                    let lanes = Lanes::new(state, self.endpoint.places(self.way));
                    self.work(Work {
                        clock: Clock { date: (self.date)(), at: Instant::now() },
                        lanes,
                        tries: JoinSet::new(),
                        tried: HashMap::new(),
                        newest: self.store.newest(),
                        news: true,
                        waiting: Some(0),
                        rest: None,
                        refusals: Refusals::default(),
                        next_poll: Instant::now() + POLL,
                        next_write: Instant::now(),
                    })
                    .await;
                }
                Err(error) => {
                    self.complain(&error);
                    let _ = timeout(PAUSE, self.shutdown.cancelled()).await;
                }
            }
        }
    }

    /// Until the shutdown, or until somebody asked for events again, so that it has to look anew where it stands.
    async fn work(&self, mut work: Work) {
        while !self.shutdown.is_cancelled() {
            if let Err(error) = self.read(&mut work).await {
                self.complain(&error);
                work.rest = Some(Instant::now() + PAUSE);
            }
            while let Some(event) = work.lanes.next(work.clock.now()) {
                work.tried.insert(work.tries.spawn(self.attempt(event)).id(), event);
            }
            if Instant::now() >= work.next_write && !self.write(&mut work).await {
                break;
            }
            if let Some((count, last)) = work.refusals.due(Instant::now()) {
                warn!(webhook = self.name, count, last, "the webhook refused events; they are tried again");
            }
            if !self.wait(&mut work).await {
                break;
            }
        }
        self.finish(work).await;
    }

    /// Reads the next page, where there is room: first of what was passed by.
    async fn read(&self, work: &mut Work) -> Result<(), StoreError> {
        if !work.may_read() {
            return Ok(());
        }
        work.rest = None;
        if let Some(after) = work.waiting {
            let room = work.lanes.room_for_waiting();
            if room > 0 {
                let page = u32::try_from(room).unwrap_or(u32::MAX);
                let waiting = self.store.waiting(&self.name, after, page).await?;
                work.waiting = waiting.last().map(|last| last.event).filter(|_| waiting.len() == room);
                let now = work.clock.now();
                waiting.into_iter().for_each(|waiting| work.lanes.wait(waiting, now));
            }
            return Ok(());
        }
        self.read_hungry(work).await?;
        let room = if work.news { work.lanes.room() } else { 0 };
        if room > 0 {
            let page = u32::try_from(room).unwrap_or(u32::MAX);
            let heads = self.store.heads(work.lanes.read_to(), page).await?;
            work.news = heads.len() == room;
            for head in heads {
                let wanted = self.endpoint.wants(&head, self.way);
                work.lanes.offer(head, wanted);
            }
        }
        Ok(())
    }

    /// Reads the next events of lanes of which none is known here.
    async fn read_hungry(&self, work: &mut Work) -> Result<(), StoreError> {
        while let Some((address, after, limit)) = work.lanes.hungry() {
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            let found = self.store.waiting_about(&self.name, &address, after, limit).await?;
            work.lanes.feed(&address, found, work.clock.now());
        }
        Ok(())
    }

    /// One try.
    fn attempt(&self, event: i64) -> impl Future<Output = Tried> + Send + use<S, R> {
        let (store, receiver) = (Arc::clone(&self.store), Arc::clone(&self.receiver));
        let (endpoint, streams) = (Arc::clone(&self.endpoint), Arc::clone(&self.streams));
        async move {
            let started = Instant::now();
            let found = match store.outbox_event(event).await {
                Ok(found) => found,
                Err(error) => {
                    debug!(%error, event, "cannot read an event");
                    return Tried::Unread;
                }
            };
            match found.and_then(|event| body::message(event, &endpoint, &streams)) {
                Some(message) => Tried::Answered(receiver.bring(message).await, started.elapsed()),
                None => Tried::Nothing,
            }
        }
    }

    /// Waits for an answer, for news, or for the time of the next try. False: it has to look anew where it stands.
    async fn wait(&self, work: &mut Work) -> bool {
        if Instant::now() >= work.next_poll {
            work.next_poll = Instant::now() + POLL;
            work.news = true;
            if let Some(by) = work.clock.set((self.date)()) {
                debug!(webhook = self.name, %by, "the clock was set");
                work.lanes.shift(by);
            }
            return self.is_current(work).await;
        }
        let wake = work.lanes.wake_at().map(|at| work.clock.when(at));
        let until = wake.into_iter().chain([work.next_poll]).min().unwrap_or(work.next_poll);
        let unwritten = work.next_write > Instant::now();
        let until = if unwritten { until.min(work.next_write) } else { until };
        let more = work.may_read() && work.has_more();
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => {}
            Some(ended) = work.tries.join_next_with_id(), if !work.tries.is_empty() => {
                if let Some((event, tried)) = work.ended(ended) {
                    return self.settle(work, event, tried).await;
                }
            }
            // There is more to read.
            () = std::future::ready(()), if more => {}
            Ok(()) = work.newest.changed(), if !work.news => work.news = true,
            () = sleep_until(until) => {}
        }
        true
    }

    /// Whether nobody has asked for events again.
    async fn is_current(&self, work: &Work) -> bool {
        match self.store.webhook(&self.name).await {
            Ok(state) => state.replays == work.lanes.written().replays,
            Err(error) => {
                self.complain(&error);
                true
            }
        }
    }

    /// Takes the result of a try. False: as [`Self::wait`].
    async fn settle(&self, work: &mut Work, event: i64, tried: Tried) -> bool {
        let now = work.clock.now();
        let (answer, took) = match tried {
            Tried::Answered(answer, took) => (answer, took),
            Tried::Nothing => {
                work.lanes.skip(event);
                return true;
            }
            Tried::Unread => {
                work.lanes.put_back(event, now.checked_add(PAUSE).unwrap_or(now));
                return true;
            }
        };
        let name = &self.name;
        if let Answer::Refused { error, .. } = &answer {
            debug!(webhook = name, event, error, "an event was not taken");
            work.refusals.add(error);
        }
        let error = match &answer {
            Answer::Refused { error, .. } => error.clone(),
            Answer::Taken => String::new(),
        };
        let (outcome, turn) = work.lanes.settle(event, answer, now, chance());
        let word = match outcome {
            Outcome::Delivered => "delivered",
            Outcome::Retried => "retried",
            Outcome::Dead => {
                warn!(webhook = name, event, error, "an event was given up; see `dsnd events dead`");
                "dead"
            }
        };
        metrics::webhook_delivered(word, took);
        match turn {
            Turn::Same => true,
            Turn::WentDown => {
                warn!(webhook = name, error, "the webhook takes nothing; events wait, and it is tried again");
                true
            }
            Turn::CameUp => {
                info!(webhook = name, "the webhook takes events again");
                true
            }
            Turn::Hopeless => self.give_up(work, now).await,
        }
    }

    /// Gives up what has waited for a day for an endpoint that takes nothing. False: as [`Self::wait`].
    async fn give_up(&self, work: &mut Work, now: Timestamp) -> bool {
        // Those of a lane that the store alone knows come up when those before them are gone.
        while work.lanes.give_up_old(now) && !self.shutdown.is_cancelled() {
            if !self.write(work).await {
                return false;
            }
            if !work.lanes.is_written() {
                break;
            }
            match self.give_up_more(work, now).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.complain(&error);
                    break;
                }
            }
        }
        warn!(
            webhook = self.name,
            "what waited for a day was given up; see `dsnd events dead`, and `dsnd events replay` once it is back"
        );
        true
    }

    /// The same for what it has not come to yet, a page at a time. False: there is no more.
    async fn give_up_more(&self, work: &mut Work, now: Timestamp) -> Result<bool, StoreError> {
        let before = now.checked_sub(PATIENCE).unwrap_or(Timestamp::MIN);
        let hungry = work.lanes.hungry().is_some();
        self.read_hungry(work).await?;
        let heads = self.store.heads(work.lanes.read_to(), BURIED_AT_ONCE).await?;
        let old: Vec<_> = heads.into_iter().take_while(|head| head.at < before).collect();
        for head in &old {
            work.lanes.bury(head, self.endpoint.wants(head, self.way), now);
        }
        Ok(hungry || !old.is_empty())
    }

    /// Writes down how far it is. False: as [`Self::wait`].
    async fn write(&self, work: &mut Work) -> bool {
        let Some(progress) = work.lanes.progress() else { return true };
        work.next_write = Instant::now() + WRITE_EVERY;
        match self.store.progress(progress.clone()).await {
            Ok(true) => {
                work.lanes.wrote(progress);
                true
            }
            Ok(false) => false,
            Err(error) => {
                self.complain(&error);
                work.lanes.not_written(progress);
                work.next_write = Instant::now() + PAUSE;
                true
            }
        }
    }

    /// Lets what is on its way end, and writes down what came of it.
    async fn finish(&self, mut work: Work) {
        let ended = async {
            while let Some(ended) = work.tries.join_next_with_id().await {
                if let Some((event, Tried::Answered(answer, _))) = work.ended(ended) {
                    work.lanes.settle(event, answer, work.clock.now(), chance());
                }
            }
        };
        if timeout(self.grace, ended).await.is_err() {
            debug!(webhook = self.name, "tries were cut off; the events are brought again");
        }
        work.tries.shutdown().await;
        self.write(&mut work).await;
    }

    fn complain(&self, error: &StoreError) {
        warn!(webhook = self.name, %error, "events wait for the database");
    }
}

/// A number between 0 and 1.
fn chance() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}
