//! Who may use the API.

use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;

use crate::common::{Answer, Home, Http, answer, wait_for};

const LIST: &str = "/v1/suppressions";
const ADA: &str = "/v1/suppressions/ada%40example.org";

fn create(home: &Home, name: &str, more: &[&str]) -> String {
    let made = home.run(&[&["tokens", "create", "--name", name], more].concat());
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// That a token was revoked, and that there are any, is known within a second.
fn until(http: &Http, status: u16) -> Answer {
    wait_for("the API to know the tokens", || Some(http.get(LIST)).filter(|answer| answer.status == status))
}

#[test]
fn with_the_first_token_everything_below_v1_needs_one_that_allows_it() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.http();
    assert_eq!(http.get(LIST).status, 200, "on loopback, without any token");
    assert!(http.put(ADA, &json!({})).problem(401).contains("--scope write"), "writing needs one, there too");
    http.with("Content-Type", "text/csv")
        .send("POST", "/v1/suppressions/import", b"ada@example.org\n")
        .problem(401);
    http.delete(ADA).problem(401);
    http.post("/v1/return-paths", &json!({ "recipients": ["ada@example.org"] })).problem(401);
    let read = create(&home, "dashboard", &["--scope", "read"]);
    let write = create(&home, "shop", &["--scope", "write", "--expires", "90d"]);
    assert!(read.starts_with("dsnd_") && read.len() == 37 && read != write, "{read}");
    let refused = until(&http, 401);
    assert!(refused.problem(401).contains("dsnd tokens create"));
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
    http.token("dsnd_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").get(LIST).problem(401);
    http.get("/v1/nowhere").problem(401);
    for open in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(http.get(open).status, 200, "{open}");
    }
    let (read, write) = (http.token(&read), http.token(&write));
    assert_eq!(read.get(LIST).status, 200);
    assert_eq!(read.post("/v1/suppressions/check", &json!({ "addresses": [] })).status, 200);
    assert!(read.put(ADA, &json!({})).problem(403).contains("dashboard"));
    read.delete(ADA).problem(403);
    read.post("/v1/return-paths", &json!({ "recipients": ["a@b.example"] })).problem(403);
    assert_eq!(write.put(ADA, &json!({})).status, 201);
    let story = &home.json(&["suppressions", "show", "ada@example.org", "--json"])[0];
    assert_eq!(story["changes"][0]["actor"], "shop");

    let listed = home.json(&["tokens", "list", "--json"]);
    assert_eq!((&listed[0]["name"], &listed[0]["scope"]), (&json!("dashboard"), &json!("read")));
    assert!(listed[0]["expires_at"].is_null() && listed[1]["expires_at"].is_string());
    let used = || home.json(&["tokens", "list", "--json"])[1]["last_used"].is_string().then_some(());
    wait_for("its use to be noted", used);
    let all = String::from_utf8(home.run(&["tokens", "list"]).stdout).unwrap();
    assert!(all.contains("shop\twrite\tvalid\t"), "{all}");

    assert!(home.run(&["tokens", "revoke", "shop"]).status.success());
    assert_eq!(home.run(&["tokens", "revoke", "shop"]).status.code(), Some(1));
    until(&write, 401);
    assert!(home.run(&["tokens", "revoke", "dashboard"]).status.success());
    until(&read, 401);
    http.get(LIST).problem(401);
}

#[test]
fn before_the_first_token_the_mode_of_a_unix_socket_says_who_may_write() {
    let home = Home::new();
    let socket = home.path().join("api.sock");
    let home = home.with("HTTP_LISTEN", &format!("unix:{}", socket.display()));
    let daemon = home.start();
    let put = |more: &str| {
        let mut stream = wait_for("the socket", || UnixStream::connect(&socket).ok());
        let head = format!(
            "PUT {ADA} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n{more}\
             Content-Length: 2\r\n\r\n{{}}"
        );
        stream.write_all(head.as_bytes()).unwrap();
        answer(&mut BufReader::new(stream)).unwrap()
    };
    assert_eq!(put("").status, 201);
    let token = create(&home, "shop", &["--scope", "write"]);
    wait_for("the API to know the token", || (put("").status == 401).then_some(()));
    assert_eq!(put(&format!("Authorization: Bearer {token}\r\n")).status, 200);
    daemon.stop();
}

#[test]
fn a_token_holds_from_the_moment_it_is_made_and_a_guess_does_not() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.http();
    for name in ["one", "two", "three"] {
        // What the daemon knows of the tokens is as new as it can be, and lacks this one.
        let made = create(&home, name, &["--scope", "write"]);
        assert!([200, 401].contains(&http.get(LIST).status));
        let put = http.token(&made).put(ADA, &json!({ "note": name }));
        assert!([200, 201].contains(&put.status), "{name}: {put:?}");
        let story = &home.json(&["suppressions", "show", "ada@example.org", "--json"])[0];
        let changes = story["changes"].as_array().unwrap();
        assert!(changes.iter().any(|change| change["actor"] == name), "{name}: {story}");
        http.token("dsnd_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").get(LIST).problem(401);
        http.token("dsnd_short").get(LIST).problem(401);
    }
}

#[test]
fn a_name_stands_for_one_token_at_a_time() {
    let home = Home::new();
    create(&home, "shop", &["--scope", "read"]);
    let again = home.run(&["tokens", "create", "--name", "shop", "--scope", "read"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("dsnd tokens revoke shop"), "{again:?}");
    assert!(home.run(&["tokens", "revoke", "shop"]).status.success());
    create(&home, "shop", &["--scope", "write"]);
    let database = std::fs::read(home.database()).unwrap();
    assert!(!database.windows(5).any(|octets| octets == b"dsnd_"), "no secret is kept");
    for wrong in [["--name", "a b"], ["--expires", "2001-01-01"], ["--expires", "soon"]] {
        let arguments = [&["tokens", "create", "--scope", "read", "--name", "x"][..], &wrong].concat();
        assert_eq!(home.run(&arguments).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_public_address_needs_a_token() {
    let home = Home::new().with("HTTP_LISTEN", "0.0.0.0:0").with("LOG_FORMAT", "text");
    for arguments in [&["serve"][..], &["check-config"]] {
        let refused = home.run(arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && said.contains("http.listen") && said.contains("dsnd tokens create"),
            "{said}"
        );
    }
    let token = create(&home, "shop", &["--scope", "read"]);
    assert!(home.run(&["check-config"]).status.success());
    let home = home.with("LOG_FORMAT", "json");
    let daemon = home.start();
    let http = Http::new(([127, 0, 0, 1], daemon.http().address().port()).into());
    http.get(LIST).problem(401);
    assert_eq!(http.token(&token).get(LIST).status, 200);
}

#[test]
fn metrics_can_need_a_token() {
    let home = Home::new().with("HTTP_METRICS_TOKEN", "true");
    let daemon = home.start();
    let token = create(&home, "prometheus", &["--scope", "read"]);
    let http = daemon.http();
    until(&http, 401);
    http.get("/metrics").problem(401);
    assert_ne!(http.token(&token).get("/metrics").status, 401);
}
