//! Streams, the story of an address, and taking entries back.

use super::{assert_has_keys, failed, status, text, with_bounces};
use crate::common::{Database, Home, OUR_DOMAIN, hard_bounce, json_lines, wait_for};
use dsnd::returnpath::{Keys, Prefix, Token};
use jiff::Timestamp;

const KEY: &str = "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// The same home, whose configuration names two streams.
fn with_streams(home: Home) -> (Home, String) {
    let file = home.file("named.toml", b"[streams]\nnews = 7\n\"receipts.eu\" = 8\n");
    let file = file.to_str().unwrap().to_owned();
    (home.with("CONFIG", &file), file)
}

#[test]
fn a_stream_is_asked_for_by_name_or_number_and_named_in_the_answer() {
    let (home, _) = with_streams(with_bounces());
    let add = |rest: &[&str]| home.run(&[&["suppressions", "add", "vip@example.net"], rest].concat());
    assert_eq!(status(&add(&["--stream", "news"])), 0);
    assert_eq!(status(&add(&["--stream", "8", "--days", "3"])), 0);
    let check = |rest: &[&str]| home.run(&[&["suppressions", "check", "vip@example.net"], rest].concat());
    for (rest, found) in
        [(&[][..], 1), (&["--stream", "news"], 1), (&["--stream", "7"], 1), (&["--stream", "9"], 0)]
    {
        assert_eq!(status(&check(rest)), found, "{rest:?}");
    }
    let dead = home.run(&["suppressions", "check", "dead@example.net", "--stream", "9"]);
    assert_eq!(status(&dead), 1, "a hard bounce suppresses in every stream");
    assert!(text(&dead.stdout).contains("  stream           all\n"), "{dead:?}");

    let said = check(&[]);
    let said = text(&said.stdout);
    assert!(
        said.contains("  stream           news\n")
            && said.contains("also             manual, stream receipts.eu, until 2"),
        "{said}"
    );
    let json = check(&["--json"]);
    let json = &json_lines(&json.stdout)[0];
    assert_eq!((&json["entry"]["stream"], &json["entry"]["stream_name"]), (&7.into(), &"news".into()));
    assert_eq!(json["others"][0]["stream_name"], "receipts.eu");

    let listed = home.json(&["suppressions", "list", "--json", "--stream", "receipts.eu"]);
    assert_eq!((listed.len(), &listed[0]["stream_name"]), (1, &"receipts.eu".into()));
    assert_eq!(home.json(&["suppressions", "list", "--json", "--stream", "0"]).len(), 1);
    for arguments in [
        &["suppressions", "check", "a@b.example"][..],
        &["suppressions", "list"],
        &["suppressions", "add", "a@b.example"],
        &["suppressions", "remove", "a@b.example"],
    ] {
        let refused = home.run(&[arguments, &["--stream", "nws"]].concat());
        assert_eq!(failed(&refused), "dsnd: \"nws\" is no stream; the streams are news (7), receipts.eu (8)");
    }

    let removed = home.run(&["suppressions", "remove", "vip@example.net", "--stream", "news"]);
    assert_eq!((status(&removed), status(&check(&["--stream", "7"])), status(&check(&[]))), (0, 0, 1));
    assert_eq!(status(&home.run(&["suppressions", "remove", "vip@example.net"])), 0, "the others");
    assert_eq!(status(&check(&[])), 0);
}

#[test]
fn a_listing_that_its_limit_cut_says_how_much_there_is_beyond_it() {
    let home = Home::new();
    let daemon = home.start();
    for number in 0..3 {
        assert_eq!(status(&home.run(&["suppressions", "add", &format!("u{number}@example.net")])), 0);
        let message = hard_bounce(&format!("b{number}"), &format!("dead{number}@example.org"));
        assert!(daemon.connect().send(&message).unwrap().starts_with("250"));
    }
    daemon.stop();
    for (list, all) in [("suppressions", 6), ("bounces", 3)] {
        let run = |rest: &[&str]| home.run(&[&[list, "list"], rest].concat());
        let cut = run(&["--limit", "2"]);
        let said = format!("and {} more; --limit {all} shows all\n", all - 2);
        assert_eq!((text(&cut.stdout).lines().count(), text(&cut.stderr)), (3, said.as_str()), "{list}");
        let whole = run(&["--limit", &all.to_string()]);
        assert_eq!((text(&whole.stdout).lines().count(), text(&whole.stderr)), (1 + all, ""), "{list}");
        let json = run(&["--limit", "2", "--json"]);
        assert_eq!((text(&json.stdout).lines().count(), text(&json.stderr)), (2, ""), "{list}");
    }
}

#[test]
fn a_report_carries_the_stream_of_its_return_path() {
    let (home, _) = with_streams(Home::new());
    let home = home.with("RETURN_PATH_KEYS", KEY).with("POLICY_HARD_SCOPE", "stream");
    let daemon = home.start();
    let keys = Keys::parse(KEY).unwrap();
    let token = Token::mint(keys.newest().unwrap(), "dead@example.net", 7, Timestamp::now()).unwrap();
    let minted = home.run(&["return-path", "mint", "dead@example.net", "--stream", "news"]);
    assert_eq!(text(&minted.stdout).trim(), format!("{}@{OUR_DOMAIN}", Prefix::default().blind(&token)));
    let mut client = daemon.connect();
    client.command("MAIL FROM:<>").unwrap();
    assert_eq!(client.command(&format!("RCPT TO:<{}>", text(&minted.stdout).trim())).unwrap().code, 250);
    client.command("DATA").unwrap();
    assert_eq!(client.finish(&hard_bounce("one", "dead@example.net")).unwrap().code, 250);
    daemon.stop();
    let check =
        |stream| status(&home.run(&["suppressions", "check", "dead@example.net", "--stream", stream]));
    assert_eq!((check("news"), check("receipts.eu")), (1, 0));
    let event = &home.json(&["bounces", "list", "--json"])[0]["recipients"][0];
    assert_eq!((&event["stream"], &event["stream_name"]), (&7.into(), &"news".into()));
    let listed = home.run(&["bounces", "list"]);
    assert!(text(&listed.stdout).contains("\tproven\tnews\tOur news\n"), "{listed:?}");
    let shown = home.run(&["bounces", "show", "1"]);
    assert!(text(&shown.stdout).contains("  stream           news\n"), "{shown:?}");
}

#[test]
fn the_whole_story_of_an_address_is_told() {
    let home = with_bounces();
    let mut add = home.command(&["suppressions", "add", "--note", "asked by phone", "dead@example.net"]);
    assert_eq!(status(&add.env_remove("SUDO_USER").env("USER", "anna").output().unwrap()), 0);
    let mut remove = home.command(&["suppressions", "remove", "Dead@example.net"]);
    assert_eq!(status(&remove.env("SUDO_USER", "ben").env("USER", "root").output().unwrap()), 0);

    let shown = home.run(&["suppressions", "show", "dead@example.net"]);
    let said = text(&shown.stdout);
    assert_eq!((status(&shown), said.lines().next()), (0, Some("dead@example.net: ok")));
    let what: Vec<&str> = said.lines().skip(3).map(|line| line.split('\t').nth(1).unwrap()).collect();
    assert_eq!(what, ["report", "added", "changed", "removed"]);
    for words in [
        "recipient_unknown 5.1.1: suppress (suppressed)",
        " -> manual for ever",
        ") (cli)\tasked by phone",
        "ben (uid ",
    ] {
        assert!(said.contains(words), "{words:?} in {said}");
    }
    let story = home.json(&["suppressions", "show", "DEAD@example.net", "--json"]).remove(0);
    assert_has_keys(&story, &["address", "suppressed", "entries", "changes", "events", "cut"]);
    let change = &story["changes"][1];
    assert_has_keys(
        change,
        &[
            "at",
            "stream",
            "stream_name",
            "action",
            "origin",
            "actor",
            "before",
            "after",
            "why",
            "event",
            "bounce",
        ],
    );
    assert_eq!((&change["before"]["reason"], &change["after"]["reason"]), (&"hard".into(), &"manual".into()));
    assert_eq!(
        (&story["events"][0]["bounce"], &story["events"][0]["change"]),
        (&1.into(), &"suppressed".into())
    );

    let stranger = home.run(&["suppressions", "show", "stranger@example.net"]);
    assert_eq!(
        (status(&stranger), text(&stranger.stdout)),
        (1, "stranger@example.net: nothing is known of it\n")
    );
    assert!(failed(&home.run(&["suppressions", "show", "nobody"])).contains("\"nobody\" is no address"));
}

#[test]
fn entries_are_taken_back_by_what_they_have_in_common() {
    let home = Home::new();
    let daemon = home.start();
    for address in ["a@example.net", "b@example.net", "c@example.org"] {
        assert_eq!(daemon.connect().send(&hard_bounce(address, address)).unwrap().code, 250);
    }
    daemon.stop();
    assert_eq!(status(&home.run(&["suppressions", "add", "vip@example.net"])), 0);
    let remove = |rest: &[&str]| home.run(&[&["suppressions", "remove"], rest].concat());
    let left = || home.json(&["suppressions", "list", "--json"]).len();

    let dry = remove(&["--since", "1h", "--dry-run"]);
    let said = text(&dry.stdout);
    assert!(
        said.starts_with("3 entries would be removed\naddress\t") && said.contains("\nc@example.org\t"),
        "{said}"
    );
    let dry = remove(&["--domain", "example.net", "--remote-mta", "MX.example.net.", "--dry-run", "--json"]);
    let dry = &json_lines(&dry.stdout)[0];
    assert_eq!((&dry["matched"], &dry["removed"], &dry["dry_run"]), (&2.into(), &0.into(), &true.into()));
    assert_eq!((dry["sample"].as_array().unwrap().len(), left()), (2, 4));

    let unasked = remove(&["--domain", "example.net"]);
    assert!(
        failed(&unasked).contains("Remove 2 entries") && failed(&unasked).contains("--yes"),
        "{unasked:?}"
    );
    assert_eq!(left(), 4);
    let none = remove(&["--rule", "no.such.rule"]);
    assert_eq!((status(&none), text(&none.stdout)), (0, "0 entries removed\n"));
    let some = remove(&["--domain", "example.net", "--since", "2026-01-01", "--rule", "iana.5.1.1", "--yes"]);
    assert_eq!((status(&some), text(&some.stdout), left()), (0, "2 entries removed\n", 2));
    let manual = remove(&["--domain", "example.net", "--reason", "manual", "--json", "--yes"]);
    assert_eq!(json_lines(&manual.stdout)[0]["removed"], 1, "asked for by its reason");

    for (arguments, what) in [
        (&["a@example.net", "--domain", "example.net"][..], "exclude each other"),
        (&[], "say which: addresses, or a filter"),
    ] {
        assert!(failed(&remove(arguments)).contains(what), "{arguments:?}");
    }
    let wrong = remove(&["--since", "yesterday"]);
    assert!(status(&wrong) == 2 && text(&wrong.stderr).contains("how long ago: 90m, 2h, 3d"), "{wrong:?}");
    let dry = remove(&["c@example.org", "a@example.net", "--dry-run"]);
    assert_eq!(text(&dry.stdout), "c@example.org: would be removed\na@example.net: not on the list\n");
    assert_eq!((status(&dry), left()), (1, 1));
}

#[test]
fn the_daemon_notes_that_a_term_is_over() {
    let home = with_bounces();
    let mut database = Database::write(&home.database());
    database.run("UPDATE suppressions SET expires_at = '2026-01-02T03:04:05Z'");
    drop(database);
    let daemon = home.start();
    let story = wait_for("the end of the term", || {
        let story = home.json(&["suppressions", "show", "dead@example.net", "--json"]).remove(0);
        (story["changes"].as_array().unwrap().len() > 1).then_some(story)
    });
    daemon.stop();
    let expired = story["changes"].as_array().unwrap().iter().find(|row| row["action"] == "expired").unwrap();
    assert_eq!((&expired["at"], &expired["origin"]), (&"2026-01-02T03:04:05Z".into(), &"expiry".into()));
    assert_eq!((&expired["after"], &expired["before"]["reason"]), (&serde_json::Value::Null, &"hard".into()));
}
