//! The state machine of one SMTP session (RFC 5321 §3, §4.1.4), without I/O: a line goes in, replies come out, and
//! what is to be done next.

pub(super) mod replies;

use std::sync::Arc;

use tracing::debug;

use super::command::{Command, CommandError, MailParameters, RcptParameters};
use super::data::Message;
use super::limits::Client;
use super::limits::memory::Reservation;
use super::line::Line;
use super::reply::Reply;
use super::settings::{BareNewline, Settings};
use super::{Envelope, EnvelopeRecipient, Peer, RecipientVerdict};
use crate::address::{ForwardPath, ReversePath};

/// What the connection does after the replies are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Read the next command line.
    Command,
    /// Read a message up to its final dot, and give it to [`Session::message`].
    Data,
    /// Close the connection.
    Close,
}

/// The session's answer to one line.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// The reply; a second one where the server says unasked why it closes (RFC 5321 §3.8).
    pub replies: Vec<Reply>,
    /// What comes next.
    pub next: Next,
}

/// The session's answer to a message.
#[derive(Debug)]
pub enum Received {
    /// It goes to the sink, and the sink's answer decides about the reply.
    Deliver(Envelope, Vec<u8>),
    /// It is not taken; nothing of it is kept.
    Refused(Reply),
}

#[derive(Debug)]
struct Transaction {
    reverse_path: ReversePath,
    envelope_id: Option<String>,
    recipients: Vec<EnvelopeRecipient>,
    /// At least one RCPT was refused.
    refused: bool,
}

/// One session. Holds the transaction's envelope, and nothing of any message.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    peer: Peer,
    client: Client,
    helo: Option<String>,
    transaction: Option<Transaction>,
    /// The last MAIL was refused: what a pipelining client sent after it is out of sequence without its fault.
    mail_refused: bool,
    bad_commands: u32,
}

impl Session {
    /// A session at its start, of a client that nothing is counted for.
    #[must_use]
    pub fn new(settings: Arc<Settings>, peer: Peer) -> Self {
        let client = Client::default();
        Self { settings, peer, client, helo: None, transaction: None, mail_refused: false, bad_commands: 0 }
    }

    /// The same for a client that is.
    #[must_use]
    pub fn of(self, client: Client) -> Self {
        Self { client, ..self }
    }

    /// Whose session it is.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// An account for the message that DATA announced.
    #[must_use]
    pub fn body(&self) -> Reservation {
        self.client.body(&self.settings.limits, self.settings.max_message_size)
    }

    /// What the server says first (RFC 5321 §3.1).
    #[must_use]
    pub fn greeting(&self) -> Reply {
        Reply::plain(220, format!("{} ESMTP dsnd", self.settings.hostname))
    }

    /// Takes one line. `check_recipient` is asked about every forward-path.
    pub fn line(&mut self, line: Line, check_recipient: impl Fn(&ForwardPath) -> RecipientVerdict) -> Step {
        let (verb, outcome) = match line {
            Line::Complete(line) => match Command::parse(&line) {
                Ok(command) => (command.verb(), self.command(command, check_recipient)),
                Err(error) => ("", Outcome::Bad(replies::not_a_command(error))),
            },
            Line::TooLong => ("", Outcome::Bad(Reply::new(500, 5, 2, "Line too long"))),
            Line::BareNewline => {
                ("", Outcome::Bad(Reply::new(500, 5, 2, "A command line ends in CR LF, not in a bare LF")))
            }
        };
        let (reply, next, bad) = match outcome {
            Outcome::Done(reply, next) => (reply, next, false),
            Outcome::Bad(reply) => (reply, Next::Command, true),
        };
        debug!(command = verb, %reply, "command");
        let mut step = Step { replies: vec![reply], next };
        if bad {
            self.bad_commands += 1;
            if self.bad_commands >= self.settings.max_bad_commands {
                step.replies.push(Reply::new(421, 7, 0, "Too many bad commands, closing connection"));
                step.next = Next::Close;
            }
        }
        step
    }

    /// Takes the message that DATA announced, and ends the transaction.
    ///
    /// # Panics
    /// When no [`Next::Data`] came before.
    #[must_use]
    pub fn message(&mut self, message: Message) -> Received {
        let transaction =
            self.transaction.take().expect("a message comes only after DATA was answered with 354");
        match message {
            Message::TooBig => Received::Refused(replies::too_big()),
            Message::NoRoom => Received::Refused(replies::no_room()),
            Message::Complete { bare_newlines: true, .. }
                if self.settings.bare_newline == BareNewline::Reject =>
            {
                Received::Refused(Reply::new(550, 6, 0, "Message has line ends other than CR LF"))
            }
            Message::Complete { octets, bare_newlines } => {
                let envelope = Envelope {
                    peer: self.peer.clone(),
                    helo: self.helo.clone().unwrap_or_default(),
                    reverse_path: transaction.reverse_path,
                    envelope_id: transaction.envelope_id,
                    recipients: transaction.recipients,
                    bare_newlines,
                };
                Received::Deliver(envelope, octets)
            }
        }
    }

    fn command(
        &mut self,
        command: Command,
        check_recipient: impl Fn(&ForwardPath) -> RecipientVerdict,
    ) -> Outcome {
        match command {
            Command::Ehlo(name) => {
                self.hello(name);
                Outcome::Done(replies::extensions(&self.settings), Next::Command)
            }
            Command::Helo(name) => {
                self.hello(name);
                ok(Reply::plain(250, self.settings.hostname.clone()))
            }
            Command::Mail(reverse_path, parameters) => self.mail(reverse_path, parameters),
            Command::Rcpt(forward_path, parameters) => self.rcpt(forward_path, parameters, check_recipient),
            Command::Data => self.data(),
            Command::Rset => {
                self.reset(); // RFC 5321 §4.1.1.5
                ok(Reply::new(250, 0, 0, "OK"))
            }
            Command::Noop => ok(Reply::new(250, 0, 0, "OK")),
            // RFC 5321 §3.5.3: neither confirmed nor denied
            Command::Vrfy => ok(Reply::new(252, 0, 0, "Not verified, send some mail")),
            Command::Help => ok(Reply::new(214, 0, 0, "This server takes returned mail")
                .line("EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT")),
            Command::Quit => Outcome::Done(Reply::new(221, 0, 0, "Bye"), Next::Close),
            // BDAT, too: the octets of a chunk would follow, but a client that was not offered CHUNKING
            // sends none (RFC 3030 §2), and one that does runs into the limit of bad commands.
            Command::Expn | Command::StartTls | Command::Bdat { .. } => {
                Outcome::Bad(replies::not_a_command(CommandError::NotImplemented))
            }
        }
    }

    /// RFC 5321 §4.1.4: EHLO and HELO clear the transaction.
    fn hello(&mut self, name: String) {
        self.reset();
        self.helo = Some(name);
    }

    fn reset(&mut self) {
        self.transaction = None;
        self.mail_refused = false;
    }

    fn mail(&mut self, reverse_path: ReversePath, parameters: MailParameters) -> Outcome {
        if self.helo.is_none() {
            self.mail_refused = true;
            return Outcome::Bad(Reply::new(503, 5, 1, "Send EHLO first"));
        }
        if self.transaction.is_some() {
            return Outcome::Bad(Reply::new(503, 5, 1, "Sender already given")); // RFC 5321 §4.1.4
        }
        let cap = u64::try_from(self.settings.max_message_size).unwrap_or(u64::MAX);
        if parameters.size.is_some_and(|size| size > cap) {
            self.mail_refused = true;
            return ok(replies::too_big()); // RFC 1870 §6.1
        }
        // Not set aside: a client that announces much and sends nothing would take it from the others.
        if !self.body().could_hold(parameters.size.unwrap_or(1).max(1)) {
            self.mail_refused = true;
            return ok(replies::no_room()); // RFC 1870 §6.1
        }
        if !self.client.may_send(&self.settings.limits) {
            self.mail_refused = true;
            return ok(replies::too_many_messages());
        }
        self.mail_refused = false;
        self.transaction = Some(Transaction {
            reverse_path,
            envelope_id: parameters.envelope_id,
            recipients: Vec::new(),
            refused: false,
        });
        ok(Reply::new(250, 1, 0, "Sender OK"))
    }

    fn rcpt(
        &mut self,
        forward_path: ForwardPath,
        parameters: RcptParameters,
        check_recipient: impl Fn(&ForwardPath) -> RecipientVerdict,
    ) -> Outcome {
        let Some(transaction) = &mut self.transaction else { return self.no_transaction() };
        if transaction.recipients.len() >= self.settings.max_recipients {
            transaction.refused = true;
            return ok(Reply::new(452, 5, 3, "Too many recipients")); // RFC 5321 §4.5.3.1.10
        }
        match check_recipient(&forward_path) {
            RecipientVerdict::Accept => {
                let original_recipient = parameters.original_recipient;
                transaction.recipients.push(EnvelopeRecipient { forward_path, original_recipient });
                ok(Reply::new(250, 1, 5, "Recipient OK"))
            }
            RecipientVerdict::NoSuchMailbox => {
                transaction.refused = true;
                ok(Reply::new(550, 1, 1, "No such mailbox here"))
            }
            RecipientVerdict::NotOurs => {
                transaction.refused = true;
                ok(Reply::new(550, 7, 1, "Relaying denied"))
            }
            RecipientVerdict::Refuse(text) => {
                transaction.refused = true;
                ok(Reply::new(550, 7, 1, text)) // RFC 3463 §3.8: delivery not authorized
            }
        }
    }

    fn data(&mut self) -> Outcome {
        match &self.transaction {
            None => self.no_transaction(),
            Some(transaction) if !transaction.recipients.is_empty() => {
                Outcome::Done(Reply::plain(354, "End data with <CR><LF>.<CR><LF>"), Next::Data)
            }
            // RFC 2920 §3.1: a pipelining client sends DATA before it knows that all were refused
            Some(transaction) if transaction.refused => ok(Reply::new(554, 5, 1, "No valid recipients")),
            Some(_) => Outcome::Bad(Reply::new(503, 5, 1, "Send RCPT first")),
        }
    }

    fn no_transaction(&self) -> Outcome {
        let reply = Reply::new(503, 5, 1, "Send MAIL first"); // RFC 5321 §4.1.4
        if self.mail_refused { ok(reply) } else { Outcome::Bad(reply) }
    }
}

/// What became of a line: an answer, or an answer that counts against the limit of bad commands.
enum Outcome {
    Done(Reply, Next),
    Bad(Reply),
}

const fn ok(reply: Reply) -> Outcome {
    Outcome::Done(reply, Next::Command)
}

#[cfg(test)]
mod tests;
