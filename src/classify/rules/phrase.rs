//! One pattern of a rule, ready to be looked for.

use std::ops::Range;
use std::sync::OnceLock;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

use super::lists::{PhraseText, lower_char};
use super::matcher::Matcher;
use super::needs::Place;

/// One pattern, and lines of the field that it decides.
#[derive(Debug)]
pub struct Phrase {
    /// The pattern as it stands in the file.
    pub pattern: String,
    /// Lines that it must match, and of which it must decide one.
    pub examples: Vec<String>,
    /// The line of the file it stands in, from 1.
    pub line: usize,
    expression: String,
    pub(super) places: Vec<Place>,
    /// Compiled on first use.
    matcher: OnceLock<Option<Matcher>>,
}

impl From<PhraseText> for Phrase {
    fn from(text: PhraseText) -> Self {
        let PhraseText { pattern, examples, line, expression, places } = text;
        Self { pattern, examples, line, expression, places, matcher: OnceLock::new() }
    }
}

impl Phrase {
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

/// A text in lower case, every character where it was: patterns work on bytes, without regard to Unicode, since
/// that makes their automaton a tenth as large.
pub(super) fn lower_case(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.chars().map(lower_char).collect() }
}

#[cfg(test)]
mod tests {
    use super::super::lists::Words;
    use super::*;

    #[test]
    fn case_does_not_matter_and_escapes_stay() {
        let phrase =
            Phrase::from(PhraseText::new(r"Nicht ÜBER\S+", Vec::new(), 1, &Words::default()).unwrap());
        assert_eq!(phrase.find(&lower_case("550 nicht Übermittelt")), Some(4..22));
    }
}
