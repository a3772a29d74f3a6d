//! au's ezweb.ne.jp: a sentence that says what is wrong, then `<address>`; or `Recipient: <address>` with the
//! command and the reply below.

use super::letter::Letter;
use super::service::{Listing, contains, opens_with};
use super::text::address_in;
use super::{Action, Family, Reading};

pub(super) struct EzWeb;

/// What its letters say, in lower case.
const OPENS: &[&str] = &[
    "the user(s) account is disabled",
    "the user(s) account is temporarily",
    "the following recipients did not receive this message:",
    "the following recipients haven't received this message:",
    "each of the following recipients was rejected by a remote",
];

impl Family for EzWeb {
    fn name(&self) -> &'static str {
        "ezweb"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        if !opens_with(letter, OPENS) {
            return None;
        }
        let mut found = Listing::default();
        let mut open = false;
        let mut replies = false;
        for (_, line) in letter.lines() {
            let line = line.trim();
            let lower = line.to_lowercase();
            if contains(&lower, OPENS) {
                open = true;
                found.say(line);
            } else if !open {
                continue;
            } else if lower.starts_with("recipient:")
                || line.starts_with('<') && line.ends_with('>') && !replies
            {
                replies |= lower.starts_with("recipient:");
                if let Some(address) = address_in(line) {
                    found.add(address, "");
                }
            } else if let Some(reply) = line.strip_prefix("<<<").or_else(|| line.strip_prefix("Reason:")) {
                found.say_of_last(reply);
            } else if !line.starts_with(">>>") && !replies {
                found.say(line);
            }
        }
        found.into_reading(Action::Failed, None)
    }
}
