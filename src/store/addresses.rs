//! How addresses stand in a store: in clear, or as a keyed hash that can be looked up and not read.
//!
//! ```text
//! #<base32 of the first 20 octets of HMAC-SHA-256(key, "dsnd-address\0" · comparison form)>@<domain>
//! ```
//!
//! The domain stays, so that what is counted and filtered by domain goes on working. Such a key is a mailbox, in
//! its own comparison form: whoever lists entries sees it in the place of the address, and may give it back where an
//! address is asked for.
//!
//! Whoever uses a [`super::Store`] gives addresses in comparison form ([`crate::address::comparison_form`]) and needs to know
//! nothing of this. Inside an engine, every question about an address asks for both of [`Addresses::keys`], since a
//! database may hold both: those of persons who were erased are hashed, and so is all of it once `store.hash_addresses`
//! was switched on.

use std::fmt;
use std::sync::{Arc, LazyLock};

use data_encoding::{Encoding, HEXLOWER_PERMISSIVE, Specification};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::address::domain_of;

/// Octets of a key.
pub const HASH_KEY_OCTETS: usize = 32;

/// What a hashed key begins with. No address in the field does, and it may stand in a local part (RFC 5322 §3.2.3).
const MARK: char = '#';

/// Octets of the hash that are kept, and characters they take in base32.
const OCTETS: usize = 20;
const CHARACTERS: usize = 32;

/// base32 (RFC 4648 §6) in lower case, without padding.
static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().expect("32 different symbols are an encoding")
});

/// The key under which addresses are hashed. It is wiped from memory with its last copy, and no output shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey(Arc<Zeroizing<[u8; HASH_KEY_OCTETS]>>);

/// A text that is no key. Nothing of it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it holds no key: 64 hexadecimal digits; `dsnd store keygen --output FILE` makes one")]
pub struct HashKeyError;

impl HashKey {
    /// A key of its octets.
    #[must_use]
    pub fn new(octets: [u8; HASH_KEY_OCTETS]) -> Self {
        Self(Arc::new(Zeroizing::new(octets)))
    }

    /// Reads a key: 64 hexadecimal digits. What stands behind a `#` is a comment.
    ///
    /// # Errors
    /// [`HashKeyError`] when there is anything else, or nothing.
    pub fn parse(text: &str) -> Result<Self, HashKeyError> {
        let mut words =
            text.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
        let (Some(word), None) = (words.next(), words.next()) else { return Err(HashKeyError) };
        let mut octets = Zeroizing::new([0; HASH_KEY_OCTETS]);
        if word.len() != 2 * HASH_KEY_OCTETS {
            return Err(HashKeyError);
        }
        HEXLOWER_PERMISSIVE.decode_mut(word.as_bytes(), &mut octets[..]).map_err(|_| HashKeyError)?;
        Ok(Self(Arc::new(octets)))
    }

    /// The hashed key of an address, given in comparison form.
    #[must_use]
    pub fn hashed(&self, comparison_form: &str) -> String {
        let hash = self.mac(b"dsnd-address\0", comparison_form.as_bytes());
        let hash = BASE32.encode(&hash[..OCTETS]);
        match domain_of(comparison_form) {
            Some(domain) => format!("{MARK}{hash}@{domain}"),
            None => format!("{MARK}{hash}"),
        }
    }

    /// By what one key is told from another, without telling anything about it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        BASE32.encode(&self.mac(b"dsnd-hash-key\0", b"")[..10])
    }

    fn mac(&self, what: &[u8], of: &[u8]) -> [u8; 32] {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0[..]).expect("HMAC takes keys of any length");
        mac.chain_update(what).chain_update(of).finalize().into_bytes().into()
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashKey({}, secret)", self.fingerprint())
    }
}

/// Whether a stored key is a hashed one.
#[must_use]
pub fn is_hashed(key: &str) -> bool {
    let Some(hash) = key.strip_prefix(MARK) else { return false };
    let (hash, rest) = hash.split_at_checked(CHARACTERS).unwrap_or(("", hash));
    let base32 = |octet: u8| matches!(octet, b'a'..=b'z' | b'2'..=b'7');
    !hash.is_empty() && hash.bytes().all(base32) && (rest.is_empty() || rest.starts_with('@'))
}

/// How a store keeps addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    key: Option<HashKey>,
    all: bool,
}

impl Addresses {
    /// In clear; with a key, those of persons who were erased stay on the list hashed (`store.hash_key_file`).
    #[must_use]
    pub const fn clear(key: Option<HashKey>) -> Self {
        Self { key, all: false }
    }

    /// Every one hashed (`store.hash_addresses`).
    #[must_use]
    pub const fn hashed(key: HashKey) -> Self {
        Self { key: Some(key), all: true }
    }

    /// The key, where one is configured.
    #[must_use]
    pub const fn key(&self) -> Option<&HashKey> {
        self.key.as_ref()
    }

    /// Whether every address is hashed.
    #[must_use]
    pub const fn all_hashed(&self) -> bool {
        self.all
    }

    /// Every key that a row about an address may stand under, given the address in comparison form: as it is, and
    /// hashed. Both are the same where no key is configured, and for a key that is hashed already. To be used as
    /// `address_key IN (?1, ?2)`.
    #[must_use]
    pub fn keys(&self, comparison_form: &str) -> [String; 2] {
        let plain = comparison_form.to_owned();
        let hashed = match &self.key {
            Some(key) if !plain.is_empty() && !is_hashed(&plain) => key.hashed(&plain),
            _ => plain.clone(),
        };
        [plain, hashed]
    }

    /// [`Self::keys`] of a filter's address, where it has one.
    pub(super) fn both(&self, comparison_form: Option<&str>) -> [Option<String>; 2] {
        comparison_form.map_or([None, None], |form| self.keys(form).map(Some))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Mailbox, comparison_form};

    fn key() -> HashKey {
        HashKey::parse(&"0f".repeat(HASH_KEY_OCTETS)).unwrap()
    }

    #[test]
    fn a_hashed_key_tells_its_domain_and_nothing_else() {
        let hashed = key().hashed("jane.doe@example.org");
        assert!(
            is_hashed(&hashed) && hashed.ends_with("@example.org") && !hashed.contains("jane"),
            "{hashed}"
        );
        assert_eq!(hashed.len(), 1 + CHARACTERS + "@example.org".len());
        assert_eq!(hashed, key().hashed("jane.doe@example.org"), "it can be looked up");
        for other in ["jane.do@example.org", "jane.doe@example.com"] {
            assert_ne!(hashed, key().hashed(other));
        }
        assert_ne!(hashed, HashKey::new([1; HASH_KEY_OCTETS]).hashed("jane.doe@example.org"));
        // HMAC-SHA-256 of 32 octets 0f over "dsnd-address\0jane.doe@example.org", computed elsewhere.
        assert_eq!(hashed, "#yqxna43zebgdgmqvqxysdtt5iyvreb6w@example.org");
    }

    #[test]
    fn a_hashed_key_is_a_mailbox_in_its_own_comparison_form() {
        for address in ["jane@example.org", "jane@xn--bcher-kva.example", "jane@[192.0.2.1]"] {
            let hashed = key().hashed(address);
            assert_eq!(comparison_form(&hashed), hashed);
            assert_eq!(Mailbox::parse(&hashed).unwrap().to_string(), hashed);
        }
        assert!(is_hashed(&key().hashed("no mailbox")), "what is no mailbox can be looked up as well");
    }

    #[test]
    fn what_is_no_hashed_key_is_not_taken_for_one() {
        let hash = "a".repeat(CHARACTERS);
        assert!(is_hashed(&format!("#{hash}")) && is_hashed(&format!("#{hash}@x")));
        for text in
            ["", "#", "#tag@example.org", &hash, &format!("#{hash}a@x"), &format!("#{}1@x", &hash[1..])]
        {
            assert!(!is_hashed(text), "{text}");
        }
    }

    #[test]
    fn rows_are_asked_for_under_both_keys() {
        let (plain, hashed) = ("jane@example.org", key().hashed("jane@example.org"));
        assert_eq!(Addresses::clear(None).keys(plain), [plain, plain]);
        for addresses in [Addresses::clear(Some(key())), Addresses::hashed(key())] {
            assert_eq!(addresses.keys(plain), [plain, &hashed]);
            assert_eq!(addresses.keys(&hashed), [&*hashed, &*hashed]);
            assert_eq!(addresses.keys(""), ["", ""]);
        }
    }

    #[test]
    fn a_key_is_read_and_never_repeated() {
        let digits = "0f".repeat(HASH_KEY_OCTETS);
        for text in [digits.clone(), format!("# made 2026-11-28\n{} # mine\n\n", digits.to_uppercase())] {
            assert_eq!(HashKey::parse(&text), Ok(key()), "{text}");
        }
        for text in [
            "",
            "# only",
            &digits[1..],
            &format!("{digits}00"),
            &format!("{digits} {digits}"),
            &"zz".repeat(32),
        ] {
            let error = HashKey::parse(text).unwrap_err();
            assert!(!error.to_string().contains("zz"), "{error}");
        }
        let said = format!("{:?} {:?}", key(), Addresses::hashed(key()));
        assert!(!said.contains("0f0f") && !said.contains("15, 15"), "{said}");
    }
}
