//! What is said when it cannot be done: the thing, and the fix.

use super::{failed, status, text};
use crate::common::{DSND, Database, Home, PATIENCE, say};

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
    for (arguments, code) in [(["check-config", "--config", name], 1), (["serve", "--config", name], 78)] {
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
    let unclosed = home.file("unclosed.toml", b"[smtp\nlisten = [\"127.0.0.1:0\"]\n");
    let output = home.run(&["check-config", "--config", unclosed.to_str().unwrap()]);
    let said = text(&output.stderr);
    assert!(said.contains("unclosed.toml:1: unclosed table"), "{said}");
    assert_eq!(said.lines().count(), 1, "a broken text has no sections that could be unknown: {said}");

    let missing = home.run(&["check-config", "--config", "nowhere.toml"]);
    assert!(failed(&missing).contains("cannot read the configuration nowhere.toml"));
}

/// A container platform sets variables for the service `dsnd` that begin as ours do.
#[test]
fn a_variable_that_names_no_key_is_a_warning_and_a_wrong_value_is_an_error() {
    let home = Home::new()
        .with("PORT", "tcp://192.0.2.1:25")
        .with("SERVICE_HOST", "192.0.2.1")
        .with("STORE_PAHT", "/elsewhere/dsnd.db");
    let checked = home.run(&["check-config"]);
    assert_eq!((status(&checked), text(&checked.stdout)), (0, "built-in defaults: fine\n"), "{checked:?}");
    let said = text(&checked.stderr);
    assert!(
        said.contains("DSND_PORT: no key has this name") && said.contains("DSND_SERVICE_HOST: "),
        "{said}"
    );
    let meant = "DSND_STORE_PAHT: no key has this name, so it changes nothing; did you mean DSND_STORE_PATH?";
    assert!(said.contains(meant), "{said}");
    let answer = home.json(&["check-config", "--json"]).remove(0);
    assert_eq!(answer["warnings"].as_array().map(Vec::len), Some(3), "{answer}");
    let daemon = home.start();
    let log = daemon.stop();
    assert!(log.contains(meant) && log.contains("DSND_PORT: "), "{log}");
    let asked = home.run(&["suppressions", "check", "one@example.net"]);
    assert_eq!((status(&asked), text(&asked.stderr).trim_end()), (0, meant), "what may be a mistake is told");

    let wrong = home.with("SMTP_MAX_RECIPIENTS", "few").run(&["serve"]);
    assert_eq!(status(&wrong), 78, "{wrong:?}");
    assert!(
        text(&wrong.stderr).contains("DSND_SMTP_MAX_RECIPIENTS: smtp.max_recipients: this must be"),
        "{wrong:?}"
    );
}

#[test]
fn check_config_names_what_is_wrong_in_every_place_at_once() {
    let home = Home::new().without("SMTP_LISTEN").without("STORE_PATH").without("HTTP_LISTEN");
    let folder = home.path().join("rules");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(
        folder.join("own.toml"),
        "[[rule]]\nid = \"own.x\"\nclass = \"nonsense\"\ntext = [\"x\"]\n",
    )
    .unwrap();
    let file = home.file(
        "wrong.toml",
        format!(
            "[smpt]\nhostname = \"mx.example\"\n[smtp]\nlisten = [\"0.0.0.0:2525\"]\n[http]\nlisten = [\"127.0.0.1:2525\"]\n\
             [store]\npath = \"/no/such/folder/dsnd.db\"\n[rules]\ndir = {folder:?}\n[log]\nlevel = \"wran\"\n\
             [tls]\ncertificate = \"/no/such/cert.pem\"\nkey = \"/no/such/key.pem\"\n"
        )
        .as_bytes(),
    );
    let output = home.run(&["check-config", "--config", file.to_str().unwrap()]);
    let said = text(&output.stderr);
    for told in [
        "wrong.toml:1: smpt: unknown section; did you mean [smtp]?",
        "wrong.toml:6: http.listen: 127.0.0.1:2525 is taken by smtp.listen = 0.0.0.0:2525",
        "wrong.toml:12: log.level: \"wran\" is not one of \"error\", \"warn\", \"info\", \"debug\", \"trace\"; did you mean \"warn\"?",
        "store.path: there is no folder /no/such/folder",
        "own.toml:3: rule own.x: unknown class \"nonsense\"; expected one of ",
        "own.toml:4: rule own.x: unknown key \"text\"; expected one of ",
        "tls.certificate: ",
    ] {
        assert!(said.contains(told), "{told:?} in {said}");
    }
    assert_eq!(status(&output), 1);
}

/// Runs dsnd as a user who owns nothing here, where that is possible.
fn as_nobody(home: &Home, arguments: &[&str]) -> Option<std::process::Output> {
    use std::os::unix::fs::MetadataExt;
    if !std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
        || std::process::Command::new("setpriv").arg("--version").output().is_err()
    {
        say("SKIPPED: what another user may not read, since this is not root or there is no setpriv");
        return None;
    }
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", DSND];
    Some(home.wrapped(&user, arguments).current_dir(home.path()).output().unwrap())
}

fn close(path: &std::path::Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn a_configuration_or_a_database_that_may_not_be_read_is_named_with_who_may() {
    let home = Home::new();
    home.start().stop();
    close(home.path(), 0o755);
    close(&home.database(), 0o600);
    let Some(output) = as_nobody(&home, &["suppressions", "list"]) else { return };
    let line = failed(&output);
    assert!(
        line.contains("unable to open database file") && line.contains("dsnd.db belongs to root:"),
        "{line}"
    );
    assert!(line.contains(" with mode 0600, its folder to root:"), "{line}");
    assert!(line.contains("and this is user ") && line.contains("run it as `sudo -u root dsnd"), "{line}");

    // One in a usual place counts, also where it cannot be seen: without it there would be another database.
    std::fs::create_dir(home.path().join("config")).unwrap();
    home.file("config/dsnd.toml", b"[store]\npath = \"elsewhere.db\"\n");
    close(&home.path().join("config"), 0o700);
    for arguments in [&["suppressions", "list"][..], &["serve"]] {
        let output = as_nobody(&home, arguments).unwrap();
        let said = text(&output.stderr);
        assert!(said.contains("cannot read the configuration config/dsnd.toml: Permission denied"), "{said}");
        assert!(said.contains("config belongs to root:") && said.contains(" with mode 0700"), "{said}");
        assert_ne!(status(&output), 0);
    }
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

#[test]
fn a_wrong_word_of_a_filter_gets_the_nearest_right_one() {
    let home = Home::new();
    for (arguments, meant) in [
        (&["bounces", "list", "--class", "recipient_unknwon"][..], "recipient_unknown"),
        (&["suppressions", "list", "--origin", "improt"], "import"),
        (&["holds", "list", "--trust", "unsinged"], "unsigned"),
        (&["events", "list", "--type", "suppression.aded"], "suppression.added"),
        (&["stats", "--class", "mailbox_ful"], "mailbox_full"),
    ] {
        let refused = home.run(arguments);
        let said = text(&refused.stderr);
        assert_eq!(status(&refused), 2, "{refused:?}");
        assert!(said.contains(&format!("similar value exists: '{meant}'")), "{arguments:?}: {said}");
    }
}
