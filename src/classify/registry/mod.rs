//! What status codes mean: the registered ones (RFC 3463, RFC 5248 and the IANA registry they opened), those
//! of single providers, and bare reply codes. The data stand in `config/status-codes`, a file a subject.

mod entry;

use std::collections::HashMap;

use serde::Deserialize;

use super::class::Severity;
use crate::status::{EnhancedStatusCode, ReplyCode, StatusClass};

pub use entry::{CodePattern, ExactCode, Explanation, ProviderCode, RegisteredCode, Reply};

/// Names and embeds data files.
macro_rules! embed {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../config/status-codes/", $name)))),+]
    };
}

/// The project's own data files, embedded.
const FILES: [(&str, &str); 10] = embed![
    "0-other.toml",
    "1-addressing.toml",
    "2-mailbox.toml",
    "3-system.toml",
    "4-network.toml",
    "5-protocol.toml",
    "6-content.toml",
    "7-policy.toml",
    "providers.toml",
    "replies.toml",
];

/// How a code was found in the table.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'r> {
    /// The entry.
    pub entry: &'r RegisteredCode,
    /// The code that the entry stands for, in the class asked for. Differs from the one asked for where that
    /// one is not registered and a more general one answers.
    pub found: EnhancedStatusCode,
}

/// The tables.
#[derive(Debug, Default)]
pub struct Registry {
    codes: Vec<RegisteredCode>,
    /// By subject and detail.
    index: HashMap<(u16, u16), usize>,
    exact: HashMap<EnhancedStatusCode, ExactCode>,
    providers: Vec<(CodePattern, ProviderCode)>,
    replies: Vec<Reply>,
}

/// A table that cannot be used. `file` is the file's name.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "`file` and `code` say what they are")]
pub enum RegistryError {
    /// Not the TOML it should be.
    #[error("{file}: {source}")]
    Toml { file: String, source: toml::de::Error },
    /// A code that cannot be read, or that does not belong where it stands.
    #[error("{file}: {code:?} is not of the form that is wanted here")]
    BadCode { file: String, code: String },
    /// A code twice.
    #[error("{file}: {code} stands twice")]
    Twice { file: String, code: String },
    /// A code that nothing is said about.
    #[error("{file}: {code} has no meaning or no action")]
    Unexplained { file: String, code: String },
    /// Without it, an unregistered code has nothing to fall back to.
    #[error("no status code file has X.0.0")]
    NoFallback,
}

/// One data file; any of them may hold any kind of entry.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    code: Vec<RegisteredCode>,
    #[serde(default)]
    exact: Vec<ExactCode>,
    #[serde(default)]
    provider_code: Vec<ProviderCode>,
    #[serde(default)]
    reply: Vec<Reply>,
}

impl Registry {
    /// The embedded tables.
    ///
    /// # Errors
    /// [`RegistryError`] when a data file is broken; the tests keep it from being so.
    pub fn embedded() -> Result<Self, RegistryError> {
        Self::parse(&FILES)
    }

    /// Reads files, given as name and text.
    fn parse(files: &[(&str, &str)]) -> Result<Self, RegistryError> {
        let mut registry = Self::default();
        for (file, text) in files {
            registry.add(file, text)?;
        }
        if !registry.index.contains_key(&(0, 0)) {
            return Err(RegistryError::NoFallback);
        }
        Ok(registry)
    }

    fn add(&mut self, file: &str, text: &str) -> Result<(), RegistryError> {
        let bad = |code: &str| RegistryError::BadCode { file: file.to_owned(), code: code.to_owned() };
        let twice = |code: &str| RegistryError::Twice { file: file.to_owned(), code: code.to_owned() };
        let explained = |code: &str, texts: [&Explanation; 2]| {
            let complete = texts.iter().all(|text| !text.meaning.is_empty() && !text.action.is_empty());
            let unexplained = || RegistryError::Unexplained { file: file.to_owned(), code: code.to_owned() };
            complete.then_some(()).ok_or_else(unexplained)
        };
        let read: File =
            toml::from_str(text).map_err(|source| RegistryError::Toml { file: file.to_owned(), source })?;
        for entry in read.code {
            let pattern = CodePattern::read(&entry.code).filter(|pattern| pattern.class.is_none());
            let pattern = pattern.ok_or_else(|| bad(&entry.code))?;
            explained(&entry.code, [&entry.en, &entry.de])?;
            if self.index.insert((pattern.subject, pattern.detail), self.codes.len()).is_some() {
                return Err(twice(&entry.code));
            }
            self.codes.push(entry);
        }
        for entry in read.exact {
            let code: EnhancedStatusCode = entry.code.parse().map_err(|_| bad(&entry.code))?;
            if !self.index.contains_key(&(code.subject, code.detail)) {
                return Err(bad(&entry.code)); // there is nothing that it could refine
            }
            if let Some(first) = self.exact.insert(code, entry) {
                return Err(twice(&first.code));
            }
        }
        for entry in read.provider_code {
            let pattern = CodePattern::read(&entry.code).ok_or_else(|| bad(&entry.code))?;
            explained(&entry.code, [&entry.en, &entry.de])?;
            // One provider may give a number several meanings; the reply's text tells them apart.
            let same = |known: &ProviderCode| known.provider == entry.provider && known.name == entry.name;
            if self.providers.iter().any(|(other, known)| *other == pattern && same(known)) {
                return Err(twice(&format!("{} of {}", entry.code, entry.provider)));
            }
            self.providers.push((pattern, entry));
        }
        for entry in read.reply {
            let code = entry.code.to_string();
            explained(&code, [&entry.en, &entry.de])?;
            if self.reply(entry.code).is_some() {
                return Err(twice(&code));
            }
            self.replies.push(entry);
        }
        Ok(())
    }

    /// The entry for a code; an unregistered one falls back to `X.subject.0`, then to `X.0.0`.
    #[must_use]
    pub fn lookup(&self, code: EnhancedStatusCode) -> Lookup<'_> {
        let keys = [(code.subject, code.detail), (code.subject, 0), (0, 0)];
        let ((subject, detail), at) =
            keys.iter().find_map(|key| Some((*key, *self.index.get(key)?))).unwrap_or(((0, 0), 0));
        Lookup { entry: &self.codes[at], found: EnhancedStatusCode::new(code.class, subject, detail) }
    }

    /// The entry of exactly this code, if it is registered.
    #[must_use]
    pub fn registered(&self, code: EnhancedStatusCode) -> Option<&RegisteredCode> {
        self.index.get(&(code.subject, code.detail)).map(|at| &self.codes[*at])
    }

    /// The text for one class of a code, which comes before that of its entry.
    #[must_use]
    pub fn exact(&self, code: EnhancedStatusCode) -> Option<&ExactCode> {
        self.exact.get(&code)
    }

    /// What providers mean by a code: those that name it first, then those with a range around it.
    #[must_use]
    pub fn by_providers(&self, code: EnhancedStatusCode) -> Vec<&ProviderCode> {
        let covering = self.providers.iter().filter(|(pattern, entry)| entry.covers(*pattern, code));
        let mut found: Vec<&ProviderCode> = covering.map(|(_, entry)| entry).collect();
        found.sort_by_key(|entry| entry.through.is_some());
        found
    }

    /// The entry of a bare reply code.
    #[must_use]
    pub fn reply(&self, code: ReplyCode) -> Option<&Reply> {
        self.replies.iter().find(|entry| entry.code == code)
    }

    /// Every registered code, in the files' order.
    #[must_use]
    pub fn entries(&self) -> &[RegisteredCode] {
        &self.codes
    }

    /// Every provider's code.
    pub fn provider_entries(&self) -> impl Iterator<Item = &ProviderCode> {
        self.providers.iter().map(|(_, entry)| entry)
    }

    /// Every text for a single class.
    pub fn exact_entries(&self) -> impl Iterator<Item = &ExactCode> {
        self.exact.values()
    }

    /// Every reply code.
    #[must_use]
    pub fn reply_entries(&self) -> &[Reply] {
        &self.replies
    }
}

/// The severity that a status class stands for; success counts as transient, since it can never suppress.
#[must_use]
pub const fn severity(status_class: StatusClass) -> Severity {
    match status_class {
        StatusClass::Permanent => Severity::Permanent,
        StatusClass::PersistentTransient | StatusClass::Success => Severity::Transient,
    }
}

#[cfg(test)]
mod tests;
