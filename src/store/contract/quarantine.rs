//! What waits for a person, and one report that comes in many ways.

use super::*;

/// The events of a report that nothing proves.
fn waiting(mut events: Vec<NewEvent>) -> Vec<NewEvent> {
    for event in &mut events {
        (event.quarantined, event.applies, event.trust) = (true, false, Trust::Unsigned);
    }
    events
}

pub(super) fn settling(events: &[i64], verdict: Verdict) -> Settling {
    Settling { events: events.to_vec(), verdict, by: "anna".to_owned(), at: at(100), dry_run: false }
}

async fn approve(store: &impl Store, events: &[i64]) -> Vec<Outcome> {
    store.settle(settling(events, Verdict::Approve)).await.unwrap()
}

async fn found(store: &impl Store, filter: QuarantineFilter) -> Vec<i64> {
    let limit = if filter.limit == 0 { 100 } else { filter.limit };
    let events = store.quarantined(&QuarantineFilter { limit, ..filter }).await.unwrap().items;
    events.into_iter().map(|event| event.event).collect()
}

/// The newest event's number.
pub(super) async fn put(store: &impl Store, number: u8, day: i64, events: Vec<NewEvent>) -> i64 {
    let recorded = store.record(message(number, day, waiting(events))).await.unwrap();
    assert!(recorded.changes.iter().all(|change| *change == EventChange::Quarantined));
    store.bounce(recorded.id).await.unwrap().unwrap().recipients.last().unwrap().event
}

pub(super) async fn what_waits_is_found_by_every_filter(store: &impl Store) {
    let dead = put(store, 1, 0, hard("Dead@one.example")).await;
    let mut full = vec![event("full@two.example", Class::MailboxFull, Severity::Transient)];
    full[0].remote_mta = Some("MX.two.example. (192.0.2.9)".to_owned());
    let mut message = message(2, 5, waiting(full));
    message.peer = "[2001:db8::7]:4025".to_owned();
    message.events[0].trust = Trust::TokenOnly;
    let bounce = store.record(message).await.unwrap().id;
    store.record(super::message(3, 5, hard("proven@one.example"))).await.unwrap();
    let full = dead + 1;
    let (none, every) = (QuarantineFilter::default, Filter::default);
    let common = |common| QuarantineFilter { common, ..none() };
    for (filter, wanted) in [
        (none(), vec![dead, full]),
        (QuarantineFilter { limit: 1, ..none() }, vec![dead]),
        (QuarantineFilter { after: Some(dead), ..none() }, vec![full]),
        (QuarantineFilter { bounce: Some(bounce), ..none() }, vec![full]),
        (common(Filter { domain: Some("one.example".to_owned()), ..every() }), vec![dead]),
        (QuarantineFilter { recipient_key: Some("dead@one.example".to_owned()), ..none() }, vec![dead]),
        (common(Filter { class: Some(Class::MailboxFull), ..every() }), vec![full]),
        (common(Filter { remote_mta: Some("mx.TWO.example".to_owned()), ..every() }), vec![full]),
        (QuarantineFilter { peer: "2001:db8::/32".parse().ok(), ..none() }, vec![full]),
        (common(Filter { trust: Some(Trust::TokenOnly), ..every() }), vec![full]),
        (common(Filter { trust: Some(Trust::Proven), ..every() }), vec![]),
        (common(Filter { since: Some(at(5)), ..every() }), vec![full]),
        (common(Filter { until: Some(at(5)), ..every() }), vec![dead]),
    ] {
        assert_eq!(found(store, filter.clone()).await, wanted, "{filter:?}");
    }
    let filter = || QuarantineFilter { by_address: true, limit: 1, ..none() };
    let first = found(store, filter()).await;
    let after_address = Some(("dead@one.example".to_owned(), at(0), dead));
    let second = found(store, QuarantineFilter { after_address, ..filter() }).await;
    assert_eq!((first, second), (vec![dead], vec![full]), "address by address");
    let by_trust = BounceFilter {
        common: Filter { trust: Some(Trust::TokenOnly), ..every() },
        limit: 9,
        ..BounceFilter::default()
    };
    assert_eq!(store.bounces(&by_trust).await.unwrap().items.len(), 1);
}

pub(super) async fn what_came_to_anothers_return_path_is_approved_by_number_alone(store: &impl Store) {
    let usual = put(store, 1, 0, hard("usual@example.org")).await;
    let mut message = message(2, 0, waiting(hard("strange@example.org")));
    message.events[0].trust = Trust::TokenOnly;
    store.record(message).await.unwrap();
    let strange = usual + 1;
    assert_eq!(found(store, QuarantineFilter::default()).await, [usual, strange], "both are shown");
    let approvable = QuarantineFilter { approvable: true, ..QuarantineFilter::default() };
    assert_eq!(found(store, approvable.clone()).await, [usual]);
    assert_eq!(store.count_quarantined(&approvable, 9).await.unwrap(), 1);
    let common = Filter { trust: Some(Trust::TokenOnly), ..Filter::default() };
    assert_eq!(
        found(store, QuarantineFilter { common, ..approvable }).await,
        [strange],
        "who asks for them gets them"
    );
    let outcomes = approve(store, &[strange]).await;
    assert_eq!(outcomes, [Outcome::Settled(EventChange::Suppressed)]);
}

pub(super) async fn what_is_approved_does_what_it_would_have_done(store: &impl Store) {
    let mut events = hard("dead@example.org");
    events.extend(soft("soft@example.org"));
    events.push(event("x400 thing", Class::RecipientUnknown, Severity::Permanent));
    let last = put(store, 1, 0, events).await;
    let (dead, slow) = (last - 2, last - 1);
    let mut dry = settling(&[dead, slow, last, 999], Verdict::Approve);
    dry.dry_run = true;
    let outcomes = [
        Outcome::Settled(EventChange::Suppressed),
        Outcome::Settled(EventChange::Counted),
        Outcome::NoAddress,
        Outcome::Missing,
    ];
    for _ in 0..2 {
        assert_eq!(store.settle(dry.clone()).await.unwrap(), outcomes, "a dry run, which changes nothing");
        assert!(store.suppression("dead@example.org", None, at(1)).await.unwrap().is_none());
    }
    assert_eq!(approve(store, &[dead, slow, last, 999]).await, outcomes);
    let entry = store.suppression("dead@example.org", None, at(1)).await.unwrap().expect("suppressed");
    assert_eq!((entry.expires_at, entry.last_seen), (Some(at(180)), at(0)), "from the day it was received");
    assert_eq!(found(store, QuarantineFilter::default()).await, [last], "what names nobody goes on waiting");
    let again = Outcome::NotWaiting {
        change: "suppressed".to_owned(),
        at: Some(at(100)),
        by: Some("anna".to_owned()),
    };
    assert_eq!(approve(store, &[dead]).await, [again]);
    let discarded = store.settle(settling(&[last], Verdict::Discard)).await.unwrap();
    assert_eq!(discarded, [Outcome::Settled(EventChange::Discarded)]);
    assert!(found(store, QuarantineFilter::default()).await.is_empty());
}

pub(super) async fn what_is_approved_late_takes_nothing_back(store: &impl Store) {
    let old = put(store, 1, 0, hard("a@example.org")).await;
    store.record(message(2, 100, hard("a@example.org"))).await.unwrap();
    assert_eq!(approve(store, &[old]).await, [Outcome::Settled(EventChange::Seen)]);
    let entry = store.suppression("a@example.org", None, at(101)).await.unwrap().unwrap();
    assert_eq!((entry.expires_at, entry.last_seen, entry.count), (Some(at(280)), at(100), 2));

    let complaint = vec![event("b@example.org", Class::Complaint, Severity::Transient)];
    let old = put(store, 3, 0, complaint).await;
    store.record(message(4, 100, hard("b@example.org"))).await.unwrap();
    assert_eq!(approve(store, &[old]).await, [Outcome::Settled(EventChange::Suppressed)], "weightier");
    let entry = store.suppression("b@example.org", None, at(9_000)).await.unwrap().expect("for ever");
    assert_eq!((entry.last_seen, entry.first_seen), (at(100), at(0)));

    // A delivery that waited says nothing of the soft bounces after it.
    let delivered =
        put(store, 5, 0, vec![event("c@example.org", Class::Delivered, Severity::Transient)]).await;
    for day in 1..3 {
        store.record(message(5 + day, day.into(), soft("c@example.org"))).await.unwrap();
    }
    assert_eq!(approve(store, &[delivered]).await, [Outcome::Settled(EventChange::Cleared)]);
    let third = store.record(message(9, 3, soft("c@example.org"))).await.unwrap();
    assert_eq!(third.changes, [EventChange::Suppressed]);
}

pub(super) async fn what_is_approved_after_its_term_makes_no_entry(store: &impl Store) {
    let mut old = message(1, 0, waiting(hard("a@example.org")));
    old.events.extend(waiting(vec![event("b@example.org", Class::Complaint, Severity::Transient)]));
    for (index, event) in old.events.iter_mut().enumerate() {
        event.key[1] = index as u8;
    }
    store.record(old).await.unwrap();
    let events = found(store, QuarantineFilter::default()).await;
    let late = Settling { at: at(181), ..settling(&events, Verdict::Approve) };
    let outcomes = [Outcome::Idle(Idle::TermOver), Outcome::Settled(EventChange::Suppressed)];
    assert_eq!(store.settle(late).await.unwrap(), outcomes, "a complaint has no end");
    let story = store.story("a@example.org", StoryPlace::default(), 1_000).await.unwrap();
    assert!(story.entries.is_empty() && story.changes.is_empty(), "{story:?}");
    assert!(found(store, QuarantineFilter::default()).await.is_empty(), "and it is settled");
}

pub(super) async fn soft_bounces_that_waited_reach_the_threshold_together(store: &impl Store) {
    let mut events = Vec::new();
    for day in 0..3 {
        events.push(put(store, day, day.into(), soft("a@example.org")).await);
    }
    let changes = [EventChange::Counted, EventChange::Counted, EventChange::Suppressed];
    let outcomes = changes.map(Outcome::Settled);
    for dry_run in [true, false] {
        let settling = Settling { at: at(3), dry_run, ..settling(&events, Verdict::Approve) };
        assert_eq!(store.settle(settling).await.unwrap(), outcomes, "dry: {dry_run}");
    }
}

/// The same report once more: the content and so the keys of message 1, in another envelope.
pub(super) fn once_more(envelope: u8, events: Vec<NewEvent>) -> NewMessage {
    let mut copy = message(1, 0, events);
    copy.digest = [envelope; 32];
    copy
}

pub(super) async fn one_report_changes_nobody_twice_however_it_comes(store: &impl Store) {
    let list = || hard("a@example.org");
    let count =
        async || store.suppression("a@example.org", None, at(0)).await.unwrap().map(|entry| entry.count);
    let waits = put(store, 1, 0, list()).await;
    // It waited: the proof counts all the same, and once.
    for (envelope, change) in [(2, EventChange::Suppressed), (3, EventChange::None)] {
        assert_eq!(store.record(once_more(envelope, list())).await.unwrap().changes, [change]);
        assert_eq!(count().await, Some(1));
    }
    let told = Outcome::NotWaiting { change: "none".to_owned(), at: None, by: None };
    assert_eq!(approve(store, &[waits]).await, [told], "it counted, and waits no more");
    assert_eq!(store.record(once_more(4, waiting(list()))).await.unwrap().changes, [EventChange::None]);
    assert_eq!((count().await, found(store, QuarantineFilter::default()).await.len()), (Some(1), 0));
    // Another recipient of the same words is another.
    let other = store.record(once_more(5, hard("b@example.org"))).await.unwrap();
    assert_eq!(other.changes, [EventChange::Suppressed]);
}

pub(super) async fn what_a_person_approved_is_not_applied_again_by_its_proof(store: &impl Store) {
    let waits = put(store, 1, 0, hard("a@example.org")).await;
    assert_eq!(approve(store, &[waits]).await, [Outcome::Settled(EventChange::Suppressed)]);
    let proven = store.record(once_more(2, hard("a@example.org"))).await.unwrap();
    assert_eq!(proven.changes, [EventChange::None]);
    assert_eq!(store.suppression("a@example.org", None, at(0)).await.unwrap().unwrap().count, 1);
}

pub(super) async fn what_a_person_discarded_counts_when_it_is_proven(store: &impl Store) {
    let waits = put(store, 1, 0, hard("a@example.org")).await;
    store.settle(settling(&[waits], Verdict::Discard)).await.unwrap();
    let proven = store.record(once_more(2, hard("a@example.org"))).await.unwrap();
    assert_eq!(proven.changes, [EventChange::Suppressed]);
}
