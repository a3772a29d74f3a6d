//! `dsnd status` and the cards of `dsnd explain`, run as a person runs them.

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
    let registry = Registry::embedded().unwrap();
    let codes: Vec<String> = registry.entries().iter().map(|entry| entry.code.replace('X', "5")).collect();
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
    let registry = Registry::embedded().unwrap();
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

/// Each row: a section's place, then words that show that a topic of the operators' guidance is dealt with.
fn assert_topics(code: &str, language: &str, topics: &[(usize, &[&str])]) {
    let text = printed(&["status", code, "--lang", language]);
    let headings = SECTIONS.iter().find(|(name, _)| *name == language).unwrap().1;
    for (at, words) in topics {
        let body = unwrapped(section(&text, headings[*at])).to_lowercase();
        for word in *words {
            assert!(
                body.contains(&word.to_lowercase()),
                "{code}, {language}, {}: {word:?} in {body}",
                headings[*at]
            );
        }
    }
}

#[test]
fn a_host_that_is_gone_is_explained_as_the_guidance_wants() {
    let card = unwrapped(&printed(&["status", "5.4.1"]));
    for word in ["5 = permanent failure", "hard bounce", "network/routing", "suppress (", "recheckable"] {
        assert!(card.contains(word), "{word}: {card}");
    }
    assert_topics(
        "5.4.1",
        "en",
        &[
            (0, &["4.4.1", "Access denied"]),
            (1, &["hard bounce", "at once", "do not retry", "domain and host"]),
            (
                2,
                &[
                    "shut down for good",
                    "no longer exists",
                    "DNS",
                    "decommissioned",
                    "cut off",
                    "abandoned",
                    "firewall",
                    "given back",
                    "move to another server",
                    "breakdown",
                ],
            ),
            (
                3,
                &[
                    "at once",
                    "never send again",
                    "domain and its mail server",
                    "another channel",
                    "list of the domains",
                    "from time to time",
                ],
            ),
            (4, &["database", "automatic", "DNS", "suppression list", "periodically", "record which hosts"]),
            (5, &["MX", "port 25", "registered", "IT department", "same domain"]),
            (6, &["no answer from host", "unreachable", "no longer in operation", "gone from the DNS"]),
            (7, &["4.4.1", "5.4.2"]),
        ],
    );
    assert_topics(
        "5.4.1",
        "de",
        &[
            (0, &["4.4.1", "Access denied"]),
            (1, &["Hard Bounce", "sofort", "keinen neuen Versuch"]),
            (
                2,
                &[
                    "abgeschaltet",
                    "existiert nicht mehr",
                    "DNS",
                    "außer Betrieb",
                    "abgeschnitten",
                    "aufgegeben",
                    "Firewall",
                    "zurückgegeben",
                    "Umzug",
                    "Ausfall",
                ],
            ),
            (
                3,
                &[
                    "sofort",
                    "nie wieder",
                    "Mailserver",
                    "auf anderem Weg",
                    "Liste der Domains",
                    "von Zeit zu Zeit",
                ],
            ),
            (
                4,
                &["Versanddatenbank", "automatisch", "DNS-Abfrage", "Sperrliste", "regelmäßig", "festhalten"],
            ),
            (5, &["MX", "Port 25", "registriert", "IT-Abteilung", "derselben Domain"]),
        ],
    );
}

#[test]
fn a_connection_that_cannot_be_had_is_explained_as_the_guidance_wants() {
    assert_topics(
        "5.4.2",
        "en",
        &[
            (0, &["4.4.2", "lasting"]),
            (1, &["hard bounce", "off the mailing list", "do not simply retry"]),
            (
                2,
                &[
                    "25, 587, 465",
                    "firewall",
                    "TLS",
                    "protocol",
                    "blocks your sending IP",
                    "policy",
                    "set up wrongly",
                    "network",
                    "path",
                ],
            ),
            (3, &["at once", "standing", "another channel", "other means of contact", "list of the domains"]),
            (
                4,
                &[
                    "database",
                    "bounce handling",
                    "suppression list",
                    "TLS",
                    "blocked",
                    "log which hosts",
                    "ports (587, 465)",
                    "periodically",
                ],
            ),
            (5, &["by hand", "firewall", "TLS versions", "25, 587, 465", "blocklists", "IT department"]),
            (6, &["Bad connection", "blocked", "TLS", "firewall policy"]),
            (7, &["4.4.2", "5.4.1"]),
        ],
    );
    assert_topics(
        "5.4.2",
        "de",
        &[
            (0, &["4.4.2", "von Dauer"]),
            (1, &["Hard Bounce", "aus der Mailingliste"]),
            (
                2,
                &[
                    "25, 587, 465",
                    "Firewall",
                    "TLS",
                    "Protokolle",
                    "blockiert",
                    "Verbindungsrichtlinie",
                    "falsch konfiguriert",
                    "Netzwerkpfad",
                ],
            ),
            (3, &["sofort", "Reputation", "auf anderem Weg", "andere Kontaktwege", "Liste der Domains"]),
            (
                4,
                &[
                    "Versanddatenbank",
                    "Bounce-Verarbeitung",
                    "Sperrliste",
                    "TLS-Versionen",
                    "gesperrt",
                    "protokollieren",
                    "Ports (587, 465)",
                ],
            ),
            (5, &["von Hand", "Firewall", "TLS", "25, 587, 465", "Blocklisten", "IT-Abteilung"]),
        ],
    );
}

#[test]
fn a_connection_that_broke_is_explained_as_the_guidance_wants() {
    let card = unwrapped(&printed(&["status", "4.4.2"]));
    for word in ["temporary failure", "soft bounce", "count ("] {
        assert!(card.contains(word), "{word}: {card}");
    }
    assert_topics(
        "4.4.2",
        "en",
        &[
            (
                2,
                &[
                    "overloaded",
                    "DNS",
                    "congested",
                    "firewall",
                    "Internet provider",
                    "sending limit",
                    "login details",
                    "relay",
                    "reputation",
                ],
            ),
            (
                3,
                &[
                    "clear up by themselves",
                    "one batch",
                    "Gmail, Microsoft, Yahoo",
                    "warm",
                    "SPF, DKIM and DMARC",
                    "which folder",
                ],
            ),
            (
                4,
                &[
                    "retry automatically",
                    "parallel connections",
                    "587",
                    "465",
                    "login",
                    "IP of your own",
                    "load balancing",
                    "second relay",
                    "campaign",
                ],
            ),
            (
                5,
                &[
                    "outage monitor",
                    "nslookup -type=mx",
                    "PTR",
                    "firewall",
                    "cloud",
                    "virus scanner",
                    "ping",
                    "traceroute",
                    "tracert",
                    "blocklists",
                ],
            ),
            (6, &["421 4.4.2 Bad connection", "timeout during transmission"]),
            (7, &["5.4.2", "421"]),
        ],
    );
    assert_topics(
        "4.4.2",
        "de",
        &[
            (
                2,
                &[
                    "überlastet",
                    "DNS",
                    "Firewall",
                    "Internetanbieter",
                    "Sendelimit",
                    "Zugangsdaten",
                    "Relay",
                    "Reputation",
                ],
            ),
            (
                3,
                &[
                    "vergehen von selbst",
                    "Gmail, Microsoft, Yahoo",
                    "aufwärmen",
                    "SPF, DKIM und DMARC",
                    "Ordner",
                ],
            ),
            (
                4,
                &[
                    "automatisch erneut",
                    "parallele Verbindungen",
                    "587",
                    "465",
                    "Anmeldung",
                    "eigenen IP",
                    "Lastverteilung",
                    "zweites Relay",
                    "Kampagne",
                ],
            ),
            (
                5,
                &[
                    "Störungsmelder",
                    "nslookup -type=mx",
                    "PTR",
                    "Firewall",
                    "Cloud",
                    "Virenscanner",
                    "ping",
                    "traceroute",
                    "tracert",
                    "Blocklisten",
                ],
            ),
        ],
    );
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
    let answer = json(&["status", "521"]);
    assert_eq!((&answer["kind"], &answer["code"]), (&"reply_code".into(), &"521".into()));
    assert_eq!(answer["conclusion"]["class"], "domain_invalid");
    assert_eq!(answer["class"], "domain_invalid");
    assert!(printed(&["status", "521"]).contains("domain_invalid"));
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

/// A report on two recipients, and one whose reason stands in the text for people only.
const REPORT: &str = "From: MAILER-DAEMON@relay.example\nSubject: Undelivered\nMIME-Version: 1.0\n\
    Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\n\
    It could not be delivered.\n\n--b\nContent-Type: message/delivery-status\n\n\
    Reporting-MTA: dns; relay.example\n\n\
    Final-Recipient: rfc822; ann@harbour.example\nAction: failed\nStatus: 5.0.0\n\
    Diagnostic-Code: smtp; 550 sorry, there is\n no such user here, ask somebody else\n\n\
    Final-Recipient: rfc822; bob@harbour.example\nAction: failed\nStatus: 5.2.2\n\
    Diagnostic-Code: smtp; 552 5.2.2 mailbox full\x1b[2J\n\n--b--\n";

fn explained(arguments: &[&str], colours: bool) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.eml");
    std::fs::write(&file, REPORT).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsnd"));
    command.arg("explain").arg(&file).args(arguments).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    if colours {
        command.env("CLICOLOR_FORCE", "1");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_card_shows_who_what_and_why_without_colours_in_a_pipe() {
    let text = explained(&["--short"], false);
    assert!(!text.contains('\x1b'), "{text:?}");
    for words in [
        "ann@harbour.example",
        "suppress (no more mail to this address)",
        "recipient_unknown",
        "failed, 5.0.0",
        "550 sorry, there is no such user here, ask somebody else",
        "bob@harbour.example",
        "mailbox_full",
    ] {
        assert!(unwrapped(&text).contains(words), "{words}: {text}");
    }
    assert!(!text.contains("Common causes"));
    assert!(
        unwrapped(&explained(&["--short", "--lang", "de"], false))
            .contains("keine Mail mehr an diese Adresse")
    );
}

#[test]
fn the_deciding_words_are_marked_where_they_stand() {
    let text = explained(&["--short"], true);
    let line = text.lines().find(|line| line.contains("somebody")).unwrap();
    for word in ["no", "such"] {
        assert!(line.contains(&format!("\x1b[43m{word}\x1b[0m")), "{word}: {line:?}");
    }
    assert!(line.ends_with("ask somebody else"), "{line:?}");
    // What the host wrote cannot steer the terminal.
    assert!(!text.contains("\x1b[2J"));
}

#[test]
fn an_explained_report_ends_with_what_its_codes_mean() {
    let text = explained(&[], false);
    assert_eq!(text.matches("\nCommon causes\n").count(), 2, "{text}");
    assert!(text.contains("5.2.2  Mailbox full"));
}
