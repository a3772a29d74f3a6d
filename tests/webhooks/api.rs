//! `/v1/webhooks` and what the command line has of it: how they stand, a test event, what was given up, once more.

use serde_json::{Value, json};

use super::receiver::{Manner, WebhookReceiver};
use super::{Scene, bounces, until_taken};
use crate::common::wait_for;

fn token(scene: &Scene) -> String {
    let create = ["tokens", "create", "--name", "test", "--scope", "write", "--config", "dsnd.toml"];
    let made = scene.home.run(&create).stdout;
    String::from_utf8(made).expect("UTF-8").trim().to_owned()
}

#[test]
fn a_test_event_says_whether_a_webhook_answers() {
    let receiver = WebhookReceiver::start(|taken, _| match taken.json()["type"].as_str() {
        Some("webhook.test") => Manner::Answer(204),
        _ => Manner::Answer(500),
    });
    let angry = WebhookReceiver::start(|_, _| Manner::Answer(500));
    let scene = Scene::new().with_webhook("crm", &receiver.url(), "").with_webhook("angry", &angry.url(), "");
    let daemon = scene.start();
    let http = daemon.http().token(&token(&scene));
    let tested = http.post("/v1/webhooks/crm/test", &json!({})).json();
    assert_eq!((&tested["taken"], &tested["error"]), (&true.into(), &Value::Null));
    let tested = http.post("/v1/webhooks/angry/test", &json!({})).json();
    assert_eq!((&tested["taken"], &tested["error"]), (&false.into(), &"500 Internal Server Error".into()));
    let (done, tested) = scene.run(&["events", "test", "--endpoint", "crm"]);
    assert_eq!((done, &tested[0]["taken"]), (true, &true.into()));
    let (done, tested) = scene.run(&["events", "test", "--endpoint", "angry"]);
    assert_eq!((done, &tested[0]["error"]), (false, &"500 Internal Server Error".into()));
    assert_eq!((receiver.came().len(), angry.came().len()), (2, 2));
    assert_ne!(receiver.came()[0].id(), receiver.came()[1].id());
    let (done, _) = scene.run(&["events", "test"]);
    assert!(!done, "which one?");
    http.post("/v1/webhooks/other/test", &json!({})).problem(404);
    daemon.stop();
    assert!(scene.run(&["events", "list"]).1.is_empty(), "it is no event of the list");
}

#[test]
fn how_webhooks_stand_and_what_they_get_again() {
    let receiver = WebhookReceiver::start(|_, _| Manner::Answer(204));
    let scene = Scene::new().with_webhook("crm", &receiver.url(), "unproven = true");
    let daemon = scene.start();
    let token = token(&scene);
    let http = daemon.http().token(&token);
    bounces(&daemon, "x", &["a@example.org", "b@example.org"]);
    until_taken(&receiver, 4);
    let stands = wait_for("its place to be noted", || {
        Some(http.get("/v1/webhooks/crm").json()).filter(|webhook| webhook["delivery"]["through"] == 4)
    });
    assert_eq!(
        (&stands["name"], &stands["state"], &stands["host"]),
        (&"crm".into(), &"enabled".into(), &"127.0.0.1".into())
    );
    assert_eq!((&stands["delivery"]["dead"], &stands["unproven"]["dead"]), (&0.into(), &0.into()));
    let listed = http.get("/v1/webhooks").json();
    assert_eq!(listed["webhooks"].as_array().map(Vec::len), Some(1));
    daemon.stop();
    // A day of refusals, as the database has it afterwards.
    crate::common::Database::write(&scene.home.database()).run(
        "INSERT INTO webhook_deliveries (webhook, event, state, attempts, failed_at, dead_at, error)
         SELECT 'crm', id, 'dead', 36, '2026-11-20T10:00:00Z', '2026-11-21T10:00:00Z', '500 X' FROM outbox WHERE id < 4",
    );
    let daemon = scene.start();
    let http = daemon.http().token(&token);
    let page = http.get("/v1/webhooks/crm/dead-letters?limit=2").json();
    let event = |page: &Value, index: usize| page["dead_letters"][index]["event"].clone();
    assert_eq!((event(&page, 0), event(&page, 1), event(&page, 2)), (1.into(), 2.into(), Value::Null));
    assert_eq!(
        (&page["dead_letters"][0]["address"], &page["dead_letters"][0]["attempts"]),
        (&"a@example.org".into(), &36.into())
    );
    let cursor = page["next"].as_str().expect("there is more");
    let rest = http.get(&format!("/v1/webhooks/crm/dead-letters?limit=2&cursor={cursor}")).json();
    assert_eq!((event(&rest, 0), &rest["next"]), (3.into(), &Value::Null));

    let replay = |body: Value| http.post("/v1/webhooks/crm/replay", &body);
    for (body, events) in [(json!({"dead": true}), 3), (json!({"since": "1h"}), 4), (json!({"event": 4}), 1)]
    {
        let mut counted = body.clone();
        counted["dry_run"] = true.into();
        assert_eq!(replay(counted).json(), json!({"events": events, "dry_run": true}), "{body}");
    }
    assert_eq!(receiver.came().len(), 4, "they were only counted");
    assert_eq!(replay(json!({"dead": true})).json(), json!({"events": 3, "dry_run": false}));
    wait_for("the dead ones", || (receiver.came().len() == 7).then_some(()));
    assert_eq!(replay(json!({"event": 4})).json()["events"], 1);
    wait_for("one more", || (receiver.came().len() == 8).then_some(()));
    replay(json!({"event": 99})).problem(404);
    for wrong in [json!({}), json!({"dead": true, "event": 1}), json!({"dry_run": true})] {
        replay(wrong).problem(422);
    }
    http.get("/v1/webhooks/other").problem(404);
    http.get("/v1/webhooks/other/dead-letters").problem(404);
    daemon.stop();
}
