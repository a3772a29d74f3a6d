//! `dsnd status` and the cards of `dsnd explain`, run as a person runs them.

mod cards;
mod guidance;

use std::process::{Command, Output};

use dsnd::classify::registry::Registry;
use serde_json::Value;

/// The headings that every explanation has, in the order in which they are printed.
const SECTIONS: [(&str, [&str; 8]); 2] = [
    (
        "en",
        [
            "What it means",
            "What to do",
            "Common causes",
            "What senders do",
            "What developers do",
            "How to investigate",
            "Example replies",
            "Related codes",
        ],
    ),
    (
        "de",
        [
            "Was es bedeutet",
            "Was zu tun ist",
            "Häufige Ursachen",
            "Was Versender tun",
            "Was Entwickler tun",
            "Wie man der Sache nachgeht",
            "Beispielantworten",
            "Verwandte Codes",
        ],
    ),
];

fn dsnd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dsnd")).args(arguments).output().expect("dsnd starts")
}

fn printed(arguments: &[&str]) -> String {
    let output = dsnd(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&printed(&[arguments, &["--json"]].concat())).expect("one JSON object")
}

/// One line, so that words are found wherever the text was wrapped.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text under a heading, up to the next.
fn section<'t>(text: &'t str, heading: &str) -> &'t str {
    let start = text.find(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading:?} in {text}"));
    let body = &text[start + heading.len() + 2..];
    let next_heading = body.match_indices("\n\n").map(|(at, _)| at).next();
    &body[..next_heading.unwrap_or(body.len())]
}

fn assert_complete(arguments: &[&str]) {
    for (language, headings) in SECTIONS {
        let text = printed(&[arguments, &["--lang", language]].concat());
        let mut after = 0;
        for heading in headings {
            let at = text[after..].find(&format!("\n{heading}\n"));
            after += at.unwrap_or_else(|| panic!("{arguments:?}, {language}: {heading:?} is missing"));
            assert!(
                !section(&text, heading).trim().is_empty(),
                "{arguments:?}, {language}: {heading:?} is empty"
            );
        }
        assert!(!text.contains('\x1b'), "{arguments:?}: escape codes in a pipe");
        // A single word, such as a host name, may be longer than a line.
        let too_wide = text.lines().find(|line| line.chars().count() > 80 && line.trim().contains(' '));
        assert_eq!(too_wide, None, "{arguments:?}");
    }
}

#[test]
fn every_registered_code_prints_every_section_in_both_languages() {
    let registry = Registry::embedded();
    let codes: Vec<String> = registry.entries().map(|entry| entry.code.replace('X', "5")).collect();
    assert!(codes.len() >= 79, "{}", codes.len());
    let halves = codes.split_at(codes.len() / 2);
    std::thread::scope(|scope| {
        for half in [halves.0, halves.1] {
            scope.spawn(move || half.iter().for_each(|code| assert_complete(&["status", code])));
        }
    });
}

#[test]
fn every_reply_code_and_every_provider_code_prints_every_section() {
    let registry = Registry::embedded();
    let replies: Vec<String> = registry.reply_entries().iter().map(|entry| entry.code.to_string()).collect();
    assert!(replies.len() >= 20);
    for reply in &replies {
        assert_complete(&["status", reply]);
    }
    for entry in registry.provider_entries() {
        let text = printed(&["status", &entry.code]);
        assert!(unwrapped(&text).contains(&unwrapped(&entry.en.meaning)), "{}", entry.code);
        assert!(unwrapped(&text).contains(&entry.provider), "{}", entry.code);
    }
}

#[test]
fn the_two_classes_of_a_code_get_their_own_advice() {
    for code in ["4.1", "4.2"] {
        let (hard, soft) = (json(&["status", &format!("5.{code}")]), json(&["status", &format!("4.{code}")]));
        assert_eq!((&hard["bounce_type"], &soft["bounce_type"]), (&"hard".into(), &"soft".into()));
        assert_ne!(hard["senders"], soft["senders"]);
        assert_ne!(hard["meaning"], soft["meaning"]);
    }
}

#[test]
fn json_holds_everything_that_is_printed() {
    let answer = json(&["status", "5.1.1"]);
    for key in [
        "query",
        "kind",
        "code",
        "registered",
        "name",
        "bounce_type",
        "category",
        "class",
        "decision",
        "meaning",
        "action",
        "causes",
        "senders",
        "developers",
        "investigate",
        "examples",
        "related",
        "replies",
        "reference",
        "providers",
    ] {
        assert!(!answer[key].is_null(), "{key} in {answer}");
    }
    assert_eq!(answer["class"], "recipient_unknown");
    assert_eq!(answer["conclusion"], Value::Null);
    assert_eq!(answer["related"][0]["code"], "5.1.2");
    let german = json(&["status", "5.1.1", "--lang", "de"]);
    assert_eq!(german["name"], "Empfänger unbekannt");
    let printed = unwrapped(&printed(&["status", "5.1.1"]));
    for list in ["causes", "senders", "developers", "investigate", "examples"] {
        for item in answer[list].as_array().unwrap() {
            assert!(printed.contains(&unwrapped(item.as_str().unwrap())), "{item}");
        }
    }
}

#[test]
fn an_unregistered_code_says_what_it_is_explained_by() {
    let answer = json(&["status", "4.2.99"]);
    assert_eq!((&answer["registered"], &answer["explained_by"]), (&false.into(), &"4.2.0".into()));
    assert!(printed(&["status", "4.2.99"]).contains("not registered; explained by 4.2.0"));
}

#[test]
fn whole_reply_lines_are_explained_and_judged() {
    for (line, code, class, decision) in [
        ("421 4.4.2 Bad connection", "4.4.2", "bad_connection", "count"),
        ("550-5.1.1 The mailbox is not\n550 5.1.1 known here", "5.1.1", "recipient_unknown", "suppress"),
        ("550 5.4.1 Recipient address rejected: Access denied", "5.4.1", "recipient_unknown", "suppress"),
        ("550 5.4.1 no answer from host", "5.4.1", "host_unreachable", "suppress"),
        ("552 mailbox full", "552", "mailbox_full", "count"),
    ] {
        let answer = json(&["status", line]);
        assert_eq!(answer["kind"], "reply_line");
        assert_eq!(answer["code"], code, "{line}");
        let conclusion = &answer["conclusion"];
        assert_eq!(
            (&conclusion["class"], &conclusion["decision"]),
            (&class.into(), &decision.into()),
            "{line}"
        );
        assert!(!conclusion["rule"].as_str().unwrap().is_empty());
        assert!(!conclusion["evidence"].as_str().unwrap().is_empty());
        let text = printed(&["status", line]);
        assert!(text.contains("What dsnd concludes from this line"), "{text}");
    }
    // Unquoted, the words come one by one.
    let words = json(&["status", "421", "4.4.2", "Bad", "connection"]);
    assert_eq!(words["conclusion"]["class"], "bad_connection");
    // Success is explained, and nothing is concluded from it.
    assert_eq!(json(&["status", "250 2.1.5 fine"])["conclusion"], Value::Null);
}

#[test]
fn bare_reply_codes_are_judged_by_the_classifier() {
    let answer = json(&["status", "556"]);
    assert_eq!((&answer["kind"], &answer["code"]), (&"reply_code".into(), &"556".into()));
    assert_eq!(answer["conclusion"]["class"], "domain_invalid");
    assert_eq!(answer["class"], "domain_invalid");
    assert!(printed(&["status", "556"]).contains("domain_invalid"));
    assert_eq!(json(&["status", "550"])["conclusion"]["class"], "undetermined");
}

#[test]
fn what_holds_no_code_is_refused_in_one_line() {
    for nonsense in ["hello", "5.4", "6.1.1", "999", "559", "", "192.0.2.1"] {
        let output = dsnd(&["status", nonsense]);
        assert_eq!(output.status.code(), Some(2), "{nonsense:?}");
        assert!(output.stdout.is_empty());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.starts_with("dsnd: ") && error.trim_end().lines().count() == 1, "{error}");
        assert!(error.contains("550"), "{error}");
    }
}
