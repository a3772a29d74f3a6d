//! How many messages wait to be committed, and whether that is too many.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tracing::{info, warn};

use crate::store::Pressure;

/// Messages that were handed in and are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    messages: AtomicUsize,
    behind: AtomicBool,
}

impl Waiting {
    /// One more waits, until what this returns is dropped. `limit` is where it is too many; `store` is asked when
    /// that begins and when it ends.
    pub(super) fn enter<F: Fn() -> Pressure>(&self, limit: usize, store: F) -> Waits<'_, F> {
        let messages = self.messages.fetch_add(1, Ordering::Relaxed) + 1;
        if messages >= limit && !self.behind.swap(true, Ordering::Relaxed) {
            let Pressure { waiting, commit_latency, .. } = store();
            warn!(
                messages,
                limit,
                queue = waiting,
                commit_millis = millis(commit_latency),
                "commits fall behind; new connections are asked to come back later"
            );
        }
        Waits { all: self, limit, store }
    }

    /// Whether more can be taken: not from when the limit is reached until half of it is.
    pub(super) fn ready(&self) -> bool {
        !self.behind.load(Ordering::Relaxed)
    }
}

/// One message that waits.
pub(super) struct Waits<'w, F: Fn() -> Pressure> {
    all: &'w Waiting,
    limit: usize,
    store: F,
}

impl<F: Fn() -> Pressure> Drop for Waits<'_, F> {
    fn drop(&mut self) {
        let messages = self.all.messages.fetch_sub(1, Ordering::Relaxed) - 1;
        if messages <= self.limit / 2 && self.all.behind.swap(false, Ordering::Relaxed) {
            let Pressure { waiting, commit_latency, .. } = (self.store)();
            info!(
                messages,
                queue = waiting,
                commit_millis = millis(commit_latency),
                "commits have caught up; new connections are taken again"
            );
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_connections_wait_from_the_limit_until_half_of_it() {
        let waiting = Waiting::default();
        let enter = || waiting.enter(4, Pressure::default);
        let mut messages: Vec<_> = (0..3).map(|_| enter()).collect();
        assert!(waiting.ready());
        messages.push(enter());
        assert!(!waiting.ready());
        messages.pop();
        assert!(!waiting.ready(), "not to and fro around the limit");
        messages.pop();
        assert!(waiting.ready());
        // A limit of one is a limit too.
        messages.clear();
        let only = waiting.enter(1, Pressure::default);
        assert!(!waiting.ready());
        drop(only);
        assert!(waiting.ready());
    }
}
