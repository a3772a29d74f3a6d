//! `dsnd bounces list|show`, also beside a running daemon.

use super::{RECIPIENT_KEYS, assert_has_keys, failed, status, text, three, with_bounces};
use crate::common::{Database, Home, OUR_ADDRESS, dsn, hard_bounce};

#[test]
fn bounces_are_listed_and_shown_with_the_bytes_that_came() {
    let home = with_bounces();
    let bounces = home.json(&["bounces", "list", "--json"]);
    let [bounce] = &bounces[..] else { panic!("one a message: {bounces:?}") };
    let changes: Vec<_> =
        bounce["recipients"].as_array().unwrap().iter().map(|event| &event["change"]).collect();
    assert_eq!(changes, ["suppressed", "counted", "none"]);
    for event in bounce["recipients"].as_array().unwrap() {
        assert_has_keys(event, RECIPIENT_KEYS);
    }
    assert_eq!(bounce["return_paths"][0], OUR_ADDRESS);
    for (filter, value, found) in [
        ("--class", "mailbox_full", 1),
        ("--class", "virus", 0),
        ("--recipient", "DEAD@example.net", 1),
        ("--recipient", "other@example.net", 0),
        ("--kind", "dsn", 1),
        ("--kind", "mdn", 0),
        ("--limit", "0", 0),
    ] {
        assert_eq!(home.json(&["bounces", "list", "--json", filter, value]).len(), found, "{filter} {value}");
    }
    assert_eq!(home.json(&["bounces", "show", "1", "--json"]), bounces);
    let raw = home.run(&["bounces", "show", "1", "--raw"]);
    assert_eq!((status(&raw), text(&raw.stdout)), (0, text(&three())));
    assert!(failed(&home.run(&["bounces", "show", "2"])).contains("no bounce 2; `dsnd bounces list`"));
    let shown = home.run(&["bounces", "show", "1"]);
    assert!(text(&shown.stdout).contains("full@example.net  count (counted)\n"), "{shown:?}");
}

#[test]
fn a_subject_does_not_stand_where_recipients_do() {
    let home = Home::new();
    let daemon = home.start();
    let message = b"From: someone@example.net\r\nSubject: victim@example.net\r\n\r\nHello.\r\n";
    assert_eq!(daemon.connect().send(message).unwrap().code, 250);
    daemon.stop();
    let listed = home.run(&["bounces", "list"]);
    let lines: Vec<Vec<&str>> = text(&listed.stdout).lines().map(|line| line.split('\t').collect()).collect();
    let [headings, line] = &lines[..] else { panic!("{listed:?}") };
    assert_eq!((headings[2], line[2], line[3]), ("recipient", "", "unrecognized"));
    assert_eq!((headings.last(), line.last()), (Some(&"subject"), Some(&"victim@example.net")));
}

#[test]
fn what_the_text_tells_besides_is_shown() {
    let home = Home::new();
    let daemon = home.start();
    let said = "554 5.7.1 Service unavailable; Client host [192.0.2.44] blocked using zen.example.org; \
                https://list.example.org/192.0.2.44 (in reply to RCPT TO command)";
    let slow = "450 4.2.0 Greylisted, try again in 5 minutes";
    let message = dsn("facts", &[("a@example.net", "5.7.1", said), ("b@example.net", "4.2.0", slow)]);
    assert_eq!(daemon.connect().send(&message).unwrap().code, 250);
    daemon.stop();
    let shown = home.run(&["bounces", "show", "1"]);
    for line in [
        "  listed ip        192.0.2.44\n",
        "  blocklist        zen.example.org\n",
        "  lookup url       https://list.example.org/192.0.2.44\n",
        "  phase            rcpt\n",
        "  retry after      300 seconds\n",
    ] {
        assert_eq!(text(&shown.stdout).matches(line).count(), 1, "{line:?} in {shown:?}");
    }
}

#[test]
fn what_is_kept_raw_is_what_came_even_when_it_is_no_text() {
    let home = Home::new();
    let daemon = home.start();
    let octets: Vec<u8> = (0..=255).chain(*b"\r\n.\r\n..dots\r\n").collect();
    let mut client = daemon.connect();
    assert_eq!(client.send(&octets).unwrap().code, 250);
    assert!(home.run(&["bounces", "show", "1", "--raw"]).stdout == octets);
    daemon.stop();
}

#[test]
fn readers_are_served_while_the_daemon_runs_and_while_somebody_holds_the_lock() {
    let home = Home::new().with("STORE_BUSY_TIMEOUT", "1");
    let daemon = home.start();
    let mut client = daemon.connect();
    assert_eq!(client.send(&hard_bounce("one", "one@example.net")).unwrap().code, 250);
    let ask = |what: &str| {
        assert_eq!(home.json(&["bounces", "list", "--json"]).len(), 1, "{what}");
        assert_eq!(home.json(&["suppressions", "list", "--json"]).len(), 1, "{what}");
        assert_eq!(status(&home.run(&["suppressions", "check", "one@example.net"])), 1, "{what}");
        assert_eq!(status(&home.run(&["suppressions", "check", "two@example.net"])), 0, "{what}");
        assert_eq!(status(&home.run(&["bounces", "show", "1", "--raw"])), 0, "{what}");
    };
    ask("while it runs");
    let mut holder = Database::write(&home.database());
    holder.run("BEGIN IMMEDIATE");
    ask("while the lock is held");
    let refused = home.run(&["suppressions", "add", "two@example.net"]);
    assert!(failed(&refused).contains("locked"), "a writer says that it could not: {refused:?}");
    holder.run("ROLLBACK");
    assert_eq!(status(&home.run(&["suppressions", "add", "two@example.net"])), 0);
    assert_eq!(status(&home.run(&["suppressions", "check", "two@example.net"])), 1, "beside the daemon");
    assert_eq!(client.send(&hard_bounce("three", "three@example.net")).unwrap().code, 250);
    daemon.stop();
    ask_after_the_end(&home);
}

fn ask_after_the_end(home: &Home) {
    assert_eq!(home.json(&["suppressions", "list", "--json"]).len(), 3, "and when it is stopped");
}
