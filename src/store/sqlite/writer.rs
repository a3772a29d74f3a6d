//! The one writer: jobs come in over a queue and are committed in groups, one sync for many (contract 7).

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::super::{
    HoldSettled, HoldSettling, HoldVerdict, ManualEntry, Outcome, Pressure, Recorded, Removal, Settings,
    Settling, StoreError, SuppressionFilter, Verdict,
};
use super::facts::Judge;
use super::gauge::Gauge;
use super::job::{Operation, Queued, run_all};
use super::line::Line;
use super::log::Log;
use super::place::Place;
use super::reserve::Reserve;
use super::turn::Turns;
use super::{holds, open, outbox, people, quarantine, raw, retention};
use crate::ledger::{Arrival, AuditOrigin, Cause, EntryKey};
use crate::metrics;

/// Jobs that may wait before those who bring more have to.
const QUEUE: usize = 512;

/// Entries that are taken back in one transaction, so that bounces that come in meanwhile need not wait long.
const PAGE: u32 = 500;

/// Octets that count as a row.
const ROW: u64 = 16 << 10;

fn rows_of(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX / 2)
}

/// The rows that so many octets count as.
fn octet_rows(octets: u64) -> usize {
    usize::try_from(octets / ROW).unwrap_or(usize::MAX / 2)
}

/// The way to the writer's task.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Queued>,
    task: JoinHandle<()>,
    settings: Arc<ArcSwap<Settings>>,
    gauge: Arc<Gauge>,
}

impl Writer {
    /// Starts the task; it connects when the first job comes.
    pub(super) fn start(options: &SqliteConnectOptions, settings: Settings, patience: Duration) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let gauge = Arc::<Gauge>::default();
        let options = open::writer_options(options);
        let turns = Turns::new(patience);
        let task =
            tokio::spawn(keep_running(options, Arc::clone(&settings), jobs, Arc::clone(&gauge), turns));
        Self { queue, task, settings, gauge }
    }

    /// Groups from the next one on go by these.
    pub(super) fn replace(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
    }

    pub(super) fn pressure(&self) -> Pressure {
        self.gauge.read()
    }

    /// The newest event of the outbox that was committed.
    pub(super) fn newest(&self) -> watch::Receiver<i64> {
        self.gauge.newest()
    }

    pub(super) async fn close(self) {
        drop(self.queue);
        let _ = self.task.await;
    }

    pub(super) async fn record(&self, arrival: Arrival) -> Result<Recorded, StoreError> {
        let events = 1 + arrival.message.events.len() + octet_rows(arrival.message.octets());
        self.queue(|done| Queued::message(events, arrival, done)).await
    }

    pub(super) async fn add(&self, entry: ManualEntry) -> Result<(), StoreError> {
        self.send(1, Box::new(move |connection, judge| Box::pin(people::add(connection, judge, entry)))).await
    }

    pub(super) async fn remove(&self, removal: Removal) -> Result<bool, StoreError> {
        self.send(1, Box::new(move |connection, judge| Box::pin(people::remove(connection, judge, removal))))
            .await
    }

    pub(super) async fn undo(
        &self,
        mut filter: SuppressionFilter,
        now: Timestamp,
        actor: Option<String>,
    ) -> Result<u64, StoreError> {
        let why = match filter.in_words() {
            words if words.is_empty() => "taken back by filter: every entry".to_owned(),
            words => format!("taken back by filter: {words}"),
        };
        // Expired entries are kept, and so is what comes while the pages are gone through.
        filter.active_at = Some(now);
        let behind = now.checked_add(SignedDuration::from_secs(1)).unwrap_or(now);
        filter.common.until = Some(filter.common.until.map_or(behind, |until| until.min(behind)));
        (filter.after, filter.limit) = (None, PAGE);
        let cause = Cause { origin: AuditOrigin::Undo, actor, at: Some(now), why: Some(why) };
        let mut all = 0;
        loop {
            let (page, cause) = (filter.clone(), cause.clone());
            let operation: Operation<(u64, Option<EntryKey>)> = Box::new(move |connection, judge| {
                Box::pin(async move { people::undo(connection, judge, &page, cause).await })
            });
            let (removed, next) = self.send(rows_of(PAGE), operation).await?;
            all += removed;
            if next.is_none() {
                return Ok(all);
            }
            filter.after = next;
        }
    }

    pub(super) async fn expire(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let operation: Operation<u64> =
            Box::new(move |connection, judge| Box::pin(people::expire(connection, judge, now, limit)));
        self.send(rows_of(limit), operation).await
    }

    pub(super) async fn settle(&self, settling: Settling) -> Result<Vec<Outcome>, StoreError> {
        let events = settling.events.len();
        let frees = settling.verdict == Verdict::Discard;
        let operation: Operation<Vec<Outcome>> =
            Box::new(move |connection, judge| Box::pin(quarantine::settle(connection, judge, settling)));
        self.put(events, frees, operation).await
    }

    pub(super) async fn prune_raw(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let operation: Operation<u64> =
            Box::new(move |connection, _| Box::pin(raw::prune(connection, before, limit)));
        self.send_freeing(octet_rows(raw::AT_ONCE), operation).await
    }

    pub(super) async fn prune_unproven(&self, keep: u64, limit: u32) -> Result<u64, StoreError> {
        let operation: Operation<u64> =
            Box::new(move |connection, _| Box::pin(raw::prune_unproven(connection, keep, limit)));
        self.send_freeing(octet_rows(raw::AT_ONCE), operation).await
    }

    pub(super) async fn settle_hold(
        &self,
        settling: HoldSettling,
    ) -> Result<Option<HoldSettled>, StoreError> {
        let events = rows_of(settling.limit);
        let frees = settling.verdict == HoldVerdict::Discard;
        let operation: Operation<Option<HoldSettled>> =
            Box::new(move |connection, judge| Box::pin(holds::settle(connection, judge, settling)));
        self.put(events, frees, operation).await
    }

    pub(super) async fn prune_rates(&self, now: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.send_freeing(
            1,
            Box::new(move |connection, _| Box::pin(retention::prune_rates(connection, now, limit))),
        )
        .await
    }

    /// Puts a job in the line and waits until it is committed. `events` says how many rows it writes, roughly.
    pub(super) async fn send<R: Send + 'static>(
        &self,
        events: usize,
        operation: Operation<R>,
    ) -> Result<R, StoreError> {
        self.put(events, false, operation).await
    }

    /// The same for a job that makes room on the disk: on a full one it has what is reserved.
    pub(super) async fn send_freeing<R: Send + 'static>(
        &self,
        events: usize,
        operation: Operation<R>,
    ) -> Result<R, StoreError> {
        self.put(events, true, operation).await
    }

    async fn put<R: Send + 'static>(
        &self,
        events: usize,
        frees: bool,
        operation: Operation<R>,
    ) -> Result<R, StoreError> {
        self.queue(|done| Queued::other(events, frees, operation, done)).await
    }

    async fn queue<R>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<R, StoreError>>) -> Queued,
    ) -> Result<R, StoreError> {
        let gone = || StoreError::Unavailable("its writer has stopped".to_owned());
        let (done, result) = oneshot::channel();
        let _waits = self.gauge.enter();
        self.queue.send(job(done)).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }
}

/// Runs the writer until there is nobody left who could ask for anything. One that panics is replaced: the jobs that
/// it had are answered with an error, nothing of them is kept, and the next ones get a connection of their own.
async fn keep_running(
    options: SqliteConnectOptions,
    settings: Arc<ArcSwap<Settings>>,
    jobs: mpsc::Receiver<Queued>,
    gauge: Arc<Gauge>,
    turns: Turns,
) {
    let jobs = Arc::new(Mutex::new(jobs));
    loop {
        let (settings, jobs, gauge) = (Arc::clone(&settings), Arc::clone(&jobs), Arc::clone(&gauge));
        let (options, turns) = (options.clone(), turns.clone());
        let running =
            tokio::spawn(async move { run(options, settings, &mut *jobs.lock().await, gauge, turns).await });
        match running.await {
            Err(error) if error.is_panic() => {
                tracing::error!(%error, "the writer of the database panicked; asking senders to come back later");
            }
            _ => return,
        }
    }
}

async fn run(
    options: SqliteConnectOptions,
    settings: Arc<ArcSwap<Settings>>,
    jobs: &mut mpsc::Receiver<Queued>,
    gauge: Arc<Gauge>,
    mut turns: Turns,
) {
    let mut judge = Judge::new(Settings::clone(&settings.load()));
    let mut connection: Option<(SqliteConnection, Place)> = None;
    // One to a file that was cut short. It stays open until the file is whole again: with the last connection the log
    // would go, and with that what a restored file lacks.
    let mut doubtful: Option<SqliteConnection> = None;
    let mut line: Line<Queued> = Line::default();
    let reserve = Reserve::beside(options.get_filename());
    let mut log = Log::default();
    loop {
        if line.len() == 0 && jobs.is_empty() {
            turns.idle();
            let Some(first) = jobs.recv().await else { break };
            line.push(first.events(), first);
        }
        turns.leave_a_gap().await;
        while line.len() < QUEUE
            && let Ok(next) = jobs.try_recv()
        {
            line.push(next.events(), next);
        }
        let Some(queued) = line.heads().map(|job| job.queued()).min() else { continue };
        gauge.begun(queued);
        let mut group = line.group();
        if group.iter().any(|job| job.frees()) {
            reserve.spend();
        }
        if let Some((open, _)) = connection.take_if(|(_, place)| !place.is_whole()) {
            tracing::warn!(
                "the database file is gone or got shorter while it was open; looking at all of it"
            );
            doubtful = Some(open);
        }
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => open_anew(&options, doubtful.is_some()).await,
        };
        match open {
            Ok((mut open, mut place)) => {
                if let Some(former) = doubtful.take() {
                    let _ = former.close_hard().await;
                }
                judge.follow(&settings.load());
                if commit_group(&mut open, &mut place, &judge, &turns, &mut group).await {
                    if let Ok(newest) = outbox::newest(&mut open).await {
                        gauge.tell(newest);
                    }
                    log.keep_short(&mut open, &place).await;
                    connection = Some((open, place));
                } else if !place.is_whole() {
                    doubtful = Some(open);
                } else {
                    // A fresh connection next time: whatever state this one is in goes with it.
                    let _ = open.close_hard().await;
                }
            }
            Err(error) => {
                let cause = error.to_string();
                tracing::error!(error = %cause, "cannot open the database; asking senders to come back later");
                fail_all(&mut group, &cause);
            }
        }
        gauge.committed(queued.elapsed());
    }
    if let Some((open, _)) = connection {
        let _ = open.close().await;
    }
}

/// A connection to the file that is there now; where that is doubtful, only to one that is whole.
async fn open_anew(
    options: &SqliteConnectOptions,
    doubtful: bool,
) -> Result<(SqliteConnection, Place), sqlx::Error> {
    let cut_short = |found: &str| {
        let what =
            format!("the database file was deleted or cut short; restore it and start dsnd again ({found})");
        sqlx::Error::Io(std::io::Error::other(what))
    };
    let mut place = Place::of(options.get_filename());
    // Nobody may open an empty file here: SQLite would take it for a new database, and delete the log.
    if doubtful && place.is_empty() {
        return Err(cut_short("nothing is left"));
    }
    let mut open = match options.connect().await {
        Err(error) if doubtful => return Err(cut_short(&error.to_string())),
        opened => opened?,
    };
    // Its lengths from here on, where no connection before it can be the last one and remove the log.
    let _ = place.is_whole();
    if doubtful {
        let found: Result<String, _> = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut open).await;
        let found = found.unwrap_or_else(|error| error.to_string());
        if found != "ok" {
            let _ = open.close_hard().await;
            return Err(cut_short(&found));
        }
    }
    open.execute("PRAGMA busy_timeout = 0").await?; // from here on, `Turns` waits
    Ok((open, place))
}

/// Runs a group in one transaction and answers everybody in it. False when the connection should go.
async fn commit_group(
    connection: &mut SqliteConnection,
    place: &mut Place,
    judge: &Judge,
    turns: &Turns,
    group: &mut Vec<Queued>,
) -> bool {
    let started = std::time::Instant::now();
    let queued = group.first().map_or(started, |first| first.queued());
    let jobs = group.len();
    if let Err(error) = turns.begin(connection).await {
        let cause = error.to_string();
        tracing::warn!(error = %cause, jobs, "the database is not to be had; asking senders to come back later");
        fail_all(group, &cause);
        // One that was opened while nothing could be written stays so, whatever becomes of the file.
        return code(&error).is_some_and(|code| matches!(code & 0xff, 5 | 6)); // BUSY LOCKED
    }
    match run_and_commit(connection, judge, group).await {
        // What went into a deleted file is gone with this process: nobody may be told that it is kept.
        Ok(()) if !(place.holds() && place.is_whole()) => {
            let cause = "the database file was deleted, replaced or cut short while it was open";
            tracing::error!(error = cause, jobs, "opening it again; asking senders to come back later");
            fail_all(group, cause);
            false
        }
        Ok(()) => {
            group.drain(..).for_each(|mut queued| queued.job().committed());
            let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            tracing::debug!(jobs, micros, "committed");
            metrics::STORE_COMMITS.increment(["committed"]);
            metrics::STORE_GROUP.record([], f64::from(u32::try_from(jobs).unwrap_or(u32::MAX)));
            metrics::STORE_COMMIT_TIME.took([], queued.elapsed());
            true
        }
        Err(error) => {
            let cause = error.to_string();
            tracing::error!(error = %cause, jobs, "the database did not take a group; asking senders to come back later");
            // SQLite may have rolled back by itself, as it does when the disk is full.
            let _ = connection.execute("ROLLBACK").await;
            fail_all(group, &cause);
            false
        }
    }
}

async fn run_and_commit(
    connection: &mut SqliteConnection,
    judge: &Judge,
    group: &mut [Queued],
) -> Result<(), sqlx::Error> {
    run_all(connection, judge, group).await?;
    connection.execute("COMMIT").await.map(drop)
}

fn fail_all(group: &mut Vec<Queued>, cause: &str) {
    metrics::STORE_COMMITS.increment(["failed"]);
    group.drain(..).for_each(|mut queued| queued.job().failed(cause));
}

/// SQLite's extended result code.
fn code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// The cause, when an error is one that time may mend: locked, full, read-only, I/O.
pub(super) fn unavailable(error: &sqlx::Error) -> Option<String> {
    const MAY_PASS: [u32; 8] = [5, 6, 7, 8, 10, 13, 14, 15]; // BUSY LOCKED NOMEM READONLY IOERR FULL CANTOPEN PROTOCOL
    match error {
        sqlx::Error::Database(cause) => {
            MAY_PASS.contains(&(code(error)? & 0xff)).then(|| cause.message().to_owned())
        }
        sqlx::Error::Io(cause) => Some(cause.to_string()),
        sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => Some(error.to_string()),
        _ => None,
    }
}
