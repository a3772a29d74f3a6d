//! Texts that no rule knows, gathered by their wording: what a rule file can get better by.

use std::collections::{BTreeMap, HashMap};

use super::Classifier;
use super::evidence::{EvidenceField, Source};
use super::words::{blanked, says_nothing};

/// Most wordings that are kept apart; those that come after are counted together.
const MAX_WORDINGS: usize = 10_000;

/// Longest pattern that is proposed, in characters.
const MAX_PATTERN: usize = 80;

/// Texts of one wording.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wording {
    /// One of them, with addresses, hosts and URLs blanked.
    pub example: String,
    /// A pattern that is in all of them: a line for a rule file.
    pub pattern: String,
    /// How many bounces had it.
    pub count: u64,
    /// Beside which codes, and how often.
    pub codes: BTreeMap<String, u64>,
    /// From whom, and how often: the reporting hosts, without their first label.
    pub hosts: BTreeMap<String, u64>,
}

/// Gathers texts.
#[derive(Debug, Default)]
pub struct Unknown {
    wordings: HashMap<String, Wording>,
    /// Texts that were not gathered, since there were 10,000 other wordings already.
    pub left_out: u64,
}

impl Unknown {
    /// Takes in one text with the code beside it and the host that said it; nothing where a rule knows it, or where
    /// it says nothing beside its code.
    pub fn add(&mut self, classifier: &Classifier, text: &str, host: Option<&str>) {
        let source = Source::new(EvidenceField::DiagnosticCode, text);
        let name = source.status.map(|code| classifier.registry().lookup(code).entry.name.as_str());
        if says_nothing(&source.text, name.unwrap_or_default())
            || classifier.rules().search(&source.text).matches().next().is_some()
        {
            return;
        }
        let example = plain(&source.text);
        let key = wording(&example);
        if !self.wordings.contains_key(&key) && self.wordings.len() >= MAX_WORDINGS {
            self.left_out += 1;
            return;
        }
        let code = source.status.map(|code| code.to_string());
        let code = code.or_else(|| source.reply_code.map(|code| code.to_string()));
        let known = self.wordings.entry(key).or_insert_with_key(|key| Wording {
            pattern: pattern(key),
            example,
            ..Wording::default()
        });
        known.count += 1;
        *known.codes.entry(code.unwrap_or_else(|| "-".to_owned())).or_default() += 1;
        if let Some(host) = host {
            *known.hosts.entry(provider(host)).or_default() += 1;
        }
    }

    /// The wordings, those of most bounces first.
    #[must_use]
    pub fn most_frequent(self) -> Vec<Wording> {
        let mut wordings: Vec<Wording> = self.wordings.into_values().collect();
        wordings.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.example.cmp(&b.example)));
        wordings
    }
}

/// The text on one line, with names blanked: they are personal, and no two bounces share them.
fn plain(text: &str) -> String {
    let text = blanked(text, true);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What texts of one wording share: words in lower case; `#` stands for names, numbers and ids.
fn wording(example: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in example.split(' ') {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
        let is_name = bare.contains('_') || bare.chars().any(|c| c.is_ascii_digit());
        let word = if is_name { "#".to_owned() } else { bare.to_lowercase() };
        let repeated = word == "#" && words.last().is_some_and(|last| last == "#");
        if !word.is_empty() && !repeated {
            words.push(word);
        }
    }
    words.join(" ")
}

/// The longest run of words of a wording, as a pattern.
fn pattern(wording: &str) -> String {
    let runs = wording.split('#').map(str::trim);
    let longest = runs.max_by_key(|run| run.chars().count()).unwrap_or_default();
    let mut cut = String::new();
    for word in longest.split(' ') {
        if !cut.is_empty() && cut.chars().count() + word.chars().count() >= MAX_PATTERN {
            break;
        }
        if !cut.is_empty() {
            cut.push(' ');
        }
        cut.push_str(word);
    }
    regex::escape(&cut).replace("\\ ", " ")
}

/// A host's name without its first label, where enough is left: `mx1.example.net` speaks for `example.net`.
fn provider(host: &str) -> String {
    let host = host.split([' ', '[']).next().unwrap_or_default().trim_end_matches('.').to_lowercase();
    match host.split_once('.') {
        Some((_, rest)) if rest.contains('.') => rest.to_owned(),
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(texts: &[(&str, &str)]) -> Vec<Wording> {
        let classifier = Classifier::embedded().unwrap();
        let mut unknown = Unknown::default();
        texts.iter().for_each(|(text, host)| unknown.add(&classifier, text, Some(host)));
        unknown.most_frequent()
    }

    #[test]
    fn texts_are_gathered_by_their_wording_whatever_names_and_numbers_they_hold() {
        let found = gathered(&[
            ("550 5.1.1 <anna@example.com> frobnicated by zorblax 17", "mx1.mail.example.net"),
            ("550 5.1.1 <bert@example.org> frobnicated by zorblax 4711", "mx2.mail.example.net"),
            ("550 quuxed out at mx.example.com", "mx.example.com"),
        ]);
        let told: Vec<_> = found.iter().map(|found| (found.count, found.pattern.as_str())).collect();
        assert_eq!(told, [(2, "frobnicated by zorblax"), (1, "quuxed out at")]);
        assert!(!found[0].example.contains("anna"), "{:?}", found[0].example);
        assert_eq!(found[0].codes, BTreeMap::from([("5.1.1".to_owned(), 2)]));
        assert_eq!(found[0].hosts, BTreeMap::from([("mail.example.net".to_owned(), 2)]));
    }

    #[test]
    fn what_a_rule_knows_and_what_says_nothing_are_left_out() {
        assert_eq!(
            gathered(&[("550 5.1.1 User unknown", "mx.example.com"), ("550 5.1.1 <a@example.com>", "x")]),
            []
        );
    }

    #[test]
    fn a_proposed_pattern_takes_its_wording_literally_and_is_short() {
        assert_eq!(pattern("what (is) this # a.b"), r"what \(is\) this");
        assert!(pattern(&"word ".repeat(100)).chars().count() <= MAX_PATTERN);
    }
}
