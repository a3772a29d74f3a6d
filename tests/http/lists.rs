//! Whole lists over HTTP: taken as they come, given as they are.

use std::io::{BufReader, Read, Write};

use crate::common::{Home, Http, answer, wait_for};

fn import(http: &Http, media: &str, query: &str, list: &[u8]) -> crate::common::Answer {
    http.with("Content-Type", media).send("POST", &format!("/v1/suppressions/import{query}"), list)
}

#[test]
fn a_list_is_taken_and_given_as_on_the_command_line() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    let list = b"emailAddress,reason\na@x.example,BOUNCE\nnobody,BOUNCE\nb@y.example,COMPLAINT\na@x.example,BOUNCE\n";
    let told = import(&http, "text/csv; charset=utf-8", "?name=our+list", list).json();
    assert_eq!(
        (&told["format"], &told["records"], &told["dry_run"]),
        (&"ses".into(), &4.into(), &false.into())
    );
    assert_eq!((&told["added"], &told["duplicates"], &told["bad"]), (&2.into(), &1.into(), &1.into()));
    assert_eq!(told["bad_lines"], serde_json::json!([{"line": 3, "reason": "no \"@\" in the address"}]));
    let again = import(&http, "text/csv", "?dry_run=true&note=x", b"a@x.example\nc@x.example\n").json();
    assert_eq!(
        (&again["format"], &again["added"], &again["changed"]),
        (&"plain".into(), &1.into(), &1.into())
    );
    let story = home.json(&["suppressions", "show", "a@x.example", "--json"]).remove(0);
    assert_eq!(story["changes"][0]["why"], "imported from our list (ses)");

    let exported = http.get("/v1/suppressions/export");
    assert_eq!(
        (exported.status, exported.header("content-type")),
        (200, "text/csv; charset=utf-8; header=present")
    );
    assert_eq!(exported.body, home.run(&["suppressions", "export"]).stdout);
    let lines = http.get("/v1/suppressions/export?format=ndjson&domain=Y.example&reason=complaint");
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    assert_eq!(lines.json()["address"], "b@y.example");
    let back = import(&http, "application/x-ndjson", "", &lines.body).json();
    assert_eq!((&back["format"], &back["known"]), (&"ndjson".into(), &1.into()));
    daemon.stop();
}

#[test]
fn what_is_wrong_with_a_list_is_a_problem() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    let csv = |query: &str, list: &[u8]| import(&http, "text/csv", query, list);
    let unknown = csv("", b"name,age\nx,3\n").problem(422);
    assert!(unknown.contains("it begins with \"name\", \"age\""), "{unknown}");
    assert!(unknown.contains("the parameter format says it") && !unknown.contains("--"), "{unknown}");
    assert!(csv("", b"\xff\xfea\0").problem(422).contains("UTF-16"));
    assert!(csv("?stream=nowhere", b"a@x.example\n").problem(404).contains("no stream \"nowhere\""));
    assert!(csv("?days=0", b"a@x.example\n").problem(400).contains("0 days are not a term"));
    assert!(csv("?format=excel", b"a@x.example\n").problem(400).contains("excel"));
    assert!(import(&http, "image/png", "", b"a@x.example\n").problem(415).contains("text/csv"));
    let broken = import(
        &http,
        "application/json",
        "",
        b"{\"items\":[{\"address\":\"a@x.example\",\"created_at\":\"Fri, 20 Nov 2026 11:02:55 UTC\"},",
    );
    assert!(broken.problem(422).contains("the record before that is done"), "{broken:?}");
    assert!(http.get("/v1/suppressions/export?format=xml").problem(400).contains("xml"));
    assert_eq!(csv("", b"").json()["records"], 0);
    daemon.stop();
}

#[test]
fn a_long_list_comes_in_pieces_and_a_reader_may_go_away() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    let mut stream = http.connect().unwrap();
    let head = format!(
        "POST /v1/suppressions/import HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: text/csv\r\n\
         Transfer-Encoding: chunked\r\n{}\r\n",
        http.address(),
        http.lines()
    );
    stream.write_all(head.as_bytes()).unwrap();
    for piece in 0..20 {
        let rows: String = (0..1_000).map(|row| format!("user{piece}.{row}@x.example\n")).collect();
        stream.write_all(format!("{:x}\r\n{rows}\r\n", rows.len()).as_bytes()).unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    let told = answer(&mut BufReader::new(stream)).unwrap().json();
    assert_eq!((&told["records"], &told["added"]), (&20_000.into(), &20_000.into()));

    let mut stream = http.connect().unwrap();
    let head =
        format!("GET /v1/suppressions/export HTTP/1.1\r\nHost: {}\r\n{}\r\n", http.address(), http.lines());
    stream.write_all(head.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 5_000]).unwrap();
    drop(stream);
    wait_for("the end of the export", || daemon.log().contains("an export broke off").then_some(()));
    let whole = http.get("/v1/suppressions/export").text();
    assert_eq!(whole.lines().count(), 20_001);
    daemon.stop();
}

#[test]
fn a_list_that_breaks_off_is_taken_as_far_as_it_came() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    let mut stream = http.connect().unwrap();
    let head = format!(
        "POST /v1/suppressions/import HTTP/1.1\r\nHost: {}\r\nContent-Type: text/csv\r\nContent-Length: 100000\r\n{}\r\n",
        http.address(),
        http.lines()
    );
    stream.write_all(format!("{head}a@x.example\nb@x.example\nc@x").as_bytes()).unwrap();
    drop(stream);
    wait_for("the entries that came", || {
        (home.json(&["suppressions", "list", "--json"]).len() == 2).then_some(())
    });
    assert_eq!(http.get("/v1/suppressions/export").text().lines().count(), 3);
    daemon.stop();
}
