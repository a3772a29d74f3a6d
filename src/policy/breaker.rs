//! The circuit breaker: whether suppressions for one key jump so far beyond what is usual that further ones should
//! wait for a person. A provider's outage or our own DNS mistake must not empty a list.
//!
//! Pure: numbers come in, a judgement goes out. The store counts.

use std::collections::BTreeMap;
use std::fmt;

use super::{Change, Reason};

/// How far back the usual is looked for, in days.
pub const USUAL_DAYS: i64 = 90;

/// A crop may be so many times one that came before on two days: it may fall across two hours of the clock, and
/// crops vary.
const REPEATED: u64 = 2;

/// What of `min_per_hour` one recipient domain may add to the counts of a rule or a remote host.
const SHARE: u32 = 5;

/// Limits of the circuit breaker (`[breaker]` in the configuration).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    /// Whether anything is ever held.
    pub enabled: bool,
    /// A key has a history when suppressions of it lie on so many different days.
    pub history_days: u32,
    /// With a history: as many within an hour are never held.
    pub min_per_hour: u32,
    /// Nor are so many times the usual.
    pub factor: u32,
    /// Without a history: so many within an hour that may end by themselves are not held.
    pub recheckable_per_hour: u32,
    /// Hours for which a key whose hold was released gets no other.
    pub pass_hours: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            enabled: true,
            history_days: 7,
            min_per_hour: 50,
            factor: 10,
            recheckable_per_hour: 200,
            pass_hours: 24,
        }
    }
}

/// What suppressions are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// The recipient's domain.
    Domain,
    /// The host that said it.
    RemoteMta,
    /// The rule that decided.
    Rule,
}

impl KeyKind {
    /// Every kind, in the order in which they are asked.
    pub const ALL: [Self; 3] = [Self::Domain, Self::RemoteMta, Self::Rule];

    /// The word used in output and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::RemoteMta => "remote_mta",
            Self::Rule => "rule",
        }
    }

    /// The kind that a word stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Suppressions of a key within the last hour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recent {
    /// All of them.
    pub all: u64,
    /// Those that may end by themselves.
    pub recheckable: u64,
}

/// What is usual for a key.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usual {
    /// On how many different days there were suppressions.
    pub days: u32,
    /// How many an hour, over the hours that had any: over all hours, the ordinary crop of a weekly newsletter
    /// would look like a disaster.
    pub mean: f64,
    /// The busiest hour of the second busiest day: what came on two days is no accident.
    pub repeated: u64,
}

impl Usual {
    /// From the hours that had suppressions, counted from 1970-01-01, each once.
    #[must_use]
    pub fn of(hours: &[(i64, u64)]) -> Self {
        let mut busiest: BTreeMap<i64, u64> = BTreeMap::new();
        for (hour, count) in hours {
            let of_day = busiest.entry(hour.div_euclid(24)).or_default();
            *of_day = (*count).max(*of_day);
        }
        let mut peaks: Vec<u64> = busiest.values().copied().collect();
        peaks.sort_unstable();
        let sum: u64 = hours.iter().map(|(_, count)| count).sum();
        Self {
            days: u32::try_from(peaks.len()).unwrap_or(u32::MAX),
            mean: if hours.is_empty() { 0.0 } else { sum as f64 / hours.len() as f64 },
            repeated: peaks.len().checked_sub(2).map_or(0, |second| peaks[second]),
        }
    }
}

/// Why suppressions of a key are held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Jump {
    /// Far more than usual.
    Unusual {
        /// Within the last hour.
        recent: u64,
        /// What is usual.
        usual: Usual,
        /// Held beyond this.
        limit: u64,
    },
    /// Far too many of those that may end by themselves, on a key that is not known well.
    Recheckable {
        /// Within the last hour.
        recent: u64,
        /// Held beyond this.
        limit: u64,
    },
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusual { recent, usual, limit } => write!(
                f,
                "{recent} suppressions within an hour; usual are {:.1} (on {} days), held beyond {limit}",
                usual.mean, usual.days
            ),
            Self::Recheckable { recent, limit } => write!(
                f,
                "{recent} suppressions within an hour for domains or hosts that are not reached, and nothing to \
                 compare with; held beyond {limit}"
            ),
        }
    }
}

impl Breaker {
    /// Whether a change may be held: what a bounce would suppress. A complaint is the recipient's own word.
    #[must_use]
    pub const fn weighs(&self, change: &Change) -> bool {
        matches!(change, Change::Suppress(entry)
            if entry.lengthens || matches!(entry.reason, Reason::Soft | Reason::Hard))
    }

    /// Whether it is worth finding out what is usual.
    #[must_use]
    pub fn may_trip(&self, recent: Recent) -> bool {
        self.enabled
            && (recent.all > u64::from(self.min_per_hour)
                || recent.recheckable > u64::from(self.recheckable_per_hour))
    }

    /// Whether one more suppression of a key is held, and why. `recheckable` says whether it may end by itself.
    #[must_use]
    pub fn judge(&self, recheckable: bool, recent: Recent, usual: Usual) -> Option<Jump> {
        if !self.may_trip(recent) {
            return None;
        }
        if usual.days < self.history_days {
            let limit = u64::from(self.recheckable_per_hour);
            let trips = recheckable && recent.recheckable > limit;
            return trips.then_some(Jump::Recheckable { recent: recent.recheckable, limit });
        }
        let by_mean = (f64::from(self.factor) * usual.mean).ceil() as u64;
        let limit = u64::from(self.min_per_hour).max(by_mean).max(REPEATED.saturating_mul(usual.repeated));
        (recent.all > limit).then_some(Jump::Unusual { recent: recent.all, usual, limit })
    }

    /// How many an hour one recipient domain may add to the counts of a rule or a remote host. One big provider
    /// must not have the rule held for everybody else: a jump there shows at several domains.
    #[must_use]
    pub fn share(&self) -> u32 {
        (self.min_per_hour / SHARE).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many days, each with one hour of so many.
    fn daily(days: i64, count: u64) -> Vec<(i64, u64)> {
        (0..days).map(|day| (day * 24 + 9, count)).collect()
    }

    #[test]
    fn what_is_held_and_what_is_not() {
        let trickle = daily(10, 2);
        let busy = daily(10, 40);
        let young = daily(6, 2);
        // A crop of 80 every Monday, and one or two in many other hours.
        let weekly: Vec<(i64, u64)> = (0..1_000)
            .map(|hour| (hour, if hour % (7 * 24) == 9 { 80 } else { 1 }))
            .filter(|(hour, _)| hour % 3 == 0 || hour % (7 * 24) == 9)
            .collect();
        let once: Vec<(i64, u64)> = daily(30, 2).into_iter().chain([(31 * 24, 3_000)]).collect();
        for (case, history, recheckable, all, of_them, held) in [
            ("an outage", &trickle, true, 51, 51, true),
            ("the fiftieth", &trickle, true, 50, 50, false),
            ("an outage in other words", &trickle, false, 51, 0, true),
            ("ten times a busy key", &busy, false, 400, 0, false),
            ("more than that", &busy, false, 401, 0, true),
            ("unknown users, nothing known", &vec![], false, 9_000, 0, false),
            ("unknown users, little known", &young, false, 9_000, 0, false),
            ("no host, nothing known", &vec![], true, 201, 201, true),
            ("as many as are let through", &vec![], true, 200, 200, false),
            ("unknown users among them", &vec![], false, 9_000, 201, false),
            ("few of them hosts", &vec![], true, 9_000, 200, false),
            ("the weekly crop", &weekly, false, 120, 0, false),
            ("twice the weekly crop", &weekly, false, 161, 0, true),
            ("one crop is no habit", &once, false, 2_900, 0, true),
        ] {
            let recent = Recent { all, recheckable: of_them };
            let jump = Breaker::default().judge(recheckable, recent, Usual::of(history));
            assert_eq!(jump.is_some(), held, "{case}: {jump:?}");
            let off = Breaker { enabled: false, ..Breaker::default() };
            assert_eq!(off.judge(recheckable, recent, Usual::of(history)), None, "{case}");
        }
    }

    #[test]
    fn the_usual_is_that_of_hours_with_any() {
        let usual = Usual::of(&[(0, 2), (1, 4), (50, 9), (100, 1)]);
        assert_eq!(usual, Usual { days: 3, mean: 4.0, repeated: 4 });
        assert_eq!(Usual::of(&[(5, 7)]).repeated, 0, "a day alone repeats nothing");
        assert_eq!(Usual::of(&[]), Usual::default());
    }

    #[test]
    fn it_says_the_numbers() {
        let recent = Recent { all: 51, recheckable: 0 };
        let jump = Breaker::default().judge(false, recent, Usual::of(&daily(8, 2))).unwrap();
        let said = "51 suppressions within an hour; usual are 2.0 (on 8 days), held beyond 50";
        assert_eq!(jump.to_string(), said);
    }

    #[test]
    fn one_domain_is_a_part_of_a_jump() {
        assert_eq!(Breaker::default().share(), 10);
        assert_eq!(Breaker { min_per_hour: 1, ..Breaker::default() }.share(), 1);
    }
}
