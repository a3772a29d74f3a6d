//! The contract on SQLite, and what is SQLite's own: files, modes, locks, a full database.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::{ConnectOptions, Executor};
use tempfile::TempDir;

use super::*;

const WAIT: Duration = Duration::from_millis(50);

async fn open(path: &Path, access: Access) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, access, Policy::default(), WAIT).await
}

fn entry(address: &str) -> ManualEntry {
    ManualEntry {
        address: address.to_owned(),
        address_key: address.to_owned(),
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
    assert!(reader.suppression("a@example.org", Timestamp::now()).await.unwrap().is_some());
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
    raw_connection(&path("newer.db")).await.execute("PRAGMA user_version = 7").await.unwrap();
    let error = open(&path("newer.db"), Access::Serve).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 7, known: SCHEMA, .. }), "{error}");
    assert!(error.to_string().contains("newer.db"));
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
        store.suppression("a@example.org", Timestamp::now()).await.unwrap().is_none(),
        "readers do not wait"
    );
    holder.execute("ROLLBACK").await.unwrap();
    store.add(entry("a@example.org")).await.unwrap();
    assert!(store.suppression("a@example.org", Timestamp::now()).await.unwrap().is_some());
}
