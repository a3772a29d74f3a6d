//! The outbox keeps what it tells, and what is asked of it uses an index.

use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::Connection;

use super::*;
use crate::store::{Deliveries, EventType, Outbox, OutboxFilter, Progress, WebhookState};

#[tokio::test]
async fn it_tells_what_happens_and_knows_how_far_webhooks_are() {
    let dir = TempDir::new().unwrap();
    let made = AtomicUsize::new(0);
    let make = || {
        let path = dir.path().join(format!("{}.db", made.fetch_add(1, Ordering::Relaxed)));
        async move { open(&path, Access::Serve).await.unwrap() }
    };
    contract::outbox::check(make).await;
    contract::deliveries::check(make).await;
}

#[tokio::test]
async fn an_event_tells_the_same_whatever_was_pruned_meanwhile() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open(&path, Access::Serve).await.unwrap();
    let recorded = store.record(contract::message(1, 0, contract::hard("a@example.org"))).await.unwrap();
    let told =
        async || store.outbox(&OutboxFilter { limit: 9, ..OutboxFilter::default() }).await.unwrap().items;
    let before = told().await;
    let kinds: Vec<_> = before.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventType::BounceRecorded, EventType::SuppressionAdded]);
    let data = &before[1].data;
    assert_eq!((&data["bounce"], &data["trust"]), (&recorded.id.into(), &"proven".into()), "{data}");
    let mut connection = raw_connection(&path).await;
    for statement in ["DELETE FROM events", "DELETE FROM messages"] {
        connection.execute(statement).await.unwrap();
    }
    connection.close().await.unwrap();
    assert_eq!(told().await, before);
}

#[tokio::test]
async fn an_event_that_is_erased_takes_its_deliveries_with_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open(&path, Access::Serve).await.unwrap();
    let state = store.webhook("crm").await.unwrap();
    store.record(contract::message(1, 0, contract::hard("a@example.org"))).await.unwrap();
    let passed = crate::store::PassedBy {
        event: 1,
        attempts: 1,
        failed_at: None,
        next_at: None,
        dead_at: None,
        error: None,
    };
    let state = WebhookState { through: 2, ..state };
    store.progress(Progress { state, delivered: vec![], passed_by: vec![passed] }).await.unwrap();
    let mut connection = raw_connection(&path).await;
    connection.execute("DELETE FROM outbox WHERE address_key = 'a@example.org'").await.unwrap();
    connection.close().await.unwrap();
    assert!(store.waiting("crm", 0, 9).await.unwrap().is_empty());
    assert_eq!(store.outbox_bounds().await.unwrap().newest, 2, "its number is not given to another");
}

#[tokio::test]
async fn what_is_asked_of_the_outbox_uses_an_index() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    open(&path, Access::Serve).await.unwrap().close().await;
    let mut connection = raw_connection(&path).await;
    for (statement, index) in [
        ("SELECT * FROM outbox WHERE id > 5 ORDER BY id LIMIT 9", "SEARCH outbox USING INTEGER PRIMARY KEY"),
        ("DELETE FROM outbox WHERE address_key = 'a'", "outbox_address"),
        (
            "SELECT event, at FROM webhook_deliveries JOIN outbox ON outbox.id = event
             WHERE webhook = 'a' AND state = 'waiting' AND event > 3 ORDER BY event LIMIT 9",
            "webhook_deliveries_waiting",
        ),
    ] {
        let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let rows = sqlx::query(plan).fetch_all(&mut connection).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, "detail")).collect();
        let steps = steps.join("\n");
        assert!(steps.contains(index) && !steps.contains("TEMP B-TREE"), "{statement}: {steps}");
    }
    connection.close().await.unwrap();
}
