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
