//! `dsnd quarantine list|approve|discard`: what nothing proves waits until a person says what becomes of it.

use super::{failed, status, text};
use crate::common::{Home, dsn};

const UNKNOWN: (&str, &str) = ("5.1.1", "550 5.1.1 User unknown");
const FULL: (&str, &str) = ("5.2.2", "552 5.2.2 Mailbox full");

/// A home whose daemon took two reports at an unsigned address: three recipients, one that is none.
fn waiting() -> Home {
    let home = Home::new().without("RETURN_PATH_TRUST_UNSIGNED");
    let daemon = home.start();
    let mut client = daemon.connect();
    let about = |address, (status, said): (&'static str, &'static str)| (address, status, said);
    let first = dsn("one", &[about("dead@example.net", UNKNOWN), about("full@example.org", FULL)]);
    let second = dsn("two", &[about("gone@example.net", UNKNOWN), about("nobody", UNKNOWN)]);
    for message in [first, second] {
        assert_eq!(client.send(&message).unwrap().code, 250);
    }
    let log = daemon.stop();
    assert!(log.contains("\"trust\":\"unsigned\"") && log.contains("\"change\":\"quarantined\""), "{log}");
    assert!(home.json(&["suppressions", "list", "--json"]).is_empty());
    home
}

fn lines(home: &Home, arguments: &[&str]) -> Vec<String> {
    let output = home.run(arguments);
    assert_eq!(status(&output), 0, "{arguments:?}: {output:?}");
    text(&output.stdout).lines().map(str::to_owned).collect()
}

fn suppressed(home: &Home, address: &str) -> bool {
    status(&home.run(&["suppressions", "check", address])) == 1
}

#[test]
fn what_waits_is_listed_and_filtered() {
    let home = waiting();
    let listed = lines(&home, &["quarantine", "list"]);
    assert_eq!(listed[0], "event\tbounce\treceived\trecipient\tclass\tdecision\ttrust\tstream\tclient");
    let cells: Vec<_> = listed[1].split('\t').collect();
    assert_eq!((cells[0], cells[1], cells[3]), ("1", "1", "dead@example.net"));
    assert_eq!(cells[4..7], ["recipient_unknown", "suppress", "unsigned"]);
    assert!(cells[8].starts_with("127.0.0.1:"), "{cells:?}");
    for (filter, value, found) in [
        ("--domain", "Example.NET", 2),
        ("--recipient", "FULL@example.org", 1),
        ("--class", "mailbox_full", 1),
        ("--remote-mta", "MX.example.net", 4),
        ("--remote-mta", "mx.example.org", 0),
        ("--peer", "127.0.0.0/8", 4),
        ("--peer", "127.0.0.1", 4),
        ("--peer", "192.0.2.0/24", 0),
        ("--trust", "unsigned", 4),
        ("--trust", "token_only", 0),
        ("--since", "2020-01-01", 4),
        ("--before", "2020-01-01T00:00:00Z", 0),
        ("--bounce", "2", 2),
        ("--limit", "1", 1),
    ] {
        let listed = home.json(&["quarantine", "list", "--json", filter, value]);
        assert_eq!(listed.len(), found, "{filter} {value}");
    }
    for (trust, found) in [("unsigned", 2), ("proven", 0)] {
        assert_eq!(home.json(&["bounces", "list", "--json", "--trust", trust]).len(), found, "{trust}");
    }
    assert!(
        failed(&home.run(&["quarantine", "approve"])).contains("--all"),
        "which is said, or nothing done"
    );
    let refused = home.run(&["quarantine", "list", "--peer", "example.net"]);
    assert!(text(&refused.stderr).contains("192.0.2.0/24"), "{refused:?}");
}

#[test]
fn what_is_approved_counts_and_what_is_discarded_never_does() {
    let home = waiting().with("POLICY_HARD_DAYS", "7");
    let dry = lines(&home, &["quarantine", "approve", "--all", "--dry-run"]);
    assert_eq!(dry.last().unwrap(), "would approve 3: 1 counted, 2 suppressed; 1 left alone", "{dry:?}");
    assert!(
        dry.iter().any(|line| line.ends_with("nobody: names no valid address, so it cannot be approved"))
    );
    assert!(!suppressed(&home, "dead@example.net"), "a dry run changes nothing");

    let mut approve = home.command(&["quarantine", "approve", "--json", "1"]);
    let output = approve.env("SUDO_USER", "anna").env("USER", "root").output().unwrap();
    assert_eq!(status(&output), 0, "{output:?}");
    assert!(text(&output.stdout).contains("\"change\":\"suppressed\""), "{output:?}");
    assert!(suppressed(&home, "dead@example.net") && !suppressed(&home, "gone@example.net"));
    let entry = home.json(&["suppressions", "list", "--json"]).remove(0);
    let time = |key: &str| entry[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let days = time("expires_at").duration_since(time("first_seen")).as_hours() / 24;
    assert_eq!(days, 7, "the configured term: {entry}");

    let again = home.run(&["quarantine", "approve", "1", "99"]);
    assert_eq!(status(&again), 1, "{again:?}");
    let said = text(&again.stdout);
    assert!(
        said.contains("1: does not wait: suppressed since 2") && said.contains(", by anna (uid "),
        "{said}"
    );
    assert!(said.contains("99: there is no such event\n"), "{said}");
    assert_eq!(home.json(&["suppressions", "list", "--json"])[0]["count"], 1);

    let unsaid = home.run(&["quarantine", "approve", "--all"]);
    assert!(
        failed(&unsaid).contains("Approve 3 bounces"),
        "how many is said, and nobody can be asked: {unsaid:?}"
    );
    assert!(failed(&unsaid).contains("--yes is needed"), "{unsaid:?}");
    let discarded = lines(&home, &["quarantine", "discard", "--bounce", "2", "--yes"]);
    assert_eq!(discarded.last().unwrap(), "discarded 2");
    assert!(!suppressed(&home, "gone@example.net"));
    let left = lines(&home, &["quarantine", "approve", "--domain", "example.org", "--yes"]);
    assert_eq!(left.last().unwrap(), "approved 1: 1 counted");
    assert!(home.json(&["quarantine", "list", "--json"]).is_empty());
    let changes = home.json(&["bounces", "list", "--json"]);
    let of = |bounce: usize| {
        changes[bounce]["recipients"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["change"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of(0), of(1)),
        (vec!["discarded".into(), "discarded".into()], vec!["suppressed".into(), "counted".into()])
    );
    let nothing = home.run(&["quarantine", "approve", "--all"]);
    assert_eq!(status(&nothing), 0, "nothing to do is no failure");
    assert!(text(&nothing.stdout).starts_with("no unproven bounce matches"), "{nothing:?}");
    let shown = home.run(&["bounces", "show", "1"]);
    assert!(text(&shown.stdout).contains(", by anna (uid "), "{shown:?}");
    let entry = home.json(&["suppressions", "list", "--json"]).remove(0);
    assert_eq!(entry["trust"], "unsigned", "what made the entry was approved, not proven: {entry}");
}
