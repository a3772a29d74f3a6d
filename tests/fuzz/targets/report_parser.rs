//! Any bytes as a message that came back: read, assessed and attributed, as the receiver does it.
//!
//! Input: the message.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use dsnd::address::{ForwardPath, Mailbox, comparison_form};
use dsnd::classify::{Decision, Severity};
use dsnd::ingest::{assess, attribute, complained_path, digest};
use dsnd::report::dsn::{MAX_EXTENSIONS, MAX_RECIPIENTS};
use dsnd::report::fields::MAX_VALUE;
use dsnd::report::mime::MAX_TEXT;
use dsnd::report::{RecipientFields, Report, ReportKind, mbox};
use dsnd::returnpath::{Keys, Prefix, ReturnPath, ReturnPaths, Token, Trust};
use dsnd_fuzz::{Budget, CLASSIFIER, noon};
use libfuzzer_sys::fuzz_target;

/// Groups of a report that are looked at.
const GROUPS: usize = 50;

/// Whom we mailed: the recipient of many of the reports in tests/data.
const OURS: &str = "dead@example.com";

const DAY: u16 = 20_778;

/// What is ours, and what a report about [`OURS`] comes to.
struct World {
    ours: ReturnPaths,
    token: Token,
    signed: Vec<ReturnPath>,
    unsigned: Vec<ReturnPath>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let keys = Keys::parse("1 000102030405060708090a0b0c0d0e0f").unwrap();
    let token = Token::mint(keys.newest().unwrap(), OURS, 7, noon(DAY)).unwrap();
    let blind = Prefix::default().blind(&token);
    let domain = "bounces.example";
    let patterns = ["bounces", "bounces+*"].map(|text| text.parse().unwrap());
    let ours =
        ReturnPaths::new(&[domain.to_owned()], patterns.to_vec()).with_tokens(keys, Prefix::default(), 14);
    let path = |local_part: &str| {
        let path = ForwardPath::Mailbox(Mailbox::new(local_part, domain).unwrap());
        ours.judge(&path, noon(DAY)).unwrap()
    };
    let signed = vec![path(&blind)];
    let unsigned = vec![path("bounces"), path("bounces+user=example.com")];
    World { signed, unsigned, ours, token }
});

/// What must hold of whatever is read.
fn check_report(report: &Report) {
    assert!(report.text.len() <= MAX_TEXT);
    assert!(report.recipients.len() <= MAX_RECIPIENTS);
    assert!(report.defects.len() <= 300, "{} defects", report.defects.len());
    assert_eq!(report.automatic.is_some(), matches!(report.kind, ReportKind::AutoReply | ReportKind::Mdn));
    if report.kind == ReportKind::Unrecognized {
        assert!(report.recipients.is_empty(), "what is not understood names nobody");
    }
    for group in report.recipients.iter().take(GROUPS) {
        check_group(group);
    }
}

fn check_group(group: &RecipientFields) {
    for address in
        [&group.original_recipient, &group.final_recipient, &group.remote_mta].into_iter().flatten()
    {
        assert!(!address.value.is_empty() && address.value.len() <= MAX_VALUE);
    }
    assert!(group.diagnostic_code.as_ref().is_none_or(|code| code.text.len() <= MAX_VALUE));
    assert!(group.extensions.len() <= MAX_EXTENSIONS);
    assert!(group.extensions.iter().all(|field| field.value.len() <= MAX_VALUE));
}

/// What a report leads to: decisions that explain themselves, and only for whom the token was minted.
fn check_decisions(report: &Report) {
    let mut named = Vec::new();
    for group in report.recipients.iter().take(GROUPS) {
        let assessed = assess(&CLASSIFIER, report, group);
        let said = &assessed.classification;
        assert!(!said.rule.is_empty() && said.evidence.len() <= 200, "{said:?}");
        if said.decision == Decision::Suppress {
            // Contract 5: what is our own fault never suppresses.
            assert_eq!(said.class.decision(Severity::Permanent), Decision::Suppress, "{said:?}");
            assert!(!report.guessed, "a guess suppresses nobody");
        }
        if let Some(recipient) = &assessed.recipient {
            assert!(!recipient.is_empty() && !recipient.contains(char::is_control), "{recipient:?}");
        }
        named.push(assessed.recipient);
    }
    let World { ours, token, signed, unsigned } = &*WORLD;
    // Contract 4: only what the return path proves applies.
    let attributed = attribute(ours.keys(), signed, report, named.clone());
    assert_eq!(attributed.len(), named.len());
    for one in &attributed {
        assert_ne!(one.trust, Trust::Unsigned);
        assert_eq!(one.applies, one.trust == Trust::Proven, "{one:?}");
        if one.applies {
            let recipient = one.recipient.as_deref().expect("a proven recipient has a name");
            assert_eq!(comparison_form(recipient), OURS);
            assert_eq!(one.stream, i64::from(token.stream()));
        }
    }
    let attributed = attribute(ours.keys(), unsigned, report, named.clone());
    assert_eq!(attributed.len(), named.len());
    assert!(attributed.iter().all(|one| one.trust == Trust::Unsigned && !one.applies));
    assert!(!matches!(complained_path(report, &named, ours, noon(DAY)), Some(ReturnPath::Fixed)));
}

fuzz_target!(|message: &[u8]| {
    LazyLock::force(&CLASSIFIER);
    let budget = Budget::of(Duration::from_millis(500), message.len(), Duration::from_micros(50));
    let report = Report::parse(message);
    check_report(&report);
    check_decisions(&report);
    let _ = digest(message, noon(DAY));
    let in_mbox: usize = mbox::messages(message).map(|one| one.len()).sum();
    assert!(in_mbox <= message.len(), "an mbox holds no more than its file");
    budget.check();
});
