//! Whether the date can be gone by where going by a wrong one takes something away for good.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::warn;

/// How far the date may run ahead of the clock that cannot jump, and how long one that did is not gone by: time to
/// put it right.
const DAY: Duration = Duration::from_secs(86_400);

/// Compares the date with a clock that cannot jump.
#[derive(Debug)]
pub(super) struct Clock {
    /// The date that was believed and was furthest ahead, and when that was.
    believed: (Timestamp, Instant),
    jumped: Option<Instant>,
}

impl Clock {
    /// Believes the date as it is.
    pub(super) fn new() -> Self {
        Self { believed: (Timestamp::now(), Instant::now()), jumped: None }
    }

    /// The date, unless it jumped ahead by more than a day, and that less than a day ago.
    pub(super) fn date(&mut self) -> Option<Timestamp> {
        let date = Timestamp::now();
        self.believes(date).then_some(date)
    }

    fn believes(&mut self, date: Timestamp) -> bool {
        let (before, then) = self.believed;
        let now = Instant::now();
        let ahead = Duration::try_from(date.duration_since(before)).unwrap_or_default(); // behind: no harm
        if ahead > then.elapsed().saturating_add(DAY) {
            if self.jumped.is_none() {
                warn!(%date, "the date jumped ahead by more than a day; nothing is dropped or ended for a day");
            }
            if self.jumped.get_or_insert(now).elapsed() < DAY {
                return false;
            }
        }
        self.jumped = None;
        if ahead > then.elapsed() {
            self.believed = (date, now); // one that went back may come back
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_date_that_jumps_ahead_is_not_gone_by_for_a_day() {
        let start = Timestamp::now();
        let mut clock = Clock { believed: (start, Instant::now()), jumped: None };
        let at = |hours: i64| start + SignedDuration::from_hours(hours);
        let hour = Duration::from_secs(3_600);
        for hours in [0, 20, -30, 2] {
            assert!(clock.believes(at(hours)), "{hours} h");
        }
        assert!(!clock.believes(at(24 * 365)));
        assert!(clock.believes(at(2)), "it was put right");
        for hours in 0..24 {
            assert!(!clock.believes(at(24 * 365 + hours)), "{hours} h after it jumped");
            tokio::time::advance(hour).await;
        }
        assert!(clock.believes(at(24 * 366)), "so it is the date");
        tokio::time::advance(hour * 24 * 40).await;
        assert!(clock.believes(at(24 * 406)), "time that passes is no jump");
    }
}
