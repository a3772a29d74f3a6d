//! The daemon: wires everything together, runs it, and ends it without losing anything.

mod reload;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::classify::{Classifier, ClassifierError};
use crate::config::Config;
use crate::ingest::{Ingest, IngestSettings};
use crate::smtp::listener::Server;
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{Store, StoreError};
use reload::Running;

/// How often old raw messages are looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// Connections that the system keeps waiting until they are accepted.
const BACKLOG: i32 = 1_024;

/// Raw messages dropped in one transaction, so that the writer is never held for long.
const PRUNE_AT_ONCE: u32 = 200;

/// Why the daemon did not start, or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} (smtp.listen): {cause}{hint}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        cause: std::io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// The database.
    #[error("{0} (store.path)")]
    Store(#[from] StoreError),
    /// The embedded rules.
    #[error(transparent)]
    Rules(#[from] ClassifierError),
    /// Signals cannot be received, or a socket failed.
    #[error("{what}: {cause}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        cause: std::io::Error,
    },
    /// A second signal came while the first was being obeyed.
    #[error("stopped by a second signal; messages that were not answered yet come again")]
    Impatient,
}

/// Runs until SIGTERM or SIGINT, then ends: no new connections, messages on their way finish, the store closes. On
/// SIGHUP it reads its configuration again.
///
/// # Errors
/// [`AppError`] when it cannot start, or was stopped by a second signal.
pub async fn serve(config: Config) -> Result<(), AppError> {
    // First of all: who asks it to stop while it starts is heard as well.
    let mut signals = Signals::new()?;
    let mut hangup = signal(SignalKind::hangup()).map_err(Signals::failed)?;
    let classifier = Arc::new(Classifier::with_rules(&config.rules)?);
    let mut listeners = Vec::new();
    for address in &config.listen {
        listeners.push(bind(*address)?);
    }
    let store = Arc::new(open_store(&config).await?);
    describe(&config);

    let ingest = Arc::new(Ingest::new(Arc::clone(&store), classifier, ingest_settings(&config)));
    let shutdown = CancellationToken::new();
    let server = Arc::new(Server::new(Arc::clone(&ingest), config.smtp.clone(), shutdown.clone()));
    let mut services = JoinSet::new();
    for listener in listeners {
        let server = Arc::clone(&server);
        services.spawn(async move { server.serve(listener).await });
    }
    let config = Arc::new(ArcSwap::from_pointee(config));
    let pruning = tokio::spawn(prune(Arc::clone(&store), Arc::clone(&config), shutdown.clone()));

    let mut running = Running { config, store: Arc::clone(&store), ingest, server };
    let name = loop {
        tokio::select! {
            name = signals.next() => break name,
            _ = hangup.recv() => {
                info!("reading the configuration again");
                running.reload().await;
            }
        }
    };
    drop(running);
    info!(signal = name, "stopping: no new connections, messages on their way may finish");
    shutdown.cancel();
    let ending = async {
        while let Some(ended) = services.join_next().await {
            if let Ok(Err(cause)) = ended {
                error!(error = %cause, "an SMTP listener failed");
            }
        }
        let _ = pruning.await;
        match Arc::try_unwrap(store) {
            Ok(store) => store.close().await,
            // A session that outlived its grace still holds it; what it has not answered was never promised.
            Err(_) => warn!("the database is closed by the end of the process"),
        }
    };
    tokio::select! {
        () = ending => {
            info!("stopped");
            Ok(())
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
    SqliteStore::open(&store.path, Access::Serve, config.policy.clone(), store.busy_timeout).await
}

/// What the configuration says about taking bounces.
#[must_use]
pub fn ingest_settings(config: &Config) -> IngestSettings {
    IngestSettings {
        return_paths: config.return_paths.clone(),
        trust_unsigned: config.trust_unsigned,
        max_recipients: config.store.max_recipients,
        mask_addresses: config.log.mask_addresses,
        max_waiting: config.max_waiting,
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, AppError> {
    listen(address).map_err(|cause| {
        let hint = match cause.kind() {
            std::io::ErrorKind::PermissionDenied if address.port() < 1024 => {
                "; ports below 1024 need the right to bind them: `setcap cap_net_bind_service=+ep` on the program, \
                 or AmbientCapabilities=CAP_NET_BIND_SERVICE in its systemd unit"
            }
            std::io::ErrorKind::AddrInUse => "; another program has it, perhaps another dsnd or an MTA",
            _ => "",
        };
        AppError::Bind { address, cause, hint }
    })
}

/// A listening socket. An IPv6 one takes IPv6 alone, so that `0.0.0.0:25` and `[::]:25` can stand side by side.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
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
    let public = config.listen.iter().any(|address| !address.ip().is_loopback());
    if public && config.trust_unsigned {
        warn!("return_path.trust_unsigned = true: whoever reaches the port can have an address suppressed");
    }
}

/// Drops raw messages whose time is over.
async fn prune(store: Arc<SqliteStore>, config: Arc<ArcSwap<Config>>, shutdown: CancellationToken) {
    loop {
        let keep_days = config.load().store.raw_days;
        let kept = SignedDuration::from_hours(24 * i64::from(keep_days));
        if let Ok(before) = Timestamp::now().checked_sub(kept) {
            let mut total = 0;
            loop {
                match store.prune_raw(before, PRUNE_AT_ONCE).await {
                    Ok(pruned) => {
                        total += pruned;
                        if pruned < u64::from(PRUNE_AT_ONCE) || shutdown.is_cancelled() {
                            break;
                        }
                    }
                    Err(error) => {
                        warn!(%error, "old raw messages stay for now");
                        break;
                    }
                }
            }
            if total > 0 {
                info!(messages = total, keep_days, "dropped raw messages whose time is over");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PRUNE_EVERY) => {}
            () = shutdown.cancelled() => return,
        }
    }
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, AppError> {
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
