//! What the operator sets about the API.

use std::time::Duration;

use crate::events::Endpoint;
use crate::policy::Policy;
use crate::returnpath::ReturnPaths;
use crate::store::Streams;

/// `[http]`, and what else of the configuration the API needs. All of it can change while the daemon runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host names, besides `localhost` and IP addresses, that requests may be made to.
    pub hosts: Vec<String>,
    /// `/metrics` needs a token as well.
    pub metrics_token: bool,
    /// Connections at the same time.
    pub max_connections: usize,
    /// Requests at the same time that take much memory, or much time of the processor or the database.
    pub max_heavy: usize,
    /// Octets of a body that is JSON.
    pub max_body: usize,
    /// Octets of a message to be explained.
    pub max_message: usize,
    /// How long the header of a request may take, and a connection be idle between two of them.
    pub idle_timeout: Duration,
    /// How long a request may take from its header to its answer.
    pub request_timeout: Duration,
    /// How long a client may leave what we send unread.
    pub write_timeout: Duration,
    /// How long requests may still take when the daemon ends.
    pub shutdown_grace: Duration,
    /// Log lines do not show whole addresses.
    pub mask_addresses: bool,
    /// Terms of entries, where a list that is imported gives none.
    pub policy: Policy,
    /// The names of streams.
    pub streams: Streams,
    /// The return paths, and the keys that sign them.
    pub return_paths: ReturnPaths,
    /// Where events are brought.
    pub webhooks: Vec<Endpoint>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            metrics_token: false,
            max_connections: 100,
            max_heavy: 4,
            max_body: 4 * 1024 * 1024,
            max_message: 10 * 1024 * 1024,
            idle_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(10),
            mask_addresses: false,
            policy: Policy::default(),
            streams: Streams::default(),
            return_paths: ReturnPaths::default(),
            webhooks: Vec::new(),
        }
    }
}
