//! One command line → [`Command`] (RFC 5321 §4.1.1).
//!
//! Two readers share the work. samotop's grammar ([`mod@grammar`]) is asked first, and decides about every line that it
//! can read. It refuses much of what the field sends; our own reader ([`ours`]) takes that. Both take the rest alike,
//! which a test and a fuzz target (`commands`) hold. Who reads what:
//!
//! | command | the grammar's, unless | then ours |
//! | --- | --- | --- |
//! | EHLO, HELO | `_`, UTF-8, `[IPv6:…]`, `a:b`, odd names | any word is a name: it is logged, nothing depends on it |
//! | MAIL, RCPT | white space around the path, UTF-8 domains, IPv6, no brackets, no mailbox, `;` `.` `@` `:` in a parameter | `path.rs` and `parameters.rs` |
//! | VRFY, EXPN | an address as argument, none at all | the argument is not used |
//! | DATA, RSET, QUIT, NOOP, HELP | `DATA x`, `HELP MAIL FROM:` | arguments are an error, or not used |
//! | STARTTLS, BDAT and what is not offered | always: it has no such rule | recognised by name |

pub mod grammar;
mod parameters;
mod path;
pub(crate) mod xtext;

use crate::address::{ForwardPath, ReversePath};

pub use parameters::{MailParameters, RcptParameters};
pub use path::{forward_path, reverse_path};

/// One command, its arguments read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `EHLO name` (RFC 5321 §4.1.1.1).
    Ehlo(String),
    /// `HELO name`.
    Helo(String),
    /// `LHLO name` (RFC 2033 §4.1).
    Lhlo(String),
    /// `MAIL FROM:<…> …` (RFC 5321 §4.1.1.2).
    Mail(ReversePath, MailParameters),
    /// `RCPT TO:<…> …` (RFC 5321 §4.1.1.3).
    Rcpt(ForwardPath, RcptParameters),
    /// `DATA` (RFC 5321 §4.1.1.4).
    Data,
    /// `RSET` (RFC 5321 §4.1.1.5).
    Rset,
    /// `VRFY …` (RFC 5321 §4.1.1.6).
    Vrfy,
    /// `EXPN …` (RFC 5321 §4.1.1.7).
    Expn,
    /// `HELP …` (RFC 5321 §4.1.1.8).
    Help,
    /// `NOOP …` (RFC 5321 §4.1.1.9).
    Noop,
    /// `QUIT` (RFC 5321 §4.1.1.10).
    Quit,
    /// `STARTTLS` (RFC 3207 §4).
    StartTls,
    /// `BDAT size [LAST]` (RFC 3030 §2).
    Bdat {
        /// Octets of the chunk that follows the line; a number beyond `u64` counts as its largest value.
        size: u64,
        /// It is the message's last chunk.
        last: bool,
    },
}

/// Why a line is no command that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The verb is not known.
    #[error("command not recognized")]
    Unrecognized,
    /// Control characters, among them a CR without its LF.
    #[error("a control character in a command")]
    ControlCharacter,
    /// The verb belongs to SMTP or an extension that is not offered.
    #[error("command not implemented")]
    NotImplemented,
    /// EHLO, HELO or LHLO without a name.
    #[error("EHLO, HELO and LHLO need a name")]
    NoName,
    /// An argument is missing, malformed, or one too many; holds how the command is written.
    #[error("syntax: {0}")]
    Syntax(&'static str),
    /// The reverse-path cannot be read.
    #[error("bad reverse-path syntax")]
    ReversePath,
    /// The forward-path cannot be read.
    #[error("bad forward-path syntax")]
    ForwardPath,
    /// A parameter of MAIL or RCPT that is not offered.
    #[error("parameter not recognized")]
    UnknownParameter,
    /// A known parameter of MAIL or RCPT with a bad value, or given twice.
    #[error("bad value for {0}")]
    BadParameter(&'static str),
}

impl Command {
    /// Reads one line, without its CRLF. White space at its end is not looked at; bytes that are no UTF-8 count
    /// as U+FFFD.
    ///
    /// # Errors
    /// [`CommandError`], which says what the reply has to say.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let end = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |last| last + 1);
        let line = &line[..end];
        if line.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(CommandError::ControlCharacter);
        }
        grammar::read(line).unwrap_or_else(|| ours(line))
    }

    /// Whether a server that requires TLS takes it before the handshake (RFC 3207 §4). A chunk, too: its octets
    /// follow whatever the reply is.
    #[must_use]
    pub const fn is_before_tls(&self) -> bool {
        matches!(
            self,
            Self::Ehlo(_) | Self::Lhlo(_) | Self::Noop | Self::Quit | Self::StartTls | Self::Bdat { .. }
        )
    }

    /// The verb, for logs.
    #[must_use]
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Ehlo(_) => "EHLO",
            Self::Helo(_) => "HELO",
            Self::Lhlo(_) => "LHLO",
            Self::Mail(..) => "MAIL",
            Self::Rcpt(..) => "RCPT",
            Self::Data => "DATA",
            Self::Rset => "RSET",
            Self::Vrfy => "VRFY",
            Self::Expn => "EXPN",
            Self::Help => "HELP",
            Self::Noop => "NOOP",
            Self::Quit => "QUIT",
            Self::StartTls => "STARTTLS",
            Self::Bdat { .. } => "BDAT",
        }
    }
}

/// What our own reader makes of a line without its CRLF, without control characters and without white space at its
/// end. [`Command::parse`] asks it where the grammar has no answer.
///
/// # Errors
/// [`CommandError`], as [`Command::parse`].
pub fn ours(line: &[u8]) -> Result<Command, CommandError> {
    let text = String::from_utf8_lossy(line);
    let (verb, arguments) = text.split_once([' ', '\t']).unwrap_or((&text, ""));
    let arguments = arguments.trim_ascii();
    let without_arguments = |command, syntax| {
        if arguments.is_empty() { Ok(command) } else { Err(CommandError::Syntax(syntax)) }
    };
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => name(arguments).map(Command::Ehlo),
        "HELO" => name(arguments).map(Command::Helo),
        "LHLO" => name(arguments).map(Command::Lhlo),
        "MAIL" => mail(arguments),
        "RCPT" => rcpt(arguments),
        "DATA" => without_arguments(Command::Data, "DATA"),
        "RSET" => without_arguments(Command::Rset, "RSET"),
        "QUIT" => without_arguments(Command::Quit, "QUIT"),
        "STARTTLS" => without_arguments(Command::StartTls, "STARTTLS"),
        "BDAT" => bdat(arguments),
        "VRFY" if arguments.is_empty() => Err(CommandError::Syntax("VRFY address")),
        "EXPN" if arguments.is_empty() => Err(CommandError::Syntax("EXPN list")),
        "VRFY" => Ok(Command::Vrfy),
        "EXPN" => Ok(Command::Expn),
        "HELP" => Ok(Command::Help),
        "NOOP" => Ok(Command::Noop),
        "AUTH" | "ETRN" | "SAML" | "SEND" | "SOML" | "TURN" | "ATRN" | "BURL" | "XCLIENT" | "XFORWARD" => {
            Err(CommandError::NotImplemented)
        }
        _ => Err(CommandError::Unrecognized),
    }
}

/// The argument of EHLO, HELO or LHLO: a name, an address literal, or what the field takes for one.
fn name(arguments: &str) -> Result<String, CommandError> {
    // RFC 5321 §4.1.4: a server does not refuse mail because the name is wrong
    if arguments.is_empty() { Err(CommandError::NoName) } else { Ok(path::host(arguments).into_owned()) }
}

fn mail(arguments: &str) -> Result<Command, CommandError> {
    const SYNTAX: CommandError = CommandError::Syntax("MAIL FROM:<address>");
    let text = path::after_keyword(arguments, "FROM").ok_or(SYNTAX)?;
    let (path, parameters) = path::split(text).ok_or(CommandError::ReversePath)?;
    let reverse_path = path::reverse_path(path).ok_or(CommandError::ReversePath)?;
    Ok(Command::Mail(reverse_path, MailParameters::parse(parameters.split_ascii_whitespace())?))
}

fn rcpt(arguments: &str) -> Result<Command, CommandError> {
    const SYNTAX: CommandError = CommandError::Syntax("RCPT TO:<address>");
    let text = path::after_keyword(arguments, "TO").ok_or(SYNTAX)?;
    let (path, parameters) = path::split(text).ok_or(CommandError::ForwardPath)?;
    let forward_path = path::forward_path(path).ok_or(CommandError::ForwardPath)?;
    Ok(Command::Rcpt(forward_path, RcptParameters::parse(parameters.split_ascii_whitespace())?))
}

fn bdat(arguments: &str) -> Result<Command, CommandError> {
    const SYNTAX: CommandError = CommandError::Syntax("BDAT size [LAST]");
    let mut words = arguments.split_ascii_whitespace();
    let size = words.next().filter(|word| word.bytes().all(|byte| byte.is_ascii_digit())).ok_or(SYNTAX)?;
    // Digits beyond `u64` are a number all the same, and too large like its largest. RFC 3030 §2
    let size = size.parse().unwrap_or(u64::MAX);
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true, // RFC 3030 §2
        Some(_) => return Err(SYNTAX),
    };
    if words.next().is_some() { Err(SYNTAX) } else { Ok(Command::Bdat { size, last }) }
}

#[cfg(test)]
mod tests;
