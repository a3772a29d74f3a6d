//! What comes out on a real terminal: 80 columns, colours, and nothing cut that a person needs.

use std::process::Command;

use super::text;
use crate::common::{DSND, Home, dsn, say};

/// Runs a program on a terminal of 80 columns and passes on what it writes there.
const ON_A_TERMINAL: &str = r#"
import fcntl, os, pty, struct, subprocess, sys, termios
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
child = subprocess.Popen(sys.argv[1:], stdin=slave, stdout=slave, stderr=slave)
os.close(slave)
while True:
    try:
        octets = os.read(master, 65536)
    except OSError:
        break
    if not octets:
        break
    sys.stdout.buffer.write(octets)
child.wait()
"#;

const ADDRESS: &str =
    "a.rather.long.local.part.of.an.address@mail.of.a.department.with.many.labels.example.net";

/// A home with bounces about a long address, unknown and blocked, and one that nothing proves.
fn with_long_addresses() -> Home {
    let home = Home::new().with("RETURN_PATH_TRUST_UNSIGNED", "false").with("RETURN_PATH_KEYS_FILE", "keys");
    assert!(home.run(&["return-path", "keygen", "--output", "keys"]).status.success());
    let long =
        format!("550 5.1.1 <{ADDRESS}>: Recipient address rejected: there is nobody of that name here");
    let blocked = "554 5.7.1 Service unavailable; Client host [192.0.2.44] blocked using zen.spamhaus.org";
    let daemon = home.start();
    for (id, to, status, said) in [
        ("1", ADDRESS, "5.1.1", long.as_str()),
        ("2", "carl@example.org", "5.7.1", blocked),
        ("3", ADDRESS, "5.1.1", long.as_str()),
    ] {
        let minted = home.run(&["return-path", "mint", to]);
        let return_path = if id == "3" { crate::common::OUR_ADDRESS } else { text(&minted.stdout).trim() };
        let mut client = daemon.connect();
        client.begin("", return_path).unwrap();
        assert_eq!(client.finish(&dsn(id, &[(to, status, said)])).unwrap().code, 250);
    }
    daemon.stop();
    home
}

/// The text without its colours; no other sequence steers the terminal.
fn plain(shown: &str) -> String {
    let mut pieces = shown.split("\x1b[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (colour, rest) = piece.split_once('m').expect("a colour");
        assert!(colour.bytes().all(|octet| octet.is_ascii_digit() || octet == b';'), "{piece:?}");
        plain.push_str(rest);
    }
    plain.replace("\r\n", "\n")
}

#[test]
fn nothing_is_wider_than_the_terminal_and_it_has_colours_there_and_none_in_a_pipe() {
    if Command::new("python3").arg("--version").output().is_err() {
        return say("skipped: python3 is not installed, so there is no terminal");
    }
    let home = with_long_addresses();
    for (arguments, coloured, wanted) in [
        (&["bounces", "list"][..], true, "recipient_unknown"),
        (&["bounces", "show", "1"], true, "there is nobody"),
        (&["suppressions", "list"], true, "hard"),
        (&["suppressions", "show", ADDRESS], true, "nobody of that name here"),
        (&["suppressions", "check", ADDRESS, "carl@example.org"], true, "have the block lifted"),
        (&["stats"], false, "BOUNCES"),
        (&["stats", "--by", "domain"], false, "example.org"),
        (&["quarantine", "list"], true, "unsigned"),
        (&["events", "list"], true, "suppression.added"),
        (&["holds", "list"], false, "WHY (none)"),
    ] {
        let output = home.wrapped(&["python3", "-c", ON_A_TERMINAL, DSND], arguments).output().unwrap();
        let shown = text(&output.stdout);
        let plain = plain(shown);
        let words: Vec<&str> = plain.split_whitespace().collect(); // a line may end between any two
        assert!(words.join(" ").contains(wanted), "{arguments:?}: {plain}");
        for line in plain.lines() {
            assert!(textwrap::core::display_width(line) <= 80, "{arguments:?} is wider: {line:?}");
        }
        assert!(!coloured || shown.contains("\x1b["), "{arguments:?} has colours: {shown:?}");
        let piped = home.run(arguments);
        assert!(!piped.stdout.is_empty() && !piped.stdout.contains(&0x1b), "{arguments:?}: {piped:?}");
    }
    let piped = home.run(&["suppressions", "show", ADDRESS]);
    let whole = format!("<{ADDRESS}>: Recipient address rejected: there is nobody of that name here");
    assert!(text(&piped.stdout).lines().any(|line| line.contains(&whole)), "whole in a pipe: {piped:?}");
}
