//! What a classification does to the suppression list: thresholds, terms, and which entry outweighs which.
//!
//! Pure: history and the time come in, a [`Change`] goes out. The store applies it in the transaction that
//! records the event.

mod breaker;

use jiff::{SignedDuration, Timestamp};

pub use breaker::{Breaker, Jump, KeyKind, Recent, USUAL_DAYS, Usual};

use crate::classify::{Class, Decision};

/// Thresholds and terms (`[policy]` in the configuration). Days are UTC days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long a hard bounce suppresses.
    pub hard_days: u32,
    /// The same where the domain or host may come back.
    pub recheckable_days: u32,
    /// How many days with a soft bounce suppress.
    pub soft_count: u32,
    /// Within how many days they must lie.
    pub soft_window_days: u32,
    /// How long the first soft suppression lasts; it doubles on each return.
    pub soft_days: u32,
    /// Up to this.
    pub soft_max_days: u32,
    /// How many days with a full mailbox suppress.
    pub mailbox_full_count: u32,
    /// At least this many days must lie between the first and the last of them.
    pub mailbox_full_span_days: u32,
    /// Older ones are forgotten.
    pub mailbox_full_window_days: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            hard_days: 180,
            recheckable_days: 30,
            soft_count: 3,
            soft_window_days: 30,
            soft_days: 30,
            soft_max_days: 180,
            mailbox_full_count: 5,
            mailbox_full_span_days: 30,
            mailbox_full_window_days: 90,
        }
    }
}

/// Why an address is suppressed, in the operator's words; the class says it precisely. In rising weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Too many soft bounces.
    Soft,
    /// A hard bounce.
    Hard,
    /// Somebody put it on the list.
    Manual,
    /// The recipient complained.
    Complaint,
}

impl Reason {
    /// The word used in output and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::Hard => "hard",
            Self::Manual => "manual",
            Self::Complaint => "complaint",
        }
    }

    /// The reason that a word stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Soft, Self::Hard, Self::Manual, Self::Complaint]
            .into_iter()
            .find(|reason| reason.as_str() == name)
    }
}

/// What soft bounces are counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CounterKind {
    /// Everything soft but a full mailbox.
    Soft,
    /// A full mailbox, which has a threshold of its own.
    MailboxFull,
}

impl CounterKind {
    /// The word used in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::MailboxFull => "mailbox_full",
        }
    }
}

/// The entry an address has on the list, active or run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Why it is there.
    pub reason: Reason,
    /// Until when; `None` for ever.
    pub expires_at: Option<Timestamp>,
    /// A recovered host may release it.
    pub recheckable: bool,
    /// How many days the last soft term was, 0 when there was none.
    pub soft_term_days: u32,
}

/// What is known of an address when an event about it arrives.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Its entry, if it has one.
    pub standing: Option<Standing>,
    /// Days (since 1970-01-01) counted under the event's kind, today not among them, in any order.
    pub counted_days: Vec<i64>,
}

/// What happens to the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// Today is counted; the threshold is not reached.
    Count(CounterKind),
    /// An entry is made or renewed.
    Suppress(Entry),
    /// There is an entry already that outweighs this: it is only seen once more.
    Seen,
    /// The counters are cleared: the address takes mail.
    Clear,
}

/// An entry to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Why.
    pub reason: Reason,
    /// Until when; `None` for ever.
    pub expires_at: Option<Timestamp>,
    /// A recovered host may release it.
    pub recheckable: bool,
    /// Length of the soft term, carried along for doubling.
    pub soft_term_days: u32,
    /// The counter that reached its threshold and starts anew.
    pub consumes: Option<CounterKind>,
}

/// The UTC day of an instant, in days since 1970-01-01.
#[must_use]
pub fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(86_400)
}

/// The counter that a class counts under.
#[must_use]
pub const fn counter_of(class: Class) -> CounterKind {
    match class {
        Class::MailboxFull => CounterKind::MailboxFull,
        _ => CounterKind::Soft,
    }
}

impl Policy {
    /// Decides what one event does, given what is known of its address.
    #[must_use]
    pub fn apply(&self, class: Class, decision: Decision, history: &History, now: Timestamp) -> Change {
        match decision {
            Decision::Suppress => {
                let recheckable = class.recheckable();
                let days = if recheckable { self.recheckable_days } else { self.hard_days };
                weigh(history, now, Reason::Hard, Some(days), recheckable, 0, None)
            }
            Decision::Complaint => weigh(history, now, Reason::Complaint, None, false, 0, None),
            Decision::Count => self.count(counter_of(class), history, now),
            Decision::Ignore if class == Class::Delivered => Change::Clear,
            Decision::Host | Decision::Sender | Decision::Ignore => Change::None,
        }
    }

    /// How far back days of a kind matter.
    #[must_use]
    pub const fn window_days(&self, kind: CounterKind) -> u32 {
        match kind {
            CounterKind::Soft => self.soft_window_days,
            CounterKind::MailboxFull => self.mailbox_full_window_days,
        }
    }

    fn count(&self, kind: CounterKind, history: &History, now: Timestamp) -> Change {
        if history.standing.is_some_and(|standing| standing.active(now)) {
            return Change::Seen;
        }
        let today = day_of(now);
        let mut days: Vec<i64> = history.counted_days.clone();
        days.retain(|day| *day <= today && today - day < i64::from(self.window_days(kind)));
        days.push(today);
        days.sort_unstable();
        days.dedup();
        let (needed, span) = match kind {
            CounterKind::Soft => (self.soft_count, 0),
            CounterKind::MailboxFull => (self.mailbox_full_count, self.mailbox_full_span_days),
        };
        let spanned = today - days.first().copied().unwrap_or(today);
        if (days.len() as u64) < u64::from(needed) || spanned < i64::from(span) {
            return Change::Count(kind);
        }
        let last_term = history.standing.map_or(0, |standing| standing.soft_term_days);
        let term =
            if last_term == 0 { self.soft_days } else { last_term.saturating_mul(2) }.min(self.soft_max_days);
        weigh(history, now, Reason::Soft, Some(term), false, term, Some(kind))
    }
}

impl Standing {
    /// Whether the entry suppresses at this moment.
    #[must_use]
    pub fn active(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| expires_at > now)
    }
}

/// Puts a new reason beside the entry that is there: the weightier one stays, and nothing is shortened.
fn weigh(
    history: &History,
    now: Timestamp,
    reason: Reason,
    days: Option<u32>,
    recheckable: bool,
    soft_term_days: u32,
    consumes: Option<CounterKind>,
) -> Change {
    let until = days.and_then(|days| now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok());
    let fresh = Entry { reason, expires_at: until, recheckable, soft_term_days, consumes };
    let Some(standing) = history.standing else {
        return Change::Suppress(fresh);
    };
    let soft_term_days = soft_term_days.max(standing.soft_term_days);
    if !standing.active(now) {
        return Change::Suppress(Entry { soft_term_days, ..fresh });
    }
    let lasts_longer = match (standing.expires_at, until) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(old), Some(new)) => new > old,
    };
    if standing.reason >= reason && !lasts_longer {
        return Change::Seen; // the entry stays as it is, with the evidence that made it
    }
    let expires_at = if lasts_longer { until } else { standing.expires_at };
    let recheckable = recheckable && (standing.recheckable || standing.reason < reason);
    Change::Suppress(Entry { expires_at, recheckable, soft_term_days, ..fresh })
}

#[cfg(test)]
mod tests;
