//! The parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), and those of DSN (RFC 3461).

use super::{CommandError, xtext};

/// Longest ENVID in octets as sent (RFC 3461 §4.4).
const MAX_ENVID: usize = 100;

/// Longest ORCPT in octets as sent (RFC 3461 §4.2).
const MAX_ORCPT: usize = 500;

/// The parameters of one MAIL command that matter here. BODY, SMTPUTF8 and RET are read and checked, and change nothing:
/// messages are taken as they are, and no report is ever sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// SIZE in octets; a number beyond `u64` counts as its largest value.
    pub size: Option<u64>,
    /// ENVID, decoded from xtext.
    pub envelope_id: Option<String>,
}

/// The parameters of one RCPT command that matter here. NOTIFY is read and checked, and changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// ORCPT, decoded, with its type: `rfc822;user@example.com`.
    pub original_recipient: Option<String>,
}

impl MailParameters {
    /// Reads the words after the reverse-path.
    ///
    /// # Errors
    /// [`CommandError::UnknownParameter`] or [`CommandError::BadParameter`].
    pub(super) fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, CommandError> {
        let mut all = Self::default();
        each(words, &["SIZE", "BODY", "SMTPUTF8", "RET", "ENVID"], |name, value| match name {
            "SIZE" => fill(&mut all.size, value.and_then(size)),
            "BODY" => is_one_of(value, &["7BIT", "8BITMIME"]), // RFC 6152 §3
            "RET" => is_one_of(value, &["FULL", "HDRS"]),      // RFC 3461 §4.3
            "ENVID" => fill(&mut all.envelope_id, value.and_then(envelope_id)),
            _ => value.is_none(), // RFC 6531 §3.4: no value
        })?;
        Ok(all)
    }
}

impl RcptParameters {
    /// Reads the words after the forward-path.
    ///
    /// # Errors
    /// [`CommandError::UnknownParameter`] or [`CommandError::BadParameter`].
    pub(super) fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, CommandError> {
        let mut all = Self::default();
        each(words, &["NOTIFY", "ORCPT"], |name, value| match name {
            "NOTIFY" => is_notify(value),
            _ => fill(&mut all.original_recipient, value.and_then(original_recipient)),
        })?;
        Ok(all)
    }
}

/// Gives every parameter to `read`, which says whether its value is one. Each may stand once.
fn each<'a>(
    words: impl Iterator<Item = &'a str>,
    known: &[&'static str],
    mut read: impl FnMut(&'static str, Option<&'a str>) -> bool,
) -> Result<(), CommandError> {
    let mut seen = Vec::new();
    for word in words {
        let (keyword, value) = keyword_and_value(word);
        let name = known.iter().copied().find(|name| keyword.eq_ignore_ascii_case(name));
        let name = name.ok_or(CommandError::UnknownParameter)?;
        if seen.contains(&name) || !read(name, value) {
            return Err(CommandError::BadParameter(name));
        }
        seen.push(name);
    }
    Ok(())
}

/// RFC 5321 §4.1.2: `esmtp-keyword ["=" esmtp-value]`.
fn keyword_and_value(word: &str) -> (&str, Option<&str>) {
    word.split_once('=').map_or((word, None), |(keyword, value)| (keyword, Some(value)))
}

/// Keeps a value that could be read; whether there was one.
fn fill<T>(place: &mut Option<T>, value: Option<T>) -> bool {
    *place = value;
    place.is_some()
}

fn is_one_of(value: Option<&str>, words: &[&str]) -> bool {
    value.is_some_and(|value| words.iter().any(|word| value.eq_ignore_ascii_case(word)))
}

fn size(value: &str) -> Option<u64> {
    // RFC 1870 §3: 1*20DIGIT
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

fn envelope_id(value: &str) -> Option<String> {
    // RFC 3461 §4.4: xtext of at most 100 characters
    let fits = (1..=MAX_ENVID).contains(&value.len());
    fits.then(|| xtext::decode(value)).flatten()
}

/// RFC 3461 §4.1: NEVER, which stands alone, or a list of the others.
fn is_notify(value: Option<&str>) -> bool {
    is_one_of(value, &["NEVER"])
        || value.is_some_and(|value| {
            value.split(',').all(|word| is_one_of(Some(word), &["SUCCESS", "FAILURE", "DELAY"]))
        })
}

fn original_recipient(value: &str) -> Option<String> {
    if value.len() > MAX_ORCPT {
        return None; // RFC 3461 §4.2
    }
    let (kind, address) = value.split_once(';')?;
    let atom = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if kind.is_empty() || !kind.bytes().all(atom) || address.is_empty() {
        return None;
    }
    let mut decoded = xtext::decode(address)?;
    if kind.eq_ignore_ascii_case("utf-8") {
        decoded = xtext::decode_embedded(&decoded)?; // RFC 6533 §3
    }
    Some(format!("{kind};{decoded}"))
}
