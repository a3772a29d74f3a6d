//! What comes of a part of a list beside what stands: one row to write for an address and stream, however often the
//! part names it.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::super::{Imported, ListEntry};
use super::facts::to_entry;
use super::written;
use crate::address::domain_of;
use crate::policy::{Joined, Standing, join};

/// A row to write; times as the database has them.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) address_key: String,
    pub(super) stream: i64,
    pub(super) address: String,
    pub(super) reason: &'static str,
    pub(super) class: Option<String>,
    pub(super) status: Option<String>,
    pub(super) rule: Option<String>,
    pub(super) remote_mta: Option<String>,
    pub(super) evidence: Option<String>,
    pub(super) note: Option<String>,
    pub(super) first_seen: String,
    pub(super) last_seen: String,
    pub(super) count: i64,
    pub(super) expires_at: Option<String>,
    pub(super) recheckable: bool,
    pub(super) soft_term_days: u32,
    pub(super) domain: String,
    /// The entry that stood, as the history keeps it.
    pub(super) before: Option<String>,
    /// It stays as it is and ends later.
    pub(super) longer: bool,
}

/// An address and its stream.
type Key = (String, i64);

/// An entry in the database.
#[derive(Debug)]
struct Found {
    standing: Standing,
    /// Its time is over.
    over: bool,
    /// And that is noted.
    ended: bool,
    first_seen: String,
    last_seen: String,
    count: i64,
    json: String,
    /// An earlier part of the same list wrote it.
    listed: bool,
}

/// What becomes of the entry of one key.
#[derive(Debug)]
enum Fate {
    /// It stays as it is.
    Stays,
    /// It ends later.
    Longer,
    /// The list's own is there.
    Listed(Box<ListEntry>),
}

#[derive(Debug)]
struct Slot {
    standing: Standing,
    fate: Fate,
}

/// Entries of a list, joined with those that stand.
#[derive(Debug)]
pub(super) struct Joining {
    now: jiff::Timestamp,
    found: HashMap<Key, Found>,
    slots: HashMap<Key, usize>,
    in_order: Vec<(Key, Slot)>,
    pub(super) imported: Imported,
}

impl Joining {
    /// Nothing of the list yet, beside these rows.
    pub(super) fn beside(rows: &[SqliteRow], now: jiff::Timestamp) -> Result<Self, sqlx::Error> {
        let mut found = HashMap::with_capacity(rows.len());
        for row in rows {
            let key = (row.try_get("address_key")?, row.try_get("stream")?);
            let there = Found {
                standing: to_entry(row)?.standing(),
                over: row.try_get::<Option<bool>, _>("over")?.unwrap_or(false),
                ended: row.try_get("ended")?,
                first_seen: row.try_get("first_seen")?,
                last_seen: row.try_get("last_seen")?,
                count: row.try_get("count")?,
                json: row.try_get("entry")?,
                listed: row.try_get("listed")?,
            };
            found.insert(key, there);
        }
        Ok(Self { now, found, slots: HashMap::new(), in_order: Vec::new(), imported: Imported::default() })
    }

    /// Joins one more entry of the list.
    pub(super) fn add(&mut self, entry: ListEntry) {
        let listed = Standing {
            reason: entry.reason,
            expires_at: entry.expires_at,
            recheckable: entry.recheckable,
            soft_term_days: entry.soft_term_days,
        };
        let key = (entry.address_key.clone(), entry.stream);
        if let Some(&at) = self.slots.get(&key) {
            self.imported.duplicates += 1;
            let slot = &mut self.in_order[at].1;
            match join(&slot.standing, &listed, self.now) {
                Joined::Known => {}
                Joined::Longer(standing) => {
                    slot.standing = standing;
                    if matches!(slot.fate, Fate::Stays) {
                        slot.fate = Fate::Longer;
                    }
                }
                Joined::Instead(standing) => *slot = Slot { standing, fate: Fate::Listed(Box::new(entry)) },
            }
            return;
        }
        let (slot, counted) = match self.found.get(&key) {
            None => {
                (Slot { standing: listed, fate: Fate::Listed(Box::new(entry)) }, &mut self.imported.added)
            }
            Some(found) => {
                let (slot, counted) = match join(&found.standing, &listed, self.now) {
                    Joined::Known => {
                        (Slot { standing: found.standing, fate: Fate::Stays }, &mut self.imported.known)
                    }
                    Joined::Longer(standing) => {
                        (Slot { standing, fate: Fate::Longer }, &mut self.imported.changed)
                    }
                    Joined::Instead(standing) => {
                        let counted =
                            if found.over { &mut self.imported.added } else { &mut self.imported.changed };
                        (Slot { standing, fate: Fate::Listed(Box::new(entry)) }, counted)
                    }
                };
                (slot, if found.listed { &mut self.imported.duplicates } else { counted })
            }
        };
        *counted += 1;
        self.slots.insert(key.clone(), self.in_order.len());
        self.in_order.push((key, slot));
    }

    /// Entries that ran out, which is to be noted now.
    pub(super) fn over(&self) -> Vec<&Key> {
        let over = self.found.iter().filter(|(_, found)| found.over && !found.ended);
        let mut over: Vec<_> = over.map(|(key, _)| key).collect();
        over.sort_unstable();
        over
    }

    /// What is to be written.
    pub(super) fn into_rows(self) -> Vec<Row> {
        let mut found = self.found;
        let rows = self.in_order.into_iter().filter_map(|((address_key, stream), slot)| {
            let key = (address_key, stream);
            let there = found.remove(&key).filter(|there| !there.over);
            let address_key = key.0;
            let Slot { standing, fate } = slot;
            let (entry, longer) = match fate {
                Fate::Stays => return None,
                Fate::Longer => (None, true),
                Fate::Listed(entry) => (Some(*entry), false),
            };
            let mut row = Row {
                domain: domain_of(&address_key).unwrap_or_default().to_owned(),
                address_key,
                stream,
                address: String::new(),
                reason: standing.reason.as_str(),
                class: None,
                status: None,
                rule: None,
                remote_mta: None,
                evidence: None,
                note: None,
                first_seen: String::new(),
                last_seen: String::new(),
                count: 0,
                expires_at: standing.expires_at.map(written),
                recheckable: standing.recheckable,
                soft_term_days: standing.soft_term_days,
                before: None,
                longer,
            };
            if let Some(entry) = entry {
                row.address = entry.address;
                row.class = entry.class;
                row.status = entry.status;
                row.rule = entry.rule;
                row.remote_mta = entry.remote_mta;
                row.evidence = entry.evidence;
                row.note = entry.note;
                row.first_seen = written(entry.first_seen);
                row.last_seen = written(entry.last_seen);
                row.count = entry.count;
            }
            if let Some(there) = there {
                row.first_seen = row.first_seen.min(there.first_seen);
                row.last_seen = row.last_seen.max(there.last_seen);
                row.count = row.count.saturating_add(there.count);
                row.before = Some(there.json);
            }
            Some(row)
        });
        rows.collect()
    }
}
