//! The attacker: ten thousand reports that want somebody suppressed whom their return paths were not made for.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dsnd::address::{ForwardPath, Mailbox, ReversePath};
use dsnd::classify::Classifier;
use dsnd::ingest::{Ingest, IngestSettings};
use dsnd::returnpath::{Keys, Prefix, ReturnPaths, Token, UnsignedTrust};
use dsnd::smtp::{Envelope, EnvelopeRecipient, Peer, Protocol, RecipientVerdict, Sink};
use dsnd::store::sqlite::{Access, SqliteStore};
use dsnd::store::{Settings, Store, SuppressionFilter};
use jiff::{SignedDuration, Timestamp};

const REPORTS: usize = 10_000;
const SHAPES: usize = 15;
/// The shapes in which the token stands in a complaint.
const COMPLAINT_TO_FIXED: usize = 12;
const COMPLAINT_TO_POSTMASTER: usize = 13;
const OURS: &str = "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const STRANGERS: &str = "1 ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).unwrap()
    }
}

fn token(keys: &str, recipient: &str, stream: u32, days_ago: i64) -> Token {
    let at = Timestamp::now() - SignedDuration::from_hours(24 * days_ago);
    Token::mint(Keys::parse(keys).unwrap().newest().unwrap(), recipient, stream, at).unwrap()
}

fn blind(token: &Token) -> String {
    Prefix::default().blind(token)
}

/// The local part that a forger writes to, and whether it is taken. He holds the return path of a mail to himself.
fn forged(number: usize, forger: &str, victim: &str, dice: &mut Dice) -> (String, bool) {
    let own = blind(&token(OURS, forger, 7, 1));
    let different = |at: usize, dice: &mut Dice| {
        let mut octets = own.clone().into_bytes();
        let old = octets[at];
        while octets[at] == old {
            octets[at] = BASE32[dice.throw(32)];
        }
        String::from_utf8(octets).unwrap()
    };
    match number % SHAPES {
        0 => (own, true),
        1 => {
            let fold = |c: char, upper: bool| if upper { c.to_ascii_uppercase() } else { c };
            (own.chars().map(|c| fold(c, dice.throw(2) == 0)).collect(), true)
        }
        2 => {
            (format!("b-{}", (0..32).map(|_| char::from(BASE32[dice.throw(32)])).collect::<String>()), false)
        }
        3 => (own[..2 + dice.throw(32)].to_owned(), false),
        4 => (format!("{own}{}", "a2".repeat(1 + dice.throw(12))), false),
        5 => (different(2 + dice.throw(32), dice), false),
        6 => (blind(&token(OURS, victim, 7, 15 + i64::try_from(dice.throw(300)).unwrap())), false),
        7 => (blind(&token(OURS, victim, 7, -2 - i64::try_from(dice.throw(30)).unwrap())), false),
        8 => (blind(&token(STRANGERS, victim, 7, 0)), false),
        // Its stream lies in these characters: octets 3 to 5 of 20.
        9 => (different(2 + 5 + dice.throw(4), dice), false),
        10 => (format!("{own}={}", victim.replace('@', "=")), false),
        11 => (format!("bounces+{}", victim.replace('@', "=")), true),
        COMPLAINT_TO_FIXED => ("bounces+1".to_owned(), true),
        COMPLAINT_TO_POSTMASTER => ("postmaster".to_owned(), true),
        _ => {
            let readable =
                Prefix::default().readable(&token(OURS, forger, 7, 0), &Mailbox::parse(forger).unwrap());
            (readable, true)
        }
    }
}

/// A complaint about a mail to the victim whose sender is a token of his that would be refused at RCPT: expired, from
/// the future, by another key, or cut off.
fn complaint(number: usize, victim: &str, dice: &mut Dice) -> Vec<u8> {
    let mailbox = Mailbox::parse(victim).unwrap();
    let (keys, days_ago) = match dice.throw(4) {
        0 => (OURS, 15 + i64::try_from(dice.throw(300)).unwrap()),
        1 => (OURS, -2 - i64::try_from(dice.throw(30)).unwrap()),
        2 => (STRANGERS, 0),
        _ => (OURS, 0),
    };
    let token = token(keys, victim, 7, days_ago);
    let whole = Prefix::default().readable(&token, &mailbox);
    let cut = (keys, days_ago) == (OURS, 0);
    let local_part = if cut {
        format!("{}={}", &blind(&token)[..2 + dice.throw(32)], victim.replace('@', "="))
    } else if dice.throw(2) == 0 {
        whole
    } else {
        blind(&token)
    };
    let shown = if dice.throw(2) == 0 { victim } else { "redacted@customer.example" };
    let (field, returned) = match dice.throw(3) {
        0 => (String::new(), format!("Return-Path: <{local_part}@b.example>\n")),
        1 => (format!("Original-Mail-From: <{local_part}@b.example>\n"), String::new()),
        _ => (
            format!("Original-Mail-From: {local_part}@b.example\n"),
            format!("Return-Path: <{local_part}@b.example>\n"),
        ),
    };
    format!(
        "From: fbl@provider.example\nMessage-ID: <{number}@provider.example>\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n\
         --b\nContent-Type: text/plain\n\nA complaint.\n--b\nContent-Type: message/feedback-report\n\n\
         Feedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\nOriginal-Rcpt-To: {shown}\n{field}\n--b\n\
         Content-Type: message/rfc822\n\n{returned}From: us@b.example\nTo: {shown}\nMessage-ID: <1@b.example>\n\n\
         Hello\n\n--b--\n"
    )
    .into_bytes()
}

/// A report that names the victim wherever reports name people, in one of its forms, and perhaps the forger himself.
fn report(number: usize, forger: &str, victim: &str, dice: &mut Dice) -> Vec<u8> {
    let id = number - number % 3; // some of them again, to other return paths
    let form = dice.throw(4);
    let group = |address: &str| {
        format!(
            "Original-Recipient: rfc822; {address}\nFinal-Recipient: rfc822; {address}\nAction: failed\nStatus: 5.1.1\n\n"
        )
    };
    let mut groups = group(victim);
    if form == 0 {
        groups.push_str(&group(forger));
    }
    if form == 1 {
        return format!(
            "From: MAILER-DAEMON@mx.example\nX-Failed-Recipients: {victim}\nSubject: failure notice\n\
             Message-ID: <{id}@mx.example>\n\nUser unknown: <{victim}>\n"
        )
        .into_bytes();
    }
    let (kind, fields) = if form == 2 {
        ("feedback-report", format!("Feedback-Type: abuse\nOriginal-Rcpt-To: {victim}\n\n"))
    } else {
        ("delivery-status", format!("Reporting-MTA: dns; mx.example\n\n{groups}"))
    };
    format!(
        "From: MAILER-DAEMON@mx.example\nMessage-ID: <{id}@mx.example>\nMIME-Version: 1.0\n\
         X-Failed-Recipients: {victim}\nContent-Type: multipart/report; report-type={kind}; boundary=b\n\n\
         --b\nContent-Type: text/plain\n\n550 5.1.1 {victim} unknown\n--b\nContent-Type: message/{kind}\n\n\
         {fields}--b\nContent-Type: text/rfc822-headers\n\nFrom: us@b.example\nTo: {victim}\nCc: ceo@customer.example\n\
         Delivered-To: {victim}\nMessage-ID: <1@b.example>\n\n--b--\n"
    )
    .into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_forged_reports_suppress_nobody_but_who_forged_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dsnd.db");
    let store =
        SqliteStore::open(&path, Access::Serve, Settings::default(), Duration::from_secs(5)).await.unwrap();
    let store = Arc::new(store);
    let settings = IngestSettings {
        return_paths: ReturnPaths::new(&["b.example".to_owned()], vec!["bounces+*".parse().unwrap()])
            .with_tokens(Keys::parse(OURS).unwrap(), Prefix::default(), 14),
        unsigned_trust: UnsignedTrust::default(),
        max_recipients: 100,
        mask_addresses: false,
        max_waiting: 500,
        quotas: dsnd::ingest::Quotas::default(),
        exempt: Vec::new(),
    };
    let classifier = Arc::new(Classifier::embedded().unwrap());
    let ingest = Arc::new(Ingest::new(Arc::clone(&store), classifier, settings));
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let (mut taken, mut refused) = (0, 0);
    let mut forgers = BTreeSet::new();
    let mut deliveries = tokio::task::JoinSet::new();
    for number in 0..REPORTS {
        let (forger, victim) =
            (format!("f{number}@forger.example"), format!("v{}@customer.example", number % 500));
        let (local_part, is_taken) = forged(number, &forger, &victim, &mut dice);
        let forward_path = ForwardPath::Mailbox(Mailbox::new(&local_part, "b.example").unwrap());
        match ingest.check_recipient(&forward_path) {
            RecipientVerdict::Accept => assert!(is_taken, "{number}: {local_part} is taken"),
            verdict @ RecipientVerdict::Refuse(_) => {
                assert!(!is_taken, "{number}: {local_part}: {verdict:?}");
                refused += 1;
                continue;
            }
            other => panic!("{number}: {local_part}: {other:?}"),
        }
        taken += 1;
        forgers.insert(forger.clone());
        let message = match number % SHAPES {
            COMPLAINT_TO_FIXED | COMPLAINT_TO_POSTMASTER => complaint(number, &victim, &mut dice),
            _ => report(number, &forger, &victim, &mut dice),
        };
        let recipient = EnvelopeRecipient { forward_path, original_recipient: None };
        // Some to two of his at once, and each of these twice: replayed.
        let mut recipients = vec![recipient.clone()];
        if dice.throw(4) == 0 {
            let second = Mailbox::new(&blind(&token(OURS, &forger, 8, 2)), "b.example").unwrap();
            recipients.push(EnvelopeRecipient { forward_path: ForwardPath::Mailbox(second), ..recipient });
        }
        let times = 1 + usize::from(dice.throw(5) == 0);
        let ingest = Arc::clone(&ingest);
        deliveries.spawn(async move {
            for _ in 0..times {
                let envelope = Envelope {
                    peer: Peer { connection: 1, address: SocketAddr::from(([192, 0, 2, 66], 25)).into() },
                    protocol: Protocol::Esmtp,
                    tls: None,
                    helo: "forger.example".to_owned(),
                    reverse_path: ReversePath::Null,
                    envelope_id: None,
                    recipients: recipients.clone(),
                    bare_newlines: false,
                };
                ingest.take(envelope, message.clone()).await.unwrap();
            }
        });
        if deliveries.len() >= 64 {
            deliveries.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(delivered) = deliveries.join_next().await {
        delivered.unwrap();
    }
    assert!(taken > REPORTS / 5 && refused > REPORTS / 2, "{taken} taken, {refused} refused at RCPT");
    let filter = SuppressionFilter { limit: u32::MAX, ..SuppressionFilter::default() };
    let suppressed = store.suppressions(&filter).await.unwrap().items;
    assert!(!suppressed.is_empty(), "a forger can say of himself what he likes");
    for entry in &suppressed {
        assert!(forgers.contains(&entry.address), "{entry:?}");
        assert_eq!(entry.count, 1, "and once: {entry:?}");
    }
}
