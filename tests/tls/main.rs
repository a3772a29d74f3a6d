//! STARTTLS: the handshake, what it must forget, and a certificate that is renewed while mail comes in.

#[path = "../common/mod.rs"]
mod common;
mod program;
mod renewal;
mod service;

use std::time::{Duration, Instant};

use dsnd::smtp::settings::Settings;
use dsnd::smtp::tls::TlsVersion;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use common::Client;
use service::{ANY, Service};

/// EHLO; what it offers.
fn ehlo(client: &mut Client) -> String {
    let reply = client.command("EHLO client.example").unwrap();
    assert_eq!(reply.code, 250, "{reply:?}");
    reply.text
}

#[test]
fn mail_comes_in_under_tls_1_2_and_1_3_and_its_envelope_says_so() {
    let service = Service::start();
    for (version, name) in [(&TLS12, "TLSv1.2"), (&TLS13, "TLSv1.3")] {
        let mut client = service.plain();
        assert!(ehlo(&mut client).lines().any(|line| line == "STARTTLS"));
        let (mut client, agreed) = client.starttls(&service.config(&[version])).unwrap();
        assert_eq!(agreed.version, version.version);
        assert!(!ehlo(&mut client).contains("STARTTLS"), "it is not offered again");
        assert_eq!(client.send(b"Subject: hello\r\n\r\n.dot\r\n").unwrap().code, 250);
        assert_eq!(client.command("QUIT").unwrap().code, 221);
        assert!(client.rest().is_empty());
        let (envelope, message) = service.received.all().pop().unwrap();
        let tls = envelope.tls.clone().unwrap();
        assert_eq!(tls.version, name);
        assert!(
            tls.cipher_suite.starts_with("TLS_")
                && tls.cipher_suite.contains("_WITH_") == (name == "TLSv1.2")
        );
        assert_eq!(envelope.transmission_type(), "ESMTPS");
        assert_eq!(message, b"Subject: hello\r\n\r\n.dot\r\n");
    }
    let (mut client, _) = service.secure(ANY);
    ehlo(&mut client);
    let large = b"many records, and dots at the beginning of lines\r\n.\r\n".repeat(100_000);
    assert_eq!(client.send(&large).unwrap().code, 250);
    assert!(service.received.all().pop().unwrap().1 == large, "octet for octet");
    let mut plain = service.plain();
    assert_eq!(plain.send(b"x\r\n").unwrap().code, 250);
    let (envelope, _) = service.received.all().pop().unwrap();
    assert_eq!((envelope.tls.clone(), envelope.transmission_type()), (None, "ESMTP"));
}

#[test]
fn the_oldest_version_is_the_one_that_is_set() {
    let service = Service::with(Settings::default(), TlsVersion::V1_3, false);
    assert!(service.plain().starttls(&service.config(&[&TLS12])).is_err());
    assert!(service.plain().starttls(&service.config(&[&TLS13])).is_ok());
}

#[test]
fn everything_said_before_the_handshake_is_forgotten() {
    let service = Service::start();
    let mut client = service.plain();
    assert_eq!(client.command("MAIL FROM:<>").unwrap().code, 250);
    assert_eq!(client.command("RCPT TO:<a@b.example>").unwrap().code, 250);
    let (mut client, _) = client.starttls(&service.config(ANY)).unwrap();
    for command in ["RCPT TO:<a@b.example>", "DATA", "MAIL FROM:<>"] {
        assert!(
            client.command(command).unwrap().starts_with("503 5.5.1"),
            "{command}: not even EHLO was said"
        );
    }
    ehlo(&mut client);
    assert!(client.command("DATA").unwrap().starts_with("503 5.5.1"));
    assert!(client.command("STARTTLS").unwrap().starts_with("503 5.5.1"), "once is enough");
    assert_eq!(client.send(b"x\r\n").unwrap().code, 250);
    assert_eq!(service.received.all().len(), 1);
}

/// CVE-2011-0411: somebody on the way adds commands in the clear, which must not run as if the client had said them
/// under TLS.
#[test]
fn what_stands_behind_starttls_in_the_same_segment_is_dropped() {
    let service = Service::start();
    for behind in [
        "NOOP\r\n",
        "EHLO evil.example\r\nMAIL FROM:<evil@evil.example>\r\n",
        "MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nx\r\n.\r\n",
        "NO", // the beginning of a line, which what the client says would end
        "\r",
    ] {
        let mut client = service.plain();
        client.write(format!("STARTTLS\r\n{behind}").as_bytes()).unwrap();
        assert!(client.expect(220).unwrap().starts_with("220 2.0.0 Ready to start TLS"));
        let (mut client, _) = client.handshake(&service.config(ANY)).unwrap();
        assert!(client.command("MAIL FROM:<>").unwrap().starts_with("503 5.5.1"), "{behind:?}");
        assert!(ehlo(&mut client).contains("PIPELINING"), "{behind:?}");
        assert!(client.command("QUIT").unwrap().starts_with("221"), "{behind:?}");
        assert!(client.rest().is_empty(), "{behind:?}: nothing answers what was dropped");
    }
    assert!(service.received.all().is_empty());
}

#[test]
fn what_comes_in_the_clear_after_starttls_ends_the_connection() {
    let service = Service::start();
    for behind in
        ["NOOP\r\n", "EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nx\r\n.\r\n", "\0\0\0\0\0\0"]
    {
        let mut client = service.plain();
        assert_eq!(client.command("STARTTLS").unwrap().code, 220);
        client.write(behind.as_bytes()).unwrap();
        let rest = client.rest();
        // An alert (RFC 8446 §6) and no word of SMTP.
        assert!(rest.is_empty() || rest[0] == 21, "{behind:?}: {}", rest.escape_ascii());
    }
    assert!(service.received.all().is_empty());
    assert_eq!(service.plain().send(b"x\r\n").unwrap().code, 250, "others are served as before");
}

#[test]
fn where_tls_is_required_nothing_is_taken_before_it() {
    let service = Service::with(Settings::default(), TlsVersion::V1_2, true);
    let mut client = service.plain();
    for command in ["MAIL FROM:<>", "RCPT TO:<a@b.example>", "DATA", "VRFY a", "RSET", "HELO a", "HELP"] {
        let reply = client.command(command).unwrap();
        assert!(reply.starts_with("530 5.7.0 Must issue a STARTTLS command first"), "{command}: {reply:?}");
    }
    assert_eq!(client.command("NOOP").unwrap().code, 250);
    assert!(ehlo(&mut client).contains("STARTTLS"));
    let (mut client, _) = client.starttls(&service.config(ANY)).unwrap();
    ehlo(&mut client);
    assert_eq!(client.send(b"x\r\n").unwrap().code, 250);
    let mut plain = service.plain();
    assert_eq!(plain.command("QUIT").unwrap().code, 221);
}

#[test]
fn a_client_that_stalls_in_the_handshake_loses_its_place() {
    let settings =
        Settings { idle_timeout: Duration::from_millis(500), max_connections: 1, ..Settings::default() };
    let service = Service::with(settings, TlsVersion::V1_2, false);
    // Nothing at all; the beginning of a record that never ends.
    for sent in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
        let mut client = common::wait_for("a free place", || Client::connect(service.address).ok());
        assert_eq!(client.command("STARTTLS").unwrap().code, 220);
        let started = Instant::now();
        client.write(sent).unwrap();
        assert!(client.rest().is_empty());
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
    common::wait_for("a free place", || Client::connect(service.address).ok());
}

#[test]
fn a_shutdown_waits_for_no_handshake() {
    let service = Service::start();
    let mut client = service.plain();
    assert_eq!(client.command("STARTTLS").unwrap().code, 220);
    let (mut secure, _) = service.secure(ANY);
    ehlo(&mut secure); // TLS 1.3: the client is through with the handshake before the server is
    service.shutdown.cancel();
    assert!(client.rest().is_empty(), "nothing more is said in the clear");
    assert!(secure.reply().unwrap().starts_with("421 4.3.2"), "and under TLS there is a word of farewell");
}

/// Many clients close the socket and send no close_notify; somebody on the way can do the same at any moment.
#[test]
fn a_message_that_is_cut_off_under_tls_is_not_taken() {
    let service = Service::start();
    let (mut client, _) = service.secure(ANY);
    ehlo(&mut client);
    client.begin("", "a@b.example").unwrap();
    client.write(b"half of it\r\n").unwrap();
    drop(client);
    let (mut client, _) = service.secure(ANY);
    ehlo(&mut client);
    assert_eq!(client.send(b"all of it\r\n").unwrap().code, 250);
    let messages: Vec<_> = service.received.all().into_iter().map(|(_, message)| message).collect();
    assert_eq!(messages, [b"all of it\r\n"]);
}
