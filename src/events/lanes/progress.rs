//! What the store is told of the events of an endpoint.

use super::Lanes;
use crate::store::{PassedBy, Progress};

impl Lanes {
    /// What the store does not know yet, if anything.
    pub(in crate::events) fn progress(&mut self) -> Option<Progress> {
        // What others have overtaken is passed by: a slow one holds up nothing, and what was delivered meanwhile does
        // not come twice.
        let later = self.fresh.split_off(&self.reached);
        self.changed.append(&mut self.fresh);
        self.fresh = later;
        self.state.through = self.fresh.first().map_or(self.read_to, |first| first - 1);
        let nothing = self.delivered.is_empty()
            && self.changed.is_empty()
            && self.aside.is_empty()
            && self.dead.is_empty();
        if nothing && self.state == self.written {
            return None;
        }
        let mut passed_by = std::mem::take(&mut self.dead);
        for event in std::mem::take(&mut self.changed) {
            let Some(item) = self.items.get_mut(&event) else { continue };
            item.stored = true;
            passed_by.push(PassedBy {
                event,
                attempts: item.attempts,
                failed_at: item.failed_at,
                next_at: (item.attempts > 0).then_some(item.next_at),
                dead_at: None,
                error: item.error.clone(),
            });
        }
        passed_by.extend(std::mem::take(&mut self.aside).into_iter().map(PassedBy::untried));
        Some(Progress {
            state: self.state.clone(),
            delivered: std::mem::take(&mut self.delivered),
            passed_by,
        })
    }

    /// The store knows it now.
    pub(in crate::events) fn wrote(&mut self, progress: Progress) {
        self.written = progress.state;
    }

    /// Whether the store knows what became of every event that was given up.
    pub(in crate::events) fn is_written(&self) -> bool {
        self.dead.is_empty() && self.aside.is_empty()
    }

    /// The store did not take it: it is told again.
    pub(in crate::events) fn not_written(&mut self, progress: Progress) {
        self.delivered.extend(progress.delivered);
        for passed in progress.passed_by {
            if passed.dead_at.is_some() {
                self.dead.push(passed);
            } else if self.items.contains_key(&passed.event) {
                self.changed.insert(passed.event);
            } else {
                self.aside.insert(passed.event);
            }
        }
    }
}
