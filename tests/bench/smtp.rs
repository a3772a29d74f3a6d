//! How fast bounces come in, beside a server that throws them away: `cargo bench --bench smtp`.
//!
//! The same client hands the same distinct DSNs, with return paths that dsnd minted, to Postfix's `smtp-sink` and to dsnd, in
//! turns. What counts is the ratio of a pair; machines differ. A connection that persists brings one message after the
//! other; a connection a message is what most MTAs do.
//!
//! Environment: `DSND_BENCH_MESSAGES` (3,000 a round), `DSND_BENCH_PAIRS` (3), `DSND_BENCH_ENTRIES` (0: addresses on the list
//! before it begins).

#[path = "../common/mod.rs"]
mod common;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use common::{Home, hard_bounce, say};

/// A message and the return path that it comes to.
type Bounce = (String, Vec<u8>);

/// How messages are handed in.
#[derive(Debug, Clone, Copy)]
struct Load {
    octets: usize,
    sessions: usize,
    persistent: bool,
}

const LOADS: [Load; 5] = [
    Load { octets: 4 << 10, sessions: 20, persistent: true },
    Load { octets: 4 << 10, sessions: 200, persistent: true },
    Load { octets: 4 << 10, sessions: 20, persistent: false },
    Load { octets: 2 << 10, sessions: 20, persistent: true },
    Load { octets: 32 << 10, sessions: 20, persistent: true },
];

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn main() {
    if !std::path::Path::new("/usr/sbin/smtp-sink").exists() {
        say("skipped: there is no smtp-sink here (Debian package postfix)");
        return;
    }
    let (messages, pairs) = (number("DSND_BENCH_MESSAGES", 3_000), number("DSND_BENCH_PAIRS", 3));
    let home = home();
    let entries = number("DSND_BENCH_ENTRIES", 0);
    if entries > 0 {
        fill(&home, entries);
    }
    let runtime = Runtime::new().expect("a runtime");
    say(&format!("{messages} messages a round, {pairs} pairs, {entries} addresses on the list before"));
    for (round, load) in LOADS.into_iter().enumerate() {
        let mut ratios = Vec::new();
        let mut of_dsnd = Vec::new();
        for pair in 0..pairs {
            let bounces: Arc<[Bounce]> =
                bounces(&home, &format!("{round}-{pair}"), messages, load.octets).into();
            let sink = Sink::start(load.sessions);
            let of_sink = runtime.block_on(hand_in(sink.address, Arc::clone(&bounces), load));
            drop(sink);
            let daemon = home.start();
            let before = Costs::of(daemon.pid());
            let took = runtime.block_on(hand_in(daemon.address(), bounces, load));
            let costs = Costs::of(daemon.pid());
            ratios.push(of_sink.as_secs_f64() / took.as_secs_f64());
            of_dsnd.push(messages as f64 / took.as_secs_f64());
            let each = messages as f64;
            say(&format!(
                "  sink {:6.0}/s, dsnd {:6.0}/s, {:.2} ms of processor time and {:.0} octets written a message, {} MiB at most",
                messages as f64 / of_sink.as_secs_f64(),
                messages as f64 / took.as_secs_f64(),
                (costs.processor - before.processor) * 1000.0 / each,
                (costs.written - before.written) / each,
                daemon.peak_memory().unwrap_or(0) >> 20,
            ));
            daemon.stop();
        }
        ratios.sort_by(f64::total_cmp);
        say(&format!(
            "{load:?}: dsnd ÷ sink min {:.3}, median {:.3}, max {:.3}",
            ratios[0],
            ratios[ratios.len() / 2],
            ratios[ratios.len() - 1]
        ));
    }
}

/// A daemon that knows the return paths that it minted.
fn home() -> Home {
    let home = Home::new().without("RETURN_PATH_TRUST_UNSIGNED");
    let keys = home.path().join("dsnd.keys");
    let made = home.run(&["return-path", "keygen", "--output", keys.to_str().expect("UTF-8")]);
    assert!(made.status.success(), "{made:?}");
    home.with("RETURN_PATH_KEYS_FILE", &keys.display().to_string())
}

/// Distinct DSNs, each about an address of its own that does not exist, at a thousand domains.
fn bounces(home: &Home, round: &str, count: usize, octets: usize) -> Vec<Bounce> {
    let address = |number: usize| format!("user-{round}-{number}@domain-{}.example", number % 1_000);
    let mut addresses = String::new();
    (0..count).for_each(|number| writeln!(addresses, "{}", address(number)).expect("memory"));
    let mut minting = home
        .command(&["return-path", "mint", "--json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut input = minting.stdin.take().expect("its input");
    let writer = std::thread::spawn(move || input.write_all(addresses.as_bytes()).expect("it reads"));
    let minted = minting.wait_with_output().expect("it ends");
    writer.join().expect("written");
    assert!(minted.status.success(), "{minted:?}");
    let minted = common::json_lines(&minted.stdout);
    let pairs = minted.iter().enumerate().map(|(number, minted)| {
        let path = minted["return_path"].as_str().expect("an address").to_owned();
        let mut message = hard_bounce(&format!("bench-{round}-{number}"), &address(number));
        let mut line = 0;
        while message.len() + 80 < octets {
            let text =
                format!("X-Line: {round} {number} {line} the quick brown fox jumps over the lazy dog\r\n");
            message.splice(0..0, text.into_bytes());
            line += 1;
        }
        (path, message)
    });
    pairs.collect()
}

/// Hands all messages in; how long it took until the last was taken.
async fn hand_in(server: SocketAddr, bounces: Arc<[Bounce]>, load: Load) -> Duration {
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let sessions = (0..load.sessions).map(|_| {
        let (bounces, next) = (Arc::clone(&bounces), Arc::clone(&next));
        tokio::spawn(async move {
            let mut open: Option<BufReader<TcpStream>> = None;
            while let Some((path, message)) = bounces.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut client = match open.take() {
                    Some(client) => client,
                    None => connect(server).await,
                };
                say_and_hear(&mut client, b"MAIL FROM:<>\r\n", "250").await;
                say_and_hear(&mut client, format!("RCPT TO:<{path}>\r\n").as_bytes(), "250").await;
                say_and_hear(&mut client, b"DATA\r\n", "354").await;
                client.write_all(message).await.expect("it reads");
                say_and_hear(&mut client, b".\r\n", "250").await;
                if load.persistent {
                    open = Some(client);
                } else {
                    say_and_hear(&mut client, b"QUIT\r\n", "221").await;
                }
            }
        })
    });
    for session in sessions.collect::<Vec<_>>() {
        session.await.expect("every message is taken");
    }
    began.elapsed()
}

async fn connect(server: SocketAddr) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(server).await.expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let mut client = BufReader::new(stream);
    say_and_hear(&mut client, b"", "220").await;
    say_and_hear(&mut client, b"EHLO bench.example\r\n", "250").await;
    client
}

async fn say_and_hear(client: &mut BufReader<TcpStream>, line: &[u8], code: &str) {
    client.write_all(line).await.expect("it reads");
    loop {
        let mut reply = String::new();
        client.read_line(&mut reply).await.expect("it answers");
        assert!(reply.starts_with(code), "{reply:?} to {:?}", String::from_utf8_lossy(line));
        if reply.as_bytes().get(3) != Some(&b'-') {
            return;
        }
    }
}

/// Postfix's server that throws messages away.
struct Sink {
    child: Child,
    address: SocketAddr,
}

impl Sink {
    fn start(sessions: usize) -> Self {
        // A port that was free a moment ago: smtp-sink does not tell which it got.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        let backlog = (sessions + 10).to_string();
        let child = Command::new("/usr/sbin/smtp-sink")
            .args(["-u", "nobody", &address.to_string(), &backlog])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("smtp-sink starts");
        common::wait_for("smtp-sink", || std::net::TcpStream::connect(address).ok());
        Self { child, address }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has used so far.
struct Costs {
    /// In seconds.
    processor: f64,
    /// Octets that were to reach the disk.
    written: f64,
}

impl Costs {
    fn of(pid: u32) -> Self {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let stat = read("stat");
        // After the name in parentheses, which may hold anything: utime and stime are the 12th and 13th, in hundredths.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
        let io = read("io");
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        Self {
            processor: ticks.sum::<f64>() / 100.0,
            written: written.and_then(|octets| octets.parse().ok()).unwrap_or(0.0),
        }
    }
}

/// Puts so many addresses on the list.
fn fill(home: &Home, entries: usize) {
    let file = home.path().join("list.csv");
    let mut list = std::io::BufWriter::new(std::fs::File::create(&file).expect("a file"));
    writeln!(list, "address,reason").expect("the disk");
    for number in 0..entries {
        writeln!(list, "listed-{number:09}@listed-{}.example,hard", number % 5_000).expect("the disk");
    }
    list.flush().expect("the disk");
    home.start().stop(); // makes the database
    let done = home.run(&["suppressions", "import", file.to_str().expect("UTF-8"), "--format", "csv"]);
    assert!(done.status.success(), "{done:?}");
}
