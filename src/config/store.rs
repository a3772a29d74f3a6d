//! `[store]`: the database, how long raw messages stay, and how addresses are kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::Reader;
use super::return_path::{KeyFileError, read_secret_file};
use super::{secs, size, small};
use crate::ingest::Reserve;
use crate::store::{Addresses, HashKey, HashKeyError};

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
    /// Octets of free disk below which nothing is taken that no return path proves, and below which nothing is.
    pub reserve: Reserve,
    /// Octets of the file that keeps room for what makes room; 0: none.
    pub reserve_file: u64,
    /// How addresses are kept.
    pub addresses: Addresses,
}

/// Why the file of a hash key is not read.
#[derive(Debug, thiserror::Error)]
pub enum HashKeyFileError {
    /// It is not there.
    #[error("there is no such file; `dsnd store keygen --output FILE` makes one")]
    Missing,
    /// It cannot be read, or others could.
    #[error(transparent)]
    File(KeyFileError),
    /// What stands in it.
    #[error(transparent)]
    Key(#[from] HashKeyError),
}

/// Reads the file of a hash key, which nobody but its owner can read: mode 0600 or 0400.
///
/// # Errors
/// [`HashKeyFileError`]; nothing of the key is repeated in it.
pub fn read_hash_key_file(path: &Path) -> Result<HashKey, HashKeyFileError> {
    let text = read_secret_file(path).map_err(|error| match error {
        KeyFileError::Read(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            HashKeyFileError::Missing
        }
        error => HashKeyFileError::File(error),
    })?;
    Ok(HashKey::parse(&text)?)
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
    let busy_timeout = secs(reader.integer("store.busy_timeout", 5, 1..=60));
    let mut raw_days = small(reader.integer("store.raw_days", 14, 0..=3_650));
    let events_days = small(reader.integer("store.events_days", 90, 0..=36_500));
    let waiting_days = small(reader.integer("store.waiting_days", 365, 0..=36_500));
    let aggregates_days = small(reader.integer("store.aggregates_days", 396, 0..=36_500));
    let max_recipients = size(reader.integer("store.max_recipients", 1_000, 1..=100_000));
    let default = Reserve::default();
    let reserve = Reserve {
        unproven: reader.integer("store.reserve_unproven", default.unproven, 0..=1 << 50),
        all: reader.integer("store.reserve", default.all, 0..=1 << 50),
    };
    let reserve_file = reader.integer("store.reserve_file", 16 << 20, 0..=1 << 40);
    let addresses = addresses(reader, name);
    if addresses.all_hashed() {
        if reader.has("store.raw_days") && raw_days > 0 {
            let what = "raw messages hold addresses, so with hash_addresses none is kept: raw_days = 0, or no raw_days";
            reader.impossible(name, "store.raw_days", what.to_owned());
        }
        raw_days = 0;
    }
    let store = StoreConfig {
        path,
        busy_timeout,
        raw_days,
        events_days,
        waiting_days,
        aggregates_days,
        max_recipients,
        reserve,
        reserve_file,
        addresses,
    };
    contradictions(reader, name, max_age_days, &store);
    store
}

fn contradictions(reader: &mut Reader, name: &str, max_age_days: u32, store: &StoreConfig) {
    let StoreConfig { raw_days, events_days, waiting_days, reserve, .. } = *store;
    if reserve.unproven < reserve.all {
        let what = format!("{} is less than store.reserve = {}", reserve.unproven, reserve.all);
        reader.impossible(name, "store.reserve_unproven", what);
    }
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

/// How addresses are kept. The key is that of `DSND_STORE_HASH_KEY`, else that of the file.
fn addresses(reader: &mut Reader, name: &str) -> Addresses {
    let hash = reader.boolean("store.hash_addresses").is_some_and(|(_, value)| value);
    let file = reader.text("store.hash_key_file").filter(|(_, path)| !path.is_empty());
    let key = if let Some((at, text)) = reader.secret("store.hash_key") {
        HashKey::parse(&text).map_err(|error| reader.wrong(&at, error.to_string()))
    } else if let Some((at, path)) = file {
        read_hash_key_file(Path::new(&path))
            .map_err(|error| reader.wrong(&at, format!("cannot use the key in {path:?}: {error}")))
    } else if hash {
        let what =
            "addresses are hashed with a key: set hash_key_file; `dsnd store keygen --output FILE` makes one";
        reader.impossible(name, "store.hash_addresses", what.to_owned());
        Err(())
    } else {
        return Addresses::default();
    };
    match key {
        Ok(key) if hash => Addresses::hashed(key),
        key => Addresses::clear(key.ok()),
    }
}
