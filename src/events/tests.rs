//! A receiver that is down, slow or refuses, in simulated time and on a real database.

mod attacks;
mod faults;

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::body::Message;
use super::*;
use crate::returnpath::Trust;
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{
    Again, DeadLetter, Deliveries, EventType, Head, NewMessage, Outbox, OutboxBounds, OutboxEvent,
    OutboxFilter, Page, Progress, Settings, Store, StoreError, Waiting, WebhookStanding, WebhookState,
    contract,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// Where databases do their work: their threads know nothing of simulated time.
static OUTSIDE: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
});

/// A store in simulated time: while it is asked, no time passes.
struct Timeless {
    store: Arc<SqliteStore>,
    /// The store tells of news from a thread of its own, when time may pass again.
    newest: watch::Sender<i64>,
}

impl Timeless {
    async fn ask<T, F>(&self, ask: impl FnOnce(Arc<SqliteStore>) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let answer = ask(Arc::clone(&self.store));
        tokio::task::spawn_blocking(move || OUTSIDE.block_on(answer)).await.unwrap()
    }

    /// Records a message, and tells those who wait for news.
    async fn record(&self, message: NewMessage) {
        self.ask(|store| async move { store.record(message).await }).await.unwrap();
        self.newest.send_replace(self.outbox_bounds().await.unwrap().newest);
    }
}

impl Outbox for Timeless {
    fn newest(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }

    async fn outbox_bounds(&self) -> Result<OutboxBounds, StoreError> {
        self.ask(|store| async move { store.outbox_bounds().await }).await
    }

    async fn outbox(&self, filter: &OutboxFilter) -> Result<Page<OutboxEvent>, StoreError> {
        let filter = filter.clone();
        self.ask(|store| async move { store.outbox(&filter).await }).await
    }

    async fn outbox_event(&self, id: i64) -> Result<Option<OutboxEvent>, StoreError> {
        self.ask(move |store| async move { store.outbox_event(id).await }).await
    }

    async fn prune_outbox(
        &self,
        before: Timestamp,
        names: Vec<String>,
        limit: u32,
    ) -> Result<u64, StoreError> {
        self.ask(move |store| async move { store.prune_outbox(before, names, limit).await }).await
    }
}

impl Deliveries for Timeless {
    async fn webhook(&self, name: &str) -> Result<WebhookState, StoreError> {
        let name = name.to_owned();
        self.ask(|store| async move { store.webhook(&name).await }).await
    }

    async fn webhooks(&self) -> Result<Vec<WebhookStanding>, StoreError> {
        self.ask(|store| async move { store.webhooks().await }).await
    }

    async fn heads(&self, after: i64, limit: u32) -> Result<Vec<Head>, StoreError> {
        self.ask(move |store| async move { store.heads(after, limit).await }).await
    }

    async fn waiting(&self, name: &str, after: i64, limit: u32) -> Result<Vec<Waiting>, StoreError> {
        let name = name.to_owned();
        self.ask(move |store| async move { store.waiting(&name, after, limit).await }).await
    }

    async fn progress(&self, progress: Progress) -> Result<bool, StoreError> {
        self.ask(|store| async move { store.progress(progress).await }).await
    }

    async fn waiting_about(
        &self,
        name: &str,
        address_key: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Waiting>, StoreError> {
        let (name, address) = (name.to_owned(), address_key.to_owned());
        self.ask(move |store| async move { store.waiting_about(&name, &address, after, limit).await }).await
    }

    async fn dead(
        &self,
        name: Option<&str>,
        after: Option<(String, i64)>,
        limit: u32,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        let name = name.map(str::to_owned);
        self.ask(move |store| async move { store.dead(name.as_deref(), after, limit).await }).await
    }

    async fn again(&self, name: &str, what: Again) -> Result<u64, StoreError> {
        let name = name.to_owned();
        self.ask(move |store| async move { store.again(&name, what).await }).await
    }
}

thread_local! {
    /// The time of the day in simulated time.
    static DATE: Cell<(Timestamp, Instant)> = Cell::new((Timestamp::now(), Instant::now()));
}

fn date() -> Timestamp {
    let (date, at) = DATE.get();
    date + at.elapsed()
}

fn set_the_clock(date: Timestamp) {
    DATE.set((date, Instant::now()));
}

/// What came to an endpoint.
#[derive(Debug, Clone)]
struct Came {
    id: String,
    event: i64,
    address: String,
    at: Duration,
    taken: bool,
}

/// What an endpoint does with what comes: after how long it answers, and what. It is told the time since the
/// beginning, the address, and how often this event came before.
type Manners = Arc<dyn Fn(Duration, &str, usize) -> (Duration, Answer) + Send + Sync>;

#[derive(Clone)]
struct Scripted {
    began: Instant,
    manners: Manners,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Receiver for Scripted {
    async fn bring(&self, message: Message) -> Answer {
        let event: Value = serde_json::from_slice(&message.body).unwrap();
        let data = &event["data"];
        let ses = &event["bounce"]["bouncedRecipients"][0]["emailAddress"];
        let address =
            data["recipient"].as_str().or(data["address"].as_str()).or(ses.as_str()).unwrap().to_owned();
        let at = self.began.elapsed();
        let before = self.came.lock().unwrap().iter().filter(|came| came.id == message.id).count();
        let (after, answer) = (self.manners)(at, &address, before);
        let came = Came {
            id: message.id,
            event: event["id"].as_i64().unwrap_or_default(),
            address,
            at,
            taken: answer == Answer::Taken,
        };
        self.came.lock().unwrap().push(came);
        sleep(after).await;
        answer
    }
}

fn refused(error: &str, retry_after: Option<u64>, whole: bool) -> Answer {
    Answer::Refused { error: error.to_owned(), retry_after: retry_after.map(Duration::from_secs), whole }
}

fn endpoint() -> Endpoint {
    Endpoint {
        name: "crm".to_owned(),
        url: Endpoint::url("http://127.0.0.1/", false).unwrap(),
        secret: Secret::parse("a long enough secret").unwrap(),
        types: EventType::ALL.to_vec(),
        streams: vec![],
        unproven: false,
        format: Format::Dsnd,
        timeout: Duration::from_secs(10),
        concurrency: 4,
        enabled: true,
    }
}

/// A database, and an endpoint that it brings its events to.
struct Scene {
    _dir: TempDir,
    store: Arc<Timeless>,
    receiver: Scripted,
    endpoint: Endpoint,
    running: Option<(JoinSet<()>, CancellationToken)>,
    number: u8,
}

impl Scene {
    async fn new(
        manners: impl Fn(Duration, &str, usize) -> (Duration, Answer) + Send + Sync + 'static,
    ) -> Self {
        Self::at(endpoint(), manners).await
    }

    async fn at(
        endpoint: Endpoint,
        manners: impl Fn(Duration, &str, usize) -> (Duration, Answer) + Send + Sync + 'static,
    ) -> Self {
        set_the_clock(Timestamp::now());
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("dsnd.db");
        let open = move || {
            let wait = Duration::from_secs(5);
            OUTSIDE.block_on(SqliteStore::open(&path, Access::Serve, Settings::default(), wait))
        };
        let store = tokio::task::spawn_blocking(open).await.unwrap().unwrap();
        let store = Arc::new(Timeless { store: Arc::new(store), newest: watch::Sender::new(0) });
        for name in endpoint.names() {
            store.webhook(&name).await.unwrap();
        }
        let receiver = Scripted { began: Instant::now(), manners: Arc::new(manners), came: Arc::default() };
        let mut scene = Self { _dir: dir, store, receiver, endpoint, running: None, number: 0 };
        scene.start();
        scene
    }

    fn start(&mut self) {
        let shutdown = CancellationToken::new();
        let mut ways = JoinSet::new();
        for way in self.endpoint.ways() {
            let dispatcher = Dispatcher::new(
                Arc::clone(&self.store),
                Arc::new(self.receiver.clone()),
                (Arc::new(self.endpoint.clone()), *way),
                Arc::default(),
                shutdown.clone(),
                Duration::from_secs(30),
            )
            .dated(date);
            ways.spawn(async move { dispatcher.run().await });
        }
        self.running = Some((ways, shutdown));
    }

    /// Ends it as SIGKILL does.
    fn kill(&mut self) {
        if let Some((mut ways, _)) = self.running.take() {
            ways.abort_all();
        }
    }

    async fn stop(&mut self) {
        if let Some((ways, shutdown)) = self.running.take() {
            shutdown.cancel();
            ways.join_all().await;
        }
    }

    /// Three messages of a thousand reports each about one address.
    async fn flood(&mut self, address: &str, believed: bool) {
        for _ in 0..3 {
            self.number += 1;
            let reports = (0..1_000).flat_map(|_| contract::hard(address)).collect();
            let mut message = contract::message(self.number, 0, reports);
            for (number, event) in message.events.iter_mut().enumerate() {
                event.key[2..4].copy_from_slice(&u16::try_from(number).unwrap().to_be_bytes());
                if !believed {
                    (event.trust, event.applies, event.quarantined) = (Trust::Unsigned, false, true);
                }
            }
            self.store.record(message).await;
        }
    }

    /// How long it took until an event about this address was taken, in simulated time.
    async fn until_told_of(&self, address: &str) -> Duration {
        let began = Instant::now();
        while !self.came().iter().any(|came| came.taken && came.address == address) {
            assert!(began.elapsed() < HOUR, "{address} is not told of");
            sleep(Duration::from_millis(5)).await;
        }
        began.elapsed()
    }

    /// A hard bounce: two events about the address, or one where it is suppressed already.
    async fn bounce(&mut self, address: &str) {
        self.number += 1;
        let message = contract::message(self.number, 0, contract::hard(address));
        self.store.record(message).await;
    }

    fn came(&self) -> Vec<Came> {
        self.receiver.came.lock().unwrap().clone()
    }

    fn taken(&self) -> Vec<i64> {
        self.came().iter().filter(|came| came.taken).map(|came| came.event).collect()
    }

    /// Waits, in simulated time, until an event was taken; in how long.
    async fn until_taken(&self, events: std::ops::RangeInclusive<i64>) {
        for _ in 0..200_000 {
            let taken = self.taken();
            if events.clone().all(|event| taken.contains(&event)) {
                return;
            }
            sleep(Duration::from_secs(1)).await;
        }
        panic!("{events:?} were not taken: {:?}", self.came());
    }

    /// Every event was taken, each address has its order, and the same event has the same id.
    fn check(&self, events: std::ops::RangeInclusive<i64>) {
        let taken = self.taken();
        assert!(events.clone().all(|event| taken.contains(&event)), "{taken:?}");
        let (mut last, mut ids, mut known) = (HashMap::new(), HashMap::new(), HashSet::new());
        for came in self.came() {
            assert_eq!(ids.entry(came.event).or_insert_with(|| came.id.clone()), &came.id);
            // A double may come after a kill: its id says that it is one.
            if came.taken && known.insert(came.event) {
                let last = last.entry(came.address.clone()).or_insert(0);
                assert!(*last <= came.event, "{} after {last}", came.event);
                *last = came.event;
            }
        }
    }
}

fn takes(_: Duration, _: &str, _: usize) -> (Duration, Answer) {
    (Duration::from_millis(5), Answer::Taken)
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_told_once_and_at_once() {
    let mut scene = Scene::new(takes).await;
    for address in ["a@example.org", "b@example.org", "a@example.org"] {
        scene.bounce(address).await;
    }
    scene.until_taken(1..=5).await;
    assert!(scene.receiver.began.elapsed() < Duration::from_secs(7), "{:?}", scene.receiver.began.elapsed());
    sleep(HOUR).await;
    assert_eq!(scene.came().len(), 5, "nothing comes twice without need");
    scene.check(1..=5);
    scene.stop().await;
    let [state] = &scene.store.webhooks().await.unwrap()[..] else { panic!("one webhook") };
    assert_eq!((state.state.through, state.behind, state.waiting, state.dead), (5, 0, 0, 0));
    assert!(state.state.delivered_at.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_down_for_an_hour_gets_everything_and_is_not_pestered() {
    let mut scene = Scene::new(|at, _, _| {
        let answer = if at < HOUR { refused("connection refused", None, true) } else { Answer::Taken };
        (Duration::ZERO, answer)
    })
    .await;
    for number in 0..100 {
        scene.bounce(&format!("{}@example.org", number % 40)).await;
        sleep(Duration::from_secs(20)).await;
    }
    let [state] = &scene.store.webhooks().await.unwrap()[..] else { panic!("one webhook") };
    assert!(state.state.failing_since.is_some(), "{state:?}");
    // Which events asked meanwhile is left to chance, and so is how many are passed by.
    assert_eq!(state.behind + state.waiting, 140, "{state:?}");
    scene.until_taken(1..=140).await;
    let tries = scene.came().iter().filter(|came| !came.taken).count();
    assert!((8..20).contains(&tries), "{tries} tries within the hour");
    assert!(scene.receiver.began.elapsed() < HOUR * 2, "{:?}", scene.receiver.began.elapsed());
    scene.check(1..=140);
    sleep(HOUR).await;
    let [state] = &scene.store.webhooks().await.unwrap()[..] else { panic!("one webhook") };
    assert_eq!((state.state.failing_since, state.behind, state.waiting, state.dead), (None, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_asks_for_time_gets_it() {
    let mut scene = Scene::new(|at, _, _| {
        let busy = at < Duration::from_secs(100);
        (Duration::ZERO, if busy { refused("429 Too Many Requests", Some(120), true) } else { Answer::Taken })
    })
    .await;
    for address in ["a@example.org", "b@example.org", "c@example.org"] {
        scene.bounce(address).await;
        sleep(Duration::from_secs(10)).await;
    }
    scene.until_taken(1..=6).await;
    scene.check(1..=6);
    let mut came: Vec<Duration> = scene.came().iter().map(|came| came.at).collect();
    came.dedup();
    let gap = came.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(gap >= Duration::from_secs(119), "{came:?}");
    assert!(scene.came().iter().filter(|came| !came.taken).count() <= 2, "{came:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_day_events_are_given_up_kept_and_brought_when_somebody_asks() {
    let mut scene = Scene::new(|at, _, _| {
        let answer = if at < HOUR * 50 { refused("connection refused", None, true) } else { Answer::Taken };
        (Duration::ZERO, answer)
    })
    .await;
    for number in 0..30 {
        scene.bounce(&format!("{number}@example.org")).await;
    }
    sleep(HOUR * 23).await;
    assert!(scene.store.dead(None, None, 1).await.unwrap().is_empty(), "their day is not over");
    sleep(HOUR * 4).await;
    let dead = scene.store.dead(Some("crm"), None, 1_000).await.unwrap();
    assert_eq!(dead.iter().map(|letter| letter.event).collect::<Vec<_>>(), (1..=60).collect::<Vec<_>>());
    assert!(dead.iter().all(|letter| letter.error.as_deref() == Some("connection refused")));
    sleep(HOUR * 24).await;
    assert!(scene.taken().is_empty());
    while scene.store.again("crm", Again::Dead(20)).await.unwrap() > 0 {}
    scene.until_taken(1..=60).await;
    scene.check(1..=60);
    sleep(HOUR).await;
    assert!(scene.store.dead(None, None, 1).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_events_again_gets_them_while_it_runs() {
    let mut scene = Scene::new(takes).await;
    for number in 0..5 {
        scene.bounce(&format!("{number}@example.org")).await;
    }
    scene.until_taken(1..=10).await;
    sleep(Duration::from_secs(10)).await;
    assert_eq!(scene.store.again("crm", Again::Event(3)).await.unwrap(), 1);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(scene.taken()[10..], [3]);
    assert_eq!(scene.store.again("crm", Again::From(1)).await.unwrap(), 10);
    sleep(Duration::from_secs(10)).await;
    let mut again = scene.taken().split_off(11);
    again.sort_unstable();
    assert_eq!(again, (1..=10).collect::<Vec<_>>());
    let ids: HashSet<String> = scene.came().into_iter().map(|came| came.id).collect();
    assert_eq!(ids.len(), 10, "a double is known by its id");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_gets_only_what_it_wants() {
    let wants = Endpoint { types: vec![EventType::SuppressionAdded], ..endpoint() };
    let mut scene = Scene::at(wants, takes).await;
    for number in 0..3 {
        scene.bounce(&format!("{number}@example.org")).await;
    }
    sleep(Duration::from_secs(20)).await;
    scene.stop().await;
    let mut taken = scene.taken();
    taken.sort_unstable();
    assert_eq!(taken, [2, 4, 6]);
    assert_eq!(scene.store.webhook("crm").await.unwrap().through, 6, "what it does not want is done with");
}
