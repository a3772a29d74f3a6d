//! One bounce's way: from the SMTP session through reading and deciding into the store, and only then "250".

mod assess;
mod attribute;
mod count;
mod digest;
mod explain;
mod guard;
mod nameless;
mod reassess;
mod replay;
mod sink;
mod turns;
mod verdict;
mod waiting;

use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;
use jiff::Timestamp;
use tracing::{error, info};

pub use assess::{Assessed, assess};
pub use attribute::{Attribution, attribute, complained_path};
pub use digest::{digest, event_key, message_digest};
pub use explain::{Explained, OriginalPart, RecipientPart, ReportPart, explain};
pub use guard::{Quotas, Reserve, Room};
use guard::{Taken, Way};
pub use nameless::add_nameless;
pub use reassess::{Reread, reassess};
pub use replay::{Prepared, preview, recorded_digest};
pub use verdict::verdict;
use waiting::Waiting;

use crate::address::{Mailbox, steers};
use crate::classify::{Basis, Classification, Classifier};
use crate::metrics;
use crate::policy::{Verdict, may_change};
use crate::report::{Report, ReportKind};
use crate::returnpath::{ReturnPath, ReturnPaths, Trust, UnsignedTrust};
use crate::smtp::{Delivery, Envelope, Handle, PeerAddress};
use crate::store::{Alarm, EventChange, NewEvent, NewMessage, Recorded, Store, StoreError};

/// zstd level for raw messages: returned mail is text, and time matters more than the last percent.
const COMPRESSION: i32 = 3;

/// Longest text of a single column, in bytes; the raw message holds the rest.
const MAX_COLUMN: usize = 8 * 1024;

/// Most defects kept of one message.
const MAX_DEFECTS: usize = 50;

/// What the operator set about taking bounces.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// Which forward-paths are ours.
    pub return_paths: ReturnPaths,
    /// Which unsigned reports change the list.
    pub unsigned_trust: UnsignedTrust,
    /// Recipients of one report that are recorded.
    pub max_recipients: usize,
    /// Local parts are masked in the log.
    pub mask_addresses: bool,
    /// Messages that may wait to be committed before new connections are turned away.
    pub max_waiting: usize,
    /// How much mail that nothing proves is taken a day.
    pub quotas: Quotas,
    /// Clients whose networks the quotas do not count.
    pub exempt: Vec<IpNet>,
}

/// Takes messages from the listener and brings them into the store.
#[derive(Debug)]
pub struct Ingest<S> {
    store: Arc<S>,
    classifier: Arc<Classifier>,
    settings: Arc<IngestSettings>,
    readers: Arc<turns::Turns>,
    waiting: Arc<Waiting>,
    taken: Arc<Taken>,
    /// The same at signed return paths. Every subscriber has one: what is sent there must not use up what others have.
    taken_signed: Arc<Taken>,
    room: Arc<Room>,
}

impl<S: Store> Ingest<S> {
    /// Puts the parts together.
    pub fn new(store: Arc<S>, classifier: Arc<Classifier>, settings: IngestSettings) -> Self {
        Self {
            store,
            classifier,
            settings: Arc::new(settings),
            readers: Arc::new(turns::Turns::new()),
            waiting: Arc::default(),
            taken: Arc::default(),
            taken_signed: Arc::default(),
            room: Arc::default(),
        }
    }

    /// The room on the disk: whoever measures it notes it here.
    #[must_use]
    pub fn room(&self) -> Arc<Room> {
        Arc::clone(&self.room)
    }

    /// The same with other rules and settings, for what comes from now on; what is on its way goes on as it began.
    #[must_use]
    pub fn with(&self, classifier: Arc<Classifier>, settings: IngestSettings) -> Self {
        Self {
            store: Arc::clone(&self.store),
            classifier,
            settings: Arc::new(settings),
            readers: Arc::clone(&self.readers),
            waiting: Arc::clone(&self.waiting),
            taken: Arc::clone(&self.taken),
            taken_signed: Arc::clone(&self.taken_signed),
            room: Arc::clone(&self.room),
        }
    }

    /// Reads, classifies and records one message.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be committed; then nothing of it is kept.
    pub async fn take(&self, envelope: Envelope, message: Vec<u8>) -> Result<Delivery, StoreError> {
        self.take_at(envelope, message, Timestamp::now()).await
    }

    /// The same for a message that came in at another time; thresholds and terms count from then.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn take_at(
        &self,
        envelope: Envelope,
        message: Vec<u8>,
        now: Timestamp,
    ) -> Result<Delivery, StoreError> {
        let _waits = self.waiting.enter(self.settings.max_waiting, || self.store.pressure());
        let to = || envelope.recipients.iter().map(|recipient| &recipient.forward_path);
        let signed = to().any(|path| self.settings.return_paths.accepted(path).is_signed());
        let domain = to().next().map(sink::domain).unwrap_or_default();
        let way = Way { client: self.counted(envelope.peer.address.ip()), domain: &domain };
        let prepared = self.prepare(envelope, message, now).await?;
        let handle = Handle::of(&prepared.message.digest);
        let unproven = prepared.message.unproven;
        let taken = if signed { &self.taken_signed } else { &self.taken };
        if unproven && let Some(refusal) = self.cannot_take(taken, way, now) {
            taken.tried(way, prepared.message.size, now);
            info!(
                "put off: nothing proves it, and the disk or a daily quota ([unproven]) has no room for it"
            );
            return Ok(Delivery::PutOff(refusal));
        }
        let (octets, rows) = (prepared.message.octets(), 1 + prepared.message.events.len() as u64);
        let recorded = self.record(prepared).await?;
        if unproven && !recorded.duplicate {
            taken.count(way, octets, rows, now);
        }
        Ok(Delivery::Committed { handle, duplicate: recorded.duplicate })
    }

    /// Reads and judges a message, so far as that can be done without the store.
    async fn prepare(
        &self,
        envelope: Envelope,
        message: Vec<u8>,
        now: Timestamp,
    ) -> Result<Prepared, StoreError> {
        let started = Instant::now();
        // Whole seconds, as the database has them: what is decided now is decided the same when it is read again.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let _turn = self
            .readers
            .take(message.len())
            .await
            .map_err(|_| StoreError::Unavailable("shutting down".to_owned()))?;
        let (classifier, settings) = (Arc::clone(&self.classifier), Arc::clone(&self.settings));
        let message =
            tokio::task::spawn_blocking(move || prepare(&classifier, &settings, &envelope, &message, now))
                .await
                .map_err(|error| StoreError::Unavailable(format!("reading the message: {error}")))??;
        Ok(Prepared { message, started })
    }

    /// Records a message that was read.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub async fn record(&self, prepared: Prepared) -> Result<Recorded, StoreError> {
        let Prepared { message, started } = prepared;
        let summary = Summary::of(&message);
        let recorded = self.store.record(message).await?;
        summary.count(&recorded);
        recorded.alarms.iter().for_each(raise);
        summary.log(
            recorded.id,
            recorded.duplicate,
            &recorded.changes,
            self.settings.mask_addresses,
            started,
        );
        Ok(recorded)
    }
}

/// Tells the operator that suppressions wait.
fn raise(alarm: &Alarm) {
    let (hold, kind, name) = (alarm.hold, alarm.kind, in_log(&alarm.name));
    error!(
        hold,
        kind,
        name,
        why = alarm.why,
        held = alarm.held,
        undo = in_log(&alarm.undo),
        "suppressions are held back; look at `dsnd holds list`, then `dsnd holds release {hold}` or `discard {hold}` \
         and the command in `undo`, which takes back what came through before"
    );
}

/// Everything about a message that can be known without the store.
fn prepare(
    classifier: &Classifier,
    settings: &IngestSettings,
    envelope: &Envelope,
    message: &[u8],
    now: Timestamp,
) -> Result<NewMessage, StoreError> {
    let content = digest(message, now);
    let to = || envelope.recipients.iter().map(|recipient| &recipient.forward_path);
    let arrival = Arrival {
        paths: to().map(|path| settings.return_paths.accepted(path)).collect(),
        unsigned_counts: settings.unsigned_trust.covers(envelope.peer.address.ip(), to()),
        at: now,
    };
    // A reader that fails must not cost the message: it is kept raw, as not recognised (contract 3).
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut report = match envelope.peer.address {
            // Who delivered it put the reverse-path on top, or did not.
            PeerAddress::File => Report::parse(message),
            _ => Report::received(message, &envelope.reverse_path.to_string()),
        };
        add_nameless(&mut report, &arrival.paths);
        let (events, left_out) = events(classifier, settings, &arrival, &report, &content);
        (report, events, left_out)
    }));
    let (report, events, left_out) = match read {
        Ok(read) => read,
        Err(_) => {
            error!("the report reader panicked; the message is kept raw");
            metrics::PARSE_FAILURES.increment([]);
            (unreadable(), Vec::new(), 0)
        }
    };
    let raw = zstd::encode_all(message, COMPRESSION)
        .map_err(|error| StoreError::Unavailable(format!("compressing the message: {error}")))?;
    let mut defects: Vec<String> = report
        .defects
        .iter()
        .take(MAX_DEFECTS)
        .map(|defect| format!("{}: {}", defect.place, defect.what))
        .collect();
    if report.defects.len() > MAX_DEFECTS {
        defects.push(format!("and {} more", report.defects.len() - MAX_DEFECTS));
    }
    if left_out > 0 {
        defects
            .push(format!("{left_out} more recipients are in the raw message only (store.max_recipients)"));
    }
    if envelope.bare_newlines {
        defects.push("line ends other than CRLF".to_owned());
    }
    let original = report.original.clone().unwrap_or_default();
    // One's own address among many others proves nothing of those.
    let proven = |event: &NewEvent| event.applies || event.trust == Trust::Proven;
    let unproven = events.is_empty() || !events.iter().all(proven);
    Ok(NewMessage {
        unproven,
        digest: message_digest(&content, &arrival.paths, arrival.unsigned_counts),
        received_at: now,
        replayed: None,
        peer: envelope.peer.address.to_string(),
        helo: envelope.helo.clone(),
        protocol: Some(envelope.transmission_type()),
        tls: envelope.tls.as_ref().map(ToString::to_string),
        reverse_path: envelope.reverse_path.to_string(),
        recipients: envelope.recipients.iter().map(|recipient| recipient.forward_path.to_string()).collect(),
        original_recipients: envelope
            .recipients
            .iter()
            .map(|recipient| bounded(recipient.original_recipient.clone()))
            .collect(),
        envelope_id: bounded(envelope.envelope_id.clone()),
        kind: report.kind.as_str(),
        message_id: bounded(report.header.message_id.map(|id| format!("<{id}>"))),
        sender: bounded(report.header.from),
        subject: bounded(report.header.subject),
        reporting_mta: bounded(report.message.reporting_mta.map(|mta| mta.value)),
        original_envelope_id: bounded(report.message.original_envelope_id),
        arrival_date: report.message.arrival_date,
        original_message_id: bounded(original.message_id.map(|id| format!("<{id}>"))),
        original_from: bounded(original.from),
        original_to: original.to.into_iter().take(100).map(cut).collect(),
        original_subject: bounded(original.subject),
        defects,
        size: message.len() as u64,
        raw,
        events,
    })
}

/// What was concluded, as far as the list goes by it.
fn verdict_of(result: &Classification) -> Verdict {
    Verdict { class: result.class, decision: result.decision, basis: Basis::of(&result.rule) }
}

/// Where a message came to.
struct Arrival {
    /// What each of its addresses is.
    paths: Vec<ReturnPath>,
    /// Whether it counts though none of them is signed.
    unsigned_counts: bool,
    /// When.
    at: Timestamp,
}

/// One event a recipient group, up to the limit, and how many were left out.
fn events(
    classifier: &Classifier,
    settings: &IngestSettings,
    arrival: &Arrival,
    report: &Report,
    content: &[u8; 32],
) -> (Vec<NewEvent>, usize) {
    let left_out = report.recipients.len().saturating_sub(settings.max_recipients);
    let groups = || report.recipients.iter().take(settings.max_recipients);
    let (named, classifications): (Vec<_>, Vec<_>) = groups()
        .map(|fields| assess(classifier, report, fields))
        .map(|assessed| (assessed.recipient, assessed.classification))
        .unzip();
    let return_paths = &settings.return_paths;
    let mut paths = arrival.paths.clone();
    paths.extend(complained_path(report, &named, return_paths, arrival.at));
    let attributions = attribute(return_paths.keys(), &paths, report, named);
    let said = groups().zip(classifications).zip(attributions).enumerate();
    let events = said.map(|(index, ((fields, classification), attribution))| {
        let Attribution { trust, applies, stream, recipient } = attribution;
        let recipient = recipient.unwrap_or_default();
        let believed = applies || (trust == Trust::Unsigned && arrival.unsigned_counts);
        NewEvent {
            key: event_key(content, index),
            trust,
            quarantined: !believed && may_change(verdict_of(&classification)),
            applies: believed && Mailbox::parse(&recipient).is_ok(),
            stream,
            recipient_key: crate::address::comparison_form(&recipient),
            recipient: cut(recipient),
            original_recipient: bounded(
                fields.original_recipient.as_ref().map(|address| address.value.clone()),
            ),
            final_recipient: bounded(fields.final_recipient.as_ref().map(|address| address.value.clone())),
            action: fields.action.map(crate::report::Action::as_str),
            status: fields.status.map(|status| status.to_string()),
            diagnostic_type: bounded(fields.diagnostic_code.as_ref().and_then(|code| code.kind.clone())),
            diagnostic_code: bounded(fields.diagnostic_code.as_ref().map(|code| code.text.clone())),
            remote_mta: bounded(fields.remote_mta.as_ref().map(|mta| mta.value.clone())),
            last_attempt_date: fields.last_attempt_date,
            classification,
        }
    });
    (events.collect(), left_out)
}

fn unreadable() -> Report {
    Report {
        kind: ReportKind::Unrecognized,
        header: crate::report::ReportHeader::default(),
        message: crate::report::MessageFields::default(),
        recipients: Vec::new(),
        original: None,
        feedback: None,
        automatic: None,
        text: String::new(),
        guessed: false,
        defects: vec![crate::report::Defect {
            place: "message".to_owned(),
            what: "reading it failed".to_owned(),
        }],
    }
}

fn bounded(text: Option<String>) -> Option<String> {
    text.map(cut)
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_COLUMN));
    text
}

/// What the log says about a message, kept while the store has the message itself.
struct Summary {
    /// What the reply calls it.
    handle: Handle,
    kind: &'static str,
    subject: Option<String>,
    events: Vec<(String, NewEventBrief)>,
    /// Where each thing was that could not be read.
    defects: Vec<&'static str>,
}

struct NewEventBrief {
    status: Option<String>,
    class: &'static str,
    decision: &'static str,
    rule: String,
    trust: &'static str,
}

impl Summary {
    fn of(message: &NewMessage) -> Self {
        let brief = |event: &NewEvent| NewEventBrief {
            status: event.classification.effective_status.map(|status| status.to_string()),
            class: event.classification.class.as_str(),
            decision: event.classification.decision.as_str(),
            rule: event.classification.rule.clone(),
            trust: event.trust.as_str(),
        };
        Self {
            handle: Handle::of(&message.digest),
            kind: message.kind,
            subject: message.subject.clone(),
            events: message.events.iter().map(|event| (event.recipient.clone(), brief(event))).collect(),
            defects: message.defects.iter().map(|defect| count::stage(defect)).collect(),
        }
    }

    /// One line a decision; one for a message that led to none.
    fn log(&self, id: i64, duplicate: bool, changes: &[EventChange], mask: bool, started: Instant) {
        let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let handle = self.handle;
        if duplicate {
            info!(id, %handle, kind = self.kind, millis, "the same message again; nothing changed");
            return;
        }
        if self.events.is_empty() {
            // A subject may name the recipient: where addresses are masked it is left out.
            let subject = self.subject.as_deref().filter(|_| !mask);
            info!(
                id,
                %handle,
                kind = self.kind,
                subject = in_log(subject.unwrap_or("")),
                millis,
                "kept; no recipient in it"
            );
        }
        for ((recipient, event), change) in self.events.iter().zip(changes) {
            info!(
                id,
                %handle,
                recipient = %in_log(&if mask { masked(recipient) } else { recipient.clone() }),
                status = event.status.as_deref().unwrap_or("-"),
                class = event.class,
                decision = event.decision,
                rule = event.rule,
                trust = event.trust,
                change = change.as_str(),
                millis,
                "decided"
            );
        }
    }
}

/// An address with all but the first character of its local part hidden.
fn masked(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{}***@{domain}", local.chars().next().unwrap_or('*')),
        None => "***".to_owned(),
    }
}

/// An address for a log line: what a quoted local part may hold to steer a terminal is written as escapes.
pub(crate) fn in_log(address: &str) -> String {
    let escaped = |c: char| if steers(c) { c.escape_default().to_string() } else { c.to_string() };
    address.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests;
