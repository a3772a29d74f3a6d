//! Runs the dialogues in `tests/data/dialogues` against the real listener. Their format: the README there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dsnd::address::ForwardPath;
use dsnd::smtp::listener::Server;
use dsnd::smtp::settings::{BareNewline, ListenerProtocol, ListenerSettings, Settings};
use dsnd::smtp::{Delivery, Envelope, Handle, Protocol, RecipientVerdict, Sink};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Nothing in a dialogue takes that long; a server that says nothing is a failure, not a hang.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Lockstep,
    OneWrite,
    OneOctetAWrite,
}

#[derive(Debug, Clone)]
enum Turn {
    Client(Vec<u8>),
    Server(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SinkKind {
    Store,
    TryLater,
    Panic,
}

#[derive(Debug)]
struct Dialogue {
    settings: Settings,
    protocol: ListenerProtocol,
    sink: SinkKind,
    turns: Vec<Turn>,
    server_closes: bool,
    received: usize,
    envelopes: Vec<(usize, String)>,
    messages: Vec<(usize, Vec<u8>)>,
}

struct RecordingSink {
    kind: SinkKind,
    received: Mutex<Vec<(Envelope, Vec<u8>)>>,
}

impl Sink for RecordingSink {
    fn check_recipient(&self, recipient: &ForwardPath) -> RecipientVerdict {
        match recipient {
            ForwardPath::Postmaster => RecipientVerdict::Accept,
            ForwardPath::Mailbox(mailbox) if mailbox.domain_key() != "bounces.example" => {
                RecipientVerdict::NotOurs
            }
            ForwardPath::Mailbox(mailbox) if mailbox.local_part().starts_with("no") => {
                RecipientVerdict::NoSuchMailbox
            }
            ForwardPath::Mailbox(_) => RecipientVerdict::Accept,
        }
    }

    async fn deliver(&self, envelope: Envelope, message: Vec<u8>) -> Delivery {
        match self.kind {
            SinkKind::TryLater => Delivery::TryLater,
            SinkKind::Panic => panic!("this sink panics on purpose"),
            SinkKind::Store => {
                let mut received = self.received.lock().unwrap();
                let duplicate = received.iter().any(|(_, earlier)| *earlier == message);
                received.push((envelope, message));
                Delivery::Committed { handle: handle(received.len()), duplicate }
            }
        }
    }
}

/// A handle that shows a number.
fn handle(number: usize) -> Handle {
    let mut digest = [0; 32];
    digest[4..6].copy_from_slice(&u16::try_from(number).unwrap().to_be_bytes());
    Handle::of(&digest)
}

#[tokio::test]
async fn every_dialogue_goes_as_written_at_any_pace() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/dialogues");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(files.len() >= 30, "only {} dialogues found", files.len());
    let mut failures = Vec::new();
    for path in &files {
        let name = path.file_name().unwrap().to_string_lossy();
        let text = std::fs::read_to_string(path).unwrap();
        match parse(&text) {
            Err(error) => failures.push(format!("{name}: {error}")),
            Ok(dialogue) => {
                let ways = [Way::Lockstep, Way::OneWrite, Way::OneOctetAWrite];
                let [first, second, third] = ways.map(|way| run(&dialogue, way));
                let (first, second, third) = tokio::join!(first, second, third);
                for (way, outcome) in ways.iter().zip([first, second, third]) {
                    if let Err(error) = outcome {
                        failures.push(format!("{name} ({way:?}): {error}"));
                    }
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_dialogue_with_a_mistake_in_it_is_no_dialogue() {
    for text in [
        "",
        "S: 220",
        "C: QUIT\nreceived: 0",
        "S: 220\nreceived: 0\nX: 1",
        "! nonsense = 1\nS: 220\nreceived: 0",
        "S: 220\nC: \\q\nreceived: 0",
        "S: <closed>\nC: QUIT\nreceived: 0",
    ] {
        assert!(parse(text).is_err(), "{text:?}");
    }
}

/// A runner that passes everything would prove nothing.
#[tokio::test]
async fn a_dialogue_that_goes_otherwise_fails() {
    for text in [
        "S: 220\nC: NOOP\nS: 251\nreceived: 0",
        "S: 220\nC: NOOP\nreceived: 0",
        "S: 220\nC: QUIT\nS: 221\nS: 250\nreceived: 0",
        "S: 220\nC: QUIT\nS: 221\nS: <closed>\nreceived: 1",
    ] {
        let dialogue = parse(text).unwrap();
        for way in [Way::Lockstep, Way::OneWrite, Way::OneOctetAWrite] {
            assert!(run(&dialogue, way).await.is_err(), "{text:?} {way:?}");
        }
    }
}

fn parse(text: &str) -> Result<Dialogue, String> {
    let mut settings = Settings { hostname: "mx.bounces.example".to_owned(), ..Settings::default() };
    let mut protocol = ListenerProtocol::Smtp;
    let mut sink = SinkKind::Store;
    let mut turns = Vec::new();
    let mut server_closes = false;
    let mut received = None;
    let (mut envelopes, mut messages) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("line {}: {what}: {line}", number + 1);
        if line.is_empty() || line.starts_with('#') {
        } else if let Some(setting) = line.strip_prefix("! ") {
            let (key, value) = setting.split_once(" = ").ok_or_else(|| wrong("no setting"))?;
            match (key, value) {
                ("protocol", "smtp") => protocol = ListenerProtocol::Smtp,
                ("protocol", "lmtp") => protocol = ListenerProtocol::Lmtp,
                _ => set(&mut settings, &mut sink, key, value).ok_or_else(|| wrong("no such setting"))?,
            }
        } else if line == "S: <closed>" {
            server_closes = true;
        } else if let Some(said) = line.strip_prefix("S: ") {
            if server_closes {
                return Err(wrong("after <closed>"));
            }
            turns.push(Turn::Server(said.to_owned()));
        } else if line.starts_with("C:") || line.starts_with("C|") {
            let said = line[2..].strip_prefix(' ').unwrap_or(&line[2..]);
            let mut said = unescape(said).ok_or_else(|| wrong("a bad escape"))?;
            if line.starts_with("C:") {
                said.extend_from_slice(b"\r\n");
            }
            if server_closes {
                return Err(wrong("after <closed>"));
            }
            turns.push(Turn::Client(said));
        } else if let Some(count) = line.strip_prefix("received: ") {
            received = Some(count.parse().map_err(|_| wrong("no number"))?);
        } else if let Some((index, envelope)) = numbered(line, "envelope ") {
            envelopes.push((index, envelope.to_owned()));
        } else if let Some((index, message)) = numbered(line, "message ") {
            messages.push((index, unescape(message).ok_or_else(|| wrong("a bad escape"))?));
        } else {
            return Err(wrong("not understood"));
        }
    }
    if !matches!(turns.first(), Some(Turn::Server(greeting)) if greeting.starts_with("220")) {
        return Err("the server greets first".to_owned());
    }
    let received = received.ok_or("it does not say what was received")?;
    Ok(Dialogue { settings, protocol, sink, turns, server_closes, received, envelopes, messages })
}

fn set(settings: &mut Settings, sink: &mut SinkKind, key: &str, value: &str) -> Option<()> {
    match (key, value) {
        ("max_message_size", value) => settings.max_message_size = value.parse().ok()?,
        ("max_recipients", value) => settings.max_recipients = value.parse().ok()?,
        ("max_messages", value) => settings.max_messages = value.parse().ok()?,
        ("max_bad_commands", value) => settings.max_bad_commands = value.parse().ok()?,
        ("commands_without_message", value) => {
            settings.limits.commands_without_message = value.parse().ok()?;
        }
        ("exempt", "nobody") => settings.limits.exempt = Vec::new(),
        ("message_timeout_ms", value) => {
            settings.message_timeout = Duration::from_millis(value.parse().ok()?);
        }
        ("idle_timeout_ms", value) => settings.idle_timeout = Duration::from_millis(value.parse().ok()?),
        ("bare_newline", "accept") => settings.bare_newline = BareNewline::Accept,
        ("bare_newline", "reject") => settings.bare_newline = BareNewline::Reject,
        ("sink", "store") => *sink = SinkKind::Store,
        ("sink", "try-later") => *sink = SinkKind::TryLater,
        ("sink", "panic") => *sink = SinkKind::Panic,
        _ => return None,
    }
    Some(())
}

fn numbered<'a>(line: &'a str, keyword: &str) -> Option<(usize, &'a str)> {
    let (index, text) = line.strip_prefix(keyword)?.split_once(':')?;
    Some((index.parse().ok()?, text.strip_prefix(' ').unwrap_or(text)))
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend_from_slice(before.as_bytes());
        rest = match after.chars().next()? {
            'x' => {
                out.push(u8::from_str_radix(after.get(1..3)?, 16).ok()?);
                &after[3..]
            }
            '*' => {
                let (repetition, after) = after.strip_prefix("*{")?.split_once('}')?;
                let (count, what) = repetition.split_once(':')?;
                out.extend(what.repeat(count.parse().ok()?).bytes());
                after
            }
            simple => {
                out.push(match simple {
                    'r' => b'\r',
                    'n' => b'\n',
                    't' => b'\t',
                    '0' => 0,
                    '\\' => b'\\',
                    _ => return None,
                });
                &after[1..]
            }
        };
    }
    out.extend_from_slice(rest.as_bytes());
    Some(out)
}

async fn run(dialogue: &Dialogue, way: Way) -> Result<(), String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sink = Arc::new(RecordingSink { kind: dialogue.sink, received: Mutex::default() });
    let shutdown = CancellationToken::new();
    let server = Server::new(Arc::clone(&sink), dialogue.settings.clone(), shutdown.clone());
    let spoken = ListenerSettings { protocol: dialogue.protocol, ..ListenerSettings::default() };
    let server = tokio::spawn(async move { server.serve(listener, spoken).await });
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let outcome = tokio::time::timeout(PATIENCE, async {
        if way == Way::Lockstep {
            lockstep(dialogue, stream).await
        } else {
            unasked(dialogue, stream, way).await
        }
    });
    let outcome = outcome.await.unwrap_or_else(|_| Err("the server did not go on".to_owned()));
    shutdown.cancel();
    server.await.expect("the listener survives every dialogue").expect("the listener ends without an error");
    outcome?;
    let received = sink.received.lock().unwrap();
    check_received(dialogue, &received)
}

/// Sends what the client says when it is its turn, and reads what the server says when it is the server's.
async fn lockstep(dialogue: &Dialogue, stream: TcpStream) -> Result<(), String> {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    for turn in &dialogue.turns {
        match turn {
            Turn::Client(said) => writer.write_all(said).await.map_err(|error| error.to_string())?,
            Turn::Server(expected) => {
                let mut line = String::new();
                reader.read_line(&mut line).await.map_err(|error| error.to_string())?;
                compare(expected, &line)?;
            }
        }
    }
    if !dialogue.server_closes {
        writer.shutdown().await.map_err(|error| error.to_string())?;
    }
    let mut more = String::new();
    reader.read_to_string(&mut more).await.map_err(|error| error.to_string())?;
    if more.is_empty() { Ok(()) } else { Err(format!("the server also said {more:?}")) }
}

/// Sends everything without waiting for a reply, reading all the while.
async fn unasked(dialogue: &Dialogue, stream: TcpStream, way: Way) -> Result<(), String> {
    let (mut reader, mut writer) = stream.into_split();
    let all: Vec<u8> = dialogue
        .turns
        .iter()
        .flat_map(|turn| if let Turn::Client(said) = turn { &said[..] } else { &[] })
        .copied()
        .collect();
    let server_closes = dialogue.server_closes;
    let write = async move {
        let size = if way == Way::OneWrite { all.len().max(1) } else { 1 };
        for chunk in all.chunks(size) {
            // The server may have closed by now; what it said is what counts.
            if writer.write_all(chunk).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if !server_closes {
            let _ = writer.shutdown().await;
        }
        writer
    };
    let mut said = String::new();
    let (_writer, read) = tokio::join!(write, reader.read_to_string(&mut said));
    read.map_err(|error| format!("{error} after {said:?}"))?;
    let mut lines = said.split_inclusive('\n');
    for turn in &dialogue.turns {
        if let Turn::Server(expected) = turn {
            compare(expected, lines.next().unwrap_or_default())?;
        }
    }
    lines.next().map_or(Ok(()), |more| Err(format!("the server also said {more:?}")))
}

fn compare(expected: &str, line: &str) -> Result<(), String> {
    if line.starts_with(expected) && line.ends_with("\r\n") {
        return Ok(());
    }
    Err(format!("expected {expected:?}, the server said {line:?}"))
}

fn check_received(dialogue: &Dialogue, received: &[(Envelope, Vec<u8>)]) -> Result<(), String> {
    if received.len() != dialogue.received {
        return Err(format!("{} messages received, {} expected", received.len(), dialogue.received));
    }
    for (index, expected) in &dialogue.envelopes {
        let got = received.get(index - 1).map(|(envelope, _)| describe(envelope));
        if got.as_ref() != Some(expected) {
            return Err(format!("envelope {index}: expected {expected:?}, got {got:?}"));
        }
    }
    for (index, expected) in &dialogue.messages {
        let got = received.get(index - 1).map(|(_, message)| message);
        if got != Some(expected) {
            let got = got.map(|message| message.escape_ascii().to_string());
            return Err(format!("message {index}: expected {}, got {got:?}", expected.escape_ascii()));
        }
    }
    Ok(())
}

fn describe(envelope: &Envelope) -> String {
    let mut out = format!("helo={} from=<{}>", envelope.helo, envelope.reverse_path);
    if let Some(id) = &envelope.envelope_id {
        write!(out, " envid={id}").unwrap();
    }
    for recipient in &envelope.recipients {
        write!(out, " to=<{}>", recipient.forward_path).unwrap();
        if let Some(original) = &recipient.original_recipient {
            write!(out, " orcpt={original}").unwrap();
        }
    }
    if envelope.protocol != Protocol::Esmtp {
        write!(out, " with={}", envelope.transmission_type()).unwrap();
    }
    if envelope.bare_newlines {
        out.push_str(" bare");
    }
    out
}
