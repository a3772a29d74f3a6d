//! The HTTP API within the daemon: its settings, its listeners, and that it is open to nobody by accident.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::AppError;
use super::sockets::Bound;
use super::work::Work;
use crate::classify::Classifier;
use crate::config::{Config, HttpConfig};
use crate::http::{Api, Server, Settings};
use crate::metrics;
use crate::store::sqlite::SqliteStore;
use crate::store::{StoreError, Tokens};

/// What the API goes by.
pub(super) fn settings(config: &Config) -> Settings {
    Settings {
        max_message: config.smtp.max_message_size,
        shutdown_grace: config.smtp.shutdown_grace,
        mask_addresses: config.log.mask_addresses,
        policy: config.policy.clone(),
        streams: config.streams.clone(),
        return_paths: config.return_paths.clone(),
        webhooks: config.webhooks.clone(),
        ..config.http.settings.clone()
    }
}

/// What the handlers reach.
pub(super) fn api(
    store: &Arc<SqliteStore>,
    classifier: Arc<Classifier>,
    config: &Config,
    shutdown: &CancellationToken,
) -> Api {
    Api::new(
        Arc::clone(store),
        classifier,
        settings(config),
        Some(Arc::new(metrics::render)),
        shutdown.clone(),
    )
}

/// Serves the API on every socket of it.
pub(super) fn start(api: Api, sockets: Vec<Bound>, work: &mut Work, shutdown: &CancellationToken) -> Api {
    let server = Arc::new(Server::new(api.clone(), shutdown.clone()));
    for socket in sockets {
        let server = Arc::clone(&server);
        work.begin("an HTTP listener", async move {
            match socket {
                Bound::Tcp(listener) => server.serve(listener).await,
                Bound::Unix(listener) => server.serve(listener).await,
            }
        });
    }
    api
}

/// What is wrong where the API listens to others than this machine and has no token.
///
/// # Errors
/// [`StoreError`] where the tokens cannot be read.
pub async fn open_door(config: &HttpConfig, store: &impl Tokens) -> Result<Option<String>, StoreError> {
    match config.open_door() {
        Some(what) if store.tokens().await?.is_empty() => Ok(Some(what)),
        _ => Ok(None),
    }
}

pub(super) async fn refuse_open_door(config: &HttpConfig, store: &impl Tokens) -> Result<(), AppError> {
    match open_door(config, store).await? {
        Some(what) => Err(AppError::OpenDoor(what)),
        None => Ok(()),
    }
}
