//! One text, and the rules that are in it.

use std::cell::OnceCell;
use std::ops::Range;

use super::super::words;
use super::phrase::lower_case;
use super::{Context, Phrase, Rule, Rules};

/// A rule that fired.
#[derive(Debug, Clone, Copy)]
pub struct RuleMatch<'r> {
    /// Which.
    pub rule: &'r Rule,
    /// The first of its phrases that is in the text.
    pub phrase: &'r Phrase,
    /// Where the words that matched begin in the source's text, in bytes.
    pub start: usize,
    /// Where they end.
    pub end: usize,
}

/// A text that rules are looked for in. What one question finds out serves the next.
#[derive(Debug)]
pub struct Search<'r, 't> {
    text: &'t str,
    lower: String,
    /// The patterns whose words are in the text, in the order in which they are tried.
    candidates: Vec<Candidate<'r>>,
    /// The text without the words in addresses.
    without_addresses: OnceCell<String>,
    /// The text without those in names of hosts, either.
    without_names: OnceCell<String>,
    /// Where that speaks of the sender.
    senders: OnceCell<Vec<Range<usize>>>,
    /// Where its sentences begin.
    sentences: OnceCell<Vec<usize>>,
}

#[derive(Debug)]
struct Candidate<'r> {
    rule: &'r Rule,
    phrase: &'r Phrase,
    found: OnceCell<Option<Range<usize>>>,
}

impl<'r, 't> Search<'r, 't> {
    pub(super) fn new(rules: &'r Rules, text: &'t str) -> Self {
        let lower = lower_case(text);
        let candidate = |number: u32| {
            let (rule, phrase) = rules.phrases[number as usize];
            let rule = &rules.rules[rule as usize];
            Candidate { rule, phrase: &rule.phrases[phrase as usize], found: OnceCell::new() }
        };
        let candidates = rules.index.candidates(lower.as_bytes()).into_iter().map(candidate).collect();
        Self {
            text,
            lower,
            candidates,
            without_addresses: OnceCell::new(),
            without_names: OnceCell::new(),
            senders: OnceCell::new(),
            sentences: OnceCell::new(),
        }
    }

    /// The first rule that is `wanted`, in file order, whose pattern is in the text and whose conditions hold.
    #[must_use]
    pub fn find(&self, context: Context<'_>, wanted: impl Fn(&Rule) -> bool) -> Option<RuleMatch<'r>> {
        self.matches_of(|rule| !rule.guard && rule.applies(context) && wanted(rule)).next()
    }

    /// The first rule that is `wanted`, whatever code stands beside the text; rules that were made for single codes
    /// know no others.
    #[must_use]
    pub fn find_for_any_code(
        &self,
        context: Context<'_>,
        wanted: impl Fn(&Rule) -> bool,
    ) -> Option<RuleMatch<'r>> {
        let asked =
            |rule: &Rule| !rule.guard && rule.fits(context) && (rule.is_general() || rule.fits_code(context));
        self.matches_of(|rule| asked(rule) && wanted(rule)).next()
    }

    /// The first guard that speaks against a suppression.
    #[must_use]
    pub fn find_guard(&self, context: Context<'_>) -> Option<RuleMatch<'r>> {
        self.matches_of(|rule| rule.guard && rule.applies(context)).next()
    }

    /// Every pattern in the text, in the order in which they are tried, of all rules and whatever their conditions:
    /// [`Rule::applies`] says whether those hold.
    pub fn matches(&self) -> impl Iterator<Item = RuleMatch<'r>> {
        self.matches_of(|_| true)
    }

    fn matches_of(&self, wanted: impl Fn(&Rule) -> bool) -> impl Iterator<Item = RuleMatch<'r>> {
        // The phrases of a rule follow each other.
        let mut asked: Option<(&Rule, bool)> = None;
        self.candidates.iter().filter_map(move |candidate| {
            let rule = candidate.rule;
            let is_wanted = match asked {
                Some((before, is_wanted)) if std::ptr::eq(before, rule) => is_wanted,
                _ => wanted(rule),
            };
            asked = Some((rule, is_wanted));
            if !is_wanted {
                return None;
            }
            let found = candidate.found.get_or_init(|| self.find_phrase(rule, candidate.phrase)).as_ref()?;
            Some(RuleMatch { rule, phrase: candidate.phrase, start: found.start, end: found.end })
        })
    }

    fn find_phrase(&self, rule: &Rule, phrase: &Phrase) -> Option<Range<usize>> {
        let searched = match rule.names {
            true if rule.by_operator => &self.lower,
            true => self.without_addresses.get_or_init(|| lower_case(&words::blanked(self.text, false))),
            false => self.without_names(),
        };
        let found = phrase.find(searched)?;
        // A "." is a byte: a match may begin or end within a character.
        let found = self.lower.floor_char_boundary(found.start)..self.lower.ceil_char_boundary(found.end);
        let of_sender = rule.class.blames_recipient()
            && words::said_of_sender(self.without_names(), self.senders(), self.sentences(), found.clone());
        (!of_sender).then_some(found)
    }

    /// Most texts have no pattern's words in them: names are looked for when one has.
    fn without_names(&self) -> &str {
        self.without_names.get_or_init(|| lower_case(&words::blanked(self.text, true)))
    }

    fn sentences(&self) -> &[usize] {
        self.sentences.get_or_init(|| words::sentences(self.without_names()))
    }

    /// Where the text speaks of the sender, or of what the sender needs.
    #[must_use]
    pub fn senders(&self) -> &[Range<usize>] {
        self.senders.get_or_init(|| words::senders(self.without_names()))
    }
}
