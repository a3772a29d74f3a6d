//! What one stranger with the default limits can do to the disk and to others, and what lists of what he sent take.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;

use super::common::{Database, Home, OUR_ADDRESS, say};
use super::{MIB, honest, memory, start, until};

/// A report of some 7 MB about a thousand recipients, each with a text of 7 KB that no packing makes small.
fn large(number: usize) -> Vec<u8> {
    let mut state = number as u64 + 1;
    let mut noise = |octets: usize| {
        let mut text = String::with_capacity(octets + 16);
        while text.len() < octets {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!("{:016x}", state ^ (state >> 31)));
        }
        text
    };
    let mut groups = String::new();
    for recipient in 0..1_000 {
        let text: String = (0..9).map(|_| format!("\r\n {}", noise(780))).collect();
        groups.push_str(&format!(
            "\r\nFinal-Recipient: rfc822; r{recipient}@n{number}.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
             Diagnostic-Code: smtp; 550 5.1.1 User unknown{text}\r\n"
        ));
    }
    format!(
        "From: MAILER-DAEMON@mx.example\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\nMessage-ID: <large-{number}@mx.example>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"edge\"\r\n\r\n\
         --edge\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n{groups}\r\n--edge--\r\n"
    )
    .into_bytes()
}

async fn connect(daemon: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, 9), 0))).unwrap();
    socket.connect(daemon).await.unwrap()
}

fn home() -> Home {
    Home::new().without("RETURN_PATH_TRUST_UNSIGNED").with("LIMITS_EXEMPT", "127.0.0.1")
}

/// Hands one message in; whether it was taken.
async fn bring(stream: &mut TcpStream, message: &[u8]) -> bool {
    for (line, code) in [
        ("MAIL FROM:<>\r\n".to_owned(), "250"),
        (format!("RCPT TO:<{OUR_ADDRESS}>\r\n"), "250"),
        ("DATA\r\n".to_owned(), "354"),
    ] {
        if stream.write_all(line.as_bytes()).await.is_err() || !until(stream, code).await {
            return false;
        }
    }
    stream.write_all(message).await.is_ok()
        && stream.write_all(b".\r\n").await.is_ok()
        && until(stream, "250").await
}

fn on_disk(home: &Home) -> usize {
    let length = |suffix: &str| {
        let file = format!("{}{suffix}", home.database().display());
        std::fs::metadata(file).map_or(0, |found| usize::try_from(found.len()).unwrap())
    };
    length("") + length("-wal")
}

#[test]
#[ignore = "takes minutes; README, \"Load\""]
fn one_client_with_the_default_limits_for_a_minute() {
    let home = home();
    let daemon = start(&home);
    let (half_before, worst_before) = honest(&daemon, "before", 50);
    let before = on_disk(&home);
    let runtime = Runtime::new().unwrap();
    let (address, taken) = (daemon.address(), Arc::new(AtomicUsize::new(0)));
    let until = Instant::now() + Duration::from_secs(60);
    let senders: Vec<_> = (0..10)
        .map(|sender| {
            let taken = Arc::clone(&taken);
            runtime.spawn(async move {
                let mut number = sender * 1_000;
                while Instant::now() < until {
                    let mut stream = connect(address).await;
                    let hello = super::until(&mut stream, "220").await
                        && stream.write_all(b"HELO a\r\n").await.is_ok()
                        && super::until(&mut stream, "250").await;
                    number += 1;
                    if hello && bring(&mut stream, &large(number)).await {
                        taken.fetch_add(1, Ordering::SeqCst);
                    } else {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            })
        })
        .collect();
    let (mut half, mut worst) = (Vec::new(), Duration::ZERO);
    for round in 0.. {
        let (one, slowest) = honest(&daemon, &format!("during-{round}"), 20);
        half.push(one);
        worst = worst.max(slowest);
        if Instant::now() > until {
            break;
        }
    }
    runtime.block_on(async {
        for sender in senders {
            sender.await.unwrap();
        }
    });
    half.sort();
    say(&format!(
        "{} reports of 7 MB taken in a minute, {} MiB more on disk\nan honest bounce, connection included: before \
         {half_before:?} (worst {worst_before:?}), during {:?} (worst {worst:?})",
        taken.load(Ordering::SeqCst),
        (on_disk(&home) - before) / MIB,
        half[half.len() / 2],
    ));
    daemon.stop();
}

#[test]
#[ignore = "takes minutes; README, \"Load\""]
fn a_list_after_a_hundred_reports_of_7_mb() {
    let home = home()
        .with("LIMITS_OCTETS_PER_MINUTE", "0")
        .with("UNPROVEN_NETWORK_OCTETS", "0")
        .with("UNPROVEN_NETWORK_ROWS", "0");
    let daemon = start(&home);
    Runtime::new().unwrap().block_on(async {
        let mut stream = connect(daemon.address()).await;
        assert!(super::until(&mut stream, "220").await);
        stream.write_all(b"HELO a\r\n").await.unwrap();
        assert!(super::until(&mut stream, "250").await);
        for number in 0..100 {
            assert!(bring(&mut stream, &large(number)).await, "{number}");
        }
    });
    let memory_before = memory(&daemon, "VmRSS:");
    let started = Instant::now();
    let page = daemon.http().get("/v1/bounces");
    say(&format!(
        "a page of /v1/bounces after a hundred reports of 7 MB: {} octets in {:?}; memory {memory_before:?} before, {:?} after",
        page.body.len(),
        started.elapsed(),
        memory(&daemon, "VmRSS:"),
    ));
    daemon.stop();
}

#[test]
#[ignore = "takes minutes; README, \"Load\""]
fn a_short_list_of_a_million_events() {
    let home = home();
    home.start().stop();
    super::old::fill(&home, 1_000_000);
    let count = Database::read(&home.database()).number("SELECT count(*) FROM events");
    for arguments in [
        &["bounces", "list", "--limit", "5"][..],
        &["bounces", "list", "--limit", "5", "--class", "virus"],
        &["bounces", "list", "--limit", "5", "--class", "recipient_unknown", "--trust", "proven"],
        &["bounces", "list", "--limit", "5", "--kind", "mdn"],
        &["bounces", "list", "--limit", "5", "--recipient", "user7@example7.net"],
    ] {
        let started = Instant::now();
        let mut timed = vec!["-f", "%M", super::common::DSND];
        timed.extend(arguments);
        let output = home.wrapped(&["/usr/bin/time"], &timed).output().expect("GNU time");
        let took = started.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        let kibibytes = said.lines().last().unwrap_or_default();
        say(&format!("{arguments:?} of {count} events: {took:?}, {kibibytes} KiB"));
    }
}
