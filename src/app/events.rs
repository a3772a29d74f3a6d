//! Events that are told to others.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::clock::Clock;
use crate::config::Config;
use crate::store::Outbox;
use crate::store::sqlite::SqliteStore;

/// How often old events are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// Events dropped in one transaction.
const AT_ONCE: u32 = 1_000;

/// Drops events whose time is over.
pub(super) async fn prune(
    store: Arc<SqliteStore>,
    config: Arc<ArcSwap<Config>>,
    shutdown: CancellationToken,
) {
    let mut clock = Clock::new();
    loop {
        let keep_days = config.load().keep_events_days;
        let kept = SignedDuration::from_hours(24 * i64::from(keep_days));
        let mut total = 0;
        while let Some(before) = clock.date().and_then(|now| now.checked_sub(kept).ok()) {
            match store.prune_outbox(before, Vec::new(), AT_ONCE).await {
                Ok(pruned) => {
                    total += pruned;
                    if pruned < u64::from(AT_ONCE) || shutdown.is_cancelled() {
                        break;
                    }
                }
                Err(error) => {
                    warn!(%error, "old events stay for now");
                    break;
                }
            }
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
