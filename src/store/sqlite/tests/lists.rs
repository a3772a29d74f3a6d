//! Whole lists, in and out.

use std::sync::Arc;

use super::*;
use crate::policy::Reason;
use crate::store::{
    AuditOrigin, Entry, Erase, HashKey, Imported, ListMark, ListPart, Lists, Snapshot, Store,
};

const DAY: i64 = 86_400;

fn day(number: i64) -> Timestamp {
    Timestamp::from_second(20_000 * DAY + number * DAY).unwrap()
}

/// An entry that came on day 0 and ends on another.
fn listed(address: &str, reason: Reason, until: Option<i64>) -> Entry {
    Entry {
        address: address.to_owned(),
        address_key: crate::address::comparison_form(address),
        stream: 0,
        reason,
        class: Some("recipient_unknown".to_owned()),
        status: Some("5.1.1".to_owned()),
        rule: Some("iana.5.1.1".to_owned()),
        remote_mta: Some("mx.example.org".to_owned()),
        evidence: Some(format!("550 5.1.1 <{address}>: \"nobody\", =1+1\n of that name")),
        note: Some("from elsewhere".to_owned()),
        first_seen: day(-3),
        last_seen: day(0),
        count: 2,
        expires_at: until.map(day),
        recheckable: false,
        soft_term_days: 0,
        origin: AuditOrigin::Import,
        event: None,
        changed_at: day(1),
        ended: false,
    }
}

fn part(entries: Vec<Entry>, mark: Option<ListMark>) -> ListPart {
    ListPart { entries, actor: Some("anna".to_owned()), at: day(1), why: "imported from x".to_owned(), mark }
}

fn counted(added: u64, changed: u64, known: u64, duplicates: u64) -> Imported {
    Imported { added, changed, known, duplicates }
}

async fn all(store: &SqliteStore) -> Vec<Entry> {
    let mut snapshot = store.export(SuppressionFilter::default()).await.unwrap();
    let mut all = Vec::new();
    loop {
        let page = snapshot.next(2).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

#[tokio::test]
async fn what_was_imported_is_exported_as_it_was() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir.path().join("dsnd.db"), Access::Serve).await.unwrap();
    let mut entries: Vec<Entry> =
        (0..5).map(|number| listed(&format!("User{number}@X.example"), Reason::Hard, Some(180))).collect();
    entries[1].stream = 7;
    entries.push(Entry { stream: 8, ..entries[1].clone() });
    let bare = listed("z@x.example", Reason::Soft, Some(30));
    entries.push(Entry {
        class: None,
        status: None,
        rule: None,
        remote_mta: None,
        evidence: None,
        note: None,
        recheckable: true,
        soft_term_days: 60,
        ..bare
    });
    let done = store.import(part(entries.clone(), None)).await.unwrap();
    assert_eq!(done.imported, counted(7, 0, 0, 0));
    entries.sort_by(|a, b| (&a.address_key, a.stream).cmp(&(&b.address_key, b.stream)));
    assert_eq!(all(&store).await, entries);
    let again = store.import(part(entries.clone(), None)).await.unwrap();
    assert_eq!(again.imported, counted(0, 0, 7, 0));
    assert_eq!(all(&store).await, entries, "nothing of it is counted twice");
    let story = store.story("z@x.example", StoryPlace::default(), 1_000).await.unwrap();
    let [change] = story.changes.as_slice() else { panic!("{story:?}") };
    assert_eq!((change.action.as_str(), change.origin.as_str()), ("added", "import"));
    assert_eq!((change.actor.as_deref(), change.why.as_deref()), (Some("anna"), Some("imported from x")));
    assert_eq!((story.entries[0].origin.as_str(), story.entries[0].changed_at), ("import", day(1)));
}

#[tokio::test]
async fn nothing_that_stands_is_shortened_or_made_weaker() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir.path().join("dsnd.db"), Access::Serve).await.unwrap();
    let standing = [
        listed("complaint@x.example", Reason::Complaint, None),
        listed("longer@x.example", Reason::Hard, Some(200)),
        listed("shorter@x.example", Reason::Manual, Some(100)),
        listed("weaker@x.example", Reason::Hard, Some(200)),
        listed("over@x.example", Reason::Complaint, Some(1)),
    ];
    store.import(ListPart { at: day(0), ..part(standing.to_vec(), None) }).await.unwrap();
    let other = |address: &str, reason, until| Entry {
        note: None,
        evidence: Some("another".to_owned()),
        first_seen: day(-9),
        last_seen: day(-1),
        count: 1,
        ..listed(address, reason, until)
    };
    let list = vec![
        other("complaint@x.example", Reason::Hard, Some(180)),
        other("longer@x.example", Reason::Hard, Some(180)),
        other("shorter@x.example", Reason::Hard, Some(180)),
        other("weaker@x.example", Reason::Complaint, Some(180)),
        other("over@x.example", Reason::Soft, Some(30)),
    ];
    assert_eq!(store.weigh(part(list.clone(), None)).await.unwrap(), counted(1, 2, 2, 0));
    assert_eq!(all(&store).await.len(), 5, "weighing changes nothing");
    assert_eq!(store.import(part(list, None)).await.unwrap().imported, counted(1, 2, 2, 0));
    let told = all(&store).await;
    let told: Vec<_> = told
        .iter()
        .map(|entry| {
            let name = entry.address.split('@').next().unwrap();
            (name, entry.reason, entry.expires_at, entry.evidence.as_deref() == Some("another"), entry.count)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("complaint", Reason::Complaint, None, false, 2),
            ("longer", Reason::Hard, Some(day(200)), false, 2),
            ("over", Reason::Soft, Some(day(30)), true, 1),
            ("shorter", Reason::Manual, Some(day(180)), false, 2),
            ("weaker", Reason::Complaint, Some(day(200)), true, 3),
        ]
    );
    let actions = async |address: &str| -> Vec<String> {
        let changes = store.story(address, StoryPlace::default(), 1_000).await.unwrap().changes;
        changes.into_iter().map(|change| format!("{} {}", change.action, change.why.unwrap())).collect()
    };
    assert_eq!(
        actions("over@x.example").await,
        ["added imported from x", "expired its time was over", "added imported from x"]
    );
    assert_eq!(
        actions("shorter@x.example").await,
        ["added imported from x", "changed lasts longer: imported from x"]
    );
    assert_eq!(actions("longer@x.example").await.len(), 1);
}

#[tokio::test]
async fn what_comes_twice_in_a_list_is_counted_in_all_its_parts() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir.path().join("dsnd.db"), Access::Serve).await.unwrap();
    store.import(part(vec![listed("known@x.example", Reason::Hard, Some(90))], None)).await.unwrap();
    let list = vec![
        listed("a@x.example", Reason::Hard, Some(90)),
        listed("A@x.example", Reason::Complaint, Some(60)),
        listed("known@x.example", Reason::Hard, Some(90)),
        Entry { stream: 7, ..listed("a@x.example", Reason::Hard, Some(90)) },
    ];
    let first = store.import(part(list, None)).await.unwrap();
    assert_eq!(first.imported, counted(2, 0, 1, 1));
    assert!(!first.others_write);
    let next =
        vec![listed("a@x.example", Reason::Hard, Some(120)), listed("b@x.example", Reason::Hard, None)];
    let second = store.import(part(next, Some(first.mark))).await.unwrap();
    assert_eq!(second.imported, counted(1, 0, 0, 1));
    let entry = &all(&store).await[0];
    assert_eq!((entry.reason, entry.expires_at), (Reason::Complaint, Some(day(120))), "the most of all");
    let mut other = raw_connection(&dir.path().join("dsnd.db")).await;
    other.execute("UPDATE suppressions SET count = 9").await.unwrap();
    let third = store.import(part(Vec::new(), Some(second.mark))).await.unwrap();
    assert!(third.others_write);
}

#[tokio::test]
async fn an_export_that_nobody_reads_keeps_no_log_and_has_what_stood_all_the_time() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir.path().join("dsnd.db"), Access::Serve).await.unwrap();
    let list = |from: u32| -> Vec<Entry> {
        (from..from + 3).map(|number| listed(&format!("u{number}@x.example"), Reason::Hard, None)).collect()
    };
    store.import(part(list(0), None)).await.unwrap();
    let mut snapshot = store.export(SuppressionFilter::default()).await.unwrap();
    assert_eq!(snapshot.next(1).await.unwrap()[0].address, "u0@x.example");
    store.import(part(list(3), None)).await.unwrap();
    let gone = crate::store::Filter { domain: Some("gone.example".to_owned()), ..Default::default() };
    let gone = SuppressionFilter { common: gone, ..SuppressionFilter::default() };
    store.undo(gone, day(1), None).await.unwrap();
    assert!(store.fold_log().await.unwrap(), "it holds no snapshot");
    assert_eq!(std::fs::metadata(dir.path().join("dsnd.db-wal")).unwrap().len(), 0);
    let rest = snapshot.next(100).await.unwrap();
    let rest: Vec<_> = rest.into_iter().map(|entry| entry.address).collect();
    assert_eq!(rest, [1, 2, 3, 4, 5].map(|number| format!("u{number}@x.example")));
}

#[tokio::test]
async fn an_imported_list_is_taken_back_by_its_origin_alone() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir.path().join("dsnd.db"), Access::Serve).await.unwrap();
    let list = vec![
        listed("a@x.example", Reason::Complaint, None),
        listed("b@x.example", Reason::Hard, Some(90)),
        listed("c@x.example", Reason::Manual, None),
    ];
    store.import(part(list, None)).await.unwrap();
    let undo = |origin: Option<AuditOrigin>| SuppressionFilter {
        spared: true,
        common: Filter { origin, domain: Some("x.example".to_owned()), ..Filter::default() },
        ..SuppressionFilter::default()
    };
    assert_eq!(store.undo(undo(None), day(1), None).await.unwrap(), 0, "a person brought it");
    assert_eq!(store.undo(undo(Some(AuditOrigin::Import)), day(1), None).await.unwrap(), 3);
}

#[tokio::test]
async fn a_list_is_kept_hashed_where_addresses_are() {
    let dir = TempDir::new().unwrap();
    let addresses = Addresses::hashed(HashKey::new([7; 32]));
    let settings = || Settings { addresses: addresses.clone(), ..Settings::default() };
    let open = async |name: &str| {
        SqliteStore::open(&dir.path().join(name), Access::Serve, settings(), WAIT).await.unwrap()
    };
    let (store, other) = (Arc::new(open("a.db").await), open("b.db").await);
    let list = vec![listed("Jane@x.example", Reason::Hard, Some(90))];
    assert_eq!(store.import(part(list.clone(), None)).await.unwrap().imported, counted(1, 0, 0, 0));
    assert_eq!(store.weigh(part(list.clone(), None)).await.unwrap(), counted(0, 0, 1, 0));
    assert_eq!(store.import(part(list, None)).await.unwrap().imported, counted(0, 0, 1, 0));
    let hashed = all(&store).await;
    assert!(!format!("{hashed:?}").to_lowercase().contains("jane"), "{hashed:?}");
    assert!(store.suppression("jane@x.example", None, day(2)).await.unwrap().is_some());
    other.import(part(hashed.clone(), None)).await.unwrap();
    assert_eq!(all(&other).await, hashed);
    assert!(other.suppression("jane@x.example", None, day(2)).await.unwrap().is_some());
}
