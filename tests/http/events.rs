//! `/v1/events`: asking again and again, waiting, and listening.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::{Daemon, Home, Http, PATIENCE, hard_bounce, json_lines, wait_for};

fn bounce(daemon: &Daemon, id: &str, address: &str) {
    daemon.connect().send(&hard_bounce(id, address)).expect("a reply");
}

/// The API, asked for an event a line.
fn lines(daemon: &Daemon) -> Http {
    daemon.api().with("Accept", "application/x-ndjson")
}

fn numbers(events: &[Value]) -> Vec<i64> {
    events.iter().map(|event| event["id"].as_i64().expect("a number")).collect()
}

/// An open connection on which events come.
struct Listening(BufReader<TcpStream>);

impl Listening {
    fn start(http: &Http, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(http.address()).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n{}{headers}\r\n",
            http.address(),
            http.lines()
        );
        stream.write_all(request.as_bytes()).expect("it is sent");
        let mut listening = Self(BufReader::new(stream));
        let head: Vec<String> =
            std::iter::from_fn(|| listening.line().filter(|line| !line.is_empty())).collect();
        assert!(head[0].starts_with("HTTP/1.1 200"), "{head:?}");
        assert!(
            head.iter().any(|line| line.eq_ignore_ascii_case("content-type: text/event-stream")),
            "{head:?}"
        );
        listening
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let octets = self.0.read_line(&mut line).expect("a line within the time");
        (octets > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event: its id, its type, its data.
    fn event(&mut self) -> (String, String, Value) {
        let (mut id, mut kind) = (String::new(), String::new());
        loop {
            let line = self.line().expect("the stream goes on");
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.to_owned();
            } else if let Some(text) = line.strip_prefix("event: ") {
                kind = text.to_owned();
            } else if let Some(text) = line.strip_prefix("data: ") {
                return (id, kind, serde_json::from_str(text).expect("JSON"));
            }
        }
    }
}

#[test]
fn events_are_pulled_page_by_page_as_the_command_line_has_them() {
    let home = Home::new();
    let daemon = home.start();
    let http = lines(&daemon);
    let none = http.get("/v1/events");
    assert_eq!((none.status, none.text().as_str(), none.header("dsnd-last-event-id")), (200, "", "0"));
    for (id, address) in [("a", "a@example.org"), ("b", "b@example.org"), ("c", "c@example.org")] {
        bounce(&daemon, id, address);
    }
    let all = http.get("/v1/events");
    assert_eq!(all.header("content-type"), "application/x-ndjson");
    assert_eq!(json_lines(&all.body), home.json(&["events", "list", "--json"]));
    assert_eq!(numbers(&json_lines(&all.body)), [1, 2, 3, 4, 5, 6]);
    for (query, wanted, next) in [
        ("limit=4", vec![1, 2, 3, 4], "4"),
        ("after=4&limit=4", vec![5, 6], "6"),
        ("after=6", vec![], "6"),
        ("type=suppression.added", vec![2, 4, 6], "6"),
        ("type=suppression.added&limit=1", vec![2], "2"),
        ("type=suppression.removed,hold.opened", vec![], "6"),
        ("type=bounce.recorded&after=3&limit=100", vec![5], "6"),
    ] {
        let page = http.get(&format!("/v1/events?{query}"));
        assert_eq!(numbers(&json_lines(&page.body)), wanted, "{query}");
        assert_eq!(page.header("dsnd-last-event-id"), next, "{query}");
    }
    for query in ["limit=0", "limit=1001", "wait=61", "type=bounce", "after=-1", "after=x", "since=soon"] {
        http.get(&format!("/v1/events?{query}")).problem(400);
    }
    let ahead = http.get("/v1/events?after=7").problem(409);
    assert!(ahead.starts_with("the last event is 6"), "{ahead}");
    daemon.stop();
    crate::common::Database::write(&home.database())
        .run("DELETE FROM outbox WHERE id <= 4; UPDATE outbox_pruned SET through = 4");
    let daemon = home.start();
    let dropped = lines(&daemon).get("/v1/events?after=3").problem(410);
    assert!(dropped.contains("up to 4"), "{dropped}");
    assert_eq!(numbers(&json_lines(&lines(&daemon).get("/v1/events?after=4").body)), [5, 6]);
    assert_eq!(
        numbers(&json_lines(&lines(&daemon).get("/v1/events").body)),
        [5, 6],
        "from the oldest that is kept"
    );
    daemon.stop();
}

#[test]
fn a_page_of_events_is_one_object_and_every_event_has_the_shape_that_is_described() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    let empty = http.get("/v1/events");
    assert_eq!(
        (empty.header("content-type"), empty.json()),
        ("application/json", json!({ "events": [], "last_event_id": 0 }))
    );
    bounce(&daemon, "a", "a@example.org");
    assert_eq!(http.delete("/v1/suppressions/a%40example.org").status, 204);
    assert!(home.run(&["replay", home.file("c.eml", COMPLAINT).to_str().unwrap()]).status.success());
    let page = http.get("/v1/events");
    let told = page.json();
    assert_eq!((page.header("dsnd-last-event-id"), &told["last_event_id"]), ("5", &json!(5)));
    let events = told["events"].as_array().unwrap();
    assert_eq!(*events, home.json(&["events", "list", "--json"]));
    let described = http.get("/openapi.json").json();
    for event in events {
        let kind = event["type"].as_str().unwrap();
        let webhook =
            &described["webhooks"][kind]["post"]["requestBody"]["content"]["application/json"]["schema"];
        let schema = of_name(&described, webhook);
        let of_type = &described["components"]["schemas"]["Event"]["discriminator"]["mapping"][kind];
        assert_eq!(webhook["$ref"], *of_type, "a webhook brings what is listed");
        assert_eq!(schema["properties"]["type"]["enum"], json!([kind]), "{schema}");
        let data = of_name(&described, &schema["properties"]["data"]);
        for (name, value) in event["data"].as_object().unwrap() {
            assert!(data["properties"][name].is_object(), "{kind}: {name}: {value} is not described");
        }
        for name in data["required"].as_array().unwrap() {
            assert!(!event["data"][name.as_str().unwrap()].is_null(), "{kind} lacks {name}: {event}");
        }
    }
    daemon.stop();
}

fn of_name<'a>(described: &'a Value, reference: &'a Value) -> &'a Value {
    let path = reference["$ref"].as_str().unwrap_or_else(|| panic!("a reference: {reference}"));
    described.pointer(path.trim_start_matches('#')).unwrap_or_else(|| panic!("{path} is described"))
}

const COMPLAINT: &[u8] = b"From: fbl@mx.example.org\r\nTo: bounces@bounces.example.com\r\nSubject: Complaint\r\n\
    Message-ID: <complaint@mx.example.org>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; \
    report-type=feedback-report; boundary=\"edge\"\r\n\r\n--edge\r\nContent-Type: text/plain\r\n\r\nA complaint.\r\n\
    --edge\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\nUser-Agent: mx/1\r\n\
    Original-Rcpt-To: b@example.org\r\n\r\n--edge\r\nContent-Type: message/rfc822\r\n\r\nFrom: news@example.com\r\n\
    To: b@example.org\r\nSubject: Our news\r\nMessage-ID: <1@example.com>\r\n\r\nHello\r\n\r\n--edge--\r\n";

#[test]
fn an_answer_waits_for_the_next_event_whoever_writes_it() {
    let home = Home::new();
    let daemon = home.start();
    let http = lines(&daemon);
    let began = Instant::now();
    assert_eq!(http.get("/v1/events?wait=1").text(), "");
    assert!(began.elapsed() >= Duration::from_secs(1));
    let asks = |after: i64| {
        let http = http.clone();
        std::thread::spawn(move || {
            let path = format!("/v1/events?after={after}&wait=50&type=suppression.added");
            // Until there is a place for it.
            wait_for("an answer", || Some(http.get(&path)).filter(|answer| answer.status != 503))
        })
    };
    let waiting = asks(0);
    bounce(&daemon, "a", "a@example.org");
    assert_eq!(numbers(&json_lines(&waiting.join().expect("an answer").body)), [2]);
    let waiting = asks(2);
    home.run(&["suppressions", "add", "b@example.org"]);
    assert_eq!(numbers(&json_lines(&waiting.join().expect("an answer").body)), [3]);
    // All places of those who wait but one are taken: once there is none, the last has it.
    let _others: Vec<_> = (0..49).map(|_| Listening::start(&http, "/v1/events", "")).collect();
    let waiting = asks(3);
    wait_for("the last place to be taken", || {
        (http.get("/v1/events?after=3&wait=1&type=hold.opened").status == 503).then_some(())
    });
    // It is answered when the daemon ends, and does not hold it up.
    let began = Instant::now();
    daemon.stop();
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(waiting.join().expect("an answer").text(), "");
}

#[test]
fn who_listens_hears_what_was_and_what_comes_and_goes_on_where_it_was() {
    let home = Home::new();
    let daemon = home.start();
    let http = lines(&daemon);
    bounce(&daemon, "a", "a@example.org");
    let mut listening = Listening::start(&http, "/v1/events", "");
    let (id, kind, event) = listening.event();
    assert_eq!((id.as_str(), kind.as_str()), ("1", "bounce.recorded"));
    assert_eq!(event, json_lines(&http.get("/v1/events?limit=1").body)[0]);
    assert_eq!(listening.event().0, "2");
    bounce(&daemon, "b", "b@example.org");
    assert_eq!((listening.event().0, listening.event().0), ("3".to_owned(), "4".to_owned()));
    drop(listening);
    let mut again =
        Listening::start(&http, "/v1/events?type=suppression.added&after=0", "Last-Event-ID: 2\r\n");
    assert_eq!(again.event().0, "4", "the header stands before the parameter");
    let answer = http.with("Accept", "text/event-stream").with("Last-Event-ID", "x").get("/v1/events");
    answer.problem(400);
    let began = Instant::now();
    daemon.stop();
    assert!(began.elapsed() < Duration::from_secs(20), "who listens holds up no end");
    while again.line().is_some() {}
}

#[test]
fn events_are_found_by_the_filters_of_the_command_line() {
    let home = Home::new();
    let daemon = home.start();
    bounce(&daemon, "1", "ada@one.example");
    bounce(&daemon, "2", "bert@two.example");
    let http = daemon.api();
    for (filter, found) in [
        ("", vec![1, 2, 3, 4]),
        ("domain=TWO.example", vec![3, 4]),
        ("class=recipient_unknown&type=suppression.added", vec![2, 4]),
        ("class=mailbox_full", vec![]),
        ("rule=iana.5.1.1&trust=unsigned&origin=bounce", vec![1, 2, 3, 4]),
        ("remote_mta=MX.example.net.&after=1", vec![2, 3, 4]),
        ("listed_ip=192.0.2.1", vec![]),
        ("since=1h&limit=3", vec![1, 2, 3]),
        ("until=1h", vec![]),
    ] {
        let page = http.get(&format!("/v1/events?{filter}")).json();
        assert_eq!(numbers(page["events"].as_array().unwrap()), found, "{filter}: {page}");
        let through = found.last().filter(|_| filter.contains("limit")).unwrap_or(&4);
        assert_eq!(page["last_event_id"], json!(through), "{filter}: looked at all of them");
    }
    for (arguments, found) in [
        (&["--domain", "two.example"][..], vec![3, 4]),
        (&["--domain", "two.example", "--limit", "1"], vec![4]),
        (&["--since", "1h", "--limit", "1"], vec![1]),
        (&["--class", "mailbox_full"], vec![]),
        (&["--until", "1h"], vec![]),
    ] {
        let arguments = [&["events", "list", "--json"][..], arguments].concat();
        assert_eq!(numbers(&home.json(&arguments)), found, "{arguments:?}");
    }
    http.get("/v1/events?stream=none").problem(404);
}
