//! Apache James, and Verizon's gateways that write like it: `Error message below:` and `RCPT TO:`.

use super::letter::Letter;
use super::service::{Listing, contains, opens_with};
use super::text::address_in;
use super::{Action, Family, Reading};

pub(super) struct James;

impl Family for James {
    fn name(&self) -> &'static str {
        "james"
    }

    fn answers(&self) -> bool {
        true
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        if !opens_with(letter, &["error message below:"]) {
            return None;
        }
        let mut found = Listing::default();
        let (mut error, mut details) = (false, false);
        for (_, line) in letter.lines() {
            let line = line.trim();
            let lower = line.to_lowercase();
            if contains(&lower, &["error message below:"]) {
                error = true;
            } else if lower.starts_with("message details:") {
                details = true;
            } else if details && lower.starts_with("rcpt to:") {
                if let Some(address) = address_in(&line["rcpt to:".len()..]) {
                    found.add(address, "");
                }
            } else if error && !details {
                found.say(line);
            }
        }
        (error && details).then(|| found.into_reading(Action::Failed, None))?
    }
}
