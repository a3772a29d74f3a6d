//! Trend Micro InterScan, between its lines of asterisks: the sentence, or the command and its answer.

use std::sync::LazyLock;

use regex::Regex;

use super::entries::Entries;
use super::letter::Letter;
use super::text::{address_in, pattern};
use super::{Family, Reading};

pub(super) struct InterScan;

/// Its two ways to name itself, or the way it shows a command and its reply.
static MARK: LazyLock<Regex> = LazyLock::new(|| pattern(r"message from interscan|sent <<< rcpt to:"));

static TO: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?:rcpt to: *|unable to deliver message to *|could not be delivered to:? *|recipient:? *)<(?P<address>(?:"(?:[^"\\\n]|\\.)+"|[^<>\s]+)@[^<>\s]+)>"#,
    )
});

impl Family for InterScan {
    fn name(&self) -> &'static str {
        "interscan"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        if !letter.says(&MARK) {
            return None;
        }
        let mut entries = Entries::default();
        for (_, line) in letter.text_lines() {
            let trimmed = line.trim().trim_matches('*').trim();
            let found = TO
                .captures(&trimmed.to_ascii_lowercase())
                .and_then(|found| address_in(&trimmed[found.name("address")?.range()]));
            match found {
                Some(address) if trimmed.starts_with("Sent <<<") => entries.begin(&address, ""),
                Some(address) => entries.begin(&address, trimmed),
                None if trimmed == "End of message" => {}
                None => entries.add(trimmed.trim_start_matches("Received >>>")),
            }
        }
        Some(Reading::of(entries.finish()))
    }
}
