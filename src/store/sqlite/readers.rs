//! The connections that read. Lookups, listings and tasks have their own, so that slow questions of one kind never take
//! the connections of another.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

/// Connections of each kind.
const LOOKUPS: u32 = 4;
const LISTINGS: u32 = 4;
const TASKS: u32 = 2;

/// How long one of them stays open with nothing to do. Short: a disk that has to be unmounted to be mended is let go
/// by itself, since a writer that fails closes its connection as well.
const IDLE: Duration = Duration::from_secs(3);

/// How long a question waits for a connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections that cannot write, and need no lock to start.
#[derive(Debug)]
pub(super) struct Readers {
    /// What one address, one token or the watchdog asks: little, and at once.
    pub(super) lookups: SqlitePool,
    /// Pages of lists, and everything about one message or one address.
    pub(super) listings: SqlitePool,
    /// Exports, webhooks, measurements and whatever else goes on beside requests, each a short question at a time.
    pub(super) tasks: SqlitePool,
}

impl Readers {
    pub(super) fn new(options: &SqliteConnectOptions) -> Self {
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .min_connections(0)
                .idle_timeout(IDLE)
                .acquire_timeout(PATIENCE)
                .connect_lazy_with(options.clone().pragma("query_only", "on"))
        };
        Self { lookups: pool(LOOKUPS), listings: pool(LISTINGS), tasks: pool(TASKS) }
    }

    pub(super) async fn close(&self) {
        for pool in [&self.lookups, &self.listings, &self.tasks] {
            pool.close().await;
        }
    }
}
