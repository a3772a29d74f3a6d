//! The parameters of MAIL and RCPT: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), and those of DSN (RFC 3461).

use super::{CommandError, xtext};

/// Longest ENVID in octets as sent (RFC 3461 §4.4).
const MAX_ENVID: usize = 100;

/// Longest ORCPT in octets as sent (RFC 3461 §4.2).
const MAX_ORCPT: usize = 500;

/// What BODY says about the message (RFC 6152 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// `7BIT`.
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
}

/// What RET asks a report to return (RFC 3461 §4.3). Kept for completeness: no report is ever sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Return {
    /// `FULL`.
    Full,
    /// `HDRS`.
    Headers,
}

/// The parameters of one MAIL command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// SIZE in octets; a number beyond `u64` counts as its largest value.
    pub size: Option<u64>,
    /// BODY.
    pub body: Option<Body>,
    /// SMTPUTF8 was given.
    pub smtputf8: bool,
    /// RET.
    pub ret: Option<Return>,
    /// ENVID, decoded from xtext.
    pub envelope_id: Option<String>,
}

/// What NOTIFY asks for (RFC 3461 §4.1). Kept for completeness: no report is ever sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Notify {
    /// `SUCCESS`.
    pub success: bool,
    /// `FAILURE`.
    pub failure: bool,
    /// `DELAY`.
    pub delay: bool,
}

/// The parameters of one RCPT command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// NOTIFY; `NEVER` is the one with nothing set.
    pub notify: Option<Notify>,
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
        for word in words {
            let (keyword, value) = keyword_and_value(word);
            match keyword.to_ascii_uppercase().as_str() {
                "SIZE" => set(&mut all.size, "SIZE", value.and_then(size))?,
                "BODY" => set(&mut all.body, "BODY", value.and_then(body))?,
                "RET" => set(&mut all.ret, "RET", value.and_then(ret))?,
                "ENVID" => set(&mut all.envelope_id, "ENVID", value.and_then(envelope_id))?,
                // RFC 6531 §3.4: no value
                "SMTPUTF8" if value.is_none() && !all.smtputf8 => all.smtputf8 = true,
                "SMTPUTF8" => return Err(CommandError::BadParameter("SMTPUTF8")),
                _ => return Err(CommandError::UnknownParameter),
            }
        }
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
        for word in words {
            let (keyword, value) = keyword_and_value(word);
            match keyword.to_ascii_uppercase().as_str() {
                "NOTIFY" => set(&mut all.notify, "NOTIFY", value.and_then(notify))?,
                "ORCPT" => set(&mut all.original_recipient, "ORCPT", value.and_then(original_recipient))?,
                _ => return Err(CommandError::UnknownParameter),
            }
        }
        Ok(all)
    }
}

/// RFC 5321 §4.1.2: `esmtp-keyword ["=" esmtp-value]`.
fn keyword_and_value(word: &str) -> (&str, Option<&str>) {
    word.split_once('=').map_or((word, None), |(keyword, value)| (keyword, Some(value)))
}

/// Fills a parameter's place, once and with a value that could be read.
fn set<T>(place: &mut Option<T>, name: &'static str, value: Option<T>) -> Result<(), CommandError> {
    if place.is_some() || value.is_none() {
        return Err(CommandError::BadParameter(name));
    }
    *place = value;
    Ok(())
}

fn size(value: &str) -> Option<u64> {
    // RFC 1870 §3: 1*20DIGIT
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

fn body(value: &str) -> Option<Body> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Some(Body::SevenBit),
        "8BITMIME" => Some(Body::EightBitMime), // RFC 6152 §3
        _ => None,
    }
}

fn ret(value: &str) -> Option<Return> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Some(Return::Full), // RFC 3461 §4.3
        "HDRS" => Some(Return::Headers),
        _ => None,
    }
}

fn envelope_id(value: &str) -> Option<String> {
    // RFC 3461 §4.4: xtext of at most 100 characters
    let fits = (1..=MAX_ENVID).contains(&value.len());
    fits.then(|| xtext::decode(value)).flatten()
}

fn notify(value: &str) -> Option<Notify> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::default()); // RFC 3461 §4.1: NEVER stands alone
    }
    let mut all = Notify::default();
    for word in value.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => all.success = true,
            "FAILURE" => all.failure = true,
            "DELAY" => all.delay = true,
            _ => return None,
        }
    }
    Some(all)
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
