//! What keeps strangers from filling the disk: quotas for mail that nothing proves, and room that is left free.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::IpNet;
use jiff::Timestamp;

use crate::policy::day_of;

/// Networks that are counted a day. Those that come later are counted in all alone.
const MAX_NETWORKS: usize = 65_536;

/// Messages of one network, and their octets, that are read a UTC day though a quota is used up, and turn out to prove
/// nothing. A complaint comes to an address that proves nothing, and what is in it does (RFC 5965 §3.2).
const TRIES: Used = Used { octets: 64 << 20, rows: 2_000 };

/// How much mail that nothing proves is taken a UTC day: octets as they are stored, and rows, one a message and one a
/// recipient. 0: any number. Beyond, `450 4.7.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Octets of one client network: an IPv4 /24, or an IPv6 /48.
    pub network_octets: u64,
    /// Rows of one client network.
    pub network_rows: u64,
    /// Octets that come to one of our domains.
    pub domain_octets: u64,
    /// Rows that come to one of our domains.
    pub domain_rows: u64,
    /// Octets in all.
    pub octets: u64,
    /// Rows in all.
    pub rows: u64,
    /// Octets of raw messages that nothing proves and that are kept, whatever the day; the oldest go first.
    pub raw_octets: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            network_octets: 256 * MIB,
            network_rows: 100_000,
            domain_octets: 2_048 * MIB,
            domain_rows: 500_000,
            octets: 4_096 * MIB,
            rows: 1_000_000,
            raw_octets: 2_048 * MIB,
        }
    }
}

/// Octets of free disk. Of a small disk these are 5 and 1 percent at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve {
    /// With less, `452 4.3.1` to return paths that prove nothing.
    pub unproven: u64,
    /// With less, `452 4.3.1` to all.
    pub all: u64,
}

impl Default for Reserve {
    fn default() -> Self {
        Self { unproven: 1 << 30, all: 256 << 20 }
    }
}

impl Reserve {
    /// The reserve on a disk of so many octets.
    #[must_use]
    pub fn on(self, disk: u64) -> Self {
        Self { unproven: self.unproven.min(disk / 20), all: self.all.min(disk / 100) }
    }
}

/// The room that there was when it was measured last, and what of it is reserved.
#[derive(Debug)]
pub struct Room {
    free: AtomicU64,
    unproven: AtomicU64,
    all: AtomicU64,
}

impl Default for Room {
    /// Room for everything.
    fn default() -> Self {
        Self { free: u64::MAX.into(), unproven: 0.into(), all: 0.into() }
    }
}

impl Room {
    /// Notes what was measured: octets that are free, and those that are to stay free.
    pub fn measured(&self, free: u64, reserve: Reserve) {
        self.unproven.store(reserve.unproven, Ordering::Relaxed);
        self.all.store(reserve.all, Ordering::Relaxed);
        self.free.store(free, Ordering::Relaxed);
    }

    /// Whether there is room for what nothing proves.
    #[must_use]
    pub fn for_unproven(&self) -> bool {
        self.for_all() && self.free.load(Ordering::Relaxed) >= self.unproven.load(Ordering::Relaxed)
    }

    /// Whether there is room at all.
    #[must_use]
    pub fn for_all(&self) -> bool {
        self.free.load(Ordering::Relaxed) >= self.all.load(Ordering::Relaxed)
    }
}

/// Where mail that nothing proves comes from and goes to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    /// `None`: a client that is not counted.
    pub(super) client: Option<IpAddr>,
    pub(super) domain: &'a str,
}

/// What was taken today of what nothing proves. It begins anew with the process.
#[derive(Debug, Default)]
pub(super) struct Taken(Mutex<Day>);

#[derive(Debug, Default)]
struct Day {
    number: i64,
    all: Used,
    networks: HashMap<IpNet, Used>,
    /// What was read in vain ([`TRIES`]).
    tries: HashMap<IpNet, Used>,
    /// Our own domains: as many as the configuration has.
    domains: HashMap<String, Used>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Used {
    octets: u64,
    rows: u64,
}

impl Used {
    const fn reaches(self, octets: u64, rows: u64) -> bool {
        (octets != 0 && self.octets >= octets) || (rows != 0 && self.rows >= rows)
    }

    const fn add(&mut self, octets: u64, rows: u64) {
        self.octets = self.octets.saturating_add(octets);
        self.rows = self.rows.saturating_add(rows);
    }
}

impl Taken {
    fn day(&self, now: Timestamp) -> MutexGuard<'_, Day> {
        // Nothing that holds the lock leaves a day half-counted.
        let mut day = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = day_of(now);
        if day.number != number {
            *day = Day { number, ..Day::default() };
        }
        day
    }

    /// Whether a message may be read though a quota is used up: what is in it may be proven.
    pub(super) fn may_try(&self, way: Way<'_>, now: Timestamp) -> bool {
        let Some(network) = way.client.map(network_of) else { return true };
        let day = self.day(now);
        let full = day.tries.len() >= MAX_NETWORKS;
        day.tries.get(&network).map_or(!full, |used| !used.reaches(TRIES.octets, TRIES.rows))
    }

    /// Counts a message that was read in vain.
    pub(super) fn tried(&self, way: Way<'_>, octets: u64, now: Timestamp) {
        if let Some(network) = way.client.map(network_of) {
            self.day(now).tries.entry(network).or_default().add(octets, 1);
        }
    }

    /// The quota that is used up, in the word that metrics have for it.
    pub(super) fn used_up(&self, quotas: &Quotas, way: Way<'_>, now: Timestamp) -> Option<&'static str> {
        let day = self.day(now);
        let network = way.client.and_then(|client| day.networks.get(&network_of(client)));
        if day.all.reaches(quotas.octets, quotas.rows) {
            Some("all")
        } else if network.is_some_and(|used| used.reaches(quotas.network_octets, quotas.network_rows)) {
            Some("network")
        } else {
            let domain = day.domains.get(way.domain);
            domain
                .is_some_and(|used| used.reaches(quotas.domain_octets, quotas.domain_rows))
                .then_some("domain")
        }
    }

    /// Counts a message that came.
    pub(super) fn count(&self, way: Way<'_>, octets: u64, rows: u64, now: Timestamp) {
        let mut day = self.day(now);
        day.all.add(octets, rows);
        day.domains.entry(way.domain.to_owned()).or_default().add(octets, rows);
        if let Some(network) = way.client.map(network_of)
            && (day.networks.len() < MAX_NETWORKS || day.networks.contains_key(&network))
        {
            day.networks.entry(network).or_default().add(octets, rows);
        }
    }
}

/// What one customer of a provider may have at most: an IPv4 /24, or an IPv6 /48.
fn network_of(client: IpAddr) -> IpNet {
    let (address, length) = match client.to_canonical() {
        IpAddr::V4(address) => (IpAddr::from(Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << 8))), 24),
        IpAddr::V6(address) => (Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 80)).into(), 48),
    };
    IpNet::new_assert(address, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Taken {
        fn may_come(&self, quotas: &Quotas, way: Way<'_>, now: Timestamp) -> bool {
            self.used_up(quotas, way, now).is_none()
        }
    }

    const NONE: Quotas = Quotas {
        network_octets: 0,
        network_rows: 0,
        domain_octets: 0,
        domain_rows: 0,
        octets: 0,
        rows: 0,
        raw_octets: 0,
    };

    fn way(client: &str) -> Way<'_> {
        Way { client: client.parse().ok(), domain: "bounces.example.com" }
    }

    fn day(number: i64) -> Timestamp {
        Timestamp::from_second(number * 86_400 + 7).unwrap()
    }

    #[test]
    fn a_network_that_had_its_quota_waits_for_the_next_day_and_others_do_not() {
        for (quotas, octets, rows) in
            [(Quotas { network_octets: 100, ..NONE }, 60, 0), (Quotas { network_rows: 100, ..NONE }, 0, 60)]
        {
            let taken = Taken::default();
            for client in ["192.0.2.1", "192.0.2.200", "2001:db8::1", "2001:db8:0:ffff::1"] {
                assert!(taken.may_come(&quotas, way(client), day(1)), "{client}");
                taken.count(way(client), octets, rows, day(1));
            }
            for (client, may) in [
                ("192.0.2.77", false),
                ("::ffff:192.0.2.77", false),
                ("192.0.3.1", true),
                ("2001:db8:0:7::7", false),
                ("2001:db8:1::1", true),
                ("a program on this machine", true),
            ] {
                assert_eq!(taken.may_come(&quotas, way(client), day(1)), may, "{client}");
            }
            assert!(taken.may_come(&quotas, way("192.0.2.77"), day(2)));
        }
    }

    #[test]
    fn each_network_is_read_in_vain_so_often_a_day() {
        for (octets, times) in [(1, 2_000), (1 << 20, 64)] {
            let taken = Taken::default();
            for number in 0..times {
                assert!(taken.may_try(way("192.0.2.1"), day(1)), "{number}");
                taken.tried(way("192.0.2.200"), octets, day(1));
            }
            assert!(!taken.may_try(way("192.0.2.1"), day(1)));
            assert!(taken.may_try(way("192.0.3.1"), day(1)) && taken.may_try(way("192.0.2.1"), day(2)));
        }
        let taken = Taken::default();
        (0..5_000).for_each(|_| taken.tried(Way { client: None, ..way("") }, 1 << 20, day(1)));
        assert!(taken.may_try(Way { client: None, ..way("") }, day(1)), "who is exempt is not counted");
    }

    #[test]
    fn a_domain_and_all_together_have_quotas_whoever_sends() {
        let (first, second) = (way("192.0.2.1"), Way { domain: "other.example.com", ..way("198.51.100.1") });
        for (quotas, other_may) in
            [(Quotas { domain_rows: 5, ..NONE }, true), (Quotas { rows: 5, ..NONE }, false)]
        {
            let taken = Taken::default();
            taken.count(first, 1, 5, day(1));
            assert!(!taken.may_come(&quotas, Way { client: None, ..first }, day(1)));
            assert_eq!(taken.may_come(&quotas, second, day(1)), other_may);
        }
        let taken = Taken::default();
        taken.count(first, u64::MAX, u64::MAX, day(1));
        taken.count(first, 1, 1, day(1));
        assert!(taken.may_come(&NONE, first, day(1)), "0 is no quota");
    }

    #[test]
    fn what_nothing_proves_is_put_off_first_and_a_small_disk_has_a_small_reserve() {
        let room = Room::default();
        assert!(room.for_all() && room.for_unproven());
        let reserve = Reserve { unproven: 1_000, all: 100 };
        for (free, all, unproven) in
            [(1_000, true, true), (999, true, false), (100, true, false), (99, false, false)]
        {
            room.measured(free, reserve);
            assert_eq!((room.for_all(), room.for_unproven()), (all, unproven), "{free}");
        }
        assert_eq!(Reserve::default().on(2_000_000), Reserve { unproven: 100_000, all: 20_000 });
        assert_eq!(Reserve::default().on(u64::MAX), Reserve::default());
    }
}
