//! MTAs that ask: how many answers a second a list of some size gives, and how long one takes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use crate::common::{Home, PATIENCE, hard_bounce, say, wait_for};

/// An MTA's connection.
struct Asking(TcpStream);

impl Asking {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Asks for addresses without waiting in between; how many of them are suppressed.
    fn ask(&mut self, numbers: std::ops::Range<usize>) -> usize {
        let mut wire = Vec::new();
        for number in numbers.clone() {
            let question = format!("suppressed user{number}@example{}.net", number % 97);
            let _ = write!(wire, "{}:{question},", question.len());
        }
        self.0.write_all(&wire).unwrap();
        let (mut said, mut buffer, mut taken) = (Vec::new(), [0; 16 * 1024], 0);
        let (mut answers, mut found) = (0, 0);
        while answers < numbers.len() {
            let length = self.0.read(&mut buffer).unwrap();
            assert!(length > 0, "{answers} answers: {}", String::from_utf8_lossy(&said));
            said.extend_from_slice(&buffer[..length]);
            while let Some((answer, length)) = dsnd::lookup::decode(&said[taken..], 1_000).unwrap() {
                answers += 1;
                found += usize::from(answer.starts_with(b"OK 550 5.7.1 suppressed by dsnd: manual"));
                taken += length;
            }
        }
        found
    }
}

/// Asks a list of so many entries, half of whose neighbours are on it, in three ways.
fn lookups(entries: usize, questions: usize) {
    let home = Home::new().with("LOOKUP_LISTEN", "127.0.0.1:0").with("LOG_LEVEL", "info");
    let daemon = home.start();
    let address: SocketAddr = wait_for("the listener for lookups", || {
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("accepting lookups"))?;
        let entry: serde_json::Value = serde_json::from_str(line).ok()?;
        entry["address"].as_str()?.parse().ok()
    });
    fill(&home, entries);
    let mut asking = Asking::new(address);
    // Numbers go on to twice the list: every second question is about one who is on it.
    let step = (2 * entries / questions) | 1;
    let one_by_one = |asking: &mut Asking| {
        let (started, mut times, mut found) = (Instant::now(), Vec::with_capacity(questions), 0);
        for number in (0..questions).map(|number| number * step % (2 * entries)) {
            let asked = Instant::now();
            found += asking.ask(number..number + 1);
            times.push(asked.elapsed());
        }
        assert!(found.abs_diff(questions / 2) <= 1, "{found} of {questions}");
        times.sort();
        (started.elapsed(), times[questions / 2], times[questions * 99 / 100])
    };
    let (all, half, worst) = one_by_one(&mut asking);
    report("one after the other", questions, all, &format!("half {half:?}, 99 % {worst:?}"));

    let started = Instant::now();
    let mut found = 0;
    for begin in (0..questions).step_by(50) {
        found += asking.ask(begin..begin + 50);
    }
    assert!(found > 0);
    report("50 at a time", questions, started.elapsed(), "");

    // While bounces come in as fast as one client brings them.
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (during, brought) = std::thread::scope(|scope| {
        let bringing = scope.spawn(|| {
            let mut client = daemon.connect();
            let mut brought = 0_usize;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let bounce = hard_bounce(&format!("b{brought}"), &format!("b{brought}@elsewhere.example"));
                assert_eq!(client.send(&bounce).unwrap().code, 250);
                brought += 1;
                if brought.is_multiple_of(900) {
                    client = daemon.connect();
                }
            }
            brought
        });
        let during = one_by_one(&mut asking);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        (during, bringing.join().unwrap())
    });
    let (all, half, worst) = during;
    let what = format!("half {half:?}, 99 % {worst:?}; {brought} bounces meanwhile");
    report("one after the other, while bounces come in", questions, all, &what);
    daemon.stop();
}

fn report(how: &str, questions: usize, took: Duration, what: &str) {
    let rate = questions as f64 / took.as_secs_f64();
    say(&format!("lookups {how}: {rate:.0} a second, {questions} of them; {what}"));
}

/// Puts entries onto the list, past the program, which would take a commit for each.
fn fill(home: &Home, entries: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut connection =
            SqliteConnectOptions::new().filename(home.database()).connect().await.unwrap();
        let statement = format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 2 FROM numbers WHERE n + 2 < 2 * {entries})
             INSERT INTO suppressions (address_key, address, domain, reason, first_seen, last_seen, changed_at, count, origin)
             SELECT address, address, domain, 'manual', at, at, at, 1, 'cli' FROM
                (SELECT 'user' || n || '@example' || (n % 97) || '.net' AS address, 'example' || (n % 97) || '.net' AS domain,
                        '2026-11-20T10:00:00Z' AS at FROM numbers)"
        );
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn mtas_that_ask_are_answered_also_while_bounces_come_in() {
    lookups(1_000, 500);
}

#[test]
#[ignore = "by hand: takes a minute"]
fn mtas_ask_a_list_of_a_million() {
    lookups(1_000_000, 50_000);
}
