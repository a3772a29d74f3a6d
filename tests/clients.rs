//! Programs that other people wrote send mail to the real program, in the clear and under TLS. Each is skipped where
//! it is not installed.

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{Authority, Daemon, Home, OUR_ADDRESS, hard_bounce, say};

/// A running daemon with a certificate, and a bounce in a file.
struct Place {
    daemon: Daemon,
    home: Home,
}

impl Place {
    fn new() -> Self {
        let authority = Authority::new();
        let home = Home::new();
        let (certificate, key) = authority.issue().write(home.path());
        home.file("ca.pem", authority.pem().as_bytes());
        home.file("bounce.eml", &hard_bounce("one", "dead@example.net"));
        let home = home
            .with("TLS_CERTIFICATE", &certificate.display().to_string())
            .with("TLS_KEY", &key.display().to_string());
        Self { daemon: home.start(), home }
    }

    fn port(&self) -> String {
        self.daemon.address().port().to_string()
    }

    /// Runs a client here.
    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let output = Command::new(program).args(arguments).current_dir(self.home.path()).output();
        output.unwrap_or_else(|error| panic!("{program}: {error}"))
    }

    /// Exactly one bounce came in, by this protocol, and it suppressed its recipient.
    fn assert_received(&self, output: &Output, protocol: &str) {
        let log = self.daemon.log();
        let bounces = self.home.json(&["bounces", "list", "--json"]);
        assert_eq!(bounces.len(), 1, "{output:?}\n{log}");
        assert_eq!(bounces[0]["protocol"], protocol, "{}", bounces[0]);
        assert_eq!(bounces[0]["tls"].is_string(), protocol == "ESMTPS", "{}", bounces[0]);
        assert_eq!(bounces[0]["copies"], 1);
        assert_eq!(bounces[0]["recipients"][0]["recipient"], "dead@example.net");
        let check = self.home.run(&["suppressions", "check", "dead@example.net"]);
        assert_eq!(check.status.code(), Some(1), "{check:?}");
    }
}

/// Whether a program is there and answers; says so where it is not.
fn is_there(program: &str, arguments: &[&str]) -> bool {
    let there = Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success());
    if !there {
        say(&format!("skipped: {program} is not installed"));
    }
    there
}

#[test]
fn swaks() {
    if !is_there("swaks", &["--version"]) {
        return;
    }
    let can_tls = {
        let support = Command::new("swaks").arg("--support").output().expect("swaks");
        String::from_utf8_lossy(&support.stdout).contains("TLS supported")
    };
    for (tls, protocol) in
        [(&[][..], "ESMTP"), (&["--tls", "--tls-verify", "--tls-ca-path", "ca.pem"], "ESMTPS")]
    {
        if !tls.is_empty() && !can_tls {
            say("skipped: swaks has no TLS here (Net::SSLeay)");
            continue;
        }
        let place = Place::new();
        let port = place.port();
        let mut arguments =
            vec!["--server", "localhost", "--port", &port, "--from", "<>", "--to", OUR_ADDRESS];
        arguments.extend(["--helo", "client.example", "--data", "@bounce.eml"]);
        arguments.extend(tls);
        let output = place.run("swaks", &arguments);
        assert!(output.status.success(), "{output:?}");
        place.assert_received(&output, protocol);
    }
}

#[test]
fn curl() {
    if !is_there("curl", &["--version"]) {
        return;
    }
    let features = Command::new("curl").arg("--version").output().expect("curl");
    let can_tls = String::from_utf8_lossy(&features.stdout).contains(" SSL");
    for (tls, protocol) in [(&[][..], "ESMTP"), (&["--ssl-reqd", "--cacert", "ca.pem"], "ESMTPS")] {
        if !tls.is_empty() && !can_tls {
            say("skipped: curl has no TLS here");
            continue;
        }
        let place = Place::new();
        let url = format!("smtp://localhost:{}/client.example", place.port());
        let mut arguments =
            vec!["-sS", "--noproxy", "*", "--url", &url, "--mail-from", "", "--mail-rcpt", OUR_ADDRESS];
        arguments.extend(["--upload-file", "bounce.eml"]);
        arguments.extend(tls);
        let output = place.run("curl", &arguments);
        assert!(output.status.success(), "{output:?}");
        place.assert_received(&output, protocol);
    }
}

/// Sends `bounce.eml`; with an authority to believe, under TLS.
const SMTPLIB: &str = r#"
import smtplib, ssl, sys
port, recipient, authority = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
with smtplib.SMTP("localhost", port, timeout=60) as server:
    if authority:
        server.starttls(context=ssl.create_default_context(cafile=authority[0]))
    server.sendmail("", [recipient], open("bounce.eml", "rb").read())
"#;

#[test]
fn python_smtplib() {
    if !is_there("python3", &["-c", "import smtplib, ssl"]) {
        return;
    }
    for (authority, protocol) in [(None, "ESMTP"), (Some("ca.pem"), "ESMTPS")] {
        let place = Place::new();
        let port = place.port();
        let mut arguments = vec!["-c", SMTPLIB, &port, OUR_ADDRESS];
        arguments.extend(authority);
        let output = place.run("python3", &arguments);
        assert!(output.status.success(), "{output:?}");
        place.assert_received(&output, protocol);
    }
}

/// The load generator of Postfix: many sessions at once, each message a body of its own making.
#[test]
fn postfix_smtp_source() {
    let places = ["/usr/sbin/smtp-source", "/usr/bin/smtp-source", "/usr/local/sbin/smtp-source"];
    let Some(program) = places.into_iter().find(|path| Path::new(path).exists()) else {
        return say("skipped: Postfix's smtp-source is not installed");
    };
    let place = Place::new();
    let target = format!("localhost:{}", place.port());
    let arguments = ["-s", "10", "-m", "200", "-l", "5000", "-f", "", "-t", OUR_ADDRESS, &target];
    let output = place.run(program, &arguments);
    assert!(output.status.success(), "{output:?}\n{}", place.daemon.log());
    // Every one is acknowledged: stored, or known as a copy of one that is.
    let bounces = place.home.json(&["bounces", "list", "--json", "--limit", "1000"]);
    let copies: i64 = bounces.iter().map(|bounce| bounce["copies"].as_i64().expect("a number")).sum();
    assert_eq!(copies, 200, "{}", bounces.len());
}
