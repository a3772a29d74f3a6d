//! Unproven bounces, and what a person says about them.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{EventChange, Filter, Idle};

/// Which quarantined events; with nothing set, all of them.
#[derive(Debug, Clone, Default)]
pub struct QuarantineFilter {
    /// Only those of this message.
    pub bounce: Option<i64>,
    /// Only those about this address (comparison form).
    pub recipient_key: Option<String>,
    /// What they have in common.
    pub common: Filter,
    /// Only what clients in this network brought.
    pub peer: Option<IpNet>,
    /// Only events with a number above this one: the last of the page before.
    pub after: Option<i64>,
    /// Not those that only another address's return path proves, unless they are asked for: whoever got one mail can write
    /// there about anybody. A person approves them one by one.
    pub approvable: bool,
    /// Address by address, each in the order in which it came in, instead of by number.
    pub by_address: bool,
    /// Then only events after this address (comparison form), time and number: the last of the page before.
    pub after_address: Option<(String, Timestamp, i64)>,
    /// At most so many.
    pub limit: u32,
}

impl QuarantineFilter {
    /// Whether nothing is set: all that waits is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { bounce, recipient_key, common, peer, .. } = self;
        bounce.is_none() && recipient_key.is_none() && peer.is_none() && common.is_empty()
    }

    /// Whether a client (`192.0.2.1:25`) passes; the rest is the engine's to ask.
    #[must_use]
    pub fn takes(&self, peer: &str) -> bool {
        let client = || peer.parse().map(|peer: SocketAddr| peer.ip()).or_else(|_| peer.parse::<IpAddr>());
        let from_there =
            |network: &IpNet| client().is_ok_and(|client| network.contains(&client.to_canonical()));
        self.peer.as_ref().is_none_or(from_there)
    }
}

/// An event that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = QuarantinedEvent)]
pub struct Quarantined {
    /// The event's number.
    pub event: i64,
    /// The message's number.
    pub bounce: i64,
    /// When it was taken.
    pub received_at: Timestamp,
    /// The address it is about; empty where it names none.
    pub recipient: String,
    /// The same in comparison form.
    #[serde(skip)]
    pub recipient_key: String,
    /// The sending stream.
    pub stream: i64,
    /// Its name in the configuration, where it has one there.
    pub stream_name: Option<String>,
    /// Our conclusion.
    pub class: String,
    /// The code that decided.
    pub effective_status: Option<String>,
    /// What it would do.
    pub decision: String,
    /// The rule that decided.
    pub rule: String,
    /// The text that decided.
    pub evidence: String,
    /// Diagnostic-Code: the whole reply, in which that stands.
    pub diagnostic_code: Option<String>,
    /// How far it is believed.
    pub trust: String,
    /// Address and port of the client that brought it.
    pub peer: String,
    /// The host that said it.
    pub remote_mta: Option<String>,
}

/// What a person says about events that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They do what they would have done when they came in.
    Approve,
    /// They never do anything.
    Discard,
}

/// Events to settle, all in one transaction.
#[derive(Debug, Clone)]
pub struct Settling {
    /// Their numbers, in the order in which they are applied.
    pub events: Vec<i64>,
    /// What becomes of them.
    pub verdict: Verdict,
    /// Who says so.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Say what would happen, and change nothing.
    pub dry_run: bool,
}

/// What became of an event that was to be settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is settled, and did this.
    Settled(EventChange),
    /// It is settled, and did nothing.
    Idle(Idle),
    /// It names no valid address: it cannot be approved.
    NoAddress,
    /// It did not wait.
    NotWaiting {
        /// What it did to the list.
        change: String,
        /// When a person settled it, where one did.
        at: Option<Timestamp>,
        /// Who.
        by: Option<String>,
    },
    /// There is no such event.
    Missing,
}

impl Outcome {
    /// The word for what it did to the list; none where it was not settled.
    #[must_use]
    pub const fn change(&self) -> Option<&'static str> {
        match self {
            Self::Settled(change) => Some(change.as_str()),
            Self::Idle(_) => Some(EventChange::None.as_str()),
            Self::NoAddress | Self::NotWaiting { .. } | Self::Missing => None,
        }
    }

    /// Why it was not settled, or did nothing, in words.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        Some(match self {
            Self::Settled(_) => return None,
            Self::Idle(Idle::TermOver) => "changes nothing: its term is over".to_owned(),
            Self::Idle(Idle::ToldBefore) => "changes nothing: the same report has counted already".to_owned(),
            Self::Idle(Idle::NotTheAddress) => "changes nothing for the address".to_owned(),
            Self::NoAddress => "names no valid address, so it cannot be approved".to_owned(),
            Self::NotWaiting { change, at: Some(at), by: Some(by) } => {
                format!("does not wait: {change} since {at}, by {by}")
            }
            Self::NotWaiting { change, .. } => format!("does not wait: {change}"),
            Self::Missing => "there is no such event".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_by_their_network() {
        for (network, client, taken) in [
            (None, "x", true),
            (Some("192.0.2.0/24"), "192.0.2.9:25", true),
            (Some("192.0.2.0/24"), "[::ffff:192.0.2.9]:25", true),
            (Some("192.0.2.0/24"), "192.0.3.9:25", false),
            (Some("2001:db8::/32"), "[2001:db8::1]:25", true),
            (Some("0.0.0.0/0"), "nowhere", false),
        ] {
            let peer = network.map(|text| text.parse().unwrap());
            let filter = QuarantineFilter { peer, ..QuarantineFilter::default() };
            assert_eq!(filter.takes(client), taken, "{network:?} {client}");
        }
    }
}
