//! Bounce address tag validation, `prvs=KDDDSSSSSS=local-part@domain` (draft-levine-smtp-batv §4): K is the key's
//! digit, DDD the last three digits of the day it expires, SSSSSS three octets of an HMAC-SHA-1 over K, DDD and
//! the address. It proves that somebody of ours sent something, not to whom.

use data_encoding::HEXLOWER_PERMISSIVE;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha1::Sha1;

use super::day_of;
use super::keys::{Key, Keys};
use crate::address::Mailbox;

/// Days that an address is valid for, as the draft has it, and one more for clocks.
const LIFETIME: i64 = 7 + 1;

/// A `prvs=` local part, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batv<'a> {
    /// `KDDD`.
    head: &'a str,
    signature: [u8; 3],
    /// The local part behind the tag.
    pub local_part: &'a str,
}

/// Why a `prvs=` address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatvError {
    /// Its key is none of ours.
    #[error("BATV: signed with the unknown key {0}")]
    UnknownKey(u8),
    /// The signature does not fit.
    #[error("BATV: the signature does not fit")]
    BadMac,
    /// Genuine, and too old, or dated further ahead than one is made.
    #[error("BATV: expired")]
    Expired,
}

impl<'a> Batv<'a> {
    /// Takes a local part apart; `None` when it has no tag.
    #[must_use]
    pub fn read(local_part: &'a str) -> Option<Self> {
        let (scheme, rest) = local_part.split_at_checked(5)?;
        let (tag, local_part) = rest.split_at_checked(10)?;
        let local_part = local_part.strip_prefix('=').filter(|local_part| !local_part.is_empty())?;
        let (head, signature) = tag.split_at_checked(4)?;
        let signature = HEXLOWER_PERMISSIVE.decode(signature.as_bytes()).ok()?.try_into().ok()?;
        let digits = head.bytes().all(|byte| byte.is_ascii_digit());
        (scheme.eq_ignore_ascii_case("prvs=") && digits).then_some(Self { head, signature, local_part })
    }

    /// Checks the signature, in constant time, and the day.
    ///
    /// # Errors
    /// [`BatvError`], the reason.
    pub fn verify(&self, keys: &Keys, domain: &str, now: Timestamp) -> Result<(), BatvError> {
        let digits = self.head.bytes().map(|byte| i64::from(byte - b'0')).collect::<Vec<_>>();
        let id = u8::try_from(digits[0]).unwrap_or_default();
        let key = keys.batv(id).ok_or(BatvError::UnknownKey(id))?;
        let address = format!("{}@{domain}", self.local_part);
        // An MTA on the way may have folded the case of what was signed.
        let spellings = [address.clone(), address.to_ascii_lowercase()];
        if !spellings.iter().any(|address| self.is_signed(key, address)) {
            return Err(BatvError::BadMac);
        }
        let expires = digits[1..].iter().fold(0, |number, digit| number * 10 + digit);
        let left = (expires - day_of(now)).rem_euclid(1_000);
        if left <= LIFETIME { Ok(()) } else { Err(BatvError::Expired) }
    }

    fn is_signed(&self, key: &Key, address: &str) -> bool {
        mac(key, self.head, address).verify_truncated_left(&self.signature).is_ok()
    }
}

fn mac(key: &Key, head: &str, address: &str) -> Hmac<Sha1> {
    let mac: Hmac<Sha1> = Hmac::new_from_slice(key.secret()).expect("HMAC takes keys of any length");
    mac.chain_update(head.as_bytes()).chain_update(address.as_bytes())
}

/// Writes the `prvs=` form of an address, valid for seven days, with the BATV key of a digit; `None` when there is
/// no such key. For tests and for comparing with what a mail server of yours makes.
#[must_use]
pub fn sign(keys: &Keys, digit: u8, address: &Mailbox, now: Timestamp) -> Option<String> {
    let head = format!("{digit}{:03}", (day_of(now) + LIFETIME - 1).rem_euclid(1_000));
    let plain = format!("{}@{}", address.local_part(), address.domain());
    let hash = mac(keys.batv(digit)?, &head, &plain).finalize().into_bytes();
    Some(format!("prvs={head}{}={plain}", HEXLOWER_PERMISSIVE.encode(&hash[..3])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400 + 40_000).unwrap()
    }

    fn verify(keys: &Keys, address: &str, now: Timestamp) -> Result<(), BatvError> {
        let (local_part, domain) = address.rsplit_once('@').unwrap();
        Batv::read(local_part).expect("a tag").verify(keys, domain, now)
    }

    #[test]
    fn a_signed_address_is_valid_for_a_week_also_over_the_turn_of_the_thousand_days() {
        let keys = Keys::parse("batv3 text:word\nbatv4 text:other").unwrap();
        let address = Mailbox::parse("Bounces@x.example").unwrap();
        for day in [20_778, 20_998] {
            let signed = sign(&keys, 3, &address, at(day)).unwrap();
            for (later, said) in [
                (0, Ok(())),
                (7, Ok(())),
                (-1, Ok(())),
                (8, Err(BatvError::Expired)),
                (-2, Err(BatvError::Expired)),
            ] {
                assert_eq!(verify(&keys, &signed, at(day + later)), said, "{signed} {later}");
            }
            let folded = sign(&keys, 4, &Mailbox::parse("bounces@x.example").unwrap(), at(day)).unwrap();
            assert_eq!(verify(&keys, &folded.to_uppercase(), at(day)), Ok(()));
        }
    }

    #[test]
    fn a_changed_address_is_refused() {
        let keys = Keys::parse("batv3 text:word\nbatv4 text:other").unwrap();
        let address = Mailbox::parse("bounces@x.example").unwrap();
        let signed = sign(&keys, 3, &address, at(20_778)).unwrap();
        for changed in
            [signed.replace("bounces", "bouncer"), signed.replace("=3", "=4"), signed.replace("x.", "y.")]
        {
            assert_eq!(verify(&keys, &changed, at(20_778)), Err(BatvError::BadMac), "{changed}");
        }
        let unknown = signed.replace("=3", "=5");
        assert_eq!(verify(&keys, &unknown, at(20_778)), Err(BatvError::UnknownKey(5)));
    }

    #[test]
    fn the_value_is_that_of_the_draft() {
        // HMAC-SHA-1("word", "3785bounces@x.example") begins with these octets; computed with another program.
        let keys = Keys::parse("batv3 text:word").unwrap();
        let address = Mailbox::parse("bounces@x.example").unwrap();
        assert_eq!(sign(&keys, 3, &address, at(20_778)).unwrap(), "prvs=378504bafa=bounces@x.example");
    }

    #[test]
    fn what_has_no_tag_is_left_alone() {
        for text in [
            "prvs=",
            "prvs=3785aabbcc",
            "prvs=3785aabbcc=",
            "prvs=x785aabbcc=b",
            "prvs=3785aabbcg=b",
            "bounces",
        ] {
            assert_eq!(Batv::read(text), None, "{text}");
        }
    }
}
