//! What happens is told, in the transaction in which it happens: what every engine must do.

use serde_json::Value;

use super::*;

/// Runs the suite, each part on a store of its own.
pub(crate) async fn check<S: Store + Outbox + Deliveries, F: Future<Output = S>>(make: impl Fn() -> F) {
    a_bounce_is_told_with_what_it_does(&make().await).await;
    what_came_before_is_no_news(&make().await).await;
    what_is_no_bounce_is_not_told(&make().await).await;
    what_people_do_is_told(&make().await).await;
    an_entry_that_ran_out_is_told_and_so_is_its_return(&make().await).await;
    what_nothing_proves_says_so(&make().await).await;
    a_hold_is_told_once_and_what_it_holds_when_it_is_let_through(&make().await).await;
    what_a_person_brings_from_files_is_marked(&make().await).await;
    what_is_only_tried_tells_nothing(&make().await).await;
    events_are_found_by_number_type_and_time(&make().await).await;
    events_are_found_by_what_they_say(&make().await).await;
    a_page_of_large_events_is_cut(&make().await).await;
    the_bell_rings_with_an_event(&make().await).await;
}

async fn all(store: &impl Outbox) -> Vec<OutboxEvent> {
    store.outbox(&OutboxFilter { limit: 10_000, ..OutboxFilter::default() }).await.unwrap().items
}

/// What was told: type, address, and for the list who changed it how.
async fn told(store: &impl Outbox) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let told = all(store).await.into_iter().map(|event| {
        let change = &event.data["change"];
        let how = change
            .as_object()
            .map(|change| format!(" {} by {}", word(&change["action"]), word(&change["origin"])));
        format!("{} {}{}", event.kind.as_str(), event.address_key, how.unwrap_or_default())
    });
    told.collect()
}

async fn a_bounce_is_told_with_what_it_does(store: &(impl Store + Outbox)) {
    let mut report = message(1, 0, hard("Dead@Example.org"));
    report.original_message_id = Some("1@news.example".to_owned());
    report.events[0].stream = 7;
    let recorded = store.record(report).await.unwrap();
    let [bounce, added] = &all(store).await[..] else { panic!("two events") };
    assert_eq!((bounce.kind, added.kind), (EventType::BounceRecorded, EventType::SuppressionAdded));
    assert!(bounce.id < added.id);
    assert_eq!((bounce.address_key.as_str(), bounce.stream), ("dead@example.org", 7));
    let [recipient] = &store.bounce(recorded.id).await.unwrap().unwrap().recipients[..] else { panic!() };
    let mut shown = serde_json::to_value(recipient).unwrap();
    let shown = shown.as_object_mut().unwrap();
    // Names are filled in by whoever shows it, and nobody has settled or repeated it then.
    for name in ["stream_name", "repeats", "settled_at", "settled_by"] {
        shown.remove(name);
    }
    for (name, value) in shown {
        assert_eq!(bounce.data[name], *value, "{name}: as `dsnd bounces show --json` has it");
    }
    assert_eq!(bounce.data["bounce"], recorded.id);
    assert_eq!(bounce.data["origin"], "bounce");
    assert_eq!(bounce.data["original_message_id"], "1@news.example");
    assert_eq!(bounce.data["received_at"], "2024-10-04T00:01:00Z");

    let entry = store.suppression("dead@example.org", None, at(1)).await.unwrap().unwrap();
    for (name, value) in [
        ("address", "Dead@Example.org"),
        ("reason", "hard"),
        ("class", "recipient_unknown"),
        ("rule", "iana.5.1.1"),
        ("trust", "proven"),
    ] {
        assert_eq!(added.data[name], value);
    }
    assert_eq!(added.data["bounce"], recorded.id);
    assert_eq!(added.data["expires_at"], entry.expires_at.unwrap().to_string());
    assert_eq!(added.data["change"]["action"], "added");
    assert_eq!(added.data["change"]["origin"], "bounce");
    assert_eq!(added.stream, 0, "a hard bounce suppresses in every stream");
}

async fn what_came_before_is_no_news(store: &(impl Store + Outbox)) {
    store.record(message(1, 0, hard("a@example.org"))).await.unwrap();
    let before = told(store).await;
    assert_eq!(before, ["bounce.recorded a@example.org", "suppression.added a@example.org added by bounce"]);
    assert!(store.record(message(1, 0, hard("a@example.org"))).await.unwrap().duplicate);
    let mut copy = message(2, 0, hard("a@example.org"));
    copy.events[0].key[0] = 1;
    store.record(copy).await.unwrap();
    assert_eq!(told(store).await, before, "the same message, and the same report in another one");
    store.record(message(3, 5, hard("a@example.org"))).await.unwrap();
    assert_eq!(
        told(store).await[2..],
        ["bounce.recorded a@example.org"],
        "another report; the entry only lasts longer"
    );
}

async fn what_is_no_bounce_is_not_told(store: &(impl Store + Outbox)) {
    for (number, class) in
        [(1, Class::Delayed), (2, Class::Delivered), (3, Class::AutoReply), (4, Class::Challenge)]
    {
        let mut event = event("a@example.org", class, Severity::Transient);
        event.classification.bounce_type = class.bounce_type(Severity::Transient);
        store.record(message(number, 0, vec![event])).await.unwrap();
    }
    assert_eq!(told(store).await, [""; 0]);
    let mut complaint = event("a@example.org", Class::Complaint, Severity::Permanent);
    complaint.classification.bounce_type = BounceType::None;
    store.record(message(5, 0, vec![complaint])).await.unwrap();
    assert_eq!(
        told(store).await,
        ["complaint.recorded a@example.org", "suppression.added a@example.org added by bounce"]
    );
}

fn by_hand(address: &str, day: i64, expires_at: Option<Timestamp>) -> ManualEntry {
    ManualEntry {
        address: address.to_owned(),
        address_key: address.to_owned(),
        stream: ANY_STREAM,
        origin: crate::store::AuditOrigin::Cli,
        actor: Some("anna".to_owned()),
        now: at(day),
        expires_at,
        note: Some("asked by phone".to_owned()),
    }
}

async fn what_people_do_is_told(store: &(impl Store + Outbox)) {
    store.add(by_hand("a@example.org", 0, None)).await.unwrap();
    store.add(by_hand("a@example.org", 1, Some(at(9)))).await.unwrap();
    let removal = Removal {
        address_key: "a@example.org".to_owned(),
        stream: None,
        now: at(2),
        origin: crate::store::AuditOrigin::Cli,
        actor: Some("ben".to_owned()),
    };
    store.remove(removal).await.unwrap();
    assert_eq!(
        told(store).await,
        ["suppression.added a@example.org added by cli", "suppression.removed a@example.org removed by cli"],
        "what stood and was changed went on standing"
    );
    let removed = all(store).await.remove(1);
    assert_eq!(removed.data["note"], "asked by phone", "the entry as it was");
    assert_eq!(removed.data["change"]["actor"], "ben");
    for address in ["b@example.org", "c@example.org"] {
        store.record(message(address.as_bytes()[0], 3, hard(address))).await.unwrap();
    }
    store.undo(SuppressionFilter::default(), at(4), Some("ben".to_owned())).await.unwrap();
    let told = told(store).await;
    for address in ["b@example.org", "c@example.org"] {
        let line = format!("suppression.removed {address} removed by undo");
        assert_eq!(told.iter().filter(|told| **told == line).count(), 1, "{told:?}");
    }
}

async fn an_entry_that_ran_out_is_told_and_so_is_its_return(store: &(impl Store + Outbox)) {
    store.add(by_hand("a@example.org", 0, Some(at(2)))).await.unwrap();
    store.add(by_hand("b@example.org", 0, Some(at(2)))).await.unwrap();
    assert_eq!(store.expire(at(3), 1).await.unwrap(), 1);
    store.record(message(1, 4, hard("b@example.org"))).await.unwrap();
    assert_eq!(
        told(store).await[2..],
        [
            "suppression.removed a@example.org expired by expiry",
            "bounce.recorded b@example.org",
            "suppression.removed b@example.org expired by expiry",
            "suppression.added b@example.org added by bounce",
        ],
        "one noted by the daemon, one by the bounce that came first"
    );
}

async fn what_nothing_proves_says_so(store: &(impl Store + Outbox)) {
    let mut events = hard("a@example.org");
    (events[0].quarantined, events[0].applies, events[0].trust) = (true, false, Trust::Unsigned);
    let id = store.record(message(1, 0, events)).await.unwrap().id;
    let [bounce] = &all(store).await[..] else { panic!("it changes nothing") };
    assert_eq!((&bounce.data["trust"], &bounce.data["change"]), (&"unsigned".into(), &"quarantined".into()));
    let event = store.bounce(id).await.unwrap().unwrap().recipients[0].event;
    let settling = Settling {
        events: vec![event],
        verdict: Verdict::Approve,
        by: "anna".to_owned(),
        at: at(1),
        dry_run: false,
    };
    store.settle(settling).await.unwrap();
    assert_eq!(told(store).await[1..], ["suppression.added a@example.org added by quarantine"]);
    assert_eq!(all(store).await[1].data["trust"], "unsigned");
}

async fn a_hold_is_told_once_and_what_it_holds_when_it_is_let_through(store: &(impl Store + Outbox)) {
    let gone = |number: i64| {
        event(&format!("u{number}@gone{number}.example"), Class::DomainInvalid, Severity::Permanent)
    };
    store.record(message(1, 0, (0..203).map(gone).collect())).await.unwrap();
    let told_types =
        async |wanted: &str| told(store).await.iter().filter(|told| told.starts_with(wanted)).count();
    assert_eq!(told_types("bounce.recorded").await, 203);
    let (added, opened) = (told_types("suppression.added").await, told_types("hold.opened").await);
    assert!(added < 203 && opened == 1, "{added} were added, {opened} holds");
    let hold = open_holds(store).await.unwrap().remove(0);
    let event = all(store).await.into_iter().find(|event| event.kind == EventType::HoldOpened).unwrap();
    for (name, value) in serde_json::to_value(&hold).unwrap().as_object().unwrap() {
        if ["id", "kind", "name", "opened_at", "why", "recheckable_only", "state"].contains(&name.as_str()) {
            assert_eq!(event.data[name], *value, "{name}");
        }
    }
    let settling = HoldSettling {
        id: hold.id,
        verdict: HoldVerdict::Release,
        by: "ida".to_owned(),
        at: at(1),
        limit: 500,
        dry_run: None,
    };
    store.settle_hold(settling).await.unwrap();
    assert_eq!(told_types("suppression.added").await, 203);
    assert_eq!(told_types("bounce.recorded").await, 203, "they were told when they came");
}

async fn what_a_person_brings_from_files_is_marked(store: &(impl Store + Outbox)) {
    let mut report = message(1, 0, hard("a@example.org"));
    report.replayed = Some(Replayed { at: at(3), actor: "anna".to_owned() });
    store.record(report).await.unwrap();
    let events = all(store).await;
    assert_eq!(events[0].data["origin"], "replay");
    assert_eq!(events[1].data["change"]["origin"], "replay");
    assert_eq!(events[1].data["change"]["actor"], "anna");
}

async fn what_is_only_tried_tells_nothing(store: &(impl Store + Outbox)) {
    let mut events = hard("a@example.org");
    (events[0].quarantined, events[0].applies) = (true, false);
    let id = store.record(message(1, 0, events)).await.unwrap().id;
    let newest = store.outbox_bounds().await.unwrap().newest;
    let event = store.bounce(id).await.unwrap().unwrap().recipients[0].event;
    let settling = Settling {
        events: vec![event],
        verdict: Verdict::Approve,
        by: "anna".to_owned(),
        at: at(1),
        dry_run: true,
    };
    store.settle(settling).await.unwrap();
    assert_eq!(store.outbox_bounds().await.unwrap().newest, newest);
}

async fn events_are_found_by_number_type_and_time(store: &(impl Store + Outbox)) {
    assert_eq!(store.outbox_bounds().await.unwrap(), OutboxBounds { pruned_through: 0, newest: 0 });
    for number in 1..=3 {
        store.record(message(number, 0, hard(&format!("{number}@example.org")))).await.unwrap();
    }
    let found = async |filter: OutboxFilter| {
        let limit = if filter.limit == 0 { 100 } else { filter.limit };
        let events = store.outbox(&OutboxFilter { limit, ..filter }).await.unwrap().items;
        events.iter().map(|event| event.id).collect::<Vec<_>>()
    };
    let none = OutboxFilter::default;
    let now = all(store).await[0].timestamp;
    let later = now.checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
    for (filter, wanted) in [
        (none(), vec![1, 2, 3, 4, 5, 6]),
        (OutboxFilter { after: 4, ..none() }, vec![5, 6]),
        (OutboxFilter { limit: 2, ..none() }, vec![1, 2]),
        (OutboxFilter { limit: 2, latest: true, ..none() }, vec![5, 6]),
        (OutboxFilter { types: vec![EventType::SuppressionAdded], ..none() }, vec![2, 4, 6]),
        (OutboxFilter { types: vec![EventType::HoldOpened], ..none() }, vec![]),
        (
            OutboxFilter { common: Filter { since: Some(now), ..Filter::default() }, ..none() },
            vec![1, 2, 3, 4, 5, 6],
        ),
        (OutboxFilter { common: Filter { since: Some(later), ..Filter::default() }, ..none() }, vec![]),
    ] {
        assert_eq!(found(filter.clone()).await, wanted, "{filter:?}");
    }
    assert_eq!(store.outbox_event(3).await.unwrap().unwrap(), all(store).await[2]);
    assert_eq!(store.outbox_event(7).await.unwrap(), None);

    assert_eq!(store.prune_outbox(now, vec![], 100).await.unwrap(), 0, "they are not older");
    assert_eq!(store.prune_outbox(later, vec![], 4).await.unwrap(), 4);
    assert_eq!(found(none()).await, [5, 6]);
    assert_eq!(store.outbox_bounds().await.unwrap(), OutboxBounds { pruned_through: 4, newest: 6 });
    assert_eq!(store.prune_outbox(later, vec![], 100).await.unwrap(), 2);
    store.record(message(9, 0, hard("9@example.org"))).await.unwrap();
    assert_eq!(found(none()).await, [7, 8], "no number comes again");
}

async fn events_are_found_by_what_they_say(store: &(impl Store + Outbox)) {
    filters::four(store).await;
    let every = Filter::default;
    let text = |text: &str| Some(text.to_owned());
    let whole = all(store).await.len();
    for (common, found) in [
        (every(), whole),
        (Filter { domain: text("one.example"), ..every() }, 3), // two bounces, and one on the list
        (Filter { domain: text("e.example"), ..every() }, 0),
        (Filter { class: Some(Class::MailboxFull), ..every() }, 1),
        (Filter { rule: text("operator.dead"), ..every() }, 2),
        (Filter { remote_mta: text("mx.TWO.example."), ..every() }, 1),
        (Filter { listed_ip: "192.0.2.44".parse().ok(), ..every() }, 1),
        (Filter { origin: Some(AuditOrigin::Replay), ..every() }, 1),
        (Filter { trust: Some(Trust::Unsigned), ..every() }, 0),
        (Filter { trust: Some(Trust::Proven), ..every() }, whole),
    ] {
        let filter = OutboxFilter { common: common.clone(), limit: 100, ..OutboxFilter::default() };
        assert_eq!(store.outbox(&filter).await.unwrap().items.len(), found, "{common:?}");
    }
    let filter = OutboxFilter { through: Some(2), limit: 100, ..OutboxFilter::default() };
    assert_eq!(store.outbox(&filter).await.unwrap().items.len(), 2);
}

/// Strangers write what events say: a page has as many octets as it may, whatever the limit.
async fn a_page_of_large_events_is_cut(store: &(impl Store + Outbox)) {
    let address = "big@example.org";
    for number in 0..80 {
        let mut big = event(address, Class::MailboxFull, Severity::Transient);
        big.diagnostic_code = Some("x".repeat(PAGE_OCTETS / 64));
        store.record(message(number, 0, vec![big])).await.unwrap();
    }
    let filter = OutboxFilter { limit: 1_000, ..OutboxFilter::default() };
    let mut page = store.outbox(&filter).await.unwrap();
    assert!(page.more && (32..80).contains(&page.items.len()), "{}", page.items.len());
    let after = page.items.last().unwrap().id;
    page.items.extend(store.outbox(&OutboxFilter { after, ..filter }).await.unwrap().items);
    let ids: Vec<i64> = page.items.iter().map(|event| event.id).collect();
    assert_eq!(ids, (1..=80).collect::<Vec<_>>(), "the next page goes on there");
    let story = store.story(address, StoryPlace::default(), 1_000).await.unwrap();
    let older = store.story(address, story.older.unwrap(), 1_000).await.unwrap();
    assert_eq!((story.events.len() + older.events.len(), older.older), (80, None));
}

async fn the_bell_rings_with_an_event(store: &(impl Store + Outbox + Deliveries)) {
    let mut bell = store.newest();
    store.record(message(1, 0, hard("a@example.org"))).await.unwrap();
    let a_minute = std::time::Duration::from_secs(60);
    tokio::time::timeout(a_minute, bell.wait_for(|newest| *newest == 2)).await.unwrap().unwrap();
    for webhook in ["crm", "erp"] {
        store.webhook(webhook).await.unwrap(); // it rings, if at all, before the next one is answered
    }
    assert!(!bell.has_changed().unwrap(), "what writes no event wakes nobody");
}
