//! Measures how busy the writer is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::super::Pressure;
use crate::metrics;

/// Counts what waits and keeps how long the last commit took.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    waiting: AtomicUsize,
    latency_micros: AtomicU64,
    /// The newest event of the outbox: those who wait for news listen here.
    newest: watch::Sender<i64>,
    /// When the oldest of those that wait was asked for. The writer takes jobs in their order and is never idle while
    /// there are any, so it is the first of the group that it is at.
    oldest: Mutex<Option<Instant>>,
}

impl Gauge {
    /// One more waits, until what this returns is dropped.
    pub(super) fn enter(&self) -> Waits<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waits { gauge: self, _counted: metrics::STORE_QUEUE.hold([]) }
    }

    /// A group is begun; its first job was asked for then.
    pub(super) fn begun(&self, queued: Instant) {
        self.note(Some(queued));
    }

    /// A group is done, committed or not; its first job was asked for so long ago.
    pub(super) fn committed(&self, latency: Duration) {
        self.note(None);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_micros.store(micros, Ordering::Relaxed);
        tracing::debug!(waiting = self.waiting.load(Ordering::Relaxed), latency_micros = micros, "writer");
    }

    /// This is the newest event now. Nobody is woken where it was before.
    pub(super) fn tell(&self, newest: i64) {
        self.newest.send_if_modified(|known| std::mem::replace(known, newest) != newest);
    }

    /// Changes with every group that wrote events.
    pub(super) fn newest(&self) -> watch::Receiver<i64> {
        self.newest.subscribe()
    }

    pub(super) fn read(&self) -> Pressure {
        let waiting = self.waiting.load(Ordering::Relaxed);
        // Whoever waited has the answer a moment before the group is noted as done.
        let oldest = self.oldest.lock().map_or(None, |oldest| oldest.filter(|_| waiting > 0));
        Pressure {
            waiting,
            commit_latency: Duration::from_micros(self.latency_micros.load(Ordering::Relaxed)),
            oldest: oldest.map_or(Duration::ZERO, |queued| queued.elapsed()),
        }
    }

    fn note(&self, oldest: Option<Instant>) {
        if let Ok(mut noted) = self.oldest.lock() {
            *noted = oldest;
        }
    }
}

/// One job that waits.
pub(super) struct Waits<'g> {
    gauge: &'g Gauge,
    _counted: metrics::Held,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.gauge.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
