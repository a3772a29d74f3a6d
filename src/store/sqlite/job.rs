//! What the writer does: messages on their way in, which are settled together, and jobs of every other kind.

use std::pin::Pin;
use std::time::Instant;

use sqlx::Executor;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::oneshot;

use super::super::{Recorded, StoreError};
use super::facts::Judge;
use super::record::record;
use super::writer::unavailable;
use crate::ledger::Arrival;

/// What a job does inside the transaction.
pub(super) type Operation<R> = Box<
    dyn for<'c> FnOnce(&'c mut SqliteConnection, &'c Judge) -> BoxFuture<'c, Result<R, sqlx::Error>> + Send,
>;

pub(super) type BoxFuture<'c, T> = Pin<Box<dyn Future<Output = T> + Send + 'c>>;

/// Who waits for a job.
type Done<R> = oneshot::Sender<Result<R, StoreError>>;

/// A job: its work, its result until the commit, and who waits for it.
pub(super) struct Task<W, R> {
    events: usize,
    frees: bool,
    queued: Instant,
    work: W,
    result: Option<Result<R, StoreError>>,
    done: Option<Done<R>>,
}

/// A job without the types of its work and its result.
pub(super) trait Job: Send {
    /// How many rows it writes, roughly.
    fn events(&self) -> usize;
    /// Whether it makes room on the disk.
    fn frees(&self) -> bool;
    /// When it was asked for.
    fn queued(&self) -> Instant;
    /// The transaction is durable: hand out the result.
    fn committed(&mut self);
    /// Nothing of the transaction is kept.
    fn failed(&mut self, cause: &str);
}

/// A job that is run alone.
pub(super) trait Runs: Job {
    /// Does the work. An error that waiting may mend comes back; any other becomes the job's result, and the
    /// answer is then `Ok(false)`: undo what it wrote.
    fn run<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
        judge: &'c Judge,
    ) -> BoxFuture<'c, Result<bool, sqlx::Error>>;
}

impl<W: Send, R: Send> Job for Task<W, R> {
    fn events(&self) -> usize {
        self.events
    }

    fn frees(&self) -> bool {
        self.frees
    }

    fn queued(&self) -> Instant {
        self.queued
    }

    // The caller may have dropped the receiver.
    fn committed(&mut self) {
        if let (Some(done), Some(result)) = (self.done.take(), self.result.take()) {
            let _ = done.send(result);
        }
    }

    fn failed(&mut self, cause: &str) {
        if let Some(done) = self.done.take() {
            let _ = done.send(Err(StoreError::Unavailable(cause.to_owned())));
        }
    }
}

impl<R: Send + 'static> Runs for Task<Option<Operation<R>>, R> {
    fn run<'c>(
        &'c mut self,
        connection: &'c mut SqliteConnection,
        judge: &'c Judge,
    ) -> BoxFuture<'c, Result<bool, sqlx::Error>> {
        Box::pin(async move {
            let Some(operation) = self.work.take() else { return Ok(false) };
            match operation(connection, judge).await {
                Err(error) if unavailable(&error).is_some() => Err(error),
                result => {
                    let keep = result.is_ok();
                    self.result = Some(result.map_err(StoreError::from));
                    Ok(keep)
                }
            }
        })
    }
}

/// A job in the queue.
pub(super) enum Queued {
    /// A message on its way in: those that follow each other are settled together.
    Message(Box<Task<Arrival, Recorded>>),
    /// Anything else.
    Other(Box<dyn Runs>),
}

impl Queued {
    pub(super) fn message(events: usize, arrival: Arrival, done: Done<Recorded>) -> Self {
        let (queued, done) = (Instant::now(), Some(done));
        Self::Message(Box::new(Task { events, frees: false, queued, work: arrival, result: None, done }))
    }

    pub(super) fn other<R: Send + 'static>(
        events: usize,
        frees: bool,
        operation: Operation<R>,
        done: Done<R>,
    ) -> Self {
        let (queued, work, done) = (Instant::now(), Some(operation), Some(done));
        Self::Other(Box::new(Task { events, frees, queued, work, result: None, done }))
    }

    pub(super) fn job(&mut self) -> &mut dyn Job {
        match self {
            Self::Message(task) => &mut **task,
            Self::Other(task) => &mut **task,
        }
    }

    pub(super) fn events(&self) -> usize {
        match self {
            Self::Message(task) => task.events(),
            Self::Other(task) => task.events(),
        }
    }

    pub(super) fn frees(&self) -> bool {
        matches!(self, Self::Other(task) if task.frees())
    }

    pub(super) fn queued(&self) -> Instant {
        match self {
            Self::Message(task) => task.queued(),
            Self::Other(task) => task.queued(),
        }
    }
}

/// Runs the jobs of a group. One that cannot be written undoes itself alone.
pub(super) async fn run_all(
    connection: &mut SqliteConnection,
    judge: &Judge,
    group: &mut [Queued],
) -> Result<(), sqlx::Error> {
    let mut messages = Vec::new();
    for queued in group {
        match queued {
            Queued::Message(task) => messages.push(&mut **task),
            Queued::Other(task) => {
                record_all(connection, judge, std::mem::take(&mut messages)).await?;
                connection.execute("SAVEPOINT job").await?;
                if !task.run(connection, judge).await? {
                    connection.execute("ROLLBACK TO job").await?;
                }
                connection.execute("RELEASE job").await?;
            }
        }
    }
    record_all(connection, judge, messages).await
}

/// Records messages at once; where that fails for a lasting cause, by halves, until only the culprit fails.
async fn record_all(
    connection: &mut SqliteConnection,
    judge: &Judge,
    messages: Vec<&mut Task<Arrival, Recorded>>,
) -> Result<(), sqlx::Error> {
    let mut parts = vec![messages];
    while let Some(mut part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        connection.execute("SAVEPOINT job").await?;
        match record(connection, judge, part.iter_mut().map(|task| &mut task.work).collect()).await {
            Ok(recorded) => {
                part.iter_mut().zip(recorded).for_each(|(task, recorded)| task.result = Some(Ok(recorded)));
            }
            Err(error) if unavailable(&error).is_some() => return Err(error),
            Err(error) => {
                connection.execute("ROLLBACK TO job").await?;
                match &mut part[..] {
                    [culprit] => culprit.result = Some(Err(error.into())),
                    _ => {
                        let second = part.split_off(part.len() / 2);
                        parts.extend([second, part]);
                    }
                }
            }
        }
        connection.execute("RELEASE job").await?;
    }
    Ok(())
}
