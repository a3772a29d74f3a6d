//! Measures how busy the writer is.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::super::Pressure;

/// Counts what waits and keeps how long the last commit took.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    waiting: AtomicUsize,
    latency_micros: AtomicU64,
    /// How many groups were done: those who wait for news listen here.
    commits: watch::Sender<u64>,
}

impl Gauge {
    /// One more waits, until what this returns is dropped.
    pub(super) fn enter(&self) -> Waits<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waits(self)
    }

    /// A group is done, committed or not; its first job was asked for so long ago.
    pub(super) fn committed(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_micros.store(micros, Ordering::Relaxed);
        self.commits.send_modify(|commits| *commits += 1);
        tracing::debug!(waiting = self.waiting.load(Ordering::Relaxed), latency_micros = micros, "writer");
    }

    /// Changes with every group.
    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    pub(super) fn read(&self) -> Pressure {
        Pressure {
            waiting: self.waiting.load(Ordering::Relaxed),
            commit_latency: Duration::from_micros(self.latency_micros.load(Ordering::Relaxed)),
        }
    }
}

/// One job that waits.
pub(super) struct Waits<'g>(&'g Gauge);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
