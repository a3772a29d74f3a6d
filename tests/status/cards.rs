//! What `dsnd explain` prints for a person.

use std::process::Command;

use super::unwrapped;

/// A report on two recipients, and one whose reason stands in the text for people only.
const REPORT: &str = "From: MAILER-DAEMON@relay.example\nSubject: Undelivered\nMIME-Version: 1.0\n\
    Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\n\
    It could not be delivered.\n\n--b\nContent-Type: message/delivery-status\n\n\
    Reporting-MTA: dns; relay.example\n\n\
    Final-Recipient: rfc822; ann@harbour.example\nAction: failed\nStatus: 5.0.0\n\
    Diagnostic-Code: smtp; 550 sorry, there is\n no such user here, ask somebody else\n\n\
    Final-Recipient: rfc822; bob@harbour.example\nAction: failed\nStatus: 5.2.2\n\
    Diagnostic-Code: smtp; 552 5.2.2 mailbox full\x1b[2J\n\n--b--\n";

fn explained(arguments: &[&str], colours: bool) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("report.eml");
    std::fs::write(&file, REPORT).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_dsnd"));
    command.arg("explain").arg(&file).args(arguments).env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
    if colours {
        command.env("CLICOLOR_FORCE", "1");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_card_shows_who_what_and_why_without_colours_in_a_pipe() {
    let text = explained(&["--short"], false);
    assert!(!text.contains('\x1b'), "{text:?}");
    for words in [
        "ann@harbour.example",
        "suppress (no more mail to this address)",
        "recipient_unknown",
        "failed, 5.0.0",
        "550 sorry, there is no such user here, ask somebody else",
        "bob@harbour.example",
        "mailbox_full",
    ] {
        assert!(unwrapped(&text).contains(words), "{words}: {text}");
    }
    assert!(!text.contains("Common causes"));
    assert!(
        unwrapped(&explained(&["--short", "--lang", "de"], false))
            .contains("keine Mail mehr an diese Adresse")
    );
}

#[test]
fn the_deciding_words_are_marked_where_they_stand() {
    let text = explained(&["--short"], true);
    let line = text.lines().find(|line| line.contains("somebody")).unwrap();
    for word in ["no", "such"] {
        assert!(line.contains(&format!("\x1b[43m{word}\x1b[0m")), "{word}: {line:?}");
    }
    assert!(line.ends_with("ask somebody else"), "{line:?}");
    // What the host wrote cannot steer the terminal.
    assert!(!text.contains("\x1b[2J"));
}

#[test]
fn an_explained_report_ends_with_what_its_codes_mean() {
    let text = explained(&[], false);
    assert_eq!(text.matches("\nCommon causes\n").count(), 2, "{text}");
    assert!(text.contains("5.2.2  Mailbox full"));
}
