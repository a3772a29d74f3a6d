//! A real MTA: Postfix gets mail that it cannot deliver, and returns its own reports to dsnd over SMTP.
//!
//! The instance is the test's own, with its own configuration and queue, and shares nothing with one that the
//! machine may run. It needs Postfix installed (Debian: `postfix`) and root, since Postfix starts its parts under
//! users of their own.

#[path = "../common/mod.rs"]
mod common;
mod instance;
mod lookup;
mod remote;
mod ways;

use std::collections::BTreeMap;

use common::{Authority, Home, wait_for};
use instance::{Installed, Postfix};
use remote::{FORWARDS, REPLIES, remote_host};
use serde_json::Value;

#[test]
fn the_reports_of_a_real_postfix_end_in_the_right_answers() {
    let Some(installed) = Installed::find() else { return };
    // Nothing counts but what is proven. Postfix takes what is offered: STARTTLS, with a certificate that it cannot check.
    let home = Home::new().without("RETURN_PATH_TRUST_UNSIGNED");
    let (certificate, key) = Authority::new().issue().write(home.path());
    let keys = home.path().join("keys").display().to_string();
    assert!(home.run(&["return-path", "keygen", "--output", &keys]).status.success());
    let home = home
        .with("RETURN_PATH_KEYS_FILE", &keys)
        .with("TLS_CERTIFICATE", &certificate.display().to_string())
        .with("TLS_KEY", &key.display().to_string());
    let minted = |recipient: &str, spelling: &[&str]| {
        let minted = home.run(&[&["return-path", "mint", "--stream", "7", recipient], spelling].concat());
        String::from_utf8(minted.stdout).unwrap().trim_end().to_owned()
    };
    let readable = ["--readable"];
    let daemon = home.start();
    let remote = remote_host();
    let dsnd = format!("smtp:[127.0.0.1]:{}", daemon.address().port());
    let postfix = Postfix::start(&installed, remote, &dsnd, "");

    // Every message from a return path of its own, in either spelling.
    let mailed = ["nobody", "edge", "full", "blocked", "fine", "alias", "alias2"]
        .map(|name| format!("{name}@example.net"));
    let mut return_paths = BTreeMap::new();
    for (number, recipient) in mailed.iter().enumerate() {
        let return_path = minted(recipient, &readable[..number % 2]);
        postfix.submit(recipient.split('@').next().unwrap(), &return_path, &[(recipient, "")]);
        return_paths.insert(recipient.as_str(), return_path);
    }
    let mut found = events(&home, &postfix, 6);
    assert!(found.values().all(|event| event["trust"] == "proven" && event["stream"] == 7), "{found:?}");
    let mut event = |address: &str| found.remove(address).unwrap_or_else(|| panic!("{address} is reported"));
    for (address, class, decision, change) in [
        ("nobody@example.net", "recipient_unknown", "suppress", "suppressed"),
        ("edge@example.net", "recipient_unknown", "suppress", "suppressed"),
        ("full@example.net", "mailbox_full", "count", "counted"),
        ("blocked@example.net", "sender_blocked", "sender", "none"),
    ] {
        let event = event(address);
        assert_eq!(
            [&event["class"], &event["decision"], &event["change"], &event["action"]],
            [class, decision, change, "failed"],
            "{event}"
        );
        assert_eq!(event["remote_mta"], "127.0.0.1", "{event}");
        let said = event["diagnostic_code"].as_str().unwrap();
        let reply = REPLIES.iter().find(|(to, _)| *to == address).unwrap().1;
        assert_eq!(said.split_whitespace().collect::<Vec<_>>(), reply.split_whitespace().collect::<Vec<_>>());
    }
    for (alias, forward) in FORWARDS {
        let event = event(alias);
        assert_eq!([&event["change"], &event["final_recipient"]], ["suppressed", forward], "{event}");
    }
    assert!(found.is_empty(), "the fifth was delivered, and nobody asked to be told: {found:?}");
    let bounce = home.json(&["bounces", "list", "--json", "--recipient", "nobody@example.net"]).remove(0);
    assert_eq!(
        [&bounce["kind"], &bounce["reverse_path"], &bounce["return_paths"][0]],
        ["dsn", "", &return_paths["nobody@example.net"]],
        "{bounce}"
    );
    assert_eq!(bounce["protocol"], "ESMTPS", "{bounce}");
    assert!(bounce["tls"].as_str().unwrap().starts_with("TLSv1."), "{bounce}");
    assert_eq!(
        [&bounce["reporting_mta"], &bounce["original_message_id"], &bounce["original_from"]],
        ["mta.example.com", "<nobody@example.com>", "news@example.com"],
        "{bounce}"
    );

    let suppressed = home.json(&["suppressions", "list", "--json"]);
    let suppressed: Vec<&str> = suppressed.iter().map(|entry| entry["address"].as_str().unwrap()).collect();
    let dead = ["alias2@example.net", "alias@example.net", "edge@example.net", "nobody@example.net"];
    assert_eq!(suppressed, dead, "those that we mailed, and none that it was forwarded to");
    for address in mailed.iter().map(String::as_str).chain(FORWARDS.map(|(_, forward)| forward)) {
        let checked = home.run(&["suppressions", "check", address]);
        assert_eq!(checked.status.code(), Some(i32::from(dead.contains(&address))), "{checked:?}");
    }

    // RFC 3461 §4.1: who asks for it is told of a delivery, here that a host without DSN took the message.
    let return_path = &return_paths["fine@example.net"];
    postfix.submit("two", return_path, &[("fine@example.net", " NOTIFY=SUCCESS")]);
    let event = events(&home, &postfix, 7).remove("fine@example.net").expect("its delivery is reported");
    assert_eq!(
        [&event["class"], &event["decision"], &event["action"]],
        ["delivered", "ignore", "relayed"],
        "{event}"
    );
    assert_eq!(event["trust"], "proven", "{event}");
    assert_eq!(home.json(&["suppressions", "list", "--json"]).len(), dead.len(), "still the same");
    drop(postfix);
    daemon.stop();
}

/// The recorded events by recipient, when there are so many.
fn events(home: &Home, postfix: &Postfix, count: usize) -> BTreeMap<String, Value> {
    let what = format!("{count} events from Postfix");
    wait_for(&what, || {
        postfix.assert_runs();
        let mut found = BTreeMap::new();
        for bounce in home.json(&["bounces", "list", "--json"]) {
            for event in bounce["recipients"].as_array().unwrap() {
                let recipient = event["recipient"].as_str().unwrap().to_owned();
                assert!(found.insert(recipient, event.clone()).is_none(), "each of them once: {event}");
            }
        }
        (found.len() >= count).then_some(found)
    })
}
