//! One whole connection: whatever a client sends, in whatever pieces, gets one reply a line, and what is delivered is
//! what a plain reading of the bytes says it is.
//!
//! Input: settings, the seed of the chunks, the cap of a message, limits, and then what the client sends.

#![no_main]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use dsnd::address::ForwardPath;
use dsnd::smtp::connection::{Connection, Ended};
use dsnd::smtp::settings::{BareNewline, MAX_COMMAND_LINE, Settings};
use dsnd::smtp::{Delivery, Envelope, Peer, RecipientVerdict, Sink};
use dsnd_fuzz::{chunks, decode_data, steered};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// Longest reply line in octets (RFC 5321 §4.5.3.1.5).
const MAX_REPLY_LINE: usize = 512;

/// Counts what arrives; takes what the dialogues of the tests take.
struct Counting {
    full: bool,
    received: Mutex<Vec<(Envelope, Vec<u8>)>>,
}

impl Sink for Counting {
    fn check_recipient(&self, recipient: &ForwardPath) -> RecipientVerdict {
        match recipient {
            ForwardPath::Postmaster => RecipientVerdict::Accept,
            ForwardPath::Mailbox(mailbox) if mailbox.domain_key() != "bounces.example" => {
                RecipientVerdict::NotOurs
            }
            ForwardPath::Mailbox(mailbox) if mailbox.local_part().starts_with("no") => {
                RecipientVerdict::NoSuchMailbox
            }
            ForwardPath::Mailbox(mailbox) if mailbox.local_part().starts_with("b-") => {
                RecipientVerdict::Refuse("This return path is forged")
            }
            ForwardPath::Mailbox(_) => RecipientVerdict::Accept,
        }
    }

    async fn deliver(&self, envelope: Envelope, message: Vec<u8>) -> Delivery {
        let mut received = self.received.lock().unwrap();
        let duplicate = received.iter().any(|(_, earlier)| *earlier == message);
        received.push((envelope, message));
        if self.full {
            return Delivery::TryLater;
        }
        Delivery::Committed { id: i64::try_from(received.len()).unwrap(), duplicate }
    }
}

/// Time stands still in it: nothing waits, and what would hang runs into its timeout at once.
static RUNTIME: LazyLock<Mutex<Runtime>> = LazyLock::new(|| {
    Mutex::new(Builder::new_current_thread().enable_time().start_paused(true).build().unwrap())
});

/// What EHLO is answered with, asked once.
static OFFERED: LazyLock<String> = LazyLock::new(|| {
    let sink = Arc::new(Counting { full: false, received: Mutex::default() });
    let (_, said) = talk(b"EHLO a\r\n", 0, 4096, Settings::default(), sink);
    String::from_utf8(said).unwrap()
});

/// Sends it all, closes, and gives back how it ended and what the server said.
fn talk(
    sent: &[u8],
    seed: u8,
    pipe: usize,
    settings: Settings,
    sink: Arc<Counting>,
) -> (io::Result<Ended>, Vec<u8>) {
    let (server, client) = duplex(pipe);
    let (mut reader, mut writer) = split(client);
    let peer = Peer { connection: 1, address: SocketAddr::from((Ipv4Addr::LOCALHOST, 25)).into() };
    let run = Connection::new(server, peer, sink, Arc::new(settings), CancellationToken::new()).run();
    let write = async {
        for chunk in chunks(sent, seed) {
            // The server may have closed already.
            if writer.write_all(chunk).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = writer.shutdown().await;
    };
    let mut said = Vec::new();
    let read = reader.read_to_end(&mut said);
    let dialogue = async { tokio::join!(run, write, read) };
    let runtime = RUNTIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (ended, (), read) = runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(86_400), dialogue).await })
        .expect("every dialogue ends");
    read.unwrap();
    (ended, said)
}

/// The replies, each a code and its lines without code and separator.
fn replies(said: &[u8]) -> Vec<(u16, Vec<String>)> {
    let said = std::str::from_utf8(said).expect("replies are UTF-8");
    let mut replies = Vec::new();
    let mut lines = Vec::new();
    for line in said.split_inclusive('\n') {
        assert!(line.len() <= MAX_REPLY_LINE, "a reply line of {} octets", line.len());
        let text = line.strip_suffix("\r\n").unwrap_or_else(|| panic!("a reply without its CRLF: {line:?}"));
        assert!(!text.contains(char::is_control), "a control character in {text:?}");
        let (code, text) = text.split_at_checked(3).expect("a reply code");
        let code: u16 = code.parse().expect("a reply code");
        assert!((200..600).contains(&code), "{line:?}");
        lines.push((code, text[1..].to_owned()));
        match text.as_bytes()[0] {
            b'-' => {}
            b' ' => {
                assert!(lines.iter().all(|(other, _)| *other == code), "one code a reply: {lines:?}");
                replies.push((code, lines.drain(..).map(|(_, text)| text).collect()));
            }
            _ => panic!("neither a space nor a hyphen after the code: {line:?}"),
        }
    }
    assert!(lines.is_empty(), "a reply without its last line: {lines:?}");
    replies
}

/// Takes one command line off the front: the line, where it is a whole and sound one, and what follows it. `None`
/// when no reply is owed any more.
fn command(sent: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let newline = sent.iter().position(|byte| *byte == b'\n')?;
    let end = sent.windows(2).position(|pair| pair == b"\r\n");
    if newline >= MAX_COMMAND_LINE {
        return end.map(|end| (None, &sent[end + 2..])); // too long: the reply waits for its end
    }
    match end {
        Some(end) if end + 1 == newline => Some((Some(&sent[..end]), &sent[end + 2..])),
        Some(end) => Some((None, &sent[end + 2..])), // a bare LF: all up to the CRLF is one bad line
        None => Some((None, &[])),
    }
}

/// The count of a BDAT line, and whether it is the last one (RFC 3030 §2); a count beyond all reason is one that never
/// comes.
fn bdat(line: &str) -> Option<(usize, bool)> {
    if line.starts_with(|c: char| c.is_ascii_whitespace()) {
        return None; // no command begins with a space: the connection ends at it
    }
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (count, last) = match words[..] {
        ["BDAT", count] => (count, false),
        ["BDAT", count, "LAST"] => (count, true),
        _ => return None,
    };
    count.bytes().all(|byte| byte.is_ascii_digit()).then(|| (count.parse().unwrap_or(usize::MAX), last))
}

/// Whether a CR or an LF stands outside a CRLF.
fn has_bare_newlines(octets: &[u8]) -> bool {
    let after = |at: usize| octets.get(at + 1);
    octets.iter().enumerate().any(|(at, octet)| match octet {
        b'\r' => after(at) != Some(&b'\n'),
        b'\n' => at == 0 || octets[at - 1] != b'\r',
        _ => false,
    })
}

/// Holds the replies and the deliveries against what the client sent: one reply a line or chunk, every message that a
/// plain decoder finds behind a 354 or that the chunks say, and nothing else.
fn account(sent: &[u8], replies: &[(u16, Vec<String>)], cap: usize, reject: bool, sink: &Counting) {
    let chunking = OFFERED.contains("CHUNKING");
    let mut replies = replies.iter().peekable();
    let received = sink.received.lock().unwrap();
    let mut received = received.iter();
    // The reply to a whole message, which is delivered or refused for a reason.
    let mut judged = |code: u16, octets: &[u8], bare_newlines: bool| {
        if octets.len() > cap {
            assert_eq!(code, 552, "too big");
        } else if bare_newlines && reject {
            assert_eq!(code, 550, "bare newlines");
        } else {
            let (envelope, delivered) = received.next().expect("the message is delivered");
            assert_eq!(delivered, octets);
            assert_eq!(envelope.bare_newlines, bare_newlines);
            assert_eq!(code, if sink.full { 451 } else { 250 });
        }
    };
    assert_eq!(replies.next().expect("a greeting").0, 220);
    let (mut rest, mut chunks, mut closed) = (sent, Vec::new(), false);
    while let Some((line, after)) = command(rest).filter(|_| !closed) {
        rest = after;
        let line = line.map(String::from_utf8_lossy).unwrap_or_default().to_uppercase();
        // One with a control character in it is no command, and nobody knows where its octets end.
        let chunk = bdat(&line).filter(|_| chunking && !line.contains(|c: char| c.is_control() && c != '\t'));
        if chunk.is_some_and(|(count, _)| count > rest.len()) {
            // It never came whole: no reply, or an end at once to a count that nobody waits for.
            if replies.next().is_some() {
                assert_eq!(replies.next().map(|(code, _)| *code), Some(421), "{line:?}");
            }
            break;
        }
        let (code, _) = replies.next().unwrap_or_else(|| panic!("no reply to {line:?}"));
        if let Some((count, last)) = chunk {
            chunks.extend_from_slice(&rest[..count]);
            rest = &rest[count..];
            match code {
                503 | 554 => chunks.clear(), // no transaction that it could belong to
                552 if !last => {
                    assert!(chunks.len() > cap, "too big");
                    chunks.clear();
                }
                _ if last => {
                    let octets = std::mem::take(&mut chunks);
                    judged(*code, &octets, has_bare_newlines(&octets));
                }
                _ => assert_eq!(*code, 250, "{line:?}"),
            }
        }
        match code {
            221 => {
                assert!(line.starts_with("QUIT"), "{line:?} is no QUIT");
                closed = true;
            }
            250 if chunk.is_none()
                && ["EHLO", "HELO", "RSET", "MAIL"]
                    .iter()
                    .any(|verb| line.trim_start().starts_with(verb)) =>
            {
                chunks.clear();
            }
            354 => {
                assert!(line.starts_with("DATA"), "{line:?} is no DATA");
                let Some(decoded) = decode_data(rest) else { break };
                rest = &rest[decoded.taken..];
                let (code, _) = replies.next().expect("a reply to the message");
                judged(*code, &decoded.octets, decoded.bare_newlines);
            }
            421 => closed = true,
            // It may have been one bad command too many, or one after which nobody knows where a chunk ends.
            500..=503 | 555 | 552 => closed = replies.next_if(|(code, _)| *code == 421).is_some(),
            _ => {}
        }
    }
    assert!(received.next().is_none(), "a message that nobody sent");
    assert!(replies.next().is_none(), "a reply to nothing");
}

fuzz_target!(|input: &[u8]| {
    let ([ways, seed, cap, limits], sent) = steered(input);
    let reject = ways & 1 == 1;
    let cap = if cap == 0 { 1 << 20 } else { usize::from(cap) * 2 };
    let settings = Settings {
        hostname: "mx.example".to_owned(),
        max_message_size: cap,
        bare_newline: if reject { BareNewline::Reject } else { BareNewline::Accept },
        max_recipients: 1 + usize::from(limits & 0xF),
        max_bad_commands: 1 + u32::from(limits >> 4),
        ..Settings::default()
    };
    let max_recipients = settings.max_recipients;
    let sink = Arc::new(Counting { full: ways & 2 == 2, received: Mutex::default() });
    let pipe = if ways & 4 == 4 { 7 } else { 64 * 1024 };
    let (ended, said) = talk(sent, seed, pipe, settings, Arc::clone(&sink));
    let ended = ended.expect("the stream does not fail");
    assert!(matches!(ended, Ended::Closed | Ended::ClientLeft), "{ended:?}");
    let replies = replies(&said);
    for (envelope, octets) in sink.received.lock().unwrap().iter() {
        assert!((1..=max_recipients).contains(&envelope.recipients.len()));
        assert!(octets.len() <= cap && octets.capacity() <= 2 * cap, "{} of {cap}", octets.capacity());
    }
    // What follows a STARTTLS is no SMTP: where it is served, the plain reading does not hold.
    let upper = sent.to_ascii_uppercase();
    if !OFFERED.contains("STARTTLS") || !upper.windows(8).any(|word| word == b"STARTTLS") {
        account(sent, &replies, cap, reject, &sink);
    }
});
