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
    assert!(
        http.get("/v1/holds?open=true").problem(400).contains("there are all, cursor, limit, domain, class")
    );
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
    let told = &home.json(&["suppressions", "show", "dead@example.org", "--json"])[0];
    for (key, value) in history.as_object().unwrap().iter().filter(|(key, _)| *key != "next") {
        assert_eq!(value, &told[key], "{key}");
    }
    assert_eq!(
        (&history["summary"], &history["next"], &told["cut"]),
        (&json!("ok"), &json!(null), &json!(false))
    );
    assert_eq!(
        (&history["suppressed"], &history["events"][0]["class"]),
        (&json!(false), &json!("recipient_unknown"))
    );
    assert_eq!(
        (&history["changes"][0]["action"], &history["changes"][1]["action"]),
        (&json!("added"), &json!("removed"))
    );
}

#[test]
fn holds_are_found_by_the_filters_of_the_command_line() {
    let (home, daemon) = with_a_hold();
    let http = daemon.api();
    for (filter, found) in [
        ("domain=lost8.example", 1),
        ("domain=lost0.example", 0), // it came through
        ("class=domain_invalid", 1),
        ("class=mailbox_full", 0),
        ("remote_mta=MX.example.net", 1),
        ("listed_ip=192.0.2.1", 0),
        ("origin=bounce&trust=unsigned&since=1h", 1),
        ("origin=replay", 0),
        ("until=1h", 0),
        ("class=domain_invalid&domain=elsewhere.example", 0),
    ] {
        let page = http.get(&format!("/v1/holds?{filter}")).json();
        assert_eq!(page["holds"].as_array().unwrap().len(), found, "{filter}: {page}");
        let mut arguments = vec!["holds".to_owned(), "list".to_owned(), "--json".to_owned()];
        for condition in filter.split('&') {
            let (name, value) = condition.split_once('=').unwrap();
            arguments.push(format!("--{}={value}", name.replace('_', "-")));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert_eq!(json!(home.json(&arguments)), page["holds"], "{filter}");
    }
    http.get("/v1/holds?stream=none").problem(404);
}

#[test]
fn a_long_history_comes_page_by_page_the_newest_first() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    let path = "/v1/suppressions/dead%40example.org/history";
    for id in 1..=5 {
        daemon.connect().send(&hard_bounce(&id.to_string(), "dead@example.org")).unwrap();
    }
    for _ in 0..3 {
        http.put("/v1/suppressions/dead%40example.org?force=true", &json!({}));
    }
    let whole = http.get(path).json();
    let all = |key: &str| whole[key].as_array().unwrap().clone();
    assert_eq!((all("events").len(), &whole["next"]), (5, &json!(null)));
    let (mut events, mut changes, mut next) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = http.get(&format!("{path}?limit=2{next}")).json();
        events.splice(0..0, page["events"].as_array().unwrap().clone());
        changes.splice(0..0, page["changes"].as_array().unwrap().clone());
        assert_eq!(page["entries"], whole["entries"]);
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!((events, changes), (all("events"), all("changes")), "nothing twice, nothing left out");
    http.get(&format!("{path}?cursor=0000000000000001")).problem(400);
    http.get(&format!("{path}?limit=0")).problem(400);
}
