//! The whole program: what is logged, stored and shown, and what an idle connection costs.

use std::process::{Command, Stdio};

use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::common::{Authority, Daemon, Home, client_config, hard_bounce, json_lines, put, say, wait_for};

/// A home whose daemon has a certificate of this authority.
fn home(authority: &Authority) -> Home {
    let home = Home::new();
    let (certificate, key) = authority.issue().write(home.path());
    home.with("TLS_CERTIFICATE", &certificate.display().to_string())
        .with("TLS_KEY", &key.display().to_string())
}

#[test]
fn version_and_cipher_suite_are_logged_stored_and_shown() {
    let authority = Authority::new();
    let home = home(&authority);
    let daemon = home.start();
    let (mut client, _) = daemon.connect().starttls(&client_config(&authority, &[&TLS13])).unwrap();
    client.command("EHLO client.example").unwrap();
    assert_eq!(client.send(&hard_bounce("one", "dead@example.net")).unwrap().code, 250);
    assert_eq!(daemon.connect().send(&hard_bounce("two", "dead@example.net")).unwrap().code, 250);
    for _ in 0..3 {
        let mut garbage = daemon.connect();
        assert_eq!(garbage.command("STARTTLS").unwrap().code, 220);
        garbage.write(b"EHLO again\r\n").unwrap();
        garbage.rest();
    }

    let bounce = &home.json(&["bounces", "show", "1", "--json"])[0];
    assert_eq!(bounce["protocol"], "ESMTPS");
    let tls = bounce["tls"].as_str().unwrap();
    assert!(tls.starts_with("TLSv1.3 TLS_"), "{tls}");
    let shown = String::from_utf8(home.run(&["bounces", "show", "1"]).stdout).unwrap();
    assert!(shown.lines().any(|line| line.ends_with(&format!(" ESMTPS, {tls}"))), "{shown}");
    let plain = &home.json(&["bounces", "show", "2", "--json"])[0];
    assert!(plain["protocol"] == "ESMTP" && plain["tls"].is_null(), "{plain}");

    let log = daemon.stop();
    let entries = json_lines(log.as_bytes());
    let decided: Vec<_> = entries.iter().filter(|entry| entry["message"] == "decided").collect();
    assert_eq!(decided[0]["spans"][0]["tls"], tls, "{}", decided[0]);
    assert!(decided[1]["spans"][0]["tls"].is_null(), "{}", decided[1]);
    let failed: Vec<_> = entries.iter().filter(|entry| entry["message"] == "TLS handshakes failed").collect();
    let [failed] = failed[..] else { panic!("one line a minute: {failed:?}") };
    assert_eq!(failed["level"], "INFO");
    assert!(failed["last"].as_str().is_some_and(|why| !why.is_empty()), "{failed}");
}

#[test]
fn a_renewed_certificate_is_taken_up_without_a_restart() {
    let authority = Authority::new();
    let home = home(&authority);
    let daemon = home.start();
    let config = client_config(&authority, &[&TLS13]);
    let (mut open, _) = daemon.connect().starttls(&config).unwrap();
    let second = authority.issue();
    second.write(home.path());
    wait_for("the new certificate", || {
        let (_, agreed) = daemon.connect().starttls(&config).unwrap();
        (agreed.certificate == second.certificate).then_some(())
    });
    assert_eq!(open.command("EHLO client.example").unwrap().code, 250, "the open connection stays");
    let log = daemon.stop();
    assert!(log.contains("the certificate was read again"), "{log}");
}

#[test]
fn sighup_takes_up_another_certificate_and_keeps_the_old_one_where_the_new_one_is_broken() {
    let authority = Authority::new();
    let home = home(&authority);
    let daemon = home.start();
    let config = client_config(&authority, &[&TLS13]);
    let hangup = || {
        let kill = format!("kill -HUP {}", daemon.pid());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    };
    let shown = || daemon.connect().starttls(&config).unwrap().1.certificate;
    let first = shown();
    put(home.path(), "key.pem", "no key", 0o600);
    hangup();
    wait_for("a word about it", || {
        let log = daemon.log();
        let said = |line: &&str| line.contains("goes on holding") && line.contains("tls.key");
        log.lines().find(said).map(|_| ())
    });
    assert_eq!(shown(), first);
    let second = authority.issue();
    second.write(home.path());
    hangup();
    wait_for("the new certificate", || (shown() == second.certificate).then_some(()));
    daemon.stop();
}

#[test]
fn check_config_names_what_is_wrong_with_the_certificate() {
    let authority = Authority::new();
    let home = home(&authority);
    let problem = |what: &str| {
        let output = home.run(&["check-config"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{what}: {said}");
        assert_eq!(said.lines().count(), 1, "{what}: {said}");
        said
    };
    assert_eq!(home.run(&["check-config"]).status.code(), Some(0));
    let other = authority.issue();
    put(home.path(), "key.pem", &other.key, 0o600);
    assert!(problem("another key").starts_with("dsnd: tls.key: the key in "));
    put(home.path(), "key.pem", &other.key, 0o604);
    assert!(problem("a key for all").contains("chmod 640"));
    put(home.path(), "key.pem", &other.chain, 0o600);
    assert!(problem("no key").contains("there is no private key"));
    // The daemon does not start with it.
    let output = home.run(&["serve"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    assert!(said.lines().last().unwrap().ends_with("/key.pem (tls.key)"), "{said}");
    std::fs::remove_file(home.path().join("key.pem")).unwrap();
    assert!(problem("no file").contains("tls.key: cannot read "));
    other.write(home.path());
    put(home.path(), "cert.pem", &other.key, 0o644);
    assert!(problem("no certificate").contains("tls.certificate: there is no certificate"));
    put(home.path(), "cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0o644);
    assert!(problem("a bad certificate").contains("tls.certificate: a certificate in "));

    // Asking the list needs no certificate.
    let asked = home.run(&["suppressions", "check", "a@example.net"]);
    let said = String::from_utf8(asked.stderr).unwrap();
    assert!(said.contains("there is no database"), "{said}");

    // One out of its time is used, and the log says so.
    let old = authority.issue_with(|params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    });
    old.write(home.path());
    assert_eq!(home.run(&["check-config"]).status.code(), Some(0));
    let log = home.start().stop();
    let warning =
        json_lines(log.as_bytes()).into_iter().find(|entry| entry["level"] == "WARN").expect("a warning");
    assert_eq!(warning["message"], "the certificate has expired");
    assert_eq!(warning["not_after"], "2020-02-01T00:00:00Z");
}

/// RSA keys in the forms that OpenSSL has written over the years.
#[test]
fn keys_come_in_pkcs_8_pkcs_1_and_sec_1() {
    let home = Home::new();
    let openssl = |arguments: &[&str]| {
        let run = Command::new("openssl")
            .args(arguments)
            .current_dir(home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        run.is_ok_and(|status| status.success())
    };
    if !openssl(&["version"]) {
        return say("skipped: openssl is not installed");
    }
    let forms: [(&str, &[&str], &str); 3] = [
        ("RSA PRIVATE KEY", &["genrsa", "-traditional", "-out", "key.pem", "2048"], "PKCS#1"),
        (
            "EC PRIVATE KEY",
            &["ecparam", "-genkey", "-noout", "-name", "prime256v1", "-out", "key.pem"],
            "SEC1",
        ),
        ("PRIVATE KEY", &["genpkey", "-algorithm", "ed25519", "-out", "key.pem"], "PKCS#8"),
    ];
    for (heading, generate, form) in forms {
        assert!(openssl(generate), "{form}");
        let key = std::fs::read_to_string(home.path().join("key.pem")).unwrap();
        assert!(key.contains(&format!("BEGIN {heading}-")), "{form}: {key}");
        let request =
            ["req", "-x509", "-new", "-key", "key.pem", "-subj", "/CN=localhost", "-out", "cert.pem"];
        assert!(openssl(&request), "{form}");
        put(home.path(), "key.pem", &key, 0o600);
        let mut check = home.command(&["check-config"]);
        check.env("DSND_TLS_CERTIFICATE", "cert.pem").env("DSND_TLS_KEY", "key.pem");
        let output = check.output().unwrap();
        assert!(output.status.success(), "{form}: {output:?}");
    }
}

/// Memory that the daemon holds now, in bytes.
fn resident(daemon: &Daemon) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

#[test]
fn an_idle_connection_under_tls_holds_less_than_32_kib() {
    const CONNECTIONS: usize = 300;
    let authority = Authority::new();
    let home = home(&authority);
    for version in [&TLS12, &TLS13] {
        let daemon = home.start();
        let config = client_config(&authority, &[version]);
        let mut open = Vec::new();
        let mut before = None;
        for number in 0..50 + CONNECTIONS {
            if number == 50 {
                before = resident(&daemon); // what the first ones cost is paid once
            }
            let (mut client, _) = daemon.connect().starttls(&config).unwrap();
            client.command("EHLO client.example").unwrap();
            open.push(client);
        }
        let (Some(before), Some(after)) = (before, resident(&daemon)) else {
            return say("skipped: the system does not tell how much memory a process has");
        };
        let each = after.saturating_sub(before) / CONNECTIONS as u64;
        say(&format!("an idle connection under {:?} holds {each} octets", version.version));
        assert!(each < 32 * 1024, "{each} octets");
    }
}
