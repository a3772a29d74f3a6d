//! Decides what a report means: evidence in, [`Classification`] out. Pure.
//!
//! The order of evidence: the Action first; then the more precise of the codes; then what the text says
//! about that code (rules, [`rules`]); then the registry ([`registry`]); without any code the reply code,
//! then the text. Every result names the rule, the field and the text that decided (contract 6).

pub mod built_in;
mod class;
mod codes;
mod contradiction;
pub mod evidence;
pub mod facts;
pub mod guide;
mod patterns;
pub mod registry;
pub mod rules;
pub mod unknown;
mod words;

use std::borrow::Borrow;
use std::cell::OnceCell;

use built_in::BuiltIn;
pub use class::{BounceType, Category, Class, Decision, Severity};
use codes::{Codes, class_of_reply, deciding, effective_codes, severity_of};
use contradiction::{heard, objection};
use evidence::{Evidence, EvidenceField, Source};
pub use facts::Facts;
use facts::Phase;
use registry::Registry;
use rules::{RuleMatch, Rules, Search};

use crate::report::automatic::AutomaticKind;
use crate::report::{Action, RecipientFields, Report, ReportKind};
use crate::status::{EnhancedStatusCode, ReplyCode, StatusClass};

/// Longest evidence text in a result, in bytes.
const MAX_SHOWN: usize = 200;

/// What a conclusion rests on. The name of its rule tells, wherever it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// A text that a rule knows, or a code that no text contradicts.
    Stated,
    /// A code that suppresses, beside a text that no rule knows: it counts, and a second one on another day suppresses.
    Unconfirmed,
    /// The message was relayed or expanded (RFC 3464 §2.3.3): nobody says that it was delivered.
    PassedOn,
}

impl Basis {
    /// The basis of what this rule concluded.
    #[must_use]
    pub fn of(rule: &str) -> Self {
        match rule {
            "action.relayed" | "action.expanded" => Self::PassedOn,
            _ if BuiltIn::of(rule) == Some(BuiltIn::Unconfirmed) => Self::Unconfirmed,
            _ => Self::Stated,
        }
    }
}

/// What we conclude about one recipient, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classification {
    /// Our conclusion.
    pub class: Class,
    /// The subject of the code that decided.
    pub category: Category,
    /// The operator's word.
    pub bounce_type: BounceType,
    /// What it does.
    pub decision: Decision,
    /// The rule that decided: `iana.5.1.1`, `action.delayed`, `reply.552` or a rule file's id.
    pub rule: String,
    /// The field the deciding text stands in.
    pub evidence_field: EvidenceField,
    /// The deciding text.
    pub evidence: String,
    /// The code that decided, which may differ from the Status field.
    pub effective_status: Option<EnhancedStatusCode>,
    /// The reply code the remote host gave.
    pub reply_code: Option<ReplyCode>,
    /// What else the text tells.
    pub facts: Facts,
}

/// Registry and rules, ready to use. Build once, share.
#[derive(Debug)]
pub struct Classifier {
    registry: Registry,
    rules: Rules,
}

/// A pattern that is in a text.
#[derive(Debug, Clone)]
pub struct PatternFound<'r> {
    /// The rule it belongs to.
    pub rule: &'r rules::Rule,
    /// The pattern, as it stands in the file.
    pub pattern: &'r str,
    /// Where the text stands.
    pub field: EvidenceField,
    /// The words that the pattern is in.
    pub text: String,
    /// Whether the rule's conditions hold.
    pub holds: bool,
}

/// What keeps a classifier from being made.
#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    /// A rule file.
    #[error(transparent)]
    Rules(#[from] rules::RuleError),
}

/// A text that rules are looked for in, when somebody first asks for one.
struct Asked<'a> {
    source: &'a Source,
    rules: &'a Rules,
    search: OnceCell<Search<'a, 'a>>,
}

impl<'a> Asked<'a> {
    fn new(source: &'a Source, rules: &'a Rules) -> Self {
        Self { source, rules, search: OnceCell::new() }
    }

    fn search(&self) -> &Search<'a, 'a> {
        self.search.get_or_init(|| self.rules.search(&self.source.text))
    }
}

impl Borrow<Source> for Asked<'_> {
    fn borrow(&self) -> &Source {
        self.source
    }
}

impl Classifier {
    /// The embedded registry and rules.
    ///
    /// # Errors
    /// [`ClassifierError`] when an embedded file is broken, which the tests keep from happening.
    pub fn embedded() -> Result<Self, ClassifierError> {
        Self::with_rules(&[])
    }

    /// The embedded registry and rules, with the operator's rules before them.
    ///
    /// # Errors
    /// [`ClassifierError`], with everything that is wrong in the operator's files.
    pub fn with_rules(operator: &[rules::RuleFile]) -> Result<Self, ClassifierError> {
        Ok(Self { registry: Registry::embedded(), rules: Rules::load(operator)? })
    }

    /// The table of registered codes.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// All rules, the operator's first.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Every pattern in the texts that may decide, text by text, in the order in which patterns are tried.
    ///
    /// The first of them whose rule's conditions hold and that is no guard is what [`Self::decide`] goes by, unless
    /// the Action decides, or the text says no more than a precise code does. A guard is asked when the recipient would
    /// be suppressed.
    #[must_use]
    pub fn patterns_in(&self, evidence: &Evidence) -> Vec<PatternFound<'_>> {
        let codes = effective_codes(evidence);
        let phase = facts::phase(evidence);
        let context = codes.context(evidence, evidence.action, phase);
        let mut all = Vec::new();
        for source in deciding(&evidence.sources, codes.status) {
            let search = self.rules.search(&source.text);
            all.extend(search.matches().map(|found| PatternFound {
                rule: found.rule,
                pattern: &found.phrase.pattern,
                field: source.field,
                text: source.text[found.start..found.end].to_owned(),
                holds: found.rule.applies(context),
            }));
        }
        all
    }

    /// Classifies one recipient of a report.
    #[must_use]
    pub fn classify(&self, report: &Report, fields: &RecipientFields) -> Classification {
        self.weigh(report, fields).0
    }

    /// The same, with the evidence; what is no bounce has none.
    #[must_use]
    pub fn weigh(&self, report: &Report, fields: &RecipientFields) -> (Classification, Evidence) {
        if let Some(result) = not_a_bounce(report) {
            return (result, Evidence::default());
        }
        let evidence = Evidence::gather(report, fields);
        (self.decide(&evidence), evidence)
    }

    /// Classifies gathered evidence.
    #[must_use]
    pub fn decide(&self, evidence: &Evidence) -> Classification {
        let codes = effective_codes(evidence);
        let phase = facts::phase(evidence);
        let texts: Vec<_> = evidence.sources.iter().map(|source| Asked::new(source, &self.rules)).collect();
        let mut result = self.conclude(evidence, &texts, &codes, phase);
        if BuiltIn::of(&result.rule).is_some_and(BuiltIn::is_without_text) {
            let context = codes.context(evidence, None, phase);
            let said = self.by_contradiction(&texts, context, &codes, &result);
            // A guess is one, whatever stands beside it.
            result = said.filter(|said| !(evidence.guessed && said.is_unconfirmed())).unwrap_or(result);
        }
        if result.decision == Decision::Suppress || result.is_unconfirmed() {
            let context = codes.context(evidence, None, None);
            result = objection(&texts, context, &codes, &result).unwrap_or(result);
        }
        if evidence.guessed && result.decision == Decision::Suppress {
            // Three guesses on three days are needed for what one reading does.
            (result.decision, result.bounce_type) = (Decision::Count, BounceType::Soft);
        }
        result.facts = Facts::gather(evidence, result.class, phase);
        result
    }

    fn conclude(
        &self,
        evidence: &Evidence,
        texts: &[Asked<'_>],
        codes: &Codes,
        phase: Option<Phase>,
    ) -> Classification {
        if let Some(result) = by_action(evidence, texts, codes) {
            return result;
        }
        let severity = severity_of(codes);
        let action = evidence.action.filter(|action| *action != Action::Delayed);
        let context = codes.context(evidence, action, phase);
        for text in deciding(texts, codes.status) {
            if let Some(found) = text.search().find(context, |rule| heard(rule, text.source)) {
                if self.says_no_more(found.rule, codes) {
                    break;
                }
                return by_rule(found, text.source, severity, codes);
            }
        }
        self.by_code(codes, severity)
    }

    /// Text that only repeats what a precise code says already: then the code decides, and is named.
    fn says_no_more(&self, rule: &rules::Rule, codes: &Codes) -> bool {
        codes.status.is_some_and(|status| {
            let known = self.registry.registered(status).filter(|_| status.precision() == 2);
            rule.severity.is_none() && known.is_some_and(|entry| entry.class(status.class) == rule.class)
        })
    }

    /// Order of evidence 2, 4 and 5: the code, the reply code, or nothing.
    fn by_code(&self, codes: &Codes, severity: Severity) -> Classification {
        if let Some(status) = codes.status {
            let by_reply = codes.reply_code.and_then(class_of_reply);
            if let (true, Some(class), Some(reply)) = (status.is_vague(), by_reply, codes.reply_code) {
                return result(
                    class,
                    severity,
                    BuiltIn::Reply.named(reply),
                    codes.field,
                    &codes.shown,
                    codes,
                );
            }
            let lookup = self.registry.lookup(status);
            let class = lookup.entry.class(status.class);
            return result(
                class,
                severity,
                BuiltIn::Status.named(lookup.found),
                codes.field,
                &codes.shown,
                codes,
            );
        }
        if let Some(reply) = codes.reply_code {
            let class = class_of_reply(reply).unwrap_or(Class::Undetermined);
            return result(class, severity, BuiltIn::Reply.named(reply), codes.field, &codes.shown, codes);
        }
        result(
            Class::Undetermined,
            Severity::Transient,
            BuiltIn::Nothing.named(""),
            EvidenceField::Nothing,
            "",
            codes,
        )
    }
}

/// Order of evidence 1: the Action.
fn by_action(evidence: &Evidence, texts: &[Asked<'_>], codes: &Codes) -> Option<Classification> {
    let success = evidence.status.is_some_and(|code| code.class == StatusClass::Success);
    let waiting = evidence.status.is_some_and(|code| code.class == StatusClass::PersistentTransient);
    let (class, shown) = match evidence.action {
        Some(action @ (Action::Delivered | Action::Relayed | Action::Expanded)) => {
            (Class::Delivered, action.as_str())
        }
        Some(Action::Delayed) => {
            let context = codes.context(evidence, Some(Action::Delayed), None);
            // Some MTAs call their last report "delayed": the text says that they gave up.
            let given_up =
                texts.iter().find_map(|text| Some((text.source, text.search().find(context, |_| true)?)));
            if let Some((source, found)) = given_up {
                return Some(by_rule(found, source, Severity::Transient, codes));
            }
            (Class::Delayed, Action::Delayed.as_str())
        }
        None if success => (Class::Delivered, "2.x.x without an action"),
        None if waiting && evidence.will_retry => (Class::Delayed, "4.x.x and Will-Retry-Until"),
        Some(Action::Failed) | None => return None,
    };
    let said = evidence.action.filter(|action| matches!(action, Action::Relayed | Action::Expanded));
    let rule = BuiltIn::Action.named(said.map_or(class.as_str(), Action::as_str));
    Some(result(class, Severity::Transient, rule, EvidenceField::Action, shown, codes))
}

/// What a message means that is no bounce: a complaint, a machine's answer, a disposition notification.
///
/// Only people who complain about abuse, or ask to be left alone, are suppressed. A report about failed
/// authentication or a virus is about our mail; `not-spam` (RFC 6430), `other` and unknown types say nothing.
fn not_a_bounce(report: &Report) -> Option<Classification> {
    let none = Codes { status: None, reply_code: None, field: EvidenceField::Header, shown: String::new() };
    let (class, rule, shown) = match (report.kind, &report.feedback, &report.automatic) {
        (ReportKind::Feedback, feedback, _) => {
            let said = feedback.as_ref().and_then(|feedback| feedback.feedback_type.as_deref());
            let (class, kind) = match said.unwrap_or_default() {
                "abuse" => (Class::Complaint, "abuse"), // RFC 5965 §7.3
                "fraud" => (Class::Complaint, "fraud"), // RFC 5965 §7.3
                "opt-out" | "opt-out-list" => (Class::Complaint, "opt-out"), // drafts before RFC 5965
                "virus" => (Class::Virus, "virus"),     // RFC 5965 §7.3
                "auth-failure" => (Class::SenderAuth, "auth-failure"), // RFC 6591 §3.1
                "not-spam" => (Class::AutoReply, "not-spam"), // RFC 6430 §2
                _ => (Class::AutoReply, "other"),
            };
            let shown = said.map(|said| format!("Feedback-Type: {said}")).unwrap_or_default();
            (class, BuiltIn::Feedback.named(kind), shown)
        }
        (ReportKind::AutoReply | ReportKind::Mdn, _, Some(automatic)) => {
            let (class, kind) = match automatic.kind {
                AutomaticKind::Reply => (Class::AutoReply, "reply"), // RFC 3834
                AutomaticKind::Challenge => (Class::Challenge, "challenge"),
                AutomaticKind::Disposition => (Class::AutoReply, "disposition"), // RFC 8098
            };
            (class, BuiltIn::Automatic.named(kind), automatic.evidence.clone())
        }
        _ => return None,
    };
    Some(result(class, Severity::Transient, rule, EvidenceField::Header, &shown, &none))
}

/// What a rule concludes from a source; `severity` is what the codes say, where the rule says nothing of it.
fn by_rule(found: RuleMatch<'_>, source: &Source, severity: Severity, codes: &Codes) -> Classification {
    let severity = found.rule.severity.unwrap_or(severity);
    let shown = excerpt(source, found.start, found.end);
    result(found.rule.class, severity, found.rule.id.clone(), source.field, &shown, codes)
}

fn result(
    class: Class,
    severity: Severity,
    rule: String,
    evidence_field: EvidenceField,
    shown: &str,
    codes: &Codes,
) -> Classification {
    Classification {
        class,
        category: codes.status.map_or_else(|| category_of(class), |code| Category::of_subject(code.subject)),
        bounce_type: class.bounce_type(severity),
        decision: class.decision(severity),
        rule,
        evidence_field,
        evidence: evidence::cut(shown, MAX_SHOWN).to_owned(),
        effective_status: codes.status,
        reply_code: codes.reply_code,
        facts: Facts::default(),
    }
}

/// The category of a class where no code names one.
const fn category_of(class: Class) -> Category {
    match class {
        Class::RecipientUnknown | Class::RecipientMoved | Class::DomainInvalid => Category::Addressing,
        Class::RecipientInactive | Class::MailboxFull => Category::Mailbox,
        Class::MessageTooLarge | Class::RemoteSystem => Category::System,
        Class::HostUnreachable | Class::BadConnection | Class::Routing | Class::Expired => Category::Network,
        Class::ProtocolError => Category::Protocol,
        Class::ContentRejected | Class::Virus | Class::SpamContent => Category::Content,
        Class::SenderBlocked
        | Class::SenderAuth
        | Class::RecipientRestricted
        | Class::Policy
        | Class::RateLimited
        | Class::Greylisted
        | Class::RelayDenied
        | Class::Complaint => Category::Policy,
        Class::Undetermined | Class::AutoReply | Class::Challenge | Class::Delayed | Class::Delivered => {
            Category::Other
        }
    }
}

/// The deciding words, with the codes before them where they are near.
fn excerpt(source: &Source, start: usize, end: usize) -> String {
    match &source.codes {
        Some(codes) if codes.end <= start && start - codes.end <= 80 => {
            source.text[codes.start..end].to_owned()
        }
        _ => source.text[start..end].to_owned(),
    }
}

#[cfg(test)]
mod matrix;
#[cfg(test)]
mod tests;
