//! Mail addresses: what SMTP commands and report fields carry, and the one form they are compared in.
//!
//! Layer 0: no I/O, no other module of the crate. Parsing here is lenient where the field is: it takes
//! what MTAs send and keeps it, and leaves judging it to the caller.

use std::borrow::Cow;
use std::fmt;

/// Longest local part in octets (RFC 5321 §4.5.3.1.1).
pub const MAX_LOCAL_PART: usize = 64;

/// Longest domain in octets (RFC 5321 §4.5.3.1.2).
pub const MAX_DOMAIN: usize = 255;

/// A mailbox, `local-part@domain`, as it was written (RFC 5321 §4.1.2, RFC 6531 §3.3).
///
/// The local part is kept without the quotes of a quoted string, so `"john doe"@example.com` has the local
/// part `john doe`; [`fmt::Display`] puts them back where they are needed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    local_part: String,
    domain: String,
}

/// Why a text is no mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@` outside a quoted string.
    #[error("no \"@\" in the address")]
    NoAt,
    /// Nothing stands before the `@`.
    #[error("nothing before the \"@\"")]
    EmptyLocalPart,
    /// Nothing stands after the `@`, or it is no host name.
    #[error("no valid domain after the \"@\"")]
    BadDomain,
    /// White space, control characters or an unclosed quote.
    #[error("a character that no address has")]
    BadCharacter,
    /// Longer than SMTP can carry.
    #[error("longer than an address can be (64 octets before the \"@\", 255 after it)")]
    TooLong,
}

impl Mailbox {
    /// Builds a mailbox from its two halves; `local_part` is the content, without quotes.
    ///
    /// # Errors
    /// [`AddressError`] when a half is empty, too long, or holds what no address can hold.
    pub fn new(local_part: &str, domain: &str) -> Result<Self, AddressError> {
        if local_part.is_empty() {
            return Err(AddressError::EmptyLocalPart);
        }
        if local_part.chars().any(|c| c.is_control()) {
            return Err(AddressError::BadCharacter);
        }
        if local_part.len() > MAX_LOCAL_PART || domain.len() > MAX_DOMAIN {
            return Err(AddressError::TooLong);
        }
        if !is_domain(domain) {
            return Err(AddressError::BadDomain);
        }
        Ok(Self { local_part: local_part.to_owned(), domain: domain.to_owned() })
    }

    /// Parses `local-part@domain`; surrounding white space, one pair of angle brackets and a source route
    /// (`<@relay:user@host>`, RFC 5321 §4.1.2) are taken off.
    ///
    /// # Errors
    /// [`AddressError`], naming what is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let mut text = text.trim();
        if let Some(inner) = text.strip_prefix('<') {
            text = inner.strip_suffix('>').ok_or(AddressError::BadCharacter)?.trim();
        }
        if text.starts_with('@') {
            let (_, rest) = text.split_once(':').ok_or(AddressError::EmptyLocalPart)?; // RFC 5321 §4.1.1.3
            text = rest;
        }
        let (local_part, domain) = split_at_sign(text)?;
        Self::new(&local_part, domain)
    }

    /// The local part, without quotes, in the case it came in.
    #[must_use]
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// The domain as it came, in either its A-label or its U-label form.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The domain in lower case and A-labels.
    #[must_use]
    pub fn domain_key(&self) -> String {
        domain_key(&self.domain)
    }

    /// The form in which two addresses are the same: domain lower-cased and in A-labels, local part
    /// lower-cased but for symbols that look like letters, nothing removed. Dots and `+tags` stay: merging strangers is worse than missing a twin.
    #[must_use]
    pub fn comparison_form(&self) -> String {
        let local = lower(&self.local_part);
        format!("{}@{}", quoted_if_needed(&local), self.domain_key())
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", quoted_if_needed(&self.local_part), self.domain)
    }
}

/// The comparison form of any text that stands for a recipient; what is no mailbox (`x400;…`, a bare user
/// name) is taken out of its angle brackets and lower-cased, so that it still equals itself. The form of a form
/// is the same.
///
/// ```
/// assert_eq!(dsnd::address::comparison_form(" <User+Tag@BÜCHER.example> "), "user+tag@xn--bcher-kva.example");
/// ```
#[must_use]
pub fn comparison_form(text: &str) -> String {
    if let Ok(mailbox) = Mailbox::parse(text) {
        return mailbox.comparison_form();
    }
    let outside = |bracket: char| move |c: char| c == bracket || c.is_whitespace();
    let bare = text.trim_start_matches(outside('<')).trim_end_matches(outside('>'));
    let bare = lower(bare);
    // Without what stood around it, or in fewer octets, it may be a mailbox.
    Mailbox::parse(&bare).map_or(bare, |mailbox| mailbox.comparison_form())
}

/// Symbols that look like letters: ϴ, Ω (ohm), K (kelvin) and Å (ångström). In lower case they are θ, ω, k and å, as Θ,
/// Ω, K and Å are.
const SYMBOLS: [char; 4] = ['\u{03f4}', '\u{2126}', '\u{212a}', '\u{212b}'];

/// A text in lower case but for its [`SYMBOLS`]. Folded, they would make one address of two that different people can
/// have: who gets mail sent to `\u{212a}ate@example.com` would have `kate@example.com` suppressed.
pub(crate) fn lower(text: &str) -> String {
    let mut lower = String::with_capacity(text.len());
    for piece in text.split_inclusive(SYMBOLS) {
        let letters = piece.trim_end_matches(SYMBOLS);
        lower.push_str(&letters.to_lowercase());
        lower.push_str(&piece[letters.len()..]);
    }
    lower
}

/// A text in lower case, every character where it was: one whose lower case has another length stays.
pub(crate) fn lower_case(text: &str) -> String {
    let lower_char = |c: char| {
        let mut lower = c.to_lowercase();
        match (lower.next(), lower.next()) {
            (Some(lower), None) if lower.len_utf8() == c.len_utf8() => lower,
            _ => c,
        }
    };
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.chars().map(lower_char).collect() }
}

/// A domain in lower case and A-labels; one that IDNA refuses, or makes something of that is no domain (a
/// full-width `＠` becomes `@`), is lower-cased only. A trailing dot goes.
#[must_use]
pub fn domain_key(domain: &str) -> String {
    let domain = domain.trim_end_matches('.');
    if domain.starts_with('[') {
        return domain.to_lowercase();
    }
    let labels = idna::domain_to_ascii(domain).ok();
    // U+3002 is a dot, too, once it is in A-labels.
    let labels = labels.as_deref().map(|labels| labels.trim_end_matches('.'));
    labels.filter(|labels| is_domain(labels)).map_or_else(|| domain.to_lowercase(), str::to_owned)
}

/// The domain of an address in its comparison form: what stands after the last `@`, or nothing.
#[must_use]
pub fn domain_of(comparison_form: &str) -> Option<&str> {
    comparison_form.rsplit_once('@').map(|(_, domain)| domain).filter(|domain| !domain.is_empty())
}

/// A host's name as it is counted and compared: without what stands behind it, without a dot at its end, in lower
/// case.
#[must_use]
pub fn host_name(mta: &str) -> Option<String> {
    let name = mta.split_whitespace().next()?.trim_end_matches('.').to_lowercase();
    Some(name).filter(|name| !name.is_empty() && name.len() <= 255)
}

/// The argument of `MAIL FROM` (RFC 5321 §4.1.1.2): where a report about this message would go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`, what every well-behaved bounce carries (RFC 5321 §4.5.5).
    Null,
    /// A mailbox.
    Mailbox(Mailbox),
    /// Something in angle brackets that is no mailbox (`<MAILER-DAEMON>`); bounces carry such, and a
    /// receiver that never answers with mail has no need to refuse it.
    Other(String),
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// The argument of `RCPT TO` (RFC 5321 §4.1.1.3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain, which every host takes (RFC 5321 §4.5.1).
    Postmaster,
    /// A mailbox.
    Mailbox(Mailbox),
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postmaster => f.write_str("postmaster"),
            Self::Mailbox(mailbox) => mailbox.fmt(f),
        }
    }
}

/// A value with its type, `type; value`, as report fields carry addresses and MTA names
/// (RFC 3464 §2.1.2, §2.3.1): `rfc822; user@example.com`, `dns; mx.example.com`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TypedAddress {
    /// The type in lower case; `None` where the field has none.
    pub kind: Option<String>,
    /// The value, trimmed, comments and angle brackets of an address still as the reader left them.
    pub value: String,
}

impl TypedAddress {
    /// The value as a mailbox, if it is one. xtext in the local part stays encoded (RFC 3461 §4).
    #[must_use]
    pub fn mailbox(&self) -> Option<Mailbox> {
        Mailbox::parse(&self.value).ok()
    }
}

impl fmt::Display for TypedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Some(kind) => write!(f, "{kind}; {}", self.value),
            None => f.write_str(&self.value),
        }
    }
}

/// The words of a text that have an `@` in them, with what stands around addresses taken off: white space, brackets,
/// quotes, commas. A quoted local part (RFC 5321 §4.1.2) is one word with its domain: `"john doe"@example.com`.
pub fn words_with_at(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches(|c: char| c != '"' && stands_around(c));
            if rest.is_empty() {
                return None;
            }
            let local_part = quoted_local_part(rest).unwrap_or(0);
            if local_part == 0 && rest.starts_with('"') {
                rest = &rest[1..];
                continue;
            }
            let end = rest[local_part..].find(stands_around).map_or(rest.len(), |end| local_part + end);
            let word;
            (word, rest) = rest.split_at(end);
            if word.contains('@') {
                return Some(word);
            }
        }
    })
}

/// The length of the quoted local part that a text begins with, if an `@` follows it.
#[must_use]
pub fn quoted_local_part(text: &str) -> Option<usize> {
    let mut escaped = false;
    // Each of its characters may have a backslash before it.
    for (at, c) in text.strip_prefix('"')?.char_indices().take_while(|(at, _)| *at <= 2 * MAX_LOCAL_PART) {
        match c {
            _ if std::mem::take(&mut escaped) => {}
            '\\' => escaped = true,
            '"' => return (at > 0 && text[at + 2..].starts_with('@')).then_some(at + 2),
            c if c.is_control() => return None,
            _ => {}
        }
    }
    None
}

/// What no address has but in quotes, and texts put around addresses.
fn stands_around(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | '"' | '\'' | '|')
        || matches!(c, '“' | '”' | '‘' | '’' | '«' | '»' | '、' | '。' | '：' | '（' | '）' | '「' | '」')
}

/// Splits at the `@` that ends the local part, taking quotes off it.
fn split_at_sign(text: &str) -> Result<(Cow<'_, str>, &str), AddressError> {
    if let Some(rest) = text.strip_prefix('"') {
        let mut content = String::new();
        let mut chars = rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => content.push(chars.next().ok_or(AddressError::BadCharacter)?.1),
                '"' => {
                    let domain = rest[at + 1..].strip_prefix('@').ok_or(AddressError::NoAt)?;
                    return Ok((Cow::Owned(content), domain));
                }
                other => content.push(other),
            }
        }
        return Err(AddressError::BadCharacter);
    }
    let (local_part, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
    if local_part.chars().any(|c| c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';' | '"' | '(' | ')')) {
        return Err(AddressError::BadCharacter);
    }
    Ok((Cow::Borrowed(local_part), domain))
}

/// Host names as the field has them: letters, digits, `-`, `_`, UTF-8, dots between; or a literal in `[]`.
fn is_domain(domain: &str) -> bool {
    if let Some(literal) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return !literal.is_empty()
            && literal.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-'));
    }
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    !domain.is_empty()
        && domain.split('.').all(|label| {
            !label.is_empty()
                && label.chars().all(|c| {
                    c.is_ascii_alphanumeric()
                        || matches!(c, '-' | '_')
                        || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
                })
        })
}

/// A local part as it may stand in an address: a dot-string, or quoted (RFC 5321 §4.1.2).
fn quoted_if_needed(local_part: &str) -> Cow<'_, str> {
    let atom = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let plain = !local_part.is_empty() && local_part.chars().all(|c| atom(c) && !c.is_whitespace());
    if plain {
        return Cow::Borrowed(local_part);
    }
    let mut out = String::with_capacity(local_part.len() + 2);
    out.push('"');
    for c in local_part.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    Cow::Owned(out)
}

/// Whether a character moves a terminal's cursor, ends a line, or turns the order in which text is shown: with
/// the latter one address can be made to look like another.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_spellings_of_one_mailbox_compare_equal() {
        for (left, right) in [
            ("User@Example.COM", "user@example.com"),
            ("user@bücher.example", "user@XN--BCHER-KVA.example"),
            ("\"user\"@example.com", "user@example.com"),
            ("<user@example.com>", " user@example.com "),
            ("<@relay.example:user@example.com>", "user@example.com"),
            ("user@example.com.", "user@example.com"),
        ] {
            assert_eq!(comparison_form(left), comparison_form(right), "{left} and {right}");
        }
    }

    #[test]
    fn a_form_does_not_change_when_it_is_compared_again() {
        for (text, form) in [
            ("> >", ""),
            ("< <User", "user"),
            ("<<user@BÜCHER.example>>", "user@xn--bcher-kva.example"),
            ("user@example。", "user@example"),
            ("user@a＠b.example", "user@a＠b.example"),
        ] {
            assert_eq!(comparison_form(text), form, "{text}");
            assert_eq!(comparison_form(form), form, "{text}");
        }
    }

    #[test]
    fn strangers_are_not_merged() {
        for (left, right) in [
            ("user+tag@example.com", "user@example.com"),
            ("first.last@example.com", "firstlast@example.com"),
            ("user@mail.example.com", "user@example.com"),
            ("\"a b\"@example.com", "ab@example.com"),
            ("\u{212a}ate@example.com", "kate@example.com"),
            ("\u{212b}sa@example.com", "åsa@example.com"),
            ("\u{2126}@example.com", "ω@example.com"),
            ("\u{03f4}@example.com", "θ@example.com"),
            ("<\u{212a}", "<k"),
        ] {
            assert_ne!(comparison_form(left), comparison_form(right), "{left} and {right}");
        }
    }

    #[test]
    fn two_letters_are_folded_to_one_only_where_they_are_its_forms() {
        let letters = || ('\0'..=char::MAX).filter(|c| c.is_alphabetic());
        let mut forms = std::collections::HashMap::<String, Vec<char>>::new();
        for c in letters().filter(|c| lower(&c.to_string()) != c.to_string()) {
            forms.entry(lower(&c.to_string())).or_default().push(c);
        }
        let several: Vec<String> =
            forms.into_values().filter(|all| all.len() > 1).map(String::from_iter).collect();
        // A digraph has a form for the start of a word, beside that in capitals: ǅ, ǈ, ǋ, ǲ.
        assert!(
            several.iter().all(|all| ["ǄǅǇǈǊǋǱǲ"].iter().any(|digraphs| digraphs.contains(all.as_str()))),
            "{several:?}"
        );
        assert!(letters().filter(|c| !c.is_ascii()).all(|c| !lower(&c.to_string()).is_ascii()));
    }

    #[test]
    fn what_is_no_mailbox_is_named() {
        for (text, error) in [
            ("", AddressError::NoAt),
            ("user", AddressError::NoAt),
            ("@example.com", AddressError::EmptyLocalPart),
            ("user@", AddressError::BadDomain),
            ("user@exa mple.com", AddressError::BadDomain),
            ("us er@example.com", AddressError::BadCharacter),
            ("\"open@example.com", AddressError::BadCharacter),
            ("<user@example.com", AddressError::BadCharacter),
        ] {
            assert_eq!(Mailbox::parse(text), Err(error), "{text:?}");
        }
        let long = format!("{}@example.com", "x".repeat(65));
        assert_eq!(Mailbox::parse(&long), Err(AddressError::TooLong));
    }

    #[test]
    fn addresses_are_words_of_a_text_also_with_a_quoted_local_part() {
        for (text, words) in [
            ("<a@x.example>, b@x.example; (c@x.example)", vec!["a@x.example", "b@x.example", "c@x.example"]),
            ("to <\"odd name\"@x.example>: no", vec!["\"odd name\"@x.example"]),
            (r#"SMTP:"a \"b\" c"@x.example."#, vec![r#""a \"b\" c"@x.example."#]),
            ("\"Dora, who\" <dora@x.example>", vec!["dora@x.example"]),
            ("\"a@x.example\": gone", vec!["a@x.example"]),
            ("\"open a@x.example", vec!["a@x.example"]),
            ("\"\"@x.example", vec!["@x.example"]),
            ("no address", vec![]),
            ("\"", vec![]),
        ] {
            assert_eq!(words_with_at(text).collect::<Vec<_>>(), words, "{text}");
        }
    }

    #[test]
    fn a_quoted_local_part_keeps_its_quotes_when_written() {
        let mailbox = Mailbox::parse(r#""john \"q\" doe"@example.com"#).unwrap();
        assert_eq!(mailbox.local_part(), r#"john "q" doe"#);
        assert_eq!(mailbox.to_string(), r#""john \"q\" doe"@example.com"#);
        assert_eq!(Mailbox::parse(&mailbox.to_string()).unwrap(), mailbox);
    }

    proptest::proptest! {
        #[test]
        fn the_comparison_form_is_a_fixed_point(text in "\\PC{0,80}") {
            let once = comparison_form(&text);
            proptest::prop_assert_eq!(comparison_form(&once), once);
        }

        #[test]
        fn writing_and_parsing_a_mailbox_gives_it_back(local in "[ -~]{1,20}", domain in "[a-z]{1,8}\\.[a-z]{2,4}") {
            let mailbox = Mailbox::new(&local, &domain).unwrap();
            proptest::prop_assert_eq!(Mailbox::parse(&mailbox.to_string()).unwrap(), mailbox);
        }
    }
}
