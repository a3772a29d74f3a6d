//! The SMTP service with a certificate, and what came in.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use dsnd::address::ForwardPath;
use dsnd::smtp::listener::Server;
use dsnd::smtp::settings::{ListenerSettings, Settings};
use dsnd::smtp::tls::{TlsAcceptor, TlsSettings, TlsVersion};
use dsnd::smtp::{Delivery, Envelope, Handle, RecipientVerdict, Sink};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, SupportedProtocolVersion};
use tokio_util::sync::CancellationToken;

use crate::common::{Agreed, Authority, Client, Pair, client_config};

/// Both versions.
pub(crate) const ANY: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];

/// Takes everything and remembers it.
#[derive(Default)]
pub(crate) struct Received(Mutex<Vec<(Envelope, Vec<u8>)>>);

impl Received {
    pub(crate) fn all(&self) -> Vec<(Envelope, Vec<u8>)> {
        self.0.lock().unwrap().clone()
    }
}

impl Sink for Received {
    fn check_recipient(&self, _: &ForwardPath) -> RecipientVerdict {
        RecipientVerdict::Accept
    }

    async fn deliver(&self, envelope: Envelope, message: Vec<u8>) -> Delivery {
        let mut all = self.0.lock().unwrap();
        all.push((envelope, message));
        Delivery::Committed { handle: Handle::of(&[0; 32]), duplicate: false }
    }
}

pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) authority: Authority,
    pub(crate) first: Pair,
    pub(crate) folder: TempDir,
    pub(crate) tls: Arc<TlsAcceptor>,
    pub(crate) received: Arc<Received>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) runtime: Runtime,
}

impl Service {
    pub(crate) fn start() -> Self {
        Self::with(Settings::default(), TlsVersion::V1_2, false)
    }

    pub(crate) fn with(settings: Settings, min_version: TlsVersion, require_tls: bool) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        let first = authority.issue();
        let (certificate, key): (PathBuf, PathBuf) = first.write(folder.path());
        let tls = Arc::new(TlsAcceptor::load(&TlsSettings { certificate, key, min_version }).unwrap());
        let (received, shutdown) = (Arc::new(Received::default()), CancellationToken::new());
        let server =
            Server::new(Arc::clone(&received), settings, shutdown.clone()).with_tls(Some(Arc::clone(&tls)));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            server.serve(listener, ListenerSettings { require_tls, ..ListenerSettings::default() }).await
        });
        Self { address, authority, first, folder, tls, received, shutdown, runtime }
    }

    pub(crate) fn config(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        client_config(&self.authority, versions)
    }

    /// A connection in the clear, EHLO said.
    pub(crate) fn plain(&self) -> Client {
        Client::connect(self.address).unwrap()
    }

    /// A connection after STARTTLS, with nothing said yet.
    pub(crate) fn secure(&self, versions: &[&'static SupportedProtocolVersion]) -> (Client, Agreed) {
        self.plain().starttls(&self.config(versions)).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
