//! What systemd is told: that dsnd is ready, that it stops, that it is alive. Elsewhere nobody is told anything.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::store::Store;

/// Every socket is bound and the store is open: connections are taken from here on.
pub(super) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("taking bounces")]);
}

/// The configuration is read again; [`ready`] when that is done, whatever came of it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => {
            tell(&[NotifyState::Reloading, now, NotifyState::Status("reading the configuration again")]);
        }
        Err(error) => warn!(%error, "systemd cannot be told"),
    }
}

/// Messages on their way finish, then it ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("messages on their way finish")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd cannot be told");
    }
}

/// Says that dsnd is alive, as long as the store answers; where `WatchdogSec=` asks for it.
pub(super) async fn watchdog(store: Arc<impl Store>, shutdown: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else {
        return shutdown.cancelled().await;
    };
    info!(?limit, "systemd's watchdog hears from dsnd while the store answers");
    let told = async {
        // Thrice within the limit: one that comes late does not end the process.
        let mut ticks = interval(limit / 3);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if answers(&*store, limit / 3).await {
                tell(&[NotifyState::Watchdog]);
            }
        }
    };
    // Messages that finish may take as long as they are allowed to: systemd counts TimeoutStopSec then.
    tokio::select! {
        () = told => {}
        () = shutdown.cancelled() => {}
    }
}

/// Whether the store answers a question at all. An error is an answer: a restart would not mend a full disk.
async fn answers(store: &impl Store, limit: Duration) -> bool {
    // Nobody has this address: the cheapest question, which goes the way of lookups.
    match timeout(limit, store.suppression("", None, Timestamp::UNIX_EPOCH)).await {
        Ok(answer) => {
            debug!(fine = answer.is_ok(), "the store answers");
            true
        }
        Err(_) => {
            warn!(?limit, "the store does not answer; systemd is not told that dsnd is alive");
            false
        }
    }
}
