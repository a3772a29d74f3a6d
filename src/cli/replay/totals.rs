//! What came of a replay, in numbers.

use serde::Serialize;

use super::output;
use crate::report::ReportKind;
use crate::store::{EventChange, Hold};

/// What came of it all.
#[derive(Debug, Default, Serialize)]
pub(super) struct Totals {
    /// Nothing was recorded: this is what would come of it if nothing stood on the list.
    pub(super) dry_run: bool,
    /// Messages that were not known.
    pub(super) recorded: usize,
    /// Messages that were recorded before.
    pub(super) duplicates: usize,
    /// Files that could not be read or are no messages, and messages that are too large.
    pub(super) unreadable: usize,
    pub(super) unrecognized: usize,
    pub(super) suppressed: usize,
    pub(super) counted: usize,
    pub(super) seen: usize,
    pub(super) quarantined: usize,
    pub(super) held: usize,
    /// The holds that grew meanwhile.
    pub(super) holds: Vec<Grown>,
}

/// A hold that suppressions were added to while files were read.
#[derive(Debug, Serialize)]
pub(super) struct Grown {
    hold: i64,
    kind: String,
    name: String,
    /// How many were added.
    held: i64,
}

impl Totals {
    /// Counts a message that was not known.
    pub(super) fn add(&mut self, kind: ReportKind, changes: &[EventChange]) {
        self.recorded += 1;
        self.unrecognized += usize::from(kind == ReportKind::Unrecognized);
        for change in changes {
            match change {
                EventChange::Suppressed => self.suppressed += 1,
                EventChange::Counted => self.counted += 1,
                EventChange::Seen => self.seen += 1,
                EventChange::Quarantined => self.quarantined += 1,
                EventChange::Held => self.held += 1,
                EventChange::Cleared | EventChange::Discarded | EventChange::None => {}
            }
        }
    }

    /// Two lines: the messages, and what came of their recipients.
    pub(super) fn told(&self) -> String {
        let Self { dry_run, recorded, duplicates, unreadable, unrecognized, .. } = self;
        let mut told = if *dry_run {
            format!("{recorded} read, nothing recorded, {unrecognized} not recognized")
        } else {
            format!("{recorded} recorded, {duplicates} known already, {unrecognized} not recognized")
        };
        if *unreadable > 0 {
            let what = if *unreadable == 1 { "file or message" } else { "files or messages" };
            told.push_str(&format!(", {unreadable} {what} could not be read"));
        }
        let Self { suppressed, counted, seen, quarantined, held, .. } = self;
        told + &if *dry_run {
            format!("\nwould suppress {suppressed}, count {counted}, quarantine {quarantined}")
        } else {
            format!(
                "\nsuppressed {suppressed}, counted {counted}, on the list before {seen}, \
                 quarantined {quarantined}, held {held}"
            )
        }
    }
}

/// What holds have held since.
pub(super) fn grown(before: &[Hold], now: Vec<Hold>) -> Vec<Grown> {
    let held = |id| before.iter().find(|hold| hold.id == id).map_or(0, |hold| hold.held);
    now.into_iter()
        .map(|Hold { id, kind, name, held: now, .. }| Grown { hold: id, kind, name, held: now - held(id) })
        .filter(|hold| hold.held > 0)
        .collect()
}

/// The last line: nobody else tells that the list is not what the files say.
pub(super) fn tell_of_holds(holds: &[Grown]) -> anyhow::Result<()> {
    if holds.is_empty() {
        return Ok(());
    }
    let each = holds.iter().map(|Grown { hold, kind, name, held }| {
        format!("{held} by hold {hold} ({} {})", kind.replace('_', " "), output::clean(name))
    });
    let each = each.collect::<Vec<_>>().join(", ");
    output::error(&format!("held for you to decide, and not on the list: {each}; see `dsnd holds list`"));
    Ok(())
}
