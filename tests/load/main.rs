//! Many connections, slow ones and large ones at once. The small versions are tests like any other; the large ones are
//! run by hand, as README's "Load" says, and print what they measure.

#[path = "../common/mod.rs"]
mod common;
mod lookups;
mod old;
mod strangers;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{Daemon, Home, hard_bounce, say, wait_for};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const MIB: usize = 1024 * 1024;

/// The largest message that the daemons of these tests take.
const LARGEST: usize = 10 * MIB;

/// What a daemon may take besides the message bodies: the program, SQLite, and what the allocator keeps …
const BESIDES: usize = 150 * MIB;

/// … and copies that are made of a message while it is read: one as it is read, one compressed, one for the database.
const COPIES: usize = 3;

/// Clients in `127.0.0.2` to `127.0.0.9`.
fn home() -> Home {
    Home::new()
        .with("LIMITS_EXEMPT", "127.0.0.1")
        .with("LIMITS_CONNECTIONS_PER_ADDRESS", "0")
        .with("LIMITS_CONNECTIONS_PER_MINUTE", "0")
        .with("LIMITS_MESSAGES_PER_MINUTE", "0")
        .with("LIMITS_OCTETS_PER_MINUTE", "0")
        .with("LIMITS_RECIPIENTS_PER_MINUTE", "0")
        .with("SMTP_MAX_CONNECTIONS", "20000")
}

/// As the systemd unit does: without it, glibc keeps much of what was given back to it.
fn start(home: &Home) -> Daemon {
    let mut command = home.command(&["serve"]);
    command.env("MALLOC_MMAP_THRESHOLD_", "131072");
    Daemon::start(command)
}

async fn connect(daemon: SocketAddr, number: usize) -> TcpStream {
    let last = 2 + u8::try_from(number % 8).unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0))).unwrap();
    socket.connect(daemon).await.unwrap_or_else(|error| panic!("connection {number}: {error}"))
}

/// Reads until a reply with `code`; false at the end of the stream, or when something is refused before.
async fn until(stream: &mut TcpStream, code: &str) -> bool {
    let mut said = String::new();
    let mut buffer = [0; 512];
    loop {
        let whole = said.rfind('\n').map_or("", |end| &said[..end]);
        if whole.lines().any(|line| line.starts_with(['4', '5'])) {
            return false;
        }
        if whole.lines().any(|line| line.starts_with(code)) {
            return true;
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return false,
            Ok(length) => said.push_str(&String::from_utf8_lossy(&buffer[..length])),
        }
    }
}

/// As far as the 354.
async fn begin(stream: &mut TcpStream) -> bool {
    let commands = format!("HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<{}>\r\nDATA\r\n", common::OUR_ADDRESS);
    stream.write_all(commands.as_bytes()).await.is_ok() && until(stream, "354").await
}

/// How long an honest client waits for the replies to its bounces, connections included: half of them, and the worst.
fn honest(daemon: &Daemon, name: &str, bounces: usize) -> (Duration, Duration) {
    let mut times: Vec<Duration> = (0..bounces)
        .map(|number| {
            let started = Instant::now();
            let bounce = hard_bounce(&format!("{name}-{number}"), &format!("{name}-{number}@example.net"));
            assert_eq!(daemon.connect().send(&bounce).expect("an answer").code, 250);
            started.elapsed()
        })
        .collect();
    times.sort();
    (times[times.len() / 2], times[times.len() - 1])
}

fn memory(daemon: &Daemon, what: &str) -> Option<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(what))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok().map(|kibibytes| kibibytes * 1024)
}

fn idle_and_slow(idle: usize, slow: usize, patience: Duration) {
    let home = home();
    let daemon = start(&home);
    let (half_before, worst_before) = honest(&daemon, "before", 50);
    let memory_before = memory(&daemon, "VmRSS:");
    let runtime = Runtime::new().unwrap();
    let address = daemon.address();

    let opening = Instant::now();
    let quiet = runtime.block_on(async {
        let mut streams = Vec::new();
        for number in 0..idle {
            let mut stream = connect(address, number).await;
            assert!(until(&mut stream, "220").await);
            streams.push(stream);
        }
        streams
    });
    let opened = opening.elapsed();
    let memory_idle = memory(&daemon, "VmRSS:");
    let (begun, cut) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    for number in 0..slow {
        let (begun, cut) = (Arc::clone(&begun), Arc::clone(&cut));
        runtime.spawn(async move {
            let mut stream = connect(address, number).await;
            assert!(until(&mut stream, "220").await && begin(&mut stream).await);
            begun.fetch_add(1, Ordering::SeqCst);
            let (mut reader, mut writer) = stream.split();
            let drip = async {
                while writer.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            };
            let mut said = [0; 9];
            let told = tokio::select! {
                () = drip => false,
                read = reader.read_exact(&mut said) => read.is_ok() && &said == b"421 4.4.2",
            };
            cut.fetch_add(usize::from(told), Ordering::SeqCst);
        });
    }
    wait_for("every slow sender has begun", || (begun.load(Ordering::SeqCst) == slow).then_some(()));
    let (half, worst) = honest(&daemon, "during", 50);
    let memory_slow = memory(&daemon, "VmRSS:");
    assert!(half < half_before * 5 + patience, "{half:?}, and {half_before:?} before");
    wait_for("every slow sender was told and cut off", || (cut.load(Ordering::SeqCst) == slow).then_some(()));
    let (half_after, worst_after) = honest(&daemon, "after", 50);
    say(&format!(
        "{idle} idle connections opened in {opened:?}, {slow} slow senders\nan honest bounce, connection included: \
         before {half_before:?} (worst {worst_before:?}), during {half:?} ({worst:?}), after {half_after:?} ({worst_after:?})"
    ));
    if let (Some(before), Some(idling), Some(slowed)) = (memory_before, memory_idle, memory_slow) {
        let each = idling.saturating_sub(before) / idle;
        let each_slow = slowed.saturating_sub(idling) / slow;
        say(&format!(
            "memory: {} KiB before, {each} octets an idle connection, {each_slow} a slow one",
            before / 1024
        ));
        assert!(each < 20 * 1024, "{each} octets an idle connection");
    }
    drop(quiet);
    runtime.shutdown_background();
    daemon.stop();
}

/// Connections that all send the largest message there is, at the same time, to a daemon with so much memory for them.
fn largest_at_once(connections: usize, body_memory: usize) {
    let home = home().with("LIMITS_BODY_MEMORY", &body_memory.to_string());
    let daemon = start(&home);
    let runtime = Runtime::new().unwrap();
    let address = daemon.address();
    let started = Instant::now();
    // What does not compress, in lines: the worst for whoever keeps it.
    let mut state = 1_u64;
    let mut body = b"Subject: large\r\n\r\n".to_vec();
    while body.len() < LARGEST - 100 {
        for _ in 0..76 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            body.push(
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[(state >> 58) as usize],
            );
        }
        body.extend_from_slice(b"\r\n");
    }
    let body = Arc::new(body);
    let (stored, later) = runtime.block_on(async {
        let mut senders = JoinSet::new();
        for number in 0..connections {
            let body = Arc::clone(&body);
            senders.spawn(async move {
                let mut stream = connect(address, number).await;
                assert!(until(&mut stream, "220").await, "a greeting");
                if !begin(&mut stream).await {
                    return "452"; // at MAIL
                }
                // Each is another message, or it would be stored once.
                let own = format!("X-Number: {number}\r\n");
                stream.write_all(own.as_bytes()).await.expect("it reads on");
                stream.write_all(&body).await.expect("it reads on");
                stream.write_all(b".\r\n").await.expect("it reads on");
                let mut said = [0; 9];
                stream.read_exact(&mut said).await.expect("a reply");
                match &said {
                    b"250 2.6.0" => "250",
                    b"452 4.3.1" => "452",
                    other => panic!("{}", other.escape_ascii()),
                }
            });
        }
        let replies = senders.join_all().await;
        let count = |wanted: &str| replies.iter().filter(|reply| **reply == wanted).count();
        (count("250"), count("452"))
    });
    assert_eq!(stored + later, connections, "every one is answered");
    assert!(stored >= body_memory / LARGEST / 4, "and what there is room for is stored: {stored}");
    honest(&daemon, "after", 5);
    say(&format!(
        "{connections} messages of {} MiB at once in {:?}, body_memory {} MiB: {stored} stored, {later} asked to come again",
        LARGEST / MIB,
        started.elapsed(),
        body_memory / MIB
    ));
    if let Some(peak) = memory(&daemon, "VmHWM:") {
        say(&format!("most memory ever: {} MiB", peak / MIB));
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let read_at_once = cores.min(body_memory / LARGEST);
        assert!(peak < body_memory + read_at_once * COPIES * LARGEST + BESIDES, "{} MiB", peak / MIB);
    }
    daemon.stop();
}

#[test]
fn idle_and_slow_clients_do_not_keep_an_honest_one_waiting() {
    idle_and_slow(300, 50, Duration::from_millis(500));
}

#[test]
fn the_largest_messages_at_once_stay_within_the_budget() {
    largest_at_once(20, 40 * MIB);
}

#[test]
#[ignore = "by hand: needs 12,000 file descriptors and a quiet machine"]
fn ten_thousand_idle_connections_and_a_thousand_slow_senders() {
    idle_and_slow(10_000, 1_000, Duration::from_millis(100));
}

#[test]
#[ignore = "by hand: sends 2 GB"]
fn two_hundred_of_the_largest_messages_at_once() {
    largest_at_once(200, 256 * MIB);
}
