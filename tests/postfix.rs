//! A real MTA: Postfix gets mail that it cannot deliver, and returns its own reports to dsnd over SMTP.
//!
//! The instance is the test's own, with its own configuration and queue, and shares nothing with one that the
//! machine may run. It needs Postfix installed (Debian: `postfix`) and root, since Postfix starts its parts under
//! users of their own.

mod common;

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{Client, Home, OUR_ADDRESS, OUR_DOMAIN, say, wait_for};
use serde_json::Value;
use tempfile::TempDir;

/// What the remote host says to each of the five.
const REPLIES: [(&str, &str); 5] = [
    (
        "nobody@example.net",
        "550 5.1.1 <nobody@example.net>: Recipient address rejected: User unknown in virtual mailbox table",
    ),
    (
        "edge@example.net",
        "550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [mx.example.net]",
    ),
    ("full@example.net", "552 5.2.2 <full@example.net>: Mailbox is full, quota exceeded"),
    (
        "blocked@example.net",
        "550 5.7.1 Service unavailable; client host [192.0.2.7] blocked using zen.example.org; see https://zen.example.org/q/192.0.2.7",
    ),
    ("fine@example.net", "250 2.1.5 Ok"),
];

#[test]
fn the_reports_of_a_real_postfix_end_in_the_right_answers() {
    let Some(installed) = Installed::find() else { return };
    let home = Home::new();
    let daemon = home.start();
    let remote = remote_host();
    let postfix = Postfix::start(&installed, remote, daemon.address());

    postfix.submit("one", &REPLIES.map(|(address, _)| (address, "")));
    let mut found = events(&home, &postfix, 4);
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
    assert!(found.is_empty(), "the fifth was delivered, and nobody asked to be told: {found:?}");
    let bounce = home.json(&["bounces", "list", "--json"]).remove(0);
    assert_eq!(
        [&bounce["kind"], &bounce["reverse_path"], &bounce["return_paths"][0]],
        ["dsn", "", OUR_ADDRESS],
        "{bounce}"
    );
    assert_eq!(
        [&bounce["reporting_mta"], &bounce["original_message_id"], &bounce["original_from"]],
        ["mta.example.com", "<one@example.com>", "news@example.com"],
        "{bounce}"
    );

    let suppressed = home.json(&["suppressions", "list", "--json"]);
    let suppressed: Vec<&str> = suppressed.iter().map(|entry| entry["address"].as_str().unwrap()).collect();
    assert_eq!(suppressed, ["edge@example.net", "nobody@example.net"], "the first two, and no other");
    for (address, code) in REPLIES.map(|(address, _)| address).iter().zip([1, 1, 0, 0, 0]) {
        let checked = home.run(&["suppressions", "check", address]);
        assert_eq!(checked.status.code(), Some(code), "{checked:?}");
    }

    // RFC 3461 §4.1: who asks for it is told of a delivery, here that a host without DSN took the message.
    postfix.submit("two", &[("fine@example.net", " NOTIFY=SUCCESS")]);
    let event = events(&home, &postfix, 5).remove("fine@example.net").expect("its delivery is reported");
    assert_eq!(
        [&event["class"], &event["decision"], &event["action"]],
        ["delivered", "ignore", "relayed"],
        "{event}"
    );
    assert_eq!(home.json(&["suppressions", "list", "--json"]).len(), 2, "still the first two");
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

/// The host that refuses most of its recipients. Its threads end with the test program.
fn remote_host() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer(&stream));
        }
    });
    address
}

fn answer(stream: &TcpStream) -> io::Result<()> {
    let mut writer = stream;
    let mut say = |reply: &str| writer.write_all(format!("{reply}\r\n").as_bytes());
    say("220 mx.example.net ESMTP")?;
    let mut in_data = false;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if in_data {
            in_data = line != ".";
            if !in_data {
                say("250 2.0.0 Ok: queued")?;
            }
            continue;
        }
        match line.to_ascii_uppercase().split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => say("250-mx.example.net\r\n250-ENHANCEDSTATUSCODES\r\n250 PIPELINING")?,
            "RCPT" => {
                let said = REPLIES.iter().find(|(address, _)| line.contains(address));
                say(said.map_or("550 5.7.0 nobody told me of this one", |(_, reply)| reply))?;
            }
            "DATA" => {
                in_data = true;
                say("354 End with a dot")?;
            }
            "QUIT" => return say("221 2.0.0 Bye"),
            _ => say("250 2.0.0 Ok")?,
        }
    }
    Ok(())
}

/// Where this machine keeps Postfix.
struct Installed {
    daemons: PathBuf,
    postfix: Owner,
    postdrop: Owner,
}

/// A user and a group, by number.
#[derive(Clone, Copy)]
struct Owner {
    user: u32,
    group: u32,
}

impl Installed {
    /// `None`, and a message, where the test cannot run.
    fn find() -> Option<Self> {
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
struct Postfix {
    directory: TempDir,
    master: Child,
}

impl Postfix {
    /// Lays out an instance that sends `example.net` to `remote` and our bounces to `dsnd`, and starts it.
    fn start(installed: &Installed, remote: SocketAddr, dsnd: SocketAddr) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        mode(root, 0o755);
        installed.lay_out_queue(&root.join("queue"));
        let data = root.join("data");
        std::fs::create_dir(&data).unwrap();
        give(&data, installed.postfix);
        let (remote, dsnd) =
            (format!("smtp:[127.0.0.1]:{}", remote.port()), format!("smtp:[127.0.0.1]:{}", dsnd.port()));
        std::fs::write(root.join("transport"), format!("example.net {remote}\n{OUR_DOMAIN} {dsnd}\n"))
            .unwrap();
        std::fs::write(root.join("main.cf"), main_cf(root)).unwrap();
        std::fs::write(root.join("master.cf"), MASTER_CF).unwrap();
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
    fn inlet(&self) -> PathBuf {
        self.directory.path().join("queue/public/inlet")
    }

    /// Gives it one message for recipients with their RCPT parameters.
    fn submit(&self, id: &str, recipients: &[(&str, &str)]) {
        let mut client = Client::connect_unix(&self.inlet()).unwrap();
        let mut accepted = |line: &str, code: u16| {
            let reply = client.command(line).unwrap();
            assert_eq!(reply.code, code, "{line}: {reply:?}");
        };
        accepted(&format!("MAIL FROM:<{OUR_ADDRESS}>"), 250);
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
    fn assert_runs(&self) {
        let log = self.log();
        assert!(!log.contains("fatal:") && !log.contains("panic:"), "Postfix gave up:\n{log}");
    }

    fn log(&self) -> String {
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
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
transport_maps = texthash:{root}/transport
default_transport = error:this test sends nothing elsewhere
disable_dns_lookups = yes
smtp_tls_security_level = none
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
error      unix  - - n -   - error
retry      unix  - - n -   - error
anvil      unix  - - n -   1 anvil
scache     unix  - - n -   1 scache
postlog    unix-dgram n - n - 1 postlogd
";
