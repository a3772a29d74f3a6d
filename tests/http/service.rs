//! What every request meets, whatever it asks for.

use crate::common::Home;

#[test]
fn it_is_alive_and_ready_and_describes_itself() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.http();
    assert_eq!((http.get("/healthz").status, http.get("/healthz").text()), (200, "ok\n".to_owned()));
    assert_eq!((http.get("/readyz").status, http.get("/readyz").text()), (200, "ready\n".to_owned()));
    let described = http.get("/openapi.json");
    assert_eq!((described.status, described.header("content-type")), (200, "application/json"));
    let described = described.json();
    assert!(described["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{described}");
    assert!(described["paths"]["/v1/status-codes/{code}"]["get"].is_object(), "{described}");
    daemon.stop();
}

#[test]
fn every_error_is_a_problem() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.http();
    assert!(http.get("/nowhere").problem(404).contains("/openapi.json"));
    assert!(http.delete("/healthz").problem(405).contains("DELETE"));
    assert_eq!(http.delete("/healthz").header("allow"), "GET,HEAD");
    assert!(http.get("/v1/status-codes/5.4.1?lang=fr").problem(400).contains("lang"));
    assert!(http.get("/v1/status-codes/%ff").problem(400).contains("UTF-8"));
    assert!(http.get("/v1/status-codes/hello").problem(404).contains("5.4.1"));
    assert!(http.with("Host", "evil.example").get("/healthz").problem(421).contains("http.hosts"));
    assert_eq!(http.with("Host", "localhost:1").get("/healthz").status, 200);
}

#[test]
fn a_status_code_is_explained_as_on_the_command_line() {
    let home = Home::new();
    let daemon = home.start();
    let answer = daemon.http().get("/v1/status-codes/5.4.1?lang=de");
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.json(), home.json(&["status", "5.4.1", "--lang", "de", "--json"])[0]);
    assert_eq!(daemon.http().get("/v1/status-codes/550").json(), home.json(&["status", "550", "--json"])[0]);
}

#[test]
fn what_cannot_be_read_is_told_in_the_words_of_the_api() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    let put = |body: &str| {
        http.with("Content-Type", "application/json").send(
            "PUT",
            "/v1/suppressions/a%40b.example",
            body.as_bytes(),
        )
    };
    let check = |body: &str| {
        http.with("Content-Type", "application/json").send("POST", "/v1/suppressions/check", body.as_bytes())
    };
    let answers = [
        (put("{"), 400, "ends before its JSON does"),
        (put("{\"note\": nonsense}"), 400, "line 1, column"),
        (put("[]"), 422, "JSON object"),
        (put("{\"note\": [1]}"), 422, "#/note: a list is not a text"),
        (put("{\"nota\": \"x\"}"), 422, "did you mean \"note\"?"),
        (put("{\"note\": \"x\", \"note\": \"y\"}"), 422, "is there twice"),
        (check("{}"), 422, "#/addresses: this is missing"),
        (check("{\"addresses\": \"a@b.example\"}"), 422, "is not a list"),
        (check("{\"addresses\": [1, null], \"stream\": 7}"), 422, "2 more, see errors"),
        (
            http.get("/v1/suppressions?limit=x&since=soon&reason=hrad"),
            400,
            "limit: \"x\" is not a whole number",
        ),
        (http.get("/v1/suppressions?reason=hrad"), 400, "did you mean \"hard\"?"),
        (http.get("/v1/suppressions?active=yes"), 400, "true or false"),
        (http.get("/v1/bounces?limit=1&limit=2"), 400, "stands twice"),
        (http.get("/v1/bounces/seven"), 400, "\"seven\" in the path is not a whole number"),
        (http.get("/v1/events?wait=-1"), 400, "wait: this must be 0 to 60"),
    ];
    for (answer, status, words) in answers {
        let told = answer.problem(status);
        assert!(told.contains(words), "{words:?}: {told}");
        let text = answer.text();
        for foreign in ["deserialize", "serde", "expected", "invalid type", "i64", "u32", "struct", "variant"]
        {
            assert!(!text.contains(foreign), "{foreign}: {text}");
        }
    }
}
