//! `dsnd suppressions export`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use jiff::Timestamp;

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
        ..arguments.filter.resolve(&config.streams)?
    };
    let store = open_store(config, Access::Read).await?;
    let bar = progress::things(store.count(&filter).await?);
    let snapshot = store.export(filter).await?;
    let file = arguments.file.as_deref().filter(|path| path.as_os_str() != "-");
    let written = match file {
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
    let mut name = path.file_name().context("the file needs a name")?.to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let cannot = || format!("cannot write {}", path.display());
    let mut file = private(&part).with_context(cannot)?;
    let written = async {
        let written = write(config, snapshot, format, &mut file, bar).await?;
        file.sync_all()?;
        std::fs::rename(&part, path)?;
        anyhow::Ok(written)
    }
    .await;
    if written.is_err() {
        let _ = std::fs::remove_file(&part); // what is wrong is told already
    }
    written.with_context(cannot)
}

/// A new file for its owner alone, since there are addresses in it; what was there is gone.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}
