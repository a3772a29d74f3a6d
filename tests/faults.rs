//! A database that cannot be written: `451`, nothing half-written, and service by itself when the cause goes.

mod common;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Client, DSND, Daemon, Database, Home, SmallDisk, dsn, hard_bounce, say, wait_for};
use tempfile::TempDir;

/// Recipients of every bounce that fills a database: one that is there with fewer is half-written.
const RECIPIENTS: usize = 3;

/// So many refusals in a row, and the database is full: a first one may be followed by room that SQLite makes.
const REFUSALS: usize = 4;

#[test]
fn a_locked_database_is_answered_with_451_and_taken_up_again_when_it_is_released() {
    let home = Home::new().with("STORE_BUSY_TIMEOUT", "1");
    let daemon = home.start();
    let (mut first, mut second) = (daemon.connect(), daemon.connect());
    assert_eq!(first.send(&hard_bounce("before", "before@example.net")).unwrap().code, 250);

    let mut holder = Database::write(&home.database());
    holder.run("BEGIN IMMEDIATE");
    let started = Instant::now();
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| first.send(&hard_bounce("one", "one@example.net")).unwrap());
        let two = scope.spawn(|| second.send(&hard_bounce("two", "two@example.net")).unwrap());
        (one.join().unwrap(), two.join().unwrap())
    });
    let waited = started.elapsed();
    assert!(one.starts_with("451 4.3.0"), "{one:?}");
    assert!(two.starts_with("451 4.3.0"), "{two:?}");
    assert!(waited >= Duration::from_millis(900), "it waits for busy_timeout first, not {waited:?}");
    assert!(waited < Duration::from_secs(20), "and not much longer, as {waited:?}");
    let stored = home.json(&["bounces", "list", "--json"]);
    assert_eq!(stored.len(), 1, "readers are served all the while, and nothing refused is there: {stored:?}");

    holder.run("ROLLBACK");
    for (client, id) in [(&mut first, "one"), (&mut second, "two")] {
        let reply = client.send(&hard_bounce(id, &format!("{id}@example.net"))).unwrap();
        assert!(
            reply.starts_with("250 2.6.0 Stored as"),
            "the same connection, when it is released: {reply:?}"
        );
    }
    let mut late = daemon.connect();
    assert_eq!(late.send(&hard_bounce("late", "late@example.net")).unwrap().code, 250);
    daemon.stop();
    let mut database = Database::read(&home.database());
    assert_eq!(database.number("SELECT count(*) FROM messages"), 4);
    assert_eq!(database.number("SELECT count(*) FROM suppressions WHERE count = 1"), 4);
    assert_eq!(database.integrity(), "ok");
}

#[test]
fn a_bounce_is_not_acknowledged_into_a_database_that_was_deleted_or_moved_away() {
    for moved in [false, true] {
        let home = Home::new();
        let daemon = home.start();
        let mut client = daemon.connect();
        assert_eq!(client.send(&hard_bounce("one", "one@example.net")).unwrap().code, 250);
        let (path, aside) = (home.database(), home.path().join("aside.db"));
        if moved {
            std::fs::rename(&path, &aside).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
        for id in ["two", "three"] {
            let reply = client.send(&hard_bounce(id, &format!("{id}@example.net"))).unwrap();
            assert!(reply.starts_with("451 4.3.0"), "{reply:?}");
        }
        if moved {
            std::fs::rename(&aside, &path).unwrap();
            let reply = client.send(&hard_bounce("four", "four@example.net")).unwrap();
            assert_eq!(reply.code, 250, "it is back: {reply:?}");
        }
        daemon.stop();
    }
}

/// A connection that was opened while the file could not be written never writes: it has to be opened anew. (One attempt
/// in between: SQLite may find a descriptor of the time before, with which it can write.)
#[test]
fn a_database_that_was_opened_read_only_is_taken_up_again_when_it_can_be_written() {
    const NOBODY: u32 = 65_534;
    let chmod = |path: &Path, mode| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let home = Home::new();
    let mut command = if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        let script = home.script(NOBODY, NOBODY); // root may write whatever the mode is
        let user = format!("--reuid={NOBODY}");
        let group = format!("--regid={NOBODY}");
        home.wrapped(&["setpriv", &user, &group, "--clear-groups", script.to_str().unwrap()], &["serve"])
    } else {
        home.command(&["serve"])
    };
    if Command::new("setpriv").arg("--version").output().is_err() {
        return say("SKIPPED: a read-only file, since there is no setpriv");
    }
    command.env("RUST_BACKTRACE", "0");
    let daemon = Daemon::start(command);
    let mut client = daemon.connect();
    let mut send = |id: &str| client.send(&hard_bounce(id, &format!("{id}@example.net"))).unwrap();
    assert_eq!(send("one").code, 250);
    let (path, aside) = (home.database(), home.path().join("aside.db"));
    std::fs::rename(&path, &aside).unwrap();
    assert!(send("two").starts_with("451 4.3.0"));
    chmod(&aside, 0o400);
    std::fs::rename(&aside, &path).unwrap();
    let reply = send("two");
    assert!(reply.starts_with("451 4.3.0"), "{reply:?}");
    assert!(daemon.log().contains("readonly"), "{}", daemon.log());
    chmod(&path, 0o600);
    assert_eq!(send("two").code, 250, "{}", daemon.log());
    daemon.stop();
    let mut database = Database::read(&path);
    assert_eq!(database.number("SELECT count(*) FROM messages"), 2);
    assert_eq!(database.integrity(), "ok");
}

#[test]
fn a_bounce_is_not_acknowledged_into_a_database_that_was_cut_short() {
    for (log, left) in [(false, 0), (false, 4_096), (false, 3 * 4_096), (true, 0), (true, 4_096)] {
        let home = Home::new();
        let path = home.database();
        let send = |client: &mut Client, id: &str| {
            client.send(&hard_bounce(id, &format!("{id}@example.net"))).unwrap()
        };
        let daemon = home.start();
        assert_eq!(send(&mut daemon.connect(), "kept").code, 250);
        daemon.stop();
        let whole = std::fs::read(&path).unwrap();

        let daemon = home.start();
        let mut client = daemon.connect();
        assert_eq!(send(&mut client, "one").code, 250);
        let file = if log { home.path().join("dsnd.db-wal") } else { path.clone() };
        std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(left).unwrap();
        for id in ["two", "three"] {
            let reply = send(&mut client, id);
            assert!(reply.starts_with("451 4.3.0"), "{log} {left}: {reply:?}");
        }
        wait_for("what is wrong, in the log", || {
            daemon.log().contains("cut short; restore it").then_some(())
        });
        if log {
            // What only stood there is gone; what was in the file itself is not.
            daemon.kill();
            let daemon = home.start();
            assert_eq!(send(&mut daemon.connect(), "two").code, 250);
            daemon.stop();
        } else {
            std::fs::write(&path, &whole).unwrap();
            let reply = send(&mut client, "two");
            assert_eq!(reply.code, 250, "the same connection, when it is restored: {reply:?}");
            daemon.stop();
        }
        let mut database = Database::read(&path);
        assert_eq!(database.integrity(), "ok");
        let expected = if log { 2 } else { 3 };
        assert_eq!(database.number("SELECT count(*) FROM messages"), expected, "{log} {left}");
    }
}

#[test]
fn a_database_that_another_program_made_smaller_is_written_on() {
    let home = Home::new();
    let daemon = home.start();
    let mut client = daemon.connect();
    assert_eq!(client.send(&hard_bounce("one", "one@example.net")).unwrap().code, 250);
    let mut other = Database::write(&home.database());
    other.run("PRAGMA wal_checkpoint(TRUNCATE)");
    other.run("VACUUM");
    other.run("PRAGMA wal_checkpoint(TRUNCATE)");
    assert_eq!(client.send(&hard_bounce("two", "two@example.net")).unwrap().code, 250);
    daemon.stop();
    assert_eq!(Database::read(&home.database()).number("SELECT count(*) FROM messages"), 2);
}

#[test]
fn a_daemon_that_starts_beside_a_lock_waits_for_it_like_any_other() {
    let home = Home::new().with("STORE_BUSY_TIMEOUT", "1");
    home.start().stop();
    let mut holder = Database::write(&home.database());
    holder.run("BEGIN IMMEDIATE");
    let daemon = home.start();
    let mut client = daemon.connect();
    let reply = client.send(&hard_bounce("early", "early@example.net")).unwrap();
    assert!(reply.starts_with("451 4.3.0"), "{reply:?}");
    holder.run("ROLLBACK");
    let reply = client.send(&hard_bounce("early", "early@example.net")).unwrap();
    assert!(reply.starts_with("250 2.6.0 Stored as "), "{reply:?}");
    daemon.stop();
}

#[test]
fn a_lock_that_goes_in_time_costs_nothing() {
    let home = Home::new().with("STORE_BUSY_TIMEOUT", "60");
    let daemon = home.start();
    let mut client = daemon.connect();
    let counted = |line: &str| {
        let metrics = daemon.http().get("/metrics").text();
        metrics.lines().any(|counted| counted.starts_with(line)).then_some(())
    };
    wait_for("what dsnd writes at its start", || {
        counted("dsnd_store_commits_total{outcome=\"committed\"} 1").and(counted("dsnd_store_queue_jobs 0"))
    });
    let mut holder = Database::write(&home.database());
    holder.run("BEGIN IMMEDIATE");
    let reply = std::thread::scope(|scope| {
        let reply = scope.spawn(|| client.send(&hard_bounce("patient", "patient@example.net")).unwrap());
        wait_for("the bounce waits for the lock", || counted("dsnd_store_queue_jobs 1"));
        assert!(!reply.is_finished(), "it is not answered while the lock is held");
        holder.run("ROLLBACK");
        reply.join().unwrap()
    });
    assert!(reply.starts_with("250 2.6.0"), "{reply:?}");
    assert_eq!(home.json(&["bounces", "list", "--json"]).len(), 1);
    daemon.stop();
}

#[test]
fn a_file_size_limit_is_answered_with_451_and_taken_up_again_when_it_is_lifted() {
    let prlimit = |arguments: &[&str]| Command::new("prlimit").args(arguments).output();
    if !prlimit(&["--version"]).is_ok_and(|output| output.status.success()) {
        say("SKIPPED: no prlimit (util-linux), so no limit can be lifted from a running daemon");
        return;
    }
    let home = Home::new();
    // 512-octet units. The signal that a write too many sends must not end the process.
    let limited = "ulimit -S -f 2800 && exec \"$0\" serve";
    let daemon = Daemon::start(home.wrapped(&["sh", "-c", limited, DSND], &[]));
    full_and_free_again(&home, daemon, |daemon| {
        let lifted = prlimit(&["--pid", &daemon.pid().to_string(), "--fsize=unlimited"]).unwrap();
        assert!(lifted.status.success(), "{lifted:?}");
    });
}

#[test]
fn a_full_disk_is_answered_with_451_and_taken_up_again_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("3m") else { return };
    let home = Home::new()
        .with("STORE_PATH", &disk.path().join("dsnd.db").display().to_string())
        .with("STORE_RESERVE", "0")
        .with("STORE_RESERVE_UNPROVEN", "0");
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1; 1280 * 1024]).unwrap();
    full_and_free_again(&home, home.start(), |_| std::fs::remove_file(&ballast).unwrap());
}

/// Fills the database until it takes no more, looks at what is in it, makes room, and sees it taken up again.
fn full_and_free_again(home: &Home, daemon: Daemon, make_room: impl FnOnce(&Daemon)) {
    let mut client = daemon.connect();
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    let mut in_a_row = 0;
    for bounce in 0.. {
        let reply = client.send(&large_bounce(bounce)).unwrap();
        match reply.code {
            250 => {
                taken.push(bounce);
                in_a_row = 0;
            }
            _ => {
                assert!(reply.starts_with("451 4.3.0"), "{reply:?}");
                refused.push(bounce);
                in_a_row += 1;
            }
        }
        if in_a_row == REFUSALS {
            break;
        }
        assert!(bounce < 5_000, "this database is never full");
    }
    assert!(taken.len() >= 10, "there was room at first, for {} bounces", taken.len());
    assert_holds_exactly(&home.database(), &taken);

    make_room(&daemon);
    for bounce in refused.drain(..) {
        let reply = client.send(&large_bounce(bounce)).unwrap();
        assert!(reply.starts_with("250 2.6.0"), "the same connection, when there is room: {reply:?}");
        taken.push(bounce);
    }
    let mut late: Client = daemon.connect();
    assert_eq!(late.send(&large_bounce(9_999)).unwrap().code, 250);
    taken.push(9_999);
    daemon.stop();
    assert_holds_exactly(&home.database(), &taken);
}

/// Every acknowledged bounce, whole, and no other.
fn assert_holds_exactly(path: &Path, taken: &[usize]) {
    let mut database = Database::read(path);
    assert_eq!(database.integrity(), "ok");
    let stored: Vec<(String, i64)> = database.rows(
        "SELECT message_id, count(events.id) FROM messages LEFT JOIN events ON events.message = messages.id
         GROUP BY messages.id ORDER BY message_id",
    );
    let mut expected: Vec<(String, i64)> = taken
        .iter()
        .map(|bounce| (format!("<{}@mx.example.org>", name(*bounce)), RECIPIENTS as i64))
        .collect();
    expected.sort();
    assert_eq!(stored, expected);
    assert_eq!(database.number("SELECT count(*) FROM suppressions"), (taken.len() * RECIPIENTS) as i64);
    assert_eq!(
        database.number("SELECT count(*) FROM events WHERE message NOT IN (SELECT id FROM messages)"),
        0
    );
}

fn name(bounce: usize) -> String {
    format!("large-{bounce:05}")
}

/// A bounce that zstd cannot make small: some 12 KB of digits without a pattern follow the report.
fn large_bounce(bounce: usize) -> Vec<u8> {
    let addresses: Vec<String> =
        (0..RECIPIENTS).map(|index| format!("full-{bounce}-{index}@example.net")).collect();
    let groups: Vec<_> =
        addresses.iter().map(|address| (address.as_str(), "5.1.1", "550 5.1.1 User unknown")).collect();
    let mut message = dsn(&name(bounce), &groups);
    let mut state = bounce as u64 + 1;
    for _ in 0..250 {
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            message.extend_from_slice(format!("{:016x}", state ^ (state >> 31)).as_bytes());
        }
        message.extend_from_slice(b"\r\n");
    }
    message
}

/// A file system in a file, which only root can mount.
struct Disk {
    image: std::path::PathBuf,
    place: std::path::PathBuf,
}

impl Disk {
    fn run(program: &str, arguments: &[&str]) -> bool {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    }

    fn mount(&self) -> bool {
        let (image, place) = (self.image.to_str().unwrap(), self.place.to_str().unwrap());
        Self::run("mount", &["-o", "loop", image, place])
    }

    fn unmount(&self) -> bool {
        Self::run("umount", &[self.place.to_str().unwrap()])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Self::run("umount", &["-l", self.place.to_str().unwrap()]);
    }
}

#[test]
fn a_disk_that_the_system_made_read_only_is_let_go_and_taken_up_again_when_it_is_mended() {
    let folder = TempDir::new().unwrap();
    let disk = Disk { image: folder.path().join("image"), place: folder.path().join("disk") };
    std::fs::create_dir(&disk.place).unwrap();
    std::fs::File::create(&disk.image).unwrap().set_len(64 << 20).unwrap();
    if !Disk::run("mkfs.ext4", &["-q", disk.image.to_str().unwrap()]) || !disk.mount() {
        return say("SKIPPED: a disk that becomes read-only, since none can be made or mounted here");
    }
    let home = Home::new().with("STORE_PATH", disk.place.join("dsnd.db").to_str().unwrap());
    let daemon = home.start();
    let mut client = daemon.connect();
    let mut send = |id: &str| client.send(&hard_bounce(id, &format!("{id}@example.net"))).unwrap();
    assert_eq!(send("one").code, 250);
    // What the kernel does after an error of the disk's; the file system has to be mounted anew after that.
    assert!(Disk::run("mount", &["-o", "remount,abort", disk.place.to_str().unwrap()]));
    for _ in 0..2 {
        let reply = send("two");
        assert!(reply.starts_with("451 4.3.0"), "{reply:?}");
    }
    wait_for("the daemon to close its files", || disk.unmount().then_some(()));
    let reply = send("two");
    assert!(reply.starts_with("451 4.3.0"), "nothing is mounted: {reply:?}");
    let _ = Disk::run("e2fsck", &["-fy", disk.image.to_str().unwrap()]);
    assert!(disk.mount());
    assert_eq!(send("two").code, 250, "{}", daemon.log());
    daemon.stop();
    let mut database = Database::read(&home.database());
    assert_eq!(database.number("SELECT count(*) FROM messages"), 2);
    assert_eq!(database.integrity(), "ok");
}
