//! `dsnd suppressions export`.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::super::part::{Part, ended};
use super::super::progress;
use super::{Filter, open_store, output};
use crate::config::Config;
use crate::store::sqlite::Access;
use crate::store::{Lists, Snapshot, Store, SuppressionFilter};
use crate::transfer::{ListWriter, WrittenFormat};

/// Entries read at once.
const PAGE: u32 = 1_000;

/// `export`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    /// The file to write; it takes the place of what is there once it is whole. Without it, or with `-`: standard output.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// How to write it.
    #[arg(long, value_enum, default_value = "csv")]
    format: Word,
    /// For a spreadsheet: an apostrophe in front of what it would take for a formula. Not for importing it again.
    #[arg(long)]
    spreadsheet: bool,
    #[command(flatten)]
    filter: Filter,
    /// Also entries whose time is over; an import passes over them.
    #[arg(long)]
    all: bool,
}

/// A format, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Word {
    /// A row an entry, under a header.
    Csv,
    /// A JSON object an entry, a line each.
    Ndjson,
}

pub(super) async fn run(config: &Config, arguments: &Export) -> anyhow::Result<ExitCode> {
    let format = match (arguments.format, arguments.spreadsheet) {
        (Word::Csv, false) => WrittenFormat::Csv,
        (Word::Csv, true) => WrittenFormat::Spreadsheet,
        (Word::Ndjson, false) => WrittenFormat::Ndjson,
        (Word::Ndjson, true) => anyhow::bail!("--spreadsheet goes with --format csv"),
    };
    let filter = SuppressionFilter {
        active_at: (!arguments.all).then(Timestamp::now),
        ..arguments.filter.resolve(config)?
    };
    let store = open_store(config, Access::Read).await?;
    let bar = progress::things(store.count(&filter).await?);
    let snapshot = store.export(filter).await?;
    let file = arguments.file.as_deref().filter(|path| path.as_os_str() != "-");
    let written = match file {
        None if io::stdout().is_terminal() => {
            write(config, snapshot, format, &mut Shown(io::stdout().lock()), &bar).await
        }
        None => write(config, snapshot, format, &mut io::stdout().lock(), &bar).await,
        Some(path) => write_file(config, snapshot, format, path, &bar).await,
    };
    bar.finish_and_clear();
    store.close().await;
    let written = written?;
    if let Some(path) = file {
        let entries = if written == 1 { "entry" } else { "entries" };
        let mut out = output::stdout();
        writeln!(out, "{}: {written} {entries}", output::clean(&path.display().to_string()))?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A list as it is shown: what a stranger wrote cannot steer the terminal. Into files and pipes it goes as it is.
struct Shown<W>(W);

impl<W: Write> Write for Shown<W> {
    fn write(&mut self, page: &[u8]) -> io::Result<usize> {
        // A page is whole entries, so it is UTF-8.
        for line in String::from_utf8_lossy(page).split_inclusive('\n') {
            let text = line.strip_suffix('\n');
            self.0.write_all(output::clean(text.unwrap_or(line)).as_bytes())?;
            if text.is_some() {
                self.0.write_all(b"\n")?;
            }
        }
        Ok(page.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes every entry; how many.
async fn write(
    config: &Config,
    mut snapshot: impl Snapshot,
    format: WrittenFormat,
    out: &mut impl Write,
    bar: &indicatif::ProgressBar,
) -> anyhow::Result<u64> {
    let mut writer = ListWriter::new(format);
    let mut written = 0;
    loop {
        let page = snapshot.next(PAGE).await?;
        for entry in &page {
            writer.write(entry, config.streams.name(entry.stream));
        }
        out.write_all(&writer.take())?;
        written += page.len() as u64;
        bar.set_position(written);
        if page.is_empty() {
            out.flush()?;
            return Ok(written);
        }
    }
}

/// The same to a file, which is there under its name when it is whole, and not before.
async fn write_file(
    config: &Config,
    snapshot: impl Snapshot,
    format: WrittenFormat,
    path: &Path,
    bar: &indicatif::ProgressBar,
) -> anyhow::Result<u64> {
    let written = async {
        let ended = ended();
        let mut part = Part::create(path, &config.store.path)?;
        let written = tokio::select! {
            written = write(config, snapshot, format, part.file()?, bar) => written?,
            signal = ended => return Err(signal),
        };
        part.file()?.sync_all()?;
        part.place(true)?;
        Ok(written)
    };
    written.await.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_shown_steers_no_terminal() {
        let mut shown = Shown(Vec::new());
        shown.write_all("address,note\na@x.example,\x1b]0;owned\x07 \u{202e}x\n".as_bytes()).unwrap();
        assert_eq!(String::from_utf8(shown.0).unwrap(), "address,note\na@x.example, ]0;owned   x\n");
    }
}
