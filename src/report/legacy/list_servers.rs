//! Mailing list managers and site postmasters that answer for an address themselves.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{address_in, pattern};
use super::{Family, Reading};

pub(super) struct ListServers;

/// fml's alert of a loop.
static LOOP: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"^(?:duplicated message-id in|loop back warning:[^<]{0,80}) <((?:"(?:[^"\\\n]|\\.)+"|[^<>\s]+)@[^<>\s]+)>"#,
    )
});

/// A postmaster's answer with the staff directory in it.
static LOCATOR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"your\s+message\s+was\s+addressed,\s+(\S+@\S+?),?\s+did\s+not\s+(?:exactly\s+)?match\s+an")
});

impl Family for ListServers {
    fn name(&self) -> &'static str {
        "list-servers"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let mut entries = Entries::default();
        if letter.subject().starts_with("loop alert") {
            let first = letter.opening(1).next()?;
            LOOP.captures(&first.to_lowercase())?;
            entries.begin(&address_in(first)?, first);
        } else {
            let found = LOCATOR.captures(&letter.lower)?;
            let address = found.get(1)?;
            let said = found.get(0)?;
            entries.begin(
                &address_in(&letter.body[address.range()])?,
                &letter.body[said.range()].split_whitespace().collect::<Vec<_>>().join(" "),
            );
        }
        Some(Reading::of(entries.finish()))
    }
}
