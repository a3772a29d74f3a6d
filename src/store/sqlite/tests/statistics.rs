//! What is counted by the day follows what is stored, whatever becomes of an event.

use super::*;
use crate::policy::Breaker;
use crate::returnpath::Trust;
use crate::store::{HoldVerdict, NewEvent, Verdict};

/// What is counted, and what a count of the stored events would be.
async fn counted(path: &Path) -> [Vec<(i64, String, String, String, i64)>; 2] {
    let mut connection = raw_connection(path).await;
    let mut both = Vec::new();
    for statement in [
        "SELECT day, domain, class, change, count FROM aggregates ORDER BY 1, 2, 3, 4",
        "SELECT unixepoch(received_at) / 86400,
                iif(applies OR change IN ('suppressed', 'counted', 'seen', 'cleared'), domain, ''), class, change, count(*)
         FROM events WHERE repeats IS NULL GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4",
    ] {
        both.push(sqlx::query_as(statement).fetch_all(&mut connection).await.unwrap());
    }
    both.try_into().unwrap()
}

fn unproven(address: &str) -> Vec<NewEvent> {
    let mut events = contract::hard(address);
    (events[0].trust, events[0].quarantined, events[0].applies) = (Trust::Unsigned, true, false);
    events
}

#[tokio::test]
async fn what_is_settled_is_counted_as_what_it_became() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let breaker = Breaker { recheckable_per_hour: 1, ..Breaker::default() };
    let store = SqliteStore::open(&path, Access::Serve, Settings { breaker, ..Settings::default() }, WAIT)
        .await
        .unwrap();
    for number in 1..=4 {
        store
            .record(contract::message(number, 0, unproven(&format!("u{number}@example.org"))))
            .await
            .unwrap();
    }
    for number in 11..=16 {
        let address = format!("h{number}@down.example");
        let down = vec![contract::event(&address, Class::HostUnreachable, Severity::Permanent)];
        store.record(contract::message(number, 0, down)).await.unwrap();
    }
    let [before, stored] = counted(&path).await;
    assert_eq!(before, stored);
    let settle = async |events: &[i64], verdict, dry_run| {
        let (by, at) = ("ida".to_owned(), contract::at(1));
        store.settle(Settling { events: events.to_vec(), verdict, by, at, dry_run }).await.unwrap();
    };
    let hold = async |verdict, limit, dry_run| {
        let (by, at) = ("ida".to_owned(), contract::at(1));
        store.settle_hold(HoldSettling { id: 1, verdict, by, at, limit, dry_run }).await.unwrap().unwrap()
    };
    for verdict in [Verdict::Approve, Verdict::Discard] {
        settle(&[1, 2, 3, 4], verdict, true).await;
    }
    for verdict in [HoldVerdict::Release, HoldVerdict::Discard] {
        assert_eq!(hold(verdict, 10, Some(0)).await.events, 4);
    }
    assert_eq!(counted(&path).await, [before, stored], "a dry run counts nothing");
    settle(&[1, 2], Verdict::Approve, false).await;
    settle(&[3], Verdict::Discard, false).await;
    hold(HoldVerdict::Release, 2, None).await;
    hold(HoldVerdict::Discard, 10, None).await;
    let [now, stored] = counted(&path).await;
    assert_eq!(now, stored);
    let changes: Vec<&str> = now.iter().map(|row| row.3.as_str()).collect();
    assert_eq!(changes, ["discarded", "quarantined", "discarded", "suppressed", "suppressed"], "{now:?}");
}
