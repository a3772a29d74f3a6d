//! Bad input over SMTP to the real daemon: a reply each, bounded memory, and the listener alive afterwards.

mod common;

use common::{Client, Daemon, Home, Reply, dsn, hard_bounce, say};

/// `smtp.max_message_size` of these daemons: the default.
const MAX_MESSAGE: usize = 10 * 1024 * 1024;

/// The most memory a daemon may ever have had: ten messages of the largest size (what came over the wire, what is
/// read out of it, what is compressed from it, what the database is given) and 150 MB for everything else, which is
/// mostly the program itself as it is built for tests.
const MAX_MEMORY: u64 = 10 * MAX_MESSAGE as u64 + 150_000_000;

/// What a client would send who wants to see a server burst.
const ENDLESS: usize = 1 << 30;

/// Nested parts, and more than anybody's mail program would make.
const NESTED: usize = 10_000;

/// Runs one attack, then an honest bounce on the same connection and one on another.
fn survive(attack: impl FnOnce(&mut Client) -> Reply) -> (Home, Reply) {
    let home = Home::new();
    let daemon = home.start();
    let mut client = daemon.connect();
    let reply = attack(&mut client);
    let same = client.send(&hard_bounce("same", "same@example.net")).expect("the connection lives");
    assert_eq!(same.code, 250, "{same:?}");
    let other =
        daemon.connect().send(&hard_bounce("other", "other@example.net")).expect("the listener lives");
    assert_eq!(other.code, 250, "{other:?}");
    assert_memory(&daemon);
    daemon.stop();
    for honest in ["same@example.net", "other@example.net"] {
        let checked = home.run(&["suppressions", "check", honest]);
        assert_eq!(checked.status.code(), Some(1), "{honest} is decided: {checked:?}");
    }
    (home, reply)
}

fn assert_memory(daemon: &Daemon) {
    let Some(peak) = daemon.peak_memory() else {
        say("SKIPPED: the bound on memory, since there is no /proc here to ask");
        return;
    };
    assert!(peak <= MAX_MEMORY, "{peak} bytes of memory, more than {MAX_MEMORY}");
}

/// A message that is accepted and kept, whatever it is.
fn kept(message: &[u8]) -> (Home, i64) {
    assert!(message.len() <= MAX_MESSAGE, "this fixture is too large to be looked at: {}", message.len());
    let (home, reply) = survive(|client| client.send(message).expect("a reply"));
    assert!(reply.starts_with("250 2.6.0 Stored as"), "{reply:?}");
    let id = 1; // the first of a new database
    let raw = home.run(&["bounces", "show", &id.to_string(), "--raw"]).stdout;
    assert!(raw == message, "the bytes are kept as they came: {} of {}", raw.len(), message.len());
    (home, id)
}

#[test]
fn ten_thousand_messages_inside_each_other() {
    let mut message = String::from("From: a@x.example\r\nMIME-Version: 1.0\r\n");
    for _ in 0..NESTED {
        message.push_str("Content-Type: message/rfc822\r\n\r\n");
    }
    message.push_str("Subject: inside\r\n\r\nbody\r\n");
    kept(message.as_bytes());
}

#[test]
fn ten_thousand_multiparts_inside_each_other() {
    let mut message = String::from("From: a@x.example\r\nMIME-Version: 1.0\r\n");
    for depth in 0..NESTED {
        message
            .push_str(&format!("Content-Type: multipart/mixed; boundary=\"b{depth}\"\r\n\r\n--b{depth}\r\n"));
    }
    message.push_str("Content-Type: text/plain\r\n\r\nbody\r\n");
    for depth in (0..NESTED).rev() {
        message.push_str(&format!("--b{depth}--\r\n"));
    }
    kept(message.as_bytes());
}

#[test]
fn ten_thousand_multiparts_with_the_same_boundary() {
    let mut message = String::from("From: a@x.example\r\nMIME-Version: 1.0\r\n");
    for _ in 0..NESTED {
        message.push_str("Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n");
    }
    kept(message.as_bytes());
}

#[test]
fn a_hundred_thousand_recipient_groups() {
    let addresses: Vec<String> = (0..100_000).map(|index| format!("u{index}@example.net")).collect();
    let groups: String = addresses
        .iter()
        .map(|address| {
            format!("\r\nFinal-Recipient: rfc822;{address}\r\nAction: failed\r\nStatus: 5.1.1\r\n")
        })
        .collect();
    let message = String::from_utf8(dsn("groups", &[])).unwrap();
    let (before, after) = message.split_once("\r\n--edge\r\nContent-Type: text/rfc822-headers").unwrap();
    let message = format!("{before}{groups}\r\n--edge\r\nContent-Type: text/rfc822-headers{after}");
    let (home, id) = kept(message.as_bytes());

    let shown = home.json(&["bounces", "show", &id.to_string(), "--json"]).remove(0);
    let recorded = shown["recipients"].as_array().unwrap().len();
    assert_eq!(recorded, 1_000, "as many as store.max_recipients says");
    let defects = shown["defects"].to_string();
    assert!(defects.contains("store.max_recipients"), "and it says that there were more: {defects}");
    for (address, code) in [("u0@example.net", 1), ("u999@example.net", 1), ("u1000@example.net", 0)] {
        assert_eq!(home.run(&["suppressions", "check", address]).status.code(), Some(code), "{address}");
    }
}

#[test]
fn a_line_of_a_gigabyte_in_a_message() {
    let (home, reply) = survive(|client| {
        client.begin("", common::OUR_ADDRESS).unwrap();
        client.write(b"Subject: ").unwrap();
        write_endless(client);
        client.write(b"\r\n.\r\n").unwrap();
        client.reply().expect("a reply when all of it was read")
    });
    assert!(reply.starts_with("552 5.3.4"), "{reply:?}");
    assert_eq!(home.json(&["bounces", "list", "--json"]).len(), 2, "the honest ones alone are there");
}

#[test]
fn a_command_line_of_a_gigabyte() {
    let (_, reply) = survive(|client| {
        client.write(b"NOOP ").unwrap();
        write_endless(client);
        client.write(b"\r\n").unwrap();
        client.reply().expect("a reply when all of it was read")
    });
    assert!(reply.starts_with("500 5.5.2"), "{reply:?}");
}

fn write_endless(client: &mut Client) {
    let block = vec![b'x'; 1 << 20];
    for _ in 0..ENDLESS / block.len() {
        client.write(&block).expect("it reads on");
    }
}

#[test]
fn a_body_of_nuls() {
    let mut message = b"From: a@x.example\r\nSubject: nothing\r\n\r\n".to_vec();
    message.resize(8 * 1024 * 1024, 0);
    message.extend_from_slice(b"\r\n");
    let (home, id) = kept(&message);
    let shown = home.json(&["bounces", "show", &id.to_string(), "--json"]).remove(0);
    assert_eq!(shown["kind"], "unrecognized", "kept, and shown as what it is");
}

#[test]
fn nuls_and_nothing_else() {
    let mut message = vec![0; 1024 * 1024];
    message.extend_from_slice(b"\r\n");
    kept(&message);
}

#[test]
fn nuls_between_the_fields_of_a_report() {
    let report = String::from_utf8(hard_bounce("nuls", "nul@example.net")).unwrap();
    kept(report.replace("Status: ", "Status:\0 \0").replace("\r\n\r\n", "\0\r\n\0\r\n").as_bytes());
}

#[test]
fn an_empty_message() {
    let (home, id) = kept(b"");
    let shown = home.json(&["bounces", "show", &id.to_string(), "--json"]).remove(0);
    assert_eq!((&shown["kind"], &shown["size"]), (&"unrecognized".into(), &0.into()));
}
