//! Zoho Mail: `address reason, ERROR_CODE :550, ERROR_CODE :5.1.1 …`, a line each.

use super::letter::Letter;
use super::service::Listing;
use super::text::address_in;
use super::{Action, Family, Reading};

pub(super) struct Zoho;

impl Family for Zoho {
    fn name(&self) -> &'static str {
        "zoho"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        if !letter.body.contains(", ERROR_CODE :") {
            return None;
        }
        let mut found = Listing::default();
        let mut original_at = None;
        for (at, line) in letter.lines() {
            if line.starts_with("Received:") {
                original_at = Some(at);
                break;
            }
            let trimmed = line.trim_start_matches(['[', ' ', '\t', '<']);
            let Some(address) = address_in(line).filter(|address| trimmed.starts_with(address.as_str()))
            else {
                continue;
            };
            if let Some((_, said)) = line.split_once(", ERROR_CODE :") {
                // "550, ERROR_CODE :5.1.1 …" is the reply with its parts set apart
                let words = trimmed[address.len()..].split(", ERROR_CODE").next().unwrap_or_default();
                let reply = said.replace(", ERROR_CODE :", " ");
                let words = words.trim_matches([']', '>', ' ', ',']);
                found.add(address, &format!("{reply} ({words})"));
            }
        }
        found.into_reading(Action::Failed, original_at)
    }
}
