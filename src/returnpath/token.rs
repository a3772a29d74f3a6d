//! The token: 20 octets that say when a message was sent, in which stream and to whom, signed.
//!
//! ```text
//! offset  0  version (high four bits, 1) and key id (low four bits)
//!         1  day, days since 1970-01-01 UTC, big-endian
//!         3  stream id, big-endian
//!         6  recipient tag: first 6 octets of HMAC-SHA-256(key, "dsnd-rcpt\0" · comparison form)
//!        12  mac: first 8 octets of HMAC-SHA-256(key, "dsnd-token\0" · the 12 octets before)
//! ```

use std::fmt;
use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::day_of;
use super::keys::{Key, Keys};

/// Octets of a token.
pub const OCTETS: usize = 20;

/// Characters of a token in base32.
pub const CHARACTERS: usize = 32;

/// The highest stream id: three octets.
pub const MAX_STREAM: u32 = 0xFF_FFFF;

/// The version that stands in the high four bits of the first octet.
const VERSION: u8 = 1;

/// Where the recipient tag and the mac begin.
const TAG: usize = 6;
const MAC: usize = 12;

/// Days that a sender's clock may be ahead of ours.
const AHEAD: i64 = 1;

/// The first octets of a recipient's HMAC.
pub type Tag = [u8; MAC - TAG];

/// RFC 4648 §6, lower case, without padding; upper case is read, too: some MTAs fold case.
static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.translate.from.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    specification.translate.to.push_str("abcdefghijklmnopqrstuvwxyz");
    specification.encoding().expect("32 different symbols")
});

/// A token as it was read or minted. Only [`Token::verify`] says that it is genuine.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token([u8; OCTETS]);

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No 20 octets of base32, or of a version that is not ours.
    #[error("not a token")]
    NotAToken,
    /// Its key is none of ours, or not any more.
    #[error("signed with the unknown key {0}")]
    UnknownKey(u8),
    /// The signature does not fit: made up, or changed on the way.
    #[error("the signature does not fit")]
    BadMac,
    /// Genuine, and too old.
    #[error("expired: made {0} days ago")]
    Expired(u32),
    /// Genuine, and dated later than tomorrow.
    #[error("from the future: dated {0} days ahead")]
    FromTheFuture(u32),
    /// Genuine, but the address written beside it is not the one it was made for.
    #[error("the address in it is not the one it was made for")]
    OtherAddress,
}

impl TokenError {
    /// One word for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAToken => "not_a_token",
            Self::UnknownKey(_) => "unknown_key",
            Self::BadMac => "bad_mac",
            Self::Expired(_) => "expired",
            Self::FromTheFuture(_) => "from_the_future",
            Self::OtherAddress => "other_address",
        }
    }
}

impl Token {
    /// Makes the token of a message to `recipient`, in its comparison form. `stream` is at most [`MAX_STREAM`]:
    /// its lower three octets are used. `None` when the day does not fit: before 1970 or after 2149.
    #[must_use]
    pub fn mint(key: &Key, recipient: &str, stream: u32, now: Timestamp) -> Option<Self> {
        let mut octets = [0; OCTETS];
        octets[0] = VERSION << 4 | key.id();
        octets[1..3].copy_from_slice(&u16::try_from(day_of(now)).ok()?.to_be_bytes());
        octets[3..TAG].copy_from_slice(&stream.to_be_bytes()[1..]);
        octets[TAG..MAC].copy_from_slice(&tag(key, recipient));
        let mac = signature(key, &octets).finalize().into_bytes();
        octets[MAC..].copy_from_slice(&mac[..OCTETS - MAC]);
        Some(Self(octets))
    }

    /// Reads 32 characters of base32, in any case.
    ///
    /// # Errors
    /// [`TokenError::NotAToken`].
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        let octets = BASE32.decode(text.as_bytes()).map_err(|_| TokenError::NotAToken)?;
        let octets: [u8; OCTETS] = octets.try_into().map_err(|_| TokenError::NotAToken)?;
        if octets[0] >> 4 != VERSION {
            return Err(TokenError::NotAToken);
        }
        Ok(Self(octets))
    }

    /// 32 characters, lower case.
    #[must_use]
    pub fn encode(&self) -> String {
        BASE32.encode(&self.0)
    }

    /// Checks signature and age; a token that is not ours learns nothing about its age.
    ///
    /// # Errors
    /// [`TokenError`], the reason.
    pub fn verify(&self, keys: &Keys, now: Timestamp, max_age_days: u32) -> Result<(), TokenError> {
        self.verify_signature(keys)?;
        let age = day_of(now) - i64::from(self.day());
        let days = |days: i64| u32::try_from(days).unwrap_or(u32::MAX);
        if age > i64::from(max_age_days) {
            return Err(TokenError::Expired(days(age)));
        }
        if age < -AHEAD {
            return Err(TokenError::FromTheFuture(days(-age)));
        }
        Ok(())
    }

    /// Checks the signature alone, in constant time: for tokens whose age was checked when they came in.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`] or [`TokenError::BadMac`].
    pub fn verify_signature(&self, keys: &Keys) -> Result<(), TokenError> {
        let key = keys.get(self.key_id()).ok_or(TokenError::UnknownKey(self.key_id()))?;
        signature(key, &self.0).verify_truncated_left(&self.0[MAC..]).map_err(|_| TokenError::BadMac)
    }

    /// Whether it was minted for the recipient of this tag (see [`tag`]), in constant time.
    #[must_use]
    pub fn has_tag(&self, tag: &Tag) -> bool {
        self.0[TAG..MAC].ct_eq(tag).into()
    }

    /// Whether it was minted for this recipient, in its comparison form, with one of the keys.
    #[must_use]
    pub fn names(&self, keys: &Keys, recipient: &str) -> bool {
        keys.get(self.key_id()).is_some_and(|key| self.has_tag(&tag(key, recipient)))
    }

    /// The id of the key that signed it, 0 to 15.
    #[must_use]
    pub const fn key_id(&self) -> u8 {
        self.0[0] & 0x0F
    }

    /// Days since 1970-01-01, UTC.
    #[must_use]
    pub const fn day(&self) -> u16 {
        u16::from_be_bytes([self.0[1], self.0[2]])
    }

    /// The sending stream.
    #[must_use]
    pub const fn stream(&self) -> u32 {
        u32::from_be_bytes([0, self.0[3], self.0[4], self.0[5]])
    }

    /// The day it was made, as a date in UTC.
    #[must_use]
    pub fn made(&self) -> String {
        let at = Timestamp::from_second(i64::from(self.day()) * 86_400);
        at.map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default()
    }

    /// The recipient tag.
    #[must_use]
    pub fn tag(&self) -> &[u8] {
        &self.0[TAG..MAC]
    }

    /// The octets.
    #[must_use]
    pub const fn octets(&self) -> &[u8; OCTETS] {
        &self.0
    }
}

impl fmt::Debug for Token {
    /// Without the signature: whoever reads a log must not be able to send reports.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("key_id", &self.key_id())
            .field("day", &self.day())
            .field("stream", &self.stream())
            .finish_non_exhaustive()
    }
}

/// The tag of a recipient, given in its comparison form, under a key.
#[must_use]
pub fn tag(key: &Key, recipient: &str) -> Tag {
    let hash =
        mac(key).chain_update(b"dsnd-rcpt\0").chain_update(recipient.as_bytes()).finalize().into_bytes();
    std::array::from_fn(|place| hash[place])
}

fn signature(key: &Key, octets: &[u8; OCTETS]) -> Hmac<Sha256> {
    mac(key).chain_update(b"dsnd-token\0").chain_update(&octets[..MAC])
}

fn mac(key: &Key) -> Hmac<Sha256> {
    Hmac::new_from_slice(key.secret()).expect("HMAC takes keys of any length")
}
