//! What the operator sets about MTAs that ask.

use std::time::Duration;

use crate::store::Streams;

/// `[lookup]`, as far as it can change while the daemon runs, and the names of streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What is said when the store cannot be asked.
    pub on_error: OnError,
    /// Connections at the same time; further ones are closed.
    pub max_connections: usize,
    /// How long a connection may take for a whole request, and leave an answer unread.
    pub idle_timeout: Duration,
    /// The names of streams.
    pub streams: Streams,
}

/// What an MTA is told when the store cannot be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// That it cannot be told now: Postfix says `451 4.3.5`, and the sender tries again.
    #[default]
    Temp,
    /// That the recipient is not suppressed.
    Allow,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            on_error: OnError::Temp,
            max_connections: 200,
            idle_timeout: Duration::from_secs(120),
            streams: Streams::default(),
        }
    }
}
