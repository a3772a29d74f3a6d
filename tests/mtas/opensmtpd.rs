//! OpenSMTPD, in a root of its own.
//!
//! Its spool, its socket and its helpers have fixed places, and it wants users of its own: so it runs under chroot in the
//! test's home, with what it needs copied there. It takes a message as a local program hands it over, and delivers it.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::common::{DSND, Home, OUR_ADDRESS, hard_bounce, readme_block, say, wait_for};
use super::{arrived, find, shown};

/// The users that it asks for, and the one that dsnd runs as. Nobody outside knows them.
const USERS: &str = "root:x:0:0::/:/bin/sh\nopensmtpd:x:991:991::/var/lib/opensmtpd/empty:/bin/false\n\
                     opensmtpq:x:992:992::/var/lib/opensmtpd/empty:/bin/false\ndsnd:x:993:993::/home/dsnd:/bin/sh\n";
const GROUPS: &str = "root:x:0:\nopensmtpd:x:991:\nopensmtpq:x:992:\ndsnd:x:993:\n";
const QUEUE_GROUP: u32 = 992;
const DSND_USER: u32 = 993;

struct OpenSmtpd {
    child: Child,
    root: PathBuf,
}

impl OpenSmtpd {
    /// Starts it in a home with a configuration; `None`, and a message, where it cannot run.
    fn start(home: &Home, configuration: &str) -> Option<Self> {
        let missing = |why: &str| {
            say(&format!("SKIPPED: what OpenSMTPD hands over, since {why}"));
            None
        };
        let Some(smtpd) = find("smtpd") else { return missing("it is not installed") };
        let root = home.path().to_owned();
        if let Err(why) = lay_out(&root, &smtpd) {
            return missing(&why);
        }
        std::fs::write(root.join("etc/smtpd.conf"), configuration).unwrap();
        let log = std::fs::File::create(root.join("smtpd.log")).unwrap();
        let child = chrooted(&root, &["/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut started = Self { child, root };
        wait_for("OpenSMTPD's socket", || {
            let ended = started.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", started.log());
            started.root.join("var/run/smtpd.sock").exists().then_some(())
        });
        Some(started)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.root.join("smtpd.log")).unwrap_or_default()
    }

    /// Hands it a message to our address and waits for what became of it: its log since then.
    fn deliver(&self, message: &[u8]) -> String {
        let before = self.log().len();
        let mut sendmail = chrooted(&self.root, &["/usr/sbin/sendmail", "-f", "<>", "--", OUR_ADDRESS])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let message = String::from_utf8_lossy(message).replace("\r\n", "\n");
        sendmail.stdin.take().unwrap().write_all(message.as_bytes()).unwrap();
        assert!(sendmail.wait().unwrap().success(), "{}", self.log());
        wait_for("the delivery", || {
            Some(self.log()[before..].to_owned()).filter(|log| log.contains(" result="))
        })
    }
}

impl Drop for OpenSmtpd {
    fn drop(&mut self) {
        // The first process ends the others.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn chrooted(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("chroot");
    command
        .arg(root)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/");
    command
}

fn lay_out(root: &Path, smtpd: &Path) -> Result<(), String> {
    let shell = Path::new("/bin/sh");
    let usr = smtpd.ancestors().nth(2).unwrap_or(Path::new("/usr"));
    let helpers = usr.join("libexec/opensmtpd");
    for folder in
        ["etc", "dev", "bin", "usr/sbin", "usr/libexec/opensmtpd", "var/run", "var/lib/opensmtpd/empty"]
    {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    super::common::open_to_all(root);
    for (name, mode, owner) in [("var/spool/smtpd", 0o711, 0), ("home/dsnd", 0o755, DSND_USER)] {
        let folder = root.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
        chown(&folder, Some(owner), Some(owner)).map_err(|_| "only root can run it")?;
    }
    for (name, text) in [
        ("passwd", USERS),
        ("group", GROUPS),
        ("mailname", "mta.example.com\n"),
        ("hosts", "127.0.0.1 localhost\n"),
        ("resolv.conf", ""),
    ] {
        std::fs::write(root.join("etc").join(name), text).unwrap();
    }
    let null = Command::new("mknod").arg(root.join("dev/null")).args(["c", "1", "3"]).output();
    if !null.is_ok_and(|output| output.status.success()) {
        return Err("no device can be made here (CAP_MKNOD)".to_owned());
    }
    std::fs::set_permissions(root.join("dev/null"), std::fs::Permissions::from_mode(0o666)).unwrap();

    let control = smtpd.with_file_name("smtpctl");
    let mut programs = vec![smtpd.to_owned(), control.clone(), shell.to_owned(), PathBuf::from(DSND)];
    for helper in std::fs::read_dir(&helpers).map_err(|error| format!("{}: {error}", helpers.display()))? {
        programs.push(helper.unwrap().path());
    }
    for library in programs.iter().flat_map(|program| libraries(program)) {
        copy(&library, &root.join(library.strip_prefix("/").unwrap()));
    }
    copy(shell, &root.join("bin/sh"));
    copy(smtpd, &root.join("usr/sbin/smtpd"));
    for helper in &programs[4..] {
        copy(helper, &root.join("usr/libexec/opensmtpd").join(helper.file_name().unwrap()));
    }
    let queue = root.join("usr/sbin/smtpctl");
    copy(&control, &queue);
    chown(&queue, Some(0), Some(QUEUE_GROUP)).unwrap();
    std::fs::set_permissions(&queue, std::fs::Permissions::from_mode(0o2755)).unwrap();
    symlink("smtpctl", root.join("usr/sbin/sendmail")).unwrap();
    // Paths from outside lead to the same files inside.
    let outside = root.join(root.strip_prefix("/").unwrap());
    std::fs::create_dir_all(outside.parent().unwrap()).unwrap();
    symlink("/", outside).unwrap();
    let tried = chrooted(root, &["/bin/sh", "-c", ":"]).output();
    if tried.is_ok_and(|output| output.status.success()) {
        Ok(())
    } else {
        Err("it cannot have a root of its own here (CAP_SYS_CHROOT)".to_owned())
    }
}

/// The libraries that a program loads, and what loads them.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text.split_whitespace().filter(|word| word.starts_with('/'));
    words.map(|word| PathBuf::from(word.trim_end_matches(':'))).filter(|path| path.is_file()).collect()
}

fn copy(from: &Path, to: &Path) {
    if !to.exists() {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }
}

#[test]
fn opensmtpd_hands_bounces_over_by_smtp() {
    let home = Home::new();
    let daemon = home.start();
    let configuration = shown("action \"dsnd\" relay").replace("2525", &daemon.address().port().to_string());
    let Some(smtpd) = OpenSmtpd::start(&home, &configuration) else { return };
    let log = smtpd.deliver(&hard_bounce("opensmtpd", "dead@example.net"));
    assert!(log.contains("stat=\"250 2.6.0 Stored as "), "{log}");
    arrived(&home, &log);
    drop(smtpd);
    daemon.stop();
}

#[test]
fn opensmtpd_hands_bounces_over_by_lmtp() {
    let home = Home::new();
    let daemon = home.start_lmtp();
    let block = "table dsnd_users { \"@bounces.shop.example\" = \"dsnd\" }\naction \"dsnd\" lmtp";
    let configuration = shown(block).replace("2524", &daemon.address().port().to_string());
    let Some(smtpd) = OpenSmtpd::start(&home, &configuration) else { return };
    let log = smtpd.deliver(&hard_bounce("opensmtpd", "dead@example.net"));
    assert!(log.contains("result=Ok"), "{log}");
    arrived(&home, &log);
}

#[test]
fn opensmtpd_hands_bounces_over_by_a_pipe() {
    let home = Home::new();
    let block = "table dsnd_users { \"@bounces.shop.example\" = \"dsnd\" }\naction \"dsnd\" mda";
    let script = home.path().join("run-dsnd");
    let configuration = shown(block).replace("/usr/local/bin/dsnd", script.to_str().unwrap());
    let Some(smtpd) = OpenSmtpd::start(&home, &configuration) else { return };
    assert_eq!(home.script(DSND_USER, DSND_USER), script);
    let log = smtpd.deliver(&hard_bounce("opensmtpd", "dead@example.net"));
    assert!(log.contains("result=Ok"), "{log}");
    let bounce = arrived(&home, &log);
    assert_eq!(bounce["peer"], "pipe");

    // A configuration that somebody got wrong is mended while the bounce waits.
    let wrong =
        std::fs::read_to_string(&script).unwrap().replace("exec ", "DSND_SMTP_IDLE_TIMEOUT=soon exec ");
    std::fs::write(&script, wrong).unwrap();
    let log = smtpd.deliver(&hard_bounce("opensmtpd", "dead@example.net"));
    assert!(log.contains("result=TempFail"), "{log}");
}

#[test]
fn opensmtpd_takes_the_configurations() {
    let Some(smtpd) = find("smtpd") else {
        say("SKIPPED: the configurations for OpenSMTPD, since it is not installed");
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    for beginning in [
        "action \"dsnd\" relay",
        "table dsnd_users { \"@bounces.shop.example\" = \"dsnd\" }\naction \"dsnd\" lmtp",
        "table dsnd_users { \"@bounces.shop.example\" = \"dsnd\" }\naction \"dsnd\" mda",
    ] {
        let output = check_smtpd(&smtpd, directory.path(), &readme_block(beginning));
        assert!(output.status.success(), "{beginning}: {output:?}");
    }
    let output = check_smtpd(&smtpd, directory.path(), "action \"dsnd\" relay nonsense\n");
    assert!(!output.status.success(), "it does look: {output:?}");
}

fn check_smtpd(program: &Path, folder: &Path, configuration: &str) -> Output {
    let file = folder.join("smtpd.conf");
    std::fs::write(&file, configuration).unwrap();
    Command::new(program).arg("-n").arg("-f").arg(&file).output().unwrap()
}
