//! CommuniGate Pro: "Failed to deliver to '…'", then what its module reports.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{address_in, pattern};
use super::{Family, Reading};

pub(super) struct CommuniGate;

static LINE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?P<late>message delivery to|delivery to)?(?:failed to deliver to)? *[<'‘][^'>’]+[>'’](?P<delayed> delayed)?",
    )
});

static REPORTS: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:module\s*\([^)]*\)|module|router) reports:"));

impl Family for CommuniGate {
    fn name(&self) -> &'static str {
        "communigate"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        if !letter.says(&REPORTS) {
            return None;
        }
        let mut entries = Entries::default();
        let mut delayed = false;
        for (_, line) in letter.lines() {
            let lower = line.trim().to_lowercase();
            let about = lower.starts_with("failed to deliver to")
                || lower.starts_with("message delivery to")
                || lower.starts_with("delivery to");
            if about && LINE.is_match(&lower) {
                let who = || line.split(['\'', '‘', '’', '<', '>']).nth(1).unwrap_or_default();
                let address = address_in(line).or_else(|| letter.whole_address(who()));
                delayed |= lower.contains("delayed");
                if let Some(address) = address {
                    entries.begin(&address, "");
                }
            } else if !REPORTS.is_match(&lower) {
                entries.add(line);
            }
        }
        let reading = Reading::of(entries.finish());
        Some(if delayed { reading.delayed() } else { reading })
    }
}
