//! Saying in the log what happens a thousand times a second, without a thousand lines.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often the log says the same.
const EVERY: Duration = Duration::from_secs(60);

/// Something that is said at most once a minute, with how often it happened since.
#[derive(Debug, Default)]
pub(crate) struct Notice(Mutex<(Option<Instant>, u64)>);

impl Notice {
    /// It has not happened yet.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// It happened; how often since it was said last, when it is to be said now.
    pub(crate) fn happened(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, count) = &mut *state;
        *count += 1;
        if said.is_some_and(|said| now.duration_since(said) < EVERY) {
            return None;
        }
        *said = Some(now);
        Some(std::mem::take(count))
    }
}

/// Things of several kinds, each said once a minute for itself.
#[derive(Debug)]
pub(crate) struct Notices(Mutex<BTreeMap<&'static str, Notice>>);

impl Notices {
    /// Nothing has happened.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// One of this kind happened, as [`Notice::happened`].
    pub(crate) fn happened(&self, kind: &'static str) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default().happened()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_kind_says_nothing_of_another() {
        let notices = Notices::new();
        assert_eq!(
            [notices.happened("a"), notices.happened("a"), notices.happened("b")],
            [Some(1), None, Some(1)]
        );
        tokio::time::advance(EVERY).await;
        assert_eq!(notices.happened("a"), Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_time_is_said_at_once_and_the_others_together_a_minute_later() {
        let notice = Notice::default();
        assert_eq!(notice.happened(), Some(1));
        for _ in 0..9 {
            assert_eq!(notice.happened(), None);
        }
        tokio::time::advance(EVERY).await;
        assert_eq!(notice.happened(), Some(10));
    }
}
