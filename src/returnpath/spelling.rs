//! A token as a local part: `b-<token>`, or with the recipient readable behind it, `b-<token>=user=example.com`.

use std::str::FromStr;

use super::token::{CHARACTERS, Token, TokenError};
use crate::address::{MAX_LOCAL_PART, Mailbox};

/// What a local part with a token begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(String);

/// A text that can be no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no prefix; write 1 to {MAX_PREFIX} letters, digits, \"-\", \"_\", \"+\" or \".\"")]
pub struct PrefixError(String);

/// So that a token still fits behind it.
const MAX_PREFIX: usize = MAX_LOCAL_PART - CHARACTERS;

impl Default for Prefix {
    fn default() -> Self {
        Self("b-".to_owned())
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fine = (1..=MAX_PREFIX).contains(&text.len())
            && !text.starts_with('.')
            && !text.contains("..")
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_+.".contains(&byte));
        fine.then(|| Self(text.to_owned())).ok_or_else(|| PrefixError(text.to_owned()))
    }
}

/// A local part that begins as ours do, taken apart. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spelling {
    /// The token.
    pub token: Token,
    /// The address written behind it.
    pub readable: Option<Mailbox>,
}

impl Prefix {
    /// Takes a local part apart; `None` when it does not begin with the prefix, in any case.
    ///
    /// # Errors
    /// Inside: [`TokenError::NotAToken`] when what follows is no token, or has more behind it than an address.
    #[must_use]
    pub fn read(&self, local_part: &str) -> Option<Result<Spelling, TokenError>> {
        let (prefix, rest) = local_part.split_at_checked(self.0.len())?;
        prefix.eq_ignore_ascii_case(&self.0).then(|| Self::spelling(rest))
    }

    fn spelling(text: &str) -> Result<Spelling, TokenError> {
        let (token, rest) = text.split_at_checked(CHARACTERS).ok_or(TokenError::NotAToken)?;
        let token = Token::decode(token)?;
        if rest.is_empty() {
            return Ok(Spelling { token, readable: None });
        }
        let readable = rest.strip_prefix('=').and_then(|address| address.rsplit_once('='));
        let readable = readable.and_then(|(local, domain)| Mailbox::new(local, domain).ok());
        Ok(Spelling { token, readable: Some(readable.ok_or(TokenError::NotAToken)?) })
    }

    /// The local part that names nobody.
    #[must_use]
    pub fn blind(&self, token: &Token) -> String {
        format!("{}{}", self.0, token.encode())
    }

    /// The local part with the recipient in it. Blind, where that would be longer than 64 octets
    /// (RFC 5321 §4.5.3.1.1), or where the recipient's local part is more than letters, digits and marks that
    /// every MTA leaves alone.
    #[must_use]
    pub fn readable(&self, token: &Token, recipient: &Mailbox) -> String {
        let blind = self.blind(token);
        let readable = format!("{blind}={}={}", recipient.local_part(), recipient.domain_key());
        let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
        let fits =
            readable.len() <= MAX_LOCAL_PART && readable.chars().all(plain) && !readable.contains("..");
        // Never a spelling that would not be read back as this very recipient.
        let same = |spelling: Spelling| {
            spelling.readable.is_some_and(|read| read.comparison_form() == recipient.comparison_form())
        };
        if fits && self.read(&readable).is_some_and(|read| read.is_ok_and(same)) { readable } else { blind }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
