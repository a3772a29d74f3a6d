//! Rules as data: what texts mean, one file a family in `config/rules/`, embedded in the binary.
//!
//! A rule is a list of short patterns. Every pattern stands beside lines that it must decide; those of the operator's
//! files are checked whenever they are loaded, those of the embedded files by a test.
//!
//! The cost of a text is one pass for the words that patterns need, and the few patterns whose words are in it, each of
//! them in time linear in the text, whatever it says. A pattern is compiled when it is first needed.

mod check;
mod file;
pub(super) mod index;
mod lists;
mod matcher;
mod needs;
mod phrase;
mod search;
mod source;

use std::collections::HashSet;
use std::fmt;

use index::Index;
pub use phrase::Phrase;
pub use search::{RuleMatch, Search};
pub use source::{Flaw, MAX_PATTERN};
use source::{Reader, RuleText};

use super::class::{Class, Severity};
use super::facts::Phase;
use crate::report::Action;
use crate::status::{EnhancedStatusCode, ReplyCode};

/// The embedded lists of words, which every rule file may use.
const WORDS: (&str, &str) = ("words.toml", include_str!("../../../config/rules/words.toml"));

/// The embedded rules in the order in which they are tried, as the build read them (`config/build.rs`).
const EMBEDDED: &str = include_str!(concat!(env!("OUT_DIR"), "/rules.json"));

fn embedded() -> Vec<RuleText> {
    serde_json::from_str(EMBEDDED).expect("what the build wrote, which the tests read as well")
}

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
    /// The embedded rules. A test keeps them without flaw: nothing is checked here.
    ///
    /// # Errors
    /// [`RuleError`], with every flaw at once.
    pub fn embedded() -> Result<Self, RuleError> {
        Self::load(&[])
    }

    /// Reads and checks the operator's files, and puts the embedded rules behind them. The operator's rules are tried
    /// first, and one with the id of an embedded rule takes its place.
    ///
    /// # Errors
    /// [`RuleError`], with every flaw of every file at once: bad TOML, a bad pattern or condition, an id used
    /// twice, an example that does not do what it says, or a pattern that decides nothing.
    pub fn load(operator: &[RuleFile]) -> Result<Self, RuleError> {
        let mut reader = Reader::default();
        if !operator.is_empty() {
            reader.read_words(WORDS.0, WORDS.1);
        }
        for file in operator {
            reader.read_rules(&file.name, &file.text);
        }
        let Reader { rules: own, mut flaws, .. } = reader;
        let mut ids = HashSet::new();
        let twins = own.iter().filter(|text| !text.id.is_empty() && !ids.insert(text.id.clone()));
        flaws.extend(twins.map(|text| text.flaw("id", "the id is used twice")));
        let embedded =
            embedded().into_iter().filter(|text| !ids.contains(&text.id)).map(|text| (text, false));
        let mut rules = Vec::new();
        for (text, by_operator) in own.into_iter().map(|text| (text, true)).chain(embedded) {
            match Rule::new(text, by_operator) {
                Ok(rule) => rules.push(rule),
                // It is left out of what the other rules' lines are tried on.
                Err(wrong) => flaws.extend(wrong),
            }
        }
        let loaded = Self::indexed(rules);
        // The operator may decide otherwise about any line of the embedded rules.
        flaws.extend(loaded.iter().filter(|rule| rule.by_operator).flat_map(|rule| loaded.check(rule)));
        if flaws.is_empty() { Ok(loaded) } else { Err(RuleError(flaws)) }
    }

    fn indexed(rules: Vec<Rule>) -> Self {
        let index =
            Index::new(rules.iter().flat_map(|rule| rule.phrases.iter().map(|phrase| &phrase.places[..])));
        let numbers =
            |(at, rule): (u32, &Rule)| (0..rule.phrases.len() as u32).map(move |phrase| (at, phrase));
        let phrases = (0..).zip(&rules).flat_map(numbers).collect();
        Self { rules, phrases, index }
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
        let mut asked = vec![
            ("status", listed(&self.status)),
            ("reply", listed(&self.reply)),
            ("hosts", listed(&self.hosts)),
            ("phase", listed(&self.phase)),
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

#[cfg(test)]
mod tests;
