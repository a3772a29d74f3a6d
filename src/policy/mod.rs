//! What a classification does to the suppression list: thresholds, terms, and which entry outweighs which.
//!
//! Pure: history and the time come in, a [`Change`] goes out. The store applies it in the transaction that
//! records the event.

mod breaker;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use breaker::{Breaker, Jump, KeyKind, Recent, USUAL_DAYS, Usual};

use crate::classify::{Basis, Class, Decision};

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
    /// How many days suppress on which a code said that the address is dead, beside a text that no rule knows. They
    /// lie within [`Self::soft_window_days`].
    pub unconfirmed_days: u32,
    /// How many days with a full mailbox suppress.
    pub mailbox_full_count: u32,
    /// At least this many days must lie between the first and the last of them.
    pub mailbox_full_span_days: u32,
    /// Older ones are forgotten.
    pub mailbox_full_window_days: u32,
    /// Where a hard bounce suppresses.
    pub hard_scope: Scope,
    /// Where a complaint does.
    pub complaint_scope: Scope,
    /// Where soft bounces are counted and suppress.
    pub soft_scope: Scope,
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
            unconfirmed_days: 2,
            mailbox_full_count: 5,
            mailbox_full_span_days: 30,
            mailbox_full_window_days: 90,
            hard_scope: Scope::Global,
            complaint_scope: Scope::Global,
            soft_scope: Scope::Stream,
        }
    }
}

/// How far an entry or a counter reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every stream.
    Global,
    /// The stream of the message that bounced, and no other.
    Stream,
}

/// Why an address is suppressed, in the operator's words; the class says it precisely. In rising weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CounterKind {
    /// Everything soft but a full mailbox.
    Soft,
    /// A full mailbox, which has a threshold of its own.
    MailboxFull,
    /// A code that suppresses, beside a text that no rule knows: as many days of it as confirm each other are a hard
    /// bounce.
    Unconfirmed,
}

impl CounterKind {
    /// The word used in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "soft",
            Self::MailboxFull => "mailbox_full",
            Self::Unconfirmed => "unconfirmed",
        }
    }

    /// The kind that a word stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Soft, Self::MailboxFull, Self::Unconfirmed].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What was concluded about an event, as far as the list goes by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Our conclusion.
    pub class: Class,
    /// What it does.
    pub decision: Decision,
    /// What that rests on.
    pub basis: Basis,
}

impl Verdict {
    /// The counter that it counts under.
    #[must_use]
    pub const fn counter(self) -> CounterKind {
        match (self.class, self.basis) {
            (_, Basis::Unconfirmed) => CounterKind::Unconfirmed,
            (Class::MailboxFull, _) => CounterKind::MailboxFull,
            _ => CounterKind::Soft,
        }
    }

    /// Whether it says that the address takes mail.
    const fn clears(self) -> bool {
        matches!(self, Self { class: Class::Delivered, decision: Decision::Ignore, basis: Basis::Stated })
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
    /// The entry that this event's would take the place of, if there is one: in [`Policy::scope`] of its decision.
    pub standing: Option<Standing>,
    /// The entry for every stream, where the event's own would stand in its stream alone.
    pub everywhere: Option<Standing>,
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
    /// There is an entry already, there, that outweighs this: it is only seen once more.
    Seen(Scope),
    /// The counters are cleared: the address takes mail.
    Clear {
        /// How far all of them are.
        counted: Scope,
        /// How far that of unconfirmed codes is.
        unconfirmed: Scope,
    },
}

impl Change {
    /// Whether it would make an entry that suppresses no more: that of an event which waited longer than its term.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        matches!(self, Self::Suppress(entry) if entry.expires_at.is_some_and(|until| until <= now))
    }
}

/// An entry to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// How far it reaches.
    pub scope: Scope,
    /// Why.
    pub reason: Reason,
    /// Until when; `None` for ever.
    pub expires_at: Option<Timestamp>,
    /// A recovered host may release it.
    pub recheckable: bool,
    /// Length of the soft term, carried along for doubling.
    pub soft_term_days: u32,
    /// The entry that stands stays as it is, with its reason and who gave it; only its term becomes longer.
    pub lengthens: bool,
    /// The counter that reached its threshold and starts anew.
    pub consumes: Option<CounterKind>,
}

/// The UTC day of an instant, in days since 1970-01-01.
#[must_use]
pub fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(86_400)
}

/// Whether an event can change anything at all, whatever is known of its address. What cannot need not wait for a
/// person where nothing proves it.
#[must_use]
pub const fn may_change(verdict: Verdict) -> bool {
    match verdict.decision {
        Decision::Suppress | Decision::Count | Decision::Complaint | Decision::Host => true,
        Decision::Ignore => verdict.clears(),
        Decision::Sender => false,
    }
}

impl Policy {
    /// Decides what one event does, given what is known of its address.
    #[must_use]
    pub fn apply(&self, verdict: Verdict, history: &History, now: Timestamp) -> Change {
        let Verdict { class, decision, .. } = verdict;
        let scope = self.scope(verdict);
        let fresh = |reason, days: Option<u32>| Entry {
            scope,
            reason,
            expires_at: days
                .and_then(|days| now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).ok()),
            recheckable: false,
            soft_term_days: 0,
            lengthens: false,
            consumes: None,
        };
        let hard = || {
            let recheckable = class.recheckable();
            let days = if recheckable { self.recheckable_days } else { self.hard_days };
            Entry { recheckable, ..fresh(Reason::Hard, Some(days)) }
        };
        match decision {
            Decision::Suppress => weigh(history, now, hard()),
            Decision::Complaint => weigh(history, now, fresh(Reason::Complaint, None)),
            Decision::Count => {
                let kind = verdict.counter();
                match self.counted(kind, scope, history, now) {
                    Counted::Standing(scope) => Change::Seen(scope),
                    Counted::Below => Change::Count(kind),
                    Counted::Reached(_) if kind == CounterKind::Unconfirmed => {
                        weigh(history, now, Entry { consumes: Some(kind), ..hard() })
                    }
                    Counted::Reached(term) => {
                        let entry = fresh(Reason::Soft, Some(term));
                        weigh(history, now, Entry { soft_term_days: term, consumes: Some(kind), ..entry })
                    }
                }
            }
            Decision::Ignore if verdict.clears() => {
                Change::Clear { counted: scope, unconfirmed: self.hard_scope }
            }
            Decision::Host | Decision::Sender | Decision::Ignore => Change::None,
        }
    }

    /// How far what comes of a decision reaches: its entry, its counter, and what a delivery clears.
    #[must_use]
    pub const fn scope(&self, verdict: Verdict) -> Scope {
        match verdict.decision {
            Decision::Suppress => self.hard_scope,
            Decision::Count => self.counted_in(verdict.counter()),
            Decision::Complaint => self.complaint_scope,
            Decision::Host | Decision::Sender | Decision::Ignore => self.soft_scope,
        }
    }

    /// How far back days of a kind matter.
    #[must_use]
    pub const fn window_days(&self, kind: CounterKind) -> u32 {
        match kind {
            CounterKind::Soft | CounterKind::Unconfirmed => self.soft_window_days,
            CounterKind::MailboxFull => self.mailbox_full_window_days,
        }
    }

    /// How many days of a kind suppress.
    #[must_use]
    pub const fn needed(&self, kind: CounterKind) -> u32 {
        match kind {
            CounterKind::Soft => self.soft_count,
            CounterKind::MailboxFull => self.mailbox_full_count,
            CounterKind::Unconfirmed => self.unconfirmed_days,
        }
    }

    /// How far days of a kind are counted together.
    #[must_use]
    pub const fn counted_in(&self, kind: CounterKind) -> Scope {
        match kind {
            CounterKind::Soft | CounterKind::MailboxFull => self.soft_scope,
            CounterKind::Unconfirmed => self.hard_scope,
        }
    }

    /// Those of the days of a kind that count today, each once, the earliest first.
    #[must_use]
    pub fn inside(&self, kind: CounterKind, days: impl Iterator<Item = i64>, today: i64) -> Vec<i64> {
        let counts = |day: &i64| *day <= today && today - day < i64::from(self.window_days(kind));
        days.filter(counts).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What one more day under a counter comes to.
    fn counted(&self, kind: CounterKind, scope: Scope, history: &History, now: Timestamp) -> Counted {
        let active = |standing: Option<Standing>| standing.is_some_and(|standing| standing.active(now));
        if active(history.standing) {
            return Counted::Standing(scope);
        }
        if active(history.everywhere) {
            return Counted::Standing(Scope::Global);
        }
        let today = day_of(now);
        let days = self.inside(kind, history.counted_days.iter().copied().chain([today]), today);
        let span = if kind == CounterKind::MailboxFull { self.mailbox_full_span_days } else { 0 };
        let spanned = today - days.first().copied().unwrap_or(today);
        if (days.len() as u64) < u64::from(self.needed(kind)) || spanned < i64::from(span) {
            return Counted::Below;
        }
        let term_of = |standing: Option<Standing>| standing.map_or(0, |standing| standing.soft_term_days);
        let last_term = term_of(history.standing).max(term_of(history.everywhere));
        let term =
            if last_term == 0 { self.soft_days } else { last_term.saturating_mul(2) }.min(self.soft_max_days);
        Counted::Reached(term)
    }
}

/// What comes of counting a day.
enum Counted {
    /// The address is suppressed as it is, so far.
    Standing(Scope),
    /// The threshold is not reached.
    Below,
    /// It is, and suppresses for so many days.
    Reached(u32),
}

impl Standing {
    /// Whether the entry suppresses at this moment.
    #[must_use]
    pub fn active(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| expires_at > now)
    }

    /// Whether an entry that ends at `until` would outlast this one.
    fn outlasted_by(&self, until: Option<Timestamp>) -> bool {
        match (self.expires_at, until) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(old), Some(new)) => new > old,
        }
    }

    /// Whether a fresh entry adds nothing to this one.
    fn outweighs(&self, fresh: &Entry, now: Timestamp) -> bool {
        self.active(now) && self.reason >= fresh.reason && !self.outlasted_by(fresh.expires_at)
    }
}

/// What comes of an entry of somebody's list beside the one that stands in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// Nothing: the one that stands is as strong and lasts as long.
    Known,
    /// The one that stands stays, with a later end.
    Longer(Standing),
    /// It takes the place of what stands or stood.
    Instead(Standing),
}

/// Puts an entry of a list beside the one that is there: what stands is never shortened or made weaker, and where both
/// have the same reason it keeps what it says of it.
#[must_use]
pub fn join(standing: &Standing, listed: &Standing, now: Timestamp) -> Joined {
    let soft_term_days = listed.soft_term_days.max(standing.soft_term_days);
    if !standing.active(now) {
        return Joined::Instead(Standing { soft_term_days, ..*listed });
    }
    let longer = standing.outlasted_by(listed.expires_at);
    if listed.reason > standing.reason {
        let expires_at = if longer { listed.expires_at } else { standing.expires_at };
        return Joined::Instead(Standing { expires_at, soft_term_days, ..*listed });
    }
    if !longer {
        return Joined::Known;
    }
    let recheckable = standing.recheckable && listed.recheckable;
    Joined::Longer(Standing { expires_at: listed.expires_at, recheckable, soft_term_days, ..*standing })
}

/// Puts a fresh entry beside those that are there: the weightier one stays, and nothing is shortened.
fn weigh(history: &History, now: Timestamp, fresh: Entry) -> Change {
    // What stays as it is keeps the evidence that made it.
    if history.standing.is_some_and(|standing| standing.outweighs(&fresh, now)) {
        return Change::Seen(fresh.scope);
    }
    if history.everywhere.is_some_and(|standing| standing.outweighs(&fresh, now)) {
        return Change::Seen(Scope::Global);
    }
    let Some(standing) = history.standing else {
        return Change::Suppress(fresh);
    };
    let soft_term_days = fresh.soft_term_days.max(standing.soft_term_days);
    if !standing.active(now) {
        return Change::Suppress(Entry { soft_term_days, ..fresh });
    }
    let expires_at =
        if standing.outlasted_by(fresh.expires_at) { fresh.expires_at } else { standing.expires_at };
    if standing.reason > fresh.reason {
        // A person's entry stays a person's: whoever takes bounces back leaves it alone.
        let (reason, recheckable) = (standing.reason, standing.recheckable && fresh.recheckable);
        let entry = Entry { reason, expires_at, recheckable, soft_term_days, lengthens: true, ..fresh };
        return Change::Suppress(entry);
    }
    let recheckable = fresh.recheckable && (standing.recheckable || standing.reason < fresh.reason);
    Change::Suppress(Entry { expires_at, recheckable, soft_term_days, ..fresh })
}

#[cfg(test)]
mod tests;
