//! Accepts connections and runs a session on each, up to a limit, until told to stop.

mod door;
mod places;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::field::{Empty, display};
use tracing::{Instrument, Span, debug, info, info_span, warn};

use door::{Door, say_and_close};
use places::Seat;

use super::accept::{self, Accept};
use super::connection::{Connection, Ended};
use super::proxy::{self, ProxyError, Source};
use super::reply::Reply;
use super::session::replies;
use super::settings::{ListenerSettings, Settings};
use super::tls::TlsAcceptor;
use super::{Peer, PeerAddress, Sink};
use crate::metrics;

/// Longest that a PROXY header is waited for: a proxy sends it in its first packet.
const PROXY_HEADER: Duration = Duration::from_secs(10);

/// Connections since the process started.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);

/// What all listeners of one service share: the sink, the settings and what is counted.
#[derive(Debug)]
pub struct Server<K> {
    service: ArcSwap<Service<K>>,
    door: Arc<Door>,
    shutdown: CancellationToken,
}

/// What a session begins with, and keeps to its end.
#[derive(Debug)]
struct Service<K> {
    sink: Arc<K>,
    settings: Arc<Settings>,
    tls: Option<Arc<TlsAcceptor>>,
}

impl<K: Sink> Server<K> {
    /// A service that ends when `shutdown` is cancelled.
    pub fn new(sink: Arc<K>, settings: Settings, shutdown: CancellationToken) -> Self {
        Self {
            service: ArcSwap::from_pointee(Service { sink, settings: Arc::new(settings), tls: None }),
            door: Arc::default(),
            shutdown,
        }
    }

    /// The same with STARTTLS.
    #[must_use]
    pub fn with_tls(self, tls: Option<Arc<TlsAcceptor>>) -> Self {
        let Service { sink, settings, .. } = &**self.service.load();
        let service = Service { sink: Arc::clone(sink), settings: Arc::clone(settings), tls };
        Self { service: ArcSwap::from_pointee(service), ..self }
    }

    /// Serves the connections that come from now on with another sink and other settings, and with the TLS that it
    /// has. Those that are there keep theirs, and count.
    pub fn replace(&self, sink: Arc<K>, settings: Settings) {
        let tls = self.service.load().tls.clone();
        self.service.store(Arc::new(Service { sink, settings: Arc::new(settings), tls }));
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
        let settings = Arc::new(settings);
        let grace = || self.service.load().settings.shutdown_grace;
        accept::serve(listener, "an SMTP connection", &self.shutdown, grace, |sessions, stream, address| {
            self.admit(sessions, stream, address, &settings);
        })
        .await;
        Ok(())
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
        let service = self.service.load_full();
        let connection = CONNECTIONS.fetch_add(1, Ordering::Relaxed) + 1;
        let proxied = !listener.proxy_from.is_empty();
        let span = if proxied {
            // The client is known when the PROXY header has been read.
            info_span!("connection", connection, peer = Empty, proxy = %address, tls = Empty)
        } else {
            info_span!("connection", connection, peer = %address, tls = Empty)
        };
        if proxied && !listener.proxy_from.iter().any(|proxy| proxy.is(&address)) {
            metrics::SMTP_REFUSED.increment(["not_a_proxy"]);
            if let Some(times) = self.door.strangers.happened() {
                let what = "connection closed: it comes from no proxy that this listener takes (proxy_from)";
                warn!(parent: &span, times, "{what}");
            }
            return;
        }
        // Who is behind a proxy will be seen when the PROXY header has been read.
        let known = (!proxied).then_some(&address);
        let place = self.door.places.take(&service.settings, known);
        if place.is_none() && proxied {
            metrics::SMTP_REFUSED.increment(["too_many"]);
            span.in_scope(|| self.door.say_full(&service.settings));
            return self.turn_away(sessions, &service, stream, replies::too_many_connections(), span);
        }
        if !service.sink.ready() {
            metrics::SMTP_REFUSED.increment(["busy"]);
            if let Some(times) = self.door.busy.happened() {
                warn!(parent: &span, times, "SMTP connections are asked to come back later");
            }
            return self.turn_away(sessions, &service, stream, replies::busy(), span);
        }
        let arrival = Arrival {
            stream,
            peer: Peer { connection, address },
            listener: Arc::clone(listener),
            service,
            door: Arc::clone(&self.door),
            shutdown: self.shutdown.clone(),
            place,
        };
        sessions.spawn(arrival.session().instrument(span));
    }

    fn turn_away<S>(
        &self,
        sessions: &mut JoinSet<()>,
        service: &Service<K>,
        stream: S,
        reply: Reply,
        span: Span,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some(place) = self.door.place_to_turn_away() {
            let limit = service.settings.write_timeout;
            sessions.spawn(say_and_close(stream, reply, limit, place).instrument(span));
        }
    }
}

/// A connection that is to be served, and all that its session needs.
struct Arrival<S, K> {
    stream: S,
    peer: Peer,
    listener: Arc<ListenerSettings>,
    service: Arc<Service<K>>,
    door: Arc<Door>,
    shutdown: CancellationToken,
    /// `None`: all were taken.
    place: Option<Seat>,
}

impl<S, K> Arrival<S, K>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    K: Sink,
{
    /// The connection, from its PROXY header where there has to be one, to its end.
    async fn session(mut self) {
        if !self.listener.proxy_from.is_empty() && !self.read_header().await {
            return;
        }
        let Self { stream, peer, listener, service, door, shutdown, place } = self;
        let settings = &service.settings;
        // Here and not where it was accepted: from here on the peer is who the client is. And before it has a place: one
        // client's attempts never take the places of the others.
        let client = match door.counted.admit(peer.address.ip(), &settings.limits) {
            Ok(client) => client,
            Err(refusal) => {
                drop(place);
                metrics::SMTP_REFUSED.increment([refusal.as_str()]);
                if let Some(times) = door.refused.happened() {
                    info!(?refusal, times, "too many SMTP connections from one address");
                }
                return door.turn_away(stream, replies::refused(refusal), settings.write_timeout).await;
            }
        };
        let Some(seat) = door.seat(place, settings, &peer.address) else {
            drop(client);
            metrics::SMTP_REFUSED.increment(["too_many"]);
            door.say_full(settings);
            return door.turn_away(stream, replies::too_many_connections(), settings.write_timeout).await;
        };
        debug!("connected");
        metrics::SMTP_ACCEPTED.increment([]);
        let _served = metrics::SMTP_CONNECTIONS.hold([]);
        let chair = door.places.keep(peer.connection, seat);
        let connection =
            Connection::new(stream, peer, Arc::clone(&service.sink), Arc::clone(settings), shutdown)
                .of(client)
                .on(&listener, service.tls.clone())
                .showing(Arc::clone(&chair.presence));
        drop((service, listener));
        let ended = tokio::select! {
            ended = connection.run() => ended,
            () = door.farewell(&chair.presence) => Ok(Ended::GaveWay),
        };
        match ended {
            Ok(ended) => {
                metrics::SMTP_ENDED.increment([ended.as_str()]);
                debug!(?ended, "connection ended");
            }
            Err(error) => {
                metrics::SMTP_ENDED.increment(["failed"]);
                debug!(%error, "connection failed");
            }
        }
    }

    /// Reads the PROXY header, after which the peer is the client; false where the connection ends with that.
    async fn read_header(&mut self) -> bool {
        let limit = self.service.settings.idle_timeout.min(PROXY_HEADER);
        let source = tokio::select! {
            source = proxy::read(&mut self.stream, limit) => source,
            () = self.shutdown.cancelled() => return false,
        };
        match source {
            Ok(Source::Client(client)) => self.peer.address = client.into(),
            Ok(Source::Itself) => {}
            Err(ProxyError::NotBegun) => {
                // A check of the proxy's that the port is open.
                debug!("closed before its PROXY header");
                return false;
            }
            Err(error) => {
                metrics::SMTP_REFUSED.increment(["proxy_header"]);
                if let Some(times) = self.door.headers.notice(&error).happened() {
                    warn!(%error, times, "connection closed");
                }
                return false;
            }
        }
        Span::current().record("peer", display(&self.peer.address));
        true
    }
}
