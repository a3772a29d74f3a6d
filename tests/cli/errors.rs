//! What is said when it cannot be done: the thing, and the fix.

use super::{failed, status, text};
use crate::common::{DSND, Database, Home, PATIENCE};

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
        assert!(line.contains("is no dsnd database"), "{line}");
        assert_eq!(line.matches(name).count(), 1, "named, and once: {line}");
    }
    assert!(std::fs::read(&path).unwrap().starts_with(b"These are my memoirs"), "left alone");
    std::fs::remove_file(&path).unwrap();

    home.start().stop();
    Database::write(&path).run("PRAGMA user_version = 99");
    for arguments in all().chain(&[&["serve"][..]]) {
        let output = home.run(arguments);
        let line = failed(&output);
        assert!(line.contains("newer dsnd (schema 99"), "{line}");
        assert_eq!(line.matches(name).count(), 1, "named, and once: {line}");
    }
}

#[test]
fn a_first_start_that_is_cut_short_is_made_good_by_the_next() {
    // Units of 512 octets: nothing fits, only the header, the list of migrations too, some of the first migration.
    for limit in [0, 40, 80, 100] {
        let home = Home::new();
        let limited = format!("trap '' XFSZ; ulimit -S -f {limit} && exec \"$0\" serve");
        let command = home.wrapped(&["sh", "-c", &limited, DSND], &[]);
        let output = assert_cmd::Command::from_std(command).timeout(PATIENCE).output().unwrap();
        let line = failed(&output);
        assert!(line.contains(home.database().to_str().unwrap()), "{limit}: {line}");
        home.start().stop();
        assert!(home.json(&["bounces", "list", "--json"]).is_empty(), "{limit}");
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

    let single = home.file(
        "single.toml",
        b"[listener]\naddress = \"127.0.0.1:0\"\nprotocol = \"lmtp\"\n[[store]]\nbusy_timeout = 5\n",
    );
    let output = home.run(&["check-config", "--config", single.to_str().unwrap()]);
    let said = text(&output.stderr);
    let hints = ["write [[listener]] instead of [listener]", "write [store] instead of [[store]]"];
    assert!(said.lines().count() == 2 && hints.iter().all(|hint| said.contains(hint)), "{said}");

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
fn a_variable_that_names_the_configuration_changes_no_usage_line() {
    let home = Home::new();
    let file = home.file("here.toml", b"[smtp]\nidle_timeout = \"long\"\n");
    let mut command = home.command(&["bounces", "show"]);
    let output = command.env("DSND_CONFIG", &file).output().unwrap();
    assert!(text(&output.stderr).contains("Usage: dsnd bounces show <ID>"), "{output:?}");
    let mut command = home.command(&["check-config"]);
    let output = command.env("DSND_CONFIG", &file).output().unwrap();
    assert!(text(&output.stderr).contains("here.toml:2: smtp.idle_timeout"), "{output:?}");
    let mut command = home.command(&["check-config"]);
    assert_eq!(status(&command.env("DSND_CONFIG", "").output().unwrap()), 0, "empty is none");
}

#[test]
fn the_configuration_that_comes_with_the_project_is_fine() {
    let home = Home::new();
    let output =
        home.run(&["check-config", "--config", concat!(env!("CARGO_MANIFEST_DIR"), "/config/dsnd.toml")]);
    assert_eq!(status(&output), 0, "{output:?}");
}

/// The operator's own rules: a wrong one is named before anything starts, a right one decides first.
#[test]
fn own_rules_are_checked_and_decide_first() {
    let rule = |pattern: &str| {
        format!(
            "[[rule]]\nid = \"own.px\"\nclass = \"mailbox_full\"\npattern = '''{pattern}'''\nexamples = [\"550 5.1.1 reason px-17\"]\n"
        )
    };
    let home = Home::new();
    let folder = home.path().join("rules");
    std::fs::create_dir(&folder).unwrap();
    let home = home.with("RULES_DIR", folder.to_str().unwrap());
    std::fs::write(folder.join("own.toml"), rule("py-17")).unwrap();
    let output = home.run(&["check-config"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("own.toml:4: rule own.px: pattern 'py-17': example \"550 5.1.1 reason px-17\""),
        "{said}"
    );
    let problems = home.run(&["check-config", "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&problems.stdout).unwrap();
    assert_eq!(answer["problems"].as_array().map(Vec::len), Some(1), "{answer}");

    std::fs::write(folder.join("own.toml"), rule("px-17")).unwrap();
    assert_eq!(home.run(&["check-config"]).status.code(), Some(0));
    let daemon = home.start();
    let message = crate::common::dsn("own", &[("ida@example.net", "5.1.1", "550 5.1.1 reason px-17")]);
    assert!(daemon.connect().send(&message).unwrap().starts_with("250"));
    let bounce = home.json(&["bounces", "list", "--json"]).remove(0);
    assert_eq!(bounce["recipients"][0]["rule"], "own.px");
}

#[test]
fn a_database_in_no_folder_is_found_before_the_start() {
    let home = Home::new().with("STORE_PATH", "/no/such/folder/dsnd.db");
    let output = home.run(&["check-config"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("store.path: there is no folder /no/such/folder"), "{said}");
}
