//! `dsnd holds list|show|release|discard`, on what came in over SMTP.

use super::{assert_has_keys, failed, status, text};
use crate::common::{Home, dsn, json_lines};

/// A home whose resolver failed: of nine domains that were not found in one hour, three wait.
fn with_a_hold() -> Home {
    let home = Home::new().with("BREAKER_RECHECKABLE_PER_HOUR", "5");
    let daemon = home.start();
    let mut client = daemon.connect();
    for number in 0..9 {
        let address = format!("ida@lost{number}.example");
        let message =
            dsn(&address, &[(&address, "5.1.2", "550 5.1.2 Host unknown (Name server: host not found)")]);
        assert_eq!(client.send(&message).unwrap().code, 250);
    }
    let log = daemon.stop();
    let alarms: Vec<_> =
        json_lines(log.as_bytes()).into_iter().filter(|line| line["level"] == "ERROR").collect();
    let [alarm] = &alarms[..] else { panic!("one line when it opens: {log}") };
    let said = alarm.to_string();
    for words in ["mx.example.net", "6 suppressions within an hour", "dsnd holds list"] {
        assert!(said.contains(words), "{words:?} in {said}");
    }
    home
}

#[test]
fn what_is_held_is_listed_and_shown_with_its_numbers() {
    let home = with_a_hold();
    let [hold] = &home.json(&["holds", "list", "--json"])[..] else { panic!("one hold") };
    assert_eq!([&hold["kind"], &hold["name"], &hold["state"]], ["remote_mta", "mx.example.net", "open"]);
    assert_eq!((&hold["held"], &hold["waiting"]), (&3.into(), &3.into()));
    assert!(hold["why"].as_str().unwrap().ends_with("held beyond 5"), "{hold}");
    let [shown] = &home.json(&["holds", "show", "1", "--json"])[..] else { panic!("one object") };
    assert_eq!(shown["why"], hold["why"]);
    let events = shown["events"].as_array().unwrap();
    assert_eq!(events.len(), 3);
    assert_has_keys(&events[0], &["event", "bounce", "received_at", "recipient", "class", "rule", "change"]);
    let said = home.run(&["holds", "show", "1", "--limit", "1"]);
    for words in
        ["hold 1: open\n", "  remote mta       mx.example.net\n", "ida@lost6.example\tdomain_invalid\theld"]
    {
        assert!(text(&said.stdout).contains(words), "{words:?} in {said:?}");
    }
    let none = home.run(&["holds", "show", "2"]);
    assert_eq!((status(&none), text(&none.stdout)), (1, ""));
    assert_eq!(
        text(&none.stderr),
        "dsnd: there is no hold 2; `dsnd holds list --all` shows those there are\n"
    );

    let listed = home.run(&["bounces", "list"]);
    assert_eq!(text(&listed.stdout).matches("\theld, hold 1\t").count(), 3, "{listed:?}");
    let bounce = home.run(&["bounces", "show", "9"]);
    assert!(text(&bounce.stdout).contains("  hold             1, see dsnd holds show 1\n"), "{bounce:?}");
    assert_eq!(home.json(&["bounces", "show", "9", "--json"])[0]["recipients"][0]["hold"], 1);
    assert_eq!(status(&home.run(&["suppressions", "check", "ida@lost5.example"])), 1);
    let checked = home.run(&["suppressions", "check", "ida@lost6.example"]);
    assert_eq!(
        (status(&checked), text(&checked.stdout)),
        (0, "ida@lost6.example: ok; a bounce waits in hold 1: dsnd holds show 1\n")
    );
    assert_eq!(home.json(&["suppressions", "check", "--json", "ida@lost6.example"])[0]["waits_in_hold"], 1);
}

#[test]
fn what_came_before_a_hold_is_taken_off_by_the_command_that_it_says() {
    let home = with_a_hold();
    let hold = home.run(&["holds", "show", "1"]);
    let told =
        text(&hold.stdout).lines().find_map(|line| line.trim().strip_prefix("came before")).unwrap().trim();
    let discarded = home.run(&["holds", "discard", "1", "--yes"]);
    let last = text(&discarded.stdout).lines().last().unwrap();
    assert_eq!(last, format!("what came before it is still on the list; to take it off: {told}"));
    assert_eq!(home.json(&["suppressions", "list", "--json"]).len(), 6);
    let words: Vec<&str> = told.split(' ').skip(1).chain(["--yes"]).collect();
    assert_eq!(status(&home.run(&words)), 0, "{told}");
    assert!(home.json(&["suppressions", "list", "--json"]).is_empty());
    assert_eq!(
        text(&home.run(&["suppressions", "check", "ida@lost6.example"]).stdout),
        "ida@lost6.example: ok\n"
    );
}

#[test]
fn a_hold_is_released_once_and_by_somebody() {
    let home = with_a_hold();
    let dry = home.run(&["holds", "release", "1", "--dry-run"]);
    assert_eq!(
        (status(&dry), text(&dry.stdout)),
        (0, "hold 1: would be released, 3 events; 3 of them would suppress their address\n")
    );
    assert_eq!(home.json(&["holds", "list", "--json"]).len(), 1, "nothing happened");
    let mut command = home.command(&["holds", "release", "1", "7", "--yes"]);
    let released = command.env("SUDO_USER", "ida").output().unwrap();
    let said = "hold 1: released, 3 events; 3 of them suppress their address\nhold 7: no such hold\n";
    assert_eq!((status(&released), text(&released.stdout)), (1, said));
    assert_eq!(status(&home.run(&["suppressions", "check", "ida@lost6.example"])), 1);
    let again = home.run(&["holds", "release", "1"]);
    assert_eq!((status(&again), text(&again.stdout)), (1, "hold 1: settled already\n"));
    assert!(home.json(&["holds", "list", "--json"]).is_empty());
    let [hold] = &home.json(&["holds", "list", "--all", "--json"])[..] else { panic!("one hold") };
    assert_eq!(
        [&hold["state"], &hold["settled_by"]],
        ["released", format!("ida (uid {})", nix::unistd::getuid()).as_str()]
    );
    let bounce = home.run(&["bounces", "show", "9"]);
    assert!(text(&bounce.stdout).contains("suppress (suppressed)\n"), "{bounce:?}");
    assert!(text(&bounce.stdout).contains(" by ida (uid "), "{bounce:?}");
}

#[test]
fn a_hold_is_discarded_and_ids_must_be_named() {
    let home = with_a_hold();
    assert!(failed_usage(&home, &["holds", "discard"]).contains("<ID>"));
    assert!(failed_usage(&home, &["holds", "release", "1", "--all"]).contains("--all"));
    let [line] = &home.json(&["holds", "discard", "--all", "--json", "--yes"])[..] else {
        panic!("one hold")
    };
    assert_eq!([&line["hold"], &line["events"]], [1, 3]);
    assert_eq!(line["state"], "discarded");
    assert_eq!(status(&home.run(&["suppressions", "check", "ida@lost6.example"])), 0);
    assert_eq!(home.json(&["bounces", "show", "9", "--json"])[0]["recipients"][0]["change"], "discarded");
    assert!(home.json(&["holds", "discard", "--all", "--json"]).is_empty(), "nothing left to do");
}

#[test]
fn a_hold_that_no_daemon_saw_is_told_when_one_starts() {
    let home = with_a_hold();
    let log = home.start().stop();
    let told: Vec<_> =
        json_lines(log.as_bytes()).into_iter().filter(|line| line["level"] == "ERROR").collect();
    let [alarm] = &told[..] else { panic!("one line for the hold that is open: {log}") };
    for words in ["mx.example.net", "6 suppressions within an hour", "dsnd holds show 1"] {
        assert!(alarm.to_string().contains(words), "{words:?} in {alarm}");
    }
    assert_eq!(status(&home.run(&["holds", "discard", "1", "--yes"])), 0);
    let log = home.start().stop();
    assert!(!log.contains("ERROR"), "it is settled: {log}");
}

#[test]
fn without_the_breaker_nothing_is_held() {
    let home = Home::new().with("BREAKER_RECHECKABLE_PER_HOUR", "1").with("BREAKER_ENABLED", "false");
    let daemon = home.start();
    let mut client = daemon.connect();
    for number in 0..4 {
        let address = format!("ida@lost{number}.example");
        let message = dsn(&address, &[(&address, "5.1.2", "550 5.1.2 Host unknown")]);
        assert_eq!(client.send(&message).unwrap().code, 250);
    }
    daemon.stop();
    assert_eq!(home.json(&["suppressions", "list", "--json"]).len(), 4);
    assert!(home.json(&["holds", "list", "--all", "--json"]).is_empty());
    assert!(failed(&Home::new().run(&["holds", "list"])).contains("there is no database"));
}

/// What is said to arguments that make no sense; nothing is done.
fn failed_usage(home: &Home, arguments: &[&str]) -> String {
    let output = home.run(arguments);
    assert_eq!((status(&output), text(&output.stdout)), (2, ""), "{output:?}");
    text(&output.stderr).to_owned()
}
