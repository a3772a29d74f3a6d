//! Any text as what a host said: the embedded rules decide about it, in time that follows its length.
//!
//! Input: the Status field's class, subject and detail, the field the text stands in, and the text.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use dsnd::classify::evidence::{Evidence, EvidenceField, MAX_EVIDENCE, Source};
use dsnd::classify::{Decision, Severity};
use dsnd::report::Action;
use dsnd::report::dsn::status;
use dsnd_fuzz::{Budget, CLASSIFIER, steered};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    LazyLock::force(&CLASSIFIER);
    let ([class, subject, detail, field], text) = steered(input);
    let text = String::from_utf8_lossy(text);
    let budget =
        Budget::of(Duration::from_millis(200), text.len().min(MAX_EVIDENCE), Duration::from_micros(500));
    let field = [EvidenceField::DiagnosticCode, EvidenceField::Extension, EvidenceField::Text]
        [usize::from(field % 3)];
    let source = Source::new(field, &text);
    assert!(source.text.len() <= MAX_EVIDENCE);
    if let Some(codes) = &source.codes {
        assert!(source.text.get(codes.clone()).is_some(), "{codes:?} of {:?}", source.text);
    }
    let class = class % 8;
    let evidence = Evidence {
        action: [None, Some(Action::Failed), Some(Action::Delayed)][usize::from(class % 3)],
        status: status(&format!("{class}.{}.{}", subject % 8, detail % 40)),
        will_retry: detail >= 128,
        guessed: subject >= 192,
        sources: vec![source],
        ..Evidence::default()
    };
    let said = CLASSIFIER.decide(&evidence);
    assert_eq!(CLASSIFIER.decide(&evidence), said, "the same evidence, the same answer");
    // Contract 6: every decision explains itself.
    assert!(!said.rule.is_empty() && said.evidence.len() <= 200, "{said:?}");
    if said.decision == Decision::Suppress {
        // Contract 5.
        assert_eq!(said.class.decision(Severity::Permanent), Decision::Suppress, "{said:?}");
        assert!(!evidence.guessed, "a guess suppresses nobody");
        assert_ne!(evidence.action, Some(Action::Delivered));
    }
    budget.check();
});
