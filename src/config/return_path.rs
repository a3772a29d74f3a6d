//! `[return_path]`: what is ours, the keys, and what is done with what proves nothing.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::reader::Reader;
use super::small;
use crate::address::domain_key;
use crate::returnpath::{
    Keys, LocalPartPattern, MAX_AGE_DAYS, ReturnPaths, UnsignedTrust, VerpDelimiters, network,
};

/// Largest key file, in octets: many times what sixteen keys with comments take.
const MAX_KEY_FILE: u64 = 64 * 1024;

/// Why a key file is not read.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("{0}{hint}", hint = hint(.0))]
    Read(#[from] std::io::Error),
    /// Others could read or change it.
    #[error("its mode is {0:04o}, so that others may read or change it; `chmod 600` makes it 0600")]
    Mode(u32),
    /// It is a directory, a pipe or the like, or larger than any key file.
    #[error("this is no key file")]
    NoFile,
    /// What stands in it; the number is that of the line.
    #[error(transparent)]
    Keys(#[from] crate::returnpath::KeyError),
}

fn hint(cause: &std::io::Error) -> &'static str {
    match cause.kind() {
        std::io::ErrorKind::NotFound => "; `dsnd return-path keygen --output FILE` makes one",
        _ => "",
    }
}

/// Reads a key file that nobody but its owner can read: mode 0600 or 0400.
///
/// # Errors
/// [`KeyFileError`]; no secret is repeated in it.
pub fn read_key_file(path: &Path) -> Result<Keys, KeyFileError> {
    Ok(Keys::parse(&read_secret_file(path)?)?)
}

/// The text of a file that nobody but its owner can read: mode 0600 or 0400.
pub(super) fn read_secret_file(path: &Path) -> Result<Zeroizing<String>, KeyFileError> {
    // Asked before it is opened, since opening a pipe waits; and again of the open file, which is the one that is read.
    if !std::fs::metadata(path)?.is_file() {
        return Err(KeyFileError::NoFile);
    }
    let file = std::fs::File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > MAX_KEY_FILE {
        return Err(KeyFileError::NoFile);
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if !matches!(mode, 0o600 | 0o400) {
        return Err(KeyFileError::Mode(mode));
    }
    // All the room at once: a string that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_KEY_FILE as usize));
    file.take(MAX_KEY_FILE).read_to_string(&mut text)?;
    Ok(text)
}

pub(super) fn return_paths(reader: &mut Reader, name: &str) -> (Vec<String>, ReturnPaths) {
    let domains = domains(reader);
    let patterns = local_parts(reader);
    let keys = keys(reader);
    let prefix = reader.parsed("return_path.prefix").unwrap_or_default();
    let max_age_days = small(reader.integer("return_path.max_age_days", MAX_AGE_DAYS.into(), 1..=365));
    let verp = verp(reader);
    let refuse = reader.choice("return_path.unsigned", false, &[("accept", false), ("refuse", true)]);
    if refuse && keys.as_ref().is_some_and(|keys| keys.is_empty() && !keys.has_batv()) {
        let what = "without keys nothing is signed, so every bounce would be refused; set keys_file";
        reader.impossible(name, "return_path.unsigned", what.to_owned());
    }
    let paths = ReturnPaths::new(&domains, patterns)
        .with_tokens(keys.unwrap_or_default(), prefix, max_age_days)
        .with_verp(verp)
        .refusing_unsigned(refuse);
    (domains, paths)
}

fn domains(reader: &mut Reader) -> Vec<String> {
    let Some((at, texts)) = reader.texts("return_path.domains") else { return vec!["localhost".to_owned()] };
    if texts.is_empty() {
        reader.wrong(&at, "name at least one domain, or no bounce can come in");
    }
    for text in &texts {
        if crate::address::Mailbox::new("postmaster", text).is_err() {
            reader.wrong(&at, format!("{text:?} is no domain, such as \"bounces.example.com\""));
        }
    }
    texts
}

fn local_parts(reader: &mut Reader) -> Vec<LocalPartPattern> {
    let Some((at, texts)) = reader.texts("return_path.local_parts") else {
        return "*".parse().into_iter().collect();
    };
    if texts.is_empty() {
        reader.wrong(&at, "name at least one local part, or \"*\" for all");
    }
    reader.all_parsed(&at, &texts)
}

fn verp(reader: &mut Reader) -> Vec<VerpDelimiters> {
    match reader.texts("return_path.verp_delimiters") {
        Some((at, texts)) => reader.all_parsed(&at, &texts),
        None => VerpDelimiters::usual(),
    }
}

/// The keys of `DSND_RETURN_PATH_KEYS`, else those of the file; `None` when they cannot be had.
fn keys(reader: &mut Reader) -> Option<Keys> {
    let file = reader.text("return_path.keys_file").filter(|(_, path)| !path.is_empty());
    let secret = reader.secret("return_path.keys");
    if reader.leaves_keys() {
        return None;
    }
    if let Some((at, text)) = secret {
        return match Keys::parse(&text) {
            Ok(keys) => Some(keys),
            Err(error) => {
                reader.wrong(&at, error.to_string());
                None
            }
        };
    }
    let Some((at, path)) = file else { return Some(Keys::default()) };
    match read_key_file(Path::new(&path)) {
        Ok(keys) => Some(keys),
        Err(error) => {
            reader.wrong(&at, format!("cannot use the keys in {path:?}: {error}"));
            None
        }
    }
}

/// Which unsigned reports count: none, unless the operator says so.
pub(super) fn unsigned_trust(reader: &mut Reader, domains: &[String]) -> UnsignedTrust {
    let generally = reader.boolean("return_path.trust_unsigned").is_some_and(|(_, value)| value);
    let ours: Vec<String> = domains.iter().map(|domain| domain_key(domain)).collect();
    let mut trusted = Vec::new();
    if let Some((at, texts)) = reader.texts("return_path.trust_unsigned_domains") {
        for text in texts {
            let key = domain_key(&text);
            if ours.contains(&key) {
                trusted.push(key);
            } else {
                reader.wrong(&at, format!("{text:?} is not among return_path.domains"));
            }
        }
    }
    let mut networks = Vec::new();
    if let Some((at, texts)) = reader.texts("return_path.trust_unsigned_networks") {
        for text in texts {
            match network(&text) {
                Ok(network) => networks.push(network),
                Err(error) => reader.wrong(&at, error.to_string()),
            }
        }
    }
    UnsignedTrust { generally, domains: trusted, networks }
}
