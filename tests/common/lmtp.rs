//! LMTP into a home's database.

use std::net::SocketAddr;
use std::sync::Arc;

use dsnd::app::{ingest_settings, open_store};
use dsnd::classify::Classifier;
use dsnd::config::Config;
use dsnd::ingest::Ingest;
use dsnd::smtp::listener::Server;
use dsnd::smtp::settings::{ListenerProtocol, ListenerSettings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Home, OUR_DOMAIN};

/// An LMTP listener over a home's database, in this process.
pub(crate) struct LmtpServer {
    address: SocketAddr,
    shutdown: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl LmtpServer {
    /// Starts it on any free port.
    pub(crate) fn start(home: &Home) -> Self {
        let text = format!(
            "[store]\npath = {:?}\n[return_path]\ndomains = [{OUR_DOMAIN:?}]\n",
            home.database().to_str().unwrap()
        );
        let config = Config::parse("test", &text, std::iter::empty()).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let store = Arc::new(open_store(&config).await.unwrap());
                let classifier = Arc::new(Classifier::with_rules(&config.rules).unwrap());
                let sink = Arc::new(Ingest::new(store, classifier, ingest_settings(&config)));
                let server = Server::new(sink, config.smtp.clone(), stop);
                let lmtp =
                    ListenerSettings { protocol: ListenerProtocol::Lmtp, ..ListenerSettings::default() };
                server.serve(TcpListener::from_std(listener).unwrap(), lmtp).await.unwrap();
            });
        });
        Self { address, shutdown, thread: Some(thread) }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for LmtpServer {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
