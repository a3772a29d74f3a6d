//! `dsnd suppressions import` and `export`: lists of any kind come in, and go out as they came.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use super::{failed, status, text};
use crate::common::{Home, hard_bounce};

/// A list of our own with texts that are hard to write.
const LIST: &str = "address,stream,stream_name,reason,class,status,rule,remote_mta,evidence,note,first_seen,last_seen,count,expires_at,recheckable,soft_term_days\n\
    Anna@Example.org,0,,hard,recipient_unknown,5.1.1,iana.5.1.1,mx.example.org,\"550 5.1.1 \"\"who?\"\", =1+1\n and on\",,2026-11-01T10:00:00Z,2026-11-20T10:00:00Z,3,2099-05-19T10:00:00Z,false,0\n\
    anna@example.org,7,news,soft,mailbox_full,5.2.2,iana.5.2.2,,+full,\"-x, @y\",2026-11-01T10:00:00Z,2026-11-20T10:00:00Z,5,2099-01-19T10:00:00Z,false,60\n\
    büro@bücher.example,0,,complaint,complaint,,,,,,2026-11-20T10:00:00Z,2026-11-20T10:00:00Z,1,,false,0\n\
    gone@dead.example,0,,hard,domain_invalid,5.1.2,iana.5.1.2,,NXDOMAIN,,2026-11-20T10:00:00Z,2026-11-20T10:00:00Z,1,2099-12-20T10:00:00Z,true,0\n";

fn home() -> Home {
    let home = Home::new();
    home.file("news.toml", b"[streams]\nnews = 7\n");
    home.with("CONFIG", "news.toml")
}

#[test]
fn a_list_goes_out_as_it_came_in() {
    let first = home();
    let list = first.file("list", LIST.as_bytes());
    let done = first.run(&["suppressions", "import", list.to_str().unwrap(), "--json"]);
    assert_eq!(status(&done), 0, "{done:?}");
    let told = &crate::common::json_lines(&done.stdout)[0];
    assert_eq!((&told["format"], &told["records"], &told["added"]), (&"csv".into(), &4.into(), &4.into()));
    let exported = first.run(&["suppressions", "export"]);
    assert_eq!(text(&exported.stdout), LIST);
    assert_eq!(text(&first.run(&["suppressions", "export", "-"]).stdout), LIST);
    let lines = first.run(&["suppressions", "export", "--format", "ndjson"]).stdout;
    assert_eq!(crate::common::json_lines(&lines)[1]["note"], "-x, @y");

    // Both ways through another database, once through a pipe and once through files.
    let second = home();
    let mut import = second.command(&["suppressions", "import", "-"]);
    let mut import = import.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut import.stdin.take().unwrap(), &lines).unwrap();
    let done = import.wait_with_output().unwrap();
    assert!(
        text(&done.stdout).starts_with("standard input: a list of dsnd's, NDJSON, 4 records\nadded 4,"),
        "{done:?}"
    );
    let out = second.path().join("out.csv");
    let done = second.run(&["suppressions", "export", out.to_str().unwrap()]);
    assert_eq!((status(&done), fs::read_to_string(&out).unwrap().as_str()), (0, LIST));
    assert!(text(&done.stdout).ends_with("out.csv: 4 entries\n"), "{done:?}");
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600, "addresses are in it");
    let left: Vec<_> = fs::read_dir(second.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("-part")), "{left:?}");
    assert_eq!(second.run(&["suppressions", "export", "--format", "ndjson"]).stdout, lines);
}

#[test]
fn an_export_goes_by_filters_and_for_a_spreadsheet_holds_no_formula() {
    let home = home();
    let list = home.file("list", LIST.as_bytes());
    home.run(&["suppressions", "import", list.to_str().unwrap()]);
    let export = |more: &[&str]| {
        String::from_utf8(home.run(&[&["suppressions", "export"], more].concat()).stdout).unwrap()
    };
    assert_eq!(export(&["--reason", "complaint"]).lines().count(), 2);
    assert_eq!(export(&["--stream", "news"]).lines().count(), 2);
    assert_eq!(export(&["--domain", "nowhere.example"]).lines().count(), 1, "the header alone");
    let sheet = export(&["--spreadsheet"]);
    assert!(sheet.contains(",'+full,\"'-x, @y\","), "{sheet}");
    for formula in ["\n=1+1", "＝1+1", " @x", "\u{a0}＋1", "\t=1"] {
        home.run(&["suppressions", "add", "sheet@x.example", "--force", "--note", formula]);
        let sheet = export(&["--spreadsheet", "--domain", "x.example"]);
        assert!(sheet.contains(&format!("'{formula}")), "{formula:?}: {sheet}");
    }
    assert!(
        failed(&home.run(&["suppressions", "export", "--spreadsheet", "--format", "ndjson"])).contains("csv")
    );
    assert!(
        failed(&home.run(&["suppressions", "export", "nowhere/list.csv"]))
            .contains("cannot write nowhere/list.csv")
    );
}

#[test]
fn bad_lines_are_named_and_kept_apart_and_the_good_ones_taken() {
    let home = Home::new();
    let bad_list =
        "emailAddress,reason\na@x.example,BOUNCE\nnobody,BOUNCE\nb@x.example,COMPLAINT\nc@x.example,MAYBE\n";
    let list = home.file("ses.txt", bad_list.as_bytes());
    let list = list.to_str().unwrap();
    let dry = home.run(&["suppressions", "import", "--dry-run", list]);
    assert_eq!(status(&dry), 1);
    assert!(text(&dry.stdout).contains("would be added 2, would be changed 0"), "{dry:?}");
    assert!(!home.database().exists(), "a dry run writes nothing");
    let done = home.run(&["suppressions", "import", list, "--bad", "bad.csv"]);
    assert_eq!(status(&done), 1);
    assert_eq!(
        text(&done.stderr),
        format!(
            "dsnd: {list}, line 3: no \"@\" in the address\n\
             dsnd: {list}, line 5: reason is \"MAYBE\" and not BOUNCE or COMPLAINT\n\
             dsnd: 2 lines are not good, the first 2 are shown; all of them are in bad.csv\n"
        )
    );
    assert_eq!(
        text(&done.stdout),
        format!(
            "{list}: the suppression list of Amazon SES, 4 records\n\
             added 2, changed 0, on the list before 0, repeated 0, skipped 0, bad 2\n"
        )
    );
    let bad = fs::read_to_string(home.path().join("bad.csv")).unwrap();
    assert_eq!(bad, "emailAddress,reason\nnobody,BOUNCE\nc@x.example,MAYBE\n");
    let over = home.run(&["suppressions", "import", "--dry-run", "--bad", "bad.csv", list]);
    assert!(failed(&over).contains("--bad bad.csv: the file is there already"), "{over:?}");
    let itself = home.run(&["suppressions", "import", "--dry-run", "--bad", "./bad.csv", "bad.csv"]);
    assert!(failed(&itself).contains("is the list itself"), "{itself:?}");
    assert_eq!(fs::read_to_string(home.path().join("bad.csv")).unwrap(), bad);
    let mended =
        home.file("mended.csv", bad.replace("nobody", "d@x.example").replace("MAYBE", "BOUNCE").as_bytes());
    let mended = mended.to_str().unwrap();
    let again = home.json(&["suppressions", "import", mended, "--json", "--bad", "none.csv"]).remove(0);
    assert!(!home.path().join("none.csv").exists(), "no line was bad");
    assert_eq!((&again["added"], &again["bad"]), (&2.into(), &0.into()));
    assert_eq!(home.run(&["suppressions", "check", "b@x.example"]).status.code(), Some(1));
}

#[test]
fn what_cannot_be_read_is_named_with_the_fix() {
    let home = Home::new();
    let import = |content: &[u8], more: &[&str]| {
        let list = home.file("list", content);
        home.run(&[&["suppressions", "import", list.to_str().unwrap()], more].concat())
    };
    assert!(failed(&import(b"name,age\nx,3\n", &[])).contains(
        "cannot tell what list this is: it begins with \"name\", \"age\"; --format says it (csv, "
    ));
    assert!(failed(&import(b"\xff\xfea\0", &[])).contains("it is UTF-16; make it UTF-8 first: iconv"));
    assert!(failed(&import(b"a@x.example\n", &["--stream", "news"])).contains("\"news\" is no stream"));
    assert!(failed(&import(b"a@x.example\n", &["--until", "2001-01-01"])).contains("--until lies behind us"));
    assert!(
        failed(&import(b"name,age\nx,3\n", &["--format", "ses"]))
            .contains("ses lists have a column \"emailAddress\"")
    );
    assert!(
        failed(&home.run(&["suppressions", "import", "nowhere.csv"])).contains("cannot read nowhere.csv")
    );
    assert!(failed(&home.run(&["suppressions", "import", "."])).contains("it is a directory"));
    let cut = import(
        b"{\"items\":[{\"address\":\"a@x.example\",\"created_at\":\"Fri, 20 Nov 2026 11:02:55 UTC\"},",
        &[],
    );
    assert!(
        failed(&cut).contains("stopped after 1 record, which is done: line 1: the JSON ends in the middle")
    );
    assert_eq!(home.run(&["suppressions", "check", "a@x.example"]).status.code(), Some(1));
    let empty = import(b"", &[]);
    assert_eq!((status(&empty), text(&empty.stdout).contains("empty, 0 records")), (0, true), "{empty:?}");
}

#[test]
fn a_list_may_be_given_a_stream_a_reason_and_an_end() {
    let home = home();
    let list = home.file("who left.txt", b"a@x.example\nb@x.example\na@x.example\n");
    let list = list.to_str().unwrap();
    let more = ["--stream", "news", "--reason", "hard", "--days", "10", "--note", "asked us to"];
    let told = home.json(&[&["suppressions", "import", list, "--json"], more.as_slice()].concat()).remove(0);
    assert_eq!(
        (&told["format"], &told["added"], &told["duplicates"]),
        (&"plain".into(), &2.into(), &1.into())
    );
    let entry = home.json(&["suppressions", "list", "--json", "--origin", "import"]).remove(0);
    let fields = ["stream_name", "reason", "note", "origin"].map(|name| entry[name].as_str().unwrap());
    assert_eq!(fields, ["news", "hard", "asked us to", "import"]);
    let end: jiff::Timestamp = entry["expires_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(end.duration_since(jiff::Timestamp::now()).as_hours() / 24, 9);
    let story = home.json(&["suppressions", "show", "a@x.example", "--json"]).remove(0);
    let why = story["changes"][0]["why"].as_str().unwrap();
    assert!(why.starts_with("imported from ") && why.ends_with("who left.txt (plain)"), "{why}");
    let undone =
        home.json(&["suppressions", "remove", "--origin", "import", "--since", "1h", "--json", "--yes"]);
    assert_eq!(undone[0]["removed"], 2);
}

#[test]
fn bounces_go_on_coming_in_while_a_list_does() {
    let home = Home::new();
    let daemon = home.start();
    let rows: String = (0..30_000).map(|number| format!("user{number}@x.example\n")).collect();
    let list = home.file("list", rows.as_bytes());
    let mut import = home.command(&["suppressions", "import", list.to_str().unwrap()]);
    let mut import = import.stdout(Stdio::piped()).spawn().unwrap();
    let mut taken = 0;
    while import.try_wait().unwrap().is_none() {
        let reply = daemon.connect().send(&hard_bounce(&format!("b{taken}"), &format!("b{taken}@y.example")));
        assert!(reply.as_ref().unwrap().starts_with("250 "), "{reply:?}");
        taken += 1;
    }
    assert!(taken > 0);
    let done = import.wait_with_output().unwrap();
    assert!(done.status.success() && text(&done.stdout).contains("added 30000,"), "{done:?}");
    assert_eq!(home.json(&["suppressions", "list", "--json", "--origin", "bounce"]).len(), taken);
    daemon.stop();
}

#[test]
fn a_list_of_customers_adds_no_one() {
    let home = Home::new();
    for (name, list) in [
        (
            "contacts.csv",
            "id,email,name,status,created_at\n1,best@x.example,Bob,active,2026-11-01T10:00:00Z\n",
        ),
        ("days.csv", "email,created\nbest@x.example,2026-11-01\n"),
        ("origins.csv", "email,ip,created\nbest@x.example,192.0.2.1,2026-11-01\n"),
        ("addresses.csv", "address,created_at\nbest@x.example,2026-11-01\n"),
        ("people.csv", "email,created,name\nbest@x.example,2026-11-01,Ann\n"),
        (
            "shop.json",
            "{\"customers\":[{\"id\":1,\"email\":\"best@x.example\",\"created_at\":\"2026-11-01\"}]}",
        ),
        ("api.json", "[{\"id\":1,\"email\":\"best@x.example\",\"created_at\":\"2026-11-01\"}]"),
        ("api.ndjson", "{\"id\":1,\"email\":\"best@x.example\",\"created\":1793523600}\n"),
        ("addresses.json", "[\"best@x.example\"]"),
    ] {
        let list = home.file(name, list.as_bytes());
        let refused = home.run(&["suppressions", "import", list.to_str().unwrap()]);
        assert!(failed(&refused).contains("--format "), "{name}: {refused:?}");
        assert_eq!(status(&home.run(&["suppressions", "check", "best@x.example"])), 0, "{name}");
    }
}

#[test]
fn one_page_of_amazons_list_is_taken_with_a_warning() {
    let home = Home::new();
    let page = r#"{"SuppressedDestinationSummaries":[{"EmailAddress":"a@x.example","Reason":"BOUNCE"}],"NextToken":"x"}"#;
    let page = home.file("ses.json", page.as_bytes());
    let done = home.run(&["suppressions", "import", page.to_str().unwrap(), "--json"]);
    assert_eq!((status(&done), done.stdout.is_empty()), (1, false), "{done:?}");
    assert!(text(&done.stderr).contains("one page of several"), "{done:?}");
    let told = &crate::common::json_lines(&done.stdout)[0];
    assert_eq!((&told["added"], &told["more_pages"]), (&1.into(), &true.into()));
}
