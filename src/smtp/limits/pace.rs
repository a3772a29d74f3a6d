//! How slow a client may be, and how slow it is made.

use std::time::Duration;

use tokio::time::Instant;

/// What a message may take before its pace is looked at: time for a packet that is lost twice.
const GRACE: Duration = Duration::from_secs(30);

/// Replies `5yz` that are not held back.
const FREE_ERRORS: u32 = 3;

/// The longest that a reply is held back, as a multiple of the first time.
const LONGEST: u32 = 5;

/// The pace of one message: by when its next octets must be there.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    started: Instant,
    octets: u64,
    /// Octets a second; 0 for any.
    least: u32,
}

impl Pace {
    /// A message that begins now.
    #[must_use]
    pub fn new(least: u32) -> Self {
        Self { started: Instant::now(), octets: 0, least }
    }

    /// So many more octets have come.
    pub const fn came(&mut self, octets: usize) {
        self.octets = self.octets.saturating_add(octets as u64);
    }

    /// When it has been too slow, if nothing more comes until then.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if self.least == 0 {
            return None;
        }
        let allowed = Duration::from_millis(self.octets.saturating_mul(1_000) / u64::from(self.least));
        self.started.checked_add(GRACE)?.checked_add(allowed)
    }
}

/// Counts what a client did wrong, and says how long the next reply to that waits.
#[derive(Debug, Default)]
pub(in crate::smtp) struct Tarpit {
    errors: u32,
}

impl Tarpit {
    /// One more error; how long its reply is held back.
    pub(in crate::smtp) fn error(&mut self, step: Duration) -> Duration {
        self.errors = self.errors.saturating_add(1);
        step.saturating_mul(self.errors.saturating_sub(FREE_ERRORS).min(LONGEST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_beyond_the_third_cost_ever_more_time_up_to_a_bound() {
        let mut tarpit = Tarpit::default();
        let waits: Vec<u64> = (0..10).map(|_| tarpit.error(Duration::from_secs(2)).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 2, 4, 6, 8, 10, 10, 10]);
        assert_eq!(tarpit.error(Duration::ZERO), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_come_buys_time_at_the_least_pace() {
        let mut pace = Pace::new(500);
        let started = Instant::now();
        assert_eq!(pace.deadline(), Some(started + GRACE));
        pace.came(5_000);
        assert_eq!(pace.deadline(), Some(started + GRACE + Duration::from_secs(10)));
        pace.came(usize::MAX);
        assert!(pace.deadline().is_none_or(|deadline| deadline > started + GRACE * 1_000));
        assert_eq!(Pace::new(0).deadline(), None);
    }
}
