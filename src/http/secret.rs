//! The secrets of tokens: made, and compared with what is kept of them.

use data_encoding::BASE32_NOPAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What every secret begins with, so that scanners for secrets know one.
pub const PREFIX: &str = "dsnd_";

/// Random octets in a secret: 160 bits.
const OCTETS: usize = 20;

/// Makes a new secret: base32 (RFC 4648) in lower case, without padding.
///
/// # Errors
/// When the system has no random numbers.
pub fn generate() -> Result<String, getrandom::Error> {
    let mut octets = [0; OCTETS];
    getrandom::fill(&mut octets)?;
    Ok(format!("{PREFIX}{}", BASE32_NOPAD.encode(&octets).to_ascii_lowercase()))
}

/// Whether a text has the form of a secret: others need not be looked for.
#[must_use]
pub fn is_formed(text: &str) -> bool {
    let symbol = |octet: u8| matches!(octet, b'a'..=b'z' | b'2'..=b'7');
    text.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == OCTETS * 8 / 5 && rest.bytes().all(symbol))
}

/// What is kept of a secret. It holds 160 random bits, so that nothing slower is needed.
#[must_use]
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Whether two hashes are the same, in a time that does not tell how much of them is.
#[must_use]
pub fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_long_and_never_the_same() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), PREFIX.len() + 32);
        let symbols = |c: char| c.is_ascii_lowercase() || ('2'..='7').contains(&c);
        assert!(one.strip_prefix(PREFIX).unwrap().chars().all(symbols), "{one}");
        assert!(is_formed(&one));
        for other in ["", "dsnd_", &one[1..], &one[..36], &one.to_ascii_uppercase(), &format!("{one}a")] {
            assert!(!is_formed(other), "{other}");
        }
        assert!(same(&hash(&one), &hash(&one)) && !same(&hash(&one), &hash(&other)));
    }
}
