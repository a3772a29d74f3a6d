//! Addresses that are hashed: nothing in the database names anybody, and everything can be asked as before.

use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::*;
use crate::policy::Reason;
use crate::store::{EventChange, HASH_KEY_OCTETS, HashKey, Verdict, is_hashed};

pub(super) const JANE: &str = "jane.doe@example.org";

pub(super) fn key() -> HashKey {
    HashKey::new([7; HASH_KEY_OCTETS])
}

pub(super) async fn open_with(path: &Path, addresses: Addresses) -> Result<SqliteStore, StoreError> {
    let settings = Settings { addresses, ..Settings::default() };
    SqliteStore::open(path, Access::Serve, settings, WAIT).await
}

/// Every text in every table.
pub(super) async fn every_text(connection: &mut SqliteConnection) -> String {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_sqlx%' ESCAPE '\\'",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let mut all = String::new();
    for table in tables {
        let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?1)")
            .bind(&table)
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        for column in columns {
            let statement = format!("SELECT CAST({column} AS TEXT) AS text FROM {table}");
            for row in sqlx::query(sqlx::AssertSqlSafe(statement)).fetch_all(&mut *connection).await.unwrap()
            {
                let text: Option<String> = row.try_get("text").unwrap_or_default();
                all.push_str(&format!("{table}.{column}: {}\n", text.unwrap_or_default()));
            }
        }
    }
    all
}

/// A message that names its recipient wherever a message can.
pub(super) fn telling(number: u8, day: i64, class: Class, severity: Severity) -> crate::store::NewMessage {
    let mut event = contract::event("Jane.Doe@Example.org", class, severity);
    event.original_recipient = Some(JANE.to_owned());
    event.final_recipient = Some("jd4711@mail.example.net".to_owned());
    event.diagnostic_code =
        Some("550 5.1.1 <jane.doe@example.org>: jd4711 is not here, says jane.doe".to_owned());
    event.classification.evidence = "550 5.1.1 <jane.doe@example.org>".to_owned();
    event.classification.facts.new_address = Some("jane.doe@new.example".to_owned());
    let mut message = contract::message(number, day, vec![event]);
    message.reverse_path = "jane.doe@vacation.example".to_owned();
    message.recipients =
        vec!["b-aeaa2mnqcaaaaaaabbbbbbbbccccccc2=jane.doe=example.org@ours.example".to_owned()];
    message.original_recipients = vec![Some(format!("rfc822;{JANE}"))];
    message.sender = Some("Jane.Doe@example.org".to_owned());
    message.subject = Some("Jane Doe is away".to_owned());
    message.original_subject = Some("Dear jane.doe".to_owned());
    message.original_from = Some("news-jane.doe=example.org@ours.example".to_owned());
    message.original_to = vec!["Jane.Doe@Example.org".to_owned()];
    message.original_message_id = Some("<jane.doe=example.org.4711@ours.example>".to_owned());
    message.reporting_mta = Some("jane.doe@example.org".to_owned());
    message.helo = "jane.doe@example.org".to_owned();
    message.original_envelope_id = Some("id-jane.doe@example.org".to_owned());
    message.defects = vec!["two of jane.doe@example.org".to_owned()];
    message.raw = zstd::encode_all(JANE.as_bytes(), 1).unwrap();
    message
}

#[tokio::test]
async fn a_store_that_hashes_every_address_shows_none_and_answers_for_each() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open_with(&path, Addresses::hashed(key())).await.unwrap();
    for (number, day, change) in
        [(1, 0, EventChange::Counted), (2, 1, EventChange::Counted), (3, 2, EventChange::Suppressed)]
    {
        let recorded = store.record(telling(number, day, Class::Expired, Severity::Transient)).await.unwrap();
        assert_eq!(recorded.changes, [change], "counted under one key");
    }
    let again = store.record(telling(3, 2, Class::Expired, Severity::Transient)).await.unwrap();
    assert!(again.duplicate);
    let mut another_way = telling(4, 2, Class::Expired, Severity::Transient);
    another_way.events[0].key[0] = 3;
    let recorded = store.record(another_way).await.unwrap();
    assert_eq!(recorded.changes, [EventChange::None], "the same report by another way counts once");

    let found = store.suppression(JANE, None, contract::at(3)).await.unwrap().expect("suppressed");
    assert!(is_hashed(&found.address) && found.address.ends_with("@example.org"), "{}", found.address);
    assert_eq!(found.address, found.address_key);
    assert_eq!(store.suppression(&found.address, None, contract::at(3)).await.unwrap(), Some(found.clone()));
    let story = store.story(JANE, StoryPlace::default(), 1_000).await.unwrap();
    assert_eq!((story.entries.len(), story.changes.len(), story.events.len()), (1, 1, 4));
    let filter = SuppressionFilter {
        common: Filter { domain: Some("example.org".to_owned()), ..Filter::default() },
        limit: 9,
        ..Default::default()
    };
    assert_eq!(store.suppressions(&filter).await.unwrap().items, [found]);
    let filter = BounceFilter { recipient_key: Some(JANE.to_owned()), limit: 9, ..Default::default() };
    let bounces = store.bounces(&filter).await.unwrap().items;
    assert_eq!(bounces.len(), 4);
    assert!(bounces.iter().all(|bounce| !bounce.raw_kept));
    assert_eq!(bounces[0].return_paths, ["b-aeaa2mnqcaaaaaaabbbbbbbbccccccc2=***@ours.example"]);
    assert_eq!(
        bounces[0].recipients[0].diagnostic_code.as_deref().map(|text| text.matches("***").count()),
        Some(2)
    );

    let note = Some(format!("asked by {JANE}"));
    store.add(ManualEntry { note, ..entry(JANE) }).await.unwrap();
    assert_eq!(
        store.story(JANE, StoryPlace::default(), 1_000).await.unwrap().entries.len(),
        1,
        "in place of the other"
    );
    let removal = Removal {
        address_key: JANE.to_owned(),
        stream: None,
        now: contract::at(4),
        origin: crate::store::AuditOrigin::Cli,
        actor: None,
    };
    assert!(store.remove(removal).await.unwrap());
    assert!(store.suppression(JANE, None, contract::at(4)).await.unwrap().is_none());
    store.close().await;

    let text = every_text(&mut raw_connection(&path).await).await.to_lowercase();
    for name in ["jane", "jd4711"] {
        let places: Vec<&str> = text.lines().filter(|line| line.contains(name)).collect();
        assert!(places.is_empty(), "{places:#?}");
    }
}

#[tokio::test]
async fn what_waits_is_found_by_the_address_and_does_its_part() {
    let dir = TempDir::new().unwrap();
    let store = open_with(&dir.path().join("dsnd.db"), Addresses::hashed(key())).await.unwrap();
    let mut message = telling(1, 0, Class::RecipientUnknown, Severity::Permanent);
    message.events[0].trust = Trust::Unsigned;
    message.events[0].quarantined = true;
    store.record(message).await.unwrap();
    let filter = QuarantineFilter { recipient_key: Some(JANE.to_owned()), limit: 9, ..Default::default() };
    for by_address in [false, true] {
        let found =
            store.quarantined(&QuarantineFilter { by_address, ..filter.clone() }).await.unwrap().items;
        assert_eq!(found.len(), 1);
        assert!(is_hashed(&found[0].recipient));
    }
    let events = store.quarantined(&filter).await.unwrap().items.iter().map(|event| event.event).collect();
    let settling = Settling {
        events,
        verdict: Verdict::Approve,
        by: "ann".to_owned(),
        at: contract::at(1),
        dry_run: false,
    };
    assert_eq!(store.settle(settling).await.unwrap(), [Outcome::Settled(EventChange::Suppressed)]);
    assert!(store.suppression(JANE, None, contract::at(1)).await.unwrap().is_some());
    store.close().await;
}

#[tokio::test]
async fn a_list_in_clear_goes_on_answering_once_addresses_are_hashed() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open(&path, Access::Serve).await.unwrap();
    store.record(telling(1, 0, Class::RecipientUnknown, Severity::Permanent)).await.unwrap();
    for (number, day) in [(2, 0), (3, 1)] {
        let soft = vec![contract::event("soft@example.org", Class::Expired, Severity::Transient)];
        store.record(contract::message(number, day, soft)).await.unwrap();
    }
    store.close().await;

    let store = open_with(&path, Addresses::hashed(key())).await.unwrap();
    let entry = store.suppression(JANE, None, contract::at(1)).await.unwrap().expect("still on the list");
    assert_eq!((entry.reason, is_hashed(&entry.address)), (Reason::Hard, false));
    let soft = vec![contract::event("soft@example.org", Class::Expired, Severity::Transient)];
    let recorded = store.record(contract::message(4, 2, soft)).await.unwrap();
    assert_eq!(recorded.changes, [EventChange::Suppressed], "days counted before still count");
    store.record(telling(5, 3, Class::RecipientUnknown, Severity::Permanent)).await.unwrap();
    let entries = store.story(JANE, StoryPlace::default(), 1_000).await.unwrap().entries;
    assert_eq!(entries.len(), 1);
    assert!(is_hashed(&entries[0].address), "hashed in passing");
    assert_eq!((entries[0].count, entries[0].first_seen), (2, contract::at(0)), "and the same entry");
    assert!(!entries[0].evidence.as_deref().unwrap_or_default().contains("jane"));
    store.close().await;

    let other = Addresses::hashed(HashKey::new([8; HASH_KEY_OCTETS]));
    let error = open_with(&path, other).await.unwrap_err();
    assert!(matches!(error, StoreError::OtherHashKey(_)), "{error}");
}

#[tokio::test]
async fn nobody_is_taken_for_another_by_an_address_that_looks_hashed() {
    let dir = TempDir::new().unwrap();
    for (name, addresses) in [("clear", Addresses::clear(Some(key()))), ("hashed", Addresses::hashed(key()))]
    {
        let store = open_with(&dir.path().join(name), addresses).await.unwrap();
        let hashed = key().hashed(JANE);
        let spoof = vec![contract::event(&hashed, Class::RecipientUnknown, Severity::Permanent)];
        store.record(contract::message(1, 0, spoof)).await.unwrap();
        assert_eq!(store.suppression(JANE, None, contract::at(0)).await.unwrap(), None, "{name}");
        store.close().await;
    }
}

#[tokio::test]
async fn with_a_key_alone_addresses_stay_in_clear_and_the_contract_holds() {
    let dir = TempDir::new().unwrap();
    let made = std::sync::atomic::AtomicUsize::new(0);
    crate::store::contract::check(|| {
        let number = made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = dir.path().join(format!("{number}.db"));
        async move { open_with(&path, Addresses::clear(Some(key()))).await.unwrap() }
    })
    .await;
}

#[tokio::test]
async fn to_try_what_waits_hashes_nothing() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open_with(&path, Addresses::default()).await.unwrap();
    store.record(contract::message(1, 0, contract::hard(JANE))).await.unwrap();
    let mut waits = contract::message(2, 0, contract::hard(JANE));
    waits.events[0].trust = Trust::Unsigned;
    (waits.events[0].quarantined, waits.events[0].applies) = (true, false);
    store.record(waits).await.unwrap();
    store.close().await;
    let store = open_with(&path, Addresses::hashed(key())).await.unwrap();
    let text = async || every_text(&mut raw_connection(&path).await).await;
    let before = text().await;
    assert!(before.contains(JANE));
    for verdict in [Verdict::Approve, Verdict::Discard] {
        let settling =
            Settling { events: vec![2], verdict, by: "ann".to_owned(), at: contract::at(1), dry_run: true };
        assert_eq!(store.settle(settling).await.unwrap().len(), 1);
        assert_eq!(text().await, before, "{verdict:?}");
    }
}
