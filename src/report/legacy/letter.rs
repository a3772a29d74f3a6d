//! A text bounce as the families see it, and what they share in reading it.

use super::super::header::Header;
use super::super::{ReportHeader, mime};
use crate::address::Mailbox;

/// A message that came back without a machine's part.
#[derive(Debug)]
pub(in crate::report) struct Letter<'a> {
    /// Its header fields, raw.
    pub(in crate::report) header: &'a Header<'a>,
    /// Its header as the report has it.
    pub(in crate::report) report: &'a ReportHeader,
    /// The text for people, decoded, with LF line ends.
    pub(in crate::report) text: &'a str,
}

impl<'a> Letter<'a> {
    /// A header field as text, encoded words decoded; empty when there is none.
    pub(super) fn field(&self, name: &str) -> String {
        self.header.first(name).map(mime::unstructured).unwrap_or_default()
    }

    /// The subject in lower case.
    pub(super) fn subject(&self) -> String {
        self.report.subject.as_deref().unwrap_or_default().to_lowercase()
    }

    /// The From address in lower case.
    pub(super) fn from(&self) -> String {
        self.report.from.as_deref().unwrap_or_default().to_lowercase()
    }

    /// The lines of the text with the offsets they begin at, without their line ends.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &'a str)> + Clone {
        lines(self.text)
    }
}

/// The lines of a text with the offsets they begin at, without their line ends.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> + Clone {
    let start = text.as_ptr() as usize;
    text.lines().map(move |line| (line.as_ptr() as usize - start, line))
}

/// The first address in a text: in angle brackets, else the first word that is one, without the punctuation
/// around it.
pub(super) fn address_in(text: &str) -> Option<String> {
    addresses_in(text).next()
}

/// All addresses in a text, in order, as they are written.
pub(super) fn addresses_in(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| {
        c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | '"' | '\'' | '|')
    })
    .filter(|word| word.contains('@'))
    .filter_map(|word| {
        let word = word.trim_start_matches("mailto:").trim_start_matches("MAILTO:");
        let word = word.trim_start_matches("rfc822:").trim_start_matches("SMTP:").trim_start_matches("smtp:");
        let word = word.trim_matches([':', '.', '*', '=', '!', '?', '`']);
        let mailbox = Mailbox::parse(word).ok()?;
        mailbox.domain().contains(|c: char| c.is_alphabetic()).then(|| word.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_among_words() {
        for (text, found) in [
            ("<a@x.example>:", Some("a@x.example")),
            ("    b@x.example", Some("b@x.example")),
            ("Recipient: c@x.example.", Some("c@x.example")),
            ("to 'd@x.example' failed", Some("d@x.example")),
            ("no address here, user@ nor @host", None),
            ("at 10:00 @ home", None),
        ] {
            assert_eq!(address_in(text).as_deref(), found, "{text}");
        }
    }

    #[test]
    fn lines_know_where_they_begin() {
        let text = "one\ntwo\n\nfour";
        for (at, line) in lines(text) {
            assert!(text[at..].starts_with(line));
        }
        assert_eq!(lines(text).map(|(at, _)| at).collect::<Vec<_>>(), [0, 4, 8, 9]);
    }
}
