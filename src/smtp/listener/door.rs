//! What stands between accepting a connection and serving it: counts, places, and what is said in the log once a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tracing::warn;

use crate::smtp::PeerAddress;
use crate::smtp::connection::turn_away;
use crate::smtp::limits::{Counted, Notice};
use crate::smtp::proxy::ProxyError;
use crate::smtp::reply::Reply;
use crate::smtp::settings::Settings;

/// Connections beyond the limit that are told so at the same time; more than these are closed without a word.
const MAX_TURNED_AWAY: usize = 64;

/// What all connections of a service pass.
#[derive(Debug, Default)]
pub(super) struct Door {
    pub(super) counted: Counted,
    pub(super) places: Places,
    /// Connections that are being told that they are not served.
    turned_away: Arc<AtomicUsize>,
    full: Notice,
    pub(super) busy: Notice,
    pub(super) refused: Notice,
    /// Connections from elsewhere than a proxy.
    pub(super) strangers: Notice,
    pub(super) headers: Headers,
}

impl Door {
    /// Says in the log, once a minute, that there is no place.
    pub(super) fn say_full(&self, settings: &Settings) {
        if let Some(times) = self.full.happened() {
            let (limit, for_strangers) = (settings.max_connections, settings.places_for_strangers());
            warn!(limit, for_strangers, times, "too many SMTP connections");
        }
    }

    /// To be taken for the time that a client is told that it is not served, if there is one.
    pub(super) fn place_to_turn_away(&self) -> Option<Place> {
        Place::take(&self.turned_away, MAX_TURNED_AWAY)
    }

    /// Tells a client why it is not served, if there is a place for that.
    pub(super) async fn turn_away<S>(&self, stream: S, reply: Reply, limit: Duration)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if let Some(place) = self.place_to_turn_away() {
            say_and_close(stream, reply, limit, place).await;
        }
    }
}

/// Connections that are served: all of them, and those whose clients are not exempt. Some places are kept for those who
/// are, so that strangers who hold connections open never shut out a mail system of one's own.
#[derive(Debug, Default)]
pub(super) struct Places {
    all: Arc<AtomicUsize>,
    strangers: Arc<AtomicUsize>,
}

impl Places {
    /// A place, if there is one; `known` is the client, where it is known already.
    pub(super) fn take(&self, settings: &Settings, known: Option<&PeerAddress>) -> Option<Seat> {
        let mut seat = Seat { _any: Place::take(&self.all, settings.max_connections)?, stranger: None };
        known.is_none_or(|client| self.seat(&mut seat, settings, client)).then_some(seat)
    }

    /// Whether the client, which is known now, may keep its place.
    pub(super) fn seat(&self, seat: &mut Seat, settings: &Settings, client: &PeerAddress) -> bool {
        let stranger = client.ip().is_some_and(|address| !settings.limits.exempts(address));
        if stranger && seat.stranger.is_none() {
            seat.stranger = Place::take(&self.strangers, settings.places_for_strangers());
            return seat.stranger.is_some();
        }
        true
    }
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Seat {
    _any: Place,
    stranger: Option<Place>,
}

/// PROXY headers that were not taken, each reason for itself.
#[derive(Debug, Default)]
pub(super) struct Headers {
    missing: Notice,
    malformed: Notice,
    too_long: Notice,
    cut_off: Notice,
    slow: Notice,
}

impl Headers {
    /// Where connections are counted that ended for this reason.
    pub(super) const fn notice(&self, error: &ProxyError) -> &Notice {
        match error {
            ProxyError::Missing => &self.missing,
            ProxyError::Malformed(_) => &self.malformed,
            ProxyError::TooLong(_) => &self.too_long,
            ProxyError::NotBegun | ProxyError::Ended | ProxyError::Io(_) => &self.cut_off,
            ProxyError::Slow(_) => &self.slow,
        }
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

/// Tells a client why it is not served, and gives its place free.
pub(super) async fn say_and_close<S>(stream: S, reply: Reply, limit: Duration, place: Place)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = turn_away(stream, &reply, limit).await;
    drop(place);
}
