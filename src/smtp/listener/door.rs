//! What stands between accepting a connection and serving it: counts, places, and what is said in the log once a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::smtp::connection::turn_away;
use crate::smtp::limits::{Counted, Notice};
use crate::smtp::proxy::ProxyError;
use crate::smtp::reply::Reply;

/// What all connections of a service pass.
#[derive(Debug, Default)]
pub(super) struct Door {
    pub(super) counted: Counted,
    /// Connections that are being told that they are not served.
    pub(super) turned_away: Arc<AtomicUsize>,
    pub(super) full: Notice,
    pub(super) busy: Notice,
    pub(super) refused: Notice,
    /// Connections from elsewhere than a proxy.
    pub(super) strangers: Notice,
    pub(super) headers: Headers,
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
