//! Accepts connections and runs a session on each, up to a limit, until told to stop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, debug, error, info, info_span, warn};

use super::accept::Accept;
use super::connection::{Connection, turn_away};
use super::proxy::{self, ProxyError, Source};
use super::session::replies;
use super::settings::{ListenerSettings, Settings};
use super::tls::TlsAcceptor;
use super::{Peer, PeerAddress, Sink};

/// Connections beyond the limit that are told so at the same time; more than these are closed without a word.
const MAX_TURNED_AWAY: usize = 64;

/// How long accepting pauses after it failed, at first and at most.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Longest that a PROXY header is waited for: a proxy sends it in its first packet.
const PROXY_HEADER: Duration = Duration::from_secs(10);

/// Connections since the process started.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// Serves one SMTP listener until `shutdown`, as [`Server::serve`] does.
///
/// # Errors
/// When the listener has no local address: it is no listening socket.
pub async fn serve<K: Sink>(
    listener: impl Accept,
    sink: Arc<K>,
    settings: Settings,
    shutdown: CancellationToken,
) -> io::Result<()> {
    Server::new(sink, settings, shutdown).serve(listener, ListenerSettings::default()).await
}

/// What all listeners of one service share: the sink, the settings and the connection limit.
#[derive(Debug)]
pub struct Server<K> {
    sink: Arc<K>,
    settings: Arc<Settings>,
    tls: Option<Arc<TlsAcceptor>>,
    shutdown: CancellationToken,
    places: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
}

impl<K: Sink> Server<K> {
    /// A service that ends when `shutdown` is cancelled.
    pub fn new(sink: Arc<K>, settings: Settings, shutdown: CancellationToken) -> Self {
        let places = settings.max_connections.min(Semaphore::MAX_PERMITS);
        Self {
            sink,
            settings: Arc::new(settings),
            tls: None,
            shutdown,
            places: Arc::new(Semaphore::new(places)),
            turned_away: Arc::new(Semaphore::new(MAX_TURNED_AWAY)),
        }
    }

    /// The same with STARTTLS.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<Arc<TlsAcceptor>>) -> Self {
        self.tls = tls;
        self
    }

    /// Accepts and serves connections until the shutdown. Then idle sessions are told `421`, messages that are being
    /// received or stored may finish within `shutdown_grace`, and it returns. A session that panics loses its
    /// connection and nothing else; a failing `accept` is logged and tried again.
    ///
    /// # Errors
    /// When the listener has no local address: it is no listening socket.
    pub async fn serve(&self, listener: impl Accept, settings: ListenerSettings) -> io::Result<()> {
        let (protocol, proxied) = (settings.protocol.as_str(), !settings.proxy_from.is_empty());
        info!(address = %listener.place()?, protocol, proxied, "accepting SMTP connections");
        let sessions = self.accept_all(&Arc::new(settings), || listener.accept()).await;
        drop(listener);
        self.wind_down(sessions).await;
        Ok(())
    }

    /// Runs a session on everything that `accept` gives, until the shutdown; the sessions that still run then.
    async fn accept_all<F, A, S>(&self, listener: &Arc<ListenerSettings>, mut accept: F) -> JoinSet<()>
    where
        F: FnMut() -> A,
        A: Future<Output = io::Result<(S, PeerAddress)>>,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
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
                        self.admit(&mut sessions, stream, address, listener);
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

    fn admit<S>(
        &self,
        sessions: &mut JoinSet<()>,
        stream: S,
        address: PeerAddress,
        listener: &Arc<ListenerSettings>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed) + 1;
        let span = if listener.proxy_from.is_empty() {
            info_span!("connection", connection, peer = %address, tls = Empty)
        } else {
            // The client is known when the PROXY header has been read.
            info_span!("connection", connection, peer = Empty, proxy = %address, tls = Empty)
        };
        if !listener.proxy_from.is_empty() && !listener.proxy_from.iter().any(|proxy| proxy.is(&address)) {
            warn!(parent: &span, "connection closed: it comes from no proxy that this listener takes (proxy_from)");
        } else if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            let session = self.session(stream, Peer { connection, address }, Arc::clone(listener));
            sessions.spawn(
                async move {
                    session.await;
                    drop(place);
                }
                .instrument(span),
            );
        } else if let Ok(place) = Arc::clone(&self.turned_away).try_acquire_owned() {
            warn!(parent: &span, limit = self.settings.max_connections, "too many SMTP connections");
            let limit = self.settings.write_timeout;
            sessions.spawn(
                async move {
                    let _place = place;
                    let _ = turn_away(stream, &replies::too_many_connections(), limit).await;
                }
                .instrument(span),
            );
        }
    }

    /// One connection, from its PROXY header where there has to be one, to its end.
    fn session<S>(
        &self,
        mut stream: S,
        mut peer: Peer,
        listener: Arc<ListenerSettings>,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sink, settings) = (Arc::clone(&self.sink), Arc::clone(&self.settings));
        let (tls, shutdown) = (self.tls.clone(), self.shutdown.clone());
        async move {
            if !listener.proxy_from.is_empty() {
                let limit = settings.idle_timeout.min(PROXY_HEADER);
                let source = tokio::select! {
                    source = proxy::read(&mut stream, limit) => source,
                    () = shutdown.cancelled() => return,
                };
                match source {
                    Ok(Source::Client(client)) => peer.address = client.into(),
                    Ok(Source::Itself) => {}
                    // A check of the proxy's that the port is open.
                    Err(ProxyError::NotBegun) => return debug!("closed before its PROXY header"),
                    Err(error) => return warn!(%error, "connection closed"),
                }
                Span::current().record("peer", display(&peer.address));
            }
            debug!("connected");
            let connection = Connection::new(stream, peer, sink, settings, shutdown).on(&listener, tls);
            match connection.run().await {
                Ok(ended) => debug!(?ended, "connection ended"),
                Err(error) => debug!(%error, "connection failed"),
            }
        }
    }

    async fn wind_down(&self, mut sessions: JoinSet<()>) {
        let all_ended = async {
            while let Some(ended) = sessions.join_next().await {
                log_panic(ended);
            }
        };
        if timeout(self.settings.shutdown_grace, all_ended).await.is_err() {
            warn!(sessions = sessions.len(), "SMTP sessions cut off: they did not end in time");
            sessions.abort_all();
        }
    }
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
    use tokio::net::{TcpListener, TcpStream};

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
        let settings = Arc::new(ListenerSettings::default());
        let accepting = server.accept_all(&settings, || {
            let fails = failures > 0;
            failures -= i32::from(fails);
            let listener = &listener;
            async move {
                if fails {
                    Err(io::Error::other("too many open files"))
                } else {
                    Accept::accept(listener).await
                }
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
