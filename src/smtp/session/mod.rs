//! The state machine of one SMTP or LMTP session (RFC 5321 §3, §4.1.4), without I/O: a line goes in, replies come
//! out, and what is to be done next.

mod bdat;
pub(super) mod replies;

use std::sync::Arc;

use tracing::debug;

use super::chunks::ChunkedMessage;
use super::command::{Command, CommandError, MailParameters, RcptParameters};
use super::data::Message;
use super::limits::Client;
use super::limits::memory::Reservation;
use super::line::{Line, announces_chunk};
use super::reply::Reply;
use super::settings::{BareNewline, ListenerProtocol, ListenerSettings, Settings};
use super::{Delivery, Envelope, EnvelopeRecipient, Peer, Protocol, RecipientVerdict, TlsInfo};
use crate::address::{ForwardPath, ReversePath};
use crate::metrics;

/// What the connection does after the replies are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Read the next command line.
    Command,
    /// Read a message up to its final dot, and give it to [`Session::message`].
    Data,
    /// Forget what else the client has sent, run a TLS handshake, and say so to [`Session::tls_started`].
    StartTls,
    /// Read so many octets, give them to [`Session::octets`], and then call [`Session::chunk`].
    Chunk(u64),
    /// Close the connection.
    Close,
}

/// The session's answer to one line.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// The reply; a second one where the server says unasked why it closes (RFC 5321 §3.8); none before
    /// [`Next::Chunk`], which is answered when its octets are read.
    pub replies: Vec<Reply>,
    /// What comes next.
    pub next: Next,
}

/// The session's answer to a message.
#[derive(Debug)]
pub enum Received {
    /// It goes to the sink, and [`Session::delivered`] has the replies to what the sink says. Its memory is held until
    /// then.
    Deliver(Envelope, Vec<u8>, Reservation),
    /// It is not taken and nothing of it is kept, or it was a chunk and there are more to come.
    Answered(Step),
}

#[derive(Debug)]
struct Transaction {
    reverse_path: ReversePath,
    /// The size that MAIL announced, 1 where it did not.
    announced: u64,
    envelope_id: Option<String>,
    recipients: Vec<EnvelopeRecipient>,
    /// At least one RCPT was refused.
    refused: bool,
    /// What came by BDAT so far.
    chunks: Option<ChunkedMessage>,
}

/// How far the session is with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tls {
    NotOffered,
    Offered,
    Active(TlsInfo),
}

/// One session. Holds the transaction's envelope, and of a message only what came by BDAT.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    speaks: ListenerProtocol,
    peer: Peer,
    client: Client,
    require_tls: bool,
    tls: Tls,
    protocol: Protocol,
    helo: Option<String>,
    transaction: Option<Transaction>,
    /// The chunk that is being read.
    chunk: Option<bdat::Chunk>,
    /// Transactions since the connection was opened.
    transactions: u32,
    /// The last MAIL was refused: what a pipelining client sent after it is out of sequence without its fault.
    mail_refused: bool,
    bad_commands: u32,
    /// Commands since the last message was taken, those aside that bring one nearer.
    without_message: u32,
}

impl Session {
    /// A session at its start, of a client that nothing is counted for.
    #[must_use]
    pub fn new(settings: Arc<Settings>, peer: Peer) -> Self {
        Self {
            settings,
            speaks: ListenerProtocol::Smtp,
            peer,
            client: Client::default(),
            require_tls: false,
            tls: Tls::NotOffered,
            protocol: Protocol::Smtp,
            helo: None,
            transaction: None,
            chunk: None,
            transactions: 0,
            mail_refused: false,
            bad_commands: 0,
            without_message: 0,
        }
    }

    /// The same for a client that is counted.
    #[must_use]
    pub fn of(self, client: Client) -> Self {
        Self { client, ..self }
    }

    /// Whose session it is.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// An account for the message that comes next.
    #[must_use]
    pub fn body(&self) -> Reservation {
        self.client.body(&self.settings.limits, self.settings.max_message_size)
    }

    /// The same on a listener with settings of its own.
    #[must_use]
    pub const fn on(mut self, listener: &ListenerSettings) -> Self {
        self.speaks = listener.protocol;
        self.require_tls = listener.require_tls;
        self
    }

    /// The same with STARTTLS, where there is a certificate for it.
    #[must_use]
    pub fn offering_tls(mut self, offered: bool) -> Self {
        self.tls = if offered { Tls::Offered } else { Tls::NotOffered };
        self
    }

    /// The handshake that STARTTLS announced has succeeded: what the client said before is forgotten.
    pub fn tls_started(&mut self, info: TlsInfo) {
        self.reset(); // RFC 3207 §4.2
        self.helo = None;
        self.tls = Tls::Active(info);
    }

    /// Whether a MAIL was accepted whose message has not come yet.
    #[must_use]
    pub const fn in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Who is at the other end.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What the server says first (RFC 5321 §3.1).
    #[must_use]
    pub fn greeting(&self) -> Reply {
        let protocol = match self.speaks {
            ListenerProtocol::Smtp => "ESMTP",
            ListenerProtocol::Lmtp => "LMTP",
        };
        Reply::plain(220, format!("{} {protocol} dsnd", self.settings.hostname))
    }

    /// Takes one line. `check_recipient` is asked about every forward-path.
    pub fn line(&mut self, line: Line, check_recipient: impl Fn(&ForwardPath) -> RecipientVerdict) -> Step {
        let (verb, outcome) = match line {
            Line::Complete(line) => match Command::parse(&line) {
                Ok(command) => (command.verb(), self.command(command, check_recipient)),
                Err(error) if announces_chunk(&line) => {
                    ("BDAT", Outcome::Lost(replies::not_a_command(error)))
                }
                Err(error) => ("", self.no_command(replies::not_a_command(error))),
            },
            Line::TooLong => ("", self.no_command(Reply::new(500, 5, 2, "Line too long"))),
            Line::BareNewline => {
                let reply = Reply::new(500, 5, 2, "A command line ends in CR LF, not in a bare LF");
                ("", self.no_command(reply))
            }
            Line::Foreign => ("", Outcome::Done(replies::not_smtp(), Next::Close)),
            Line::BrokenBdat => {
                let reply = "BDAT in a line that is too long or does not end in CR LF";
                ("BDAT", Outcome::Lost(Reply::new(500, 5, 2, reply)))
            }
        };
        metrics::SMTP_COMMANDS.increment([if verb.is_empty() { "other" } else { verb }]);
        self.step(verb, outcome)
    }

    /// A line that is no command. Between two chunks it means that the client counts otherwise than we do, and that
    /// what follows may be text of its message.
    fn no_command(&self, reply: Reply) -> Outcome {
        if self.is_receiving() { Outcome::Lost(reply) } else { Outcome::Bad(reply) }
    }

    /// What is said and done about a command.
    fn step(&mut self, verb: &str, outcome: Outcome) -> Step {
        let (reply, next, bad) = match outcome {
            Outcome::Done(reply, next) => (reply, next, false),
            Outcome::Bad(reply) => (reply, Next::Command, true),
            Outcome::Chunk(size) => return Step { replies: Vec::new(), next: Next::Chunk(size) },
            Outcome::Lost(reply) => {
                debug!(command = verb, %reply, "command");
                let parting = Reply::new(421, 5, 0, "Cannot tell where the chunk ends, closing connection");
                return Step { replies: vec![reply, parting], next: Next::Close };
            }
        };
        debug!(command = verb, %reply, "command");
        let nearer = matches!(verb, "RCPT" | "BDAT") && reply.is_positive();
        let mut step = Step { replies: vec![reply], next };
        self.bad_commands += u32::from(bad);
        self.without_message += u32::from(!nearer && !self.client.is_exempt());
        let most = self.settings.limits.commands_without_message;
        if bad && self.bad_commands >= self.settings.max_bad_commands {
            step.replies.push(replies::too_many_bad_commands());
            step.next = Next::Close;
        } else if step.next == Next::Command && most != 0 && self.without_message >= most {
            step.replies.push(replies::too_many_commands());
            step.next = Next::Close;
        }
        step
    }

    /// Takes the message that DATA announced, with what it holds of the memory, and ends the transaction.
    ///
    /// # Panics
    /// When no [`Next::Data`] came before.
    #[must_use]
    pub fn message(&mut self, message: Message, reservation: Reservation) -> Received {
        let transaction =
            self.transaction.take().expect("a message comes only after DATA was answered with 354");
        let refused = |reply| {
            let replies = self.for_each_recipient(transaction.recipients.len(), reply);
            Received::Answered(Step { replies, next: Next::Command })
        };
        match message {
            Message::TooBig => refused(replies::too_big()),
            Message::NoRoom => refused(replies::no_room()),
            Message::Complete { bare_newlines: true, .. }
                if self.settings.bare_newline == BareNewline::Reject =>
            {
                refused(Reply::new(550, 6, 0, "Message has line ends other than CR LF"))
            }
            Message::Complete { octets, bare_newlines } => {
                self.client.brought(octets.len() as u64);
                let envelope = Envelope {
                    peer: self.peer.clone(),
                    protocol: self.protocol,
                    tls: match &self.tls {
                        Tls::Active(info) => Some(info.clone()),
                        Tls::NotOffered | Tls::Offered => None,
                    },
                    helo: self.helo.clone().unwrap_or_default(),
                    reverse_path: transaction.reverse_path,
                    envelope_id: transaction.envelope_id,
                    recipients: transaction.recipients,
                    bare_newlines,
                };
                self.without_message = 0;
                Received::Deliver(envelope, octets, reservation)
            }
        }
    }

    /// The replies to what the sink made of a message for so many recipients.
    #[must_use]
    pub fn delivered(&self, recipients: usize, delivery: Delivery) -> Vec<Reply> {
        self.for_each_recipient(recipients, replies::delivered(delivery))
    }

    /// RFC 2033 §4.2: after the message LMTP has one reply for each accepted RCPT, in their order. They share one
    /// outcome, since a message is recorded for all of them or for none.
    fn for_each_recipient(&self, recipients: usize, reply: Reply) -> Vec<Reply> {
        match self.speaks {
            ListenerProtocol::Smtp => vec![reply],
            ListenerProtocol::Lmtp => vec![reply; recipients],
        }
    }

    fn command(
        &mut self,
        command: Command,
        check_recipient: impl Fn(&ForwardPath) -> RecipientVerdict,
    ) -> Outcome {
        if self.require_tls && !matches!(self.tls, Tls::Active(_)) && !command.is_before_tls() {
            self.mail_refused = true;
            return ok(Reply::new(530, 7, 0, "Must issue a STARTTLS command first")); // RFC 3207 §4
        }
        match command {
            // RFC 2033 §4.1: LHLO in place of EHLO and HELO, and nowhere else
            Command::Ehlo(_) | Command::Helo(_) if self.speaks == ListenerProtocol::Lmtp => {
                Outcome::Bad(Reply::new(500, 5, 1, "This is LMTP, send LHLO"))
            }
            Command::Lhlo(_) if self.speaks == ListenerProtocol::Smtp => {
                Outcome::Bad(replies::not_a_command(CommandError::NotImplemented))
            }
            Command::Ehlo(name) => {
                self.hello(Protocol::Esmtp, name);
                ok(self.extensions())
            }
            Command::Lhlo(name) => {
                self.hello(Protocol::Lmtp, name);
                ok(self.extensions())
            }
            Command::Helo(name) => {
                self.hello(Protocol::Smtp, name);
                ok(Reply::plain(250, self.settings.hostname.clone()))
            }
            Command::Mail(reverse_path, parameters) => self.mail(reverse_path, parameters),
            Command::Rcpt(forward_path, parameters) => self.rcpt(forward_path, parameters, check_recipient),
            Command::Data => self.data(),
            Command::Bdat { size, last } => self.bdat(size, last),
            Command::Rset => {
                self.reset(); // RFC 5321 §4.1.1.5
                ok(Reply::new(250, 0, 0, "OK"))
            }
            Command::Noop => ok(Reply::new(250, 0, 0, "OK")),
            // RFC 5321 §3.5.3: neither confirmed nor denied
            Command::Vrfy => ok(Reply::new(252, 0, 0, "Not verified, send some mail")),
            Command::Help => {
                ok(Reply::new(214, 0, 0, "This server takes returned mail").line(match self.speaks {
                    ListenerProtocol::Smtp => "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT",
                    ListenerProtocol::Lmtp => "LHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT",
                }))
            }
            Command::StartTls => match self.tls {
                Tls::NotOffered => Outcome::Bad(replies::not_a_command(CommandError::NotImplemented)),
                Tls::Offered => Outcome::Done(Reply::new(220, 0, 0, "Ready to start TLS"), Next::StartTls),
                Tls::Active(_) => Outcome::Bad(Reply::new(503, 5, 1, "TLS is active already")),
            },
            Command::Quit => Outcome::Done(Reply::new(221, 0, 0, "Bye"), Next::Close),
            Command::Expn => Outcome::Bad(replies::not_a_command(CommandError::NotImplemented)),
        }
    }

    /// What EHLO and LHLO are answered.
    fn extensions(&self) -> Reply {
        let offered = replies::extensions(&self.settings);
        // RFC 3207 §4.2: not offered again under TLS
        if self.tls == Tls::Offered { offered.line("STARTTLS") } else { offered }
    }

    /// RFC 5321 §4.1.4: EHLO and HELO clear the transaction.
    fn hello(&mut self, protocol: Protocol, name: String) {
        self.reset();
        self.protocol = protocol;
        self.helo = Some(name);
    }

    fn reset(&mut self) {
        self.transaction = None;
        self.mail_refused = false;
    }

    fn mail(&mut self, reverse_path: ReversePath, parameters: MailParameters) -> Outcome {
        if self.helo.is_none() {
            self.mail_refused = true;
            return Outcome::Bad(match self.speaks {
                ListenerProtocol::Smtp => Reply::new(503, 5, 1, "Send EHLO first"),
                ListenerProtocol::Lmtp => Reply::new(503, 5, 1, "Send LHLO first"),
            });
        }
        if self.transaction.is_some() {
            return Outcome::Bad(Reply::new(503, 5, 1, "Sender already given")); // RFC 5321 §4.1.4
        }
        if self.transactions >= self.settings.max_messages {
            // RFC 9422 §4.1: what LIMITS announced as MAILMAX
            let parting = "Too many messages on one connection, open another one";
            return Outcome::Done(Reply::new(421, 7, 0, parting), Next::Close);
        }
        let cap = u64::try_from(self.settings.max_message_size).unwrap_or(u64::MAX);
        if parameters.size.is_some_and(|size| size > cap) {
            self.mail_refused = true;
            return ok(replies::too_big()); // RFC 1870 §6.1
        }
        // Not set aside: a client that announces much and sends nothing would take it from the others.
        let announced = parameters.size.unwrap_or(1).max(1);
        if !self.body().could_hold(announced) {
            self.mail_refused = true;
            return ok(replies::no_room()); // RFC 1870 §6.1
        }
        if !self.client.may_bring(announced, &self.settings.limits) {
            self.mail_refused = true;
            return ok(replies::too_many_octets());
        }
        if !self.client.may_send(&self.settings.limits) {
            self.mail_refused = true;
            return ok(replies::too_many_messages());
        }
        self.mail_refused = false;
        self.transactions += 1;
        self.transaction = Some(Transaction {
            reverse_path,
            announced,
            envelope_id: parameters.envelope_id,
            recipients: Vec::new(),
            refused: false,
            chunks: None,
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
        if transaction.chunks.is_some() {
            return Outcome::Bad(Reply::new(503, 5, 1, "The message has begun already"));
        }
        if transaction.recipients.len() >= self.settings.max_recipients {
            transaction.refused = true;
            return ok(Reply::new(452, 5, 3, "Too many recipients")); // RFC 5321 §4.5.3.1.10
        }
        let verdict = check_recipient(&forward_path);
        if verdict == RecipientVerdict::Accept && !self.client.may_name(&self.settings.limits) {
            transaction.refused = true;
            return ok(replies::too_many_named());
        }
        if verdict == RecipientVerdict::Accept {
            let original_recipient = parameters.original_recipient;
            transaction.recipients.push(EnvelopeRecipient { forward_path, original_recipient });
        } else {
            transaction.refused = true;
        }
        ok(verdict.reply())
    }

    fn data(&mut self) -> Outcome {
        match &self.transaction {
            None => self.no_transaction(),
            // RFC 3030 §2: DATA and BDAT cannot be used in one transaction
            Some(Transaction { chunks: Some(_), .. }) => {
                Outcome::Bad(Reply::new(503, 5, 1, "The message comes by BDAT already"))
            }
            Some(transaction) if transaction.recipients.is_empty() => self.no_recipients(transaction.refused),
            // RFC 1870 §6.1. DATA can be sent again as it is, when there is memory.
            Some(transaction) if !self.body().could_hold(transaction.announced) => ok(replies::no_room()),
            Some(_) => Outcome::Done(Reply::plain(354, "End data with <CR><LF>.<CR><LF>"), Next::Data),
        }
    }

    /// DATA or BDAT where no RCPT was accepted; `refused`: at least one was refused.
    fn no_recipients(&self, refused: bool) -> Outcome {
        // RFC 2920 §3.1: a pipelining client sends DATA before it knows that all were refused
        match self.speaks {
            ListenerProtocol::Smtp if refused => ok(Reply::new(554, 5, 1, "No valid recipients")),
            ListenerProtocol::Lmtp if refused => ok(Reply::new(503, 5, 1, "No valid recipients")), // RFC 2033 §4.2
            _ => Outcome::Bad(Reply::new(503, 5, 1, "Send RCPT first")),
        }
    }

    fn no_transaction(&self) -> Outcome {
        let reply = Reply::new(503, 5, 1, "Send MAIL first"); // RFC 5321 §4.1.4
        if self.mail_refused { ok(reply) } else { Outcome::Bad(reply) }
    }
}

/// What became of a line: an answer, or an answer that counts against the limit of bad commands.
#[derive(Debug)]
enum Outcome {
    Done(Reply, Next),
    Bad(Reply),
    /// A chunk of so many octets has to be read first.
    Chunk(u64),
    /// A chunk follows and nobody can tell where it ends, or it is longer than anybody reads: the connection cannot
    /// go on.
    Lost(Reply),
}

const fn ok(reply: Reply) -> Outcome {
    Outcome::Done(reply, Next::Command)
}

#[cfg(test)]
mod tests;
