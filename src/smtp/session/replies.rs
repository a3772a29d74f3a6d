//! The replies that need no more than what they are about.

use crate::smtp::command::CommandError;
use crate::smtp::limits::Refusal;
use crate::smtp::reply::Reply;
use crate::smtp::settings::Settings;
use crate::smtp::{Delivery, RecipientVerdict};

/// The reply to EHLO or LHLO, with everything that is offered (RFC 5321 §4.1.1.1).
pub(super) fn extensions(settings: &Settings) -> Reply {
    Reply::plain(250, settings.hostname.clone())
        .line("PIPELINING") // RFC 2920 §3
        .line(format!("SIZE {}", settings.max_message_size)) // RFC 1870 §3
        .line("8BITMIME") // RFC 6152 §2
        .line("SMTPUTF8") // RFC 6531 §3.1
        .line("ENHANCEDSTATUSCODES") // RFC 2034 §3
        .line("CHUNKING") // RFC 3030 §2
        // RFC 9422 §4: only what is enforced
        .line(format!("LIMITS RCPTMAX={} MAILMAX={}", settings.max_recipients, settings.max_messages))
    // Not DSN (RFC 3461 §4): no report is ever sent from here. Its parameters are read all the same.
}

/// The reply to a line that is no command.
pub(super) fn not_a_command(error: CommandError) -> Reply {
    match error {
        CommandError::Unrecognized => Reply::new(500, 5, 2, "Command not recognized"),
        CommandError::ControlCharacter => Reply::new(500, 5, 2, "Control character in a command"),
        CommandError::NotImplemented => Reply::new(502, 5, 1, "Command not implemented"),
        // RFC 2034 §4: no enhanced status code in a reply to EHLO or HELO
        CommandError::NoName => Reply::plain(501, "Syntax: EHLO name"),
        CommandError::Syntax(syntax) => Reply::new(501, 5, 4, format!("Syntax: {syntax}")),
        CommandError::ReversePath => Reply::new(501, 1, 7, "Bad sender address syntax"),
        CommandError::ForwardPath => Reply::new(501, 1, 3, "Bad recipient address syntax"),
        // RFC 5321 §4.1.1.11
        CommandError::UnknownParameter => Reply::new(555, 5, 4, "Parameter not recognized"),
        CommandError::BadParameter(name) => Reply::new(501, 5, 4, format!("Bad value for {name}")),
    }
}

impl RecipientVerdict {
    /// The reply to RCPT, or to the message where that decides.
    #[must_use]
    pub fn reply(self) -> Reply {
        match self {
            Self::Accept => Reply::new(250, 1, 5, "Recipient OK"),
            Self::NoSuchMailbox => Reply::new(550, 1, 1, "No such mailbox here"),
            Self::NotOurs => Reply::new(550, 7, 1, "Relaying denied"),
            Self::NoRoom => Reply::new(452, 3, 1, "The disk is nearly full, try again later"),
            Self::TooMuchUnproven => {
                Reply::new(450, 7, 0, "Too much mail that nothing proves came today, try again later")
            }
            Self::Refuse(text) => Reply::new(550, 7, 1, text), // RFC 3463 §3.8: delivery not authorized
        }
    }
}

/// Why a reply within a session is no `2yz`, in the word that metrics have for it.
pub(in crate::smtp) fn rejection(reply: &Reply) -> Option<&'static str> {
    let code = reply.code().get();
    let detail = reply.status().map(|status| (status.subject, status.detail));
    let reason = match (code, detail) {
        (..400, _) => return None,
        (421, Some((4, 2))) => "timeout",
        (421, Some((3, 2))) => "shutting_down",
        (421, Some((7, 0))) if *reply == not_smtp() => "not_smtp",
        (421, Some((7, 0))) => "session_limit",
        (421, Some((5, 0))) => "chunk_lost",
        (450, _) if *reply == RecipientVerdict::TooMuchUnproven.reply() => "unproven_quota",
        (450, _) if *reply == too_many_octets() => "octet_rate",
        (450, _) if *reply == too_many_named() => "recipient_rate",
        (450, _) => "message_rate",
        (451, _) => "store_unavailable",
        (452, Some((3, 1))) if *reply == RecipientVerdict::NoRoom.reply() => "disk_reserve",
        (452, Some((3, 1))) => "no_memory",
        (452, Some((5, 3))) => "too_many_recipients",
        (500, _) => "not_recognized",
        (501 | 555, _) => "syntax",
        (502, _) => "not_implemented",
        (503 | 554, _) => "out_of_sequence",
        (530, _) => "tls_required",
        (550, Some((1, 1))) => "no_such_mailbox",
        (550, Some((6, 0))) => "bare_newlines",
        (550, Some((7, 1))) if *reply == RecipientVerdict::NotOurs.reply() => "relaying_denied",
        (550, Some((7, 1))) => "return_path",
        (552, _) => "too_big",
        _ => "other",
    };
    Some(reason)
}

/// The announced or real size is above the cap (RFC 1870 §6).
pub(super) fn too_big() -> Reply {
    Reply::new(552, 3, 4, "Message too big")
}

/// No memory for a message now (RFC 1870 §6.1, RFC 3463 §3.4).
pub(super) fn no_room() -> Reply {
    Reply::new(452, 3, 1, "No memory for the message now, try again later")
}

/// At MAIL: the client had its messages for this minute.
pub(super) fn too_many_messages() -> Reply {
    Reply::new(450, 7, 0, "Too many messages from your address, try again later")
}

/// At MAIL: the client brought its octets for this minute.
pub(super) fn too_many_octets() -> Reply {
    Reply::new(450, 7, 0, "Too many octets from your address, try again later")
}

/// At RCPT: the client named its recipients for this minute.
pub(super) fn too_many_named() -> Reply {
    Reply::new(450, 7, 0, "Too many recipients from your address, try again later")
}

/// The end of a client that does not speak SMTP.
pub(super) fn too_many_bad_commands() -> Reply {
    Reply::new(421, 7, 0, "Too many bad commands, closing connection")
}

/// The end of a client that speaks another protocol: a browser that was sent here posts whatever its page says.
pub(super) fn not_smtp() -> Reply {
    Reply::new(421, 7, 0, "This is no command of SMTP, closing connection")
}

/// The end of a client that sends commands and no message.
pub(super) fn too_many_commands() -> Reply {
    Reply::new(421, 7, 0, "Too many commands without a message, closing connection")
}

/// What the sink made of a message.
pub(in crate::smtp) fn delivered(delivery: Delivery) -> Reply {
    match delivery {
        Delivery::Committed { handle, duplicate: false } => {
            Reply::new(250, 6, 0, format!("Stored as {handle}"))
        }
        Delivery::Committed { handle, duplicate: true } => {
            Reply::new(250, 6, 0, format!("Duplicate, already stored as {handle}"))
        }
        // RFC 5321 §6.1: the client keeps the message and tries again
        Delivery::TryLater => Reply::new(451, 3, 0, "Cannot store the message now, try again later"),
        Delivery::PutOff(verdict) => verdict.reply(),
    }
}

/// The client took too long (RFC 5321 §4.5.3.2).
pub(in crate::smtp) fn idle() -> Reply {
    Reply::new(421, 4, 2, "Timeout, closing connection")
}

/// The client does what it likes, but sends no message.
pub(in crate::smtp) fn no_message() -> Reply {
    Reply::new(421, 4, 2, "No message for too long, closing connection")
}

/// The message comes in at less than the least pace.
pub(in crate::smtp) fn too_slow() -> Reply {
    Reply::new(421, 4, 2, "Too slow, closing connection")
}

/// Instead of a greeting: the client has too many connections (RFC 3463 §3.8).
pub(in crate::smtp) fn refused(refusal: Refusal) -> Reply {
    let text = match refusal {
        Refusal::Connections => "Too many connections from your address",
        Refusal::ConnectionRate => "Too many connections from your address, try again in a minute",
    };
    Reply::new(421, 7, 0, text)
}

/// Instead of a greeting: messages wait for the store.
pub(in crate::smtp) fn busy() -> Reply {
    Reply::new(421, 3, 2, "Busy, try again later")
}

/// Others need its place, and it brought nothing.
pub(in crate::smtp) fn gave_way() -> Reply {
    Reply::new(421, 4, 2, "Too long without a message while all connections are taken, closing connection")
}

/// The service goes down (RFC 5321 §3.8).
pub(in crate::smtp) fn shutting_down() -> Reply {
    Reply::new(421, 3, 2, "Service shutting down, closing connection")
}

/// Instead of a greeting: all connections are taken.
pub(in crate::smtp) fn too_many_connections() -> Reply {
    Reply::new(421, 3, 2, "Too many connections, try again later")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::SMTP_REJECTIONS;
    use crate::smtp::Handle;
    use crate::smtp::limits::Refusal;

    #[test]
    fn every_reply_that_is_no_2yz_has_a_reason_that_is_counted() {
        let refuse = RecipientVerdict::Refuse("Damaged").reply();
        for (reply, expected) in [
            (RecipientVerdict::Accept.reply(), None),
            (extensions(&Settings::default()), None),
            (Reply::plain(354, "Go on"), None),
            (RecipientVerdict::NoSuchMailbox.reply(), Some("no_such_mailbox")),
            (RecipientVerdict::NotOurs.reply(), Some("relaying_denied")),
            (refuse, Some("return_path")),
            (not_a_command(CommandError::Unrecognized), Some("not_recognized")),
            (not_a_command(CommandError::NotImplemented), Some("not_implemented")),
            (not_a_command(CommandError::NoName), Some("syntax")),
            (not_a_command(CommandError::ReversePath), Some("syntax")),
            (not_a_command(CommandError::UnknownParameter), Some("syntax")),
            (too_big(), Some("too_big")),
            (no_room(), Some("no_memory")),
            (too_many_messages(), Some("message_rate")),
            (too_many_octets(), Some("octet_rate")),
            (too_many_named(), Some("recipient_rate")),
            (RecipientVerdict::NoRoom.reply(), Some("disk_reserve")),
            (RecipientVerdict::TooMuchUnproven.reply(), Some("unproven_quota")),
            (delivered(Delivery::Committed { handle: Handle::of(&[1; 32]), duplicate: true }), None),
            (delivered(Delivery::TryLater), Some("store_unavailable")),
            (idle(), Some("timeout")),
            (too_slow(), Some("timeout")),
            (gave_way(), Some("timeout")),
            (shutting_down(), Some("shutting_down")),
            (refused(Refusal::Connections), Some("session_limit")),
            (not_smtp(), Some("not_smtp")),
            (too_many_bad_commands(), Some("session_limit")),
            (Reply::new(503, 5, 1, "Send EHLO first"), Some("out_of_sequence")),
            (Reply::new(452, 5, 3, "Too many recipients"), Some("too_many_recipients")),
            (Reply::new(530, 7, 0, "Must issue a STARTTLS command first"), Some("tls_required")),
            (Reply::new(550, 6, 0, "Message has line ends other than CR LF"), Some("bare_newlines")),
            (Reply::new(421, 5, 0, "Cannot tell where the chunk ends"), Some("chunk_lost")),
            (Reply::new(556, 1, 10, "What is to come"), Some("other")),
        ] {
            let reason = rejection(&reply);
            assert_eq!(reason, expected, "{reply}");
            assert!(reason.is_none_or(|reason| SMTP_REJECTIONS.values().contains(&reason)), "{reply}");
        }
    }
}
