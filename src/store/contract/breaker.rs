//! Suppressions that jump far beyond what is usual wait; everything else does not.

use jiff::SignedDuration;

use super::*;
use EventChange::{Held, Suppressed};

/// A store that days pass in.
pub(super) struct Scene<'a, S> {
    store: &'a S,
    messages: u64,
}

impl<'a, S: Store> Scene<'a, S> {
    pub(super) fn new(store: &'a S) -> Self {
        Self { store, messages: 0 }
    }

    /// A message at an hour of a day with these events.
    async fn comes(&mut self, day: i64, hour: i64, events: Vec<NewEvent>) -> Recorded {
        self.comes_at(when(day, hour), events).await
    }

    async fn comes_at(&mut self, received_at: Timestamp, mut events: Vec<NewEvent>) -> Recorded {
        self.messages += 1;
        for (index, event) in events.iter_mut().enumerate() {
            event.key[..8].copy_from_slice(&self.messages.to_be_bytes());
            event.key[8..16].copy_from_slice(&(index as u64).to_be_bytes());
        }
        let mut message = super::message(0, 0, vec![]);
        message.digest[..8].copy_from_slice(&self.messages.to_be_bytes());
        message.received_at = received_at;
        message.events = events;
        self.store.record(message).await.unwrap()
    }

    /// Ten days with two unknown users each at a domain, by the same host and rule as everything here.
    async fn ten_ordinary_days(&mut self, domain: &str) {
        for day in 0..10 {
            let changes = self.comes(day, 9, unknown(domain, &format!("day{day}-"), 2)).await.changes;
            assert_eq!(changes, [Suppressed, Suppressed]);
        }
    }

    /// An outage after ten ordinary days: 300 users of a domain are said to be unknown within an hour.
    pub(super) async fn outage(&mut self, domain: &str) -> Hold {
        self.ten_ordinary_days(domain).await;
        let recorded = self.comes(10, 9, unknown(domain, "outage", 300)).await;
        assert_eq!(split(&recorded.changes), (51, 249), "the breaker trips when more than 50 went through");
        let [hold] = &open_holds(self.store).await.unwrap()[..] else { panic!("one hold") };
        assert_eq!((hold.kind.as_str(), hold.name.as_str(), hold.state.as_str()), ("domain", domain, "open"));
        assert_eq!((hold.held, hold.waiting, hold.recheckable_only), (249, 249, false));
        let [alarm] = &recorded.alarms[..] else { panic!("told once: {:?}", recorded.alarms) };
        assert_eq!((alarm.hold, alarm.name.as_str(), alarm.held), (hold.id, domain, 1));
        assert!(alarm.why.starts_with("51 suppressions within an hour; usual are 2.0"), "{}", alarm.why);
        hold.clone()
    }

    pub(super) async fn settle(&self, id: i64, verdict: HoldVerdict, limit: u32) -> Option<HoldSettled> {
        self.settle_at(id, verdict, limit, when(10, 12)).await
    }

    async fn settle_at(
        &self,
        id: i64,
        verdict: HoldVerdict,
        limit: u32,
        at: Timestamp,
    ) -> Option<HoldSettled> {
        let settling = HoldSettling { id, verdict, by: "ida".to_owned(), at, limit, dry_run: None };
        self.store.settle_hold(settling).await.unwrap()
    }

    async fn suppressed(&self, address: &str, day: i64) -> bool {
        self.store.suppression(address, None, at(day)).await.unwrap().is_some()
    }
}

pub(super) async fn what_is_approved_belongs_to_what_is_usual(store: &impl Store) {
    let mut scene = Scene::new(store);
    scene.ten_ordinary_days("big.example").await;
    let mut waiting = unknown("big.example", "waits", 51);
    waiting.iter_mut().for_each(|event| (event.quarantined, event.applies) = (true, false));
    scene.comes(10, 9, waiting).await;
    let filter = QuarantineFilter { limit: 100, ..QuarantineFilter::default() };
    let events =
        store.quarantined(&filter).await.unwrap().items.into_iter().map(|event| event.event).collect();
    let by = "ida".to_owned();
    let settling = Settling { events, verdict: Verdict::Approve, by, at: when(10, 9), dry_run: true };
    for dry_run in [true, false] {
        let outcomes = store.settle(Settling { dry_run, ..settling.clone() }).await.unwrap();
        assert_eq!(outcomes, vec![Outcome::Settled(Suppressed); 51], "a person lets them all through");
    }
    assert_eq!(
        scene.comes(10, 9, unknown("big.example", "next", 1)).await.changes,
        [Held],
        "they are counted"
    );
}

fn when(day: i64, hour: i64) -> Timestamp {
    at(day) + SignedDuration::from_hours(hour)
}

/// So many users that a domain does not know.
fn unknown(domain: &str, name: &str, count: usize) -> Vec<NewEvent> {
    (0..count).flat_map(|user| hard(&format!("{name}{user}@{domain}"))).collect()
}

/// One user at each of so many domains that are not found, as a resolver that fails tells it.
fn not_found(name: &str, count: usize) -> Vec<NewEvent> {
    let lost = |number| {
        let mut event =
            event(&format!("ida@{name}{number}.example"), Class::DomainInvalid, Severity::Permanent);
        event.remote_mta = None;
        event.classification.rule = "iana.5.1.2".to_owned();
        event
    };
    (0..count).map(lost).collect()
}

/// How many were suppressed and how many held; there must be nothing else, and nothing is suppressed once one is held.
fn split(changes: &[EventChange]) -> (usize, usize) {
    let suppressed = changes.iter().take_while(|change| **change == Suppressed).count();
    assert!(changes[suppressed..].iter().all(|change| *change == Held), "{changes:?}");
    (suppressed, changes.len() - suppressed)
}

pub(super) async fn an_outage_at_one_domain_is_held_and_drags_nobody_along(store: &impl Store) {
    let mut scene = Scene::new(store);
    let hold = scene.outage("big.example").await;
    assert!(scene.suppressed("outage50@big.example", 10).await);
    assert!(!scene.suppressed("outage51@big.example", 10).await);
    // By the same host and rule, at other domains.
    let others = (0..30).flat_map(|number| unknown(&format!("small{number}.example"), "x", 1)).collect();
    assert_eq!(split(&scene.comes(10, 9, others).await.changes), (30, 0));
    // The hold stands for as long as nobody settles it.
    assert_eq!(scene.comes(12, 9, unknown("big.example", "later", 1)).await.changes, [Held]);
    let held = store.held(hold.id, 0, 1_000).await.unwrap().items;
    assert_eq!(held.len(), 250);
    assert!(held.iter().all(|event| event.change == "held"));
    let bounce = store.bounce(held[0].bounce).await.unwrap().unwrap();
    let event = bounce.recipients.iter().find(|event| event.event == held[0].event).unwrap();
    assert_eq!((event.change.as_str(), event.hold, event.settled_at), ("held", Some(hold.id), None));
    assert_eq!(store.held(hold.id, held[248].event, 1_000).await.unwrap().items, held[249..]);
}

pub(super) async fn what_people_say_of_themselves_is_never_held(store: &impl Store) {
    let mut scene = Scene::new(store);
    scene.outage("big.example").await;
    let complaint = event("outage299@big.example", Class::Complaint, Severity::Transient);
    assert_eq!(scene.comes(10, 9, vec![complaint]).await.changes, [Suppressed]);
    let many = |number| event(&format!("c{number}@big.example"), Class::Complaint, Severity::Transient);
    assert_eq!(split(&scene.comes(10, 9, (0..300).map(many).collect()).await.changes), (300, 0));
    // What only counts a day, and a delivery, are nothing to hold either.
    assert_eq!(scene.comes(10, 9, soft("outage298@big.example")).await.changes, [EventChange::Counted]);
}

pub(super) async fn soft_bounces_are_held_when_they_would_suppress(store: &impl Store) {
    let mut scene = Scene::new(store);
    scene.ten_ordinary_days("big.example").await;
    let full = || (0..80).flat_map(|user| soft(&format!("soft{user}@big.example"))).collect();
    for day in 10..12 {
        let recorded = scene.comes(day, 9, full()).await;
        assert!(recorded.changes.iter().all(|change| *change == EventChange::Counted));
    }
    assert_eq!(split(&scene.comes(12, 9, full()).await.changes), (51, 29));
}

pub(super) async fn our_own_dns_mistake_is_held_even_on_the_first_day(store: &impl Store) {
    let mut scene = Scene::new(store);
    let recorded = scene.comes(0, 9, not_found("lost", 1_300)).await;
    assert_eq!(split(&recorded.changes), (201, 1_099));
    let told: Vec<_> = recorded.alarms.iter().map(|alarm| alarm.held).collect();
    assert_eq!(told, [1, 1_000], "and told again while it goes on");
    let holds = open_holds(store).await.unwrap();
    assert_eq!(holds.len(), 1);
    let brief = (holds[0].kind.as_str(), holds[0].name.as_str(), holds[0].recheckable_only);
    assert_eq!(brief, ("rule", "iana.5.1.2", true));
    assert!(
        holds[0].why.starts_with("201 suppressions within an hour for domains or hosts"),
        "{}",
        holds[0].why
    );
    assert_eq!(split(&scene.comes(0, 9, unknown("fine.example", "x", 300)).await.changes), (300, 0));
}

pub(super) async fn a_host_that_is_down_holds_no_unknown_users(store: &impl Store) {
    let mut scene = Scene::new(store);
    let down = |user| event(&format!("down{user}@big.example"), Class::HostUnreachable, Severity::Permanent);
    assert_eq!(split(&scene.comes(0, 9, (0..250).map(down).collect()).await.changes), (201, 49));
    // Nothing is known of the domain: who is unknown there is believed.
    assert_eq!(split(&scene.comes(0, 9, unknown("big.example", "x", 300)).await.changes), (300, 0));
    // With a history, the same hold takes everybody.
    for day in 1..9 {
        assert_eq!(
            split(&scene.comes(day, 9, unknown("big.example", &format!("d{day}-"), 2)).await.changes),
            (2, 0)
        );
    }
    // The day of 501 is the only one of its kind, and raises the mean to 57.4.
    assert_eq!(split(&scene.comes(9, 9, unknown("big.example", "y", 700)).await.changes), (576, 124));
    let [hold] = &open_holds(store).await.unwrap()[..] else { panic!("one hold") };
    assert_eq!((hold.recheckable_only, hold.held), (false, 173));
}

pub(super) async fn reports_about_one_address_count_once(store: &impl Store) {
    let mut scene = Scene::new(store);
    scene.ten_ordinary_days("big.example").await;
    // Each outlasts the entry that stands, and renews it: one subscriber opens no hold.
    for (day, count) in [(10, 215), (11, 60), (12, 60), (13, 60), (14, 60), (15, 60), (16, 60)] {
        for second in 0..count {
            let received_at = when(day, 9) + SignedDuration::from_secs(second);
            assert_eq!(scene.comes_at(received_at, hard("mallory@big.example")).await.changes, [Suppressed]);
        }
    }
    assert!(all_holds(store).await.is_empty());
    // Nor do they make an outage look usual: of the hour of the outage none was counted before.
    assert_eq!(split(&scene.comes(18, 9, unknown("big.example", "outage", 80)).await.changes), (51, 29));
}

pub(super) async fn an_address_that_waits_is_news_once(store: &impl Store) {
    let mut scene = Scene::new(store);
    let hold = scene.outage("big.example").await;
    for minute in 0..50 {
        let again = (0..30).flat_map(|_| hard("mallory@big.example")).collect();
        let recorded = scene.comes_at(when(10, 9) + SignedDuration::from_mins(minute), again).await;
        assert_eq!(split(&recorded.changes), (0, 30), "each is kept");
        assert_eq!(recorded.alarms, [], "and the operator is told of none");
    }
    assert_eq!(store.hold(hold.id).await.unwrap().unwrap().waiting, 249 + 1_500);
    // 249 users and Mallory wait; the thousandth user is told of.
    let recorded = scene.comes(10, 9, unknown("big.example", "more", 750)).await;
    assert_eq!(recorded.alarms.iter().map(|alarm| alarm.held).collect::<Vec<_>>(), [2_499]);
    // Released, she belongs to the usual once: 51 and 1,000 users on this day, 20 on ten others.
    scene.settle(hold.id, HoldVerdict::Release, 10_000).await.unwrap();
    assert_eq!(split(&scene.comes(13, 9, unknown("big.example", "next", 1_000)).await.changes), (975, 25));
}

pub(super) async fn the_first_mailing_to_an_old_list_is_not_held(store: &impl Store) {
    let mut scene = Scene::new(store);
    // The rule and the host are known from other domains; the provider is not.
    for day in 0..20 {
        let users = unknown("other.example", &format!("day{day}-"), 2 + day as usize % 2);
        assert!(scene.comes(day, 9, users).await.changes.iter().all(|change| *change == Suppressed));
    }
    for step in 0..6 {
        let thousands = unknown("provider.example", &format!("old{step}-"), 500);
        assert_eq!(split(&scene.comes(20, 9, thousands).await.changes), (500, 0));
        let others =
            (0..5).flat_map(|number| unknown(&format!("small{step}-{number}.example"), "x", 1)).collect();
        assert_eq!(split(&scene.comes(20, 9, others).await.changes), (5, 0), "nobody else is held for it");
    }
    // Over several domains at once, middling and small ones.
    for number in 0..5 {
        let users = unknown(&format!("new{number}.example"), "x", 12);
        assert_eq!(split(&scene.comes(21, 9, users).await.changes), (12, 0));
    }
    assert_eq!(split(&scene.comes(21, 9, unknown("large.example", "x", 900)).await.changes), (900, 0));
    for number in 0..80 {
        let mut users = unknown("huge.example", &format!("{number}-"), 6);
        users.extend(unknown(&format!("tiny{number}.example"), "x", 1));
        assert_eq!(split(&scene.comes(22, 9, users).await.changes), (7, 0));
    }
    // Nor is anybody who was known before.
    assert_eq!(split(&scene.comes(22, 9, unknown("other.example", "y", 5)).await.changes), (5, 0));
    assert!(all_holds(store).await.is_empty());
}

pub(super) async fn a_rule_that_jumps_at_many_domains_is_held(store: &impl Store) {
    let mut scene = Scene::new(store);
    let events = eight_known_domains(&mut scene).await;
    assert_eq!(split(&scene.comes(20, 9, events).await.changes), (51, 29));
    assert_eq!(open_holds(store).await.unwrap()[0].kind, "rule");
    // The hold is none of a domain that is mailed for the first time.
    assert_eq!(split(&scene.comes(20, 9, unknown("new.example", "x", 60)).await.changes), (60, 0));
}

pub(super) async fn a_host_that_jumps_at_many_domains_is_held(store: &impl Store) {
    let mut scene = Scene::new(store);
    let mut jump = eight_known_domains(&mut scene).await;
    for day in 0..8 {
        scene.comes(20 + day, 7, unknown("known0.example", &format!("h{day}-"), 1)).await; // by the host
    }
    for (number, event) in jump.iter_mut().enumerate() {
        event.remote_mta = Some("MX.example.org. (192.0.2.9)".to_owned());
        event.classification.rule = format!("own.{number}");
    }
    assert_eq!(split(&scene.comes(28, 9, jump).await.changes), (51, 29));
    let holds = open_holds(store).await.unwrap();
    assert_eq!((holds[0].kind.as_str(), holds[0].name.as_str()), ("remote_mta", "mx.example.org"));
    let mut elsewhere = unknown("known0.example", "m", 5);
    elsewhere.iter_mut().for_each(|event| event.remote_mta = Some("mx.elsewhere.example".to_owned()));
    assert_eq!(split(&scene.comes(28, 9, elsewhere).await.changes), (5, 0));
}

/// Twenty days with an unknown user each at eight domains, by hosts of their own; and ten at each, to come.
async fn eight_known_domains<S: Store>(scene: &mut Scene<'_, S>) -> Vec<NewEvent> {
    let users = |number: i64, name: &str, count| {
        let mut events = unknown(&format!("known{number}.example"), name, count);
        events.iter_mut().for_each(|event| event.remote_mta = Some(format!("mx.known{number}.example")));
        events
    };
    for day in 0..20 {
        for number in 0..8 {
            scene.comes(day, 9 + number, users(number, &format!("d{day}-"), 1)).await;
        }
    }
    (0..8).flat_map(|number| users(number, "jump", 10)).collect()
}

pub(super) async fn the_usual_crop_of_a_weekly_newsletter_is_not_held(store: &impl Store) {
    let mut scene = Scene::new(store);
    for day in 0..70 {
        let name = format!("d{day}-");
        let count = if day % 7 == 0 { 80 + (day as usize % 3) * 20 } else { 1 };
        let recorded = scene.comes(day, 9, unknown("big.example", &name, count)).await;
        assert_eq!(split(&recorded.changes), (count, 0), "day {day}");
    }
}

pub(super) async fn a_released_hold_does_what_its_events_say(store: &impl Store) {
    let mut scene = Scene::new(store);
    let hold = scene.outage("big.example").await;
    // Meanwhile a person has an opinion of one, and another complains.
    let by_hand = ManualEntry {
        stream: ANY_STREAM,
        origin: AuditOrigin::Cli,
        actor: None,
        address: "outage299@big.example".to_owned(),
        address_key: "outage299@big.example".to_owned(),
        now: when(10, 11),
        expires_at: None,
        note: None,
    };
    store.add(by_hand).await.unwrap();
    // A dry run says what would come of it, and nothing does.
    for (skip, events, suppressed) in [(0, 200, 200), (200, 49, 48)] {
        let (by, at) = ("ida".to_owned(), when(10, 12));
        let dry_run = Some(skip);
        let dry = HoldSettling { id: hold.id, verdict: HoldVerdict::Release, by, at, limit: 200, dry_run };
        let step = store.settle_hold(dry).await.unwrap();
        assert_eq!(step, Some(HoldSettled { events, suppressed, closed: skip == 200 }));
    }
    assert_eq!(store.hold(hold.id).await.unwrap().unwrap().waiting, 249);
    assert!(!scene.suppressed("outage60@big.example", 10).await);
    // A release in steps that is cut short: what is left waits on, what comes is held with it.
    let step = scene.settle(hold.id, HoldVerdict::Release, 100).await;
    assert_eq!(step, Some(HoldSettled { events: 100, suppressed: 100, closed: false }));
    assert_eq!(store.hold(hold.id).await.unwrap().unwrap().waiting, 149);
    assert_eq!(scene.comes(10, 10, unknown("big.example", "late", 1)).await.changes, [Held]);
    let step = scene.settle(hold.id, HoldVerdict::Release, 1_000).await;
    assert_eq!(step, Some(HoldSettled { events: 150, suppressed: 149, closed: true }));
    let settled = store.hold(hold.id).await.unwrap().unwrap();
    assert_eq!((settled.state.as_str(), settled.waiting, settled.held), ("released", 0, 250));
    assert_eq!((settled.settled_at, settled.settled_by.as_deref()), (Some(when(10, 12)), Some("ida")));

    let entry = store.suppression("outage60@big.example", None, at(11)).await.unwrap().expect("suppressed");
    assert_eq!((entry.reason, entry.first_seen), (Reason::Hard, when(10, 9)), "from its own day on");
    assert_eq!(entry.expires_at, Some(when(190, 9)));
    let entry = store.suppression("outage299@big.example", None, at(11)).await.unwrap().expect("suppressed");
    assert_eq!((entry.reason, entry.expires_at), (Reason::Manual, None), "nothing that stands is shortened");
    assert_eq!(entry.last_seen, when(10, 11), "nor made older");
    let events = store.held(hold.id, 0, 1_000).await.unwrap().items;
    assert_eq!(events.iter().filter(|event| event.change == "suppressed").count(), 249);
    assert_eq!(events.iter().filter(|event| event.change == "seen").count(), 1);
    let bounce = store.bounce(events[0].bounce).await.unwrap().unwrap();
    let event = bounce.recipients.iter().find(|event| event.event == events[0].event).unwrap();
    assert_eq!((event.settled_at, event.settled_by.as_deref()), (Some(when(10, 12)), Some("ida")));

    assert_eq!(scene.settle(hold.id, HoldVerdict::Release, 100).await, None, "settled already");
    assert_eq!(scene.settle(hold.id, HoldVerdict::Discard, 100).await, None);
    assert_eq!(scene.settle(77, HoldVerdict::Release, 100).await, None, "there is none");
    assert!(open_holds(store).await.unwrap().is_empty());
    assert_eq!(all_holds(store).await.len(), 1);
    // For a day the key is let pass.
    assert_eq!(split(&scene.comes(11, 11, unknown("big.example", "pass", 400)).await.changes), (400, 0));
}

pub(super) async fn what_waited_longer_than_its_term_does_nothing(store: &impl Store) {
    let mut scene = Scene::new(store);
    let hold = scene.outage("big.example").await;
    scene.comes(12, 9, unknown("big.example", "later", 1)).await;
    let step = scene.settle_at(hold.id, HoldVerdict::Release, 1_000, at(191)).await;
    assert_eq!(step, Some(HoldSettled { events: 250, suppressed: 1, closed: true }));
    let events = store.held(hold.id, 0, 1_000).await.unwrap().items;
    assert_eq!(events.iter().filter(|event| event.change == "none").count(), 249);
    let story = store.story("outage60@big.example", StoryPlace::default(), 1_000).await.unwrap();
    assert!(story.changes.is_empty() && !scene.suppressed("outage60@big.example", 11).await, "{story:?}");
    assert!(scene.suppressed("later0@big.example", 191).await);
}

pub(super) async fn an_entry_that_ran_out_while_an_event_waited_has_run_out_first(store: &impl Store) {
    let mut scene = Scene::new(store);
    let hold = scene.outage("big.example").await;
    let by_hand = ManualEntry {
        stream: ANY_STREAM,
        origin: AuditOrigin::Cli,
        actor: None,
        address: "outage60@big.example".to_owned(),
        address_key: "outage60@big.example".to_owned(),
        now: when(10, 8),
        expires_at: Some(at(15)),
        note: None,
    };
    store.add(by_hand).await.unwrap();
    scene.settle_at(hold.id, HoldVerdict::Release, 1_000, at(20)).await.unwrap();
    let told = store.story("outage60@big.example", StoryPlace::default(), 1_000).await.unwrap().changes;
    let told: Vec<_> = told.iter().map(|row| (row.action.as_str(), row.at, row.before.is_some())).collect();
    assert_eq!(told, [("added", when(10, 8), false), ("expired", at(15), true), ("added", at(20), false)]);
    let entry = store.suppression("outage60@big.example", None, at(20)).await.unwrap().unwrap();
    assert_eq!((entry.first_seen, entry.count), (when(10, 9), 1), "it is another entry");
}

pub(super) async fn a_discarded_hold_changes_nothing(store: &impl Store) {
    let mut scene = Scene::new(store);
    let hold = scene.outage("big.example").await;
    let step = scene.settle(hold.id, HoldVerdict::Discard, 200).await;
    assert_eq!(step, Some(HoldSettled { events: 200, suppressed: 0, closed: false }));
    let step = scene.settle(hold.id, HoldVerdict::Discard, 200).await;
    assert_eq!(step, Some(HoldSettled { events: 49, suppressed: 0, closed: true }));
    assert_eq!(store.hold(hold.id).await.unwrap().unwrap().state, "discarded");
    assert!(!scene.suppressed("outage60@big.example", 11).await);
    let events = store.held(hold.id, 0, 1_000).await.unwrap().items;
    assert!(events.iter().all(|event| event.change == "discarded"));
    // The outage goes on, and nobody has let it pass.
    assert_eq!(split(&scene.comes(10, 9, unknown("big.example", "more", 10)).await.changes), (0, 10));
    // Once it is over, single users are believed again.
    let [again] = &open_holds(store).await.unwrap()[..] else { panic!("one hold") };
    scene.settle(again.id, HoldVerdict::Discard, 200).await.unwrap();
    assert_eq!(split(&scene.comes(10, 12, unknown("big.example", "dead", 2)).await.changes), (2, 0));
}

pub(super) async fn old_counts_are_dropped(store: &impl Store) {
    let mut scene = Scene::new(store);
    scene.ten_ordinary_days("big.example").await;
    assert_eq!(store.prune_rates(at(60), 100).await.unwrap(), 0);
    assert_eq!(store.prune_rates(at(200), 10).await.unwrap(), 10, "a bounded number at once");
    let left = "the domain on ten days, host and rule on the three after it was known";
    assert_eq!(store.prune_rates(at(200), 100).await.unwrap(), 6, "{left}");
}
