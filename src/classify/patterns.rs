//! Patterns that are part of the program; the tests use every one of them.

use std::ops::Range;
use std::sync::OnceLock;

use regex::{Match, Regex};

use super::rules::index::Index;

/// A pattern. Words end where ASCII says so: for Unicode's own borders the regex engine has only its slow ways.
pub(super) fn pattern(text: &str) -> Regex {
    Regex::new(&text.replace(r"\b", r"(?-u:\b)")).expect("a valid pattern")
}

/// Patterns for texts in lower case, each of which is compiled when a text first holds the words that it needs: to
/// compile all takes longer than to explain a message.
#[derive(Debug)]
pub(super) struct Patterns {
    all: Vec<(&'static str, OnceLock<Regex>)>,
    index: Index,
}

impl Patterns {
    pub(super) fn new(patterns: &[&'static str]) -> Self {
        let index = Index::of_patterns(patterns);
        Self { all: patterns.iter().map(|text| (*text, OnceLock::new())).collect(), index }
    }

    /// Those that may be in a text, with their numbers.
    pub(super) fn of(&self, lower: &str) -> impl Iterator<Item = (usize, &Regex)> {
        self.index.candidates(lower.as_bytes()).into_iter().map(|at| {
            let (text, compiled) = &self.all[at as usize];
            (at as usize, compiled.get_or_init(|| pattern(text)))
        })
    }

    /// Where any of them is in a text, one behind the other: the one that begins first, and of those that begin together
    /// the one that stands first here.
    pub(super) fn find_all(&self, lower: &str) -> Vec<Range<usize>> {
        let mut next: Vec<(&Regex, Match<'_>)> =
            self.of(lower).filter_map(|(_, pattern)| Some((pattern, pattern.find(lower)?))).collect();
        let mut found = Vec::new();
        while let Some(first) = next.iter().map(|(_, found)| *found).min_by_key(Match::start) {
            found.push(first.range());
            next.retain_mut(|(pattern, found)| {
                if found.start() >= first.end() {
                    return true;
                }
                let further = pattern.find_at(lower, first.end());
                further.map(|further| *found = further).is_some()
            });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_found_as_one_pattern_of_alternatives_finds_them() {
        let all = [r"mail from", r"\bfrom:? \S+@", r"from", r"ab+a", r"b", r"\bba"];
        let whole = pattern(&all.join("|"));
        let patterns = Patterns::new(&all);
        for text in
            ["mail from: a@b", "the mail from from: x@ab from", "ababbab abba ba", "bba", "", "über from: ü@"]
        {
            let found: Vec<_> = whole.find_iter(text).map(|found| found.range()).collect();
            assert_eq!(patterns.find_all(text), found, "{text}");
        }
    }

    #[test]
    fn only_those_that_may_be_in_a_text_are_compiled() {
        let patterns = Patterns::new(&["no such user", "quota"]);
        assert!(patterns.find_all("everything is fine").is_empty());
        assert!(patterns.all.iter().all(|(_, compiled)| compiled.get().is_none()));
        assert_eq!(patterns.find_all("over quota"), vec![Range { start: 5, end: 10 }]);
        assert!(patterns.all[0].1.get().is_none());
    }
}
