//! What status codes mean: the registered ones (RFC 3463, RFC 5248 and the IANA registry they opened), those
//! of single providers, and bare reply codes. The data stand in `config/status-codes`, a file a subject.

mod entry;

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;

use super::class::Severity;
use crate::status::{EnhancedStatusCode, ReplyCode, StatusClass};

pub use entry::{CodePattern, ExactCode, Explanation, ProviderCode, RegisteredCode, Reply};

/// Names and embeds data files, as the build made them of TOML (`config/build.rs`).
macro_rules! embed {
    ($($name:literal),+ $(,)?) => {
        [$((concat!($name, ".toml"), include_str!(concat!(env!("OUT_DIR"), "/", $name, ".json")))),+]
    };
}

/// The project's own data files, embedded. Those of the subjects stand at the subject's number.
const FILES: [(&str, &str); 10] = embed![
    "0-other",
    "1-addressing",
    "2-mailbox",
    "3-system",
    "4-network",
    "5-protocol",
    "6-content",
    "7-policy",
    "providers",
    "replies",
];

/// Where [`FILES`] has the codes of providers, and the reply codes.
const PROVIDERS: usize = 8;
const REPLIES: usize = 9;

/// How a code was found in the table.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'r> {
    /// The entry.
    pub entry: &'r RegisteredCode,
    /// The code that the entry stands for, in the class asked for. Differs from the one asked for where that
    /// one is not registered and a more general one answers.
    pub found: EnhancedStatusCode,
}

/// The tables. A file is read when something in it is first asked for: a bounce needs one or two of ten.
#[derive(Debug, Default)]
pub struct Registry {
    tables: [OnceLock<Table>; FILES.len()],
}

/// What one file says, or several.
#[derive(Debug, Default)]
struct Table {
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
enum RegistryError {
    /// Not what should be in it.
    #[error("{file}: {source}")]
    Content { file: String, source: serde_json::Error },
    /// A code that cannot be read, or that does not belong where it stands.
    #[error("{file}: {code:?} is not of the form that is wanted here")]
    BadCode { file: String, code: String },
    /// A code twice.
    #[error("{file}: {code} stands twice")]
    Twice { file: String, code: String },
    /// A code that nothing is said about.
    #[error("{file}: {code} has no meaning or no action")]
    Unexplained { file: String, code: String },
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

impl Table {
    /// Reads files, given as name and text.
    fn parse(files: &[(&str, &str)]) -> Result<Self, RegistryError> {
        let mut table = Self::default();
        for (file, text) in files {
            table.add(file, text)?;
        }
        Ok(table)
    }

    fn add(&mut self, file: &str, text: &str) -> Result<(), RegistryError> {
        let bad = |code: &str| RegistryError::BadCode { file: file.to_owned(), code: code.to_owned() };
        let twice = |code: &str| RegistryError::Twice { file: file.to_owned(), code: code.to_owned() };
        let explained = |code: &str, texts: [&Explanation; 2]| {
            let complete = texts.iter().all(|text| !text.meaning.is_empty() && !text.action.is_empty());
            let unexplained = || RegistryError::Unexplained { file: file.to_owned(), code: code.to_owned() };
            complete.then_some(()).ok_or_else(unexplained)
        };
        let read: File = serde_json::from_str(text)
            .map_err(|source| RegistryError::Content { file: file.to_owned(), source })?;
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

    fn registered(&self, subject: u16, detail: u16) -> Option<&RegisteredCode> {
        self.index.get(&(subject, detail)).map(|at| &self.codes[*at])
    }

    fn by_providers(&self, code: EnhancedStatusCode) -> Vec<&ProviderCode> {
        let covering = self.providers.iter().filter(|(pattern, entry)| entry.covers(*pattern, code));
        let mut found: Vec<&ProviderCode> = covering.map(|(_, entry)| entry).collect();
        found.sort_by_key(|entry| entry.through.is_some());
        found
    }

    fn reply(&self, code: ReplyCode) -> Option<&Reply> {
        self.replies.iter().find(|entry| entry.code == code)
    }
}

impl Registry {
    /// The embedded tables.
    #[must_use]
    pub fn embedded() -> Self {
        Self::default()
    }

    fn table(&self, file: usize) -> &Table {
        self.tables[file].get_or_init(|| {
            Table::parse(&FILES[file..=file]).expect("the embedded tables, which the tests read as well")
        })
    }

    fn subject(&self, subject: u16) -> Option<&Table> {
        let file = usize::from(subject);
        (file < PROVIDERS).then(|| self.table(file))
    }

    /// The entry for a code; an unregistered one falls back to `X.subject.0`, then to `X.0.0`.
    #[must_use]
    pub fn lookup(&self, code: EnhancedStatusCode) -> Lookup<'_> {
        let keys = [(code.subject, code.detail), (code.subject, 0), (0, 0)];
        let found = keys.into_iter().find_map(|(subject, detail)| {
            let entry = self.subject(subject)?.registered(subject, detail)?;
            Some(Lookup { entry, found: EnhancedStatusCode::new(code.class, subject, detail) })
        });
        found.expect("X.0.0, which a test keeps in its file")
    }

    /// The entry of exactly this code, if it is registered.
    #[must_use]
    pub fn registered(&self, code: EnhancedStatusCode) -> Option<&RegisteredCode> {
        self.subject(code.subject)?.registered(code.subject, code.detail)
    }

    /// The text for one class of a code, which comes before that of its entry.
    #[must_use]
    pub fn exact(&self, code: EnhancedStatusCode) -> Option<&ExactCode> {
        self.subject(code.subject)?.exact.get(&code)
    }

    /// What providers mean by a code: those that name it first, then those with a range around it.
    #[must_use]
    pub fn by_providers(&self, code: EnhancedStatusCode) -> Vec<&ProviderCode> {
        self.table(PROVIDERS).by_providers(code)
    }

    /// The entry of a bare reply code.
    #[must_use]
    pub fn reply(&self, code: ReplyCode) -> Option<&Reply> {
        self.table(REPLIES).reply(code)
    }

    /// Every registered code, in the files' order.
    pub fn entries(&self) -> impl Iterator<Item = &RegisteredCode> {
        (0..PROVIDERS).flat_map(|file| &self.table(file).codes)
    }

    /// Every provider's code.
    pub fn provider_entries(&self) -> impl Iterator<Item = &ProviderCode> {
        self.table(PROVIDERS).providers.iter().map(|(_, entry)| entry)
    }

    /// Every text for a single class.
    pub fn exact_entries(&self) -> impl Iterator<Item = &ExactCode> {
        (0..PROVIDERS).flat_map(|file| self.table(file).exact.values())
    }

    /// Every reply code.
    #[must_use]
    pub fn reply_entries(&self) -> &[Reply] {
        &self.table(REPLIES).replies
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
