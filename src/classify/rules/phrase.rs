//! One pattern of a rule, and the lists of words that stand for themselves in it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::OnceLock;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

use super::matcher::Matcher;
use super::needs::{Part, Place, part, places};

/// Longest pattern of a phrase, in characters as it is written: what is longer is read by nobody.
pub const MAX_PATTERN: usize = 120;

/// How deep lists of words may be made of lists of words.
const MAX_DEPTH: usize = 8;

/// One pattern, and lines of the field that it decides.
#[derive(Debug)]
pub struct Phrase {
    /// The pattern as it stands in the file.
    pub pattern: String,
    /// Lines that it must match, and of which it must decide one.
    pub examples: Vec<String>,
    /// The line of the file it stands in, from 1.
    pub line: usize,
    /// The pattern in lower case, with the words in their places.
    expression: String,
    /// The words that a text must hold, one of every place; none where that cannot be said.
    pub(super) places: Vec<Place>,
    /// Compiled on first use.
    matcher: OnceLock<Option<Matcher>>,
}

impl Phrase {
    /// Fills in the words.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub(super) fn new(
        pattern: &str,
        examples: Vec<String>,
        line: usize,
        words: &Words,
    ) -> Result<Self, String> {
        Ok(Self {
            pattern: pattern.to_owned(),
            examples,
            line,
            // First: it knows a list that is made of itself.
            expression: lower_pattern(&words.fill(pattern)?),
            places: words.part(pattern).map(places).unwrap_or_default(),
            matcher: OnceLock::new(),
        })
    }

    /// Where the pattern is in a text that [`lower_case`] made.
    pub(super) fn find(&self, lower: &str) -> Option<Range<usize>> {
        self.matcher.get_or_init(|| self.compile().ok()).as_ref()?.find(lower.as_bytes())
    }

    /// Whether the pattern is in a text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        self.find(&lower_case(text)).is_some()
    }

    /// # Errors
    /// What is wrong with it, when it is no regular expression, or too large a one.
    pub(super) fn compile(&self) -> Result<Matcher, String> {
        let pattern = read(&self.expression)?;
        Matcher::new(&pattern).map_err(|cause| cause.to_string())
    }
}

/// A regular expression over bytes.
pub(super) fn read(expression: &str) -> Result<Hir, String> {
    ParserBuilder::new().unicode(false).utf8(false).build().parse(expression).map_err(|cause| {
        // It draws where it stumbled; the last line says over what.
        let drawn = cause.to_string();
        drawn.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

/// Lists of words by their names: `{person}` in a pattern stands for any word of the list `person`.
#[derive(Debug, Clone, Default)]
pub(super) struct Words(HashMap<String, Rc<List>>);

#[derive(Debug)]
struct List {
    /// The words as one pattern.
    pattern: String,
    /// What a text needs to hold one of them, once somebody asked.
    part: OnceCell<Option<Part>>,
}

impl Words {
    pub(super) fn insert(&mut self, name: String, words: &[String]) {
        let pattern = format!("(?:{})", words.join("|"));
        self.0.insert(name, Rc::new(List { pattern, part: OnceCell::new() }));
    }

    /// The pattern with every list in the place of its name.
    fn fill(&self, pattern: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(pattern.len());
        self.fill_into(pattern, &mut filled, MAX_DEPTH)?;
        Ok(filled)
    }

    fn fill_into(&self, pattern: &str, filled: &mut String, depth: usize) -> Result<(), String> {
        let mut rest = pattern;
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open);
            filled.push_str(before);
            // `.{0,40}` counts; `\{` is a brace, and `\x{e9}` a character.
            let named =
                after.strip_prefix('{').and_then(|inner| inner.split_once('}')).filter(|(name, _)| {
                    name.starts_with(|c: char| c.is_ascii_alphabetic()) && !ends_escaped(before)
                });
            let Some((name, behind)) = named else {
                filled.push('{');
                rest = &after[1..];
                continue;
            };
            let list = self.0.get(name).ok_or_else(|| format!("there is no list of words {{{name}}}"))?;
            if depth == 0 {
                return Err(format!("the words of {{{name}}} are made of themselves"));
            }
            self.fill_into(&list.pattern, filled, depth - 1)?;
            rest = behind;
        }
        filled.push_str(rest);
        Ok(())
    }

    /// What a text needs to have the pattern, if that can be said. A list stands in many patterns: it is read once.
    fn part(&self, pattern: &str) -> Option<Part> {
        part(&lower_pattern(pattern), &|name| {
            let list = self.0.get(name)?;
            list.part.get_or_init(|| self.part(&list.pattern)).clone()
        })
    }
}

/// Whether the brace behind this text belongs to an escape.
fn ends_escaped(before: &str) -> bool {
    let backslashes = |text: &str| text.chars().rev().take_while(|c| *c == '\\').count();
    let letter = before.strip_suffix(['x', 'u', 'U', 'p', 'P']);
    backslashes(before) % 2 == 1 || letter.is_some_and(|before| backslashes(before) % 2 == 1)
}

/// A pattern for texts in lower case: its letters lowered, its escapes (`\S`, `\B`) left alone.
fn lower_pattern(pattern: &str) -> String {
    let mut escaped = false;
    pattern
        .chars()
        .map(|c| {
            let keep = escaped;
            escaped = c == '\\' && !keep;
            if keep { c } else { lower_char(c) }
        })
        .collect()
}

/// A text in lower case, every character where it was: patterns work on bytes, without regard to Unicode, since
/// that makes their automaton a tenth as large.
pub(super) fn lower_case(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.chars().map(lower_char).collect() }
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
mod tests {
    use super::*;

    fn words() -> Words {
        let mut words = Words::default();
        words.insert("person".to_owned(), &["user".to_owned(), "mail ?box".to_owned()]);
        words.insert("gone".to_owned(), &["no {person}".to_owned()]);
        words.insert("circle".to_owned(), &["{circle}".to_owned()]);
        words
    }

    #[test]
    fn a_name_in_braces_stands_for_its_words() {
        for (pattern, filled) in [
            ("{person} unknown", "(?:user|mail ?box) unknown"),
            ("{gone}s", "(?:no (?:user|mail ?box))s"),
            (r"a{3} .{0,40} \{person} \x{e9}", r"a{3} .{0,40} \{person} \x{e9}"),
            ("{", "{"),
        ] {
            assert_eq!(words().fill(pattern).as_deref(), Ok(filled));
        }
        assert!(words().fill("{people} unknown").unwrap_err().contains("{people}"));
        assert!(words().fill("{circle}").unwrap_err().contains("of themselves"));
    }

    #[test]
    fn case_does_not_matter_and_escapes_stay() {
        let phrase = Phrase::new(r"Nicht ÜBER\S+", Vec::new(), 1, &words()).unwrap();
        assert_eq!(phrase.find(&lower_case("550 nicht Übermittelt")), Some(4..22));
    }
}
