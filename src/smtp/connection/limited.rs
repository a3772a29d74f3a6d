//! What a connection does to a client that is counted.

use std::net::{IpAddr, Ipv4Addr};

use tokio::time::Instant;

use super::super::limits::{Counted, Limits};
use super::tests::{connection, settings};
use super::*;

const UP_TO_DATA: &[u8] = b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n";

fn stranger(counted: &Counted, limits: &Limits) -> Client {
    counted.admit(Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, 1))), limits).unwrap()
}

fn limited(change: impl FnOnce(&mut Limits)) -> Settings {
    let mut settings = settings();
    change(&mut settings.limits);
    settings
}

/// Runs a connection of a stranger with `client` at its other end; what the server said, and how it ended.
async fn with_client<F: Future<Output = ()>>(
    settings: Settings,
    counted: &Counted,
    client: impl FnOnce(tokio::io::WriteHalf<tokio::io::DuplexStream>) -> F,
) -> (String, Ended) {
    let shutdown = CancellationToken::new();
    let (server, stream) = tokio::io::duplex(64 * 1024);
    let (mut reader, writer) = tokio::io::split(stream);
    let admitted = stranger(counted, &settings.limits);
    let run = connection(server, settings, &shutdown).of(admitted).run();
    let mut said = String::new();
    let (ended, (), _) = tokio::join!(run, client(writer), reader.read_to_string(&mut said));
    (said, ended.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_too_slowly_is_cut_off_after_a_grace() {
    let (counted, started) = (Counted::default(), Instant::now());
    let (said, ended) = with_client(limited(|_| ()), &counted, async |mut writer| {
        writer.write_all(UP_TO_DATA).await.unwrap();
        while started.elapsed() < Duration::from_secs(1_000) && writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    assert_eq!(ended, Ended::TooSlow);
    assert!(said.ends_with("421 4.4.2 Too slow, closing connection\r\n"), "{said}");
    let lasted = started.elapsed().as_secs();
    assert!((30..40).contains(&lasted), "{lasted} s");
    assert_eq!(counted.body_memory(), 0, "and its memory is free");
}

#[tokio::test(start_paused = true)]
async fn a_steady_message_at_the_least_pace_is_taken_however_long_it_is() {
    let (counted, started) = (Counted::default(), Instant::now());
    let (said, _) = with_client(limited(|_| ()), &counted, async |mut writer| {
        writer.write_all(UP_TO_DATA).await.unwrap();
        for _ in 0..600 {
            writer.write_all(&[b'x'; 510]).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        writer.write_all(b"\r\n.\r\nQUIT\r\n").await.unwrap();
    })
    .await;
    assert!(said.contains("\r\n250 2.6.0 "), "{said}");
    assert!(started.elapsed() >= Duration::from_secs(600));
}

#[tokio::test(start_paused = true)]
async fn mistakes_are_answered_ever_more_slowly_and_a_shutdown_waits_for_none_of_it() {
    let (counted, started) = (Counted::default(), Instant::now());
    let (said, ended) = with_client(limited(|_| ()), &counted, async |mut writer| {
        writer.write_all(&b"NONSENSE\r\n".repeat(20)).await.unwrap();
    })
    .await;
    assert_eq!(ended, Ended::Closed);
    assert_eq!(said.matches("500 5.5.2").count(), 10);
    let lasted = started.elapsed().checked_sub(LINGER).unwrap();
    assert_eq!(lasted.as_secs(), 1 + 2 + 3 + 4 + 5 + 5 + 5, "beyond the third, up to 5 s");

    let (started, shutdown) = (Instant::now(), CancellationToken::new());
    let (server, mut client) = tokio::io::duplex(64 * 1024);
    let patient = limited(|limits| limits.tarpit = Duration::from_secs(1_000));
    let admitted = stranger(&counted, &patient.limits);
    let run = tokio::spawn(connection(server, patient, &shutdown).of(admitted).run());
    client.write_all(&b"NONSENSE\r\n".repeat(4)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    shutdown.cancel();
    assert_eq!(run.await.unwrap().unwrap(), Ended::ShutDown);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    let mut said = String::new();
    client.read_to_string(&mut said).await.unwrap();
    assert_eq!(said.matches("500 5.5.2").count(), 4, "the reply that waited is given: {said}");
}

#[tokio::test(start_paused = true)]
async fn without_memory_a_message_is_refused_for_now_and_the_session_goes_on() {
    let small = limited(|limits| limits.body_memory = 4 * 20_000);
    let small = Settings { max_message_size: 20_000, ..small };
    let counted = Counted::default();
    let admitted = stranger(&counted, &small.limits);
    let mut taken = admitted.body(&small.limits, small.max_message_size);
    assert!(taken.grow_to(15_000));
    let (said, _) = with_client(small.clone(), &counted, async |mut writer| {
        writer.write_all(b"EHLO a\r\nMAIL FROM:<> SIZE=6000\r\nMAIL FROM:<>").await.unwrap();
        writer.write_all(b"\r\nRCPT TO:<a@b.example>\r\nDATA\r\n").await.unwrap();
        writer.write_all(&[b'x'; 19_000]).await.unwrap();
        writer.write_all(b"\r\n.\r\nMAIL FROM:<>\r\nRSET\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await; // until all of that is answered
        drop(taken);
        writer.write_all(UP_TO_DATA).await.unwrap();
        writer.write_all(&[b'x'; 19_000]).await.unwrap();
        writer.write_all(b"\r\n.\r\nQUIT\r\n").await.unwrap();
    })
    .await;
    let replies: Vec<&str> = said
        .lines()
        .filter(|line| line.as_bytes()[3] == b' ')
        .map(|line| line.get(..9).unwrap_or(line))
        .collect();
    let no_memory = "452 4.3.1";
    assert_eq!(replies[2], no_memory, "at MAIL, for what it announces: {replies:?}");
    assert_eq!(replies[3..6], ["250 2.1.0", "250 2.1.5", "354 End d"], "{replies:?}");
    assert_eq!(replies[6], no_memory, "at the end of a message that announced nothing: {replies:?}");
    assert_eq!(replies[13..], ["250 2.6.0", "221 2.0.0"], "{replies:?}");
    assert_eq!(counted.body_memory(), 0);
}

#[tokio::test(start_paused = true)]
async fn memory_that_is_gone_by_the_time_of_data_is_missed_there_and_data_can_be_sent_again() {
    let small = limited(|limits| limits.body_memory = 4 * 20_000);
    let small = Settings { max_message_size: 20_000, ..small };
    let counted = Counted::default();
    let other = stranger(&counted, &small.limits);
    let mut taken = other.body(&small.limits, small.max_message_size);
    let (said, _) = with_client(small, &counted, async |mut writer| {
        writer.write_all(b"EHLO a\r\nMAIL FROM:<> SIZE=6000\r\nRCPT TO:<a@b.example>\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await; // until all of that is answered
        assert!(taken.grow_to(15_000));
        writer.write_all(b"DATA\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(taken);
        writer.write_all(b"DATA\r\nx\r\n.\r\nQUIT\r\n").await.unwrap();
    })
    .await;
    let end: Vec<&str> = said.lines().rev().take(4).map(|line| &line[..9]).collect();
    assert_eq!(end, ["221 2.0.0", "250 2.6.0", "354 End d", "452 4.3.1"], "{said}");
}

/// Says `again` every so many seconds for as long as the server listens; how long that was, and how it ended.
async fn said_every(seconds: u64, begin: &[u8], again: &[u8]) -> (u64, String, Ended) {
    let (counted, started) = (Counted::default(), Instant::now());
    let many = limited(|limits| limits.commands_without_message = 0);
    let (said, ended) = with_client(many, &counted, async |mut writer| {
        writer.write_all(begin).await.unwrap();
        while started.elapsed() < Duration::from_secs(100_000) && writer.write_all(again).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    })
    .await;
    (started.elapsed().as_secs(), said, ended)
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_brings_no_message_ends_however_busy_it_is() {
    let begin = b"EHLO a\r\n";
    for (seconds, again) in [
        (299, &b"NOOP\r\n"[..]),
        (10, b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nRSET\r\n"),
        (10, b"EHLO a\r\nMAIL FROM:<>\r\n"),
        (1, b"VRFY a\r\n"),
    ] {
        let (lasted, said, ended) = said_every(seconds, begin, again).await;
        assert_eq!(ended, Ended::NoMessage);
        assert!(said.ends_with("421 4.4.2 No message for too long, closing connection\r\n"), "{said}");
        assert!((600..910).contains(&lasted), "{lasted} s");
    }
    // One that is taken buys the time for the next.
    let message = b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\nx\r\n.\r\n";
    let (lasted, said, _) = said_every(299, begin, message).await;
    assert!(lasted > 10_000 && said.matches("250 2.6.0").count() > 300, "{lasted} s");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_pauses_is_heard_out_no_longer_than_one_that_does() {
    let (counted, started) = (Counted::default(), Instant::now());
    let many = limited(|limits| limits.commands_without_message = 0);
    let (_, ended) = with_client(many, &counted, async |mut writer| {
        while writer.write_all(b"NOOP\r\n").await.is_ok() {
            tokio::time::advance(Duration::from_millis(100)).await;
        }
    })
    .await;
    assert_eq!(ended, Ended::NoMessage);
    assert!((600..700).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());

    let (counted, started) = (Counted::default(), Instant::now());
    let (_, ended) = with_client(limited(|_| ()), &counted, async |mut writer| {
        writer.write_all(UP_TO_DATA).await.unwrap();
        while writer.write_all(&[b'x'; 1_000]).await.is_ok() {
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    })
    .await;
    assert_eq!(ended, Ended::Idle, "a message without an end");
    assert!((3_600..3_700).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_transaction_begins_with_mail_also_for_those_who_are_exempt() {
    let (server, mut client) = tokio::io::duplex(64 * 1024);
    let shutdown = CancellationToken::new();
    let run = tokio::spawn(connection(server, settings(), &shutdown).run());
    let started = Instant::now();
    client.write_all(b"EHLO a\r\n").await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(200)).await;
        client.write_all(b"NOOP\r\n").await.unwrap();
    }
    client.write_all(b"MAIL FROM:<>\r\n").await.unwrap();
    while client.write_all(b"RCPT TO:<a@b.example>\r\n").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(200)).await;
    }
    assert_eq!(run.await.unwrap().unwrap(), Ended::Idle);
    let lasted = started.elapsed().as_secs();
    assert!((5_600..5_900).contains(&lasted), "{lasted} s");
}

#[tokio::test(start_paused = true)]
async fn messages_beyond_the_rate_are_refused_at_mail_until_the_next_minute() {
    let (counted, few) = (Counted::default(), limited(|limits| limits.messages_per_minute = 2));
    let (said, _) = with_client(few, &counted, async |mut writer| {
        writer.write_all(b"EHLO a\r\n").await.unwrap();
        writer.write_all(&b"MAIL FROM:<>\r\nRSET\r\n".repeat(3)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        writer.write_all(b"MAIL FROM:<>\r\nQUIT\r\n").await.unwrap();
    })
    .await;
    assert_eq!(said.matches("250 2.1.0").count(), 3);
    assert_eq!(said.matches("450 4.7.0").count(), 1);
    assert!(said.ends_with("250 2.1.0 Sender OK\r\n221 2.0.0 Bye\r\n"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn octets_beyond_the_rate_are_refused_at_mail_and_recipients_at_rcpt_until_the_next_minute() {
    let counted = Counted::default();
    let few = limited(|limits| (limits.octets_per_minute, limits.recipients_per_minute) = (1_000, 3));
    let (said, _) = with_client(few, &counted, async |mut writer| {
        writer
            .write_all(b"EHLO a\r\nMAIL FROM:<> SIZE=5000\r\nRCPT TO:<a@b.example>\r\nDATA\r\n")
            .await
            .unwrap();
        writer.write_all(&[b'x'; 900]).await.unwrap();
        writer.write_all(b"\r\n.\r\nMAIL FROM:<> SIZE=200\r\n").await.unwrap();
        writer.write_all(b"MAIL FROM:<>\r\n").await.unwrap();
        writer.write_all(&b"RCPT TO:<a@b.example>\r\n".repeat(3)).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
        writer
            .write_all(b"RCPT TO:<a@b.example>\r\nRSET\r\nMAIL FROM:<> SIZE=200\r\nQUIT\r\n")
            .await
            .unwrap();
    })
    .await;
    let codes: Vec<&str> =
        said.lines().filter(|line| line.as_bytes()[3] == b' ').map(|line| &line[..9]).collect();
    let (octets, recipient) = ("450 4.7.0", "250 2.1.5");
    let first = ["250 2.1.0", recipient, "354 End d", "250 2.6.0", octets, "250 2.1.0"];
    assert_eq!(codes[2..8], first, "one message comes, however large: {said}");
    assert_eq!(codes[8..12], [recipient, recipient, "450 4.7.0", recipient], "{said}");
    assert_eq!(codes[12..], ["250 2.0.0", "250 2.1.0", "221 2.0.0"], "{said}");
    assert!(said.contains("Too many octets from your address") && said.contains("Too many recipients from"));
}

#[tokio::test(start_paused = true)]
async fn chunks_take_their_memory_and_their_pace_from_the_same_account_as_data() {
    let small = limited(|limits| limits.body_memory = 4 * 20_000);
    let small = Settings { max_message_size: 20_000, ..small };
    let counted = Counted::default();
    let admitted = stranger(&counted, &small.limits);
    let mut taken = admitted.body(&small.limits, small.max_message_size);
    assert!(taken.grow_to(15_000));
    let (said, _) = with_client(small.clone(), &counted, async |mut writer| {
        writer.write_all(b"EHLO a\r\n").await.unwrap();
        let begin = b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n";
        for last in ["", " LAST"] {
            writer.write_all(begin).await.unwrap();
            writer.write_all(format!("BDAT 19000{last}\r\n").as_bytes()).await.unwrap();
            writer.write_all(&[b'x'; 19_000]).await.unwrap();
        }
        tokio::time::sleep(Duration::from_secs(1)).await; // until all of that is answered
        drop(taken);
        writer.write_all(begin).await.unwrap();
        for chunk in ["BDAT 9000\r\n", "BDAT 9000 LAST\r\n"] {
            writer.write_all(chunk.as_bytes()).await.unwrap();
            writer.write_all(&[b'x'; 9_000]).await.unwrap();
        }
        writer.write_all(b"QUIT\r\n").await.unwrap();
    })
    .await;
    assert_eq!(said.matches("\r\n452 4.3.1 ").count(), 2, "after its octets, which are no commands: {said}");
    assert_eq!(said.matches("\r\n250 2.6.0 ").count(), 1, "{said}");
    assert!(said.ends_with("221 2.0.0 Bye\r\n") && !said.contains("\r\n500 "), "{said}");
    assert_eq!(counted.body_memory(), 0);

    // One octet a chunk, a chunk a second: the pace is that of the message.
    let started = Instant::now();
    let (said, ended) = with_client(limited(|_| ()), &counted, async |mut writer| {
        writer.write_all(b"EHLO a\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n").await.unwrap();
        while started.elapsed() < Duration::from_secs(1_000) && writer.write_all(b"BDAT 1\r\nx").await.is_ok()
        {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    })
    .await;
    assert_eq!(ended, Ended::TooSlow, "{said}");
    let lasted = started.elapsed().as_secs();
    assert!((30..40).contains(&lasted), "{lasted} s");
    assert_eq!(counted.body_memory(), 0, "and its memory is free");
}

#[tokio::test(start_paused = true)]
async fn a_program_on_this_machine_is_counted_for_nothing_but_the_memory() {
    let (counted, none) = (Counted::default(), limited(|limits| limits.connections_per_address = 1));
    let local: Vec<Client> = (0..3).map(|_| counted.admit(None, &none.limits).unwrap()).collect();
    assert!(local.iter().all(|client| client.is_exempt() && client.may_send(&none.limits)));
    let mut body = local[0].body(&none.limits, none.max_message_size);
    assert!(body.grow_to(1_000));
    assert_eq!(counted.body_memory(), 1_000);
}
