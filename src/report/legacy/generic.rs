//! The last one asked: addresses near words of failure, before the returned copy; else the one recipient of
//! the returned message. It says how sure it is, and never takes those who only pass the mail on.

use super::entries::Entries;
use super::letter::Letter;
use super::text::addresses_in;
use super::words::{FAILURE, WARNING};
use super::{Confidence, Family, Reading, same_address};
use crate::report::mime;

/// More addresses than this near words of failure are a list of something else.
const MAX_GUESSES: usize = 20;

pub(super) struct Generic;

impl Family for Generic {
    fn name(&self) -> &'static str {
        "generic"
    }

    fn certain(&self) -> bool {
        false
    }

    fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        if !letter.is_by_machine() {
            return None;
        }
        let subject = letter.subject();
        if !letter.speaks_of_failure() && !FAILURE.is_match(subject) {
            return None;
        }
        let own = Own::of(letter);
        let mut entries = Entries::default();
        let mut confidence = Confidence::Doubtful;
        let said = || letter.body.lines().take(200).map(str::trim).filter(|line| !line.is_empty());
        // The returned message says whom it was for: that is better than any guess.
        if let Some(only) = letter.only_recipient().filter(|only| !own.has(only) && !own.is_home(only)) {
            entries.begin(&only, "");
            confidence = Confidence::Likely;
        } else {
            let mut near = 0_u8;
            let mut waiting: Vec<String> = Vec::new();
            for line in said() {
                if FAILURE.is_match(&line.to_lowercase()) {
                    near = 3;
                    waiting.drain(..).for_each(|address| entries.begin(&address, ""));
                }
                let found = addresses_in(line).filter(|address| {
                    !own.has(address) && !own.is_colleague(address) && !sent_by(line, address)
                });
                if near > 0 {
                    found.for_each(|address| entries.begin(&address, ""));
                } else {
                    waiting = found.collect(); // the words may come on the next line
                }
                near = near.saturating_sub(1);
            }
            if entries.len() > MAX_GUESSES {
                return None;
            }
        }
        if entries.is_empty() {
            let in_subject = addresses_in(subject).find(|address| !own.has(address));
            in_subject.into_iter().for_each(|address| entries.begin(&address, ""));
        }
        if entries.len() == 1 {
            said().for_each(|line| entries.add(line));
        }
        let reading = Reading::of(entries.finish()).with(confidence);
        Some(if letter.says(&WARNING) { reading.delayed() } else { reading })
    }
}

/// Addresses that no guess may take for a recipient: those of the report's header, the sender of what was
/// returned, and the postmasters that bounces tell one to write to.
pub(super) struct Own {
    list: Vec<String>,
    /// Whom the returned message was for: no stranger, whatever else he is.
    mailed: Vec<String>,
    /// The domain of a sender that is no daemon.
    house: Option<String>,
}

/// Local parts of roles that answer for a mail system.
const ROLES: [&str; 12] = [
    "postmaster",
    "mailer-daemon",
    "abuse",
    "support",
    "helpdesk",
    "hostmaster",
    "webmaster",
    "noreply",
    "no-reply",
    "root",
    "admin",
    "administrator",
];

impl Own {
    pub(super) fn of(letter: &Letter<'_>) -> Self {
        // A person's address, or a company's: those of his house are colleagues, not recipients.
        let house = (!letter.is_by_daemon())
            .then(|| letter.from().rsplit_once('@').map(|(_, domain)| domain.to_owned()))
            .flatten();
        let mut list: Vec<String> =
            ["From", "To", "Cc", "Reply-To", "Return-Path", "Delivered-To", "X-Original-To", "Envelope-To"]
                .iter()
                .filter_map(|name| letter.header.first(name))
                .flat_map(mime::addresses)
                .take(100)
                .collect();
        list.extend(letter.original.as_ref().and_then(|original| original.from.clone()));
        let mailed = letter.original.as_ref().map(|original| original.to.clone()).unwrap_or_default();
        Self { list, mailed, house }
    }

    /// Whether an address is in the domain of a sender that is no daemon.
    fn is_colleague(&self, address: &str) -> bool {
        let domain = address.rsplit_once('@').map(|(_, domain)| domain);
        self.house.as_deref().zip(domain).is_some_and(|(house, domain)| house.eq_ignore_ascii_case(domain))
            && !self.mailed.iter().any(|mailed| same_address(mailed, address))
    }

    /// Whether an address is in a domain that the report was sent to. The To of a returned list posting is the
    /// list, not the subscriber who could not be reached.
    fn is_home(&self, address: &str) -> bool {
        let domain = |address: &str| address.rsplit_once('@').map(|(_, domain)| domain.to_ascii_lowercase());
        self.list.iter().any(|own| domain(own) == domain(address))
    }

    pub(super) fn has(&self, address: &str) -> bool {
        let local = address.split('@').next().unwrap_or_default();
        !self.mailed.iter().any(|mailed| same_address(mailed, address))
            && (ROLES.iter().any(|role| local.eq_ignore_ascii_case(role))
                || self.list.iter().any(|own| same_address(own, address)))
    }
}

/// Whether a text names an address as the one that the mail is from.
pub(super) fn sent_by(text: &str, address: &str) -> bool {
    let Some(at) = text.find(address) else { return false };
    let before = text[..at].trim_end_matches([' ', '<', ':', '"', '\'', '\t', '\n']).to_lowercase();
    ["from", "sender", "von", "absender"].iter().any(|word| before.ends_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_the_mail_is_from_is_no_recipient() {
        for (text, address, from) in [
            ("not accepting mail from <a@x.example>", "a@x.example", true),
            ("From: a@x.example", "a@x.example", true),
            ("mail to a@x.example", "a@x.example", false),
            ("a@x.example failed", "a@x.example", false),
        ] {
            assert_eq!(sent_by(text, address), from, "{text}");
        }
    }
}
