//! Rules as data: what texts mean, one file a family in `config/rules/`, embedded in the binary.
//!
//! A rule is a list of short patterns. Every pattern stands beside lines that it must decide; those of the operator's
//! files are checked whenever they are loaded, those of the embedded files by a test.
//!
//! The cost of a text is one pass for the words that patterns need, and the few patterns whose words are in it, each of
//! them in time linear in the text, whatever it says. A pattern is compiled when it is first needed.

mod check;
mod file;
mod index;
mod matcher;
mod needs;
mod phrase;
mod search;

use std::collections::HashMap;
use std::fmt;

use file::Reader;
use index::Index;
pub use phrase::{MAX_PATTERN, Phrase};
pub use search::{RuleMatch, Search};

use super::class::{Class, Severity};
use super::facts::Phase;
use crate::report::Action;
use crate::status::{EnhancedStatusCode, ReplyCode};

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
    ("40-recipient.toml", include_str!("../../../config/rules/40-recipient.toml")),
    ("50-text.toml", include_str!("../../../config/rules/50-text.toml")),
    ("52-recipient.toml", include_str!("../../../config/rules/52-recipient.toml")),
    ("55-text.toml", include_str!("../../../config/rules/55-text.toml")),
    ("60-languages.toml", include_str!("../../../config/rules/60-languages.toml")),
    ("70-topics.toml", include_str!("../../../config/rules/70-topics.toml")),
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
    /// Looks for names of hosts or into URLs, which are blanked otherwise.
    names: bool,
    /// One word of it is enough, so it is not heard in prose.
    topic: bool,
    by_operator: bool,
}

/// A status condition: `5.4.1`, `x.4.1`, `x.7.x`, or `none` for evidence without any code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatusPattern {
    Code { class: Option<u8>, subject: Option<u16>, detail: Option<u16> },
    None,
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

/// All rules.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    /// Every phrase, by the numbers of its rule and in its rule.
    phrases: Vec<(u32, u32)>,
    /// Which of them may be in a text.
    index: Index,
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
        let loaded = Self::indexed(rules)?;
        // The operator may decide otherwise about any line of the embedded rules.
        flaws.extend(loaded.iter().filter(|rule| rule.by_operator).flat_map(|rule| loaded.check(rule)));
        if flaws.is_empty() { Ok(loaded) } else { Err(RuleError(flaws)) }
    }

    fn indexed(rules: Vec<Rule>) -> Result<Self, RuleError> {
        let index =
            Index::new(rules.iter().flat_map(|rule| rule.phrases.iter().map(|phrase| &phrase.places[..])));
        let index = index.map_err(|cause| {
            let file = "all rules together".to_owned();
            RuleError(vec![Flaw { file, line: 1, id: String::new(), what: cause.to_string() }])
        })?;
        let numbers =
            |(at, rule): (u32, &Rule)| (0..rule.phrases.len() as u32).map(move |phrase| (at, phrase));
        let phrases = (0..).zip(&rules).flat_map(numbers).collect();
        Ok(Self { rules, phrases, index })
    }

    /// Looks at a text, so that rules can be found in it.
    #[must_use]
    pub fn search<'t>(&self, text: &'t str) -> Search<'_, 't> {
        Search::new(self, text)
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
    /// Whether one word of it is enough, so that it is not heard in prose.
    #[must_use]
    pub const fn is_topic(&self) -> bool {
        self.topic
    }

    /// Whether it is about more than single codes.
    fn is_general(&self) -> bool {
        let vague = "5.0.0".parse().ok();
        self.status.is_empty()
            || self.status.iter().any(|pattern| pattern.matches(None) || pattern.matches(vague))
    }

    fn fits_code(&self, context: Context<'_>) -> bool {
        self.status.is_empty() || self.status.iter().any(|pattern| pattern.matches(context.status))
    }

    /// Whether its conditions hold.
    #[must_use]
    pub fn applies(&self, context: Context<'_>) -> bool {
        self.fits_code(context) && self.fits(context)
    }

    /// Whether its conditions hold but for that on the code.
    fn fits(&self, context: Context<'_>) -> bool {
        (context.action == Some(Action::Delayed)) == self.delayed
            && (self.reply.is_empty() || context.reply_code.is_some_and(|code| self.reply.contains(&code)))
            && (self.phase.is_empty() || context.phase.is_some_and(|phase| self.phase.contains(&phase)))
            && (self.hosts.is_empty() || context.hosts.iter().any(|host| self.names_host(host)))
    }

    fn names_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|suffix| {
            host.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }
}

/// What a rule asks for beside its patterns, as `dsnd rules show` says it.
impl Rule {
    /// Whether it is asked only when the recipient would be suppressed.
    #[must_use]
    pub const fn is_guard(&self) -> bool {
        self.guard
    }

    /// Whether it stands in a file of the operator.
    #[must_use]
    pub const fn is_by_operator(&self) -> bool {
        self.by_operator
    }

    /// Each condition with what it asks for, in the words of the rule file: `("status", "5.7.x, none")`.
    #[must_use]
    pub fn conditions(&self) -> Vec<(&'static str, String)> {
        fn listed<T: fmt::Display>(items: &[T]) -> String {
            items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        let phases: Vec<_> = self.phase.iter().filter_map(|phase| serde_json::to_value(phase).ok()).collect();
        let phases: Vec<_> = phases.iter().filter_map(serde_json::Value::as_str).collect();
        let mut asked = vec![
            ("status", listed(&self.status)),
            ("reply", listed(&self.reply)),
            ("hosts", listed(&self.hosts)),
            ("phase", listed(&phases)),
        ];
        if self.delayed {
            asked.push(("action", "delayed".to_owned()));
        }
        asked.retain(|(_, what)| !what.is_empty());
        asked
    }
}

impl fmt::Display for StatusPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Code { class, subject, detail } = self else { return f.write_str("none") };
        let part = |number: Option<u16>| number.map_or("x".to_owned(), |number| number.to_string());
        write!(f, "{}.{}.{}", part(class.map(u16::from)), part(*subject), part(*detail))
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
