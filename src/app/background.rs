//! Work that nobody waits for: old rows are dropped, and entries whose time is over are noted. All of it in batches,
//! with room between them for mail that comes in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::clock::Clock;
use crate::config::Config;
use crate::policy::day_of;
use crate::store::sqlite::SqliteStore;
use crate::store::{OldCounters, OldEvents, Retention, Store, StoreError};

/// How often old rows are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// How long after the start old rows are looked for first: a start is for the mail that waited.
pub(super) const PRUNE_AFTER: Duration = Duration::from_secs(10);

/// How often entries whose time is over are looked for.
const EXPIRE_EVERY: Duration = Duration::from_secs(300);

/// Entries whose end is noted in one transaction.
const EXPIRE_AT_ONCE: u32 = 500;

/// Raw messages dropped in one transaction.
pub(super) const RAW_AT_ONCE: u32 = 200;

/// Messages looked at, and events dropped, in one transaction.
const EVENTS_AT_ONCE: u32 = 200;

/// Small rows dropped in one transaction.
const ROWS_AT_ONCE: u32 = 2_000;

/// Drops what is old, every hour and soon after the start.
pub(super) async fn prune(
    store: Arc<SqliteStore>,
    config: Arc<ArcSwap<Config>>,
    shutdown: CancellationToken,
) {
    let mut clock = Clock::new();
    let _ = tokio::time::timeout(PRUNE_AFTER, shutdown.cancelled()).await;
    while !shutdown.is_cancelled() {
        if let Some(now) = clock.date() {
            let config = config.load_full();
            Pruning { store: &store, config: &config, now, shutdown: &shutdown }.all().await;
        }
        tokio::select! {
            () = tokio::time::sleep(PRUNE_EVERY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Notes in the history that entries have run out. Whether an address is suppressed never waits for this.
pub(super) async fn expire(store: Arc<SqliteStore>, shutdown: CancellationToken) {
    let mut clock = Clock::new();
    loop {
        if let Some(now) = clock.date() {
            let store = store.as_ref();
            let batch = |()| async move { up_to(EXPIRE_AT_ONCE, store.expire(now, EXPIRE_AT_ONCE).await) };
            let total = in_batches("entries whose time is over are noted later", &shutdown, (), batch).await;
            if total > 0 {
                info!(entries = total, "suppressions whose time is over");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EXPIRE_EVERY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// What one batch did.
pub(super) struct Batch<S> {
    rows: u64,
    /// Where the next one begins; `None`: there is no more to do.
    next: Option<S>,
}

/// A batch that was allowed `limit` rows: one that took fewer was the last.
pub(super) fn up_to(limit: u32, rows: Result<u64, StoreError>) -> Result<Batch<()>, StoreError> {
    rows.map(|rows| Batch { rows, next: (rows >= u64::from(limit)).then_some(()) })
}

/// A batch that is smaller where its rows are large: one that took none was the last.
pub(super) fn until_none(rows: Result<u64, StoreError>) -> Result<Batch<()>, StoreError> {
    rows.map(|rows| Batch { rows, next: (rows > 0).then_some(()) })
}

/// Goes on from `start` until there is no more, or the end is near, or it fails, of which the log says what
/// `otherwise` is; how many rows there were. Between two batches the writer is left to others for as long as the
/// last one took.
pub(super) async fn in_batches<S, F: Future<Output = Result<Batch<S>, StoreError>>>(
    otherwise: &'static str,
    shutdown: &CancellationToken,
    start: S,
    mut batch: impl FnMut(S) -> F,
) -> u64 {
    let mut total = 0;
    let mut from = start;
    loop {
        let started = Instant::now();
        match batch(from).await {
            Ok(Batch { rows, next }) => {
                total += rows;
                match next.filter(|_| !shutdown.is_cancelled()) {
                    Some(next) => from = next,
                    None => return total,
                }
            }
            Err(error) => {
                warn!(%error, "{otherwise}");
                return total;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(started.elapsed()) => {}
            () = shutdown.cancelled() => return total,
        }
    }
}

/// One run through everything that can be too old.
struct Pruning<'a> {
    store: &'a SqliteStore,
    config: &'a Config,
    now: Timestamp,
    shutdown: &'a CancellationToken,
}

impl Pruning<'_> {
    async fn all(&self) {
        self.raw().await;
        self.events().await;
        self.settled_holds().await;
        self.counters().await;
        self.statistics().await;
        self.rates().await;
    }

    /// The time so many days ago; `None` where that is for ever.
    fn before(&self, days: u32) -> Option<Timestamp> {
        let kept = SignedDuration::from_hours(24 * i64::from(days));
        (days > 0).then(|| self.now.checked_sub(kept).ok())?
    }

    async fn raw(&self) {
        let keep_days = self.config.store.raw_days;
        // Here 0 is no time at all.
        let before = if keep_days == 0 { Some(self.now) } else { self.before(keep_days) };
        let Some(before) = before else { return };
        let batch = |()| async move { until_none(self.store.prune_raw(before, RAW_AT_ONCE).await) };
        let messages = in_batches("old raw messages stay for now", self.shutdown, (), batch).await;
        if messages > 0 {
            info!(messages, keep_days, "dropped raw messages whose time is over");
        }
    }

    async fn events(&self) {
        let keep_days = self.config.store.events_days;
        let Some(before) = self.before(keep_days) else { return };
        let waiting_before = self.before(self.config.store.waiting_days);
        let batch = |after| async move {
            let (messages, events) = (EVENTS_AT_ONCE, EVENTS_AT_ONCE);
            let old = OldEvents { before, waiting_before, after, messages, events };
            let dropped = self.store.prune_events(old).await?;
            Ok(Batch { rows: dropped.messages + dropped.events, next: dropped.next.map(Some) })
        };
        let rows = in_batches("old events stay for now", self.shutdown, None, batch).await;
        if rows > 0 {
            info!(rows, keep_days, "dropped messages and events whose time is over");
        }
    }

    async fn settled_holds(&self) {
        // A release lets its key through for a time; until that is over the hold is asked for.
        let passes = self.config.breaker.pass_hours.div_ceil(24);
        let Some(before) = self.before(self.config.store.events_days) else { return };
        let Some(before) = self.before(passes).map(|passed| before.min(passed)) else { return };
        let batch =
            |()| async move { up_to(ROWS_AT_ONCE, self.store.prune_holds(before, ROWS_AT_ONCE).await) };
        in_batches("holds that are settled stay for now", self.shutdown, (), batch).await;
    }

    async fn counters(&self) {
        let policy = &self.config.policy;
        // What waited is decided as of the day on which it came, by what was counted in the window before; after its
        // term nothing comes of it.
        let window = policy.soft_window_days.max(policy.mailbox_full_window_days);
        let addresses = day_of(self.now) - i64::from(window) - i64::from(policy.soft_max_days);
        let old =
            OldCounters { addresses, hosts: self.before(self.config.store.aggregates_days).map(day_of) };
        let batch =
            |()| async move { up_to(ROWS_AT_ONCE, self.store.prune_counters(old, ROWS_AT_ONCE).await) };
        in_batches("old counters stay for now", self.shutdown, (), batch).await;
    }

    async fn statistics(&self) {
        let Some(before) = self.before(self.config.store.aggregates_days) else { return };
        let before = day_of(before);
        let batch =
            |()| async move { up_to(ROWS_AT_ONCE, self.store.prune_statistics(before, ROWS_AT_ONCE).await) };
        in_batches("old statistics stay for now", self.shutdown, (), batch).await;
    }

    async fn rates(&self) {
        let now = self.now;
        let batch = |()| async move { up_to(ROWS_AT_ONCE, self.store.prune_rates(now, ROWS_AT_ONCE).await) };
        in_batches("old counts stay for now", self.shutdown, (), batch).await;
    }
}
