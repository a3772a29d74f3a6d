//! One whole connection: whatever a client sends, in whatever pieces, gets one reply a line, and what is delivered is
//! what a plain reading of the bytes says it is.
//!
//! Input: settings, the seed of the chunks, the cap of a message, limits, and then what the client sends. SMTP or LMTP
//! goes over a whole connection, or to the session alone: then STARTTLS is served, and what follows it counts as said
//! under TLS.

#![no_main]

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use dsnd::address::ForwardPath;
use dsnd::smtp::connection::{Connection, Ended};
use dsnd::smtp::data::DataDecoder;
use dsnd::smtp::limits::Counted;
use dsnd::smtp::line::LineReader;
use dsnd::smtp::reply::Reply;
use dsnd::smtp::session::{Next, Received, Session};
use dsnd::smtp::settings::{BareNewline, ListenerProtocol, ListenerSettings, MAX_COMMAND_LINE, Settings};
use dsnd::smtp::{Delivery, Envelope, Handle, Peer, RecipientVerdict, Sink, TlsInfo};
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
        self.take(envelope, message)
    }
}

impl Counting {
    fn take(&self, envelope: Envelope, message: Vec<u8>) -> Delivery {
        let mut received = self.received.lock().unwrap();
        let duplicate = received.iter().any(|(_, earlier)| *earlier == message);
        received.push((envelope, message));
        if self.full {
            return Delivery::TryLater;
        }
        Delivery::Committed { handle: Handle::of(&[0; 32]), duplicate }
    }
}

/// Time stands still in it: nothing waits, and what would hang runs into its timeout at once.
static RUNTIME: LazyLock<Mutex<Runtime>> = LazyLock::new(|| {
    Mutex::new(Builder::new_current_thread().enable_time().start_paused(true).build().unwrap())
});

/// Sends it all, closes, and gives back how it ended and what the server said.
fn talk(
    sent: &[u8],
    seed: u8,
    pipe: usize,
    settings: Settings,
    listener: &ListenerSettings,
    sink: Arc<Counting>,
) -> (io::Result<Ended>, Vec<u8>) {
    let (server, client) = duplex(pipe);
    let (mut reader, mut writer) = split(client);
    let connection = Connection::new(server, peer(), sink, Arc::new(settings), CancellationToken::new());
    let run = connection.on(listener, None).run();
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

fn peer() -> Peer {
    Peer { connection: 1, address: SocketAddr::from((Ipv4Addr::LOCALHOST, 25)).into() }
}

/// Gives it all to a session that offers TLS, whose handshakes all succeed; what the session said.
fn drive(
    sent: &[u8],
    settings: Settings,
    listener: &ListenerSettings,
    counted: bool,
    sink: &Counting,
) -> Vec<u8> {
    let mut session = Session::new(Arc::new(settings.clone()), peer()).on(listener).offering_tls(true);
    if counted {
        let client = Counted::default().admit(Some(Ipv4Addr::new(192, 0, 2, 1).into()), &settings.limits);
        session = session.of(client.expect("the first connection is served"));
    }
    let (mut said, mut rest, mut lines) = (Vec::new(), sent, LineReader::new());
    session.greeting().write_to(&mut said);
    let say = |said: &mut Vec<u8>, replies: &[Reply]| replies.iter().for_each(|reply| reply.write_to(said));
    loop {
        let (taken, line) = lines.feed(rest);
        rest = &rest[taken..];
        let Some(line) = line else { return said };
        let step = session.line(line, |path| sink.check_recipient(path));
        say(&mut said, &step.replies);
        let received = match step.next {
            Next::Command => continue,
            Next::Close => return said,
            Next::StartTls => {
                lines = LineReader::new();
                session.tls_started(TlsInfo { version: "TLSv1.3", cipher_suite: "none".to_owned() });
                continue;
            }
            Next::Data => {
                let mut decoder = DataDecoder::within(settings.max_message_size, session.body());
                let Some(taken) = decoder.feed(rest) else { return said };
                rest = &rest[taken..];
                let (message, reservation) = decoder.finish_with();
                session.message(message, reservation)
            }
            Next::Chunk(size) => {
                let Some((chunk, after)) =
                    usize::try_from(size).ok().and_then(|size| rest.split_at_checked(size))
                else {
                    return said;
                };
                session.octets(chunk);
                rest = after;
                session.chunk()
            }
        };
        match received {
            Received::Answered(step) => {
                say(&mut said, &step.replies);
                if step.next == Next::Close {
                    return said;
                }
            }
            Received::Deliver(envelope, octets, _reservation) => {
                let recipients = envelope.recipients.len();
                let delivery = sink.take(envelope, octets);
                say(&mut said, &session.delivered(recipients, delivery));
            }
        }
    }
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

/// What stands at the front of what a client sent.
enum Front<'a> {
    /// A whole and sound line, and what follows it.
    Sound(&'a [u8], &'a [u8]),
    /// One that is too long or holds a bare LF, and what follows it.
    Bad(&'a [u8]),
    /// One of these in which somebody may read a BDAT; it may be answered before as a bad one.
    Lost { answered: bool },
    /// A line of another protocol.
    Foreign,
}

/// Takes one command line off the front; `None` when no reply is owed any more.
fn command(sent: &[u8]) -> Option<Front<'_>> {
    if sent.starts_with(b"\x16\x03") {
        return Some(Front::Foreign); // TLS
    }
    let newline = sent.iter().position(|byte| *byte == b'\n')?;
    let end = sent.windows(2).position(|pair| pair == b"\r\n");
    let too_long = newline >= MAX_COMMAND_LINE; // the reply waits for its end
    match end {
        Some(end) if end + 1 == newline && !too_long && is_foreign(&sent[..end]) => {
            return Some(Front::Foreign);
        }
        Some(end) if end + 1 == newline && !too_long => {
            return Some(Front::Sound(&sent[..end], &sent[end + 2..]));
        }
        _ => {}
    }
    let whole = &sent[..end.map_or(sent.len(), |end| end + 2)];
    let ended = &whole[..=whole.iter().rposition(|byte| *byte == b'\n')?];
    if announces_chunk(&ended[..=newline]) {
        return Some(Front::Lost { answered: false });
    }
    if !too_long && is_foreign(&ended[..newline]) {
        return Some(Front::Foreign); // and nothing after it is looked at
    }
    if announces_chunk(ended) {
        return Some(Front::Lost { answered: !too_long });
    }
    if end.is_some() && too_long && is_foreign(&ended[..MAX_COMMAND_LINE]) {
        return Some(Front::Foreign);
    }
    match end {
        Some(end) => Some(Front::Bad(&sent[end + 2..])),
        None => (!too_long).then_some(Front::Bad(&[])),
    }
}

/// Whether something in it begins as BDAT does, for one who ends lines at a bare CR or LF as well.
fn announces_chunk(line: &[u8]) -> bool {
    line.split(|byte| matches!(byte, b'\r' | b'\n')).any(|piece| {
        let piece = piece.trim_ascii_start().to_ascii_uppercase();
        piece.strip_prefix(b"BDAT").is_some_and(|rest| !rest.first().is_some_and(u8::is_ascii_alphanumeric))
    })
}

/// Whether a line is one of HTTP, or `Name: text` as in a message's header.
fn is_foreign(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line).to_ascii_uppercase();
    let word = line.split([' ', '\t', '\r']).next().unwrap_or_default();
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"];
    let field = word
        .split_once(':')
        .is_some_and(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic()));
    (methods.contains(&word) || field) && !announces_chunk(line.as_bytes())
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

/// How a dialogue is held.
struct Manner {
    cap: usize,
    reject: bool,
    lmtp: bool,
    /// STARTTLS is served.
    tls_offered: bool,
    require_tls: bool,
    /// Commands without a message are counted.
    counted: bool,
}

/// Holds the replies and the deliveries against what the client sent: one reply a line or chunk, every message that a
/// plain decoder finds behind a 354 or that the chunks say, and nothing else.
fn account(sent: &[u8], replies: &[(u16, Vec<String>)], manner: &Manner, sink: &Counting) {
    let mut replies = replies.iter().peekable();
    let received = sink.received.lock().unwrap();
    let mut received = received.iter();
    // The reply to a whole message, which is delivered or refused for a reason.
    let mut judged = |code: u16, octets: &[u8], bare_newlines: bool, tls: bool| {
        if octets.len() > manner.cap {
            assert_eq!(code, 552, "too big");
        } else if bare_newlines && manner.reject {
            assert_eq!(code, 550, "bare newlines");
        } else {
            let (envelope, delivered) = received.next().expect("the message is delivered");
            assert_eq!(delivered, octets);
            assert_eq!(envelope.bare_newlines, bare_newlines);
            assert_eq!(envelope.tls.is_some(), tls);
            assert_eq!(code, if sink.full { 451 } else { 250 });
        }
    };
    let (code, greeting) = replies.next().expect("a greeting");
    assert_eq!((*code, greeting[0].contains("LMTP")), (220, manner.lmtp));
    let (mut rest, mut chunks, mut closed) = (sent, Vec::new(), false);
    let (mut tls, mut hello, mut recipients) = (false, false, 0);
    while let Some(front) = command(rest).filter(|_| !closed) {
        let line = match front {
            Front::Sound(line, after) => {
                rest = after;
                String::from_utf8_lossy(line).to_uppercase()
            }
            Front::Bad(after) => {
                rest = after;
                String::new()
            }
            Front::Foreign => {
                assert_eq!(replies.next().map(|(code, _)| *code), Some(421), "no client of ours");
                break;
            }
            Front::Lost { answered } => {
                let mut next = || replies.next().map(|(code, _)| *code);
                if answered {
                    assert_eq!(next(), Some(500));
                }
                match next() {
                    Some(500) => assert_eq!(next(), Some(421), "nobody knows what follows a broken BDAT"),
                    // The bad line before was one too many.
                    code => assert!(answered && code == Some(421), "{code:?}"),
                }
                break;
            }
        };
        // One with a control character in it is no command, and nobody knows where its octets end.
        let chunk = bdat(&line).filter(|_| !line.contains(|c: char| c.is_control() && c != '\t'));
        if chunk.is_some_and(|(count, _)| count > rest.len()) {
            // It never came whole: no reply, or an end at once to a count that nobody waits for.
            if replies.next().is_some() {
                assert_eq!(replies.next().map(|(code, _)| *code), Some(421), "{line:?}");
            }
            break;
        }
        let (code, text) = replies.next().unwrap_or_else(|| panic!("no reply to {line:?}"));
        if announces_chunk(line.as_bytes()) && chunk.is_none() {
            assert_eq!(replies.next().map(|(code, _)| *code), Some(421), "{line:?}");
            break;
        }
        // LMTP has a reply for each recipient, all alike here.
        let mut others = |recipients: &mut usize| {
            for _ in 1..if manner.lmtp { std::mem::take(recipients) } else { 1 } {
                assert_eq!(replies.next().map(|(code, _)| code), Some(code), "one reply a recipient");
            }
            *recipients = 0;
        };
        if let Some((count, last)) = chunk {
            chunks.extend_from_slice(&rest[..count]);
            rest = &rest[count..];
            match code {
                503 | 554 => chunks.clear(), // no transaction that it could belong to
                552 if !last => {
                    assert!(chunks.len() > manner.cap, "too big");
                    chunks.clear();
                    recipients = 0;
                }
                _ if last => {
                    let octets = std::mem::take(&mut chunks);
                    judged(*code, &octets, has_bare_newlines(&octets), tls);
                    others(&mut recipients);
                }
                _ => assert_eq!(*code, 250, "{line:?}"),
            }
        }
        let is =
            |verbs: &[&str]| chunk.is_none() && verbs.iter().any(|verb| line.trim_start().starts_with(verb));
        match code {
            220 => {
                assert!(is(&["STARTTLS"]) && manner.tls_offered && !tls, "{line:?}");
                (tls, hello, recipients) = (true, false, 0);
                chunks.clear();
            }
            221 => {
                assert!(line.starts_with("QUIT"), "{line:?} is no QUIT");
                closed = true;
            }
            250 if is(&["EHLO", "HELO", "LHLO"]) => {
                (hello, recipients) = (true, 0);
                chunks.clear();
                let offered = text.iter().any(|line| line == "STARTTLS");
                assert_eq!(offered, manner.tls_offered && !tls && !is(&["HELO"]), "{text:?}");
                assert_eq!(is(&["LHLO"]), manner.lmtp, "{line:?}");
            }
            250 if is(&["RSET", "MAIL"]) => {
                assert!(!is(&["MAIL"]) || hello && (tls || !manner.require_tls), "{line:?}");
                recipients = 0;
                chunks.clear();
            }
            250 if is(&["RCPT"]) => recipients += 1,
            354 => {
                assert!(line.starts_with("DATA"), "{line:?} is no DATA");
                let Some(decoded) = decode_data(rest) else { break };
                rest = &rest[decoded.taken..];
                let (code, _) = replies.next().expect("a reply to the message");
                judged(*code, &decoded.octets, decoded.bare_newlines, tls);
                for _ in 1..if manner.lmtp { recipients } else { 1 } {
                    assert_eq!(replies.next().map(|(code, _)| code), Some(code), "one reply a recipient");
                }
                recipients = 0;
            }
            421 => closed = true,
            // It may have been one bad command too many, or one after which nobody knows where a chunk ends.
            500..=503 | 555 | 552 => closed = replies.next_if(|(code, _)| *code == 421).is_some(),
            _ => {}
        }
        // Or one too many without a message.
        closed |= manner.counted && replies.next_if(|(code, _)| *code == 421).is_some();
    }
    assert!(received.next().is_none(), "a message that nobody sent");
    assert!(replies.next().is_none(), "a reply to nothing");
}

fuzz_target!(|input: &[u8]| {
    let ([ways, seed, cap, limits], sent) = steered(input);
    let is = |bit: u8| ways & bit == bit;
    let cap = if cap == 0 { 1 << 20 } else { usize::from(cap) * 2 };
    let alone = is(16);
    let manner = Manner {
        cap,
        reject: is(1),
        lmtp: is(8),
        tls_offered: alone,
        require_tls: is(32),
        counted: alone && is(64),
    };
    let mut settings = Settings {
        hostname: "mx.example".to_owned(),
        max_message_size: cap,
        bare_newline: if manner.reject { BareNewline::Reject } else { BareNewline::Accept },
        max_recipients: 1 + usize::from(limits & 0xF),
        max_bad_commands: 1 + u32::from(limits >> 4),
        ..Settings::default()
    };
    settings.limits.commands_without_message = 1 + u32::from(seed);
    let listener = ListenerSettings {
        protocol: if manner.lmtp { ListenerProtocol::Lmtp } else { ListenerProtocol::Smtp },
        require_tls: manner.require_tls,
        ..ListenerSettings::default()
    };
    let max_recipients = settings.max_recipients;
    let sink = Arc::new(Counting { full: is(2), received: Mutex::default() });
    let said = if alone {
        drive(sent, settings, &listener, manner.counted, &sink)
    } else {
        let pipe = if is(4) { 7 } else { 64 * 1024 };
        let (ended, said) = talk(sent, seed, pipe, settings, &listener, Arc::clone(&sink));
        let ended = ended.expect("the stream does not fail");
        assert!(matches!(ended, Ended::Closed | Ended::ClientLeft), "{ended:?}");
        said
    };
    let replies = replies(&said);
    for (envelope, octets) in sink.received.lock().unwrap().iter() {
        assert!((1..=max_recipients).contains(&envelope.recipients.len()));
        assert!(octets.len() <= cap && octets.capacity() <= 2 * cap, "{} of {cap}", octets.capacity());
    }
    account(sent, &replies, &manner, &sink);
});
