//! What makes two deliveries the same message, and two events the same event (contract 2).
//!
//! A message is the same when its content is, and when the envelope says of the same recipients that they were
//! mailed: a report that came to an address which proves nothing is another one when it comes to a token, and two
//! reports in the same vague words are two when they come to tokens, or to VERP addresses, of two recipients. No such difference makes an
//! event count twice: its key holds the content, the place in the report and the recipient, and nothing else of the
//! envelope.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::returnpath::ReturnPath;

/// Header fields that MTAs put on top while a message travels; two copies of one message may differ in them.
const TRACE_FIELDS: &[&str] = &[
    "return-path",
    "received",
    "delivered-to",
    "x-original-to",
    "envelope-to",
    "x-envelope-to",
    "x-envelope-from",
    "delivery-date",
    "received-spf",
    "authentication-results",
    "arc-seal",
    "arc-message-signature",
    "arc-authentication-results",
    "x-spam-checker-version",
    "x-spam-flag",
    "x-spam-level",
    "x-spam-report",
    "x-spam-score",
    "x-spam-status",
    "x-virus-scanned",
];

/// SHA-256 of a message without its trace fields, with every line end as LF and none at the end.
///
/// A message with neither Date nor Message-ID says nothing that tells it from the next one to the same effect;
/// such a one is the same only within a UTC day, the unit in which bounces are counted.
#[must_use]
pub fn digest(message: &[u8], received_at: Timestamp) -> [u8; 32] {
    let mut hash = Sha256::new();
    let (mut in_header, mut skipping, mut dated) = (true, false, false);
    let mut blank_lines = 0usize;
    for (number, line) in message.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if in_header {
            if line.is_empty() {
                in_header = number == 0; // a blank line in front of the header is none of its own
            } else if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                let name = field_name(line);
                skipping = (number == 0 && line.starts_with(b"From ")) || is_any(name, TRACE_FIELDS);
                dated |= is_any(name, &["date", "message-id"]);
            }
            if skipping && in_header {
                continue;
            }
        }
        if line.is_empty() {
            blank_lines += 1; // counted only when something follows
            continue;
        }
        for _ in 0..std::mem::take(&mut blank_lines) {
            hash.update(b"\n");
        }
        hash.update(line);
        hash.update(b"\n");
    }
    if !dated {
        hash.update(crate::policy::day_of(received_at).to_be_bytes());
    }
    hash.finalize().into()
}

/// The digest that a message is stored under: that of its content, with what the return paths of its envelope say
/// about who was mailed. That is the recipient tag and the stream of each token, not its day: another token of the
/// same recipient says nothing new. Without a token it is the recipients of VERP, and where unsigned reports count
/// (`unsigned_counts`), that they do. Where nothing is said it is the digest of the content.
#[must_use]
pub fn message_digest(content: &[u8; 32], paths: &[ReturnPath], unsigned_counts: bool) -> [u8; 32] {
    let mut said: BTreeSet<Vec<u8>> = BTreeSet::new();
    for path in paths {
        if let ReturnPath::Token { token, .. } = path {
            said.insert([b"token\0", &token.stream().to_be_bytes()[..], token.tag()].concat());
        }
    }
    if said.is_empty() {
        if unsigned_counts {
            said.insert(b"unsigned\0".to_vec());
        }
        for path in paths {
            if let ReturnPath::Verp { recipient } | ReturnPath::Batv { recipient: Some(recipient) } = path {
                said.insert([b"verp\0", recipient.comparison_form().as_bytes()].concat());
            }
        }
    }
    if said.is_empty() {
        return *content;
    }
    let mut hash = Sha256::new();
    hash.update(content);
    for one in &said {
        hash.update((one.len() as u64).to_be_bytes());
        hash.update(one);
    }
    hash.finalize().into()
}

/// The key of a message's n-th recipient group, from the digest of the content.
#[must_use]
pub fn event_key(digest: &[u8; 32], index: usize) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(digest);
    hash.update((index as u64).to_be_bytes());
    hash.finalize().into()
}

fn field_name(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|byte| *byte == b':').unwrap_or(0);
    line[..end].trim_ascii_end()
}

fn is_any(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Mailbox;
    use crate::returnpath::{Keys, Token};

    const MESSAGE: &str =
        "From: m@x.example\nDate: Sat, 21 Nov 2026 10:00:00 +0000\nSubject: a\n b\n\nbody\n\nend\n";

    fn of(message: &str) -> [u8; 32] {
        digest(message.as_bytes(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn copies_that_travelled_differently_are_the_same() {
        for copy in [
            format!("Received: from a\n\tby b; now\n{MESSAGE}"),
            format!("Return-Path: <>\nDELIVERED-TO: x\nReceived: y\n{MESSAGE}"),
            format!("From m@x.example Sat Nov 21 10:00:00 2026\n{MESSAGE}"),
            MESSAGE.replace('\n', "\r\n"),
            format!("{MESSAGE}\r\n\r\n"),
        ] {
            assert_eq!(of(&copy), of(MESSAGE), "{copy}");
        }
    }

    #[test]
    fn different_messages_differ() {
        for other in [
            MESSAGE.replace("10:00", "10:01"),
            MESSAGE.replace("body", "Body"),
            MESSAGE.replace("body\n\nend", "body\nend"),
            MESSAGE.replace("\n\nbody", "\n\nReceived: x\nbody"),
        ] {
            assert_ne!(of(&other), of(MESSAGE), "{other}");
        }
    }

    #[test]
    fn a_message_without_date_and_id_is_the_same_for_a_day() {
        let bare = b"From: m@x.example\n\nuser unknown\n";
        let day = |day: i64| digest(bare, Timestamp::from_second(day * 86_400 + 7).unwrap());
        assert_eq!(day(5), digest(bare, Timestamp::from_second(5 * 86_400 + 80_000).unwrap()));
        assert_ne!(day(5), day(6));
    }

    #[test]
    fn what_a_message_is_stored_under_depends_on_whom_its_tokens_name_and_on_nothing_else_of_them() {
        let keys = Keys::parse("1 000102030405060708090a0b0c0d0e0f").unwrap();
        let token = |recipient: &str, stream, day: i64| {
            let at = Timestamp::from_second(day * 86_400).unwrap();
            let token = Token::mint(keys.newest().unwrap(), recipient, stream, at).unwrap();
            ReturnPath::Token { token, readable: None }
        };
        let verp = |recipient: &str| ReturnPath::Verp { recipient: Mailbox::parse(recipient).unwrap() };
        let of_paths = |paths: &[ReturnPath]| message_digest(&of(MESSAGE), paths, false);
        let (a, b) = (token("a@x.example", 7, 20_000), token("b@x.example", 7, 20_000));
        assert_eq!(of_paths(&[]), of(MESSAGE));
        assert_eq!(of_paths(&[ReturnPath::Fixed]), of(MESSAGE), "it says of nobody that he was mailed");
        let same = of_paths(std::slice::from_ref(&a));
        for paths in [&[token("a@x.example", 7, 20_003)][..], &[a.clone(), a.clone(), ReturnPath::Fixed]] {
            assert_eq!(of_paths(paths), same);
        }
        assert_eq!(of_paths(&[a.clone(), b.clone()]), of_paths(&[b.clone(), a.clone()]));
        let all = [
            of_paths(&[]),
            same,
            of_paths(std::slice::from_ref(&b)),
            of_paths(&[a.clone(), b]),
            of_paths(&[token("a@x.example", 8, 20_000)]),
            of_paths(&[verp("a@x.example")]),
            of_paths(&[verp("b@x.example")]),
            message_digest(&of(MESSAGE), &[], true),
            message_digest(&of(MESSAGE), &[verp("a@x.example")], true),
        ];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!(message_digest(&of(MESSAGE), &[a], true), same, "a token is not asked about trust");
    }

    #[test]
    fn groups_have_keys_of_their_own() {
        assert_ne!(event_key(&of(MESSAGE), 0), event_key(&of(MESSAGE), 1));
    }
}
