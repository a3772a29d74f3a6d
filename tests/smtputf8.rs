//! Mailboxes in UTF-8, the whole way: from MAIL and RCPT over the report to `suppressions check` (RFC 6531 to 6533).

mod common;

use common::{Home, OUR_DOMAIN};

/// `é` as one character, and as `e` with an accent behind it. Both look the same.
const COMPOSED: &str = "r\u{e9}gine@b\u{fc}cher.example";
const DECOMPOSED: &str = "re\u{301}gine@bu\u{308}cher.example";

/// A report about one recipient in `message/global-delivery-status`, its address with the type `utf-8`.
fn global(id: &str, recipient: &str) -> Vec<u8> {
    format!(
        "From: MAILER-DAEMON@mx.example.org\r\nTo: zo\u{eb}@{OUR_DOMAIN}\r\nSubject: Unzustellbar: \u{dc}bersicht\r\n\
         Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{id}@mx.example.org>\r\n\
         Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=global-delivery-status; boundary=\"edge\"\r\n\r\n\
         --edge\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         Your message to {recipient} could not be delivered.\r\n\r\n\
         --edge\r\nContent-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         Reporting-MTA: dns; mx.example.org\r\n\r\nFinal-Recipient: utf-8; {recipient}\r\nAction: failed\r\n\
         Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 <{recipient}>: unbekannt\r\n\r\n\
         --edge\r\nContent-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         From: zo\u{eb}@example.com\r\nTo: {recipient}\r\nSubject: \u{dc}bersicht\r\n\
         Message-ID: <original-{id}@example.com>\r\n\r\n--edge--\r\n"
    )
    .into_bytes()
}

/// Whether an address is suppressed.
fn suppressed(home: &Home, address: &str) -> bool {
    let output = home.run(&["suppressions", "check", address]);
    match output.status.code() {
        Some(code @ (0 | 1)) => code == 1,
        _ => panic!("{address}: {output:?}"),
    }
}

#[test]
fn a_mailbox_in_utf_8_is_taken_reported_suppressed_and_found() {
    let home = Home::new();
    let daemon = home.start();
    let mut client = daemon.connect();
    let mut accepted = |line: &str, code: u16| {
        let reply = client.command(line).unwrap();
        assert_eq!(reply.code, code, "{line}: {reply:?}");
    };
    accepted("MAIL FROM:<jos\u{e9}@mx.example.org> SMTPUTF8 BODY=8BITMIME", 250);
    accepted(
        &format!("RCPT TO:<zo\u{eb}@{OUR_DOMAIN}> ORCPT=utf-8;r\\x{{E9}}gine@b\\x{{FC}}cher.example"),
        250,
    );
    accepted("DATA", 354);
    assert_eq!(client.finish(&global("one", COMPOSED)).unwrap().code, 250);
    daemon.stop();

    let bounce = home.json(&["bounces", "list", "--json"]).remove(0);
    assert_eq!(
        [&bounce["kind"], &bounce["reverse_path"], &bounce["return_paths"][0]],
        ["dsn", "jos\u{e9}@mx.example.org", &format!("zo\u{eb}@{OUR_DOMAIN}")],
        "{bounce}"
    );
    let event = &bounce["recipients"][0];
    assert_eq!(
        [&event["recipient"], &event["final_recipient"], &event["class"], &event["change"]],
        [COMPOSED, COMPOSED, "recipient_unknown", "suppressed"],
        "{event}"
    );
    for same in [COMPOSED, "R\u{c9}GINE@B\u{dc}CHER.EXAMPLE", "r\u{e9}gine@xn--bcher-kva.example"] {
        assert!(suppressed(&home, same), "{same}: in either case, and with the domain in either form");
    }
    assert!(suppressed(&home, "r\u{e9}gine@bu\u{308}cher.example"), "a domain is one however it is composed");
    // A local part belongs to its host, which alone may say that two spellings are one mailbox (RFC 5321 §2.3.11).
    assert!(!suppressed(&home, DECOMPOSED), "a local part is compared as it is written");
    assert!(!suppressed(&home, "regine@b\u{fc}cher.example"), "and without its accent it is another one");
}

#[test]
fn a_decomposed_mailbox_is_found_as_it_was_reported() {
    let home = Home::new();
    let daemon = home.start();
    assert_eq!(daemon.connect().send(&global("two", DECOMPOSED)).unwrap().code, 250);
    daemon.stop();
    assert!(suppressed(&home, DECOMPOSED));
    assert!(!suppressed(&home, COMPOSED));
}

#[test]
fn a_client_that_does_not_say_smtputf8_is_taken_all_the_same() {
    let home = Home::new();
    let daemon = home.start();
    let mut client = daemon.connect();
    client.begin("jos\u{e9}@mx.example.org", &format!("zo\u{eb}@{OUR_DOMAIN}")).unwrap();
    assert_eq!(client.finish(&global("three", COMPOSED)).unwrap().code, 250);
    daemon.stop();
    assert!(suppressed(&home, COMPOSED));
}
