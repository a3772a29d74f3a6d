//! Every verb as it is promised: exit statuses, JSON fields, plain text in pipes, and errors that name the fix.

mod bounces;
#[path = "../common/mod.rs"]
mod common;
mod errors;
mod explain;
mod explain_anything;
mod generate;
mod holds;
mod ingest;
mod lists;
mod output;
mod quarantine;
mod replay;
mod return_path;
mod rules;
mod stats;
mod suppressions;
mod terminal;
mod transfer;
mod unsigned;

use std::process::Output;

use common::{Home, dsn};
use serde_json::Value;

/// A home whose database holds one bounce about three recipients: unknown, full, blocked.
fn with_bounces() -> Home {
    let home = Home::new();
    let daemon = home.start();
    let reply = daemon.connect().send(&three()).unwrap();
    assert!(reply.starts_with("250 2.6.0 Stored as "), "{reply:?}");
    daemon.stop();
    home
}

fn three() -> Vec<u8> {
    dsn(
        "three",
        &[
            ("Dead@Example.net", "5.0.0", "550 5.1.1 <Dead@Example.net>: User unknown"),
            ("full@example.net", "5.2.2", "552 5.2.2 Mailbox full"),
            ("blocked@example.net", "5.7.1", "550 5.7.1 Service unavailable; blocked using zen.example.org"),
        ],
    )
}

fn status(output: &Output) -> i32 {
    output.status.code().expect("it was not killed")
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).expect("UTF-8")
}

/// It ended with 2, wrote nothing to standard output, and one line to standard error; that line.
fn failed(output: &Output) -> &str {
    assert_eq!((status(output), text(&output.stdout)), (2, ""), "{output:?}");
    let line = text(&output.stderr).trim_end();
    assert!(line.starts_with("dsnd: ") && !line.contains(['\n', '\x1b']), "one plain line: {line:?}");
    line
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("an object: {value}")).keys().map(String::as_str).collect()
}

fn assert_has_keys(value: &Value, wanted: &[&str]) {
    let there = keys(value);
    let missing: Vec<_> = wanted.iter().filter(|key| !there.contains(key)).collect();
    assert!(missing.is_empty(), "{missing:?} missing of {there:?}");
}

/// What is said of a recipient, by the same names everywhere.
const RECIPIENT_KEYS: &[&str] = &[
    "recipient",
    "original_recipient",
    "final_recipient",
    "action",
    "status",
    "effective_status",
    "reply_code",
    "diagnostic_type",
    "diagnostic_code",
    "remote_mta",
    "last_attempt_date",
    "bounce_type",
    "category",
    "class",
    "decision",
    "rule",
    "evidence",
];
