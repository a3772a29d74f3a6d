//! `[store]`: the database, how long raw messages stay, and how addresses are kept.

use std::path::{Path, PathBuf};

use super::reader::Reader;
use super::return_path::{KeyFileError, read_secret_file};
use super::{StoreConfig, secs, size, small};
use crate::store::{Addresses, HashKey, HashKeyError};

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

pub(super) fn store(reader: &mut Reader, name: &str) -> StoreConfig {
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
    let max_recipients = size(reader.integer("store.max_recipients", 1_000, 1..=100_000));
    let addresses = addresses(reader, name);
    if addresses.all_hashed() {
        if reader.has("store.raw_days") && raw_days > 0 {
            let what = "raw messages hold addresses, so with hash_addresses none is kept: raw_days = 0, or no raw_days";
            reader.impossible(name, "store.raw_days", what.to_owned());
        }
        raw_days = 0;
    }
    StoreConfig { path, busy_timeout, raw_days, max_recipients, addresses }
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
