use std::net::{Ipv4Addr, SocketAddr};

use proptest::prelude::*;

use super::*;

fn session(change: impl FnOnce(&mut Settings)) -> Session {
    let mut settings = Settings { hostname: "mx.example".to_owned(), ..Settings::default() };
    change(&mut settings);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 25)).into();
    Session::new(Arc::new(settings), Peer { connection: 1, address })
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
    let Received::Deliver(envelope, octets) = session.message(message) else { panic!("refused") };
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
        let Received::Refused(refused) = session.message(message) else { panic!("taken") };
        assert_eq!(refused.to_string(), reply);
    }
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
                    "RCPT TO:<x@y.example>", "DATA", "RSET", "NOOP", "VRFY a", "EXPN a", "HELP", "STARTTLS", "BDAT 1", "QUIT",
                ]).prop_map(|line| line.as_bytes().to_vec()),
            ],
            0..40,
        ),
    ) {
        let mut session = session(|settings| settings.max_recipients = 3);
        for line in lines {
            let hello = line.get(..4).is_some_and(|verb| {
                verb.eq_ignore_ascii_case(b"EHLO") || verb.eq_ignore_ascii_case(b"HELO")
            });
            let step = session.line(Line::Complete(line), check);
            prop_assert!(!step.replies.is_empty());
            for reply in &step.replies {
                prop_assert!(reply.status().is_some() || hello || reply.code().get() == 354, "{}", reply);
            }
            match step.next {
                Next::Command => {}
                Next::Close => break,
                Next::Data => {
                    let message = Message::Complete { octets: vec![], bare_newlines: false };
                    match session.message(message) {
                        Received::Deliver(envelope, _) => prop_assert!((1..=3).contains(&envelope.recipients.len())),
                        Received::Refused(reply) => prop_assert!(false, "{}", reply),
                    }
                }
            }
        }
    }
}
