//! What goes wrong in dsnd itself or in its machine, and holds up nobody.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[tokio::test(start_paused = true)]
async fn a_try_that_panics_leaves_its_place_and_is_tried_again() {
    let tries = AtomicUsize::new(0);
    let mut scene = Scene::new(move |_, address, _| {
        let panics = address.starts_with("bad") && tries.fetch_add(1, Ordering::SeqCst) < 8;
        assert!(!panics, "a fault of dsnd");
        (Duration::from_millis(5), Answer::Taken)
    })
    .await;
    for number in 0..scene.endpoint.concurrency {
        scene.bounce(&format!("bad{number}@example.org")).await;
    }
    scene.bounce("good@example.org").await;
    assert!(scene.until_told_of("good@example.org").await < Duration::from_secs(10));
    scene.until_taken(1..=10).await;
    scene.check(1..=10);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_holds_up_no_event_and_gives_up_none() {
    for years in [-10, 10] {
        let mut scene = Scene::new(|at, _, _| {
            let down = at < HOUR;
            (Duration::ZERO, if down { refused("connection refused", None, true) } else { Answer::Taken })
        })
        .await;
        scene.bounce("a@example.org").await;
        sleep(Duration::from_secs(600)).await;
        set_the_clock(date() + SignedDuration::from_hours(years * 365 * 24));
        scene.until_taken(1..=2).await;
        assert!(scene.receiver.began.elapsed() < HOUR * 2, "{:?}", scene.receiver.began.elapsed());
        sleep(Duration::from_secs(10)).await;
        let [state] = &scene.store.webhooks().await.unwrap()[..] else { panic!("one webhook") };
        let noted = state.state.delivered_at.unwrap();
        assert!(
            date().duration_since(noted).abs() < SignedDuration::from_hours(2),
            "the date that is set: {noted}"
        );
        scene.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_ends_the_program_it_goes_on_where_it_was() {
    let mut scene = Scene::new(|at, address, before| {
        let refuses = address.starts_with('7') && before < 3;
        let answer = if refuses { refused("500 Internal Server Error", None, false) } else { Answer::Taken };
        (Duration::from_millis(at.as_millis() as u64 % 40), answer)
    })
    .await;
    for number in 0..60 {
        scene.bounce(&format!("{}@example.org", number % 20)).await;
        if number % 7 == 0 {
            scene.kill();
            scene.start();
        }
        if number % 11 == 0 {
            scene.stop().await;
            scene.start();
        }
        sleep(Duration::from_millis(30)).await;
    }
    scene.until_taken(1..=80).await;
    scene.check(1..=80);
    sleep(HOUR).await;
    let came = scene.came().len();
    scene.stop().await;
    scene.start();
    sleep(HOUR).await;
    assert_eq!(scene.came().len(), came, "what was told is not told again");
}
