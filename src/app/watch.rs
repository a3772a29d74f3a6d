//! Measures what is not counted where it happens: how much there is in the store, and what any program changed there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::unproven::Unproven;
use crate::metrics;
use crate::store::sqlite::SqliteStore;
use crate::store::{Store, StoreError, Vitals};

/// How often it is measured, at most.
const EVERY: Duration = Duration::from_secs(5);

/// How often all entries of the list are looked at, at most.
const COUNT_LIST_EVERY: Duration = Duration::from_secs(60);

/// Measuring takes at most one part in 100 of the time: a large store is measured less often.
const PART: u32 = 100;

/// Changes that are counted with one statement.
const CHANGES_AT_ONCE: u32 = 10_000;

/// Measures until the shutdown. What cannot be read now is read the next time.
pub(super) async fn watch(store: Arc<SqliteStore>, shutdown: CancellationToken) {
    let mut seen = None;
    let mut count_next = Instant::now();
    let mut unproven = Unproven::default();
    loop {
        metrics::upkeep();
        metrics::STORE_OLDEST.set_to([], store.pressure().oldest.as_secs_f64());
        let began = Instant::now();
        if let Err(error) = measure(&store, &mut seen, &mut count_next, &mut unproven).await {
            debug!(%error, "the store is measured later");
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY.max(began.elapsed() * PART)) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

async fn measure(
    store: &SqliteStore,
    seen: &mut Option<i64>,
    count_next: &mut Instant,
    unproven: &mut Unproven,
) -> Result<(), StoreError> {
    // What was changed before this process started is in no counter of its own.
    let mut last = match *seen {
        Some(last) => last,
        None => store.last_change().await?,
    };
    *seen = Some(last);
    while let Some((upto, changes)) = store.changes_after(last, CHANGES_AT_ONCE).await? {
        for change in changes {
            let [origin, action] = metrics::LIST_CHANGES.known([&change.origin, &change.action]);
            metrics::LIST_CHANGES.add([origin, action], change.count);
            if let Some(reason) = &change.reason {
                metrics::SUPPRESSIONS_ADDED.add(metrics::SUPPRESSIONS_ADDED.known([reason]), change.count);
            }
        }
        last = upto;
        *seen = Some(last);
    }
    let vital = store.vitals().await?;
    metrics::QUARANTINED.set([], vital.quarantined);
    unproven.tell(vital.quarantined, Instant::now());
    metrics::HOLDS.set([], vital.holds);
    metrics::HELD_EVENTS.set([], vital.held);
    metrics::STORE_BYTES.set(["database"], vital.database_bytes);
    metrics::STORE_BYTES.set(["wal"], vital.log_bytes);
    if *count_next <= Instant::now() {
        let began = Instant::now();
        let entries = store.entries_by_reason(Timestamp::now()).await?;
        for reason in metrics::SUPPRESSIONS.values() {
            let found = entries.iter().find(|(name, _)| name == reason);
            metrics::SUPPRESSIONS.set([reason], found.map_or(0, |(_, entries)| *entries));
        }
        *count_next = Instant::now() + COUNT_LIST_EVERY.max(began.elapsed() * PART);
    }
    Ok(())
}
