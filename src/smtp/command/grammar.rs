//! The part of the reading that samotop's grammar does.
//!
//! [`parse`] answers only where the grammar is right; everywhere else the line is left to our own reader:
//!
//! - It takes the quotes off a quoted string and the backslash off a quoted pair wherever they stand, in a parameter
//!   too, and reads `@#123` as an IPv4 address: a line with one of these three characters is not shown to it.
//! - It takes an empty local part (`<@example.com>`), and `<a@b:c>` or a bare `<a@IPv6:::1>` for a host: a mailbox counts
//!   only with a host name or an address literal.
//! - It takes `@a::` for a source route, and refuses `@a:` without a dot: source routes are ours.
//! - It has SEND, SOML, SAML and TURN, which are not offered, and LHLO: they are the table's in [`super::Command::parse`].

use samotop_core::smtp::command::{SmtpCommand, SmtpHelo, SmtpMail, SmtpRcpt};
use samotop_core::smtp::{Parser, SmtpContext, SmtpHost, SmtpPath};
use samotop_parser::SmtpParserPeg;

use super::{Command, CommandError, MailParameters, RcptParameters};
use crate::address::{ForwardPath, Mailbox, ReversePath};

/// What the grammar makes of a line (without CRLF), or nothing where it has no answer that counts.
pub(super) fn parse(line: &[u8]) -> Option<Result<Command, CommandError>> {
    if line.iter().any(|byte| matches!(byte, b'"' | b'\\' | b'#')) {
        return None;
    }
    let mut input = Vec::with_capacity(line.len() + 2);
    input.extend_from_slice(line);
    input.extend_from_slice(b"\r\n");
    let (taken, command): (usize, SmtpCommand) = SmtpParserPeg.parse(&input, &SmtpContext::default()).ok()?;
    if taken != input.len() {
        return None;
    }
    match command {
        SmtpCommand::Helo(SmtpHelo { verb, host }) => match verb.as_str() {
            "EHLO" => Some(Ok(Command::Ehlo(host_name(host)?))),
            "HELO" => Some(Ok(Command::Helo(host_name(host)?))),
            _ => None,
        },
        SmtpCommand::Mail(SmtpMail::Mail(path, parameters)) => {
            let reverse_path = match path {
                SmtpPath::Null => ReversePath::Null,
                SmtpPath::Mailbox { name, host, relays } if relays.is_empty() => {
                    ReversePath::Mailbox(mailbox(&name, host)?)
                }
                SmtpPath::Mailbox { .. } | SmtpPath::Postmaster => return None,
            };
            let parameters = MailParameters::parse(words(&parameters));
            Some(parameters.map(|parameters| Command::Mail(reverse_path, parameters)))
        }
        SmtpCommand::Rcpt(SmtpRcpt(path, parameters)) => {
            let forward_path = match path {
                SmtpPath::Postmaster => ForwardPath::Postmaster,
                SmtpPath::Mailbox { name, host, relays } if relays.is_empty() => {
                    ForwardPath::Mailbox(mailbox(&name, host)?)
                }
                SmtpPath::Mailbox { .. } | SmtpPath::Null => return None,
            };
            let parameters = RcptParameters::parse(words(&parameters));
            Some(parameters.map(|parameters| Command::Rcpt(forward_path, parameters)))
        }
        SmtpCommand::Data => Some(Ok(Command::Data)),
        SmtpCommand::Rset => Some(Ok(Command::Rset)),
        SmtpCommand::Quit => Some(Ok(Command::Quit)),
        SmtpCommand::Noop(_) => Some(Ok(Command::Noop)),
        SmtpCommand::Help(_) => Some(Ok(Command::Help)),
        SmtpCommand::Vrfy(_) => Some(Ok(Command::Vrfy)),
        SmtpCommand::Expn(_) => Some(Ok(Command::Expn)),
        SmtpCommand::Mail(_) | SmtpCommand::Turn | SmtpCommand::Other(..) => None,
    }
}

/// The grammar gives an empty word for every second space.
fn words(parameters: &[String]) -> impl Iterator<Item = &str> {
    parameters.iter().map(String::as_str).filter(|word| !word.is_empty())
}

fn host_name(host: SmtpHost) -> Option<String> {
    match host {
        SmtpHost::Domain(_) | SmtpHost::Ipv4(_) => Some(host.to_string()),
        SmtpHost::Ipv6(_) | SmtpHost::Invalid { .. } | SmtpHost::Other { .. } => None,
    }
}

fn mailbox(local_part: &str, host: SmtpHost) -> Option<Mailbox> {
    Mailbox::new(local_part, &host_name(host)?).ok()
}
