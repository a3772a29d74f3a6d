//! The service that sending MTAs ask, within the daemon.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::sockets::Bound;
use super::work::Work;
use crate::config::Config;
use crate::lookup::Server;
use crate::store::sqlite::SqliteStore;

/// Serves lookups on every socket of theirs.
pub(super) fn start(
    store: &Arc<SqliteStore>,
    config: &Config,
    sockets: Vec<Bound>,
    work: &mut Work,
    shutdown: &CancellationToken,
) -> Arc<Server<SqliteStore>> {
    if let Some(address) = config.lookup.public() {
        warn!(
            %address,
            "lookups can be asked for from elsewhere (lookup.listen): whoever reaches the port learns who is suppressed"
        );
    }
    let server = Server::new(Arc::clone(store), config.lookup.settings.clone(), shutdown.clone());
    let server = Arc::new(server);
    for socket in sockets {
        let server = Arc::clone(&server);
        work.begin("a listener for lookups", async move {
            match socket {
                Bound::Tcp(listener) => server.serve(listener).await,
                Bound::Unix(listener) => server.serve(listener).await,
            }
        });
    }
    server
}
