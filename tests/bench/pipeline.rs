//! How long the parts of a bounce's way take: `cargo bench`.
//!
//! The store's figures compare with `bare_inserts` of the same run, never with another machine's: what a commit
//! costs is what the disk takes to sync.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, Divan};
use dsnd::address::{ForwardPath, Mailbox, ReversePath};
use dsnd::classify::Classifier;
use dsnd::ingest::{Ingest, IngestSettings, assess, explain};
use dsnd::report::Report;
use dsnd::returnpath::{ReturnPaths, UnsignedTrust};
use dsnd::smtp::data::DataDecoder;
use dsnd::smtp::{Delivery, Envelope, EnvelopeRecipient, Peer};
use dsnd::store::Settings;
use dsnd::store::sqlite::{Access, SqliteStore};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const SAMPLE: &[u8] = include_bytes!("../data/sample-bounce.eml");

/// Messages one round of the store's benchmarks records.
const MESSAGES: usize = 64;

fn main() {
    Divan::from_args().main();
}

/// A typical report, from its bytes to the conclusion about its recipient.
#[divan::bench]
fn parse_and_classify(bencher: Bencher) {
    let classifier = Classifier::embedded().unwrap();
    bencher.counter(ItemsCount::new(1_usize)).counter(BytesCount::new(SAMPLE.len())).bench(|| {
        let report = Report::parse(black_box(SAMPLE));
        assess(&classifier, &report, &report.recipients[0])
    });
}

/// The messages of the folder that `DSND_BENCH_CORPUS` names, or the golden ones.
fn corpus() -> Vec<Vec<u8>> {
    fn gather(folder: &Path, messages: &mut Vec<Vec<u8>>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, messages);
            } else {
                messages.push(std::fs::read(&path).unwrap());
            }
        }
    }
    let folder = std::env::var_os("DSND_BENCH_CORPUS");
    let folder = folder.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/reports").into());
    let mut messages = Vec::new();
    gather(Path::new(&folder), &mut messages);
    messages
}

/// The measure for the three below: the same messages taken apart by the MIME library alone.
#[divan::bench]
fn corpus_by_mail_parser_alone(bencher: Bencher) {
    let messages = corpus();
    bencher.counter(ItemsCount::new(messages.len())).bench(|| {
        for message in &messages {
            black_box(mail_parser::MessageParser::default().parse(black_box(message)));
        }
    });
}

#[divan::bench]
fn corpus_parsed(bencher: Bencher) {
    let messages = corpus();
    bencher.counter(ItemsCount::new(messages.len())).bench(|| {
        for message in &messages {
            black_box(Report::parse(black_box(message)));
        }
    });
}

/// At most three times `corpus_by_mail_parser_alone`.
#[divan::bench]
fn corpus_parsed_and_classified(bencher: Bencher) {
    let (messages, classifier) = (corpus(), Classifier::embedded().unwrap());
    bencher.counter(ItemsCount::new(messages.len())).bench(|| {
        for message in &messages {
            let report = Report::parse(black_box(message));
            for fields in &report.recipients {
                black_box(assess(&classifier, &report, fields));
            }
        }
    });
}

/// What `dsnd explain --json` does with every file; at most six times `corpus_by_mail_parser_alone`.
#[divan::bench]
fn corpus_explained_as_json(bencher: Bencher) {
    let (messages, classifier) = (corpus(), Classifier::embedded().unwrap());
    bencher.counter(ItemsCount::new(messages.len())).bench(|| {
        for message in &messages {
            let explained = explain(&classifier, "file", black_box(message), None);
            black_box(serde_json::to_vec(&explained).unwrap());
        }
    });
}

/// What a process does before it can decide.
#[divan::bench]
fn load_the_rules() -> Classifier {
    Classifier::embedded().unwrap()
}

/// A text of so many KiB made of words that rules look for, in no order: no pattern may find it dear.
#[divan::bench(args = [1, 8, 64])]
fn search_for_every_pattern(bencher: Bencher, kib: usize) {
    let classifier = Classifier::embedded().unwrap();
    let rules = classifier.rules();
    let phrases = rules.iter().flat_map(|rule| &rule.phrases);
    let words: Vec<&str> =
        phrases.flat_map(|phrase| &phrase.examples).flat_map(|line| line.split_whitespace()).collect();
    let (mut text, mut at) = (String::new(), 1_usize);
    while text.len() < kib * 1024 {
        at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(words[(at >> 33) % words.len()]);
        text.push(' ');
    }
    bencher.counter(BytesCount::new(text.len())).bench(|| rules.search(black_box(&text)).matches().count());
}

/// Dot-decoding of ordinary text, and of lines that all begin with a dot.
#[divan::bench(args = ["text", "dots"])]
fn decode_data(bencher: Bencher, lines: &str) {
    let line = if lines == "dots" {
        "..\r\n"
    } else {
        "An ordinary line of a returned message, as MTAs send it.\r\n"
    };
    let mut input = line.repeat(1024 * 1024 / line.len()).into_bytes();
    input.extend_from_slice(b".\r\n");
    bencher.counter(BytesCount::new(input.len())).bench(|| {
        let mut decoder = DataDecoder::new(2 * 1024 * 1024);
        for chunk in input.chunks(32 * 1024) {
            let _ = black_box(decoder.feed(black_box(chunk)));
        }
        decoder.finish()
    });
}

/// A text of so many KiB that nearly fits many rules and fits none: time must not grow faster than the text.
#[divan::bench(args = [1, 8, 64, 256, 1024])]
fn classify_near_matches(bencher: Bencher, kib: usize) {
    let classifier = Classifier::embedded().unwrap();
    let near = "user unknow listed in the mailbox is ful relay acces denie spf dkim dmarc recipient addres ";
    let text = near.repeat(kib * 1024 / near.len() + 1);
    let message = message_about("near@example.com", &text);
    let report = Report::parse(&message);
    bencher
        .counter(BytesCount::new(message.len()))
        .bench(|| classifier.classify(black_box(&report), &report.recipients[0]));
}

/// The same text, parsed.
#[divan::bench(args = [1, 64, 1024])]
fn parse_long_diagnostics(bencher: Bencher, kib: usize) {
    let message = message_about("near@example.com", &"user unknow listed in ".repeat(kib * 1024 / 22 + 1));
    bencher.counter(BytesCount::new(message.len())).bench(|| Report::parse(black_box(&message)));
}

/// 64 bounces through reading, deciding and the database, by so many clients at once, each waiting for its 250.
#[divan::bench(args = [1, 64], sample_count = 10, sample_size = 1)]
fn record_64_bounces(bencher: Bencher, clients: usize) {
    let runtime = Runtime::new().unwrap();
    bencher.counter(ItemsCount::new(MESSAGES)).with_inputs(|| Receiver::new(&runtime)).bench_local_values(
        |receiver| {
            runtime.block_on(receiver.take(clients));
            receiver
        },
    );
}

/// The same with everything counted, as `serve` does. It runs after the other one: what is installed stays.
#[divan::bench(args = [1, 64], sample_count = 10, sample_size = 1)]
fn record_64_bounces_counted(bencher: Bencher, clients: usize) {
    dsnd::metrics::install().unwrap();
    record_64_bounces(bencher, clients);
}

/// One more of something with two labels, the longer list of values having 28.
#[divan::bench]
fn count_one(bencher: Bencher) {
    dsnd::metrics::install().unwrap();
    bencher.bench(|| dsnd::metrics::RECIPIENTS.increment(black_box(["delayed", "ignore"])));
}

/// The same bytes by the plainest means: one insert a transaction, one after the other, synced like ours.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn bare_inserts(bencher: Bencher) {
    let runtime = Runtime::new().unwrap();
    let open = || {
        let folder = TempDir::new().unwrap();
        let connection = runtime.block_on(async {
            let options = SqliteConnectOptions::new()
                .filename(folder.path().join("bare.db"))
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full);
            let mut connection = options.connect().await.unwrap();
            sqlx::query("CREATE TABLE messages (id INTEGER PRIMARY KEY, raw BLOB)")
                .execute(&mut connection)
                .await
                .unwrap();
            connection
        });
        (folder, connection)
    };
    bencher.counter(ItemsCount::new(MESSAGES)).with_inputs(open).bench_local_values(
        |(folder, mut connection)| {
            runtime.block_on(async {
                for _ in 0..MESSAGES {
                    sqlx::query("INSERT INTO messages (raw) VALUES (?1)")
                        .bind(SAMPLE)
                        .execute(&mut connection)
                        .await
                        .unwrap();
                }
                connection.close().await.unwrap();
            });
            folder
        },
    );
}

/// Everything behind the SMTP session, on a fresh database.
struct Receiver {
    ingest: Arc<Ingest<SqliteStore>>,
    _folder: TempDir,
}

impl Receiver {
    fn new(runtime: &Runtime) -> Self {
        let folder = TempDir::new().unwrap();
        let store = runtime.block_on(open(folder.path()));
        let settings = IngestSettings {
            max_waiting: usize::MAX,
            quotas: dsnd::ingest::Quotas::default(),
            exempt: Vec::new(),
            return_paths: ReturnPaths::new(&["localhost".to_owned()], vec!["*".parse().unwrap()]),
            unsigned_trust: UnsignedTrust { generally: true, ..UnsignedTrust::default() },
            max_recipients: 1_000,
            mask_addresses: false,
        };
        let classifier = Arc::new(Classifier::embedded().unwrap());
        Self { ingest: Arc::new(Ingest::new(Arc::new(store), classifier, settings)), _folder: folder }
    }

    async fn take(&self, clients: usize) {
        let mut tasks = Vec::new();
        for client in 0..clients {
            let ingest = Arc::clone(&self.ingest);
            tasks.push(tokio::spawn(async move {
                for number in (client..MESSAGES).step_by(clients) {
                    let message =
                        message_about(&format!("dead{number}@example.com"), "there is nobody of that name");
                    let delivery = ingest.take(envelope(), message).await.unwrap();
                    assert!(matches!(delivery, Delivery::Committed { duplicate: false, .. }));
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    }
}

async fn open(folder: &Path) -> SqliteStore {
    let path = folder.join("dsnd.db");
    SqliteStore::open(&path, Access::Serve, Settings::default(), Duration::from_secs(5)).await.unwrap()
}

fn envelope() -> Envelope {
    Envelope {
        peer: Peer { connection: 1, address: std::net::SocketAddr::from(([127, 0, 0, 1], 25)).into() },
        tls: None,
        helo: "bench.example".to_owned(),
        reverse_path: ReversePath::Null,
        envelope_id: None,
        recipients: vec![EnvelopeRecipient {
            forward_path: ForwardPath::Mailbox(Mailbox::parse("bounces@localhost").unwrap()),
            original_recipient: None,
        }],
        bare_newlines: false,
        protocol: dsnd::smtp::Protocol::Esmtp,
    }
}

/// The sample bounce about another address, with another text after the code.
fn message_about(address: &str, text: &str) -> Vec<u8> {
    let mut diagnostic = String::new();
    // Lines of a length that MTAs write.
    for (index, word) in text.split(' ').enumerate() {
        let space = if index % 12 == 11 { "\r\n    " } else { " " };
        let _ = write!(diagnostic, "{space}{word}");
    }
    let sample = std::str::from_utf8(SAMPLE).unwrap().replace("dead@example.com", address);
    let told = "there is nobody of that\r\n    name here";
    assert!(sample.contains(told), "the sample bounce says why");
    sample.replace(told, diagnostic.trim_start()).into_bytes()
}
