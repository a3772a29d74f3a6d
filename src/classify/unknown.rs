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
    /// One of them, with addresses, hosts, URLs and the recipient's local part blanked.
    pub example: String,
    /// A pattern that is in all of them: a line for a rule file. None where they are nothing but names and numbers.
    pub pattern: Option<String>,
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
    /// Takes in one text with the code beside it, the host that said it and the recipient it speaks of; nothing where
    /// a rule knows it, or where it says nothing beside its code.
    pub fn add(&mut self, classifier: &Classifier, text: &str, host: Option<&str>, recipient: &str) {
        let source = Source::new(EvidenceField::DiagnosticCode, text);
        let name = source.status.map(|code| classifier.registry().lookup(code).entry.name.as_str());
        if says_nothing(&source.text, name.unwrap_or_default())
            || classifier.rules().search(&source.text).matches().next().is_some()
        {
            return;
        }
        let example = plain(&source.text, recipient);
        let wording = wording(&example);
        let key = wording.to_lowercase();
        if !self.wordings.contains_key(&key) && self.wordings.len() >= MAX_WORDINGS {
            self.left_out += 1;
            return;
        }
        let code = source.status.map(|code| code.to_string());
        let code = code.or_else(|| source.reply_code.map(|code| code.to_string()));
        let known = self.wordings.entry(key).or_insert_with(|| Wording {
            pattern: pattern(&wording),
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
fn plain(text: &str, recipient: &str) -> String {
    let text = without_local_part(&blanked(text, true), recipient);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text with the local part of an address blanked where it stands alone, as in `User jdoe`.
fn without_local_part(text: &str, address: &str) -> String {
    let local = address.rsplit_once('@').map_or("", |(local, _)| local).to_ascii_lowercase();
    let mut left = text;
    let mut lower = text.to_ascii_lowercase();
    let mut blank = String::with_capacity(text.len());
    while let Some(at) = lower.find(&local).filter(|_| !local.is_empty()) {
        let (before, found) = left.split_at(at);
        let (found, behind) = found.split_at(local.len());
        blank.push_str(before);
        let joined = blank.ends_with(char::is_alphanumeric) || behind.starts_with(char::is_alphanumeric);
        if joined {
            blank.push_str(found);
        } else {
            blank.extend(found.chars().map(|c| if c.is_alphanumeric() { '_' } else { c }));
        }
        left = behind;
        lower.drain(..at + local.len());
    }
    blank + left
}

/// What texts of one wording share: words, where `#` stands for names, numbers, ids and the signs around words.
fn wording(example: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in example.split(' ') {
        let inner = word.trim_start_matches(is_sign);
        let bare = inner.trim_end_matches(is_sign);
        let is_name = bare.is_empty() || bare.contains('_') || bare.chars().any(|c| c.is_ascii_digit());
        let before = (inner.len() < word.len()).then_some("#");
        let behind = (bare.len() < inner.len()).then_some("#");
        for part in before.into_iter().chain([if is_name { "#" } else { bare }]).chain(behind) {
            if part != "#" || words.last() != Some(&"#") {
                words.push(part);
            }
        }
    }
    words.join(" ")
}

/// Whether it is no part of a word.
fn is_sign(c: char) -> bool {
    !c.is_alphanumeric() && c != '_'
}

/// The longest run of words of a wording, as a pattern.
fn pattern(wording: &str) -> Option<String> {
    let runs = wording.split('#').map(str::trim);
    let longest = runs.max_by_key(|run| run.chars().count())?;
    let mut cut = String::new();
    for word in longest.split(' ') {
        let word = regex::escape(word);
        if cut.chars().count() + word.chars().count() >= MAX_PATTERN {
            break;
        }
        if !cut.is_empty() {
            cut.push(' ');
        }
        cut.push_str(&word);
    }
    (!cut.is_empty()).then_some(cut)
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
        texts.iter().for_each(|(text, host)| unknown.add(&classifier, text, Some(host), "J.Doe@example.com"));
        unknown.most_frequent()
    }

    #[test]
    fn texts_are_gathered_by_their_wording_whatever_names_and_numbers_they_hold() {
        let found = gathered(&[
            ("550 5.1.1 <anna@example.com> frobnicated by zorblax 17", "mx1.mail.example.net"),
            ("550 5.1.1 <bert@example.org> frobnicated by zorblax 4711", "mx2.mail.example.net"),
            ("550 quuxed out at mx.example.com", "mx.example.com"),
        ]);
        let told: Vec<_> =
            found.iter().map(|found| (found.count, found.pattern.as_deref().unwrap())).collect();
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
    fn the_recipient_is_blanked_without_a_domain_too() {
        let found = gathered(&[("550 frobnicated j.doe, J.DOE; not xj.doe", "x")]);
        assert_eq!(found[0].example, "550 frobnicated _._, _.___; not xj.doe".replace("_._,", "_.___,"));
    }

    #[test]
    fn a_proposed_pattern_stands_in_its_texts_as_it_is() {
        let long = format!("550 {}", "z".repeat(MAX_PATTERN + 1));
        for (text, expected) in [
            ("550 Frobnicated, by zorblax at last", Some("by zorblax at last")),
            ("550 5.1.1 zorblax (frobnicated twice) again", Some("frobnicated twice")),
            ("550 doesn\u{2019}t zorblax e-mail 17", Some(r"doesn't zorblax e\-mail")),
            (long.as_str(), None),
        ] {
            let found = gathered(&[(text, "x")]);
            assert_eq!(found[0].pattern.as_deref(), expected);
            let pattern =
                regex::RegexBuilder::new(expected.unwrap_or_default()).case_insensitive(true).build();
            assert!(pattern.unwrap().is_match(&found[0].example), "{found:?}");
        }
        let long = pattern(&"wor-d ".repeat(100)).unwrap();
        assert!(long.chars().count() <= MAX_PATTERN, "{long}");
    }
}
