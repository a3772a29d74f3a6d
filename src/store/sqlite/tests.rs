//! The contract on SQLite, and what is SQLite's own: files, modes, locks, a full database.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::{ConnectOptions, Executor};
use tempfile::TempDir;

mod audit;
mod edits;
mod erase;
mod hashed;
mod lists;
mod messages;
mod migration;
mod outbox;
mod statistics;
mod vitals;

use super::*;
use crate::classify::{Class, Severity};
use crate::returnpath::Trust;
use crate::store::{AuditOrigin, Filter, contract};

const WAIT: Duration = Duration::from_millis(50);

async fn open(path: &Path, access: Access) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, access, Settings::default(), WAIT).await
}

fn entry(address: &str) -> ManualEntry {
    ManualEntry {
        address: address.to_owned(),
        address_key: address.to_owned(),
        stream: crate::store::ANY_STREAM,
        origin: AuditOrigin::Cli,
        actor: None,
        now: Timestamp::UNIX_EPOCH,
        expires_at: None,
        note: None,
    }
}

async fn raw_connection(path: &Path) -> sqlx::sqlite::SqliteConnection {
    sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let dir = TempDir::new().unwrap();
    let made = std::sync::atomic::AtomicUsize::new(0);
    crate::store::contract::check(|| {
        let number = made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = dir.path().join(format!("{number}.db"));
        async move { open(&path, Access::Serve).await.unwrap() }
    })
    .await;
    assert!(made.into_inner() > 5);
}

#[tokio::test]
async fn a_writer_that_panics_costs_the_jobs_that_it_had_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir.path().join("dsnd.db"), Access::Serve).await.unwrap();
    store.add(entry("a@example.org")).await.unwrap();
    for _ in 0..2 {
        let writer = store.writer().unwrap();
        let refused = writer
            .send::<()>(
                2,
                Box::new(|connection, _| {
                    Box::pin(async move {
                        connection.execute("DELETE FROM suppressions").await?;
                        panic!("on purpose")
                    })
                }),
            )
            .await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert_eq!(store.pressure().waiting, 0);
    }
    store.add(entry("b@example.org")).await.unwrap();
    for address in ["a@example.org", "b@example.org"] {
        assert!(store.suppression(address, None, Timestamp::now()).await.unwrap().is_some(), "{address}");
    }
    store.close().await;
}

/// Without them another program takes the database for its own, and cuts the index under this one.
#[tokio::test]
async fn reading_the_index_costs_sqlite_none_of_its_locks() {
    use std::os::unix::fs::MetadataExt;
    // Only Linux tells who holds which locks.
    if std::fs::metadata("/proc/locks").is_err() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let store = open(&dir.path().join("dsnd.db"), Access::Serve).await.unwrap();
    store.add(entry("a@example.org")).await.unwrap();
    let index = dir.path().join("dsnd.db-shm");
    let inode = format!(":{} ", std::fs::metadata(&index).unwrap().ino());
    let locks = || std::fs::read_to_string("/proc/locks").unwrap().matches(&inode).count();
    assert!(locks() > 0);
    for _ in 0..3 {
        assert!(super::place::needed(&index).is_some());
        assert!(locks() > 0);
    }
}

#[tokio::test]
async fn it_keeps_what_is_needed_and_drops_what_is_old() {
    let dir = TempDir::new().unwrap();
    let made = std::sync::atomic::AtomicUsize::new(0);
    contract::lifecycle::check(|| {
        let number = made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = dir.path().join(format!("{number}.db"));
        async move { open(&path, Access::Serve).await.unwrap() }
    })
    .await;
}

#[tokio::test]
async fn a_new_file_is_for_its_owner_alone_and_stays_after_closing() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open(&path, Access::Serve).await.unwrap();
    store.add(entry("a@example.org")).await.unwrap();
    for name in ["dsnd.db", "dsnd.db-wal"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    store.close().await;
    let reader = open(&path, Access::Read).await.unwrap();
    assert!(reader.suppression("a@example.org", None, Timestamp::now()).await.unwrap().is_some());
    assert!(matches!(reader.add(entry("b@example.org")).await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn files_that_are_not_ours_are_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    assert!(matches!(open(&path("none.db"), Access::Read).await, Err(StoreError::Missing(_))));
    assert!(matches!(open(dir.path(), Access::Serve).await, Err(StoreError::Open { .. })));
    assert!(matches!(open(&path("no/such/dir.db"), Access::Serve).await, Err(StoreError::Open { .. })));

    std::fs::write(
        path("text.db"),
        "not a database, but quite long enough to be looked at as one ".repeat(40),
    )
    .unwrap();
    assert!(matches!(open(&path("text.db"), Access::Serve).await, Err(StoreError::NotOurs { .. })));

    raw_connection(&path("other.db")).await.execute("CREATE TABLE mine (x)").await.unwrap();
    assert!(matches!(open(&path("other.db"), Access::Serve).await, Err(StoreError::NotOurs { .. })));

    open(&path("newer.db"), Access::Serve).await.unwrap().close().await;
    raw_connection(&path("newer.db")).await.execute("PRAGMA user_version = 99").await.unwrap();
    let error = open(&path("newer.db"), Access::Serve).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 99, known: SCHEMA, .. }), "{error}");
    assert!(error.to_string().contains("newer.db"));
}

#[tokio::test]
async fn what_waits_is_listed_by_an_index() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    open(&path, Access::Serve).await.unwrap().close().await;
    let mut connection = raw_connection(&path).await;
    let mut plan = async |statement: filter::Sql| {
        let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", statement.into_string()));
        let rows = sqlx::query(plan).fetch_all(&mut connection).await.unwrap();
        let steps = rows.iter().map(|row| sqlx::Row::get::<String, _>(row, "detail"));
        steps.collect::<Vec<_>>().join("\n")
    };
    let clear = Addresses::default();
    let by_number = QuarantineFilter { after: Some(1), ..QuarantineFilter::default() };
    let waiting = plan(quarantine::question(&clear, &by_number, 9)).await;
    assert!(waiting.contains("SEARCH events USING INDEX events_waiting (id>?)"), "{waiting}");
    let after_address = Some((String::new(), contract::at(0), 1));
    let by_address = QuarantineFilter { by_address: true, after_address, ..QuarantineFilter::default() };
    let by_address = plan(quarantine::question(&clear, &by_address, 9)).await;
    let index = "events_waiting_address ((recipient_key,received_at)>(?,?))";
    assert!(by_address.contains(&format!("SEARCH events USING INDEX {index}")), "{by_address}");
    for steps in [waiting, by_address] {
        assert!(!steps.contains("TEMP B-TREE") && !steps.contains("SCAN events"), "{steps}");
    }
}

#[tokio::test]
async fn a_lock_held_elsewhere_is_reported_and_passes() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open(&path, Access::Serve).await.unwrap();
    let mut holder = raw_connection(&path).await;
    holder.execute("BEGIN IMMEDIATE").await.unwrap();
    assert!(matches!(store.add(entry("a@example.org")).await, Err(StoreError::Unavailable(_))));
    assert!(
        store.suppression("a@example.org", None, Timestamp::now()).await.unwrap().is_none(),
        "readers do not wait"
    );
    holder.execute("ROLLBACK").await.unwrap();
    store.add(entry("a@example.org")).await.unwrap();
    assert!(store.suppression("a@example.org", None, Timestamp::now()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_message_that_cannot_be_written_undoes_itself_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = std::sync::Arc::new(open(&path, Access::Serve).await.unwrap());
    store.record(contract::message(1, 0, contract::hard("a@example.org"))).await.unwrap();
    // One that the database refuses.
    let mut refusing = raw_connection(&path).await;
    let trigger = "CREATE TRIGGER refusing BEFORE INSERT ON events WHEN NEW.recipient_key = 'b@example.org'
                   BEGIN SELECT RAISE(ABORT, 'not this one'); END";
    refusing.execute(trigger).await.unwrap();
    let bad = contract::message(2, 0, contract::hard("b@example.org"));
    let good = contract::message(3, 0, contract::hard("c@example.org"));
    // A lock holds both back, so that they come into one group.
    let mut holder = raw_connection(&path).await;
    holder.execute("BEGIN IMMEDIATE").await.unwrap();
    let blocked = tokio::spawn({
        let store = store.clone();
        async move { store.add(entry("x@example.org")).await }
    });
    let (refused, good) = tokio::join!(store.record(bad), async {
        holder.execute("ROLLBACK").await.unwrap();
        store.record(good).await
    });
    let _ = blocked.await.unwrap();
    assert!(matches!(refused, Err(StoreError::Sql(_))), "{refused:?}");
    assert!(!good.unwrap().duplicate);
    let filter = BounceFilter { limit: 10, ..BounceFilter::default() };
    let kept: Vec<_> =
        store.bounces(&filter).await.unwrap().items.into_iter().map(|bounce| bounce.message_id).collect();
    assert_eq!(kept, [Some("3@example.org".to_owned()), Some("1@example.org".to_owned())]);
    assert!(store.suppression("b@example.org", None, contract::at(0)).await.unwrap().is_none());
}

#[tokio::test]
async fn domains_and_hosts_are_counted_for_what_lies_with_them() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open(&path, Access::Serve).await.unwrap();
    for (number, class) in
        [(1, Class::HostUnreachable), (2, Class::HostUnreachable), (3, Class::RecipientUnknown)]
    {
        let mut unreachable = contract::event("a@Example.org", class, Severity::Transient);
        unreachable.remote_mta = Some("MX.example.org. (192.0.2.9)".to_owned());
        store.record(contract::message(number, 0, vec![unreachable])).await.unwrap();
    }
    let mut connection = raw_connection(&path).await;
    let counted: Vec<(String, String, String, i64)> = sqlx::query_as(
        "SELECT scope, name, kind, count FROM counters WHERE scope <> 'address' ORDER BY scope",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let row = |scope: &str, name: &str| (scope.to_owned(), name.to_owned(), "host_unreachable".to_owned(), 2);
    assert_eq!(counted, [row("domain", "example.org"), row("host", "mx.example.org")]);
}

#[tokio::test]
async fn what_is_held_counts_against_domain_and_host_when_it_comes_and_not_again() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let breaker = crate::policy::Breaker { recheckable_per_hour: 1, ..Default::default() };
    let settings = Settings { breaker, ..Settings::default() };
    let store = SqliteStore::open(&path, Access::Serve, settings, WAIT).await.unwrap();
    for number in 1..=5 {
        let address = format!("a{number}@example.org");
        let mut event = contract::event(&address, Class::HostUnreachable, Severity::Permanent);
        event.key[0] = number;
        let held = store.record(contract::message(number, 0, vec![event])).await.unwrap();
        assert_eq!(held.changes == [crate::store::EventChange::Held], number > 2, "{number}");
    }
    let counted = async || {
        let mut connection = raw_connection(&path).await;
        sqlx::query_scalar::<_, i64>(
            "SELECT count FROM counters WHERE scope = 'domain' AND name = 'example.org'",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap()
    };
    assert_eq!(counted().await, [5]);
    let verdict = crate::store::HoldVerdict::Release;
    let settling =
        HoldSettling { id: 1, verdict, by: "ida".to_owned(), at: contract::at(1), limit: 10, dry_run: None };
    assert_eq!(store.settle_hold(settling).await.unwrap().unwrap().suppressed, 3);
    assert_eq!(counted().await, [5]);
}
