//! The words that decided, marked in the text that they stand in.

use std::io::IsTerminal;

use anstyle::Style;

use crate::classify::evidence::{EvidenceField, Source};

/// A text on one line, as the classifier reads it.
fn folded(text: &str) -> String {
    Source::new(EvidenceField::DiagnosticCode, text).text
}

/// The text with the words marked: underlined on a terminal, between ** elsewhere. `None` where they do not stand in it.
pub(super) fn marked(text: &str, words: &str) -> Option<String> {
    let (text, words) = (super::output::clean(&folded(text)), super::output::clean(&folded(words)));
    let at = text.find(&words).filter(|_| !words.is_empty())?;
    let style = Style::new().bold().underline();
    let (before, after) = (&text[..at], &text[at + words.len()..]);
    Some(if std::io::stdout().is_terminal() {
        format!("{before}{style}{words}{style:#}{after}")
    } else {
        format!("{before}**{words}**{after}")
    })
}

/// Why, where no text shows it: the words and the field that they are of.
pub(super) fn because(words: &str, field: &str) -> String {
    match (words, field) {
        ("", "nothing") => "the report has no code, and no words that a rule knows".to_owned(),
        ("", field) => format!("the {}", field.replace('_', " ")),
        (words, field) => format!("{words:?} in the {}", field.replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deciding_words_are_marked_where_they_stand() {
        let text = "550-5.1.1 The account\r\n  does not exist";
        assert_eq!(marked(text, "does not exist").unwrap(), "550-5.1.1 The account **does not exist**");
        assert_eq!(marked("gone", ""), None);
        assert_eq!(marked("gone", "nowhere"), None);
        assert_eq!(because("", "nothing"), "the report has no code, and no words that a rule knows");
        assert_eq!(because("5.1.1", "status"), "\"5.1.1\" in the status");
    }
}
