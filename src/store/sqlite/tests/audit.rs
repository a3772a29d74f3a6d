//! The history is SQLite's to keep: nobody changes a row, and a change that is undone leaves none.

use sqlx::Connection;

use super::*;

#[tokio::test]
async fn rows_of_the_history_can_be_neither_changed_nor_deleted() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open(&path, Access::Serve).await.unwrap();
    store.add(entry("a@example.org")).await.unwrap();
    store.close().await;
    let mut connection = raw_connection(&path).await;
    for statement in
        ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "DELETE FROM audit WHERE action = 'added'"]
    {
        let error = connection.execute(statement).await.unwrap_err().to_string();
        assert!(error.contains("audit rows are not"), "{statement}: {error}");
    }
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit").fetch_one(&mut connection).await.unwrap();
    assert_eq!(rows, 1);
    connection.close().await.unwrap();
}

#[tokio::test]
async fn scopes_are_those_of_the_policy_and_days_counted_before_still_count() {
    use crate::policy::Scope;
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let with =
        |policy: Policy| async { SqliteStore::open(&path, Access::Serve, policy, WAIT).await.unwrap() };
    let record = async |store: &SqliteStore, number: u8, stream, class, severity| {
        let mut event = contract::event("a@example.org", class, severity);
        event.stream = stream;
        store.record(contract::message(number, number.into(), vec![event])).await.unwrap().changes[0]
    };
    let store = with(Policy::default()).await;
    for (number, stream) in [(1, 7), (2, 8)] {
        record(&store, number, stream, Class::Expired, Severity::Transient).await;
    }
    store.close().await;
    let everywhere = Policy { soft_scope: Scope::Global, hard_scope: Scope::Stream, ..Policy::default() };
    let store = with(everywhere).await;
    let change = record(&store, 3, 9, Class::Expired, Severity::Transient).await;
    assert_eq!(change, crate::store::EventChange::Suppressed, "three days, over all streams");
    assert!(store.suppression("a@example.org", Some(12), contract::at(3)).await.unwrap().is_some());
    let change = record(&store, 4, 9, Class::RecipientUnknown, Severity::Permanent).await;
    assert_eq!(change, crate::store::EventChange::Suppressed);
    let streams = store.standing("a@example.org", None, contract::at(4)).await.unwrap();
    assert_eq!(streams.iter().map(|entry| entry.stream).collect::<Vec<_>>(), [9, 0]);
}

#[tokio::test]
async fn questions_about_one_address_use_an_index() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    open(&path, Access::Serve).await.unwrap().close().await;
    let mut connection = raw_connection(&path).await;
    for (statement, index) in [
        ("SELECT * FROM audit WHERE address_key = 'a' ORDER BY id DESC LIMIT 5", "audit_address"),
        (
            "SELECT * FROM suppressions WHERE expires_at IS NOT NULL AND ended = 0 AND expires_at <= 'x'
             ORDER BY expires_at, address_key, stream LIMIT 5",
            "suppressions_expires_at",
        ),
    ] {
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}")))
                .fetch_all(&mut connection)
                .await
                .unwrap();
        let plan: Vec<_> = plan.into_iter().map(|step| step.3).collect();
        assert!(plan[0].contains(index), "{plan:?}");
        assert!(!plan.iter().any(|step| step.contains("TEMP B-TREE FOR ORDER BY")), "{plan:?}");
    }
}
