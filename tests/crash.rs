//! Contract 1 and 2 under SIGKILL: what got `250` is there, and nothing is there twice.
//!
//! The kernel survives here, so this shows that nothing is acknowledged before its transaction is committed; that
//! the commit is synced as well is what `synchronous=FULL` says, and no test without a power switch can see it.

mod common;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Client, Database, Home, dsn, say, wait_for};

const ROUNDS: usize = 12;
const CONNECTIONS: usize = 12;

/// Recipients in every bounce: one that is there with fewer is half-written.
const RECIPIENTS: usize = 3;

/// How long after the first acknowledgement of a round the blow may fall.
const LONGEST_ROUND_MILLIS: u64 = 250;

/// The queues of the remote MTAs.
#[derive(Default)]
struct Queues {
    made: AtomicUsize,
    waiting: Mutex<VecDeque<usize>>,
    acknowledged: Mutex<HashSet<usize>>,
}

impl Queues {
    /// What was not acknowledged first, then new ones.
    fn next(&self) -> usize {
        let waiting = self.waiting.lock().unwrap().pop_front();
        waiting.unwrap_or_else(|| self.made.fetch_add(1, Ordering::SeqCst))
    }

    fn give_back(&self, bounce: usize) {
        self.waiting.lock().unwrap().push_back(bounce);
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Sends one bounce; false when the connection is gone.
    fn hand_over(&self, client: &mut Client, bounce: usize) -> bool {
        match client.send(&message(bounce)) {
            Ok(reply) if reply.code == 250 => self.acknowledged.lock().unwrap().insert(bounce),
            Ok(reply) => panic!("nothing is wrong with the store: {reply:?}"),
            Err(_) => {
                self.give_back(bounce);
                false
            }
        }
    }

    /// One remote MTA: sends until the connection is gone.
    fn run(&self, address: SocketAddr) {
        let Ok(mut client) = Client::connect(address) else { return };
        while self.hand_over(&mut client, self.next()) {}
    }
}

fn message(bounce: usize) -> Vec<u8> {
    let addresses: Vec<String> =
        (0..RECIPIENTS).map(|index| format!("gone-{bounce}-{index}@example.net")).collect();
    let groups: Vec<_> =
        addresses.iter().map(|address| (address.as_str(), "5.1.1", "550 5.1.1 User unknown")).collect();
    dsn(&format!("bounce-{bounce}"), &groups)
}

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[test]
fn every_acknowledged_bounce_outlives_the_process_and_none_is_there_twice() {
    let seed = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| RandomState::new().hash_one("crash"));
    say(&format!("crash: TEST_SEED={seed} gives these moments again"));
    let mut state = seed;
    let home = Home::new();
    let queues = Queues::default();
    let mut interrupted = 0;
    for _ in 0..ROUNDS {
        let daemon = home.start();
        let before = queues.acknowledged();
        std::thread::scope(|scope| {
            for _ in 0..CONNECTIONS {
                let (queues, address) = (&queues, daemon.address());
                scope.spawn(move || queues.run(address));
            }
            wait_for("the first bounce of the round", || (queues.acknowledged() > before).then_some(()));
            // Not waiting for anything: this is the random moment.
            std::thread::sleep(Duration::from_millis(random(&mut state) % LONGEST_ROUND_MILLIS));
            daemon.kill();
        });
        interrupted += queues.waiting.lock().unwrap().len();
    }
    assert!(interrupted >= ROUNDS, "the blows fell between bounces only, {interrupted} were on their way");

    let daemon = home.start();
    let mut client = daemon.connect();
    loop {
        let Some(bounce) = queues.waiting.lock().unwrap().pop_front() else { break };
        assert!(queues.hand_over(&mut client, bounce), "nobody kills it now");
    }
    let _ = client.command("QUIT");
    daemon.stop();

    let made = queues.made.load(Ordering::SeqCst);
    assert_eq!(queues.acknowledged(), made, "every MTA got rid of what it had");
    let mut database = Database::read(&home.database());
    assert_eq!(database.integrity(), "ok");
    let stored: Vec<(String, i64, i64)> = database.rows(
        "SELECT message_id, count(DISTINCT messages.id), count(events.id)
         FROM messages LEFT JOIN events ON events.message = messages.id GROUP BY message_id",
    );
    let stored: HashMap<String, (i64, i64)> =
        stored.into_iter().map(|(id, messages, events)| (id, (messages, events))).collect();
    assert_eq!(stored.len(), made, "nothing is there that was not sent");
    for bounce in 0..made {
        let id = format!("<bounce-{bounce}@mx.example.org>");
        assert_eq!(stored.get(&id), Some(&(1, RECIPIENTS as i64)), "{id}: once and whole");
    }
    assert_eq!(database.number("SELECT count(*) FROM suppressions"), (made * RECIPIENTS) as i64);
    assert_eq!(
        database.number("SELECT count(*) FROM suppressions WHERE count <> 1"),
        0,
        "a bounce that came again counted again"
    );
    let copies = database.number("SELECT count(*) FROM messages WHERE copies > 1");
    say(&format!("crash: {made} bounces, {interrupted} interrupted, {copies} of them after their commit"));
}
