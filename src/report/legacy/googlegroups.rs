//! Google Groups: the group does not exist, or does not take mail from this sender. The words come in the
//! reader's language; the marks do not.

use super::letter::Letter;
use super::service::{opens_with, with_status};
use super::{Family, Reading, failed};

/// Most text kept about one group, in bytes.
const MAX_SAID: usize = 2 * 1024;

/// Most groups taken from one letter.
const MAX_GROUPS: usize = 100;

pub(super) struct GoogleGroups;

impl Family for GoogleGroups {
    fn name(&self) -> &'static str {
        "googlegroups"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let google = letter.from().starts_with("mailer-daemon@google");
        if !google || !opens_with(letter, &["//groups.google.com/", "//support.google.com/a/answer/168383"]) {
            return None;
        }
        let original_at = letter.lines().find(|(_, line)| line.starts_with("----- Original message -----"));
        let said = original_at.map_or(letter.text, |(at, _)| &letter.text[..at]);
        let said = &said[..said.floor_char_boundary(MAX_SAID.min(said.len()))];
        let groups = letter.report.failed_recipients.iter().take(MAX_GROUPS);
        let recipients = groups.map(|group| failed(group, said)).collect();
        let reading = Reading {
            recipients,
            original_at: original_at.map(|(at, line)| at + line.len()),
            ..Reading::default()
        };
        // RFC 3463 §3.8: X.7.2, not authorized to send to this list, is what all these languages say
        Some(with_status(reading, "5.7.2"))
    }
}
