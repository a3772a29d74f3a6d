//! `dsnd explain` and `dsnd status`: nothing is recorded.

use super::{RECIPIENT_KEYS, assert_has_keys, failed, status, text, three};
use crate::common::{Home, json_lines};
use serde_json::Value;

#[test]
fn explain_speaks_json_by_the_documented_names() {
    let home = Home::new();
    home.file("a.eml", &three());
    let explained = home.json(&["explain", "a.eml", "--json"]);
    let [message] = &explained[..] else { panic!("one object a message: {explained:?}") };
    assert_has_keys(message, &["source", "kind", "report", "original", "recipients"]);
    assert_has_keys(&message["report"], &["reporting_mta", "original_envelope_id", "arrival_date"]);
    assert_has_keys(&message["original"], &["message_id", "from", "to", "subject"]);
    assert_eq!((&message["source"], &message["kind"]), (&"a.eml".into(), &"dsn".into()));
    assert_eq!(message["report"]["arrival_date"], "2026-11-20T09:59:00Z");
    assert_eq!(message["original"]["message_id"], "<original-three@example.com>");
    assert_eq!(message["original"]["to"][0], "list@example.net");
    let recipients = message["recipients"].as_array().unwrap();
    assert_eq!(recipients.len(), 3);
    for recipient in recipients {
        assert_has_keys(recipient, RECIPIENT_KEYS);
    }
    let dead = &recipients[0];
    assert_eq!((&dead["original_recipient"], &dead["reply_code"]), (&Value::Null, &550.into()));
    for (key, value) in [
        ("recipient", "Dead@Example.net"),
        ("action", "failed"),
        ("status", "5.0.0"),
        ("effective_status", "5.1.1"),
        ("diagnostic_type", "smtp"),
        ("diagnostic_code", "550 5.1.1 <Dead@Example.net>: User unknown"),
        ("remote_mta", "mx.example.net"),
        ("bounce_type", "hard"),
        ("category", "addressing"),
        ("class", "recipient_unknown"),
        ("decision", "suppress"),
    ] {
        assert_eq!(dead[key], value, "{key}");
    }
    assert!(!home.database().exists(), "explain writes nothing");
}

#[test]
fn explain_goes_on_after_a_file_that_cannot_be_read() {
    let home = Home::new();
    home.file("a.eml", &three());
    let output = home.run(&["explain", "--json", "nowhere.eml", "a.eml"]);
    assert_eq!((status(&output), json_lines(&output.stdout).len()), (2, 1));
    assert!(text(&output.stderr).starts_with("dsnd: cannot read nowhere.eml: "), "{output:?}");
    let mut command = home.command(&["explain", "-"]);
    let file = std::fs::File::open(home.path().join("a.eml")).unwrap();
    let output = command.stdin(file).output().unwrap();
    assert_eq!(status(&output), 0);
    assert!(text(&output.stdout).contains("Dead@Example.net\n  decision         suppress "), "{output:?}");
    let german = text(&home.run(&["explain", "a.eml", "--lang", "de"]).stdout).to_owned();
    assert_ne!(german, text(&home.run(&["explain", "a.eml"]).stdout), "in another language");
}

#[test]
fn status_explains_a_code() {
    let home = Home::new();
    let told = home.json(&["status", "5.4.1", "--json"]).remove(0);
    assert_eq!(
        [&told["code"], &told["bounce_type"], &told["class"], &told["decision"]],
        ["5.4.1", "hard", "host_unreachable", "suppress"]
    );
    let unregistered = home.json(&["status", "5.1.250", "--json"]).remove(0);
    assert_eq!(unregistered["registered"], false);
    let german = home.run(&["status", "5.4.1", "--lang", "de"]);
    assert!(text(&german.stdout).contains("Was zu tun ist"), "{german:?}");
    assert!(failed(&home.run(&["status", "hello"])).contains("hello"));
}
