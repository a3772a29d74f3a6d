//! The size of the write-ahead log.
//!
//! SQLite folds the log into the file as it grows, and begins it anew when no reader needs what is in it. Where there is
//! always some reader it never does, and the log grows: then everybody is waited for, once.

use std::time::{Duration, Instant};

use sqlx::Executor;
use sqlx::sqlite::SqliteConnection;

use super::place::Place;

/// Octets that the log keeps when it begins anew.
pub(super) const KEPT: u64 = 16 << 20;

/// A log that is longer is folded whole.
const LONGEST: u64 = 64 << 20;

/// How long readers are waited for then, while nobody writes.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long after it was tried it is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// Keeps the log of one writer short.
#[derive(Debug, Default)]
pub(super) struct Log {
    tried: Option<Instant>,
}

impl Log {
    /// Folds the log where it is too long. What a reader still needs stays, to be tried again later.
    pub(super) async fn keep_short(&mut self, connection: &mut SqliteConnection, place: &Place) {
        let length = place.log_octets();
        if length <= LONGEST || self.tried.is_some_and(|at| at.elapsed() < AGAIN) {
            return;
        }
        self.tried = Some(Instant::now());
        match fold(connection).await {
            Ok(true) => tracing::debug!(length, "the write-ahead log was folded"),
            Ok(false) => tracing::warn!(
                octets = length,
                "the write-ahead log grows: another program has been reading the database for long"
            ),
            Err(error) => tracing::warn!(%error, octets = length, "the write-ahead log is folded later"),
        }
    }
}

/// Whether all of it was folded.
async fn fold(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    let wait = format!("PRAGMA busy_timeout = {}", PATIENCE.as_millis());
    connection.execute(sqlx::AssertSqlSafe(wait)).await?;
    let folded: Result<(i64, i64, i64), _> =
        sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await;
    connection.execute("PRAGMA busy_timeout = 0").await?; // as before: `Turns` waits
    Ok(folded?.0 == 0)
}
