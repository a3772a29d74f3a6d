//! Rules that changed are applied to what is stored: the list becomes what it would be with them, what persons did stays,
//! and a dry run says the same as the run does.

mod common;

use std::process::Output;

use common::{Database, Home, dsn, json_lines};
use serde_json::{Value, json};

/// What today's rules say of two partners' words that the built-in ones take for something else.
const RULES: &str = r#"
[[rule]]
id = "own.not-gone"
class = "policy"
pattern = '''\bpx-17\b'''
examples = ["550 5.1.1 unknown for now, PX-17"]

[[rule]]
id = "own.gone"
class = "recipient_inactive"
pattern = '''\bqz-99\b'''
severity = "permanent"
examples = ["550 5.7.1 refused, QZ-99"]

[[rule]]
id = "own.words"
class = "recipient_inactive"
pattern = '''\bzx-55\b'''
severity = "permanent"
examples = ["550 5.1.1 Zyx qwv, ZX-55"]
"#;

/// What the built-in rules suppress for, and today's do not.
const NOT_GONE: (&str, &str) = ("5.1.1", "550 5.1.1 unknown for now, PX-17");

/// What they take for our own fault, and today's suppress for.
const GONE: (&str, &str) = ("5.7.1", "550 5.7.1 refused, QZ-99");

/// A code beside words that the built-in rules do not know, and today's suppress for.
const UNCONFIRMED: (&str, &str) = ("5.1.1", "550 5.1.1 Zyx qwv, ZX-55");

/// What both suppress for.
const UNKNOWN: (&str, &str) = ("5.1.1", "550 5.1.1 User unknown");

/// A home that has received a bounce about each of these, in that order, by the built-in rules.
fn with(home: Home, bounces: &[(&str, (&str, &str))]) -> Home {
    let daemon = home.start();
    for (number, (address, (status, said))) in bounces.iter().enumerate() {
        let bounce = dsn(&format!("bounce-{number}"), &[(address, status, said)]);
        assert_eq!(daemon.connect().send(&bounce).expect("an answer").code, 250);
    }
    daemon.stop();
    home
}

/// The same home, with today's rules.
fn today(home: Home) -> Home {
    let rules = home.path().join("rules");
    std::fs::create_dir(&rules).expect("a directory");
    std::fs::write(rules.join("own.toml"), RULES).expect("a rule file");
    let rules = rules.display().to_string();
    home.with("RULES_DIR", &rules)
}

fn reclassify(home: &Home, more: &[&str]) -> (i32, Vec<Value>) {
    let output: Output = home.run(&[&["reclassify", "--json"], more].concat());
    let code = output.status.code().expect("it was not killed");
    assert!(code < 2, "{output:?}");
    (code, json_lines(&output.stdout))
}

/// The addresses on the list with their classes.
fn suppressed(home: &Home) -> Vec<(String, String)> {
    let list = home.json(&["suppressions", "list", "--json"]);
    let word = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    list.iter().map(|entry| (word(entry, "address"), word(entry, "class"))).collect()
}

fn listed(entries: &[(&str, &str)]) -> Vec<(String, String)> {
    entries.iter().map(|(address, class)| ((*address).to_owned(), (*class).to_owned())).collect()
}

/// Everything that a dry run must leave as it is.
fn state(home: &Home) -> Vec<(String,)> {
    Database::read(&home.database()).rows(
        "SELECT json_array(id, class, decision, rule, evidence, change, formerly) FROM events
         UNION ALL SELECT json_array(address_key, stream, reason, class, event, expires_at, first_seen, last_seen, count,
                                     changed_at, ended) FROM suppressions
         UNION ALL SELECT json_array(id, action, origin) FROM audit
         UNION ALL SELECT json_array(scope, name, kind, day, count) FROM counters
         UNION ALL SELECT json_array(day, domain, class, change, count) FROM aggregates",
    )
}

#[test]
fn what_would_not_be_suppressed_today_comes_off_and_what_would_be_goes_on() {
    let home = today(with(
        Home::new(),
        &[("fine@example.net", NOT_GONE), ("closed@example.net", GONE), ("dead@example.net", UNKNOWN)],
    ));
    let before = suppressed(&home);
    assert_eq!(
        before,
        listed(&[("dead@example.net", "recipient_unknown"), ("fine@example.net", "recipient_unknown")])
    );

    let untouched = state(&home);
    let (code, dry) = reclassify(&home, &["--dry-run"]);
    assert_eq!((code, dry.len()), (1, 2), "something would change");
    assert_eq!(state(&home), untouched, "a dry run changes nothing");
    let (code, done) = reclassify(&home, &[]);
    assert_eq!(code, 0);
    let as_done = |told: &[Value]| {
        let mut told = told.to_vec();
        told.iter_mut().for_each(|address| address["dry_run"] = json!(null));
        told
    };
    assert_eq!(as_done(&dry), as_done(&done), "a dry run says what the run does");

    let closed = &done[0];
    assert_eq!(closed["recipient"], "closed@example.net");
    let event = &closed["events"][0];
    assert_eq!(
        (&event["before"]["class"], &event["after"]["class"], &event["after"]["rule"]),
        (&json!("policy"), &json!("recipient_inactive"), &json!("own.gone"))
    );
    assert_eq!((&event["change_before"], &event["change"]), (&json!("none"), &json!("suppressed")));
    assert_eq!(closed["entries"][0]["action"], "added");
    let fine = &done[1];
    assert_eq!(fine["events"][0]["change"], "none");
    assert_eq!(fine["entries"][0]["action"], "removed");
    let after =
        listed(&[("closed@example.net", "recipient_inactive"), ("dead@example.net", "recipient_unknown")]);
    assert_eq!(suppressed(&home), after);

    let story = home.json(&["suppressions", "show", "fine@example.net", "--json"]);
    let story = story[0].to_string();
    for word in ["\"reclassify\"", "judged anew: policy", "not recipient_unknown (rule iana.5.1.1)"] {
        assert!(story.contains(word), "{word}: {story}");
    }
    assert_eq!(reclassify(&home, &[]), (0, vec![]), "a second run changes nothing");
    assert_eq!(reclassify(&home, &["--dry-run"]), (0, vec![]));

    // Statistics count it as what it is by now.
    let rows = home.json(&["stats", "--by", "class", "--json"]);
    let classes: Vec<_> = rows.iter().map(|row| row["class"].as_str().unwrap()).collect();
    assert_eq!(classes, ["policy", "recipient_inactive", "recipient_unknown"]);
}

#[test]
fn what_else_stands_against_an_address_is_heard_again() {
    let home = today(with(
        Home::new(),
        &[
            ("a@example.net", NOT_GONE),
            ("a@example.net", ("5.1.2", "550 5.1.2 Bad destination system")), // only seen: what stood lasted longer
            ("b@example.net", ("4.2.2", "450 4.2.2 mailbox is full")),
            ("b@example.net", UNKNOWN),
        ],
    ));
    let (_, done) = reclassify(&home, &[]);
    let [a] = &done[..] else { panic!("{done:?}") };
    assert_eq!(a["entries"][0]["action"], "changed", "the other bounce suppresses it");
    let entry = &home.json(&["suppressions", "list", "--json"])[0];
    assert_eq!(
        (&entry["address"], &entry["class"], &entry["recheckable"], &entry["bounce"]),
        (&json!("a@example.net"), &json!("domain_invalid"), &json!(true), &json!(2))
    );
    let changes: Vec<(String,)> =
        Database::read(&home.database()).rows("SELECT change FROM events ORDER BY id");
    let changes: Vec<&str> = changes.iter().map(|row| row.0.as_str()).collect();
    assert_eq!(changes, ["none", "suppressed", "counted", "suppressed"]);
}

#[test]
fn what_persons_did_stays() {
    let home = with(
        Home::new(),
        &[
            ("forgiven@example.net", NOT_GONE),
            ("kept@example.net", NOT_GONE),
            ("welcome@example.net", GONE),
            ("vip@example.net", GONE),
        ],
    );
    for arguments in [
        &["suppressions", "remove", "forgiven@example.net"][..],
        &["suppressions", "add", "--force", "kept@example.net", "--note", "asked for it"],
        &["suppressions", "add", "welcome@example.net"],
        &["suppressions", "remove", "welcome@example.net"],
        &["suppressions", "add", "vip@example.net", "--days", "3"],
    ] {
        assert!(home.run(arguments).status.success(), "{arguments:?}");
    }
    let before = home.json(&["suppressions", "list", "--json"]);
    let home = today(home);
    let (_, done) = reclassify(&home, &[]);
    assert_eq!(done.len(), 4, "their bounces mean something else");
    assert!(done.iter().all(|told| told["entries"] == json!([])), "{done:?}");
    assert_eq!(home.json(&["suppressions", "list", "--json"]), before);
}

#[test]
fn what_nothing_proves_stays_without_effect() {
    let home = Home::new().with("RETURN_PATH_TRUST_UNSIGNED", "false");
    let home = today(with(home, &[("gone@example.net", GONE), ("fine@example.net", NOT_GONE)]));
    let (_, done) = reclassify(&home, &[]);
    let changes: Vec<_> = done
        .iter()
        .map(|told| (told["events"][0]["change_before"].clone(), told["events"][0]["change"].clone()))
        .collect();
    assert_eq!(changes, [(json!("quarantined"), json!("none")), (json!("none"), json!("quarantined"))]);
    assert!(suppressed(&home).is_empty());
    let waiting = home.json(&["quarantine", "list", "--json"]);
    assert_eq!((waiting.len(), &waiting[0]["recipient"]), (1, &json!("gone@example.net")));
    assert!(home.run(&["quarantine", "approve", "--all", "--yes"]).status.success());
    assert_eq!(
        suppressed(&home),
        listed(&[("gone@example.net", "recipient_inactive")]),
        "by what it means today"
    );
}

#[test]
fn where_the_message_is_gone_its_fields_are_judged() {
    let home = with(
        Home::new(),
        &[
            ("fine@example.net", NOT_GONE),
            ("closed@example.net", GONE),
            ("dead@example.net", UNKNOWN),
            ("words@example.net", UNCONFIRMED),
        ],
    );
    Database::write(&home.database()).run("UPDATE messages SET raw = NULL");
    let home = today(home);
    assert_eq!(reclassify(&home, &[]).1.len(), 3);
    let after = listed(&[
        ("closed@example.net", "recipient_inactive"),
        ("dead@example.net", "recipient_unknown"),
        ("words@example.net", "recipient_inactive"),
    ]);
    assert_eq!(suppressed(&home), after);
}

#[test]
fn without_other_rules_nothing_changes_with_the_message_and_without_it() {
    let home = with(
        Home::new(),
        &[
            ("a@example.net", UNKNOWN),
            ("b@example.net", ("5.0.0", "550 5.1.1 unknown user")),
            ("c@example.net", ("5.2.2", "552 5.2.2 Mailbox full")),
            ("d@example.net", ("4.4.1", "connect to mx.example.net[192.0.2.9]:25: Connection timed out")),
            ("e@example.net", ("5.7.1", "550 5.7.1 blocked using zen.example.org")),
            ("f@example.net", ("5.5.0", "554 5.5.0 something")),
        ],
    );
    assert_eq!(reclassify(&home, &["--dry-run"]), (0, vec![]));
    Database::write(&home.database()).run("UPDATE messages SET raw = NULL");
    assert_eq!(reclassify(&home, &["--dry-run"]), (0, vec![]));
}

#[test]
fn a_bounce_counts_from_its_own_day_and_not_when_its_term_is_over() {
    let home = with(Home::new(), &[("old@example.net", GONE), ("older@example.net", GONE)]);
    let mut database = Database::write(&home.database());
    database.run(
        "UPDATE events SET received_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-100 days') WHERE id = 1;
         UPDATE events SET received_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-200 days') WHERE id = 2",
    );
    drop(database);
    let home = today(home);
    let (_, done) = reclassify(&home, &["--since", "150d"]);
    assert_eq!(done.len(), 1, "only what came since then: {done:?}");
    let (_, done) = reclassify(&home, &[]);
    assert_eq!((done.len(), &done[0]["entries"]), (1, &json!([])), "its 180 days are over");
    let list = home.json(&["suppressions", "list", "--all", "--json"]);
    let [entry] = &list[..] else { panic!("{list:?}") };
    assert_eq!(entry["address"], "old@example.net");
    let days = Database::read(&home.database())
        .number("SELECT CAST(julianday(expires_at) - julianday('now') + 0.5 AS INTEGER) FROM suppressions");
    assert_eq!(days, 80);
}

#[test]
fn a_rule_that_would_suppress_many_at_once_wants_a_yes() {
    let addresses: Vec<String> = (0..5).map(|number| format!("user{number}@example.net")).collect();
    let bounces: Vec<_> = addresses.iter().map(|address| (address.as_str(), GONE)).collect();
    let home = today(with(Home::new().with("BREAKER_MIN_PER_HOUR", "4"), &bounces));
    let refused = home.run(&["reclassify"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("own.gone would suppress for 5") && said.contains("--yes"), "{said}");
    assert!(suppressed(&home).is_empty());
    let output = home.run(&["reclassify", "--yes"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.ends_with("5 judged, 5 changed; entries added: 5, changed: 0, removed: 0\n"), "{said}");
    assert_eq!(suppressed(&home).len(), 5);
}
