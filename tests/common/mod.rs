//! What the whole-program tests share: a home for a daemon, an SMTP client, a look into the database.

#![allow(dead_code, unused_imports, reason = "no test program uses all of it")]

mod client;
mod daemon;
mod database;
mod disk;
mod http;
mod tls;

pub(crate) use client::{Agreed, Client, Reply};
pub(crate) use daemon::{Daemon, Home, json_lines};
pub(crate) use database::Database;
pub(crate) use disk::SmallDisk;
pub(crate) use http::{Answer, Http, answer};
pub(crate) use tls::{Authority, Pair, client_config, put};

use std::io::Write;
use std::time::{Duration, Instant};

/// The program under test.
pub(crate) const DSND: &str = env!("CARGO_BIN_EXE_dsnd");

/// The domain whose bounces the daemons of these tests take.
pub(crate) const OUR_DOMAIN: &str = "bounces.example.com";

/// An address of ours that bounces come to.
pub(crate) const OUR_ADDRESS: &str = "bounces@bounces.example.com";

/// Only reached where something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The block of the README that begins so, where an MTA's configuration is shown.
pub(crate) fn readme_block(beginning: &str) -> String {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let start =
        readme.find(&format!("```text\n{beginning}")).unwrap_or_else(|| panic!("README shows {beginning}"));
    let block = &readme[start + "```text\n".len()..];
    block.split("```").next().expect("the end of the block").to_owned()
}

/// Lets other users look into a directory.
pub(crate) fn open_to_all(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
}

/// Says something past the test harness, which keeps what a test that passes prints to itself.
pub(crate) fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// Asks again and again until there is an answer; panics with `what` when none comes.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "still waiting: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A DSN about recipients of one message, each with its status and diagnostic. `id` makes it this one and no other.
pub(crate) fn dsn(id: &str, recipients: &[(&str, &str, &str)]) -> Vec<u8> {
    let mut groups = String::new();
    for (recipient, status, diagnostic) in recipients {
        groups.push_str(&format!(
            "\r\nFinal-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {status}\r\n\
             Remote-MTA: dns; mx.example.net\r\nDiagnostic-Code: smtp; {diagnostic}\r\n"
        ));
    }
    format!(
        "From: MAILER-DAEMON@mx.example.org (Mail Delivery System)\r\nTo: {OUR_ADDRESS}\r\n\
         Subject: Undelivered Mail Returned to Sender\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n\
         Message-ID: <{id}@mx.example.org>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"edge\"\r\n\r\n\
         --edge\r\nContent-Type: text/plain\r\n\r\nYour message could not be delivered.\r\n\r\n\
         --edge\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\
         Arrival-Date: Fri, 20 Nov 2026 09:59:00 +0000\r\n{groups}\r\n\
         --edge\r\nContent-Type: text/rfc822-headers\r\n\r\nFrom: news@example.com\r\nTo: list@example.net\r\n\
         Subject: Our news\r\nMessage-ID: <original-{id}@example.com>\r\n\r\n--edge--\r\n"
    )
    .into_bytes()
}

/// A DSN that says that one recipient does not exist.
pub(crate) fn hard_bounce(id: &str, recipient: &str) -> Vec<u8> {
    dsn(id, &[(recipient, "5.1.1", "550 5.1.1 User unknown")])
}
