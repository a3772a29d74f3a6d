//! What came in, what a message means, and return paths, over HTTP.

use serde_json::{Value, json};

use crate::common::{Home, hard_bounce};

#[test]
fn what_came_in_is_listed_shown_and_handed_out_as_it_was() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api();
    let message = hard_bounce("1", "dead@example.net");
    let mut client = daemon.connect();
    assert_eq!(client.send(&message).unwrap().code, 250);
    let id = 1; // the first of a new database
    for number in 2..6 {
        client.send(&hard_bounce(&number.to_string(), &format!("u{number}@example.net"))).unwrap();
    }
    let shown = http.get(&format!("/v1/bounces/{id}"));
    assert_eq!(
        (shown.status, shown.json()),
        (200, home.json(&["bounces", "show", &id.to_string(), "--json"]).remove(0))
    );
    let raw = http.get(&format!("/v1/bounces/{id}/raw"));
    assert_eq!((raw.status, raw.header("content-type")), (200, "application/octet-stream"));
    assert!(raw.header("content-disposition").starts_with("attachment"), "{raw:?}");
    assert!(raw.body.ends_with(&message), "behind our Received field: {}", raw.text());
    let page = http.get("/v1/bounces?limit=3&class=recipient_unknown").json();
    let ids = |page: &Value| {
        page["bounces"].as_array().unwrap().iter().map(|bounce| bounce["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&page).len(), 3);
    let rest = http.get(&format!("/v1/bounces?limit=3&cursor={}", page["next"].as_str().unwrap())).json();
    assert_eq!((ids(&rest).len(), &rest["next"]), (2, &Value::Null));
    assert_eq!(ids(&http.get("/v1/bounces?recipient=DEAD%40example.net").json()), [id]);
    http.get("/v1/bounces/999").problem(404);
    http.get("/v1/bounces/999/raw").problem(404);
    for odd in ["0x1", "99999999999999999999", "1.5", "-"] {
        http.get(&format!("/v1/bounces/{odd}")).problem(400);
    }
    http.get("/v1/bounces/-9223372036854775808").problem(404);
    http.get("/v1/bounces?class=nonsense").problem(400);
}

#[test]
fn a_message_is_explained_as_on_the_command_line_and_not_recorded() {
    let home = Home::new();
    let daemon = home.start();
    let http = daemon.api().with("Content-Type", "message/rfc822");
    let message = hard_bounce("1", "dead@example.net");
    let file = home.file("-", &message);
    let said = home.json(&["explain", "--json", file.to_str().unwrap()]).remove(0);
    let mut answered = http.send("POST", "/v1/explain", &message);
    assert_eq!(answered.status, 200, "{answered:?}");
    let mut explained = answered.json();
    explained["source"] = said["source"].clone();
    assert_eq!(explained, said);
    answered = http.send("POST", "/v1/explain?return_path=b-x%40bounces.example.com", &message);
    assert_eq!(answered.json()["recipients"][0]["trust"], "unsigned");
    assert!(
        http.send("POST", "/v1/explain?return_path=a%40elsewhere.example", &message)
            .problem(422)
            .contains("refused")
    );
    assert!(http.send("POST", "/v1/explain?return_path=nobody", &message).problem(400).contains("nobody"));
    daemon.api().with("Content-Type", "text/plain").send("POST", "/v1/explain", &message).problem(415);
    assert_eq!(home.json(&["bounces", "list", "--json"]).len(), 0);
}

#[test]
fn a_message_to_explain_may_be_as_large_as_one_over_smtp() {
    let home = Home::new().with("SMTP_MAX_MESSAGE_SIZE", "65536");
    let daemon = home.start();
    let http = daemon.api().with("Content-Type", "message/rfc822");
    assert_eq!(http.send("POST", "/v1/explain", &vec![b'x'; 65_536]).status, 200);
    http.send("POST", "/v1/explain", &vec![b'x'; 65_537]).problem(413);
}

#[test]
fn return_paths_are_made_where_there_is_a_key() {
    let home = Home::new();
    let daemon = home.start();
    let asked = json!({ "recipients": ["ada@example.org"] });
    assert!(daemon.api().post("/v1/return-paths", &asked).problem(409).contains("keygen"));
    daemon.stop();
    let home = Home::new();
    let keys = home.path().join("keys");
    assert!(home.run(&["return-path", "keygen", "--output", keys.to_str().unwrap()]).status.success());
    let home = home.with("RETURN_PATH_KEYS_FILE", keys.to_str().unwrap());
    let daemon = home.start();
    let http = daemon.api();
    let recipients: Vec<String> = (0..1_000).map(|number| format!("u{number}@example.org")).collect();
    let minted = http
        .post("/v1/return-paths", &json!({ "recipients": recipients, "stream": "5", "readable": true }))
        .json();
    let minted = minted["return_paths"].as_array().unwrap();
    assert_eq!(minted.len(), 1_000);
    let (first, recipient) =
        (minted[7]["return_path"].as_str().unwrap(), minted[7]["recipient"].as_str().unwrap());
    assert_eq!((recipient, &minted[7]["stream"]), ("u7@example.org", &json!(5)));
    let verified = home.run(&["return-path", "verify", first, "--recipient", recipient]);
    assert!(verified.status.success(), "{verified:?}");
    let wrong = http.post("/v1/return-paths", &json!({ "recipients": ["fine@example.org", "nobody"] }));
    wrong.problem(422);
    assert_eq!(wrong.json()["errors"][0]["place"], "#/recipients/1");
    http.post("/v1/return-paths", &json!({ "recipients": [] })).problem(422);
    assert!(
        http.post("/v1/return-paths", &json!({ "recipients": ["a@example.org"], "domain": "x.example" }))
            .problem(422)
            .contains("bounces.example.com")
    );
}
