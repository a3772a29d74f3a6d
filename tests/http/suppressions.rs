//! The list over HTTP.

use serde_json::{Value, json};

use crate::common::{Home, dsn, hard_bounce};

const ADA: &str = "/v1/suppressions/ada%40example.org";

#[test]
fn an_address_is_put_on_the_list_asked_about_and_taken_off_and_the_history_says_so() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    assert!(http.get(ADA).problem(404).contains("ada@example.org"));
    let put = http.put(ADA, &json!({ "note": "asked by phone", "expires_at": "2099-01-01T00:00:00Z" }));
    assert_eq!(put.status, 201, "{put:?}");
    let shown = http.get(ADA);
    assert_eq!((shown.status, shown.json()), (200, put.json()));
    let entry = &shown.json()["entries"][0];
    assert_eq!(
        (&entry["reason"], &entry["note"], &entry["origin"]),
        (&json!("manual"), &json!("asked by phone"), &json!("api"))
    );
    assert_eq!(
        entry,
        &home.json(&["suppressions", "list", "--json"])[0],
        "the names are those of the command line"
    );
    assert_eq!(http.put(ADA, &json!({})).status, 200, "replaced: for ever");
    assert_eq!(http.get(ADA).json()["entries"][0]["expires_at"], Value::Null);
    assert_eq!(http.delete(ADA).status, 204);
    assert!(http.delete(ADA).problem(404).contains("not on the list"));
    let story = &home.json(&["suppressions", "show", "ada@example.org", "--json"])[0];
    let told: Vec<_> = story["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| (&change["action"], &change["origin"]))
        .collect();
    let api = json!("api");
    assert_eq!(told, [(&json!("added"), &api), (&json!("changed"), &api), (&json!("removed"), &api)]);
}

#[test]
fn who_changes_what_another_has_changed_is_told() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    let first = http.with("If-None-Match", "*").put(ADA, &json!({ "note": "one" }));
    assert_eq!(first.status, 201);
    let tag = first.header("etag");
    assert!(tag.starts_with('"') && tag.len() > 10, "{tag}");
    http.with("If-None-Match", "*").put(ADA, &json!({ "note": "two" })).problem(412);
    let unchanged = http.with("If-None-Match", tag).get(ADA);
    assert_eq!((unchanged.status, unchanged.header("etag"), unchanged.body.len()), (304, tag, 0));
    let second = http.with("If-Match", tag).put(ADA, &json!({ "note": "two" }));
    assert_eq!(second.status, 200);
    assert_ne!(second.header("etag"), tag);
    http.with("If-Match", tag).put(ADA, &json!({ "note": "three" })).problem(412);
    http.with("If-Match", tag).delete(ADA).problem(412);
    assert_eq!(http.get(ADA).json()["entries"][0]["note"], "two");
    assert_eq!(http.with("If-Match", second.header("etag")).delete(ADA).status, 204);
    http.with("If-Match", "*").put(ADA, &json!({})).problem(412);
    http.with("If-Match", "unquoted").put(ADA, &json!({})).problem(400);
}

#[test]
fn what_weighs_more_stays_unless_it_is_forced() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    assert_eq!(http.put(ADA, &json!({})).status, 201, "for ever");
    let short = json!({ "expires_at": "2099-01-01T00:00:00Z" });
    assert!(http.put(ADA, &short).problem(409).contains("force=true"));
    assert_eq!(http.put(&format!("{ADA}?force=true"), &short).status, 200);
    assert!(http.put(ADA, &json!({ "expires_at": "2001-01-01T00:00:00Z" })).problem(422).contains("over"));
    let many = http.put(ADA, &json!({ "expires": "2099-01-01T00:00:00Z", "note": 7, "expires_at": "soon" }));
    assert!(many.problem(422).contains("did you mean \"expires_at\"? (2 more, see errors)"), "{many:?}");
    let told = many.json();
    let places: Vec<&str> =
        told["errors"].as_array().unwrap().iter().map(|one| one["place"].as_str().unwrap()).collect();
    assert_eq!(places, ["#/expires", "#/expires_at", "#/note"], "{told}");
    let both = http.put(ADA, &json!({ "note": "x".repeat(1_001), "expires_at": "2001-01-01T00:00:00Z" }));
    assert_eq!(both.json()["errors"].as_array().unwrap().len(), 2, "{both:?}");
    assert!(http.put("/v1/suppressions/nobody", &json!({})).problem(422).contains('@'));
    http.with("Content-Type", "text/plain").send("PUT", ADA, b"{}").problem(415);
    http.with("Content-Type", "application/json").send("PUT", ADA, b"{").problem(400);
    assert!(http.put(ADA, &json!([null, null])).problem(422).contains("object"));
}

#[test]
fn addresses_of_every_kind_stand_in_a_path() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    for (path, address) in [
        ("/v1/suppressions/J%C3%B6rg@b%C3%BCcher.example", "Jörg@bücher.example"),
        ("/v1/suppressions/%22a%20b%22%40example.org", "\"a b\"@example.org"),
        ("/v1/suppressions/a%2Fb%2B%25%40example.org", "a/b+%@example.org"),
    ] {
        assert_eq!(http.put(path, &json!({})).status, 201, "{path}");
        assert_eq!(http.get(path).json()["entries"][0]["address"], address);
    }
    // Another spelling of the same address.
    assert_eq!(http.get("/v1/suppressions/j%C3%B6rg@xn--bcher-kva.example").status, 200);
    for none in ["nobody", "a%00b%40example.org"] {
        assert!(
            http.get(&format!("/v1/suppressions/{none}")).problem(422).contains("not an address"),
            "{none}"
        );
    }
    http.put("/v1/suppressions/a%00b%40example.org", &json!({})).problem(422);
    assert!(http.get("/v1/suppressions/%ff%40example.org").problem(400).contains("UTF-8"));
}

#[test]
fn a_stream_is_named_or_numbered() {
    let home = Home::new();
    let file = home.file("t.toml", b"[streams]\nnews = 7\n");
    let daemon = crate::common::Daemon::start(home.command(&["serve", "--config", file.to_str().unwrap()]));
    let http = daemon.api();
    assert_eq!(http.put(&format!("{ADA}?stream=news"), &json!({})).status, 201);
    assert_eq!(http.put(&format!("{ADA}?stream=8"), &json!({})).status, 201);
    let streams = |path: &str| -> Vec<Value> {
        let shown = http.get(path).json();
        shown["entries"].as_array().unwrap().iter().map(|entry| entry["stream"].clone()).collect()
    };
    assert_eq!(streams(ADA), [7, 8]);
    assert_eq!(streams(&format!("{ADA}?stream=7")), [7]);
    assert_eq!(http.get(ADA).json()["entries"][0]["stream_name"], "news");
    let checked = |stream: Value| {
        let asked = json!({ "addresses": ["ada@example.org"], "stream": stream });
        http.post("/v1/suppressions/check", &asked).json()["results"][0]["suppressed"].clone()
    };
    assert_eq!(
        (checked(json!("news")), checked(json!("9")), checked(Value::Null)),
        (json!(true), json!(false), json!(true))
    );
    assert!(http.get(&format!("{ADA}?stream=mews")).problem(404).contains("mews"));
    assert_eq!(http.delete(&format!("{ADA}?stream=news")).status, 204);
    assert_eq!(streams(ADA), [8]);

    // An entry for every stream suppresses in each, and is shown where one of them is asked about.
    assert_eq!(http.put(ADA, &json!({})).status, 201);
    let news = format!("{ADA}?stream=news");
    assert_eq!((streams(&news), checked(json!("news"))), (vec![json!(0)], json!(true)));
    assert_eq!(streams(&format!("{ADA}?stream=0")), [0]);
    assert!(http.delete(&news).problem(404).contains("this stream alone"));
    let put = http.with("If-Match", http.get(&news).header("etag")).put(&news, &json!({}));
    assert_eq!((put.status, put.header("etag")), (201, http.get(&news).header("etag")));
    assert_eq!(streams(&news), [0, 7]);
    assert_eq!(http.with("If-Match", put.header("etag")).delete(&news).status, 204);
    assert_eq!((streams(&news), streams(ADA)), (vec![json!(0)], vec![json!(0), json!(8)]));
}

#[test]
fn the_list_comes_in_pages_and_by_filter() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    for number in 0..7 {
        assert_eq!(http.put(&format!("/v1/suppressions/u{number}%40example.org"), &json!({})).status, 201);
    }
    daemon.connect().send(&hard_bounce("1", "dead@example.net")).unwrap();
    let mut seen = Vec::new();
    let mut path = "/v1/suppressions?limit=3".to_owned();
    loop {
        let page = http.get(&path).json();
        let entries = page["suppressions"].as_array().unwrap();
        assert!(entries.len() <= 3);
        seen.extend(entries.iter().map(|entry| entry["address"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/suppressions?limit=3&cursor={next}");
    }
    let all: Vec<_> = std::iter::once("dead@example.net".to_owned())
        .chain((0..7).map(|number| format!("u{number}@example.org")))
        .collect();
    assert_eq!(seen, all);
    let matched = |filter: &str| {
        http.get(&format!("/v1/suppressions?{filter}")).json()["suppressions"].as_array().unwrap().len()
    };
    assert_eq!((matched("reason=hard"), matched("origin=api"), matched("domain=EXAMPLE.net")), (1, 7, 1));
    assert_eq!(
        (
            matched("rule=iana.5.1.1"),
            matched("remote_mta=MX.example.net."),
            matched("since=2099-01-01T00:00:00Z")
        ),
        (1, 1, 0)
    );
    assert_eq!((matched("since=7d"), matched("since=2020-01-01"), matched("since=2099-01-01")), (8, 8, 0));
    assert!(http.get("/v1/suppressions?since=soon").problem(400).contains("how long ago: 90m"));
    let exported = http.get("/v1/suppressions/export?format=ndjson&since=2h");
    assert_eq!((exported.status, exported.body.iter().filter(|octet| **octet == b'\n').count()), (200, 8));
    assert!(http.get("/v1/suppressions?limit=0").problem(400).contains("1000"));
    http.get("/v1/suppressions?limit=99999999999999999999").problem(400);
    http.get("/v1/suppressions?cursor=zz").problem(400);
    assert!(http.get("/v1/suppressions?raeson=hard").problem(400).contains("raeson"));
}

#[test]
fn ten_thousand_addresses_are_checked_at_once_and_answered_in_order() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    daemon.connect().send(&hard_bounce("1", "dead@example.net")).unwrap();
    assert_eq!(http.put("/v1/suppressions/u7777%40example.org", &json!({})).status, 201);
    let mut addresses: Vec<String> = (0..10_000).map(|number| format!("u{number}@example.org")).collect();
    addresses[42] = "Dead@EXAMPLE.net".to_owned();
    addresses[43] = "no address\0".to_owned();
    let checked = http.post("/v1/suppressions/check", &json!({ "addresses": addresses })).json();
    assert_eq!(checked["suppressed"], 2);
    let results = checked["results"].as_array().unwrap();
    assert_eq!(results.len(), addresses.len());
    for (result, address) in results.iter().zip(&addresses) {
        assert_eq!(result["address"], *address);
        let suppressed = ["Dead@EXAMPLE.net", "u7777@example.org"].contains(&address.as_str());
        assert_eq!(
            (&result["suppressed"], result["entry"].is_object()),
            (&json!(suppressed), suppressed),
            "{result}"
        );
        assert_eq!(result["invalid"].is_string(), address.contains('\0'), "{result}");
    }
    let listed = home.json(&["suppressions", "list", "--domain", "example.net", "--json"]);
    assert_eq!(results[42]["entry"], listed[0]);
    addresses.push("one@too.many".to_owned());
    assert!(
        http.post("/v1/suppressions/check", &json!({ "addresses": addresses }))
            .problem(422)
            .contains("10000")
    );
}

#[test]
fn the_api_says_of_an_address_what_the_command_line_says() {
    let home = Home::new();
    let daemon = home.start();
    let full = "552 5.2.2 The mailbox of bert is full";
    let blocked = "554 5.7.1 Service unavailable; Client host [192.0.2.44] blocked using zen.spamhaus.org";
    let report = dsn(
        "1",
        &[
            ("dead@example.net", "5.1.1", "550 5.1.1 there is nobody of that name here"),
            ("bert@example.net", "5.2.2", full),
            ("carl@example.net", "5.7.1", blocked),
        ],
    );
    assert_eq!(daemon.connect().send(&report).unwrap().code, 250);
    let asked = ["dead@example.net", "bert@example.net", "carl@example.net", "ada@example.net"];
    let ask = |addresses: &[&str]| {
        let answer = daemon.api().post("/v1/suppressions/check", &json!({ "addresses": addresses })).json();
        answer["results"].as_array().unwrap().clone()
    };
    let answers = ask(&asked);
    let mut told = home.command(&["suppressions", "check", "--json"]);
    let told = told.args(asked).output().unwrap();
    assert_eq!(answers, crate::common::json_lines(&told.stdout), "field for field");
    let summary = |at: usize| answers[at]["summary"].as_str().unwrap();
    let day = &answers[0]["entry"]["changed_at"].as_str().unwrap()[..10];
    assert!(
        summary(0).starts_with(&format!(
            "suppressed; mx.example.net said on {day}: \"550 5.1.1 there is nobody of that name here\"; \
             do not mail it before "
        )),
        "who said what, when, and what to do: {}",
        summary(0)
    );
    assert_eq!(
        summary(1),
        format!("ok; 1 of 5 days with a full mailbox; mx.example.net said on {day}: \"{full}\"")
    );
    assert_eq!(answers[1]["counted"], json!([{ "kind": "mailbox_full", "days": 1, "of": 5 }]));
    assert_eq!(
        summary(2),
        format!(
            "ok; mail to it fails, and the address is not at fault: mx.example.net said on {day}: \"{blocked}\" \
             (your IP 192.0.2.44); have the block lifted"
        )
    );
    assert_eq!(answers[2]["last_failure"]["class"], "sender_blocked");
    assert_eq!(summary(3), "ok");
    let invalid = &ask(&["nobody"])[0];
    assert!(
        invalid["summary"].as_str().unwrap().starts_with("no address that mail can be sent to: "),
        "{invalid}"
    );

    // A large question has the sentences, and not whole reports.
    let mut many = vec!["ada@example.net"; 600];
    many.push("carl@example.net");
    let last = ask(&many).pop().unwrap();
    assert_eq!((&last["summary"], &last["last_failure"]), (&answers[2]["summary"], &Value::Null));
}
