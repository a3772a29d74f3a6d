//! Taking turns with other processes that write to the same file: SQLite has one write lock and no line before it.
//!
//! SQLite's own waiting asks again after up to 100 ms, and a writer that is busy all the time frees the lock for a moment
//! only between two transactions. So whoever waits asks often, and whoever is busy leaves a gap now and then.

use std::time::{Duration, Instant};

use sqlx::Executor;
use sqlx::sqlite::SqliteConnection;

/// How often a writer that waits asks for the lock.
const ASK_EVERY: Duration = Duration::from_millis(1);

/// How long a writer that always has something to do goes on …
const GOES_ON: Duration = Duration::from_millis(250);

/// … before it leaves the lock free for so long: a few times what it takes somebody else to ask.
const GAP: Duration = Duration::from_millis(5);

/// When this writer left the lock to others.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    /// How long it waits itself.
    patience: Duration,
    free_at: Instant,
}

impl Turns {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, free_at: Instant::now() }
    }

    /// There is nothing to do: the lock is free.
    pub(super) fn idle(&mut self) {
        self.free_at = Instant::now();
    }

    /// Leaves the lock to others for a moment where they had none for long.
    pub(super) async fn leave_a_gap(&mut self) {
        if self.free_at.elapsed() > GOES_ON {
            tokio::time::sleep(GAP).await;
            self.free_at = Instant::now();
        }
    }

    /// Begins a transaction that writes. The connection must not wait by itself.
    pub(super) async fn begin(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let started = Instant::now();
        loop {
            match connection.execute("BEGIN IMMEDIATE").await {
                Err(error) if is_busy(&error) => {}
                done => return done.map(drop),
            }
            if started.elapsed() >= self.patience {
                let what = format!(
                    "it is locked: another program has been writing to it for {} s (store.busy_timeout)",
                    self.patience.as_secs_f32()
                );
                return Err(sqlx::Error::Io(std::io::Error::other(what)));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// `SQLITE_BUSY`, in any of its forms.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}
