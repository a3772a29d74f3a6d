//! What the data files under `config/status-codes` hold, as they hold it.

use serde::Deserialize;

use crate::classify::class::Class;
use crate::status::{EnhancedStatusCode, ReplyCode, StatusClass};

/// What a code means and what to do about it, in one language.
///
/// In an [`ExactCode`] everything may be left out: what is missing there is taken from the general entry.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// The code's name, where it differs from the registered one.
    pub name: Option<String>,
    /// What the remote host says with it.
    #[serde(default)]
    pub meaning: String,
    /// What dsnd does with it, and what is left to do, in short.
    #[serde(default)]
    pub action: String,
    /// Common causes, the likeliest first.
    #[serde(default)]
    pub causes: Vec<String>,
    /// What people who send do: marketers, owners of lists.
    #[serde(default)]
    pub senders: Vec<String>,
    /// What developers of sending programs do.
    #[serde(default)]
    pub developers: Vec<String>,
    /// How to find out more.
    #[serde(default)]
    pub investigate: Vec<String>,
}

impl Explanation {
    /// Whether every part of it is there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let lists = [&self.causes, &self.senders, &self.developers, &self.investigate];
        [&self.meaning, &self.action].iter().all(|text| !text.trim().is_empty())
            && lists.iter().all(|list| list.len() >= 2 && list.iter().all(|item| !item.trim().is_empty()))
    }
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
    /// Typical reply lines.
    #[serde(default)]
    pub examples: Vec<String>,
    /// Codes worth a look beside this one: `X.4.2`, or `5.4.2` where one class is meant.
    #[serde(default)]
    pub related: Vec<String>,
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

/// Text for one class of a registered code, where 4 and 5 need different advice.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExactCode {
    /// `5.4.2`.
    pub code: String,
    /// Typical reply lines; the general entry's where empty.
    #[serde(default)]
    pub examples: Vec<String>,
    /// Codes worth a look; the general entry's where empty.
    #[serde(default)]
    pub related: Vec<String>,
    /// In English; what is missing is taken from the general entry.
    #[serde(default)]
    pub en: Explanation,
    /// In German.
    #[serde(default)]
    pub de: Explanation,
}

/// What a provider means by a code: one of its own, or a registered one used its own way.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderCode {
    /// Who uses it so: `Microsoft 365`.
    pub provider: String,
    /// The same in German, where that differs: `Yahoo und AOL`.
    pub provider_de: Option<String>,
    /// `5.7.606`, or `X.7.606` where both classes occur.
    pub code: String,
    /// The last number of the range that begins with `code`: 649 for `5.7.606` to `5.7.649`.
    pub through: Option<u16>,
    /// The provider's short name for it.
    pub name: String,
    /// What we conclude from it with 5 in front.
    pub permanent: Option<Class>,
    /// What we conclude from it with 4 in front.
    pub transient: Option<Class>,
    /// Basic reply codes it comes with.
    #[serde(default)]
    pub replies: Vec<u16>,
    /// Where the provider describes it.
    #[serde(default)]
    pub reference: String,
    /// Typical reply lines.
    #[serde(default)]
    pub examples: Vec<String>,
    /// Codes worth a look beside this one.
    #[serde(default)]
    pub related: Vec<String>,
    /// In English.
    pub en: Explanation,
    /// In German.
    pub de: Explanation,
}

impl ProviderCode {
    /// Whether a code is the one this entry is about, or in its range.
    #[must_use]
    pub fn covers(&self, pattern: CodePattern, code: EnhancedStatusCode) -> bool {
        let last = self.through.unwrap_or(pattern.detail);
        (pattern.detail..=last).contains(&code.detail)
            && CodePattern { detail: code.detail, ..pattern }.matches(code)
    }

    /// The class concluded from this code in a status class, where the entry says.
    #[must_use]
    pub fn class(&self, status_class: StatusClass) -> Option<Class> {
        match status_class {
            StatusClass::Success => Some(Class::Delivered),
            StatusClass::PersistentTransient => self.transient,
            StatusClass::Permanent => self.permanent,
        }
    }
}

/// A bare SMTP reply code (RFC 5321 §4.2.3).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The number.
    #[serde(deserialize_with = "reply_code")]
    pub code: ReplyCode,
    /// Its name.
    pub name: String,
    /// Where it is defined.
    pub reference: String,
    /// Typical reply lines.
    #[serde(default)]
    pub examples: Vec<String>,
    /// Enhanced codes and reply codes worth a look.
    #[serde(default)]
    pub related: Vec<String>,
    /// In English.
    pub en: Explanation,
    /// In German.
    pub de: Explanation,
}

fn reply_code<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ReplyCode, D::Error> {
    let number = u16::deserialize(deserializer)?;
    ReplyCode::new(number).ok_or_else(|| serde::de::Error::custom(format!("{number} is no reply code")))
}

/// A code as the files write it: for one class, or for every class (`X`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CodePattern {
    /// The class; `None` for `X`.
    pub class: Option<StatusClass>,
    /// The second number.
    pub subject: u16,
    /// The third number.
    pub detail: u16,
}

impl CodePattern {
    /// Reads `X.4.1` or `5.4.1`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let Some(rest) = text.strip_prefix("X.") else {
            let code: EnhancedStatusCode = text.parse().ok()?;
            return Some(Self { class: Some(code.class), subject: code.subject, detail: code.detail });
        };
        let (subject, detail) = rest.split_once('.')?;
        Some(Self { class: None, subject: subject.parse().ok()?, detail: detail.parse().ok()? })
    }

    /// Whether a code is meant by it.
    #[must_use]
    pub fn matches(self, code: EnhancedStatusCode) -> bool {
        self.class.is_none_or(|class| class == code.class)
            && (self.subject, self.detail) == (code.subject, code.detail)
    }

    /// The code it stands for beside one of the given class.
    #[must_use]
    pub fn beside(self, class: StatusClass) -> EnhancedStatusCode {
        EnhancedStatusCode::new(self.class.unwrap_or(class), self.subject, self.detail)
    }
}
