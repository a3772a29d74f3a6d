use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use proptest::prelude::*;
use tokio::io::{DuplexStream, ReadBuf, duplex};
use tokio::time::Instant;

use super::*;
use crate::address::ForwardPath;
use crate::smtp::{Delivery, Envelope, Handle, RecipientVerdict};

/// Takes everything.
pub(super) struct Anything;

impl Sink for Anything {
    fn check_recipient(&self, _: &ForwardPath) -> RecipientVerdict {
        RecipientVerdict::Accept
    }

    async fn deliver(&self, _: Envelope, message: Vec<u8>) -> Delivery {
        Delivery::Committed {
            handle: Handle::of(&[u8::try_from(message.len()).unwrap_or(u8::MAX); 32]),
            duplicate: false,
        }
    }
}

pub(super) fn connection<T>(
    stream: T,
    settings: Settings,
    shutdown: &CancellationToken,
) -> Connection<T, Anything>
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
{
    let peer = Peer { connection: 1, address: SocketAddr::from((Ipv4Addr::LOCALHOST, 25)).into() };
    Connection::new(stream, peer, Arc::new(Anything), Arc::new(settings), shutdown.clone())
}

/// Sends `input`, closes, and gives back all that the server said.
async fn talk(input: &[u8], settings: Settings) -> String {
    let (server, client) = duplex(64 * 1024);
    let (mut reader, mut writer) = tokio::io::split(client);
    let shutdown = CancellationToken::new();
    let run = connection(server, settings, &shutdown).run();
    let write = async {
        let _ = writer.write_all(input).await; // the server may have closed already
        let _ = writer.shutdown().await;
    };
    let mut said = Vec::new();
    let (ended, (), read) = tokio::join!(run, write, reader.read_to_end(&mut said));
    ended.unwrap();
    read.unwrap();
    String::from_utf8(said).unwrap()
}

pub(super) fn settings() -> Settings {
    Settings { hostname: "mx.example".to_owned(), ..Settings::default() }
}

#[test]
fn an_idle_connection_holds_less_than_16_kib() {
    let (server, _client) = duplex(1);
    let future = connection(server, settings(), &CancellationToken::new()).run();
    let size = std::mem::size_of_val(&future) + COMMAND_BUFFER;
    assert!(size < 16 * 1024, "{size} octets");
}

#[tokio::test(start_paused = true)]
async fn octets_that_drip_do_not_keep_a_command_alive() {
    let (server, mut client) = duplex(1024);
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(connection(server, settings(), &shutdown).run());
    let started = Instant::now();
    // The write fails once the server has closed.
    while client.write_all(b"x").await.is_ok() && started.elapsed() < Duration::from_secs(1_000) {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert!(said.ends_with("421 4.4.2 Timeout, closing connection\r\n"), "{said}");
    assert_eq!(run.await.unwrap().unwrap(), Ended::Idle);
    assert!(started.elapsed() < Duration::from_secs(320), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn octets_that_drip_do_not_keep_a_message_alive_for_ever() {
    let (server, mut client) = duplex(1024);
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(connection(server, settings(), &shutdown).run());
    let started = Instant::now();
    client.write_all(b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n").await.unwrap();
    while client.write_all(b"x").await.is_ok() && started.elapsed() < Duration::from_secs(10_000) {
        tokio::time::sleep(Duration::from_secs(200)).await;
    }
    assert_eq!(run.await.unwrap().unwrap(), Ended::Idle);
    let lasted = started.elapsed();
    assert!((3_600..3_900).contains(&lasted.as_secs()), "{lasted:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_dropped() {
    let (server, mut client) = duplex(1024);
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(connection(server, settings(), &shutdown).run());
    let started = Instant::now();
    // The server stops reading once it cannot write; then this write fails with the connection.
    let written = client.write_all(&b"NOOP\r\n".repeat(100_000)).await;
    assert!(written.is_err());
    let error = run.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(started.elapsed() < Duration::from_secs(70), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_line_of_50_mb_and_a_message_of_50_mb_are_answered() {
    let long = vec![b'x'; 50_000_000];
    let mut input = long.clone();
    input.extend_from_slice(b"\r\nEHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n");
    input.extend_from_slice(&long);
    input.extend_from_slice(b"\r\n.\r\nQUIT\r\n");
    let said = talk(&input, settings()).await;
    let codes: Vec<&str> =
        said.lines().filter(|line| line.as_bytes()[3] == b' ').map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "500", "250", "250", "250", "354", "552", "221"]);
}

/// A stream that counts the writes to it.
struct Counting(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write(cx, buf);
        self.1.fetch_add(usize::from(written.is_ready()), Ordering::Relaxed);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn replies_to_pipelined_commands_go_out_in_one_write() {
    let (server, mut client) = duplex(64 * 1024);
    let writes = Arc::new(AtomicUsize::new(0));
    let stream = Counting(server, Arc::clone(&writes));
    let run = connection(stream, settings(), &CancellationToken::new()).run();
    client.write_all(&b"NOOP\r\n".repeat(500)).await.unwrap();
    client.write_all(b"QUIT\r\n").await.unwrap();
    client.shutdown().await.unwrap();
    let mut said = String::new();
    let (ended, read) = tokio::join!(run, client.read_to_string(&mut said));
    assert_eq!(ended.unwrap(), Ended::Closed);
    read.unwrap();
    assert_eq!(said.matches("250 2.0.0").count(), 500);
    // The greeting, which goes before anything is read, and the rest.
    assert_eq!(writes.load(Ordering::Relaxed), 2);
}

/// A client that keeps a message open with chunks has no more time than one that drips into DATA.
#[tokio::test(start_paused = true)]
async fn chunks_do_not_keep_a_message_alive_for_ever() {
    let (server, mut client) = duplex(1024);
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(connection(server, settings(), &shutdown).run());
    let started = Instant::now();
    client.write_all(b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n").await.unwrap();
    let mut unread = [0; 1024];
    while client.write_all(b"BDAT 1\r\nx").await.is_ok() && started.elapsed() < Duration::from_secs(10_000) {
        let _ = client.read(&mut unread).await.unwrap();
        tokio::time::sleep(Duration::from_secs(200)).await;
    }
    assert_eq!(run.await.unwrap().unwrap(), Ended::Idle);
    let lasted = started.elapsed();
    assert!((3_600..3_900).contains(&lasted.as_secs()), "{lasted:?}");
}

#[tokio::test]
async fn a_shutdown_lets_a_message_in_chunks_come_to_its_end() {
    let (server, mut client) = duplex(1024);
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(connection(server, settings(), &shutdown).run());
    client.write_all(b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nBDAT 3\r\none").await.unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"3 octets received\r\n") {
        assert!(client.read_buf(&mut said).await.unwrap() > 0);
    }
    shutdown.cancel();
    client.write_all(b"BDAT 3 LAST\r\ntwo").await.unwrap();
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("250 2.6.0 Stored as 060606060606\r\n421 4.3.2 "), "{said}");
    assert_eq!(run.await.unwrap().unwrap(), Ended::ShutDown);
}

#[tokio::test]
async fn a_chunk_of_50_mb_that_nobody_asked_for_is_counted_off() {
    let mut input = b"EHLO a\r\nBDAT 50000000 LAST\r\n".to_vec();
    input.extend_from_slice(&b"QUIT\r\n".repeat(50_000_000 / 6 + 1)[..50_000_000]);
    input.extend_from_slice(b"QUIT\r\n");
    let said = talk(&input, settings()).await;
    assert!(said.contains("503 5.5.1 ") && said.ends_with("\r\n221 2.0.0 Bye\r\n"), "{said}");
    assert_eq!(said.matches("503 ").count(), 1);
}

proptest! {
    /// Whatever comes: the server answers in whole lines that start with a reply code, and it ends when the client does.
    #[test]
    fn no_byte_sequence_makes_a_connection_panic(
        pieces in proptest::collection::vec(
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..40),
                prop::sample::select(vec![
                    "EHLO a\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<a@b.example>\r\n", "DATA\r\n", ".\r\n", "BDAT 3\r\n", "BDAT 5 LAST\r\n", "BDAT -1\r\n", "\r\n.\r\n", "\n", "\r", "RSET\r\n", "QUIT\r\n",
                ]).prop_map(|text| text.as_bytes().to_vec()),
            ],
            0..30,
        ),
        max_message_size in 0usize..60,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let settings = Settings { max_message_size, ..settings() };
        let said = runtime.block_on(talk(&pieces.concat(), settings));
        prop_assert!(said.starts_with("220 "));
        prop_assert!(said.ends_with("\r\n"));
        for line in said.lines() {
            prop_assert!(line.len() > 4 && line.as_bytes()[..3].iter().all(u8::is_ascii_digit), "{}", line);
        }
    }
}
