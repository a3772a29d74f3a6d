//! `dsnd replay`: what lies in files comes into the store, once.

use std::fs;

use serde_json::Value;

use crate::common::{Home, dsn, json_lines};

fn bounce(id: &str, address: &str) -> Vec<u8> {
    dsn(id, &[(address, "5.1.1", "550 5.1.1 User unknown")])
}

#[test]
fn files_an_mbox_and_a_maildir_come_in_once() {
    let home = Home::new();
    let mail = home.path().join("mail");
    for folder in ["Maildir/cur", "Maildir/new", "Maildir/tmp", "Maildir/.Old/cur", "Maildir/.Old/new"] {
        fs::create_dir_all(mail.join(folder)).unwrap();
    }
    fs::write(mail.join("one.eml"), bounce("one", "one@example.net")).unwrap();
    fs::write(mail.join("Maildir/cur/1:2,S"), bounce("two", "two@example.net")).unwrap();
    fs::write(mail.join("Maildir/.Old/new/2"), bounce("three", "three@example.net")).unwrap();
    fs::write(mail.join("Maildir/tmp/3"), bounce("half", "half@example.net")).unwrap();
    let mut mbox = Vec::new();
    for name in ["four", "five"] {
        mbox.extend_from_slice(b"From MAILER-DAEMON Fri Nov 20 10:00:00 2026\n");
        mbox.extend(bounce(name, &format!("{name}@example.net")));
        mbox.extend_from_slice(b"\n");
    }
    fs::write(mail.join("old.mbox"), mbox).unwrap();
    let path = mail.to_str().unwrap();

    let dry = home.run(&["replay", "--dry-run", path]);
    assert_eq!(
        String::from_utf8_lossy(&dry.stdout),
        "5 read, nothing recorded, 0 not recognized\nwould suppress 5, count 0, quarantine 0\n",
        "{dry:?}"
    );
    assert!(!home.database().exists(), "a dry run writes nothing");

    let first = home.run(&["replay", path]);
    assert_eq!(
        String::from_utf8_lossy(&first.stdout),
        "5 recorded, 0 known already, 0 not recognized\nsuppressed 5, counted 0, on the list before 0, quarantined 0, held 0\n",
        "{first:?}"
    );
    let again = home.json(&["replay", "--json", path]);
    assert_eq!(again.len(), 6);
    assert!(
        again[..5].iter().all(|line| line["duplicate"] == true && line["bounce"].is_number()),
        "{again:?}"
    );
    let told =
        ["recorded", "duplicates", "unreadable", "suppressed"].map(|name| again[5][name].as_u64().unwrap());
    assert_eq!(told, [0, 5, 0, 0], "the last line is about them all");
    for name in ["one", "two", "three", "four", "five"] {
        let address = format!("{name}@example.net");
        let listed = home.json(&["bounces", "list", "--json", "--recipient", &address]);
        assert_eq!(listed.len(), 1, "{address}");
    }
    assert!(home.json(&["bounces", "list", "--json", "--recipient", "half@example.net"]).is_empty());
}

/// The golden messages: each is concluded the same, whichever command reads it.
#[test]
fn a_message_means_the_same_to_explain_and_to_replay() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/reports");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().display().to_string());
    // An empty file is no message to `replay`.
    let is_message = |path: &String| path.ends_with(".eml") && !path.ends_with("/kind-empty.eml");
    let mut files: Vec<String> = files.filter(is_message).collect();
    files.sort();
    assert!(files.len() > 200, "{}", files.len());
    let with = |command: &[&'static str]| -> Vec<String> {
        command.iter().map(|word| (*word).to_owned()).chain(files.clone()).collect()
    };
    let home = Home::new();
    let json = |command: &[&'static str]| {
        let words = with(command);
        home.json(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let explained = json(&["explain", "--json"]);
    let mut replayed = json(&["replay", "--json", "--trust-unsigned"]);
    replayed.pop(); // the totals
    assert_eq!(explained.len(), replayed.len());
    let listed = home.json(&["bounces", "list", "--json", "--limit", "100000"]);
    let concluded = |recipients: &Value| -> Vec<(String, String, String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let one = |part: &Value| {
            (text(&part["recipient"]), text(&part["class"]), text(&part["decision"]), text(&part["rule"]))
        };
        recipients.as_array().unwrap().iter().map(one).collect()
    };
    for (explained, replayed) in explained.iter().zip(&replayed) {
        let source = &explained["source"];
        assert_eq!(&replayed["source"], source);
        let stored = listed.iter().find(|bounce| bounce["id"] == replayed["bounce"]).unwrap();
        assert_eq!(stored["kind"], explained["kind"], "{source}");
        // What is known already is not read again.
        let known = replayed["duplicate"] == true && replayed["kind"].is_null();
        assert!(known || replayed["kind"] == explained["kind"], "{source}: {replayed}");
        assert_eq!(concluded(&stored["recipients"]), concluded(&explained["recipients"]), "{source}");
    }
    assert!(home.json(&["reclassify", "--json", "--dry-run"]).is_empty(), "and to reclassify");
}

/// Whoever delivered it put the reverse-path on top, and it is no bounce's.
#[test]
fn a_file_says_itself_which_reverse_path_it_came_with() {
    let home = Home::new();
    let answer = |name: &str, return_path: &str| {
        let sender = if name == "null" { "MAILER-DAEMON" } else { "anna" };
        format!(
            "{return_path}From: <{sender}@customer.example>\nTo: bounces@bounces.example.com\n\
             Message-ID: <{name}@customer.example>\nSubject: Your mail\nDate: Fri, 20 Nov 2026 10:00:00 +0000\n\n\
             Was that you?\n\n<bert@customer.example>: host mx.customer.example said: 550 5.1.1 User unknown\n"
        )
    };
    for (name, return_path, kind) in [
        ("own", "Return-Path: <anna@customer.example>\n", "unrecognized"),
        ("none", "", "unrecognized"),
        ("null", "Return-Path: <>\n", "text_bounce"),
    ] {
        let file = home.file(name, answer(name, return_path).as_bytes());
        let file = file.to_str().unwrap();
        assert_eq!(home.json(&["explain", "--json", file])[0]["kind"], kind, "{name}");
        let told = home.json(&["replay", "--json", "--trust-unsigned", file]);
        let stored = home.json(&["bounces", "show", "--json", &told[0]["bounce"].to_string()]);
        assert_eq!(stored[0]["kind"], kind, "{name}");
        let path = return_path.trim_start_matches("Return-Path: <").trim_end_matches(">\n");
        assert_eq!(stored[0]["reverse_path"], path, "{name}");
    }
}

#[test]
fn an_old_bounce_counts_from_its_own_day() {
    let home = Home::new();
    let old = String::from_utf8(bounce("old", "old@example.net")).unwrap();
    let old = old.replace("Fri, 20 Nov 2026 10:00:00 +0000", "Fri, 20 Nov 2020 10:00:00 +0000");
    let file = home.file("old.eml", old.as_bytes());
    assert_eq!(home.run(&["replay", file.to_str().unwrap()]).status.code(), Some(0));
    assert_eq!(
        home.run(&["suppressions", "check", "old@example.net"]).status.code(),
        Some(0),
        "its term is over"
    );
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_comes_in() {
    let home = Home::new().with("SMTP_MAX_MESSAGE_SIZE", "65536");
    let mut mbox = Vec::new();
    for (name, padding) in [("one", 0), ("large", 100_000), ("two", 0)] {
        mbox.extend_from_slice(b"From MAILER-DAEMON Fri Nov 20 10:00:00 2026\n");
        mbox.extend(bounce(name, &format!("{name}@example.net")));
        mbox.extend(vec![b'x'; padding]);
        mbox.extend_from_slice(b"\n\n");
    }
    home.file("old.mbox", &mbox);
    let done = home.run(&["replay", "nowhere", "old.mbox"]);
    assert_eq!(done.status.code(), Some(2));
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(err.contains("dsnd: cannot read nowhere: "), "{err}");
    assert!(
        err.contains("old.mbox#2 is left out: larger than smtp.max_message_size (65536 octets)"),
        "{err}"
    );
    assert!(
        out.starts_with(
            "2 recorded, 0 known already, 0 not recognized, 2 files or messages could not be read"
        ),
        "{out}"
    );
    for name in ["one", "two"] {
        let address = format!("{name}@example.net");
        assert_eq!(home.run(&["suppressions", "check", &address]).status.code(), Some(1));
    }
}

#[test]
fn what_is_no_message_is_named_and_not_recorded() {
    let home = Home::new();
    home.file("hostname", b"mail1\n");
    home.file("one.eml", &bounce("one", "one@example.net"));
    let done = home.run(&["replay", "hostname", "one.eml"]);
    assert_eq!(done.status.code(), Some(2));
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(err, "dsnd: hostname is no message: it does not begin with a header field\n");
    assert!(
        out.starts_with(
            "1 recorded, 0 known already, 0 not recognized, 1 file or message could not be read\n"
        ),
        "{out}"
    );
}

#[test]
fn a_run_that_broke_off_is_started_again_and_counts_nothing_twice() {
    let home = Home::new();
    let mut mbox = Vec::new();
    for number in 0..600 {
        mbox.extend_from_slice(b"From MAILER-DAEMON Fri Nov 20 10:00:00 2026\n");
        mbox.extend(bounce(&format!("b{number}"), &format!("user{}@example.net", number % 300)));
        mbox.extend_from_slice(b"\n");
    }
    let middle = mbox.len() / 2;
    home.file("first", &mbox[..middle]);
    home.file("all", &mbox);
    let first = home.json(&["replay", "--json", "first"]).last().unwrap()["recorded"].as_u64().unwrap();
    let again = home.json(&["replay", "--json", "all"]);
    let told = again.last().unwrap();
    let (recorded, known) = (told["recorded"].as_u64().unwrap(), told["duplicates"].as_u64().unwrap());
    // The one that was cut in the middle is another message when it is whole.
    assert_eq!((recorded + known, known), (600, first - 1), "{told}");
    assert!(
        again[..usize::try_from(known).unwrap()].iter().all(|line| line["duplicate"] == true),
        "those before come first"
    );
    assert_eq!(home.json(&["suppressions", "list", "--json"]).len(), 300);
    let bounces = home.json(&["bounces", "list", "--json", "--limit", "1000"]);
    assert!(bounces.iter().all(|bounce| bounce["copies"] == 1), "looking again is no copy");
}

#[test]
fn files_count_when_the_operator_says_that_they_are_his() {
    // This machine is trusted: that says nothing of who wrote a file.
    let home = Home::new()
        .without("RETURN_PATH_TRUST_UNSIGNED")
        .with("RETURN_PATH_TRUST_UNSIGNED_NETWORKS", "127.0.0.1");
    let file = home.file("one.eml", &bounce("one", "one@example.net"));
    let suppressed = || home.run(&["suppressions", "check", "one@example.net"]).status.code();
    assert_eq!(home.run(&["replay", file.to_str().unwrap()]).status.code(), Some(0));
    assert_eq!(suppressed(), Some(0), "nothing proves it");
    for _ in 0..2 {
        let mine = home.run(&["replay", "--trust-unsigned", file.to_str().unwrap()]);
        assert_eq!(mine.status.code(), Some(0), "{mine:?}");
        assert_eq!(suppressed(), Some(1));
    }
    let entry = home.json(&["suppressions", "list", "--json"]).remove(0);
    assert_eq!(entry["count"], 1);
}

#[test]
fn what_a_replay_holds_is_said_at_its_end() {
    let home = Home::new().with("BREAKER_RECHECKABLE_PER_HOUR", "2");
    let lost = |number: usize| {
        let address = format!("ida@lost{number}.example");
        dsn(&address, &[(&address, "5.1.2", "550 5.1.2 Host unknown (Name server: host not found)")])
    };
    for (folder, range) in [("first", 0..5), ("second", 5..6), ("third", 6..8)] {
        fs::create_dir(home.path().join(folder)).unwrap();
        range.for_each(|number| {
            fs::write(home.path().join(folder).join(number.to_string()), lost(number)).unwrap()
        });
    }
    let replay = |folder: &str, more: &[&str]| {
        let folder = home.path().join(folder);
        home.run(&[&["replay", "--trust-unsigned", folder.to_str().unwrap()], more].concat())
    };
    let said = |held: u32| {
        format!(
            "dsnd: held for you to decide, and not on the list: {held} by hold 1 (remote mta mx.example.net); \
             see `dsnd holds list`\n"
        )
    };
    let first = replay("first", &[]);
    assert_eq!(first.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&first.stderr), said(2), "{first:?}");
    let second = replay("second", &[]);
    assert_eq!(String::from_utf8_lossy(&second.stderr), said(1), "of this run: {second:?}");
    let again = replay("second", &[]);
    assert_eq!(String::from_utf8_lossy(&again.stderr), "", "nothing new");
    let third = replay("third", &["--json"]);
    assert_eq!(String::from_utf8_lossy(&third.stderr), said(2));
    let lines = crate::common::json_lines(&third.stdout);
    assert_eq!((lines.len(), &lines[2]["held"], &lines[2]["holds"][0]["hold"]), (3, &2.into(), &1.into()));
}

#[test]
fn a_wrong_replay_is_named_in_the_history_and_taken_back_by_when_it_was_done() {
    let home = Home::new();
    let mut old = String::from_utf8(bounce("old", "old@example.net")).unwrap();
    let month_ago = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * 30))
        .to_zoned(jiff::tz::TimeZone::UTC);
    let date = jiff::fmt::rfc2822::to_string(&month_ago).unwrap();
    old = old.replace("Fri, 20 Nov 2026 10:00:00 +0000", &date);
    let file = home.file("old.eml", old.as_bytes());
    let mut command = home.command(&["replay", "--json", file.to_str().unwrap()]);
    let done = command.env_remove("SUDO_USER").env("USER", "ceo").output().unwrap();
    let line = &json_lines(&done.stdout)[0];
    assert_eq!(line["changes"], serde_json::json!(["suppressed"]), "{done:?}");

    let story = home.json(&["suppressions", "show", "--json", "old@example.net"]).remove(0);
    let time = |value: &serde_json::Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let (change, entry) = (&story["changes"][0], &story["entries"][0]);
    assert_eq!(change["origin"], "replay");
    let uid = nix::unistd::getuid();
    assert_eq!(change["actor"], format!("ceo (uid {uid})"), "the name was only said");
    let days_ago = |at: jiff::Timestamp| jiff::Timestamp::now().duration_since(at).as_hours() / 24;
    assert_eq!((days_ago(time(&change["at"])), days_ago(time(&entry["changed_at"]))), (0, 0), "done now");
    assert_eq!(days_ago(time(&entry["last_seen"])), 30, "it failed then");
    let term = time(&entry["expires_at"]).duration_since(time(&entry["last_seen"])).as_hours() / 24;
    assert_eq!(term, 180, "the term counts from then");

    assert_eq!(home.json(&["suppressions", "list", "--json", "--origin", "bounce"]).len(), 0);
    let undo =
        home.json(&["suppressions", "remove", "--since", "1h", "--origin", "replay", "--json", "--yes"]);
    assert_eq!(undo[0]["removed"], 1);
    assert_eq!(home.run(&["suppressions", "check", "old@example.net"]).status.code(), Some(0));
}

#[test]
fn a_file_is_no_client_of_this_machine() {
    let home = Home::new().without("RETURN_PATH_TRUST_UNSIGNED");
    let file = home.file("one.eml", &bounce("one", "one@example.net"));
    let note = home.file("note.eml", b"Subject: hello\r\n\r\nhow are you?\r\n");
    let paths = [file.to_str().unwrap(), note.to_str().unwrap()];
    let told = |verb: &[&str]| String::from_utf8(home.run(&[verb, &paths].concat()).stdout).unwrap();
    let dry = told(&["replay", "--dry-run"]);
    assert!(dry.contains("1 not recognized") && dry.contains("suppress 0, count 0, quarantine 1"), "{dry}");
    let done = told(&["replay"]);
    assert!(done.contains("1 not recognized") && done.contains("quarantined 1, held 0"), "{done}");
    assert_eq!(home.json(&["bounces", "list", "--json"])[0]["peer"], "file");
    assert_eq!(home.json(&["quarantine", "list", "--json"]).len(), 1);
    assert_eq!(home.json(&["quarantine", "list", "--json", "--peer", "127.0.0.1"]).len(), 0);
}

#[test]
fn what_is_over_by_now_is_never_suppressed_and_what_is_not_is_told_with_its_own_day() {
    let home = Home::new();
    let mail = home.path().join("mail");
    fs::create_dir(&mail).unwrap();
    let days_ago = |days: i64| jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    for (address, days) in [("old@example.net", 300), ("young@example.net", 20)] {
        let message = String::from_utf8(bounce(address, address)).unwrap();
        let date = days_ago(days).strftime("%a, %d %b %Y %H:%M:%S +0000");
        let message = message.replace("Fri, 20 Nov 2026 10:00:00 +0000", &date.to_string());
        fs::write(mail.join(address), message).unwrap();
    }
    let path = mail.to_str().unwrap();
    let dry = home.run(&["replay", "--dry-run", path]);
    assert!(String::from_utf8_lossy(&dry.stdout).contains("would suppress 1, "), "{dry:?}");
    let done = home.run(&["replay", path]);
    assert!(String::from_utf8_lossy(&done.stdout).contains("\nsuppressed 1, "), "{done:?}");
    let types: Vec<Value> =
        home.json(&["events", "list", "--json"]).into_iter().map(|event| event["type"].clone()).collect();
    assert_eq!(types.iter().filter(|kind| **kind == "suppression.added").count(), 1, "{types:?}");
    let shown = home.json(&["suppressions", "show", "old@example.net", "--json"]);
    assert!(shown[0]["changes"].as_array().is_none_or(Vec::is_empty), "{shown:?}");
    let checked = home.run(&["suppressions", "check", "young@example.net"]);
    let said = format!("mx.example.net said on {}: ", days_ago(20).strftime("%Y-%m-%d"));
    assert!(String::from_utf8_lossy(&checked.stdout).contains(&said), "{checked:?}");
}
