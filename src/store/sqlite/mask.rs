//! Text without addresses in it: what MTAs write names the recipient in many places and spellings.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::address::{Mailbox, comparison_form};

/// Everything that looks like an address.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"(?:"[^"\r\n]{1,64}"|[^\s"<>()\[\],;:\\@]+)@(?:\[[0-9A-Za-z.:-]+\]|[\w-]+(?:\.[\w-]+)*)"#)
        .expect("the pattern is tested")
});

/// Local parts that name nobody, and words that MTAs write in every other bounce: they stay where they stand alone.
const NOBODY: &[&str] = &[
    "abuse",
    "account",
    "address",
    "admin",
    "contact",
    "delivery",
    "domain",
    "email",
    "error",
    "failed",
    "full",
    "hello",
    "help",
    "host",
    "hostmaster",
    "info",
    "invalid",
    "mail",
    "mailbox",
    "mailer-daemon",
    "message",
    "name",
    "news",
    "no",
    "noreply",
    "not",
    "office",
    "over",
    "postmaster",
    "quota",
    "recipient",
    "rejected",
    "remote",
    "root",
    "sales",
    "server",
    "service",
    "smtp",
    "spam",
    "status",
    "support",
    "system",
    "team",
    "temporary",
    "test",
    "unknown",
    "user",
    "webmaster",
];

/// A text in which every address is replaced by what `replace` makes of its comparison form.
pub(super) fn every_address<'t>(text: &'t str, replace: impl Fn(&str) -> String) -> Cow<'t, str> {
    if !text.contains('@') {
        return Cow::Borrowed(text);
    }
    ADDRESS.replace_all(text, |found: &Captures<'_>| replace(&comparison_form(&found[0])))
}

/// The spellings of one address, to be found in texts.
#[derive(Debug, Clone, Default)]
pub(super) struct Person {
    /// With its domain, as an address.
    whole: Vec<String>,
    /// With its domain, inside of something else: as VERP, xtext (RFC 3461 §4) and URLs write it.
    inside: Vec<String>,
    /// The local part, where it names somebody.
    local_part: Option<String>,
}

impl Person {
    /// Those of an address in any form; what is no mailbox is found as it is.
    pub(super) fn of(address: &str) -> Self {
        let Ok(mailbox) = Mailbox::parse(address) else {
            let whole =
                Some(address.trim().to_owned()).filter(|text| text.chars().count() > 3).into_iter().collect();
            return Self { whole, ..Self::default() };
        };
        let labels = mailbox.domain_key();
        let (unicode, _) = idna::domain_to_unicode(&labels);
        let mut domains = vec![mailbox.domain().to_owned(), labels, unicode];
        dedup(&mut domains);
        let local = mailbox.local_part();
        // Of other letters both cases are looked for.
        let mut locals = vec![local.to_uppercase(), local.to_lowercase(), local.to_owned()];
        dedup(&mut locals);
        let (mut whole, mut inside) = (Vec::new(), Vec::new());
        for local in &locals {
            let xtext = local.replace('+', "+2B").replace('=', "+3D");
            let quoted = format!("\"{}\"", local.replace('\\', "\\\\").replace('"', "\\\""));
            for domain in &domains {
                whole.extend([
                    format!("{local}@{domain}"),
                    format!("{quoted}@{domain}"),
                    format!("{}@{domain}", quoted.replace('"', "\\\"")), // in JSON
                    format!("{xtext}@{domain}"),
                ]);
                inside.extend([
                    format!("{xtext}+40{domain}"),
                    format!("{local}={domain}"),
                    format!("{local}%40{domain}"),
                    format!("{local}#{domain}"),
                ]);
            }
        }
        dedup(&mut whole);
        dedup(&mut inside);
        let local = locals.pop().unwrap_or_default();
        let names = local.chars().count() > 1 && !NOBODY.contains(&local.to_lowercase().as_str());
        Self { whole, inside, local_part: names.then_some(local) }
    }

    /// Whether a text names the person with the domain.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let has = |stands| move |spelling: &String| find(text, spelling, 0, stands).is_some();
        self.whole.iter().any(has(whole_stands as Stands)) || self.inside.iter().any(has(inside_stands))
    }

    /// Text in lower case that stands in every spelling: what does not hold it need not be looked at closely.
    pub(super) fn needle(&self) -> String {
        let longest = |text: &String| {
            let local = text.rsplit_once('@').map_or(text.as_str(), |(local, _)| local).to_ascii_lowercase();
            let runs = local.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned);
            runs.max_by_key(String::len).unwrap_or_default()
        };
        self.whole.first().map(longest).unwrap_or_default()
    }

    /// Finds the person in octets.
    pub(super) fn finder(&self) -> Finder {
        let spellings = || self.whole.iter().chain(&self.inside);
        let pattern = spellings().map(|spelling| regex::escape(spelling)).collect::<Vec<_>>().join("|");
        let pattern = if pattern.is_empty() { "[^\\s\\S]".to_owned() } else { pattern };
        let regex = regex::bytes::RegexBuilder::new(&pattern)
            .case_insensitive(true)
            .build()
            .expect("escaped text is a pattern");
        Finder { regex, longest: spellings().map(|spelling| 2 * spelling.len()).max().unwrap_or(0) }
    }

    /// The text with `instead` in every place where the person stood; `None` where that was nowhere.
    pub(super) fn scrub(&self, text: &str, instead: &str) -> Option<String> {
        let mut scrubbed = Cow::Borrowed(text);
        for spelling in &self.whole {
            replace(&mut scrubbed, spelling, instead, whole_stands);
        }
        for spelling in &self.inside {
            replace(&mut scrubbed, spelling, instead, inside_stands);
        }
        if let Some(local_part) = &self.local_part {
            replace(&mut scrubbed, local_part, "***", word_stands);
        }
        match scrubbed {
            Cow::Owned(text) => Some(text),
            Cow::Borrowed(_) => None,
        }
    }
}

/// A search in octets, in any case. What stands around a spelling does not matter.
#[derive(Debug)]
pub(super) struct Finder {
    regex: regex::bytes::Regex,
    longest: usize,
}

impl Finder {
    /// Octets that a spelling takes at most, in any case.
    pub(super) const fn longest(&self) -> usize {
        self.longest
    }

    /// How many spellings end behind so many octets.
    pub(super) fn ends_after(&self, octets: &[u8], after: usize) -> u64 {
        self.regex.find_iter(octets).filter(|found| found.end() > after).count() as u64
    }

    /// Whether a message holds a spelling: as it is, in quoted-printable, or in base64 (RFC 2045 §6.7, §6.8).
    pub(super) fn is_in_message(&self, message: &[u8]) -> bool {
        self.regex.is_match(message)
            || self.regex.is_match(&unquoted(message))
            || base64_blocks(message).any(|block| self.regex.is_match(&block))
    }
}

/// Quoted-printable without its line ends and escapes, wherever there seem to be any.
fn unquoted(message: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.iter().position(|octet| *octet == b'=') {
        plain.extend_from_slice(&rest[..at]);
        let after = &rest[at + 1..];
        let digits = after.get(..2).and_then(|digits| data_encoding::HEXUPPER_PERMISSIVE.decode(digits).ok());
        rest = if let Some(after) = after.strip_prefix(b"\r\n").or_else(|| after.strip_prefix(b"\n")) {
            after
        } else if let Some(octet) = digits {
            plain.extend(octet);
            &after[2..]
        } else {
            plain.push(b'=');
            after
        };
    }
    plain.extend_from_slice(rest);
    plain
}

/// What lines of base64 that stand together hold.
fn base64_blocks(message: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let is_base64 = |line: &&[u8]| {
        line.len() >= 8 && line.iter().all(|octet| octet.is_ascii_alphanumeric() || b"+/=".contains(octet))
    };
    let lines: Vec<&[u8]> = message.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii).collect();
    let blocks: Vec<Vec<u8>> = lines
        .split(|line| !is_base64(line))
        .filter(|block| !block.is_empty())
        .filter_map(|block| data_encoding::BASE64.decode(&block.concat()).ok())
        .collect();
    blocks.into_iter()
}

/// Searches ignore the case of ASCII letters.
fn dedup(list: &mut Vec<String>) {
    let mut seen = std::collections::BTreeSet::new();
    list.retain(|text| seen.insert(text.to_ascii_lowercase()));
}

/// Whether a word lies between these two as itself, and not as a part of another.
type Stands = fn(&str, &str) -> bool;

fn replace(text: &mut Cow<'_, str>, word: &str, instead: &str, stands: Stands) {
    let mut from = 0;
    while let Some(at) = find(text, word, from, stands) {
        text.to_mut().replace_range(at..at + word.len(), instead);
        from = at + instead.len();
    }
}

/// Where a word stands in a text from a place on, in any case of ASCII letters, so that what is before and behind it
/// lets it stand there.
fn find(text: &str, word: &str, from: usize, stands: Stands) -> Option<usize> {
    let first = word.as_bytes().first()?;
    (from..text.len().saturating_sub(word.len() - 1)).find(|at| {
        text.as_bytes()[*at].eq_ignore_ascii_case(first)
            && text.get(*at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
            && stands(&text[..*at], &text[at + word.len()..])
    })
}

/// Another character of a word or a host name follows.
fn goes_on(behind: &str) -> bool {
    let mut next = behind.chars();
    match next.next() {
        Some('.' | '-') => next.next().is_some_and(char::is_alphanumeric),
        Some(c) => c.is_alphanumeric() || c == '_',
        None => false,
    }
}

/// `ann@x` does not stand in `joann@x`, `mary.ann@x` or `ann@x.example`; it does in `to=ann@x` and `bounces+ann=x`.
fn whole_stands(before: &str, behind: &str) -> bool {
    let longer = before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_'));
    !longer && !goes_on(behind)
}

/// `ann=x` stands in `<ann=x.4711@y>`, and not in `joann=x` or `ann=xy`.
fn inside_stands(before: &str, behind: &str) -> bool {
    let longer = before.chars().next_back().is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_'));
    !longer && !behind.chars().next().is_some_and(char::is_alphanumeric)
}

/// `ann` does not stand in `ann-marie`, `ann@other` or `#ann`.
fn word_stands(before: &str, behind: &str) -> bool {
    let longer = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '=' | '@' | '#' | '%');
    let before = before.chars().next_back().is_some_and(|c| longer(c) || c == '.');
    let next = behind.chars().next().is_some_and(longer);
    !before && !next && !goes_on(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_in_a_text_is_replaced() {
        for (text, masked) in [
            ("550 5.1.1 <Jane@Example.ORG>: no", "550 5.1.1 <[jane@example.org]>: no"),
            ("rfc822;jane@example.org, x@[192.0.2.1].", "rfc822;[jane@example.org], [x@[192.0.2.1]]."),
            (
                "\"a b\"@example.org and büro@bücher.example",
                "[\"a b\"@example.org] and [büro@xn--bcher-kva.example]",
            ),
            ("b+jane=example.org@ours.example", "[b+jane=example.org@ours.example]"),
            ("at @ home, see http://example.org/@x", "at @ home, see http:[//example.org/@x]"),
            ("no address", "no address"),
        ] {
            assert_eq!(every_address(text, |form| format!("[{form}]")), masked, "{text}");
        }
    }

    #[test]
    fn a_person_is_found_in_every_spelling() {
        let person = Person::of("Jane.Doe+tag@Bücher.example");
        for text in [
            "550 <jane.doe+tag@bücher.example> unknown",
            "JANE.DOE+TAG@xn--bcher-kva.example",
            "rfc822;jane.doe+2Btag@bücher.example",
            "jane.doe+2Btag+40xn--bcher-kva.example",
            "b-aaaa=jane.doe+tag=bücher.example@ours.example",
            "to=jane.doe+tag@bücher.example.",
            "https://x.example/?u=Jane.Doe+tag%40bücher.example",
        ] {
            let scrubbed = person.scrub(text, "[erased]").unwrap_or_else(|| panic!("{text}"));
            assert!(scrubbed.contains("[erased]") && !scrubbed.to_lowercase().contains("jane"), "{scrubbed}");
            assert!(person.is_in(text));
        }
    }

    #[test]
    fn letters_that_are_not_ascii_are_found_in_either_case() {
        let person = Person::of("jürgen@example.org");
        assert_eq!(person.scrub("<JÜRGEN@example.org>", "x").unwrap(), "<x>");
        assert!(person.finder().is_in_message("JÜRGEN@EXAMPLE.ORG".as_bytes()));
        assert!(
            "jürgen@example.org".contains(&person.needle()),
            "what is looked at closely holds it in any case"
        );
    }

    #[test]
    fn a_person_is_found_in_the_encodings_of_a_message() {
        let finder = Person::of("jane.doe@example.org").finder();
        let base64 =
            data_encoding::BASE64.encode("Dear all, Jane.Doe@example.org is gone. ".repeat(9).as_bytes());
        let lines: Vec<&str> =
            base64.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
        let base64 = format!("Subject: x\r\n\r\n{}\r\n--edge\r\n", lines.join("\r\n"));
        for message in ["to JANE.DOE@example.org", "jane.d=\r\noe=40example.=\r\norg", &base64] {
            assert!(finder.is_in_message(message.as_bytes()), "{message}");
        }
        for message in ["to jane@example.org", "jane.doe = 40 example.org", "amFuZS5kb2U=\r\n"] {
            assert!(!finder.is_in_message(message.as_bytes()), "{message}");
        }
    }

    #[test]
    fn strangers_stay_where_they_are() {
        let person = Person::of("ann@example.org");
        for text in [
            "joann@example.org",
            "mary.ann@example.org",
            "ann@example.org.uk",
            "ann@example.organic",
            "ann@example.com",
            "ann-marie, annual, #ann, ann_b",
        ] {
            assert_eq!(person.scrub(text, "[erased]"), None, "{text}");
        }
    }

    #[test]
    fn a_local_part_that_names_somebody_goes_where_it_stands_alone() {
        let person = Person::of("jane.doe@example.org");
        assert_eq!(person.scrub("5.1.1 jane.doe: unknown", "x").unwrap(), "5.1.1 ***: unknown");
        assert_eq!(person.scrub("no mailbox for Jane.Doe.", "x").unwrap(), "no mailbox for ***.");
        assert_eq!(Person::of("user@example.org").scrub("unknown user", "x"), None, "that is no name");
        assert_eq!(Person::of("x@example.org").scrub("x 5", "x"), None);
    }
}
