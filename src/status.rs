//! Status codes: what the remote host said, before anybody concludes anything from it.
//!
//! Layer 0. [`StatusClass`] is the first digit of a code as reported; our own conclusion is
//! `classify::Class`, and the two are kept apart everywhere.

use std::fmt;
use std::str::FromStr;

use memchr::{memchr2_iter, memchr3};

/// The first digit of an enhanced status code (RFC 3463 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatusClass {
    /// `2.x.x`: delivered or relayed.
    Success,
    /// `4.x.x`: may work if sent again later.
    PersistentTransient,
    /// `5.x.x`: will not work if sent again unchanged.
    Permanent,
}

impl StatusClass {
    /// The digit: 2, 4 or 5.
    #[must_use]
    pub const fn digit(self) -> u8 {
        match self {
            Self::Success => 2,
            Self::PersistentTransient => 4,
            Self::Permanent => 5,
        }
    }

    /// The class that a digit stands for, if any.
    #[must_use]
    pub const fn from_digit(digit: u8) -> Option<Self> {
        match digit {
            2 => Some(Self::Success),
            4 => Some(Self::PersistentTransient),
            5 => Some(Self::Permanent),
            _ => None,
        }
    }
}

/// An enhanced mail system status code, `class.subject.detail` (RFC 3463 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnhancedStatusCode {
    /// Success, persistent transient or permanent.
    pub class: StatusClass,
    /// What the code is about: 1 addressing, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 policy.
    pub subject: u16,
    /// The precise condition.
    pub detail: u16,
}

/// A text that is no enhanced status code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no enhanced status code; they look like 5.1.1, with 2, 4 or 5 first and up to three digits each after it"
)]
pub struct NotAStatusCode(pub String);

impl EnhancedStatusCode {
    /// Builds a code from its three numbers.
    #[must_use]
    pub const fn new(class: StatusClass, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }

    /// Reads the code that a text begins with, and says how many bytes it took.
    #[must_use]
    pub fn prefix(text: &str) -> Option<(Self, usize)> {
        let bytes = text.as_bytes();
        let class = StatusClass::from_digit(bytes.first()?.wrapping_sub(b'0'))?;
        let (subject, after_subject) = number_after_dot(bytes, 1)?;
        let (detail, end) = number_after_dot(bytes, after_subject)?;
        let ends = match bytes.get(end) {
            None => true,
            // "5.1.1.2" is a version or an address, "5.1.1." the end of a sentence.
            Some(b'.') => !bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric),
            Some(byte) => !byte.is_ascii_alphanumeric(),
        };
        ends.then_some((Self { class, subject, detail }, end))
    }

    /// The first code that stands in a text as a word of its own, with the byte range it covers.
    ///
    /// Numbers that merely look like one are passed over: parts of addresses (`10.5.1.1`, `5.1.1.7`),
    /// of names (`mx5.1.1`) and of versions (`v4.5.1`).
    #[must_use]
    pub fn find(text: &str) -> Option<(Self, std::ops::Range<usize>)> {
        Self::find_all(text).next()
    }

    /// All codes in a text, in order, by the rules of [`EnhancedStatusCode::find`].
    pub fn find_all(text: &str) -> impl Iterator<Item = (Self, std::ops::Range<usize>)> + '_ {
        let bytes = text.as_bytes();
        let mut at = 0;
        std::iter::from_fn(move || {
            while let Some(digit) = memchr3(b'2', b'4', b'5', &bytes[at..]) {
                let start = at + digit;
                at = start + 1;
                let word_starts = start == 0
                    || !(bytes[start - 1].is_ascii_alphanumeric()
                        || matches!(bytes[start - 1], b'.' | b'-' | b'_' | b'/' | b'@'))
                    // A multi-line reply repeats the code after "550-" (RFC 5321 §4.2.1).
                    || (start >= 4
                        && bytes[start - 1] == b'-'
                        && bytes[start - 4..start - 1].iter().all(u8::is_ascii_digit));
                if word_starts && let Some((code, length)) = Self::prefix(&text[start..]) {
                    at = start + length;
                    return Some((code, start..start + length));
                }
            }
            None
        })
    }

    /// Whether the code says nothing beyond its class: `x.0.0`.
    #[must_use]
    pub const fn is_vague(self) -> bool {
        self.subject == 0 && self.detail == 0
    }

    /// How much a code tells: 0 for `x.0.0`, 1 for `x.N.0`, 2 for a full code.
    #[must_use]
    pub const fn precision(self) -> u8 {
        match (self.subject, self.detail) {
            (0, _) => 0,
            (_, 0) => 1,
            _ => 2,
        }
    }
}

fn number_after_dot(bytes: &[u8], dot: usize) -> Option<(u16, usize)> {
    if bytes.get(dot) != Some(&b'.') {
        return None;
    }
    let digits = bytes[dot + 1..].iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=3).contains(&digits) {
        return None; // RFC 3463 §2: one to three digits
    }
    let value =
        bytes[dot + 1..dot + 1 + digits].iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    Some((value, dot + 1 + digits))
}

impl fmt::Display for EnhancedStatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class.digit(), self.subject, self.detail)
    }
}

impl FromStr for EnhancedStatusCode {
    type Err = NotAStatusCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match Self::prefix(text.trim()) {
            Some((code, length)) if length == text.trim().len() => Ok(code),
            _ => Err(NotAStatusCode(text.to_owned())),
        }
    }
}

/// A three-digit SMTP reply code (RFC 5321 §4.2), 200 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyCode(u16);

impl ReplyCode {
    /// A reply code from its number, if SMTP has such.
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        // RFC 5321 §4.2.1: first digit 2 to 5, second digit 0 to 5; 556 and the like fit.
        if code >= 200 && code <= 559 && (code / 10) % 10 <= 5 { Some(Self(code)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The status class that the first digit stands for; 3yz replies have none.
    #[must_use]
    pub const fn class(self) -> Option<StatusClass> {
        StatusClass::from_digit((self.0 / 100) as u8)
    }

    /// Reads the reply code that a text begins with: three digits, then a space, a hyphen, other
    /// punctuation or the end.
    #[must_use]
    pub fn prefix(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let digits = bytes.get(..3)?;
        if !digits.iter().all(u8::is_ascii_digit) || bytes.get(3).is_some_and(u8::is_ascii_alphanumeric) {
            return None;
        }
        if bytes.get(3) == Some(&b'.') && bytes.get(4).is_some_and(u8::is_ascii_digit) {
            return None; // an IP address
        }
        Self::new(digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
    }

    /// The first failure reply (4yz or 5yz) that stands in a text as a word of its own, and where.
    ///
    /// A three-digit number counts only where a reply can stand: at the start, after a colon, an opening
    /// bracket or quote, `#`, or the word `said`, `error`, `code`, `response` or `reply`; or directly before
    /// an enhanced status code. Port numbers, sizes and house numbers do not.
    #[must_use]
    pub fn find_failure(text: &str) -> Option<(Self, std::ops::Range<usize>)> {
        let bytes = text.as_bytes();
        memchr2_iter(b'4', b'5', bytes).find_map(|start| {
            if start > 0 && bytes[start - 1].is_ascii_alphanumeric() {
                return None;
            }
            let code = Self::prefix(&text[start..])?;
            let rest = text[start + 3..].trim_start_matches([' ', '-', '#', '(', '[', '\'', '"']);
            let before = text[..start].trim_end_matches(char::is_whitespace);
            let introduced = before.is_empty()
                || before.ends_with([':', '(', '[', '"', '\'', '<', '#', '=', '\n', '>', '|'])
                || text[..start].ends_with('\n')
                || ["said", "error", "code", "response", "reply", "status", "smtp"].iter().any(|word| {
                    before.len() >= word.len()
                        && before.is_char_boundary(before.len() - word.len())
                        && before[before.len() - word.len()..].eq_ignore_ascii_case(word)
                });
            (introduced || EnhancedStatusCode::prefix(rest).is_some()).then_some((code, start..start + 3))
        })
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<String> {
        EnhancedStatusCode::find(text).map(|(code, _)| code.to_string())
    }

    #[test]
    fn codes_are_found_where_they_stand() {
        for (text, code) in [
            ("5.1.1", "5.1.1"),
            ("550 5.1.1 no such user", "5.1.1"),
            ("550-5.1.1 The email account", "5.1.1"),
            ("smtp; 550 #5.1.0 Address rejected", "5.1.0"),
            ("(5.7.1)", "5.7.1"),
            ("said: 452 4.2.2 over quota.", "4.2.2"),
            ("Permanent failure 5.4.14.", "5.4.14"),
            ("10.5.1.1 said 550 5.7.606 banned", "5.7.606"),
        ] {
            assert_eq!(found(text).as_deref(), Some(code), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_code_is_passed_over() {
        for text in
            ["5.1.1.7", "10.5.1.1", "v4.5.1x", "mx5.1.1", "5.1", "3.1.1", "5.1234.1", "exim-4.96.2-1", ""]
        {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn only_whole_codes_parse() {
        assert_eq!("5.7.606".parse(), Ok(EnhancedStatusCode::new(StatusClass::Permanent, 7, 606)));
        for text in ["5.1", "6.1.1", "5.1.1 x", "5.1.1.", "five", ""] {
            assert!(text.parse::<EnhancedStatusCode>().is_err(), "{text}");
        }
    }

    #[test]
    fn replies_are_found_where_a_reply_can_stand() {
        for (text, code) in [
            ("550 no such user", Some(550)),
            ("host mx said: 452-4.2.2 full", Some(452)),
            ("SMTP error from remote mail server after RCPT TO:<a@b>: 550 gone", Some(550)),
            ("remote said 421 5.7.0 wait", Some(421)),
            ("port 587 refused, 512 bytes", None),
            ("relay 550.example.com", None),
            ("we tried 450 times", None),
            ("192.0.2.1 5500", None),
        ] {
            assert_eq!(ReplyCode::find_failure(text).map(|(code, _)| code.get()), code, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_code_reads_back(class in proptest::sample::select(vec![2u8, 4, 5]), subject in 0u16..=999, detail in 0u16..=999) {
            let code = EnhancedStatusCode::new(StatusClass::from_digit(class).unwrap(), subject, detail);
            proptest::prop_assert_eq!(code.to_string().parse(), Ok(code));
        }

        #[test]
        fn searching_any_text_ends(text in "\\PC*") {
            for (_, range) in EnhancedStatusCode::find_all(&text) {
                proptest::prop_assert!(text.get(range).is_some());
            }
            let _ = ReplyCode::find_failure(&text);
        }
    }
}
