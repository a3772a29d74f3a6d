//! fml, a mailing list manager: it turns down what would loop or looks dangerous. No address is dead by that,
//! the list sends its mail elsewhere.

use super::letter::Letter;
use super::service::{Listing, with_status};
use super::text::address_in;
use super::{Action, Family, Reading};

pub(super) struct Fml;

/// The first words of its notices, in lower case, and what RFC 3463 calls each.
const NOTICES: &[(&str, &str)] = &[
    ("duplicated message-id in ", "5.4.6"),    // RFC 3463 §3.5
    ("loop back warning", "5.4.6"),            // RFC 3463 §3.5
    ("mail loop detected", "5.4.6"),           // RFC 3463 §3.5
    ("you are not a member", "5.7.2"),         // RFC 3463 §3.8
    ("your mail is rejected, since", "5.7.2"), // RFC 3463 §3.8
    ("security alert", "5.7.0"),               // RFC 3463 §3.8
];

impl Family for Fml {
    fn name(&self) -> &'static str {
        "fml"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        if !letter.field("X-MLServer").to_lowercase().starts_with("fml") {
            return None;
        }
        let (at, first) = letter.lines().find(|(_, line)| !line.trim().is_empty())?;
        let lower = first.to_lowercase();
        let (_, status) = NOTICES.iter().find(|(words, _)| lower.contains(words))?;
        let mut found = Listing::default();
        found.add(address_in(first).or_else(|| letter.report.from.clone())?, first);
        let original =
            letter.lines().find(|(_, line)| line.to_lowercase().starts_with("original mail as follows"));
        let original_at = original.map(|(start, line)| start + line.len()).filter(|start| *start > at);
        Some(with_status(found.into_reading(Action::Failed, original_at)?, status))
    }
}
