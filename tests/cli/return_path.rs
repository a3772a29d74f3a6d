//! `dsnd return-path keygen|mint|verify`, and `explain --return-path`.

use std::os::unix::fs::PermissionsExt;

use super::{assert_has_keys, failed, status, text};
use crate::common::{Home, OUR_DOMAIN, hard_bounce};

/// A home whose key file was made by `keygen`.
fn with_key() -> Home {
    let home = Home::new();
    let file = home.path().join("keys").display().to_string();
    let made = home.run(&["return-path", "keygen", "--output", &file]);
    assert_eq!(status(&made), 0, "{made:?}");
    home.with("RETURN_PATH_KEYS_FILE", &file)
}

fn key_file(home: &Home) -> String {
    std::fs::read_to_string(home.path().join("keys")).unwrap()
}

#[test]
fn keys_are_added_to_a_file_that_only_its_owner_reads() {
    let home = with_key();
    let path = home.path().join("keys");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let file = path.to_str().unwrap();
    std::fs::write(&path, key_file(&home).trim_end()).unwrap();
    let second = home.run(&["return-path", "keygen", "--output", file]);
    let said = text(&second.stdout);
    assert!(said.contains("key 2 added") && said.contains("until `systemctl reload dsnd`"), "{second:?}");
    let keys = key_file(&home);
    let secrets: Vec<&str> = keys.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(secrets.len(), 2);
    assert!(
        secrets[0] != secrets[1] && secrets.iter().all(|secret| secret.len() == 64 && !said.contains(secret))
    );
    assert!(keys.starts_with("1 ") && keys.contains("\n2 ") && keys.ends_with('\n'));

    let taken = home.run(&["return-path", "keygen", "--output", file, "--id", "2"]);
    assert!(failed(&taken).contains("key 2 is in"), "{taken:?}");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    for arguments in
        [&["return-path", "keygen", "--output", file][..], &["return-path", "mint", "a@x.example"]]
    {
        let refused = home.run(arguments);
        assert!(failed(&refused).contains("chmod 600"), "{refused:?}");
    }
    assert_eq!(key_file(&home), keys, "left as it was");
    let printed = home.run(&["return-path", "keygen", "--id", "3"]);
    assert!(text(&printed.stdout).starts_with("3 "), "{printed:?}");
}

#[test]
fn what_is_minted_verifies_for_its_recipient_alone() {
    let home = with_key();
    let recipients = ["User@Bücher.example", "\"a b\"@example.net"];
    let minted = home.json(&["return-path", "mint", recipients[0], recipients[1], "--stream", "9", "--json"]);
    let plain = home.run(&["return-path", "mint", "--stream", "9", recipients[0], recipients[1]]);
    let lines: Vec<&str> = text(&plain.stdout).lines().collect();
    assert_eq!(lines.len(), 2);
    for ((object, line), recipient) in minted.iter().zip(&lines).zip(recipients) {
        assert_eq!((object["return_path"].as_str(), &object["stream"]), (Some(*line), &9.into()));
        assert!(line.starts_with("b-") && line.ends_with(OUR_DOMAIN), "{line}");
        for (asked, code, state) in
            [(recipient, 0, "valid"), ("other@example.net", 1, "made for another recipient")]
        {
            let verified = home.run(&["return-path", "verify", line, "--recipient", asked]);
            assert_eq!(status(&verified), code, "{verified:?}");
            assert!(text(&verified.stdout).starts_with(&format!("{line}: {state}\n")), "{verified:?}");
        }
        let verified = home.json(&["return-path", "verify", line, "--json"]).remove(0);
        assert_has_keys(
            &verified,
            &["state", "kind", "reason", "recipient", "key_id", "stream", "made", "days_left"],
        );
        assert_eq!(verified["stream"], 9);
    }
    let readable = home.run(&["return-path", "mint", "--readable", "user@example.net"]);
    let readable = text(&readable.stdout).trim_end();
    assert!(readable.contains("=user=example.net@"), "{readable}");
    assert_eq!(home.json(&["return-path", "verify", readable, "--json"])[0]["recipient"], "user@example.net");

    let other = readable.replace("=user=", "=ceo=");
    let forged = home.run(&["return-path", "verify", &other]);
    assert_eq!(status(&forged), 1);
    assert!(text(&forged.stdout).contains("refused\n  because"), "{forged:?}");
    let fixed = home.run(&["return-path", "verify", &format!("bounces@{OUR_DOMAIN}")]);
    assert_eq!(status(&fixed), 1, "taken, and no proof: {fixed:?}");
    assert!(failed(&home.run(&["return-path", "verify", "nobody"])).contains("is no address"));
    assert!(failed(&Home::new().run(&["return-path", "mint", "a@x.example"])).contains("keygen"));
}

#[test]
fn addresses_to_mint_for_come_from_standard_input_as_well() {
    let home = with_key();
    let input = home.file("addresses", b"a@example.net\n\r\n B@Example.net \r\nc@example.net");
    let mint = |input: &std::path::Path, arguments: &[&str]| {
        let mut command = home.command(&[&["return-path", "mint"], arguments].concat());
        command.stdin(std::fs::File::open(input).unwrap()).output().unwrap()
    };
    let minted = mint(&input, &["first@example.net", "-", "--json"]);
    let recipients: Vec<_> = crate::common::json_lines(&minted.stdout)
        .iter()
        .map(|minted| minted["recipient"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        recipients,
        ["first@example.net", "a@example.net", "B@Example.net", "c@example.net"],
        "{minted:?}"
    );
    let mut rest = std::fs::File::open(&input).unwrap();
    let named =
        home.command(&["return-path", "mint", "a@example.net"]).stdin(rest.try_clone().unwrap()).output();
    assert_eq!(text(&named.unwrap().stdout).lines().count(), 1);
    let mut left = String::new();
    std::io::Read::read_to_string(&mut rest, &mut left).unwrap();
    assert!(left.starts_with("a@example.net\n"), "a loop of a shell reads its own input on: {left:?}");
    let wrong = home.file("wrong", b"a@example.net\nnobody\n");
    let output = mint(&wrong, &["-"]);
    assert_eq!((status(&output), text(&output.stdout).lines().count()), (2, 1), "{output:?}");
    assert!(
        text(&output.stderr).contains("line 2 of standard input: \"nobody\" is no address"),
        "{output:?}"
    );
}

#[test]
fn keys_are_read_by_those_commands_alone_that_need_them() {
    let home = with_key();
    let daemon = home.start();
    assert!(daemon.connect().send(&hard_bounce("one", "x@forward.example")).unwrap().starts_with("250"));
    daemon.stop();
    std::fs::set_permissions(home.path().join("keys"), std::fs::Permissions::from_mode(0o644)).unwrap();
    for (arguments, code) in [
        (&["suppressions", "check", "x@forward.example"][..], 1),
        (&["suppressions", "list"], 0),
        (&["bounces", "list"], 0),
        (&["quarantine", "list"], 0),
        (&["holds", "list"], 0),
        (&["status", "5.1.1"], 0),
        (&["check-config"], 1),
        (&["serve"], 78),
        (&["return-path", "mint", "a@example.net"], 2),
    ] {
        let output = home.run(arguments);
        assert_eq!(status(&output), code, "{arguments:?}: {output:?}");
        assert_eq!(text(&output.stderr).contains("chmod 600"), code != 0 && arguments.len() < 3 || code >= 2);
    }
}

#[test]
fn explain_says_how_far_a_message_would_be_believed() {
    let home = with_key();
    let file = home.file("bounce.eml", &hard_bounce("one", "x@forward.example"));
    let file = file.to_str().unwrap();
    let minted = |recipient| {
        let output = home.run(&["return-path", "mint", recipient]);
        text(&output.stdout).trim_end().to_owned()
    };
    let fixed = format!("bounces@{OUR_DOMAIN}");
    for (return_path, recipient, trust) in [
        (&minted("list@example.net"), "list@example.net", "proven"),
        (&minted("user@example.net"), "x@forward.example", "token_only"),
        (&fixed, "x@forward.example", "unsigned"),
    ] {
        let explained = home.json(&["explain", "--json", "--return-path", return_path, file]).remove(0);
        let told = &explained["recipients"][0];
        assert_eq!((&told["recipient"], &told["trust"]), (&recipient.into(), &trust.into()));
        assert_eq!(told["final_recipient"], "x@forward.example");
        let shown = home.run(&["explain", "--return-path", return_path, file]);
        assert!(text(&shown.stdout).contains(trust), "{shown:?}");
    }
    let complaint = |mail_from: &str| {
        let message = format!(
            "From: fbl@provider.example\nMIME-Version: 1.0\nContent-Type: multipart/report; \
             report-type=feedback-report; boundary=b\n\n--b\nContent-Type: message/feedback-report\n\n\
             Feedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\nOriginal-Rcpt-To: list@example.net\n\
             Original-Mail-From: <{mail_from}>\n\n--b--\n"
        );
        let file = home.file("complaint.eml", message.as_bytes());
        home.json(&["explain", "--json", "--return-path", &fixed, file.to_str().unwrap()]).remove(0)
    };
    for (mail_from, trust) in [(minted("list@example.net"), "proven"), (fixed.clone(), "unsigned")] {
        assert_eq!(
            complaint(&mail_from)["recipients"][0]["trust"],
            trust,
            "the mail's own return path tells"
        );
    }
    let refused = home.run(&["explain", "--return-path", "b-x@bounces.example.com", file]);
    assert!(failed(&refused).contains("would be refused"), "{refused:?}");
    let unasked = &home.json(&["explain", "--json", file])[0]["recipients"][0]["trust"];
    assert_eq!(unasked, "unsigned", "a file alone proves nothing");
}
