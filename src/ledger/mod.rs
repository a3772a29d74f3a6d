//! What commands do to the list: what is known and what arrives come in, rows to write go out.
//!
//! Pure: a store loads [`Facts`] for [`Needs`], a [`Book`] settles a group of commands on them one by one, and the store
//! writes the [`Writes`] in the same transaction. A group that is settled at once equals its commands settled one by one.

mod alarm;
mod arrival;
mod arrive;
mod book;
mod breaker;
mod cause;
mod entry;
mod facts;
mod import;
mod people;
mod reclassify;
mod subject;
#[cfg(test)]
mod tests;
mod told;
mod waiting;
mod writes;

pub use alarm::{Alarm, undo};
pub use arrival::{Arrival, EventChange, NewEvent, NewMessage, Recorded};
pub use book::{Book, Noted};
pub use breaker::Held;
pub use cause::{AuditOrigin, Cause, Replayed};
pub use entry::{Entry, EntryKey, whole_seconds};
pub use facts::{
    CountedAs, Facts, KnownEvent, Needs, Numbers, OpenHold, RateKey, UsualHours, hour_before, oldest_slot,
    slot_of, usual_slots,
};
pub use import::Imported;
pub use people::{ManualEntry, Removal};
pub use reclassify::{JudgedEvent, Reclassified, ReclassifiedEntry, ReclassifiedEvent};
pub use subject::{LetThrough, Subject, said};
pub use told::{Source, Told};
pub use waiting::{Idle, WaitingEvent};
pub use writes::{Aggregate, AuditEntry, EventRow, HostCount, RejudgedEvent, SettledEvent, Writes};

/// The stream of everything that names none; an entry in it suppresses in every stream.
pub const ANY_STREAM: i64 = 0;
