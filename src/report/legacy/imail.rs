//! Ipswitch IMail (SMTPD32): a short line that ends in the address, the dialogue under it.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{address_in, pattern};
use super::{Family, Reading};

pub(super) struct Imail;

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^(?:unknown (?:user|host)|invalid final delivery userid|user mailbox exceeds allowed size|user mailbox (?:is )?full|undeliverable +to|delivery failed \d+ attempts|delivery to the following recipients failed)[ :]+.*@",
    )
});

impl Family for Imail {
    fn name(&self) -> &'static str {
        "imail"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        // Among the first things it says; a line like these deeper in a text is somebody else's.
        letter.opening(4).find(|line| LINE.is_match(line))?;
        let mut entries = Entries::default();
        for (_, line) in letter.lines() {
            let trimmed = line.trim();
            if LINE.is_match(trimmed)
                && let Some(address) = address_in(trimmed)
            {
                entries.begin(&address, trimmed);
            } else {
                entries.add(trimmed);
            }
        }
        Some(Reading::of(entries.finish()))
    }
}
