//! What a person decides about events that waited: common to what was quarantined and to what was held.

use jiff::Timestamp;
use sqlx::Executor;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::super::EventChange;
use super::apply::{Subject, corrupt, decide};
use super::breaker::{self, Judge};
use super::read::time;
use super::written;
use crate::policy::Change;

/// What an event does that a person lets through.
pub(super) struct LetThrough {
    /// Decided as of its own time, by what stands now.
    pub(super) change: Change,
    /// It would have suppressed, for a term that is over by now; the change is none then.
    pub(super) over: bool,
    /// It puts an address on the list that was not on it.
    pub(super) new: bool,
}

/// Decides what an event of `received_at` does that is let through at `at`. To be asked before it is applied.
pub(super) async fn let_through(
    connection: &mut SqliteConnection,
    judge: &Judge,
    subject: &Subject,
    received_at: Timestamp,
    at: Timestamp,
) -> Result<LetThrough, sqlx::Error> {
    let mut change = decide(connection, &judge.settings.policy, subject, received_at, at).await?;
    let over = change.is_over(at);
    if over {
        change = Change::None;
    }
    let new = breaker::is_new(connection, subject, &change, received_at).await?;
    Ok(LetThrough { change, over, new })
}

/// When a stored event came in.
pub(super) fn received_at(row: &SqliteRow) -> Result<Timestamp, sqlx::Error> {
    time(row, "received_at").map_err(|error| corrupt("received_at", &error.to_string()))
}

/// Writes down what became of an event, who decided it, and when.
pub(super) async fn settled(
    connection: &mut SqliteConnection,
    event: i64,
    change: EventChange,
    at: Timestamp,
    by: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE events SET change = ?2, settled_at = ?3, settled_by = ?4 WHERE id = ?1")
        .bind(event)
        .bind(change.as_str())
        .bind(written(at))
        .bind(by)
        .execute(connection)
        .await?;
    Ok(())
}

/// From here on everything is tried only, until [`end_dry_run`] takes it back.
pub(super) async fn begin_dry_run(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    connection.execute("SAVEPOINT dry_run").await.map(drop)
}

/// Takes back what was tried.
pub(super) async fn end_dry_run(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    connection.execute("ROLLBACK TO dry_run").await?;
    connection.execute("RELEASE dry_run").await.map(drop)
}
