//! Whether an endpoint takes anything, and when it is asked again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Different addresses that were refused in a row, before the endpoint is thought to be down: fewer are a matter of
/// those addresses.
const DOWN_AFTER: usize = 20;

/// The first interval.
const FIRST: Duration = Duration::from_secs(1);

/// The longest interval where the endpoint answers: it may take the next event.
const LONGEST_ANSWERED: Duration = Duration::from_secs(60);

/// How long one that answers is left alone before an event of another address asks: what it refused may be a matter of
/// those addresses still, and whoever can have many of them refused must not hold up the rest.
const OTHERS_AFTER: Duration = Duration::from_millis(50);

/// The longest interval, and the longest that an endpoint may ask for.
pub(super) const LONGEST: Duration = Duration::from_secs(3_600);

/// How long an event is tried.
pub(in crate::events) const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

/// What an answer changed for the endpoint as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::events) enum Turn {
    /// Nothing.
    Same,
    /// It takes nothing any more.
    WentDown,
    /// It takes something again.
    CameUp,
    /// It has taken nothing for so long that what is old is given up.
    Hopeless,
}

/// The endpoint takes nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Down {
    /// Tries since then, all refused.
    pub(super) probes: u32,
    /// How many of them made the interval longer.
    intervals: u32,
    /// It does not answer, or says that it takes nothing.
    pub(super) whole: bool,
    /// When what it refused may ask.
    pub(super) at: Timestamp,
    /// When what it was not asked to take yet may ask.
    pub(super) others_at: Timestamp,
    /// The event that is asking now.
    pub(super) probe: Option<i64>,
}

impl Down {
    /// Nothing asks before.
    pub(super) const fn rest(&mut self, until: Timestamp) {
        (self.probe, self.at, self.others_at) = (None, until, until);
    }
}

/// A refusal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    pub(super) event: i64,
    /// It was not tried before.
    pub(super) first: bool,
    /// Any other event would be refused as well.
    pub(super) whole: bool,
    /// How long the endpoint wants to be left alone.
    pub(super) asked: Duration,
    pub(super) now: Timestamp,
    /// Between 0 and 1.
    pub(super) jitter: f64,
}

/// How the endpoint as a whole stands.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Addresses refused since something was taken.
    refused: HashSet<Arc<str>>,
    pub(super) down: Option<Down>,
}

impl Health {
    /// It took something.
    pub(super) fn took(&mut self) -> Turn {
        self.refused.clear();
        if self.down.take().is_some() { Turn::CameUp } else { Turn::Same }
    }

    /// It refused an event about this address; `since`: it has taken nothing since then.
    pub(super) fn refused(&mut self, about: &Arc<str>, refusal: &Refusal, since: Timestamp) -> Turn {
        let Refusal { event, first, whole, asked, now, jitter } = *refusal;
        let longest = if whole { LONGEST } else { LONGEST_ANSWERED };
        let next = |probes, intervals| {
            let at = later(now, interval(intervals, jitter).min(longest).max(asked));
            let others_at = if whole { at } else { later(now, OTHERS_AFTER.max(asked)) };
            Down { probes, intervals, whole, at, others_at, probe: None }
        };
        match &mut self.down {
            None => {
                self.refused.insert(Arc::clone(about));
                if !whole && self.refused.len() < DOWN_AFTER {
                    return Turn::Same;
                }
                self.down = Some(next(1, 1));
                Turn::WentDown
            }
            Some(down) if down.probe == Some(event) => {
                *down = next(down.probes + 1, down.intervals + u32::from(whole || !first));
                if now.duration_since(since) >= PATIENCE { Turn::Hopeless } else { Turn::Same }
            }
            // It was on its way when the endpoint went down.
            Some(down) => {
                let asked = later(now, asked);
                (down.at, down.others_at) = (down.at.max(asked), down.others_at.max(asked));
                Turn::Same
            }
        }
    }
}

/// How long after so many tries the next one comes: doubled each time, and a fifth more or less, so that not all come
/// at once.
pub(super) fn interval(attempts: u32, jitter: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST);
    doubled.mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0)).min(LONGEST)
}

pub(super) fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
