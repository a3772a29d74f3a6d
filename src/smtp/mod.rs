//! The receiving side of SMTP (RFC 5321) and LMTP (RFC 2033), without knowledge of what the messages mean.
//!
//! The state machine ([`session`]) and its parts ([`mod@line`], [`command`], [`reply`], [`data`], [`chunks`]) are pure;
//! [`limits`] counts what clients take; [`connection`] moves bytes between a stream and a session, [`tls`] encrypts
//! them, [`listener`] accepts streams, and [`proxy`] reads who stands behind a proxy. What arrives goes to a [`Sink`],
//! which decides about recipients and takes messages; this module knows nothing of reports.

pub mod accept;
pub mod chunks;
pub mod command;
pub mod connection;
pub mod data;
pub mod limits;
pub mod line;
pub mod listener;
mod peer;
pub mod proxy;
pub mod reply;
pub mod session;
pub mod settings;
pub mod tls;

use std::fmt;
use std::future::Future;
use std::net::IpAddr;

pub use peer::{NoProxy, Peer, PeerAddress, Proxy};

use crate::address::{ForwardPath, ReversePath};

/// How a message came, TLS left aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// SMTP after HELO.
    Smtp,
    /// SMTP after EHLO.
    Esmtp,
    /// LMTP.
    Lmtp,
    /// Handed over on this machine, by a pipe or from a file.
    Local,
}

/// What a TLS handshake agreed on, in the names of IANA's registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// Such as `TLS_AES_256_GCM_SHA384`.
    pub cipher_suite: String,
}

impl fmt::Display for TlsInfo {
    /// Version and cipher suite, as stored and logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.version, self.cipher_suite)
    }
}

/// One accepted `RCPT TO`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeRecipient {
    /// The forward-path.
    pub forward_path: ForwardPath,
    /// ORCPT, decoded from xtext, with its type: `rfc822;user@example.com` (RFC 3461 §4.2).
    pub original_recipient: Option<String>,
}

/// What the SMTP dialogue said about a message (RFC 5321 §2.3.1).
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The connection it came over.
    pub peer: Peer,
    /// How it came, TLS left aside.
    pub protocol: Protocol,
    /// What protects the connection; `None` in the clear.
    pub tls: Option<TlsInfo>,
    /// The name the client gave in EHLO, HELO or LHLO.
    pub helo: String,
    /// MAIL FROM.
    pub reverse_path: ReversePath,
    /// ENVID, decoded from xtext (RFC 3461 §4.4).
    pub envelope_id: Option<String>,
    /// Every accepted RCPT TO, at least one.
    pub recipients: Vec<EnvelopeRecipient>,
    /// The message holds line ends other than CRLF, which only `smtp.bare_newline = "accept"` lets in.
    pub bare_newlines: bool,
}

impl Envelope {
    /// The protocol as trace header fields name it (RFC 3848): `ESMTPS` is ESMTP under TLS;
    /// `local` where there was no dialogue.
    #[must_use]
    pub const fn transmission_type(&self) -> &'static str {
        match (self.protocol, self.tls.is_some()) {
            (Protocol::Smtp, _) => "SMTP", // HELO under TLS has no name of its own
            (Protocol::Esmtp, false) => "ESMTP",
            (Protocol::Esmtp, true) => "ESMTPS",
            (Protocol::Lmtp, false) => "LMTP",
            (Protocol::Lmtp, true) => "LMTPS",
            (Protocol::Local, _) => "local",
        }
    }
}

/// What a [`Sink`] says to a `RCPT TO`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipientVerdict {
    /// `250 2.1.5`.
    Accept,
    /// The domain is ours, the local part is not: `550 5.1.1`.
    NoSuchMailbox,
    /// The domain is not ours: `550 5.7.1`, no relaying.
    NotOurs,
    /// Ours, and the disk has no room for it now: `452 4.3.1`.
    NoRoom,
    /// Ours, and nothing proves what comes to it; there was too much of that today: `450 4.7.0`.
    TooMuchUnproven,
    /// Ours by its form, and not taken: `550 5.7.1` with this text, which tells a postmaster why.
    Refuse(&'static str),
}

/// What a reply calls a stored message: the log names the same beside the number that it is stored under. Unlike that
/// number it does not tell the client how many messages there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle([u8; 6]);

impl Handle {
    /// The handle of a message with this digest, so that a second copy has the same.
    #[must_use]
    pub const fn of(digest: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, ..] = *digest;
        Self([a, b, c, d, e, f])
    }
}

impl fmt::Display for Handle {
    /// Twelve hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Committed and synced: `250 2.6.0` (contract 1).
    Committed {
        /// What the reply calls it.
        handle: Handle,
        /// It had been stored before; nothing was changed.
        duplicate: bool,
    },
    /// It cannot be taken now and nothing was kept: `451 4.3.0`.
    TryLater,
    /// What is in it decided that it is not taken now, with this reply, and nothing was kept.
    PutOff(RecipientVerdict),
}

impl Delivery {
    /// The word that metrics have for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Committed { duplicate: false, .. } => "committed",
            Self::Committed { duplicate: true, .. } => "duplicate",
            Self::TryLater | Self::PutOff(_) => "try_later",
        }
    }
}

/// Takes what arrives. The listener calls it from many sessions at once.
pub trait Sink: Send + Sync + 'static {
    /// Decides about one recipient, before any message data is read. Must not block.
    fn check_recipient(&self, recipient: &ForwardPath) -> RecipientVerdict;

    /// Whether there is room for what comes to a recipient that [`Self::check_recipient`] accepts; `client` is the
    /// address that brings it, where it has one. Must not block.
    fn check_room(&self, recipient: &ForwardPath, client: Option<IpAddr>) -> RecipientVerdict {
        let _ = (recipient, client);
        RecipientVerdict::Accept
    }

    /// Whether more can be taken. While it says no, new connections are asked to come back later (`421 4.3.2`);
    /// sessions that are there already go on, and wait for the replies to their messages. Must not block.
    fn ready(&self) -> bool {
        true
    }

    /// Takes one message; `message` is dot-decoded, with line ends as they came.
    ///
    /// Returns only when the message is durable, or when nothing of it is kept. The future may be dropped
    /// when the process is going down; then nothing was acknowledged.
    fn deliver(&self, envelope: Envelope, message: Vec<u8>) -> impl Future<Output = Delivery> + Send;
}
