//! Whole lists of suppressed addresses, in and out: our own CSV and NDJSON, plain lists, and what sending services
//! export.
//!
//! [`ListReader`] is fed bytes, in pieces of any size, and gives entries; [`ListWriter`] is given entries and makes
//! bytes. Neither keeps more than one record of a list, so a list may be of any size.

mod format;
mod import;
mod judge;
mod line;
mod ours;
mod providers;
mod reader;
mod records;
mod time;
mod writer;

pub use format::Format;
pub use import::{Importer, Summary, ToldLine};
pub use judge::{ListSettings, Skipped, StreamNumbers};
pub use reader::{BadLine, ListReader, Part};
pub use writer::{ListWriter, WrittenFormat};

/// Longest record of a list, in octets: a line, or an object of a JSON document.
pub const MAX_RECORD: usize = 64 * 1024;

/// Entries that go to the store together: what comes in meanwhile waits no longer than for these.
pub const BATCH: usize = 1_000;

/// Why a list cannot be read at all. What was read before that is good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The text is in an encoding that is not read.
    #[error("it is {what}; {fix}")]
    Encoding {
        /// What it seems to be.
        what: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// Nothing says what it is.
    #[error("cannot tell what list this is: {what}; --format says it ({formats})", formats = Format::all_names())]
    Unrecognized {
        /// What was seen.
        what: String,
    },
    /// It resembles a list of a service, and has what no list of that service has.
    #[error(
        "it looks like {title}, and has {others} beside their columns: a list of people, perhaps, who are to get their \
         mail; --format {format} reads it all the same", title = format.title()
    )]
    Beside {
        /// What it resembles.
        format: Format,
        /// The columns or keys that it has beside those.
        others: String,
    },
    /// It has the columns of a list of a service, and any list of people may have them.
    #[error(
        "it may be {title}, or any list of people with the day when they came; --format {format} says that it is that",
        title = format.title()
    )]
    Vague {
        /// What it may be.
        format: Format,
    },
    /// The format that was named has columns that are not there.
    #[error("{format} lists have {needed}, and this one has {found}")]
    Columns {
        /// The format.
        format: Format,
        /// What it needs.
        needed: &'static str,
        /// What is there.
        found: String,
    },
    /// A JSON document that is broken: nothing behind that place can be told.
    #[error("line {line}: {what}")]
    Json {
        /// The line, from 1 on.
        line: u64,
        /// What is wrong.
        what: &'static str,
    },
}
