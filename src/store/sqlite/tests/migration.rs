//! A database of an earlier program is brought up to date with everything that it holds.

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection, SqlSafeStr};

use super::*;
use crate::policy::Reason;
use crate::store::sqlite::open::MIGRATIONS;

const ROWS: &str = "
    INSERT INTO messages (id, digest, received_at, peer, helo, reverse_path, recipients, original_recipients, kind,
                          original_to, defects, size, raw)
    VALUES (5, x'01', '2024-10-04T00:01:00Z', '192.0.2.1:25', 'mx', '', '[\"b@example.com\"]', '[null]', 'dsn', '[]',
            '[]', 9, x'00');
    INSERT INTO events (id, event_key, message, received_at, stream, trust, recipient, recipient_key, remote_mta,
                        bounce_type, category, class, decision, rule, evidence_field, evidence, change)
    VALUES (3, x'01', 5, '2024-10-04T00:01:00Z', 7, 'proven', 'Dead@Example.org', 'dead@example.org',
            'MX.Example.org. (192.0.2.9)', 'hard', 'addressing', 'recipient_unknown', 'suppress', 'iana.5.1.1',
            'diagnostic_code', '550 5.1.1', 'suppressed'),
           (4, x'02', 5, '2024-10-04T00:01:00Z', 0, 'unsigned', '', '', NULL, 'none', 'other', 'complaint',
            'complaint', 'arf', 'text', '', 'quarantined'),
           (5, x'03', 5, '2024-10-04T00:01:00Z', 0, 'unsigned', '\"a@b\"@example.org', '\"a@b\"@example.org', NULL,
            'soft', 'mailbox', 'mailbox_full', 'count', 'iana.5.2.2', 'text', '', 'counted');
    INSERT INTO suppressions (address_key, address, reason, class, rule, first_seen, last_seen, count, expires_at,
                              origin, event)
    VALUES ('dead@example.org', 'Dead@Example.org', 'hard', 'recipient_unknown', 'iana.5.1.1', '2024-10-01T00:01:00Z',
            '2024-10-05T00:01:00Z', 3, '2025-04-02T00:01:00Z', 'bounce', 3),
           ('vip@example.com', 'vip@example.com', 'manual', NULL, NULL, '2024-10-02T00:00:00Z', '2024-10-03T00:00:00Z',
            1, NULL, 'cli', NULL),
           ('over@example.com', 'over@example.com', 'soft', 'expired', 'text', '2024-01-01T00:00:00Z',
            '2024-01-01T00:00:00Z', 1, '2024-02-01T00:00:00Z', 'bounce', 99);
    INSERT INTO counters (scope, name, kind, day, count) VALUES ('address', '\"a@b\"@example.org', 'mailbox_full', 20000, 1);
";

/// A database as it was after the first so many steps.
async fn make(path: &Path, steps: usize) {
    let mut connection = raw_connection(path).await;
    let step = |(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    let steps = MIGRATIONS[..steps].iter().map(step).collect();
    Migrator::with_migrations(steps).run(&mut connection).await.unwrap();
    connection.execute(ROWS).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_database_of_any_earlier_schema_is_brought_up_to_date() {
    let dir = TempDir::new().unwrap();
    for steps in 1..MIGRATIONS.len() {
        let path = dir.path().join(format!("{steps}.db"));
        make(&path, steps).await;
        let found = MIGRATIONS[steps - 1].0;
        let refused = open(&path, Access::Read).await.unwrap_err();
        assert!(matches!(refused, StoreError::Older { found: old, .. } if old == found), "{refused}");
        let store = open(&path, Access::Serve).await.unwrap();
        let bounce = store.bounce(5).await.unwrap().unwrap();
        assert_eq!((bounce.protocol, bounce.tls), (None, None));
        store.record(contract::message(2, 0, contract::hard("b@example.org"))).await.unwrap();
        store.close().await;
    }
}

#[tokio::test]
async fn a_database_of_schema_1_is_migrated_with_everything_kept() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    make(&path, 1).await;

    assert!(matches!(open(&path, Access::Read).await, Err(StoreError::Older { found: 1, .. })));
    let store = open(&path, Access::Serve).await.unwrap();
    let entry = store.suppression("dead@example.org", Some(8), contract::at(4)).await.unwrap().unwrap();
    assert_eq!((entry.reason, entry.count, entry.stream, entry.bounce), (Reason::Hard, 3, 0, Some(5)));
    assert_eq!(entry.remote_mta.as_deref(), Some("mx.example.org"));
    assert_eq!(entry.changed_at, contract::at(0), "when the event behind it came");
    let vip = store.suppression("vip@example.com", None, contract::at(4)).await.unwrap().unwrap();
    assert_eq!(vip.changed_at, "2024-10-03T00:00:00Z".parse().unwrap(), "when the person last wrote it");
    let all = SuppressionFilter { limit: 9, ..SuppressionFilter::default() };
    let addresses = async |filter: SuppressionFilter| {
        let entries = store.suppressions(&filter).await.unwrap().items;
        entries.into_iter().map(|entry| entry.address).collect::<Vec<_>>()
    };
    assert_eq!(addresses(all.clone()).await, ["Dead@Example.org", "over@example.com", "vip@example.com"]);
    let domain = Some("example.com".to_owned());
    assert_eq!(
        addresses(SuppressionFilter { common: Filter { domain, ..Filter::default() }, ..all.clone() }).await,
        ["over@example.com", "vip@example.com"]
    );
    let bounce = store.bounce(5).await.unwrap().unwrap();
    assert_eq!((bounce.recipients.len(), bounce.recipients[0].stream), (3, 7));
    assert_eq!(store.expire(contract::at(4), 10).await.unwrap(), 1, "what ran out before is noted");
    let story = store.story("over@example.com", StoryPlace::default(), 1_000).await.unwrap();
    assert_eq!(story.changes[0].at, "2024-02-01T00:00:00Z".parse().unwrap());
    store.close().await;

    let mut connection = raw_connection(&path).await;
    let domains: Vec<String> =
        sqlx::query_scalar("SELECT domain FROM events ORDER BY id").fetch_all(&mut connection).await.unwrap();
    assert_eq!(domains, ["example.org", "", "example.org"], "the last @ begins the domain");
    let counted: i64 =
        sqlx::query_scalar("SELECT count(*) FROM counters").fetch_one(&mut connection).await.unwrap();
    assert_eq!(counted, 1);
    let applies: Vec<bool> = sqlx::query_scalar("SELECT applies FROM events ORDER BY id")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(applies, [true, false, true]);
    let counted: Vec<(i64, String, i64, String, String, i64)> =
        sqlx::query_as("SELECT day, domain, stream, class, change, count FROM aggregates")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let row = |domain: &str, stream, class: &str, change: &str| {
        (20_000, domain.to_owned(), stream, class.to_owned(), change.to_owned(), 1)
    };
    assert_eq!(
        counted,
        [
            row("", 0, "complaint", "quarantined"),
            row("example.org", 0, "mailbox_full", "counted"),
            row("example.org", 7, "recipient_unknown", "suppressed")
        ],
        "events of before are counted"
    );
    connection.close().await.unwrap();
}
