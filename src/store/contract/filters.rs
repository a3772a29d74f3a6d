//! Filters: what is asked for is found, and nothing else.

use super::quarantine::{put, settling};
use super::*;

const LISTED: &str = "192.0.2.44";

/// Four messages: a dead address in stream 7, our address listed at a host, one brought from a file, and one about
/// nobody; by their numbers.
pub(super) async fn four(store: &impl Store) -> [i64; 4] {
    let mut dead = hard("dead@one.example");
    (dead[0].stream, dead[0].classification.rule) = (7, "operator.dead".to_owned());
    let mut blocked = event("carl@two.example", Class::SenderBlocked, Severity::Permanent);
    blocked.remote_mta = Some("MX.two.example. (192.0.2.9)".to_owned());
    blocked.classification.facts.listed_ip = LISTED.parse().ok();
    let full = event("full@one.example", Class::MailboxFull, Severity::Transient);
    let mut from_file = message(3, 2, vec![event("old@two.example", Class::Expired, Severity::Transient)]);
    from_file.replayed = Some(Replayed { at: at(6), actor: "anna".to_owned() });
    let mut ids = [0; 4];
    let nothing = message(4, 5, vec![]);
    let messages = [message(1, 1, dead), message(2, 3, vec![blocked, full]), from_file, nothing];
    for (id, message) in ids.iter_mut().zip(messages) {
        *id = store.record(message).await.unwrap().id;
    }
    ids
}

pub(super) async fn bounces_are_found_by_every_filter(store: &impl Store) {
    let [dead, blocked, replayed, nothing] = four(store).await;
    let every = Filter::default;
    let text = |text: &str| Some(text.to_owned());
    for (common, found) in [
        (every(), vec![nothing, replayed, blocked, dead]),
        (Filter { domain: text("one.example"), ..every() }, vec![blocked, dead]),
        (Filter { class: Some(Class::MailboxFull), ..every() }, vec![blocked]),
        (Filter { rule: text("operator.dead"), ..every() }, vec![dead]),
        (Filter { remote_mta: text("mx.TWO.example."), ..every() }, vec![blocked]),
        (Filter { remote_mta: text("two.example"), ..every() }, vec![]),
        (Filter { listed_ip: LISTED.parse().ok(), ..every() }, vec![blocked]),
        (Filter { listed_ip: "192.0.2.4".parse().ok(), ..every() }, vec![]),
        (Filter { stream: Some(7), ..every() }, vec![dead]),
        (Filter { trust: Some(Trust::Unsigned), ..every() }, vec![]),
        (Filter { trust: Some(Trust::Proven), ..every() }, vec![replayed, blocked, dead]),
        (Filter { origin: Some(AuditOrigin::Bounce), ..every() }, vec![nothing, blocked, dead]),
        (Filter { origin: Some(AuditOrigin::Replay), ..every() }, vec![replayed]),
        (Filter { origin: Some(AuditOrigin::Quarantine), ..every() }, vec![]),
        (Filter { origin: Some(AuditOrigin::Cli), ..every() }, vec![]),
        // The day that two ranges share belongs to the later one.
        (Filter { since: Some(at(1)), until: Some(at(3)), ..every() }, vec![replayed, dead]),
        (Filter { since: Some(at(3)), until: Some(at(6)), ..every() }, vec![nothing, blocked]),
        // One recipient has it all, not one this and another that.
        (Filter { class: Some(Class::MailboxFull), domain: text("two.example"), ..every() }, vec![]),
        (Filter { class: Some(Class::MailboxFull), domain: text("one.example"), ..every() }, vec![blocked]),
    ] {
        let filter = BounceFilter { common: common.clone(), limit: 9, ..BounceFilter::default() };
        let ids: Vec<_> =
            store.bounces(&filter).await.unwrap().items.iter().map(|bounce| bounce.id).collect();
        assert_eq!(ids, found, "{common:?}");
    }
    let about = |class| BounceFilter {
        recipient_key: text("full@one.example"),
        common: Filter { class: Some(class), ..every() },
        limit: 9,
        ..BounceFilter::default()
    };
    assert_eq!(store.bounces(&about(Class::MailboxFull)).await.unwrap().items.len(), 1);
    assert!(store.bounces(&about(Class::SenderBlocked)).await.unwrap().items.is_empty());
}

pub(super) async fn entries_are_found_by_every_origin_that_the_history_knows(store: &impl Store) {
    let waiting = put(store, 1, 0, hard("approved@one.example")).await;
    store.settle(settling(&[waiting], Verdict::Approve)).await.unwrap();
    store.record(message(2, 0, hard("dead@one.example"))).await.unwrap();
    let mut from_file = message(3, 0, hard("old@one.example"));
    from_file.replayed = Some(Replayed { at: at(1), actor: "anna".to_owned() });
    store.record(from_file).await.unwrap();
    for (origin, found) in [
        (AuditOrigin::Bounce, "approved@one.example dead@one.example"),
        (AuditOrigin::Replay, "old@one.example"),
        (AuditOrigin::Quarantine, "approved@one.example"),
        (AuditOrigin::Hold, ""),
        (AuditOrigin::Import, ""),
    ] {
        let common = Filter { origin: Some(origin), ..Filter::default() };
        let filter = SuppressionFilter { common, limit: 9, ..SuppressionFilter::default() };
        let entries = store.suppressions(&filter).await.unwrap().items;
        let addresses: Vec<_> = entries.into_iter().map(|entry| entry.address).collect();
        assert_eq!(addresses.join(" "), found, "{origin:?}");
    }
    let common = Filter {
        origin: Some(AuditOrigin::Quarantine),
        class: Some(Class::RecipientUnknown),
        trust: Some(Trust::Unsigned),
        ..Filter::default()
    };
    let filter = SuppressionFilter { common, spared: true, ..SuppressionFilter::default() };
    assert_eq!(store.undo(filter, at(101), None).await.unwrap(), 1, "and taken back by it");
    assert!(store.suppression("approved@one.example", None, at(101)).await.unwrap().is_none());
    assert!(store.suppression("dead@one.example", None, at(101)).await.unwrap().is_some());
}
