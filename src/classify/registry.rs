//! The table of registered enhanced status codes (RFC 3463, RFC 5248 and the IANA registry they opened).

use std::collections::HashMap;

use serde::Deserialize;

use super::class::{Class, Severity};
use crate::status::{EnhancedStatusCode, StatusClass};

/// The project's own data file, embedded.
const STATUS_CODES: &str = include_str!("../../config/rules/status-codes.toml");

/// What a registered code means, in one language.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// The code's name, where it differs from the registered one.
    pub name: Option<String>,
    /// What the remote host says with it.
    pub meaning: String,
    /// What a sender does about it.
    pub action: String,
}

/// One registered code, `X.subject.detail`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisteredCode {
    /// As registered: `X.4.1`.
    pub code: String,
    /// The registered name.
    pub name: String,
    /// Basic reply codes it may come with; empty where the registry gives none.
    pub replies: Vec<u16>,
    /// Where it is defined: `RFC 3463`.
    pub reference: String,
    /// What we conclude from `5.x.y`.
    pub permanent: Class,
    /// What we conclude from `4.x.y`.
    pub transient: Class,
    /// In English.
    pub en: Explanation,
    /// In German.
    pub de: Explanation,
}

impl RegisteredCode {
    /// The class concluded from this code in a status class; success is always [`Class::Delivered`].
    #[must_use]
    pub const fn class(&self, status_class: StatusClass) -> Class {
        match status_class {
            StatusClass::Success => Class::Delivered,
            StatusClass::PersistentTransient => self.transient,
            StatusClass::Permanent => self.permanent,
        }
    }
}

/// How a code was found in the table.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'r> {
    /// The entry.
    pub entry: &'r RegisteredCode,
    /// The code that the entry stands for, in the class asked for. Differs from the one asked for where that
    /// one is not registered and a more general one answers.
    pub found: EnhancedStatusCode,
}

/// The table, by subject and detail.
#[derive(Debug)]
pub struct Registry {
    codes: Vec<RegisteredCode>,
    index: HashMap<(u16, u16), usize>,
}

/// A table that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// Not the TOML it should be.
    #[error("status-codes.toml: {0}")]
    Toml(#[from] toml::de::Error),
    /// A code that is not `X.n.n`.
    #[error("status-codes.toml: {0:?} is not of the form X.n.n")]
    BadCode(String),
    /// A code twice, or the general one missing that everything falls back to.
    #[error("status-codes.toml: {0} stands twice")]
    Twice(String),
    /// Without it, an unregistered code has nothing to fall back to.
    #[error("status-codes.toml: X.0.0 is missing")]
    NoFallback,
}

impl Registry {
    /// The embedded table.
    ///
    /// # Errors
    /// [`RegistryError`] when the data file is broken; the tests keep it from being so.
    pub fn embedded() -> Result<Self, RegistryError> {
        Self::parse(STATUS_CODES)
    }

    fn parse(text: &str) -> Result<Self, RegistryError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            code: Vec<RegisteredCode>,
        }
        let file: File = toml::from_str(text)?;
        let mut index = HashMap::with_capacity(file.code.len());
        for (at, entry) in file.code.iter().enumerate() {
            let numbers = entry.code.strip_prefix("X.").and_then(|rest| rest.split_once('.'));
            let key = numbers
                .and_then(|(subject, detail)| Some((subject.parse().ok()?, detail.parse().ok()?)))
                .ok_or_else(|| RegistryError::BadCode(entry.code.clone()))?;
            if index.insert(key, at).is_some() {
                return Err(RegistryError::Twice(entry.code.clone()));
            }
        }
        if !index.contains_key(&(0, 0)) {
            return Err(RegistryError::NoFallback);
        }
        Ok(Self { codes: file.code, index })
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

    /// Every entry, in the file's order.
    #[must_use]
    pub fn entries(&self) -> &[RegisteredCode] {
        &self.codes
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
mod tests {
    use super::*;

    fn code(text: &str) -> EnhancedStatusCode {
        text.parse().unwrap()
    }

    #[test]
    fn unregistered_codes_fall_back_to_their_subject_then_to_their_class() {
        let registry = Registry::embedded().unwrap();
        for (asked, found) in [
            ("5.1.1", "5.1.1"),
            ("5.1.99", "5.1.0"),
            ("4.7.650", "4.7.0"),
            ("5.9.1", "5.0.0"),
            ("4.0.7", "4.0.0"),
        ] {
            assert_eq!(registry.lookup(code(asked)).found, code(found), "{asked}");
        }
        assert!(registry.registered(code("5.1.99")).is_none());
    }

    #[test]
    fn the_codes_of_the_source_documents_do_what_they_say() {
        let registry = Registry::embedded().unwrap();
        for (text, class) in [
            ("5.4.1", Class::HostUnreachable),
            ("4.4.1", Class::HostUnreachable),
            ("5.4.2", Class::BadConnection),
            ("4.4.2", Class::BadConnection),
            ("5.1.1", Class::RecipientUnknown),
            ("5.2.2", Class::MailboxFull),
            ("2.1.5", Class::Delivered),
        ] {
            let code = code(text);
            assert_eq!(registry.lookup(code).entry.class(code.class), class, "{text}");
        }
    }

    #[test]
    fn the_whole_registry_is_there_in_both_languages() {
        let registry = Registry::embedded().unwrap();
        assert!(registry.entries().len() >= 79, "{}", registry.entries().len());
        for entry in registry.entries() {
            for text in
                [&entry.name, &entry.en.meaning, &entry.en.action, &entry.de.meaning, &entry.de.action]
            {
                assert!(!text.trim().is_empty(), "{}", entry.code);
            }
        }
    }

    #[test]
    fn a_broken_table_is_refused() {
        assert!(matches!(Registry::parse("code = []"), Err(RegistryError::NoFallback)));
        assert!(matches!(Registry::parse("nonsense"), Err(RegistryError::Toml(_))));
    }
}
