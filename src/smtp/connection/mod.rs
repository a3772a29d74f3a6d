//! One connection: moves bytes between a stream and a [`Session`].
//!
//! Generic over the stream, so that it serves whatever carries SMTP.

mod times;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, debug, field, info, info_span};

use super::data::DataDecoder;
use super::limits::presence::Presence;
use super::limits::{Client, Notice, Tarpit};
use super::line::{Line, LineReader};
use super::reply::Reply;
use super::session::{Next, Received, Session, replies};
use super::settings::{ListenerSettings, Settings};
use super::tls::{MaybeTls, TlsAcceptor};
use super::{Peer, RecipientVerdict, Sink};
use crate::address::ForwardPath;
use crate::metrics;
use times::{Times, after};

/// The read buffer while commands are awaited: what an idle connection holds.
const COMMAND_BUFFER: usize = 4 * 1024;

/// The read buffer while a message comes in.
const DATA_BUFFER: usize = 32 * 1024;

/// Replies that are kept back for one write; beyond this they go out before more is read.
const MAX_UNSENT: usize = 16 * 1024;

/// How long, and how much, is read and dropped after the last reply: a socket that is closed with unread
/// input resets the connection, and the reply is lost.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_OCTETS: u64 = 1024 * 1024;

/// Handshakes that failed, of the whole process: strangers can make many.
static FAILED_HANDSHAKES: Notice = Notice::new();

/// Why a dialogue ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The session said so: QUIT, or too many bad commands.
    Closed,
    /// The client went away without QUIT.
    ClientLeft,
    /// The client took too long, for a command or for its transaction.
    Idle,
    /// The client sent commands, and no message that was taken.
    NoMessage,
    /// The client sent a message at less than the least pace.
    TooSlow,
    /// All places were taken, and it brought nothing.
    GaveWay,
    /// The service goes down.
    ShutDown,
    /// The TLS handshake failed, or was interrupted: nothing can be said any more.
    NoTls,
}

impl Ended {
    /// The word that metrics have for it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::ClientLeft => "client_left",
            Self::Idle => "idle",
            Self::NoMessage => "no_message",
            Self::TooSlow => "too_slow",
            Self::GaveWay => "gave_way",
            Self::ShutDown => "shut_down",
            Self::NoTls => "no_tls",
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection<T, K> {
    stream: MaybeTls<T>,
    tls: Option<Arc<TlsAcceptor>>,
    session: Session,
    lines: LineReader,
    settings: Arc<Settings>,
    sink: Arc<K>,
    shutdown: CancellationToken,
    input: Box<[u8]>,
    /// The part of `input` that is filled and not yet looked at.
    unread: std::ops::Range<usize>,
    output: Vec<u8>,
    messages: u64,
    times: Times,
    presence: Arc<Presence>,
    tarpit: Tarpit,
}

impl<T, K> Connection<T, K>
where
    T: AsyncRead + AsyncWrite + Unpin + Send,
    K: Sink,
{
    /// A connection whose greeting is not sent yet.
    pub fn new(
        stream: T,
        peer: Peer,
        sink: Arc<K>,
        settings: Arc<Settings>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            stream: MaybeTls::Plain(stream),
            tls: None,
            session: Session::new(Arc::clone(&settings), peer),
            times: Times::new(&settings, true),
            lines: LineReader::new(),
            settings,
            sink,
            shutdown,
            input: Box::default(),
            unread: 0..0,
            output: Vec::new(),
            messages: 0,
            presence: Arc::default(),
            tarpit: Tarpit::default(),
        }
    }

    /// The same for a client that is counted.
    #[must_use]
    pub fn of(self, client: Client) -> Self {
        let times = Times::new(&self.settings, client.is_exempt());
        Self { session: self.session.of(client), times, ..self }
    }

    /// The same on a listener with settings of its own, with STARTTLS where there is a certificate.
    #[must_use]
    pub fn on(mut self, listener: &ListenerSettings, tls: Option<Arc<TlsAcceptor>>) -> Self {
        self.session = self.session.on(listener).offering_tls(tls.is_some());
        self.tls = tls;
        self
    }

    /// The same with what it does shown, and ended where it is asked to give way.
    #[must_use]
    pub fn showing(self, presence: Arc<Presence>) -> Self {
        Self { presence, ..self }
    }

    /// Runs the dialogue from the greeting to the end.
    ///
    /// # Errors
    /// When the stream fails, or the client leaves replies unread for `write_timeout`.
    pub async fn run(mut self) -> io::Result<Ended> {
        self.say(&self.session.greeting());
        let ended = self.dialogue().await?;
        match ended {
            Ended::Idle => self.say(&replies::idle()),
            Ended::NoMessage => self.say(&replies::no_message()),
            Ended::TooSlow => self.say(&replies::too_slow()),
            Ended::GaveWay => self.say(&replies::gave_way()),
            Ended::ShutDown => self.say(&replies::shutting_down()),
            Ended::ClientLeft => return Ok(ended),
            Ended::NoTls => return linger(&mut self.stream).await.map(|()| ended),
            Ended::Closed => {}
        }
        self.flush().await?;
        linger(&mut self.stream).await?;
        Ok(ended)
    }

    async fn dialogue(&mut self) -> io::Result<Ended> {
        loop {
            let line = match self.next_line().await? {
                Ok(line) => line,
                Err(ended) => return Ok(ended),
            };
            let sink = &self.sink;
            let client = self.session.peer().address.ip();
            let check = |forward_path: &ForwardPath| match sink.check_recipient(forward_path) {
                RecipientVerdict::Accept => sink.check_room(forward_path, client),
                refused => refused,
            };
            let step = self.session.line(line, check);
            self.say_politely(&step.replies).await?;
            match step.next {
                Next::Command => {}
                Next::StartTls => {
                    if let Err(ended) = self.start_tls().await? {
                        return Ok(ended);
                    }
                }
                Next::Close => return Ok(Ended::Closed),
                Next::Data => {
                    if let Err(ended) = self.message().await? {
                        return Ok(ended);
                    }
                }
                Next::Chunk(size) => {
                    if let Err(ended) = self.chunk(size).await? {
                        return Ok(ended);
                    }
                }
            }
            self.times.transaction(self.session.in_transaction(), &self.settings);
            if !self.session.is_receiving() {
                self.times.end();
                self.presence.waits(self.session.in_transaction());
            }
            if self.output.len() > MAX_UNSENT {
                self.flush().await?;
            }
        }
    }

    /// The next line, from what is there or from the client. Replies wait until the client has to be waited for
    /// (RFC 2920 §3.2).
    async fn next_line(&mut self) -> io::Result<Result<Line, Ended>> {
        let mut deadline = None;
        loop {
            let (taken, line) = self.lines.feed(&self.input[self.unread.clone()]);
            self.unread.start += taken;
            if let Some(line) = line {
                return Ok(Ok(line));
            }
            self.flush().await?;
            if let Some(ended) = self.times.over() {
                return Ok(Err(ended));
            }
            // One deadline for the whole line: octets that drip do not extend it.
            let silent = *deadline.get_or_insert_with(|| after(self.settings.idle_timeout));
            let (deadline, late) = self.times.deadline(silent);
            let (shutdown, presence) = (self.shutdown.clone(), Arc::clone(&self.presence));
            tokio::select! {
                biased;
                // A message that has begun may go on to its last chunk.
                () = shutdown.cancelled(), if !self.times.receiving() => return Ok(Err(Ended::ShutDown)),
                () = presence.asked_to_leave(), if !self.times.receiving() => return Ok(Err(Ended::GaveWay)),
                filled = timeout_at(deadline, self.fill(COMMAND_BUFFER)) => match filled {
                    Ok(filled) => if !filled? { return Ok(Err(Ended::ClientLeft)) },
                    Err(_) => return Ok(Err(late)),
                },
            }
        }
    }

    /// Says that it is ready, and runs the handshake. Nothing that came in the clear lives on.
    async fn start_tls(&mut self) -> io::Result<Result<(), Ended>> {
        self.flush().await?;
        // Commands behind STARTTLS were said by whoever was in between (CVE-2011-0411, RFC 3207 §4.2).
        if !self.unread.is_empty() {
            info!(octets = self.unread.len(), "dropped what was sent in the clear behind STARTTLS");
        }
        self.unread = 0..0;
        self.input = Box::default();
        self.lines = LineReader::new();
        let (Some(tls), Some(plain)) = (self.tls.clone(), self.stream.take_plain()) else {
            return Ok(Err(Ended::NoTls));
        };
        let started = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return Ok(Err(Ended::NoTls)),
            () = self.presence.asked_to_leave() => return Ok(Err(Ended::NoTls)),
            // Boxed, so that idle connections do not hold the room that a handshake needs.
            started = Box::pin(tls.accept(plain, self.settings.idle_timeout)) => started,
        };
        match started {
            Ok((stream, info)) => {
                Span::current().record("tls", field::display(&info));
                debug!("TLS handshake done");
                metrics::TLS_HANDSHAKES.increment([info.version]);
                self.stream = MaybeTls::Tls(Box::new(stream));
                self.session.tls_started(info);
                Ok(Ok(()))
            }
            Err((error, plain)) => {
                debug!(%error, "TLS handshake failed");
                if let Some(times) = FAILED_HANDSHAKES.happened() {
                    info!(times, last = %error, "TLS handshakes failed");
                }
                metrics::TLS_HANDSHAKES.increment(["failed"]);
                self.stream = plain.map_or(MaybeTls::Gone, MaybeTls::Plain);
                Ok(Err(Ended::NoTls))
            }
        }
    }

    fn begin_message(&mut self) {
        self.times.begin(&self.settings, self.session.client().is_exempt());
        self.presence.receives();
    }

    /// Reads the message after a 354, has it delivered, and says what became of it. A shutdown does not
    /// interrupt it.
    async fn message(&mut self) -> io::Result<Result<(), Ended>> {
        let mut decoder = DataDecoder::within(self.settings.max_message_size, self.session.body());
        self.begin_message();
        loop {
            if let Some(taken) = decoder.feed(&self.input[self.unread.clone()]) {
                self.unread.start += taken;
                break;
            }
            self.unread = 0..0;
            if let Err(ended) = self.more().await? {
                return Ok(Err(ended));
            }
            self.times.came(self.unread.len());
        }
        let (message, reservation) = decoder.finish_with();
        let received = self.session.message(message, reservation);
        self.received(received).await
    }

    /// Reads the `size` octets after a BDAT line (RFC 3030 §2), and says what became of them. A shutdown does not
    /// interrupt it.
    async fn chunk(&mut self, size: u64) -> io::Result<Result<(), Ended>> {
        self.begin_message();
        let mut left = size;
        loop {
            let there = usize::try_from(left).map_or(self.unread.len(), |left| left.min(self.unread.len()));
            let end = self.unread.start + there;
            self.session.octets(&self.input[self.unread.start..end]);
            self.unread.start = end;
            self.times.came(there);
            left -= there as u64;
            if left == 0 {
                break;
            }
            if let Err(ended) = self.more().await? {
                return Ok(Err(ended));
            }
        }
        let received = self.session.chunk();
        self.received(received).await
    }

    /// Reads more of a message, all that was there being taken.
    async fn more(&mut self) -> io::Result<Result<(), Ended>> {
        self.flush().await?;
        if let Some(ended) = self.times.over() {
            return Ok(Err(ended));
        }
        let (deadline, ended) = self.times.deadline(after(self.settings.idle_timeout));
        let (presence, slow) = (Arc::clone(&self.presence), self.presence.rank().is_some());
        let filled = tokio::select! {
            () = presence.asked_to_leave(), if slow => return Ok(Err(Ended::GaveWay)),
            filled = timeout_at(deadline, self.fill(DATA_BUFFER)) => filled,
        };
        match filled {
            Ok(filled) => Ok(if filled? { Ok(()) } else { Err(Ended::ClientLeft) }),
            Err(_) => Ok(Err(ended)),
        }
    }

    /// Has a message delivered where that is to be done, and says what became of it.
    async fn received(&mut self, received: Received) -> io::Result<Result<(), Ended>> {
        let (replies, next) = match received {
            Received::Answered(step) => (step.replies, step.next),
            // What it holds of the memory is held until it is stored, or dropped.
            Received::Deliver(envelope, octets, _reservation) => {
                self.messages += 1;
                self.flush().await?;
                if self.unread.is_empty() {
                    self.input = Box::default(); // nothing is read for as long as the store takes
                    self.unread = 0..0;
                }
                let span = info_span!("message", number = self.messages, octets = octets.len());
                let recipients = envelope.recipients.len();
                let (size, began) = (octets.len() as u64, Instant::now());
                self.presence.stores();
                let delivery = self.sink.deliver(envelope, octets).instrument(span).await;
                self.times.message_taken(&self.settings, self.session.client().is_exempt());
                self.presence.took_message();
                metrics::MESSAGES.increment([delivery.as_str()]);
                metrics::MESSAGE_BYTES.add([], size);
                metrics::MESSAGE_TIME.took([], began.elapsed());
                (self.session.delivered(recipients, delivery), Next::Command)
            }
        };
        if let Some(reply) = replies.first() {
            debug!(%reply, "message");
        }
        self.say_politely(&replies).await?;
        Ok(if next == Next::Close { Err(Ended::Closed) } else { Ok(()) })
    }

    /// Reads once into a buffer of `size`; false at the end of the stream. Only called when nothing is unread.
    async fn fill(&mut self, size: usize) -> io::Result<bool> {
        if self.input.len() != size {
            self.input = vec![0; size].into_boxed_slice();
        }
        self.unread = 0..0;
        let length = self.stream.read(&mut self.input).await?;
        self.unread = 0..length;
        Ok(length > 0)
    }

    fn say(&mut self, reply: &Reply) {
        if let Some(reason) = replies::rejection(reply) {
            metrics::SMTP_REJECTIONS.increment([reason]);
        }
        reply.write_to(&mut self.output);
    }

    /// Says it, after a while where the client has made many mistakes: one while, however many replies the mistake has.
    /// A shutdown ends it.
    async fn say_politely(&mut self, replies: &[Reply]) -> io::Result<()> {
        if replies.iter().any(Reply::is_permanent) && !self.session.client().is_exempt() {
            let held_back = self.tarpit.error(self.settings.limits.tarpit);
            if !held_back.is_zero() {
                self.flush().await?;
                let _ = timeout(held_back, self.shutdown.cancelled()).await;
            }
        }
        for reply in replies {
            self.say(reply);
        }
        Ok(())
    }

    async fn flush(&mut self) -> io::Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        write(&mut self.stream, &self.output, self.settings.write_timeout).await?;
        self.output = Vec::new();
        Ok(())
    }
}

/// Says one reply on a connection that is not served, and closes it.
///
/// # Errors
/// When the stream fails or takes longer than `write_timeout`.
pub async fn turn_away<T>(mut stream: T, reply: &Reply, write_timeout: Duration) -> io::Result<()>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut output = Vec::new();
    reply.write_to(&mut output);
    write(&mut stream, &output, write_timeout).await?;
    linger(&mut stream).await
}

async fn write(stream: &mut (impl AsyncWrite + Unpin), output: &[u8], limit: Duration) -> io::Result<()> {
    timeout(limit, async {
        stream.write_all(output).await?;
        stream.flush().await
    })
    .await
    .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its replies")))
}

/// Ends our side, and reads what the client still sends for a moment.
async fn linger(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let drain = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(LINGER_OCTETS), &mut tokio::io::sink()).await
    };
    match timeout(LINGER, drain).await {
        Ok(drained) => drained.map(|_| ()),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod limited;
#[cfg(test)]
mod tests;
