//! What comes out when nobody looks at it on a terminal.

use std::io::Read;
use std::process::Stdio;

use super::{status, text, three, with_bounces};
use crate::common::say;

#[test]
fn output_in_a_pipe_is_plain_and_tabbed() {
    let home = with_bounces();
    for arguments in [
        &["bounces", "list"][..],
        &["bounces", "show", "1"],
        &["suppressions", "list"],
        &["suppressions", "check", "dead@example.net"],
        &["explain", "three.eml"],
        &["status", "5.1.1"],
        &["check-config"],
        &["--help"],
    ] {
        home.file("three.eml", &three());
        let output = home.run(arguments);
        assert!(!output.stdout.is_empty() && !output.stdout.contains(&0x1b), "{arguments:?}: {output:?}");
    }
    let listed = home.run(&["bounces", "list"]);
    let lines: Vec<Vec<&str>> = text(&listed.stdout).lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(
        lines[0],
        [
            "id",
            "received",
            "recipient",
            "class",
            "status",
            "decision",
            "change",
            "trust",
            "stream",
            "subject"
        ]
    );
    assert_eq!(
        lines[1][2..],
        [
            "Dead@Example.net",
            "recipient_unknown",
            "5.1.1",
            "suppress",
            "suppressed",
            "unsigned",
            "",
            "Our news"
        ]
    );
    assert_eq!(lines.len(), 4, "a line a recipient");
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let home = with_bounces();
    let files = vec!["three.eml"; 400];
    home.file("three.eml", &three());
    for arguments in [[&["explain"], &files[..]].concat(), [&["explain", "--json"], &files[..]].concat()] {
        let mut child =
            home.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap(); // and nobody reads on
        let output = child.wait_with_output().unwrap();
        assert_eq!((status(&output), text(&output.stderr)), (0, ""), "{:?}", arguments[1]);
    }
}

#[test]
fn a_reader_who_has_gone_is_no_error_in_any_command() {
    let home = with_bounces();
    home.file("three.eml", &three());
    for line in [
        "bounces list",
        "bounces list --json",
        "bounces show 1",
        "bounces show 1 --raw",
        "suppressions list",
        "suppressions check dead@example.net",
        "suppressions show dead@example.net",
        "suppressions export",
        "suppressions remove --dry-run --domain example.net",
        "quarantine list",
        "holds list",
        "events list",
        "stats",
        "tokens list",
        "explain three.eml",
        "status 5.1.1",
        "replay --dry-run three.eml",
        "reclassify --dry-run",
        "generate completions bash",
        "check-config",
        "--help",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let arguments: Vec<&str> = line.split(' ').collect();
        let output = home.command(&arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((status(&output), text(&output.stderr)), (0, ""), "{line}");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else {
        say("SKIPPED: output that cannot be written, since there is no /dev/full here");
        return;
    };
    let home = with_bounces();
    let output =
        home.command(&["bounces", "list", "--json"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(status(&output), 2, "{output:?}");
    assert!(text(&output.stderr).starts_with("dsnd: "), "{output:?}");
}
