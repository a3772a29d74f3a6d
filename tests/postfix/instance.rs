//! A Postfix of the test's own: found, laid out, started and ended.

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::common::{Client, OUR_DOMAIN, say, wait_for};
use crate::remote::FORWARDS;

/// Where this machine keeps Postfix.
pub(super) struct Installed {
    daemons: PathBuf,
    postfix: Owner,
    postdrop: Owner,
}

/// A user and a group, by number.
#[derive(Clone, Copy)]
pub(super) struct Owner {
    user: u32,
    group: u32,
}

impl Installed {
    /// `None`, and a message, where the test cannot run.
    pub(super) fn find() -> Option<Self> {
        let found = Self::look();
        if let Err(why) = &found {
            say(&format!("SKIPPED: the reports of a real Postfix, since {why}"));
        }
        found.ok()
    }

    fn look() -> Result<Self, String> {
        // Postfix lives where an ordinary user's PATH does not lead.
        let postconf = ["postconf", "/usr/sbin/postconf", "/usr/local/sbin/postconf"]
            .iter()
            .find_map(|name| Command::new(name).args(["-dh", "daemon_directory"]).output().ok())
            .ok_or("it is not installed (Debian: apt-get install postfix)")?;
        let daemons = PathBuf::from(String::from_utf8_lossy(&postconf.stdout).trim());
        if !daemons.join("master").exists() {
            return Err(format!("there is no {}", daemons.join("master").display()));
        }
        if std::fs::metadata("/proc/self").map_err(|error| error.to_string())?.uid() != 0 {
            return Err("only root can start one".to_owned());
        }
        let id = |arguments: &[&str]| {
            let output = Command::new("id").args(arguments).output().map_err(|error| error.to_string())?;
            let text = String::from_utf8_lossy(&output.stdout);
            text.trim().parse().map_err(|_| "there is no user postfix".to_owned())
        };
        let postfix = Owner { user: id(&["-u", "postfix"])?, group: id(&["-g", "postfix"])? };
        let groups = std::fs::read_to_string("/etc/group").map_err(|error| error.to_string())?;
        let postdrop =
            groups.lines().find_map(|line| line.strip_prefix("postdrop:")?.split(':').nth(1)?.parse().ok());
        let postdrop = Owner { group: postdrop.ok_or("there is no group postdrop")?, ..postfix };
        Ok(Self { daemons, postfix, postdrop })
    }
}

/// A running Postfix of our own; ended when dropped, and also when this process dies.
pub(super) struct Postfix {
    directory: TempDir,
    master: Child,
}

impl Postfix {
    /// Lays out an instance that sends `example.net` to `remote` and our bounces by the transport `dsnd`, and starts
    /// it. `service` goes into its `master.cf`.
    pub(super) fn start(installed: &Installed, remote: SocketAddr, dsnd: &str, service: &str) -> Self {
        Self::start_with(installed, remote, dsnd, service, "")
    }

    /// The same with more in its `main.cf`.
    pub(super) fn start_with(
        installed: &Installed,
        remote: SocketAddr,
        dsnd: &str,
        service: &str,
        more: &str,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        mode(root, 0o755);
        installed.lay_out_queue(&root.join("queue"));
        let data = root.join("data");
        std::fs::create_dir(&data).unwrap();
        give(&data, installed.postfix);
        let remote = format!("smtp:[127.0.0.1]:{}", remote.port());
        std::fs::write(
            root.join("transport"),
            format!("example.net {remote}\n{OUR_DOMAIN} {dsnd}\nsub.{OUR_DOMAIN} {dsnd}\n"),
        )
        .unwrap();
        std::fs::write(root.join("forwards"), FORWARDS.map(|(from, to)| format!("{from} {to}\n")).concat())
            .unwrap();
        std::fs::write(root.join("main.cf"), main_cf(root) + more).unwrap();
        std::fs::write(root.join("master.cf"), format!("{MASTER_CF}{service}\n")).unwrap();
        // The shell waits for the end of its input, which is ours: nothing survives this process.
        let watch = "\"$@\" & master=$!; read -r _; kill \"$master\"; wait \"$master\"";
        let master = Command::new("sh")
            .args(["-c", watch, "sh"])
            .arg(installed.daemons.join("master"))
            .arg("-c")
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0) // a signal to the tests as a group does not end the watch before its time
            .spawn()
            .unwrap();
        let postfix = Self { directory, master };
        drop(wait_for("Postfix to take mail", || {
            postfix.assert_runs();
            Client::connect_unix(&postfix.inlet()).ok()
        }));
        postfix
    }

    /// Where it takes mail: no port, so that none can be taken already.
    pub(super) fn inlet(&self) -> PathBuf {
        self.directory.path().join("queue/public/inlet")
    }

    /// Gives it one message from a return path for recipients with their RCPT parameters.
    pub(super) fn submit(&self, id: &str, return_path: &str, recipients: &[(&str, &str)]) {
        let mut client = Client::connect_unix(&self.inlet()).unwrap();
        let mut accepted = |line: &str, code: u16| {
            let reply = client.command(line).unwrap();
            assert_eq!(reply.code, code, "{line}: {reply:?}");
        };
        accepted(&format!("MAIL FROM:<{return_path}>"), 250);
        for (recipient, parameters) in recipients {
            accepted(&format!("RCPT TO:<{recipient}>{parameters}"), 250);
        }
        accepted("DATA", 354);
        let message = format!(
            "From: news@example.com\r\nTo: undisclosed-recipients:;\r\nSubject: Our news\r\n\
             Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{id}@example.com>\r\n\r\nHello.\r\n"
        );
        assert_eq!(client.finish(message.as_bytes()).unwrap().code, 250);
        let _ = client.command("QUIT");
    }

    /// Panics with its log when it says that it cannot go on.
    pub(super) fn assert_runs(&self) {
        let log = self.log();
        assert!(!log.contains("fatal:") && !log.contains("panic:"), "Postfix gave up:\n{log}");
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("queue/log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        drop(self.master.stdin.take());
        let _ = self.master.wait();
        if std::thread::panicking() {
            say(&format!("Postfix logged:\n{}", self.log()));
        }
    }
}

impl Installed {
    /// The queue's directories, as Postfix wants them to belong.
    fn lay_out_queue(&self, queue: &Path) {
        std::fs::create_dir(queue).unwrap();
        mode(queue, 0o755);
        for name in [
            "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
            "saved", "trace",
        ] {
            std::fs::create_dir(queue.join(name)).unwrap();
            give(&queue.join(name), self.postfix);
            mode(&queue.join(name), 0o700);
        }
        for (name, bits) in [("public", 0o710), ("maildrop", 0o730)] {
            std::fs::create_dir(queue.join(name)).unwrap();
            give(&queue.join(name), self.postdrop);
            mode(&queue.join(name), bits);
        }
        std::fs::create_dir(queue.join("pid")).unwrap();
    }
}

fn give(path: &Path, owner: Owner) {
    chown(path, Some(owner.user), Some(owner.group)).unwrap();
}

fn mode(path: &Path, bits: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(bits)).unwrap();
}

fn main_cf(root: &Path) -> String {
    let root = root.display();
    format!(
        "compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
maillog_file_prefixes = {root}
maillog_file = {root}/queue/log
myhostname = mta.example.com
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
virtual_alias_maps = texthash:{root}/forwards
virtual_alias_domains =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
transport_maps = texthash:{root}/transport
default_transport = error:this test sends nothing elsewhere
disable_dns_lookups = yes
dsnd_destination_recipient_limit = 1
smtp_tls_security_level = may
smtpd_tls_security_level = none
notify_classes =
fast_flush_domains =
# A first try that fails is not the end of it.
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 4s
"
    )
}

/// Only what this test needs; nothing in a chroot.
const MASTER_CF: &str = "
inlet      unix  n - n -   - smtpd
cleanup    unix  n - n -   0 cleanup
qmgr       unix  n - n 300 1 qmgr
rewrite    unix  - - n -   - trivial-rewrite
bounce     unix  - - n -   0 bounce
defer      unix  - - n -   0 bounce
trace      unix  - - n -   0 bounce
smtp       unix  - - n -   - smtp
lmtp       unix  - - n -   - lmtp
error      unix  - - n -   - error
retry      unix  - - n -   - error
anvil      unix  - - n -   1 anvil
scache     unix  - - n -   1 scache
tlsmgr     unix  - - n 1000? 1 tlsmgr
postlog    unix-dgram n - n - 1 postlogd
";
