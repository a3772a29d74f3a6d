//! The daemon: wires everything together, runs it, and ends it without losing anything.

mod background;
mod clock;
mod events;
mod files;
mod holds;
mod http;
mod lookup;
mod privacy;
mod reload;
mod room;
mod sockets;
mod systemd;
mod unproven;
mod watch;
mod work;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
pub use http::open_door;
pub use sockets::Passed;
use sockets::{Bound, Sockets};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::classify::{Classifier, ClassifierError};
use crate::config::{Config, Listener};
use crate::ingest::{Ingest, IngestSettings};
use crate::metrics;
use crate::smtp::listener::Server;
use crate::smtp::tls::{LOOK_EVERY, TlsAcceptor, TlsError, TlsSettings};
use crate::store::StoreError;
use crate::store::sqlite::{Access, SqliteStore};
use reload::Running;
use work::Work;

/// The signal of a file size limit, on every system that dsnd is built for.
const SIGXFSZ: i32 = nix::libc::SIGXFSZ;

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({key}): {cause}{hint}")]
    Bind {
        /// Which, as the configuration writes it.
        address: String,
        /// The key that names it.
        key: &'static str,
        /// What the system says.
        cause: std::io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// The database.
    #[error("{0} (store.path)")]
    Store(#[from] StoreError),
    /// The HTTP API would be open to everybody.
    #[error("{0}")]
    OpenDoor(String),
    /// The certificate or its key.
    #[error("{cause} ({key})")]
    Tls {
        /// The configuration key.
        key: &'static str,
        /// What is wrong with it.
        cause: TlsError,
    },
    /// The embedded rules.
    #[error(transparent)]
    Rules(#[from] ClassifierError),
    /// What is counted.
    #[error(transparent)]
    Metrics(#[from] metrics::InstallError),
    /// Signals cannot be received, or a socket failed.
    #[error("{what}: {cause}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        cause: std::io::Error,
    },
    /// What has to run as long as dsnd does ended by itself.
    #[error("{what} ended while dsnd was running: {why}")]
    Ended {
        /// Which.
        what: &'static str,
        /// What is known of the reason.
        why: String,
    },
    /// A second signal came while the first was being obeyed.
    #[error("stopped by a second signal; messages that were not answered yet come again")]
    Impatient,
}

impl AppError {
    /// Whether the configuration has to change before a start can succeed. An address that this machine does not have may
    /// come with its network.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Bind { cause, .. } => cause.kind() != std::io::ErrorKind::AddrNotAvailable,
            Self::OpenDoor(_) | Self::Tls { .. } | Self::Rules(_) => true,
            _ => false,
        }
    }
}

/// Runs until SIGTERM or SIGINT, then ends: no new connections, messages on their way finish, the store closes. On
/// SIGHUP it reads its configuration again.
///
/// `passed` are the sockets that systemd gave to the process. It is told when dsnd is ready, and when it stops.
///
/// # Errors
/// [`AppError`] when it cannot start, was stopped by a second signal, or a listener or other work of its own ended by
/// itself: then it ends in good order, to be started again.
pub async fn serve(config: Config, passed: Passed) -> Result<(), AppError> {
    // First of all: who asks it to stop while it starts is heard as well.
    let mut signals = Signals::new()?;
    let mut hangup = signal(SignalKind::hangup()).map_err(Signals::failed)?;
    metrics::install()?;
    let classifier = Arc::new(Classifier::with_rules(&config.rules)?);
    let tls = config.tls.as_ref().map(load_certificate).transpose()?;
    let Sockets { listening, http, lookup, files } =
        Sockets::bind(&config.listeners, &config.http.listen, &config.lookup.listen, passed)?;
    let store = Arc::new(open_store(&config).await?);
    http::refuse_open_door(&config.http, &*store).await?;
    describe(&config);
    privacy::warn_of_addresses(&store, &config).await;
    files::warn_if_few(config.smtp.max_connections);

    // Before the first message: what comes of it is for a webhook that is new as well.
    events::enrol(&store, &config).await?;

    let shutdown = CancellationToken::new();
    let api = http::api(&store, Arc::clone(&classifier), &config, &shutdown);
    let ingest = Arc::new(Ingest::new(Arc::clone(&store), Arc::clone(&classifier), ingest_settings(&config)));
    let server =
        Server::new(Arc::clone(&ingest), config.smtp.clone(), shutdown.clone()).with_tls(tls.clone());
    let server = Arc::new(server);
    let mut work = Work::default();
    for (socket, settings) in listening {
        let server = Arc::clone(&server);
        work.begin("an SMTP listener", async move {
            match socket {
                Bound::Tcp(listener) => server.serve(listener, settings).await,
                Bound::Unix(listener) => server.serve(listener, settings).await,
            }
        });
    }
    let api = http::start(api, http, &mut work, &shutdown);
    let lookups = lookup::start(&store, &config, lookup, &mut work, &shutdown);
    if let Some(tls) = &tls {
        work.keep("the watch over the certificate", Arc::clone(tls).watch(LOOK_EVERY, shutdown.clone()));
    }
    let config = Arc::new(ArcSwap::from_pointee(config));
    work.keep("systemd's watchdog", systemd::watchdog(Arc::clone(&store), shutdown.clone()));
    work.keep("pruning", background::prune(Arc::clone(&store), Arc::clone(&config), shutdown.clone()));
    work.keep(
        "the watch over the disk",
        room::watch(Arc::clone(&store), Arc::clone(&config), ingest.room(), shutdown.clone()),
    );
    work.keep("the end of entries", background::expire(Arc::clone(&store), shutdown.clone()));
    work.keep("the look at holds", holds::tell(Arc::clone(&store), shutdown.clone()));
    work.keep("measuring", watch::watch(Arc::clone(&store), shutdown.clone()));
    work.keep(
        "the look at webhooks",
        events::measure(Arc::clone(&store), Arc::clone(&config), shutdown.clone()),
    );
    work.keep("pruning events", events::prune(Arc::clone(&store), Arc::clone(&config), shutdown.clone()));
    let webhooks = events::Webhooks::start(&store, &config.load(), &shutdown);
    systemd::ready();

    let mut running = Running {
        webhooks,
        config,
        store: Arc::clone(&store),
        classifier,
        ingest,
        server,
        api,
        lookups,
        tls,
    };
    let until = async {
        loop {
            tokio::select! {
                name = signals.next() => return Ok(name),
                failure = work.fails() => return Err(failure),
                _ = hangup.recv() => {}
            }
            info!("reading the configuration again");
            systemd::reloading();
            // Reading files may take as long as it likes: nothing that is read holds before all of it is.
            tokio::select! {
                name = signals.next() => return Ok(name),
                failure = work.fails() => return Err(failure),
                () = running.reload() => systemd::ready(),
            }
        }
    };
    let until = until.await;
    let webhooks = running.into_webhooks();
    match &until {
        Ok(signal) => info!(signal, "stopping: no new connections, messages on their way may finish"),
        Err(failure) => {
            error!(error = %failure, "stopping, to be started again; messages on their way may finish")
        }
    }
    systemd::stopping();
    // Before the sockets close: the next dsnd may make files of the same names while this one still finishes.
    drop(files);
    shutdown.cancel();
    let ending = async {
        webhooks.ended().await;
        work.end().await;
        match Arc::try_unwrap(store) {
            Ok(store) => store.close().await,
            // A session that outlived its grace still holds it; what it has not answered was never promised.
            Err(_) => warn!("the database is closed by the end of the process"),
        }
    };
    tokio::select! {
        () = ending => {
            info!("stopped");
            until.map(drop)
        }
        _ = signals.next() => Err(AppError::Impatient),
    }
}

/// Opens the store that bounces go into; creates it, or brings its schema up to date, where that is needed.
///
/// # Errors
/// [`StoreError`], naming the file and what is wrong with it.
pub async fn open_store(config: &Config) -> Result<SqliteStore, StoreError> {
    let store = &config.store;
    SqliteStore::open(&store.path, Access::Serve, config.store_settings(), store.busy_timeout).await
}

/// What the configuration says about taking bounces.
#[must_use]
pub fn ingest_settings(config: &Config) -> IngestSettings {
    IngestSettings {
        return_paths: config.return_paths.clone(),
        unsigned_trust: config.unsigned_trust.clone(),
        max_recipients: config.store.max_recipients,
        mask_addresses: config.log.mask_addresses,
        max_waiting: config.max_waiting,
        quotas: config.unproven,
        exempt: config.smtp.limits.exempt.clone(),
    }
}

fn load_certificate(settings: &TlsSettings) -> Result<Arc<TlsAcceptor>, AppError> {
    let loaded = TlsAcceptor::load(settings);
    loaded.map(Arc::new).map_err(|cause| AppError::Tls { key: cause.key(settings), cause })
}

/// What an operator wants to see once, at the start.
fn describe(config: &Config) {
    let file = config
        .file
        .as_ref()
        .map_or_else(|| "built-in defaults".to_owned(), |path| path.display().to_string());
    let store: PathBuf =
        std::path::absolute(&config.store.path).unwrap_or_else(|_| config.store.path.clone());
    let keys = config.return_paths.keys().all().iter().map(|key| key.id().to_string()).collect::<Vec<_>>();
    info!(version = env!("CARGO_PKG_VERSION"), config = file, store = %store.display(), domains = config.domains.join(","), keys = keys.join(","), "dsnd");
    warn_of_trust(config);
    unproven::warn_of_no_proof(config);
}

/// Says what whoever reaches the port can do, where that is more than bringing proven reports.
fn warn_of_trust(config: &Config) {
    let public = !config.listeners.iter().all(Listener::is_private);
    let trust = &config.unsigned_trust;
    if public && trust.covers_everybody() {
        warn!(
            "unsigned reports count (return_path.trust_unsigned): whoever reaches the port can have an address \
             suppressed"
        );
    } else if public && !trust.domains.is_empty() {
        let domains = trust.domains.join(",");
        warn!(
            domains,
            "unsigned reports count there (return_path.trust_unsigned_domains): whoever reaches the port can have \
             an address suppressed"
        );
    }
}

/// Makes a write beyond a file size limit fail, which SQLite takes for a full disk, instead of ending the process.
///
/// # Errors
/// When signals cannot be received.
pub fn outlive_file_size_limit() -> std::io::Result<()> {
    // Once asked for, a signal stays with the process, whether or not anybody listens.
    signal(SignalKind::from_raw(SIGXFSZ)).map(drop)
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, AppError> {
        outlive_file_size_limit().map_err(Self::failed)?;
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(Self::failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(Self::failed)?,
        })
    }

    fn failed(cause: std::io::Error) -> AppError {
        AppError::System { what: "cannot receive signals", cause }
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
