//! The signature that proves where a webhook comes from, as <https://www.standardwebhooks.com> has it.

use std::fmt;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What secrets begin with whose rest is base64.
const PREFIX: &str = "whsec_";

/// Fewest octets of a secret.
const LEAST: usize = 16;

/// What both ends know.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Why a text is no secret. It is not repeated.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SecretError {
    /// It begins with `whsec_` and goes on with something else than base64.
    #[error("what follows whsec_ is no base64")]
    NoBase64,
    /// It could be guessed.
    #[error(
        "a secret has {LEAST} octets at least; `openssl rand -base64 32` makes one, to be written behind whsec_"
    )]
    Short,
}

impl Secret {
    /// Reads `whsec_` and base64; any other text stands for its own octets.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        let octets = match text.strip_prefix(PREFIX) {
            Some(rest) => BASE64.decode(rest.as_bytes()).map_err(|_| SecretError::NoBase64)?,
            None => text.as_bytes().to_vec(),
        };
        let octets = Zeroizing::new(octets);
        if octets.len() < LEAST { Err(SecretError::Short) } else { Ok(Self(octets)) }
    }

    /// The value of `webhook-signature`: `v1,` and the HMAC-SHA-256 of `id.timestamp.body` in base64. The time is in
    /// seconds since 1970.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() }; // takes any length
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_standard() {
        // The example of the specification's reference implementations.
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature =
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn secrets_that_are_none_are_refused_and_none_is_shown() {
        assert_eq!(Secret::parse("whsec_###"), Err(SecretError::NoBase64));
        assert_eq!(Secret::parse("whsec_c2hvcnQ="), Err(SecretError::Short));
        assert_eq!(Secret::parse("hush"), Err(SecretError::Short));
        let secret = Secret::parse(" a long enough secret\n").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret");
        assert_eq!(secret, Secret::parse("a long enough secret").unwrap());
    }
}
