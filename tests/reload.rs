//! SIGHUP: a changed configuration, its rules and its keys are taken up while dsnd runs; a wrong one is not.

mod common;

use std::process::Command;

use common::{Daemon, Home, dsn, hard_bounce, wait_for};
use serde_json::Value;

/// A home with a configuration file, its keys and its rules.
fn home() -> Home {
    let home = Home::new().without("SMTP_HOSTNAME").without("SMTP_LISTEN");
    let path = home.path().join("dsnd.toml").display().to_string();
    let home = home.with("CONFIG", &path);
    write(&home, "old.example", "");
    rule(&home, "mailbox_full");
    key(&home);
    home
}

fn write(home: &Home, hostname: &str, more: &str) {
    let text = format!(
        "[smtp]\nhostname = \"{hostname}\"\nlisten = [\"127.0.0.1:0\"]\n\
         [return_path]\nkeys_file = \"keys\"\n[rules]\ndir = \"rules\"\n{more}"
    );
    home.file("dsnd.toml", text.as_bytes());
}

fn rule(home: &Home, class: &str) {
    std::fs::create_dir_all(home.path().join("rules")).unwrap();
    let text = format!(
        "[[rule]]\nid = \"own.px17\"\nclass = \"{class}\"\npattern = '''\\bpx-17\\b'''\n\
         examples = [\"554 Transaction failed, reason PX-17\"]\n"
    );
    home.file("rules/own.toml", text.as_bytes());
}

/// One more key.
fn key(home: &Home) {
    let output = home.run(&["return-path", "keygen", "--output", "keys"]);
    assert!(output.status.success(), "{output:?}");
}

/// A return path with the newest key.
fn mint(home: &Home, recipient: &str) -> String {
    let minted = home.json(&["return-path", "mint", recipient, "--json"]).remove(0);
    minted["return_path"].as_str().unwrap_or_else(|| panic!("{minted}")).to_owned()
}

/// Sends SIGHUP and waits until it is done; the log lines since.
fn reload(daemon: &Daemon) -> Vec<Value> {
    let before = daemon.log().lines().count();
    let kill = format!("kill -HUP {}", daemon.pid());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    wait_for("the end of the reload", || {
        let log = daemon.log();
        let lines: Vec<Value> =
            log.lines().skip(before).map(|line| serde_json::from_str(line).unwrap()).collect();
        let done = |line: &Value| {
            let message = line["message"].as_str().unwrap_or_default();
            message.contains("were read again") || message.contains("goes on holding")
        };
        lines.iter().any(done).then_some(lines)
    })
}

fn said(lines: &[Value], level: &str, field: &str) -> Vec<String> {
    let fitting = lines.iter().filter(|line| line["level"] == level);
    fitting.map(|line| line[field].as_str().unwrap_or_default().to_owned()).collect()
}

fn greeting(daemon: &Daemon) -> String {
    use std::io::{BufRead, BufReader};
    let stream = std::net::TcpStream::connect(daemon.address()).unwrap();
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn keys_rules_and_settings_are_taken_up_while_it_runs() {
    let home = home();
    let daemon = home.start();
    let mut old = daemon.connect();
    assert_eq!(greeting(&daemon), "220 old.example ESMTP dsnd\r\n");

    key(&home);
    let to = mint(&home, "user@example.net");
    assert!(daemon.connect().begin("", &to).is_err(), "refused: that key is not known yet");
    rule(&home, "recipient_unknown");
    write(&home, "new.example", "[policy]\nhard_days = 7\n");
    let lines = reload(&daemon);
    assert_eq!(said(&lines, "WARN", "key"), [""; 0], "{lines:?}");

    assert_eq!(greeting(&daemon), "220 new.example ESMTP dsnd\r\n");
    assert!(old.begin("", &to).is_err(), "a session that was there knows the keys it began with");
    let mut new = daemon.connect();
    new.begin("", &to).expect("the new key is known");
    let bounce = dsn("one", &[("user@example.net", "5.0.0", "554 Transaction failed, reason PX-17")]);
    assert_eq!(new.finish(&bounce).unwrap().code, 250);
    let entry = home.json(&["suppressions", "list", "--json"]).remove(0);
    assert_eq!((&entry["rule"], &entry["class"]), (&"own.px17".into(), &"recipient_unknown".into()));
    let at = |key: &str| entry[key].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(at("expires_at").duration_since(at("last_seen")).as_hours(), 7 * 24, "the new term");
    daemon.stop();
}

/// The rules are most of what dsnd holds: it is not there twice where they have not changed.
#[test]
fn reloads_that_change_no_rule_take_no_memory() {
    const MARGIN: u64 = 16 * 1024 * 1024;
    let home = home();
    let daemon = home.start();
    reload(&daemon);
    let Some(before) = daemon.peak_memory() else {
        return common::say("SKIPPED: the bound on memory, since there is no /proc here to ask");
    };
    for number in 0..10 {
        write(&home, "mx.example", &format!("[policy]\nhard_days = {}\n", number + 7));
        reload(&daemon);
    }
    let after = daemon.peak_memory().unwrap();
    assert!(after < before + MARGIN, "{before} bytes before ten reloads, {after} after them");
    daemon.stop();
}

#[test]
fn a_wrong_configuration_changes_nothing_and_every_problem_is_named() {
    let home = home();
    let daemon = home.start();
    write(&home, "new.example", "[policy]\nsoft_count = 40\n[log]\nlevle = \"info\"\n");
    let lines = reload(&daemon);
    let keys = said(&lines, "ERROR", "key");
    assert!(
        ["policy.soft_count", "log.levle"].iter().all(|key| keys.iter().any(|said| said == key)),
        "{keys:?}"
    );
    let places = said(&lines, "ERROR", "place");
    assert!(places.iter().any(|place| place.ends_with("dsnd.toml:9")), "file and line: {places:?}");
    assert_eq!(greeting(&daemon), "220 old.example ESMTP dsnd\r\n");

    write(&home, "new.example", "");
    home.file("rules/own.toml", b"[[rule]]\nid = \"own.broken\"\n");
    let errors = said(&reload(&daemon), "ERROR", "error");
    assert!(errors.iter().any(|error| error.contains("own.toml")), "{errors:?}");
    std::fs::remove_file(home.path().join("keys")).unwrap();
    rule(&home, "mailbox_full");
    let keys = said(&reload(&daemon), "ERROR", "key");
    assert!(keys.contains(&"return_path.keys_file".to_owned()), "{keys:?}");
    assert_eq!(greeting(&daemon), "220 old.example ESMTP dsnd\r\n");
    let reply = daemon.connect().send(&hard_bounce("honest", "honest@example.net")).unwrap();
    assert_eq!(reply.code, 250, "and bounces are taken as before: {reply:?}");

    key(&home);
    reload(&daemon);
    assert_eq!(greeting(&daemon), "220 new.example ESMTP dsnd\r\n", "the next good one is taken up");
    daemon.stop();
}

#[test]
fn a_configuration_that_is_just_being_written_does_not_take_the_domains_away() {
    let home = home().without("RETURN_PATH_DOMAINS");
    let domains = |home: &Home| {
        let text = "[smtp]\nhostname = \"mx.example\"\nlisten = [\"127.0.0.1:0\"]\n\
                    [return_path]\ndomains = [\"bounces.example.com\"]\n";
        home.file("dsnd.toml", text.as_bytes());
    };
    domains(&home);
    let daemon = home.start();
    home.file("dsnd.toml", b"\n");
    let errors = said(&reload(&daemon), "ERROR", "error");
    assert!(errors.iter().any(|error| error.contains("dsnd.toml is empty")), "{errors:?}");
    let bounce = hard_bounce("one", "one@example.net");
    assert_eq!(daemon.connect().send(&bounce).unwrap().code, 250);
    domains(&home);
    assert!(said(&reload(&daemon), "ERROR", "error").is_empty());
    daemon.stop();
}

#[test]
fn what_needs_a_restart_is_named_and_stays() {
    let home = home();
    let daemon = home.start();
    write(&home, "new.example", "[store]\nbusy_timeout = 7\n[log]\nlevel = \"debug\"\n");
    let keys = said(&reload(&daemon), "WARN", "key");
    assert_eq!(keys, ["store.busy_timeout", "log.level"]);
    assert_eq!(greeting(&daemon), "220 new.example ESMTP dsnd\r\n", "the rest is taken up");
    daemon.stop();
}

/// Opening a pipe waits for whoever writes to it.
#[test]
fn a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for() {
    let home = home();
    let daemon = home.start();
    for (name, problem) in [("keys", "this is no key file"), ("dsnd.toml", "no file that can be read again")]
    {
        let path = home.path().join(name);
        std::fs::remove_file(&path).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let lines = reload(&daemon);
        let errors = lines.iter().filter(|line| line["level"] == "ERROR").map(Value::to_string);
        assert!(errors.collect::<String>().contains(problem), "{lines:?}");
        assert!(greeting(&daemon).contains("old.example"), "what holds goes on holding");
    }
    daemon.stop();
}

#[test]
fn who_asks_it_to_stop_is_heard_while_it_reads() {
    let home = home();
    let daemon = home.start();
    // Every rule is compiled and every example is tried: this takes some seconds.
    let rule = |number: u32| {
        format!(
            "[[rule]]\nid = \"own.n{number}\"\nclass = \"mailbox_full\"\npattern = '''\\bpx-{number}\\b'''\n\
             examples = [\"554 Transaction failed, reason PX-{number}\"]\n"
        )
    };
    home.file("rules/many.toml", (100..9_000).map(rule).collect::<String>().as_bytes());
    let hang_up = format!("kill -HUP {}", daemon.pid());
    assert!(Command::new("sh").args(["-c", &hang_up]).status().unwrap().success());
    wait_for("the beginning of the reload", || {
        daemon.log().contains("reading the configuration again").then_some(())
    });
    let log = daemon.stop();
    assert!(!log.contains("were read again") && !log.contains("goes on holding"), "{log}");
}
