//! `dsnd suppressions check|list|add|remove`.

use super::{assert_has_keys, failed, status, text, with_bounces};
use crate::common::json_lines;
use serde_json::Value;

#[test]
fn check_answers_by_its_exit_status_and_says_why() {
    let home = with_bounces();
    let check = |addresses: &[&str]| home.run(&[&["suppressions", "check"], addresses].concat());
    let free = check(&["full@example.net", "blocked@example.net", "stranger@example.net"]);
    assert_eq!((status(&free), text(&free.stderr)), (0, ""));
    let [full, blocked, stranger] = &text(&free.stdout).lines().collect::<Vec<_>>()[..] else {
        panic!("{free:?}")
    };
    assert_eq!(*stranger, "stranger@example.net: ok");
    assert!(
        full.starts_with("full@example.net: ok; 1 of 5 days with a full mailbox; mx.example.net said on 20"),
        "{full}"
    );
    assert!(full.ends_with(": \"552 5.2.2 Mailbox full\""), "{full}");
    let fault = "blocked@example.net: ok; mail to it fails, and the address is not at fault: mx.example.net said on 20";
    assert!(blocked.starts_with(fault) && blocked.ends_with("; have the block lifted"), "{blocked}");

    let dead = check(&["full@example.net", "DEAD@EXAMPLE.NET"]);
    assert_eq!(status(&dead), 1, "one is enough");
    let said = text(&dead.stdout);
    for words in [
        "DEAD@EXAMPLE.NET: suppressed; mx.example.net said on 20",
        ": \"550 5.1.1 <Dead@Example.net>: User unknown\"; do not mail it before 20",
        "recipient_unknown",
        "bounces show 1",
    ] {
        assert!(said.contains(words), "{words:?} in {said}");
    }

    let untold = check(&["dead@example.net", "no address"]);
    assert_eq!(status(&untold), 2, "what could not be told wins");
    assert!(text(&untold.stderr).contains("\"no address\" is no address"), "{untold:?}");
    assert!(text(&untold.stdout).contains("suppressed"), "the others are answered: {untold:?}");
    assert_eq!(status(&check(&[])), 2, "nothing was asked");
}

#[test]
fn check_speaks_json_and_reads_standard_input() {
    let home = with_bounces();
    let list = home.file("list", b"# who left\ndead@example.net\n\nfull@example.net\r\n");
    let mut command = home.command(&["suppressions", "check", "--json", "-"]);
    let output = command.stdin(std::fs::File::open(list).unwrap()).output().unwrap();
    assert_eq!(status(&output), 1);
    let [dead, full] = &json_lines(&output.stdout)[..] else { panic!("two answers: {output:?}") };
    assert_eq!((&dead["address"], &dead["suppressed"]), (&"dead@example.net".into(), &true.into()));
    assert_eq!((&full["address"], &full["suppressed"]), (&"full@example.net".into(), &false.into()));
    let entry = &dead["entry"];
    assert_has_keys(
        entry,
        &[
            "address",
            "stream",
            "reason",
            "class",
            "status",
            "rule",
            "first_seen",
            "last_seen",
            "count",
            "expires_at",
            "recheckable",
            "origin",
        ],
    );
    assert_eq!([&entry["reason"], &entry["class"], &entry["status"]], ["hard", "recipient_unknown", "5.1.1"]);
    let hard_days = |entry: &Value| {
        let time = |key: &str| entry[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        time("expires_at").duration_since(time("last_seen")).as_hours() / 24
    };
    assert_eq!(hard_days(entry), 180);
}

#[test]
fn entries_are_added_listed_and_removed_by_hand() {
    let home = with_bounces();
    let added =
        home.run(&["suppressions", "add", "--days", "3", "--note", "asked by phone", "Vip@Example.net"]);
    assert_eq!((status(&added), text(&added.stdout)), (0, "Vip@Example.net: added\n"));
    let listed = home.json(&["suppressions", "list", "--json"]);
    let brief: Vec<_> =
        listed.iter().map(|entry| [&entry["address"], &entry["reason"], &entry["origin"]]).collect();
    assert_eq!(brief, [["Dead@Example.net", "hard", "bounce"], ["Vip@Example.net", "manual", "cli"]]);
    assert_eq!(listed[1]["note"], "asked by phone");
    assert_eq!(home.json(&["suppressions", "list", "--json", "--reason", "manual"]).len(), 1);
    assert_eq!(home.json(&["suppressions", "list", "--json", "--domain", "EXAMPLE.NET"]).len(), 2);
    assert_eq!(home.json(&["suppressions", "list", "--json", "--domain", "ample.net"]).len(), 0);
    assert_eq!(home.json(&["suppressions", "list", "--json", "--limit", "1"]).len(), 1);

    let removed = home.run(&["suppressions", "remove", "--json", "vip@example.net", "dead@example.net"]);
    assert_eq!(status(&removed), 0, "{removed:?}");
    assert!(json_lines(&removed.stdout).iter().all(|line| line["change"] == "removed"), "{removed:?}");
    assert_eq!(status(&home.run(&["suppressions", "check", "vip@example.net", "dead@example.net"])), 0);
    let again = home.run(&["suppressions", "remove", "vip@example.net"]);
    assert_eq!((status(&again), text(&again.stdout)), (1, "vip@example.net: not on the list\n"));

    let refused = home.run(&["suppressions", "add", "good@example.net", "bad"]);
    assert!(failed(&refused).contains("\"bad\" is no address; nothing was changed"), "{refused:?}");
    assert!(home.json(&["suppressions", "list", "--json"]).is_empty(), "all or nothing");
}

#[test]
fn what_weighs_more_is_not_replaced_by_a_shorter_entry_unless_forced() {
    let home = with_bounces();
    let refused = home.run(&["suppressions", "add", "--days", "1", "new@example.net", "dead@example.net"]);
    let line = failed(&refused);
    for words in ["Dead@Example.net has an entry that lasts longer (hard", "--force", "nothing was changed"] {
        assert!(line.contains(words), "{words:?} in {line}");
    }
    assert_eq!(status(&home.run(&["suppressions", "check", "new@example.net"])), 0, "all or nothing");
    assert_eq!(status(&home.run(&["suppressions", "add", "--days", "300", "dead@example.net"])), 0, "longer");
    let forced = home.run(&["suppressions", "add", "--days", "1", "--force", "dead@example.net"]);
    let said = text(&forced.stdout);
    assert!(
        said.starts_with("dead@example.net: changed: manual until 2") && said.contains("-> manual until 2"),
        "{said}"
    );
    let json = home.json(&["suppressions", "add", "--json", "dead@example.net"]).remove(0);
    assert_eq!(json["change"], "changed");
}

#[test]
fn text_says_how_far_the_report_was_believed_and_repeats_nothing() {
    let home = with_bounces();
    let said = home.run(&["suppressions", "check", "dead@example.net"]).stdout;
    let said = text(&said);
    assert!(
        said.contains("  trust            unsigned\n") && said.contains("  seen             1 time, "),
        "{said}"
    );
    let listed = home.run(&["suppressions", "list"]).stdout;
    let listed = text(&listed);
    assert!(listed.lines().nth(1).is_some_and(|line| line.ends_with("\tunsigned\tall")), "{listed}");
    home.run(&["suppressions", "add", "vip@example.net"]);
    let vip = home.run(&["suppressions", "check", "vip@example.net"]).stdout;
    assert!(text(&vip).contains("  until            for ever\n"), "{vip:?}");
    assert!(text(&home.run(&["suppressions", "list"]).stdout).contains("\tfor ever\t"));
    let bounces = home.run(&["bounces", "list"]).stdout;
    assert!(
        text(&bounces).lines().skip(1).all(|line| line.ends_with("\tOur news")),
        "of what bounced: {bounces:?}"
    );
}

#[test]
fn a_term_that_may_be_rechecked_promises_no_more_than_that() {
    let home = crate::common::Home::new();
    let dsn = crate::common::dsn(
        "nx",
        &[("a@nowhere.example", "5.1.2", "550 5.1.2 Host unknown: domain does not exist")],
    );
    let complaint = b"From: fbl@example.org\r\nSubject: complaint\r\nMIME-Version: 1.0\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=e\r\n\r\n--e\r\nContent-Type: text/plain\r\n\r\nan abuse report\r\n--e\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\nOriginal-Rcpt-To: angry@example.net\r\n\r\n--e\r\nContent-Type: message/rfc822\r\n\r\nFrom: a@example.com\r\nTo: angry@example.net\r\nSubject: x\r\n\r\nhi\r\n--e--\r\n";
    let files = [home.file("nx.eml", &dsn), home.file("arf.eml", complaint)];
    for file in &files {
        assert_eq!(status(&home.run(&["replay", file.to_str().unwrap()])), 0);
    }
    let checked = home.run(&["suppressions", "check", "a@nowhere.example", "angry@example.net"]).stdout;
    let said = text(&checked);
    assert!(said.contains(", recheckable\n") && !said.contains("found back"), "{said}");
    assert!(said.contains("  reason           complaint\n"), "{said}");
}
