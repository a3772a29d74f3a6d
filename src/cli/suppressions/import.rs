//! `dsnd suppressions import`.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::mpsc;

use super::super::progress;
use super::{ReasonWord, output, person, stream_of, when};
use crate::app;
use crate::classify::Classifier;
use crate::config::Config;
use crate::policy::Reason;
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{Imported, ListEntry, ListMark, ListPart, Lists, StoreError};
use crate::transfer::{BATCH, BadLine, Format, ListReader, ListSettings, Part, Skipped};

/// Octets of a file read at once.
const OCTETS: usize = 64 * 1024;

/// Bad lines that are shown.
const SHOWN: usize = 20;

/// How long other processes get for a write of their own between two batches, once one has written: about as long as
/// SQLite lets them sleep between two looks at the lock.
const TURN: Duration = Duration::from_millis(25);

/// `import`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// The list; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What it is, where that is not to be told by its columns: csv and ndjson are dsnd's own.
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,
    /// Say what would come of it, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Put every entry in this stream, by name or number, whatever the list says. Without it: dsnd's own lists say it,
    /// others reach every stream.
    #[arg(long, value_name = "STREAM")]
    stream: Option<String>,
    /// Give every entry this reason, whatever the list says; bounces are then taken without being judged.
    #[arg(long, value_enum)]
    reason: Option<ReasonWord>,
    /// Let every entry but complaints end after so many days from now, whatever the list says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=36_500), conflicts_with = "until")]
    days: Option<u32>,
    /// The same, at a time or the beginning of a day (UTC): 2027-06-30.
    #[arg(long, value_name = "WHEN", value_parser = when::parse)]
    until: Option<Timestamp>,
    /// Note every entry with this that has no note of its own.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Write lines that are not good to this file, under the header of the list: mend and import it.
    #[arg(long, value_name = "FILE")]
    bad: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// A bad line, as told.
#[derive(Debug, Serialize)]
struct ToldLine {
    line: u64,
    reason: String,
}

/// What came of a list.
#[derive(Debug, Serialize)]
struct Told {
    source: String,
    /// What it was read as; null where it was empty.
    format: Option<&'static str>,
    dry_run: bool,
    /// Records in it.
    records: u64,
    #[serde(flatten)]
    imported: Imported,
    skipped: Skipped,
    /// Records that could not be taken.
    bad: u64,
    /// The first of them.
    bad_lines: Vec<ToldLine>,
}

/// What the thread that reads hands on.
struct Piece {
    part: Part,
    format: Option<Format>,
    header: Option<Vec<u8>>,
    octets: u64,
}

fn format(name: &str) -> Result<Format, String> {
    Format::from_name(name).ok_or_else(|| format!("the formats are {}", Format::all_names()))
}

pub(super) async fn run(config: &Config, arguments: Import) -> anyhow::Result<ExitCode> {
    let source = arguments.file.display().to_string();
    let settings = settings(config, &arguments)?;
    let now = settings.now;
    let (input, size) = open(&arguments.file)?;
    let mut bad_file = match &arguments.bad {
        Some(path) => Some(BadFile::new(path)?),
        None => None,
    };
    let mut list = Sink {
        store: store(config, arguments.dry_run).await?,
        dry_run: arguments.dry_run,
        actor: person::person(),
        at: now,
        source: if source == "-" { "standard input".to_owned() } else { source.clone() },
        mark: None,
        imported: Imported::default(),
    };
    let bar = progress::octets(size);
    let (send, mut parts) = mpsc::channel(2);
    // Reading and storing go side by side.
    let reader = std::thread::spawn(move || read(input, settings, &send));
    let mut told = Told {
        source,
        format: None,
        dry_run: arguments.dry_run,
        records: 0,
        imported: Imported::default(),
        skipped: Skipped::default(),
        bad: 0,
        bad_lines: Vec::new(),
    };
    let result: anyhow::Result<()> = async {
        while let Some(read) = parts.recv().await {
            let Piece { part, format, header, octets } = read;
            told.format = format.map(Format::as_str);
            told.records += (part.entries.len() + part.bad.len()) as u64 + part.skipped.sum();
            told.skipped += part.skipped;
            told.bad += part.bad.len() as u64;
            for line in part.bad {
                if let Some(file) = &mut bad_file {
                    file.write(header.as_deref(), &line)?;
                }
                if told.bad_lines.len() < SHOWN {
                    let BadLine { line, reason, .. } = line;
                    let place = format!("{}, line {line}: {reason}", list.source);
                    bar.suspend(|| output::error(&place));
                    told.bad_lines.push(ToldLine { line, reason });
                }
            }
            list.put(part.entries, format).await?;
            bar.set_position(octets);
            progress::told(&bar, told.records, "records");
        }
        Ok(())
    }
    .await;
    drop(parts);
    bar.finish_and_clear();
    told.imported = list.imported;
    if let Some(store) = list.store {
        store.close().await;
    }
    let stopped = reader.join().unwrap_or_else(|_| Err(anyhow::anyhow!("reading the list failed")));
    // Of both, the store's error is the cause.
    let result = result.and(stopped).with_context(|| match told.records {
        0 => told.source.clone(),
        read => format!("{}: stopped after {read} records; those before are done", told.source),
    });
    if let Some(file) = bad_file {
        file.finish()?;
    }
    result?;
    tell(&told, arguments.bad.as_deref(), arguments.json)?;
    Ok(ExitCode::from(u8::from(told.bad > 0)))
}

fn settings(config: &Config, arguments: &Import) -> anyhow::Result<ListSettings> {
    let now = Timestamp::from_second(Timestamp::now().as_second())?;
    let until = match arguments.days {
        Some(days) => Some(now.checked_add(SignedDuration::from_hours(24 * i64::from(days)))?),
        None => arguments.until,
    };
    if until.is_some_and(|until| until <= now) {
        anyhow::bail!("--until lies behind us: entries that end then suppress nobody");
    }
    let streams = config.streams.clone();
    Ok(ListSettings {
        format: arguments.format,
        now,
        policy: config.policy.clone(),
        classifier: Arc::new(Classifier::with_rules(&config.rules)?),
        streams: Arc::new(move |named| streams.number(named).map(i64::from)),
        stream: stream_of(&config.streams, arguments.stream.as_deref())?,
        reason: arguments.reason.map(Reason::from),
        until,
        note: arguments.note.clone(),
    })
}

/// The list, and how long it is where that can be known.
fn open(path: &Path) -> anyhow::Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let cannot = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(cannot)?;
    let meta = file.metadata().with_context(cannot)?;
    if meta.is_dir() {
        anyhow::bail!("cannot read {}: it is a directory", path.display());
    }
    Ok((Box::new(file), meta.is_file().then_some(meta.len())))
}

/// The store; none for a dry run where there is no database yet.
async fn store(config: &Config, dry_run: bool) -> anyhow::Result<Option<SqliteStore>> {
    if !dry_run {
        return Ok(Some(app::open_store(config).await?));
    }
    let store = &config.store;
    match SqliteStore::open(&store.path, Access::Read, config.store_settings(), store.busy_timeout).await {
        Ok(store) => Ok(Some(store)),
        Err(StoreError::Missing(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads a list to its end, part by part.
fn read(
    mut input: Box<dyn Read + Send>,
    settings: ListSettings,
    to: &mpsc::Sender<Piece>,
) -> anyhow::Result<()> {
    let mut reader = ListReader::new(settings);
    let mut piece = vec![0; OCTETS];
    let mut octets = 0;
    let mut part = Part::default();
    loop {
        let read = match input.read(&mut piece) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.context("reading it")?,
        };
        octets += read as u64;
        // What was good before a mistake that ends it is taken.
        let result =
            if read == 0 { reader.finish(&mut part) } else { reader.feed(&piece[..read], &mut part) };
        let ends = read == 0 || result.is_err();
        if ends || part.entries.len() >= BATCH || !part.bad.is_empty() {
            let part = std::mem::take(&mut part);
            let header = reader.header().filter(|_| !part.bad.is_empty()).map(<[u8]>::to_vec);
            let read = Piece { part, format: reader.format(), header, octets };
            if to.blocking_send(read).is_err() {
                return Ok(()); // whoever takes them has an error of its own
            }
        }
        result?;
        if ends {
            return Ok(());
        }
    }
}

/// Where entries go.
struct Sink {
    store: Option<SqliteStore>,
    dry_run: bool,
    actor: String,
    at: Timestamp,
    source: String,
    mark: Option<ListMark>,
    imported: Imported,
}

impl Sink {
    async fn put(&mut self, mut entries: Vec<ListEntry>, format: Option<Format>) -> anyhow::Result<()> {
        let Some(store) = &self.store else {
            self.imported.added += entries.len() as u64;
            return Ok(());
        };
        while !entries.is_empty() {
            let rest = entries.split_off(entries.len().min(BATCH));
            let part = ListPart {
                entries: std::mem::replace(&mut entries, rest),
                actor: Some(self.actor.clone()),
                at: self.at,
                why: format!("imported from {} ({})", self.source, format.map_or("list", Format::as_str)),
                mark: self.mark,
            };
            if self.dry_run {
                self.imported += store.weigh(part).await?;
                continue;
            }
            let done = store.import(part).await?;
            self.imported += done.imported;
            self.mark = Some(done.mark);
            if done.others_write {
                tokio::time::sleep(TURN).await;
            }
        }
        Ok(())
    }
}

/// The file of lines that are not good.
struct BadFile {
    path: PathBuf,
    file: std::io::BufWriter<File>,
    begun: bool,
}

impl BadFile {
    fn new(path: &Path) -> anyhow::Result<Self> {
        let file =
            super::export::private(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file: std::io::BufWriter::new(file), begun: false })
    }

    fn write(&mut self, header: Option<&[u8]>, line: &BadLine) -> anyhow::Result<()> {
        let header = header.filter(|_| !std::mem::replace(&mut self.begun, true));
        for text in header.into_iter().chain([line.text.as_slice()]) {
            let written = self.file.write_all(text).and_then(|()| self.file.write_all(b"\n"));
            written.with_context(|| format!("cannot write {}", self.path.display()))?;
        }
        Ok(())
    }

    fn finish(mut self) -> anyhow::Result<()> {
        self.file.flush().with_context(|| format!("cannot write {}", self.path.display()))
    }
}

fn tell(told: &Told, bad_file: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let mut out = output::stdout();
    let more = told.bad - told.bad_lines.len() as u64;
    if more > 0 || (told.bad > 0 && bad_file.is_some()) {
        let all = bad_file.map_or_else(
            || "--bad FILE writes them all".to_owned(),
            |path| format!("all of them are in {}", path.display()),
        );
        output::error(&format!("{} lines were not good, and {more} of them are not shown; {all}", told.bad));
    }
    if json {
        output::json_line(&mut out, told)?;
        out.flush()?;
        return Ok(());
    }
    let Told { imported: Imported { added, changed, known, duplicates }, skipped, records, bad, .. } = told;
    let title = told.format.and_then(Format::from_name).map_or("empty", Format::title);
    writeln!(out, "{}: {title}, {records} records", output::clean(&told.source))?;
    let would = if told.dry_run { "would be " } else { "" };
    writeln!(
        out,
        "{would}added {added}, {would}changed {changed}, on the list before {known}, twice in it {duplicates}, \
         skipped {}, bad {bad}",
        skipped.sum()
    )?;
    for (number, what) in [
        (skipped.over, "skipped, their term is over (--days gives them one from today on)"),
        (
            skipped.sender,
            "skipped, a matter of the sending side: blocks, spam verdicts, failed authentication",
        ),
        (skipped.soft, "skipped, soft bounces: one does not suppress"),
        (
            skipped.one_group,
            "skipped, unsubscribed from one group or tag only: --stream says which stream it is",
        ),
    ] {
        if number > 0 {
            writeln!(out, "{number} {what}")?;
        }
    }
    out.flush()?;
    Ok(())
}
