//! AOL's own gateway: screen names without a domain, which is AOL's.

use super::letter::Letter;
use super::service::{Listing, contains};
use super::text::address_in;
use super::{Action, Family, Reading};

pub(super) struct Aol;

impl Family for Aol {
    fn name(&self) -> &'static str {
        "aol"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        if letter.from() != "mailer-daemon@aol.com" {
            return None;
        }
        let mut found = Listing::default();
        let mut listing = false;
        for (_, line) in letter.lines() {
            let line = line.trim();
            if contains(&line.to_lowercase(), &["to the following recipients could not be delivered"]) {
                listing = true;
                found.say(line);
            } else if listing && let Some(address) = address_in(line) {
                found.add(address, "");
            } else if listing && is_screen_name(line) {
                found.add(format!("{line}@aol.com"), "");
            } else if listing && !line.is_empty() {
                break;
            }
        }
        found.into_reading(Action::Failed, None)
    }
}

/// AOL's rule for screen names: letters, digits and spaces once, three to sixteen characters and more later.
fn is_screen_name(word: &str) -> bool {
    (3..=32).contains(&word.len())
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))
}
