//! What can be watched of a store.

use super::*;
use crate::store::{AuditOrigin, ChangeCount, Removal, Vital, Vitals};

fn counts(origin: &str, action: &str, reason: Option<&str>, count: u64) -> ChangeCount {
    let (origin, action) = (origin.to_owned(), action.to_owned());
    ChangeCount { origin, action, reason: reason.map(str::to_owned), count }
}

#[tokio::test]
async fn changes_are_counted_once_whichever_program_makes_them() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let (daemon, other) =
        (open(&path, Access::Serve).await.unwrap(), open(&path, Access::Write).await.unwrap());
    assert_eq!(daemon.last_change().await.unwrap(), 0);
    assert_eq!(daemon.changes_after(0, 100).await.unwrap(), None);

    daemon.record(contract::message(1, 0, contract::hard("a@example.org"))).await.unwrap();
    other.add(entry("b@example.org")).await.unwrap();
    other.add(entry("c@example.org")).await.unwrap();
    let (last, changes) = daemon.changes_after(0, 100).await.unwrap().unwrap();
    assert_eq!(
        changes,
        [counts("bounce", "added", Some("hard"), 1), counts("cli", "added", Some("manual"), 2)]
    );
    assert_eq!((last, daemon.last_change().await.unwrap()), (3, 3));

    let removal = Removal {
        address_key: "b@example.org".into(),
        stream: None,
        now: contract::at(1),
        origin: AuditOrigin::Cli,
        actor: None,
    };
    assert!(other.remove(removal).await.unwrap());
    let (last, changes) = daemon.changes_after(last, 100).await.unwrap().unwrap();
    assert_eq!(changes, [counts("cli", "removed", None, 1)]);
    assert_eq!(daemon.changes_after(last, 100).await.unwrap(), None);

    let (upto, first) = daemon.changes_after(0, 1).await.unwrap().unwrap();
    assert_eq!((upto, first[0].count), (1, 1), "no more at once than asked for");

    let entries = daemon.entries_by_reason(contract::at(1)).await.unwrap();
    assert_eq!(entries, [("hard".to_owned(), 1), ("manual".to_owned(), 1)]);
    let entries = daemon.entries_by_reason(contract::at(181)).await.unwrap();
    assert_eq!(entries, [("manual".to_owned(), 1)], "the term of the other one is over");
}

#[tokio::test]
async fn what_waits_and_the_size_of_the_files_is_told() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open(&path, Access::Serve).await.unwrap();
    let empty = store.vitals().await.unwrap();
    assert_eq!((empty.quarantined, empty.holds, empty.held), (0, 0, 0));
    assert_eq!(empty.database_bytes, std::fs::metadata(&path).unwrap().len());

    let waiting = contract::message(
        1,
        0,
        vec![crate::store::NewEvent {
            quarantined: true,
            applies: false,
            ..contract::event("a@example.org", Class::RecipientUnknown, Severity::Permanent)
        }],
    );
    store.record(waiting).await.unwrap();
    let Vital { quarantined, log_bytes, .. } = store.vitals().await.unwrap();
    assert_eq!(quarantined, 1);
    assert_eq!(log_bytes, std::fs::metadata(dir.path().join("dsnd.db-wal")).unwrap().len());
    assert!(log_bytes > 0);
}

#[tokio::test]
async fn nothing_is_pending_where_nothing_was_asked_for() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir.path().join("dsnd.db"), Access::Serve).await.unwrap();
    store.add(entry("a@example.org")).await.unwrap();
    let pressure = store.pressure();
    assert_eq!((pressure.waiting, pressure.oldest), (0, Duration::ZERO));
}
