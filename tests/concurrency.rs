//! Many at once at one database: readers neither fail nor hold anybody up, writers take turns, and nobody is told that it
//! is locked.

mod common;

use std::io::Write;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Daemon, Database, Home, OUR_ADDRESS, hard_bounce, say, wait_for};

/// Connections that send bounces as fast as they are taken.
const SENDERS: usize = 32;

/// Bounces that are taken while nothing else happens.
const ALONE: usize = 500;

/// Processes that ask.
const READERS: usize = 10;

/// Everybody who sends bounces until told to stop.
struct Ingest<'a> {
    daemon: &'a Daemon,
    stop: AtomicBool,
    acknowledged: AtomicUsize,
}

impl Ingest<'_> {
    /// Sends until it is time to stop. Every bounce must be taken.
    fn send(&self, sender: &str) {
        let mut client = self.daemon.connect();
        let mut number = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let bounce =
                hard_bounce(&format!("{sender}-{number}"), &format!("{sender}-{number}@example.net"));
            assert_eq!(client.send(&bounce).expect("an answer").code, 250, "{sender} {number}");
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
            number += 1;
        }
    }

    /// How many bounces were taken.
    fn taken(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Runs `beside` while all send; how many bounces were taken meanwhile, and in what time.
    fn while_sending(daemon: &Daemon, name: &str, beside: impl FnOnce(&Ingest<'_>)) -> (usize, Duration) {
        let ingest = Ingest { daemon, stop: AtomicBool::new(false), acknowledged: AtomicUsize::new(0) };
        // A thread that panics ends the others as well.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        thread::scope(|scope| {
            for sender in 0..SENDERS {
                let ingest = &ingest;
                scope.spawn(move || ingest.send(&format!("{name}-{sender}")));
            }
            let _stop = Stop(&ingest.stop);
            let (before, started) = (ingest.acknowledged.load(Ordering::Relaxed), Instant::now());
            beside(&ingest);
            (ingest.acknowledged.load(Ordering::Relaxed) - before, started.elapsed())
        })
    }
}

/// A daemon without limits for its clients, whose list has `known@example.org`.
fn home() -> Home {
    Home::new().with("BREAKER_ENABLED", "false").with("SMTP_MAX_MESSAGES", "1000000")
}

/// It ended as it should and complained of nothing.
fn fine(output: &Output, status: i32, what: &str) {
    assert_eq!(output.status.code(), Some(status), "{what}: {output:?}");
    assert!(output.stderr.is_empty(), "{what}: {output:?}");
}

/// Asks again and again for one address that is suppressed and one that is not.
fn read(home: &Home, times: usize) {
    for _ in 0..times {
        let output = home.run(&["suppressions", "check", "known@example.org", "other@example.org"]);
        fine(&output, 1, "suppressions check");
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(said.contains("known@example.org") && said.contains("other@example.org"), "{said}");
    }
}

/// Programs of others that open the file themselves, as README says.
fn read_directly(home: &Home, times: usize) {
    for _ in 0..times {
        let mut database = Database::read(&home.database());
        for _ in 0..20 {
            let found = database.number(
                "SELECT count(*) FROM suppressions WHERE address_key = 'known@example.org' AND stream IN (0, 7)",
            );
            assert_eq!(found, 1);
        }
        assert!(database.number("SELECT count(*) FROM events") >= 0);
    }
}

fn ingest(home: &Home, name: &str) {
    let mut child = home
        .command(&["ingest", "--return-path", OUR_ADDRESS])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let message = hard_bounce(name, &format!("{name}@example.net"));
    child.stdin.take().expect("its input").write_all(&message).expect("it reads");
    fine(&child.wait_with_output().expect("its end"), 0, "ingest");
}

#[test]
fn readers_and_other_writers_live_beside_a_busy_daemon() {
    let home = home();
    let daemon = home.start();
    fine(&home.run(&["suppressions", "add", "known@example.org"]), 0, "suppressions add");
    let (alone, time_alone) = Ingest::while_sending(&daemon, "alone", |ingest| {
        wait_for("bounces are taken", || (ingest.taken() >= ALONE).then_some(()));
    });

    let (with_readers, time_with_readers) = Ingest::while_sending(&daemon, "read", |_| {
        thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| read(&home, 10));
            }
            scope.spawn(|| read_directly(&home, 20));
        });
    });

    let files = home.path().join("files");
    std::fs::create_dir(&files).expect("a directory");
    let (with_writers, time_with_writers) = Ingest::while_sending(&daemon, "write", |_| {
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..10 {
                    let address = format!("added{number}@example.org");
                    fine(&home.run(&["suppressions", "add", &address]), 0, "suppressions add");
                    fine(&home.run(&["suppressions", "remove", &address]), 0, "suppressions remove");
                }
            });
            scope.spawn(|| (0..10).for_each(|number| ingest(&home, &format!("piped{number}"))));
            scope.spawn(|| {
                for number in 0..20 {
                    let name = format!("replayed{number}");
                    let bounce = hard_bounce(&name, &format!("{name}@example.net"));
                    home.file(&format!("files/{name}.eml"), &bounce);
                }
                let files = files.to_str().expect("UTF-8");
                let output = home.run(&["replay", "--trust-unsigned", files]);
                assert_eq!(output.status.code(), Some(0), "replay: {output:?}");
            });
        });
    });
    let log = daemon.stop();
    for line in log.lines() {
        assert!(!line.contains("\"WARN\"") && !line.contains("\"ERROR\""), "nothing to complain of: {line}");
    }

    let mut database = Database::read(&home.database());
    let stored = database.number("SELECT count(*) FROM suppressions WHERE address_key LIKE '%@example.net'");
    let least = alone + with_readers + with_writers + 10 + 20;
    assert!(usize::try_from(stored).unwrap() >= least, "{stored}, and {least} were acknowledged");
    assert_eq!(database.number("SELECT count(*) FROM suppressions WHERE address LIKE 'piped%'"), 10);
    assert_eq!(database.number("SELECT count(*) FROM suppressions WHERE address LIKE 'replayed%'"), 20);
    assert_eq!(database.number("SELECT count(*) FROM suppressions WHERE address LIKE 'added%'"), 0);
    assert_eq!(database.integrity(), "ok");
    for (what, bounces, time) in [
        ("alone", alone, time_alone),
        ("beside 10 processes that ask and one that reads the file itself", with_readers, time_with_readers),
        ("beside three that write", with_writers, time_with_writers),
    ] {
        let rate = bounces as f64 / time.as_secs_f64();
        say(&format!("{rate:.0} bounces a second {what}, over {time:.1?}"));
        assert!(bounces > 0, "mail was taken {what}");
    }
}
