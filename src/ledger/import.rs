//! A part of somebody's list beside what stands: one entry for an address and stream, however often the part names it.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{AuditOrigin, Book, Cause, Entry, EntryKey, Noted, whole_seconds};
use crate::policy::{Joined, join};

/// What became of the entries of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportCounts)]
pub struct Imported {
    /// On the list now, where nothing stood.
    pub added: u64,
    /// Outweighed or outlasted what stood: that entry is stronger or longer now.
    pub changed: u64,
    /// Stand already, at least as strong and as long.
    pub known: u64,
    /// Came more than once in the list, for the same stream.
    pub duplicates: u64,
}

impl Imported {
    /// All of them.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.added + self.changed + self.known + self.duplicates
    }
}

impl std::ops::AddAssign for Imported {
    fn add_assign(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.known += other.known;
        self.duplicates += other.duplicates;
    }
}

/// What the part made of the entry of one key.
struct Fate {
    /// The entry that stood before.
    stood: Option<Entry>,
    changed: bool,
    /// It stays as it is and ends later.
    longer: bool,
}

impl Book<'_, '_> {
    /// Puts a part of a list on the list. Nothing that stands is shortened or made weaker. `listed` are the keys that an
    /// earlier part of the same list wrote.
    pub fn import(
        &mut self,
        entries: Vec<Entry>,
        listed: &HashSet<EntryKey>,
        at: Timestamp,
        actor: Option<String>,
        why: &str,
    ) -> Imported {
        let mut imported = Imported::default();
        let mut keys = Vec::with_capacity(entries.len());
        let mut fates: HashMap<EntryKey, Fate> = HashMap::with_capacity(entries.len());
        for entry in entries {
            let key = entry.key();
            let again = fates.contains_key(&key) || listed.contains(&key);
            let fate = fates.entry(key.clone()).or_insert_with(|| {
                keys.push(key.clone());
                Fate { stood: self.before(&key, at), changed: false, longer: false }
            });
            let joined = match self.facts.entries.get(&key) {
                None => Joined::Instead(entry.standing()),
                Some(there) => join(&there.standing(), &entry.standing(), at),
            };
            *match joined {
                _ if again => &mut imported.duplicates,
                Joined::Known => &mut imported.known,
                Joined::Instead(_) if fate.stood.is_none() => &mut imported.added,
                Joined::Longer(_) | Joined::Instead(_) => &mut imported.changed,
            } += 1;
            let standing = match joined {
                Joined::Known => continue,
                Joined::Longer(standing) => {
                    fate.longer |= !fate.changed;
                    standing
                }
                Joined::Instead(standing) => {
                    fate.longer = false;
                    self.put(listed_entry(entry, fate.stood.as_ref()));
                    standing
                }
            };
            fate.changed = true;
            if let Some(entry) = self.touch(key) {
                entry.expires_at = standing.expires_at;
                entry.recheckable = standing.recheckable;
                entry.soft_term_days = standing.soft_term_days;
                entry.changed_at = whole_seconds(at);
            }
        }
        let cause = Cause { origin: AuditOrigin::Import, actor, at: None, why: None };
        for key in keys {
            let Some(Fate { stood, changed: true, longer }) = fates.remove(&key) else { continue };
            let address = self.facts.entries.get(&key).map(|entry| entry.address.clone()).unwrap_or_default();
            let why = Some(if longer { format!("lasts longer: {why}") } else { why.to_owned() });
            self.note(Noted { key, at, before: stood, why, event: None }, &address, &cause);
        }
        imported
    }
}

/// The list's entry, with what the one that stood had seen.
fn listed_entry(entry: Entry, stood: Option<&Entry>) -> Entry {
    Entry {
        first_seen: stood.map_or(entry.first_seen, |stood| stood.first_seen.min(entry.first_seen)),
        last_seen: stood.map_or(entry.last_seen, |stood| stood.last_seen.max(entry.last_seen)),
        count: stood.map_or(entry.count, |stood| stood.count.saturating_add(entry.count)),
        origin: AuditOrigin::Import,
        event: None,
        ended: false,
        ..entry
    }
}
