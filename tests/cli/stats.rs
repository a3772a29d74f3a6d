//! `dsnd stats`.

use serde_json::json;

use super::*;

#[test]
fn bounces_are_counted_by_what_is_asked_for() {
    let home = with_bounces();
    let rows = home.json(&["stats", "--by", "class", "--json"]);
    let classes: Vec<_> = rows.iter().map(|row| row["class"].as_str().unwrap()).collect();
    assert_eq!(classes, ["mailbox_full", "recipient_unknown", "sender_blocked"]);
    let row = &rows[1];
    assert_eq!(
        (&row["events"], &row["changes"]["suppressed"], &row["decisions"]["suppress"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!((&row["day"], &row["domain"], &row["stream"]), (&json!(null), &json!(null), &json!(null)));

    let [all] = &home.json(&["stats", "--by", "domain,day,domain", "--json"])[..] else { panic!("one day") };
    assert_eq!((&all["domain"], &all["events"]), (&json!("example.net"), &json!(3)));
    let today = all["day"].as_str().unwrap();
    for (option, value, events) in [
        ("--since", today, 3),
        ("--until", today, 0),
        ("--until", "2099-01-01", 3),
        ("--until", "2020-01-01", 0),
        ("--class", "mailbox_full", 1),
        ("--domain", "EXAMPLE.net", 3),
        ("--domain", "example.org", 0),
        ("--stream", "0", 3),
        ("--stream", "9", 0),
    ] {
        let rows = home.json(&["stats", "--json", option, value]);
        let counted: u64 = rows.iter().map(|row| row["events"].as_u64().unwrap()).sum();
        assert_eq!(counted, events, "{option} {value}");
    }
}

#[test]
fn without_json_it_is_a_table_and_says_when_it_is_cut() {
    let home = with_bounces();
    let output = home.run(&["stats", "--by", "stream,class", "--limit", "2"]);
    assert_eq!(status(&output), 0, "{output:?}");
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(
        lines,
        [
            "class\tstream\tbounces\tsuppressed\tcounted\tseen\tcleared\twaits\tdiscarded\tnone",
            "mailbox_full\t-\t1\t0\t1\t0\t0\t0\t0\t0",
            "recipient_unknown\t-\t1\t1\t0\t0\t0\t0\t0\t0",
        ]
    );
    assert!(text(&output.stderr).contains("--limit"), "{output:?}");
    assert!(failed(&home.run(&["stats", "--stream", "news"])).contains("no stream"));
    assert_eq!(status(&home.run(&["stats", "--by", "rule"])), 2);
    assert_eq!(status(&home.run(&["stats", "--class", "bad"])), 2);
}
