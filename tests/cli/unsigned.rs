//! An unsigned bounce suppresses nobody, and everything that is asked says so.

use serde_json::json;

use super::{status, text};
use crate::common::{Home, dsn, hard_bounce, wait_for};

const WAITS: &str = "ok; 1 unproven bounce waits: dsnd quarantine list";

#[test]
fn an_unsigned_bounce_is_told_of_at_the_start_when_it_comes_and_wherever_its_address_is_asked_about() {
    let home = Home::new().without("RETURN_PATH_TRUST_UNSIGNED");
    let daemon = home.start();
    let told = |words: &str| daemon.log().matches(words).count();
    wait_for("the warning at the start", || (told("no key signs return paths") == 1).then_some(()));
    let waits = "bounces wait and suppress no one: see `dsnd quarantine list`, and sign your return paths";
    assert_eq!(told(waits), 0, "none waits yet");
    daemon.connect().send(&hard_bounce("1", "dead@example.net")).unwrap();
    wait_for("the warning at the first", || (told(waits) == 1).then_some(()));

    let checked = home.run(&["suppressions", "check", "dead@example.net"]);
    assert_eq!(
        (status(&checked), text(&checked.stdout)),
        (0, format!("dead@example.net: {WAITS}\n").as_str())
    );
    let shown = home.run(&["suppressions", "show", "dead@example.net"]);
    assert!(text(&shown.stdout).starts_with(&format!("dead@example.net: {WAITS}\n")), "{shown:?}");

    let http = daemon.api();
    let asked = json!({ "addresses": ["dead@example.net"] });
    let answer = http.post("/v1/suppressions/check", &asked).json()["results"][0].clone();
    assert_eq!((&answer["summary"], &answer["waits_unproven"]), (&json!(WAITS), &json!(1)));
    let history = http.get("/v1/suppressions/dead%40example.net/history").json();
    assert_eq!((&history["summary"], &history["waits_unproven"]), (&json!(WAITS), &json!(1)));
    daemon.stop();

    // The next start finds it waiting, and says so once: the next time is a day later.
    let daemon = home.start();
    wait_for("the warning of the next start", || daemon.log().contains(waits).then_some(()));
    daemon.connect().send(&hard_bounce("2", "gone@example.net")).unwrap();
    let log = daemon.stop();
    assert_eq!(log.matches(waits).count(), 1, "{log}");
    assert!(log.contains("\"waiting\":1"), "{log}");

    // Who signs, or says whom to trust, is not warned at the start.
    let home = home.with("RETURN_PATH_TRUST_UNSIGNED", "true");
    let log = home.start().stop();
    assert!(!log.contains("no key signs return paths"), "{log}");
}

#[test]
fn what_a_stranger_says_of_the_sender_is_never_read_out() {
    let home = Home::new().without("RETURN_PATH_TRUST_UNSIGNED");
    let daemon = home.start();
    let blocked = "554 5.7.1 Service unavailable; Client host [192.0.2.44] blocked using zen.spamhaus.org";
    let report = dsn("1", &[("carl@example.net", "5.7.1", blocked)]);
    assert_eq!(daemon.connect().send(&report).unwrap().code, 250);
    let asked = json!({ "addresses": ["carl@example.net"] });
    let answer = daemon.api().post("/v1/suppressions/check", &asked).json()["results"][0].clone();
    assert_eq!((&answer["summary"], &answer["last_failure"]), (&json!("ok"), &json!(null)));
}
