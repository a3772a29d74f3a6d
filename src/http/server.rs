//! Accepts connections and answers their requests, up to a limit, until told to stop.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::auth::Via;
use super::places::{Busy, Place, Places};
use super::state::Api;
use crate::smtp::PeerAddress;
use crate::smtp::accept::{self, Accept};
use crate::smtp::limits::Notice;

/// Octets of a request's header, and of what is read ahead of a connection.
const MAX_HEADER: usize = 32 * 1024;

/// Connections beyond the limit: health is answered there, and everything else is refused.
const SPARE: usize = 32;

/// How long the header of a request may take there.
const SPARE_HEAD: Duration = Duration::from_secs(2);

/// The HTTP service: its router, and the connections it has.
#[derive(Debug)]
pub struct Server {
    api: Api,
    shutdown: CancellationToken,
    /// The usual connections. Their number needs a restart to change.
    usual: Room,
    /// Those beyond.
    spare: Room,
    full: Notice,
}

/// Connections that are answered alike.
#[derive(Debug)]
struct Room {
    places: Places,
    router: Router,
}

impl Server {
    /// A service that ends when `shutdown` is cancelled.
    #[must_use]
    pub fn new(api: Api, shutdown: CancellationToken) -> Self {
        let limit = api.current().settings.max_connections;
        let usual = Room { places: Places::new(limit), router: super::router(api.clone()) };
        let spare = Room { places: Places::new(SPARE), router: super::spare_router(api.clone()) };
        Self { api, shutdown, usual, spare, full: Notice::default() }
    }

    /// What its handlers reach.
    #[must_use]
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// Accepts and serves connections until the shutdown. Then requests that are being answered may finish within
    /// `shutdown_grace`, and it returns.
    ///
    /// # Errors
    /// When the listener has no local address: it is no listening socket.
    pub async fn serve(&self, listener: impl Accept) -> io::Result<()> {
        info!(address = %listener.place()?, "accepting HTTP connections");
        let grace = || self.api.current().settings.shutdown_grace;
        accept::serve(listener, "an HTTP connection", &self.shutdown, grace, |connections, stream, peer| {
            debug!(%peer, "HTTP connection");
            let via = if matches!(peer, PeerAddress::Unix(_)) { Via::Unix } else { Via::Tcp };
            self.admit(connections, stream, via);
        })
        .await;
        Ok(())
    }

    fn admit<S>(&self, connections: &mut JoinSet<()>, stream: S, via: Via)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let settings = &self.api.current().settings;
        let mut how = How {
            via,
            head: settings.idle_timeout,
            write: settings.write_timeout,
            keep_alive: true,
            shutdown: self.shutdown.clone(),
        };
        if let Some(place) = self.usual.places.take() {
            connections.spawn(connection(stream, self.usual.router.clone(), place, how));
            return;
        }
        if let Some(times) = self.full.happened() {
            warn!(times, "too many HTTP requests at once (http.max_connections); more are refused");
        }
        if let Some(place) = self.spare.places.take() {
            (how.head, how.keep_alive) = (SPARE_HEAD, false);
            connections.spawn(connection(stream, self.spare.router.clone(), place, how));
        }
    }
}

/// How a connection is served.
struct How {
    via: Via,
    /// The time for a header, and between two requests.
    head: Duration,
    /// The time in which a client takes what is sent.
    write: Duration,
    keep_alive: bool,
    shutdown: CancellationToken,
}

/// One connection to its end.
async fn connection<S>(stream: S, router: Router, place: Arc<Place>, how: How)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(how.write));
    let stream = TokioIo::new(Box::pin(stream));
    let router = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        let busy = place.busy();
        request.extensions_mut().insert(how.via);
        let answer = router.call(request);
        async move { Ok::<_, Infallible>(answer.await?.map(|body| Answering { body, _busy: busy })) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(how.head)
        .keep_alive(how.keep_alive)
        .max_buf_size(MAX_HEADER)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = place.is_lost() => {
            debug!("an HTTP connection without a request gives way to a new one");
            return;
        }
        () = how.shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    match ended {
        Ok(()) => debug!("HTTP connection ended"),
        // A client that left, was too slow, or does not speak HTTP.
        Err(error) => debug!(%error, "HTTP connection failed"),
    }
}

/// A body; while it is sent, its connection keeps its place.
struct Answering {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
