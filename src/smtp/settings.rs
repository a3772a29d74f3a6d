//! What an operator can set about the SMTP service, with the defaults.

use std::time::Duration;

use super::Proxy;
pub use super::limits::Limits;

/// Longest command line in octets, its CRLF included. RFC 5321 §4.5.3.1.4 asks for 512 and lets every
/// extension add to it; 2,048 holds a `MAIL` or `RCPT` with everything of RFC 3461 §5.4 and RFC 6531 on it.
pub const MAX_COMMAND_LINE: usize = 2_048;

/// What happens to a message that holds a CR or LF outside a CRLF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BareNewline {
    /// It is taken as it is: broken MTAs send bounces too.
    #[default]
    Accept,
    /// It is read to its end, then refused with `550 5.6.0`.
    Reject,
}

/// What one listener has for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListenerSettings {
    /// What is spoken there.
    pub protocol: ListenerProtocol,
    /// Where not empty: connections come from these alone, and each begins with a PROXY header.
    pub proxy_from: Vec<Proxy>,
    /// No mail is taken before STARTTLS: `530 5.7.0` (RFC 3207 §4).
    pub require_tls: bool,
}

/// The limits and names of one SMTP service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The host name in the greeting and in the replies to EHLO and HELO.
    pub hostname: String,
    /// Largest message in octets, after dot-decoding; announced with SIZE (RFC 1870).
    pub max_message_size: usize,
    /// What happens to messages with other line ends than CRLF.
    pub bare_newline: BareNewline,
    /// Accepted recipients a transaction; `452 4.5.3` beyond. RFC 5321 §4.5.3.1.8 wants at least 100.
    pub max_recipients: usize,
    /// Transactions a connection; then `421 4.7.0`. Announced with `max_recipients` by LIMITS (RFC 9422).
    pub max_messages: u32,
    /// Connections at the same time; `421 4.3.2` beyond.
    pub max_connections: usize,
    /// After so many commands that are unknown, malformed or out of sequence: `421 4.7.0`, and the end.
    pub max_bad_commands: u32,
    /// How long a client may take for one command, or for the next octets of a message; then `421 4.4.2`.
    pub idle_timeout: Duration,
    /// How long a client may take for a transaction, from MAIL to the last octet of the message, however steadily it
    /// drips; then `421 4.4.2`.
    pub message_timeout: Duration,
    /// How long a client may leave replies unread before the connection is dropped.
    pub write_timeout: Duration,
    /// How long messages that are being received or stored may go on after a shutdown was asked for.
    pub shutdown_grace: Duration,
    /// What one client may take, and all of them together.
    pub limits: Limits,
}

impl Settings {
    /// How many of `max_connections` clients may have that are not exempt.
    #[must_use]
    pub const fn places_for_strangers(&self) -> usize {
        let kept = self.max_connections.saturating_mul(self.limits.reserved_percent) / 100;
        self.max_connections.saturating_sub(kept)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hostname: "localhost".to_owned(),
            max_message_size: 10 * 1024 * 1024,
            bare_newline: BareNewline::Accept,
            max_recipients: 100, // RFC 5321 §4.5.3.1.8
            max_messages: 1_000,
            max_connections: 1_000,
            max_bad_commands: 10,
            idle_timeout: Duration::from_secs(300), // RFC 5321 §4.5.3.2.7
            message_timeout: Duration::from_secs(3_600),
            write_timeout: Duration::from_secs(60),
            shutdown_grace: Duration::from_secs(30),
            limits: Limits::default(),
        }
    }
}

/// What is spoken on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ListenerProtocol {
    /// RFC 5321.
    #[default]
    Smtp,
    /// RFC 2033: for an MTA of the operator's own.
    Lmtp,
}

impl ListenerProtocol {
    /// As the configuration and the log write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Lmtp => "lmtp",
        }
    }
}
