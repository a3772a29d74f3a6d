//! What every engine must do. An engine calls [`check`] with a way to make an empty store.

mod breaker;
pub(crate) mod deliveries;
mod filters;
pub(crate) mod lifecycle;
mod lists;
pub(crate) mod outbox;
mod quarantine;

use jiff::Timestamp;

use super::*;
use crate::classify::evidence::EvidenceField;
use crate::classify::{BounceType, Category, Class, Classification, Decision, Severity};
use crate::policy::Reason;
use crate::returnpath::Trust;

const DAY: i64 = 86_400;

/// Every hold, also those that are settled.
async fn all_holds(store: &impl Store) -> Vec<Hold> {
    let filter = HoldFilter { all: true, limit: 1_000, ..HoldFilter::default() };
    store.holds(&filter).await.unwrap().items
}

/// Runs the whole suite, each part on a store of its own.
pub(crate) async fn check<S: Store, F: Future<Output = S>>(make: impl Fn() -> F) {
    a_hard_bounce_suppresses(&make().await).await;
    the_same_message_counts_once(&make().await).await;
    soft_bounces_count_by_day(&make().await).await;
    the_soft_term_doubles(&make().await).await;
    what_is_unproven_changes_nothing(&make().await).await;
    a_delivery_clears_the_counters(&make().await).await;
    a_delivery_in_one_stream_clears_codes_that_suppress_in_all(&make().await).await;
    a_complaint_stays_for_ever(&make().await).await;
    the_weightier_reason_takes_over(&make().await).await;
    people_add_and_remove(&make().await).await;
    what_is_not_understood_is_kept(&make().await).await;
    raw_bytes_are_pruned(&make().await).await;
    lists_are_filtered_and_paged(&make().await).await;
    filters::bounces_are_found_by_every_filter(&make().await).await;
    filters::entries_are_found_by_every_origin_that_the_history_knows(&make().await).await;
    quarantine::what_waits_is_found_by_every_filter(&make().await).await;
    quarantine::what_came_to_anothers_return_path_is_approved_by_number_alone(&make().await).await;
    quarantine::what_is_approved_does_what_it_would_have_done(&make().await).await;
    quarantine::what_is_approved_late_takes_nothing_back(&make().await).await;
    quarantine::what_is_approved_after_its_term_makes_no_entry(&make().await).await;
    breaker::what_is_approved_belongs_to_what_is_usual(&make().await).await;
    quarantine::soft_bounces_that_waited_reach_the_threshold_together(&make().await).await;
    quarantine::one_report_changes_nobody_twice_however_it_comes(&make().await).await;
    quarantine::what_a_person_approved_is_not_applied_again_by_its_proof(&make().await).await;
    quarantine::what_a_person_discarded_counts_when_it_is_proven(&make().await).await;
    breaker::an_outage_at_one_domain_is_held_and_drags_nobody_along(&make().await).await;
    breaker::what_people_say_of_themselves_is_never_held(&make().await).await;
    breaker::soft_bounces_are_held_when_they_would_suppress(&make().await).await;
    breaker::our_own_dns_mistake_is_held_even_on_the_first_day(&make().await).await;
    breaker::a_host_that_is_down_holds_no_unknown_users(&make().await).await;
    breaker::reports_about_one_address_count_once(&make().await).await;
    breaker::an_address_that_waits_is_news_once(&make().await).await;
    breaker::the_first_mailing_to_an_old_list_is_not_held(&make().await).await;
    breaker::a_rule_that_jumps_at_many_domains_is_held(&make().await).await;
    breaker::a_host_that_jumps_at_many_domains_is_held(&make().await).await;
    breaker::the_usual_crop_of_a_weekly_newsletter_is_not_held(&make().await).await;
    breaker::a_released_hold_does_what_its_events_say(&make().await).await;
    breaker::what_waited_longer_than_its_term_does_nothing(&make().await).await;
    breaker::an_entry_that_ran_out_while_an_event_waited_has_run_out_first(&make().await).await;
    breaker::a_discarded_hold_changes_nothing(&make().await).await;
    breaker::old_counts_are_dropped(&make().await).await;
    many_writers_at_once_lose_nothing(make().await).await;
    lists::check(make).await;
}

pub(crate) fn at(day: i64) -> Timestamp {
    Timestamp::from_second(20_000 * DAY + day * DAY + 60).unwrap()
}

pub(crate) fn event(address: &str, class: Class, severity: Severity) -> NewEvent {
    NewEvent {
        key: [0; 32],
        trust: Trust::Proven,
        quarantined: false,
        applies: true,
        stream: ANY_STREAM,
        recipient: address.to_owned(),
        recipient_key: crate::address::comparison_form(address),
        original_recipient: None,
        final_recipient: Some(address.to_owned()),
        action: Some("failed"),
        status: Some("5.0.0".to_owned()),
        diagnostic_type: Some("smtp".to_owned()),
        diagnostic_code: Some("550 5.1.1 gone".to_owned()),
        remote_mta: Some("mx.example.org".to_owned()),
        last_attempt_date: None,
        classification: Classification {
            class,
            category: Category::Addressing,
            bounce_type: BounceType::Hard,
            decision: class.decision(severity),
            rule: "iana.5.1.1".to_owned(),
            evidence_field: EvidenceField::DiagnosticCode,
            evidence: "550 5.1.1".to_owned(),
            effective_status: "5.1.1".parse().ok(),
            reply_code: crate::status::ReplyCode::new(550),
            facts: crate::classify::Facts::default(),
        },
    }
}

/// A message of its own number, taken on a day, with events.
pub(crate) fn message(number: u8, day: i64, mut events: Vec<NewEvent>) -> NewMessage {
    for (index, event) in events.iter_mut().enumerate() {
        event.key[0] = number;
        event.key[1] = index as u8;
    }
    NewMessage {
        digest: [number; 32],
        received_at: at(day),
        replayed: None,
        peer: "192.0.2.1:25".to_owned(),
        helo: "mx.example.org".to_owned(),
        protocol: Some("ESMTPS"),
        tls: Some("TLSv1.3 TLS_AES_128_GCM_SHA256".to_owned()),
        reverse_path: String::new(),
        recipients: vec!["bounces@example.com".to_owned()],
        original_recipients: vec![Some("rfc822;dead@example.org".to_owned())],
        envelope_id: Some("QQ314159".to_owned()),
        kind: "dsn",
        message_id: Some(format!("{number}@example.org")),
        sender: None,
        subject: Some("Undeliverable".to_owned()),
        reporting_mta: Some("mx.example.org".to_owned()),
        original_envelope_id: None,
        arrival_date: Some(at(day)),
        original_message_id: None,
        original_from: None,
        original_to: vec!["dead@example.org".to_owned()],
        original_subject: None,
        defects: vec![],
        size: 5,
        unproven: false,
        raw: zstd::encode_all(&b"hello"[..], 1).unwrap(),
        events,
    }
}

pub(crate) fn hard(address: &str) -> Vec<NewEvent> {
    vec![event(address, Class::RecipientUnknown, Severity::Permanent)]
}

fn soft(address: &str) -> Vec<NewEvent> {
    vec![event(address, Class::Expired, Severity::Transient)]
}

async fn a_hard_bounce_suppresses(store: &impl Store) {
    let recorded = store.record(message(1, 0, hard("Dead@Example.org"))).await.unwrap();
    assert_eq!(recorded.changes, [EventChange::Suppressed]);
    let entry = store.suppression("dead@example.org", None, at(1)).await.unwrap().expect("suppressed");
    assert_eq!((entry.reason, entry.count), (Reason::Hard, 1));
    assert_eq!(entry.class.as_deref(), Some("recipient_unknown"));
    assert_eq!(entry.status.as_deref(), Some("5.1.1"));
    assert_eq!(entry.evidence.as_deref(), Some("550 5.1.1"));
    assert_eq!(entry.bounce, Some(recorded.id));
    assert!(store.suppression("alive@example.org", None, at(1)).await.unwrap().is_none());
    assert!(
        store.suppression("dead@example.org", None, at(181)).await.unwrap().is_none(),
        "its term is over"
    );
    let bounce = store.bounce(recorded.id).await.unwrap().unwrap();
    assert_eq!(bounce.recipients.len(), 1);
    assert_eq!(bounce.recipients[0].change, "suppressed");
    assert_eq!(bounce.envelope_original_recipients, [Some("rfc822;dead@example.org".to_owned())]);
    assert_eq!(bounce.envelope_id.as_deref(), Some("QQ314159"));
    assert_eq!(store.raw(recorded.id).await.unwrap().unwrap(), b"hello");
}

async fn the_same_message_counts_once(store: &impl Store) {
    let first = store.record(message(1, 0, soft("a@example.org"))).await.unwrap();
    let second = store.record(message(1, 5, soft("a@example.org"))).await.unwrap();
    assert!(!first.duplicate && second.duplicate);
    assert_eq!(first.id, second.id);
    let bounce = store.bounce(first.id).await.unwrap().unwrap();
    assert_eq!((bounce.copies, bounce.recipients.len()), (2, 1));
}

async fn soft_bounces_count_by_day(store: &impl Store) {
    for (number, day, change) in [
        (1, 0, EventChange::Counted),
        (2, 0, EventChange::Counted),
        (3, 1, EventChange::Counted),
        (4, 2, EventChange::Suppressed),
        (5, 3, EventChange::Seen),
    ] {
        let recorded = store.record(message(number, day, soft("a@example.org"))).await.unwrap();
        assert_eq!(recorded.changes, [change], "message {number} on day {day}");
    }
    let entry = store.suppression("a@example.org", None, at(4)).await.unwrap().unwrap();
    assert_eq!((entry.reason, entry.count), (Reason::Soft, 2));
    assert_eq!(entry.expires_at, Some(at(32)));
}

async fn the_soft_term_doubles(store: &impl Store) {
    let mut number = 0;
    let mut day = 0;
    for term in [30, 60, 120, 180, 180] {
        for _ in 0..3 {
            number += 1;
            day += 1;
            store.record(message(number, day, soft("a@example.org"))).await.unwrap();
        }
        let entry = store.suppression("a@example.org", None, at(day)).await.unwrap().expect("suppressed");
        assert_eq!(entry.expires_at, Some(at(day + term)));
        assert_eq!(entry.count, 1, "a new term counts anew");
        day += term;
        assert!(store.suppression("a@example.org", None, at(day)).await.unwrap().is_none());
    }
}

async fn what_is_unproven_changes_nothing(store: &impl Store) {
    let mut events = hard("a@example.org");
    events[0].quarantined = true;
    events[0].applies = false;
    events[0].trust = Trust::Unsigned;
    let recorded = store.record(message(1, 0, events)).await.unwrap();
    assert_eq!(recorded.changes, [EventChange::Quarantined]);
    assert!(store.suppression("a@example.org", None, at(0)).await.unwrap().is_none());
    assert_eq!(store.bounce(recorded.id).await.unwrap().unwrap().recipients[0].trust, "unsigned");
}

async fn a_delivery_clears_the_counters(store: &impl Store) {
    store.record(message(1, 0, soft("a@example.org"))).await.unwrap();
    store.record(message(2, 1, soft("a@example.org"))).await.unwrap();
    let delivered = vec![event("a@example.org", Class::Delivered, Severity::Transient)];
    assert_eq!(store.record(message(3, 1, delivered)).await.unwrap().changes, [EventChange::Cleared]);
    assert_eq!(
        store.record(message(4, 2, soft("a@example.org"))).await.unwrap().changes,
        [EventChange::Counted]
    );
}

async fn a_delivery_in_one_stream_clears_codes_that_suppress_in_all(store: &impl Store) {
    let code = |stream| {
        let mut one = event("a@example.org", Class::RecipientUnknown, Severity::Permanent);
        one.stream = stream;
        one.classification.decision = Decision::Count;
        one.classification.rule = "unconfirmed.5.1.1".to_owned();
        vec![one]
    };
    let mut delivered = event("a@example.org", Class::Delivered, Severity::Transient);
    delivered.stream = 9;
    assert_eq!(store.record(message(1, 0, code(7))).await.unwrap().changes, [EventChange::Counted]);
    assert_eq!(store.record(message(2, 1, vec![delivered])).await.unwrap().changes, [EventChange::Cleared]);
    assert_eq!(store.record(message(3, 2, code(9))).await.unwrap().changes, [EventChange::Counted]);
    assert_eq!(store.record(message(4, 3, code(7))).await.unwrap().changes, [EventChange::Suppressed]);
}

async fn a_complaint_stays_for_ever(store: &impl Store) {
    let complaint = vec![event("a@example.org", Class::Complaint, Severity::Transient)];
    assert_eq!(store.record(message(1, 0, complaint)).await.unwrap().changes, [EventChange::Suppressed]);
    assert_eq!(
        store.record(message(2, 1, hard("a@example.org"))).await.unwrap().changes,
        [EventChange::Seen]
    );
    let entry = store.suppression("a@example.org", None, at(90_000)).await.unwrap().expect("for ever");
    assert_eq!(
        (entry.reason, entry.class.as_deref(), entry.count),
        (Reason::Complaint, Some("complaint"), 2)
    );
}

async fn the_weightier_reason_takes_over(store: &impl Store) {
    for day in 0..3 {
        store.record(message(day, day.into(), soft("a@example.org"))).await.unwrap();
    }
    assert_eq!(
        store.record(message(9, 3, hard("a@example.org"))).await.unwrap().changes,
        [EventChange::Suppressed]
    );
    let entry = store.suppression("a@example.org", None, at(100)).await.unwrap().expect("half a year");
    assert_eq!((entry.reason, entry.count, entry.first_seen), (Reason::Hard, 2, at(2)));
    // A day by hand must not hide a dead address for longer than that day.
    let day = ManualEntry {
        address: "b@example.org".to_owned(),
        address_key: "b@example.org".to_owned(),
        stream: ANY_STREAM,
        origin: AuditOrigin::Cli,
        actor: None,
        now: at(0),
        expires_at: Some(at(1)),
        note: None,
    };
    store.add(day).await.unwrap();
    store.record(message(10, 0, hard("b@example.org"))).await.unwrap();
    assert!(store.suppression("b@example.org", None, at(100)).await.unwrap().is_some());
}

async fn people_add_and_remove(store: &impl Store) {
    let entry = ManualEntry {
        address: "A@example.org".to_owned(),
        address_key: "a@example.org".to_owned(),
        stream: ANY_STREAM,
        origin: AuditOrigin::Cli,
        actor: None,
        now: at(0),
        expires_at: None,
        note: Some("asked by phone".to_owned()),
    };
    store.add(entry).await.unwrap();
    let found = store.suppression("a@example.org", None, at(9_000)).await.unwrap().expect("for ever");
    assert_eq!((found.reason, found.note.as_deref()), (Reason::Manual, Some("asked by phone")));
    assert_eq!(
        store.record(message(1, 1, hard("a@example.org"))).await.unwrap().changes,
        [EventChange::Seen]
    );
    let off = || Removal {
        address_key: "a@example.org".to_owned(),
        stream: None,
        now: at(1),
        origin: AuditOrigin::Cli,
        actor: None,
    };
    assert!(store.remove(off()).await.unwrap());
    assert!(!store.remove(off()).await.unwrap());
    assert!(store.suppression("a@example.org", None, at(1)).await.unwrap().is_none());
}

async fn what_is_not_understood_is_kept(store: &impl Store) {
    let mut odd = message(1, 0, vec![]);
    odd.kind = "unrecognized";
    odd.defects = vec!["mime: nothing in it".to_owned()];
    let recorded = store.record(odd).await.unwrap();
    let filter = BounceFilter { kind: Some("unrecognized".to_owned()), limit: 10, ..BounceFilter::default() };
    let listed = store.bounces(&filter).await.unwrap().items;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].id, &listed[0].defects[..]),
        (recorded.id, &["mime: nothing in it".to_owned()][..])
    );
}

async fn raw_bytes_are_pruned(store: &impl Store) {
    let old = store.record(message(1, 0, hard("a@example.org"))).await.unwrap();
    let new = store.record(message(2, 9, hard("b@example.org"))).await.unwrap();
    assert_eq!(store.prune_raw(at(5), 10).await.unwrap(), 1);
    assert_eq!(store.prune_raw(at(5), 10).await.unwrap(), 0);
    assert!(store.raw(old.id).await.unwrap().is_none());
    assert!(store.raw(new.id).await.unwrap().is_some());
    assert!(!store.bounce(old.id).await.unwrap().unwrap().raw_kept);
    assert!(store.suppression("a@example.org", None, at(9)).await.unwrap().is_some(), "the entry stays");
}

async fn lists_are_filtered_and_paged(store: &impl Store) {
    for (number, address) in
        [(1, "c@one.example"), (2, "a@one.example"), (3, "b@two.example"), (4, "x@notone.example")]
    {
        store.record(message(number, 0, hard(address))).await.unwrap();
    }
    let all = SuppressionFilter { active_at: Some(at(1)), limit: 3, ..SuppressionFilter::default() };
    let keys = |list: Vec<Suppression>| list.into_iter().map(|entry| entry.address_key).collect::<Vec<_>>();
    let page = keys(store.suppressions(&all).await.unwrap().items);
    assert_eq!(page, ["a@one.example", "b@two.example", "c@one.example"]);
    let last = page.last().map(|address| (address.clone(), ANY_STREAM));
    let rest = SuppressionFilter { after: last, ..all.clone() };
    assert_eq!(keys(store.suppressions(&rest).await.unwrap().items), ["x@notone.example"]);
    let common = Filter { domain: Some("one.example".to_owned()), ..Filter::default() };
    let domain = SuppressionFilter { common, ..all.clone() };
    assert_eq!(keys(store.suppressions(&domain).await.unwrap().items), ["a@one.example", "c@one.example"]);
    let reason = SuppressionFilter { reason: Some(Reason::Soft), ..all.clone() };
    assert!(store.suppressions(&reason).await.unwrap().items.is_empty());
    let over = SuppressionFilter { active_at: Some(at(400)), ..all.clone() };
    assert!(store.suppressions(&over).await.unwrap().items.is_empty());
    let ids = |filter: BounceFilter| async move {
        store.bounces(&filter).await.unwrap().items.into_iter().map(|bounce| bounce.id).collect::<Vec<_>>()
    };
    let newest = ids(BounceFilter { limit: 2, ..BounceFilter::default() }).await;
    assert_eq!(newest.len(), 2);
    assert!(newest[0] > newest[1]);
    let older =
        ids(BounceFilter { limit: 9, before: newest.last().copied(), ..BounceFilter::default() }).await;
    assert_eq!(older.len(), 2);
    let about =
        BounceFilter { recipient_key: Some("b@two.example".to_owned()), limit: 9, ..BounceFilter::default() };
    assert_eq!(ids(about).await.len(), 1);
    let common = Filter { class: Some(Class::MailboxFull), ..Filter::default() };
    let class = BounceFilter { common, limit: 9, ..BounceFilter::default() };
    assert!(ids(class).await.is_empty());
}

async fn many_writers_at_once_lose_nothing(store: impl Store) {
    let store = std::sync::Arc::new(store);
    let tasks: Vec<_> = (0..100u8)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                store.record(message(number, 0, hard(&format!("u{number}@example.org")))).await
            })
        })
        .collect();
    let mut ids = std::collections::HashSet::new();
    for task in tasks {
        let recorded = task.await.unwrap().unwrap();
        assert!(!recorded.duplicate);
        assert!(ids.insert(recorded.id), "every message has a number of its own");
    }
    let filter = SuppressionFilter { active_at: Some(at(0)), limit: 1_000, ..SuppressionFilter::default() };
    assert_eq!(store.suppressions(&filter).await.unwrap().items.len(), 100);
}
