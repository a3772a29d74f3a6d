//! The daemon as an operator sees it: how it starts, what it logs, how it ends.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{Database, Home, OUR_DOMAIN, hard_bounce};

#[test]
fn asked_to_stop_it_tells_the_idle_and_finishes_what_is_coming_in() {
    let home = Home::new();
    let daemon = home.start();
    let (mut idle, mut busy) = (daemon.connect(), daemon.connect());
    let message = hard_bounce("last", "last@example.net");
    let (first, rest) = message.split_at(message.len() / 2);
    busy.begin("", common::OUR_ADDRESS).unwrap();
    busy.write(first).unwrap();

    daemon.ask_to_stop();
    let told = idle.reply().expect("a word of farewell");
    assert!(told.starts_with("421 4.3.2"), "{told:?}");
    assert!(idle.reply().is_err(), "and the connection is closed");
    assert!(common::Client::connect(daemon.address()).is_err(), "nobody new is let in");

    let stored = busy.finish(rest).unwrap();
    assert!(stored.starts_with("250 2.6.0 Stored as "), "{stored:?}");
    assert!(busy.reply().unwrap().starts_with("421 4.3.2"), "and then it is told as well");
    let (status, log) = daemon.ended();
    assert_eq!(status.code(), Some(0), "{log}");
    let told = log.lines().find(|line| line.contains(stored.handle()));
    assert!(
        told.is_some_and(|line| line.contains("\"id\":1,")),
        "the log says which bounce the reply is about: {log}"
    );
    assert_closed(&home);
    assert_eq!(home.run(&["suppressions", "check", "last@example.net"]).status.code(), Some(1));
    assert_closed(&home);
}

/// The database is one file again: whoever had it open closed it in order.
fn assert_closed(home: &Home) {
    let names = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["dsnd.db"]);
}

#[test]
fn a_message_that_never_ends_is_cut_off_when_the_grace_is_over() {
    let home = Home::new().with("SMTP_SHUTDOWN_GRACE", "1");
    let daemon = home.start();
    let mut busy = daemon.connect();
    busy.begin("", common::OUR_ADDRESS).unwrap();
    busy.write(b"Subject: to be conti").unwrap();
    daemon.ask_to_stop();
    assert!(busy.reply().is_err(), "no promise is made");
    let (status, log) = daemon.ended();
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(Database::read(&home.database()).number("SELECT count(*) FROM messages"), 0);
}

#[test]
fn a_second_daemon_on_the_same_port_says_so() {
    let home = Home::new();
    let daemon = home.start();
    let address = daemon.address().to_string();
    let second = Home::new().with("SMTP_LISTEN", &address).with("LOG_FORMAT", "text");
    let output = second.run(&["serve"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "the unit does not start it again: {said}");
    let line = said.lines().last().unwrap();
    assert!(line.starts_with(&format!("dsnd: cannot listen on {address} (smtp.listen): ")), "{line}");
    assert!(line.ends_with("another program has it, perhaps another dsnd or an MTA"), "{line}");
    assert!(!second.database().exists(), "and it made no database for nothing");
}

#[test]
fn nobody_else_can_read_the_database() {
    let home = Home::new();
    let daemon = home.start();
    assert_eq!(daemon.connect().send(&hard_bounce("one", "one@example.net")).unwrap().code, 250);
    for name in ["dsnd.db", "dsnd.db-wal", "dsnd.db-shm"] {
        let mode = std::fs::metadata(home.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}: {mode:o}");
    }
    daemon.stop();
}

#[test]
fn one_line_a_decision_is_logged_with_its_reason() {
    let home = Home::new();
    let daemon = home.start();
    assert_eq!(daemon.connect().send(&hard_bounce("one", "dead@example.net")).unwrap().code, 250);
    let log = daemon.stop();
    let entries = common::json_lines(log.as_bytes());
    let decided: Vec<_> = entries.iter().filter(|entry| entry["message"] == "decided").collect();
    let [entry] = &decided[..] else { panic!("one line a decision: {log}") };
    for (key, value) in [
        ("level", "INFO"),
        ("recipient", "dead@example.net"),
        ("status", "5.1.1"),
        ("class", "recipient_unknown"),
        ("decision", "suppress"),
        ("change", "suppressed"),
    ] {
        assert_eq!(entry[key], value, "{key}: {entry}");
    }
    assert!(entry["rule"].is_string() && entry["millis"].is_u64(), "{entry}");
    let spans = entry["spans"].to_string();
    assert!(spans.contains("\"connection\"") && spans.contains("\"message\""), "where it came from: {entry}");
}

#[test]
fn masked_addresses_are_nowhere_in_the_log() {
    let home = Home::new().with("LOG_ADDRESSES", "masked").with("LOG_LEVEL", "trace");
    let daemon = home.start();
    let mut client = daemon.connect();
    // In the envelope, in the report, in a message that is none, and in lines that are refused.
    client.begin("dead.sender@example.org", &format!("bounces+dead.user=example.net@{OUR_DOMAIN}")).unwrap();
    assert_eq!(client.finish(&hard_bounce("one", "dead.user@example.net")).unwrap().code, 250);
    let other = b"From: dead.user@example.net\r\nSubject: dead.user@example.net is away\r\n\r\ndead.user@example.net\r\n";
    assert_eq!(client.send(other).unwrap().code, 250);
    for line in [
        "MAIL FROM:<dead.sender@example.org",
        "VRFY dead.user@example.net",
        "HELLO dead.user@example.net",
        "MAIL FROM:<> ENVID=dead.user@example.net",
        "RCPT TO:<dead.user@example.net>",
        "RCPT TO:<bounces@bounces.example.com> ORCPT=rfc822;dead.user@example.net",
        "RSET",
    ] {
        client.command(line).unwrap();
    }
    let log = daemon.stop();
    assert!(log.contains("d***@example.net"), "the decision is logged, masked: {log}");
    for word in ["dead.user", "dead.sender"] {
        assert!(!log.contains(word), "{word} in {log}");
    }
}

#[test]
fn asked_to_stop_at_once_it_ends_in_order() {
    for _ in 0..5 {
        Home::new().start().stop();
    }
}

/// A complaint that hides who complained: the return path of the message it is about names him.
#[test]
fn a_redacted_complaint_finds_its_recipient_in_the_return_path() {
    let home = Home::new();
    let daemon = home.start();
    let complaint = format!(
        "From: Feedback Loop <loop@fbl.example>\r\nTo: abuse@{OUR_DOMAIN}\r\nSubject: FW: News\r\n\
         Message-ID: <fbl-1@fbl.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=f\r\n\r\n\
         --f\r\nContent-Type: text/plain\r\n\r\nThis is an email abuse report.\r\n\r\n\
         --f\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: Loop/1\r\nVersion: 1\r\n\
         Original-Mail-From: <bounces+ida=plants.example@{OUR_DOMAIN}>\r\n\r\n\
         --f\r\nContent-Type: text/rfc822-headers\r\n\r\nTo: redacted@plants.example\r\n\r\n--f--\r\n"
    );
    let reply = daemon.connect().send(complaint.as_bytes()).unwrap();
    assert!(reply.starts_with("250"), "{reply:?}");
    let told = home.json(&["suppressions", "list", "--json"]);
    assert_eq!(told[0]["address"], "ida@plants.example");
    assert_eq!(told[0]["reason"], "complaint");
}
