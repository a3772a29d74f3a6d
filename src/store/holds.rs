//! What waits because far more than usual would be suppressed, and what becomes of it.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Filter, Store, StoreError};
use crate::ledger::undo;

/// A hold: suppressions of one key that wait for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Hold {
    /// Its number.
    pub id: i64,
    /// What the key is: `domain`, `remote_mta`, `rule`.
    pub kind: String,
    /// The key.
    pub name: String,
    /// The time of the first event that waits.
    pub opened_at: Timestamp,
    /// The numbers, in words.
    pub why: String,
    /// Only suppressions wait that may end by themselves.
    pub recheckable_only: bool,
    /// `open`, `released` or `discarded`.
    pub state: String,
    /// How many events it has held.
    pub held: i64,
    /// How many of them wait now.
    pub waiting: i64,
    /// About how many addresses those that wait are.
    pub addresses: i64,
    /// When a person settled it.
    pub settled_at: Option<Timestamp>,
    /// Who.
    pub settled_by: Option<String>,
}

impl Hold {
    /// The command that takes off the list what came through within the hour before the hold opened.
    #[must_use]
    pub fn undo(&self) -> String {
        undo(&self.kind, &self.name, self.opened_at)
    }
}

/// An event that a hold has held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HeldEvent {
    /// The event's number.
    pub event: i64,
    /// The message's number.
    pub bounce: i64,
    /// When it was taken.
    pub received_at: Timestamp,
    /// The address it is about.
    pub recipient: String,
    /// Our conclusion.
    pub class: String,
    /// The code that decided.
    pub effective_status: Option<String>,
    /// The rule that decided.
    pub rule: String,
    /// The text that decided.
    pub evidence: String,
    /// The host that said it.
    pub remote_mta: Option<String>,
    /// What it has done to the list: `held` while it waits.
    pub change: String,
}

/// Which holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HoldFilter {
    /// Also those that are settled.
    pub all: bool,
    /// What they have in common: when they were opened, and what one of their events has.
    pub common: Filter,
    /// Only numbers below this one: the last of the page before.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// Every open hold, the newest first.
///
/// # Errors
/// What the store says.
pub async fn open_holds(store: &impl Store) -> Result<Vec<Hold>, StoreError> {
    let mut filter = HoldFilter { limit: u32::MAX, ..HoldFilter::default() };
    let mut holds: Vec<Hold> = Vec::new();
    loop {
        let page = store.holds(&filter).await?;
        holds.extend(page.items);
        match holds.last() {
            Some(last) if page.more => filter.before = Some(last.id),
            _ => return Ok(holds),
        }
    }
}

/// What a person says about a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldVerdict {
    /// Its events do what they would have done when they came in.
    Release,
    /// Its events never do anything.
    Discard,
}

/// A hold to settle, a bounded number of its events at once.
#[derive(Debug, Clone)]
pub struct HoldSettling {
    /// Its number.
    pub id: i64,
    /// What becomes of it.
    pub verdict: HoldVerdict,
    /// Who says so.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// At most so many events in this transaction.
    pub limit: u32,
    /// `Some`: it is all taken back at its end, and so many of the oldest events are left out.
    pub dry_run: Option<u64>,
}

/// What a step of settling a hold did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HoldSettled {
    /// Events settled in it.
    pub events: u64,
    /// Those of them that suppress their address now.
    pub suppressed: u64,
    /// Nothing waits any more: the hold is closed.
    pub closed: bool,
}

/// Events settled in one transaction: mail that comes in meanwhile waits no longer than for these.
const AT_ONCE: u32 = 500;

/// Settles all of a hold. It is not `closed` then where it was settled already, perhaps meanwhile by somebody else.
///
/// # Errors
/// What the store says; what was settled before stays so, and the next attempt goes on from there.
pub async fn settle_whole_hold(
    store: &impl Store,
    id: i64,
    verdict: HoldVerdict,
    by: &str,
    dry_run: bool,
) -> Result<HoldSettled, StoreError> {
    let mut settled = HoldSettled::default();
    while !settled.closed {
        // A dry run finds those that it has tried waiting again.
        let skip = dry_run.then_some(settled.events);
        let (by, at) = (by.to_owned(), Timestamp::now());
        let settling = HoldSettling { id, verdict, by, at, limit: AT_ONCE, dry_run: skip };
        let Some(step) = store.settle_hold(settling).await? else { break };
        settled.events += step.events;
        settled.suppressed += step.suppressed;
        settled.closed = step.closed;
    }
    Ok(settled)
}
