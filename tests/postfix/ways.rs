//! The other two ways from Postfix to dsnd: LMTP, and a pipe as the README shows it.

use crate::common::{Home, OUR_ADDRESS, OUR_DOMAIN, readme_block, wait_for};
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
