//! Connections of MTAs that ask: any number of requests on each, answered in their order.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{self, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span, warn};

use super::answer::{Answer, Question};
use super::netstring::{Malformed, decode, encode};
use super::settings::Settings;
use crate::metrics;
use crate::smtp::accept::{self, Accept};
use crate::smtp::limits::Notice;
use crate::store::Store;

/// Longest request in octets: the name of a map, a space and an address, with room to spare.
const MAX_REQUEST: usize = 4_096;

/// Octets that are read at once.
const BUFFER: usize = 4_096;

/// Answers that are kept back for one write.
const MAX_UNSENT: usize = 16 * 1024;

/// How long a connection may take to end when the daemon does: an answer is a matter of milliseconds.
const GRACE: Duration = Duration::from_secs(2);

/// The service, for all of its listeners.
#[derive(Debug)]
pub struct Server<S> {
    store: Arc<S>,
    settings: ArcSwap<Settings>,
    /// Connections that may begin. Their number needs a restart to change.
    places: Arc<Semaphore>,
    full: Notice,
    malformed: Notice,
    unavailable: Notice,
    shutdown: CancellationToken,
}

/// Why a connection ended.
#[derive(Debug)]
enum Ended {
    ClientLeft,
    Idle,
    ShutDown,
    Malformed(Malformed),
}

impl<S: Store> Server<S> {
    /// A service that ends when `shutdown` is cancelled.
    pub fn new(store: Arc<S>, settings: Settings, shutdown: CancellationToken) -> Self {
        Self {
            store,
            places: Arc::new(Semaphore::new(settings.max_connections)),
            settings: ArcSwap::from_pointee(settings),
            full: Notice::default(),
            malformed: Notice::default(),
            unavailable: Notice::default(),
            shutdown,
        }
    }

    /// Answers requests from now on by these.
    pub fn replace(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    /// Accepts and serves connections until the shutdown. A failing `accept` is logged and tried again.
    ///
    /// # Errors
    /// When the listener has no local address: it is no listening socket.
    pub async fn serve(self: Arc<Self>, listener: impl Accept) -> io::Result<()> {
        info!(address = %listener.place()?, "accepting lookups");
        let what = "a connection for lookups";
        accept::serve(
            listener,
            what,
            &self.shutdown,
            || GRACE,
            |connections, stream, peer| {
                self.admit(connections, stream, &peer);
            },
        )
        .await;
        Ok(())
    }

    fn admit<T>(self: &Arc<Self>, connections: &mut JoinSet<()>, stream: T, peer: &impl fmt::Display)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            // The MTA takes it for an error that passes, and tells its client to try again.
            if let Some(times) = self.full.happened() {
                warn!(%peer, times, "too many connections for lookups (lookup.max_connections)");
            }
            return;
        };
        let (server, held) = (Arc::clone(self), metrics::LOOKUP_CONNECTIONS.hold([]));
        let span = info_span!("lookups", %peer);
        let connection = async move {
            match server.connection(stream).await {
                Ok(Ended::Malformed(error)) => {
                    metrics::LOOKUPS.increment(["malformed"]);
                    if let Some(times) = server.malformed.happened() {
                        warn!(%error, times, "connection closed: what came is no request of the socketmap protocol");
                    }
                }
                Ok(ended) => debug!(?ended, "connection ended"),
                Err(error) => debug!(%error, "connection failed"),
            }
            drop((place, held));
        };
        connections.spawn(connection.instrument(span));
    }

    /// One connection to its end.
    async fn connection<T>(&self, mut stream: T) -> io::Result<Ended>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let mut input = Vec::new();
        let mut output = Vec::new();
        let mut deadline = None;
        loop {
            let mut taken = 0;
            let ended = loop {
                match decode(&input[taken..], MAX_REQUEST) {
                    Ok(None) => break None,
                    Err(malformed) => break Some(Ended::Malformed(malformed)),
                    Ok(Some((request, length))) => {
                        encode(self.answer(request).await.reply().as_bytes(), &mut output);
                        taken += length;
                        deadline = None;
                    }
                }
                if output.len() > MAX_UNSENT {
                    self.flush(&mut stream, &mut output).await?;
                }
            };
            input.drain(..taken);
            self.flush(&mut stream, &mut output).await?;
            if let Some(ended) = ended {
                return Ok(ended);
            }
            // One deadline for the whole request: octets that drip do not extend it.
            let idle_timeout = self.settings.load().idle_timeout;
            let deadline = *deadline.get_or_insert_with(|| time::Instant::now() + idle_timeout);
            input.reserve(BUFFER);
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Ok(Ended::ShutDown),
                read = timeout_at(deadline, stream.read_buf(&mut input)) => match read {
                    Ok(read) => if read? == 0 { return Ok(Ended::ClientLeft) },
                    Err(_) => return Ok(Ended::Idle),
                },
            }
        }
    }

    /// What a request is answered.
    async fn answer(&self, request: &[u8]) -> Answer {
        let began = Instant::now();
        let settings = self.settings.load_full();
        let asked = match Question::parse(request, &settings) {
            Ok(question) => question.ask(&*self.store, Timestamp::now()).await,
            Err(answer) => Ok(answer),
        };
        let answer = asked.unwrap_or_else(|error| {
            if let Some(times) = self.unavailable.happened() {
                warn!(%error, times, "an MTA that asked could not be told (lookup.on_error)");
            }
            Answer::Unavailable(settings.on_error)
        });
        metrics::LOOKUPS.increment([answer.as_str()]);
        metrics::LOOKUP_TIME.took([], began.elapsed());
        answer
    }

    async fn flush<T: AsyncWrite + Unpin>(&self, stream: &mut T, output: &mut Vec<u8>) -> io::Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        let written = async {
            stream.write_all(output).await?;
            stream.flush().await
        };
        let limit = self.settings.load().idle_timeout;
        let late = || io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answers");
        timeout(limit, written).await.unwrap_or_else(|_| Err(late()))?;
        output.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
