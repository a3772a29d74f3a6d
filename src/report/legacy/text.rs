//! Lines, indents and addresses in a text, and patterns to look for.

use memchr::memchr;
use regex::Regex;

use crate::address::{Mailbox, words_with_at};

/// Compiles a family's pattern for texts in lower case; they are literals, each run by a test. Words end and digits are
/// what ASCII says: what only Unicode knows of them makes an automaton many times as large.
pub(in crate::report) fn pattern(text: &str) -> Regex {
    #[expect(clippy::expect_used, reason = "a literal of this program, compiled by its tests")]
    Regex::new(&text.replace(r"\b", r"(?-u:\b)").replace(r"\d", "[0-9]")).expect("the pattern is valid")
}

/// The lines of a text with the offsets they begin at, without their line ends.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> + Clone {
    let start = text.as_ptr() as usize;
    text.lines().map(move |line| (line.as_ptr() as usize - start, line))
}

/// How far a line is indented, in characters; a tab counts as eight.
pub(super) fn indent(line: &str) -> usize {
    line.chars().take_while(|c| c.is_whitespace()).map(|c| if c == '\t' { 8 } else { 1 }).sum()
}

/// The first address in a text: in angle brackets, else the first word that is one, without the punctuation
/// around it.
pub(super) fn address_in(text: &str) -> Option<String> {
    addresses_in(text).next()
}

/// The address that a line consists of, with nothing beside it but brackets, bullets and punctuation; or the
/// same address twice, as `a@x.example<mailto:a@x.example>`.
pub(super) fn lone_address(line: &str) -> Option<String> {
    memchr(b'@', line.as_bytes())?;
    let line = line.trim().trim_start_matches(['*', '-', '•', '·', '>']).trim();
    let mut found = addresses_in(line);
    let first = found.next()?;
    let rest = line.replace("mailto:", "").replace(&first, "");
    rest.chars().all(|c| !c.is_alphanumeric()).then_some(first)
}

/// All addresses in a text, in order, as they are written.
pub(super) fn addresses_in(text: &str) -> impl Iterator<Item = String> + '_ {
    words_with_at(text).filter_map(|word| {
        // "mailto:", "rfc822:", "SMTP:", "dda:SMTP=": nothing before the last of these marks is in an address
        let word = match word.rsplit_once(':') {
            Some((_, rest)) if rest.contains('@') && !word.starts_with('"') => rest,
            _ => word,
        };
        let word = match word.get(..5) {
            Some(start) if start.eq_ignore_ascii_case("smtp=") => &word[5..],
            _ => word,
        };
        let word = word.trim_matches([':', '.', '*', '=', '!', '?', '`', '-']);
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
            ("Recipient: [SMTP:c@x.example]", Some("c@x.example")),
            ("c=US;a= ;dda:SMTP=c@x.example; on Friday", Some("c@x.example")),
            ("to 'd@x.example' failed", Some("d@x.example")),
            ("<\"odd name\"@x.example>:", Some("\"odd name\"@x.example")),
            ("SMTP:\"a:b\"@x.example", Some("\"a:b\"@x.example")),
            ("no address here, user@ nor @host", None),
            ("at 10:00 @ home", None),
        ] {
            assert_eq!(address_in(text).as_deref(), found, "{text}");
        }
    }

    #[test]
    fn a_line_is_an_address_when_nothing_else_is_in_it() {
        for (line, found) in [
            ("  * a@x.example", Some("a@x.example")),
            ("a@x.example<mailto:a@x.example>", Some("a@x.example")),
            ("<a@x.example>:", Some("a@x.example")),
            ("  <\"odd name\"@x.example>", Some("\"odd name\"@x.example")),
            ("write to a@x.example", None),
        ] {
            assert_eq!(lone_address(line).as_deref(), found, "{line}");
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
