//! Bytes of a list in, entries out.

mod sniff;

use csv_core::ReadRecordResult;

use super::format::{Beside, plain_name};
use super::judge::{ListSettings, Skipped, judge};
use super::line::Line;
use super::records::{Document, Record, Records};
use super::{Format, ListError};
use crate::store::Entry;
use sniff::Sniffed;

/// Most columns of a list.
const MAX_COLUMNS: usize = 256;

/// A record that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The line where it begins, from 1 on.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
    /// The record itself, cut where it was too long.
    pub text: Vec<u8>,
}

/// What was read since the last time.
#[derive(Debug, Default)]
pub struct Part {
    /// Entries that suppress now.
    pub entries: Vec<Entry>,
    /// Records that are understood and make no entry.
    pub skipped: Skipped,
    /// Records that could not be taken.
    pub bad: Vec<BadLine>,
}

/// How records are told apart.
#[derive(Debug)]
enum Syntax {
    /// An address a line.
    Lines,
    /// Rows of CSV.
    Rows {
        delimiter: u8,
        /// The columns in plain spelling; none before the header was read.
        names: Option<Vec<String>>,
    },
    /// A JSON object a line.
    JsonLines,
    /// A JSON document with a list in it.
    Json(Document),
}

/// Reads a list that comes in pieces.
///
/// Feed it bytes, take what came of them from the [`Part`], and in the end call [`Self::finish`].
#[derive(Debug)]
pub struct ListReader {
    settings: ListSettings,
    records: Records,
    syntax: Option<Syntax>,
    format: Option<Format>,
    /// The header as it is in the list.
    header: Option<Vec<u8>>,
    rows: Rows,
}

impl ListReader {
    /// A reader at the beginning of a list.
    #[must_use]
    pub fn new(settings: ListSettings) -> Self {
        let format = settings.format;
        Self { settings, records: Records::new(), syntax: None, format, header: None, rows: Rows::default() }
    }

    /// What the list is, once that is known.
    #[must_use]
    pub const fn format(&self) -> Option<Format> {
        self.format
    }

    /// Whether the list says that it is one page of several.
    #[must_use]
    pub const fn more_pages(&self) -> bool {
        matches!(&self.syntax, Some(Syntax::Json(document)) if document.more_pages)
    }

    /// The line with the names of the columns, where the list has one.
    #[must_use]
    pub fn header(&self) -> Option<&[u8]> {
        self.header.as_deref()
    }

    /// Reads some more; what comes of it is added to the part.
    ///
    /// # Errors
    /// [`ListError`] when it cannot be read at all, or not any further.
    pub fn feed(&mut self, bytes: &[u8], part: &mut Part) -> Result<(), ListError> {
        self.records.feed(bytes);
        self.read(part)
    }

    /// Reads what is left: nothing comes any more.
    ///
    /// # Errors
    /// As [`Self::feed`].
    pub fn finish(&mut self, part: &mut Part) -> Result<(), ListError> {
        self.records.end();
        self.read(part)?;
        match &self.syntax {
            Some(Syntax::Json(document)) if !document.found => Err(ListError::Unrecognized {
                what: "it is JSON without a list of suppressions in it".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn read(&mut self, part: &mut Part) -> Result<(), ListError> {
        if self.syntax.is_none() {
            match sniff::sniff(&mut self.records, self.format)? {
                Sniffed::More | Sniffed::Empty => return Ok(()),
                Sniffed::Known(syntax, format) => {
                    self.syntax = Some(syntax);
                    self.format = self.format.or(format);
                }
            }
        }
        loop {
            let more = match self.syntax.as_mut() {
                None => false,
                Some(Syntax::Lines) => self.line(part),
                Some(Syntax::Rows { .. }) => self.row(part)?,
                Some(Syntax::JsonLines) => self.json_line(part)?,
                Some(Syntax::Json(_)) => self.value(part)?,
            };
            if !more {
                return Ok(());
            }
        }
    }

    /// A line of a plain list.
    fn line(&mut self, part: &mut Part) -> bool {
        let Some(record) = self.records.next_line() else { return false };
        let Some((line, bytes)) = whole(&record, part) else { return true };
        let text = bytes.trim_ascii();
        if text.is_empty() || text.starts_with(b"#") {
            return true;
        }
        let taken = utf8(text).and_then(|text| {
            let names = ["address".to_owned()];
            judge(Format::Plain, &Line::of_row(&names, std::iter::once(unquoted(text))), &self.settings)
        });
        give(part, line, bytes, taken);
        true
    }

    /// A row of CSV, or the header.
    fn row(&mut self, part: &mut Part) -> Result<bool, ListError> {
        let Some(Syntax::Rows { delimiter, names }) = self.syntax.as_mut() else { return Ok(false) };
        let Some(record) = self.records.next_row(*delimiter) else { return Ok(false) };
        let Some((line, bytes)) = whole(&record, part) else { return Ok(true) };
        if bytes.trim_ascii().is_empty() {
            return Ok(true);
        }
        let cells = self.rows.split(bytes, *delimiter);
        let Some(names) = names else {
            let found: Vec<String> = cells.map(|cells| cells.map(plain_name).collect()).unwrap_or_default();
            if let Some(format) = self.format {
                check_columns(format, &found)?;
            }
            self.header = Some(bytes.to_vec());
            *names = Some(found);
            return Ok(true);
        };
        let taken = cells.and_then(|cells| {
            let found = cells.len();
            if found == names.len() {
                let format = self.format.unwrap_or(Format::Csv);
                return judge(format, &Line::of_row(names, cells), &self.settings);
            }
            Err(format!("{found} fields, and the header has {}", names.len()))
        });
        if taken.is_err() && bytes.contains(&b'\n') {
            // A quote that was not meant as one may have taken the lines below with it.
            if let Some(record) = self.records.split_row() {
                whole(&record, part);
                return Ok(true);
            }
        }
        give_row(part, line, &self.records, taken);
        Ok(true)
    }

    /// A line of NDJSON.
    fn json_line(&mut self, part: &mut Part) -> Result<bool, ListError> {
        let Some(record) = self.records.next_line() else { return Ok(false) };
        let Some((line, bytes)) = whole(&record, part) else { return Ok(true) };
        if bytes.trim_ascii().is_empty() {
            return Ok(true);
        }
        let taken = json(bytes, &mut self.format, &self.settings)?;
        give(part, line, bytes, taken);
        Ok(true)
    }

    /// A value of a JSON document.
    fn value(&mut self, part: &mut Part) -> Result<bool, ListError> {
        let Some(Syntax::Json(document)) = self.syntax.as_mut() else { return Ok(false) };
        let Some(record) = self.records.next_value(document)? else { return Ok(false) };
        let Some((line, bytes)) = whole(&record, part) else { return Ok(true) };
        let taken = json(bytes, &mut self.format, &self.settings)?;
        give(part, line, bytes, taken);
        Ok(true)
    }
}

type Taken = Result<Result<Entry, super::judge::Skip>, String>;

/// Judges a JSON object; the first one tells what the list is.
fn json(bytes: &[u8], format: &mut Option<Format>, settings: &ListSettings) -> Result<Taken, ListError> {
    let line = match utf8(bytes).and_then(|_| Line::of_json(bytes)) {
        Ok(line) => line,
        Err(wrong) => return Ok(Err(wrong)),
    };
    let known = match *format {
        Some(format) => format,
        None if line.bare => {
            let what = "it is an array of addresses, which does not say why they stand in it".to_owned();
            return Err(ListError::Unrecognized { what });
        }
        None => {
            let names = line.names();
            let told = match Format::of_names(&names) {
                Err(Beside { format, others }) if others.is_empty() && written_by(format, &line) => {
                    Ok(Some(format))
                }
                told => told.map_err(|beside| ListError::beside(&beside)),
            };
            let found = match told? {
                Some(Format::Csv) => Format::Ndjson,
                Some(Format::Plain) if names == ["address"] => Format::Ndjson,
                Some(found) => found,
                None => {
                    let what = format!("its objects have {}", listed(&names));
                    return Err(ListError::Unrecognized { what });
                }
            };
            *format = Some(found);
            found
        }
    };
    // What told the list goes for each of its objects: another one may be about something else.
    let foreign = if settings.format.is_none() { known.foreign(&line.names()) } else { Vec::new() };
    if !foreign.is_empty() {
        return Ok(Err(format!("it has {}, which no other list of {} has", listed(&foreign), known.title())));
    }
    Ok(judge(known, &line, settings))
}

impl ListError {
    fn beside(Beside { format, others }: &Beside) -> Self {
        match others.is_empty() {
            true => Self::Vague { format: *format },
            false => Self::Beside { format: *format, others: listed(others) },
        }
    }
}

/// Whether the time in a JSON object is written as the service of this format writes it: SendGrid as seconds since 1970,
/// Mailgun as RFC 2822.
fn written_by(format: Format, line: &Line<'_>) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match format {
        Format::MailgunComplaints => line.text("createdat").is_some_and(|text| text.get(3..5) == Some(", ")),
        _ => line.text("created").is_some_and(digits),
    }
}

/// The record where it is whole; else it is noted as bad.
fn whole<'a>(record: &Record<'a>, part: &mut Part) -> Option<(u64, &'a [u8])> {
    match record {
        Record::Whole { line, bytes } => Some((*line, bytes)),
        Record::Broken { line, bytes, what } => {
            part.bad.push(BadLine { line: *line, reason: (*what).to_owned(), text: bytes.to_vec() });
            None
        }
    }
}

fn give(part: &mut Part, line: u64, bytes: &[u8], taken: Taken) {
    match taken {
        Ok(Ok(entry)) => part.entries.push(entry),
        Ok(Err(skip)) => part.skipped.count(skip),
        Err(reason) => part.bad.push(BadLine { line, reason, text: bytes.to_vec() }),
    }
}

fn give_row(part: &mut Part, line: u64, records: &Records, taken: Taken) {
    let bytes = if taken.is_err() { records.last() } else { &[] };
    give(part, line, bytes, taken);
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8 at octet {}", error.valid_up_to() + 1))
}

/// An address of a plain list without the quotes of a spreadsheet and the comma behind it; a quoted local part keeps
/// its own.
fn unquoted(text: &str) -> &str {
    let text = text.trim_end_matches([',', ';']).trim_end();
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).unwrap_or(text)
}

fn check_columns(format: Format, names: &[String]) -> Result<(), ListError> {
    let (any, needed) = format.address_columns();
    if names.iter().any(|name| any.contains(&name.as_str())) {
        return Ok(());
    }
    Err(ListError::Columns { format, needed, found: listed(names) })
}

/// Columns or keys, a few of them, for an error.
fn listed(names: &[String]) -> String {
    let shown = |name: &String| format!("{:?}", name.chars().take(40).collect::<String>());
    let mut all: Vec<String> = names.iter().take(8).map(shown).collect();
    if names.len() > 8 {
        all.push(format!("and {} more", names.len() - 8));
    }
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// Takes rows of CSV apart.
#[derive(Debug)]
struct Rows {
    /// Takes rows apart that have this between their cells: its tables take longer to make than a row to read.
    reader: (u8, csv_core::Reader),
    cells: Vec<u8>,
    ends: Vec<usize>,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            reader: (b',', reader(b',')),
            cells: vec![0; super::MAX_RECORD + 1],
            ends: vec![0; MAX_COLUMNS],
        }
    }
}

impl Rows {
    /// The cells of a whole row.
    fn split(&mut self, row: &[u8], delimiter: u8) -> Result<impl ExactSizeIterator<Item = &str>, String> {
        if self.reader.0 != delimiter {
            self.reader = (delimiter, reader(delimiter));
        }
        let reader = &mut self.reader.1;
        reader.reset();
        let (mut read, mut written, mut ended) = (0, 0, 0);
        loop {
            // Nothing more is given once all of it was: that ends the row.
            let (result, input, output, ends) =
                reader.read_record(&row[read..], &mut self.cells[written..], &mut self.ends[ended..]);
            (read, written, ended) = (read + input, written + output, ended + ends);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record => break,
                ReadRecordResult::End => break,
                ReadRecordResult::OutputFull => return Err("longer than 64 KiB".to_owned()),
                ReadRecordResult::OutputEndsFull => return Err(format!("more than {MAX_COLUMNS} fields")),
            }
        }
        let text = utf8(&self.cells[..written])?;
        let starts = std::iter::once(0).chain(self.ends[..ended].iter().copied());
        let cells: Vec<&str> =
            starts.zip(&self.ends[..ended]).map(|(start, &end)| &text[start..end]).collect();
        Ok(cells.into_iter())
    }
}

fn reader(delimiter: u8) -> csv_core::Reader {
    csv_core::ReaderBuilder::new().delimiter(delimiter).terminator(csv_core::Terminator::Any(b'\n')).build()
}

#[cfg(test)]
mod tests;
