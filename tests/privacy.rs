//! A person is forgotten, addresses are hashed, and the database is copied: with the daemon running beside, and down to the
//! octets of the files.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::{Daemon, Database, Home, dsn, hard_bounce, wait_for};
use serde_json::Value;

const JANE: &str = "jane.quux@example.org";

/// How often a text stands in the files of a database, in any case.
fn in_files(database: &Path, text: &str) -> usize {
    let of = |suffix: &str| std::fs::read(format!("{}{suffix}", database.display())).unwrap_or_default();
    let octets = ["", "-wal", "-shm"].map(of).concat().to_ascii_lowercase();
    octets.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
}

fn deliver(daemon: &Daemon, message: &[u8]) {
    let mut client = daemon.connect();
    let reply = client.send(message).expect("a reply");
    assert_eq!(reply.code, 250, "{reply:?}");
}

/// Reports about Jane alone, about her with another, and enough of others that pages are split and merged.
fn fill(daemon: &Daemon) {
    for number in 0..40 {
        deliver(daemon, &hard_bounce(&format!("other-{number}"), &format!("other{number}@example.net")));
        if number % 4 == 0 {
            deliver(daemon, &hard_bounce(&format!("jane-{number}"), JANE));
        }
    }
    let diagnostic = format!("550 5.1.1 <{JANE}>: jane.quux is unknown here");
    let both =
        [(JANE, "5.1.1", diagnostic.as_str()), ("john@example.org", "5.1.1", "550 5.1.1 no such user")];
    deliver(daemon, &dsn("both", &both));
}

fn key_file(home: &Home) -> String {
    let file = home.path().join("hash.key").display().to_string();
    let made = home.run(&["store", "keygen", "--output", &file]);
    assert!(made.status.success(), "{made:?}");
    file
}

fn check(home: &Home, address: &str) -> Value {
    let output = home.run(&["suppressions", "check", "--json", address]);
    common::json_lines(&output.stdout).remove(0)
}

#[test]
fn after_an_erasure_the_files_hold_no_octet_of_the_address_while_the_daemon_runs() {
    let home = Home::new();
    let daemon = home.start();
    fill(&daemon);
    assert!(in_files(&home.database(), JANE) > 10);
    let told = home.json(&["erase", JANE, "--dry-run", "--json"]).remove(0);
    assert_eq!((&told["events"]["removed"], &told["dry_run"]), (&11.into(), &true.into()));
    assert_eq!(check(&home, JANE)["suppressed"], true);

    let unasked = home.run(&["erase", JANE]);
    let said = String::from_utf8(unasked.stderr).unwrap();
    assert!(!unasked.status.success() && said.contains("--yes is needed"), "{said}");
    assert_eq!(check(&home, JANE)["suppressed"], true);

    let output = home.run(&["erase", "Jane.Quux@Example.org", "--json", "--yes"]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("store.hash_key_file") && said.contains("can be mailed again"), "{said}");
    let erased = common::json_lines(&output.stdout).remove(0);
    for name in ["events", "messages", "raw", "suppressions", "counters", "audit"] {
        assert_eq!(erased[name], told[name], "{name}");
    }
    assert_eq!((&erased["log_emptied"], &erased["left_in_file"]), (&true.into(), &0.into()));
    for text in [JANE, "jane.quux", "quux"] {
        assert_eq!(in_files(&home.database(), text), 0, "{text}");
    }
    assert_eq!(check(&home, JANE)["suppressed"], false);
    assert_eq!(check(&home, "john@example.org")["suppressed"], true);

    // The daemon goes on, in the same files.
    deliver(&daemon, &hard_bounce("after", "after@example.org"));
    assert_eq!(check(&home, "after@example.org")["suppressed"], true);
    let log = daemon.stop();
    assert!(!log.contains("got shorter"), "an emptied log alarms nobody: {log}");
    assert_eq!(Database::write(&home.database()).integrity(), "ok");
    assert_eq!(in_files(&home.database(), "quux"), 0);
    let again = home.run(&["erase", JANE]);
    assert!(String::from_utf8(again.stdout).unwrap().contains("nothing is stored about it"));
}

#[test]
fn with_a_key_the_person_stays_suppressed_and_new_bounces_name_nobody() {
    let home = Home::new();
    let key = key_file(&home);
    let home = home.with("STORE_HASH_KEY_FILE", &key);
    let daemon = home.start();
    fill(&daemon);
    let erased = home.json(&["erase", JANE, "--json", "--yes"]).remove(0);
    assert_eq!((&erased["still_suppressed"], &erased["left_in_file"]), (&true.into(), &0.into()));
    let again = home.run(&["erase", JANE]);
    assert!(String::from_utf8(again.stdout).unwrap().contains("only its keyed hash is kept"));
    let entry = check(&home, JANE);
    assert_eq!((&entry["suppressed"], &entry["entry"]["reason"]), (&true.into(), &"hard".into()));
    assert_eq!(entry["entry"]["note"], "address erased");
    assert!(entry["entry"]["expires_at"].is_string(), "{entry}");
    deliver(&daemon, &hard_bounce("later", JANE));
    let seen = check(&home, JANE);
    assert_eq!(seen["entry"]["count"].as_i64(), entry["entry"]["count"].as_i64().map(|count| count + 1));
    assert_eq!(home.json(&["bounces", "list", "--recipient", JANE, "--json"]).len(), 1);
    let hashed = seen["entry"]["address"].as_str().unwrap();
    assert!(hashed.starts_with('#') && hashed.ends_with("@example.org"), "{hashed}");
    daemon.stop();
    assert_eq!(in_files(&home.database(), "quux"), 0);
    let removed = home.run(&["suppressions", "remove", JANE]);
    assert!(removed.status.success(), "{removed:?}");
    assert_eq!(check(&home, JANE)["suppressed"], false);
}

#[test]
fn a_daemon_that_hashes_addresses_writes_none_and_answers_as_before() {
    let home = Home::new();
    let daemon = home.start();
    deliver(&daemon, &hard_bounce("before", JANE));
    daemon.stop();
    let key = key_file(&home);
    let refused = home.run(&["store", "hash", "--yes"]);
    assert!(
        !refused.status.success()
            && String::from_utf8(refused.stderr).unwrap().contains("store.hash_addresses is off")
    );
    let home = home.with("STORE_HASH_KEY_FILE", &key).with("STORE_HASH_ADDRESSES", "true");
    let daemon = home.start();
    wait_for("the warning", || daemon.log().contains("dsnd store hash").then_some(()));
    assert_eq!(check(&home, JANE)["suppressed"], true, "found in clear");
    fill(&daemon);
    let hashed = home.json(&["store", "hash", "--yes", "--json"]).remove(0);
    assert!(hashed["rows"].as_i64().unwrap() > 50, "{hashed}");
    for text in ["quux", "other7@", "john@"] {
        assert_eq!(in_files(&home.database(), text), 0, "{text}");
    }
    for address in [JANE, "other7@example.net", "john@example.org"] {
        assert_eq!(check(&home, address)["suppressed"], true, "{address}");
    }
    let listed = home.json(&["suppressions", "list", "--domain", "example.org", "--json"]);
    assert_eq!(listed.len(), 2);
    let kept = home.json(&["bounces", "list", "--json"]);
    assert!(kept.iter().all(|bounce| bounce["raw_kept"] == false), "raw messages hold addresses");
    daemon.stop();
    let other = home.path().join("other.key").display().to_string();
    assert!(home.run(&["store", "keygen", "--output", &other]).status.success());
    let home = home.with("STORE_HASH_KEY_FILE", &other);
    let lost = home.run(&["suppressions", "check", JANE]);
    assert_eq!(lost.status.code(), Some(2));
    assert!(String::from_utf8(lost.stderr).unwrap().contains("hashed with another key"));
    let home = home.with("STORE_HASH_KEY_FILE", "").with("STORE_HASH_ADDRESSES", "false");
    let lost = home.run(&["suppressions", "check", JANE]);
    assert_eq!(
        (lost.status.code(), lost.stdout.len()),
        (Some(2), 0),
        "nobody is told that it is free: {lost:?}"
    );
    assert!(String::from_utf8(lost.stderr).unwrap().contains("set store.hash_key_file"));
}

#[test]
fn a_key_is_made_once_and_for_its_owner_alone() {
    let home = Home::new();
    let file = key_file(&home);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let before = std::fs::read(&file).unwrap();
    let again = home.run(&["store", "keygen", "--output", &file]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(std::fs::read(&file).unwrap(), before, "the one that is there stays");
    let printed = home.run(&["store", "keygen"]).stdout;
    assert_eq!(printed.trim_ascii().len(), 64);
    assert_ne!(printed, before);
}

#[test]
fn a_backup_holds_everything_that_was_acknowledged_before_it_and_can_be_restored() {
    let home = Home::new();
    let daemon = home.start();
    let backup = home.path().join("copy.db");
    let name = backup.display().to_string();
    let (mut before, mut client) = (0, daemon.connect());
    let mut send = |number: usize| {
        let message = hard_bounce(&number.to_string(), &format!("r{number}@example.org"));
        client.send(&message).expect("a reply").code
    };
    for number in 0..200 {
        assert_eq!(send(number), 250);
        before += 1;
    }
    let mut copying = home.command(&["backup", &name, "--json"]).spawn().expect("the program runs");
    let mut after = before;
    while copying.try_wait().expect("its status").is_none() {
        assert_eq!(send(after), 250, "nobody waits for a backup");
        after += 1;
    }
    assert!(copying.wait().unwrap().success());
    assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    let folder: Vec<String> = std::fs::read_dir(home.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!folder.iter().any(|name| name.ends_with("-part") || name.starts_with("copy.db-")), "{folder:?}");

    let refused = home.run(&["backup", &name]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--force replaces it"));
    let itself = home.run(&["backup", "--force", &home.database().display().to_string()]);
    assert!(String::from_utf8(itself.stderr).unwrap().contains("the database itself"));
    let nowhere = home.run(&["backup", "no/such/folder/copy.db"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(home.run(&["backup", "--force", &name]).status.success());
    daemon.kill();

    // As the README says: stop, put it in place, remove what lies beside it, start.
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", home.database().display()));
    }
    std::fs::rename(&backup, home.database()).unwrap();
    let daemon = home.start();
    let there: Vec<(String,)> = Database::read(&home.database()).rows("SELECT address_key FROM suppressions");
    for number in 0..before {
        assert!(
            there.contains(&(format!("r{number}@example.org"),)),
            "{number} of {before}, {after} at its end"
        );
    }
    deliver(&daemon, &hard_bounce("restored", "restored@example.org"));
    let repeated = hard_bounce("7", "r7@example.org");
    deliver(&daemon, &repeated);
    daemon.stop();
    let mut database = Database::write(&home.database());
    assert_eq!(database.integrity(), "ok");
    assert_eq!(
        database.number("SELECT copies FROM messages WHERE message_id LIKE '%<7@%' OR message_id LIKE '7@%'"),
        2
    );
}

/// The parts of backups in a folder.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "dsnd-part")).collect()
}

#[test]
fn a_backup_that_a_signal_ends_leaves_nothing_and_what_a_kill_leaves_goes_with_the_next() {
    let home = Home::new();
    home.start().stop();
    assert!(home.run(&["suppressions", "add", JANE]).status.success());
    let folder = home.path().join("copies");
    std::fs::create_dir(&folder).unwrap();
    let copy = folder.join("copy.db").display().to_string();
    // Someone who holds the database for himself makes every command wait.
    let mut holder = Database::write(&home.database());
    holder
        .run("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; UPDATE suppressions SET note = 'x'; COMMIT");
    let start = || {
        let mut backup = home.command(&["backup", &copy]);
        let mut backup = backup.env("DSND_STORE_BUSY_TIMEOUT", "60").stderr(Stdio::piped()).spawn().unwrap();
        let part = folder.join(format!(".copy.db.{}.dsnd-part", backup.id()));
        wait_for("the copy begins", || part.exists().then_some(()));
        assert_eq!(backup.try_wait().unwrap(), None);
        backup
    };
    for signal in ["TERM", "HUP", "INT"] {
        let backup = start();
        let pid = backup.id().to_string();
        assert!(std::process::Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let ended = backup.wait_with_output().unwrap();
        assert!(String::from_utf8_lossy(&ended.stderr).contains("ended by a signal"), "{signal}: {ended:?}");
        assert_eq!((ended.status.code(), parts(&folder)), (Some(2), vec![]), "{signal}");
    }
    let mut killed = start();
    killed.kill().unwrap();
    killed.wait().unwrap();
    let mut again = start();
    assert_eq!(parts(&folder).len(), 1, "the next run removes what the kill left, and no more");
    again.kill().unwrap();
    again.wait().unwrap();
    drop(holder);
    assert!(home.run(&["erase", "--yes", JANE]).status.success());
    assert_eq!(parts(&folder), Vec::<PathBuf>::new(), "a person who is forgotten stands in no part");
}
