//! Accepts connections and answers their requests, up to a limit, until told to stop.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::state::Api;
use crate::smtp::accept::{self, Accept};
use crate::smtp::limits::Notice;

/// Octets of a request's header, and of what is read ahead of a connection.
const MAX_HEADER: usize = 32 * 1024;

/// Connections beyond the limit that are told so at the same time; more than these are closed without a word.
const MAX_TURNED_AWAY: usize = 32;

/// How long one that is turned away has for reading that.
const TELLING: Duration = Duration::from_secs(2);

/// What a connection beyond the limit is told.
const FULL: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 5\r\n",
    "Connection: close\r\nContent-Length: 130\r\n\r\n",
    r#"{"type":"urn:problem-type:dsnd:full","title":"Too many connections","status":503,"#,
    r#""detail":"too many connections; try again later"}"#,
);

/// The HTTP service: its router, and the connections it has.
#[derive(Debug)]
pub struct Server {
    api: Api,
    router: Router,
    shutdown: CancellationToken,
    /// Connections that may begin, and those that may be turned away. The first number needs a restart to change.
    places: Arc<Semaphore>,
    turned_away: Arc<Semaphore>,
    full: Notice,
}

impl Server {
    /// A service that ends when `shutdown` is cancelled.
    #[must_use]
    pub fn new(api: Api, shutdown: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(api.current().settings.max_connections));
        let turned_away = Arc::new(Semaphore::new(MAX_TURNED_AWAY));
        Self {
            router: super::router(api.clone()),
            api,
            shutdown,
            places,
            turned_away,
            full: Notice::default(),
        }
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
            self.admit(connections, stream);
        })
        .await;
        Ok(())
    }

    fn admit<S>(&self, connections: &mut JoinSet<()>, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            let settings = &self.api.current().settings;
            let limits = (settings.idle_timeout, settings.write_timeout);
            connections.spawn(connection(stream, self.router.clone(), limits, self.shutdown.clone(), place));
        } else if let Ok(place) = Arc::clone(&self.turned_away).try_acquire_owned() {
            if let Some(times) = self.full.happened() {
                warn!(times, "too many HTTP connections (http.max_connections)");
            }
            connections.spawn(turn_away(stream, place));
        }
    }
}

/// One connection to its end.
async fn connection<S>(
    stream: S,
    router: Router,
    (idle, write): (Duration, Duration),
    shutdown: CancellationToken,
    place: OwnedSemaphorePermit,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write));
    let stream = TokioIo::new(Box::pin(stream));
    // The time for a header runs between two requests as well.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(MAX_HEADER)
        .serve_connection(stream, TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    match ended {
        Ok(()) => debug!("HTTP connection ended"),
        // A client that left, was too slow, or does not speak HTTP.
        Err(error) => debug!(%error, "HTTP connection failed"),
    }
    drop(place);
}

async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, place: OwnedSemaphorePermit) {
    let told = async {
        let _ = stream.write_all(FULL.as_bytes()).await;
        let _ = stream.shutdown().await;
    };
    if timeout(TELLING, told).await.is_err() {
        debug!("an HTTP connection that was turned away did not read why");
    }
    drop(place);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_too_many_is_told_is_a_whole_response() {
        let (header, body) = FULL.split_once("\r\n\r\n").unwrap();
        let length = header.split("Content-Length: ").nth(1).unwrap().parse::<usize>().unwrap();
        assert_eq!(body.len(), length);
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(problem["status"], 503);
    }
}
