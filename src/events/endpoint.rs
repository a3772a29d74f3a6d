//! Where events are brought, and which.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;

use super::sign::Secret;
use crate::store::{ANY_STREAM, EventType, Head};

/// How the body of a webhook is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The event as `/v1/events` has it.
    Dsnd,
    /// A notification of Amazon SES, for consumers that know those.
    Ses,
}

impl Format {
    /// The types of events that can be written so.
    #[must_use]
    pub const fn types(self) -> &'static [EventType] {
        match self {
            Self::Dsnd => &EventType::ALL,
            Self::Ses => &[EventType::BounceRecorded, EventType::ComplaintRecorded],
        }
    }
}

/// A place that events are brought to.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// What the operator calls it; where it is lies in the database under this name.
    pub name: String,
    /// Where.
    pub url: Url,
    /// What deliveries are signed with.
    pub secret: Secret,
    /// Only these types.
    pub types: Vec<EventType>,
    /// Only events of these streams, and those that are about every one; empty for all.
    pub streams: Vec<i64>,
    /// Also reports that nothing proves and that changed nothing.
    pub unproven: bool,
    /// How they are written.
    pub format: Format,
    /// How long a delivery may take, from connecting to the answer.
    pub timeout: Duration,
    /// Deliveries at the same time.
    pub concurrency: usize,
    /// Whether it is used.
    pub enabled: bool,
}

impl fmt::Debug for Endpoint {
    /// Without the secret and what a URL may hold of secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("host", &self.url.host_str())
            .field("types", &self.types)
            .field("streams", &self.streams)
            .field("unproven", &self.unproven)
            .field("format", &self.format)
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .field("enabled", &self.enabled)
            .finish_non_exhaustive()
    }
}

/// Why a URL is none that events are brought to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EndpointError {
    /// It cannot be read.
    #[error("{0:?} is no URL, such as \"https://example.com/hooks/dsnd\"")]
    NoUrl(String),
    /// Another scheme.
    #[error("{0}:// is not spoken here; write https:// or http://")]
    Scheme(String),
    /// In the clear, over a network.
    #[error(
        "http:// would send addresses of recipients in the clear; write https://, or allow_http = true where the \
         network is yours"
    )]
    Clear,
}

/// One of the two ways on which an endpoint gets its events. Each has its own place in the database, its own order, and
/// its own part of the deliveries at the same time, so that what anybody may send holds up nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// What holds.
    Believed,
    /// Reports that nothing proves and that changed nothing.
    Unproven,
}

impl Endpoint {
    /// The ways on which it gets events.
    #[must_use]
    pub const fn ways(&self) -> &'static [Way] {
        if self.unproven { &[Way::Believed, Way::Unproven] } else { &[Way::Believed] }
    }

    /// The names under which the database knows its ways.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.ways().iter().map(|way| self.named(*way))
    }

    /// The name under which the database knows one of its ways.
    #[must_use]
    pub fn named(&self, way: Way) -> String {
        match way {
            Way::Believed => self.name.clone(),
            // No webhook can be called that.
            Way::Unproven => format!("{}/unproven", self.name),
        }
    }

    /// Whether it wants an event, on one of its ways.
    #[must_use]
    pub fn wants(&self, head: &Head, way: Way) -> bool {
        head.believed == (way == Way::Believed)
            && self.types.contains(&head.kind)
            && (self.streams.is_empty() || head.stream == ANY_STREAM || self.streams.contains(&head.stream))
    }

    /// Deliveries at the same time on one of its ways: what is unproven has a quarter of them.
    #[must_use]
    pub fn places(&self, way: Way) -> usize {
        let unproven = if self.unproven { (self.concurrency / 4).max(1) } else { 0 };
        match way {
            Way::Believed => self.concurrency.saturating_sub(unproven).max(1),
            Way::Unproven => unproven,
        }
    }

    /// Reads a URL. Without `allow_http`, one in the clear stays on this machine or in a private network.
    ///
    /// # Errors
    /// [`EndpointError`], what is wrong with it.
    pub fn url(text: &str, allow_http: bool) -> Result<Url, EndpointError> {
        let url = Url::parse(text).map_err(|_| EndpointError::NoUrl(text.to_owned()))?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(EndpointError::NoUrl(text.to_owned()));
        }
        match url.scheme() {
            "https" => Ok(url),
            "http" if allow_http || is_private(&url) => Ok(url),
            "http" => Err(EndpointError::Clear),
            other => Err(EndpointError::Scheme(other.to_owned())),
        }
    }
}

/// Whether a host is this machine, or an address that is not routed on the internet.
fn is_private(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    match literal.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
        Err(_) => literal == "localhost" || literal.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_one_of_https_or_stays_at_home() {
        for (text, allow_http, wanted) in [
            ("https://hooks.example.com/x?y=z", false, Ok(())),
            ("http://127.0.0.1:8080/", false, Ok(())),
            ("http://[::1]/", false, Ok(())),
            ("http://localhost/hook", false, Ok(())),
            ("http://10.1.2.3/", false, Ok(())),
            ("http://[fd00::7]/", false, Ok(())),
            ("http://hooks.example.com/", false, Err(EndpointError::Clear)),
            ("http://192.0.2.7/", false, Err(EndpointError::Clear)),
            ("http://localhost.example.com/", false, Err(EndpointError::Clear)),
            ("http://hooks.example.com/", true, Ok(())),
            ("ftp://hooks.example.com/", true, Err(EndpointError::Scheme("ftp".to_owned()))),
            ("hooks.example.com", true, Err(EndpointError::NoUrl("hooks.example.com".to_owned()))),
            ("data:x", true, Err(EndpointError::NoUrl("data:x".to_owned()))),
        ] {
            assert_eq!(Endpoint::url(text, allow_http).map(drop), wanted, "{text}");
        }
    }
}
