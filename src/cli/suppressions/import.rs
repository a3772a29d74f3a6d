//! `dsnd suppressions import`.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::sync::mpsc;

use super::super::progress;
use super::{ReasonWord, output, person, stream_of};
use crate::app;
use crate::classify::Classifier;
use crate::config::Config;
use crate::policy::Reason;
use crate::store::sqlite::{Access, SqliteStore};
use crate::store::{Imported, StoreError};
use crate::transfer::{BATCH, BadLine, Format, Importer, ListReader, ListSettings, Part, Summary};
use crate::when;

/// Octets of a file read at once.
const OCTETS: usize = 64 * 1024;

/// Bad lines that are shown.
const SHOWN: u64 = 20;

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
    /// Write lines that are not good to this file, under the header of the list: mend and import it. It is made when
    /// there is one; what stands in a file already is never replaced.
    #[arg(long, value_name = "FILE")]
    bad: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// What came of a list.
#[derive(Debug, Serialize)]
struct Told<'a> {
    source: &'a str,
    #[serde(flatten)]
    summary: &'a Summary,
}

/// What the thread that reads hands on.
struct Piece {
    part: Part,
    format: Option<Format>,
    header: Option<Vec<u8>>,
    octets: u64,
    more_pages: bool,
}

fn format(name: &str) -> Result<Format, String> {
    Format::from_name(name).ok_or_else(|| format!("the formats are {}", Format::all_names()))
}

pub(super) async fn run(config: &Config, arguments: Import) -> anyhow::Result<ExitCode> {
    let source = arguments.file.display().to_string();
    let named = if source == "-" { "standard input" } else { &source };
    let settings = settings(config, &arguments)?;
    let (input, size) = open(&arguments.file)?;
    let mut bad_file = arguments.bad.as_deref().map(|bad| BadFile::new(bad, &arguments.file)).transpose()?;
    let store = store(config, arguments.dry_run).await?.map(Arc::new);
    let dry_run = arguments.dry_run;
    let bar = progress::octets(size);
    let read_so_far = Arc::new(AtomicU64::new(0));
    let mut importer =
        Importer::new(store.clone(), Some(person::person()), settings.now, named.to_owned(), dry_run)
            .telling(advance(bar.clone(), Arc::clone(&read_so_far)));
    let (send, mut parts) = mpsc::channel(2);
    // Reading and storing go side by side.
    let reader = std::thread::spawn(move || read(input, settings, &send));
    let mut shown = 0;
    let result: anyhow::Result<()> = async {
        while let Some(Piece { part, format, header, octets, more_pages }) = parts.recv().await {
            for bad in &part.bad {
                if let Some(file) = &mut bad_file {
                    file.write(header.as_deref(), bad)?;
                }
                if shown < SHOWN {
                    shown += 1;
                    let told = format!("{named}, line {}: {}", bad.line, bad.reason);
                    bar.suspend(|| output::error(&told));
                }
            }
            importer.summary.more_pages |= more_pages;
            read_so_far.store(octets, Ordering::Relaxed);
            importer.put(part, format).await?;
        }
        importer.finish().await?;
        Ok(())
    }
    .await;
    drop(parts);
    bar.finish_and_clear();
    let summary = std::mem::take(&mut importer.summary);
    drop(importer);
    if let Some(store) = store.and_then(Arc::into_inner) {
        store.close().await;
    }
    let stopped = reader.join().unwrap_or_else(|_| Err(anyhow::anyhow!("reading the list failed")));
    // Of both, the store's error is the cause.
    let result = result.and(stopped).with_context(|| match summary.records {
        0 => named.to_owned(),
        1 => format!("{named}: stopped after 1 record, which is done"),
        read => format!("{named}: stopped after {read} records; those before are done"),
    });
    if let Some(file) = bad_file {
        file.finish()?;
    }
    result?;
    if summary.bad > shown || (summary.bad > 0 && arguments.bad.is_some()) {
        let all = arguments.bad.as_deref().map_or_else(
            || "--bad FILE writes them all".to_owned(),
            |path| {
                format!(
                    "{} in {}",
                    if summary.bad == 1 { "it is" } else { "all of them are" },
                    path.display()
                )
            },
        );
        output::error(&match summary.bad {
            1 => format!("1 line is not good; {all}"),
            bad => format!("{bad} lines are not good, the first {shown} are shown; {all}"),
        });
    }
    let mut out = output::stdout();
    if arguments.json {
        output::json_line(&mut out, &Told { source: &source, summary: &summary })?;
    } else {
        tell(&mut out, named, &summary)?;
    }
    out.flush()?;
    if summary.more_pages {
        output::error(&format!(
            "{named} is one page of several: it ends with a NextToken. Import the others, too: \
             aws sesv2 list-suppressed-destinations --next-token …"
        ));
    }
    Ok(ExitCode::from(u8::from(summary.bad > 0 || summary.more_pages)))
}

/// Moves the bar: by the share of what was read that is in the store, since reading runs ahead.
fn advance(bar: indicatif::ProgressBar, octets: Arc<AtomicU64>) -> impl FnMut(&Summary) + Send + 'static {
    move |summary| {
        let share = summary.done() as f64 / summary.records.max(1) as f64;
        bar.set_position((octets.load(Ordering::Relaxed) as f64 * share) as u64);
        progress::told(&bar, summary.done(), "records");
    }
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
        hashed: config.store_settings().addresses.key().is_some(),
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
            let (format, more_pages) = (reader.format(), reader.more_pages());
            let read = Piece { part, format, header, octets, more_pages };
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

/// The file of lines that are not good, which is made when there is one.
struct BadFile {
    path: PathBuf,
    file: Option<std::io::BufWriter<File>>,
}

impl BadFile {
    fn new(path: &Path, list: &Path) -> anyhow::Result<Self> {
        if let Ok(meta) = std::fs::metadata(path) {
            let same = |list: std::fs::Metadata| (list.dev(), list.ino()) == (meta.dev(), meta.ino());
            if std::fs::metadata(list).is_ok_and(same) {
                anyhow::bail!("--bad {} is the list itself; name another file", path.display());
            }
            if meta.is_file() && meta.len() > 0 {
                anyhow::bail!(
                    "--bad {}: the file is there already; move it away or name another",
                    path.display()
                );
            }
        }
        Ok(Self { path: path.to_owned(), file: None })
    }

    fn write(&mut self, header: Option<&[u8]>, line: &BadLine) -> anyhow::Result<()> {
        self.put(header, line).with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn put(&mut self, header: Option<&[u8]>, line: &BadLine) -> std::io::Result<()> {
        let header = header.filter(|_| self.file.is_none());
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(std::io::BufWriter::new(private(&self.path)?)),
        };
        for text in header.into_iter().chain([line.text.as_slice()]) {
            file.write_all(text)?;
            file.write_all(b"\n")?;
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        let Some(mut file) = self.file else { return Ok(()) };
        file.flush().with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// A file for its owner alone, since there are addresses in it; nothing that stands there is lost.
fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn tell(out: &mut impl Write, source: &str, summary: &Summary) -> anyhow::Result<()> {
    let Summary { imported: Imported { added, changed, known, duplicates }, skipped, records, bad, .. } =
        summary;
    let title = summary.format.map_or("empty", Format::title);
    writeln!(out, "{}: {title}, {}", output::clean(source), output::counted(*records, "record"))?;
    let would = if summary.dry_run { "would be " } else { "" };
    writeln!(
        out,
        "{would}added {added}, {would}changed {changed}, on the list before {known}, repeated {duplicates}, \
         skipped {}, bad {bad}",
        skipped.sum()
    )?;
    for (number, what) in [
        (skipped.over, "their term is over (--days gives them one from today on)"),
        (skipped.sender, "a matter of the sending side: blocks, spam verdicts, failed authentication"),
        (skipped.soft, "soft bounces: one does not suppress"),
        (skipped.unclear, "bounces without a code, in words that no rule knows (--reason hard takes them)"),
        (skipped.one_group, "unsubscribed from one group or tag only: --stream says which stream that is"),
    ] {
        if number > 0 {
            writeln!(out, "skipped {number}: {what}")?;
        }
    }
    Ok(())
}
