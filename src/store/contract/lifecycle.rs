//! What is old goes, in bounded numbers, and nothing that is still needed with it; what was counted stays for longer.

use jiff::civil::Date;

use super::quarantine::{once_more, put, settling};
use super::*;

/// Runs the suite, each part on a store of its own.
pub(crate) async fn check<S: Store + Retention + Statistics, F: Future<Output = S>>(make: impl Fn() -> F) {
    old_events_go_and_the_entry_still_explains_itself(&make().await).await;
    large_messages_go_in_several_batches(&make().await).await;
    what_waits_is_kept_until_its_own_time_is_over(&make().await).await;
    a_report_that_came_again_is_known_for_as_long_as_its_copy(&make().await).await;
    what_a_person_brought_in_is_kept_from_then_on(&make().await).await;
    holds_go_when_they_are_settled_and_empty(&make().await).await;
    counters_go_when_nobody_asks_for_them(&make().await).await;
    events_are_counted_by_day_class_domain_and_stream(&make().await).await;
    suppressed_counts_addresses_and_not_reports(&make().await).await;
    what_nothing_proves_is_counted_under_no_domain(&make().await).await;
    counts_outlive_their_events_and_go_by_the_day(&make().await).await;
}

/// Everything recorded before a day, by batches of so many; messages and events that are gone, and how many batches.
async fn prune(store: &impl Retention, before: i64, waiting: Option<i64>, limit: u32) -> (u64, u64, u32) {
    let (mut messages, mut events, mut batches) = (0, 0, 0);
    let mut after = None;
    loop {
        let waiting_before = waiting.map(at);
        let old = OldEvents { before: at(before), waiting_before, after, messages: limit, events: limit };
        let dropped = store.prune_events(old).await.unwrap();
        assert!(dropped.events <= u64::from(limit) && dropped.messages <= u64::from(limit), "{dropped:?}");
        messages += dropped.messages;
        events += dropped.events;
        batches += 1;
        assert!(batches < 1_000, "it comes to an end");
        match dropped.next {
            Some(next) => after = Some(next),
            None => return (messages, events, batches),
        }
    }
}

async fn old_events_go_and_the_entry_still_explains_itself(store: &(impl Store + Retention)) {
    for day in 0..10 {
        let address = format!("user{day}@example.org");
        store.record(message(day as u8, day, hard(&address))).await.unwrap();
    }
    assert_eq!(prune(store, 0, None, 3).await, (0, 0, 1), "nothing is that old");
    assert_eq!(prune(store, 7, None, 3).await, (7, 7, 3));
    let filter = BounceFilter { limit: 100, ..BounceFilter::default() };
    assert_eq!(store.bounces(&filter).await.unwrap().items.len(), 3);
    let entry = store.suppression("user0@example.org", None, at(8)).await.unwrap().unwrap();
    assert_eq!((entry.bounce, entry.trust), (None, None));
    assert_eq!(
        (entry.class.as_deref(), entry.status.as_deref(), entry.rule.as_deref(), entry.evidence.as_deref()),
        (Some("recipient_unknown"), Some("5.1.1"), Some("iana.5.1.1"), Some("550 5.1.1"))
    );
    let story = store.story("user0@example.org", StoryPlace::default(), 1_000).await.unwrap();
    assert_eq!((story.changes.len(), story.events.len()), (1, 0));
    assert!(story.changes[0].event.is_some() && story.changes[0].bounce.is_none());
    // A number is not given again, or an entry would point to a stranger's bounce.
    let next = store.record(message(20, 20, hard("next@example.org"))).await.unwrap().id;
    assert!(next > 10);
    let kept = store.suppression("user9@example.org", None, at(8)).await.unwrap().unwrap();
    assert!(kept.bounce.is_some());
}

async fn large_messages_go_in_several_batches(store: &(impl Store + Retention)) {
    let many = |name: &str| (0..25).flat_map(|user| hard(&format!("{name}{user}@example.org"))).collect();
    store.record(message(1, 0, many("a"))).await.unwrap();
    store.record(message(2, 0, many("b"))).await.unwrap();
    store.record(message(3, 0, vec![])).await.unwrap();
    let (messages, events, batches) = prune(store, 9, None, 10).await;
    assert_eq!((messages, events), (3, 50));
    assert!(batches >= 5, "{batches}");
}

async fn what_waits_is_kept_until_its_own_time_is_over(store: &(impl Store + Retention)) {
    let waits = put(store, 1, 0, hard("waits@example.org")).await;
    let discarded = put(store, 2, 0, hard("discarded@example.org")).await;
    store.settle(settling(&[discarded], Verdict::Discard)).await.unwrap();
    assert_eq!(prune(store, 50, None, 10).await.0, 1, "what is settled has nothing to wait for");
    assert_eq!(prune(store, 50, Some(0), 10).await.0, 0);
    let filter = QuarantineFilter { limit: 9, ..QuarantineFilter::default() };
    assert_eq!(store.quarantined(&filter).await.unwrap().items[0].event, waits);
    assert_eq!(prune(store, 50, Some(1), 10).await.0, 1);
    assert!(store.quarantined(&filter).await.unwrap().items.is_empty());
}

async fn a_report_that_came_again_is_known_for_as_long_as_its_copy(store: &(impl Store + Retention)) {
    let list = || hard("a@example.org");
    store.record(message(1, 0, list())).await.unwrap();
    let mut copy = once_more(2, list());
    copy.received_at = at(30);
    assert_eq!(store.record(copy).await.unwrap().changes, [EventChange::None]);
    assert_eq!(prune(store, 20, None, 10).await.0, 0, "the copy points to it");
    let mut copy = once_more(3, list());
    copy.received_at = at(40);
    assert_eq!(store.record(copy).await.unwrap().changes, [EventChange::None], "it is known");
    assert_eq!(prune(store, 50, None, 10).await.0, 2, "the copies");
    assert_eq!(prune(store, 50, None, 10).await.0, 1, "nothing points to it any more");
    let filter = BounceFilter { limit: 9, ..BounceFilter::default() };
    assert!(store.bounces(&filter).await.unwrap().items.is_empty());
}

async fn what_a_person_brought_in_is_kept_from_then_on(store: &(impl Store + Retention)) {
    let mut old = message(1, 0, hard("a@example.org"));
    old.replayed = Some(Replayed { at: at(100), actor: "ida".to_owned() });
    store.record(old.clone()).await.unwrap();
    assert_eq!(prune(store, 90, None, 10).await.0, 0);
    assert!(store.record(old).await.unwrap().duplicate, "a run that was broken off is started again");
    assert_eq!(prune(store, 101, None, 10).await.0, 1);
}

async fn holds_go_when_they_are_settled_and_empty(store: &(impl Store + Retention)) {
    let mut scene = breaker::Scene::new(store);
    let hold = scene.outage("big.example").await;
    assert_eq!(store.prune_holds(at(500), 10).await.unwrap(), 0, "it is open");
    assert_eq!(
        prune(store, 500, None, 1_000).await.1,
        20,
        "and its events wait, and those of their message stay"
    );
    scene.settle(hold.id, HoldVerdict::Discard, 1_000).await.unwrap();
    assert_eq!(store.prune_holds(at(500), 10).await.unwrap(), 0, "its events are there");
    prune(store, 500, None, 1_000).await;
    assert_eq!(store.prune_holds(at(10), 10).await.unwrap(), 0, "it was settled later than that");
    assert_eq!(store.prune_holds(at(500), 10).await.unwrap(), 1);
    assert!(all_holds(store).await.is_empty());
}

async fn counters_go_when_nobody_asks_for_them(store: &(impl Store + Retention)) {
    let lost = |address: &str| vec![event(address, Class::RemoteSystem, Severity::Transient)];
    store.record(message(1, 0, soft("a@example.org"))).await.unwrap();
    store.record(message(2, 9, soft("a@example.org"))).await.unwrap();
    store.record(message(3, 0, lost("b@example.org"))).await.unwrap();
    let day = |day| crate::policy::day_of(at(day));
    let prune = async |addresses, hosts: Option<i64>, limit| {
        let old = OldCounters { addresses: day(addresses), hosts: hosts.map(day) };
        store.prune_counters(old, limit).await.unwrap()
    };
    assert_eq!(prune(0, None, 10).await, 0);
    assert_eq!(prune(5, None, 10).await, 1);
    assert_eq!(prune(5, Some(5), 1).await, 1, "a bounded number at once");
    assert_eq!(prune(5, Some(5), 10).await, 1, "of the domain and of the host");
    // The one that is left counts.
    for (number, wanted) in [(4, EventChange::Counted), (5, EventChange::Suppressed)] {
        let recorded = store.record(message(number, i64::from(number) + 6, soft("a@example.org"))).await;
        assert_eq!(recorded.unwrap().changes, [wanted]);
    }
}

fn date(day: i64) -> Date {
    at(day).to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// Rows as words: what they are told apart by, how many events, how many of them suppressed.
async fn rows(store: &impl Statistics, filter: StatisticsFilter) -> Vec<(String, u64, u64)> {
    let limit = if filter.limit == 0 { 100 } else { filter.limit };
    let rows = store.statistics(&StatisticsFilter { limit, ..filter }).await.unwrap();
    rows.into_iter()
        .map(|row| {
            let words = [
                row.day.map(|day| day.to_string()),
                row.class,
                row.domain,
                row.stream.map(|stream| stream.to_string()),
            ];
            let words: Vec<String> = words.into_iter().flatten().collect();
            (words.join(" "), row.events, row.changes.suppressed)
        })
        .collect()
}

fn by(by: &[Dimension]) -> StatisticsFilter {
    StatisticsFilter { by: by.to_vec(), ..StatisticsFilter::default() }
}

fn counted(words: &str, events: u64, suppressed: u64) -> (String, u64, u64) {
    (words.to_owned(), events, suppressed)
}

async fn events_are_counted_by_day_class_domain_and_stream(store: &(impl Store + Statistics)) {
    assert!(rows(store, by(&[Dimension::Day])).await.is_empty());
    let mut both = hard("a@one.example");
    both.extend(soft("b@one.example"));
    both[1].stream = 7;
    store.record(message(1, 0, both)).await.unwrap();
    store.record(message(2, 3, hard("c@two.example"))).await.unwrap();
    store.record(message(2, 3, hard("c@two.example"))).await.unwrap();
    let mut again = once_more(9, hard("a@one.example"));
    again.received_at = at(3);
    store.record(again).await.unwrap(); // the same report in another envelope: no event more
    let (first, last) = (date(0), date(3));
    for (filter, wanted) in [
        (by(&[]), vec![counted("", 3, 2)]),
        (by(&[Dimension::Day]), vec![counted(&first.to_string(), 2, 1), counted(&last.to_string(), 1, 1)]),
        (by(&[Dimension::Class]), vec![counted("recipient_unknown", 2, 2), counted("expired", 1, 0)]),
        (by(&[Dimension::Domain]), vec![counted("one.example", 2, 1), counted("two.example", 1, 1)]),
        (by(&[Dimension::Stream]), vec![counted("0", 2, 2), counted("7", 1, 0)]),
        (
            by(&[Dimension::Stream, Dimension::Domain]),
            vec![
                counted("one.example 0", 1, 1),
                counted("one.example 7", 1, 0),
                counted("two.example 0", 1, 1),
            ],
        ),
        (StatisticsFilter { since: Some(date(1)), ..by(&[]) }, vec![counted("", 1, 1)]),
        (StatisticsFilter { until: Some(last), ..by(&[]) }, vec![counted("", 2, 1)]),
        (StatisticsFilter { since: Some(last), until: Some(date(4)), ..by(&[]) }, vec![counted("", 1, 1)]),
        (StatisticsFilter { since: Some(last), until: Some(last), ..by(&[]) }, vec![]),
        (StatisticsFilter { class: Some(Class::Expired), ..by(&[]) }, vec![counted("", 1, 0)]),
        (StatisticsFilter { domain: Some("two.example".to_owned()), ..by(&[]) }, vec![counted("", 1, 1)]),
        (StatisticsFilter { stream: Some(7), ..by(&[]) }, vec![counted("", 1, 0)]),
        (StatisticsFilter { limit: 1, ..by(&[Dimension::Class]) }, vec![counted("recipient_unknown", 2, 2)]),
    ] {
        assert_eq!(rows(store, filter.clone()).await, wanted, "{filter:?}");
    }
    let [all] = &store.statistics(&StatisticsFilter { limit: 9, ..by(&[]) }).await.unwrap()[..] else {
        panic!("one row");
    };
    let decisions = Decisions { suppress: 2, count: 1, ..Decisions::default() };
    let changes = Changes { suppressed: 2, counted: 1, ..Changes::default() };
    assert_eq!((all.decisions, all.changes), (decisions, changes));
}

async fn suppressed_counts_addresses_and_not_reports(store: &(impl Store + Statistics)) {
    // The contract's day 0 is a Thursday.
    for (number, day, address) in
        [(1, 0, "a@x.example"), (2, 1, "a@x.example"), (3, 6, "a@x.example"), (4, 6, "b@x.example")]
    {
        store.record(message(number, day, hard(address))).await.unwrap();
    }
    assert_eq!(rows(store, by(&[])).await, [counted("", 4, 2)]);
    let weeks = rows(store, by(&[Dimension::Week])).await;
    assert_eq!(
        weeks.iter().map(|(_, events, suppressed)| (*events, *suppressed)).collect::<Vec<_>>(),
        [(2, 1), (2, 1)]
    );
    let filter = StatisticsFilter { limit: 9, ..by(&[Dimension::Week]) };
    let mondays: Vec<_> =
        store.statistics(&filter).await.unwrap().iter().filter_map(|row| row.week).collect();
    assert!(mondays.iter().all(|day| day.weekday() == jiff::civil::Weekday::Monday), "{mondays:?}");
    let filter = StatisticsFilter { limit: 9, ..by(&[]) };
    let [all] = &store.statistics(&filter).await.unwrap()[..] else { panic!("one row") };
    assert_eq!(all.changes, Changes { suppressed: 2, seen: 2, ..Changes::default() });
}

async fn what_nothing_proves_is_counted_under_no_domain(store: &(impl Store + Statistics)) {
    let mut last = 0;
    for number in 0..30 {
        last = put(store, number, 0, hard(&format!("a@stranger{number}.example"))).await;
    }
    assert_eq!(rows(store, by(&[Dimension::Domain])).await, [counted("", 30, 0)]);
    // Whom a person believes is counted as what it became.
    store.settle(settling(&[last], Verdict::Approve)).await.unwrap();
    store.settle(settling(&[last - 1], Verdict::Discard)).await.unwrap();
    let wanted = [counted("", 29, 0), counted("stranger29.example", 1, 1)];
    assert_eq!(rows(store, by(&[Dimension::Domain])).await, wanted);
    let [all] = &store.statistics(&StatisticsFilter { limit: 9, ..by(&[]) }).await.unwrap()[..] else {
        panic!("one row");
    };
    let changes = Changes { quarantined: 28, discarded: 1, suppressed: 1, ..Changes::default() };
    assert_eq!(all.changes, changes);
}

async fn counts_outlive_their_events_and_go_by_the_day(store: &(impl Store + Retention + Statistics)) {
    for day in 0..4 {
        store.record(message(day as u8, day, hard(&format!("user{day}@example.org")))).await.unwrap();
    }
    assert_eq!(prune(store, 90, None, 10).await.0, 4);
    assert_eq!(rows(store, by(&[])).await, [counted("", 4, 4)]);
    let day = |day| crate::policy::day_of(at(day));
    assert_eq!(store.prune_statistics(day(0), 10).await.unwrap(), 0);
    assert_eq!(store.prune_statistics(day(3), 2).await.unwrap(), 2, "a bounded number at once");
    assert_eq!(store.prune_statistics(day(3), 2).await.unwrap(), 1);
    assert_eq!(rows(store, by(&[Dimension::Day])).await, [counted(&date(3).to_string(), 1, 1)]);
}
