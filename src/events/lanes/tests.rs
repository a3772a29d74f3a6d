//! Whatever an endpoint answers and whenever the program ends: every event arrives, and each address in its order.

use std::time::Duration;

mod arrival;

use super::*;
use crate::store::EventType;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn state() -> WebhookState {
    WebhookState {
        name: "crm".to_owned(),
        through: 0,
        replays: 0,
        failing_since: None,
        error: None,
        delivered_at: None,
    }
}

fn head(event: i64, address: &str) -> Head {
    let (kind, address_key) = (EventType::BounceRecorded, address.to_owned());
    Head { event, at: at(0), kind, address_key, stream: 0, believed: true }
}

fn lanes(events: &[(i64, &str)]) -> Lanes {
    let mut lanes = Lanes::new(state(), 4);
    events.iter().for_each(|(event, address)| lanes.offer(head(*event, address), true));
    lanes
}

fn no() -> Answer {
    Answer::Refused { error: "500".to_owned(), retry_after: None, whole: false }
}

fn nobody_there(retry_after: Option<u64>) -> Answer {
    Answer::Refused {
        error: "connection refused".to_owned(),
        retry_after: retry_after.map(Duration::from_secs),
        whole: true,
    }
}

fn all(lanes: &mut Lanes, now: i64) -> Vec<i64> {
    std::iter::from_fn(|| lanes.next(at(now))).collect()
}

fn seconds_until(lanes: &Lanes, now: i64) -> i64 {
    lanes.wake_at().unwrap().duration_since(at(now)).as_secs()
}

#[test]
fn events_of_one_address_go_one_after_the_other_and_others_beside_them() {
    let mut lanes = lanes(&[(1, "a"), (2, "a"), (3, "b"), (4, "a")]);
    assert_eq!(all(&mut lanes, 0), [1, 3]);
    lanes.settle(1, Answer::Taken, at(0), 0.5);
    assert_eq!(all(&mut lanes, 0), [2]);
    lanes.settle(2, no(), at(0), 0.5);
    assert_eq!(all(&mut lanes, 0), [0; 0], "4 waits behind 2");
    assert_eq!(seconds_until(&lanes, 0), 1);
    lanes.settle(3, Answer::Taken, at(0), 0.5);
    lanes.offer(head(5, "c"), true);
    assert_eq!(all(&mut lanes, 0), [5]);
    assert_eq!(all(&mut lanes, 1), [2]);
    lanes.settle(2, Answer::Taken, at(1), 0.5);
    assert_eq!(all(&mut lanes, 1), [4]);
}

#[test]
fn no_more_are_on_their_way_than_the_endpoint_takes_at_once() {
    let mut lanes = lanes(&[(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, "e")]);
    assert_eq!(all(&mut lanes, 0), [1, 2, 3, 4]);
    assert_eq!((lanes.flying, lanes.wake_at()), (4, None), "an answer comes first");
    lanes.settle(3, Answer::Taken, at(0), 0.5);
    assert_eq!(all(&mut lanes, 0), [5]);
}

#[test]
fn intervals_double_up_to_an_hour_and_after_a_day_it_is_given_up() {
    let mut lanes = lanes(&[(1, "a"), (2, "a")]);
    let (mut now, mut waits) = (0, Vec::new());
    loop {
        assert_eq!(all(&mut lanes, now), [1]);
        let (outcome, _) = lanes.settle(1, no(), at(now), 0.5);
        if outcome == Outcome::Dead {
            break;
        }
        if let Some(progress) = lanes.progress() {
            let passed: Vec<i64> = progress.passed_by.iter().map(|passed| passed.event).collect();
            assert_eq!((&passed[..], progress.state.through), (&[1][..], 1));
            lanes.wrote(progress);
        }
        waits.push(seconds_until(&lanes, now));
        now += waits.last().unwrap();
    }
    assert_eq!(waits[..13], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600]);
    assert!(waits[12..].iter().all(|wait| *wait == 3600));
    assert!((86_400..90_000).contains(&now), "{now}");
    let progress = lanes.progress().unwrap();
    let [dead] = &progress.passed_by[..] else { panic!("{progress:?}") };
    assert_eq!((dead.event, dead.dead_at, dead.attempts as usize), (1, Some(at(now)), waits.len() + 1));
    assert_eq!(all(&mut lanes, now), [2], "the next of its address has a day of its own");
    for jitter in [0.0, 0.5, 1.0] {
        let seconds = interval(20, jitter).as_secs();
        assert!((2880..=3600).contains(&seconds), "{seconds}");
    }
    assert_ne!(interval(5, 0.0), interval(5, 1.0));
}

#[test]
fn an_endpoint_that_is_not_there_is_asked_by_one_event_alone_and_then_gets_all() {
    let mut lanes = lanes(&[(1, "a"), (2, "b"), (3, "c")]);
    assert_eq!(all(&mut lanes, 0), [1, 2, 3]);
    assert_eq!(lanes.settle(1, nobody_there(None), at(0), 0.5).1, Turn::WentDown);
    assert_eq!(lanes.settle(2, nobody_there(None), at(0), 0.5).1, Turn::Same, "it was on its way");
    lanes.offer(head(4, "d"), true);
    assert_eq!((lanes.room(), all(&mut lanes, 0)), (0, vec![]), "3 is on its way");
    lanes.settle(3, nobody_there(None), at(0), 0.5);
    assert_eq!(seconds_until(&lanes, 0), 1);
    assert_eq!(all(&mut lanes, 1).len(), 1);
    let mut now = 1;
    for wait in [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] {
        let probe = lanes.health.down.unwrap().probe.unwrap();
        assert_eq!(lanes.settle(probe, nobody_there(None), at(now), 0.5).1, Turn::Same);
        assert_eq!(seconds_until(&lanes, now), wait);
        now += wait;
        assert_eq!(all(&mut lanes, now).len(), 1);
    }
    let probe = lanes.health.down.unwrap().probe.unwrap();
    assert_eq!(lanes.settle(probe, Answer::Taken, at(now), 0.5), (Outcome::Delivered, Turn::CameUp));
    let mut left = 3;
    while let Some(event) = lanes.next(at(now)) {
        lanes.settle(event, Answer::Taken, at(now), 0.5);
        left -= 1;
    }
    assert_eq!(left, 0, "none waits for an interval of its own");
    assert!(lanes.room() > 0);
}

#[test]
fn an_endpoint_may_say_when_to_ask_again_within_an_hour() {
    for (asked, waits) in [(Some(120), 120), (Some(1_000_000), 3_600), (None, 1), (Some(0), 1)] {
        let mut lanes = lanes(&[(1, "a"), (2, "b")]);
        assert_eq!(lanes.next(at(0)), Some(1));
        lanes.settle(1, nobody_there(asked), at(0), 0.5);
        assert_eq!(
            (lanes.next(at(0)), seconds_until(&lanes, 0)),
            (None, waits),
            "{asked:?}: nobody asks before"
        );
    }
}

#[test]
fn one_that_refuses_twenty_addresses_in_a_row_is_down_and_one_that_refuses_somebody_is_not() {
    let mut sullen = lanes(&[]);
    for event in 1..=20 {
        sullen.offer(head(event, &event.to_string()), true);
        assert_eq!(sullen.next(at(0)), Some(event));
        let turn = sullen.settle(event, no(), at(0), 0.5).1;
        assert_eq!(turn, if event == 20 { Turn::WentDown } else { Turn::Same });
    }
    let mut picky = lanes(&[]);
    for event in 1..=100 {
        picky.offer(head(event, &event.to_string()), true);
        assert_eq!(picky.next(at(0)), Some(event));
        let answer = if event % 20 == 0 { Answer::Taken } else { no() };
        assert_eq!(picky.settle(event, answer, at(0), 0.5).1, Turn::Same);
    }
    // However often one address is refused, it is one.
    let mut odd = lanes(&[(1, "a")]);
    let mut now = 0;
    for _ in 0..30 {
        assert_eq!(odd.next(at(now)), Some(1));
        if odd.settle(1, no(), at(now), 0.5).0 == Outcome::Dead {
            break;
        }
        assert_eq!(odd.health.down.map(|down| down.probes), None);
        now += seconds_until(&odd, now);
    }
}

#[test]
fn one_that_is_down_is_asked_with_other_addresses_and_what_was_refused_keeps_its_interval() {
    let mut lanes = lanes(&[]);
    for event in 1..=20 {
        lanes.offer(head(event, &event.to_string()), true);
        lanes.next(at(0));
        lanes.settle(event, no(), at(0), 0.5);
    }
    (21..=24).for_each(|event| lanes.offer(head(event, &event.to_string()), true));
    assert_eq!(lanes.next(at(0)), None, "it is left alone for a moment");
    let moment = |number: u32| at(0) + Duration::from_millis(50) * number;
    assert_eq!(lanes.next(moment(1)), Some(21), "none of those that it refused");
    assert_eq!((lanes.next(moment(2)), lanes.flying), (None, 1), "one at a time");
    assert_eq!(lanes.settle(21, no(), moment(2), 0.5).1, Turn::Same);
    assert_eq!(lanes.next(moment(3)), Some(24), "from the other end");
    assert_eq!(lanes.settle(24, Answer::Taken, moment(3), 0.5).1, Turn::CameUp);
    let next = all(&mut lanes, 3);
    assert!(next.contains(&22) && next.contains(&23), "{next:?}: what was refused has half of the places");
}

#[test]
fn one_that_refused_events_and_then_is_not_there_is_left_alone_by_all() {
    let mut lanes = lanes(&[]);
    for event in 1..=200 {
        lanes.offer(head(event, &event.to_string()), true);
        let now = at(0) + SignedDuration::from_millis(50) * i32::try_from(event - 20).unwrap().max(0);
        assert_eq!(lanes.next(now), Some(event));
        lanes.settle(event, no(), now, 0.5);
    }
    (201..=203).for_each(|event| lanes.offer(head(event, &event.to_string()), true));
    assert_eq!(lanes.next(at(300)), Some(201));
    lanes.settle(201, nobody_there(None), at(300), 0.5);
    assert_eq!((lanes.room(), seconds_until(&lanes, 300)), (0, 2), "as if it had been asked in vain once");
}

#[test]
fn one_that_answers_is_asked_every_minute() {
    let mut lanes = lanes(&[]);
    for event in 1..=20 {
        lanes.offer(head(event, &event.to_string()), true);
        lanes.next(at(0));
        lanes.settle(event, no(), at(0), 0.5);
    }
    let mut now = seconds_until(&lanes, 0);
    for _ in 0..20 {
        let probe = lanes.next(at(now)).unwrap();
        lanes.settle(probe, no(), at(now), 0.5);
        let wait = seconds_until(&lanes, now);
        assert!(wait <= 60, "{wait}");
        now += wait;
    }
    assert!(now > 600);
}

#[test]
fn what_is_tried_again_leaves_half_of_the_places_to_the_rest() {
    let mut lanes = lanes(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")]);
    for event in all(&mut lanes, 0) {
        lanes.settle(event, no(), at(0), 0.5);
    }
    (5..=9).for_each(|event| lanes.offer(head(event, &event.to_string()), true));
    assert_eq!(all(&mut lanes, 1), [1, 2, 5, 6]);
    lanes.settle(1, no(), at(1), 0.5);
    assert_eq!(all(&mut lanes, 1), [3]);
    lanes.settle(5, Answer::Taken, at(1), 0.5);
    assert_eq!(all(&mut lanes, 1), [7]);
}

#[test]
fn events_about_no_address_wait_for_no_other() {
    let mut lanes = lanes(&[(1, ""), (2, ""), (3, "")]);
    assert_eq!(all(&mut lanes, 0), [1, 2, 3]);
}

#[test]
fn one_long_lane_takes_no_room_and_comes_bit_by_bit() {
    let many: Vec<(i64, &str)> = (1..=2_000).map(|event| (event, "a")).collect();
    let mut lanes = lanes(&many[..1_000]);
    assert!(lanes.room() > 0);
    let progress = lanes.progress().unwrap();
    assert_eq!(progress.state.through, 1_000);
    assert_eq!(progress.passed_by.len(), 1_000, "the store has them: no more than a few are known here");
    assert_eq!(lanes.items.len(), LANE);
    lanes.wrote(progress);
    for (event, address) in &many[1_000..] {
        lanes.offer(head(*event, address), true);
    }
    assert_eq!((lanes.room(), lanes.hungry()), (511, None));
    lanes.offer(head(2_001, "b"), true);
    for event in 1..=LANE as i64 {
        assert_eq!(lanes.next(at(0)), Some(event));
        lanes.settle(event, Answer::Taken, at(0), 0.5);
    }
    assert_eq!(lanes.hungry(), None, "the store has to know of the last ones first");
    let progress = lanes.progress().unwrap();
    lanes.wrote(progress);
    let (name, after, limit) = lanes.hungry().unwrap();
    assert_eq!((&*name, after, limit), ("a", LANE as i64, LANE));
    lanes.feed(&name, vec![], at(0));
    assert_eq!((lanes.hungry(), all(&mut lanes, 0)), (None, vec![2_001]));
}

#[test]
fn what_was_written_with_the_clock_ahead_waits_no_longer_than_any_other() {
    let far = at(10 * 365 * 86_400);
    let mut lanes = Lanes::new(WebhookState { failing_since: Some(far), ..state() }, 4);
    for (event, next_at) in [(1, far), (2, at(3_600))] {
        let (address_key, failed_at, next_at) = (event.to_string(), Some(far), Some(next_at));
        lanes.wait(Waiting { event, at: far, address_key, attempts: 3, failed_at, next_at }, at(0));
    }
    assert_eq!(all(&mut lanes, 0), [1]);
    lanes.settle(1, no(), at(0), 0.5);
    let progress = lanes.progress().unwrap();
    assert_eq!((progress.state.failing_since, progress.passed_by[0].failed_at), (Some(at(0)), Some(at(0))));
    assert_eq!(all(&mut lanes, 3_600), [1, 2]);
}

#[test]
fn an_event_that_two_pages_have_is_one() {
    let mut lanes = lanes(&[]);
    for tried in [vec![1], vec![]] {
        let (address_key, failed_at, next_at) = ("a".to_owned(), None, None);
        lanes.wait(Waiting { event: 1, at: at(0), address_key, attempts: 0, failed_at, next_at }, at(0));
        assert_eq!(all(&mut lanes, 0), tried);
    }
    lanes.settle(1, Answer::Taken, at(0), 0.5);
    assert_eq!(lanes.flying, 0);
}

#[test]
fn a_clock_that_is_set_makes_nothing_earlier_or_later() {
    for years in [-10, 10] {
        let day = 86_400;
        let by = years * 365 * day;
        let mut lanes = lanes(&[(1, "a"), (2, "b")]);
        assert_eq!(all(&mut lanes, 0), [1, 2]);
        lanes.settle(1, no(), at(0), 0.5);
        lanes.settle(2, nobody_there(Some(60)), at(0), 0.5);
        lanes.shift(SignedDuration::from_secs(by));
        assert_eq!(seconds_until(&lanes, by), 60);
        assert_eq!(all(&mut lanes, by + 59), [0; 0]);
        assert_eq!(all(&mut lanes, by + 60), [1]);
        let (outcome, turn) = lanes.settle(1, nobody_there(None), at(by + day - 1), 0.5);
        assert_eq!((outcome, turn), (Outcome::Retried, Turn::Same), "its day is not over");
        let later = at(by + day + 10);
        let asks = lanes.next(later).unwrap();
        let (_, turn) = lanes.settle(asks, nobody_there(None), later, 0.5);
        assert_eq!(turn, Turn::Hopeless);
    }
}

#[test]
fn what_was_overtaken_is_noted_so_that_what_came_does_not_come_again() {
    let mut lanes = lanes(&[(1, "slow"), (2, "b"), (3, "c"), (4, "d")]);
    assert_eq!(all(&mut lanes, 0), [1, 2, 3, 4]);
    lanes.settle(3, Answer::Taken, at(0), 0.5);
    let progress = lanes.progress().unwrap();
    let passed: Vec<i64> = progress.passed_by.iter().map(|passed| passed.event).collect();
    assert_eq!((passed, progress.state.through), (vec![1, 2], 3));
    lanes.wrote(progress);
    lanes.settle(1, Answer::Taken, at(9), 0.5);
    assert_eq!(lanes.progress().unwrap().delivered, [1]);
}

#[test]
fn what_is_old_is_given_up_when_nothing_was_taken_for_a_day() {
    let mut lanes = lanes(&[(1, "a"), (2, "a"), (3, "b")]);
    lanes.offer(Head { at: at(86_000), ..head(4, "b") }, true);
    assert_eq!(lanes.next(at(0)), Some(1));
    lanes.settle(1, nobody_there(None), at(0), 0.5);
    let mut now = 0;
    let turn = loop {
        now += seconds_until(&lanes, now);
        let event = lanes.next(at(now)).unwrap();
        match lanes.settle(event, nobody_there(None), at(now), 0.5).1 {
            Turn::Same => {}
            turn => break turn,
        }
    };
    assert_eq!(turn, Turn::Hopeless);
    assert!((86_400..90_000).contains(&now));
    assert!(!lanes.give_up_old(at(now)), "4 has not had its day, so what comes after it has not either");
    let progress = lanes.progress().unwrap();
    let mut dead: Vec<i64> = progress
        .passed_by
        .iter()
        .filter(|passed| passed.dead_at.is_some())
        .map(|passed| passed.event)
        .collect();
    dead.sort_unstable();
    assert_eq!((dead, progress.state.through), (vec![1, 2, 3], 3));
}

#[test]
fn what_the_store_did_not_take_is_told_again() {
    let mut lanes = lanes(&[(1, "a"), (2, "b")]);
    all(&mut lanes, 0);
    lanes.settle(1, no(), at(0), 0.5);
    lanes.settle(2, Answer::Taken, at(0), 0.5);
    let first = lanes.progress().unwrap();
    assert_eq!((first.state.through, first.passed_by.len()), (2, 1));
    lanes.not_written(first.clone());
    let second = lanes.progress().unwrap();
    assert_eq!(second, first);
    lanes.wrote(second);
    assert_eq!(lanes.progress(), None);
}
