//! Clients that are slow, many or hostile, and a database that cannot be had.

use std::io::{BufRead, BufReader, Read, Write};
use std::time::Instant;

use serde_json::json;

use crate::common::{Database, Home, answer, hard_bounce, wait_for};

const ADA: &str = "/v1/suppressions/ada%40example.org";

#[test]
fn a_slow_client_is_told_or_cut_off_and_costs_smtp_nothing() {
    let home = Home::new().with("HTTP_IDLE_TIMEOUT", "1").with("HTTP_REQUEST_TIMEOUT", "1");
    let daemon = home.start();
    let http = daemon.api();
    let started = Instant::now();
    // One never ends its header, one never its body, one is idle between two requests.
    let mut header = http.connect().unwrap();
    header.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n").unwrap();
    let mut body = http.connect().unwrap();
    let head = format!(
        "POST /v1/suppressions/check HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}\
         Content-Length: 100\r\n\r\n{{",
        http.lines()
    );
    body.write_all(head.as_bytes()).unwrap();
    let mut idle = http.connect().unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut idle = BufReader::new(idle);
    assert_eq!(answer(&mut idle).unwrap().status, 200);
    daemon.connect().send(&hard_bounce("1", "dead@example.net")).unwrap();
    assert!(answer(&mut BufReader::new(body)).unwrap().problem(408).contains("in time"));
    for mut stream in [header, idle.into_inner()] {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
    }
    assert!(started.elapsed() < crate::common::PATIENCE, "nothing was waited for that does not come");
}

#[test]
fn clients_that_never_finish_their_header_keep_nobody_out() {
    let home = Home::new().with("HTTP_MAX_CONNECTIONS", "20");
    let daemon = home.start();
    let http = daemon.api();
    let slow: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = http.connect().unwrap();
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ");
            stream
        })
        .collect();
    for _ in 0..3 {
        assert_eq!(http.get("/healthz").status, 200);
        assert_eq!(http.get("/readyz").status, 200);
        assert_eq!(http.get("/v1/suppressions").status, 200);
    }
    // Those that came last are still listened to.
    let mut last = slow.into_iter().next_back().unwrap();
    last.write_all(b"no more\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(answer(&mut BufReader::new(last)).unwrap().status, 200);
}

#[test]
fn one_request_too_many_is_told_so_and_health_is_answered_all_the_same() {
    let home = Home::new().with("HTTP_MAX_CONNECTIONS", "2");
    let daemon = home.start();
    let http = daemon.api();
    let ask = |path: &str, accept: &str| {
        let mut stream = BufReader::new(http.connect().unwrap());
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n{}\r\n", http.lines());
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        stream
    };
    // Two that listen, and go on doing so.
    let listening: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = ask("/v1/events", "text/event-stream");
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            assert!(line.starts_with("HTTP/1.1 200"), "{line}");
            stream
        })
        .collect();
    let slow: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = http.connect().unwrap();
            let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\n");
            stream
        })
        .collect();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(http.get(path).status, 200, "{path}");
    }
    let refused = http.get("/v1/suppressions");
    assert!(refused.problem(503).contains("too many requests"));
    assert_eq!((refused.header("retry-after"), refused.header("connection")), ("5", "close"));
    drop((listening, slow));
    wait_for("a place", || (http.get("/v1/suppressions").status == 200).then_some(()));
}

#[test]
fn bodies_are_bounded() {
    let home = Home::new().with("HTTP_MAX_BODY", "65536");
    let daemon = home.start();
    let http = daemon.api();
    let large = json!({ "addresses": ["x".repeat(70_000)] });
    http.post("/v1/suppressions/check", &large).problem(413);
    let header = "x".repeat(70_000);
    assert_eq!(
        http.with("X-Large", &header).try_send("GET", "/healthz", b"").map_or(431, |answer| answer.status),
        431
    );
}

#[test]
fn it_is_not_ready_while_the_store_cannot_commit() {
    let home = Home::new().with("STORE_BUSY_TIMEOUT", "1");
    let daemon = home.start();
    let http = daemon.api();
    assert_eq!(http.get("/readyz").status, 200);
    let mut lock = Database::write(&home.database());
    lock.run("BEGIN IMMEDIATE");
    let ready = |status| {
        wait_for("the answer of /readyz", || {
            Some(http.get("/readyz")).filter(|answer| answer.status == status)
        })
    };
    assert!(ready(503).problem(503).contains("cannot commit"));
    let refused = http.put("/v1/suppressions/ada%40example.org", &json!({}));
    assert!(refused.problem(503).contains("try again") && !refused.header("retry-after").is_empty());
    assert_eq!(http.get("/v1/suppressions").status, 200, "readers do not wait");
    assert_eq!(http.get("/healthz").status, 200);
    lock.run("ROLLBACK");
    ready(200);
}

#[test]
fn pages_in_browsers_reach_nothing() {
    let home = Home::new().with("HTTP_HOSTS", "dsnd.example.com");
    let daemon = home.start();
    let http = daemon.api();
    for (host, status) in
        [("evil.example", 421), ("dsnd.example.com", 200), ("[::1]:8025", 200), ("localhost", 200)]
    {
        assert_eq!(http.with("Host", host).get("/v1/suppressions").status, status, "{host}");
    }
    // Of what a page of another site asks for, a browser may only follow a link.
    for (method, path) in [("GET", "/v1/suppressions"), ("POST", "/v1/suppressions/import"), ("DELETE", ADA)]
    {
        for (name, value) in [
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Site", "same-site"),
            ("Origin", "https://evil.example"),
            ("Origin", "http://localhost:1"),
            ("Origin", "null"),
        ] {
            let page = http.with("Host", "localhost").with(name, value).with("Content-Type", "text/csv");
            let refused = page.send(method, path, b"ada@example.org\n");
            assert!(refused.problem(403).contains("another site"), "{method} {path} {name}: {value}");
            assert_eq!(refused.header("access-control-allow-origin"), "");
        }
    }
    let link = http.with("Sec-Fetch-Site", "cross-site").with("Sec-Fetch-Mode", "navigate");
    assert_eq!(link.get("/v1/suppressions").status, 200);
    link.with("Content-Type", "text/csv")
        .send("POST", "/v1/suppressions/import", b"ada@example.org\n")
        .problem(403);
    let own = http.with("Host", "dsnd.example.com").with("Origin", "https://dsnd.example.com");
    assert_eq!(own.with("Sec-Fetch-Site", "same-origin").put(ADA, &json!({})).status, 201);
    assert_eq!(own.delete(ADA).status, 204);
    // What a form can send is not taken either, wherever it is from.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        for path in ["/v1/suppressions/check", "/v1/suppressions/import", "/v1/return-paths"] {
            http.with("Content-Type", kind).send("POST", path, b"{\"addresses\":[]}").problem(415);
        }
    }
    assert_eq!(http.send("OPTIONS", "/v1/suppressions/check", b"").status, 405);
    assert_eq!(home.json(&["suppressions", "list", "--json"]), Vec::<serde_json::Value>::new());
}

#[test]
fn every_answer_is_what_its_type_says() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    let answers = [
        http.get("/healthz"),
        http.get("/metrics"),
        http.get("/openapi.json"),
        http.get("/v1/suppressions"),
        http.get("/v1/suppressions/export"),
        http.get("/v1/nowhere"),
        http.delete("/healthz"),
        http.with("Host", "evil.example").get("/healthz"),
        daemon.http().get("/v1/suppressions"),
    ];
    for answer in answers {
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{answer:?}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{answer:?}");
    }
}

#[test]
fn requests_that_are_being_answered_finish_when_the_daemon_stops() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    let mut stream = http.connect().unwrap();
    let body = json!({ "addresses": ["ada@example.org"] }).to_string();
    let head = format!(
        "POST /v1/suppressions/check HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}\
         Content-Length: {}\r\n\r\n",
        http.lines(),
        body.len()
    );
    let (first, second) = body.split_at(5);
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(first.as_bytes()).unwrap();
    // Another one that was answered since: the first was read before.
    assert_eq!(http.get("/healthz").status, 200);
    daemon.ask_to_stop();
    wait_for("the listener to close", || http.connect().err().map(drop));
    stream.write_all(second.as_bytes()).unwrap();
    assert_eq!(answer(&mut BufReader::new(stream)).unwrap().status, 200);
    let (status, log) = daemon.ended();
    assert!(status.success() && log.contains("\"stopped\""), "{log}");
}
