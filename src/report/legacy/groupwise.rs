//! Novell GroupWise: `address (what happened)` under its sentence.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{lone_address, pattern};
use super::{Family, Reading};

pub(super) struct GroupWise;

static LIST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:message that you sent was undeliverable to the following|the message you sent was not delivered to|die von ihnen gesendete nachricht konnte (?:an folgende empfänger )?nicht zugestellt werden)[^:\n]{0,40}:",
    )
});

impl Family for GroupWise {
    fn name(&self) -> &'static str {
        "groupwise"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let mut entries = Entries::default();
        for line in letter.after(&LIST)?.lines() {
            let trimmed = line.trim();
            let (who, said) = trimmed.split_once(" (").unwrap_or((trimmed, ""));
            if let Some(address) = lone_address(who) {
                entries.begin(&address, said.strip_suffix(')').unwrap_or(said));
            } else if !who.is_empty()
                && !said.is_empty()
                && !who.contains(' ')
                && let Some(address) = letter.whole_address(who)
            {
                entries.begin(&address, said.strip_suffix(')').unwrap_or(said));
            } else {
                entries.add(trimmed);
            }
        }
        Some(Reading::of(entries.finish()))
    }
}
