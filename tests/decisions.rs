//! What every golden message leads to, and that damage never makes a message worse for a recipient.
//!
//! `tests/data/reports/DECISIONS.tsv` holds a line a recipient of every golden message. `UPDATE_GOLDEN=1 cargo test
//! --test decisions` writes it anew; read the difference before keeping it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use dsnd::address::{Mailbox, comparison_form};
use dsnd::classify::evidence::{Evidence, EvidenceField, Source};
use dsnd::classify::{Classifier, Decision};
use dsnd::ingest::assess;
use dsnd::report::{Action, Report};
use proptest::prelude::*;

/// An empty folder must not pass.
const AT_LEAST: usize = 54;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/reports")
}

/// Name and bytes of every golden message, in the order of their names.
fn golden() -> &'static [(String, Vec<u8>)] {
    static GOLDEN: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    GOLDEN.get_or_init(|| {
        let mut files: Vec<_> = fs::read_dir(folder())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
            .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
            .collect();
        files.sort();
        assert!(files.len() >= AT_LEAST, "only {} golden messages", files.len());
        files
    })
}

fn classifier() -> &'static Classifier {
    static CLASSIFIER: OnceLock<Classifier> = OnceLock::new();
    CLASSIFIER.get_or_init(|| Classifier::embedded().unwrap())
}

/// The addresses that a message suppresses, in comparison form.
fn suppressed(message: &[u8]) -> BTreeSet<String> {
    let report = Report::parse(message);
    report
        .recipients
        .iter()
        .map(|fields| assess(classifier(), &report, fields))
        .filter(|assessed| {
            matches!(assessed.classification.decision, Decision::Suppress | Decision::Complaint)
        })
        .filter_map(|assessed| assessed.recipient)
        .filter(|recipient| Mailbox::parse(recipient).is_ok()) // nothing else is ever put on the list
        .map(|recipient| comparison_form(&recipient))
        .collect()
}

#[test]
fn every_golden_message_decides_as_written_down() {
    let mut decided = "message\tkind\trecipient\tclass\tdecision\teffective status\trule\n".to_owned();
    for (name, message) in golden() {
        let report = Report::parse(message);
        if report.recipients.is_empty() {
            writeln!(decided, "{name}\t{}\t-\t-\t-\t-\t-", report.kind.as_str()).unwrap();
        }
        for fields in &report.recipients {
            let assessed = assess(classifier(), &report, fields);
            let result = assessed.classification;
            writeln!(
                decided,
                "{name}\t{}\t{}\t{}\t{}\t{}\t{}",
                report.kind.as_str(),
                assessed.recipient.unwrap_or_else(|| "-".to_owned()),
                result.class,
                result.decision,
                result.effective_status.map_or_else(|| "-".to_owned(), |status| status.to_string()),
                result.rule,
            )
            .unwrap();
        }
    }
    let path = folder().join("DECISIONS.tsv");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &decided).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    for (line, (expected, decided)) in expected.lines().zip(decided.lines()).enumerate() {
        assert_eq!(decided, expected, "{}:{}", path.display(), line + 1);
    }
    assert_eq!(decided.lines().count(), expected.lines().count(), "{}", path.display());
}

/// What `tests/data/diagnostics.tsv` says of texts, whoever says them: their class, or `keep` where all that matters
/// is that nobody is suppressed for them.
#[test]
fn what_hosts_say_means_what_the_field_knows_it_to_mean() {
    let list = include_str!("data/diagnostics.tsv");
    let mut wrong = Vec::new();
    let mut seen = 0;
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let [class, status, text] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let evidence = Evidence {
            action: Some(Action::Failed),
            status: status.parse().ok(),
            sources: if text == "-" {
                vec![]
            } else {
                vec![Source::new(EvidenceField::DiagnosticCode, text)]
            },
            ..Evidence::default()
        };
        let result = classifier().decide(&evidence);
        let right = match class {
            "keep" => !matches!(result.decision, Decision::Suppress | Decision::Complaint),
            class => result.class.as_str() == class,
        };
        if !right {
            wrong.push(format!("{status} {text}: {class}, not {} ({})", result.class, result.rule));
        }
        seen += 1;
    }
    assert!(seen > 100, "{seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Words that leave no doubt about whose fault it is, beside every code that suppresses by itself (contract 5).
#[test]
fn our_own_faults_never_suppress_whatever_the_code_beside_them() {
    let said = [
        "SPF check failed",
        "message rejected due to DMARC policy",
        "DKIM signature invalid: fails DKIM",
        "This message was identified as spam",
        "rejected as spam",
        "Virus found in message",
        "Client host [192.0.2.7] blocked using zen.spamhaus.example",
        "Your IP address is blacklisted",
        "banned sending IP [192.0.2.7]",
        "Invalid return path",
        "Bad sender address syntax",
        "Sender verify failed: no such user here",
        "Sender domain must exist",
        "Sender account news@shop.example is inactive",
        "we do not relay",
        "Relaying denied",
        "message size exceeds limit",
        "mailbox full",
        "mailbox disabled: over quota",
        "Too many unknown users from your host, blocked",
        "DNS lookup timed out",
        "Temporary failure in name resolution",
        "Recipient server unavailable or busy",
    ];
    let mut wrong = Vec::new();
    for code in [
        "5.0.0", "5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", "5.4.1", "5.4.2", "5.4.4",
        "5.7.13", "-",
    ] {
        for text in said {
            let text = if code == "-" { format!("550 {text}") } else { format!("550 {code} {text}") };
            let evidence = Evidence {
                action: Some(Action::Failed),
                status: code.parse().ok(),
                sources: vec![Source::new(EvidenceField::DiagnosticCode, &text)],
                ..Evidence::default()
            };
            let result = classifier().decide(&evidence);
            if result.decision == Decision::Suppress {
                wrong.push(format!("{text}: {} ({})", result.class, result.rule));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Messages that a cut can make suppressing, and why that is right.
const CUT_MAY_DECIDE: &[(&str, &str)] = &[
    ("haraka", "Status says 5.1.2; that only a connection failed stands in the Diagnostic-Code behind it"),
    (
        "legacy-sendmail-8",
        "the line that names the alias we mailed is cut; the address behind it is dead all the same",
    ),
];

/// A cut, as a connection that broke makes it. Only the deciding text itself may be lost to it: a message that
/// suppresses nobody whole suppresses nobody cut.
#[test]
fn a_cut_message_suppresses_nobody_whom_the_whole_one_does_not() {
    let mut failures = BTreeSet::new();
    for (name, message) in golden() {
        let whole = suppressed(message);
        // Every line's end, and and some places in between.
        let ends = (0..message.len()).filter(|at| message[*at] == b'\n' || at % 37 == 0);
        for end in ends {
            for address in suppressed(&message[..end]).difference(&whole) {
                failures.insert((name.as_str(), address.clone()));
            }
        }
    }
    failures.retain(|(name, _)| !CUT_MAY_DECIDE.iter().any(|(allowed, _)| allowed == name));
    assert!(failures.is_empty(), "{failures:#?}");
}

/// What happens to mail on the way: cuts, doubled pieces, flipped bits, other line ends, another encoding.
#[derive(Debug, Clone)]
enum Damage {
    Cut(prop::sample::Index),
    Double(prop::sample::Index, usize),
    Flip(prop::sample::Index, u8),
    LineEnds,
    Latin1,
    Base64,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Damage::Cut),
        (any::<prop::sample::Index>(), 1usize..400).prop_map(|(at, length)| Damage::Double(at, length)),
        (any::<prop::sample::Index>(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, 1 << bit)),
        Just(Damage::LineEnds),
        Just(Damage::Latin1),
        Just(Damage::Base64),
    ]
}

/// A message with its body in another transfer encoding, as a gateway makes it.
fn in_base64(message: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(message).replace("\r\n", "\n");
    let (header, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let encoded = data_encoding::BASE64_MIME.encode(body.as_bytes());
    format!("{header}\nContent-Transfer-Encoding: base64\n\n{encoded}").into_bytes()
}

fn apply(message: &[u8], damage: &Damage) -> Vec<u8> {
    let mut bytes = message.to_vec();
    match damage {
        _ if bytes.is_empty() => {}
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Damage::Double(at, length) => {
            let at = at.index(bytes.len());
            let piece = bytes[at..(at + length).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        Damage::Flip(at, bit) => {
            let at = at.index(bytes.len());
            bytes[at] ^= bit;
        }
        Damage::LineEnds => bytes = String::from_utf8_lossy(&bytes).replace('\n', "\r\n").into_bytes(),
        Damage::Base64 => bytes = in_base64(&bytes),
        Damage::Latin1 => bytes = bytes.iter().map(|byte| if *byte < 0x80 { *byte } else { 0xe9 }).collect(),
    }
    bytes
}

/// A plain text bounce says the same in base64 as it says in clear.
#[test]
fn another_transfer_encoding_changes_no_decision() {
    let plain = |message: &[u8]| {
        let header = String::from_utf8_lossy(message).to_lowercase();
        let header = header
            .split("\n\n")
            .next()
            .unwrap_or_default()
            .split("\r\n\r\n")
            .next()
            .unwrap_or_default()
            .to_owned();
        !header.contains("content-transfer-encoding") && !header.contains("multipart/")
    };
    let mut seen = 0;
    for (name, message) in golden().iter().filter(|(_, message)| plain(message) && message.is_ascii()) {
        assert_eq!(suppressed(&in_base64(message)), suppressed(message), "{name}");
        seen += 1;
    }
    assert!(seen > 50, "{seen}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_damage_makes_reading_or_deciding_panic(
        at in any::<prop::sample::Index>(),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let (_, message) = &golden()[at.index(golden().len())];
        let damaged = damages.iter().fold(message.clone(), |bytes, damage| apply(&bytes, damage));
        let _ = suppressed(&damaged);
    }
}
