//! Reads keys out of a TOML text and the environment, and collects every problem on the way.
//!
//! Serde would stop at the first wrong key. An operator wants all of them at once, each with its place.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::lines::Lines;
use super::words::unknown_section;
use crate::nearest::nearest;

/// Prefix of environment variables that override keys: `DSND_STORE_PATH` is `store.path`.
const PREFIX: &str = "DSND_";

/// Variables that mean something else than a key.
const NOT_KEYS: &[&str] = &["DSND_CONFIG"];

/// Something wrong in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File and line, or the environment variable.
    pub place: String,
    /// The key, `section.name`; empty where the text itself is no TOML.
    pub key: String,
    /// What is wrong and what would be right.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{}: {}", self.place, self.what)
        } else {
            write!(f, "{}: {}: {}", self.place, self.key, self.what)
        }
    }
}

/// A variable that names no key. It may be another program's, as container platforms set `DSND_PORT` for a service of
/// the name dsnd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// The variable that it is much like, which may be the one that was meant.
    pub nearest: Option<String>,
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: no key has this name, so it changes nothing", self.name)?;
        self.nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest}?"))
    }
}

#[derive(Debug, Clone)]
enum Value {
    Text(String),
    Integer(i128),
    Bool(bool),
    List(Vec<Value>),
    Other(&'static str),
}

impl Value {
    const fn type_name(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Bool(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Other(name) => name,
        }
    }
}

#[derive(Debug, Clone)]
struct Found {
    place: String,
    value: Value,
    from_environment: bool,
}

/// Keys by their names.
type Keys = BTreeMap<String, Found>;

/// Keys with their places; taken one by one, so that what is left over is unknown.
#[derive(Debug, Default)]
pub(super) struct Reader {
    found: Keys,
    /// `[[section]]`: the keys of each table, named `section.key`, with the place of its heading.
    tables: BTreeMap<String, Vec<(String, Keys)>>,
    /// The places of `[section]`.
    headings: BTreeMap<String, String>,
    known: Vec<&'static str>,
    /// Sections that were asked for as a whole; true for `[[section]]`.
    sections: BTreeMap<&'static str, bool>,
    places: BTreeMap<&'static str, String>,
    problems: Vec<Problem>,
    leaves_keys: bool,
}

impl Reader {
    /// Takes a TOML text, named for its messages, and environment variables over it.
    pub(super) fn new(file: &str, text: &str, environment: impl Iterator<Item = (String, String)>) -> Self {
        let mut reader = Self::default();
        let (table, errors) = DeTable::parse_recoverable(text);
        let source = Source { file, lines: Lines::new(text) };
        if let Some(error) = errors.first() {
            // Nobody knows what the rest of a broken text was meant to be.
            let place = source.place(error.span().map_or(0, |span| span.start));
            reader.problem(place, "", error.message().lines().collect::<Vec<_>>().join(" "));
        } else {
            for (section, content) in table.get_ref() {
                let place = source.place(section.span().start);
                reader.section(&source, section.get_ref(), place, content.get_ref());
            }
        }
        for (name, value) in environment {
            if let Some(key) = name.strip_prefix(PREFIX)
                && !NOT_KEYS.contains(&name.as_str())
            {
                let found = Found { place: name.clone(), value: Value::Text(value), from_environment: true };
                reader.found.insert(key.to_lowercase(), found);
            }
        }
        reader
    }

    /// Takes what stands under one name at the top of the file.
    fn section(&mut self, source: &Source<'_>, name: &str, place: String, content: &DeValue<'_>) {
        match content {
            DeValue::Table(keys) => {
                self.found.extend(source.keys(name, keys));
                self.headings.insert(name.to_owned(), place);
            }
            DeValue::Array(items) if items.iter().all(|item| matches!(item.get_ref(), DeValue::Table(_))) => {
                let tables = items.iter().filter_map(|item| match item.get_ref() {
                    DeValue::Table(keys) => Some((source.place(item.span().start), source.keys(name, keys))),
                    _ => None,
                });
                self.tables.insert(name.to_owned(), tables.collect());
            }
            _ => self.problem(place, name, "keys stand in sections, such as [smtp]".to_owned()),
        }
    }

    /// The same for a program that does not need the keys of return paths.
    pub(super) fn leaving_keys(self) -> Self {
        Self { leaves_keys: true, ..self }
    }

    /// Whether the keys of return paths are not to be read.
    pub(super) const fn leaves_keys(&self) -> bool {
        self.leaves_keys
    }

    /// Notes a problem with a key that was taken.
    pub(super) fn wrong(&mut self, at: &Place, what: impl Into<String>) {
        self.problem(at.place.clone(), at.key, what.into());
    }

    /// Whether a key that was taken stood there.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.places.contains_key(key)
    }

    /// Notes that keys contradict each other, at the place of one of them.
    pub(super) fn impossible(&mut self, file: &str, key: &'static str, what: String) {
        let place = self.places.get(key).cloned().unwrap_or_else(|| file.to_owned());
        self.problem(place, key, what);
    }

    fn problem(&mut self, place: String, key: &str, what: String) {
        self.problems.push(Problem { place, key: key.to_owned(), what });
    }

    /// The variables that nobody asked for.
    pub(super) fn unknown_variables(&mut self) -> Vec<UnknownVariable> {
        let left_over = self.found.extract_if(.., |_, found| found.from_environment);
        let names: Vec<String> = left_over.map(|(_, found)| found.place).collect();
        let known: Vec<String> = self.known.iter().map(|key| key.replace('.', "_").to_uppercase()).collect();
        let with_nearest = |name: String| {
            let nearest = nearest(&name[PREFIX.len()..], known.iter().map(String::as_str));
            UnknownVariable { nearest: nearest.map(|key| format!("{PREFIX}{key}")), name }
        };
        names.into_iter().map(with_nearest).collect()
    }

    /// Every problem, with the keys that nobody asked for, in the order of their places.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        let left_over = std::mem::take(&mut self.found);
        let sections = self.known_sections();
        let headings = std::mem::take(&mut self.headings);
        let is_known = |section: &str| sections.contains_key(section);
        let in_known = |key: &String| key.split_once('.').is_none_or(|(section, _)| is_known(section));
        self.unknown(left_over.into_iter().filter(|(key, _)| in_known(key)).collect());
        for (section, place) in headings.into_iter().filter(|(section, _)| !is_known(section)) {
            self.problem(place, &section, unknown_section(&section, &sections));
        }
        for (section, tables) in std::mem::take(&mut self.tables) {
            for (place, _) in tables {
                let what = if is_known(&section) {
                    format!("there is one section of this name; write [{section}] instead of [[{section}]]")
                } else {
                    unknown_section(&section, &sections)
                };
                self.problem(place, &section, what);
            }
        }
        self.problems.sort_by_cached_key(|problem| {
            let (file, line) = problem.place.rsplit_once(':').unwrap_or((&problem.place, "0"));
            (file.to_owned(), line.parse::<usize>().unwrap_or(0), problem.key.clone())
        });
        self.problems
    }

    /// The sections that something was asked for in, and whether they are tables of their own, as they are written.
    fn known_sections(&self) -> BTreeMap<&'static str, bool> {
        let of_keys = self.known.iter().filter_map(|key| Some((key.split_once('.')?.0, false)));
        of_keys.chain(self.sections.iter().map(|(section, tables)| (*section, *tables))).collect()
    }

    /// Notes keys of the file that nobody asked for.
    fn unknown(&mut self, left_over: Keys) {
        for (key, found) in left_over.into_iter().filter(|(_, found)| !found.from_environment) {
            let what = match nearest(&key, self.known.iter().copied()) {
                Some(known) => format!("unknown key; did you mean {known}?"),
                None => "unknown key; config/dsnd.toml shows them all".to_owned(),
            };
            self.problem(found.place, &key, what);
        }
    }

    /// Every key that was asked for.
    #[cfg(test)]
    pub(super) fn known(&self) -> &[&'static str] {
        &self.known
    }

    fn take(&mut self, key: &'static str) -> Option<(Place, Value)> {
        self.known.push(key);
        let by_name = self.found.remove(key);
        let by_variable = self.found.remove(&key.replace('.', "_"));
        let found = by_variable.or(by_name)?;
        self.places.insert(key, found.place.clone());
        Some((Place { place: found.place, key }, found.value))
    }

    /// Reads every table of `[[section]]` with keys that `read` asks for by `section.key`. The environment has no
    /// say in these.
    pub(super) fn tables<T>(
        &mut self,
        section: &'static str,
        mut read: impl FnMut(&mut Self, &Place) -> Option<T>,
    ) -> Vec<T> {
        let mut all = Vec::new();
        self.sections.insert(section, true);
        let single: Keys = self.found.extract_if(.., |key, _| in_section(key, section)).collect();
        if let Some(first) = single.into_values().next() {
            let what =
                format!("each {section} is a table of its own; write [[{section}]] instead of [{section}]");
            self.problem(first.place, section, what);
        }
        for (place, keys) in self.tables.remove(section).unwrap_or_default() {
            let outside = std::mem::replace(&mut self.found, keys);
            all.extend(read(self, &Place { place, key: section }));
            let left_over = std::mem::replace(&mut self.found, outside);
            self.unknown(left_over);
        }
        all
    }

    /// A section whose keys are names of the operator's own: each with its place and its number.
    pub(super) fn numbers(&mut self, section: &'static str) -> Vec<(Place, String, i128)> {
        let prefix = format!("{section}.");
        self.sections.insert(section, false);
        let names: Vec<String> = self.found.keys().filter(|key| key.starts_with(&prefix)).cloned().collect();
        let mut all = Vec::new();
        for name in names {
            let Some(found) = self.found.remove(&name) else { continue };
            let at = Place { place: found.place, key: section };
            match found.value {
                Value::Integer(number) => all.push((at, name[prefix.len()..].to_owned(), number)),
                other => self.mistyped::<()>(&at, &other, "an integer").unwrap_or_default(),
            }
        }
        all
    }

    /// A string.
    pub(super) fn text(&mut self, key: &'static str) -> Option<(Place, String)> {
        match self.take(key)? {
            (at, Value::Text(text)) => Some((at, text)),
            (at, other) => self.mistyped(&at, &other, "a string"),
        }
    }

    /// A string that may stand in the environment only; in the file it is an unknown key. It is wiped from memory.
    pub(super) fn secret(&mut self, key: &'static str) -> Option<(Place, Zeroizing<String>)> {
        match self.found.remove(&key.replace('.', "_"))? {
            Found { place, value: Value::Text(text), .. } => {
                Some((Place { place, key }, Zeroizing::new(text)))
            }
            Found { .. } => None,
        }
    }

    /// A variable for a key of a table, by its name without the prefix and in lower case. It is wiped from memory.
    pub(super) fn variable(&mut self, name: &str) -> Option<Zeroizing<String>> {
        let found = self.found.remove(name).filter(|found| found.from_environment)?;
        match found.value {
            Value::Text(text) => Some(Zeroizing::new(text)),
            _ => None,
        }
    }

    /// A string with a form of its own.
    pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, key: &'static str) -> Option<T> {
        let (at, text) = self.text(key)?;
        self.all_parsed(&at, &[text]).pop()
    }

    /// Every text that has the form; the others are problems.
    pub(super) fn all_parsed<T: FromStr<Err: fmt::Display>>(
        &mut self,
        at: &Place,
        texts: &[String],
    ) -> Vec<T> {
        let mut all = Vec::new();
        for text in texts {
            match text.parse::<T>() {
                Ok(value) => all.push(value),
                Err(error) => self.wrong(at, error.to_string()),
            }
        }
        all
    }

    /// A list of strings; in the environment, separated by commas.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<(Place, Vec<String>)> {
        match self.take(key)? {
            (at, Value::Text(text)) if at.place.starts_with(PREFIX) => {
                let items =
                    text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty());
                Some((at, items.collect()))
            }
            (at, Value::List(items)) => {
                let mut texts = Vec::new();
                for item in items {
                    match item {
                        Value::Text(text) => texts.push(text),
                        other => return self.mistyped(&at, &other, "a list of strings"),
                    }
                }
                Some((at, texts))
            }
            (at, other) => self.mistyped(&at, &other, "a list of strings"),
        }
    }

    /// True or false.
    pub(super) fn boolean(&mut self, key: &'static str) -> Option<(Place, bool)> {
        match self.take(key)? {
            (at, Value::Bool(value)) => Some((at, value)),
            (at, Value::Text(text))
                if at.place.starts_with(PREFIX) && matches!(text.as_str(), "true" | "false") =>
            {
                Some((at, text == "true"))
            }
            (at, other) => self.mistyped(&at, &other, "true or false"),
        }
    }

    /// A whole number within a range, or the default.
    pub(super) fn integer(&mut self, key: &'static str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let Some((at, value)) = self.take(key) else { return default };
        let number = match &value {
            Value::Integer(number) => Some(*number),
            Value::Text(text) if at.place.starts_with(PREFIX) => text.trim().replace('_', "").parse().ok(),
            _ => None,
        };
        match number {
            Some(number) => match u64::try_from(number) {
                Ok(number) if range.contains(&number) => number,
                _ => {
                    self.wrong(
                        &at,
                        format!("{number} is out of range; {} to {} is possible", range.start(), range.end()),
                    );
                    default
                }
            },
            None => {
                let _: Option<()> = self.mistyped(&at, &value, "an integer");
                default
            }
        }
    }

    /// One of a few words, or the default.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, default: T, words: &[(&str, T)]) -> T {
        let Some((at, text)) = self.text(key) else { return default };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => *value,
            None => {
                let meant = nearest(&text, words.iter().map(|(word, _)| *word));
                let meant = meant.map(|word| format!("; did you mean {word:?}?")).unwrap_or_default();
                let words: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
                self.wrong(&at, format!("{text:?} is not one of {}{meant}", words.join(", ")));
                default
            }
        }
    }

    fn mistyped<T>(&mut self, at: &Place, value: &Value, wanted: &str) -> Option<T> {
        self.wrong(at, format!("this must be {wanted}, not {}", value.type_name()));
        None
    }
}

/// Whether a key, `section.name`, is one of this section's.
fn in_section(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'))
}

/// Where a key was found.
#[derive(Debug, Clone)]
pub(super) struct Place {
    place: String,
    key: &'static str,
}

fn to_value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            match i128::from_str_radix(&number.as_str().replace('_', ""), number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Other("a number too large"),
            }
        }
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Array(items) => Value::List(items.iter().map(|item| to_value(item.get_ref())).collect()),
        DeValue::Float(_) => Value::Other("a number with a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Table(_) => Value::Other("a table"),
    }
}

/// The file, for saying where something stands in it.
struct Source<'a> {
    file: &'a str,
    lines: Lines,
}

impl Source<'_> {
    /// The place of a byte.
    fn place(&self, at: usize) -> String {
        format!("{}:{}", self.file, self.lines.of(at))
    }

    /// The keys of a table, named `section.key`.
    fn keys(&self, section: &str, table: &DeTable<'_>) -> Keys {
        let found = |value: &DeValue<'_>, at| Found {
            place: self.place(at),
            value: to_value(value),
            from_environment: false,
        };
        table
            .iter()
            .map(|(key, value)| {
                (format!("{section}.{}", key.get_ref()), found(value.get_ref(), key.span().start))
            })
            .collect()
    }
}
