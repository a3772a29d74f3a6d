//! Who is at the other end of a connection, and who may speak for others.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Number of the connection since the process started; the same in every log line about it.
    pub connection: u64,
    /// The remote address; behind a proxy, the one that its PROXY header names.
    pub address: PeerAddress,
}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAddress {
    /// Over TCP. An IPv4 address is one here, also where an IPv6 socket wrote it as `::ffff:192.0.2.1`.
    Ip(SocketAddr),
    /// Over a Unix socket, with the user id of the process, where the system tells it.
    Unix(Option<u32>),
    /// From a program on this machine, by its standard output.
    Pipe,
    /// From a file; who brought it there nobody knows.
    File,
}

impl PeerAddress {
    /// The IP address; a program on the same machine has none.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix(_) | Self::Pipe | Self::File => None,
        }
    }
}

impl From<SocketAddr> for PeerAddress {
    fn from(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            ip @ IpAddr::V4(_) => Self::Ip(SocketAddr::new(ip, address.port())),
            IpAddr::V6(_) => Self::Ip(address),
        }
    }
}

impl fmt::Display for PeerAddress {
    /// `192.0.2.1:25`, `[2001:db8::1]:25`, `unix:uid=1000`, `pipe`, `file`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(Some(uid)) => write!(f, "unix:uid={uid}"),
            Self::Unix(None) => f.write_str("unix"),
            Self::Pipe => f.write_str("pipe"),
            Self::File => f.write_str("file"),
        }
    }
}

/// Proxies that must say, and are believed, for whom they connect: a network, or every process on this machine that
/// can open a Unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// Every address of a network.
    Network(IpNet),
    /// Whoever may open the Unix socket.
    Unix,
}

impl Proxy {
    /// Whether a connection from this address is one of this proxy's.
    #[must_use]
    pub fn is(&self, peer: &PeerAddress) -> bool {
        match (self, peer) {
            (Self::Network(network), PeerAddress::Ip(address)) => network.contains(&address.ip()),
            (Self::Unix, PeerAddress::Unix(_)) => true,
            _ => false,
        }
    }
}

/// A text that names no proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no network, such as \"10.0.0.0/8\", \"2001:db8::/32\" or one address; \"unix\" is a Unix socket's"
)]
pub struct NoProxy(String);

impl FromStr for Proxy {
    type Err = NoProxy;

    fn from_str(text: &str) -> Result<Self, NoProxy> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self::Network).map_err(|_| NoProxy(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> PeerAddress {
        text.parse::<SocketAddr>().unwrap().into()
    }

    #[test]
    fn an_ipv4_address_is_one_however_the_socket_wrote_it() {
        assert_eq!(ip("[::ffff:192.0.2.1]:25"), ip("192.0.2.1:25"));
        assert_eq!(ip("[2001:db8::1]:25").to_string(), "[2001:db8::1]:25");
        assert_eq!(PeerAddress::Unix(Some(33)).to_string(), "unix:uid=33");
        assert_eq!(
            (PeerAddress::Unix(None).to_string().as_str(), PeerAddress::Unix(None).ip()),
            ("unix", None)
        );
    }

    #[test]
    fn a_proxy_is_known_by_its_network() {
        for (proxy, peer, known) in [
            ("10.0.0.0/8", ip("10.255.0.1:1"), true),
            ("10.0.0.0/8", ip("[::ffff:10.0.0.1]:1"), true),
            ("10.0.0.0/8", ip("11.0.0.1:1"), false),
            ("10.0.0.7", ip("10.0.0.7:1"), true),
            ("10.0.0.7", ip("10.0.0.8:1"), false),
            ("2001:db8::/32", ip("[2001:db8:1::1]:1"), true),
            ("::/0", ip("10.0.0.1:1"), false),
            ("0.0.0.0/0", PeerAddress::Unix(Some(0)), false),
            ("unix", PeerAddress::Unix(None), true),
            ("unix", ip("127.0.0.1:1"), false),
        ] {
            assert_eq!(proxy.parse::<Proxy>().unwrap().is(&peer), known, "{proxy} and {peer}");
        }
        for text in ["", "10.0.0.0/33", "example.com", "10.0.0.0/8 ", "Unix", "10.0.0.1:25"] {
            assert!(text.parse::<Proxy>().is_err(), "{text:?}");
        }
    }
}
