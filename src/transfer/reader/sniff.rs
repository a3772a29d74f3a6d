//! What a list is, told by how it begins.

use super::super::format::{Beside, is_container, plain_name};
use super::super::records::{Document, Records};
use super::super::{Format, ListError, MAX_RECORD};
use super::{Rows, Syntax, listed, unquoted};
use crate::address::Mailbox;

/// What stands between the cells of a row: CSV, its relative where the comma is the decimal point, and TSV.
const DELIMITERS: [u8; 3] = *b",;\t";

/// What the beginning tells.
pub(super) enum Sniffed {
    /// Not enough is there.
    More,
    /// Nothing is there, and nothing comes.
    Empty,
    /// How to read it, and what it is where that is known already.
    Known(Syntax, Option<Format>),
}

/// Looks at the beginning of a list. Byte order marks and empty lines in front of it are taken away.
pub(super) fn sniff(records: &mut Records, format: Option<Format>) -> Result<Sniffed, ListError> {
    loop {
        let (rest, ended) = records.rest();
        if rest.len() < 4 && !ended {
            return Ok(Sniffed::More);
        }
        encoding(rest)?;
        if rest.starts_with(b"\xEF\xBB\xBF") {
            records.skip(3);
            continue;
        }
        let end = rest.iter().position(|&byte| byte == b'\n');
        if end.is_some_and(|end| rest[..end].trim_ascii().is_empty()) {
            records.next_line();
            continue;
        }
        if end.is_none() && !ended && rest.len() <= MAX_RECORD {
            return Ok(Sniffed::More);
        }
        let line = rest[..end.unwrap_or(rest.len())].trim_ascii();
        return match line.first() {
            None => Ok(Sniffed::Empty),
            // An address may begin with a brace, and with no bracket.
            Some(b'[') if format == Some(Format::Plain) => {
                Ok(Sniffed::Known(Syntax::Json(Document::default()), None))
            }
            Some(b'{' | b'[') if format != Some(Format::Plain) && format != Some(Format::Csv) => {
                Ok(Sniffed::Known(json(line, end.is_some() || ended), None))
            }
            Some(_) => {
                let behind = &rest[end.map_or(rest.len(), |end| end + 1)..];
                let next = behind.split(|&byte| byte == b'\n').next().unwrap_or_default();
                if next.len() == behind.len() && !ended && rest.len() <= MAX_RECORD {
                    return Ok(Sniffed::More);
                }
                text(line, next.trim_ascii(), format)
            }
        };
    }
}

/// Refuses what is no UTF-8 from the first octet on.
fn encoding(beginning: &[u8]) -> Result<(), ListError> {
    let error = |what, fix| Err(ListError::Encoding { what, fix });
    let line = &beginning[..beginning.len().min(200)];
    match beginning {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
            error("UTF-16", "make it UTF-8 first: iconv -f UTF-16 -t UTF-8 FILE | dsnd suppressions import -")
        }
        [0x1F, 0x8B, ..] => {
            error("compressed with gzip", "unpack it first: gunzip -c FILE | dsnd suppressions import -")
        }
        [0x28, 0xB5, 0x2F, 0xFD, ..] => {
            error("compressed with zstd", "unpack it first: zstd -dc FILE | dsnd suppressions import -")
        }
        [b'P', b'K', 3, 4, ..] => {
            error("a ZIP archive or a workbook of a spreadsheet", "unpack it, or save it as CSV in UTF-8")
        }
        _ if line.contains(&0) => error("binary", "lists are text in UTF-8"),
        _ => Ok(()),
    }
}

/// A line that is an object by itself is NDJSON, unless the object holds the list.
fn json(line: &[u8], whole: bool) -> Syntax {
    let is_row = match serde_json::from_slice::<serde_json::Value>(line) {
        Ok(serde_json::Value::Object(object)) => {
            !object.iter().any(|(key, value)| value.is_array() && is_container(key))
        }
        Ok(_) => false,
        // A row that is broken ends as one; a document goes on below.
        Err(_) => whole && line.starts_with(b"{") && line.ends_with(b"}"),
    };
    if is_row { Syntax::JsonLines } else { Syntax::Json(Document::default()) }
}

/// CSV by its header, a headerless list of SES, or a plain list.
fn text(line: &[u8], next: &[u8], format: Option<Format>) -> Result<Sniffed, ListError> {
    let rows = |delimiter, names| Syntax::Rows { delimiter, names };
    if matches!(format, Some(Format::Ndjson)) {
        return Ok(Sniffed::Known(Syntax::JsonLines, None));
    }
    let mut split = Rows::default();
    let mut cells = |delimiter: u8, line: &[u8]| -> Vec<String> {
        split.split(line, delimiter).map(|cells| cells.map(str::to_owned).collect()).unwrap_or_default()
    };
    let mut beside = None;
    for delimiter in DELIMITERS {
        let header = cells(delimiter, line);
        let names: Vec<String> = header.iter().map(|cell| plain_name(cell)).collect();
        let found = match Format::of_names(&names) {
            Ok(found) => found,
            // As SendGrid exports them: who has lists of people writes days in them.
            Err(Beside { format: format @ Format::SendgridSpamReports, others })
                if others.is_empty() && in_seconds(&names, &cells(delimiter, next)) =>
            {
                Some(format)
            }
            Err(resembles) => {
                beside = beside.or(Some(ListError::beside(&resembles)));
                None
            }
        };
        if found.is_some() || format.is_some_and(|format| fits(format, &names)) {
            // One column needs no rules of CSV, and what stands behind the address is a mistake.
            return Ok(Sniffed::Known(rows(delimiter, None), found));
        }
        // The list that SES takes from a file has no header.
        if let [address, reason] = header.as_slice()
            && matches!(format, None | Some(Format::Ses))
            && matches!(reason.trim().to_ascii_uppercase().as_str(), "BOUNCE" | "COMPLAINT")
            && Mailbox::parse(address).is_ok()
        {
            let names = vec!["emailaddress".to_owned(), "reason".to_owned()];
            return Ok(Sniffed::Known(rows(delimiter, Some(names)), Some(Format::Ses)));
        }
    }
    let beginning = String::from_utf8_lossy(line);
    let is_plain = line.starts_with(b"#") || Mailbox::parse(unquoted(&beginning)).is_ok();
    match format {
        Some(Format::Plain) => Ok(Sniffed::Known(Syntax::Lines, None)),
        None if is_plain => Ok(Sniffed::Known(Syntax::Lines, Some(Format::Plain))),
        // Its columns are told as an error.
        Some(_) => Ok(Sniffed::Known(rows(b',', None), None)),
        None if let Some(error) = beside => Err(error),
        None => {
            Err(ListError::Unrecognized { what: format!("it begins with {}", listed(&cells(b',', line))) })
        }
    }
}

/// Whether a row has seconds since 1970 in the column `created`.
fn in_seconds(names: &[String], row: &[String]) -> bool {
    let created = names.iter().zip(row).find(|(name, _)| *name == "created");
    created.is_some_and(|(_, text)| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn fits(format: Format, names: &[String]) -> bool {
    names.iter().any(|name| format.address_columns().0.contains(&name.as_str()))
}
