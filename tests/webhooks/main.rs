//! Webhooks as their receivers see them: the real program, and receivers that refuse, hang, or are not there.

mod api;
#[path = "../common/mod.rs"]
mod common;
mod receiver;

use std::collections::{HashMap, HashSet};
use std::net::TcpListener;
use std::process::Command;
use std::time::Instant;

use common::{Daemon, Home, dsn, hard_bounce, say, wait_for};
use receiver::{Manner, Taken, WebhookReceiver};
use serde_json::Value;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A program with webhooks in its configuration.
struct Scene {
    home: Home,
    config: String,
}

impl Scene {
    fn new() -> Self {
        Self { home: Home::new(), config: String::new() }
    }

    /// Nobody is believed who cannot prove what they report.
    fn believing_proof_alone() -> Self {
        Self { home: Home::new().with("RETURN_PATH_TRUST_UNSIGNED", "false"), config: String::new() }
    }

    fn with_webhook(mut self, name: &str, url: &str, more: &str) -> Self {
        self.config += &format!(
            "[[webhook]]\nname = \"{name}\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\ntimeout = 2\n{more}\n"
        );
        self.home.file("dsnd.toml", self.config.as_bytes());
        self
    }

    fn start(&self) -> Daemon {
        Daemon::start(self.home.command(&["serve", "--config", "dsnd.toml"]))
    }

    fn run(&self, arguments: &[&str]) -> (bool, Vec<Value>) {
        let output = self.home.run(&[arguments, &["--json", "--config", "dsnd.toml"]].concat());
        (output.status.success(), common::json_lines(&output.stdout))
    }

    /// The only webhook that is known.
    fn webhook(&self) -> Value {
        let (_, webhooks) = self.run(&["events", "webhooks"]);
        assert_eq!(webhooks.len(), 1);
        webhooks[0].clone()
    }
}

/// Sends bounces about addresses, each in a message of its own.
fn bounces(daemon: &Daemon, ids: &str, addresses: &[&str]) {
    let mut client = daemon.connect();
    for (number, address) in addresses.iter().enumerate() {
        let reply = client.send(&hard_bounce(&format!("{ids}-{number}"), address)).expect("a reply");
        assert_eq!(reply.code, 250, "{reply:?}");
    }
}

/// Three messages of a thousand reports each about one address.
fn flood(daemon: &Daemon, address: &str) {
    let mut client = daemon.connect();
    for number in 0..3 {
        let texts: Vec<String> = (0..1_000).map(|line| format!("550 5.1.1 no such user {line}")).collect();
        let reports: Vec<_> = texts.iter().map(|text| (address, "5.1.1", text.as_str())).collect();
        let reply = client.send(&dsn(&format!("flood-{number}"), &reports)).expect("a reply");
        assert_eq!(reply.code, 250, "{reply:?}");
    }
}

/// Every event up to this one was taken, each address has its order, and an event has one id.
fn check(receiver: &WebhookReceiver, last: i64) {
    let (mut ids, mut known, mut newest) = (HashMap::new(), HashSet::new(), HashMap::new());
    for came in receiver.came() {
        assert_eq!(ids.entry(came.event()).or_insert_with(|| came.id().to_owned()), came.id());
        if came.was_taken() && known.insert(came.event()) {
            let before = newest.insert(came.address(), came.event()).unwrap_or(0);
            assert!(before < came.event(), "{} came after {before}", came.event());
        }
    }
    assert!((1..=last).all(|event| known.contains(&event)), "{known:?}");
    assert_eq!(ids.values().collect::<HashSet<_>>().len(), ids.len(), "no two events have one id");
}

fn until_taken(receiver: &WebhookReceiver, last: i64) {
    wait_for("the events", || {
        let taken: HashSet<i64> = receiver.taken().iter().map(Taken::event).collect();
        (1..=last).all(|event| taken.contains(&event)).then_some(())
    });
}

#[test]
fn a_bounce_is_told_signed_and_the_code_in_the_readme_verifies_it() {
    let receiver = WebhookReceiver::start(|_, _| Manner::Answer(204));
    let scene = Scene::new().with_webhook("crm", &receiver.url(), "");
    let daemon = scene.start();
    bounces(&daemon, "one", &["Dead@Example.org"]);
    until_taken(&receiver, 2);
    let [bounce, added] = &receiver.came()[..] else { panic!("two events") };
    assert_eq!(bounce.json()["type"], "bounce.recorded");
    assert_eq!(bounce.json()["data"]["class"], "recipient_unknown");
    assert_eq!(added.json()["type"], "suppression.added");
    assert_eq!(added.json()["data"]["change"]["origin"], "bounce");
    assert_eq!(bounce.headers["content-type"], "application/json");
    let (_, listed) = scene.run(&["events", "list"]);
    assert_eq!(listed, [bounce.json(), added.json()], "the command line shows the same");
    daemon.stop();

    if Command::new("python3").arg("--version").output().is_err() {
        say("webhooks: no python3 here; the code that verifies is not run");
        return;
    }
    let verifies = |body: &[u8], secret: &str| {
        let code = format!(
            "import sys; sys.path.insert(0, {:?})\nfrom verify_webhook import verify\n\
             verify({secret:?}, {:?}, open('body', 'rb').read())",
            concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples"),
            bounce.headers,
        );
        // A map in Rust's words is a dict in Python's.
        scene.home.file("body", body);
        let mut python = scene.home.wrapped(&["python3"], &["-B", "-c", &code]);
        python.output().expect("python3 runs").status.success()
    };
    assert!(verifies(&bounce.body, SECRET));
    assert!(!verifies(&[&bounce.body[..], b" "].concat(), SECRET));
    assert!(!verifies(&bounce.body, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
}

#[test]
fn killed_between_commit_and_delivery_it_tells_everything_when_it_is_back() {
    // A port where nobody is.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let scene = Scene::new().with_webhook("crm", &format!("http://{address}/hook?key=value"), "");
    let daemon = scene.start();
    let addresses: Vec<String> = (0..20).map(|number| format!("{}@example.org", number % 12)).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    bounces(&daemon, "before", &addresses);
    wait_for("a try in vain", || scene.webhook()["error"].as_str().map(|error| error.contains("refused")));
    daemon.kill();

    let receiver = WebhookReceiver::listen(TcpListener::bind(address).expect("the same port"), |_, _| {
        Manner::Answer(200)
    });
    let daemon = scene.start();
    bounces(&daemon, "after", &["late@example.org"]);
    // Killed again while it delivers: what is not noted yet comes twice, with the id that it had.
    wait_for("the first events", || (receiver.taken().len() >= 5).then_some(()));
    daemon.kill();
    let daemon = scene.start();
    until_taken(&receiver, 34);
    check(&receiver, 34);
    wait_for("its place to be noted", || (scene.webhook()["through"] == 34).then_some(()));
    daemon.stop();
    assert_eq!((&scene.webhook()["waiting"], &scene.webhook()["error"]), (&0.into(), &Value::Null));
}

#[test]
fn whatever_a_receiver_does_every_event_arrives_in_the_order_of_its_address() {
    let receiver = WebhookReceiver::start(|taken, before| match (taken.event() % 7, before) {
        (0, 0..2) => Manner::Answer(500),
        (1, 0) => Manner::Later(1),
        (2, 0) => Manner::Drip,
        (3, 0) => Manner::Reset,
        (4, 0) => Manner::Redirect,
        (5, _) => Manner::Endless,
        _ => Manner::Answer(202),
    });
    let scene = Scene::new().with_webhook("crm", &receiver.url(), "concurrency = 4");
    let daemon = scene.start();
    bounces(
        &daemon,
        "rude",
        &[
            "a@example.org",
            "b@example.org",
            "a@example.org",
            "c@example.org",
            "d@example.org",
            "b@example.org",
            "e@example.org",
        ],
    );
    until_taken(&receiver, 12);
    check(&receiver, 12);
    assert!(receiver.came().iter().any(|came| came.manner == Manner::Drip));
    assert!(receiver.came().iter().any(|came| came.manner == Manner::Redirect));
    daemon.stop();
}

#[test]
fn a_webhook_is_added_by_a_reload_begins_there_and_gets_the_rest_when_asked() {
    let first = WebhookReceiver::start(|_, _| Manner::Answer(200));
    let second = WebhookReceiver::start(|_, _| Manner::Answer(200));
    let scene = Scene::new().with_webhook("first", &first.url(), "");
    let daemon = scene.start();
    bounces(&daemon, "before", &["a@example.org"]);
    until_taken(&first, 2);
    let only = "events = [\"suppression.added\"]";
    let scene = scene.with_webhook("second", &second.url(), only);
    assert!(Command::new("kill").args(["-HUP", &daemon.pid().to_string()]).status().expect("kill").success());
    wait_for("the reload", || daemon.log().contains("were read again").then_some(()));
    bounces(&daemon, "after", &["b@example.org"]);
    until_taken(&first, 4);
    wait_for("the new one", || (!second.taken().is_empty()).then_some(()));
    let numbers = |receiver: &WebhookReceiver| receiver.taken().iter().map(Taken::event).collect::<Vec<_>>();
    assert_eq!(numbers(&second), [4], "what it wants, from when it was there");

    let replay = ["events", "replay", "--endpoint", "second", "--since", "1h"];
    let (done, counted) = scene.run(&[&replay[..], &["--dry-run"]].concat());
    assert_eq!((done, &counted[0]["events"], &counted[0]["dry_run"]), (true, &2.into(), &true.into()));
    assert_eq!(numbers(&second), [4], "it was only counted");
    let unasked = scene.home.run(&[&replay[..], &["--config", "dsnd.toml"]].concat());
    let said = String::from_utf8_lossy(&unasked.stderr).into_owned();
    assert_eq!(unasked.status.code(), Some(2));
    assert!(said.contains("Bring 2 events to second again: --yes is needed"), "{said}");
    assert_eq!(numbers(&second), [4], "nobody said yes");
    let (done, brought) = scene.run(&[&replay[..], &["--yes"]].concat());
    assert_eq!((done, &brought[0]["events"]), (true, &2.into()), "those that it wants: {brought:?}");
    wait_for("what was before", || numbers(&second).contains(&2).then_some(()));
    wait_for("the whole replay", || (numbers(&second).len() == 3).then_some(()));
    let mut again = numbers(&second)[1..].to_vec();
    again.sort_unstable(); // they are about two addresses, which do not wait for each other
    assert_eq!(again, [2, 4]);
    assert_eq!(numbers(&first).len(), 4, "nobody asked for those");
    let (done, _) = scene.run(&["events", "replay", "--endpoint", "first", "--id", "1", "--yes"]);
    assert!(done);
    wait_for("the event once more", || (numbers(&first).len() == 5).then_some(()));
    let (done, _) = scene.run(&["events", "replay", "--dead"]);
    assert!(!done, "nothing was given up");
    let output = scene.home.run(&["events", "replay", "--id", "99", "--config", "dsnd.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "dsnd: there is no event 99\n");
    let output =
        scene.home.run(&["events", "replay", "--endpoint", "third", "--dead", "--config", "dsnd.toml"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said, "dsnd: \"third\" is no webhook; there are first, second\n");
    daemon.stop();
}

#[test]
fn consumers_of_ses_get_what_they_know() {
    let receiver = WebhookReceiver::start(|_, _| Manner::Answer(200));
    let scene = Scene::new().with_webhook("ses", &receiver.url(), "format = \"ses\"");
    let daemon = scene.start();
    bounces(&daemon, "ses", &["dead@example.org"]);
    wait_for("the notification", || (!receiver.came().is_empty()).then_some(()));
    let told = receiver.came()[0].json();
    assert_eq!(told["notificationType"], "Bounce");
    assert_eq!(told["bounce"]["bounceType"], "Permanent");
    assert_eq!(told["bounce"]["bouncedRecipients"][0]["emailAddress"], "dead@example.org");
    assert_eq!(told["mail"]["destination"][0], "dead@example.org");
    daemon.stop();
    assert_eq!(receiver.came().len(), 1, "SES knows nothing of entries of a list");
}

#[test]
fn what_was_given_up_is_shown_kept_and_brought_when_somebody_asks() {
    let receiver = WebhookReceiver::start(|_, _| Manner::Answer(200));
    let scene = Scene::new().with_webhook("crm", &receiver.url(), "");
    let daemon = scene.start();
    bounces(&daemon, "x", &["dead@example.org"]);
    until_taken(&receiver, 2);
    wait_for("its place to be noted", || (scene.webhook()["through"] == 2).then_some(()));
    daemon.stop();
    // A day in vain, as the database has it afterwards.
    common::Database::write(&scene.home.database()).run(
        "INSERT INTO webhook_deliveries (webhook, event, state, attempts, failed_at, dead_at, error)
         VALUES ('crm', 2, 'dead', 36, '2026-11-20T10:00:00Z', '2026-11-21T10:00:00Z', '500 Internal Server Error')",
    );
    let (_, dead) = scene.run(&["events", "dead"]);
    assert_eq!(dead.len(), 1);
    assert_eq!((&dead[0]["event"], &dead[0]["type"]), (&2.into(), &"suppression.added".into()));
    assert_eq!((&dead[0]["webhook"], &dead[0]["attempts"]), (&"crm".into(), &36.into()));
    assert_eq!(dead[0]["address"], "dead@example.org");
    assert_eq!(scene.webhook()["dead"], 1);
    let (done, brought) = scene.run(&["events", "replay", "--dead", "--yes"]);
    assert_eq!((done, &brought[0]["events"]), (true, &1.into()));
    let daemon = scene.start();
    wait_for("the event", || (receiver.taken().len() == 3).then_some(()));
    assert_eq!(receiver.taken()[2].id(), receiver.taken()[1].id());
    wait_for("its place to be noted", || (scene.webhook()["waiting"] == 0).then_some(()));
    daemon.stop();
    assert_eq!(scene.run(&["events", "dead"]).1, [Value::Null; 0]);
}

#[test]
fn much_about_one_address_holds_up_no_other() {
    let receiver = WebhookReceiver::start(|taken, _| match taken.address().as_str() {
        "flood@example.org" => Manner::Slow,
        _ => Manner::Answer(204),
    });
    // Whoever asks for unproven reports gets them, too.
    let scene = Scene::new().with_webhook("crm", &receiver.url(), "unproven = true");
    let daemon = scene.start();
    flood(&daemon, "flood@example.org");
    let began = Instant::now();
    bounces(&daemon, "honest", &["honest@example.org"]);
    wait_for("the honest one", || {
        receiver.came().iter().any(|came| came.address() == "honest@example.org").then_some(())
    });
    say(&format!(
        "webhooks: behind 3,000 events about one address, another comes after {:?}",
        began.elapsed()
    ));
    assert!(receiver.came().len() < 2_000, "{} came before it", receiver.came().len());
    receiver.release();
    let last = scene.run(&["events", "list", "--limit", "1"]).1[0]["id"].as_i64().expect("a number");
    until_taken(&receiver, last);
    check(&receiver, last);
    daemon.stop();
}

#[test]
fn what_nothing_proves_is_brought_to_those_who_ask_for_it_and_holds_up_nothing() {
    let plain = WebhookReceiver::start(|_, _| Manner::Answer(204));
    let curious = WebhookReceiver::start(|_, _| Manner::Slow);
    let scene = Scene::believing_proof_alone().with_webhook("plain", &plain.url(), "").with_webhook(
        "curious",
        &curious.url(),
        "unproven = true",
    );
    let daemon = scene.start();
    flood(&daemon, "flood@example.org");
    bounces(&daemon, "unsigned", &["a@example.org"]);
    scene.home.run(&["suppressions", "add", "hand@example.org", "--config", "dsnd.toml"]);
    for receiver in [&plain, &curious] {
        wait_for("the entry", || {
            receiver.came().iter().any(|came| came.address() == "hand@example.org").then_some(())
        });
    }
    assert!(curious.came().len() < 2_000, "{} came before it", curious.came().len());
    assert_eq!(plain.came().len(), 1, "the rest proves nothing");
    curious.release();
    wait_for("the unproven ones", || {
        curious.came().iter().any(|came| came.address() == "a@example.org").then_some(())
    });
    daemon.stop();
}

#[test]
fn one_address_that_is_refused_costs_the_others_nothing_and_the_log_tells_of_it_once() {
    let receiver = WebhookReceiver::start(|taken, _| {
        if taken.address().starts_with("odd") { Manner::Answer(422) } else { Manner::Answer(204) }
    });
    let scene = Scene::new().with_webhook("crm", &receiver.url(), "");
    let daemon = scene.start();
    let odd: Vec<String> = (0..8).map(|number| format!("odd{number}@example.org")).collect();
    bounces(&daemon, "odd", &odd.iter().map(String::as_str).collect::<Vec<_>>());
    wait_for("a second try of each", || (receiver.came().len() >= 16).then_some(()));
    for address in ["a@example.org", "b@example.org"] {
        bounces(&daemon, address, &[address]);
        wait_for("another address", || {
            receiver.taken().iter().any(|taken| taken.address() == address).then_some(())
        });
    }
    let log = daemon.stop();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("the webhook refused events")).collect();
    assert_eq!(told.len(), 1, "once a minute at most: {told:?}");
    assert!(told[0].contains("422"), "{told:?}");
}
