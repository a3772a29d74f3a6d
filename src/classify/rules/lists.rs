//! Patterns as rule files write them: short lines in which lists of words stand for themselves.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use super::needs::{Part, Place, part, places};

/// How deep lists of words may be made of lists of words.
const MAX_DEPTH: usize = 8;

/// One pattern as its file has it, with what a text needs for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PhraseText {
    /// As it stands in the file.
    pub(super) pattern: String,
    /// Lines that it must match, and of which it must decide one.
    pub(super) examples: Vec<String>,
    /// The line of the file it stands in, from 1.
    pub(super) line: usize,
    /// The pattern in lower case, with the words in their places.
    pub(super) expression: String,
    /// The words that a text must hold, one of every place; none where that cannot be said.
    pub(super) places: Vec<Place>,
}

impl PhraseText {
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
        })
    }
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
    /// Takes a list.
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

/// A character in lower case, if that takes as many bytes.
pub(super) fn lower_char(c: char) -> char {
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
}
