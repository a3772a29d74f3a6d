//! A message on its way into the store, and what became of it.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{Alarm, Replayed};
use crate::classify::Classification;
use crate::returnpath::Trust;

/// A message on its way into the store.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// SHA-256 of the message without its trace header fields; the same message is recorded once.
    pub digest: [u8; 32],
    /// When it was taken.
    pub received_at: Timestamp,
    /// Who brings it in later than that; `None` where it just came.
    pub replayed: Option<Replayed>,
    /// Address and port of the client.
    pub peer: String,
    /// Its EHLO name.
    pub helo: String,
    /// The protocol in the words of RFC 3848: `ESMTPS`; `None` where it came by none.
    pub protocol: Option<&'static str>,
    /// Version and cipher suite; `None` in the clear.
    pub tls: Option<String>,
    /// MAIL FROM, empty for `<>`.
    pub reverse_path: String,
    /// RCPT TO, each.
    pub recipients: Vec<String>,
    /// ORCPT of each, where it had one.
    pub original_recipients: Vec<Option<String>>,
    /// ENVID of the bounce itself.
    pub envelope_id: Option<String>,
    /// What it is: `dsn`, `feedback`, …
    pub kind: &'static str,
    /// Message-ID.
    pub message_id: Option<String>,
    /// From.
    pub sender: Option<String>,
    /// Subject.
    pub subject: Option<String>,
    /// Reporting-MTA.
    pub reporting_mta: Option<String>,
    /// Original-Envelope-Id.
    pub original_envelope_id: Option<String>,
    /// Arrival-Date.
    pub arrival_date: Option<Timestamp>,
    /// Message-ID of the returned message.
    pub original_message_id: Option<String>,
    /// From of the returned message.
    pub original_from: Option<String>,
    /// To and Cc of the returned message.
    pub original_to: Vec<String>,
    /// Subject of the returned message.
    pub original_subject: Option<String>,
    /// What could not be read.
    pub defects: Vec<String>,
    /// Octets as received.
    pub size: u64,
    /// Something in it is neither proven nor applied, or nothing is in it: anybody may have sent it.
    pub unproven: bool,
    /// The message, zstd-compressed.
    pub raw: Vec<u8>,
    /// One a recipient.
    pub events: Vec<NewEvent>,
}

impl NewMessage {
    /// Octets that it takes in the store, about.
    #[must_use]
    pub fn octets(&self) -> u64 {
        /// What a row has besides its texts, with its places in the indexes: that of a message, and that of an event.
        const ROW: usize = 512;
        const EVENT_ROW: usize = 768;
        /// An event stands in the outbox as well.
        const COPIES: usize = 2;
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let texts = [
            &self.envelope_id,
            &self.message_id,
            &self.sender,
            &self.subject,
            &self.reporting_mta,
            &self.original_envelope_id,
            &self.original_message_id,
            &self.original_from,
            &self.original_subject,
        ];
        let lists = [&self.recipients, &self.original_to, &self.defects];
        let mut octets = ROW + self.raw.len() + texts.into_iter().map(length).sum::<usize>();
        octets += lists.into_iter().flatten().map(String::len).sum::<usize>();
        octets += self.original_recipients.iter().map(length).sum::<usize>();
        for event in &self.events {
            let texts = [
                &event.original_recipient,
                &event.final_recipient,
                &event.status,
                &event.diagnostic_type,
                &event.diagnostic_code,
                &event.remote_mta,
            ];
            let own = event.recipient.len() + event.classification.evidence.len();
            octets += COPIES * (EVENT_ROW + own + texts.into_iter().map(length).sum::<usize>());
        }
        octets as u64
    }
}

/// What a report says about one recipient, on its way into the store.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The group in the report that it is read from: content and place, unique over all time. An event is kept
    /// under this and its recipient ([`NewEvent::attributed_key`]), one that changes the list under a key made of
    /// that ([`NewEvent::applied_key`]), so that one report changes nobody twice, in whatever order and to whichever
    /// addresses it comes.
    pub key: [u8; 32],
    /// How far the report is believed.
    pub trust: Trust,
    /// It waits for somebody to approve it, since nothing proves it and it could change something.
    pub quarantined: bool,
    /// Whether its decision is applied to the list.
    pub applies: bool,
    /// The sending stream.
    pub stream: i64,
    /// The address the sender used.
    pub recipient: String,
    /// Its comparison form.
    pub recipient_key: String,
    /// Original-Recipient.
    pub original_recipient: Option<String>,
    /// Final-Recipient.
    pub final_recipient: Option<String>,
    /// Action.
    pub action: Option<&'static str>,
    /// Status as reported.
    pub status: Option<String>,
    /// Type of the Diagnostic-Code.
    pub diagnostic_type: Option<String>,
    /// Diagnostic-Code.
    pub diagnostic_code: Option<String>,
    /// Remote-MTA.
    pub remote_mta: Option<String>,
    /// Last-Attempt-Date.
    pub last_attempt_date: Option<Timestamp>,
    /// Our conclusion.
    pub classification: Classification,
}

impl NewEvent {
    /// Whether it may change the list when it comes in: it is proven, or the operator trusts what proves nothing.
    #[must_use]
    pub const fn is_believed(&self) -> bool {
        self.applies && !self.quarantined
    }

    /// The key of what a group says about a recipient, given in its comparison form.
    #[must_use]
    pub fn attributed_key(group: &[u8; 32], recipient_key: &str) -> [u8; 32] {
        Sha256::new().chain_update(group).chain_update(recipient_key).finalize().into()
    }

    /// The key under which the same changes the list, whether or not it waits under the other in vain.
    #[must_use]
    pub fn applied_key(attributed: &[u8; 32]) -> [u8; 32] {
        Sha256::new().chain_update(attributed).chain_update(b"\0applied").finalize().into()
    }

    /// The key under which it is recorded once more, from another message with this digest: it changes nothing.
    #[must_use]
    pub fn repeated_key(attributed: &[u8; 32], digest: &[u8; 32]) -> [u8; 32] {
        Sha256::new()
            .chain_update(attributed)
            .chain_update(b"\0repeated")
            .chain_update(digest)
            .finalize()
            .into()
    }
}

/// What became of a message that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The message's number.
    pub id: i64,
    /// It had been there; nothing was changed.
    pub duplicate: bool,
    /// What each event did, in the order of the events; empty for a duplicate. `None` for one that was known from
    /// another delivery of the same report.
    pub changes: Vec<EventChange>,
    /// Holds that were opened, and those that grew long.
    pub alarms: Vec<Alarm>,
}

/// What an event did to the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventChange {
    /// Its address is suppressed now, by this event.
    Suppressed,
    /// The day was counted.
    Counted,
    /// The address was suppressed already.
    Seen,
    /// Counters were cleared.
    Cleared,
    /// Unproven: recorded only.
    Quarantined,
    /// It would have suppressed, and waits for a person, since far more than usual do so.
    Held,
    /// A person decided that it shall change nothing.
    Discarded,
    /// Nothing.
    None,
}

impl EventChange {
    const ALL: [Self; 8] = [
        Self::Suppressed,
        Self::Counted,
        Self::Seen,
        Self::Cleared,
        Self::Quarantined,
        Self::Held,
        Self::Discarded,
        Self::None,
    ];

    /// The change that a word stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|change| change.as_str() == name)
    }

    /// The word used in output and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suppressed => "suppressed",
            Self::Counted => "counted",
            Self::Seen => "seen",
            Self::Cleared => "cleared",
            Self::Quarantined => "quarantined",
            Self::Held => "held",
            Self::Discarded => "discarded",
            Self::None => "none",
        }
    }
}

/// A message with what it takes to tell whether its events are known. Addresses are in their stored form by then.
#[derive(Debug)]
pub struct Arrival {
    /// The message.
    pub message: NewMessage,
    /// Of each event: [`NewEvent::attributed_key`], always of the address in clear, so that one report is the same
    /// before and after addresses were hashed.
    pub attributed: Vec<[u8; 32]>,
    /// Of each event: the keys that rows about its address may stand under.
    pub keys: Vec<[String; 2]>,
}
