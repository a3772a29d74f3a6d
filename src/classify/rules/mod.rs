//! Rules as data: what texts mean, one file a family in `config/rules/`, embedded in the binary.
//!
//! A rule is a list of short patterns. Every pattern stands beside lines that it must decide; those of the operator's
//! files are checked whenever they are loaded, those of the embedded files by a test.
//!
//! Patterns are compiled into automata of a few rules each, so that a text is searched in time linear in its
//! length, whatever it says.

mod check;
mod file;
mod phrase;

use std::collections::HashMap;
use std::fmt;

use file::Reader;
use phrase::lower_case;
pub use phrase::{MAX_PATTERN, Phrase};
use regex::bytes::{RegexSet, RegexSetBuilder};

use super::class::{Class, Severity};
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

/// The embedded lists of words, which every rule file may use.
pub const WORDS: (&str, &str) = ("words.toml", include_str!("../../../config/rules/words.toml"));

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

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Unique name: `microsoft.directory-edge`.
    pub id: String,
    /// What it concludes.
    pub class: Class,
    /// Overrides what the code says about trying again.
    pub severity: Option<Severity>,
    /// The file it stands in.
    pub file: String,
    /// The line of the file it begins at, from 1.
    pub line: usize,
    /// What it looks for, in this order.
    pub phrases: Vec<Phrase>,
    /// Lines that it must leave alone.
    pub counter_examples: Vec<String>,
    status: Vec<StatusPattern>,
    reply: Vec<ReplyCode>,
    hosts: Vec<String>,
    phase: Vec<Phase>,
    delayed: bool,
    guard: bool,
    by_operator: bool,
}

/// A status condition: `5.4.1`, `x.4.1`, `x.7.x`, or `none` for evidence without any code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatusPattern {
    Code { class: Option<u8>, subject: Option<u16>, detail: Option<u16> },
    None,
}

/// A rule that fired.
#[derive(Debug, Clone, Copy)]
pub struct RuleMatch<'r> {
    /// Which.
    pub rule: &'r Rule,
    /// The first of its phrases that is in the text.
    pub phrase: &'r Phrase,
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
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The rule; empty where it is about none.
    pub id: String,
    /// What, with the offending text.
    pub what: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        if !self.id.is_empty() {
            write!(f, "rule {}: ", self.id)?;
        }
        f.write_str(&self.what)
    }
}

/// Rule files that cannot be used, with everything that is wrong in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct RuleError(pub Vec<Flaw>);

/// A rule file: its name for messages, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// Reads the embedded files. A test keeps them without flaw: nothing is checked here.
    ///
    /// # Errors
    /// [`RuleError`], with every flaw at once.
    pub fn embedded() -> Result<Self, RuleError> {
        Self::load(&[])
    }

    /// Reads and checks the operator's files, and reads the embedded ones. The operator's rules are tried
    /// first, and one with the id of an embedded rule takes its place.
    ///
    /// # Errors
    /// [`RuleError`], with every flaw of every file at once: bad TOML, a bad pattern or condition, an id used
    /// twice, an example that does not do what it says, or a pattern that decides nothing.
    pub fn load(operator: &[RuleFile]) -> Result<Self, RuleError> {
        let mut reader = Reader::default();
        reader.read_words(WORDS.0, WORDS.1);
        for file in operator {
            reader.read_rules(&file.name, &file.text);
        }
        let own = reader.rules.len();
        for (name, text) in EMBEDDED {
            reader.read_rules(name, text);
        }
        for rule in &mut reader.rules[..own] {
            rule.by_operator = true;
        }
        let Reader { rules, mut flaws, .. } = reader;
        let rules = without_twins(rules, &mut flaws);
        // What is no expression is named, and left out of what the other rules' lines are tried on.
        let (broken, rules): (Vec<_>, Vec<_>) =
            rules.into_iter().partition(|rule| rule.by_operator && !rule.check_patterns().is_empty());
        flaws.extend(broken.iter().flat_map(Rule::check_patterns));
        let loaded = Self::compile(rules)?;
        // The operator may decide otherwise about any line of the embedded rules.
        flaws.extend(loaded.iter().filter(|rule| rule.by_operator).flat_map(|rule| loaded.check(rule)));
        if flaws.is_empty() { Ok(loaded) } else { Err(RuleError(flaws)) }
    }

    fn compile(rules: Vec<Rule>) -> Result<Self, RuleError> {
        let automata: Result<Vec<RegexSet>, regex::Error> = rules
            .chunks(TOGETHER)
            .map(|rules| {
                RegexSetBuilder::new(rules.iter().map(Rule::expression))
                    .unicode(false)
                    .size_limit(PATTERN)
                    .dfa_size_limit(STATES)
                    .build()
            })
            .collect();
        match automata {
            Ok(automata) => Ok(Self { rules, automata }),
            Err(cause) => {
                let mut flaws: Vec<Flaw> = rules.iter().flat_map(Rule::check_patterns).collect();
                if flaws.is_empty() {
                    let what = cause.to_string();
                    flaws.push(Flaw {
                        file: "all rules together".to_owned(),
                        line: 1,
                        id: String::new(),
                        what,
                    });
                }
                Err(RuleError(flaws))
            }
        }
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
                let (phrase, found) =
                    rule.phrases.iter().find_map(|phrase| Some((phrase, phrase.find(&lower)?)))?;
                // A "." is a byte: a match may begin or end within a character.
                let (start, end) =
                    (text.floor_char_boundary(found.start), text.ceil_char_boundary(found.end));
                Some(RuleMatch { rule, phrase, start, end })
            })
        })
    }

    /// All rules, in the order in which they are tried.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
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

    /// All patterns in one.
    fn expression(&self) -> String {
        let expressions: Vec<_> =
            self.phrases.iter().map(|phrase| format!("(?:{})", phrase.expression())).collect();
        expressions.join("|")
    }
}

impl StatusPattern {
    fn matches(self, status: Option<EnhancedStatusCode>) -> bool {
        match (self, status) {
            (Self::None, None) => true,
            (Self::Code { class, subject, detail }, Some(code)) => {
                class.is_none_or(|class| class == code.class.digit())
                    && subject.is_none_or(|subject| subject == code.subject)
                    && detail.is_none_or(|detail| detail == code.detail)
            }
            _ => false,
        }
    }
}

/// The rules without the embedded ones that a rule of the operator stands in the place of.
fn without_twins(rules: Vec<Rule>, flaws: &mut Vec<Flaw>) -> Vec<Rule> {
    let mut ids: HashMap<String, bool> = HashMap::new();
    let mut kept = Vec::with_capacity(rules.len());
    for rule in rules {
        match ids.get(&rule.id) {
            Some(true) if !rule.by_operator => continue,
            Some(_) => flaws.push(rule.flaw(rule.line, "the id is used twice")),
            None => {
                ids.insert(rule.id.clone(), rule.by_operator);
            }
        }
        kept.push(rule);
    }
    kept
}

#[cfg(test)]
mod tests;
