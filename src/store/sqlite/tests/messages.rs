//! Recorded messages: found by an index, read in bounded pages, by readers that do not take those of others.

use super::*;
use crate::returnpath::Trust;
use crate::store::{Bounce, LISTED_RECIPIENTS, NewMessage, PAGE_OCTETS, Page, SHOWN_RECIPIENTS};

fn everything() -> BounceFilter {
    BounceFilter { limit: 100, ..BounceFilter::default() }
}

/// A report about so many recipients, each with a text of so many octets.
fn report(number: u8, recipients: usize, octets: usize) -> NewMessage {
    let events = (0..recipients).map(|recipient| {
        let mut event = contract::hard(&format!("r{recipient}@n{number}.example")).remove(0);
        event.diagnostic_code = Some("x".repeat(octets));
        event
    });
    let mut message = contract::message(number, 0, events.collect());
    for (index, event) in message.events.iter_mut().enumerate() {
        event.key[..9].copy_from_slice(&[&[number][..], &index.to_be_bytes()].concat());
    }
    message
}

fn octets(page: &Page<Bounce>) -> usize {
    serde_json::to_vec(&page.items).unwrap().len()
}

#[tokio::test]
async fn every_filter_is_driven_by_an_index() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    open(&path, Access::Serve).await.unwrap().close().await;
    let mut connection = raw_connection(&path).await;
    let every = Filter::default;
    let common = |common: Filter| BounceFilter { common, ..everything() };
    let of_recipient = BounceFilter { recipient_key: Some("a@example.org".to_owned()), ..everything() };
    let of_kind = BounceFilter { kind: Some("dsn".to_owned()), ..everything() };
    let (class, trust) = (Some(Class::MailboxFull), Some(Trust::Unsigned));
    let host = Some("MX.example.org.".to_owned());
    for (filter, led_by) in [
        (of_recipient, "events_recipient (recipient_key=?)"),
        (common(Filter { class, ..every() }), "events_class (class=? AND message<?)"),
        (common(Filter { trust, ..every() }), "events_trust (trust=? AND message<?)"),
        (common(Filter { domain: host.clone(), ..every() }), "events_domain (domain=? AND message<?)"),
        (common(Filter { rule: host.clone(), ..every() }), "events_rule (rule=? AND message<?)"),
        (common(Filter { remote_mta: host, ..every() }), "events_remote_mta (<expr>=? AND message<?)"),
        (
            common(Filter { listed_ip: "192.0.2.1".parse().ok(), ..every() }),
            "events_listed_ip (<expr>=? AND message<?)",
        ),
        (common(Filter { stream: Some(7), ..every() }), "events_message (message<?)"),
        (
            common(Filter { since: Some(contract::at(0)), ..every() }),
            "INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
        ),
        (
            common(Filter { class, since: Some(contract::at(0)), ..every() }),
            "events_class (class=? AND message>? AND message<?)",
        ),
        (of_kind, "messages_kind (kind=? AND rowid<?)"),
        (everything(), "INTEGER PRIMARY KEY (rowid<?)"),
    ] {
        let mut sql = filter::Sql::new("EXPLAIN QUERY PLAN ");
        super::super::messages::matching(&mut sql, &Addresses::default(), &filter, 10);
        let rows = sql.build().fetch_all(&mut connection).await.unwrap();
        let steps: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, "detail")).collect();
        assert!(steps[0].starts_with("SEARCH") && steps[0].contains(led_by), "{led_by}: {steps:?}");
        let sorts = steps.iter().any(|step| step.contains("TEMP B-TREE"));
        assert_eq!(sorts, filter.recipient_key.is_some(), "one address has few: {steps:?}");
        assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{steps:?}");
    }
}

#[tokio::test]
async fn a_page_of_large_reports_ends_by_its_octets_and_goes_on_where_it_ended() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir.path().join("dsnd.db"), Access::Serve).await.unwrap();
    for number in 0..20 {
        store.record(report(number, LISTED_RECIPIENTS, 8_000)).await.unwrap();
    }
    let (mut seen, mut pages, mut before) = (Vec::new(), 0, None);
    loop {
        let page = store.bounces(&BounceFilter { before, ..everything() }).await.unwrap();
        // The last message goes beyond it, by no more than one of its recipients has.
        assert!(octets(&page) < PAGE_OCTETS + 20_000, "{}", octets(&page));
        seen.extend(page.items.iter().map(|bounce| bounce.id));
        pages += 1;
        before = page.items.last().map(|bounce| bounce.id);
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, (1..=20).rev().collect::<Vec<i64>>(), "each once, the newest first");
    assert!(pages > 2, "{pages}");
    assert_eq!(store.count_bounces(&everything(), 1_000).await.unwrap(), 20);
    assert_eq!(store.count_bounces(&everything(), 7).await.unwrap(), 7, "no further than is asked for");
}

#[tokio::test]
async fn a_report_about_very_many_is_cut_with_a_count_and_a_cursor() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir.path().join("dsnd.db"), Access::Serve).await.unwrap();
    let all = SHOWN_RECIPIENTS + 30;
    let id = store.record(report(1, all, 10)).await.unwrap().id;
    let listed = store.bounces(&everything()).await.unwrap().items.remove(0);
    assert_eq!((listed.recipients.len(), listed.recipient_count), (LISTED_RECIPIENTS, all as i64));
    assert_eq!(listed.next_recipient, listed.recipients.last().map(|last| last.event));

    let first = store.bounce(id).await.unwrap().unwrap();
    assert_eq!((first.recipients.len(), first.recipient_count), (SHOWN_RECIPIENTS, all as i64));
    let rest = store.bounce_after(id, first.next_recipient.unwrap()).await.unwrap().unwrap();
    assert_eq!((rest.recipients.len(), rest.next_recipient), (30, None));
    let shown = first.recipients.iter().chain(&rest.recipients).map(|event| event.recipient.clone());
    assert_eq!(shown.collect::<Vec<_>>(), (0..all).map(|n| format!("r{n}@n1.example")).collect::<Vec<_>>());
}

#[tokio::test]
async fn four_slow_listings_delay_no_lookup_no_health_check_and_no_export() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir.path().join("dsnd.db"), Access::Serve).await.unwrap();
    store.add(entry("a@example.org")).await.unwrap();
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(store.readers.listings.acquire().await.unwrap());
    }
    let limit = Duration::from_secs(20);
    let filter = everything();
    let listing = store.bounces(&filter);
    tokio::pin!(listing);
    let answered = async {
        let standing = store.suppression("a@example.org", None, Timestamp::now()).await.unwrap();
        assert!(standing.is_some());
        let nobody = store.suppression("", None, Timestamp::UNIX_EPOCH).await.unwrap(); // as the watchdog asks
        assert!(nobody.is_none());
        crate::store::Probe::probe(&store).await.unwrap();
        let mut export = crate::store::Lists::export(&store, SuppressionFilter::default()).await.unwrap();
        assert_eq!(crate::store::Snapshot::next(&mut export, 10).await.unwrap().len(), 1);
    };
    tokio::select! {
        biased;
        _ = &mut listing => panic!("there is no reader for a fifth listing"),
        () = answered => {}
        () = tokio::time::sleep(limit) => panic!("what waits for listings is late"),
    }
    slow.clear();
    assert!(listing.await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_log_that_a_reader_held_shrinks_when_the_reader_is_gone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    let store = open(&path, Access::Serve).await.unwrap();
    let log = || std::fs::metadata(dir.path().join("dsnd.db-wal")).map_or(0, |log| log.len());
    store.record(report(0, 1, 10)).await.unwrap();
    let mut reader = raw_connection(&path).await;
    reader.execute("BEGIN; SELECT * FROM messages").await.unwrap();
    let mut number = 0;
    let mut large = || {
        number += 1;
        let mut large = report(number, 1, 10);
        large.raw = vec![number; 20 << 20];
        large
    };
    while log() < 100 << 20 {
        store.record(large()).await.unwrap();
    }
    reader.execute("ROLLBACK").await.unwrap();
    // SQLite folds it after this commit, and begins it anew with the next.
    store.record(large()).await.unwrap();
    store.record(large()).await.unwrap();
    store.record(report(200, 1, 10)).await.unwrap();
    assert!(log() <= 32 << 20, "{}", log());
    let whole: String = sqlx::query_scalar("PRAGMA quick_check").fetch_one(&mut reader).await.unwrap();
    assert_eq!(whole, "ok");
}

#[tokio::test]
async fn the_oldest_raw_messages_that_nothing_proves_go_first_and_what_was_read_from_them_stays() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir.path().join("dsnd.db"), Access::Serve).await.unwrap();
    let mut ids = Vec::new();
    for (number, unproven) in [(1, false), (2, true), (3, true), (4, true)] {
        let mut message = contract::message(number, number.into(), contract::hard("a@example.org"));
        (message.unproven, message.raw) = (unproven, vec![0; 1_000]);
        ids.push(store.record(message).await.unwrap().id);
    }
    assert_eq!(crate::store::Vitals::vitals(&store).await.unwrap().unproven_raw, 3_000);
    assert_eq!(store.prune_unproven(3_000, 10).await.unwrap(), 0, "there is room for them");
    assert_eq!(store.prune_unproven(1_500, 1).await.unwrap(), 1, "no more at once than asked for");
    assert_eq!(store.prune_unproven(1_500, 10).await.unwrap(), 1);
    let mut kept = Vec::new();
    for id in ids {
        kept.push(store.bounce(id).await.unwrap().unwrap().raw_kept);
    }
    assert_eq!(kept, [true, false, false, true]);
    assert_eq!(store.prune_unproven(0, 10).await.unwrap(), 1);
    assert_eq!(crate::store::Vitals::vitals(&store).await.unwrap().unproven_raw, 0);
}

#[tokio::test]
async fn what_is_held_about_an_address_is_found_by_the_address() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("dsnd.db");
    open(&path, Access::Serve).await.unwrap().close().await;
    let mut connection = raw_connection(&path).await;
    let plan = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", super::super::standing::HELD));
    let rows = sqlx::query(plan).fetch_all(&mut connection).await.unwrap();
    let steps: Vec<String> = rows.iter().map(|row| sqlx::Row::get(row, "detail")).collect();
    let index = "SEARCH events USING INDEX events_held_address (recipient_key=?)";
    assert!(steps.iter().any(|step| step == index), "{steps:?}");
}

#[tokio::test]
async fn what_a_report_counts_for_in_quotas_is_what_the_database_grows_by() {
    for (recipients, octets) in [(0, 10), (1_000, 22), (1_000, 4_000)] {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("dsnd.db");
        let store = open(&path, Access::Serve).await.unwrap();
        let size = async || {
            let mut reader = store.readers.tasks.acquire().await.unwrap();
            let pages: i64 =
                sqlx::query_scalar("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size")
                    .fetch_one(&mut *reader)
                    .await
                    .unwrap();
            pages.unsigned_abs()
        };
        let (empty, mut counted) = (size().await, 0);
        let reports = if recipients == 0 { 250 } else { 5 };
        for number in 0..reports {
            let mut message = report(number, recipients, octets);
            for event in &mut message.events {
                (event.applies, event.quarantined, event.trust) = (false, true, Trust::TokenOnly);
            }
            message.raw = vec![7; 500];
            counted += message.octets();
            store.record(message).await.unwrap();
        }
        let grown = size().await - empty;
        let percent = 100 * grown / counted;
        assert!((60..=110).contains(&percent), "{recipients} {octets}: {grown} of {counted}, {percent} %");
    }
}
