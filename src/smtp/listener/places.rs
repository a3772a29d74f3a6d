//! The places of connections: how many there are, who has one, and who gives way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::smtp::PeerAddress;
use crate::smtp::limits::presence::Presence;
use crate::smtp::settings::Settings;

/// Connections that are served: all of them, and those whose clients are not exempt. Some places are kept for those who
/// are, so that strangers who hold connections open never shut out a mail system of one's own.
#[derive(Debug, Default)]
pub(super) struct Places {
    all: Arc<AtomicUsize>,
    strangers: Arc<AtomicUsize>,
    /// Strangers that are served, by the number of the connection.
    seated: Mutex<HashMap<u64, (Arc<Presence>, Seat)>>,
}

impl Places {
    /// A place, if there is one; `known` is the client, where it is known already.
    pub(super) fn take(&self, settings: &Settings, known: Option<&PeerAddress>) -> Option<Seat> {
        let mut seat = Seat { _any: Place::take(&self.all, settings.max_connections)?, stranger: None };
        known.is_none_or(|client| self.seat(&mut seat, settings, client)).then_some(seat)
    }

    /// Whether the client, which is known now, may keep its place.
    pub(super) fn seat(&self, seat: &mut Seat, settings: &Settings, client: &PeerAddress) -> bool {
        if is_stranger(settings, client) && seat.stranger.is_none() {
            seat.stranger = Place::take(&self.strangers, settings.places_for_strangers());
            return seat.stranger.is_some();
        }
        true
    }

    /// The place of the stranger that gives way first, for `client`; that stranger is asked to leave.
    pub(super) fn make_room(&self, settings: &Settings, client: &PeerAddress) -> Option<Seat> {
        let mut seated = self.seated();
        let ranks = seated.iter().filter_map(|(number, (presence, _))| Some((presence.rank()?, *number)));
        let (_, number) = ranks.min()?;
        let (presence, mut seat) = seated.remove(&number)?;
        presence.ask_to_leave();
        if !is_stranger(settings, client) {
            seat.stranger = None;
        }
        Some(seat)
    }

    /// Keeps the place of a connection for as long as what is returned lives, unless it is asked to give way before.
    pub(super) fn keep(&self, number: u64, seat: Seat) -> Chair<'_> {
        let presence = Arc::new(Presence::default());
        let of_stranger = seat.stranger.is_some();
        let own = if of_stranger {
            self.seated().insert(number, (Arc::clone(&presence), seat));
            None
        } else {
            Some(seat)
        };
        Chair { places: self, number, presence, _own: own }
    }

    fn seated(&self) -> MutexGuard<'_, HashMap<u64, (Arc<Presence>, Seat)>> {
        // Nothing that holds the lock leaves the table half-changed.
        self.seated.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_stranger(settings: &Settings, client: &PeerAddress) -> bool {
    client.ip().is_some_and(|address| !settings.limits.exempts(address))
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Seat {
    _any: Place,
    stranger: Option<Place>,
}

/// A place that is kept while a connection is served.
#[derive(Debug)]
pub(super) struct Chair<'p> {
    places: &'p Places,
    number: u64,
    pub(super) presence: Arc<Presence>,
    /// That of a client that is exempt, and so gives way to nobody.
    _own: Option<Seat>,
}

impl Drop for Chair<'_> {
    fn drop(&mut self) {
        self.places.seated().remove(&self.number);
    }
}

/// One of a bounded number of places; free again when dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<AtomicUsize>);

impl Place {
    /// One more of `limit`, if there is one.
    pub(super) fn take(taken: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let one_more = |count| (count < limit).then_some(count + 1);
        taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Self(Arc::clone(taken)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
