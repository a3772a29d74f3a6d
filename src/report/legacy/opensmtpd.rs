//! OpenSMTPD's bounces: "This is the MAILER-DAEMON", then `address: what happened`, a line each.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{lone_address, pattern};
use super::{Family, Reading};

pub(super) struct OpenSmtpd;

static LIST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:an\s+error\s+has\s+occurred\s+while\s+attempting\s+to\s+deliver\s+a\s+message|a\s+message\s+is\s+delayed\s+for\s+more\s+than\s+[^\n]{1,40})\s+for\s+the\s+following\s+list\s+of\s+recipients:",
    )
});

impl Family for OpenSmtpd {
    fn name(&self) -> &'static str {
        "opensmtpd"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let list = letter.after(&LIST)?;
        let mut entries = Entries::default();
        for line in list.lines() {
            if let Some((start, said)) = line.trim().split_once(':')
                && let Some(address) = lone_address(start)
            {
                entries.begin(&address, said);
            } else if line.trim().is_empty() && !entries.is_empty() {
                break;
            } else {
                entries.add(line);
            }
        }
        let reading = Reading::of(entries.finish());
        Some(if letter.lower.contains("a message is delayed") { reading.delayed() } else { reading })
    }
}
