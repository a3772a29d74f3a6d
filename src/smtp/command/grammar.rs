//! The part of the reading that samotop's grammar does: every line that it can read.
//!
//! [`read`] has no answer, and the line is left to our own reader, only where what the grammar makes of a line cannot
//! stand for a command here:
//!
//! - a mailbox with an empty local part (`<@example.com>`), one too long, or one at `a:b`, `IPv6:::1` or an impossible
//!   number, which are no hosts;
//! - U+FFFD, which stands for what was no UTF-8: that is no address;
//! - SEND, SOML, SAML and TURN, which are not offered, and LHLO: they are the table's in [`super::ours`].
//!
//! Parameters (RFC 5321 §4.1.2) know no quotes and no backslashes, but the grammar takes these off as in a local part.
//! So their text is cut from the line.

use samotop_core::smtp::command::{SmtpCommand, SmtpHelo, SmtpMail, SmtpRcpt};
use samotop_core::smtp::{Parser, SmtpContext, SmtpHost, SmtpPath};
use samotop_parser::SmtpParserPeg;

use super::{Command, CommandError, MailParameters, RcptParameters, path};
use crate::address::{ForwardPath, Mailbox, ReversePath};

/// What the grammar makes of a line (without CRLF), or nothing where it has no answer that counts. An error is one in
/// the parameters.
#[must_use]
pub fn read(line: &[u8]) -> Option<Result<Command, CommandError>> {
    if std::str::from_utf8(line).is_ok_and(|line| line.contains(char::REPLACEMENT_CHARACTER)) {
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
        SmtpCommand::Mail(SmtpMail::Mail(path, _)) => {
            let reverse_path = match path {
                SmtpPath::Null => ReversePath::Null,
                SmtpPath::Mailbox { name, host, relays } => {
                    ReversePath::Mailbox(mailbox(&name, host, relays)?)
                }
                SmtpPath::Postmaster => return None,
            };
            let parameters = MailParameters::parse(parameters(line)?.split_ascii_whitespace());
            Some(parameters.map(|parameters| Command::Mail(reverse_path, parameters)))
        }
        SmtpCommand::Rcpt(SmtpRcpt(path, _)) => {
            let forward_path = match path {
                SmtpPath::Postmaster => ForwardPath::Postmaster,
                SmtpPath::Mailbox { name, host, relays } => {
                    ForwardPath::Mailbox(mailbox(&name, host, relays)?)
                }
                SmtpPath::Null => return None,
            };
            let parameters = RcptParameters::parse(parameters(line)?.split_ascii_whitespace());
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

/// What stands behind the path of a MAIL or RCPT that the grammar has taken.
fn parameters(line: &[u8]) -> Option<&str> {
    let (_, arguments) = std::str::from_utf8(line).ok()?.split_once(':')?;
    path::split(arguments).map(|(_, parameters)| parameters)
}

fn host_name(host: SmtpHost) -> Option<String> {
    match host {
        SmtpHost::Domain(_) | SmtpHost::Ipv4(_) => Some(host.to_string()),
        SmtpHost::Ipv6(_) | SmtpHost::Invalid { .. } | SmtpHost::Other { .. } => None,
    }
}

/// RFC 5321 §4.1.1.3: a source route is taken and not followed.
fn mailbox(local_part: &str, host: SmtpHost, relays: Vec<SmtpHost>) -> Option<Mailbox> {
    let known = relays.into_iter().all(|relay| host_name(relay).is_some());
    Mailbox::new(local_part, &host_name(host)?).ok().filter(|_| known)
}
