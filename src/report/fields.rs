//! Field groups: lines into paragraphs of fields, and the value forms they carry (RFC 3464 §2.1).
//!
//! Raw fields borrow from the part; nothing is decoded before its place is known.

use std::borrow::Cow;

use super::header::{field_name, line_end, trim_eol};
use super::mime;
use crate::address::TypedAddress;

/// Longest value kept, in bytes; what comes after is cut off.
pub const MAX_VALUE: usize = 10 * 1024;

/// Fields after which a paragraph without an empty line is handed over, at the next recipient.
const MAX_PARAGRAPH: usize = 10_000;

/// What a field is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The whole message (RFC 3464 §2.2).
    Message,
    /// Names the recipient of its group (RFC 3464 §2.3.1, §2.3.2).
    Address,
    /// Something else about a recipient (RFC 3464 §2.3.3 to §2.3.9).
    Recipient,
    /// No field of RFC 3464 (§2.2.6, §2.3.10).
    Extension,
}

/// The role of a field name, in any case.
#[must_use]
pub fn role(name: &str) -> Role {
    const NAMES: [(&str, Role); 14] = [
        ("original-envelope-id", Role::Message),
        ("reporting-mta", Role::Message),
        ("dsn-gateway", Role::Message),
        ("received-from-mta", Role::Message),
        ("arrival-date", Role::Message),
        ("original-recipient", Role::Address),
        ("final-recipient", Role::Address),
        ("action", Role::Recipient),
        ("status", Role::Recipient),
        ("remote-mta", Role::Recipient),
        ("diagnostic-code", Role::Recipient),
        ("last-attempt-date", Role::Recipient),
        ("final-log-id", Role::Recipient),
        ("will-retry-until", Role::Recipient),
    ];
    NAMES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map_or(Role::Extension, |(_, role)| *role)
}

/// A field as it stands in the part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawField<'a> {
    /// The name as it came.
    pub name: &'a str,
    /// What the name stands for.
    pub role: Role,
    /// Everything after the colon, folded lines included.
    pub raw: &'a [u8],
}

impl RawField<'_> {
    /// The value: unfolded to one line, 8-bit bytes read as UTF-8 or else Latin-1, encoded words decoded; those
    /// in an address stay, since an address is evidence of what the reporting MTA tried ([`decoded`] reads it).
    /// The second value says that it was longer than [`MAX_VALUE`] and cut.
    #[must_use]
    pub fn value(&self) -> (String, bool) {
        let raw = &self.raw[..self.raw.len().min(4 * MAX_VALUE)];
        let mut value =
            if self.role == Role::Address { mime::unfolded(raw) } else { mime::unstructured(raw) };
        let long = value.len() > MAX_VALUE || self.raw.len() > 4 * MAX_VALUE;
        mime::cut_to(&mut value, MAX_VALUE);
        (value, long)
    }
}

/// The paragraphs of a delivery-status body, one at a time (RFC 3464 §2.1: groups stand apart by empty lines).
///
/// A line that is no field and not folded belongs to the field before it: replies of several lines come like
/// that, even with an empty line in the middle.
#[derive(Debug)]
pub struct Paragraphs<'a> {
    body: &'a [u8],
    at: usize,
    /// How far the first field is indented; only what is indented more is folded.
    indent: Option<usize>,
}

impl<'a> Paragraphs<'a> {
    /// Starts at the beginning of a decoded body.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0, indent: None }
    }

    fn field_at(
        &self,
        line: &'a [u8],
        after: Option<&str>,
        after_blank: bool,
    ) -> Option<(RawField<'a>, usize)> {
        let indent = line.len() - line.trim_ascii_start().len();
        let (name, colon) = field_name(&line[indent..])?;
        let role = role(name);
        // RFC 5322 §2.2.3: an indented line is folded; only an empty line before it, or a body indented as a
        // whole, makes it a field.
        let folded =
            self.indent.is_some_and(|usual| indent > usual) && !(after_blank && role != Role::Extension);
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_name = name.as_bytes()[0].is_ascii_alphabetic() && name.bytes().all(word);
        let value = &line[indent + colon + 1..];
        // "Error: …" and "https://…" after a diagnostic are its next line, not a field.
        let reply_text = role == Role::Extension
            && (value.starts_with(b"//")
                || (!name.contains('-')
                    && after.is_some_and(|name| name.eq_ignore_ascii_case("diagnostic-code"))));
        (is_name && !folded && !reply_text)
            .then_some((RawField { name, role, raw: value }, indent + colon + 1))
    }
}

impl<'a> Iterator for Paragraphs<'a> {
    type Item = Vec<RawField<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut fields: Vec<RawField<'a>> = Vec::new();
        let (mut value_start, mut blank) = (0, false);
        while self.at < self.body.len() {
            let start = self.at;
            let end = line_end(self.body, start);
            let line = trim_eol(&self.body[start..end]);
            if line.trim_ascii().is_empty() {
                blank = true; // whether it ends the paragraph depends on the next line
                self.at = end;
                continue;
            }
            let last = fields.last().map(|field| field.name);
            if let Some((field, offset)) = self.field_at(line, last, blank) {
                if !fields.is_empty() && (blank || Self::is_full(&fields, field.role)) {
                    return Some(fields);
                }
                self.indent.get_or_insert(line.len() - line.trim_ascii_start().len());
                value_start = start + offset;
                fields.push(field);
            } else if let Some(field) = fields.last_mut()
                && (!blank
                    || line[0].is_ascii_whitespace()
                    || field.name.eq_ignore_ascii_case("diagnostic-code"))
            {
                field.raw = trim_eol(&self.body[value_start..end]);
            }
            // Anything else is text that belongs to nothing.
            blank = false;
            self.at = end;
        }
        (!fields.is_empty()).then_some(fields)
    }
}

impl Paragraphs<'_> {
    fn is_full(fields: &[RawField<'_>], next: Role) -> bool {
        fields.len() >= 10 * MAX_PARAGRAPH
            || (fields.len() >= MAX_PARAGRAPH
                && next == Role::Address
                && fields.last().is_some_and(|field| field.role != Role::Address))
    }
}

/// Whether a text begins like a delivery-status body: with a field of RFC 3464 that names an MTA or a
/// recipient, and with a recipient near.
#[must_use]
pub fn looks_like_delivery_status(body: &[u8]) -> bool {
    let start = &body[..body.len().min(16 * 1024)];
    let Some(first) = Paragraphs::new(start).next().and_then(|fields| fields.first().copied()) else {
        return false;
    };
    let begins = start.trim_ascii_start().starts_with(first.name.as_bytes());
    begins
        && first.role != Role::Extension
        && Paragraphs::new(start)
            .flatten()
            .any(|field| field.role == Role::Address && !field.raw.trim_ascii().is_empty())
}

/// An address with the encoded words in it decoded, which no address should have (RFC 2047 §5) and some do.
#[must_use]
pub fn decoded(address: &str) -> Cow<'_, str> {
    mime::decode_words(address)
}

/// Takes comments off a value (RFC 822 §3.4.3): `(…)`, also nested, not inside quotes.
#[must_use]
pub fn without_comments(value: &str) -> Cow<'_, str> {
    if !value.contains('(') {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for c in value.chars() {
        let special = !std::mem::take(&mut escaped);
        match c {
            '\\' if special => escaped = true,
            '"' if special && depth == 0 => quoted = !quoted,
            '(' if special && !quoted => depth += 1,
            ')' if special && depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Splits `type; value` (RFC 3464 §2.1.2); the type comes in lower case. No semicolon, or none that a type
/// stands before: no type.
#[must_use]
pub fn typed(value: &str) -> (Option<String>, &str) {
    let is_type = |text: &str| {
        !text.is_empty()
            && text.len() <= 40
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/'))
    };
    if let Some((kind, rest)) = value.split_once(';') {
        let bare = without_comments(kind);
        let bare = bare.trim();
        if is_type(bare) {
            return (Some(bare.to_ascii_lowercase()), rest.trim());
        }
        if bare.is_empty() {
            return (None, rest.trim());
        }
    }
    // "rfc822: a@b" is a slip of the pen for a semicolon.
    match value.split_once(':') {
        Some((kind, rest))
            if ["rfc822", "utf-8"].iter().any(|known| known.eq_ignore_ascii_case(kind.trim())) =>
        {
            (Some(kind.trim().to_ascii_lowercase()), rest.trim())
        }
        _ => (None, value.trim()),
    }
}

/// Reads a recipient's address (RFC 3464 §2.3.1): type split off, comments and angle brackets gone, `\x{…}` of
/// the type `utf-8` put back (RFC 6533 §3). Empty: none.
#[must_use]
pub fn address(value: &str) -> Option<TypedAddress> {
    let (kind, rest) = typed(value);
    if kind.as_deref() == Some("x400") {
        // RFC 2156 addresses have parentheses and angle brackets of their own.
        return (!rest.is_empty()).then(|| TypedAddress { kind, value: rest.to_owned() });
    }
    let bare = without_comments(rest);
    let mut address = in_angle_brackets(&bare).trim().to_owned();
    if kind.as_deref() == Some("utf-8") {
        address = unescape_utf8(&address);
    }
    (!address.is_empty()).then_some(TypedAddress { kind, value: address })
}

/// Reads an MTA name (RFC 3464 §2.2.2): type split off, comments gone. Empty: none.
#[must_use]
pub fn mta(value: &str) -> Option<TypedAddress> {
    let (kind, rest) = typed(value);
    let bare = without_comments(rest);
    let name = bare.trim();
    (!name.is_empty()).then(|| TypedAddress { kind, value: name.to_owned() })
}

/// What stands between the first `<` and the next `>`, both outside quotes, else everything.
fn in_angle_brackets(text: &str) -> &str {
    let find = |text: &str, wanted: char| {
        let mut quoted = false;
        text.char_indices().find_map(|(at, c)| {
            quoted ^= c == '"';
            (c == wanted && !quoted).then_some(at)
        })
    };
    match find(text, '<') {
        Some(at) => {
            let inner = text[at + 1..].trim_start_matches('<'); // "<<a@b>>" and "<a@b> <c@d>"
            find(inner, '>').map_or(inner, |end| &inner[..end])
        }
        None => text.trim_end().trim_end_matches('>'),
    }
}

/// Undoes `\x{HHHH}` (RFC 6533 §3, EmbeddedUnicodeChar).
fn unescape_utf8(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\x{") {
        out.push_str(&rest[..at]);
        let after = &rest[at + 3..];
        // RFC 6533 §3: two to six hexadecimal digits
        let decoded = after
            .bytes()
            .take(7)
            .position(|byte| byte == b'}')
            .and_then(|end| Some((char::from_u32(u32::from_str_radix(&after[..end], 16).ok()?)?, end)));
        match decoded {
            Some((c, end)) if !c.is_control() => {
                out.push(c);
                rest = &after[end + 1..];
            }
            _ => {
                out.push_str("\\x{");
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Vec<Vec<(String, String)>> {
        let field = |field: &RawField<'_>| (field.name.to_owned(), field.value().0);
        Paragraphs::new(body.as_bytes()).map(|fields| fields.iter().map(field).collect()).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_body_indented_as_a_whole_has_fields_all_the_same() {
        let groups = read("  Reporting-MTA: dns; mx\n\n  Final-Recipient: a@b\n     (c)\n  Action: failed\n");
        assert_eq!(
            groups,
            [
                vec![pair("Reporting-MTA", "dns; mx")],
                vec![pair("Final-Recipient", "a@b (c)"), pair("Action", "failed")]
            ]
        );
    }

    #[test]
    fn a_folded_line_that_looks_like_a_field_is_none() {
        let groups = read("Diagnostic-Code: smtp; 550\n Status: 5.1.1 is what they said\nStatus: 5.0.0\n");
        assert_eq!(groups[0].len(), 2);
        assert_eq!(groups[0][0].1, "smtp; 550 Status: 5.1.1 is what they said");
    }

    #[test]
    fn types_are_split_off_where_there_are_types() {
        for (value, kind, rest) in [
            ("rfc822; a@b", Some("rfc822"), "a@b"),
            ("RFC822;a@b", Some("rfc822"), "a@b"),
            ("rfc/822;a@b", Some("rfc/822"), "a@b"),
            ("rfc822: a@b", Some("rfc822"), "a@b"),
            ("smtp (why not) ; 550 x", Some("smtp"), "550 x"),
            ("; a@b", None, "a@b"),
            ("550 5.1.1; no", None, "550 5.1.1; no"),
            ("a@b;c", None, "a@b;c"),
            ("", None, ""),
        ] {
            assert_eq!(typed(value), (kind.map(str::to_owned), rest), "{value}");
        }
    }

    #[test]
    fn addresses_come_out_of_their_wrapping() {
        for (value, read) in [
            ("rfc822; <a@b.example>", "a@b.example"),
            ("rfc822; <a@b.example> (expanded from <c@d.example>)", "a@b.example"),
            ("rfc822; a@b.example>", "a@b.example"),
            ("rfc822; Dora <a@b.example>", "a@b.example"),
            ("rfc822; <<a@b.example>>", "a@b.example"),
            ("rfc822; \"a<(b\"@c.example", "\"a<(b\"@c.example"),
            ("rfc822; <\"a> (b\"@c.example> (c)", "\"a> (b\"@c.example"),
            ("rfc822; a(one(two)\\))@b.example", "a@b.example"),
            ("rfc822; a@b.example (open", "a@b.example"),
            ("utf-8; j\\x{FC}rgen@\\x{00fc}.example", "jürgen@ü.example"),
            ("utf-8; \\x{110000}\\x{zz}\\x{A}@b", "\\x{110000}\\x{zz}\\x{A}@b"),
            ("x400; /S=a (b)/C=DE/", "/S=a (b)/C=DE/"),
        ] {
            assert_eq!(address(value).map(|address| address.value).as_deref(), Some(read), "{value}");
        }
        for value in ["", "rfc822;", "rfc822; <>", "(nobody)"] {
            assert_eq!(address(value), None, "{value}");
        }
    }
}
