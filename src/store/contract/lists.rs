//! Streams, the history of the list, and taking back: what every engine must do.

use super::*;

/// Runs the suite, each part on a store of its own.
pub(super) async fn check<S: Store, F: Future<Output = S>>(make: impl Fn() -> F) {
    soft_bounces_suppress_in_their_stream_alone(&make().await).await;
    hard_bounces_and_complaints_suppress_everywhere(&make().await).await;
    a_delivery_clears_its_stream_alone(&make().await).await;
    people_may_name_a_stream(&make().await).await;
    the_weightiest_entry_answers_first(&make().await).await;
    every_change_leaves_its_row(&make().await).await;
    a_term_that_is_over_is_noted_once(&make().await).await;
    a_bounce_lengthens_an_entry_of_a_person_and_leaves_it_theirs(&make().await).await;
    what_has_run_out_is_not_on_the_list(&make().await).await;
    a_bounce_after_the_term_notes_its_end_first(&make().await).await;
    a_filter_takes_back_what_bounces_did(&make().await).await;
    taking_back_forgets_what_was_counted(&make().await).await;
    entries_of_one_address_may_stand_on_two_pages(&make().await).await;
    a_page_of_large_items_is_cut(&make().await).await;
}

const A: &str = "a@example.org";

fn in_stream(stream: i64, mut events: Vec<NewEvent>) -> Vec<NewEvent> {
    for event in &mut events {
        event.stream = stream;
    }
    events
}

fn by_hand(address: &str, stream: i64, day: i64) -> ManualEntry {
    ManualEntry {
        address: address.to_owned(),
        address_key: address.to_owned(),
        stream,
        origin: AuditOrigin::Cli,
        actor: Some("anna".to_owned()),
        now: at(day),
        expires_at: None,
        note: Some("asked by phone".to_owned()),
    }
}

fn off(address: &str, stream: Option<i64>, day: i64) -> Removal {
    Removal {
        address_key: address.to_owned(),
        stream,
        now: at(day),
        origin: AuditOrigin::Cli,
        actor: Some("ben".to_owned()),
    }
}

/// In which streams an address is suppressed on a day, by its entries.
async fn streams_of(store: &impl Store, stream: Option<i64>, day: i64) -> Vec<i64> {
    store.standing(A, stream, at(day)).await.unwrap().into_iter().map(|entry| entry.stream).collect()
}

/// The history of an address: action, origin, actor, day, stream.
async fn rows(store: &impl Store, address: &str) -> Vec<(String, String, Option<String>, Timestamp, i64)> {
    let changes = store.story(address, StoryPlace::default(), 1_000).await.unwrap().changes;
    changes.into_iter().map(|row| (row.action, row.origin, row.actor, row.at, row.stream)).collect()
}

fn row(
    action: &str,
    origin: &str,
    actor: Option<&str>,
    day: i64,
    stream: i64,
) -> (String, String, Option<String>, Timestamp, i64) {
    (action.to_owned(), origin.to_owned(), actor.map(str::to_owned), at(day), stream)
}

async fn soft_bounces_suppress_in_their_stream_alone(store: &impl Store) {
    for (number, day, stream, change) in [
        (1, 0, 7, EventChange::Counted),
        (2, 1, 8, EventChange::Counted),
        (3, 1, 7, EventChange::Counted),
        (4, 2, 8, EventChange::Counted),
        (5, 2, 7, EventChange::Suppressed),
        (6, 3, 7, EventChange::Seen),
        (7, 3, ANY_STREAM, EventChange::Counted),
        (8, 4, 8, EventChange::Suppressed),
    ] {
        let events = in_stream(stream, soft(A));
        let recorded = store.record(message(number, day, events)).await.unwrap();
        assert_eq!(recorded.changes, [change], "message {number} in stream {stream}");
        let suppressed = store.suppression(A, Some(9), at(day)).await.unwrap();
        assert!(suppressed.is_none(), "stream 9 had no bounce");
    }
    assert_eq!(streams_of(store, Some(7), 5).await, [7]);
    assert_eq!(streams_of(store, Some(8), 5).await, [8]);
    assert_eq!(streams_of(store, Some(ANY_STREAM), 5).await, [0; 0]);
    assert_eq!(streams_of(store, None, 5).await, [8, 7], "any entry answers, the longest first");
    assert_eq!(streams_of(store, None, 33).await, [8], "the term of 7 is over");
}

async fn hard_bounces_and_complaints_suppress_everywhere(store: &impl Store) {
    store.record(message(1, 0, in_stream(7, hard(A)))).await.unwrap();
    for stream in [None, Some(ANY_STREAM), Some(7), Some(8)] {
        assert_eq!(streams_of(store, stream, 1).await, [ANY_STREAM], "{stream:?}");
    }
    for day in 1..4 {
        let events = in_stream(8, soft(A));
        let recorded = store.record(message(10 + day, day.into(), events)).await.unwrap();
        assert_eq!(recorded.changes, [EventChange::Seen], "it is suppressed everywhere already");
    }
    let complaint = event(A, Class::Complaint, Severity::Transient);
    store.record(message(2, 4, in_stream(8, vec![complaint]))).await.unwrap();
    let entry = store.suppression(A, Some(9), at(9_000)).await.unwrap().expect("for ever");
    assert_eq!((entry.reason, entry.stream, entry.count), (Reason::Complaint, ANY_STREAM, 5));
}

async fn a_delivery_clears_its_stream_alone(store: &impl Store) {
    for (number, day, stream) in [(1, 0, 7), (2, 0, 8), (3, 1, 7), (4, 1, 8)] {
        store.record(message(number, day, in_stream(stream, soft(A)))).await.unwrap();
    }
    let delivered = in_stream(7, vec![event(A, Class::Delivered, Severity::Transient)]);
    assert_eq!(store.record(message(5, 1, delivered)).await.unwrap().changes, [EventChange::Cleared]);
    let changes = |number, stream| async move {
        store.record(message(number, 2, in_stream(stream, soft(A)))).await.unwrap().changes
    };
    assert_eq!(changes(6, 7).await, [EventChange::Counted]);
    assert_eq!(changes(7, 8).await, [EventChange::Suppressed]);
}

async fn people_may_name_a_stream(store: &impl Store) {
    for stream in [7, 8, ANY_STREAM] {
        store.add(by_hand(A, stream, 0)).await.unwrap();
    }
    assert!(store.remove(off(A, Some(8), 1)).await.unwrap());
    assert!(!store.remove(off(A, Some(8), 1)).await.unwrap());
    assert_eq!(streams_of(store, None, 1).await, [ANY_STREAM, 7]);
    let listed = |stream| async move {
        let filter = SuppressionFilter {
            common: Filter { stream: Some(stream), ..Filter::default() },
            limit: 9,
            ..SuppressionFilter::default()
        };
        store.suppressions(&filter).await.unwrap().items.len()
    };
    assert_eq!((listed(7).await, listed(8).await, listed(ANY_STREAM).await), (1, 0, 1));
    assert!(store.remove(off(A, None, 1)).await.unwrap(), "without a stream, all of them");
    assert_eq!(streams_of(store, None, 1).await, [0; 0]);
}

async fn the_weightiest_entry_answers_first(store: &impl Store) {
    for day in 0..3 {
        store.record(message(day, day.into(), in_stream(7, soft(A)))).await.unwrap();
    }
    store.record(message(9, 3, hard(A))).await.unwrap();
    store.add(by_hand(A, 8, 3)).await.unwrap();
    let standing = store.standing(A, None, at(4)).await.unwrap();
    let reasons: Vec<_> = standing.iter().map(|entry| (entry.reason, entry.stream)).collect();
    assert_eq!(reasons, [(Reason::Manual, 8), (Reason::Hard, ANY_STREAM), (Reason::Soft, 7)]);
    let first = store.suppression(A, Some(7), at(4)).await.unwrap().unwrap();
    assert_eq!(first.reason, Reason::Hard, "8 is not asked for");
}

async fn every_change_leaves_its_row(store: &impl Store) {
    for day in 0..3 {
        store.record(message(day, day.into(), in_stream(7, soft(A)))).await.unwrap();
    }
    let mut wanted = vec![row("added", "bounce", None, 2, 7)];
    assert_eq!(rows(store, A).await, wanted, "counting changes no entry");
    store.record(message(10, 3, in_stream(7, soft(A)))).await.unwrap();
    assert_eq!(rows(store, A).await, wanted, "being seen changes none");
    store.record(message(11, 4, hard(A))).await.unwrap();
    wanted.push(row("added", "bounce", None, 4, ANY_STREAM));
    store.record(message(12, 5, hard(A))).await.unwrap();
    wanted.push(row("changed", "bounce", None, 5, ANY_STREAM));
    store.add(by_hand(A, ANY_STREAM, 6)).await.unwrap();
    wanted.push(row("changed", "cli", Some("anna"), 6, ANY_STREAM));
    store.record(message(13, 7, hard(A))).await.unwrap();
    store.remove(off(A, Some(ANY_STREAM), 8)).await.unwrap();
    wanted.push(row("removed", "cli", Some("ben"), 8, ANY_STREAM));
    store.remove(off(A, Some(ANY_STREAM), 9)).await.unwrap();
    assert_eq!(rows(store, A).await, wanted);

    let story = store.story(A, StoryPlace::default(), 1_000).await.unwrap();
    let [added, _, changed, by_hand, removed] = &story.changes[..] else { panic!("{:?}", story.changes) };
    let after = added.after.as_ref().unwrap();
    assert_eq!((&added.before, &after["reason"]), (&None, &"soft".into()));
    assert_eq!(after["expires_at"], at(32).to_string());
    assert_eq!(added.why.as_deref(), Some("expired 5.1.1: 550 5.1.1 (rule iana.5.1.1)"));
    let (before, after) = (changed.before.as_ref().unwrap(), changed.after.as_ref().unwrap());
    assert_eq!((&before["count"], &after["count"]), (&1.into(), &2.into()));
    assert_eq!(changed.before.as_ref().unwrap()["recheckable"], false, "words of JSON");
    let bounces: Vec<_> = story.events.iter().map(|told| Some(told.bounce)).collect();
    assert_eq!((added.bounce, changed.bounce, by_hand.bounce), (bounces[2], bounces[5], None));
    assert_eq!(by_hand.before, changed.after, "one row goes on where the other ended");
    assert_eq!(by_hand.why.as_deref(), Some("asked by phone"));
    assert_eq!((&removed.after, &removed.before.as_ref().unwrap()["reason"]), (&None, &"manual".into()));
    assert_eq!((story.entries.len(), story.events.len(), story.older), (1, 7, None));
    assert!(store.story("stranger@example.org", StoryPlace::default(), 1_000).await.unwrap().is_empty());
}

async fn a_bounce_lengthens_an_entry_of_a_person_and_leaves_it_theirs(store: &impl Store) {
    store.add(ManualEntry { expires_at: Some(at(10)), ..by_hand(A, ANY_STREAM, 0) }).await.unwrap();
    store.record(message(1, 5, hard(A))).await.unwrap();
    let entry = store.suppression(A, None, at(9)).await.unwrap().unwrap();
    assert_eq!((entry.reason, entry.origin.as_str(), entry.bounce), (Reason::Manual, "cli", None));
    assert_eq!(
        (entry.note.as_deref(), entry.expires_at, entry.count),
        (Some("asked by phone"), Some(at(185)), 2)
    );
    let last = store.story(A, StoryPlace::default(), 1_000).await.unwrap().changes.pop().unwrap();
    assert_eq!((last.action.as_str(), last.origin.as_str()), ("changed", "bounce"));
    assert!(last.why.unwrap().starts_with("lasts longer: recipient_unknown"));
    let filter = SuppressionFilter {
        common: Filter { since: Some(at(4)), ..Filter::default() },
        spared: true,
        ..SuppressionFilter::default()
    };
    assert_eq!(store.undo(filter, at(6), None).await.unwrap(), 0, "taking bounces back leaves it");
}

async fn what_has_run_out_is_not_on_the_list(store: &impl Store) {
    store.add(ManualEntry { expires_at: Some(at(2)), ..by_hand(A, ANY_STREAM, 0) }).await.unwrap();
    store.record(message(1, 1, hard(A))).await.unwrap();
    let before = rows(store, A).await.len();
    assert!(!store.remove(off(A, None, 200)).await.unwrap(), "it ended on day 181");
    let entries = store.story(A, StoryPlace::default(), 1_000).await.unwrap().entries;
    assert_eq!(
        (entries.len(), rows(store, A).await.len()),
        (1, before),
        "it is history, and nothing was done"
    );
    store.add(by_hand(A, ANY_STREAM, 201)).await.unwrap();
    let entry = store.suppression(A, None, at(201)).await.unwrap().unwrap();
    assert_eq!((entry.count, entry.first_seen), (1, at(201)), "a new entry begins anew");
}

async fn a_term_that_is_over_is_noted_once(store: &impl Store) {
    for (number, address) in [(1, A), (2, "b@example.org"), (3, "c@example.org")] {
        store.record(message(number, number.into(), hard(address))).await.unwrap();
    }
    assert_eq!(store.expire(at(100), 10).await.unwrap(), 0);
    assert_eq!(store.expire(at(182), 1).await.unwrap(), 1, "no more than asked for");
    assert_eq!(rows(store, "b@example.org").await.len(), 1, "the first to end is the first noted");
    assert_eq!(store.expire(at(182), 10).await.unwrap(), 1, "at its very second it has run out");
    assert_eq!(store.expire(at(182), 10).await.unwrap(), 0);
    let wanted = [row("added", "bounce", None, 1, 0), row("expired", "expiry", None, 181, 0)];
    assert_eq!(rows(store, A).await, wanted, "dated when it was");
    // A new term begins with nothing before it.
    store.record(message(4, 200, hard(A))).await.unwrap();
    let changes = store.story(A, StoryPlace::default(), 1_000).await.unwrap().changes;
    assert_eq!((changes.len(), changes[2].action.as_str(), &changes[2].before), (3, "added", &None));
    assert_eq!(store.expire(at(200), 10).await.unwrap(), 1, "c@example.org");
    assert_eq!(store.expire(at(400), 10).await.unwrap(), 1, "and its second end is noted too");
}

async fn a_bounce_after_the_term_notes_its_end_first(store: &impl Store) {
    store.record(message(1, 0, hard(A))).await.unwrap();
    store.record(message(2, 300, hard(A))).await.unwrap();
    let wanted = [
        row("added", "bounce", None, 0, 0),
        row("expired", "expiry", None, 180, 0),
        row("added", "bounce", None, 300, 0),
    ];
    assert_eq!(rows(store, A).await, wanted);
    assert_eq!(store.expire(at(300), 10).await.unwrap(), 0, "it was noted");
    // The same for what persons do.
    store.add(by_hand(A, ANY_STREAM, 500)).await.unwrap();
    let actions: Vec<_> = rows(store, A).await.into_iter().map(|row| (row.0, row.3)).collect();
    assert_eq!(actions[3..], [("expired".to_owned(), at(480)), ("added".to_owned(), at(500))]);
}

async fn a_filter_takes_back_what_bounces_did(store: &impl Store) {
    let one = |number: u8, day, address: &str, rule: &str, host: &str| {
        let mut events = hard(address);
        events[0].classification.rule = rule.to_owned();
        events[0].remote_mta = Some(host.to_owned());
        store.record(message(number, day, events))
    };
    one(1, 0, "old@one.example", "a", "MX.one.example.").await.unwrap();
    one(2, 5, "new@one.example", "a", "mx.one.example (192.0.2.1)").await.unwrap();
    one(3, 5, "new@two.example", "b", "mx.two.example").await.unwrap();
    let complaint = event("angry@one.example", Class::Complaint, Severity::Transient);
    store.record(message(4, 5, vec![complaint])).await.unwrap();
    store.add(by_hand("vip@one.example", 7, 5)).await.unwrap();
    // Seen again today, which makes an old entry no newer.
    let mut longer = hard("seen@one.example");
    longer[0].remote_mta = None;
    store.record(message(5, 1, longer.clone())).await.unwrap();
    let soft_again = soft("seen@one.example");
    store.record(message(6, 6, soft_again)).await.unwrap();

    let spared =
        || SuppressionFilter { active_at: Some(at(6)), spared: true, ..SuppressionFilter::default() };
    let common = |common| SuppressionFilter { common, ..spared() };
    let every = Filter::default;
    let matched = |filter: SuppressionFilter| async move {
        let filter = SuppressionFilter { limit: 99, ..filter };
        let listed = store.suppressions(&filter).await.unwrap().items;
        assert_eq!(store.count(&filter).await.unwrap(), listed.len() as u64);
        listed.into_iter().map(|entry| entry.address).collect::<Vec<_>>().join(" ")
    };
    let since = Some(at(4));
    assert_eq!(matched(common(Filter { since, ..every() })).await, "new@one.example new@two.example");
    let until = Some(at(4));
    let before = "old@one.example seen@one.example";
    assert_eq!(matched(common(Filter { until, ..every() })).await, before);
    let rule = Some("b".to_owned());
    assert_eq!(matched(common(Filter { rule, ..every() })).await, "new@two.example");
    let remote_mta = Some("mx.one.example".to_owned());
    let both = "new@one.example old@one.example";
    assert_eq!(matched(common(Filter { remote_mta, ..every() })).await, both);
    let domain = Some("one.example".to_owned());
    let all = "new@one.example old@one.example seen@one.example";
    assert_eq!(matched(common(Filter { domain: domain.clone(), ..every() })).await, all);
    for (reason, address) in [(Reason::Manual, "vip@one.example"), (Reason::Complaint, "angry@one.example")] {
        assert_eq!(matched(SuppressionFilter { reason: Some(reason), ..spared() }).await, address);
    }
    assert_eq!(matched(common(Filter { stream: Some(7), ..every() })).await, "", "a person put it there");
    assert_eq!(
        matched(SuppressionFilter { active_at: Some(at(400)), ..spared() }).await,
        "",
        "they are over"
    );

    let filter = common(Filter { since, domain, ..every() });
    assert_eq!(store.undo(filter.clone(), at(6), Some("ben".to_owned())).await.unwrap(), 1);
    assert_eq!(store.undo(filter, at(6), None).await.unwrap(), 0);
    assert!(store.suppression("new@one.example", None, at(6)).await.unwrap().is_none());
    for address in ["old@one.example", "new@two.example", "vip@one.example", "angry@one.example"] {
        assert!(store.suppression(address, None, at(6)).await.unwrap().is_some(), "{address}");
    }
    let story = store.story("new@one.example", StoryPlace::default(), 1_000).await.unwrap();
    let [added, removed] = &story.changes[..] else { panic!("{:?}", story.changes) };
    assert_eq!((&removed.before, &removed.after), (&added.after, &None));
    assert_eq!((removed.origin.as_str(), removed.actor.as_deref()), ("undo", Some("ben")));
    let why = format!("taken back by filter: since {}, domain one.example", at(4));
    assert_eq!(removed.why.as_deref(), Some(why.as_str()));
}

async fn taking_back_forgets_what_was_counted(store: &impl Store) {
    let mut number = 0;
    let mut bounce = |day, stream, address: &str, events: fn(&str) -> Vec<NewEvent>| {
        number += 1;
        store.record(message(number, day, in_stream(stream, events(address))))
    };
    for address in [A, "b@other.example"] {
        for stream in [7, 8] {
            bounce(0, stream, address, soft).await.unwrap();
            bounce(1, stream, address, soft).await.unwrap();
        }
        bounce(1, 7, address, hard).await.unwrap();
    }
    let domain = Some("example.org".to_owned());
    let filter = SuppressionFilter {
        common: Filter { domain, ..Filter::default() },
        spared: true,
        ..SuppressionFilter::default()
    };
    assert_eq!(store.undo(filter, at(2), None).await.unwrap(), 1);
    for stream in [7, 8] {
        assert_eq!(bounce(2, stream, A, soft).await.unwrap().changes, [EventChange::Counted], "{stream}");
    }
    store.remove(off("b@other.example", Some(ANY_STREAM), 2)).await.unwrap();
    let third = bounce(2, 7, "b@other.example", soft).await.unwrap();
    assert_eq!(third.changes, [EventChange::Suppressed], "the counters of stream 7 were not asked for");
}

async fn entries_of_one_address_may_stand_on_two_pages(store: &impl Store) {
    for stream in [7, 8, 9] {
        store.add(by_hand(A, stream, 0)).await.unwrap();
    }
    store.add(by_hand("b@example.org", ANY_STREAM, 0)).await.unwrap();
    let mut filter = SuppressionFilter { limit: 2, ..SuppressionFilter::default() };
    let mut listed = Vec::new();
    loop {
        let page = store.suppressions(&filter).await.unwrap().items;
        let Some(last) = page.last() else { break };
        filter.after = Some((last.address_key.clone(), last.stream));
        listed.extend(page.into_iter().map(|entry| (entry.address, entry.stream)));
    }
    let entry = |address: &str, stream| (address.to_owned(), stream);
    assert_eq!(listed, [entry(A, 7), entry(A, 8), entry(A, 9), entry("b@example.org", 0)]);
}

/// What strangers make large fills a page before the limit does, and the next page goes on there.
async fn a_page_of_large_items_is_cut(store: &impl Store) {
    let large = |number: u8, waits: bool| {
        let mut event =
            event(&format!("{number:03}@example.org"), Class::RecipientUnknown, Severity::Permanent);
        event.classification.evidence = "x".repeat(PAGE_OCTETS / 64);
        if waits {
            (event.quarantined, event.applies, event.trust) = (true, false, Trust::Unsigned);
        }
        message(number, 0, vec![event])
    };
    for number in 0..160 {
        store.record(large(number, number % 2 == 0)).await.unwrap();
    }
    let mut filter = SuppressionFilter { limit: 1_000, ..SuppressionFilter::default() };
    let mut entries = store.suppressions(&filter).await.unwrap();
    assert!(entries.more && (32..80).contains(&entries.items.len()), "{}", entries.items.len());
    filter.after = entries.items.last().map(|last| (last.address_key.clone(), last.stream));
    entries.items.extend(store.suppressions(&filter).await.unwrap().items);
    let addresses: Vec<_> = entries.items.into_iter().map(|entry| entry.address).collect();
    let odd: Vec<_> = (0..80).map(|number| format!("{:03}@example.org", 2 * number + 1)).collect();
    assert_eq!(addresses, odd);

    let peer = "192.0.2.0/24".parse().ok();
    for peer in [None, peer] {
        let mut filter = QuarantineFilter { peer, limit: 1_000, ..QuarantineFilter::default() };
        assert_eq!(store.count_quarantined(&filter, 1_000).await.unwrap(), 80);
        assert_eq!(store.count_quarantined(&filter, 70).await.unwrap(), 70);
        let mut waiting = store.quarantined(&filter).await.unwrap();
        assert!(waiting.more && (32..80).contains(&waiting.items.len()), "{}", waiting.items.len());
        filter.after = waiting.items.last().map(|last| last.event);
        waiting.items.extend(store.quarantined(&filter).await.unwrap().items);
        let events: Vec<_> = waiting.items.into_iter().map(|event| event.event).collect();
        assert_eq!(events, (0..80).map(|number| 2 * number + 1).collect::<Vec<_>>());
        let mut queue = SettlingQueue::matching(QuarantineFilter { peer, ..QuarantineFilter::default() });
        let (mut chosen, mut batch) = (0, queue.next(store).await.unwrap());
        while !batch.is_empty() {
            chosen += batch.len();
            batch = queue.next(store).await.unwrap();
        }
        assert_eq!(chosen, 80, "all that waits is settled, page after page");
    }
}
