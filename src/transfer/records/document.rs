//! The values of a list in a JSON document, one at a time: `[…]`, or `{"items": […], …}`, also several in a row.

use super::super::ListError;
use super::super::format::{is_container, plain_name};
use super::{MAX_RECORD, Record, Records, TOO_LONG};

/// Longest key that is looked at.
const MAX_KEY: usize = 64;

/// Deepest nesting of a document; lists of suppressions have three.
const MAX_DEPTH: usize = 64;

/// Where a scan through a document stands.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// What is open, from the outermost on: `{` or `[`.
    open: Vec<u8>,
    /// How many are open where values of the list stand; 0 outside it.
    level: usize,
    /// Within a string, and behind a backslash there.
    string: bool,
    escaped: bool,
    /// The last string of the outermost object, which may be a key.
    key: Vec<u8>,
    /// The line where the value begins that is being read, when one is.
    value: Option<u64>,
    /// What is kept of it is all that will be: it is too long.
    dropping: bool,
    /// There was a list.
    pub(crate) found: bool,
    /// A string of the outermost object is the value of the key before it.
    colon: bool,
    /// The document says that it is one page of several: Amazon's `NextToken` has a text.
    pub(crate) more_pages: bool,
}

impl Records {
    /// The next value of the list in a JSON document; none until there is more.
    pub(crate) fn next_value(&mut self, document: &mut Document) -> Result<Option<Record<'_>>, ListError> {
        while self.scanned < self.buffer.len() {
            let (at, line) = (self.scanned, self.line);
            let byte = self.buffer[at];
            let reads = document.value.is_some();
            let ends = document.step(byte, line)?;
            self.scanned += 1;
            self.line += u64::from(byte == b'\n');
            if !reads && document.value.is_some() {
                self.at = at; // everything before the value is done with
            }
            if ends && let Some(line) = document.value.take() {
                let start = std::mem::replace(&mut self.at, self.scanned);
                if std::mem::take(&mut document.dropping) || self.at - start > MAX_RECORD {
                    let bytes = &self.buffer[start..self.at.min(start + MAX_RECORD)];
                    return Ok(Some(Record::Broken { line, bytes, what: TOO_LONG }));
                }
                return Ok(Some(Record::Whole { line, bytes: &self.buffer[start..self.at] }));
            }
        }
        if document.value.is_none() {
            self.at = self.scanned;
        } else if self.scanned - self.at > MAX_RECORD {
            document.dropping = true;
            self.buffer.truncate(self.at + MAX_RECORD);
            self.scanned = self.buffer.len();
        }
        if self.ended && (!document.open.is_empty() || document.string) {
            return Err(ListError::Json { line: self.line, what: "the JSON ends in the middle" });
        }
        Ok(None)
    }
}

impl Document {
    /// Takes one octet in; true where a value of the list ends with it.
    fn step(&mut self, byte: u8, line: u64) -> Result<bool, ListError> {
        let error = |what| Err(ListError::Json { line, what });
        if self.string {
            let ended = byte == b'"' && !self.escaped;
            self.escaped = byte == b'\\' && !self.escaped;
            self.string = !ended;
            if !ended && self.open.len() == 1 && self.key.len() < MAX_KEY {
                self.key.push(byte);
            }
            return Ok(ended && self.at_level() && self.value.is_some());
        }
        match byte {
            b'"' => {
                if self.open.is_empty() {
                    return error("a list was expected: [...] or {\"items\": [...]}");
                }
                self.string = true;
                let is_value = self.open.len() == 1 && std::mem::take(&mut self.colon);
                if is_value && plain_name(&String::from_utf8_lossy(&self.key)) == "nexttoken" {
                    self.more_pages = true;
                }
                self.key.clear();
                self.begin(line);
            }
            b'{' | b'[' => {
                self.begin(line);
                self.open.push(byte);
                if self.open.len() > MAX_DEPTH {
                    return error("nested too deeply");
                }
                let outer = self.open.len() == 1 && byte == b'[';
                if outer || (self.level == 0 && self.open == *b"{[" && self.is_container()) {
                    self.level = self.open.len();
                    self.found = true;
                }
            }
            b'}' | b']' => {
                let opened = if byte == b'}' { b'{' } else { b'[' };
                if self.open.pop() != Some(opened) {
                    return error("a bracket that does not fit");
                }
                if self.open.len() < self.level {
                    self.level = 0;
                }
                return Ok(self.at_level() && self.value.is_some());
            }
            b':' | b',' => self.colon = byte == b':',
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ if self.open.is_empty() => return error("a list was expected: [...] or {\"items\": [...]}"),
            _ if self.at_level() && self.value.is_none() => {
                return error("the values of the list have to be objects");
            }
            _ => {}
        }
        Ok(false)
    }

    fn begin(&mut self, line: u64) {
        if self.at_level() && self.value.is_none() {
            self.value = Some(line);
        }
    }

    fn at_level(&self) -> bool {
        self.level > 0 && self.open.len() == self.level
    }

    fn is_container(&self) -> bool {
        std::str::from_utf8(&self.key).is_ok_and(is_container)
    }
}
