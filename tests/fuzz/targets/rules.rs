//! Any text as an operator's rule file: it is taken, or everything that is wrong in it is said.
//!
//! Input: the file.

#![no_main]

use std::time::Duration;

use dsnd::classify::evidence::{Evidence, EvidenceField, Source};
use dsnd::classify::rules::RuleFile;
use dsnd::classify::{Classifier, ClassifierError};
use dsnd_fuzz::Budget;
use libfuzzer_sys::fuzz_target;
use toml::{Table, Value};

/// A text that many rules speak of.
const LINE: &str = "550 5.7.1 user unknown, mailbox full, message blocked using zen.spamhaus.org";

fn has_a_rule(text: &str) -> bool {
    let whole = |rule: &Value| {
        let has = |keys: &[&str]| keys.iter().all(|key| rule.get(key).is_some());
        has(&["id", "class", "phrases"]) || has(&["id", "class", "pattern", "examples"])
    };
    let file = toml::from_str::<Table>(text).ok();
    file.is_some_and(|file| {
        file.get("rule").and_then(Value::as_array).is_some_and(|rules| rules.iter().any(whole))
    })
}

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // All rules are compiled, whatever the operator's file is, which takes its time: for a file without a whole rule
    // in it, one time of many is enough.
    let one_of_many = input.iter().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(*byte)) < 4;
    if !one_of_many && !has_a_rule(text) {
        return;
    }
    let file = RuleFile { name: "own.toml".to_owned(), text: text.to_owned() };
    let budget = Budget::of(Duration::from_secs(8), text.len(), Duration::from_millis(1));
    match Classifier::with_rules(&[file]) {
        Ok(classifier) => {
            let source = Source::new(EvidenceField::DiagnosticCode, LINE);
            let evidence = Evidence { sources: vec![source], ..Evidence::default() };
            assert!(!classifier.decide(&evidence).rule.is_empty());
        }
        Err(ClassifierError::Rules(error)) => {
            assert!(!error.0.is_empty(), "a refusal says why");
            for flaw in &error.0 {
                // The operator is told about his own file, never about the embedded ones.
                assert!(flaw.file.starts_with("own.toml") || flaw.file.starts_with("all rules"), "{flaw}");
                assert!(!flaw.what.is_empty());
            }
        }
    }
    budget.check();
});
