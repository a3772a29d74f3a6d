//! Clients that are slow, many or hostile, and a database that cannot be had.

use std::io::{BufReader, Read, Write};
use std::time::Instant;

use serde_json::json;

use crate::common::{Database, Home, answer, hard_bounce, wait_for};

#[test]
fn a_slow_client_is_told_or_cut_off_and_costs_smtp_nothing() {
    let home = Home::new().with("HTTP_IDLE_TIMEOUT", "1").with("HTTP_REQUEST_TIMEOUT", "1");
    let daemon = home.start();
    let http = daemon.http();
    let started = Instant::now();
    // One never ends its header, one never its body, one is idle between two requests.
    let mut header = http.connect().unwrap();
    header.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n").unwrap();
    let mut body = http.connect().unwrap();
    let head = "POST /v1/suppressions/check HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
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
fn one_connection_too_many_is_told_so() {
    let home = Home::new().with("HTTP_MAX_CONNECTIONS", "2");
    let daemon = home.start();
    let http = daemon.http();
    let _held: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = BufReader::new(http.connect().unwrap());
            stream.get_mut().write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            assert_eq!(answer(&mut stream).unwrap().status, 200);
            stream
        })
        .collect();
    let mut stream = BufReader::new(http.connect().unwrap());
    let refused = answer(&mut stream).unwrap();
    assert!(refused.problem(503).contains("too many connections"));
    assert_eq!(refused.header("retry-after"), "5");
}

#[test]
fn bodies_are_bounded() {
    let home = Home::new().with("HTTP_MAX_BODY", "65536");
    let daemon = home.start();
    let http = daemon.http();
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
    let http = daemon.http();
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
    let http = daemon.http();
    for (host, status) in
        [("evil.example", 421), ("dsnd.example.com", 200), ("[::1]:8025", 200), ("localhost", 200)]
    {
        assert_eq!(http.with("Host", host).get("/v1/suppressions").status, status, "{host}");
    }
    // What a page may send without asking first is not taken.
    let simple = http.with("Content-Type", "text/plain").with("Origin", "https://evil.example");
    let answered = simple.send("POST", "/v1/suppressions/check", b"{\"addresses\":[]}");
    answered.problem(415);
    assert_eq!(answered.header("access-control-allow-origin"), "");
    assert_eq!(http.send("OPTIONS", "/v1/suppressions/check", b"").status, 405);
}

#[test]
fn requests_that_are_being_answered_finish_when_the_daemon_stops() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.http();
    let mut stream = http.connect().unwrap();
    let body = json!({ "addresses": ["ada@example.org"] }).to_string();
    let head = format!(
        "POST /v1/suppressions/check HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
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
