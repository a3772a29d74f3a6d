//! `[store]`: where everything is kept, and for how long.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::Reader;
use super::{secs, size, small};

/// Days by which events are kept longer than a token is valid: it is taken through the whole of its last day, and one
/// that is made where the clock is ahead is taken a day before its first. For so long the same report can come again
/// with proof, and must find itself here (contract 2).
const TOKEN_MARGIN: u32 = 2;

/// `[store]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The SQLite file.
    pub path: PathBuf,
    /// How long a write waits for a lock.
    pub busy_timeout: Duration,
    /// How many days raw messages are kept.
    pub raw_days: u32,
    /// How many days messages and their events are kept; 0: for ever.
    pub events_days: u32,
    /// The same where an event still waits for a person; 0: for as long as it waits.
    pub waiting_days: u32,
    /// How many days statistics are kept, and what is counted against domains and hosts; 0: for ever.
    pub aggregates_days: u32,
    /// How many recipients of one report are recorded.
    pub max_recipients: usize,
}

/// `name` is the file's, `max_age_days` how long a signed return path is taken.
pub(super) fn store(reader: &mut Reader, name: &str, max_age_days: u32) -> StoreConfig {
    let path = match reader.text("store.path") {
        None => PathBuf::from("dsnd.db"),
        Some((at, text)) if text.is_empty() => {
            reader.wrong(&at, "name a file, such as \"/var/lib/dsnd/dsnd.db\"");
            PathBuf::new()
        }
        Some((_, text)) => PathBuf::from(text),
    };
    let store = StoreConfig {
        path,
        busy_timeout: secs(reader.integer("store.busy_timeout", 5, 1..=60)),
        raw_days: small(reader.integer("store.raw_days", 14, 0..=3_650)),
        events_days: small(reader.integer("store.events_days", 90, 0..=36_500)),
        waiting_days: small(reader.integer("store.waiting_days", 365, 0..=36_500)),
        aggregates_days: small(reader.integer("store.aggregates_days", 396, 0..=36_500)),
        max_recipients: size(reader.integer("store.max_recipients", 1_000, 1..=100_000)),
    };
    contradictions(reader, name, max_age_days, &store);
    store
}

fn contradictions(reader: &mut Reader, name: &str, max_age_days: u32, store: &StoreConfig) {
    let StoreConfig { raw_days, events_days, waiting_days, .. } = *store;
    if events_days == 0 {
        return;
    }
    let needed = max_age_days.saturating_add(TOKEN_MARGIN);
    if events_days < needed {
        let what = format!(
            "{events_days} is too few for return_path.max_age_days = {max_age_days}: a report that comes again could count \
             again; make it {needed} or more, or 0 for ever"
        );
        reader.impossible(name, "store.events_days", what);
    }
    if raw_days > events_days {
        let what = format!(
            "{raw_days} is more than events_days = {events_days}, after which the whole message goes"
        );
        reader.impossible(name, "store.raw_days", what);
    }
    if waiting_days != 0 && waiting_days < events_days {
        let what = format!("{waiting_days} is less than events_days = {events_days}; 0 is no limit");
        reader.impossible(name, "store.waiting_days", what);
    }
}
