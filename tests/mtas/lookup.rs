//! Exim asks before it takes a message, as the README configures it.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::Exim;
use crate::common::{Daemon, Home, readme_block, say, wait_for};

impl Exim {
    /// What it replies to RCPT for these addresses, its ACL of RCPT being `acl` and, behind that, one that accepts.
    fn replies(&self, acl: &str, recipients: &[&str]) -> Vec<String> {
        let directory =
            self.lay_out_with(&format!("acl_smtp_rcpt = asked\nbegin acl\nasked:\n{acl}accept\n"), "", "");
        let mut exim = Command::new(&self.program)
            .arg("-C")
            .arg(directory.path().join("exim.conf"))
            .arg("-bs")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = "EHLO localhost\r\nMAIL FROM:<news@example.com>\r\n".to_owned();
        for recipient in recipients {
            said += &format!("RCPT TO:<{recipient}>\r\n");
        }
        exim.stdin.take().unwrap().write_all(format!("{said}QUIT\r\n").as_bytes()).unwrap();
        let output = exim.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let replies: Vec<String> =
            text.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).map(str::to_owned).collect();
        assert_eq!(replies.len(), recipients.len() + 4, "{output:?}");
        replies[3..replies.len() - 1].to_vec()
    }
}

const DEAD: &str = "Dead@example.net";
const QUOTED: &str = "\"no body\"@example.net";

fn asking(home: &Home) -> (Daemon, String) {
    let daemon = home.start();
    let address = wait_for("the listener for lookups", || {
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("accepting lookups"))?;
        let entry: serde_json::Value = serde_json::from_str(line).ok()?;
        entry["address"].as_str().map(str::to_owned)
    });
    assert!(home.run(&["suppressions", "add", DEAD, QUOTED]).status.success());
    (daemon, address)
}

#[test]
fn exim_refuses_who_is_suppressed() {
    let Some(exim) = Exim::find() else { return };
    let home = Home::new().with("LOOKUP_LISTEN", "127.0.0.1:0");
    let (daemon, address) = asking(&home);
    let acl = readme_block("warn\n  set acl_m_asked").replace("127.0.0.1:2527", &address);
    let recipients = [DEAD, "dead@EXAMPLE.net", QUOTED, "dead+tag@example.net", "fine@example.net"];
    let replies = exim.replies(&acl, &recipients);
    for reply in &replies[..3] {
        assert!(reply.starts_with("550 5.7.1 suppressed by dsnd: manual, since 20"), "{replies:?}");
    }
    for reply in &replies[3..] {
        assert!(reply.starts_with("250 "), "{replies:?}");
    }
    daemon.stop();
    for reply in exim.replies(&acl, &recipients) {
        assert_eq!(reply, "451 4.3.0 The suppression list cannot be asked now");
    }
}

#[test]
fn exim_with_sqlite_reads_the_list_itself() {
    let Some(exim) = Exim::find() else { return };
    let built = Command::new(&exim.program).arg("-bV").output().unwrap();
    let built = String::from_utf8_lossy(&built.stdout).into_owned();
    if !built.lines().any(|line| line.starts_with("Lookups") && line.contains(" sqlite")) {
        say(
            "SKIPPED: Exim reading the list from SQLite, since it is built without that (Debian: exim4-daemon-heavy)",
        );
        return;
    }
    let home = Home::new().with("LOOKUP_LISTEN", "127.0.0.1:0");
    let (daemon, _) = asking(&home);
    let acl = readme_block("deny\n  set acl_m_why")
        .replace("/var/lib/dsnd/dsnd.db", home.database().to_str().unwrap());
    crate::common::open_to_all(home.path());
    // What it reads as its own user: the file, and what is not folded into it yet.
    for name in ["dsnd.db", "dsnd.db-wal", "dsnd.db-shm"] {
        let path = home.database().with_file_name(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let replies = exim.replies(&acl, &[DEAD, QUOTED, "fine@example.net"]);
    for reply in &replies[..2] {
        assert_eq!(reply, "550 5.7.1 suppressed by dsnd: manual");
    }
    assert!(replies[2].starts_with("250 "), "{replies:?}");
    daemon.stop();
}
