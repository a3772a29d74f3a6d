//! Signed return paths in the whole program: what is refused at RCPT, and what a report that came in may do.

mod common;

use common::{Client, Daemon, Home, OUR_DOMAIN, dsn, hard_bounce};
use dsnd::address::{Mailbox, comparison_form};
use dsnd::returnpath::{Keys, Prefix, Token};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

const OLD: &str = "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NEW: &str = "2 ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

/// A daemon that believes nothing but signed return paths, which is what it does unasked.
fn home(keys: &str) -> Home {
    Home::new().with("RETURN_PATH_KEYS", keys).without("RETURN_PATH_TRUST_UNSIGNED")
}

fn minted(keys: &str, recipient: &str, days_ago: i64) -> Token {
    let keys = Keys::parse(keys).unwrap();
    let at = Timestamp::now() - SignedDuration::from_hours(24 * days_ago);
    Token::mint(keys.newest().unwrap(), &comparison_form(recipient), 7, at).unwrap()
}

fn blind(keys: &str, recipient: &str, days_ago: i64) -> String {
    format!("{}@{OUR_DOMAIN}", Prefix::default().blind(&minted(keys, recipient, days_ago)))
}

fn readable(recipient: &str) -> String {
    let mailbox = Mailbox::parse(recipient).unwrap();
    format!("{}@{OUR_DOMAIN}", Prefix::default().readable(&minted(NEW, recipient, 0), &mailbox))
}

/// Hands a report to these addresses, all of which must be taken.
fn send(daemon: &Daemon, to: &[&str], message: &[u8]) {
    let mut client = daemon.connect();
    assert_eq!(client.command("MAIL FROM:<>").unwrap().code, 250);
    for address in to {
        let reply = client.command(&format!("RCPT TO:<{address}>")).unwrap();
        assert_eq!(reply.code, 250, "{address}: {reply:?}");
    }
    assert_eq!(client.command("DATA").unwrap().code, 354);
    assert_eq!(client.finish(message).unwrap().code, 250);
}

fn suppressed(home: &Home) -> Vec<String> {
    let entries = home.json(&["suppressions", "list", "--json"]);
    entries.iter().map(|entry| entry["address"].as_str().unwrap().to_owned()).collect()
}

/// (recipient, trust, change, Final-Recipient) of the events of the newest message.
fn newest(home: &Home) -> Vec<(String, String, String, String)> {
    let bounce = home.json(&["bounces", "list", "--json", "--limit", "1"]).remove(0);
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let events = bounce["recipients"].as_array().unwrap();
    let told = |event| {
        (
            text(event, "recipient"),
            text(event, "trust"),
            text(event, "change"),
            text(event, "final_recipient"),
        )
    };
    events.iter().map(told).collect()
}

fn is(recipient: &str, trust: &str, change: &str, last: &str) -> (String, String, String, String) {
    (recipient.to_owned(), trust.to_owned(), change.to_owned(), last.to_owned())
}

#[test]
fn every_recipient_of_a_transaction_stands_for_itself_and_refusals_say_why() {
    let home = home(NEW).with("LOG_LEVEL", "debug");
    let daemon = home.start();
    let mut client = daemon.connect();
    let valid = blind(NEW, "user@example.net", 13);
    assert_eq!(client.command("MAIL FROM:<>").unwrap().code, 250);
    for (address, said) in [
        (valid.clone(), "250 2.1.5"),
        (blind(NEW, "user@example.net", 16), "550 5.7.1 This return path has expired"),
        (blind(NEW, "user@example.net", -3), "550 5.7.1 This return path is dated in the future"),
        (
            blind(OLD, "user@example.net", 0),
            "550 5.7.1 This return path is signed with a key that is not in use",
        ),
        (blind(&NEW.replace("ff", "fe"), "user@example.net", 0), "550 5.7.1 This return path is forged"),
        (readable("user@example.net").replace("user", "ceo"), "550 5.7.1 This return path is forged"),
        (format!("{}@{OUR_DOMAIN}", &valid[..20]), "550 5.7.1 This return path is damaged"),
        (valid.to_uppercase(), "250 2.1.5"),
        (format!("bounces@{OUR_DOMAIN}"), "250 2.1.5"),
        ("postmaster".to_owned(), "250 2.1.5"),
    ] {
        let reply = client.command(&format!("RCPT TO:<{address}>")).unwrap();
        assert!(reply.starts_with(said), "{address}: {reply:?}");
    }
    assert_eq!(client.command("DATA").unwrap().code, 354, "those that were taken stay taken");
    assert_eq!(client.finish(&hard_bounce("one", "user@example.net")).unwrap().code, 250);
    let log = daemon.stop();
    for reason in ["expired", "from_the_future", "unknown_key", "bad_mac", "other_address", "not_a_token"] {
        assert!(log.contains(&format!("\"reason\":\"{reason}\"")), "{reason} in {log}");
    }
    assert!(log.contains("unknown key 1"), "the key is named: {log}");
    let token = minted(NEW, "user@example.net", 13).encode();
    assert!(!log.to_lowercase().contains(&token) && !log.contains("ffeeddcc"), "no token, no key: {log}");
    assert_eq!(newest(&home), [is("user@example.net", "proven", "suppressed", "user@example.net")]);
}

#[test]
fn forged_reports_suppress_nobody() {
    let home = home(NEW);
    let daemon = home.start();
    let mut client = daemon.connect();
    let (mut taken, mut refused) = (0, 0);
    for round in 0..400 {
        let (forger, victim) = (format!("forger{round}@example.net"), format!("victim{round}@example.net"));
        let own = blind(NEW, &forger, 0);
        let (local_part, _) = own.split_once('@').unwrap();
        let swapped = if local_part.ends_with('a') { 'b' } else { 'a' };
        let (address, is_taken) = match round % 8 {
            0 => (own, true),
            1 => (own.to_uppercase(), true),
            2 => (format!("{}@{OUR_DOMAIN}", &local_part[..2 + round % 32]), false),
            3 => (format!("{local_part}{}@{OUR_DOMAIN}", "2".repeat(1 + round % 20)), false),
            4 => (format!("{}{swapped}@{OUR_DOMAIN}", &local_part[..local_part.len() - 1]), false),
            5 => (blind(NEW, &forger, 15 + i64::try_from(round).unwrap()), false),
            // Moved to another stream: its octets lie within these characters.
            6 => (format!("{}zz{}@{OUR_DOMAIN}", &local_part[..9], &local_part[11..]), false),
            _ => (format!("bounces+victim{round}=example.net@{OUR_DOMAIN}"), true),
        };
        assert_eq!(client.command("MAIL FROM:<>").unwrap().code, 250);
        let reply = client.command(&format!("RCPT TO:<{address}>")).unwrap();
        assert_eq!(reply.code == 250, is_taken, "{address}: {reply:?}");
        if is_taken {
            taken += 1;
            assert_eq!(client.command("DATA").unwrap().code, 354);
            let report = dsn(
                &format!("forged{round}"),
                &[
                    (&victim, "5.1.1", "550 5.1.1 User unknown"),
                    ("ceo@example.net", "5.1.1", "550 5.1.1 User unknown"),
                ],
            );
            assert_eq!(client.finish(&report).unwrap().code, 250);
        } else {
            refused += 1;
            assert!(reply.starts_with("550 5.7.1"), "{reply:?}");
            assert_eq!(client.command("RSET").unwrap().code, 250);
        }
    }
    assert_eq!((taken, refused), (150, 250));
    assert!(suppressed(&home).is_empty(), "{:?}", suppressed(&home));
    daemon.stop();
}

#[test]
fn what_a_report_does_follows_from_what_its_return_path_proves() {
    let home = home(NEW);
    let daemon = home.start();
    let own = "user@example.net";

    // Forwarded: another address failed, and the returned message (To: list@example.net) tells who was mailed.
    send(&daemon, &[&blind(NEW, "list@example.net", 0)], &hard_bounce("forwarded", "other@forward.example"));
    assert_eq!(newest(&home), [is("list@example.net", "proven", "suppressed", "other@forward.example")]);
    assert_eq!(suppressed(&home), ["list@example.net"]);

    // The same again changes nothing, also where it comes to another token of his.
    send(&daemon, &[&blind(NEW, "list@example.net", 1)], &hard_bounce("forwarded", "other@forward.example"));
    assert_eq!(home.json(&["bounces", "list", "--json"]).len(), 1);
    assert_eq!(home.json(&["suppressions", "list", "--json"])[0]["count"], 1);

    // Forwarded and stripped: the token alone proves nothing, a readable one names its recipient.
    send(&daemon, &[&blind(NEW, own, 0)], &hard_bounce("stripped", "x@forward.example"));
    assert_eq!(newest(&home), [is("x@forward.example", "token_only", "quarantined", "x@forward.example")]);
    send(&daemon, &[&readable(own)], &hard_bounce("readable", "x@forward.example"));
    assert_eq!(newest(&home), [is(own, "token_only", "suppressed", "x@forward.example")]);
    assert_eq!(suppressed(&home), ["list@example.net", own]);

    // A second group is a stranger's; two tokens open two groups.
    let unknown = |address| (address, "5.1.1", "550 5.1.1 User unknown");
    let three = dsn("three", &[unknown("a@example.net"), unknown("b@example.net"), unknown("c@example.net")]);
    send(&daemon, &[&blind(NEW, "a@example.net", 0), &blind(NEW, "c@example.net", 0)], &three);
    let changes: Vec<_> = newest(&home).into_iter().map(|(_, trust, change, _)| (trust, change)).collect();
    let (proven, token_only) = (("proven", "suppressed"), ("token_only", "quarantined"));
    for ((trust, change), wanted) in changes.iter().zip([proven, token_only, proven]) {
        assert_eq!((trust.as_str(), change.as_str()), wanted, "{changes:?}");
    }
    assert_eq!(home.json(&["bounces", "show", "4", "--json"])[0]["recipients"][0]["stream"], 7);

    // Unsigned: recorded only.
    send(&daemon, &[&format!("bounces@{OUR_DOMAIN}")], &hard_bounce("unsigned", "d@example.net"));
    assert_eq!(newest(&home), [is("d@example.net", "unsigned", "quarantined", "d@example.net")]);
    daemon.stop();
}

#[test]
fn keys_are_rotated_without_losing_a_bounce() {
    let of_old = blind(OLD, "old@example.net", 3);
    let both = home(&format!("{OLD}, {NEW}"));
    let daemon = both.start();
    send(&daemon, &[&of_old], &hard_bounce("old", "old@example.net"));
    send(&daemon, &[&blind(NEW, "new@example.net", 0)], &hard_bounce("new", "new@example.net"));
    daemon.stop();
    assert_eq!(suppressed(&both), ["new@example.net", "old@example.net"]);

    let removed = home(NEW);
    let daemon = removed.start();
    let mut client: Client = daemon.connect();
    assert_eq!(client.command("MAIL FROM:<>").unwrap().code, 250);
    let reply = client.command(&format!("RCPT TO:<{of_old}>")).unwrap();
    assert!(reply.starts_with("550 5.7.1") && reply.text.contains("key"), "{reply:?}");
    daemon.stop();
}

#[test]
fn where_unsigned_addresses_are_refused_only_signed_ones_and_the_postmaster_are_left() {
    let home = home(NEW).with("RETURN_PATH_UNSIGNED", "refuse");
    let daemon = home.start();
    let mut client = daemon.connect();
    assert_eq!(client.command("MAIL FROM:<>").unwrap().code, 250);
    for (address, said) in [
        (format!("bounces@{OUR_DOMAIN}"), "550 5.7.1 Bounces are taken at signed return paths only"),
        (format!("postmaster@{OUR_DOMAIN}"), "250"),
        (blind(NEW, "user@example.net", 0), "250"),
    ] {
        let reply = client.command(&format!("RCPT TO:<{address}>")).unwrap();
        assert!(reply.starts_with(said), "{address}: {reply:?}");
    }
    drop(client);
    daemon.stop();
}

#[test]
fn unsigned_reports_count_where_the_operator_trusts_their_network_or_domain() {
    let fixed = format!("bounces@{OUR_DOMAIN}");
    for (key, value, counts) in [
        ("TRUST_UNSIGNED", "true", true),
        ("TRUST_UNSIGNED", "false", false),
        ("TRUST_UNSIGNED_NETWORKS", "192.0.2.0/24, 127.0.0.0/8", true),
        ("TRUST_UNSIGNED_NETWORKS", "192.0.2.0/24", false),
        ("TRUST_UNSIGNED_DOMAINS", OUR_DOMAIN, true),
        ("TRUST_UNSIGNED_DOMAINS", "other.example.com", false),
    ] {
        let home = home(NEW)
            .with("RETURN_PATH_DOMAINS", &format!("{OUR_DOMAIN}, other.example.com"))
            .with(&format!("RETURN_PATH_{key}"), value);
        let daemon = home.start();
        send(&daemon, &[&fixed], &hard_bounce("unsigned", "d@example.net"));
        // What a token does not prove is never believed for its network.
        send(&daemon, &[&blind(NEW, "user@example.net", 0)], &hard_bounce("stripped", "x@forward.example"));
        assert_eq!(suppressed(&home), ["d@example.net"][..usize::from(counts)], "{key} = {value}");
        daemon.stop();
    }
}

#[test]
fn trusting_everybody_beyond_this_machine_is_said_at_every_start() {
    for (listen, key, value, warned) in [
        ("0.0.0.0:0", "TRUST_UNSIGNED", "true", true),
        ("0.0.0.0:0", "TRUST_UNSIGNED_NETWORKS", "0.0.0.0/0", true),
        ("0.0.0.0:0", "TRUST_UNSIGNED_DOMAINS", OUR_DOMAIN, true),
        ("0.0.0.0:0", "TRUST_UNSIGNED_NETWORKS", "10.0.0.0/8", false),
        ("0.0.0.0:0", "TRUST_UNSIGNED", "false", false),
        ("127.0.0.1:0", "TRUST_UNSIGNED", "true", false),
    ] {
        let home = home(NEW).with("SMTP_LISTEN", listen).with(&format!("RETURN_PATH_{key}"), value);
        let log = home.start().stop();
        assert_eq!(log.contains("whoever reaches the port"), warned, "{listen} {key} = {value}: {log}");
    }
}
