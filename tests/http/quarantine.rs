//! `/v1/quarantine`: what nothing proves waits for a person.

use serde_json::{Value, json};

use crate::common::{Daemon, Home, Http, dsn, hard_bounce};

/// A daemon that believes nothing unsigned, with three reports that wait.
fn waiting() -> (Home, Daemon, Http) {
    let home = Home::new().with("RETURN_PATH_TRUST_UNSIGNED", "false");
    let daemon = home.start();
    let mut client = daemon.connect();
    for (id, address) in [("1", "ada@example.org"), ("2", "bert@example.org"), ("3", "carl@example.net")] {
        assert_eq!(client.send(&hard_bounce(id, address)).unwrap().code, 250);
    }
    let http = daemon.api();
    (home, daemon, http)
}

fn recipients(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|event| event["recipient"].as_str().unwrap()).collect()
}

#[test]
fn what_waits_is_listed_by_page_and_by_filter_and_shown() {
    let (home, daemon, http) = waiting();
    let all = http.get("/v1/quarantine").json();
    for event in all["events"].as_array().expect("a list") {
        let reply = event["diagnostic_code"].as_str().expect("the whole reply");
        assert!(reply.contains(event["evidence"].as_str().expect("what decided")), "{event}");
    }
    assert_eq!(all["events"], json!(home.json(&["quarantine", "list", "--json"])));
    assert_eq!((recipients(&all).len(), &all["next"]), (3, &json!(null)));
    let first = http.get("/v1/quarantine?limit=2").json();
    let second =
        http.get(&format!("/v1/quarantine?limit=2&cursor={}", first["next"].as_str().unwrap())).json();
    assert_eq!((recipients(&first).len(), recipients(&second)), (2, vec!["carl@example.net"]));
    for (filter, found) in [
        ("domain=EXAMPLE.net", 1),
        ("recipient=ada@example.org", 1),
        ("bounce=2", 1),
        ("class=recipient_unknown", 3),
        ("class=mailbox_full", 0),
        ("remote_mta=MX.example.net", 3),
        ("peer=127.0.0.0/8", 3),
        ("peer=192.0.2.1", 0),
        ("trust=unsigned&since=1h", 3),
        ("until=1h", 0),
        ("stream=0&rule=iana.5.1.1", 3),
        ("listed_ip=192.0.2.1", 0),
    ] {
        let page = http.get(&format!("/v1/quarantine?{filter}")).json();
        assert_eq!(recipients(&page).len(), found, "{filter}: {page}");
    }
    for (filter, words) in
        [("peer=x", "peer"), ("listed_ip=x", "an IP address, such as"), ("trust=much", "not one of")]
    {
        let told = http.get(&format!("/v1/quarantine?{filter}")).problem(400);
        assert!(told.contains(words) || told.contains("192.0.2.0/24"), "{filter}: {told}");
    }
    let number = all["events"][1]["event"].as_i64().unwrap();
    assert_eq!(http.get(&format!("/v1/quarantine/{number}")).json(), all["events"][1]);
    http.get("/v1/quarantine/99").problem(404);
    daemon.stop();
}

#[test]
fn what_waits_is_tried_approved_and_discarded_with_counts() {
    let (home, daemon, http) = waiting();
    let suppressed = || home.json(&["suppressions", "list", "--json"]).len();
    let ours = json!({ "filter": { "domain": "example.org" } });
    let tried = http.post("/v1/quarantine/approve?dry_run=true", &ours).json();
    assert_eq!(
        (&tried["dry_run"], &tried["settled"], &tried["changes"]),
        (&json!(true), &json!(2), &json!({ "suppressed": 2 }))
    );
    assert_eq!(suppressed(), 0);
    let done = http.post("/v1/quarantine/approve", &ours).json();
    assert_eq!((&done["settled"], &done["left_alone"], &done["more"]), (&json!(2), &json!(0), &json!(false)));
    assert_eq!(recipients(&done), ["ada@example.org", "bert@example.org"]);
    assert_eq!(suppressed(), 2);
    let story = http.get("/v1/suppressions/ada%40example.org/history").json();
    assert_eq!(story["changes"][0]["actor"], format!("tests-{}", daemon.pid()));

    let left = http.get("/v1/quarantine").json()["events"][0]["event"].clone();
    let numbers = json!({ "events": [left, 99] });
    let discarded = http.post("/v1/quarantine/discard", &numbers).json();
    assert_eq!((&discarded["settled"], &discarded["left_alone"]), (&json!(1), &json!(1)));
    assert_eq!(
        (&discarded["events"][0]["change"], &discarded["events"][1]["problem"]),
        (&json!("discarded"), &json!("there is no such event"))
    );
    assert!(discarded["events"][0]["bounce"].is_i64() && discarded["events"][0]["recipient"].is_string());
    let none = http.post("/v1/quarantine/approve", &json!({ "all": true })).json();
    assert_eq!((&none["settled"], suppressed()), (&json!(0), 2));
    for wrong in [
        json!({}),
        json!({ "filter": {} }),
        json!({ "events": [1], "all": true }),
        json!({ "events": [1], "filter": {} }),
    ] {
        assert!(
            http.post("/v1/quarantine/approve", &wrong).problem(422).contains("one of the three"),
            "{wrong}"
        );
    }
    let unknown = http.post("/v1/quarantine/approve", &json!({ "filter": { "domian": "x" } })).problem(422);
    assert!(unknown.contains("#/filter/domian") && unknown.contains("did you mean \"domain\"?"), "{unknown}");
    daemon.http().post("/v1/quarantine/approve", &json!({ "all": true })).problem(401);
}

#[test]
fn bounces_and_entries_are_filtered_as_on_the_command_line() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    let mut client = daemon.connect();
    client.send(&hard_bounce("1", "dead@example.org")).unwrap();
    let blocked = "554 5.7.1 Service unavailable; Client host [192.0.2.25] blocked using zen.example.net";
    client.send(&dsn("2", &[("live@example.net", "5.7.1", blocked)])).unwrap();
    for (path, list) in [("bounces", "bounces"), ("suppressions", "suppressions")] {
        for filter in [
            "domain=example.org",
            "class=recipient_unknown",
            "rule=iana.5.1.1",
            "remote-mta=mx.example.net",
            "listed-ip=192.0.2.25",
            "origin=bounce",
            "origin=import",
            "stream=0",
            "trust=unsigned",
            "trust=proven",
            "since=1h",
            "until=1h",
        ] {
            let option = format!("--{filter}");
            let told = home.json(&[list, "list", "--json", &option]);
            let answered = http.get(&format!("/v1/{path}?{}", filter.replace('-', "_"))).json();
            assert_eq!(answered[path], json!(told), "{path} {filter}");
        }
    }
    let listed = http.get("/v1/bounces?listed_ip=192.0.2.25").json();
    assert_eq!(listed["bounces"].as_array().unwrap().len(), 1);
    let exported =
        http.get("/v1/suppressions/export?format=ndjson&class=recipient_unknown&until=2099-01-01").text();
    assert_eq!(exported.lines().count(), 1);
}
