//! A process that has no file descriptors left: it waits, and serves again when there are some.

mod common;

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use common::{DSND, Daemon, Home, hard_bounce, wait_for};

#[test]
fn out_of_file_descriptors_it_waits_and_serves_again_by_itself() {
    let home = Home::new();
    let daemon =
        Daemon::start(home.wrapped(&["sh", "-c", "ulimit -n 64; exec \"$@\"", "sh", DSND], &["serve"]));
    assert!(daemon.log().contains("too few file descriptors for smtp.max_connections"), "{}", daemon.log());
    let mut there = daemon.connect();
    // More than it can take: those beyond wait in the system's queue.
    let clients: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(daemon.address()).expect("the system queues it")).collect();
    wait_for("it runs out", || daemon.log().contains("cannot accept an SMTP connection").then_some(()));
    // It may be out of them for SQLite as well; then it says 451, and the bounce comes again.
    let reply = there.send(&hard_bounce("there", "there@example.net")).expect("who is there is answered");
    assert!(matches!(reply.code, 250 | 451), "{reply:?}");
    let unanswered = clients.iter().filter(|client| {
        client.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        (&**client).read(&mut [0; 4]).is_err()
    });
    assert!(unanswered.count() > 0, "some are not served");

    drop(clients);
    let stored = |id: &str| {
        let reply = daemon.connect().send(&hard_bounce(id, &format!("{id}@example.net"))).expect("a reply");
        (reply.code == 250).then_some(())
    };
    wait_for("service to a new client", || stored("late"));
    wait_for("service to the one that had to come back", || stored("there"));
    let log = daemon.stop();
    let complaints = log.matches("cannot accept an SMTP connection").count();
    assert!(complaints < 30, "it pauses between its attempts: {complaints}");
    assert_eq!(home.json(&["bounces", "list", "--json"]).len(), 2);
}

#[test]
fn with_file_descriptors_for_every_connection_it_says_nothing_of_them() {
    let home = Home::new().with("SMTP_MAX_CONNECTIONS", "100");
    let limited = ["sh", "-c", "ulimit -n 200; exec \"$@\"", "sh", DSND];
    let log = Daemon::start(home.wrapped(&limited, &["serve"])).stop();
    assert!(!log.contains("file descriptors"), "{log}");
}
