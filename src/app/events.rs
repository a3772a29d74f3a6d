//! Events that are told to others: a task for each webhook, and one that drops what is old.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::SignedDuration;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info};

use super::background::{PRUNE_AFTER, in_batches, up_to};
use super::clock::Clock;
use crate::config::Config;
use crate::events::{Dispatcher, Endpoint, HttpReceiver};
use crate::metrics;
use crate::store::sqlite::SqliteStore;
use crate::store::{Deliveries, Outbox, StoreError, Streams};

/// How often the backlog is measured, at most.
const MEASURE_EVERY: Duration = Duration::from_secs(15);

/// At most one part in 100 of the time.
const PART: u32 = 100;

/// How long it is until TLS is tried again that could not be set up.
const PAUSE: Duration = Duration::from_secs(60);

/// How often old events are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// Events dropped in one transaction.
const AT_ONCE: u32 = 1_000;

/// One webhook at work.
#[derive(Debug)]
struct Running {
    endpoint: Endpoint,
    streams: Streams,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

/// The webhooks at work.
#[derive(Debug)]
pub(super) struct Webhooks {
    store: Arc<SqliteStore>,
    shutdown: CancellationToken,
    running: HashMap<String, Running>,
    ending: Vec<JoinHandle<()>>,
}

impl Webhooks {
    /// Starts those of a configuration; they end with `shutdown`.
    pub(super) fn start(store: &Arc<SqliteStore>, config: &Config, shutdown: &CancellationToken) -> Self {
        let (store, shutdown) = (Arc::clone(store), shutdown.clone());
        let mut webhooks = Self { store, shutdown, running: HashMap::new(), ending: Vec::new() };
        webhooks.follow(config);
        webhooks
    }

    /// Goes by another configuration: what did not change goes on, what did begins anew when it has ended.
    pub(super) fn follow(&mut self, config: &Config) {
        self.ending.retain(|task| !task.is_finished());
        let mut before = std::mem::take(&mut self.running);
        for endpoint in config.webhooks.iter().filter(|endpoint| endpoint.enabled) {
            let old = before.remove(&endpoint.name);
            let same = |old: &Running| old.endpoint == *endpoint && old.streams == config.streams;
            let running = match old {
                Some(old) if same(&old) => old,
                old => self.begin(endpoint, config, old),
            };
            self.running.insert(endpoint.name.clone(), running);
        }
        for (name, old) in before {
            info!(webhook = name, "no events are brought any more");
            old.shutdown.cancel();
            self.ending.push(old.task);
        }
    }

    fn begin(&self, endpoint: &Endpoint, config: &Config, old: Option<Running>) -> Running {
        let (name, host) = (&endpoint.name, endpoint.url.host_str().unwrap_or_default());
        info!(webhook = name, host, "events are brought");
        let (streams, grace) = (config.streams.clone(), config.smtp.shutdown_grace);
        let shutdown = self.shutdown.child_token();
        let work = bring(Arc::clone(&self.store), endpoint.clone(), streams.clone(), shutdown.clone(), grace);
        let task = tokio::spawn(async move {
            if let Some(old) = old {
                old.shutdown.cancel();
                let _ = old.task.await;
            }
            work.await;
        });
        Running { endpoint: endpoint.clone(), streams, shutdown, task }
    }

    /// Waits for all of them; the shutdown has told them.
    pub(super) async fn ended(self) {
        for task in self.running.into_values().map(|running| running.task).chain(self.ending) {
            let _ = task.await;
        }
    }
}

/// Lets the database know of the webhooks of a configuration: what happens from then on is for them.
///
/// # Errors
/// [`StoreError`], when it cannot be written.
pub(super) async fn enrol(store: &SqliteStore, config: &Config) -> Result<(), StoreError> {
    for name in names(config) {
        store.webhook(&name).await?;
    }
    Ok(())
}

/// The names under which the database knows the webhooks that are used.
fn names(config: &Config) -> impl Iterator<Item = String> {
    config.webhooks.iter().filter(|webhook| webhook.enabled).flat_map(Endpoint::names)
}

async fn bring(
    store: Arc<SqliteStore>,
    endpoint: Endpoint,
    streams: Streams,
    shutdown: CancellationToken,
    grace: Duration,
) {
    let (endpoint, streams) = (Arc::new(endpoint), Arc::new(streams));
    let receiver = loop {
        match HttpReceiver::new(Endpoint::clone(&endpoint)) {
            Ok(receiver) => break Arc::new(receiver),
            Err(error) => error!(%error, "no events are brought; this is tried again"),
        }
        if timeout(PAUSE, shutdown.cancelled()).await.is_ok() {
            return;
        }
    };
    let mut ways = JoinSet::new();
    for way in endpoint.ways() {
        let (store, receiver) = (Arc::clone(&store), Arc::clone(&receiver));
        let (endpoint, streams) = ((Arc::clone(&endpoint), *way), Arc::clone(&streams));
        let dispatcher = Dispatcher::new(store, receiver, endpoint, streams, shutdown.clone(), grace);
        ways.spawn(keep_bringing(Arc::new(dispatcher), shutdown.clone()));
    }
    ways.join_all().await;
}

async fn keep_bringing(dispatcher: Arc<Dispatcher<SqliteStore, HttpReceiver>>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        let work = Arc::clone(&dispatcher);
        match tokio::spawn(async move { work.run().await }).await {
            Ok(()) => return,
            // Of a fault of ours, one webhook is late; nothing is lost.
            Err(error) => error!(%error, "bringing events broke off; this is tried again"),
        }
        let _ = timeout(PAUSE, shutdown.cancelled()).await;
    }
}

/// Measures how much is still to be brought.
pub(super) async fn measure(
    store: Arc<SqliteStore>,
    config: Arc<ArcSwap<Config>>,
    shutdown: CancellationToken,
) {
    loop {
        let began = Instant::now();
        match store.webhooks().await {
            Ok(webhooks) => {
                let names: HashSet<String> = names(&config.load()).collect();
                let used = webhooks.iter().filter(|webhook| names.contains(&webhook.state.name));
                let backlog: i64 = used.map(|webhook| webhook.behind + webhook.waiting).sum();
                metrics::WEBHOOK_BACKLOG.set([], backlog.unsigned_abs());
            }
            Err(error) => debug!(%error, "the backlog of webhooks is measured later"),
        }
        tokio::select! {
            () = tokio::time::sleep(MEASURE_EVERY.max(began.elapsed() * PART)) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Drops events whose time is over.
pub(super) async fn prune(
    store: Arc<SqliteStore>,
    config: Arc<ArcSwap<Config>>,
    shutdown: CancellationToken,
) {
    let mut clock = Clock::new();
    let _ = timeout(PRUNE_AFTER, shutdown.cancelled()).await;
    while !shutdown.is_cancelled() {
        let (keep_days, webhooks) = {
            let config = config.load();
            (config.keep_events_days, names(&config).collect::<Vec<_>>())
        };
        let kept = SignedDuration::from_hours(24 * i64::from(keep_days));
        let before = clock.date().and_then(|now| now.checked_sub(kept).ok());
        let mut total = 0;
        if let Some(before) = before {
            let (store, webhooks) = (store.as_ref(), &webhooks);
            let batch = |()| async move {
                up_to(AT_ONCE, store.prune_outbox(before, webhooks.clone(), AT_ONCE).await)
            };
            total = in_batches("old events stay for now", &shutdown, (), batch).await;
        }
        if total > 0 {
            info!(events = total, keep_days, "dropped events whose time is over");
        }
        tokio::select! {
            () = tokio::time::sleep(PRUNE_EVERY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}
