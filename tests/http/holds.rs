//! `/v1/holds`, and the history of one address.

use serde_json::json;

use crate::common::{Daemon, Home, dsn, hard_bounce};

/// A daemon whose resolver failed: of nine domains that were not found in one hour, three wait.
fn with_a_hold() -> (Home, Daemon) {
    let home = Home::new().with("BREAKER_RECHECKABLE_PER_HOUR", "5");
    let daemon = home.start();
    let mut client = daemon.connect();
    for number in 0..9 {
        let address = format!("ida@lost{number}.example");
        let text = "550 5.1.2 Host unknown (Name server: host not found)";
        assert_eq!(client.send(&dsn(&address, &[(&address, "5.1.2", text)])).unwrap().code, 250);
    }
    (home, daemon)
}

#[test]
fn what_is_held_is_listed_shown_tried_and_released() {
    let (home, daemon) = with_a_hold();
    let http = daemon.api();
    let listed = http.get("/v1/holds").json();
    assert_eq!(listed["holds"], json!(home.json(&["holds", "list", "--json"])));
    assert_eq!((&listed["holds"][0]["waiting"], &listed["next"]), (&json!(3), &json!(null)));
    let first = http.get("/v1/holds/1?limit=2").json();
    assert!(first["undo"].as_str().unwrap().starts_with("dsnd suppressions remove --since="), "{first}");
    let second = http.get(&format!("/v1/holds/1?limit=2&cursor={}", first["next"].as_str().unwrap())).json();
    assert_eq!(
        (first["events"].as_array().unwrap().len(), second["events"].as_array().unwrap().len()),
        (2, 1)
    );
    assert_eq!((&second["events"][0]["change"], &second["next"]), (&json!("held"), &json!(null)));

    let settle = |path: &str| http.send("POST", path, b"");
    for (path, state, suppressed) in
        [("release", "would be released", json!(3)), ("discard", "would be discarded", json!(null))]
    {
        let tried = settle(&format!("/v1/holds/1/{path}?dry_run=true")).json();
        assert_eq!(tried, json!({ "hold": 1, "state": state, "events": 3, "suppressed": suppressed }));
    }
    assert_eq!(http.get("/v1/holds").json()["holds"][0]["state"], "open");
    let released = settle("/v1/holds/1/release").json();
    assert_eq!(released, json!({ "hold": 1, "state": "released", "events": 3, "suppressed": 3 }));
    let shown = http.get("/v1/holds/1").json();
    assert_eq!(shown["hold"]["settled_by"], format!("tests-{}", daemon.pid()));
    assert_eq!(http.get("/v1/holds").json()["holds"], json!([]));
    assert_eq!(http.get("/v1/holds?all=true").json()["holds"][0]["state"], "released");
    assert!(settle("/v1/holds/1/discard").problem(409).contains("settled already: released"));
    assert!(settle("/v1/holds/2/release").problem(404).contains("no hold 2"));
    http.get("/v1/holds/2").problem(404);
    assert!(http.get("/v1/holds?open=true").problem(400).contains("there are all, cursor, limit"));
}

#[test]
fn what_is_discarded_changes_nothing() {
    let (home, daemon) = with_a_hold();
    let discarded = daemon.api().send("POST", "/v1/holds/1/discard", b"").json();
    assert_eq!(discarded, json!({ "hold": 1, "state": "discarded", "events": 3, "suppressed": 0 }));
    assert_eq!(home.json(&["suppressions", "list", "--json"]).len(), 6);
    daemon.http().send("POST", "/v1/holds/1/discard", b"").problem(401);
}

#[test]
fn one_address_has_a_history() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    let path = "/v1/suppressions/dead%40example.org/history";
    assert!(http.get(path).problem(404).contains("nothing is known"));
    assert!(http.get("/v1/suppressions/dead/history").problem(422).contains("not an address"));
    daemon.connect().send(&hard_bounce("1", "dead@example.org")).unwrap();
    assert_eq!(http.delete("/v1/suppressions/dead%40example.org").status, 204);
    let history = http.get(path).json();
    let mut told = home.json(&["suppressions", "show", "dead@example.org", "--json"])[0].clone();
    // A sentence for a person, which stands there alone.
    assert!(told.as_object_mut().unwrap().remove("summary").is_some(), "{told}");
    assert_eq!(history, told);
    assert_eq!(
        (&history["suppressed"], &history["events"][0]["class"]),
        (&json!(false), &json!("recipient_unknown"))
    );
    assert_eq!(
        (&history["changes"][0]["action"], &history["changes"][1]["action"]),
        (&json!("added"), &json!("removed"))
    );
}
