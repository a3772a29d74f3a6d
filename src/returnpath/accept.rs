//! Which forward-paths are ours.

use std::str::FromStr;

use crate::address::{ForwardPath, Mailbox, domain_key};

/// A pattern for local parts: a name, or a beginning followed by `*`, in any case.
///
/// `bounces` is one fixed address, `bounces+*` is every VERP address below it, `*` takes everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalPartPattern {
    text: String,
    open: bool,
}

/// A text that is no local-part pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no local-part pattern; write a local part without \"@\", with at most one \"*\", at its end"
)]
pub struct PatternError(pub String);

impl FromStr for LocalPartPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (prefix, open) = text.strip_suffix('*').map_or((text, false), |prefix| (prefix, true));
        let fine = !prefix.contains(['*', '@'])
            && !prefix.chars().any(char::is_whitespace)
            && (open || !prefix.is_empty());
        fine.then(|| Self { text: prefix.to_lowercase(), open }).ok_or_else(|| PatternError(text.to_owned()))
    }
}

impl LocalPartPattern {
    /// Whether a local part fits, without regard to case.
    #[must_use]
    pub fn matches(&self, local_part: &str) -> bool {
        let local_part = local_part.to_lowercase();
        if self.open { local_part.starts_with(&self.text) } else { local_part == self.text }
    }
}

/// What is said to one `RCPT TO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// Ours.
    Accept,
    /// Our domain, but none of our addresses.
    NoSuchMailbox,
    /// Not our domain.
    NotOurs,
}

/// The addresses that bounces may come to.
#[derive(Debug, Clone, Default)]
pub struct ReturnPaths {
    domains: Vec<String>,
    local_parts: Vec<LocalPartPattern>,
}

impl ReturnPaths {
    /// Takes the domains, in any case and form, and the patterns for their local parts.
    #[must_use]
    pub fn new(domains: &[String], local_parts: Vec<LocalPartPattern>) -> Self {
        Self { domains: domains.iter().map(|domain| domain_key(domain)).collect(), local_parts }
    }

    /// Decides about one forward-path. `postmaster` is always taken (RFC 5321 §4.5.1).
    #[must_use]
    pub fn accepts(&self, path: &ForwardPath) -> Acceptance {
        let ForwardPath::Mailbox(mailbox) = path else {
            return Acceptance::Accept; // RFC 5321 §4.5.1
        };
        if !self.domains.contains(&mailbox.domain_key()) {
            return Acceptance::NotOurs;
        }
        if self.takes_local_part(mailbox) { Acceptance::Accept } else { Acceptance::NoSuchMailbox }
    }

    fn takes_local_part(&self, mailbox: &Mailbox) -> bool {
        mailbox.local_part().eq_ignore_ascii_case("postmaster")
            || self.local_parts.iter().any(|pattern| pattern.matches(mailbox.local_part()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> ReturnPaths {
        let patterns = ["bounces", "b-*", "bounces+*"].map(|text| text.parse().unwrap());
        ReturnPaths::new(&["Bounces.Example.COM".to_owned(), "bücher.example".to_owned()], patterns.to_vec())
    }

    #[test]
    fn only_our_domains_and_local_parts_are_taken() {
        for (address, said) in [
            ("bounces@bounces.example.com", Acceptance::Accept),
            ("BOUNCES@BOUNCES.EXAMPLE.COM", Acceptance::Accept),
            ("bounces+user=x.example@bounces.example.com", Acceptance::Accept),
            ("B-abcdef@bounces.example.com", Acceptance::Accept),
            ("Postmaster@bounces.example.com", Acceptance::Accept),
            ("b-1@xn--bcher-kva.example", Acceptance::Accept),
            ("info@bounces.example.com", Acceptance::NoSuchMailbox),
            ("bounces@example.com", Acceptance::NotOurs),
            ("postmaster@example.org", Acceptance::NotOurs),
        ] {
            let path = ForwardPath::Mailbox(Mailbox::parse(address).unwrap());
            assert_eq!(paths().accepts(&path), said, "{address}");
        }
        assert_eq!(paths().accepts(&ForwardPath::Postmaster), Acceptance::Accept);
    }

    #[test]
    fn patterns_that_mean_nothing_are_refused() {
        for text in ["", "a*b", "a@b", "**", "a b"] {
            assert!(text.parse::<LocalPartPattern>().is_err(), "{text:?}");
        }
        assert!("*".parse::<LocalPartPattern>().unwrap().matches("anything"));
    }
}
