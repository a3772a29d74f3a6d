//! A person is forgotten: nothing names her any more, others lose nothing, and a keyed hash goes on answering.

use sqlx::Connection;

use super::hashed::{JANE, every_text, key, open_with, telling};
use super::*;
use crate::policy::Reason;
use crate::store::{Erase, Erased, Erasure, EventChange, HASH_KEY_OCTETS, HashKey, is_hashed};

const JOHN: &str = "john@example.org";

fn erasure(address: &str, dry_run: bool) -> Erasure {
    Erasure { address: address.to_owned(), by: "ann".to_owned(), at: contract::at(5), dry_run }
}

async fn erase(store: &SqliteStore, address: &str) -> Erased {
    store.erase(&erasure(address, false), &|_, _| {}).await.unwrap()
}

/// Reports about her alone, about her and others, and one of another that quotes her.
async fn fill(store: &SqliteStore) {
    store.record(telling(1, 0, Class::RecipientUnknown, Severity::Permanent)).await.unwrap();
    let mut both = telling(2, 1, Class::RecipientUnknown, Severity::Permanent);
    let mut john = contract::event(JOHN, Class::RecipientUnknown, Severity::Permanent);
    john.classification.evidence = "550 5.1.1 neither Jane.Doe@Example.org nor john".to_owned();
    john.diagnostic_code = Some("550 5.1.1 neither jane.doe@example.org nor john".to_owned());
    john.key = [9; 32];
    both.events.push(john);
    both.original_to.push(JOHN.to_owned());
    both.reverse_path = String::new();
    store.record(both).await.unwrap();
    let mut waits = telling(3, 2, Class::RecipientUnknown, Severity::Permanent);
    waits.events[0].quarantined = true;
    store.record(waits).await.unwrap();
    let mut forwarded = contract::message(
        4,
        2,
        vec![contract::event("alias@example.net", Class::Expired, Severity::Transient)],
    );
    forwarded.events[0].final_recipient = Some(JANE.to_owned());
    forwarded.reporting_mta = Some("Jane.Doe@Example.org".to_owned());
    forwarded.helo = "jane.doe@example.org".to_owned();
    store.record(forwarded).await.unwrap();
    // What a raw message alone says, in words that only a mail program reads.
    let mut quoted = contract::message(5, 2, contract::hard("dead@example.org"));
    let body =
        "From: a\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nto jane.=\r\ndoe=40example.org\r\n";
    quoted.raw = zstd::encode_all(body.as_bytes(), 1).unwrap();
    store.record(quoted).await.unwrap();
    let note = Some("ask jane.doe@example.org first".to_owned());
    store.add(ManualEntry { note, ..entry("vip@example.org") }).await.unwrap();
}

async fn names_nobody(path: &Path) {
    let mut connection = raw_connection(path).await;
    let text = every_text(&mut connection).await.to_lowercase();
    connection.close().await.unwrap();
    for name in ["jane", "jd4711"] {
        let places: Vec<&str> = text.lines().filter(|line| line.contains(name)).collect();
        assert!(places.is_empty(), "{places:#?}");
    }
}

#[tokio::test]
async fn nothing_names_a_person_who_was_erased_and_others_lose_nothing() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open(&path, Access::Serve).await.unwrap();
    fill(&store).await;
    let mut connection = raw_connection(&path).await;
    let formerly =
        "UPDATE events SET formerly = json_object('class', class, 'evidence', 'to jane.doe@example.org')";
    connection.execute(formerly).await.unwrap();
    connection.close().await.unwrap();
    let told = store.erase(&erasure(JANE, true), &|_, _| {}).await.unwrap();
    assert!(
        store.suppression(JANE, None, contract::at(5)).await.unwrap().is_some(),
        "a dry run changes nothing"
    );
    let erased = erase(&store, "JANE.DOE@example.org").await;
    assert_eq!(told, erased, "and says what would be");
    assert_eq!((erased.events.removed, erased.events.rewritten), (3, 3));
    assert_eq!((erased.raw.removed, erased.suppressions.removed, erased.suppressions.rewritten), (5, 1, 2));
    assert!(!erased.still_suppressed);

    assert!(store.story(JANE, StoryPlace::default(), 1_000).await.unwrap().is_empty());
    assert!(store.suppression(JANE, None, contract::at(5)).await.unwrap().is_none());
    let john = store.story(JOHN, StoryPlace::default(), 1_000).await.unwrap();
    assert_eq!((john.entries.len(), john.changes.len(), john.events.len()), (1, 1, 1));
    let bounce = store.bounce(john.events[0].bounce).await.unwrap().unwrap();
    assert_eq!(bounce.recipients.len(), 1);
    assert_eq!(bounce.original_to, ["[erased]", JOHN]);
    let alias = store.story("alias@example.net", StoryPlace::default(), 1_000).await.unwrap();
    assert_eq!(alias.events[0].event.final_recipient.as_deref(), Some("[erased]"));
    let recorded = store.record(telling(1, 0, Class::RecipientUnknown, Severity::Permanent)).await.unwrap();
    assert!(recorded.duplicate, "the same message does not bring her back");
    let again = erase(&store, JANE).await;
    assert!(again.is_empty(), "{again:?}");
    store.close().await;
    names_nobody(&path).await;

    let mut connection = raw_connection(&path).await;
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT actor, why FROM audit WHERE action = 'erased'")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(
        rows,
        [("ann".to_owned(), "an address was erased".to_owned())],
        "one row says that it was done"
    );
    for statement in ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"] {
        assert!(connection.execute(statement).await.is_err(), "rows of others stay as they are: {statement}");
    }
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_keyed_hash_goes_on_suppressing_and_what_comes_in_finds_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open_with(&path, Addresses::clear(Some(key()))).await.unwrap();
    fill(&store).await;
    let before = store.suppression(JANE, None, contract::at(5)).await.unwrap().unwrap();
    let erased = erase(&store, JANE).await;
    assert!(erased.still_suppressed);
    let entry = store.suppression(JANE, None, contract::at(5)).await.unwrap().expect("still suppressed");
    assert_eq!((entry.reason, entry.expires_at), (before.reason, before.expires_at), "as long as before");
    assert_eq!(entry.note.as_deref(), Some("address erased"));
    assert!(is_hashed(&entry.address) && entry.evidence.is_none());

    let mut message = telling(6, 6, Class::RecipientUnknown, Severity::Permanent);
    message.events.push(contract::event(JOHN, Class::RecipientUnknown, Severity::Permanent));
    message.events[1].key = [8; 32];
    message.reverse_path = String::new();
    store.record(message).await.unwrap();
    let entries = store.story(JANE, StoryPlace::default(), 1_000).await.unwrap().entries;
    assert_eq!(entries.len(), 1, "no second entry");
    assert!(is_hashed(&entries[0].address) && entries[0].count == before.count + 1);
    let events = store.story(JOHN, StoryPlace::default(), 1_000).await.unwrap().events;
    assert_eq!(events.last().unwrap().event.recipient, JOHN, "others stay in clear");
    let filter = BounceFilter { recipient_key: Some(JANE.to_owned()), limit: 9, ..Default::default() };
    assert_eq!(store.bounces(&filter).await.unwrap().items.len(), 1, "it is found by her address");
    store.close().await;
    names_nobody(&path).await;

    let store = open_with(&path, Addresses::clear(Some(key()))).await.unwrap();
    let removal = Removal {
        address_key: JANE.to_owned(),
        stream: None,
        now: contract::at(7),
        origin: crate::store::AuditOrigin::Cli,
        actor: None,
    };
    assert!(store.remove(removal).await.unwrap(), "she may be taken off the list by her address");
    let recorded = store.record(telling(7, 8, Class::RecipientUnknown, Severity::Permanent)).await.unwrap();
    assert_eq!(recorded.changes, [EventChange::Suppressed]);
    assert_eq!(store.suppression(JANE, None, contract::at(8)).await.unwrap().unwrap().reason, Reason::Hard);
    store.close().await;
    let other = Addresses::clear(Some(HashKey::new([9; HASH_KEY_OCTETS])));
    assert!(matches!(open_with(&path, other).await, Err(StoreError::OtherHashKey(_))));
}

#[tokio::test]
async fn a_database_in_clear_is_hashed_whole() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open(&path, Access::Serve).await.unwrap();
    fill(&store).await;
    let mut connection = raw_connection(&path).await;
    let formerly =
        "UPDATE events SET formerly = json_object('class', class, 'evidence', 'to jane.doe@example.org')";
    connection.execute(formerly).await.unwrap();
    connection.close().await.unwrap();
    let story = store.story(JANE, StoryPlace::default(), 1_000).await.unwrap();
    assert!(store.hash_everything(&|_, _| {}).await.is_err(), "not while addresses are kept in clear");
    store.close().await;
    let store = open_with(&path, Addresses::hashed(key())).await.unwrap();
    assert!(store.addresses_stand().await.unwrap().clear);
    for _ in 0..2 {
        store.hash_everything(&|_, _| {}).await.unwrap();
        let stand = store.addresses_stand().await.unwrap();
        assert_eq!((stand.clear, stand.hashed), (false, true));
        let hashed = store.story(JANE, StoryPlace::default(), 1_000).await.unwrap();
        assert_eq!(hashed.entries.len(), story.entries.len());
        assert_eq!((hashed.changes.len(), hashed.events.len()), (story.changes.len(), story.events.len()));
        assert_eq!(hashed.changes[0].after.as_ref().unwrap()["address"], key().hashed(JANE));
    }
    let again = store.record(telling(1, 0, Class::RecipientUnknown, Severity::Permanent)).await.unwrap();
    assert!(again.duplicate);
    let mut another_way = telling(8, 0, Class::RecipientUnknown, Severity::Permanent);
    another_way.events[0].key[0] = 1;
    let recorded = store.record(another_way).await.unwrap();
    assert_eq!(recorded.changes, [EventChange::None], "one report counts once, also across the change");
    store.close().await;
    names_nobody(&path).await;
    let mut connection = raw_connection(&path).await;
    let text = every_text(&mut connection).await;
    let clear: Vec<&str> = text
        .lines()
        .filter(|line| ["john@", "dead@", "vip@", "alias@"].iter().any(|name| line.contains(name)))
        .collect();
    assert!(clear.is_empty(), "{clear:#?}");
}

#[tokio::test]
async fn a_person_with_very_many_reports_is_forgotten_in_many_transactions() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open_with(&path, Addresses::hashed(key())).await.unwrap();
    for number in 0..250_u16 {
        let mut message = telling(1, 0, Class::RecipientUnknown, Severity::Permanent);
        message.digest[..2].copy_from_slice(&number.to_be_bytes());
        message.events[0].key[..2].copy_from_slice(&number.to_be_bytes());
        store.record(message).await.unwrap();
    }
    let told = std::sync::Mutex::new(Vec::new());
    let progress = |done, total| told.lock().unwrap().push((done, total));
    let erased = store.erase(&erasure(JANE, false), &progress).await.unwrap();
    assert_eq!((erased.events.removed, erased.messages.rewritten), (250, 250));
    assert!(erased.still_suppressed, "found under the hash that it was recorded under");
    assert!(told.into_inner().unwrap().iter().all(|(done, total)| done <= total));
    let story = store.story(JANE, StoryPlace::default(), 1_000).await.unwrap();
    assert_eq!((story.entries.len(), story.events.len()), (1, 0));
    assert_eq!(story.changes.iter().map(|change| change.action.as_str()).collect::<Vec<_>>(), ["erased"]);
    assert!(erase(&store, JANE).await.is_empty());
    store.close().await;
}

/// Columns that may name a person: [`Erase::erase`] and [`Erase::hash_everything`] have to know them.
const MAY_NAME: &[&str] = &[
    "audit: address_key address before after why",
    "counters: name",
    "events: recipient recipient_key original_recipient final_recipient status diagnostic_code remote_mta evidence facts
        formerly",
    "messages: helo reverse_path recipients original_recipients envelope_id message_id sender subject reporting_mta
        original_envelope_id original_message_id original_from original_to original_subject defects",
    "outbox: address_key data",
    "suppressions: address_key address evidence note remote_mta",
];

/// Columns whose words are dsnd's own, an operator's, or names of hosts and domains.
const NAMES_NOBODY: &[&str] = &[
    "aggregates: domain class decision change",
    "api_tokens: name scope created_at created_by expires_at revoked_at revoked_by last_used",
    "audit: at action origin actor",
    "counters: scope kind",
    "events: received_at trust action effective_status diagnostic_type last_attempt_date bounce_type category class
        decision rule evidence_field change domain settled_at settled_by reclassified_at",
    "hash_key: fingerprint",
    "holds: kind name opened_at why state settled_at settled_by",
    "messages: received_at peer kind arrival_date protocol tls recorded_at replayed_at",
    "outbox: at type",
    "probe: at",
    "suppression_rates: kind name",
    "suppressions: reason class status rule first_seen last_seen expires_at origin domain changed_at",
    "webhook_deliveries: webhook state failed_at next_at dead_at error",
    "webhooks: name failing_since error delivered_at",
];

#[tokio::test]
async fn of_every_text_that_is_stored_it_is_known_whether_it_may_name_somebody() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    open(&path, Access::Serve).await.unwrap().close().await;
    let mut connection = raw_connection(&path).await;
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT tables.name || '.' || columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
         WHERE tables.type = 'table' AND tables.name NOT LIKE '%sqlx%' AND tables.name NOT LIKE 'sqlite%' AND columns.type = 'TEXT'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let columns = |list: &[&str]| -> Vec<String> {
        let of = |line: &&str| {
            let (table, columns) = line.split_once(": ").unwrap();
            columns.split_whitespace().map(|column| format!("{table}.{column}")).collect::<Vec<_>>()
        };
        list.iter().flat_map(of).collect()
    };
    let (mut known, mut found) = ([columns(MAY_NAME), columns(NAMES_NOBODY)].concat(), found);
    known.sort();
    found.sort();
    assert_eq!(
        found, known,
        "name it above; where it may name somebody, src/store/sqlite/erase removes and hashes it"
    );
}
