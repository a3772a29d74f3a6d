//! What one receiver or one stranger does costs nobody else.

use super::*;

#[tokio::test(start_paused = true)]
async fn addresses_that_are_refused_stop_nobody_else() {
    let mut scene = Scene::new(|_, address, _| {
        let answer = if address.starts_with("odd") {
            refused("422 Unprocessable Entity", None, false)
        } else {
            Answer::Taken
        };
        (Duration::from_millis(10), answer)
    })
    .await;
    for number in 0..8 {
        scene.bounce(&format!("odd{number}@example.org")).await;
    }
    sleep(HOUR).await;
    for number in 0..20 {
        let address = format!("{number}@example.org");
        scene.bounce(&address).await;
        assert!(scene.until_told_of(&address).await < Duration::from_secs(7));
    }
    scene.until_taken(17..=56).await;
    let tries = scene.came().iter().filter(|came| !came.taken).count();
    assert!((8..8 * 14).contains(&tries), "each in intervals of its own: {tries} in an hour");
}

#[tokio::test(start_paused = true)]
async fn whoever_has_many_addresses_refused_holds_up_no_other() {
    for (strangers, later, behind) in [
        (5, 10, 0),
        (20, 0, 0),
        (20, 100, 0),
        (40, 0, 0),
        (40, 0, 10),
        (40, 10, 0),
        (40, 1_000, 0),
        (99, 3, 99),
    ] {
        let mut scene = Scene::new(|_, address, _| {
            let odd = address.starts_with("odd");
            let answer = if odd { refused("422 Unprocessable Entity", None, false) } else { Answer::Taken };
            (Duration::from_millis(10), answer)
        })
        .await;
        for number in 0..strangers {
            scene.bounce(&format!("odd{number}@example.org")).await;
        }
        sleep(Duration::from_secs(later)).await;
        scene.bounce("good@example.org").await;
        for number in 0..behind {
            scene.bounce(&format!("odd-as-well{number}@example.org")).await;
        }
        let waited = scene.until_told_of("good@example.org").await;
        assert!(
            waited < Duration::from_secs(2) * (strangers / 40).max(1),
            "{waited:?} behind {strangers} for {later} s, before {behind}"
        );
        scene.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn many_events_about_one_address_hold_up_no_other() {
    for believed in [true, false] {
        let all = Endpoint { unproven: true, ..endpoint() };
        let slow = |_: Duration, _: &str, _: usize| (Duration::from_millis(43), Answer::Taken);
        let mut scene = Scene::at(all, slow).await;
        scene.flood("flood@example.org", believed).await;
        scene.bounce("honest@example.org").await;
        let waited = scene.until_told_of("honest@example.org").await;
        assert!(waited < Duration::from_secs(6), "{waited:?}, {believed}: told within a poll of the store");
        let before = scene.came().len();
        assert!(before < 400, "{before} before it");
        let last = if believed { 3_003 } else { 3_002 };
        scene.until_taken(1..=last).await;
        scene.check(1..=last);
        sleep(HOUR).await;
        let standings = scene.store.webhooks().await.unwrap();
        assert!(
            standings.iter().all(|one| (one.behind, one.waiting, one.dead) == (0, 0, 0)),
            "{standings:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_nothing_proves_is_told_to_those_alone_who_ask_for_it() {
    let mut scene = Scene::new(takes).await;
    scene.flood("flood@example.org", false).await;
    scene.bounce("honest@example.org").await;
    scene.until_told_of("honest@example.org").await;
    sleep(HOUR).await;
    assert_eq!(scene.taken(), [3_001, 3_002]);
    let [state] = &scene.store.webhooks().await.unwrap()[..] else { panic!("one webhook") };
    assert_eq!((state.behind, state.waiting, state.dead), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_brings_nothing_twice() {
    let mut scene = Scene::new(|_, address, _| {
        let takes = if address == "slow@example.org" { HOUR } else { Duration::from_millis(10) };
        (takes, Answer::Taken)
    })
    .await;
    scene.bounce("slow@example.org").await;
    for number in 0..10 {
        let address = format!("{number}@example.org");
        scene.bounce(&address).await;
        scene.until_told_of(&address).await;
        sleep(Duration::from_secs(1)).await;
        scene.kill();
        scene.start();
    }
    sleep(Duration::from_secs(10)).await;
    let (mut slow, mut others) = (0, HashMap::new());
    for came in scene.came() {
        match came.address.as_str() {
            "slow@example.org" => slow += 1,
            _ => *others.entry(came.event).or_insert(0) += 1,
        }
    }
    assert_eq!(slow, 11, "nobody knows whether it has that one");
    assert_eq!(others.len(), 20);
    assert!(others.values().all(|times| *times == 1), "{others:?}");
}

#[tokio::test(start_paused = true)]
async fn what_an_endpoint_has_no_words_for_says_nothing_of_it() {
    let ses = Endpoint { format: Format::Ses, types: Format::Ses.types().to_vec(), ..endpoint() };
    let mut scene = Scene::at(ses, |at, _, _| {
        let answer = if at < HOUR { refused("connection refused", None, true) } else { Answer::Taken };
        (Duration::ZERO, answer)
    })
    .await;
    scene.bounce("a@example.org").await;
    sleep(Duration::from_secs(20)).await;
    // Held events are in no notification.
    let held = (0..203)
        .flat_map(|number| {
            let mut report = contract::hard(&format!("u{number}@gone{number}.example"));
            report[0].classification.class = crate::classify::Class::DomainInvalid;
            report
        })
        .collect();
    let message = contract::message(9, 0, held);
    scene.store.record(message).await;
    sleep(Duration::from_secs(600)).await;
    let [state] = &scene.store.webhooks().await.unwrap()[..] else { panic!("one webhook") };
    assert!(state.state.failing_since.is_some() && state.state.delivered_at.is_none(), "{state:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_refused_holds_up_its_address_alone() {
    let mut scene = Scene::new(|_, address, before| {
        let refuses = address == "odd@example.org" && before < 6;
        (
            Duration::ZERO,
            if refuses { refused("500 Internal Server Error", None, false) } else { Answer::Taken },
        )
    })
    .await;
    for address in ["odd@example.org", "odd@example.org", "a@example.org", "b@example.org", "a@example.org"] {
        scene.bounce(address).await;
    }
    scene.until_taken(4..=8).await;
    assert!(scene.receiver.began.elapsed() < Duration::from_secs(7), "others go on");
    assert!(!scene.taken().contains(&1));
    scene.until_taken(1..=8).await;
    scene.check(1..=8);
    let first: Vec<Duration> =
        scene.came().iter().filter(|came| came.event == 1).map(|came| came.at).collect();
    assert_eq!(first.len(), 7);
    for (number, pair) in first.windows(2).enumerate() {
        let (waited, doubled) = (pair[1] - pair[0], Duration::from_secs(1 << number));
        assert!(waited >= doubled.mul_f64(0.79) && waited <= doubled.mul_f64(1.3), "{first:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_holds_up_nobody_else() {
    let timeout = Duration::from_secs(10);
    let mut scene = Scene::new(move |_, address, before| match (address, before) {
        ("slow@example.org", 0..3) => (timeout, refused("no answer within 10 seconds", None, false)),
        _ => (Duration::from_millis(1), Answer::Taken),
    })
    .await;
    scene.bounce("slow@example.org").await;
    sleep(Duration::from_secs(1)).await;
    for number in 0..50 {
        scene.bounce(&format!("{number}@example.org")).await;
    }
    scene.until_taken(3..=102).await;
    assert!(scene.receiver.began.elapsed() < timeout, "{:?}", scene.receiver.began.elapsed());
    scene.until_taken(1..=102).await;
    scene.check(1..=102);
}
