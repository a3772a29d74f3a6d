//! A rule file: from TOML to rules, with the file and the line of whatever is wrong.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IntoDeserializer, MapAccess, Visitor};
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::super::built_in::BuiltIn;
use super::super::class::{Class, Severity};
use super::super::facts::Phase;
use super::phrase::{MAX_PATTERN, Phrase, Words};
use super::{Flaw, Rule, StatusPattern};
use crate::status::ReplyCode;

/// One rule as it stands in a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    id: String,
    class: Class,
    /// What it looks for, each pattern beside lines that it must decide.
    #[serde(default)]
    phrases: Phrases,
    /// One pattern of any length and its lines, as rule files before the phrases had them.
    pattern: Option<Spanned<String>>,
    #[serde(default)]
    examples: Vec<String>,
    #[serde(default)]
    status: Vec<String>,
    #[serde(default)]
    reply: Vec<u16>,
    /// Only where one of these hosts speaks, or the recipient is at one of these domains.
    #[serde(default)]
    hosts: Vec<String>,
    /// Only where a host of the file's provider speaks.
    #[serde(default)]
    provider: bool,
    action: Option<RawAction>,
    /// Asked only when the recipient would be suppressed; then it has the last word.
    #[serde(default)]
    guard: bool,
    /// Looks for names of hosts or into URLs, which are blanked otherwise.
    #[serde(default)]
    names: bool,
    /// One word of it is enough: only a host's own reply is searched for it.
    #[serde(default)]
    topic: bool,
    /// Only where the text tells that it was said at one of these points.
    #[serde(default)]
    phase: Vec<Phase>,
    severity: Option<Severity>,
    #[serde(default)]
    counter_examples: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawAction {
    Delayed,
}

/// `'pattern' = "example"`, in the order in which they stand in the file.
#[derive(Debug, Default)]
struct Phrases(Vec<(Spanned<String>, Vec<String>)>);

impl<'de> Deserialize<'de> for Phrases {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Phrases;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("lines of the form 'pattern' = \"example\"")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Phrases, A::Error> {
                let mut pairs: Vec<(Spanned<String>, Vec<String>)> = Vec::new();
                while let Some(pattern) = map.next_key()? {
                    pairs.push((pattern, map.next_value::<Lines>()?.into_vec()));
                }
                pairs.sort_by_key(|(pattern, _)| pattern.span().start);
                Ok(Phrases(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// One line or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a text, or a list of texts")]
enum Lines {
    One(String),
    Several(Vec<String>),
}

impl Lines {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(line) => vec![line],
            Self::Several(lines) => lines,
        }
    }
}

/// Hosts of the provider that all rules of the file speak of.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Provider {
    hosts: Vec<String>,
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
}

/// Where the lines of a text begin.
struct LineNumbers(Vec<usize>);

impl LineNumbers {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset)
    }
}

/// What the tables of a file are called.
const TABLES: [&str; 3] = ["provider", "words", "rule"];

/// Reads one file after the other, and keeps what is wrong in any of them.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) rules: Vec<Rule>,
    pub(super) flaws: Vec<Flaw>,
    /// Lists that every file may use.
    shared: Words,
}

impl Reader {
    /// Reads the lists of words that every file after it may use.
    pub(super) fn read_words(&mut self, name: &str, text: &str) {
        self.shared = self.read(name, text);
    }

    /// Reads a file of rules; the lists of words in it are its own.
    pub(super) fn read_rules(&mut self, name: &str, text: &str) {
        self.read(name, text);
    }

    fn read(&mut self, name: &str, text: &str) -> Words {
        let lines = LineNumbers::of(text);
        let mut file =
            FileReader { name, lines, words: self.shared.clone(), hosts: Vec::new(), flaws: Vec::new() };
        match DeTable::parse(text) {
            Ok(table) => self.rules.extend(file.read(table.into_inner())),
            Err(cause) => file.fault(1, "", &cause),
        }
        self.flaws.append(&mut file.flaws);
        file.words
    }
}

/// One file on its way to rules.
struct FileReader<'f> {
    name: &'f str,
    lines: LineNumbers,
    words: Words,
    hosts: Vec<String>,
    flaws: Vec<Flaw>,
}

impl FileReader<'_> {
    fn read(&mut self, mut table: DeTable<'_>) -> Vec<Rule> {
        for (key, _) in &table {
            if !TABLES.contains(&key.get_ref().as_ref()) {
                let what =
                    format!("unknown table {:?}; expected one of {}", key.get_ref(), TABLES.join(", "));
                self.flaw(self.lines.at(key.span().start), "", what);
            }
        }
        if let Some(provider) = table.remove("provider") {
            match Provider::deserialize(provider.into_deserializer()) {
                Ok(provider) => self.hosts = provider.hosts,
                Err(cause) => self.fault(1, "", &cause),
            }
        }
        if let Some(words) = table.remove("words") {
            match BTreeMap::<String, Lines>::deserialize(words.into_deserializer()) {
                Ok(lists) => {
                    for (name, words) in lists {
                        self.words.insert(name, &words.into_vec());
                    }
                }
                Err(cause) => self.fault(1, "", &cause),
            }
        }
        let Some(rules) = table.remove("rule") else { return Vec::new() };
        let line = self.lines.at(rules.span().start);
        let DeValue::Array(rules) = rules.into_inner() else {
            self.flaw(line, "", "write [[rule]] before every rule");
            return Vec::new();
        };
        rules.into_iter().filter_map(|rule| self.rule(rule)).collect()
    }

    /// Reads one rule; one that cannot be read hides no other.
    fn rule(&mut self, value: Spanned<DeValue<'_>>) -> Option<Rule> {
        let line = self.lines.at(value.span().start);
        let id =
            value.get_ref().get("id").and_then(|id| id.get_ref().as_str()).unwrap_or_default().to_owned();
        let raw = match RawRule::deserialize(value.into_deserializer()) {
            Ok(raw) => raw,
            Err(cause) => {
                self.fault(line, &id, &cause);
                return None;
            }
        };
        let before = self.flaws.len();
        if let Some(own) = BuiltIn::of(&id) {
            // A rule of such a name would be taken for what decides without one.
            let what = format!("ids that begin with {} are dsnd's own: give it another one", own.prefix());
            self.flaw(line, &id, what);
        }
        let phrases = self.phrases(&raw, line);
        let status = raw.status.iter().map(|text| StatusPattern::parse(text));
        let status = self.good(line, &id, status);
        let reply = raw
            .reply
            .iter()
            .map(|code| ReplyCode::new(*code).ok_or_else(|| format!("reply {code} is no SMTP reply code")));
        let reply = self.good(line, &id, reply);
        let mut hosts: Vec<String> = raw.hosts.iter().map(|host| host.to_lowercase()).collect();
        if raw.provider {
            hosts.extend(self.hosts.iter().map(|host| host.to_lowercase()));
            if self.hosts.is_empty() {
                self.flaw(line, &id, "provider = true, but the file names no [provider] hosts");
            }
        }
        (self.flaws.len() == before).then(|| Rule {
            id,
            class: raw.class,
            severity: raw.severity,
            file: self.name.to_owned(),
            line,
            phrases,
            counter_examples: raw.counter_examples,
            status,
            reply,
            hosts,
            phase: raw.phase,
            delayed: raw.action == Some(RawAction::Delayed),
            guard: raw.guard,
            // Rule files from before the blanking were written for whole texts.
            names: raw.names || raw.pattern.is_some(),
            topic: raw.topic,
            by_operator: false,
        })
    }

    fn phrases(&mut self, raw: &RawRule, line: usize) -> Vec<Phrase> {
        let mut phrases = Vec::new();
        if raw.pattern.is_none() && raw.phrases.0.is_empty() {
            self.flaw(line, &raw.id, "it has no pattern: write 'pattern' = \"example\" below [rule.phrases]");
        }
        if raw.pattern.is_none() && !raw.examples.is_empty() {
            self.flaw(
                line,
                &raw.id,
                "examples belong to a pattern: write each beside its own below [rule.phrases]",
            );
        }
        let whole = raw.pattern.iter().map(|pattern| (pattern, &raw.examples, usize::MAX));
        let short = raw.phrases.0.iter().map(|(pattern, examples)| (pattern, examples, MAX_PATTERN));
        for (pattern, examples, longest) in whole.chain(short) {
            let line = self.lines.at(pattern.span().start);
            let pattern = pattern.get_ref();
            let length = pattern.chars().count();
            if length > longest {
                let what = format!(
                    "pattern '{pattern}' has {length} characters; {longest} are allowed: make several of it"
                );
                self.flaw(line, &raw.id, what);
            }
            if examples.is_empty() {
                self.flaw(line, &raw.id, format!("pattern '{pattern}' has no example"));
            }
            match Phrase::new(pattern, examples.clone(), line, &self.words) {
                Ok(phrase) => phrases.push(phrase),
                Err(what) => self.flaw(line, &raw.id, format!("pattern '{pattern}': {what}")),
            }
        }
        phrases
    }

    /// The good ones; a flaw for every other.
    fn good<T>(&mut self, line: usize, id: &str, read: impl Iterator<Item = Result<T, String>>) -> Vec<T> {
        let mut good = Vec::new();
        for item in read {
            match item {
                Ok(item) => good.push(item),
                Err(what) => self.flaw(line, id, what),
            }
        }
        good
    }

    /// What the TOML reader has to say, at its line or, where it names none, at that of the rule.
    fn fault(&mut self, line: usize, id: &str, cause: &Error) {
        let line = cause.span().map_or(line, |span| self.lines.at(span.start));
        self.flaw(line, id, cause.message());
    }

    fn flaw(&mut self, line: usize, id: &str, what: impl Into<String>) {
        self.flaws.push(Flaw { file: self.name.to_owned(), line, id: id.to_owned(), what: what.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_cannot_pass_for_a_code() {
        for (id, good) in [
            ("iana.5.1.1", false),
            ("reply.550", false),
            ("unconfirmed.x", false),
            ("action.relayed", false),
            ("feedback.abuse", false),
            ("automatic.own", false),
            ("text.about-the-sender", false),
            ("none", false),
            ("text.about-the-senders", true),
            ("own.iana.5.1.1", true),
        ] {
            let mut reader = Reader::default();
            let rule = format!(
                "[[rule]]\nid = \"{id}\"\nclass = \"policy\"\n[rule.phrases]\n'zorblax' = \"550 zorblax\"\n"
            );
            reader.read_rules("own.toml", &rule);
            assert_eq!((reader.flaws.is_empty(), reader.rules.len()), (good, usize::from(good)), "{id}");
        }
    }
}
