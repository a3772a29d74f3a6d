//! `dsnd rules`: what the rules are, how they decide, and which texts none of them knows.

use super::{failed, status, text};
use crate::common::{Home, dsn};

/// A text that no rule knows, beside the code of an unknown recipient.
const UNKNOWN: &str = "550 5.1.1 <a@x.example> frobnicated by zorblax 17";

/// The day on which a report is dated.
fn on(day: u32, id: &str, recipient: &str, status: &str, text: &str) -> Vec<u8> {
    let message = String::from_utf8(dsn(id, &[(recipient, status, text)])).unwrap();
    message.replace("Date: Fri, 20 Nov 2026", &format!("Date: {day} Nov 2026")).into_bytes()
}

fn replay(home: &Home, message: &[u8]) {
    let file = home.file("report.eml", message);
    let done = home.run(&["replay", "--trust-unsigned", file.to_str().unwrap()]);
    assert_eq!(status(&done), 0, "{done:?}");
}

#[test]
fn a_line_shows_every_pattern_in_it_and_why_one_of_them_decides() {
    let home = Home::new();
    let test = |line: &str| home.json(&["rules", "test", "--json", line]).remove(0);
    let blocked =
        test("550 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org");
    let matches = blocked["matches"].as_array().unwrap();
    let decides = matches.iter().find(|found| found["decides"] == true).expect("one of them decides");
    assert_eq!((&blocked["decision"], &blocked["rule"]), (&"sender".into(), &decides["rule"]));
    assert_eq!((&decides["pattern"], &decides["text"]), (&"blocked using".into(), &"blocked using".into()));
    let before = matches.iter().take_while(|found| found["decides"] == false);
    assert!(
        before.into_iter().all(|found| found["but"] != serde_json::json!([])),
        "the others ask for more: {blocked}"
    );
    assert!(
        blocked["because"].as_str().unwrap().contains("is the first rule with a pattern in the line"),
        "{blocked}"
    );
    let unknown = test(UNKNOWN);
    assert_eq!((&unknown["rule"], &unknown["decision"]), (&"unconfirmed.5.1.1".into(), &"count".into()));
    assert!(unknown["because"].as_str().unwrap().contains("beside a text that no rule knows"), "{unknown}");
    for (line, rule, because) in [
        (
            "550 5.1.1 <a@x.example> your account has no credit",
            "text.about-the-sender",
            "the text of the sender",
        ),
        ("zorblax", "none", "neither a code"),
        ("550 5.1.1", "iana.5.1.1", "the code 5.1.1 decides"),
    ] {
        let told = test(line);
        assert_eq!(told["rule"], rule, "{told}");
        assert!(told["because"].as_str().unwrap().contains(because), "{told}");
    }
    for (line, why) in [("250 2.0.0 ok", "250 is the reply of a host that takes the mail"), (" ", "is empty")]
    {
        let refused = home.run(&["rules", "test", line]);
        assert!(status(&refused) == 2 && failed(&refused).contains(why), "{refused:?}");
    }
    let shown = home.run(&["rules", "test", "550", "5.1.1", "user", "unknown"]);
    assert!(text(&shown.stdout).contains("pattern"), "{shown:?}");
}

#[test]
fn rules_are_listed_in_their_order_and_shown_with_their_examples() {
    let home = Home::new();
    let list = home.json(&["rules", "list", "--json"]);
    assert!(list.len() > 100 && list.iter().all(|rule| !rule["phrases"].as_array().unwrap().is_empty()));
    let blocked = home.json(&["rules", "list", "--json", "--class", "sender_blocked"]);
    assert!(!blocked.is_empty() && blocked.iter().all(|rule| rule["class"] == "sender_blocked"));
    let id = blocked[0]["id"].as_str().unwrap();
    let shown = home.run(&["rules", "show", id]);
    let example = blocked[0]["phrases"][0]["examples"][0].as_str().unwrap();
    let start: String = example.split_whitespace().take(4).collect::<Vec<_>>().join(" ");
    assert!(text(&shown.stdout).contains(&start), "{start}: {shown:?}");
    let built_in = home.run(&["rules", "show", "iana.5.1.1"]);
    assert!(text(&built_in.stdout).contains("see `dsnd explain 5.1.1`"), "{built_in:?}");
    let wrong = home.run(&["rules", "show", &id[..id.len() - 1]]);
    assert!(failed(&wrong).contains(&format!("do you mean {id}?")), "{wrong:?}");
}

#[test]
fn a_second_unknown_text_on_another_day_suppresses_and_both_are_listed_as_unknown() {
    let home = Home::new();
    let check = || home.run(&["suppressions", "check", "a@x.example"]);
    replay(&home, &on(20, "one", "a@x.example", "5.1.1", UNKNOWN));
    replay(&home, &on(20, "two", "a@x.example", "5.1.1", UNKNOWN));
    assert_eq!(status(&check()), 0, "one day may be an excuse that nobody has met yet");
    assert!(text(&check().stdout).contains("1 of 2 days"), "{:?}", check());
    replay(
        &home,
        &on(21, "three", "a@x.example", "5.1.1", "550 5.1.1 <a@x.example> frobnicated by zorblax 4711"),
    );
    assert_eq!(status(&check()), 1);
    let entry = home.json(&["suppressions", "list", "--json"]).remove(0);
    assert_eq!((&entry["reason"], &entry["rule"]), (&"hard".into(), &"unconfirmed.5.1.1".into()));

    let unknown = home.json(&["rules", "unknown", "--json"]);
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    let line = unknown[0]["line"].as_str().unwrap();
    assert_eq!((&unknown[0]["count"], &unknown[0]["codes"]["5.1.1"]), (&3.into(), &3.into()));
    assert!(line.starts_with("'frobnicated by zorblax' = ") && !line.contains("a@x"), "{line}");

    // The line, in a rule of one's own, makes the text known.
    let rules = home.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    let rule =
        format!("[[rule]]\nid = \"own.zorblax\"\nclass = \"recipient_inactive\"\n[rule.phrases]\n{line}\n");
    std::fs::write(rules.join("own.toml"), rule).unwrap();
    let home = home.with("RULES_DIR", rules.to_str().unwrap());
    assert_eq!(home.json(&["rules", "unknown", "--json"]), Vec::<serde_json::Value>::new());
    let tested = home.json(&["rules", "test", "--json", UNKNOWN]).remove(0);
    assert_eq!((&tested["rule"], &tested["decision"]), (&"own.zorblax".into(), &"suppress".into()));
}

#[test]
fn what_was_relayed_clears_no_count() {
    let home = Home::new();
    let full = "452 4.2.2 Mailbox full";
    replay(&home, &on(20, "full", "a@x.example", "4.2.2", full));
    let relayed = String::from_utf8(on(21, "relayed", "a@x.example", "2.0.0", "250 ok")).unwrap();
    for (action, days) in [("relayed", 1), ("expanded", 1), ("delivered", 0)] {
        let message = relayed
            .replace("Action: failed", &format!("Action: {action}"))
            .replace("relayed@", &format!("{action}@"));
        replay(&home, message.as_bytes());
        let shown = home.run(&["suppressions", "check", "a@x.example"]);
        assert_eq!(text(&shown.stdout).contains("1 of 5 days"), days == 1, "{action}: {shown:?}");
    }
}

#[test]
fn a_filter_by_a_rule_that_there_is_not_names_the_nearest_one() {
    let home = Home::new();
    home.start().stop();
    for list in [["bounces", "list"], ["quarantine", "list"], ["suppressions", "list"]] {
        let wrong = home.run(&[&list[..], &["--rule", "text.blocklst"]].concat());
        assert_eq!(status(&wrong), 0, "old bounces may name a rule that is gone");
        assert!(text(&wrong.stderr).contains("did you mean text.blocklist?"), "{wrong:?}");
        for known in ["text.blocklist", "iana.5.1.1"] {
            assert_eq!(text(&home.run(&[&list[..], &["--rule", known]].concat()).stderr), "", "{known}");
        }
    }
}
