//! Rules as data: what texts mean, one file a family in `config/rules/`, embedded in the binary.
//!
//! All patterns are compiled into one automaton, so that a text is searched once, in time linear in its
//! length, whatever the number of rules. Every rule carries lines that it must match and lines that it must
//! not; both are checked whenever the file is loaded.

use std::sync::OnceLock;

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::Deserialize;

use super::class::{Class, Severity};
use super::evidence::{EvidenceField, Source};
use crate::report::Action;
use crate::status::{EnhancedStatusCode, ReplyCode};

/// The embedded rule files, in the order in which their rules are tried.
pub const EMBEDDED: &[(&str, &str)] = &[
    ("10-exceptions.toml", include_str!("../../config/rules/10-exceptions.toml")),
    ("50-text.toml", include_str!("../../config/rules/50-text.toml")),
];

/// One rule as it stands in a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    id: String,
    class: Class,
    pattern: String,
    #[serde(default)]
    status: Vec<String>,
    #[serde(default)]
    reply: Vec<u16>,
    #[serde(default)]
    hosts: Vec<String>,
    action: Option<RawAction>,
    severity: Option<Severity>,
    examples: Vec<String>,
    #[serde(default)]
    counter_examples: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawAction {
    Delayed,
}

/// A status condition: `5.4.1`, `x.4.1`, `x.7.x`, or `none` for evidence without any code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatusPattern {
    Code { class: Option<u8>, subject: Option<u16>, detail: Option<u16> },
    None,
}

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
    delayed: bool,
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
}

/// A rule file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// Not the TOML it should be.
    #[error("{file}: {cause}")]
    Toml {
        /// The file.
        file: String,
        /// What the reader says, with line and column.
        cause: Box<toml::de::Error>,
    },
    /// Two rules of one name.
    #[error("{file}: rule {id}: the id is used twice")]
    Twice {
        /// The file of the second one.
        file: String,
        /// The id.
        id: String,
    },
    /// Something in a rule is wrong.
    #[error("{file}: rule {id}: {what}")]
    Rule {
        /// The file.
        file: String,
        /// The rule.
        id: String,
        /// What, with the offending text.
        what: String,
    },
    /// The automaton grows too large.
    #[error("the rules together: {0}")]
    Automaton(Box<regex::Error>),
}

/// All rules, compiled.
#[derive(Debug)]
pub struct Rules {
    rules: Vec<Rule>,
    automaton: RegexSet,
}

impl Rules {
    /// Reads, checks and compiles the embedded files.
    ///
    /// # Errors
    /// [`RuleError`], naming the file and the rule.
    pub fn embedded() -> Result<Self, RuleError> {
        Self::load(EMBEDDED.iter().copied())
    }

    /// Reads, checks and compiles rule files, given as (name, content).
    ///
    /// # Errors
    /// [`RuleError`] for bad TOML, a bad pattern or condition, an id used twice, or an example that does not
    /// do what it says.
    pub fn load<'f>(files: impl Iterator<Item = (&'f str, &'f str)>) -> Result<Self, RuleError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[serde(default)]
            rule: Vec<RawRule>,
        }
        let mut rules: Vec<Rule> = Vec::new();
        let mut origin: Vec<String> = Vec::new();
        for (name, text) in files {
            let file: File = toml::from_str(text)
                .map_err(|cause| RuleError::Toml { file: name.to_owned(), cause: Box::new(cause) })?;
            for raw in file.rule {
                if rules.iter().any(|rule| rule.id == raw.id) {
                    return Err(RuleError::Twice { file: name.to_owned(), id: raw.id });
                }
                let id = raw.id.clone();
                rules.push(check(raw).map_err(|what| RuleError::Rule { file: name.to_owned(), id, what })?);
                origin.push(name.to_owned());
            }
        }
        let automaton = RegexSetBuilder::new(rules.iter().map(|rule| &rule.pattern))
            .case_insensitive(true)
            .size_limit(64 << 20)
            .dfa_size_limit(32 << 20)
            .build()
            .map_err(|cause| RuleError::Automaton(Box::new(cause)))?;
        let loaded = Self { rules, automaton };
        for (rule, file) in loaded.rules.iter().zip(origin) {
            loaded.check_examples(rule).map_err(|what| RuleError::Rule {
                file,
                id: rule.id.clone(),
                what,
            })?;
        }
        Ok(loaded)
    }

    /// The first rule, in file order, whose pattern is in the text and whose conditions hold.
    #[must_use]
    pub fn find(&self, text: &str, context: Context<'_>) -> Option<RuleMatch<'_>> {
        let matches = self.automaton.matches(text);
        matches.iter().find_map(|at| {
            let rule = self.rules.get(at)?;
            if !rule.applies(context) {
                return None;
            }
            let found = rule.regex()?.find(text)?;
            Some(RuleMatch { rule, start: found.start(), end: found.end() })
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

    fn check_examples(&self, rule: &Rule) -> Result<(), String> {
        let decides = |line: &String| {
            let source = Source::new(EvidenceField::DiagnosticCode, line);
            let context = Context {
                status: source.status,
                reply_code: source.reply_code,
                hosts: &rule.hosts,
                action: Some(if rule.delayed { Action::Delayed } else { Action::Failed }),
            };
            self.find(&source.text, context).map(|found| found.rule.id.clone())
        };
        for line in &rule.examples {
            match decides(line) {
                Some(id) if id == rule.id => {}
                Some(other) => {
                    return Err(format!("example {line:?} is taken by rule {other}, which comes before"));
                }
                None => return Err(format!("example {line:?} does not match")),
            }
        }
        for line in &rule.counter_examples {
            if decides(line).is_some_and(|id| id == rule.id) {
                return Err(format!("counter-example {line:?} matches"));
            }
        }
        Ok(())
    }
}

impl Rule {
    fn applies(&self, context: Context<'_>) -> bool {
        (context.action == Some(Action::Delayed)) == self.delayed
            && (self.status.is_empty() || self.status.iter().any(|pattern| pattern.matches(context.status)))
            && (self.reply.is_empty() || context.reply_code.is_some_and(|code| self.reply.contains(&code)))
            && (self.hosts.is_empty() || context.hosts.iter().any(|host| self.names_host(host)))
    }

    fn names_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|suffix| {
            host.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        })
    }

    fn regex(&self) -> Option<&Regex> {
        if self.regex.get().is_none() {
            let built = RegexBuilder::new(&self.pattern).case_insensitive(true).build().ok()?;
            let _ = self.regex.set(built);
        }
        self.regex.get()
    }
}

impl StatusPattern {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::None);
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [class, subject, detail] = parts[..] else {
            return Err(format!("status {text:?}: write it as 5.4.1, x.4.1, 5.7.x or none"));
        };
        let number = |part: &str| match part {
            "x" => Ok(None),
            digits => {
                digits.parse::<u16>().map(Some).map_err(|_| format!("status {text:?}: {part:?} is no number"))
            }
        };
        let class = match number(class)? {
            None => None,
            Some(digit @ (2 | 4 | 5)) => Some(digit as u8),
            Some(other) => return Err(format!("status {text:?}: {other} is no status class")),
        };
        Ok(Self::Code { class, subject: number(subject)?, detail: number(detail)? })
    }

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

fn check(raw: RawRule) -> Result<Rule, String> {
    if raw.examples.is_empty() {
        return Err("it has no example".to_owned());
    }
    if let Err(cause) = RegexBuilder::new(&raw.pattern).case_insensitive(true).build() {
        return Err(format!("pattern: {cause}"));
    }
    let status = raw.status.iter().map(|text| StatusPattern::parse(text)).collect::<Result<_, _>>()?;
    let reply = raw
        .reply
        .iter()
        .map(|code| ReplyCode::new(*code).ok_or(format!("reply {code} is no SMTP reply code")))
        .collect::<Result<_, _>>()?;
    Ok(Rule {
        id: raw.id,
        class: raw.class,
        severity: raw.severity,
        pattern: raw.pattern,
        status,
        reply,
        hosts: raw.hosts.into_iter().map(|host| host.to_lowercase()).collect(),
        delayed: raw.action == Some(RawAction::Delayed),
        examples: raw.examples,
        counter_examples: raw.counter_examples,
        regex: OnceLock::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        [[rule]]
        id = "a"
        class = "policy"
        status = ["5.7.x"]
        pattern = "no thanks"
        examples = ["550 5.7.1 No thanks"]
        counter_examples = ["550 5.1.1 No thanks"]
    "#;

    fn error(text: &str) -> String {
        Rules::load([("test.toml", text)].into_iter()).unwrap_err().to_string()
    }

    #[test]
    fn the_embedded_rules_keep_their_own_examples() {
        assert!(Rules::embedded().unwrap().len() >= 25);
    }

    #[test]
    fn a_wrong_file_is_refused_and_named() {
        Rules::load([("test.toml", GOOD)].into_iter()).unwrap();
        for (from, to, said) in [
            ("policy", "polizei", "test.toml"),
            ("5.7.x", "9.7.x", "rule a: status"),
            ("\"no thanks\"", "\"no (thanks\"", "rule a: pattern"),
            ("5.7.1 No", "5.7.1 Oh", "does not match"),
            ("550 5.1.1 No", "550 5.7.1 No", "counter-example"),
            ("pattern", "patern", "patern"),
            ("[\"550 5.7.1 No thanks\"]", "[]", "no example"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            let message = error(&text);
            assert!(message.contains(said), "{said}: {message}");
        }
        assert!(error(&format!("{GOOD}{GOOD}")).contains("used twice"));
    }

    #[test]
    fn a_rule_hidden_by_an_earlier_one_is_refused() {
        let second = GOOD.replacen("\"a\"", "\"b\"", 1);
        assert!(error(&format!("{GOOD}{second}")).contains("taken by rule a"));
    }
}
