use std::net::{Ipv4Addr, SocketAddr};

use proptest::prelude::*;

use super::*;

fn session(change: impl FnOnce(&mut Settings)) -> Session {
    let mut settings = Settings { hostname: "mx.example".to_owned(), ..Settings::default() };
    change(&mut settings);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 25));
    Session::new(Arc::new(settings), Peer { connection: 1, address: address.into() })
}

/// `ours.example` is ours, and has one user.
fn check(path: &ForwardPath) -> RecipientVerdict {
    match path {
        ForwardPath::Postmaster => RecipientVerdict::Accept,
        ForwardPath::Mailbox(mailbox) if mailbox.domain() != "ours.example" => RecipientVerdict::NotOurs,
        ForwardPath::Mailbox(mailbox) if mailbox.local_part() == "user" => RecipientVerdict::Accept,
        ForwardPath::Mailbox(mailbox) if mailbox.local_part() == "old" => RecipientVerdict::Refuse("Expired"),
        ForwardPath::Mailbox(_) => RecipientVerdict::NoSuchMailbox,
    }
}

fn step(session: &mut Session, line: &str) -> Step {
    session.line(Line::Complete(line.as_bytes().to_vec()), check)
}

/// The code and status of each reply to `line`, as in `250 2.1.0`.
fn say(session: &mut Session, line: &str) -> String {
    let codes = step(session, line).replies.into_iter().map(|reply| {
        reply.status().map_or_else(|| reply.code().to_string(), |status| format!("{} {status}", reply.code()))
    });
    codes.collect::<Vec<_>>().join(", ")
}

fn dialogue(session: &mut Session, lines: &[(&str, &str)]) {
    for (number, (line, replies)) in lines.iter().enumerate() {
        assert_eq!(say(session, line), *replies, "line {number}: {line}");
    }
}

#[test]
fn a_transaction_collects_its_envelope() {
    let mut session = session(|_| ());
    dialogue(
        &mut session,
        &[
            ("EHLO client.example", "250"),
            ("MAIL FROM:<> ENVID=a+2Bb", "250 2.1.0"),
            ("RCPT TO:<user@ours.example> ORCPT=rfc822;u@x.example", "250 2.1.5"),
            ("RCPT TO:<nobody@ours.example>", "550 5.1.1"),
            ("RCPT TO:<user@else.example>", "550 5.7.1"),
            ("RCPT TO:<old@ours.example>", "550 5.7.1"),
            ("RCPT TO:<postmaster>", "250 2.1.5"),
        ],
    );
    assert_eq!(step(&mut session, "DATA").next, Next::Data);
    let message = Message::Complete { octets: b"x".to_vec(), bare_newlines: true };
    let Received::Deliver(envelope, octets, _) = session.message(message, Reservation::default()) else {
        panic!("refused")
    };
    assert_eq!((envelope.helo.as_str(), &octets[..]), ("client.example", &b"x"[..]));
    assert_eq!(envelope.reverse_path, ReversePath::Null);
    assert_eq!(envelope.envelope_id.as_deref(), Some("a+b"));
    assert_eq!(envelope.recipients.len(), 2);
    assert_eq!(envelope.recipients[0].original_recipient.as_deref(), Some("rfc822;u@x.example"));
    assert_eq!(envelope.recipients[1].forward_path, ForwardPath::Postmaster);
    assert!(envelope.bare_newlines);
    assert_eq!(say(&mut session, "DATA"), "503 5.5.1", "the transaction is over");
}

#[test]
fn commands_out_of_order_are_refused_and_change_nothing() {
    dialogue(
        &mut session(|settings| settings.max_bad_commands = 100),
        &[
            ("MAIL FROM:<>", "503 5.5.1"),
            ("RCPT TO:<user@ours.example>", "503 5.5.1"),
            ("DATA", "503 5.5.1"),
            ("NOOP", "250 2.0.0"),
            ("EHLO", "501"),
            ("EHLO a", "250"),
            ("DATA", "503 5.5.1"),
            ("MAIL FROM:<> SIZE=10485761", "552 5.3.4"),
            ("MAIL FROM:<> XYZ=1", "555 5.5.4"),
            ("MAIL FROM:<>", "250 2.1.0"),
            ("DATA", "503 5.5.1"),
            ("MAIL FROM:<a@b.example>", "503 5.5.1"),
            ("RCPT TO:<nobody@ours.example>", "550 5.1.1"),
            ("DATA", "554 5.5.1"),
            ("RCPT TO:<user@ours.example>", "250 2.1.5"),
            ("DATA", "354"),
        ],
    );
}

#[test]
fn ehlo_helo_and_rset_end_the_transaction() {
    for command in ["EHLO b", "HELO b", "RSET"] {
        let mut session = session(|_| ());
        for line in ["EHLO a", "MAIL FROM:<>", "RCPT TO:<user@ours.example>", command] {
            assert!(say(&mut session, line).starts_with("250"), "{line}");
        }
        assert_eq!(say(&mut session, "DATA"), "503 5.5.1", "{command}");
        assert_eq!(say(&mut session, "MAIL FROM:<>"), "250 2.1.0", "{command}");
    }
}

#[test]
fn bad_commands_are_counted_to_the_limit_and_then_the_session_ends() {
    let mut session = session(|settings| settings.max_bad_commands = 3);
    dialogue(&mut session, &[("FOO", "500 5.5.2"), ("NOOP", "250 2.0.0"), ("AUTH", "502 5.5.1")]);
    let last = step(&mut session, "DATA");
    assert_eq!(last.next, Next::Close);
    assert_eq!(last.replies[1].to_string(), "421 4.7.0 Too many bad commands, closing connection");
}

#[test]
fn a_pipelining_client_whose_mail_was_refused_is_not_punished_for_the_rest() {
    let mut session = session(|settings| settings.max_bad_commands = 1);
    say(&mut session, "EHLO a");
    assert_eq!(say(&mut session, "MAIL FROM:<> SIZE=99999999"), "552 5.3.4");
    for _ in 0..20 {
        assert_eq!(say(&mut session, "RCPT TO:<user@ours.example>"), "503 5.5.1");
    }
    assert_eq!(say(&mut session, "DATA"), "503 5.5.1");
    assert_eq!(say(&mut session, "MAIL FROM:<>"), "250 2.1.0");
}

#[test]
fn a_connection_has_only_so_many_messages() {
    let mut session = session(|settings| settings.max_messages = 2);
    let transaction = [("MAIL FROM:<>", "250 2.1.0"), ("RSET", "250 2.0.0")];
    dialogue(
        &mut session,
        &[("EHLO a", "250"), transaction[0], transaction[1], transaction[0], transaction[1]],
    );
    let last = step(&mut session, "MAIL FROM:<>");
    assert_eq!((last.next, last.replies[0].code().get()), (Next::Close, 421));
}

#[test]
fn a_chunk_that_cannot_be_counted_off_ends_the_session_and_runs_nothing() {
    for line in
        ["BDAT -1", "BDAT 0x10 LAST", "BDAT 1073741825", "BDAT 99999999999999999999", "bdat", "BDAT\t\0"]
    {
        let mut session = session(|_| ());
        for line in ["EHLO a", "MAIL FROM:<>", "RCPT TO:<user@ours.example>"] {
            say(&mut session, line);
        }
        let last = step(&mut session, line);
        assert_eq!((last.next, last.replies[1].code().get()), (Next::Close, 421), "{line}");
    }
    let mut session = session(|_| ());
    assert_eq!(step(&mut session, "BDATX 5").next, Next::Command, "no BDAT");
    assert_eq!(step(&mut session, "BDAT 1073741824").next, Next::Chunk(1 << 30), "1 GiB is counted off");
}

#[test]
fn messages_that_are_too_big_or_badly_lined_are_refused() {
    for (message, reply) in [
        (Message::TooBig, "552 5.3.4 Message too big"),
        (
            Message::Complete { octets: vec![], bare_newlines: true },
            "550 5.6.0 Message has line ends other than CR LF",
        ),
    ] {
        let mut session = session(|settings| settings.bare_newline = BareNewline::Reject);
        for line in ["EHLO a", "MAIL FROM:<>", "RCPT TO:<user@ours.example>", "DATA"] {
            say(&mut session, line);
        }
        let Received::Answered(refused) = session.message(message, Reservation::default()) else {
            panic!("taken")
        };
        assert_eq!((refused.replies.len(), refused.replies[0].to_string().as_str()), (1, reply));
    }
}

fn tls() -> TlsInfo {
    TlsInfo { version: "TLSv1.3", cipher_suite: "TLS_AES_128_GCM_SHA256".to_owned() }
}

#[test]
fn starttls_is_offered_once_and_only_where_there_is_a_certificate() {
    let offered = |session: &mut Session| {
        let mut said = Vec::new();
        step(session, "EHLO a").replies[0].write_to(&mut said);
        String::from_utf8(said).unwrap().contains("STARTTLS")
    };
    let mut without = session(|_| ());
    assert!(!offered(&mut without));
    assert_eq!(say(&mut without, "STARTTLS"), "502 5.5.1");

    let mut with = session(|_| ()).offering_tls(true);
    assert!(offered(&mut with));
    assert_eq!(say(&mut with, "STARTTLS now"), "501 5.5.4"); // RFC 3207 §4
    let ready = step(&mut with, "starttls");
    assert_eq!(ready.replies[0].to_string(), "220 2.0.0 Ready to start TLS");
    assert_eq!(ready.next, Next::StartTls);
    with.tls_started(tls());
    assert!(!offered(&mut with));
    assert_eq!(say(&mut with, "STARTTLS"), "503 5.5.1");
}

#[test]
fn a_handshake_forgets_the_name_and_the_transaction() {
    let mut session = session(|_| ()).offering_tls(true);
    for line in ["EHLO a", "MAIL FROM:<>", "RCPT TO:<user@ours.example>"] {
        assert!(say(&mut session, line).starts_with("250"), "{line}");
    }
    assert_eq!(say(&mut session, "STARTTLS"), "220 2.0.0");
    session.tls_started(tls());
    dialogue(&mut session, &[("DATA", "503 5.5.1"), ("MAIL FROM:<>", "503 5.5.1"), ("HELO b", "250")]);
    for line in ["MAIL FROM:<>", "RCPT TO:<user@ours.example>", "DATA"] {
        say(&mut session, line);
    }
    let message = Message::Complete { octets: vec![], bare_newlines: false };
    let Received::Deliver(envelope, ..) = session.message(message, Reservation::default()) else {
        panic!("refused")
    };
    assert_eq!((envelope.helo.as_str(), envelope.tls), ("b", Some(tls())));
}

#[test]
fn where_tls_is_required_a_pipelining_client_is_told_so_and_not_punished() {
    let listener = ListenerSettings { require_tls: true, ..ListenerSettings::default() };
    let mut session = session(|settings| settings.max_bad_commands = 1).on(&listener).offering_tls(true);
    dialogue(
        &mut session,
        &[
            ("EHLO a", "250"),
            ("MAIL FROM:<>", "530 5.7.0"),
            ("RCPT TO:<user@ours.example>", "530 5.7.0"),
            ("DATA", "530 5.7.0"),
            ("NOOP", "250 2.0.0"),
            ("STARTTLS", "220 2.0.0"),
        ],
    );
    session.tls_started(tls());
    dialogue(&mut session, &[("EHLO a", "250"), ("MAIL FROM:<>", "250 2.1.0")]);
}

proptest! {
    /// Replies to arbitrary lines: each has an enhanced status code, but for the few that RFC 2034 exempts.
    #[test]
    fn no_dialogue_makes_the_session_panic(
        lines in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..80),
                prop::sample::select(vec![
                    "EHLO a", "HELO a", "EHLO", "MAIL FROM:<>", "MAIL FROM:<> SIZE=99999999", "RCPT TO:<user@ours.example>",
                    "RCPT TO:<x@y.example>", "DATA", "RSET", "NOOP", "VRFY a", "EXPN a", "HELP", "STARTTLS", "BDAT 1", "BDAT 0 LAST",
                    "BDAT 5000000000", "BDAT -1", "LHLO a", "QUIT",
                ]).prop_map(|line| line.as_bytes().to_vec()),
            ],
            0..40,
        ),
    ) {
        let mut session = session(|settings| settings.max_recipients = 3).offering_tls(true);
        for line in lines {
            let hello = line.get(..4).is_some_and(|verb| {
                verb.eq_ignore_ascii_case(b"EHLO") || verb.eq_ignore_ascii_case(b"HELO")
            });
            let step = session.line(Line::Complete(line), check);
            prop_assert_eq!(step.replies.is_empty(), matches!(step.next, Next::Chunk(_)));
            for reply in &step.replies {
                prop_assert!(reply.status().is_some() || hello || reply.code().get() == 354, "{}", reply);
            }
            match step.next {
                Next::Command => {}
                Next::Close => break,
                Next::StartTls => session.tls_started(tls()),
                Next::Data => {
                    let message = Message::Complete { octets: vec![], bare_newlines: false };
                    match session.message(message, Reservation::default()) {
                        Received::Deliver(envelope, ..) => prop_assert!((1..=3).contains(&envelope.recipients.len())),
                        Received::Answered(step) => prop_assert!(false, "{:?}", step),
                    }
                }
                Next::Chunk(size) => {
                    session.octets(&b"x".repeat(usize::try_from(size).unwrap()));
                    match session.chunk() {
                        Received::Deliver(envelope, ..) => prop_assert!((1..=3).contains(&envelope.recipients.len())),
                        Received::Answered(step) => prop_assert!(!step.replies.is_empty()),
                    }
                }
            }
        }
    }
}
