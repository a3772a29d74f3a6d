//! Parts of a list into the store, and what came of it all.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{BATCH, BadLine, Format, Part, Skipped};
use crate::store::{Imported, ListMark, ListPart, Lists, StoreError};

/// Bad lines that are told.
const TOLD: usize = 100;

/// A line that could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ToldLine {
    /// Its number, from 1 on.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// What came of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
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
}

/// Brings a list into a store, part by part.
#[derive(Debug)]
pub struct Importer<S> {
    store: Option<S>,
    actor: Option<String>,
    at: Timestamp,
    source: String,
    mark: Option<ListMark>,
    /// What came of it so far.
    pub summary: Summary,
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
        Self { store, actor, at, source, mark: None, summary }
    }

    /// Brings in what was read. True where another process wrote meanwhile, so that it is fair to let it have a turn.
    ///
    /// # Errors
    /// [`StoreError`] when the store does not take it: parts before are in it.
    pub async fn put(&mut self, part: Part, format: Option<Format>) -> Result<bool, StoreError> {
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
        let Some(store) = self.store.as_deref() else {
            summary.imported.added += entries.len() as u64;
            return Ok(false);
        };
        let mut others_write = false;
        while !entries.is_empty() {
            let rest = entries.split_off(entries.len().min(BATCH));
            let part = ListPart {
                entries: std::mem::replace(&mut entries, rest),
                actor: self.actor.clone(),
                at: self.at,
                why: format!("imported from {} ({})", self.source, format.map_or("list", Format::as_str)),
                mark: self.mark,
            };
            if summary.dry_run {
                summary.imported += store.weigh(part).await?;
                continue;
            }
            let done = store.import(part).await?;
            summary.imported += done.imported;
            self.mark = Some(done.mark);
            others_write |= done.others_write;
        }
        Ok(others_write)
    }
}
