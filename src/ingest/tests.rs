//! What makes a delivery count, and that no way of delivering one report makes it count twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::address::{ForwardPath, ReversePath};
use crate::returnpath::{Keys, Prefix, Token};
use crate::smtp::{EnvelopeRecipient, Peer, Protocol, RecipientVerdict, Sink};
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{BounceFilter, QuarantineFilter, Settings, Settling, Verdict, Vitals};

const NOBODY: &str =
    "From: MAILER-DAEMON@mx.example\nSubject: failure notice\n\nThere is no such user here.\n";

struct World {
    store: Arc<SqliteStore>,
    believing: Ingest<SqliteStore>,
    doubting: Ingest<SqliteStore>,
    keys: Keys,
    _folder: TempDir,
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

impl World {
    async fn new() -> Self {
        Self::with(Quotas::default()).await
    }

    async fn with(quotas: Quotas) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("dsnd.db");
        let store = SqliteStore::open(&path, Access::Serve, Settings::default(), Duration::from_secs(5))
            .await
            .unwrap();
        let store = Arc::new(store);
        let classifier = Arc::new(Classifier::embedded().unwrap());
        let keys = Keys::parse("1 000102030405060708090a0b0c0d0e0f").unwrap();
        let ingest = |generally| {
            let settings = IngestSettings {
                return_paths: ReturnPaths::new(&["b.example".to_owned()], vec!["bounces+*".parse().unwrap()])
                    .with_tokens(keys.clone(), Prefix::default(), 14),
                unsigned_trust: UnsignedTrust { generally, ..UnsignedTrust::default() },
                max_recipients: 100,
                mask_addresses: false,
                max_waiting: 500,
                quotas,
                exempt: Vec::new(),
            };
            Ingest::new(Arc::clone(&store), Arc::clone(&classifier), settings)
        };
        Self { believing: ingest(true), doubting: ingest(false), store, keys, _folder: folder }
    }

    fn token(&self, recipient: &str, stream: u32, days_ago: i64, readable: bool) -> String {
        let at = now() - jiff::SignedDuration::from_hours(24 * days_ago);
        let mailbox = Mailbox::parse(recipient).unwrap();
        let token = Token::mint(self.keys.newest().unwrap(), recipient, stream, at).unwrap();
        let prefix = Prefix::default();
        if readable { prefix.readable(&token, &mailbox) } else { prefix.blind(&token) }
    }

    async fn take(&self, ingest: &Ingest<SqliteStore>, to: &[String], message: &str) -> Delivery {
        let recipient = |local: &String| EnvelopeRecipient {
            forward_path: ForwardPath::Mailbox(Mailbox::new(local, "b.example").unwrap()),
            original_recipient: None,
        };
        let envelope = Envelope {
            peer: Peer { connection: 1, address: SocketAddr::from(([192, 0, 2, 1], 25)).into() },
            protocol: Protocol::Esmtp,
            tls: None,
            helo: "mx.example".to_owned(),
            reverse_path: ReversePath::Null,
            envelope_id: None,
            recipients: to.iter().map(recipient).collect(),
            bare_newlines: false,
        };
        ingest.take_at(envelope, message.as_bytes().to_vec(), now()).await.unwrap()
    }

    /// (recipient, trust, change) of every event, in the order in which they came.
    async fn events(&self) -> Vec<(String, String, String)> {
        let filter = BounceFilter { limit: 1_000, ..BounceFilter::default() };
        let mut bounces = self.store.bounces(&filter).await.unwrap().items;
        bounces.reverse();
        let events = bounces.into_iter().flat_map(|bounce| bounce.recipients);
        events.map(|event| (event.recipient, event.trust, event.change)).collect()
    }

    async fn approve_all(&self) {
        let filter = QuarantineFilter { limit: 1_000, ..QuarantineFilter::default() };
        let events = self.store.quarantined(&filter).await.unwrap().items;
        let settling = Settling {
            events: events.iter().map(|event| event.event).collect(),
            verdict: Verdict::Approve,
            by: "anna".to_owned(),
            at: now(),
            dry_run: false,
        };
        self.store.settle(settling).await.unwrap();
    }
}

fn event(recipient: &str, trust: &str, change: &str) -> (String, String, String) {
    (recipient.to_owned(), trust.to_owned(), change.to_owned())
}

fn names(recipients: &[&str]) -> String {
    let group =
        |recipient| format!("Final-Recipient: rfc822; {recipient}\nAction: failed\nStatus: 5.1.1\n\n");
    let groups: String = recipients.iter().map(group).collect();
    format!(
        "From: MAILER-DAEMON@mx.example\nDate: Sat, 21 Nov 2026 10:00:00 +0000\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\
         Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n{groups}--b--\n"
    )
}

#[tokio::test]
async fn a_report_that_waited_counts_when_it_comes_to_its_token() {
    let world = World::new().await;
    let (report, doubting) = (names(&["a@x.example"]), &world.doubting);
    world.take(doubting, &["bounces+1".to_owned()], &report).await;
    world.take(doubting, &[world.token("a@x.example", 7, 0, false)], &report).await;
    // Another token of the same recipient says nothing new; one of another stream changes nothing.
    let again = world.take(doubting, &[world.token("a@x.example", 7, 3, true)], &report).await;
    assert!(matches!(again, Delivery::Committed { duplicate: true, .. }), "{again:?}");
    world.take(doubting, &[world.token("a@x.example", 8, 0, false)], &report).await;
    world.take(&world.believing, &["bounces+1".to_owned()], &report).await;
    let changes = [
        event("a@x.example", "unsigned", "none"),
        event("a@x.example", "proven", "suppressed"),
        event("a@x.example", "proven", "none"),
        event("a@x.example", "unsigned", "none"),
    ];
    assert_eq!(world.events().await, changes, "what changes nothing is recorded all the same");
    let repeated = world.store.bounce(3).await.unwrap().unwrap();
    assert_eq!(repeated.recipients[0].repeats, Some(2), "with where the report stands that counts");
    let waited = world.store.bounce(1).await.unwrap().unwrap();
    assert_eq!(waited.recipients[0].repeats, Some(2));
    let waiting = QuarantineFilter { limit: 9, ..QuarantineFilter::default() };
    assert!(world.store.quarantined(&waiting).await.unwrap().items.is_empty(), "and never waits again");
    let entry = world.store.suppression("a@x.example", None, now()).await.unwrap().unwrap();
    assert_eq!(entry.count, 1);
}

#[tokio::test]
async fn two_reports_in_the_same_vague_words_are_two_when_they_come_to_two_recipients() {
    let world = World::new().await;
    for recipient in ["a@x.example", "b@x.example", "a@x.example"] {
        world.take(&world.doubting, &[world.token(recipient, 7, 0, true)], NOBODY).await;
    }
    let changes =
        [event("a@x.example", "token_only", "suppressed"), event("b@x.example", "token_only", "suppressed")];
    assert_eq!(world.events().await, changes);
}

#[tokio::test]
async fn unsigned_verp_tells_two_reports_in_the_same_vague_words_apart() {
    let report = names(&["forward@y.example"]).replace("Date: Sat, 21 Nov 2026 10:00:00 +0000\n", "");
    let world = World::new().await;
    for to in ["bounces+a=x.example", "bounces+b=x.example", "bounces+a=x.example"] {
        world.take(&world.doubting, &[to.to_owned()], &report).await;
    }
    let waits = |recipient| event(recipient, "unsigned", "quarantined");
    assert_eq!(world.events().await, [waits("a@x.example"), waits("b@x.example")]);
    world.approve_all().await;
    // The proof of what was approved counts no second time.
    world.take(&world.doubting, &[world.token("b@x.example", 7, 0, true)], &report).await;
    for recipient in ["a@x.example", "b@x.example"] {
        let entry = world.store.suppression(recipient, None, now()).await.unwrap().expect(recipient);
        assert_eq!(entry.count, 1, "{recipient}");
    }
}

#[tokio::test]
async fn a_report_that_names_nobody_is_about_whom_its_token_was_minted_for() {
    let returned = "This is a copy of the message, including all the headers.\n\n------ This is a copy of the message ------\n\nFrom: us@b.example\nTo: a@x.example, c@x.example\nMessage-ID: <1@b.example>\nSubject: news\n\nHello\n";
    let broken = "From: MAILER-DAEMON@mx.example\nMIME-Version: 1.0\nContent-Type: multipart/report; \
        report-type=delivery-status; boundary=b\n\n--b\nContent-Type: text/plain\n\n550 5.1.1 user unknown\n--b\n\
        Content-Type: message/delivery-status\n\nXX\n\n--b\nContent-Type: text/rfc822-headers\n\n\
        From: us@b.example\nTo: a@x.example, c@x.example\nMessage-ID: <1@b.example>\n\n--b--\n";
    let complaint = "From: fbl@provider.example\nMIME-Version: 1.0\nContent-Type: multipart/report; \
        report-type=feedback-report; boundary=b\n\n--b\nContent-Type: text/plain\n\nA complaint.\n--b\n\
        Content-Type: message/feedback-report\n\nFeedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\n\
        Original-Rcpt-To: redacted@x.example\n\n--b\nContent-Type: message/rfc822\n\n\
        From: us@b.example\nTo: redacted@x.example\nMessage-ID: <1@b.example>\n\nHello\n\n--b--\n";
    let daemon =
        "From: daemon@mx.example\nSubject: Mail problem\n\nYour mail could not be delivered: user unknown.\n";
    let delay = "From: MAILER-DAEMON@mx.example\nSubject: Delayed mail\n\nUser unknown for now. We will continue to try.\n";
    let greeting = "From: daemon@mx.example\nSubject: Hello\n\nWelcome, new user.\n";
    let letter = "From: Bob <bob@x.example>\nSubject: Hello\n\nThe mail to my friend failed: user unknown.\n";
    let talk =
        "From: Bob <bob@x.example>\nSubject: Your message was not delivered\n\nUser unknown, he says.\n";
    let away = "From: bob@x.example\nSubject: Out of office\nAuto-Submitted: auto-replied\n\nUser unknown. Back soon.\n";
    for (what, message, readable, wanted) in [
        ("words", NOBODY, false, vec![event("", "token_only", "quarantined")]),
        ("words", NOBODY, true, vec![event("a@x.example", "token_only", "suppressed")]),
        ("a daemon's words", daemon, true, vec![event("a@x.example", "token_only", "suppressed")]),
        ("a delay", delay, true, vec![event("a@x.example", "token_only", "none")]),
        ("a daemon's greeting", greeting, true, vec![]),
        ("broken fields", broken, false, vec![event("a@x.example", "proven", "suppressed")]),
        ("a hidden complainer", complaint, true, vec![event("a@x.example", "token_only", "suppressed")]),
        ("an automatic reply", away, true, vec![event("a@x.example", "token_only", "none")]),
    ] {
        let world = World::new().await;
        world.take(&world.doubting, &[world.token("a@x.example", 7, 0, readable)], message).await;
        assert_eq!(world.events().await, wanted, "{what}, readable: {readable}");
    }
    let world = World::new().await;
    let words = format!("{NOBODY}\n{returned}");
    world.take(&world.doubting, &[world.token("a@x.example", 7, 0, false)], &words).await;
    assert_eq!(world.events().await, [event("a@x.example", "proven", "suppressed")], "words and a copy");
    for ordinary in [letter, talk] {
        // People write from addresses of their own: a reverse-path that is not null.
        let world = World::new().await;
        let to = world.token("a@x.example", 7, 0, true);
        let mut report = Report::parse(format!("Return-Path: <bob@x.example>\r\n{ordinary}").as_bytes());
        let to = ForwardPath::Mailbox(Mailbox::new(&to, "b.example").unwrap());
        add_nameless(&mut report, &[world.doubting.settings.return_paths.accepted(&to)]);
        assert!(report.recipients.is_empty(), "{ordinary}");
    }
}

#[tokio::test]
async fn only_what_could_change_something_waits() {
    let of = |action: &str, status: &str, text: &str| {
        let one = names(&["a@x.example"]).replace("Action: failed", &format!("Action: {action}"));
        one.replace("Status: 5.1.1\n", &format!("Status: {status}\nDiagnostic-Code: smtp; {text}\n"))
    };
    let blocked = "554 5.7.1 Service unavailable; Client host [192.0.2.44] blocked using zen.spamhaus.org";
    for (what, message, to, change) in [
        ("dead", of("failed", "5.1.1", "550 5.1.1 User unknown"), "bounces+1", "quarantined"),
        ("soft", of("failed", "5.2.2", "552 5.2.2 Mailbox full"), "bounces+1", "quarantined"),
        ("a host", of("failed", "5.1.2", "550 5.1.2 Host unknown"), "bounces+1", "quarantined"),
        ("delivered", of("delivered", "2.0.0", "250 2.0.0 OK"), "bounces+1", "quarantined"),
        ("a complaint", complaint("a@x.example", "", ""), "postmaster", "quarantined"),
        (
            "a delay",
            of("delayed", "4.4.1", "connect to mx.x.example: Connection timed out"),
            "bounces+1",
            "none",
        ),
        ("our own fault", of("failed", "5.7.1", blocked), "bounces+1", "none"),
        ("relayed", of("relayed", "2.0.0", "250 2.0.0 OK"), "bounces+1", "none"),
    ] {
        let world = World::new().await;
        world.take(&world.doubting, &[to.to_owned()], &message).await;
        assert_eq!(world.events().await, [event("a@x.example", "unsigned", change)], "{what}");
    }
}

/// A complaint about a mail from this sender, which names this address or hides it.
fn complaint(shown: &str, field: &str, returned: &str) -> String {
    format!(
        "From: fbl@provider.example\nMIME-Version: 1.0\nContent-Type: multipart/report; \
         report-type=feedback-report; boundary=b\n\n--b\nContent-Type: message/feedback-report\n\n\
         Feedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\nOriginal-Rcpt-To: {shown}\n{field}\n--b\n\
         Content-Type: message/rfc822\n\n{returned}From: us@b.example\nTo: {shown}\nMessage-ID: <1@b.example>\n\n\
         Hello\n\n--b--\n"
    )
}

#[tokio::test]
async fn a_complaint_is_believed_by_the_sender_of_the_mail_it_is_about() {
    let hidden = "redacted@x.example";
    for (shown, days_ago, readable, wanted) in [
        ("a@x.example", 0, false, event("a@x.example", "proven", "suppressed")),
        ("a@x.example", 0, true, event("a@x.example", "proven", "suppressed")),
        (hidden, 0, true, event("a@x.example", "token_only", "suppressed")),
        (hidden, 0, false, event("", "token_only", "quarantined")),
        ("b@x.example", 0, false, event("b@x.example", "token_only", "quarantined")),
        // What would be refused at RCPT says nothing here.
        ("a@x.example", 300, false, event("a@x.example", "unsigned", "quarantined")),
        (hidden, 300, true, event("", "unsigned", "quarantined")),
        (hidden, -30, true, event("", "unsigned", "quarantined")),
    ] {
        for to in ["postmaster", "bounces+1"] {
            for field in ["Original-Mail-From: <{}>\n", "Return-Path: <{}>\n"] {
                let world = World::new().await;
                let token = world.token("a@x.example", 7, days_ago, readable);
                let line = field.replace("{}", &format!("{token}@b.example"));
                let message = if field.starts_with("Return") {
                    complaint(shown, "", &line)
                } else {
                    complaint(shown, &line, "")
                };
                world.take(&world.doubting, &[to.to_owned()], &message).await;
                assert_eq!(
                    world.events().await,
                    std::slice::from_ref(&wanted),
                    "{shown} {days_ago} {to} {line}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn one_report_changes_nobody_twice_in_any_mixture_of_deliveries(
        report in 0..3_usize,
        deliveries in prop::collection::vec((prop::collection::btree_set(0..6_usize, 1..4), any::<bool>(), any::<bool>()), 1..8),
    ) {
        let all = ["a@x.example", "b@x.example", "c@x.example"];
        let report = [names(&all), names(&["forward@y.example"]), NOBODY.to_owned()][report].clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (events, counts, reached) = runtime.block_on(async {
            let world = World::new().await;
            let mut reached: BTreeMap<&str, bool> = BTreeMap::new();
            for (to, believing, approve) in &deliveries {
                let address = |number: &usize| match *number {
                    number @ 0..=2 => world.token(all[number], 7, number as i64, number != 1),
                    3 => world.token("a@x.example", 9, 0, false),
                    4 => "bounces+b=x.example".to_owned(),
                    _ => "bounces+1".to_owned(),
                };
                let to_addresses: Vec<_> = to.iter().map(address).collect();
                let ingest = if *believing { &world.believing } else { &world.doubting };
                world.take(ingest, &to_addresses, &report).await;
                for (number, recipient) in all.iter().enumerate() {
                    if to.contains(&number) && report.contains(recipient) {
                        reached.insert(recipient, true);
                    }
                }
                if *approve {
                    world.approve_all().await;
                }
            }
            let mut counts = Vec::new();
            for recipient in all.iter().chain(&["forward@y.example"]) {
                let entry = world.store.suppression(recipient, None, now()).await.unwrap();
                counts.push((*recipient, entry.map_or(0, |entry| entry.count)));
            }
            (world.events().await, counts, reached)
        });
        for (recipient, count) in counts {
            let changing = |change: &str| !matches!(change, "quarantined" | "none" | "discarded");
            let changed = events.iter().filter(|(to, _, change)| to == recipient && changing(change)).count();
            prop_assert!(changed <= 1 && count <= 1, "{recipient}: {count} {events:?}");
            prop_assert!(!reached.contains_key(recipient) || count == 1, "{recipient} is proven: {events:?}");
        }
    }
}

#[test]
fn an_address_in_the_log_steers_no_terminal_and_ends_no_line() {
    assert_eq!(in_log("dead.ü@example.com"), "dead.ü@example.com");
    assert_eq!(in_log("\"a\x1b[2J\n\u{9b}\"@x"), "\"a\\u{1b}[2J\\n\\u{9b}\"@x");
    assert_eq!(in_log("\u{202e}a\u{200f}b@x"), "\\u{202e}a\\u{200f}b@x", "nor turns its order");
}

#[test]
fn masking_leaves_the_domain_and_one_character() {
    assert_eq!(masked("dead.user@example.com"), "d***@example.com");
    assert_eq!(masked("x400 thing"), "***");
}

#[tokio::test]
async fn what_nothing_proves_has_a_quota_a_day_and_what_is_signed_or_trusted_has_none() {
    // A message and its recipient are two rows.
    let world = World::with(Quotas { network_rows: 4, ..Quotas::default() }).await;
    let fixed = |number: usize| format!("bounces+{number}");
    let path = |local: &str| ForwardPath::Mailbox(Mailbox::new(local, "b.example").unwrap());
    let room = |ingest: &Ingest<SqliteStore>, local: &str, client: &str| {
        ingest.check_room(&path(local), client.parse().ok())
    };
    for number in 0..2 {
        let report = names(&[&format!("a{number}@x.example")]);
        let taken = world.take(&world.doubting, &[fixed(1)], &report).await;
        assert!(matches!(taken, Delivery::Committed { duplicate: false, .. }), "{taken:?}");
        if number == 0 {
            // The same once more takes no room.
            let taken = world.take(&world.doubting, &[fixed(1)], &report).await;
            assert!(matches!(taken, Delivery::Committed { duplicate: true, .. }), "{taken:?}");
        }
    }
    let report = names(&["b@x.example"]);
    let too_much = Delivery::PutOff(RecipientVerdict::TooMuchUnproven);
    assert_eq!(world.take(&world.doubting, &[fixed(1)], &report).await, too_much);
    let token = world.token("b@x.example", 7, 0, false);
    let taken = world.take(&world.doubting, std::slice::from_ref(&token), &report).await;
    assert!(matches!(taken, Delivery::Committed { .. }), "{taken:?}");
    // A report about somebody else proves nothing, and comes to a signed return path all the same: up to a quota of its
    // own, as every subscriber has such a path.
    for stranger in ["c1@x.example", "c2@x.example"] {
        let taken = world.take(&world.doubting, std::slice::from_ref(&token), &names(&[stranger])).await;
        assert!(matches!(taken, Delivery::Committed { .. }), "{taken:?}");
    }
    let taken = world.take(&world.doubting, std::slice::from_ref(&token), &names(&["c3@x.example"])).await;
    assert_eq!(taken, too_much);
    let taken = world
        .take(&world.doubting, std::slice::from_ref(&token), &names(&["b@x.example", "c4@x.example"]))
        .await;
    assert_eq!(taken, too_much, "one's own address makes no room for others");
    let proven = names(&["b@x.example"]).replace("10:00:00", "11:00:00");
    let taken = world.take(&world.doubting, &[token], &proven).await;
    assert!(
        matches!(taken, Delivery::Committed { duplicate: false, .. }),
        "what is proven has none: {taken:?}"
    );
    let taken = world.take(&world.believing, &[fixed(1)], &names(&["d@x.example"])).await;
    assert!(matches!(taken, Delivery::Committed { .. }), "the operator trusts them: {taken:?}");

    // What comes to a signed path uses up nothing of what others have.
    let world = World::with(Quotas { rows: 2, domain_rows: 2, network_rows: 2, ..Quotas::default() }).await;
    let token = world.token("b@x.example", 7, 0, false);
    world.take(&world.doubting, &[token], &names(&["c@x.example"])).await;
    let taken = world.take(&world.doubting, &[fixed(1)], &names(&["d@x.example"])).await;
    assert!(matches!(taken, Delivery::Committed { .. }), "{taken:?}");

    // At RCPT the day is that of the clock. What is in a message may prove it, so that some are read in vain.
    let world = World::with(Quotas { network_rows: 2, ..Quotas::default() }).await;
    let envelope_of_today = Timestamp::now();
    let way = guard::Way { client: "192.0.2.1".parse().ok(), domain: "b.example" };
    world.doubting.taken.count(way, 1, 2, envelope_of_today);
    assert_eq!(room(&world.doubting, "bounces+1", "192.0.2.9"), RecipientVerdict::Accept);
    world.doubting.taken.tried(way, u64::MAX, envelope_of_today);
    let token = world.token("b@x.example", 7, 0, false);
    for (local, client, verdict) in [
        ("bounces+1", "192.0.2.9", RecipientVerdict::TooMuchUnproven),
        ("bounces+1", "192.0.3.9", RecipientVerdict::Accept),
        (&token, "192.0.2.9", RecipientVerdict::Accept),
    ] {
        assert_eq!(room(&world.doubting, local, client), verdict, "{local} {client}");
    }
    assert_eq!(room(&world.believing, "bounces+1", "192.0.2.9"), RecipientVerdict::Accept);
}

#[tokio::test]
async fn a_complaint_that_its_content_proves_is_taken_when_the_quota_for_unproven_mail_is_used_up() {
    let world = World::with(Quotas { network_rows: 1, ..Quotas::default() }).await;
    let complaint = |token: &str| {
        format!(
            "From: fbl@isp.example\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=r\r\n\r\n\
             --r\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\n\
             Original-Mail-From: <{token}@b.example>\r\nOriginal-Rcpt-To: <b@x.example>\r\n\r\n--r--\r\n"
        )
    };
    let fixed = ["bounces+1".to_owned()];
    world.take(&world.doubting, &fixed, &names(&["a@x.example"])).await;
    let proven = complaint(&world.token("b@x.example", 7, 0, false));
    for (message, put_off) in [
        (complaint("nobody"), true),
        (proven, false),
        (complaint("no-one"), true),
        (names(&["c@x.example"]), true),
    ] {
        let taken = world.take(&world.doubting, &fixed, &message).await;
        let expected = Delivery::PutOff(RecipientVerdict::TooMuchUnproven);
        assert_eq!(taken == expected, put_off, "{taken:?} {message}");
    }
    assert!(world.store.suppression("b@x.example", None, now()).await.unwrap().is_some());

    // The same where the disk runs short, which is said at RCPT where nothing signs the return path.
    let world = World::new().await;
    world.doubting.room().measured(50, Reserve { unproven: 100, all: 10 });
    let token = world.token("b@x.example", 7, 0, false);
    let taken = world.take(&world.doubting, &fixed, &complaint(&token)).await;
    assert!(matches!(taken, Delivery::Committed { .. }), "{taken:?}");
    for to in [&fixed, &[token]] {
        let taken = world.take(&world.doubting, to, &names(&["c@x.example"])).await;
        assert_eq!(taken, Delivery::PutOff(RecipientVerdict::NoRoom));
    }
}

#[tokio::test]
async fn the_raw_message_of_a_report_that_names_others_beside_ones_own_address_goes_first() {
    let world = World::new().await;
    let token = world.token("b@x.example", 7, 0, false);
    let to = std::slice::from_ref(&token);
    world.take(&world.doubting, to, &names(&["b@x.example"])).await;
    assert_eq!(world.store.vitals().await.unwrap().unproven_raw, 0);
    world.take(&world.doubting, to, &names(&["b@x.example", "c@x.example"])).await;
    assert!(world.store.vitals().await.unwrap().unproven_raw > 0);
}
