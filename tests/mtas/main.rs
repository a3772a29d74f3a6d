//! The configurations of other MTAs that the README shows, read by the MTAs themselves.
//!
//! Each delivers by each of the three ways. Exim does it with a configuration and a spool of the test's own and without
//! a daemon: it needs Exim, its user `Debian-exim`, and root. OpenSMTPD needs root as well.

#[path = "../common/mod.rs"]
mod common;
mod lookup;
mod opensmtpd;

use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use common::{Home, OUR_ADDRESS, OUR_DOMAIN, hard_bounce, readme_block, say};
use tempfile::TempDir;

/// A program of a system administrator's, which need not be where an ordinary user looks.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The block that begins so, for our domain.
fn shown(beginning: &str) -> String {
    readme_block(beginning).replace("bounces.shop.example", OUR_DOMAIN)
}

struct Exim {
    program: PathBuf,
    user: u32,
    group: u32,
}

impl Exim {
    /// `None`, and a message, where the test cannot run.
    fn find() -> Option<Self> {
        let found = Self::look();
        if let Err(why) = &found {
            say(&format!("SKIPPED: what Exim hands over, since {why}"));
        }
        found.ok()
    }

    fn look() -> Result<Self, String> {
        let program = find("exim4").or_else(|| find("exim")).ok_or("it is not installed")?;
        if std::fs::metadata("/proc/self").map_err(|error| error.to_string())?.uid() != 0 {
            return Err("only root can run one".to_owned());
        }
        let id = |option: &str| {
            let output = Command::new("id").args([option, "Debian-exim"]).output();
            let text =
                String::from_utf8(output.map_err(|error| error.to_string())?.stdout).unwrap_or_default();
            text.trim().parse().map_err(|_| "there is no user Debian-exim".to_owned())
        };
        Ok(Self { program, user: id("-u")?, group: id("-g")? })
    }

    /// Delivers a message to addresses while it is waited for; what Exim logged about it.
    fn deliver(&self, router: &str, transport: &str, to: &[&str], message: &[u8]) -> String {
        let directory = self.lay_out(router, transport);
        let root = directory.path();
        let mut exim = Command::new(&self.program)
            .arg("-C")
            .arg(root.join("exim.conf"))
            .args(["-odf", "-oi", "-f", "<>", "--"])
            .args(to)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        exim.stdin.take().unwrap().write_all(message).unwrap();
        let output: Output = exim.wait_with_output().unwrap();
        let log = std::fs::read_to_string(root.join("log/main")).unwrap_or_default();
        assert!(output.status.success(), "{output:?}\n{log}");
        log
    }

    fn lay_out(&self, router: &str, transport: &str) -> TempDir {
        self.lay_out_with("", router, transport)
    }

    /// The same with more in the main part of its configuration, and what follows that.
    fn lay_out_with(&self, more: &str, router: &str, transport: &str) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        common::open_to_all(root);
        for name in ["spool", "log"] {
            std::fs::create_dir(root.join(name)).unwrap();
            chown(root.join(name), Some(self.user), Some(self.group)).unwrap();
        }
        let (program, place) = (self.program.display(), root.display());
        // Exim calls itself, and has no rights beyond its user's with a configuration of its caller's.
        let configuration = format!(
            "exim_path = {program}\nprimary_hostname = mta.example.com\nspool_directory = {place}/spool\n\
             log_file_path = {place}/log/%s\ndeliver_drop_privilege = true\nkeep_environment =\n{more}\
             begin routers\n{router}begin transports\n{transport}begin retry\n* * F,1h,1m\n"
        );
        std::fs::write(root.join("exim.conf"), configuration).unwrap();
        directory
    }
}

/// The bounce is there, once, to our address, and its recipient is suppressed.
fn arrived(home: &Home, log: &str) -> serde_json::Value {
    let output = home.run(&["bounces", "list", "--json"]);
    let mut bounces = common::json_lines(&output.stdout);
    assert_eq!(bounces.len(), 1, "{output:?}\n{log}");
    assert_eq!(home.run(&["suppressions", "check", "dead@example.net"]).status.code(), Some(1));
    let bounce = bounces.remove(0);
    assert_eq!([&bounce["reverse_path"], &bounce["return_paths"][0]], ["", OUR_ADDRESS], "{bounce}");
    bounce
}

#[test]
fn exim_hands_bounces_over_by_smtp() {
    let Some(exim) = Exim::find() else { return };
    let home = Home::new();
    let daemon = home.start();
    let transport = shown("dsnd_smtp:").replace("2525", &daemon.address().port().to_string());
    let log = exim.deliver(
        &shown("to_dsnd:"),
        &transport,
        &[OUR_ADDRESS],
        &hard_bounce("exim", "dead@example.net"),
    );
    assert!(log.contains("250 2.6.0 Stored as "), "{log}");
    assert!(log.contains(" K C="), "it was offered CHUNKING and sent BDAT: {log}");
    arrived(&home, &log);
    daemon.stop();
}

#[test]
fn exim_hands_bounces_over_by_lmtp_and_hears_of_each_recipient() {
    let Some(exim) = Exim::find() else { return };
    let home = Home::new();
    let server = home.start_lmtp();
    let transport = shown("dsnd_lmtp:").replace("2524", &server.address().port().to_string());
    let router = shown("to_dsnd:").replace("dsnd_smtp", "dsnd_lmtp");
    let second = format!("bounces+two@{OUR_DOMAIN}");
    let log =
        exim.deliver(&router, &transport, &[OUR_ADDRESS, &second], &hard_bounce("exim", "dead@example.net"));
    assert_eq!(log.matches("250 2.6.0 Stored as ").count(), 2, "{log}");
    let bounce = arrived(&home, &log);
    assert_eq!(bounce["return_paths"].as_array().unwrap().len(), 2, "{bounce}");
}

#[test]
fn exim_hands_bounces_over_by_a_pipe() {
    let Some(exim) = Exim::find() else { return };
    let home = Home::new();
    let script = home.script(exim.user, exim.group);
    let transport = shown("dsnd_pipe:")
        .replace("/usr/local/bin/dsnd", script.to_str().unwrap())
        .replace("user = dsnd", "user = Debian-exim");
    let router = shown("pipe_to_dsnd:");
    let message = hard_bounce("exim", "dead@example.net");
    let log = exim.deliver(&router, &transport, &[OUR_ADDRESS], &message);
    assert!(log.contains(" Completed"), "{log}");
    assert_eq!(arrived(&home, &log)["peer"], "pipe");

    // A configuration that somebody got wrong is mended while the bounce waits.
    let wrong =
        std::fs::read_to_string(&script).unwrap().replace("exec ", "DSND_SMTP_IDLE_TIMEOUT=soon exec ");
    std::fs::write(&script, wrong).unwrap();
    let log = exim.deliver(&router, &transport, &[OUR_ADDRESS], &message);
    assert!(log.contains("defer"), "{log}");
}
