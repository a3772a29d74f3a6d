//! The one file that touches the MIME crate: fields, encodings and character sets of one entity.
//!
//! `mail-parser` decodes; it is never given a whole message. Its `Message` holds nested messages by value and
//! drops them recursively: 10,000 `message/rfc822` headers in a row (300 KB) overflow a stack of 2 MiB in the dev
//! profile, 40,000 in release. Where
//! parts begin and end is therefore decided in `report/parts.rs`, and each decoder here gets input cut to a
//! size at which its worst case is cheap.

use std::borrow::Cow;

use jiff::Timestamp;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::html::html_to_text;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::parsers::MessageStream;
use mail_parser::{Address, DateTime, HeaderValue};
use memchr::{memchr2, memmem};

use crate::address::quoted_local_part;

/// Longest text for people that a report keeps, in bytes of UTF-8.
pub const MAX_TEXT: usize = 64 * 1024;

/// How much of a `Content-Type` field is read. The crate's parameter lists cost their length squared.
const MAX_CONTENT_TYPE: usize = 2 * 1024;

/// How much of any other header field is read.
const MAX_FIELD: usize = 64 * 1024;

/// Most addresses taken from one field.
const MAX_ADDRESSES: usize = 1_000;

/// What `Content-Type` says (RFC 2045 §5), as far as reports need it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ContentType {
    /// `type/subtype` in lower case; empty where the field is missing or unreadable.
    pub(super) essence: String,
    /// The boundary parameter (RFC 2046 §5.1.1).
    pub(super) boundary: Option<String>,
    /// The charset parameter.
    pub(super) charset: Option<String>,
    /// The report-type parameter in lower case (RFC 6522 §3).
    pub(super) report_type: Option<String>,
}

/// Content-Transfer-Encoding (RFC 2045 §6), as far as it changes bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Encoding {
    /// `7bit`, `8bit`, `binary`, missing or unknown.
    #[default]
    Identity,
    /// `base64`.
    Base64,
    /// `quoted-printable`.
    QuotedPrintable,
}

/// Reads a raw `Content-Type` value.
pub(super) fn content_type(raw: &[u8]) -> ContentType {
    let mut field = terminated(raw, MAX_CONTENT_TYPE);
    if memmem::find_iter(&field, b"=?").count() > 4 {
        neutralise_encoded_words(&mut field);
    }
    let HeaderValue::ContentType(parsed) = MessageStream::new(&field).parse_content_type() else {
        return ContentType::default();
    };
    // Without the semicolon after it, the parameters run into the subtype.
    let subtype = parsed.subtype().unwrap_or_default().split([' ', '\t', '=']).next().unwrap_or_default();
    let parameter = |name: &str| parsed.attribute(name).map(|value| value.trim().to_owned());
    ContentType {
        essence: format!("{}/{}", parsed.ctype(), subtype).to_ascii_lowercase(),
        boundary: parameter("boundary").filter(|boundary| !boundary.is_empty()),
        charset: parameter("charset"),
        report_type: parameter("report-type").map(|kind| kind.to_ascii_lowercase()),
    }
}

/// Reads a raw `Content-Transfer-Encoding` value.
pub(super) fn encoding(raw: &[u8]) -> Encoding {
    let value = raw.trim_ascii();
    let is = |name: &[u8]| value.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    if is(b"base64") {
        Encoding::Base64
    } else if is(b"quoted-printable") {
        Encoding::QuotedPrintable
    } else {
        Encoding::Identity
    }
}

/// Undoes a transfer encoding. At most `limit` encoded bytes are looked at; what cannot be decoded stays as it
/// is, and the second value says so.
pub(super) fn decode(body: &[u8], encoding: Encoding, limit: usize) -> (Cow<'_, [u8]>, bool) {
    let cut = &body[..body.len().min(limit)];
    match encoding {
        Encoding::Identity => (Cow::Borrowed(cut), true),
        Encoding::Base64 => match base64_decode(cut) {
            Some(decoded) => (Cow::Owned(decoded), true),
            None => base64_salvage(cut),
        },
        Encoding::QuotedPrintable => match quoted_printable_decode(cut) {
            Some(decoded) => (Cow::Owned(decoded), true),
            None => (Cow::Owned(quoted_printable_salvage(cut)), false),
        },
    }
}

/// Base64 with foreign characters in it: they are ignored (RFC 2045 §6.8), unless the first line shows that
/// nothing was encoded in the first place.
fn base64_salvage(body: &[u8]) -> (Cow<'_, [u8]>, bool) {
    let foreign = |byte: u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    let body_start = body.trim_ascii_start();
    let first_line = body_start.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    if first_line.iter().any(|&byte| foreign(byte)) {
        return (Cow::Borrowed(body), false);
    }
    let kept: Vec<u8> = body.iter().copied().filter(|&byte| !foreign(byte)).collect();
    base64_decode(&kept).map_or((Cow::Borrowed(body), false), |decoded| (Cow::Owned(decoded), false))
}

/// Quoted-printable line by line: a line that is none stays as it is (RFC 2045 §6.7, note 4).
fn quoted_printable_salvage(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        match quoted_printable_decode(line) {
            Some(decoded) => out.extend_from_slice(&decoded),
            None => out.extend_from_slice(line),
        }
    }
    out
}

/// Decodes the text of one part: transfer encoding, character set, and HTML to plain text; at most
/// [`MAX_TEXT`] bytes of it.
pub(super) fn text(body: &[u8], encoding: Encoding, content_type: &ContentType) -> String {
    let html = content_type.essence == "text/html";
    let wanted = if html { 8 * MAX_TEXT } else { MAX_TEXT };
    let (bytes, _) = decode(body, encoding, wanted.saturating_mul(4));
    let bytes = &bytes[..bytes.len().min(wanted)];
    let mut text = in_charset(bytes, content_type.charset.as_deref());
    if html {
        text = html_to_text(&text);
    }
    cut_to(&mut text, MAX_TEXT);
    text
}

/// A text with LF for CRLF.
pub(super) fn with_lf(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut start = 0;
    for at in memmem::find_iter(text.as_bytes(), b"\r\n") {
        out.push_str(&text[start..at]);
        start = at + 1;
    }
    out.push_str(&text[start..]);
    out
}

/// Shortens a text to at most `limit` bytes, between two characters.
pub(super) fn cut_to(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
    }
}

fn in_charset(bytes: &[u8], charset: Option<&str>) -> String {
    let charset = charset.unwrap_or("us-ascii").to_ascii_lowercase();
    match (charset.as_str(), charset_decoder(charset.as_bytes())) {
        ("us-ascii" | "ascii" | "", _) | (_, None) => lenient_text(bytes).into_owned(),
        (_, Some(decoder)) => decoder(bytes),
    }
}

/// Bytes of unknown charset as text: UTF-8, else Latin-1 (as Windows-1252, its superset in the field).
pub(super) fn lenient_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        // Cut in the middle of the last character: still UTF-8.
        Err(error) if error.error_len().is_none() => String::from_utf8_lossy(&bytes[..error.valid_up_to()]),
        Err(_) => match charset_decoder(b"windows-1252") {
            Some(decoder) => Cow::Owned(by_runs(bytes, decoder)),
            None => String::from_utf8_lossy(bytes),
        },
    }
}

/// Text in a charset of one byte a character that has ASCII in it; the decoder sees what is no ASCII.
fn by_runs(bytes: &[u8], decoder: fn(&[u8]) -> String) -> String {
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
    for run in bytes.chunk_by(|a, b| a.is_ascii() == b.is_ascii()) {
        match run[0].is_ascii() {
            true => text.push_str(std::str::from_utf8(run).unwrap_or_default()),
            false => text.push_str(&decoder(run)),
        }
    }
    text
}

/// Decodes encoded words wherever they stand (RFC 2047 §2, §6.2); everything else stays as it is.
pub(super) fn decode_words(text: &str) -> Cow<'_, str> {
    if memmem::find(text.as_bytes(), b"=?").is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let between = &rest[..start];
        match encoded_word(&rest[start..]) {
            Some((word, length)) => {
                if !(after_word && between.trim().is_empty()) {
                    out.push_str(between); // RFC 2047 §6.2: white space between two words is not shown
                }
                out.push_str(&word);
                rest = &rest[start + length..];
                after_word = true;
            }
            None => {
                out.push_str(&rest[..start + 2]);
                rest = &rest[start + 2..];
                after_word = false;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The encoded word that a text begins with, decoded, and its length. Looking no further than its fourth
/// question mark keeps a text full of half words linear.
fn encoded_word(text: &str) -> Option<(String, usize)> {
    let mut marks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'?').map(|(at, _)| at);
    let (_, charset, encoding, data) = (marks.next()?, marks.next()?, marks.next()?, marks.next()?);
    if encoding != charset + 2 || charset > 60 || text.as_bytes().get(data + 1) != Some(&b'=') {
        return None;
    }
    let word = MessageStream::new(&text.as_bytes()[1..data + 2]).decode_rfc2047()?;
    Some((word, data + 2))
}

/// A raw header value as text: unfolded, 8-bit bytes read, encoded words decoded.
pub(super) fn unstructured(raw: &[u8]) -> String {
    let text = unfolded(raw);
    match decode_words(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(decoded) => decoded,
    }
}

/// A raw header value as text: unfolded, 8-bit bytes read, encoded words left as they are.
pub(super) fn unfolded(raw: &[u8]) -> String {
    let text = lenient_text(&raw[..raw.len().min(MAX_FIELD)]);
    let line = text.trim();
    if memchr2(b'\n', b'\r', line.as_bytes()).is_none() {
        return line.to_owned();
    }
    let mut unfolded = String::with_capacity(text.len());
    for line in text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()) {
        if !unfolded.is_empty() {
            unfolded.push(' ');
        }
        unfolded.push_str(line);
    }
    unfolded
}

/// The addresses in a raw `From`, `To` or the like, without names, groups flattened (RFC 5322 §3.4).
pub(super) fn addresses(raw: &[u8]) -> Vec<String> {
    let readable = lenient_text(&raw[..raw.len().min(MAX_FIELD)]);
    let (readable, quoted) = without_quoted_local_parts(&readable);
    let mut field = terminated(readable.as_bytes(), MAX_FIELD);
    // Names are not wanted here, and the crate's search for encoded words can cost the field's length squared.
    neutralise_encoded_words(&mut field);
    let HeaderValue::Address(parsed) = MessageStream::new(&field).parse_address() else {
        return Vec::new();
    };
    let list: Box<dyn Iterator<Item = _>> = match &parsed {
        Address::List(list) => Box::new(list.iter()),
        Address::Group(groups) => Box::new(groups.iter().flat_map(|group| group.addresses.iter())),
    };
    let as_written = |address: &str| {
        let place = address.trim().strip_prefix(STAND_IN).and_then(|rest| rest.split_once('@'));
        let written = place.and_then(|(place, domain)| {
            Some(format!("{}@{domain}", quoted.get(place.parse::<usize>().ok()?)?))
        });
        written.unwrap_or_else(|| address.trim().to_owned())
    };
    list.filter_map(|entry| entry.address.as_deref().or(entry.name.as_deref()))
        .map(as_written)
        .filter(|address| !address.is_empty())
        .take(MAX_ADDRESSES)
        .collect()
}

/// What stands for a quoted local part while the crate, which loses those, looks at a field.
const STAND_IN: &str = "quoted-local-part-";

/// A field with a plain word in place of each quoted local part (RFC 5322 §3.4.1), and those.
fn without_quoted_local_parts(field: &str) -> (Cow<'_, str>, Vec<&str>) {
    if !field.contains("\"@") {
        return (Cow::Borrowed(field), Vec::new());
    }
    let (mut out, mut quoted, mut rest) = (String::with_capacity(field.len()), Vec::new(), field);
    while let Some(at) = rest.find('"') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = match quoted_local_part(rest) {
            Some(end) => {
                out.push_str(STAND_IN);
                out.push_str(&quoted.len().to_string());
                quoted.push(&rest[..end]);
                end
            }
            // A name in quotes: an address in it is none.
            None => {
                let mut escaped = false;
                let mut inside = rest.char_indices().skip(1);
                let closing = inside.find(|(_, c)| {
                    let special = !std::mem::take(&mut escaped);
                    escaped = special && *c == '\\';
                    special && *c == '"'
                });
                let end = closing.map_or(rest.len(), |(at, _)| at + 1);
                out.push_str(&rest[..end]);
                end
            }
        };
        rest = &rest[end..];
    }
    out.push_str(rest);
    (Cow::Owned(out), quoted)
}

/// A raw `Message-ID` without angle brackets (RFC 5322 §3.6.4).
pub(super) fn message_id(raw: &[u8]) -> Option<String> {
    let value = unstructured(&raw[..raw.len().min(2 * 1024)]);
    let inner =
        value.split_once('<').map_or(value.as_str(), |(_, rest)| rest.split('>').next().unwrap_or(rest));
    Some(inner.trim().to_owned()).filter(|id| !id.is_empty())
}

/// A date as RFC 5322 §3.3 and its obsolete forms have it, or RFC 3339. The weekday is not looked at: a date
/// with a wrong one is still a date.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    // RFC 5322 §3.3: seconds may be missing, and so may the zone in the field; the crate wants both
    let is_time = |word: &str, colons| {
        word.bytes().all(|byte| byte.is_ascii_digit() || byte == b':') && word.matches(':').count() == colons
    };
    let mut words: Vec<Cow<'_, str>> = Vec::new();
    for word in text.get(..text.len().min(200))?.split_whitespace() {
        words.push(if is_time(word, 1) { format!("{word}:00").into() } else { word.into() });
    }
    if words.last().is_some_and(|word| is_time(word, 2)) {
        words.push("-0000".into());
    }
    let parsed =
        DateTime::parse_rfc822(&(words.join(" ") + "\n")).or_else(|| DateTime::parse_rfc3339(text.trim()))?;
    let number = |value: u8| i8::try_from(value).ok();
    let civil = jiff::civil::DateTime::new(
        i16::try_from(parsed.year).ok()?,
        number(parsed.month)?,
        number(parsed.day)?,
        number(parsed.hour)?,
        number(parsed.minute)?,
        number(parsed.second.min(59))?, // RFC 5322 §3.3: 60 is a leap second
        0,
    )
    .ok()?;
    let offset = (i32::from(parsed.tz_hour) * 60 + i32::from(parsed.tz_minute)) * 60;
    let offset = jiff::tz::Offset::from_seconds(if parsed.tz_before_gmt { -offset } else { offset }).ok()?;
    offset.to_timestamp(civil).ok()
}

/// A raw value as the crate's field parsers want it: bounded, and ended by a line feed that nothing follows.
fn terminated(raw: &[u8], limit: usize) -> Vec<u8> {
    let cut = raw[..raw.len().min(limit)].trim_ascii();
    let mut field = Vec::with_capacity(cut.len() + 1);
    // A line that is empty or not indented would end the value: it came folded, so all of it belongs.
    field.extend(cut.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    field.push(b'\n');
    field
}

fn neutralise_encoded_words(field: &mut [u8]) {
    for at in 1..field.len() {
        if field[at - 1] == b'=' && field[at] == b'?' {
            field[at - 1] = b'_';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_in_windows_1252_reads_the_same_run_by_run() {
        let decoder = charset_decoder(b"windows-1252").unwrap();
        for bytes in [&b"caf\xe9 \x80 5 \x93so\x94"[..], b"\xe9", b"plain", b"\xff\xfe\x81 a", b""] {
            assert_eq!(by_runs(bytes, decoder), decoder(bytes), "{bytes:?}");
        }
    }

    #[test]
    fn dates_are_read_as_mail_and_as_rfc_3339_has_them() {
        for (text, instant) in [
            ("Tue, 17 Nov 2026 09:14:05 +0100 (CET)", Some("2026-11-17T08:14:05Z")),
            ("Fri, 17 Nov 2026 09:14:05 +0100", Some("2026-11-17T08:14:05Z")), // it is a Tuesday
            ("17 Nov 26 09:14 EST", Some("2026-11-17T14:14:00Z")),
            ("Tue, 17 Nov 2026 23:59:60 -0000", Some("2026-11-17T23:59:59Z")),
            ("Tue, 17 Nov 2026 09:14:05", Some("2026-11-17T09:14:05Z")),
            ("2026-11-17T09:14:05-08:00", Some("2026-11-17T17:14:05Z")),
            ("Mon, 31 Feb 2026 09:14:05 +0100", None),
            ("Tue, 17 Nov 2026 25:14:05 +0100", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(date(text).map(|date| date.to_string()).as_deref(), instant, "{text}");
        }
    }

    #[test]
    fn encoded_words_are_decoded_where_they_are_whole() {
        for (text, read) in [
            ("=?utf-8?q?Gr=C3=BC=C3=9Fe?= an =?iso-8859-1?Q?J=FCrgen?=", "Grüße an Jürgen"),
            ("=?utf-8?b?R3LDvA==?=  =?utf-8?b?w59l?=", "Grüße"),
            ("=?iso-2022-jp?B?GyRCJUYlOSVIGyhC?=", "テスト"),
            ("a=?b =?utf-8?q?half", "a=?b =?utf-8?q?half"),
            ("=?utf-8?z?no?=", "=?utf-8?z?no?="),
            ("plain", "plain"),
        ] {
            assert_eq!(decode_words(text), read, "{text}");
        }
    }

    #[test]
    fn addresses_come_without_names_and_comments() {
        for (field, list) in [
            ("Dora <dora@a.example>, \"E, mil\" <emil@a.example>", vec!["dora@a.example", "emil@a.example"]),
            ("friends: dora@a.example, emil@a.example;", vec!["dora@a.example", "emil@a.example"]),
            ("=?utf-8?q?D=C3=B6ra?=\r\n <dora@a.example> (home)", vec!["dora@a.example"]),
            ("J\u{fc}rgen <j\u{fc}rgen@b\u{fc}cher.example>", vec!["j\u{fc}rgen@b\u{fc}cher.example"]),
            ("\"odd name\"@a.example", vec!["\"odd name\"@a.example"]),
            (
                "\"E, mil\" <\"e, mil\"@a.example>, <\"x\\\"y\"@a.example>, dora@a.example",
                vec!["\"e, mil\"@a.example", "\"x\\\"y\"@a.example", "dora@a.example"],
            ),
            ("undisclosed-recipients:;", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(addresses(field.as_bytes()), list, "{field}");
        }
    }

    #[test]
    fn a_broken_transfer_encoding_costs_as_little_as_possible() {
        let text =
            |body: &[u8], encoding| String::from_utf8_lossy(&decode(body, encoding, 1000).0).into_owned();
        assert_eq!(text(b"a=3Db\n50% = half\nc=3Dd", Encoding::QuotedPrintable), "a=b\n50% = half\nc=d");
        assert_eq!(text(b"SGVs\nbG8*\nh", Encoding::Base64), "Hello!");
        assert_eq!(text(b"Final-Recipient: x\n", Encoding::Base64), "Final-Recipient: x\n");
    }

    #[test]
    fn text_of_any_charset_is_text() {
        let read = |charset: &str, body: &[u8]| {
            let content_type = content_type(format!("text/plain; charset={charset}").as_bytes());
            text(body, Encoding::Identity, &content_type)
        };
        assert_eq!(read("iso-8859-1", b"Gr\xfc\xdfe"), "Grüße");
        assert_eq!(read("us-ascii", b"Gr\xfc\xdfe"), "Grüße");
        assert_eq!(read("us-ascii", "Grüße".as_bytes()), "Grüße");
        assert_eq!(read("koi8-r", b"\xf0\xd2\xc9\xd7\xc5\xd4"), "Привет");
        assert_eq!(read("no-such-charset", "Grüße".as_bytes()), "Grüße");
    }
}
