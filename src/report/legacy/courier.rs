//! Courier's reports: a title in capitals, `<address>:`, and the end of the SMTP dialogue.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{lone_address, pattern};
use super::{Family, Reading};

pub(super) struct Courier;

static OPENING: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"this is a delivery status notification from ([a-z0-9._-]+)"));

static LIST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:undeliverable mail|delayed mail|delivery delayed)\s+[^:]{0,200}:|following recipients (?:cannot be|was not|has not been|could not be) [^:]{0,80}:",
    )
});

impl Family for Courier {
    fn name(&self) -> &'static str {
        "courier"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let host = OPENING.captures(&letter.lower)?.get(1).map(|host| host.as_str());
        let mut entries = Entries::default();
        for line in letter.after(&LIST)?.lines() {
            let trimmed = line.trim();
            if let Some(address) = lone_address(trimmed).filter(|_| line.starts_with('<')) {
                entries.begin(&address, "");
            } else if trimmed.starts_with("----") {
                break;
            } else if !trimmed.starts_with(">>>") {
                entries.add(trimmed.trim_start_matches("<<<"));
            }
        }
        let delayed = letter.lower.contains("delayed mail") || letter.lower.contains("delivery delayed");
        let reading = Reading::of(entries.finish()).reported_by(host);
        Some(if delayed { reading.delayed() } else { reading })
    }
}
