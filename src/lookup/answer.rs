//! What a question means, and what is said to it.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;

use super::settings::{OnError, Settings};
use crate::address::Mailbox;
use crate::store::{ANY_STREAM, Store, StoreError, Suppression};

/// Longest reason that is given, in octets. It becomes a part of one SMTP reply line (RFC 5321 §4.5.3.1.5).
const MAX_REASON: usize = 300;

/// Which entries of the list a map looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// `suppressed`: those of every stream.
    Any,
    /// `suppressed/all`: those that hold for every stream; `suppressed/NAME`: these, and those of that one.
    Stream(i64),
}

/// A request: which map, and what is looked up in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The map.
    pub map: Map,
    /// The comparison form of the address; `None` where what is looked up is no whole address, such as a domain.
    pub address_key: Option<String>,
}

/// What a question is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The recipient is suppressed: what an access(5) table has for it.
    Suppressed(String),
    /// It is not.
    NotFound,
    /// What was asked for is no whole address, and so not on the list.
    NoAddress,
    /// There is no such map, or no such stream.
    NoMap(String),
    /// The store could not be asked; whether that is said, or that nothing was found.
    Unavailable(OnError),
}

impl Question {
    /// Reads `map key`.
    ///
    /// # Errors
    /// [`Answer::NoMap`], with what is wrong.
    pub fn parse(request: &[u8], settings: &Settings) -> Result<Self, Answer> {
        let request = String::from_utf8_lossy(request);
        let (map, key) = request.split_once(' ').unwrap_or((&request, ""));
        let no_map = |what: &str| Answer::NoMap(format!("{what}: {map}"));
        let map = match map.strip_prefix("suppressed") {
            Some("") => Map::Any,
            Some(rest) => {
                let stream = rest.strip_prefix(['/', '-']).ok_or_else(|| no_map("no such map"))?;
                let number = if stream == "all" {
                    Some(ANY_STREAM)
                } else {
                    settings.streams.number(stream).map(i64::from)
                };
                Map::Stream(number.ok_or_else(|| no_map("no such stream"))?)
            }
            None => return Err(no_map("no such map")),
        };
        Ok(Self { map, address_key: address_key(key) })
    }

    /// Asks the store.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot tell.
    pub async fn ask(&self, store: &impl Store, now: Timestamp) -> Result<Answer, StoreError> {
        let Some(address_key) = &self.address_key else { return Ok(Answer::NoAddress) };
        let stream = match self.map {
            Map::Any => None,
            Map::Stream(number) => Some(number),
        };
        let entry = store.suppression(address_key, stream, now).await?;
        Ok(entry.map_or(Answer::NotFound, |entry| Answer::Suppressed(refusal(&entry))))
    }
}

/// The comparison form of a whole address. Postfix writes it without the quotes that its local part may need.
fn address_key(key: &str) -> Option<String> {
    let unquoted = || {
        let (local_part, domain) = key.rsplit_once('@')?;
        Mailbox::new(local_part, domain).ok()
    };
    Mailbox::parse(key).ok().or_else(unquoted).map(|mailbox| mailbox.comparison_form())
}

/// What an access(5) table has for a suppressed recipient: it is refused for good, and this is why. A bounce that quotes
/// it says nothing new: the rule `own.suppressed-by-dsnd` knows it by the words "suppressed by dsnd".
fn refusal(entry: &Suppression) -> String {
    let why = entry.class.as_deref().unwrap_or(entry.reason.as_str());
    let mut text = format!("550 5.7.1 suppressed by dsnd: {why}");
    if let Some(status) = &entry.status {
        let _ = write!(text, " {status}");
    }
    let _ = write!(text, ", since {}", entry.first_seen.strftime("%Y-%m-%d"));
    if let Some(until) = entry.expires_at {
        let _ = write!(text, " until {}", until.strftime("%Y-%m-%d"));
    }
    printable(&text).into_owned()
}

/// In printable ASCII and of bounded length.
fn printable(text: &str) -> Cow<'_, str> {
    let fits = |c: char| c == ' ' || c.is_ascii_graphic();
    if text.len() <= MAX_REASON && text.chars().all(fits) {
        return Cow::Borrowed(text);
    }
    text.chars().take(MAX_REASON).map(|c| if fits(c) { c } else { '?' }).collect::<String>().into()
}

impl Answer {
    /// As the protocol has it (socketmap_table(5)).
    #[must_use]
    pub fn reply(&self) -> Cow<'static, str> {
        match self {
            Self::Suppressed(access) => format!("OK {access}").into(),
            Self::NotFound | Self::NoAddress | Self::Unavailable(OnError::Allow) => "NOTFOUND ".into(),
            Self::Unavailable(OnError::Temp) => "TEMP the suppression list cannot be asked now".into(),
            Self::NoMap(what) => format!("PERM {}", printable(what)).into(),
        }
    }

    /// The word that metrics have for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Suppressed(_) => "suppressed",
            Self::NotFound => "not_found",
            Self::NoAddress => "no_address",
            Self::NoMap(_) => "no_map",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

#[cfg(test)]
mod tests;
