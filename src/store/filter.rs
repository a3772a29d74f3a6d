//! What the rows of a listing have in common, whoever asks for them.

use std::net::IpAddr;

use jiff::Timestamp;

use super::AuditOrigin;
use crate::classify::Class;
use crate::returnpath::Trust;

/// Conditions on bounces and on entries of the list; all that are set must hold, for a bounce of one and the same
/// recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this domain (A-labels, lower case).
    pub domain: Option<String>,
    /// Only this class.
    pub class: Option<Class>,
    /// Only what this rule decided.
    pub rule: Option<String>,
    /// Only what this host said (Remote-MTA), in any case, with or without a dot at its end.
    pub remote_mta: Option<String>,
    /// Only where a host says that this address of ours is listed or blocked.
    pub listed_ip: Option<IpAddr>,
    /// Only what came in so. An entry has what made it, and the origin of its last change in the history of the list; a
    /// bounce has how it came, and what persons had done with it.
    pub origin: Option<AuditOrigin>,
    /// Only this stream. For an entry [`super::ANY_STREAM`] is every stream, for a bounce it is none.
    pub stream: Option<i64>,
    /// Only what is believed this far.
    pub trust: Option<Trust>,
    /// Only bounces received, or entries made or changed, at this time or later.
    pub since: Option<Timestamp>,
    /// Only those before this time: two ranges that meet have nothing in common.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether nothing is set: everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What it asks for, in words, one a condition.
    pub(super) fn words(&self) -> impl Iterator<Item = String> {
        let Self { domain, class, rule, remote_mta, listed_ip, origin, stream, trust, since, until } = self;
        let parts = [
            since.map(|since| format!("since {since}")),
            until.map(|until| format!("until {until}")),
            class.map(|class| format!("class {}", class.as_str())),
            rule.as_ref().map(|rule| format!("rule {rule}")),
            domain.as_ref().map(|domain| format!("domain {domain}")),
            remote_mta.as_ref().map(|host| format!("remote host {host}")),
            listed_ip.map(|ip| format!("listed IP {ip}")),
            trust.map(|trust| format!("trust {}", trust.as_str())),
            origin.map(|origin| format!("origin {}", origin.as_str())),
            stream.map(|stream| format!("stream {stream}")),
        ];
        parts.into_iter().flatten()
    }
}
