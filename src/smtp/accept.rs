//! What connections are accepted on: TCP and Unix sockets.

use std::future::Future;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::peer::PeerAddress;

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
