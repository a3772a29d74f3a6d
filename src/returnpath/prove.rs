//! Which recipient a token was minted for: the addresses of a report against its tag.

use std::collections::BTreeMap;

use super::Trust;
use super::keys::Keys;
use super::token::{Tag, Token, tag};
use crate::address::{Mailbox, comparison_form};

/// Addresses of a report that may be the one we mailed, with their tags under every key that is asked about.
#[derive(Debug)]
pub struct Candidates {
    addresses: Vec<String>,
    tags: BTreeMap<u8, Vec<Tag>>,
}

/// What a token and the addresses of a report prove together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// How far the report is believed: proven or token only.
    pub trust: Trust,
    /// The recipient we mailed: the candidate, as written, that has the token's tag; else the readable one.
    pub recipient: Option<String>,
}

impl Candidates {
    /// Takes addresses as they stand in a report. One HMAC for each address and each key that signed a token.
    #[must_use]
    pub fn new<'a>(keys: &Keys, tokens: impl IntoIterator<Item = &'a Token>, addresses: Vec<String>) -> Self {
        let forms: Vec<String> = addresses.iter().map(|address| comparison_form(address)).collect();
        let mut tags = BTreeMap::new();
        for token in tokens {
            if let Some(key) = keys.get(token.key_id()) {
                tags.entry(key.id()).or_insert_with(|| forms.iter().map(|form| tag(key, form)).collect());
            }
        }
        Self { addresses, tags }
    }

    /// The addresses that the token was minted for, by their places in the list.
    pub fn matching(&self, token: &Token) -> impl Iterator<Item = usize> {
        let tags = self.tags.get(&token.key_id()).into_iter().flatten().enumerate();
        tags.filter(|(_, tag)| token.has_tag(tag)).map(|(place, _)| place)
    }

    /// An address, as written.
    #[must_use]
    pub fn address(&self, place: usize) -> &str {
        &self.addresses[place]
    }
}

/// What a verified token proves about a report with these candidates. `readable` is the address beside the
/// token, whose tag was checked when it came in.
#[must_use]
pub fn prove(token: &Token, readable: Option<&Mailbox>, candidates: &Candidates) -> Proof {
    match candidates.matching(token).next() {
        Some(place) => Proof { trust: Trust::Proven, recipient: Some(candidates.address(place).to_owned()) },
        None => Proof { trust: Trust::TokenOnly, recipient: readable.map(ToString::to_string) },
    }
}
