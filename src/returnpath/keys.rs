//! The keys that sign return paths, and the text they stand in.
//!
//! ```text
//! # id  secret              comment
//! 1     00ff…               # 2026-05-01
//! 2     8d3a…               # 2026-11-20
//! batv3 text:word
//! ```
//!
//! Secrets are hexadecimal digits, or `text:` and characters without white space. The last token key mints; all of them verify. Entries are separated by line ends or commas, so that the
//! same text fits into an environment variable.

use std::fmt;
use std::sync::Arc;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

/// The highest id of a token key: four bits of the token's first octet.
pub const MAX_ID: u8 = 15;

/// Fewest octets of a token key's secret.
const MIN_SECRET: usize = 16;

/// Octets of a secret that [`generate`] makes: the size of SHA-256's result.
const NEW_SECRET: usize = 32;

/// One key. Its secret is wiped from memory with its last copy, and no output shows it.
#[derive(Clone)]
pub struct Key {
    id: u8,
    secret: Arc<Zeroizing<Vec<u8>>>,
}

impl Key {
    /// A key from its parts. For token keys `id` is at most [`MAX_ID`]: its lower four bits are used.
    #[must_use]
    pub fn new(id: u8, secret: Vec<u8>) -> Self {
        Self { id: id & MAX_ID, secret: Arc::new(Zeroizing::new(secret)) }
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.id
    }

    pub(super) fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, secret)", self.id)
    }
}

/// Every key there is: for tokens, and for BATV.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    token: Vec<Key>,
    batv: Vec<Key>,
}

/// Why a text holds no keys. No secret is repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {entry}: {what}")]
pub struct KeyError {
    /// The line, or in a variable the entry, from 1.
    pub entry: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Keys {
    /// Token keys, the newest last.
    #[must_use]
    pub const fn new(token: Vec<Key>) -> Self {
        Self { token, batv: Vec::new() }
    }

    /// Reads keys, in the form that the module describes.
    ///
    /// # Errors
    /// [`KeyError`] for the first entry that is wrong.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys = Self::default();
        for (index, entry) in entries(text) {
            let wrong = |what| KeyError { entry: index, what };
            let mut words = entry.split_whitespace();
            let (Some(id), Some(secret), None) = (words.next(), words.next(), words.next()) else {
                return Err(wrong("write an id, a space and a secret; a comment begins with #"));
            };
            let (list, id, most) = match id.strip_prefix("batv") {
                Some(id) => (&mut keys.batv, id, 9),
                None => (&mut keys.token, id, MAX_ID),
            };
            let id: u8 = id
                .parse()
                .ok()
                .filter(|id| *id <= most)
                .ok_or_else(|| wrong("the id is none: 0 to 15, or batv0 to batv9"))?;
            let (secret, least) = match secret.strip_prefix("text:") {
                Some(text) => (text.as_bytes().to_vec(), if most == 9 { 1 } else { MIN_SECRET }),
                None => {
                    let secret = HEXLOWER_PERMISSIVE
                        .decode(secret.as_bytes())
                        .map_err(|_| wrong("the secret is no even number of hexadecimal digits"))?;
                    (secret, if most == 9 { 1 } else { MIN_SECRET })
                }
            };
            let key = Key::new(id, secret);
            if key.secret().len() < least {
                return Err(wrong("the secret is too short; `dsnd return-path keygen` makes one"));
            }
            if list.iter().any(|other| other.id == id) {
                return Err(wrong("the id stands twice"));
            }
            list.push(key);
        }
        Ok(keys)
    }

    /// Whether there is none for tokens.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.token.is_empty()
    }

    /// The token key of an id.
    #[must_use]
    pub fn get(&self, id: u8) -> Option<&Key> {
        self.token.iter().find(|key| key.id == id)
    }

    /// The token key that mints: the last one.
    #[must_use]
    pub fn newest(&self) -> Option<&Key> {
        self.token.last()
    }

    /// Every token key, in the order of the text.
    #[must_use]
    pub fn all(&self) -> &[Key] {
        &self.token
    }

    /// The BATV key of a digit.
    #[must_use]
    pub fn batv(&self, digit: u8) -> Option<&Key> {
        self.batv.iter().find(|key| key.id == digit)
    }

    /// Whether BATV is verified.
    #[must_use]
    pub const fn has_batv(&self) -> bool {
        !self.batv.is_empty()
    }

    /// An id for one more key: the one after the newest, or the next free one. `None` when all sixteen are taken.
    #[must_use]
    pub fn next_id(&self) -> Option<u8> {
        let after = self.newest().map_or(1, |key| key.id + 1);
        (0..=MAX_ID).map(|step| (after + step) % (MAX_ID + 1)).find(|id| self.get(*id).is_none())
    }
}

/// The entries of a text with the numbers of their lines, or where it is one line, of the entries themselves;
/// comments and empty ones are left out.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let one_line = text.trim_end().lines().count() <= 1;
    let within = |line: &'_ str| line.split('#').next().map_or(0, str::len);
    text.lines().enumerate().flat_map(move |(line_index, line)| {
        let entries = line[..within(line)].split(',').map(str::trim).enumerate();
        let number = move |index| if one_line { index + 1 } else { line_index + 1 };
        entries.filter(|(_, entry)| !entry.is_empty()).map(move |(index, entry)| (number(index), entry))
    })
}

/// Makes a secret of 32 octets and writes it as it stands in a key file.
///
/// # Errors
/// What the system says when it has no randomness.
pub fn generate() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut secret = Zeroizing::new([0; NEW_SECRET]);
    getrandom::fill(&mut secret[..])?;
    Ok(Zeroizing::new(HEXLOWER.encode(&secret[..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "000102030405060708090a0b0c0d0e0f";

    #[test]
    fn the_last_key_mints_and_all_are_found() {
        let text = format!("# old\n 15 {SECRET} # 2026-05-01\n\n3\t{SECRET}\nbatv3 text:word\n");
        let keys = Keys::parse(&text).unwrap();
        assert_eq!(keys.newest().unwrap().id(), 3);
        assert!(keys.get(15).is_some() && keys.get(1).is_none());
        assert_eq!(keys.batv(3).unwrap().secret(), b"word");
        let keys = Keys::parse(&format!("3 {SECRET}, 15 {}", SECRET.to_uppercase())).unwrap();
        assert_eq!((keys.newest().unwrap().id(), keys.next_id()), (15, Some(0)));
    }

    #[test]
    fn what_is_no_key_is_named_and_never_repeated() {
        for (text, entry) in [
            (format!("16 {SECRET}"), 1),
            (format!("1 {SECRET}\nx {SECRET}"), 2),
            (format!("1 {SECRET}\n1 {SECRET}\n"), 2),
            (format!("\n1 {SECRET} {SECRET}\n"), 2),
            (format!("1 {SECRET}0"), 1),
            (format!("batv10 {SECRET}"), 1),
            ("1 secretive".to_owned(), 1),
            ("1 text:short".to_owned(), 1),
            (SECRET.to_owned(), 1),
        ] {
            let error = Keys::parse(&text).unwrap_err();
            assert_eq!(error.entry, entry, "{text}");
            let said = format!("{error} {error:?}");
            assert!(!said.contains(SECRET) && !said.contains("secretive"), "{said}");
        }
    }

    #[test]
    fn no_output_shows_a_secret() {
        let keys = Keys::parse(&format!("1 {SECRET}\nbatv1 text:word")).unwrap();
        let said = format!("{keys:?} {:#?}", keys.newest());
        for secret in [SECRET, "word", "00, 01", "0, 1, 2"] {
            assert!(!said.contains(secret), "{said}");
        }
    }

    #[test]
    fn generated_keys_differ_and_can_be_read() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one, two);
        let keys = Keys::parse(&format!("1 {}", *one)).unwrap();
        assert_eq!(keys.newest().unwrap().secret().len(), NEW_SECRET);
    }

    #[test]
    fn there_are_sixteen_ids() {
        let all: Vec<String> = (0..=MAX_ID).map(|id| format!("{id} {SECRET}")).collect();
        assert_eq!(Keys::parse(&all.join("\n")).unwrap().next_id(), None);
        assert_eq!(Keys::parse(&all[1..].join("\n")).unwrap().next_id(), Some(0));
        assert_eq!(Keys::default().next_id(), Some(1));
    }
}
