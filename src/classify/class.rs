//! What we conclude from a report, and what each conclusion does.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What was concluded about one recipient; what the remote host said is kept apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are the field's words; `Class::describe` says each in a sentence")]
pub enum Class {
    RecipientUnknown,
    RecipientInactive,
    RecipientMoved,
    DomainInvalid,
    HostUnreachable,
    BadConnection,
    Routing,
    MailboxFull,
    MessageTooLarge,
    ContentRejected,
    Virus,
    SpamContent,
    SenderBlocked,
    SenderAuth,
    RecipientRestricted,
    Policy,
    RateLimited,
    Greylisted,
    RelayDenied,
    RemoteSystem,
    Expired,
    ProtocolError,
    Undetermined,
    Complaint,
    AutoReply,
    Challenge,
    Delayed,
    Delivered,
}

/// What a classification does to the recipient's standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Suppress now.
    Suppress,
    /// Count toward the soft threshold.
    Count,
    /// Count against the domain and the host only.
    Host,
    /// Our own problem: shown to the operator, never suppresses (contract 5).
    Sender,
    /// Suppress, reason complaint.
    Complaint,
    /// Record only.
    Ignore,
}

/// The operator's word for a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BounceType {
    /// The address or its host is dead: no use sending again.
    Hard,
    /// This message failed; the next one may arrive.
    Soft,
    /// No failure, or none yet.
    None,
}

/// The subject of an enhanced status code (RFC 3463 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// `x.0.x`: other or undefined.
    Other,
    /// `x.1.x`: addressing.
    Addressing,
    /// `x.2.x`: mailbox.
    Mailbox,
    /// `x.3.x`: mail system.
    System,
    /// `x.4.x`: network and routing.
    Network,
    /// `x.5.x`: mail delivery protocol.
    Protocol,
    /// `x.6.x`: message content or media.
    Content,
    /// `x.7.x`: security or policy.
    Policy,
}

/// Whether the evidence says that trying again later may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A 5xx reply or a 5.x.x code.
    Permanent,
    /// A 4xx reply, a 4.x.x code, or a connection that failed.
    Transient,
}

/// Gives an enum the name serde gives it, for the store, the logs and the terminal.
macro_rules! names {
    ($type:ty { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in output, in rule files and in the store.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The value that a word stands for.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == name)
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(super) use names;

names!(Class {
    RecipientUnknown = "recipient_unknown",
    RecipientInactive = "recipient_inactive",
    RecipientMoved = "recipient_moved",
    DomainInvalid = "domain_invalid",
    HostUnreachable = "host_unreachable",
    BadConnection = "bad_connection",
    Routing = "routing",
    MailboxFull = "mailbox_full",
    MessageTooLarge = "message_too_large",
    ContentRejected = "content_rejected",
    Virus = "virus",
    SpamContent = "spam_content",
    SenderBlocked = "sender_blocked",
    SenderAuth = "sender_auth",
    RecipientRestricted = "recipient_restricted",
    Policy = "policy",
    RateLimited = "rate_limited",
    Greylisted = "greylisted",
    RelayDenied = "relay_denied",
    RemoteSystem = "remote_system",
    Expired = "expired",
    ProtocolError = "protocol_error",
    Undetermined = "undetermined",
    Complaint = "complaint",
    AutoReply = "auto_reply",
    Challenge = "challenge",
    Delayed = "delayed",
    Delivered = "delivered",
});

names!(Severity { Permanent = "permanent", Transient = "transient" });

names!(Decision {
    Suppress = "suppress",
    Count = "count",
    Host = "host",
    Sender = "sender",
    Complaint = "complaint",
    Ignore = "ignore",
});

names!(BounceType { Hard = "hard", Soft = "soft", None = "none" });

names!(Category {
    Other = "other",
    Addressing = "addressing",
    Mailbox = "mailbox",
    System = "system",
    Network = "network",
    Protocol = "protocol",
    Content = "content",
    Policy = "policy",
});

impl Class {
    /// What the class does. Permanent evidence is needed to suppress: a transient one only counts, since
    /// `failed` with 4.x.x means that the queue gave up, not that the address is dead.
    #[must_use]
    pub const fn decision(self, severity: Severity) -> Decision {
        match self {
            Self::RecipientUnknown
            | Self::RecipientInactive
            | Self::RecipientMoved
            | Self::DomainInvalid
            | Self::HostUnreachable
            | Self::BadConnection => match severity {
                Severity::Permanent => Decision::Suppress,
                Severity::Transient => Decision::Count,
            },
            Self::MailboxFull | Self::Expired | Self::Undetermined => Decision::Count,
            Self::Routing | Self::RelayDenied | Self::RemoteSystem => Decision::Host,
            Self::ContentRejected
            | Self::Virus
            | Self::SpamContent
            | Self::SenderBlocked
            | Self::SenderAuth
            | Self::Policy
            | Self::ProtocolError => Decision::Sender,
            Self::Complaint => Decision::Complaint,
            Self::MessageTooLarge
            | Self::RecipientRestricted
            | Self::RateLimited
            | Self::Greylisted
            | Self::AutoReply
            | Self::Challenge
            | Self::Delayed
            | Self::Delivered => Decision::Ignore,
        }
    }

    /// Hard where the decision suppresses, none where nothing failed, soft in between.
    #[must_use]
    pub const fn bounce_type(self, severity: Severity) -> BounceType {
        match self {
            Self::Complaint | Self::AutoReply | Self::Challenge | Self::Delayed | Self::Delivered => {
                BounceType::None
            }
            _ => match self.decision(severity) {
                Decision::Suppress => BounceType::Hard,
                _ => BounceType::Soft,
            },
        }
    }

    /// Whether the class says something of the recipient, which a text about the sender cannot.
    #[must_use]
    pub const fn blames_recipient(self) -> bool {
        matches!(
            self,
            Self::RecipientUnknown
                | Self::RecipientInactive
                | Self::RecipientMoved
                | Self::DomainInvalid
                | Self::MailboxFull
        )
    }

    /// A suppression for this reason may end by itself: the host or the domain can come back.
    #[must_use]
    pub const fn recheckable(self) -> bool {
        matches!(self, Self::DomainInvalid | Self::HostUnreachable | Self::BadConnection)
    }

    /// Whether the recipient's domain and the remote host are counted against too.
    #[must_use]
    pub const fn counts_host(self) -> bool {
        self.recheckable() || matches!(self, Self::Routing | Self::RelayDenied | Self::RemoteSystem)
    }

    /// One sentence for an operator.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::RecipientUnknown => "There is no such mailbox.",
            Self::RecipientInactive => "The mailbox exists but has been disabled.",
            Self::RecipientMoved => "The recipient has moved to another address.",
            Self::DomainInvalid => "The recipient's domain does not exist or takes no mail.",
            Self::HostUnreachable => "The recipient's mail host does not answer.",
            Self::BadConnection => "The connection to the recipient's mail host broke.",
            Self::Routing => "The mail could not be routed, or ran in a loop.",
            Self::MailboxFull => "The mailbox is full.",
            Self::MessageTooLarge => "The message is larger than the recipient takes.",
            Self::ContentRejected => "The content of the message was refused.",
            Self::Virus => "The message was taken for malware.",
            Self::SpamContent => "The message was taken for spam.",
            Self::SenderBlocked => "Our sending host is blocked or on a blocklist.",
            Self::SenderAuth => "Our mail failed authentication, or our sender address was refused.",
            Self::RecipientRestricted => "The recipient takes mail from chosen senders only.",
            Self::Policy => "A policy of the remote host refused the message.",
            Self::RateLimited => "The remote host limits how much it takes.",
            Self::Greylisted => "The remote host asks every new sender to come back later.",
            Self::RelayDenied => "The remote host does not take mail for this recipient's domain.",
            Self::RemoteSystem => "The remote mail system has a fault of its own.",
            Self::Expired => "The message waited in the queue until it was given up.",
            Self::ProtocolError => "The two mail hosts did not understand each other.",
            Self::Undetermined => "The report does not say why.",
            Self::Complaint => "The recipient reported the message as unwanted.",
            Self::AutoReply => "An automatic reply, not a failure.",
            Self::Challenge => "The recipient's system asks the sender to confirm.",
            Self::Delayed => "Not delivered yet; the sending host keeps trying.",
            Self::Delivered => "The message was delivered.",
        }
    }

    /// The same in German.
    #[must_use]
    pub const fn describe_de(self) -> &'static str {
        match self {
            Self::RecipientUnknown => "Das Postfach gibt es nicht.",
            Self::RecipientInactive => "Das Postfach gibt es, es ist aber stillgelegt.",
            Self::RecipientMoved => "Der Empfänger hat eine andere Adresse.",
            Self::DomainInvalid => "Die Domain des Empfängers gibt es nicht, oder sie nimmt keine Mail an.",
            Self::HostUnreachable => "Der Mailserver des Empfängers antwortet nicht.",
            Self::BadConnection => "Die Verbindung zum Mailserver des Empfängers ist abgerissen.",
            Self::Routing => "Die Mail fand keinen Weg oder lief im Kreis.",
            Self::MailboxFull => "Das Postfach ist voll.",
            Self::MessageTooLarge => "Die Nachricht ist größer, als der Empfänger annimmt.",
            Self::ContentRejected => "Der Inhalt der Nachricht wurde abgelehnt.",
            Self::Virus => "Die Nachricht wurde für Schadsoftware gehalten.",
            Self::SpamContent => "Die Nachricht wurde für Spam gehalten.",
            Self::SenderBlocked => "Der eigene sendende Host ist gesperrt oder steht auf einer Sperrliste.",
            Self::SenderAuth => {
                "Die eigene Mail war nicht richtig ausgewiesen, oder die Absenderadresse wurde abgelehnt."
            }
            Self::RecipientRestricted => "Der Empfänger nimmt nur von bestimmten Absendern Mail an.",
            Self::Policy => "Eine Regel der Gegenstelle hat die Nachricht abgelehnt.",
            Self::RateLimited => "Die Gegenstelle begrenzt, wie viel sie annimmt.",
            Self::Greylisted => "Die Gegenstelle bittet jeden neuen Absender, später wiederzukommen.",
            Self::RelayDenied => "Die Gegenstelle nimmt für die Domain des Empfängers keine Mail an.",
            Self::RemoteSystem => "Das Mailsystem der Gegenstelle hat selbst einen Fehler.",
            Self::Expired => "Die Nachricht wartete in der Warteschlange, bis sie aufgegeben wurde.",
            Self::ProtocolError => "Die beiden Mailserver haben sich nicht verstanden.",
            Self::Undetermined => "Der Bericht sagt nicht, warum.",
            Self::Complaint => "Der Empfänger hat die Nachricht als unerwünscht gemeldet.",
            Self::AutoReply => "Eine automatische Antwort, kein Fehler.",
            Self::Challenge => "Das System des Empfängers bittet den Absender um eine Bestätigung.",
            Self::Delayed => "Noch nicht zugestellt; der sendende Host versucht es weiter.",
            Self::Delivered => "Die Nachricht wurde zugestellt.",
        }
    }
}

impl Category {
    /// The category of an enhanced status code's subject digit.
    #[must_use]
    pub const fn of_subject(subject: u16) -> Self {
        match subject {
            1 => Self::Addressing,
            2 => Self::Mailbox,
            3 => Self::System,
            4 => Self::Network,
            5 => Self::Protocol,
            6 => Self::Content,
            7 => Self::Policy,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_ones_serde_writes() {
        for class in Class::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.as_str());
            assert_eq!(Class::from_name(class.as_str()), Some(*class));
        }
        for decision in Decision::ALL {
            assert_eq!(serde_json::to_value(decision).unwrap(), decision.as_str());
        }
        for category in Category::ALL {
            assert_eq!(serde_json::to_value(category).unwrap(), category.as_str());
        }
    }

    #[test]
    fn transient_evidence_never_suppresses() {
        for class in Class::ALL {
            assert_ne!(class.decision(Severity::Transient), Decision::Suppress, "{class}");
        }
    }

    #[test]
    fn our_own_faults_never_cost_a_recipient() {
        use Class::{
            ContentRejected, MessageTooLarge, Policy, ProtocolError, SenderAuth, SenderBlocked, SpamContent,
            Virus,
        };
        for class in [
            SenderBlocked,
            SenderAuth,
            SpamContent,
            ContentRejected,
            Virus,
            Policy,
            ProtocolError,
            MessageTooLarge,
        ] {
            for severity in [Severity::Permanent, Severity::Transient] {
                assert!(matches!(class.decision(severity), Decision::Sender | Decision::Ignore), "{class}");
            }
        }
    }
}
