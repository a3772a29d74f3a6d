//! Accepts connections and runs a session on each, up to a limit, until told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug, error, info, info_span, warn};

use super::connection::{Connection, turn_away};
use super::limits::{Counted, Notice};
use super::reply::Reply;
use super::session::replies;
use super::settings::Settings;
use super::{Peer, Sink};

/// Connections beyond the limit that are told so at the same time; more than these are closed without a word.
const MAX_TURNED_AWAY: usize = 64;

/// How long accepting pauses after it failed, at first and at most.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Connections since the process started.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// Serves one listener until `shutdown`, as [`Server::serve`] does.
///
/// # Errors
/// When the listener has no local address: it is no listening socket.
pub async fn serve<K: Sink>(
    listener: TcpListener,
    sink: Arc<K>,
    settings: Settings,
    shutdown: CancellationToken,
) -> io::Result<()> {
    Server::new(sink, settings, shutdown).serve(listener).await
}

/// What all listeners of one service share: the sink, the settings and what is counted.
#[derive(Debug)]
pub struct Server<K> {
    service: ArcSwap<Service<K>>,
    door: Arc<Door>,
    shutdown: CancellationToken,
    /// Connections that are served.
    places: Arc<AtomicUsize>,
}

/// What a session begins with, and keeps to its end.
#[derive(Debug)]
struct Service<K> {
    sink: Arc<K>,
    settings: Arc<Settings>,
}

impl<K: Sink> Server<K> {
    /// A service that ends when `shutdown` is cancelled.
    pub fn new(sink: Arc<K>, settings: Settings, shutdown: CancellationToken) -> Self {
        Self {
            service: ArcSwap::from_pointee(Service { sink, settings: Arc::new(settings) }),
            door: Arc::default(),
            shutdown,
            places: Arc::default(),
        }
    }

    /// Serves the connections that come from now on with another sink and other settings. Those that are there keep
    /// theirs, and count.
    pub fn replace(&self, sink: Arc<K>, settings: Settings) {
        self.service.store(Arc::new(Service { sink, settings: Arc::new(settings) }));
    }

    /// Accepts and serves connections until the shutdown. Then idle sessions are told `421`, messages that are being
    /// received or stored may finish within `shutdown_grace`, and it returns. A session that panics loses its
    /// connection and nothing else; a failing `accept` is logged and tried again.
    ///
    /// # Errors
    /// When the listener has no local address: it is no listening socket.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        info!(address = %listener.local_addr()?, "accepting SMTP connections");
        let sessions = self.accept_all(|| listener.accept()).await;
        drop(listener);
        self.wind_down(sessions).await;
        Ok(())
    }

    /// Runs a session on everything that `accept` gives, until the shutdown; the sessions that still run then.
    async fn accept_all<F, A>(&self, mut accept: F) -> JoinSet<()>
    where
        F: FnMut() -> A,
        A: Future<Output = io::Result<(TcpStream, SocketAddr)>>,
    {
        let mut sessions = JoinSet::new();
        let mut pause = PAUSE;
        loop {
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return sessions,
                Some(ended) = sessions.join_next() => log_panic(ended),
                accepted = accept() => match accepted {
                    Ok((stream, address)) => {
                        pause = PAUSE;
                        self.admit(&mut sessions, stream, address);
                    }
                    Err(error) => {
                        // Out of file descriptors, or the client left while it queued: neither ends the service.
                        warn!(%error, ?pause, "cannot accept an SMTP connection");
                        let _ = timeout(pause, self.shutdown.cancelled()).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                },
            }
        }
    }

    fn admit(&self, sessions: &mut JoinSet<()>, stream: TcpStream, address: SocketAddr) {
        let service = self.service.load_full();
        let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed) + 1;
        let span = info_span!("connection", connection, peer = %address);
        let limit = service.settings.max_connections;
        let Some(place) = Place::take(&self.places, limit) else {
            if let Some(times) = self.door.full.happened() {
                warn!(parent: &span, limit, times, "too many SMTP connections");
            }
            return self.turn_away(sessions, &service, stream, replies::too_many_connections(), span);
        };
        if !service.sink.ready() {
            if let Some(times) = self.door.busy.happened() {
                warn!(parent: &span, times, "SMTP connections are asked to come back later");
            }
            return self.turn_away(sessions, &service, stream, replies::busy(), span);
        }
        let _ = stream.set_nodelay(true); // replies are written in batches already
        let peer = Peer { connection, address };
        let door = Arc::clone(&self.door);
        sessions.spawn(session(stream, peer, service, door, self.shutdown.clone(), place).instrument(span));
    }

    fn turn_away(
        &self,
        sessions: &mut JoinSet<()>,
        service: &Service<K>,
        stream: TcpStream,
        reply: Reply,
        span: Span,
    ) {
        if let Some(place) = Place::take(&self.door.turned_away, MAX_TURNED_AWAY) {
            let limit = service.settings.write_timeout;
            sessions.spawn(say_and_close(stream, reply, limit, place).instrument(span));
        }
    }

    async fn wind_down(&self, mut sessions: JoinSet<()>) {
        let all_ended = async {
            while let Some(ended) = sessions.join_next().await {
                log_panic(ended);
            }
        };
        let grace = self.service.load().settings.shutdown_grace;
        if timeout(grace, all_ended).await.is_err() {
            warn!(sessions = sessions.len(), "SMTP sessions cut off: they did not end in time");
            sessions.abort_all();
        }
    }
}

/// What stands between accepting a connection and serving it.
#[derive(Debug, Default)]
struct Door {
    counted: Counted,
    /// Connections that are being told that they are not served.
    turned_away: Arc<AtomicUsize>,
    full: Notice,
    busy: Notice,
    refused: Notice,
}

/// One of a bounded number of places; free again when dropped.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(taken: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
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

/// Serves a connection, unless its client has too many.
async fn session<K: Sink>(
    stream: TcpStream,
    peer: Peer,
    service: Arc<Service<K>>,
    door: Arc<Door>,
    shutdown: CancellationToken,
    place: Place,
) {
    let settings = &service.settings;
    // Here and not where it was accepted: from here on the peer is who the client is.
    let client = match door.counted.admit(peer.address.ip(), &settings.limits) {
        Ok(client) => client,
        Err(refusal) => {
            // One client's attempts never take the places of the others.
            drop(place);
            if let Some(times) = door.refused.happened() {
                info!(?refusal, times, "too many SMTP connections from one address");
            }
            if let Some(place) = Place::take(&door.turned_away, MAX_TURNED_AWAY) {
                say_and_close(stream, replies::refused(refusal), settings.write_timeout, place).await;
            }
            return;
        }
    };
    debug!("connected");
    let connection =
        Connection::new(stream, peer, Arc::clone(&service.sink), Arc::clone(settings), shutdown).of(client);
    drop(service);
    match connection.run().await {
        Ok(ended) => debug!(?ended, "connection ended"),
        Err(error) => debug!(%error, "connection failed"),
    }
    drop(place);
}

async fn say_and_close(stream: TcpStream, reply: Reply, limit: Duration, place: Place) {
    let _ = turn_away(stream, &reply, limit).await;
    drop(place);
}

/// A task that panicked has dropped its socket: the client was promised nothing.
fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "an SMTP session panicked");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::address::ForwardPath;
    use crate::smtp::{Delivery, Envelope, RecipientVerdict};

    struct Nothing;

    impl Sink for Nothing {
        fn check_recipient(&self, _: &ForwardPath) -> RecipientVerdict {
            RecipientVerdict::NotOurs
        }

        async fn deliver(&self, _: Envelope, _: Vec<u8>) -> Delivery {
            Delivery::TryLater
        }
    }

    #[tokio::test]
    async fn a_failing_accept_is_tried_again_with_pauses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let shutdown = CancellationToken::new();
        let server = Server::new(Arc::new(Nothing), Settings::default(), shutdown.clone());
        let mut failures = 3;
        let started = std::time::Instant::now();
        let accepting = server.accept_all(|| {
            let fails = failures > 0;
            failures -= i32::from(fails);
            let listener = &listener;
            async move {
                if fails { Err(io::Error::other("too many open files")) } else { listener.accept().await }
            }
        });
        let greeted = async {
            let mut greeting = [0; 4];
            client.read_exact(&mut greeting).await.unwrap();
            shutdown.cancel();
            greeting
        };
        let (sessions, greeting) = tokio::join!(accepting, greeted);
        assert_eq!((&greeting, sessions.len()), (b"220 ", 1));
        assert!(started.elapsed() >= PAUSE * 7, "50, 100 and 200 ms: {:?}", started.elapsed());
    }
}
