//! Verizon's picture mail gateway: "Message could not be delivered to mobile", with the message's header below.

use super::letter::Letter;
use super::service::{Listing, opens_with};
use super::text::address_in;
use super::{Action, Family, Reading};

pub(super) struct Verizon;

impl Family for Verizon {
    fn name(&self) -> &'static str {
        "verizon"
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        if !opens_with(letter, &["message could not be delivered to mobile"]) {
            return None;
        }
        let mut found = Listing::default();
        for (_, line) in letter.lines() {
            let line = line.trim();
            if let Some(error) = line.strip_prefix("Error:") {
                found.say(error);
            } else if let Some(address) = line.strip_prefix("To:").and_then(address_in) {
                found.add(address, "");
            }
        }
        found.into_reading(Action::Failed, None)
    }
}
