//! Webhooks go on where they were, whatever ends a program: what every engine must do.

use jiff::SignedDuration;

use super::*;

/// Runs the suite, each part on a store of its own.
pub(crate) async fn check<S: Store + Outbox + Deliveries, F: Future<Output = S>>(make: impl Fn() -> F) {
    a_new_webhook_begins_now_and_an_old_one_where_it_was(&make().await).await;
    what_is_passed_by_waits_until_it_is_delivered_or_given_up(&make().await).await;
    what_is_asked_for_again_comes_again(&make().await).await;
    what_waits_about_one_address_is_found_alone(&make().await).await;
    what_nothing_proves_is_told_apart(&make().await).await;
    nothing_is_dropped_that_a_webhook_has_still_to_get(&make().await).await;
}

/// So many bounces of addresses of their own: two events each.
async fn bounces(store: &impl Store, numbers: std::ops::RangeInclusive<u8>) {
    for number in numbers {
        store.record(message(number, 0, hard(&format!("{number}@example.org")))).await.unwrap();
    }
}

fn passed(event: i64) -> PassedBy {
    PassedBy {
        event,
        attempts: 2,
        failed_at: Some(at(1)),
        next_at: Some(at(2)),
        dead_at: None,
        error: Some("500 Internal Server Error".to_owned()),
    }
}

async fn waiting(store: &impl Deliveries) -> Vec<i64> {
    store.waiting("crm", 0, 100).await.unwrap().iter().map(|waiting| waiting.event).collect()
}

async fn dead(store: &impl Deliveries) -> Vec<i64> {
    store.dead(Some("crm"), None, 100).await.unwrap().iter().map(|letter| letter.event).collect()
}

async fn goes_to(store: &impl Deliveries, through: i64, passed_by: Vec<PassedBy>) -> WebhookState {
    let state = WebhookState { through, ..store.webhook("crm").await.unwrap() };
    let progress = Progress { state, delivered: vec![], passed_by };
    assert!(store.progress(progress).await.unwrap());
    store.webhook("crm").await.unwrap()
}

async fn a_new_webhook_begins_now_and_an_old_one_where_it_was(store: &(impl Store + Outbox + Deliveries)) {
    bounces(store, 1..=2).await;
    let new = store.webhook("crm").await.unwrap();
    assert_eq!((new.through, new.failing_since, new.delivered_at), (4, None, None));
    bounces(store, 3..=3).await;
    assert_eq!(store.webhook("crm").await.unwrap(), new);
    let heads = store.heads(new.through, 10).await.unwrap();
    let told =
        store.outbox(&OutboxFilter { after: 4, limit: 9, ..OutboxFilter::default() }).await.unwrap().items;
    for (head, event) in heads.iter().zip(&told) {
        assert_eq!((head.event, head.at, head.kind), (event.id, event.timestamp, event.kind));
        assert_eq!((&head.address_key, head.stream), (&event.address_key, event.stream));
    }
    assert_eq!(heads.len(), 2);
    let state = WebhookState {
        through: 5,
        failing_since: Some(at(1)),
        error: Some("connection refused".to_owned()),
        delivered_at: Some(at(0)),
        ..new
    };
    let progress = Progress { state: state.clone(), delivered: vec![], passed_by: vec![] };
    assert!(store.progress(progress).await.unwrap());
    assert_eq!(store.webhook("crm").await.unwrap(), state);
    let all = store.webhooks().await.unwrap();
    assert_eq!(all, [WebhookStanding { state, behind: 1, waiting: 0, dead: 0 }]);
}

async fn what_is_passed_by_waits_until_it_is_delivered_or_given_up(
    store: &(impl Store + Outbox + Deliveries),
) {
    store.webhook("crm").await.unwrap();
    store.webhook("other").await.unwrap();
    bounces(store, 1..=2).await;
    let never = PassedBy { event: 99, ..passed(1) };
    let behind = PassedBy { event: 2, attempts: 0, failed_at: None, next_at: None, ..passed(2) };
    goes_to(store, 4, vec![passed(1), behind, passed(3), never]).await;
    let [first, second, third] = &store.waiting("crm", 0, 100).await.unwrap()[..] else {
        panic!("what there is not cannot wait")
    };
    assert_eq!(
        (first.event, first.attempts, first.failed_at, first.next_at),
        (1, 2, Some(at(1)), Some(at(2)))
    );
    assert_eq!(first.address_key, "1@example.org");
    assert_eq!((second.event, second.attempts, second.failed_at, second.next_at), (2, 0, None, None));
    assert_eq!(store.waiting("crm", 1, 1).await.unwrap().first(), Some(second));
    assert_eq!(third.event, 3);
    assert!(store.waiting("other", 0, 100).await.unwrap().is_empty(), "each has its own");

    let state = store.webhook("crm").await.unwrap();
    let gone = PassedBy { dead_at: Some(at(3)), attempts: 35, ..passed(3) };
    assert!(store.progress(Progress { state, delivered: vec![1], passed_by: vec![gone] }).await.unwrap());
    assert_eq!(waiting(store).await, [2]);
    let [letter] = &store.dead(None, None, 100).await.unwrap()[..] else { panic!("one was given up") };
    assert_eq!((letter.webhook.as_str(), letter.event, letter.attempts), ("crm", 3, 35));
    assert_eq!((letter.kind, letter.dead_at), (EventType::BounceRecorded, Some(at(3))));
    assert_eq!(letter.address.as_deref(), Some("2@example.org"));
    assert_eq!(letter.error.as_deref(), Some("500 Internal Server Error"));
    assert!(store.dead(None, Some(("crm".to_owned(), 3)), 100).await.unwrap().is_empty(), "the next page");
    let [crm, _] = &store.webhooks().await.unwrap()[..] else { panic!("two webhooks") };
    assert_eq!((crm.behind, crm.waiting, crm.dead), (0, 1, 1));
}

async fn what_is_asked_for_again_comes_again(store: &(impl Store + Outbox + Deliveries)) {
    store.webhook("crm").await.unwrap();
    bounces(store, 1..=3).await;
    let gone = |event| PassedBy { dead_at: Some(at(3)), ..passed(event) };
    let before = goes_to(store, 4, vec![gone(1), gone(2), passed(3)]).await;
    assert_eq!(store.again("crm", Again::Dead(1)).await.unwrap(), 1);
    assert_eq!((waiting(store).await, dead(store).await), (vec![1, 3], vec![2]));
    assert_eq!(store.waiting("crm", 0, 1).await.unwrap()[0].attempts, 0, "its day begins anew");
    let stale =
        Progress { state: WebhookState { through: 6, ..before }, delivered: vec![3], passed_by: vec![] };
    assert!(!store.progress(stale).await.unwrap(), "whoever was at work must look anew");
    assert_eq!((store.webhook("crm").await.unwrap().through, waiting(store).await), (4, vec![1]));

    assert_eq!(store.again("crm", Again::Event(4)).await.unwrap(), 1);
    assert_eq!(store.again("crm", Again::Event(5)).await.unwrap(), 0, "it comes anyway");
    assert_eq!(store.again("crm", Again::Event(99)).await.unwrap(), 0, "there is none");
    assert_eq!(waiting(store).await, [1, 4]);

    assert_eq!(store.again("crm", Again::From(1)).await.unwrap(), 6);
    assert_eq!(store.webhook("crm").await.unwrap().through, 0);
    assert_eq!((waiting(store).await, dead(store).await), (vec![], vec![]), "all of it comes in its order");
    let late = Progress {
        state: WebhookState { through: 6, replays: -1, ..store.webhook("crm").await.unwrap() },
        delivered: vec![],
        passed_by: vec![gone(5)],
    };
    assert!(!store.progress(late).await.unwrap());
    assert!(dead(store).await.is_empty(), "it comes to that once more");
    assert_eq!(store.again("crm", Again::From(99)).await.unwrap(), 0);
    assert_eq!(store.webhook("crm").await.unwrap().through, 0);
    bounces(store, 4..=4).await;
    assert_eq!(store.again("new", Again::From(1)).await.unwrap(), 8, "one that was never used");
    assert_eq!(store.webhook("new").await.unwrap().through, 0);
}

async fn what_waits_about_one_address_is_found_alone(store: &(impl Store + Outbox + Deliveries)) {
    store.webhook("crm").await.unwrap();
    for number in 1..=3 {
        store.record(message(number, 0, hard("a@example.org"))).await.unwrap();
        bounces(store, 10 + number..=10 + number).await;
    }
    let all = store.heads(0, 100).await.unwrap();
    let about_a: Vec<i64> =
        all.iter().filter(|head| head.address_key == "a@example.org").map(|head| head.event).collect();
    assert_eq!(about_a.len(), 4, "three bounces, and one entry");
    let last = all.last().unwrap().event;
    goes_to(store, last, all.iter().map(|head| PassedBy::untried(head.event)).collect()).await;
    let about = async |after: i64, limit: u32| {
        let found = store.waiting_about("crm", "a@example.org", after, limit).await.unwrap();
        found.iter().map(|waiting| waiting.event).collect::<Vec<_>>()
    };
    assert_eq!(about(0, 100).await, about_a);
    assert_eq!(about(about_a[0], 2).await, about_a[1..3]);
    assert!(store.waiting_about("other", "a@example.org", 0, 9).await.unwrap().is_empty());
}

async fn what_nothing_proves_is_told_apart(store: &(impl Store + Outbox + Deliveries)) {
    let mut events: Vec<NewEvent> = ["proven", "trusted", "stranger", "waits"]
        .iter()
        .flat_map(|who| hard(&format!("{who}@example.org")))
        .collect();
    events[1].trust = Trust::Unsigned;
    (events[2].trust, events[2].applies) = (Trust::TokenOnly, false);
    (events[3].trust, events[3].applies, events[3].quarantined) = (Trust::Unsigned, false, true);
    store.record(message(1, 0, events)).await.unwrap();
    let hand = ManualEntry {
        address: "hand@example.org".to_owned(),
        address_key: "hand@example.org".to_owned(),
        stream: ANY_STREAM,
        origin: AuditOrigin::Cli,
        actor: None,
        now: at(0),
        expires_at: None,
        note: None,
    };
    store.add(hand).await.unwrap();
    let heads = store.heads(0, 100).await.unwrap();
    let mut unproven: Vec<&str> =
        heads.iter().filter(|head| !head.believed).map(|head| head.address_key.as_str()).collect();
    unproven.sort_unstable();
    assert_eq!(unproven, ["stranger@example.org", "waits@example.org"]);
    assert_eq!(heads.len(), 7, "four reports and three entries");
}

async fn nothing_is_dropped_that_a_webhook_has_still_to_get(store: &(impl Store + Outbox + Deliveries)) {
    store.webhook("crm").await.unwrap();
    bounces(store, 1..=3).await;
    goes_to(store, 4, vec![passed(3), PassedBy { dead_at: Some(at(3)), ..passed(1) }]).await;
    let later = Timestamp::now().checked_add(SignedDuration::from_hours(1)).unwrap();
    let prune = async |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        store.prune_outbox(later, names, 100).await.unwrap();
        let left = store.heads(0, 100).await.unwrap();
        left.iter().map(|head| head.event).collect::<Vec<_>>()
    };
    assert_eq!(prune(&["crm"]).await, [3, 5, 6], "what waits, and what it has not come to");
    assert!(dead(store).await.is_empty(), "what was given up is kept as long as its event");
    let (names, limit) = (vec!["crm".to_owned()], 1);
    bounces(store, 4..=4).await;
    goes_to(store, 7, vec![passed(3)]).await;
    store.prune_outbox(later, names, limit).await.unwrap();
    let left: Vec<i64> = store.heads(0, 100).await.unwrap().iter().map(|head| head.event).collect();
    assert_eq!(left, [3, 6, 7, 8], "what stays does not hide what is behind it");
    assert_eq!(prune(&[]).await, [0; 0], "one that is not used holds nothing back");
    assert!(store.webhooks().await.unwrap().is_empty(), "and is forgotten");
}
