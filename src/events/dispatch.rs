//! Brings the events of the outbox to one endpoint, until told to stop.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::body;
use super::client::{Answer, Receiver};
use super::endpoint::Endpoint;
use super::lanes::{Lanes, Outcome, PATIENCE, Turn};
use crate::metrics;
use crate::store::{Burial, Deliveries, Outbox, StoreError, Streams};

/// How often the store is asked for what other processes have written.
const POLL: Duration = Duration::from_secs(5);

/// How often, at most, it is written down how far an endpoint is: what was delivered since then comes twice where the
/// program is killed.
const WRITE_EVERY: Duration = Duration::from_millis(250);

/// How long the store is left alone when it could not be asked.
const PAUSE: Duration = Duration::from_secs(5);

/// Events given up in one transaction.
const BURIED_AT_ONCE: u32 = 1_000;

/// The time of the day, from a clock that does not jump.
#[derive(Debug, Clone, Copy)]
struct Clock {
    date: Timestamp,
    at: Instant,
}

impl Clock {
    fn now(&self) -> Timestamp {
        self.date.checked_add(self.at.elapsed()).unwrap_or(Timestamp::MAX)
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
    streams: Arc<Streams>,
    shutdown: CancellationToken,
    grace: Duration,
}

/// What a try came to: `None`, when it was none, since the store could not be asked.
type Tried = (i64, Option<Answer>, Duration);

/// What runs while an endpoint is served.
struct Work {
    clock: Clock,
    lanes: Lanes,
    tries: JoinSet<Tried>,
    commits: watch::Receiver<u64>,
    /// There may be events that were not read.
    news: bool,
    /// Whether all that was passed by was read, and up to which event.
    waiting: Option<i64>,
    next_poll: Instant,
    next_write: Instant,
}

impl<S: Outbox + Deliveries, R: Receiver> Dispatcher<S, R> {
    /// Brings the events of a store to an endpoint, by way of `receiver`. When `shutdown` is cancelled, what is on its
    /// way may end within `grace`.
    #[must_use]
    pub fn new(
        store: Arc<S>,
        receiver: R,
        endpoint: Endpoint,
        streams: Streams,
        shutdown: CancellationToken,
        grace: Duration,
    ) -> Self {
        let (receiver, endpoint) = (Arc::new(receiver), Arc::new(endpoint));
        Self { store, receiver, endpoint, streams: Arc::new(streams), shutdown, grace }
    }

    /// Works until the shutdown.
    pub async fn run(&self) {
        let clock = Clock { date: Timestamp::now(), at: Instant::now() };
        while !self.shutdown.is_cancelled() {
            match self.store.webhook(&self.endpoint.name).await {
                Ok(state) => {
                    debug!(webhook = self.endpoint.name, through = state.through, "events are brought");
                    let lanes = Lanes::new(state, self.endpoint.concurrency);
                    self.work(Work {
                        clock,
                        lanes,
                        tries: JoinSet::new(),
                        commits: self.store.commits(),
                        news: true,
                        waiting: Some(0),
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
                work.news = false; // until the next poll
            }
            while let Some(event) = work.lanes.next(work.clock.now()) {
                work.tries.spawn(self.attempt(event));
            }
            if Instant::now() >= work.next_write && !self.write(&mut work).await {
                break;
            }
            if !self.wait(&mut work).await {
                break;
            }
        }
        self.finish(work).await;
    }

    /// Reads what comes next, as far as there is room: first what was passed by.
    async fn read(&self, work: &mut Work) -> Result<(), StoreError> {
        while let Some(after) = work.waiting {
            let room = work.lanes.room_for_waiting();
            if room == 0 {
                return Ok(());
            }
            let page = u32::try_from(room).unwrap_or(u32::MAX);
            let waiting = self.store.waiting(&self.endpoint.name, after, page).await?;
            work.waiting = waiting.last().map(|last| last.event).filter(|_| waiting.len() == room);
            waiting.into_iter().for_each(|waiting| work.lanes.wait(waiting));
        }
        while work.news {
            let room = work.lanes.room();
            if room == 0 {
                return Ok(());
            }
            let page = u32::try_from(room).unwrap_or(u32::MAX);
            let heads = self.store.heads(work.lanes.read_to(), page).await?;
            work.news = heads.len() == room;
            for head in heads {
                let wanted = self.endpoint.wants(head.kind, head.stream);
                work.lanes.offer(head, wanted);
            }
        }
        Ok(())
    }

    /// One try.
    fn attempt(&self, event: i64) -> impl Future<Output = Tried> + Send + use<S, R> {
        let (store, receiver) = (Arc::clone(&self.store), Arc::clone(&self.receiver));
        let (endpoint, streams) = (Arc::clone(&self.endpoint), Arc::clone(&self.streams));
        async move {
            let started = Instant::now();
            let answer = match store.outbox_event(event).await {
                Ok(found) => match found.and_then(|event| body::message(event, &endpoint, &streams)) {
                    Some(message) => Some(receiver.bring(message).await),
                    None => Some(Answer::Taken), // erased: there is nothing to tell any more
                },
                Err(error) => {
                    debug!(%error, event, "cannot read an event");
                    None
                }
            };
            (event, answer, started.elapsed())
        }
    }

    /// Waits for an answer, for news, or for the time of the next try. False: it has to look anew where it stands.
    async fn wait(&self, work: &mut Work) -> bool {
        let wake = work.lanes.wake_at().map(|at| work.clock.when(at));
        let until = wake.into_iter().chain([work.next_poll]).min().unwrap_or(work.next_poll);
        let unwritten = work.next_write > Instant::now();
        let until = if unwritten { until.min(work.next_write) } else { until };
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => {}
            Some(tried) = work.tries.join_next(), if !work.tries.is_empty() => {
                if let Ok(tried) = tried {
                    return self.settle(work, tried).await;
                }
            }
            Ok(()) = work.commits.changed(), if !work.news => work.news = true,
            () = sleep_until(until) => {
                if Instant::now() >= work.next_poll {
                    work.next_poll = Instant::now() + POLL;
                    work.news = true;
                    return self.is_current(work).await;
                }
            }
        }
        true
    }

    /// Whether nobody has asked for events again.
    async fn is_current(&self, work: &Work) -> bool {
        match self.store.webhook(&self.endpoint.name).await {
            Ok(state) => state.replays == work.lanes.written().replays,
            Err(error) => {
                self.complain(&error);
                true
            }
        }
    }

    /// Takes the result of a try. False: as [`Self::wait`].
    async fn settle(&self, work: &mut Work, (event, answer, took): Tried) -> bool {
        let now = work.clock.now();
        let Some(answer) = answer else {
            work.lanes.put_back(event, now.checked_add(PAUSE).unwrap_or(now));
            return true;
        };
        let name = &self.endpoint.name;
        if let Answer::Refused { error, .. } = &answer {
            debug!(webhook = name, event, error, "an event was not taken");
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
        let all = work.lanes.give_up_old(now);
        if !self.write(work).await {
            return false;
        }
        let before = now.checked_sub(PATIENCE).unwrap_or(Timestamp::MIN);
        while all && !self.shutdown.is_cancelled() {
            let burial = Burial {
                state: work.lanes.written().clone(),
                before,
                types: self.endpoint.types.clone(),
                streams: self.endpoint.streams.clone(),
                at: now,
                limit: BURIED_AT_ONCE,
            };
            match self.store.bury(burial).await {
                Ok(Some(through)) => work.lanes.buried(through),
                Ok(None) => break,
                Err(error) => {
                    self.complain(&error);
                    break;
                }
            }
        }
        warn!(
            webhook = self.endpoint.name,
            "what waited for a day was given up; see `dsnd events dead`, and `dsnd events replay` once it is back"
        );
        true
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
            while let Some(tried) = work.tries.join_next().await {
                if let Ok((event, Some(answer), _)) = tried {
                    work.lanes.settle(event, answer, work.clock.now(), chance());
                }
            }
        };
        if timeout(self.grace, ended).await.is_err() {
            debug!(webhook = self.endpoint.name, "tries were cut off; the events are brought again");
        }
        work.tries.shutdown().await;
        self.write(&mut work).await;
    }

    fn complain(&self, error: &StoreError) {
        warn!(webhook = self.endpoint.name, %error, "events wait for the database");
    }
}

/// A number between 0 and 1.
fn chance() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX)
}
