//! Every metric: its name, type and unit, what it tells, and the values that its labels may have.
//!
//! What may be a label's value is listed here, and nothing else is recorded: no address, no domain and no text of
//! others can get into a metric. Names follow Prometheus' conventions (`_total`, `_seconds`, `_bytes`). The README's
//! table is [`table`].

mod family;

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use ::metrics::Unit::{Bytes, Count, Seconds};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub use family::{Counter, Described, Gauge, Held, Histogram, Label, Metric};

/// Why connections are not served.
const REFUSED: Label = Label::new(
    "reason",
    &["too_many", "busy", "client_connections", "client_rate", "not_a_proxy", "proxy_header"],
);
/// How connections end.
const ENDED: Label = Label::new(
    "how",
    &["closed", "client_left", "idle", "no_message", "too_slow", "gave_way", "shut_down", "no_tls", "failed"],
);
/// Verbs of SMTP and LMTP.
const VERB: Label = Label::new(
    "verb",
    &[
        "EHLO",
        "HELO",
        "LHLO",
        "MAIL",
        "RCPT",
        "DATA",
        "BDAT",
        "RSET",
        "NOOP",
        "VRFY",
        "EXPN",
        "HELP",
        "STARTTLS",
        "QUIT",
        family::OTHER,
    ],
);
/// Why replies are no `2yz`.
const REJECTED: Label = Label::new(
    "reason",
    &[
        "no_such_mailbox",
        "relaying_denied",
        "return_path",
        "too_many_recipients",
        "message_rate",
        "octet_rate",
        "recipient_rate",
        "unproven_quota",
        "disk_reserve",
        "session_limit",
        "not_smtp",
        "too_big",
        "no_memory",
        "bare_newlines",
        "store_unavailable",
        "tls_required",
        "not_recognized",
        "not_implemented",
        "syntax",
        "out_of_sequence",
        "chunk_lost",
        "timeout",
        "shutting_down",
        family::OTHER,
    ],
);
/// Why return paths are refused.
const RETURN_PATH: Label = Label::new(
    "reason",
    &[
        "not_a_token",
        "unknown_key",
        "bad_mac",
        "expired",
        "from_the_future",
        "other_address",
        "batv_unknown_key",
        "batv_bad_mac",
        "batv_expired",
        "unsigned",
    ],
);
/// How TLS handshakes end.
const HANDSHAKE: Label = Label::new("outcome", &["TLSv1.2", "TLSv1.3", "failed"]);
/// What became of messages.
const MESSAGE: Label = Label::new("outcome", &["committed", "duplicate", "try_later"]);
/// What messages are.
const KIND: Label =
    Label::new("kind", &["dsn", "feedback", "text_bounce", "auto_reply", "mdn", "unrecognized"]);
/// How far a report is believed: the most that it is for one of its recipients.
const TRUST: Label = Label::new("trust", &["proven", "token_only", "unsigned", "none"]);
/// What was concluded.
const CLASS: Label = Label::new(
    "class",
    &[
        "recipient_unknown",
        "recipient_inactive",
        "recipient_moved",
        "domain_invalid",
        "host_unreachable",
        "bad_connection",
        "routing",
        "mailbox_full",
        "message_too_large",
        "content_rejected",
        "virus",
        "spam_content",
        "sender_blocked",
        "sender_auth",
        "recipient_restricted",
        "policy",
        "rate_limited",
        "greylisted",
        "relay_denied",
        "remote_system",
        "expired",
        "protocol_error",
        "undetermined",
        "complaint",
        "auto_reply",
        "challenge",
        "delayed",
        "delivered",
    ],
);
/// What conclusions do.
const DECISION: Label =
    Label::new("decision", &["suppress", "count", "host", "sender", "complaint", "ignore"]);
/// What events did to the list.
const CHANGE: Label = Label::new(
    "change",
    &["suppressed", "counted", "seen", "cleared", "quarantined", "held", "discarded", "none", family::OTHER],
);
/// Where something could not be read.
const STAGE: Label = Label::new("stage", &["mime", "fields", "text", "report", "envelope"]);
/// Why addresses are on the list.
const REASON: Label = Label::new("reason", &["hard", "soft", "complaint", "manual", family::OTHER]);
/// What changes of the list come from.
const ORIGIN: Label = Label::new(
    "origin",
    &[
        "bounce",
        "replay",
        "cli",
        "api",
        "import",
        "expiry",
        "undo",
        "quarantine",
        "hold",
        "reclassify",
        "erase",
        "recheck",
        family::OTHER,
    ],
);
/// What changes do.
const ACTION: Label = Label::new("action", &["added", "changed", "removed", "expired", family::OTHER]);
/// How groups of writes end.
const COMMIT: Label = Label::new("outcome", &["committed", "failed"]);
/// Quotas for mail that nothing proves.
const QUOTA: Label = Label::new("quota", &["network", "domain", "all"]);
/// Files of the database.
const FILE: Label = Label::new("file", &["database", "wal"]);
/// What became of a try to deliver a webhook.
const DELIVERY: Label = Label::new("outcome", &["delivered", "retried", "dead"]);
/// Routes of the HTTP API, as the router has them.
const ROUTE: Label = Label::new(
    "route",
    &[
        "/v1/suppressions",
        "/v1/suppressions/{address}",
        "/v1/suppressions/{address}/history",
        "/v1/suppressions/check",
        "/v1/suppressions/import",
        "/v1/suppressions/export",
        "/v1/bounces",
        "/v1/bounces/{id}",
        "/v1/bounces/{id}/raw",
        "/v1/quarantine",
        "/v1/quarantine/{event}",
        "/v1/quarantine/approve",
        "/v1/quarantine/discard",
        "/v1/holds",
        "/v1/holds/{id}",
        "/v1/holds/{id}/release",
        "/v1/holds/{id}/discard",
        "/v1/explain",
        "/v1/return-paths",
        "/v1/status-codes/{code}",
        "/v1/stats",
        "/v1/events",
        "/v1/webhooks",
        "/v1/webhooks/{name}",
        "/v1/webhooks/{name}/test",
        "/v1/webhooks/{name}/replay",
        "/v1/webhooks/{name}/dead-letters",
        "/openapi.json",
        "/healthz",
        "/readyz",
        "/metrics",
        family::OTHER,
    ],
);
/// Classes of HTTP's status codes.
const STATUS: Label = Label::new("status", &["1xx", "2xx", "3xx", "4xx", "5xx"]);
/// What MTAs that ask are answered.
const ANSWER: Label =
    Label::new("answer", &["suppressed", "not_found", "no_address", "no_map", "unavailable", "malformed"]);
/// The program's version.
const VERSION: Label = Label::new("version", &[env!("CARGO_PKG_VERSION")]);

/// Times from a tenth of a millisecond to ten seconds.
const SHORT: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Jobs of one commit.
const GROUP: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Declares the metrics, and the list of all of them in the same order.
macro_rules! metrics {
    ($($constant:ident: $type:ty = $name:literal, $unit:ident, [$($label:ident),*]$(, $buckets:ident)?; $help:literal)+) => {
        $(
            #[doc = $help]
            pub static $constant: $type =
                Metric::new($name, $unit, [$($label),*], metrics!(@buckets $($buckets)?), $help);
        )+

        /// All of them, in the order of the README's table.
        pub static ALL: &[&dyn Described] = &[$(&$constant),+];
    };
    (@buckets) => { &[] };
    (@buckets $buckets:ident) => { $buckets };
}

metrics! {
    BUILD_INFO: Gauge<1> = "dsnd_build_info", Count, [VERSION];
        "Always 1; its label is the version of the program"
    START_TIME: Gauge<0> = "dsnd_start_time_seconds", Seconds, [];
        "When the program started, counted from 1970-01-01"

    SMTP_CONNECTIONS: Gauge<0> = "dsnd_smtp_connections", Count, [];
        "SMTP and LMTP connections that are being served"
    SMTP_ACCEPTED: Counter<0> = "dsnd_smtp_connections_accepted_total", Count, [];
        "Connections that were served"
    SMTP_REFUSED: Counter<1> = "dsnd_smtp_connections_refused_total", Count, [REFUSED];
        "Connections that were closed or told to come back later before a session began"
    SMTP_ENDED: Counter<1> = "dsnd_smtp_connections_ended_total", Count, [ENDED];
        "Connections that were served and are over"
    SMTP_COMMANDS: Counter<1> = "dsnd_smtp_commands_total", Count, [VERB];
        "Commands that clients sent"
    SMTP_REJECTIONS: Counter<1> = "dsnd_smtp_rejections_total", Count, [REJECTED];
        "Replies within sessions that were 4yz or 5yz"
    RETURN_PATHS_REFUSED: Counter<1> = "dsnd_return_paths_refused_total", Count, [RETURN_PATH];
        "Return paths that were refused at RCPT: forged, damaged, too old or unsigned"
    TLS_HANDSHAKES: Counter<1> = "dsnd_tls_handshakes_total", Count, [HANDSHAKE];
        "TLS handshakes after STARTTLS"

    MESSAGES: Counter<1> = "dsnd_messages_total", Count, [MESSAGE];
        "Messages that were received to their end"
    MESSAGE_BYTES: Counter<0> = "dsnd_message_bytes_total", Bytes, [];
        "Octets of these messages"
    MESSAGE_TIME: Histogram<0> = "dsnd_message_seconds", Seconds, [], SHORT;
        "From the last octet of a message until it was committed, or was not"
    REPORTS: Counter<2> = "dsnd_reports_total", Count, [KIND, TRUST];
        "Messages that were recorded, by what they are and by how far they are believed at most"
    RECIPIENTS: Counter<2> = "dsnd_recipients_total", Count, [CLASS, DECISION];
        "Recipients in recorded reports, by what was concluded"
    EVENTS: Counter<1> = "dsnd_events_total", Count, [CHANGE];
        "Recipients in recorded reports, by what they did to the list"
    PARSE_DEFECTS: Counter<1> = "dsnd_parse_defects_total", Count, [STAGE];
        "Things in messages that could not be read, by where"
    PARSE_FAILURES: Counter<0> = "dsnd_parse_failures_total", Count, [];
        "Messages at which the reader failed; they are kept raw"

    SUPPRESSIONS: Gauge<1> = "dsnd_suppressions", Count, [REASON];
        "Entries of the list that suppress now; counted once a minute"
    SUPPRESSIONS_ADDED: Counter<1> = "dsnd_suppressions_added_total", Count, [REASON];
        "Addresses that came onto the list"
    LIST_CHANGES: Counter<2> = "dsnd_list_changes_total", Count, [ORIGIN, ACTION];
        "Changes of the list, whichever program made them"
    QUARANTINED: Gauge<0> = "dsnd_quarantine_events", Count, [];
        "Events that wait in the quarantine"
    HOLDS: Gauge<0> = "dsnd_holds_open", Count, [];
        "Holds that wait for a person to settle them"
    HELD_EVENTS: Gauge<0> = "dsnd_holds_events", Count, [];
        "Events that wait in open holds"

    STORE_QUEUE: Gauge<0> = "dsnd_store_queue_jobs", Count, [];
        "Writes that were asked for and are not committed yet"
    STORE_OLDEST: Gauge<0> = "dsnd_store_oldest_pending_seconds", Seconds, [];
        "How long the oldest of these writes has waited"
    STORE_COMMITS: Counter<1> = "dsnd_store_commits_total", Count, [COMMIT];
        "Groups of writes, by how they ended"
    STORE_COMMIT_TIME: Histogram<0> = "dsnd_store_commit_seconds", Seconds, [], SHORT;
        "From when the first write of a group was asked for until the group was committed and synced"
    STORE_GROUP: Histogram<0> = "dsnd_store_commit_jobs", Count, [], GROUP;
        "Writes that were committed together"
    STORE_ROOM: Gauge<0> = "dsnd_store_room_bytes", Bytes, [];
        "What the disk and unused pages of the database have room for"
    UNPROVEN_RAW: Gauge<0> = "dsnd_store_unproven_raw_bytes", Bytes, [];
        "Raw messages that are kept and that nothing proves"
    UNPROVEN_DROPPED: Counter<0> = "dsnd_store_unproven_raw_dropped_total", Count, [];
        "Raw messages that nothing proves and that made room before store.raw_days were over"
    UNPROVEN_REFUSED: Counter<1> = "dsnd_unproven_refused_total", Count, [QUOTA];
        "Recipients and messages that were put off, since nothing proves them and a quota of the day was used up"
    STORE_BYTES: Gauge<1> = "dsnd_store_bytes", Bytes, [FILE];
        "Size of the database file and of its write-ahead log"

    WEBHOOK_DELIVERIES: Counter<1> = "dsnd_webhook_deliveries_total", Count, [DELIVERY];
        "Tries to deliver an event to an endpoint"
    WEBHOOK_BACKLOG: Gauge<0> = "dsnd_webhook_backlog_events", Count, [];
        "Deliveries to endpoints that are still to be made"
    WEBHOOK_TIME: Histogram<0> = "dsnd_webhook_seconds", Seconds, [], SHORT;
        "How long an endpoint took to answer"
    HTTP_REQUESTS: Counter<2> = "dsnd_http_requests_total", Count, [ROUTE, STATUS];
        "HTTP requests, by the route's template and the class of the answer"
    HTTP_TIME: Histogram<0> = "dsnd_http_request_seconds", Seconds, [], SHORT;
        "From an HTTP request until the head of its answer"
    LOOKUP_CONNECTIONS: Gauge<0> = "dsnd_lookup_connections", Count, [];
        "Connections of MTAs that ask about recipients"
    LOOKUPS: Counter<1> = "dsnd_lookups_total", Count, [ANSWER];
        "What MTAs that asked were answered"
    LOOKUP_TIME: Histogram<0> = "dsnd_lookup_seconds", Seconds, [], SHORT;
        "How long an answer took"
}

/// The recorder of this process, once there is one.
static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Why nothing can be counted.
#[derive(Debug, thiserror::Error)]
#[error("cannot count anything: {0}")]
pub struct InstallError(#[from] metrics_exporter_prometheus::BuildError);

/// Begins to record, with everything at 0; what was recorded before is lost. A second call does nothing.
///
/// # Errors
/// [`InstallError`], when a histogram has no buckets.
pub fn install() -> Result<(), InstallError> {
    let mut builder = PrometheusBuilder::new();
    for metric in ALL.iter().filter(|metric| !metric.buckets().is_empty()) {
        let name = Matcher::Full(metric.name().to_owned());
        builder = builder.set_buckets_for_metric(name, metric.buckets())?;
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if ::metrics::set_global_recorder(recorder).is_ok() {
        ::metrics::with_recorder(|recorder| ALL.iter().for_each(|metric| metric.register(recorder)));
        let _ = RECORDER.set(handle);
        BUILD_INFO.set([env!("CARGO_PKG_VERSION")], 1);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        START_TIME.set_to([], since.as_secs_f64());
    }
    Ok(())
}

/// All metrics in Prometheus' text format; empty where nothing is recorded.
#[must_use]
pub fn render() -> String {
    RECORDER.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Folds what histograms have gathered into their buckets; to be called every few seconds, so that they take no more
/// room where nobody asks for them.
pub fn upkeep() {
    if let Some(recorder) = RECORDER.get() {
        recorder.run_upkeep();
    }
}

/// A webhook was tried: `delivered`, `retried` (it is tried again later) or `dead`; and how long the endpoint took.
pub fn webhook_delivered(outcome: &'static str, took: Duration) {
    WEBHOOK_DELIVERIES.increment([outcome]);
    WEBHOOK_TIME.took([], took);
}

/// An HTTP request was answered: the route's template (`/v1/bounces/{id}`; `other` where none fits), and the status
/// code.
pub fn http_request(route: &str, status: u16, took: Duration) {
    let class = match status {
        0..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    HTTP_REQUESTS.increment([route, class]);
    HTTP_TIME.took([], took);
}

/// The README's table.
#[must_use]
pub fn table() -> String {
    let mut table = "| metric | type | labels | what it tells |\n| --- | --- | --- | --- |\n".to_owned();
    for metric in ALL {
        let labels: Vec<String> = metric.labels().iter().map(|label| format!("`{}`", label.name)).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        let (name, kind, help) = (metric.name(), metric.kind(), metric.help());
        let _ = writeln!(table, "| `{name}` | {kind} | {labels} | {help} |");
    }
    table
}

#[cfg(test)]
mod tests;
