//! The outbox is filled by the schema itself, and what is asked of it uses an index.

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
async fn whatever_writes_a_row_of_the_history_tells_of_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open(&path, Access::Serve).await.unwrap();
    let mut connection = raw_connection(&path).await;
    // A list of a thousand at once, as an import writes it.
    let import = "INSERT INTO audit (at, address_key, address, stream, action, origin, after)
                  SELECT '2026-11-21T20:00:00Z', value || '@example.org', value || '@example.org', 0, 'added', 'import',
                         json_object('address', value || '@example.org')
                  FROM generate_series(1, 1000)";
    let series = "WITH RECURSIVE generate_series(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM generate_series WHERE value < 1000) ";
    let import = import.replace("generate_series(1, 1000)", "generate_series");
    connection.execute(sqlx::AssertSqlSafe(format!("{series}{import}"))).await.unwrap();
    connection.close().await.unwrap();
    let events = store.outbox(&OutboxFilter { limit: 2_000, ..OutboxFilter::default() }).await.unwrap().items;
    assert_eq!(events.len(), 1_000);
    assert!(events.iter().all(|event| event.kind == EventType::SuppressionAdded));
    assert_eq!(events[0].data["address"], events[0].address_key);
    assert_eq!(events[0].data["change"]["origin"], "import");
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
        (
            "SELECT * FROM outbox_events WHERE id > 5 ORDER BY id LIMIT 9",
            "SEARCH outbox USING INTEGER PRIMARY KEY",
        ),
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
