//! Who may use the HTTP API.

use std::future::Future;
use std::str::FromStr;

use jiff::Timestamp;
use serde::Serialize;

use super::StoreError;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenScope {
    /// Asking.
    Read,
    /// Asking and changing.
    Write,
}

impl TokenScope {
    /// The word used in output and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl FromStr for TokenScope {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "read" => Ok(Self::Read),
            "write" => Ok(Self::Write),
            _ => Err(()),
        }
    }
}

/// A token on its way into the store.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is called; among those that are not revoked, once.
    pub name: String,
    /// What it allows.
    pub scope: TokenScope,
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
    /// When it is made.
    pub created_at: Timestamp,
    /// Who makes it.
    pub created_by: String,
    /// Until when it holds; `None` for ever.
    pub expires_at: Option<Timestamp>,
}

/// A token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// Its number.
    #[serde(skip)]
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// What it allows.
    pub scope: TokenScope,
    /// SHA-256 of its secret.
    #[serde(skip)]
    pub hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Until when it holds; `None` for ever.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Who revoked it.
    pub revoked_by: Option<String>,
    /// When it was last used, to the hour.
    pub last_used: Option<Timestamp>,
}

impl Token {
    /// Whether it holds at `now`: neither revoked nor over.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| end > now)
    }
}

/// The tokens of the HTTP API.
pub trait Tokens: Send + Sync + 'static {
    /// All of them, also those that were revoked or have run out, in the order in which they were made.
    fn tokens(&self) -> impl Future<Output = Result<Vec<Token>, StoreError>> + Send;

    /// Keeps a new one; false where one of that name holds already.
    fn add_token(&self, token: NewToken) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Revokes the one of a name; false where there is none that was not revoked before.
    fn revoke_token(
        &self,
        name: String,
        now: Timestamp,
        actor: String,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Notes that one was used.
    fn note_token_use(&self, id: i64, at: Timestamp) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// A store that can be asked whether it can commit.
pub trait Probe: Send + Sync + 'static {
    /// Commits and syncs a row of no meaning.
    ///
    /// # Errors
    /// What an event would meet with.
    fn probe(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}
