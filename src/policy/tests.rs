//! The threshold and term rules, one a test.

use super::*;

const DAY: i64 = 86_400;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * DAY + 3_600).unwrap()
}

fn days_left(change: &Change, now: Timestamp) -> Option<i64> {
    match change {
        Change::Suppress(entry) => entry.expires_at.map(|end| (end.as_second() - now.as_second()) / DAY),
        other => panic!("no suppression: {other:?}"),
    }
}

fn said(class: Class, decision: Decision) -> Verdict {
    Verdict { class, decision, basis: Basis::Stated }
}

fn soft(history: &History, day: i64) -> Change {
    Policy::default().apply(said(Class::Expired, Decision::Count), history, at(day))
}

fn full(history: &History, day: i64) -> Change {
    Policy::default().apply(said(Class::MailboxFull, Decision::Count), history, at(day))
}

fn counted(days: &[i64]) -> History {
    History { counted_days: days.to_vec(), ..History::default() }
}

fn standing(reason: Reason, until: Option<i64>) -> Standing {
    Standing { reason, expires_at: until.map(at), recheckable: false, soft_term_days: 0 }
}

#[test]
fn a_hard_bounce_suppresses_at_once_for_half_a_year() {
    let change = Policy::default().apply(
        said(Class::RecipientUnknown, Decision::Suppress),
        &History::default(),
        at(100),
    );
    assert_eq!(days_left(&change, at(100)), Some(180));
}

#[test]
fn a_dead_host_suppresses_for_a_month_and_may_be_rechecked() {
    let change = Policy::default().apply(
        said(Class::HostUnreachable, Decision::Suppress),
        &History::default(),
        at(100),
    );
    assert_eq!(days_left(&change, at(100)), Some(30));
    assert!(matches!(change, Change::Suppress(Entry { recheckable: true, .. })));
}

#[test]
fn a_complaint_suppresses_for_ever() {
    let change =
        Policy::default().apply(said(Class::Complaint, Decision::Complaint), &History::default(), at(100));
    assert_eq!(days_left(&change, at(100)), None);
}

#[test]
fn three_soft_days_in_thirty_suppress_and_two_do_not() {
    assert_eq!(soft(&counted(&[]), 100), Change::Count(CounterKind::Soft));
    assert_eq!(soft(&counted(&[99]), 100), Change::Count(CounterKind::Soft));
    assert_eq!(days_left(&soft(&counted(&[80, 99]), 100), at(100)), Some(30));
    assert_eq!(
        soft(&counted(&[60, 99]), 100),
        Change::Count(CounterKind::Soft),
        "60 lies outside the window"
    );
    assert_eq!(soft(&counted(&[70, 99]), 100), Change::Count(CounterKind::Soft), "70 is the 31st day back");
    assert!(matches!(soft(&counted(&[71, 99]), 100), Change::Suppress(_)), "71 is the 30th");
}

#[test]
fn one_count_a_day() {
    assert_eq!(soft(&counted(&[100, 100, 99]), 100), Change::Count(CounterKind::Soft));
}

#[test]
fn a_full_mailbox_gets_a_month() {
    assert_eq!(
        full(&counted(&[96, 97, 98, 99]), 100),
        Change::Count(CounterKind::MailboxFull),
        "five days, but only five"
    );
    assert!(matches!(full(&counted(&[70, 80, 90, 95]), 100), Change::Suppress(_)));
    assert_eq!(full(&counted(&[70, 80, 90]), 100), Change::Count(CounterKind::MailboxFull), "four");
    assert_eq!(
        full(&counted(&[5, 80, 90, 95]), 100),
        Change::Count(CounterKind::MailboxFull),
        "5 is forgotten"
    );
}

#[test]
fn the_soft_term_doubles_on_each_return_up_to_half_a_year() {
    let mut terms = Vec::new();
    let mut term = 0;
    for _ in 0..5 {
        let history = History {
            standing: (term > 0)
                .then(|| Standing { soft_term_days: term, ..standing(Reason::Soft, Some(50)) }),
            counted_days: vec![98, 99],
            ..History::default()
        };
        let Change::Suppress(entry) = soft(&history, 100) else { panic!() };
        term = entry.soft_term_days;
        terms.push(term);
    }
    assert_eq!(terms, [30, 60, 120, 180, 180]);
}

#[test]
fn nothing_is_shortened_and_the_weightier_reason_stays() {
    let policy = Policy::default();
    let hard = |standing| {
        let history = History { standing: Some(standing), ..History::default() };
        policy.apply(said(Class::RecipientUnknown, Decision::Suppress), &history, at(100))
    };
    assert_eq!(hard(standing(Reason::Complaint, None)), Change::Seen(Scope::Global));
    assert_eq!(hard(standing(Reason::Manual, None)), Change::Seen(Scope::Global));
    assert_eq!(
        hard(standing(Reason::Hard, Some(400))),
        Change::Seen(Scope::Global),
        "and so does its evidence"
    );
    assert_eq!(hard(standing(Reason::Manual, Some(400))), Change::Seen(Scope::Global));
    assert_eq!(
        days_left(&hard(standing(Reason::Manual, Some(101))), at(100)),
        Some(180),
        "a day by hand hides no dead address"
    );
    let Change::Suppress(longer) = hard(standing(Reason::Manual, Some(101))) else { panic!("no change") };
    assert_eq!((longer.reason, longer.lengthens), (Reason::Manual, true), "but it stays a person's entry");
    assert_eq!(days_left(&hard(standing(Reason::Soft, Some(110))), at(100)), Some(180));
    assert_eq!(
        days_left(&hard(standing(Reason::Manual, Some(90))), at(100)),
        Some(180),
        "that one has run out"
    );
}

#[test]
fn a_soft_bounce_of_a_suppressed_address_is_only_seen() {
    let history = History {
        standing: Some(standing(Reason::Hard, Some(200))),
        counted_days: vec![98, 99],
        ..History::default()
    };
    assert_eq!(soft(&history, 100), Change::Seen(Scope::Stream));
}

#[test]
fn a_mailbox_that_is_gone_is_not_recheckable_because_its_host_was_unreachable_too() {
    let gone = History { standing: Some(standing(Reason::Hard, Some(110))), ..History::default() };
    let change = Policy::default().apply(said(Class::HostUnreachable, Decision::Suppress), &gone, at(100));
    assert!(matches!(change, Change::Suppress(Entry { recheckable: false, .. })));
}

#[test]
fn a_delivery_clears_and_our_own_faults_do_nothing() {
    let apply =
        |class, decision| Policy::default().apply(said(class, decision), &History::default(), at(100));
    assert_eq!(
        apply(Class::Delivered, Decision::Ignore),
        Change::Clear { counted: Scope::Stream, unconfirmed: Scope::Global }
    );
    assert_eq!(apply(Class::SenderBlocked, Decision::Sender), Change::None);
    assert_eq!(apply(Class::Routing, Decision::Host), Change::None);
    assert_eq!(apply(Class::Delayed, Decision::Ignore), Change::None);
}

/// What a hard bounce does by a policy that suppresses in its stream alone.
fn hard_in_its_stream(history: &History) -> Change {
    let policy = Policy { hard_scope: Scope::Stream, ..Policy::default() };
    policy.apply(said(Class::RecipientUnknown, Decision::Suppress), history, at(100))
}

#[test]
fn hard_bounces_and_complaints_reach_every_stream_and_soft_ones_their_own() {
    let policy = Policy::default();
    let scope = |class, decision, counted: &[i64]| match policy.apply(
        said(class, decision),
        &self::counted(counted),
        at(100),
    ) {
        Change::Suppress(entry) => entry.scope,
        other => panic!("no suppression: {other:?}"),
    };
    assert_eq!(scope(Class::RecipientUnknown, Decision::Suppress, &[]), Scope::Global);
    assert_eq!(scope(Class::Complaint, Decision::Complaint, &[]), Scope::Global);
    assert_eq!(scope(Class::Expired, Decision::Count, &[98, 99]), Scope::Stream);
    let Change::Suppress(entry) = hard_in_its_stream(&History::default()) else { panic!("no suppression") };
    assert_eq!(entry.scope, Scope::Stream, "as configured");
}

#[test]
fn an_entry_for_every_stream_that_outweighs_leaves_nothing_to_do_in_one() {
    let with = |everywhere, own: Option<Standing>| History {
        standing: own,
        everywhere: Some(everywhere),
        ..History::default()
    };
    let seen = Change::Seen(Scope::Global);
    assert_eq!(hard_in_its_stream(&with(standing(Reason::Complaint, None), None)), seen);
    assert_eq!(hard_in_its_stream(&with(standing(Reason::Hard, Some(400)), None)), seen);
    let own = standing(Reason::Soft, Some(110));
    assert_eq!(hard_in_its_stream(&with(standing(Reason::Hard, Some(400)), Some(own))), seen);
    let own = standing(Reason::Hard, Some(400));
    let change = hard_in_its_stream(&with(standing(Reason::Complaint, None), Some(own)));
    assert_eq!(change, Change::Seen(Scope::Stream), "the stream's own comes first");
    for everywhere in [(Reason::Hard, Some(110)), (Reason::Soft, None), (Reason::Complaint, Some(90))] {
        let change = hard_in_its_stream(&with(standing(everywhere.0, everywhere.1), None));
        assert_eq!(days_left(&change, at(100)), Some(180), "{everywhere:?} does not outweigh it");
    }
}

#[test]
fn a_soft_bounce_is_only_seen_where_the_address_is_suppressed_everywhere() {
    let history = |until| History {
        everywhere: Some(Standing { soft_term_days: 30, ..standing(Reason::Soft, Some(until)) }),
        counted_days: vec![98, 99],
        ..History::default()
    };
    assert_eq!(soft(&history(200), 100), Change::Seen(Scope::Global));
    assert_eq!(
        days_left(&soft(&history(90), 100), at(100)),
        Some(60),
        "a term that is over counts for doubling"
    );
}

#[test]
fn a_code_beside_an_unknown_text_suppresses_when_another_day_confirms_it() {
    let said =
        Verdict { class: Class::RecipientUnknown, decision: Decision::Count, basis: Basis::Unconfirmed };
    let policy = Policy::default();
    let day = |days: &[i64]| policy.apply(said, &counted(days), at(100));
    assert_eq!(day(&[]), Change::Count(CounterKind::Unconfirmed));
    assert_eq!(day(&[100]), Change::Count(CounterKind::Unconfirmed), "one day counts once");
    assert_eq!(day(&[70]), Change::Count(CounterKind::Unconfirmed), "that was too long ago");
    let Change::Suppress(entry) = day(&[71]) else { panic!("the second day") };
    assert_eq!((entry.reason, entry.scope), (Reason::Hard, Scope::Global), "as if the text had said so");
    assert_eq!(
        (days_left(&day(&[71]), at(100)), entry.consumes),
        (Some(180), Some(CounterKind::Unconfirmed))
    );
    let host = Verdict { class: Class::HostUnreachable, ..said };
    assert_eq!(days_left(&policy.apply(host, &counted(&[99]), at(100)), at(100)), Some(30));
    let at_once = Policy { unconfirmed_days: 1, ..Policy::default() };
    assert!(matches!(at_once.apply(said, &counted(&[]), at(100)), Change::Suppress(_)));
}

#[test]
fn what_was_relayed_or_expanded_clears_nothing() {
    let said = Verdict { basis: Basis::PassedOn, ..said(Class::Delivered, Decision::Ignore) };
    assert_eq!(Policy::default().apply(said, &counted(&[99]), at(100)), Change::None);
    assert!(!may_change(said), "so that no person need approve it");
}
