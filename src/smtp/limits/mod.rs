//! What one client may take, and what all of them together: connections, messages, memory for bodies, patience.
//!
//! Counted by IPv4 address and by IPv6 /64, which is what one subscriber has. The tables are bounded, and nothing
//! here waits: a client beyond a limit is told so at once, and its mail system tries again.

pub mod clients;
pub mod memory;
mod notice;
mod pace;
pub mod presence;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use clients::{Clients, Guest};
use memory::{BodyMemory, Reservation};
pub(crate) use notice::{Notice, Notices};
pub use pace::Pace;
pub(super) use pace::Tarpit;

/// The part of the memory for bodies that one client may have: a quarter.
const SHARE: u64 = 4;

/// What an operator can set about clients, with the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections of one client at the same time; `421 4.7.0` beyond. 0: any number.
    pub connections_per_address: u32,
    /// Connections of one client that are served within a minute; `421 4.7.0` beyond. 0: any number.
    pub connections_per_minute: u32,
    /// Messages of one client within a minute; `450 4.7.0` at MAIL beyond. 0: any number.
    pub messages_per_minute: u32,
    /// Octets of messages of one client within a minute; `450 4.7.0` at MAIL beyond. 0: any number.
    pub octets_per_minute: u64,
    /// Recipients of one client that are accepted within a minute; `450 4.7.0` at RCPT beyond. 0: any number.
    pub recipients_per_minute: u32,
    /// Octets a second that a message must come in with, on average; slower: `421 4.4.2`. 0: any pace.
    pub min_rate: u32,
    /// Commands of one connection without a message being taken, accepted recipients and chunks aside; then `421 4.7.0`.
    /// 0: any number.
    pub commands_without_message: u32,
    /// How long one connection may last without a message being taken; then `421 4.4.2`. Zero: for ever.
    pub without_message: Duration,
    /// Of a hundred connections, those that are kept for clients in `exempt`.
    pub reserved_percent: usize,
    /// Octets that all message bodies on their way may take together; `452 4.3.1` beyond.
    pub body_memory: u64,
    /// How much longer each `5yz` reply after the third is held back. Zero: none is.
    pub tarpit: Duration,
    /// Clients that none of the above counts, `body_memory` aside.
    pub exempt: Vec<IpNet>,
}

impl Default for Limits {
    fn default() -> Self {
        // Loopback: a mail system of one's own in front has all the world's bounces to hand on.
        let exempt = vec![
            Ipv4Net::new_assert([127, 0, 0, 0].into(), 8).into(),
            Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
        ];
        Self {
            connections_per_address: 30,
            connections_per_minute: 300,
            messages_per_minute: 300,
            octets_per_minute: 64 * 1024 * 1024,
            recipients_per_minute: 1_000,
            min_rate: 500,
            commands_without_message: 200,
            without_message: Duration::from_secs(600),
            reserved_percent: 5,
            body_memory: 256 * 1024 * 1024,
            tarpit: Duration::from_secs(1),
            exempt,
        }
    }
}

impl Limits {
    /// Whether no limit counts what this address does.
    #[must_use]
    pub fn exempts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.exempt.iter().any(|network| network.contains(&address))
    }
}

/// Why a connection is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// [`Limits::connections_per_address`].
    Connections,
    /// [`Limits::connections_per_minute`].
    ConnectionRate,
}

impl Refusal {
    /// The word that metrics have for it.
    pub(in crate::smtp) const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "client_connections",
            Self::ConnectionRate => "client_rate",
        }
    }
}

/// What is counted over all connections of a service. It lasts as long as the service, whatever its limits become.
#[derive(Debug, Default)]
pub struct Counted {
    clients: Arc<Clients>,
    memory: Arc<BodyMemory>,
}

impl Counted {
    /// Octets of message bodies that are held now.
    #[must_use]
    pub fn body_memory(&self) -> u64 {
        self.memory.held()
    }

    /// A connection from `address` begins. Called at the start of its session, when the address is known; a program on
    /// the same machine has none, and is exempt.
    ///
    /// # Errors
    /// [`Refusal`] when the client has too many.
    pub fn admit(&self, address: Option<IpAddr>, limits: &Limits) -> Result<Client, Refusal> {
        let counted = address.filter(|address| !limits.exempts(*address));
        let guest = counted.map(|address| self.clients.admit(address, limits)).transpose()?;
        Ok(Client { guest, memory: Arc::clone(&self.memory) })
    }
}

/// The client of one connection; its place is free again when this is dropped. The default is one that nothing is
/// counted for.
#[derive(Debug, Default)]
pub struct Client {
    /// `None`: exempt.
    guest: Option<Guest>,
    memory: Arc<BodyMemory>,
}

impl Client {
    /// Whether the limits by client say nothing about this one.
    #[must_use]
    pub const fn is_exempt(&self) -> bool {
        self.guest.is_none()
    }

    /// Counts a message that begins; false when there were too many.
    #[must_use]
    pub fn may_send(&self, limits: &Limits) -> bool {
        self.guest.as_ref().is_none_or(|guest| guest.may_send(limits))
    }

    /// Whether a message of so many octets may come. One always may, however large, where none came this minute.
    #[must_use]
    pub fn may_bring(&self, octets: u64, limits: &Limits) -> bool {
        self.guest.as_ref().is_none_or(|guest| guest.may_bring(octets, limits))
    }

    /// Counts the octets of a message that came.
    pub fn brought(&self, octets: u64) {
        if let Some(guest) = &self.guest {
            guest.brought(octets);
        }
    }

    /// Counts a recipient; false when there were too many.
    #[must_use]
    pub fn may_name(&self, limits: &Limits) -> bool {
        self.guest.as_ref().is_none_or(|guest| guest.may_name(limits))
    }

    /// An account for one message body of at most `largest` octets, with nothing on it yet.
    #[must_use]
    pub fn body(&self, limits: &Limits, largest: usize) -> Reservation {
        let largest = largest as u64;
        let share = self.guest.as_ref().map(|guest| {
            // Less than one message would be none.
            (guest.body_memory(), (limits.body_memory / SHARE).max(largest))
        });
        Reservation::new(Arc::clone(&self.memory), limits.body_memory, share)
    }
}
