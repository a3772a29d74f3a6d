//! Rules as data: what texts mean, one file a family in `config/rules/`, embedded in the binary.
//!
//! Patterns are compiled into automata of a few rules each, so that a text is searched in time linear in its
//! length, whatever it says. Every rule carries lines that it must match and lines that it must
//! not; both are checked whenever the file is loaded.

mod file;

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use file::{Draft, StatusPattern, check, flaw, read_file};
use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

use super::class::{Class, Severity};
use super::evidence::{EvidenceField, Source};
use super::facts::Phase;
use crate::report::Action;
use crate::status::{EnhancedStatusCode, ReplyCode};

/// How many rules share an automaton.
///
/// An automaton is built while it runs, state by state. With all rules in one, a text of many words that rules
/// know leads to a new state at nearly every byte; it outgrows its room and falls back to a search a thousand
/// times as slow, which a hostile report can have for megabytes. Few rules have few states together.
const TOGETHER: usize = 8;

/// Room for the program of one pattern, or of the few that share an automaton, in bytes.
const PATTERN: usize = 64 << 20;

/// Room for the states of one automaton, in bytes.
const STATES: usize = 2 << 20;

/// The embedded rule files, in the order in which their rules are tried.
pub const EMBEDDED: &[(&str, &str)] = &[
    ("10-exceptions.toml", include_str!("../../../config/rules/10-exceptions.toml")),
    ("15-own-side.toml", include_str!("../../../config/rules/15-own-side.toml")),
    ("20-mailbox-providers.toml", include_str!("../../../config/rules/20-mailbox-providers.toml")),
    ("21-google.toml", include_str!("../../../config/rules/21-google.toml")),
    ("22-microsoft.toml", include_str!("../../../config/rules/22-microsoft.toml")),
    ("24-gateways.toml", include_str!("../../../config/rules/24-gateways.toml")),
    ("50-text.toml", include_str!("../../../config/rules/50-text.toml")),
    ("60-languages.toml", include_str!("../../../config/rules/60-languages.toml")),
];

/// A checked rule.
#[derive(Debug)]
pub struct Rule {
    /// Unique name: `microsoft.directory-edge`.
    pub id: String,
    /// What it concludes.
    pub class: Class,
    /// Overrides what the code says about trying again.
    pub severity: Option<Severity>,
    pattern: String,
    status: Vec<StatusPattern>,
    reply: Vec<ReplyCode>,
    hosts: Vec<String>,
    phase: Vec<Phase>,
    delayed: bool,
    guard: bool,
    by_operator: bool,
    examples: Vec<String>,
    counter_examples: Vec<String>,
    regex: OnceLock<Regex>,
}

/// A rule that fired.
#[derive(Debug, Clone, Copy)]
pub struct RuleMatch<'r> {
    /// Which.
    pub rule: &'r Rule,
    /// The byte range of the source's text that matched.
    pub start: usize,
    /// Its end.
    pub end: usize,
}

/// What a text is looked at with.
#[derive(Debug, Clone, Copy)]
pub struct Context<'c> {
    /// The code that counts so far.
    pub status: Option<EnhancedStatusCode>,
    /// The reply code that counts so far.
    pub reply_code: Option<ReplyCode>,
    /// Hosts that speak.
    pub hosts: &'c [String],
    /// What was done.
    pub action: Option<Action>,
    /// How far the delivery had come.
    pub phase: Option<Phase>,
}

/// Something wrong in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// The file, with the line where the reader knows it.
    pub file: String,
    /// The rule; empty where the file itself is no TOML.
    pub id: String,
    /// What, with the offending text.
    pub what: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.id.is_empty() {
            write!(f, "{}: {}", self.file, self.what)
        } else {
            write!(f, "{}: rule {}: {}", self.file, self.id, self.what)
        }
    }
}

/// Rule files that cannot be used, with everything that is wrong in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct RuleError(pub Vec<Flaw>);

/// A rule file: its name for messages, and its text.
#[derive(Debug, Clone)]
pub struct RuleFile {
    /// The name.
    pub name: String,
    /// The TOML.
    pub text: String,
}

/// All rules, compiled.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    /// One automaton for every [`TOGETHER`] rules, in the order of the rules.
    automata: Vec<RegexSet>,
}

impl Rules {
    /// Reads, checks and compiles the embedded files.
    ///
    /// # Errors
    /// [`RuleError`], with every flaw at once.
    pub fn embedded() -> Result<Self, RuleError> {
        Self::load(&[])
    }

    /// Reads, checks and compiles the operator's files and the embedded ones. The operator's rules are tried
    /// first, and one with the id of an embedded rule takes its place.
    ///
    /// # Errors
    /// [`RuleError`], with every flaw at once: bad TOML, a bad pattern or condition, an id used twice, or an
    /// example that does not do what it says.
    pub fn load(operator: &[RuleFile]) -> Result<Self, RuleError> {
        let mut flaws = Vec::new();
        let mut drafts = Vec::new();
        for file in operator {
            read_file(&file.name, &file.text, &mut drafts, &mut flaws);
        }
        let own = drafts.len();
        for (name, text) in EMBEDDED {
            read_file(name, text, &mut drafts, &mut flaws);
        }
        Self::compile(drafts, own, flaws)
    }

    /// Compiles rules of which the first `own` are the operator's.
    fn compile(drafts: Vec<Draft>, own: usize, mut flaws: Vec<Flaw>) -> Result<Self, RuleError> {
        let (mut rules, mut files): (Vec<Rule>, Vec<String>) = (Vec::new(), Vec::new());
        let mut ids: HashMap<String, bool> = HashMap::new();
        for (at, draft) in drafts.into_iter().enumerate() {
            let by_operator = at < own;
            match ids.insert(draft.raw.id.clone(), by_operator) {
                Some(true) if !by_operator => {
                    ids.insert(draft.raw.id, true); // the operator's rule stands in its place
                    continue;
                }
                Some(_) => flaws.push(flaw(&draft.file, &draft.raw.id, "the id is used twice")),
                None => {}
            }
            let id = draft.raw.id.clone();
            match check(draft.raw) {
                Ok(rule) => {
                    rules.push(Rule { by_operator, ..rule });
                    files.push(draft.file);
                }
                Err(what) => flaws.push(flaw(&draft.file, &id, what)),
            }
        }
        let automata: Result<Vec<RegexSet>, regex::Error> = rules
            .chunks(TOGETHER)
            .map(|rules| {
                RegexSetBuilder::new(rules.iter().map(|rule| &rule.pattern))
                    .unicode(false)
                    .size_limit(PATTERN)
                    .dfa_size_limit(STATES)
                    .build()
            })
            .collect();
        let automata = match automata {
            Ok(automata) => automata,
            Err(cause) => {
                let before = flaws.len();
                for (rule, file) in rules.iter().zip(&files) {
                    flaws.extend(
                        rule.compile().err().map(|cause| flaw(file, &rule.id, format!("pattern: {cause}"))),
                    );
                }
                if flaws.len() == before {
                    flaws.push(flaw("all rules together", "", cause.to_string()));
                }
                return Err(RuleError(flaws));
            }
        };
        let loaded = Self { rules, automata };
        // The embedded rules keep their examples by themselves, which a test holds; the operator may decide otherwise
        // about any line of theirs, and take the rule away that another one leans on.
        let asked = |rule: &Rule| own == 0 || rule.by_operator;
        for (rule, file) in loaded.rules.iter().zip(&files).filter(|(rule, _)| asked(rule)) {
            flaws.extend(loaded.check_examples(rule).into_iter().map(|what| flaw(file, &rule.id, what)));
        }
        if flaws.is_empty() { Ok(loaded) } else { Err(RuleError(flaws)) }
    }

    /// The first rule, in file order, whose pattern is in the text and whose conditions hold.
    #[must_use]
    pub fn find(&self, text: &str, context: Context<'_>) -> Option<RuleMatch<'_>> {
        self.find_where(text, context, |rule| !rule.guard)
    }

    /// The first guard that speaks against a suppression.
    #[must_use]
    pub fn find_guard(&self, text: &str, context: Context<'_>) -> Option<RuleMatch<'_>> {
        self.find_where(text, context, |rule| rule.guard)
    }

    fn find_where(
        &self,
        text: &str,
        context: Context<'_>,
        wanted: impl Fn(&Rule) -> bool,
    ) -> Option<RuleMatch<'_>> {
        let lower = lower_case(text);
        // Rules of one automaton at a time: where an early one decides, the later ones are not looked at.
        self.rules.chunks(TOGETHER).zip(&self.automata).find_map(|(rules, automaton)| {
            if !rules.iter().any(&wanted) {
                return None;
            }
            automaton.matches(lower.as_bytes()).iter().find_map(|at| {
                let rule = rules.get(at).filter(|rule| wanted(rule) && rule.applies(context))?;
                let found = rule.regex()?.find(lower.as_bytes())?;
                // A "." is a byte: a match may begin or end within a character.
                let (start, end) =
                    (text.floor_char_boundary(found.start()), text.ceil_char_boundary(found.end()));
                Some(RuleMatch { rule, start, end })
            })
        })
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What a rule's own lines say against it.
    fn check_examples(&self, rule: &Rule) -> Vec<String> {
        let decides = |line: &String| {
            let source = Source::new(EvidenceField::DiagnosticCode, line);
            let context = Context {
                status: source.status,
                reply_code: source.reply_code,
                hosts: &rule.hosts,
                action: Some(if rule.delayed { Action::Delayed } else { Action::Failed }),
                phase: rule.phase.first().copied(),
            };
            let found = if rule.guard {
                self.find_guard(&source.text, context)
            } else {
                self.find(&source.text, context)
            };
            found.map(|found| found.rule)
        };
        let mut wrong = Vec::new();
        let mut decided = false;
        for line in &rule.examples {
            match decides(line) {
                Some(other) if other.id == rule.id => decided = true,
                // Two rules may say the same of a line, as long as each decides some line of its own.
                Some(other) if other.class == rule.class && other.severity == rule.severity => {}
                // The operator's rules come first: this one had its turn.
                Some(other) if rule.by_operator && !other.by_operator => {
                    wrong.push(format!("example {line:?} does not match; rule {} takes it", other.id))
                }
                Some(other) => {
                    wrong.push(format!("example {line:?} is taken by rule {}, which comes before", other.id))
                }
                None => wrong.push(format!("example {line:?} does not match")),
            }
        }
        if !decided && wrong.is_empty() {
            wrong.push("earlier rules take every example: it decides nothing".to_owned());
        }
        for line in &rule.counter_examples {
            if decides(line).is_some_and(|decided| decided.id == rule.id) {
                wrong.push(format!("counter-example {line:?} matches"));
            }
        }
        wrong
    }
}

impl Rule {
    fn applies(&self, context: Context<'_>) -> bool {
        (context.action == Some(Action::Delayed)) == self.delayed
            && (self.status.is_empty() || self.status.iter().any(|pattern| pattern.matches(context.status)))
            && (self.reply.is_empty() || context.reply_code.is_some_and(|code| self.reply.contains(&code)))
            && (self.phase.is_empty() || context.phase.is_some_and(|phase| self.phase.contains(&phase)))
            && (self.hosts.is_empty() || context.hosts.iter().any(|host| self.names_host(host)))
    }

    fn names_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|suffix| {
            host.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    fn compile(&self) -> Result<Regex, regex::Error> {
        RegexBuilder::new(&self.pattern).unicode(false).size_limit(PATTERN).build()
    }

    fn regex(&self) -> Option<&Regex> {
        if self.regex.get().is_none() {
            let _ = self.regex.set(self.compile().ok()?);
        }
        self.regex.get()
    }
}

/// A text in lower case, every character where it was: patterns work on bytes, without regard to Unicode, since
/// that makes their automaton a tenth as large.
fn lower_case(text: &str) -> String {
    text.chars().map(lower_char).collect()
}

/// A character in lower case, if that takes as many bytes.
fn lower_char(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(lower), None) if lower.len_utf8() == c.len_utf8() => lower,
        _ => c,
    }
}

#[cfg(test)]
mod tests;
