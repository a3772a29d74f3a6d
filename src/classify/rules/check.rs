//! What a rule's own lines say against it.

use super::super::evidence::{EvidenceField, Source};
use super::{Context, Flaw, Phrase, Rule, RuleMatch, Rules};
use crate::report::Action;

impl Rules {
    /// Everything that is wrong with the lines of a rule: an example that it does not decide, a pattern that none of
    /// its examples needs because an earlier one takes them all, a counter-example that it decides.
    #[must_use]
    pub fn check(&self, rule: &Rule) -> Vec<Flaw> {
        let mut flaws: Vec<Flaw> =
            rule.phrases.iter().flat_map(|phrase| self.check_phrase(rule, phrase)).collect();
        for line in &rule.counter_examples {
            let source = Source::new(EvidenceField::DiagnosticCode, line);
            if self.decides(rule, &source).is_some_and(|found| std::ptr::eq(found.rule, rule)) {
                flaws.push(rule.flaw(rule.line, format!("counter-example {line:?} matches")));
            }
        }
        flaws
    }

    fn check_phrase(&self, rule: &Rule, phrase: &Phrase) -> Vec<Flaw> {
        let pattern = &phrase.pattern;
        let mut wrong = Vec::new();
        let mut taken = None;
        let mut decided = false;
        for line in &phrase.examples {
            let source = Source::new(EvidenceField::DiagnosticCode, line);
            if let Some(missed) = phrase.misses(line) {
                wrong.push(missed);
            } else if !rule.applies(rule.asked_about(&source)) || !rule.fits_code(rule.asked_about(&source)) {
                wrong.push(format!(
                    "pattern '{pattern}': the rule's conditions do not hold for example {line:?}"
                ));
            } else if let Some(found) = self.decides(rule, &source) {
                let same = found.rule.class == rule.class && found.rule.severity == rule.severity;
                if std::ptr::eq(found.phrase, phrase) {
                    decided = true;
                } else if same {
                    // Two patterns may say the same of a line, as long as each decides some line of its own.
                    taken = Some(found);
                } else {
                    let id = &found.rule.id;
                    let what = format!("example {line:?} is taken by rule {id}, which comes before");
                    wrong.push(format!("pattern '{pattern}': {what}"));
                }
            }
        }
        if let (false, true, Some(found)) = (decided, wrong.is_empty(), taken) {
            wrong.push(format!(
                "pattern '{pattern}' decides nothing: '{}' of rule {} comes before and takes every example",
                found.phrase.pattern, found.rule.id
            ));
        }
        wrong.into_iter().map(|what| rule.flaw(phrase.line, what)).collect()
    }

    /// What decides about a line that is said as the rule wants it.
    fn decides(&self, rule: &Rule, source: &Source) -> Option<RuleMatch<'_>> {
        let context = rule.asked_about(source);
        let search = self.search(&source.text);
        if rule.guard { search.find_guard(context) } else { search.find(context, |_| true) }
    }
}

impl Rule {
    /// What a line of its own is looked at with: all that the rule asks for beside the line.
    fn asked_about(&self, source: &Source) -> Context<'_> {
        Context {
            status: source.status,
            reply_code: source.reply_code,
            hosts: &self.hosts,
            action: Some(if self.delayed { Action::Delayed } else { Action::Failed }),
            phase: self.phase.first().copied(),
        }
    }

    /// The patterns that are no regular expressions, or too large.
    pub(super) fn check_patterns(&self) -> Vec<Flaw> {
        let broken = |phrase: &Phrase| {
            let cause = phrase.compile().err()?;
            Some(self.flaw(phrase.line, format!("pattern '{}': {cause}", phrase.pattern)))
        };
        self.phrases.iter().filter_map(broken).collect()
    }

    /// The lines that their own patterns miss: what can be said of a rule that is wrong otherwise.
    pub(super) fn check_matches(&self) -> Vec<Flaw> {
        let phrases = self.phrases.iter().filter(|phrase| phrase.compile().is_ok());
        let missed = |phrase: &Phrase| -> Vec<Flaw> {
            let missed = phrase.examples.iter().filter_map(|line| phrase.misses(line));
            missed.map(|what| self.flaw(phrase.line, what)).collect()
        };
        phrases.flat_map(missed).collect()
    }

    fn flaw(&self, line: usize, what: impl Into<String>) -> Flaw {
        Flaw { file: self.file.clone(), line, id: self.id.clone(), what: what.into() }
    }
}

impl Phrase {
    /// What is said of a line that it must match and does not.
    fn misses(&self, line: &str) -> Option<String> {
        let source = Source::new(EvidenceField::DiagnosticCode, line);
        let what = || format!("pattern '{}': example {line:?} does not match", self.pattern);
        (!self.is_in(&source.text)).then(what)
    }
}
