//! Which forward-paths are ours, and what each of them is.

use jiff::Timestamp;

use super::batv::{Batv, BatvError};
use super::keys::Keys;
use super::spelling::{Prefix, Spelling};
use super::token::{Token, TokenError};
use super::verp::{VerpDelimiters, recipient};
use super::{LocalPartPattern, day_of};
use crate::address::{ForwardPath, Mailbox, domain_key};

/// Days a token is taken for: queues give up after five (RFC 5321 §4.5.4.1), people's out-of-office hosts later.
pub const MAX_AGE_DAYS: u32 = 14;

/// What a forward-path is that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReturnPath {
    /// A token whose signature fits.
    Token {
        /// It.
        token: Token,
        /// The recipient, where it stands readable beside the token; its tag fits.
        readable: Option<Mailbox>,
    },
    /// A `prvs=` address whose signature fits: something of ours came back, it does not say whose.
    Batv {
        /// The recipient, where the address behind the tag is VERP.
        recipient: Option<Mailbox>,
    },
    /// Unsigned VERP.
    Verp {
        /// The recipient it names.
        recipient: Mailbox,
    },
    /// Any other address that is ours.
    Fixed,
}

impl ReturnPath {
    /// Whether a signature in it fits: only those whom we mailed know such an address.
    #[must_use]
    pub const fn is_signed(&self) -> bool {
        matches!(self, Self::Token { .. } | Self::Batv { .. })
    }
}

/// Why a forward-path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not our domain.
    #[error("the domain is not ours (return_path.domains)")]
    NotOurs,
    /// Our domain, but none of our addresses.
    #[error("no such address of ours (return_path.local_parts)")]
    NoSuchMailbox,
    /// A token that is not valid.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A BATV tag that is not valid.
    #[error(transparent)]
    Batv(#[from] BatvError),
    /// An address of ours without a signature, and the operator wants one.
    #[error("not signed (return_path.unsigned)")]
    Unsigned,
}

impl Refusal {
    /// One word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotOurs => "not_ours",
            Self::NoSuchMailbox => "no_such_mailbox",
            Self::Token(error) => error.as_str(),
            Self::Batv(BatvError::UnknownKey(_)) => "batv_unknown_key",
            Self::Batv(BatvError::BadMac) => "batv_bad_mac",
            Self::Batv(BatvError::Expired) => "batv_expired",
            Self::Unsigned => "unsigned",
        }
    }

    /// What a postmaster reads in the reply.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotOurs => "Relaying denied",
            Self::NoSuchMailbox => "No such mailbox here",
            Self::Token(TokenError::NotAToken) => {
                "This return path is damaged: it was cut off, added to or made up, so no mail of ours can have had it"
            }
            Self::Token(TokenError::UnknownKey(_)) => {
                "This return path is signed with a key that is not in use here, or not any more"
            }
            Self::Token(TokenError::BadMac | TokenError::OtherAddress) | Self::Batv(BatvError::BadMac) => {
                "This return path is forged: its signature is not ours, so no mail of ours can have had it"
            }
            Self::Token(TokenError::Expired(_)) | Self::Batv(BatvError::Expired) => {
                "This return path has expired: the message it belongs to was sent too long ago to bounce now"
            }
            Self::Token(TokenError::FromTheFuture(_)) => {
                "This return path is dated in the future: check the clock of the host that sent the message"
            }
            Self::Batv(BatvError::UnknownKey(_)) => {
                "This return path has a BATV signature by a key that is not in use here"
            }
            Self::Unsigned => {
                "Bounces are taken at signed return paths only; no mail of ours has this one as its sender"
            }
        }
    }
}

/// The addresses that bounces may come to.
#[derive(Debug, Clone, Default)]
pub struct ReturnPaths {
    domains: Vec<String>,
    local_parts: Vec<LocalPartPattern>,
    keys: Keys,
    prefix: Prefix,
    max_age_days: u32,
    verp: Vec<VerpDelimiters>,
    refuses_unsigned: bool,
}

impl ReturnPaths {
    /// Takes the domains, in any case and form, and the patterns for their unsigned local parts. Without keys
    /// ([`Self::with_tokens`]) no address is a token.
    #[must_use]
    pub fn new(domains: &[String], local_parts: Vec<LocalPartPattern>) -> Self {
        Self {
            domains: domains.iter().map(|domain| domain_key(domain)).collect(),
            local_parts,
            max_age_days: MAX_AGE_DAYS,
            verp: VerpDelimiters::usual(),
            ..Self::default()
        }
    }

    /// Local parts that begin with `prefix` are tokens of these keys, valid for so many days.
    #[must_use]
    pub fn with_tokens(self, keys: Keys, prefix: Prefix, max_age_days: u32) -> Self {
        Self { keys, prefix, max_age_days, ..self }
    }

    /// How recipients stand in unsigned VERP.
    #[must_use]
    pub fn with_verp(self, verp: Vec<VerpDelimiters>) -> Self {
        Self { verp, ..self }
    }

    /// Whether addresses that prove nothing are refused. `postmaster` is taken all the same.
    #[must_use]
    pub fn refusing_unsigned(self, refuses_unsigned: bool) -> Self {
        Self { refuses_unsigned, ..self }
    }

    /// Our domains, in the form they are compared in.
    #[must_use]
    pub fn domains(&self) -> &[String] {
        &self.domains
    }

    /// The keys.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// What local parts with a token begin with.
    #[must_use]
    pub const fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// Days for which a token is taken, after that of its making.
    #[must_use]
    pub const fn max_age_days(&self) -> u32 {
        self.max_age_days
    }

    /// Decides about one forward-path. `postmaster` is always taken (RFC 5321 §4.5.1).
    ///
    /// # Errors
    /// [`Refusal`], the reason.
    pub fn judge(&self, path: &ForwardPath, now: Timestamp) -> Result<ReturnPath, Refusal> {
        self.read(path, Some(now))
    }

    /// What a forward-path is that [`Self::judge`] took when it came in: its age is not asked again.
    #[must_use]
    pub fn accepted(&self, path: &ForwardPath) -> ReturnPath {
        self.read(path, None).unwrap_or(ReturnPath::Fixed)
    }

    /// Days until the token cannot be used any more, 0 on its last day.
    #[must_use]
    pub fn days_left(&self, token: &Token, now: Timestamp) -> i64 {
        i64::from(token.day()) + i64::from(self.max_age_days) - day_of(now)
    }

    fn read(&self, path: &ForwardPath, now: Option<Timestamp>) -> Result<ReturnPath, Refusal> {
        let ForwardPath::Mailbox(mailbox) = path else {
            return Ok(ReturnPath::Fixed); // RFC 5321 §4.5.1
        };
        if !self.domains.contains(&mailbox.domain_key()) {
            return Err(Refusal::NotOurs);
        }
        let local_part = mailbox.local_part();
        if local_part.eq_ignore_ascii_case("postmaster") {
            return Ok(ReturnPath::Fixed); // RFC 5321 §4.5.1
        }
        let batv = Batv::read(local_part);
        // A BATV tag that an MTA put before a token of ours adds nothing to what the token proves.
        if let Some(spelling) = self.spelling(batv.map_or(local_part, |batv| batv.local_part)) {
            return self.token(spelling?, now);
        }
        if let Some(batv) = batv.filter(|_| self.keys.has_batv()) {
            if let Some(now) = now {
                batv.verify(&self.keys, mailbox.domain(), now)?;
            }
            if !self.takes(batv.local_part) {
                return Err(Refusal::NoSuchMailbox);
            }
            return Ok(ReturnPath::Batv { recipient: self.verp(batv.local_part) });
        }
        if !self.takes(local_part) {
            return Err(Refusal::NoSuchMailbox);
        }
        if self.refuses_unsigned {
            return Err(Refusal::Unsigned);
        }
        Ok(self.verp(local_part).map_or(ReturnPath::Fixed, |recipient| ReturnPath::Verp { recipient }))
    }

    /// With keys, everything below the prefix is a token or refused, or half a token would pass as unsigned; but
    /// an address that the operator wrote out in full is that address.
    fn spelling(&self, local_part: &str) -> Option<Result<Spelling, TokenError>> {
        let written_out = || {
            self.local_parts
                .iter()
                .any(|pattern| pattern.beginning().is_none() && pattern.matches(local_part))
        };
        if self.keys.is_empty() || written_out() { None } else { self.prefix.read(local_part) }
    }

    fn token(&self, spelling: Spelling, now: Option<Timestamp>) -> Result<ReturnPath, Refusal> {
        let Spelling { token, readable } = spelling;
        match now {
            Some(now) => token.verify(&self.keys, now, self.max_age_days)?,
            None => token.verify_signature(&self.keys)?,
        }
        if readable.as_ref().is_some_and(|address| !token.names(&self.keys, &address.comparison_form())) {
            return Err(TokenError::OtherAddress.into());
        }
        Ok(ReturnPath::Token { token, readable })
    }

    fn takes(&self, local_part: &str) -> bool {
        self.local_parts.iter().any(|pattern| pattern.matches(local_part))
    }

    fn verp(&self, local_part: &str) -> Option<Mailbox> {
        let bases = self.local_parts.iter().filter_map(LocalPartPattern::beginning);
        recipient(&self.verp, local_part, bases)
    }
}
