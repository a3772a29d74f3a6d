//! Every verb as it is promised: exit statuses, JSON fields, plain text in pipes, and errors that name the fix.

mod common;

use std::io::Read;
use std::process::{Output, Stdio};

use common::{Database, Home, OUR_ADDRESS, dsn, hard_bounce, json_lines};
use serde_json::Value;

/// A home whose database holds one bounce about three recipients: unknown, full, blocked.
fn with_bounces() -> Home {
    let home = Home::new();
    let daemon = home.start();
    let reply = daemon.connect().send(&three()).unwrap();
    assert!(reply.starts_with("250 2.6.0 Stored as 1"), "{reply:?}");
    daemon.stop();
    home
}

fn three() -> Vec<u8> {
    dsn(
        "three",
        &[
            ("Dead@Example.net", "5.0.0", "550 5.1.1 <Dead@Example.net>: User unknown"),
            ("full@example.net", "5.2.2", "552 5.2.2 Mailbox full"),
            ("blocked@example.net", "5.7.1", "550 5.7.1 Service unavailable; blocked using zen.example.org"),
        ],
    )
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).expect("UTF-8")
}

/// It ended with 2, wrote nothing to standard output, and one line to standard error; that line.
fn failed(output: &Output) -> &str {
    assert_eq!((status(output), text(&output.stdout)), (2, ""), "{output:?}");
    let line = text(&output.stderr).trim_end();
    assert!(line.starts_with("dsnd: ") && !line.contains(['\n', '\x1b']), "one plain line: {line:?}");
    line
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("an object: {value}")).keys().map(String::as_str).collect()
}

fn assert_has_keys(value: &Value, wanted: &[&str]) {
    let there = keys(value);
    let missing: Vec<_> = wanted.iter().filter(|key| !there.contains(key)).collect();
    assert!(missing.is_empty(), "{missing:?} missing of {there:?}");
}

/// What is said of a recipient, by the same names everywhere.
const RECIPIENT_KEYS: &[&str] = &[
    "recipient",
    "original_recipient",
    "final_recipient",
    "action",
    "status",
    "effective_status",
    "reply_code",
    "diagnostic_type",
    "diagnostic_code",
    "remote_mta",
    "last_attempt_date",
    "bounce_type",
    "category",
    "class",
    "decision",
    "rule",
    "evidence",
];

#[test]
fn check_answers_by_its_exit_status_and_says_why() {
    let home = with_bounces();
    let check = |addresses: &[&str]| home.run(&[&["suppressions", "check"], addresses].concat());
    let free = check(&["full@example.net", "blocked@example.net", "stranger@example.net"]);
    assert_eq!((status(&free), text(&free.stderr)), (0, ""));
    assert_eq!(text(&free.stdout).matches(": ok\n").count(), 3, "{free:?}");

    let dead = check(&["full@example.net", "DEAD@EXAMPLE.NET"]);
    assert_eq!(status(&dead), 1, "one is enough");
    let said = text(&dead.stdout);
    for words in ["DEAD@EXAMPLE.NET: suppressed", "recipient_unknown", "550 5.1.1", "bounces show 1"] {
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
    let list = home.file("list", b"dead@example.net\n\nfull@example.net\r\n");
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
    assert!(text(&output.stdout).contains("Dead@Example.net  suppress\n"), "{output:?}");
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
    assert!(text(&german.stdout).contains("Was tun"), "{german:?}");
    assert!(failed(&home.run(&["status", "hello"])).contains("hello"));
}

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
fn what_is_kept_raw_is_what_came_even_when_it_is_no_text() {
    let home = Home::new();
    let daemon = home.start();
    let octets: Vec<u8> = (0..=255).chain(*b"\r\n.\r\n..dots\r\n").collect();
    let mut client = daemon.connect();
    let id = client.send(&octets).unwrap().id().to_string();
    assert!(home.run(&["bounces", "show", &id, "--raw"]).stdout == octets);
    daemon.stop();
}

#[test]
fn output_in_a_pipe_is_plain_and_tabbed() {
    let home = with_bounces();
    for arguments in [
        &["bounces", "list"][..],
        &["bounces", "show", "1"],
        &["suppressions", "list"],
        &["suppressions", "check", "dead@example.net"],
        &["explain", "three.eml"],
        &["status", "5.1.1"],
        &["check-config"],
        &["--help"],
    ] {
        home.file("three.eml", &three());
        let output = home.run(arguments);
        assert!(!output.stdout.is_empty() && !output.stdout.contains(&0x1b), "{arguments:?}: {output:?}");
    }
    let listed = home.run(&["bounces", "list"]);
    let lines: Vec<Vec<&str>> = text(&listed.stdout).lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(lines[0], ["id", "received", "recipient", "class", "status", "decision", "change", "trust"]);
    assert_eq!(
        lines[1][2..],
        ["Dead@Example.net", "recipient_unknown", "5.1.1", "suppress", "suppressed", "unsigned"]
    );
    assert_eq!(lines.len(), 4, "a line a recipient");
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let home = with_bounces();
    let files = vec!["three.eml"; 400];
    home.file("three.eml", &three());
    for arguments in [[&["explain"], &files[..]].concat(), [&["explain", "--json"], &files[..]].concat()] {
        let mut child =
            home.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap(); // and nobody reads on
        let output = child.wait_with_output().unwrap();
        assert_eq!((status(&output), text(&output.stderr)), (0, ""), "{:?}", arguments[1]);
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else {
        common::say("SKIPPED: output that cannot be written, since there is no /dev/full here");
        return;
    };
    let home = with_bounces();
    let output =
        home.command(&["bounces", "list", "--json"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(status(&output), 2, "{output:?}");
    assert!(text(&output.stderr).starts_with("dsnd: "), "{output:?}");
}

#[test]
fn a_database_that_is_missing_foreign_or_newer_is_named() {
    let home = Home::new();
    let path = home.database();
    let name = path.to_str().unwrap();
    let readers =
        [&["suppressions", "check", "a@example.net"][..], &["suppressions", "list"], &["bounces", "list"]];
    let writers =
        [&["suppressions", "add", "a@example.net"][..], &["suppressions", "remove", "a@example.net"]];
    let all = || readers.iter().chain(&writers);
    for arguments in all() {
        let output = home.run(arguments);
        let line = failed(&output);
        assert!(line.contains("there is no database at") && line.contains(name), "{line}");
        assert!(line.contains("dsnd serve") && !path.exists(), "{line}");
    }

    home.file(
        "dsnd.db",
        b"These are my memoirs, and no database at all. Please leave them alone, whoever you are.",
    );
    for arguments in all().chain(&[&["serve"][..]]) {
        let output = home.run(arguments);
        let line = failed(&output);
        assert!(line.contains(name) && line.contains("is no dsnd database"), "{line}");
    }
    assert!(std::fs::read(&path).unwrap().starts_with(b"These are my memoirs"), "left alone");
    std::fs::remove_file(&path).unwrap();

    home.start().stop();
    Database::write(&path).run("PRAGMA user_version = 99");
    for arguments in all().chain(&[&["serve"][..]]) {
        let output = home.run(arguments);
        let line = failed(&output);
        assert!(line.contains(name) && line.contains("newer dsnd (schema 99"), "{line}");
    }
}

#[test]
fn check_config_names_every_problem_with_file_line_and_key() {
    let home = Home::new().without("SMTP_LISTEN").without("STORE_PATH").without("RETURN_PATH_DOMAINS");
    let fine = home.file("fine.toml", b"[smtp]\nlisten = [\"127.0.0.1:0\"]\n");
    let output = home.run(&["check-config", "--config", fine.to_str().unwrap()]);
    assert_eq!((status(&output), text(&output.stderr)), (0, ""), "{output:?}");

    let wrong = home.file(
        "wrong.toml",
        b"[smtp]\nlistne = [\"127.0.0.1:0\"]\nidle_timeout = \"long\"\n\n[store]\nbusy_timeout = 9999\n\n[policy]\nsoft_days = 300\n",
    );
    let name = wrong.to_str().unwrap();
    for (arguments, code) in [(["check-config", "--config", name], 1), (["serve", "--config", name], 2)] {
        let output = home.run(&arguments);
        assert_eq!((status(&output), text(&output.stdout)), (code, ""));
        let said = text(&output.stderr);
        for problem in [
            format!("{name}:2: smtp.listne: unknown key; did you mean smtp.listen?"),
            format!("{name}:3: smtp.idle_timeout: this must be an integer, not a string"),
            format!("{name}:6: store.busy_timeout: 9999 is out of range"),
            format!("{name}: policy.soft_max_days: 180 is less than soft_days = 300"),
        ] {
            assert!(said.contains(&problem), "{problem:?} in {said}");
        }
        assert_eq!(said.lines().count(), 4, "a line a problem: {said}");
    }

    let broken = home.file("broken.toml", b"[smtp]\nlisten = [\n");
    let output = home.run(&["check-config", "--config", broken.to_str().unwrap()]);
    assert_eq!(status(&output), 1);
    assert!(text(&output.stderr).contains(&format!("{}:", broken.display())), "{output:?}");

    let missing = home.run(&["check-config", "--config", "nowhere.toml"]);
    assert!(failed(&missing).contains("cannot read the configuration nowhere.toml"));
    let variable = Home::new().with("SMTP_LISTNE", "127.0.0.1:0").run(&["check-config"]);
    assert_eq!(status(&variable), 1);
    assert!(text(&variable.stderr).contains("DSND_SMTP_LISTNE: no key of that name"), "{variable:?}");
}

#[test]
fn the_configuration_that_comes_with_the_project_is_fine() {
    let home = Home::new();
    let output =
        home.run(&["check-config", "--config", concat!(env!("CARGO_MANIFEST_DIR"), "/config/dsnd.toml")]);
    assert_eq!(status(&output), 0, "{output:?}");
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
