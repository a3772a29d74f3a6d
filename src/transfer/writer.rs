//! Entries in, the bytes of a list out.

use std::borrow::Cow;

use serde::Serialize;

use super::ours::FIELDS;
use crate::policy::Reason;
use crate::store::Entry;

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenFormat {
    /// CSV (RFC 4180, with LF), fields quoted where that is needed.
    Csv,
    /// The same, where cells that a spreadsheet would take for formulas have an apostrophe in front.
    Spreadsheet,
    /// A JSON object a line.
    Ndjson,
}

impl WrittenFormat {
    /// The media type (RFC 4180 §3).
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv | Self::Spreadsheet => "text/csv; charset=utf-8; header=present",
            Self::Ndjson => "application/x-ndjson",
        }
    }
}

/// An entry as it is written. The order is that of [`FIELDS`].
#[derive(Debug, Serialize)]
struct Written<'a> {
    address: Cow<'a, str>,
    stream: i64,
    stream_name: Option<&'a str>,
    reason: &'static str,
    class: Option<&'a str>,
    status: Option<&'a str>,
    rule: Option<Cow<'a, str>>,
    remote_mta: Option<Cow<'a, str>>,
    evidence: Option<Cow<'a, str>>,
    note: Option<Cow<'a, str>>,
    first_seen: String,
    last_seen: String,
    count: i64,
    expires_at: Option<String>,
    recheckable: bool,
    soft_term_days: u32,
}

/// Writes a list to a buffer that is taken from it now and then.
#[derive(Debug)]
pub struct ListWriter {
    format: WrittenFormat,
    rows: csv::Writer<Vec<u8>>,
    lines: Vec<u8>,
}

impl ListWriter {
    /// A writer that has written what comes before the first entry.
    #[must_use]
    pub fn new(format: WrittenFormat) -> Self {
        let mut rows = rows();
        if format != WrittenFormat::Ndjson {
            let _ = rows.write_record(FIELDS); // to memory, which does not fail
        }
        Self { format, rows, lines: Vec::new() }
    }

    /// Writes an entry; `stream_name` is what the configuration calls its stream.
    pub fn write(&mut self, entry: &Entry, stream_name: Option<&str>) {
        let time = |at: jiff::Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let harmless = |text| harmless(self.format, text);
        let written = Written {
            address: harmless(entry.address.as_str()),
            stream: entry.stream,
            stream_name,
            reason: Reason::as_str(entry.reason),
            class: entry.class.as_deref(),
            status: entry.status.as_deref(),
            rule: entry.rule.as_deref().map(harmless),
            remote_mta: entry.remote_mta.as_deref().map(harmless),
            evidence: entry.evidence.as_deref().map(harmless),
            note: entry.note.as_deref().map(harmless),
            first_seen: time(entry.first_seen),
            last_seen: time(entry.last_seen),
            count: entry.count,
            expires_at: entry.expires_at.map(time),
            recheckable: entry.recheckable,
            soft_term_days: entry.soft_term_days,
        };
        // Writing to memory does not fail, and nothing here cannot be written.
        if self.format == WrittenFormat::Ndjson {
            if serde_json::to_writer(&mut self.lines, &written).is_ok() {
                self.lines.push(b'\n');
            }
        } else {
            let _ = self.rows.serialize(&written);
        }
    }

    /// Takes what was written.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        match self.format {
            WrittenFormat::Ndjson => std::mem::take(&mut self.lines),
            _ => std::mem::replace(&mut self.rows, rows()).into_inner().unwrap_or_default(),
        }
    }
}

/// Signs that begin a formula, and their full-width and small forms, which spreadsheets fold.
const FORMULA: [char; 12] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫'];

/// A text, in a form that no spreadsheet takes for a formula where it is for one. White space and control characters
/// in front of the sign are passed over by some.
fn harmless(format: WrittenFormat, text: &str) -> Cow<'_, str> {
    let unprintable = |c: char| c.is_whitespace() || c.is_control();
    let risky =
        text.starts_with(char::is_control) || text.trim_start_matches(unprintable).starts_with(FORMULA);
    if format == WrittenFormat::Spreadsheet && risky { format!("'{text}").into() } else { text.into() }
}

fn rows() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new())
}
