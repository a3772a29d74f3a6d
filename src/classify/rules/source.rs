//! A rule file as it is written: from TOML to texts and numbers, with the file and the line of whatever is wrong.
//!
//! The build reads the embedded files with it, so that no start has to; the operator's are read when they are loaded.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::lists::{PhraseText, Words};
use crate::nearest::nearest;

/// Longest pattern of a phrase, in characters as it is written: what is longer is read by nobody.
pub const MAX_PATTERN: usize = 120;

/// What the tables of a file are called.
const TABLES: [&str; 3] = ["provider", "words", "rule"];

/// The keys of a rule.
const KEYS: [&str; 16] = [
    "id",
    "class",
    "phrases",
    "pattern",
    "examples",
    "status",
    "reply",
    "hosts",
    "provider",
    "action",
    "guard",
    "names",
    "topic",
    "phase",
    "severity",
    "counter_examples",
];

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

/// One rule as its file has it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RuleText {
    pub(super) id: String,
    pub(super) file: String,
    /// The line it begins at.
    pub(super) line: usize,
    pub(super) class: String,
    pub(super) severity: Option<String>,
    pub(super) phrases: Vec<PhraseText>,
    pub(super) counter_examples: Vec<String>,
    pub(super) status: Vec<String>,
    pub(super) reply: Vec<u16>,
    /// Only where one of these hosts speaks, or the recipient is at one of these domains.
    pub(super) hosts: Vec<String>,
    /// Only where the text tells that it was said at one of these points.
    pub(super) phase: Vec<String>,
    pub(super) action: Option<String>,
    /// Asked only when the recipient would be suppressed; then it has the last word.
    pub(super) guard: bool,
    /// Looks for names of hosts or into URLs, which are blanked otherwise.
    pub(super) names: bool,
    /// One word of it is enough: only a host's own reply is searched for it.
    pub(super) topic: bool,
    /// Where its keys stand.
    #[serde(skip)]
    pub(super) lines: BTreeMap<&'static str, usize>,
    /// Something in it is wrong.
    #[serde(skip)]
    pub(super) is_flawed: bool,
}

impl RuleText {
    /// What is wrong with what stands at a key.
    pub(super) fn flaw(&self, key: &str, what: impl Into<String>) -> Flaw {
        let line = self.lines.get(key).copied().unwrap_or(self.line);
        Flaw { file: self.file.clone(), line, id: self.id.clone(), what: what.into() }
    }
}

/// Says that a word is none of those there are.
pub(super) fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(meant) => format!("unknown {what} {word:?}; did you mean {meant:?}?"),
        None => format!("unknown {what} {word:?}; expected one of {}", known.join(", ")),
    }
}

/// Reads one file after the other, and keeps what is wrong in any of them.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) rules: Vec<RuleText>,
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
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut file = FileReader {
            name,
            lines,
            words: self.shared.clone(),
            hosts: Vec::new(),
            flaws: Vec::new(),
            is_whole: errors.is_empty(),
        };
        for error in &errors {
            let line = file.line(error.span().map_or(0, |span| span.start));
            file.flaw(line, "", error.message().lines().collect::<Vec<_>>().join(" "));
        }
        self.rules.extend(file.read(table.into_inner()));
        self.flaws.append(&mut file.flaws);
        file.words
    }
}

/// One file on its way to rules.
struct FileReader<'f> {
    name: &'f str,
    /// Where its lines begin.
    lines: Vec<usize>,
    words: Words,
    hosts: Vec<String>,
    flaws: Vec<Flaw>,
    /// All of it is TOML. Otherwise what is missing may stand in what cannot be read.
    is_whole: bool,
}

/// A value with the key that it stands at, and the line of that.
struct Entry<'t> {
    key: String,
    line: usize,
    value: Spanned<DeValue<'t>>,
}

impl FileReader<'_> {
    fn line(&self, offset: usize) -> usize {
        self.lines.partition_point(|start| *start <= offset)
    }

    fn flaw(&mut self, line: usize, id: &str, what: impl Into<String>) {
        self.flaws.push(Flaw { file: self.name.to_owned(), line, id: id.to_owned(), what: what.into() });
    }

    /// The entries of a table, in the order in which they stand.
    fn entries<'t>(&self, table: DeTable<'t>) -> Vec<Entry<'t>> {
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (Spanned<DeString<'t>>, _)| {
            let line = self.line(key.span().start);
            Entry { key: key.into_inner().into_owned(), line, value }
        };
        entries.into_iter().map(entry).collect()
    }

    fn read(&mut self, table: DeTable<'_>) -> Vec<RuleText> {
        let mut rules = Vec::new();
        // Rules name hosts and lists of words wherever in the file these stand.
        let (tables, other): (Vec<_>, Vec<_>) =
            self.entries(table).into_iter().partition(|entry| entry.key == "rule");
        for entry in other {
            match entry.key.as_str() {
                "provider" => self.provider(entry),
                "words" => self.lists(entry),
                unknown_key => {
                    let what = unknown("table", unknown_key, &TABLES);
                    self.flaw(entry.line, "", what);
                }
            }
        }
        for entry in tables {
            match entry.value.into_inner() {
                DeValue::Array(items) => rules.extend(items.into_iter().filter_map(|item| self.rule(item))),
                _ => self.flaw(entry.line, "", "write [[rule]] before every rule"),
            }
        }
        rules
    }

    /// Hosts of the provider that all rules of the file speak of.
    fn provider(&mut self, entry: Entry<'_>) {
        let Some(table) = self.table("", entry) else { return };
        for entry in self.entries(table) {
            match entry.key.as_str() {
                "hosts" => self.hosts = self.texts("", entry),
                key => {
                    let what = unknown("key", key, &["hosts"]);
                    self.flaw(entry.line, "", what);
                }
            }
        }
    }

    fn lists(&mut self, entry: Entry<'_>) {
        let Some(table) = self.table("", entry) else { return };
        for entry in self.entries(table) {
            let name = entry.key.clone();
            if let Some(words) = self.one_or_several("", entry) {
                self.words.insert(name, &words);
            }
        }
    }

    /// Reads one rule: what is wrong in it hides nothing else.
    fn rule(&mut self, value: Spanned<DeValue<'_>>) -> Option<RuleText> {
        let line = self.line(value.span().start);
        let DeValue::Table(table) = value.into_inner() else {
            self.flaw(line, "", "write [[rule]] before every rule");
            return None;
        };
        let before = self.flaws.len();
        let id = table.get("id").and_then(|id| id.get_ref().as_str()).unwrap_or_default().to_owned();
        let mut rule = RuleText { id: id.clone(), file: self.name.to_owned(), line, ..RuleText::default() };
        let (mut pattern, mut examples, mut of_provider) = (None, Vec::new(), false);
        for entry in self.entries(table) {
            let Some(key) = KEYS.into_iter().find(|key| *key == entry.key) else {
                let what = unknown("key", &entry.key, &KEYS);
                self.flaw(entry.line, &id, what);
                continue;
            };
            rule.lines.insert(key, entry.line);
            match key {
                "id" => drop(self.text(&id, entry)),
                "class" => rule.class = self.text(&id, entry).unwrap_or_default(),
                "severity" => rule.severity = self.text(&id, entry),
                "action" => rule.action = self.text(&id, entry),
                "status" => rule.status = self.texts(&id, entry),
                "phase" => rule.phase = self.texts(&id, entry),
                "hosts" => rule.hosts = self.texts(&id, entry),
                "reply" => rule.reply = self.numbers(&id, entry),
                "provider" => of_provider = self.truth(&id, entry),
                "guard" => rule.guard = self.truth(&id, entry),
                "names" => rule.names = self.truth(&id, entry),
                "topic" => rule.topic = self.truth(&id, entry),
                "counter_examples" => rule.counter_examples = self.texts(&id, entry),
                "examples" => examples = self.texts(&id, entry),
                "pattern" => pattern = self.text(&id, entry),
                "phrases" => self.phrases(&mut rule, entry),
                _ => unreachable!("every key is above"),
            }
        }
        if let Some(&line) = rule.lines.get("pattern") {
            if let Some(pattern) = pattern {
                self.phrase(&mut rule, &pattern, examples, line);
                rule.phrases.rotate_right(1);
            }
            // Rule files from before the blanking were written for whole texts.
            rule.names = true;
        } else if !examples.is_empty() {
            let what = "examples belong to a pattern: write each beside its own below [rule.phrases]";
            self.flaw(rule.lines["examples"], &id, what);
        }
        for key in ["id", "class"] {
            if self.is_whole && !rule.lines.contains_key(key) {
                self.flaw(line, &id, format!("it has no {key}"));
            }
        }
        if self.is_whole && !["pattern", "phrases"].iter().any(|key| rule.lines.contains_key(key)) {
            self.flaw(line, &id, "it has no pattern: write 'pattern' = \"example\" below [rule.phrases]");
        }
        if of_provider {
            if self.hosts.is_empty() {
                self.flaw(line, &id, "provider = true, but the file names no [provider] hosts");
            }
            rule.hosts.extend(self.hosts.iter().cloned());
        }
        rule.hosts.iter_mut().for_each(|host| *host = host.to_lowercase());
        rule.is_flawed = !self.is_whole || self.flaws.len() > before;
        Some(rule)
    }

    /// `'pattern' = "example"`, in the order in which they stand in the file.
    fn phrases(&mut self, rule: &mut RuleText, entry: Entry<'_>) {
        let line = entry.line;
        let Some(table) = self.table(&rule.id, entry) else { return };
        if table.is_empty() {
            self.flaw(
                line,
                &rule.id,
                "it has no pattern: write 'pattern' = \"example\" below [rule.phrases]",
            );
        }
        for entry in self.entries(table) {
            let (pattern, line) = (entry.key.clone(), entry.line);
            let length = pattern.chars().count();
            if length > MAX_PATTERN {
                let what = format!(
                    "pattern '{pattern}' has {length} characters; {MAX_PATTERN} are allowed: make several of it"
                );
                self.flaw(line, &rule.id, what);
            }
            if let Some(examples) = self.one_or_several(&rule.id, entry) {
                self.phrase(rule, &pattern, examples, line);
            }
        }
    }

    fn phrase(&mut self, rule: &mut RuleText, pattern: &str, examples: Vec<String>, line: usize) {
        if examples.is_empty() {
            self.flaw(line, &rule.id, format!("pattern '{pattern}' has no example"));
        }
        match PhraseText::new(pattern, examples, line, &self.words) {
            Ok(phrase) => rule.phrases.push(phrase),
            Err(what) => self.flaw(line, &rule.id, format!("pattern '{pattern}': {what}")),
        }
    }
}

/// Values of one type; another one is a flaw.
impl FileReader<'_> {
    fn mistyped(&mut self, id: &str, (key, line): (&str, usize), value: &DeValue<'_>, wanted: &str) {
        let found = match value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.flaw(line, id, format!("{key}: this must be {wanted}, not {found}"));
    }

    fn table<'t>(&mut self, id: &str, entry: Entry<'t>) -> Option<DeTable<'t>> {
        match entry.value.into_inner() {
            DeValue::Table(table) => Some(table),
            other => {
                self.mistyped(id, (&entry.key, entry.line), &other, "a table");
                None
            }
        }
    }

    fn text(&mut self, id: &str, entry: Entry<'_>) -> Option<String> {
        match entry.value.into_inner() {
            DeValue::String(text) => Some(text.into_owned()),
            other => {
                self.mistyped(id, (&entry.key, entry.line), &other, "a string");
                None
            }
        }
    }

    fn truth(&mut self, id: &str, entry: Entry<'_>) -> bool {
        match entry.value.into_inner() {
            DeValue::Boolean(truth) => truth,
            other => {
                self.mistyped(id, (&entry.key, entry.line), &other, "true or false");
                false
            }
        }
    }

    fn texts(&mut self, id: &str, entry: Entry<'_>) -> Vec<String> {
        self.list(id, entry, "a list of strings", |item| item.as_str().map(str::to_owned))
    }

    /// Reply codes.
    fn numbers(&mut self, id: &str, entry: Entry<'_>) -> Vec<u16> {
        let number = |item: &DeValue<'_>| {
            let number = item.as_integer()?;
            u16::from_str_radix(&number.as_str().replace('_', ""), number.radix()).ok()
        };
        self.list(id, entry, "a list of reply codes", number)
    }

    fn one_or_several(&mut self, id: &str, entry: Entry<'_>) -> Option<Vec<String>> {
        if let DeValue::String(text) = entry.value.get_ref() {
            return Some(vec![text.clone().into_owned()]);
        }
        let before = self.flaws.len();
        let texts =
            self.list(id, entry, "a string, or a list of strings", |item| item.as_str().map(str::to_owned));
        (self.flaws.len() == before).then_some(texts)
    }

    /// The items of a list, each as `read` has it.
    fn list<T>(
        &mut self,
        id: &str,
        entry: Entry<'_>,
        wanted: &str,
        read: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Vec<T> {
        let place = (entry.key.as_str(), entry.line);
        let value = entry.value.into_inner();
        let DeValue::Array(items) = value else {
            self.mistyped(id, place, &value, wanted);
            return Vec::new();
        };
        let mut all = Vec::new();
        for item in &items {
            match read(item.get_ref()) {
                Some(item) => all.push(item),
                None => self.mistyped(id, place, item.get_ref(), wanted),
            }
        }
        all
    }
}
