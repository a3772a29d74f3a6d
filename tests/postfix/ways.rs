//! The other two ways from Postfix to dsnd: LMTP, and a pipe as the README shows it.

use std::os::unix::fs::PermissionsExt;

use crate::common::{Home, OUR_ADDRESS, OUR_DOMAIN, open_to_all, readme_block, say, wait_for};
use crate::instance::{Installed, Postfix};
use crate::remote::remote_host;

/// The recipients that the remote host refuses.
const REFUSED: [(&str, &str); 2] = [("nobody@example.net", ""), ("full@example.net", "")];

#[test]
fn bounces_come_over_lmtp() {
    let Some(installed) = Installed::find() else { return };
    let home = Home::new();
    let server = home.start_lmtp();
    let dsnd = format!("lmtp:inet:[127.0.0.1]:{}", server.address().port());
    let postfix = Postfix::start(&installed, remote_host(), &dsnd, "");
    postfix.submit("lmtp", OUR_ADDRESS, &REFUSED);
    let bounce = first_bounce(&home, &postfix);
    assert_eq!([&bounce["reverse_path"], &bounce["return_paths"][0]], ["", OUR_ADDRESS], "{bounce}");
    assert_eq!(home.run(&["suppressions", "check", "nobody@example.net"]).status.code(), Some(1));
    assert_eq!(home.run(&["suppressions", "check", "full@example.net"]).status.code(), Some(0));
    let sent = wait_for("the reply to the bounce", || {
        let log = postfix.log();
        log.lines().find(|line| line.contains("/lmtp[") && line.contains("status=")).map(str::to_owned)
    });
    assert!(sent.contains("status=sent (250 2.6.0 Stored as "), "{sent}");
}

#[test]
fn bounces_come_through_a_pipe() {
    let Some(installed) = Installed::find() else { return };
    let home = Home::new();
    let (user, group) = (65_534, 65_534); // nobody
    let script = home.script(user, group);
    let service = readme_block("dsnd unix - n n - 4 pipe")
        .replace("user=dsnd", "user=nobody")
        .replace("/usr/local/bin/dsnd", script.to_str().unwrap());
    let postfix = Postfix::start(&installed, remote_host(), "dsnd:", &service);
    postfix.submit("pipe", OUR_ADDRESS, &REFUSED);
    let bounce = first_bounce(&home, &postfix);
    assert_eq!(
        [&bounce["peer"], &bounce["reverse_path"], &bounce["return_paths"][0]],
        ["pipe", "", OUR_ADDRESS],
        "{bounce}"
    );
    assert_eq!(home.run(&["suppressions", "check", "nobody@example.net"]).status.code(), Some(1));

    // What dsnd refuses for ever Postfix does not try again; it says why.
    let relayed = format!("stranger@sub.{OUR_DOMAIN}");
    postfix.submit("stranger", OUR_ADDRESS, &[(&relayed, "")]);
    let refused = wait_for("what Postfix makes of a refusal", || {
        let log = postfix.log();
        log.lines().find(|line| line.contains(&relayed) && line.contains("status=")).map(str::to_owned)
    });
    assert!(refused.contains("dsn=5.7.0, status=bounced"), "{refused}");
    assert!(refused.contains("550 5.7.1 Relaying denied"), "{refused}");
}

/// The first bounce that is there.
fn first_bounce(home: &Home, postfix: &Postfix) -> serde_json::Value {
    wait_for("a bounce from Postfix", || {
        postfix.assert_runs();
        let output = home.run(&["bounces", "list", "--json"]);
        crate::common::json_lines(&output.stdout).into_iter().next()
    })
}

/// Stands for `sendmail`, which takes no configuration of a test: `-G -i -f RETURN-PATH -- RECIPIENT`.
const SENDMAIL: &str = r#"#!/usr/bin/env python3
import os, smtplib, socket, sys

class Inlet(smtplib.SMTP):
    def _get_socket(self, *_):
        inlet = socket.socket(socket.AF_UNIX)
        inlet.connect(open(os.path.join(os.path.dirname(__file__), "inlet")).read())
        return inlet

assert sys.argv[1:4] == ["-G", "-i", "-f"] and sys.argv[5] == "--", sys.argv
Inlet("localhost").sendmail(sys.argv[4], sys.argv[6:], sys.stdin.buffer.read())
"#;

#[test]
fn postfix_signs_for_programs_that_cannot() {
    let Some(installed) = Installed::find() else { return };
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return say("SKIPPED: Postfix signs for programs, since python3 is not installed");
    }
    let (user, group) = (65_534, 65_534); // nobody
    let home = Home::new().without("RETURN_PATH_TRUST_UNSIGNED");
    let keys = home.path().join("keys").display().to_string();
    assert!(home.run(&["return-path", "keygen", "--output", &keys]).status.success());
    std::os::unix::fs::chown(&keys, Some(user), Some(group)).unwrap();
    let home = home.with("RETURN_PATH_KEYS_FILE", &keys);
    let daemon = home.start();
    let script = home.script(user, group);
    let sendmail = home.file("sendmail", SENDMAIL.as_bytes());
    open_to_all(&sendmail);
    let service = readme_block("sign unix - n n - 4 pipe")
        .replace("user=dsnd", "user=nobody")
        .replace("/usr/local/bin/dsnd", script.to_str().unwrap())
        .replace("exec sendmail", &format!("exec {}", sendmail.display()));
    let remote = remote_host();
    let more = format!(
        "{}default_transport = smtp:[127.0.0.1]:{}\ntransport_maps = inline:{{ {{ {OUR_DOMAIN} = smtp:[127.0.0.1]:{} }} }}\n",
        readme_block("sender_dependent_default_transport_maps").replace("shop.example", "example.com"),
        remote.port(),
        daemon.address().port(),
    );
    let postfix = Postfix::start_with(&installed, remote, "discard:", &service, &more);
    home.file("inlet", postfix.inlet().to_str().unwrap().as_bytes());
    std::fs::set_permissions(postfix.inlet().parent().unwrap(), PermissionsExt::from_mode(0o711)).unwrap();
    postfix.submit("signed", "news@example.com", &REFUSED);
    let bounces = wait_for("a bounce of each", || {
        postfix.assert_runs();
        let bounces = home.json(&["bounces", "list", "--json"]);
        (bounces.len() == REFUSED.len()).then_some(bounces)
    });
    for bounce in bounces {
        assert!(bounce["return_paths"][0].as_str().unwrap().starts_with("b-"), "{bounce}");
        assert_eq!(bounce["recipients"][0]["trust"], "proven", "{bounce}");
    }
    assert_eq!(home.run(&["suppressions", "check", "nobody@example.net"]).status.code(), Some(1));
}
