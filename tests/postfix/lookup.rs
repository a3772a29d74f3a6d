//! Postfix asks before it takes a message, as the README configures it.

use crate::common::{Client, Database, Home, readme_block, wait_for};
use crate::instance::{Installed, Postfix};
use crate::remote::remote_host;

#[test]
fn who_bounced_is_refused_at_the_next_submission() {
    let Some(installed) = Installed::find() else { return };
    let home = Home::new().without("RETURN_PATH_TRUST_UNSIGNED").with("LOOKUP_LISTEN", "127.0.0.1:0");
    let keys = home.path().join("keys").display().to_string();
    assert!(home.run(&["return-path", "keygen", "--output", &keys]).status.success());
    let home = home.with("RETURN_PATH_KEYS_FILE", &keys);
    let daemon = home.start();
    let lookups = wait_for("the listener for lookups", || {
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("accepting lookups"))?;
        let entry: serde_json::Value = serde_json::from_str(line).ok()?;
        entry["address"].as_str().map(str::to_owned)
    });
    let dsnd = format!("smtp:[127.0.0.1]:{}", daemon.address().port());
    let restrictions = readme_block("smtpd_recipient_restrictions").replace("127.0.0.1:2527", &lookups);
    let postfix = Postfix::start_with(&installed, remote_host(), &dsnd, "", &restrictions);

    // Sent, bounced by the remote host, proven, suppressed.
    let dead = "nobody@example.net";
    let minted = home.run(&["return-path", "mint", dead]);
    let return_path = String::from_utf8(minted.stdout).unwrap().trim_end().to_owned();
    postfix.submit("first", &return_path, &[(dead, "")]);
    wait_for("the suppression", || {
        postfix.assert_runs();
        (home.run(&["suppressions", "check", dead]).status.code() == Some(1)).then_some(())
    });

    // The next one is refused at RCPT, for that recipient alone, in any spelling.
    let mut client = Client::connect_unix(&postfix.inlet()).unwrap();
    let rcpt = |client: &mut Client, address: &str| client.command(&format!("RCPT TO:<{address}>")).unwrap();
    assert_eq!(client.command(&format!("MAIL FROM:<{return_path}>")).unwrap().code, 250);
    for address in [dead, "NoBody@EXAMPLE.net"] {
        let reply = rcpt(&mut client, address);
        assert!(reply.code == 550 && reply.text.contains("5.7.1 "), "{reply:?}");
        let told = "Recipient address rejected: suppressed by dsnd: recipient_unknown 5.1.1, since 20";
        assert!(reply.text.contains(told), "{reply:?}");
    }
    for address in ["fine@example.net", "nobody+tag@example.net", "\"no body\"@example.net"] {
        assert_eq!(rcpt(&mut client, address).code, 250, "{address}");
    }
    assert!(home.run(&["suppressions", "add", "\"no body\"@example.net"]).status.success());
    assert_eq!(rcpt(&mut client, "\"no body\"@example.net").code, 550, "Postfix asks without the quotes");

    // While the list cannot be read, and while nobody answers, senders are asked to come back.
    let mut database = Database::write(&home.database());
    database.run("ALTER TABLE suppressions RENAME TO elsewhere");
    let reply = rcpt(&mut client, "fine@example.net");
    assert!(reply.starts_with("451 4.3.5 "), "as the README says: {reply:?}");
    database.run("ALTER TABLE elsewhere RENAME TO suppressions");
    assert_eq!(rcpt(&mut client, "fine@example.net").code, 250);
    drop(database);
    daemon.stop();
    let reply = rcpt(&mut client, "fine@example.net");
    assert!(reply.starts_with("451 4.3.5 "), "{reply:?}");
    let home = home.with("LOOKUP_LISTEN", &lookups);
    let daemon = home.start();
    wait_for("lookups again", || (rcpt(&mut client, "fine@example.net").code == 250).then_some(()));
    daemon.stop();
}
