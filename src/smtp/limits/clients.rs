//! Who has how many connections, and how many connections and messages each had this minute.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::memory::BodyMemory;
use super::{Limits, Refusal};

/// What rates are counted in. The windows are fixed: across the end of one a client may have twice its rate.
const WINDOW: Duration = Duration::from_secs(60);

/// Clients whose rates are counted in one window. One more takes the place of the one that was seen first, so that
/// everybody is counted, and memory does not grow with somebody who has more networks than these.
const MAX_RATES: usize = 65_536;

/// One client: an IPv4 address, or an IPv6 /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key(IpAddr);

impl Key {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
            address => address,
        })
    }
}

/// The clients of a service.
#[derive(Debug, Default)]
pub struct Clients(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// Only clients that are connected: as many as there are connections, at most.
    open: HashMap<Key, Open>,
    rates: HashMap<Key, Rate>,
    /// The keys of `rates` in the order in which they came.
    seen: VecDeque<Key>,
    /// When the window of `rates` ends.
    until: Option<Instant>,
}

#[derive(Debug, Default)]
struct Open {
    connections: u32,
    body_memory: Arc<BodyMemory>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Rate {
    connections: u32,
    messages: u32,
    recipients: u32,
    octets: u64,
}

impl Table {
    /// This minute's counts of a client.
    fn rate(&mut self, key: Key) -> &mut Rate {
        let now = Instant::now();
        if self.until.is_none_or(|until| until <= now) {
            self.until = now.checked_add(WINDOW);
            self.rates = HashMap::new(); // and its memory is free
            self.seen = VecDeque::new();
        }
        self.rates.entry(key).or_insert_with(|| {
            self.seen.push_back(key);
            Rate::default()
        });
        if self.rates.len() > MAX_RATES
            && let Some(first) = self.seen.pop_front()
        {
            self.rates.remove(&first);
        }
        self.rates.entry(key).or_default()
    }
}

/// Counts one more, and says whether that is allowed; a limit of 0 allows all.
fn count(so_far: &mut u32, limit: u32) -> bool {
    if limit != 0 && *so_far >= limit {
        return false;
    }
    *so_far = so_far.saturating_add(1);
    true
}

impl Clients {
    fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing that holds the lock leaves a table half-changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection begins.
    ///
    /// # Errors
    /// [`Refusal`] when the client has too many; that one does not count.
    pub fn admit(self: &Arc<Self>, address: IpAddr, limits: &Limits) -> Result<Guest, Refusal> {
        let key = Key::of(address);
        let mut table = self.table();
        let open = table.open.get(&key).map_or(0, |open| open.connections);
        if limits.connections_per_address != 0 && open >= limits.connections_per_address {
            return Err(Refusal::Connections);
        }
        if !count(&mut table.rate(key).connections, limits.connections_per_minute) {
            return Err(Refusal::ConnectionRate);
        }
        let open = table.open.entry(key).or_default();
        open.connections += 1;
        let body_memory = Arc::clone(&open.body_memory);
        drop(table);
        Ok(Guest { clients: Arc::clone(self), key, body_memory })
    }
}

/// One connection of a client that is counted, until it is dropped.
#[derive(Debug)]
pub struct Guest {
    clients: Arc<Clients>,
    key: Key,
    body_memory: Arc<BodyMemory>,
}

impl Guest {
    pub(super) fn may_send(&self, limits: &Limits) -> bool {
        let mut table = self.clients.table();
        count(&mut table.rate(self.key).messages, limits.messages_per_minute)
    }

    pub(super) fn may_bring(&self, octets: u64, limits: &Limits) -> bool {
        let so_far = self.clients.table().rate(self.key).octets;
        let limit = limits.octets_per_minute;
        limit == 0 || so_far == 0 || so_far.saturating_add(octets) <= limit
    }

    pub(super) fn brought(&self, octets: u64) {
        let mut table = self.clients.table();
        let rate = table.rate(self.key);
        rate.octets = rate.octets.saturating_add(octets);
    }

    pub(super) fn may_name(&self, limits: &Limits) -> bool {
        let mut table = self.clients.table();
        count(&mut table.rate(self.key).recipients, limits.recipients_per_minute)
    }

    pub(super) fn body_memory(&self) -> Arc<BodyMemory> {
        Arc::clone(&self.body_memory)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut table = self.clients.table();
        if let Some(open) = table.open.get_mut(&self.key) {
            open.connections -= 1;
            if open.connections == 0 {
                table.open.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_counted_by_ipv4_address_and_by_ipv6_64() {
        let clients = Arc::new(Clients::default());
        let limits = Limits { connections_per_address: 1, ..Limits::default() };
        for (first, same, other) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("198.51.100.1", "::ffff:198.51.100.1", "::ffff:198.51.100.2"),
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", "2001:db8:0:2::1"),
        ] {
            let guest = clients.admit(address(first), &limits).unwrap();
            assert_eq!(clients.admit(address(same), &limits).unwrap_err(), Refusal::Connections);
            drop(clients.admit(address(other), &limits).unwrap());
            drop(guest);
            drop(clients.admit(address(same), &limits).unwrap());
        }
        assert!(clients.table().open.is_empty(), "who is not connected is not remembered");
    }

    #[tokio::test(start_paused = true)]
    async fn rates_are_counted_a_minute_at_a_time_and_a_refusal_does_not_count() {
        let clients = Arc::new(Clients::default());
        let limits = Limits { connections_per_minute: 2, messages_per_minute: 3, ..Limits::default() };
        for _ in 0..3 {
            let guest = clients.admit(address("192.0.2.1"), &limits).unwrap();
            drop(clients.admit(address("192.0.2.1"), &limits).unwrap());
            for _ in 0..5 {
                let refused = clients.admit(address("192.0.2.1"), &limits).unwrap_err();
                assert_eq!(refused, Refusal::ConnectionRate);
            }
            drop(clients.admit(address("192.0.2.2"), &limits).unwrap());
            let sent: Vec<bool> = (0..4).map(|_| guest.may_send(&limits)).collect();
            assert_eq!(sent, [true, true, true, false]);
            tokio::time::advance(WINDOW).await;
        }
        let none = Limits { connections_per_minute: 0, messages_per_minute: 0, ..Limits::default() };
        for _ in 0..10 {
            assert!(clients.admit(address("192.0.2.1"), &none).unwrap().may_send(&none), "0 is no limit");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn octets_and_recipients_are_counted_a_minute_at_a_time() {
        let clients = Arc::new(Clients::default());
        let limits = Limits { octets_per_minute: 1_000, recipients_per_minute: 2, ..Limits::default() };
        let guest = clients.admit(address("192.0.2.1"), &limits).unwrap();
        for _ in 0..2 {
            assert!(guest.may_bring(5_000, &limits), "one message comes, however large");
            guest.brought(600);
            assert!(guest.may_bring(400, &limits) && !guest.may_bring(401, &limits));
            assert!(clients.admit(address("192.0.2.2"), &limits).unwrap().may_bring(1_000, &limits));
            let named: Vec<bool> = (0..3).map(|_| guest.may_name(&limits)).collect();
            assert_eq!(named, [true, true, false]);
            tokio::time::advance(WINDOW).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_with_a_network_of_networks_makes_no_table_grow() {
        let clients = Arc::new(Clients::default());
        let limits = Limits::default();
        for index in 0..2 * MAX_RATES as u128 {
            let bits = address("2001:db8::").to_canonical();
            let IpAddr::V6(bits) = bits else { panic!("IPv6") };
            let one = Ipv6Addr::from_bits(bits.to_bits() | (index << 64));
            drop(clients.admit(one.into(), &limits).unwrap());
        }
        assert_eq!(clients.table().rates.len(), MAX_RATES);
        assert_eq!(clients.table().seen.len(), MAX_RATES);
        assert!(clients.table().open.is_empty());
        // Who comes when the table is full is counted as everybody is.
        let few = Limits { connections_per_minute: 2, messages_per_minute: 1, ..limits };
        let late = address("198.51.100.7");
        let guest = clients.admit(late, &few).unwrap();
        assert!(guest.may_send(&few) && !guest.may_send(&few));
        drop(clients.admit(late, &few).unwrap());
        assert_eq!(clients.admit(late, &few).unwrap_err(), Refusal::ConnectionRate);
        assert_eq!(clients.table().rates.len(), MAX_RATES);
        tokio::time::advance(WINDOW).await;
        drop(clients.admit(address("192.0.2.1"), &few).unwrap());
        assert_eq!(clients.table().rates.len(), 1, "the next minute begins with nobody");
    }
}
