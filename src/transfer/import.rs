//! Parts of a list into the store, and what came of it all.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{BATCH, BadLine, Format, Part, Skipped};
use crate::store::{Entry, Imported, ListMark, ListPart, Lists, StoreError};

/// Bad lines that are told.
const TOLD: usize = 100;

/// Entries that are put in order before they go to the store: neighbours lie in the same pages of the database, so that
/// far fewer of them are written than for a list in any order.
const SORTED: usize = 65_536;

/// The same in octets of their texts, whichever comes first.
const SORTED_OCTETS: usize = 16 << 20;

/// How long other processes get for a write of their own between two batches, once one has written: about as long as
/// SQLite lets them sleep between two looks at the lock.
const TURN: Duration = Duration::from_millis(25);

/// A line that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportFault)]
pub struct ToldLine {
    /// Its number, from 1 on.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// What came of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportSummary)]
pub struct Summary {
    /// What it was read as; null where it was empty.
    pub format: Option<Format>,
    /// Nothing was changed: this is what would come of it.
    pub dry_run: bool,
    /// Records in it.
    pub records: u64,
    /// What became of its entries.
    #[serde(flatten)]
    pub imported: Imported,
    /// Records that are understood and make no entry.
    pub skipped: Skipped,
    /// Records that could not be taken.
    pub bad: u64,
    /// The first of them.
    pub bad_lines: Vec<ToldLine>,
    /// The list says that it is one page of several, as the answers of Amazon's API do: the others are missing.
    pub more_pages: bool,
}

impl Summary {
    /// How many records are done with.
    #[must_use]
    pub const fn done(&self) -> u64 {
        self.imported.sum() + self.skipped.sum() + self.bad
    }
}

/// Brings a list into a store, part by part.
pub struct Importer<S> {
    store: Option<S>,
    actor: Option<String>,
    at: Timestamp,
    source: String,
    mark: Option<ListMark>,
    /// Entries that were not brought in yet, and the octets of their texts.
    waiting: Vec<Entry>,
    octets: usize,
    /// Told of every batch that went in.
    progress: Box<dyn FnMut(&Summary) + Send>,
    /// What came of it so far.
    pub summary: Summary,
}

impl<S> std::fmt::Debug for Importer<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Importer")
            .field("source", &self.source)
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

impl<S: Lists, R: std::ops::Deref<Target = S>> Importer<R> {
    /// An importer for the list of that name. Without a store nothing stands anywhere: for a dry run before there is one.
    #[must_use]
    pub fn new(
        store: Option<R>,
        actor: Option<String>,
        at: Timestamp,
        source: String,
        dry_run: bool,
    ) -> Self {
        let summary = Summary { dry_run, ..Summary::default() };
        let progress = Box::new(|_: &Summary| ());
        Self { store, actor, at, source, mark: None, waiting: Vec::new(), octets: 0, progress, summary }
    }

    /// Calls this after every batch that went into the store.
    #[must_use]
    pub fn telling(self, progress: impl FnMut(&Summary) + Send + 'static) -> Self {
        Self { progress: Box::new(progress), ..self }
    }

    /// Takes what was read, and brings it in when there is enough.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not take it: what went before is in it.
    pub async fn put(&mut self, part: Part, format: Option<Format>) -> Result<(), StoreError> {
        let Part { mut entries, skipped, bad } = part;
        let summary = &mut self.summary;
        summary.format = format;
        summary.records += (entries.len() + bad.len()) as u64 + skipped.sum();
        summary.skipped += skipped;
        summary.bad += bad.len() as u64;
        for BadLine { line, reason, .. } in bad {
            if summary.bad_lines.len() < TOLD {
                summary.bad_lines.push(ToldLine { line, reason });
            }
        }
        self.octets += entries.iter().map(octets).sum::<usize>();
        self.waiting.append(&mut entries);
        if self.waiting.len() < SORTED && self.octets < SORTED_OCTETS { Ok(()) } else { self.finish().await }
    }

    /// Brings in what was taken and still waits: to be called at the end of a list, also of one that cannot be read to
    /// its end.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub async fn finish(&mut self) -> Result<(), StoreError> {
        let mut entries = std::mem::take(&mut self.waiting);
        self.octets = 0;
        let Some(store) = self.store.as_deref() else {
            self.summary.imported.added += entries.len() as u64;
            return Ok(());
        };
        // A stable order: of those that come twice the first stays first.
        entries.sort_by(|a, b| (&a.address_key, a.stream).cmp(&(&b.address_key, b.stream)));
        let format = self.summary.format.map_or("list", Format::as_str);
        let mut entries = entries.into_iter();
        loop {
            let batch: Vec<Entry> = entries.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let part = ListPart {
                entries: batch,
                actor: self.actor.clone(),
                at: self.at,
                why: format!("imported from {} ({format})", self.source),
                mark: self.mark,
            };
            if self.summary.dry_run {
                self.summary.imported += store.weigh(part).await?;
                (self.progress)(&self.summary);
                continue;
            }
            let done = store.import(part).await?;
            self.summary.imported += done.imported;
            (self.progress)(&self.summary);
            self.mark = Some(done.mark);
            if done.others_write {
                tokio::time::sleep(TURN).await;
            }
        }
    }
}

/// What the texts of an entry take in memory.
fn octets(entry: &Entry) -> usize {
    let texts = [&entry.class, &entry.status, &entry.rule, &entry.remote_mta, &entry.evidence, &entry.note];
    let texts = texts.into_iter().flatten().map(String::len).sum::<usize>();
    size_of::<Entry>() + entry.address.len() + entry.address_key.len() + texts
}
