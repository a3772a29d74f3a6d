//! `GET /v1/stats`.

use serde_json::json;

use crate::common::{Home, dsn};

#[test]
fn bounces_are_counted_as_on_the_command_line() {
    let home = Home::new();
    let daemon = home.start();
    let bounce = dsn(
        "three",
        &[
            ("dead@example.net", "5.1.1", "550 5.1.1 User unknown"),
            ("full@example.net", "5.2.2", "552 5.2.2 Mailbox full"),
            ("gone@example.org", "5.1.1", "550 5.1.1 User unknown"),
        ],
    );
    assert_eq!(daemon.connect().send(&bounce).expect("an answer").code, 250);
    let http = daemon.api();
    for by in ["day", "class", "domain", "stream", "day,class,domain,stream"] {
        let answer = http.get(&format!("/v1/stats?by={by}")).json();
        assert_eq!(answer["rows"], json!(home.json(&["stats", "--by", by, "--json"])), "{by}");
        assert_eq!(answer["more"], false);
    }
    let answer = http.get("/v1/stats?by=class&limit=1").json();
    assert_eq!((answer["rows"].as_array().unwrap().len(), &answer["more"]), (1, &json!(true)));
    assert_eq!(answer["rows"][0]["changes"]["suppressed"], 2);
    for (query, events) in [
        ("class=mailbox_full", 1),
        ("domain=EXAMPLE.net", 2),
        ("stream=0", 3),
        ("stream=5", 0),
        ("until=2020-01-01", 0),
        ("since=2020-01-01", 3),
        ("since=7d", 3),
        ("since=2h&until=2099-01-01T00:00:00Z", 3),
        ("until=2w", 0),
    ] {
        let answer = http.get(&format!("/v1/stats?{query}")).json();
        let rows = answer["rows"].as_array().unwrap();
        assert_eq!(rows.iter().map(|row| row["events"].as_u64().unwrap()).sum::<u64>(), events, "{query}");
    }
    assert!(http.get("/v1/stats?by=rule").problem(400).contains("domain"));
    assert!(http.get("/v1/stats?class=bad").problem(400).contains("class"));
    assert!(
        http.get("/v1/stats?since=yesterday")
            .problem(400)
            .contains("since: \"yesterday\" is not what this takes: a time")
    );
    assert!(http.get("/v1/stats?limit=0").problem(400).contains("1000"));
    assert!(http.get("/v1/stats?stream=news").problem(404).contains("news"));
    daemon.stop();
}
