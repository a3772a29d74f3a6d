//! What the families of services and gateways share: letters that list addresses after one phrase and give a
//! reason after another, and letters made of `<address>:` paragraphs.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use memchr::memmem;

use super::letter::Letter;
use super::text::{address_in, addresses_in};
use super::{Action, Reading, RecipientFields, failed};
use crate::status::EnhancedStatusCode;

/// Lines of a letter in which its opening phrase is looked for.
const OPENING_LINES: usize = 60;

/// Most text kept about one recipient, in bytes.
const MAX_REASON: usize = 4 * 1024;

/// Most recipients taken from one letter.
const MAX_RECIPIENTS: usize = 1_000;

/// How the letters of one family are laid out. All phrases are in lower case and looked for anywhere in a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Lines after which addresses are listed, on the same line or on the following ones.
    pub(super) listed_after: &'static [&'static str],
    /// Lines after which the reason stands, on the same line or on the following ones; empty: it follows the
    /// addresses.
    pub(super) reason_after: &'static [&'static str],
    /// Lines at which a reason ends.
    pub(super) reason_until: &'static [&'static str],
    /// Lines at which the returned message begins.
    pub(super) original: &'static [&'static str],
    /// Phrases that say that delivery is still tried.
    pub(super) delayed: &'static [&'static str],
}

impl Shape {
    /// A shape of nothing, to fill in.
    pub(super) const EMPTY: Self =
        Self { listed_after: &[], reason_after: &[], reason_until: &[], original: &[], delayed: &[] };

    /// Reads a letter of this shape; `None` when it names no recipient.
    pub(super) fn read(&self, letter: &Letter<'_>) -> Option<Reading> {
        let mut found = Listing::default();
        let mut state = State::Before;
        let mut original_at = None;
        let mut delayed = false;
        for (at, raw) in letter.lines() {
            let line = raw.trim();
            let lower = line.to_lowercase();
            if state != State::Before && contains(&lower, self.original) {
                original_at = Some(at + raw.len());
                break;
            }
            delayed |= contains(&lower, self.delayed);
            if let Some(end) = after(&lower, self.listed_after) {
                state = State::Listing;
                found.line(self.before_end(lower_tail(line, &lower, end)));
                continue;
            }
            if let Some(end) = after(&lower, self.reason_after) {
                state = State::Reason;
                found.say(lower_tail(line, &lower, end));
                continue;
            }
            if contains(&lower, self.reason_until) && state != State::Before {
                state = State::Done;
            }
            match state {
                State::Listing if line.is_empty() || found.line(line) => {}
                State::Listing if found.entries.is_empty() => {} // the phrase goes on
                State::Listing if self.reason_after.is_empty() => {
                    state = State::Reason;
                    found.say(line);
                }
                State::Reason => found.say(line),
                State::Listing | State::Before | State::Done => {}
            }
        }
        found.into_reading(if delayed { Action::Delayed } else { Action::Failed }, original_at)
    }

    /// A line up to the words that end a reason.
    fn before_end<'a>(&self, line: &'a str) -> &'a str {
        let lower = line.to_lowercase();
        let end = self.reason_until.iter().filter_map(|phrase| lower.find(phrase)).min();
        end.filter(|_| lower.len() == line.len()).and_then(|end| line.get(..end)).unwrap_or(line)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    Listing,
    Reason,
    Done,
}

/// Addresses with what is said about each, and what is said about all.
#[derive(Debug, Default)]
pub(super) struct Listing {
    entries: Vec<(String, String)>,
    reason: String,
}

impl Listing {
    /// Takes the addresses of a line; false when it has none. A line that does not begin with one is said about
    /// the recipient before.
    fn line(&mut self, line: &str) -> bool {
        let Some(first) = address_in(line) else { return false };
        let (before, rest) = line.split_once(first.as_str()).unwrap_or((line, ""));
        if before.chars().any(char::is_alphanumeric) && !self.entries.is_empty() {
            self.say_of_last(line);
            return true;
        }
        // "address reason": the reason is about this one. "address <address>", "a, b": only addresses.
        let rest = rest.trim_start_matches(['>', ':', ' ', '\t', '"', '\'', ')', '.', ',', ']']).trim();
        let rest_says = rest.chars().filter(|c| c.is_alphanumeric()).count() >= 3;
        if rest_says
            && !rest.trim_start_matches(['<', '"', '\'']).split_whitespace().all(|word| word.contains('@'))
        {
            self.add(first, rest.trim_matches(['[', ']', '(', ')']));
        } else {
            for address in addresses_in(line) {
                self.add(address, "");
            }
        }
        true
    }

    /// Adds a recipient; what is said about one that is known already is added to that.
    pub(super) fn add(&mut self, address: String, text: &str) {
        let full = self.entries.len() >= MAX_RECIPIENTS;
        match self.entries.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&address)) {
            Some((_, said)) => append(said, text),
            None if full => {}
            None => self.entries.push((address, text.to_owned())),
        }
    }

    /// Adds to what is said about all.
    pub(super) fn say(&mut self, text: &str) {
        append(&mut self.reason, text);
    }

    /// Adds to what is said about the last recipient.
    pub(super) fn say_of_last(&mut self, text: &str) {
        if let Some((_, reason)) = self.entries.last_mut() {
            append(reason, text);
        }
    }

    /// The reading; `None` without recipients.
    pub(super) fn into_reading(self, action: Action, original_at: Option<usize>) -> Option<Reading> {
        let common = self.reason;
        let alone = self.entries.len() == 1;
        let text = |own: String| match (own.is_empty(), common.is_empty()) {
            (true, _) => common.clone(),
            (false, false) if alone => format!("{own}\n{common}"),
            (false, _) => own,
        };
        let recipients: Vec<_> = self
            .entries
            .into_iter()
            .map(|(address, own)| with_action(failed(&address, &text(own)), action))
            .collect();
        (!recipients.is_empty()).then(|| Reading { recipients, original_at, ..Reading::default() })
    }
}

/// Letters of `<address>:` paragraphs: a line that is nothing but an address and a colon begins a recipient,
/// and what follows is said about it, up to one of the phrases in `original`.
pub(super) fn paragraphs(letter: &Letter<'_>, original: &[&str]) -> Option<Reading> {
    let mut found = Listing::default();
    let mut original_at = None;
    for (at, raw) in letter.lines() {
        let line = raw.trim();
        if contains(&line.to_lowercase(), original) {
            original_at = Some(at + raw.len());
            break;
        }
        match heading(line) {
            Some(address) => found.add(address, ""),
            None => found.say_of_last(line),
        }
    }
    found.into_reading(Action::Failed, original_at)
}

/// The address of a line that is nothing but `<address>:`, `"address":` or `address:`.
fn heading(line: &str) -> Option<String> {
    let inner = line.strip_suffix(':')?.trim().trim_matches(['<', '>', '"']);
    address_in(inner).filter(|address| address == inner)
}

/// Whether one of the opening lines of a letter has one of these phrases, given in lower case.
pub(super) fn opens_with(letter: &Letter<'_>, phrases: &[&str]) -> bool {
    contains(letter.opening_words(), phrases)
}

/// Where the opening lines of a text in lower case end. What somebody quotes or forwards opens nothing, but the line
/// before it may hold words of a program.
pub(super) fn opening_words(lower: &str) -> usize {
    let mut end = 0;
    for line in lower.split_inclusive('\n').take(OPENING_LINES) {
        if line.starts_with('>') {
            break;
        }
        end += line.len();
        if quotes(line.trim_end()) {
            break;
        }
    }
    end
}

/// What stands above a message that is quoted or forwarded.
const QUOTES: [&str; 8] = [
    "forwarded message",
    "-----original message-----",
    "weitergeleitete nachricht",
    "ursprüngliche nachricht",
    "message transféré",
    "mensaje reenviado",
    "mensaje original----",
    "messaggio inoltrato",
];

static QUOTED: LazyLock<AhoCorasick> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "literals of this program, searched by its tests")]
    AhoCorasick::new(QUOTES).expect("short")
});

/// A line, without white space behind it, at which somebody begins to quote or to forward a message.
fn quotes(lower: &str) -> bool {
    ["from:", "von:", "de:", "da:", "*from:*"].iter().any(|field| lower.starts_with(field))
        || [" wrote:", " schrieb:", " a écrit :", " escribió:", " ha scritto:"]
            .iter()
            .any(|words| lower.ends_with(words))
        || QUOTED.is_match(lower)
}

/// Whether a line has one of these phrases.
pub(super) fn contains(lower: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| memmem::find(lower.as_bytes(), phrase.as_bytes()).is_some())
}

/// Where the first of these phrases ends that a line has.
fn after(lower: &str, phrases: &[&str]) -> Option<usize> {
    let found = |phrase: &&str| Some(memmem::find(lower.as_bytes(), phrase.as_bytes())? + phrase.len());
    phrases.iter().find_map(found)
}

/// What follows a phrase on its line; the line itself where lower case has other lengths.
fn lower_tail<'a>(line: &'a str, lower: &str, end: usize) -> &'a str {
    if line.len() == lower.len() { line.get(end..).unwrap_or(line) } else { line }
}

/// Says something about a recipient; its text ends where it grows too long.
fn append(reason: &mut String, text: &str) {
    let text = text.trim();
    if text.chars().any(char::is_alphanumeric) && reason.len() + text.len() < MAX_REASON {
        if !reason.is_empty() {
            reason.push('\n');
        }
        reason.push_str(text);
    }
}

/// A recipient with another action.
pub(super) fn with_action(fields: RecipientFields, action: Action) -> RecipientFields {
    RecipientFields { action: Some(action), ..fields }
}

/// Gives every recipient without one a status: what the letter says in words that no rule could know.
pub(super) fn with_status(mut reading: Reading, status: &str) -> Reading {
    let status: Option<EnhancedStatusCode> = status.parse().ok();
    for fields in &mut reading.recipients {
        fields.status = fields.status.or(status);
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::super::super::ReportHeader;
    use super::super::super::header::Header;
    use super::*;

    fn of(shape: &Shape, text: &str) -> Vec<(String, String)> {
        let (header, report) = (Header::default(), ReportHeader::default());
        let letter = Letter::new(&header, &report, text, None, true);
        let pair = |fields: RecipientFields| {
            let text = fields.diagnostic_code.map(|code| code.text).unwrap_or_default();
            (fields.final_recipient.unwrap().value, text)
        };
        shape.read(&letter).map_or(Vec::new(), |reading| reading.recipients.into_iter().map(pair).collect())
    }

    #[test]
    fn addresses_and_reasons_are_found_after_their_phrases() {
        const SHAPE: Shape = Shape {
            listed_after: &["not delivered to:"],
            reason_after: &["because:"],
            original: &["-- original"],
            ..Shape::EMPTY
        };
        let text = "Hello s@x.example,\nNot delivered to:\n\n  a@x.example\n  b@x.example, c@x.example\n\nbecause:\n  no such user\n-- original\nTo: d@x.example\n";
        let all = ["a", "b", "c"].map(|user| (format!("{user}@x.example"), "no such user".to_owned()));
        assert_eq!(of(&SHAPE, text), all);
        let reply = "Not delivered to:\n <a@x.example>\n   550 <a@x.example> and c@x.example unknown\n";
        let said = "550 <a@x.example> and c@x.example unknown".to_owned();
        assert_eq!(of(&SHAPE, reply), [("a@x.example".to_owned(), said)]);
        let inline = "Not delivered to: <a@x.example> because: gone\n";
        assert_eq!(of(&SHAPE, inline), [("a@x.example".to_owned(), "because: gone".to_owned())]);
        assert!(of(&SHAPE, "Delivered to:\n  a@x.example\n").is_empty());
    }

    #[test]
    fn what_is_quoted_or_forwarded_opens_nothing() {
        let opens = |text| {
            let (header, report) = (Header::default(), ReportHeader::default());
            let letter = Letter::new(&header, &report, text, None, true);
            opens_with(&letter, &["not delivered to:"])
        };
        assert!(opens("\nHello,\nNot delivered to: a@x.example\n"));
        for text in [
            "Look:\n> Not delivered to: a@x.example\n",
            "Olaf wrote:\nNot delivered to: a@x.example\n",
            "---------- Forwarded message ----------\nNot delivered to: a@x.example\n",
            "From: Olaf\nTo: Ida\n\nNot delivered to: a@x.example\n",
        ] {
            assert!(!opens(text), "{text}");
        }
    }

    #[test]
    fn text_before_the_first_heading_is_about_nobody() {
        let text = "Sorry s@x.example:\n\n<a@x.example>:\nno mailbox\n\n\"b@x.example\":\nfull\n--- copy\n<c@x.example>:\n";
        let (header, report) = (Header::default(), ReportHeader::default());
        let letter = Letter::new(&header, &report, text, None, true);
        let reading = paragraphs(&letter, &["--- copy"]).unwrap();
        assert_eq!(reading.recipients.len(), 2);
        assert_eq!(reading.recipients[1].diagnostic_code.as_ref().unwrap().text, "full");
        assert_eq!(&text[reading.original_at.unwrap()..], "\n<c@x.example>:\n");
    }
}
