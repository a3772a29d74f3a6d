//! A disk that runs full: who is put off first, and what works all the same.

mod common;

use common::{
    Client, Daemon, Database, Home, OUR_ADDRESS, OUR_DOMAIN, Reply, SmallDisk, hard_bounce, wait_for,
};
use dsnd::address::comparison_form;
use dsnd::returnpath::{Keys, Prefix, Token};
use jiff::Timestamp;

const KEYS: &str = "1 000102030405060708090a0b0c0d0e0f";

/// A daemon with its database on a small disk, which believes nothing but signed return paths.
fn home(disk: &SmallDisk) -> Home {
    Home::new()
        .with("STORE_PATH", &disk.path().join("dsnd.db").display().to_string())
        .with("RETURN_PATH_KEYS", KEYS)
        .without("RETURN_PATH_TRUST_UNSIGNED")
}

fn signed(recipient: &str) -> String {
    let keys = Keys::parse(KEYS).unwrap();
    let token =
        Token::mint(keys.newest().unwrap(), &comparison_form(recipient), 7, Timestamp::now()).unwrap();
    format!("{}@{OUR_DOMAIN}", Prefix::default().blind(&token))
}

/// What is said to a recipient.
fn rcpt(daemon: &Daemon, recipient: &str) -> Reply {
    let mut client = daemon.connect();
    client.command("MAIL FROM:<>").unwrap();
    client.command(&format!("RCPT TO:<{recipient}>")).unwrap()
}

/// What a series of the metrics stands at.
fn counted(daemon: &Daemon, series: &str) -> Option<u64> {
    let metrics = daemon.http().get("/metrics").text();
    metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

fn bring(client: &mut Client, to: &str, message: &[u8]) -> Reply {
    client.begin("", to).unwrap();
    client.finish(message).unwrap()
}

#[test]
fn what_nothing_proves_is_put_off_first_then_everything_and_all_is_taken_again_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("64m") else { return };
    let home = home(&disk);
    let daemon = home.start();
    let ours = signed("a@example.net");
    let wait = |what: &str, to: &str, beginning: &str| {
        wait_for(what, || rcpt(&daemon, to).starts_with(beginning).then_some(()));
    };
    assert_eq!(rcpt(&daemon, OUR_ADDRESS).code, 250);
    // Of 64 MiB, 5 percent are kept from what nothing proves, and 1 percent from all.
    disk.fill_up_to(2 << 20);
    wait("a stranger is put off", OUR_ADDRESS, "452 4.3.1 The disk is nearly full");
    assert_eq!(rcpt(&daemon, &ours).code, 250);
    let mut client = daemon.connect();
    let bounce = hard_bounce("one", "a@example.net");
    assert_eq!(bring(&mut client, &ours, &bounce).code, 250);
    disk.fill_up_to(256 << 10);
    wait("everybody is put off", &ours, "452 4.3.1 The disk is nearly full");
    let refused = counted(&daemon, "dsnd_smtp_rejections_total{reason=\"disk_reserve\"}");
    assert!(refused.is_some_and(|refused| refused >= 2), "{refused:?}");
    disk.make_room();
    wait("a stranger is taken again", OUR_ADDRESS, "250 ");
    assert_eq!(rcpt(&daemon, &ours).code, 250);
    assert_eq!(home.run(&["suppressions", "check", "a@example.net"]).status.code(), Some(1));
    daemon.stop();
}

/// Fills the disk under a daemon that has five bounces in quarantine; whether some of them can be discarded then, and
/// whether a person can be erased.
fn discarded_and_erased(disk: &SmallDisk, reserved: bool) -> ([bool; 2], Home) {
    let home = home(disk).with("STORE_RESERVE_FILE", if reserved { "1048576" } else { "0" });
    let daemon = home.start();
    let mut client = daemon.connect();
    for number in 0..5 {
        let bounce = hard_bounce(&format!("w{number}"), &format!("w{number}@example.net"));
        assert_eq!(bring(&mut client, OUR_ADDRESS, &bounce).code, 250);
    }
    let reserve = disk.path().join("dsnd.db-reserve");
    if reserved {
        wait_for("the reserve", || {
            std::fs::metadata(&reserve).is_ok_and(|file| file.len() == 1 << 20).then_some(())
        });
    }
    disk.fill_up_to(0);
    wait_for("everybody is put off", || (rcpt(&daemon, OUR_ADDRESS).code == 452).then_some(()));
    let discard = home.run(&["quarantine", "discard", "1", "2", "3"]);
    let erase = home.run(&["erase", "w4@example.net", "--yes"]);
    disk.make_room();
    daemon.stop();
    ([discard, erase].map(|output| output.status.success()), home)
}

#[test]
fn on_a_full_disk_what_makes_room_works_with_what_was_reserved_for_it() {
    let Some(disk) = SmallDisk::mount("64m") else { return };
    let (done, home) = discarded_and_erased(&disk, true);
    assert_eq!(done, [true, true]);
    assert_eq!(home.json(&["quarantine", "list", "--json"]).len(), 1, "one is neither discarded nor erased");

    let Some(disk) = SmallDisk::mount("64m") else { return };
    let (done, _) = discarded_and_erased(&disk, false);
    assert_eq!(done, [false, false], "nothing is reserved");
}

#[test]
fn on_a_full_disk_what_is_old_and_what_nothing_proves_is_dropped() {
    let Some(disk) = SmallDisk::mount("64m") else { return };
    let home = home(&disk).with("STORE_RESERVE_FILE", "1048576");
    let daemon = home.start();
    let mut client = daemon.connect();
    for number in 0..3 {
        let recipient = format!("old{number}@example.net");
        let bounce = hard_bounce(&format!("old{number}"), &recipient);
        assert_eq!(bring(&mut client, &signed(&recipient), &bounce).code, 250);
        assert_eq!(
            bring(&mut client, OUR_ADDRESS, &hard_bounce(&format!("x{number}"), "x@example.net")).code,
            250
        );
    }
    wait_for("the reserve", || disk.path().join("dsnd.db-reserve").exists().then_some(()));
    disk.fill_up_to(0);
    let dropped = "dsnd_store_unproven_raw_dropped_total";
    wait_for("what nothing proves to make room", || (counted(&daemon, dropped) == Some(3)).then_some(()));
    disk.make_room();
    daemon.stop();

    // Soon after a start, what is old is dropped: now, whatever is kept.
    let home = home.with("STORE_RAW_DAYS", "0");
    let daemon = home.start();
    disk.fill_up_to(0);
    let mut database = Database::read(&disk.path().join("dsnd.db"));
    assert_eq!(database.number("SELECT count(*) FROM messages WHERE raw IS NOT NULL"), 3);
    wait_for("what is old to be dropped", || {
        (database.number("SELECT count(*) FROM messages WHERE raw IS NOT NULL") == 0).then_some(())
    });
    disk.make_room();
    daemon.stop();
}
