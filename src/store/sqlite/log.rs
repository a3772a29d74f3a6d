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

#[cfg(test)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
    use sqlx::{ConnectOptions, Connection};

    use super::*;

    #[tokio::test]
    async fn a_log_that_is_too_long_is_folded_when_the_reader_who_holds_it_has_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dsnd.db");
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let mut writer = options.connect().await.unwrap();
        let place = Place::of(&path);
        writer.execute("CREATE TABLE rows (octets BLOB)").await.unwrap();
        let mut reader = options.connect().await.unwrap();
        let count = "SELECT count(*) FROM rows";
        reader.execute("BEGIN").await.unwrap();
        assert_eq!(sqlx::query_scalar::<_, i64>(count).fetch_one(&mut reader).await.unwrap(), 0);

        let mut log = Log::default();
        for row in 0..8 {
            assert!(log.tried.is_none(), "{row} rows are no long log");
            writer.execute("INSERT INTO rows VALUES (zeroblob(8 << 20))").await.unwrap();
            log.keep_short(&mut writer, &place).await;
        }
        assert!(log.tried.is_some(), "it was tried");
        assert!(place.log_octets() > LONGEST, "the reader still needs it: {}", place.log_octets());
        writer.execute("INSERT INTO rows VALUES (zeroblob(1))").await.unwrap();
        let seen: i64 = sqlx::query_scalar(count).fetch_one(&mut reader).await.unwrap();
        assert_eq!(seen, 0, "the reader goes on, and so does the writer");

        reader.execute("COMMIT").await.unwrap();
        log.keep_short(&mut writer, &place).await;
        assert!(place.log_octets() > LONGEST, "it is not tried again at once");
        log.tried = None;
        log.keep_short(&mut writer, &place).await;
        assert_eq!(place.log_octets(), 0);
        let seen: i64 = sqlx::query_scalar(count).fetch_one(&mut reader).await.unwrap();
        assert_eq!(seen, 9);
        reader.close().await.unwrap();
    }
}
