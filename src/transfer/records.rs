//! Bytes in pieces of any size to whole records: lines, rows of CSV, values of a JSON document. What is kept is never
//! longer than a record may be.

mod document;

use super::MAX_RECORD;
pub(super) use document::Document;

/// A record, or what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// A whole one, without the end of its last line.
    Whole {
        /// Where it begins, from 1 on.
        line: u64,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// One that cannot be taken apart; the next begins behind it.
    Broken {
        /// Where it begins.
        line: u64,
        /// What there is of it.
        bytes: &'a [u8],
        /// What is wrong.
        what: &'static str,
    },
}

/// Said of a record that is longer than [`MAX_RECORD`].
const TOO_LONG: &str = "longer than 64 KiB";

/// Said of a quote without its counterpart.
const OPEN_QUOTE: &str = "a quoted field that is not closed";

/// Where a scan through a row of CSV stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Start,
    Bare,
    Quoted,
    /// Behind a quote in a quoted cell, which ends it or stands for one.
    Quote,
}

/// The text that has come and was not taken yet.
#[derive(Debug)]
pub(super) struct Records {
    buffer: Vec<u8>,
    /// Where the next record begins.
    at: usize,
    /// The line there.
    line: u64,
    /// Where the last row began, and its line.
    last: (usize, u64),
    /// How far the record was looked through already, and what stood there.
    scanned: usize,
    cell: Cell,
    /// The rest of a line that was too long is passed over.
    skipping: bool,
    /// Nothing comes any more.
    ended: bool,
}

impl Records {
    pub(super) const fn new() -> Self {
        Self {
            buffer: Vec::new(),
            at: 0,
            line: 1,
            last: (0, 1),
            scanned: 0,
            cell: Cell::Start,
            skipping: false,
            ended: false,
        }
    }

    /// More of the text.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.scanned = self.scanned.saturating_sub(self.at);
            self.at = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// That was all of it.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// What has come and was not taken, and whether that is all there is.
    pub(super) fn rest(&self) -> (&[u8], bool) {
        (&self.buffer[self.at..], self.ended)
    }

    /// Passes over octets that hold no end of a line.
    pub(super) fn skip(&mut self, octets: usize) {
        self.take(self.at + octets, 0);
    }

    fn take(&mut self, end: usize, lines: u64) {
        self.at = end;
        self.scanned = end;
        self.cell = Cell::Start;
        self.line += lines;
    }

    /// The next line; none until there is more.
    pub(super) fn next_line(&mut self) -> Option<Record<'_>> {
        self.next_record(|_, byte| byte == b'\n')
    }

    /// The next row of CSV, which may be several lines; none until there is more.
    pub(super) fn next_row(&mut self, delimiter: u8) -> Option<Record<'_>> {
        self.next_record(|cell, byte| {
            *cell = match (*cell, byte) {
                (Cell::Start, b'"') | (Cell::Quote, b'"') => Cell::Quoted,
                (Cell::Quoted, b'"') => Cell::Quote,
                (Cell::Quoted, _) => Cell::Quoted,
                (_, b'\n') => return true,
                (_, byte) if byte == delimiter => Cell::Start,
                _ => Cell::Bare,
            };
            false
        })
    }

    /// The next record, whose end a scan over its bytes tells.
    fn next_record(&mut self, mut ends: impl FnMut(&mut Cell, u8) -> bool) -> Option<Record<'_>> {
        if self.skipping && !self.pass_over_line() {
            return None;
        }
        let limit = self.at + MAX_RECORD + 1;
        let mut cell = self.cell;
        let rest = &self.buffer[self.scanned..self.buffer.len().min(limit)];
        let end = rest.iter().position(|&byte| ends(&mut cell, byte)).map(|found| self.scanned + found);
        self.cell = cell;
        if let Some(end) = end {
            return Some(self.whole(end, end + 1));
        }
        self.scanned = self.buffer.len().min(limit);
        if self.scanned < limit && !self.ended {
            return None;
        }
        if self.at == self.buffer.len() {
            return None;
        }
        if self.scanned < limit && self.cell != Cell::Quoted {
            let end = self.buffer.len(); // the last line needs no end
            return Some(self.whole(end, end));
        }
        Some(self.broken())
    }

    fn whole(&mut self, end: usize, next: usize) -> Record<'_> {
        let (start, line) = (self.at, self.line);
        self.last = (start, line);
        let lines = self.buffer[start..next].iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.take(next, lines);
        let bytes = &self.buffer[start..end];
        Record::Whole { line, bytes: bytes.strip_suffix(b"\r").unwrap_or(bytes) }
    }

    /// The last row as it was. To be asked before more comes.
    pub(super) fn last(&self) -> &[u8] {
        let bytes = &self.buffer[self.last.0..self.at];
        bytes.strip_suffix(b"\n").unwrap_or(bytes)
    }

    /// Gives up the first line of a row of several, which was no row, and goes on below it; none where it had one line.
    /// To be asked before more comes.
    pub(super) fn split_row(&mut self) -> Option<Record<'_>> {
        let (start, line) = self.last;
        let end = start + self.buffer[start..self.at].iter().position(|&byte| byte == b'\n')?;
        if end + 1 >= self.at {
            return None;
        }
        self.line = line;
        self.take(end + 1, 1);
        let bytes = &self.buffer[start..end];
        Some(Record::Broken { line, bytes: bytes.strip_suffix(b"\r").unwrap_or(bytes), what: OPEN_QUOTE })
    }

    /// What has no end within reach: a line of it is given up, and what stands below may be good.
    fn broken(&mut self) -> Record<'_> {
        let (start, line) = (self.at, self.line);
        let quoted = self.cell == Cell::Quoted;
        let end = self.buffer[start..].iter().position(|&byte| byte == b'\n').map(|found| start + found);
        let (end, what) = match end {
            Some(end) if end - start <= MAX_RECORD => {
                self.take(end + 1, 1);
                (end, OPEN_QUOTE)
            }
            Some(end) => {
                self.take(end + 1, 1);
                (start + MAX_RECORD, TOO_LONG)
            }
            None => {
                let end = self.buffer.len();
                self.take(end, 0);
                self.skipping = !self.ended;
                if end - start > MAX_RECORD {
                    (start + MAX_RECORD, TOO_LONG)
                } else {
                    (end, if quoted { OPEN_QUOTE } else { TOO_LONG })
                }
            }
        };
        let bytes = &self.buffer[start..end];
        Record::Broken { line, bytes: bytes.strip_suffix(b"\r").unwrap_or(bytes), what }
    }

    /// Passes over the rest of a line; false until its end has come.
    fn pass_over_line(&mut self) -> bool {
        let end = self.buffer[self.at..].iter().position(|&byte| byte == b'\n');
        match end {
            Some(end) => {
                self.take(self.at + end + 1, 1);
                self.skipping = false;
            }
            None => self.take(self.buffer.len(), 0),
        }
        end.is_some()
    }
}

#[cfg(test)]
mod tests;
