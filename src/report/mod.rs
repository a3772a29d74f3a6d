//! Reads returned mail: bytes in, [`Report`] out. Pure; knows formats, draws no conclusions.
//!
//! Nothing here fails: what cannot be read becomes a [`Defect`], and what is no report at all becomes a
//! [`Report`] of kind [`ReportKind::Unrecognized`] (contract 3: nothing is thrown away).

pub mod automatic;
mod defects;
pub mod dsn;
pub mod feedback;
pub mod fields;
mod header;
mod kind;
mod legacy;
pub mod mbox;
mod mdn;
pub mod mime;
mod nameless;
mod parse;
mod parts;
pub mod returned;

use jiff::Timestamp;

use automatic::Automatic;
use feedback::Feedback;

use crate::address::TypedAddress;
use crate::status::EnhancedStatusCode;

/// What sort of message came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReportKind {
    /// It has a `message/delivery-status` part or its global form (RFC 3464, RFC 6533).
    Dsn,
    /// A feedback report, ARF (RFC 5965).
    Feedback,
    /// A bounce that is no DSN.
    TextBounce,
    /// An automatic reply (RFC 3834).
    AutoReply,
    /// A message disposition notification (RFC 8098).
    Mdn,
    /// Anything else; kept raw and shown.
    Unrecognized,
}

impl ReportKind {
    /// The word used in output and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dsn => "dsn",
            Self::Feedback => "feedback",
            Self::TextBounce => "text_bounce",
            Self::AutoReply => "auto_reply",
            Self::Mdn => "mdn",
            Self::Unrecognized => "unrecognized",
        }
    }
}

/// A message that came back, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it is.
    pub kind: ReportKind,
    /// The report's own header.
    pub header: ReportHeader,
    /// Fields about the whole message (RFC 3464 §2.2).
    pub message: MessageFields,
    /// One entry a recipient group, in the order they came (RFC 3464 §2.3).
    pub recipients: Vec<RecipientFields>,
    /// The message that was returned, as far as it came back (RFC 3464 §2, third part).
    pub original: Option<ReturnedMessage>,
    /// What a feedback report says (RFC 5965); only of the kind [`ReportKind::Feedback`].
    pub feedback: Option<Feedback>,
    /// How a machine's answer shows; only of the kinds [`ReportKind::AutoReply`] and [`ReportKind::Mdn`].
    pub automatic: Option<Automatic>,
    /// The text meant for people, decoded, with LF as line ends, at most [`mime::MAX_TEXT`] bytes; empty when there is none.
    pub text: String,
    /// The recipients were guessed: addresses near words of failure in a letter of no known program, or in one that
    /// came through a list.
    pub guessed: bool,
    /// What could not be read, and where.
    pub defects: Vec<Defect>,
}

/// The header of the report itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReportHeader {
    /// Message-ID without angle brackets.
    pub message_id: Option<String>,
    /// From, the address alone.
    pub from: Option<String>,
    /// Subject, decoded.
    pub subject: Option<String>,
    /// Date as an instant, where it could be read.
    pub date: Option<Timestamp>,
    /// Auto-Submitted in lower case, without parameters (RFC 3834 §5).
    pub auto_submitted: Option<String>,
    /// X-Failed-Recipients, split at commas.
    pub failed_recipients: Vec<String>,
    /// A mail system sent it: from an address that only such write from, or with the null reverse-path
    /// (RFC 5321 §4.5.5).
    pub by_mail_system: bool,
}

/// Per-message fields (RFC 3464 §2.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFields {
    /// Original-Envelope-Id (§2.2.1), as sent; xtext is not decoded.
    pub original_envelope_id: Option<String>,
    /// Reporting-MTA (§2.2.2).
    pub reporting_mta: Option<TypedAddress>,
    /// DSN-Gateway (§2.2.3).
    pub dsn_gateway: Option<TypedAddress>,
    /// Received-From-MTA (§2.2.4).
    pub received_from_mta: Option<TypedAddress>,
    /// Arrival-Date (§2.2.5).
    pub arrival_date: Option<Timestamp>,
    /// Every other field, in order.
    pub extensions: Vec<Field>,
}

/// Per-recipient fields (RFC 3464 §2.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecipientFields {
    /// Original-Recipient (§2.3.1): what the sender asked for.
    pub original_recipient: Option<TypedAddress>,
    /// Final-Recipient (§2.3.2): what the reporting MTA tried.
    pub final_recipient: Option<TypedAddress>,
    /// Action (§2.3.3).
    pub action: Option<Action>,
    /// Status (§2.3.4).
    pub status: Option<EnhancedStatusCode>,
    /// Remote-MTA (§2.3.5).
    pub remote_mta: Option<TypedAddress>,
    /// Diagnostic-Code (§2.3.6).
    pub diagnostic_code: Option<Diagnostic>,
    /// Last-Attempt-Date (§2.3.7).
    pub last_attempt_date: Option<Timestamp>,
    /// Final-Log-ID (§2.3.8).
    pub final_log_id: Option<String>,
    /// Will-Retry-Until (§2.3.9).
    pub will_retry_until: Option<Timestamp>,
    /// Every other field, in order.
    pub extensions: Vec<Field>,
}

/// What the reporting MTA did (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Could not be delivered and will not be tried again.
    Failed,
    /// Not delivered yet; tries go on.
    Delayed,
    /// Delivered.
    Delivered,
    /// Handed to a host that does not speak DSN.
    Relayed,
    /// Delivered to a list or alias, and on from there.
    Expanded,
}

impl Action {
    /// The keyword.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }
}

/// Diagnostic-Code: type and text, unfolded (RFC 3464 §2.3.6).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// The diagnostic type in lower case (`smtp`, `x-unix`, `x-postfix`); `None` where the field has none.
    pub kind: Option<String>,
    /// The text after the type.
    pub text: String,
}

/// A field that no RFC 3464 section names, unfolded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name as it came.
    pub name: String,
    /// The value, unfolded and trimmed.
    pub value: String,
}

/// What is known of the message that was returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReturnedMessage {
    /// Message-ID without angle brackets.
    pub message_id: Option<String>,
    /// From, the address alone.
    pub from: Option<String>,
    /// To and Cc, addresses alone.
    pub to: Vec<String>,
    /// Delivered-To, X-Original-To and Resent-To: the address before a forward, where one was.
    pub delivered_to: Vec<String>,
    /// Subject, decoded.
    pub subject: Option<String>,
}

/// Something that could not be read. It cost its field, nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// Where: a field name, or `mime`.
    pub place: String,
    /// What is wrong, with the offending text cut to a readable length.
    pub what: String,
}
