//! `dsnd replay PATH…`: bounces from files into the store, as if they came in now.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde::Serialize;

use super::{FAILED, block_on, output, person};
use crate::address::{ForwardPath, Mailbox, ReversePath};
use crate::app::{ingest_settings, open_store};
use crate::classify::Classifier;
use crate::config::Config;
use crate::ingest::{Ingest, IngestSettings, preview};
use crate::report::{Report, ReportKind, mbox, returned};
use crate::returnpath::ReturnPaths;
use crate::smtp::{Envelope, EnvelopeRecipient, Peer, PeerAddress, Protocol};
use crate::store::sqlite::SqliteStore;
use crate::store::{EventChange, Hold, Replayed, Store};

/// Arguments.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// Message files, mbox files, Maildirs, or folders of such.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Read everything and record nothing.
    #[arg(long)]
    dry_run: bool,
    /// The files are yours: what is in them counts although no signed return path proves it.
    #[arg(long)]
    trust_unsigned: bool,
    /// One JSON object a message; where suppressions were held, one more with the holds.
    #[arg(long)]
    json: bool,
}

/// What became of one message.
#[derive(Debug, Serialize)]
struct Told<'a> {
    source: &'a str,
    kind: &'static str,
    recipients: usize,
    /// The number it is stored under; null in a dry run.
    bounce: Option<i64>,
    /// It had been stored before.
    duplicate: bool,
    /// What it did to the list, one a recipient; in a dry run, what it would do if nothing stood there.
    changes: Vec<&'static str>,
}

#[derive(Debug, Default)]
struct Totals {
    recorded: usize,
    duplicates: usize,
    unreadable: usize,
    unrecognized: usize,
    suppressed: usize,
    counted: usize,
    seen: usize,
    quarantined: usize,
    held: usize,
    /// The holds that grew meanwhile.
    holds: Vec<Grown>,
}

/// A hold that suppressions were added to while files were read.
#[derive(Debug, Serialize)]
struct Grown {
    hold: i64,
    kind: String,
    name: String,
    /// How many were added.
    held: i64,
}

impl Totals {
    fn add(&mut self, report: &Report, changes: &[EventChange]) {
        self.unrecognized += usize::from(report.kind == ReportKind::Unrecognized);
        for change in changes {
            match change {
                EventChange::Suppressed => self.suppressed += 1,
                EventChange::Counted => self.counted += 1,
                EventChange::Seen => self.seen += 1,
                EventChange::Quarantined => self.quarantined += 1,
                EventChange::Held => self.held += 1,
                EventChange::Cleared | EventChange::Discarded | EventChange::None => {}
            }
        }
    }

    /// Two lines: the messages, and what came of their recipients.
    fn told(&self, dry_run: bool) -> String {
        let Self { recorded, duplicates, unreadable, unrecognized, .. } = self;
        let mut told = if dry_run {
            format!("{recorded} read, nothing recorded, {unrecognized} not recognized")
        } else {
            format!("{recorded} recorded, {duplicates} known already, {unrecognized} not recognized")
        };
        if *unreadable > 0 {
            told.push_str(&format!(", {unreadable} files could not be read"));
        }
        let Self { suppressed, counted, seen, quarantined, held, .. } = self;
        told + &if dry_run {
            format!("\nwould suppress {suppressed}, count {counted}, quarantine {quarantined}")
        } else {
            format!(
                "\nsuppressed {suppressed}, counted {counted}, on the list before {seen}, \
                 quarantined {quarantined}, held {held}"
            )
        }
    }
}

/// Replays every message of every path. What was recorded before changes nothing, so that a run that was broken
/// off is simply started again.
pub(super) fn run(config: Option<&Path>, arguments: &Replay) -> anyhow::Result<ExitCode> {
    let config = Config::load(config)?;
    let mut files = Vec::new();
    for path in &arguments.paths {
        collect(path, &mut files).with_context(|| format!("cannot read {}", path.display()))?;
    }
    let bar = ProgressBar::new(files.len() as u64);
    let style = "{bar:40} {pos}/{len} files, {per_sec}, {eta} left {msg}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    let totals = block_on(replay(&config, arguments, &files, &bar))?;
    bar.finish_and_clear();
    if !arguments.json {
        writeln!(output::stdout(), "{}", totals.told(arguments.dry_run))?;
    }
    tell_of_holds(&totals.holds, arguments.json)?;
    Ok(if totals.unreadable > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

async fn replay(
    config: &Config,
    arguments: &Replay,
    files: &[PathBuf],
    bar: &ProgressBar,
) -> anyhow::Result<Totals> {
    let classifier = Arc::new(Classifier::with_rules(&config.rules)?);
    let settings = settings(config, arguments.trust_unsigned);
    let ingest = if arguments.dry_run {
        None
    } else {
        Some(open(config, Arc::clone(&classifier), settings.clone()).await?)
    };
    let actor = person::person();
    let mut totals = Totals::default();
    let before = match &ingest {
        Some((store, _)) => store.holds(false).await?,
        None => Vec::new(),
    };
    for file in files {
        bar.inc(1);
        let bytes = match std::fs::read(file) {
            Ok(bytes) => bytes,
            Err(error) => {
                bar.suspend(|| output::error(&format!("cannot read {}: {error}", file.display())));
                totals.unreadable += 1;
                continue;
            }
        };
        for (index, message) in mbox::messages(&bytes).enumerate() {
            let name = file.display().to_string();
            let source = if index == 0 { name } else { format!("{name}#{}", index + 1) };
            let report = Report::parse(&message);
            let envelope = envelope(&message, &config.return_paths);
            let (bounce, duplicate, changes) = if let Some((_, ingest)) = &ingest {
                let replayed = Replayed { at: Timestamp::now(), actor: actor.clone() };
                let taken = ingest.replay(envelope, message.into_owned(), when(&report), replayed).await;
                let recorded = taken.with_context(|| source.clone())?;
                (Some(recorded.id), recorded.duplicate, recorded.changes)
            } else {
                (None, false, preview(&classifier, &settings, &envelope, &message, when(&report))?)
            };
            if duplicate {
                totals.duplicates += 1
            } else {
                totals.recorded += 1;
                totals.add(&report, &changes);
            }
            if arguments.json {
                let recipients = report.recipients.len();
                let changes = changes.iter().map(|change| change.as_str()).collect();
                let (source, kind) = (&source, report.kind.as_str());
                let line = Told { source, kind, recipients, bounce, duplicate, changes };
                bar.suspend(|| output::json_line(&mut output::stdout(), &line))?;
            }
        }
    }
    if let Some((store, ingest)) = ingest {
        drop(ingest);
        totals.holds = grown(&before, store.holds(false).await?);
        if let Some(store) = Arc::into_inner(store) {
            store.close().await;
        }
    }
    Ok(totals)
}

/// What holds have held since.
fn grown(before: &[Hold], now: Vec<Hold>) -> Vec<Grown> {
    let held = |id| before.iter().find(|hold| hold.id == id).map_or(0, |hold| hold.held);
    now.into_iter()
        .map(|Hold { id, kind, name, held: now, .. }| Grown { hold: id, kind, name, held: now - held(id) })
        .filter(|hold| hold.held > 0)
        .collect()
}

/// The last line: nobody else tells that the list is not what the files say.
fn tell_of_holds(holds: &[Grown], json: bool) -> anyhow::Result<()> {
    if holds.is_empty() {
        return Ok(());
    }
    let held: i64 = holds.iter().map(|hold| hold.held).sum();
    if json {
        output::json_line(&mut output::stdout(), &serde_json::json!({ "held": held, "holds": holds }))?;
    }
    let each = holds.iter().map(|Grown { hold, kind, name, held }| {
        format!("{held} by hold {hold} ({} {})", kind.replace('_', " "), output::clean(name))
    });
    let each = each.collect::<Vec<_>>().join(", ");
    output::error(&format!("held for you to decide, and not on the list: {each}; see `dsnd holds list`"));
    Ok(())
}

async fn open(
    config: &Config,
    classifier: Arc<Classifier>,
    settings: IngestSettings,
) -> anyhow::Result<(Arc<SqliteStore>, Ingest<SqliteStore>)> {
    let store = Arc::new(open_store(config).await?);
    Ok((Arc::clone(&store), Ingest::new(store, classifier, settings)))
}

fn settings(config: &Config, trust_unsigned: bool) -> IngestSettings {
    let mut settings = ingest_settings(config);
    // Which client brought a file nobody knows: networks say nothing of it.
    settings.unsigned_trust.networks.clear();
    settings.unsigned_trust.generally |= trust_unsigned;
    settings
}

/// When it happened: an old bounce must not suppress from today on. Dates ahead of us are not believed.
fn when(report: &Report) -> Timestamp {
    let now = Timestamp::now();
    report.header.date.map_or(now, |date| date.min(now))
}

/// The envelope as far as the message shows it: the null reverse-path, and those addresses it was delivered to
/// that are ours.
fn envelope(message: &[u8], ours: &ReturnPaths) -> Envelope {
    let header = returned::read(message).unwrap_or_default();
    let now = Timestamp::now();
    let recipients = header
        .delivered_to
        .iter()
        .chain(&header.to)
        .filter_map(|address| Some(ForwardPath::Mailbox(Mailbox::parse(address).ok()?)))
        .filter(|path| ours.judge(path, now).is_ok())
        .map(|forward_path| EnvelopeRecipient { forward_path, original_recipient: None })
        .collect();
    Envelope {
        peer: Peer { connection: 0, address: PeerAddress::File },
        tls: None,
        helo: "replay".to_owned(),
        reverse_path: ReversePath::Null,
        envelope_id: None,
        recipients,
        bare_newlines: false,
        protocol: Protocol::Local,
    }
}

/// Every file below a path, in the order of their names; of a Maildir what is in `cur` and `new`.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if !std::fs::metadata(path)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let maildir = path.join("cur").is_dir() && path.join("new").is_dir();
    let mut entries =
        std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    for entry in entries {
        let name = entry.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if (maildir && !matches!(name, "cur" | "new")) || name.starts_with('.') {
            continue;
        }
        // A link could lead in a circle; mail is not kept behind one.
        if entry.is_dir() && entry.is_symlink() {
            continue;
        }
        collect(&entry, files)?;
    }
    Ok(())
}
