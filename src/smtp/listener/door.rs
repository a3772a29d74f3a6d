//! What stands between accepting a connection and serving it: counts, places, and what is said in the log once a minute.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tracing::warn;

use super::places::{Place, Places, Seat};
use crate::smtp::PeerAddress;
use crate::smtp::connection::turn_away;
use crate::smtp::limits::presence::Presence;
use crate::smtp::limits::{Counted, Notice};
use crate::smtp::proxy::ProxyError;
use crate::smtp::reply::Reply;
use crate::smtp::settings::Settings;

/// Connections beyond the limit that are told so at the same time; more than these are closed without a word.
const MAX_TURNED_AWAY: usize = 64;

/// How long a connection that gives way has for its last reply.
const FAREWELL: Duration = Duration::from_secs(2);

/// What all connections of a service pass.
#[derive(Debug, Default)]
pub(super) struct Door {
    pub(super) counted: Counted,
    pub(super) places: Places,
    /// Connections that are being told that they are not served.
    turned_away: Arc<AtomicUsize>,
    full: Notice,
    gave_way: Notice,
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

    /// A place for a client: the one it has, if it may keep that, or that of a stranger who gives way.
    pub(super) fn seat(
        &self,
        place: Option<Seat>,
        settings: &Settings,
        client: &PeerAddress,
    ) -> Option<Seat> {
        let kept = place.and_then(|mut seat| self.places.seat(&mut seat, settings, client).then_some(seat));
        kept.or_else(|| {
            let seat = self.places.make_room(settings, client)?;
            if let Some(times) = self.gave_way.happened() {
                let limit = settings.max_connections;
                warn!(
                    limit,
                    times, "all places for SMTP connections are taken: idle ones give way to new ones"
                );
            }
            Some(seat)
        })
    }

    /// When a connection that was asked to give way has to be gone: after a moment, or at once where too many are told
    /// the same.
    pub(super) async fn farewell(&self, presence: &Presence) {
        presence.asked_to_leave().await;
        if let Some(_place) = self.place_to_turn_away() {
            tokio::time::sleep(FAREWELL).await;
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

/// Tells a client why it is not served, and gives its place free.
pub(super) async fn say_and_close<S>(stream: S, reply: Reply, limit: Duration, place: Place)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = turn_away(stream, &reply, limit).await;
    drop(place);
}
