//! `dsnd replay PATH…`: bounces from files into the store, as if they came in now.

mod files;
mod totals;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use indicatif::ProgressBar;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{FAILED, block_on, output, person, progress};
use crate::address::{ForwardPath, Mailbox, ReversePath};
use crate::app::{ingest_settings, open_store};
use crate::classify::Classifier;
use crate::config::Config;
use crate::ingest::{Ingest, IngestSettings, Prepared, preview, recorded_digest};
use crate::policy::Policy;
use crate::report::{Report, ReportKind, returned};
use crate::returnpath::ReturnPaths;
use crate::smtp::command::reverse_path;
use crate::smtp::{Envelope, EnvelopeRecipient, Peer, PeerAddress, Protocol};
use crate::store::sqlite::SqliteStore;
use crate::store::{EventChange, Known, Recorded, Replayed, StoreError, open_holds};
use files::{Batch, Files};
use totals::{Totals, grown, tell_of_holds};

/// Arguments.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// Message files, mbox files, Maildirs, or folders of such.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Record nothing, and say what each message would do by itself if nothing stood on the list and nothing was counted.
    #[arg(long)]
    dry_run: bool,
    /// The files are yours: what is in them counts although no signed return path proves it.
    #[arg(long)]
    trust_unsigned: bool,
    /// One JSON object a message, and in the end one with what came of them all.
    #[arg(long)]
    json: bool,
}

/// What became of one message.
#[derive(Debug, Serialize)]
struct Told<'a> {
    source: &'a str,
    /// What it is; null where it was recorded before, since it is then not read again.
    kind: Option<&'static str>,
    /// How many recipients it has; null in the same case.
    recipients: Option<usize>,
    /// The number it is stored under; null in a dry run.
    bounce: Option<i64>,
    /// It had been stored before.
    duplicate: bool,
    /// What it did to the list, one a recipient; in a dry run, what it would do if nothing stood there.
    changes: Vec<&'static str>,
}

/// What a message is, and what it did or would do.
struct Outcome {
    kind: ReportKind,
    recipients: usize,
    bounce: Option<i64>,
    duplicate: bool,
    changes: Vec<EventChange>,
}

/// Replays every message of every path. What was recorded before changes nothing, so that a run that was broken
/// off is simply started again.
pub(super) fn run(config: Option<&Path>, arguments: &Replay) -> anyhow::Result<ExitCode> {
    let config = Config::load(config)?;
    let mut files = Files::default();
    arguments.paths.iter().for_each(|path| files.collect(path));
    let bar = progress::octets(Some(files.octets));
    let totals = block_on(replay(&config, arguments, files, &bar))?;
    bar.finish_and_clear();
    let mut out = output::stdout();
    if arguments.json {
        output::json_line(&mut out, &totals)?;
    } else {
        writeln!(out, "{}", totals.told())?;
    }
    out.flush()?;
    tell_of_holds(&totals.holds)?;
    Ok(if totals.unreadable > 0 { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

async fn replay(
    config: &Config,
    arguments: &Replay,
    files: Files,
    bar: &ProgressBar,
) -> anyhow::Result<Totals> {
    let mut run = Run::start(config, arguments).await?;
    run.unreadable(&files.unreadable, bar);
    let before = run.holds().await?;
    let (send, mut batches) = mpsc::channel(1);
    let limit = config.smtp.max_message_size;
    // Files are read while those before are recorded.
    let reader = std::thread::spawn(move || files::read(files.paths, limit, &send));
    while let Some(batch) = batches.recv().await {
        let read = batch.read;
        run.unreadable(&batch.unreadable, bar);
        run.batch(batch, bar).await?;
        bar.set_position(read);
        progress::told(bar, (run.totals.recorded + run.totals.duplicates) as u64, "messages");
    }
    reader.join().map_err(|_| anyhow::anyhow!("reading the files failed"))?;
    run.totals.holds = grown(&before, run.holds().await?);
    Ok(run.end().await)
}

/// A replay under way.
struct Run {
    classifier: Arc<Classifier>,
    settings: Arc<IngestSettings>,
    policy: Arc<Policy>,
    /// None in a dry run.
    into: Option<(Arc<SqliteStore>, Arc<Ingest<SqliteStore>>)>,
    actor: String,
    json: bool,
    totals: Totals,
}

impl Run {
    async fn start(config: &Config, arguments: &Replay) -> anyhow::Result<Self> {
        let classifier = Arc::new(Classifier::with_rules(&config.rules)?);
        let settings = settings(config, arguments.trust_unsigned);
        let into = if arguments.dry_run {
            None
        } else {
            let store = Arc::new(open_store(config).await?);
            let ingest = Ingest::new(Arc::clone(&store), Arc::clone(&classifier), settings.clone());
            Some((store, Arc::new(ingest)))
        };
        let totals = Totals { dry_run: arguments.dry_run, ..Totals::default() };
        let (settings, actor, json) = (Arc::new(settings), person::person(), arguments.json);
        let policy = Arc::new(config.policy.clone());
        Ok(Self { classifier, settings, policy, into, actor, json, totals })
    }

    async fn holds(&self) -> Result<Vec<crate::store::Hold>, StoreError> {
        match &self.into {
            Some((store, _)) => open_holds(&**store).await,
            None => Ok(Vec::new()),
        }
    }

    async fn end(self) -> Totals {
        if let Some((store, ingest)) = self.into {
            drop(ingest);
            if let Some(store) = Arc::into_inner(store) {
                store.close().await;
            }
        }
        self.totals
    }

    fn unreadable(&mut self, told: &[String], bar: &ProgressBar) {
        self.totals.unreadable += told.len();
        told.iter().for_each(|line| bar.suspend(|| output::error(line)));
    }

    /// Takes messages in, in their order; reading them is work for every core.
    async fn batch(&mut self, batch: Batch, bar: &ProgressBar) -> anyhow::Result<()> {
        let messages = self.with_envelopes(batch.messages).await?;
        let known = match &self.into {
            Some((store, _)) => {
                let digests: Vec<[u8; 32]> = messages.iter().map(|message| message.digest).collect();
                store.known(&digests).await?
            }
            None => Default::default(),
        };
        let mut reading = Vec::with_capacity(messages.len());
        for message in messages {
            let known = known.get(&message.digest).copied();
            let source = message.source.clone();
            reading.push((source, known.ok_or_else(|| self.read(message))));
        }
        let mut recording = Vec::with_capacity(reading.len());
        for (source, task) in reading {
            let task = match task {
                Ok(known) => Err(known),
                Err(task) => Ok(self.record(task.await?.with_context(|| source.clone())?)),
            };
            recording.push((source, task));
        }
        for (source, task) in recording {
            let outcome = match task {
                Err(known) => {
                    self.totals.duplicates += 1;
                    let told = Told {
                        source: &source,
                        kind: None,
                        recipients: None,
                        bounce: Some(known),
                        duplicate: true,
                        changes: Vec::new(),
                    };
                    self.tell(&told, bar)?;
                    continue;
                }
                Ok(task) => task.await?.with_context(|| source.clone())?,
            };
            let Outcome { kind, recipients, bounce, duplicate, changes } = outcome;
            if duplicate {
                self.totals.duplicates += 1;
            } else {
                self.totals.add(kind, &changes);
            }
            let changes = changes.iter().map(|change| change.as_str()).collect();
            let (kind, recipients) = (Some(kind.as_str()), Some(recipients));
            self.tell(&Told { source: &source, kind, recipients, bounce, duplicate, changes }, bar)?;
        }
        Ok(())
    }

    fn tell(&self, told: &Told<'_>, bar: &ProgressBar) -> anyhow::Result<()> {
        if self.json {
            bar.suspend(|| output::json_line(&mut output::stdout(), told))?;
        }
        Ok(())
    }

    /// What messages would be recorded under, which costs little and tells whether they were.
    async fn with_envelopes(&self, messages: Vec<(String, Vec<u8>)>) -> anyhow::Result<Vec<Found>> {
        let settings = Arc::clone(&self.settings);
        let found = move |(source, bytes): (String, Vec<u8>)| {
            let envelope = envelope(&bytes, &settings.return_paths);
            // The time counts where the message has no date, and then it is now.
            let digest = recorded_digest(&settings, &envelope, &bytes, Timestamp::now());
            Found { source, bytes, envelope, digest }
        };
        Ok(spawn_blocking(move || messages.into_iter().map(found).collect()).await?)
    }

    /// Begins to read a message.
    fn read(&self, message: Found) -> JoinHandle<Result<Read, StoreError>> {
        let (classifier, settings) = (Arc::clone(&self.classifier), Arc::clone(&self.settings));
        let policy = Arc::clone(&self.policy);
        let ingest = self.into.as_ref().map(|(_, ingest)| Arc::clone(ingest));
        let replayed = Replayed { at: Timestamp::now(), actor: self.actor.clone() };
        tokio::spawn(async move {
            let Found { bytes, envelope, .. } = message;
            let failed = |error| StoreError::Unavailable(format!("reading the message: {error}"));
            let parsed = spawn_blocking(move || {
                let report = Report::parse(&bytes);
                (report.kind, report.recipients.len(), when(&report), bytes)
            });
            let (kind, recipients, came_at, bytes) = parsed.await.map_err(failed)?;
            let what = match ingest {
                Some(ingest) => {
                    What::Prepared(Box::new(ingest.prepare_replay(envelope, bytes, came_at, replayed).await?))
                }
                None => {
                    let at = (came_at, replayed.at);
                    let would = move || preview(&classifier, &settings, &envelope, &bytes, &policy, at);
                    What::Would(spawn_blocking(would).await.map_err(failed)??)
                }
            };
            Ok(Read { kind, recipients, what })
        })
    }

    /// Records a message that was read: in the order in which this is asked for, many in one transaction.
    fn record(&self, read: Read) -> JoinHandle<Result<Outcome, StoreError>> {
        let ingest = self.into.as_ref().map(|(_, ingest)| Arc::clone(ingest));
        tokio::spawn(async move {
            let Read { kind, recipients, what } = read;
            let (bounce, duplicate, changes) = match (what, ingest) {
                (What::Prepared(prepared), Some(ingest)) => {
                    let Recorded { id, duplicate, changes, .. } = ingest.record(*prepared).await?;
                    (Some(id), duplicate, changes)
                }
                (What::Would(changes), _) => (None, false, changes),
                (What::Prepared(_), None) => (None, false, Vec::new()),
            };
            Ok(Outcome { kind, recipients, bounce, duplicate, changes })
        })
    }
}

/// A message in a file.
struct Found {
    source: String,
    bytes: Vec<u8>,
    envelope: Envelope,
    digest: [u8; 32],
}

/// A message that was read.
struct Read {
    kind: ReportKind,
    recipients: usize,
    what: What,
}

/// What is to be done with it.
enum What {
    /// It is recorded.
    Prepared(Box<Prepared>),
    /// It is not: what it would do.
    Would(Vec<EventChange>),
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

/// The envelope as far as the message shows it: the reverse-path that its Return-Path names, else the null one, and
/// those addresses it was delivered to that are ours.
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
        reverse_path: returned::return_path(message)
            .map_or(ReversePath::Null, |path| reverse_path(&path).unwrap_or(ReversePath::Other(path))),
        envelope_id: None,
        recipients,
        bare_newlines: false,
        protocol: Protocol::Local,
    }
}
