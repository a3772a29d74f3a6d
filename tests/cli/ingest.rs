//! `dsnd ingest`: a message from an MTA's pipe, and the exit status that tells the MTA what became of it.

use std::io::Write;
use std::process::{Output, Stdio};

use super::{status, text};
use crate::common::{Database, Home, OUR_ADDRESS, hard_bounce};

/// Pipes octets into the program, with variables of the environment as an MTA sets them.
fn piped(home: &Home, arguments: &[&str], variables: &[(&str, &str)], octets: &[u8]) -> Output {
    let mut command = home.command(&[&["ingest"], arguments].concat());
    for name in ["RECIPIENT", "ORIGINAL_RECIPIENT", "SENDER"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(octets).expect("it reads all that it is given");
    child.wait_with_output().unwrap()
}

/// It took the message, and said nothing.
fn taken(output: &Output) {
    assert_eq!((status(output), text(&output.stdout), text(&output.stderr)), (0, "", ""), "{output:?}");
}

/// It ended with a status, and one line on standard error that holds these words.
fn refused(output: &Output, code: i32, words: &str) {
    let line = text(&output.stderr).trim_end();
    assert_eq!((status(output), text(&output.stdout)), (code, ""), "{output:?}");
    assert!(line.starts_with("dsnd: ") && !line.contains('\n') && line.contains(words), "{words}: {line}");
}

fn with_unix_line_ends(message: &[u8]) -> Vec<u8> {
    message.iter().copied().filter(|octet| *octet != b'\r').collect()
}

#[test]
fn a_bounce_comes_in_once_and_the_address_is_suppressed() {
    let home = Home::new();
    let message = with_unix_line_ends(&hard_bounce("piped", "dead@example.net"));
    let arguments = ["--return-path", OUR_ADDRESS, "--sender", ""];
    taken(&piped(&home, &arguments, &[], &message));
    assert_eq!(status(&home.run(&["suppressions", "check", "dead@example.net"])), 1);
    taken(&piped(&home, &arguments, &[], &message));
    let bounces = home.json(&["bounces", "list", "--json"]);
    assert_eq!(bounces.len(), 1, "the same message again changes nothing");
    assert_eq!(
        [&bounces[0]["peer"], &bounces[0]["reverse_path"], &bounces[0]["return_paths"][0]],
        ["pipe", "", OUR_ADDRESS],
        "{}",
        bounces[0]
    );
    assert!(bounces[0]["defects"].as_array().is_none_or(Vec::is_empty), "LF is what a pipe has");

    let daemon = home.start();
    let reply = daemon.connect().send(&hard_bounce("piped", "dead@example.net")).unwrap();
    assert!(reply.starts_with("250 2.6.0 Duplicate"), "by SMTP it is the same message: {reply:?}");
    taken(&piped(&home, &arguments, &[], &hard_bounce("beside", "beside@example.net")));
    assert_eq!(daemon.connect().send(&hard_bounce("after", "after@example.net")).unwrap().code, 250);
    daemon.stop();
    assert_eq!(
        home.json(&["bounces", "list", "--json"]).len(),
        3,
        "the daemon and the pipe write side by side"
    );
}

#[test]
fn many_pipes_and_the_daemon_write_at_once() {
    let home = Home::new();
    let daemon = home.start();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (home, daemon) = (&home, &daemon);
            scope.spawn(move || {
                let message = hard_bounce(&format!("p{number}"), &format!("p{number}@example.net"));
                taken(&piped(home, &["--return-path", OUR_ADDRESS], &[], &message));
            });
            scope.spawn(move || {
                let message = hard_bounce(&format!("s{number}"), &format!("s{number}@example.net"));
                assert_eq!(daemon.connect().send(&message).unwrap().code, 250);
            });
        }
    });
    daemon.stop();
    assert_eq!(home.json(&["suppressions", "list", "--json"]).len(), 16);
    assert_eq!(Database::read(&home.database()).integrity(), "ok");
}

#[test]
fn the_return_path_is_judged_as_rcpt_does_it() {
    let home = Home::new().with("RETURN_PATH_LOCAL_PARTS", "bounces");
    let message = hard_bounce("one", "one@example.net");
    let to = |address: &str| piped(&home, &["--return-path", address], &[], &message);
    refused(&to("nobody@bounces.example.com"), 67, "550 5.1.1");
    refused(&to("bounces@example.org"), 77, "550 5.7.1 Relaying denied");
    refused(&to("no address"), 64, "is no address");
    refused(&to(""), 64, "is no address");
    refused(&piped(&home, &[], &[], &message), 64, "--return-path");
    assert!(!home.database().exists(), "nothing was opened for what is not taken");
    taken(&piped(&home, &["--return-path", "nobody@bounces.example.com", OUR_ADDRESS], &[], &message));
    let bounces = home.json(&["bounces", "list", "--json"]);
    assert_eq!(bounces[0]["return_paths"].as_array().unwrap().len(), 1, "the one that is taken");

    let home = home.with("RETURN_PATH_KEYS", &format!("1 {}", "00".repeat(32)));
    let forged = "b-cfisuaaaa5xt7k5mdvzcfggtayydbom2@bounces.example.com";
    refused(&piped(&home, &["--return-path", forged], &[], &message), 77, "550 5.7.1");
}

#[test]
fn the_environment_of_a_local_delivery_says_what_the_arguments_do_not() {
    let home = Home::new();
    for (id, variables) in [
        ("one", &[("RECIPIENT", OUR_ADDRESS), ("SENDER", "MAILER-DAEMON")][..]),
        ("two", &[("RECIPIENT", "dsnd@localhost"), ("ORIGINAL_RECIPIENT", OUR_ADDRESS), ("SENDER", "")]),
        ("bare", &[("RECIPIENT", "a b@bounces.example.com")]),
        ("three", &[("RECIPIENT", OUR_ADDRESS), ("ORIGINAL_RECIPIENT", "old@example.org")]),
    ] {
        taken(&piped(&home, &[], variables, &hard_bounce(id, "dead@example.net")));
    }
    let quoted = "\"a b\"@bounces.example.com"; // as the environment of Exim has it without quotes
    let bounces = home.json(&["bounces", "list", "--json"]);
    for (bounce, address) in bounces.iter().zip([OUR_ADDRESS, quoted, OUR_ADDRESS, OUR_ADDRESS]) {
        assert_eq!([&bounce["reverse_path"], &bounce["return_paths"][0]], ["", address], "{bounce}");
    }
    let elsewhere = [("RECIPIENT", "a@example.org")];
    refused(&piped(&home, &[], &elsewhere, b""), 77, "a@example.org: 550 5.7.1");
    let named =
        piped(&home, &["--return-path", OUR_ADDRESS, "--sender=<x@y.example>"], &elsewhere, b"Subject: x\n");
    taken(&named);
    let bounces = home.json(&["bounces", "list", "--json"]);
    assert_eq!(bounces[0]["reverse_path"], "x@y.example", "arguments come first");
}

#[test]
fn the_largest_message_is_taken_and_one_octet_more_is_not() {
    let home = Home::new().with("SMTP_MAX_MESSAGE_SIZE", "65536");
    let mut message = b"Subject: x\n\n".to_vec();
    message.resize(65_536, b'x');
    taken(&piped(&home, &["--return-path", OUR_ADDRESS], &[], &message));
    message.resize(5_000_000, b'x');
    for size in [65_537, 5_000_000] {
        let output = piped(&home, &["--return-path", OUR_ADDRESS], &[], &message[..size]);
        refused(&output, 65, "smtp.max_message_size");
    }
}

#[test]
fn a_store_that_cannot_take_it_now_is_a_temporary_failure() {
    let home = Home::new().with("STORE_BUSY_TIMEOUT", "1");
    let message = hard_bounce("one", "one@example.net");
    taken(&piped(&home, &["--return-path", OUR_ADDRESS], &[], &hard_bounce("first", "first@example.net")));
    let mut holder = Database::write(&home.database());
    holder.run("BEGIN IMMEDIATE");
    refused(&piped(&home, &["--return-path", OUR_ADDRESS], &[], &message), 75, "database");
    holder.run("ROLLBACK");
    taken(&piped(&home, &["--return-path", OUR_ADDRESS], &[], &message));
    assert_eq!(home.json(&["bounces", "list", "--json"]).len(), 2);

    let missing = home.path().join("missing/dsnd.db");
    let home = home.with("STORE_PATH", missing.to_str().unwrap());
    refused(&piped(&home, &["--return-path", OUR_ADDRESS], &[], &message), 75, "missing/dsnd.db");
}

#[test]
fn a_wrong_call_is_final_and_a_wrong_configuration_loses_no_bounce() {
    let home = Home::new();
    for arguments in [&["--nonsense"][..], &["--return-path"], &["stray"]] {
        let output = piped(&home, arguments, &[], b"");
        assert_eq!(status(&output), 64, "{output:?}");
        assert!(!output.stderr.is_empty() && output.stdout.is_empty());
    }
    let sender = piped(&home, &["--return-path", OUR_ADDRESS, "--sender", "a\nb: c"], &[], b"");
    refused(&sender, 64, "--sender");
    let help = piped(&home, &["--help"], &[], b"");
    assert_eq!(status(&help), 0, "{help:?}");
    let home = home.with("SMTP_IDLE_TIMEOUT", "soon");
    let output = piped(&home, &["--return-path", OUR_ADDRESS], &[], b"");
    refused(&output, 75, "DSND_SMTP_IDLE_TIMEOUT");
}

#[test]
fn nothing_on_standard_input_is_no_message() {
    let home = Home::new();
    let output = home
        .command(&["ingest", "--return-path", crate::common::OUR_ADDRESS])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(65), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "dsnd: there is no message on standard input\n");
    let range = home.run(&["suppressions", "list", "--stream", "99999999"]);
    assert!(String::from_utf8_lossy(&range.stderr).contains("stream 99999999 is out of range"), "{range:?}");
}
