//! What connections are accepted on, TCP and Unix sockets, and how: until the service is told to stop.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::peer::PeerAddress;

/// How long accepting pauses after it failed, at first and at most.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A listening socket.
pub trait Accept: Send + Sync + 'static {
    /// What carries a connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection and where it comes from.
    ///
    /// # Errors
    /// What the system says; the next call may fare better.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, PeerAddress)>> + Send;

    /// Where it listens, as the log shows it: `0.0.0.0:25`, `unix:/run/dsnd/lmtp.sock`.
    ///
    /// # Errors
    /// When the socket has no local address: it is no listening socket.
    fn place(&self) -> io::Result<String>;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, PeerAddress)> {
        let (stream, address) = Self::accept(self).await?;
        let _ = stream.set_nodelay(true); // replies are written in batches already
        Ok((stream, address.into()))
    }

    fn place(&self) -> io::Result<String> {
        self.local_addr().map(|address| address.to_string())
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<(UnixStream, PeerAddress)> {
        let (stream, _) = Self::accept(self).await?;
        // Whoever connects has no name of its own; the system knows which user it is.
        let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
        Ok((stream, PeerAddress::Unix(uid)))
    }

    fn place(&self) -> io::Result<String> {
        let address = self.local_addr()?;
        Ok(address.as_pathname().map_or_else(|| "unix".to_owned(), |path| format!("unix:{}", path.display())))
    }
}

/// Gives every connection to `admit`, which may begin a task for it, until the shutdown. Then the socket closes, and the
/// tasks may end within `grace`; what is left is cut off. A failing `accept` is logged and tried again; a task that
/// panics loses its connection and nothing else. `what` is a connection, for the log: "an SMTP connection".
pub async fn serve<L: Accept>(
    listener: L,
    what: &'static str,
    shutdown: &CancellationToken,
    grace: impl Fn() -> Duration,
    mut admit: impl FnMut(&mut JoinSet<()>, L::Stream, PeerAddress),
) {
    let mut tasks = JoinSet::new();
    let mut pause = PAUSE;
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = tasks.join_next() => log_panic(ended, what),
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    pause = PAUSE;
                    admit(&mut tasks, stream, peer);
                }
                Err(error) => {
                    // Out of file descriptors, or the client left while it queued: neither ends the service.
                    warn!(%error, ?pause, "cannot accept {what}");
                    let _ = timeout(pause, shutdown.cancelled()).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            },
        }
    }
    drop(listener);
    let all_ended = async {
        while let Some(ended) = tasks.join_next().await {
            log_panic(ended, what);
        }
    };
    if timeout(grace(), all_ended).await.is_err() {
        warn!(connections = tasks.len(), "connections were cut off: {what} did not end in time");
        tasks.shutdown().await;
    }
}

/// A task that panicked has dropped its socket: the client was promised nothing.
fn log_panic(ended: Result<(), JoinError>, what: &str) {
    if let Err(error) = ended
        && error.is_panic()
    {
        error!(%error, "the task of {what} panicked");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Fails so often, and then gives one connection.
    struct Failing {
        listener: TcpListener,
        failures: AtomicU32,
    }

    impl Accept for Failing {
        type Stream = TcpStream;

        async fn accept(&self) -> io::Result<(TcpStream, PeerAddress)> {
            let one_less = |left: u32| left.checked_sub(1);
            match self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) {
                Ok(_) => Err(io::Error::other("too many open files")),
                Err(_) => Accept::accept(&self.listener).await,
            }
        }

        fn place(&self) -> io::Result<String> {
            self.listener.place()
        }
    }

    #[tokio::test]
    async fn a_failing_accept_is_tried_again_with_pauses() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let listener = Failing { listener, failures: AtomicU32::new(3) };
        let (shutdown, started) = (CancellationToken::new(), std::time::Instant::now());
        let mut accepted = 0;
        serve(
            listener,
            "a connection",
            &shutdown,
            || PAUSE,
            |_, _, _| {
                accepted += 1;
                shutdown.cancel();
            },
        )
        .await;
        assert_eq!(accepted, 1);
        assert!(started.elapsed() >= PAUSE * 7, "50, 100 and 200 ms: {:?}", started.elapsed());
    }
}
