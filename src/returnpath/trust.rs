//! How far a report is believed, and which of those that prove nothing count all the same.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::address::ForwardPath;

/// What the return path proves about a report (contract 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// The token is valid and a recipient matches its tag.
    Proven,
    /// The token is valid and no recipient in the report matches it.
    TokenOnly,
    /// A fixed address or unsigned VERP: anybody could have sent it.
    Unsigned,
}

impl Trust {
    /// The word used in output and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::TokenOnly => "token_only",
            Self::Unsigned => "unsigned",
        }
    }

    /// The level that a word stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Proven, Self::TokenOnly, Self::Unsigned].into_iter().find(|trust| trust.as_str() == name)
    }
}

/// Which reports count although nothing proves them: what the operator said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnsignedTrust {
    /// All of them, whoever sent them.
    pub generally: bool,
    /// Those that come to return paths in these domains, in the form they are compared in
    /// ([`crate::address::domain_key`]).
    pub domains: Vec<String>,
    /// Those that clients in these networks bring.
    pub networks: Vec<IpNet>,
}

impl UnsignedTrust {
    /// Whether a report counts that this client brought to these addresses. Who has no address is in no network.
    #[must_use]
    pub fn covers<'a>(&self, client: Option<IpAddr>, to: impl IntoIterator<Item = &'a ForwardPath>) -> bool {
        let client = client.map(|client| client.to_canonical()); // ::ffff:192.0.2.1 is 192.0.2.1
        let near = |client| self.networks.iter().any(|network| network.contains(&client));
        let trusted = |path: &ForwardPath| match path {
            ForwardPath::Mailbox(mailbox) => self.domains.contains(&mailbox.domain_key()),
            _ => false,
        };
        self.generally
            || client.is_some_and(near)
            || (!self.domains.is_empty() && to.into_iter().any(trusted))
    }

    /// Whether one of the networks is the whole internet.
    #[must_use]
    pub fn covers_everybody(&self) -> bool {
        self.generally || self.networks.iter().any(|network| network.prefix_len() == 0)
    }
}

/// Reads a network as `192.0.2.0/24` or `2001:db8::/32`, or a single address.
///
/// # Errors
/// The text, with the forms there are.
pub fn network(text: &str) -> Result<IpNet, NetworkError> {
    let text = text.trim();
    let address = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    text.parse::<IpNet>()
        .map(|network| network.trunc())
        .or_else(|_| address())
        .map_err(|_| NetworkError(text.to_owned()))
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network, such as \"192.0.2.0/24\", \"2001:db8::/32\" or \"192.0.2.7\"")]
pub struct NetworkError(String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Mailbox;

    fn to(address: &str) -> [ForwardPath; 1] {
        [ForwardPath::Mailbox(Mailbox::parse(address).unwrap())]
    }

    fn covers(trust: &UnsignedTrust, client: &str, address: &str) -> bool {
        trust.covers(client.parse().ok(), &to(address))
    }

    #[test]
    fn nobody_is_believed_unasked() {
        for client in ["127.0.0.1", "::1", "10.0.0.1"] {
            assert!(!covers(&UnsignedTrust::default(), client, "bounces@localhost"));
        }
    }

    #[test]
    fn a_network_or_a_domain_is_believed_and_its_neighbours_are_not() {
        let networks = ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"].map(|text| network(text).unwrap());
        let trust = UnsignedTrust {
            domains: vec!["xn--bcher-kva.example".to_owned()],
            networks: networks.to_vec(),
            ..UnsignedTrust::default()
        };
        for (client, address, covered) in [
            ("192.0.2.200", "bounces@b.example", true),
            ("::ffff:192.0.2.200", "bounces@b.example", true),
            ("192.0.3.1", "bounces@b.example", false),
            ("2001:db8:1::1", "bounces@b.example", true),
            ("2001:db9::1", "bounces@b.example", false),
            ("198.51.100.7", "bounces@b.example", true),
            ("198.51.100.8", "bounces@b.example", false),
            ("203.0.113.1", "bounces@B\u{fc}cher.example", true),
            ("203.0.113.1", "bounces@sub.b\u{fc}cher.example", false),
        ] {
            assert_eq!(covers(&trust, client, address), covered, "{client} {address}");
        }
        assert!(!trust.covers("203.0.113.1".parse().ok(), &[ForwardPath::Postmaster]));
        assert!(!trust.covers_everybody());
        for everybody in ["0.0.0.0/0", "::/0"] {
            let trust = UnsignedTrust { networks: vec![network(everybody).unwrap()], ..trust.clone() };
            assert!(trust.covers_everybody());
        }
    }

    #[test]
    fn a_network_is_written_with_its_length_or_is_one_address() {
        assert_eq!(network("192.0.2.77/24").unwrap().to_string(), "192.0.2.0/24");
        assert_eq!(network(" ::1 ").unwrap().to_string(), "::1/128");
        for text in ["", "192.0.2.0/33", "192.0.2", "example.net", "192.0.2.0/24/8"] {
            assert!(network(text).unwrap_err().to_string().contains("192.0.2.0/24"), "{text}");
        }
    }
}
