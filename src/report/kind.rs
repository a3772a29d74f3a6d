//! What sort of message came back, by its types and its header alone.

use super::header::Header;
use super::{ReportHeader, ReportKind, automatic, mime};

/// Local parts that only mail systems write from.
const DAEMONS: [&str; 5] = ["mailer-daemon", "mailerdaemon", "mail-daemon", "mailer_daemon", "maildaemon"];

/// How subjects of bounces read, in lower case. Plain substrings: what they decide is only the kind.
const BOUNCE_SUBJECTS: &[&str] = &[
    "undeliver",
    "delivery failure",
    "delivery failed",
    "delivery has failed",
    "delivery report",
    "delivery error",
    "delivery problem",
    "delivery status notification",
    "delivery notification",
    "delivery unsuccessful",
    "delivery incomplete",
    "delayed mail",
    "delivery delayed",
    "failure notice",
    "failure delivery",
    "mail failure",
    "mail failed",
    "message not delivered",
    "mail not delivered",
    "message could not be delivered",
    "mail could not be delivered",
    "there was an error sending your mail",
    "message was not delivered",
    "returned mail",
    "returned to sender",
    "returning message to sender",
    "returned message",
    "mail system error",
    "nondeliverable",
    "non-deliver",
    "non remis",
    "unzustellbar",
    "zustellfehler",
    "échec de la remise",
    "no se puede entregar",
    "no se ha podido entregar",
    "impossibile recapitare",
    "non recapitabile",
    "não é possível entregar",
    "não entregue",
    "onbestelbaar",
    "niedostarcz",
    "недоставлен",
    "не доставлен",
    "配信不能",
    "配信できません",
    "无法送达",
    "未送达",
    "無法傳遞",
    "退信",
];

/// What stands before the first colon of an answer's subject, in lower case.
const ANSWERS: [&str; 9] = ["re", "aw", "sv", "antw", "odp", "r", "ynt", "回复", "答复"];

/// The same where mail is passed on.
const FORWARDS: [&str; 7] = ["fw", "fwd", "wg", "tr", "rv", "vs", "转发"];

/// That somebody, or a machine in somebody's name, speaks about mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Talk {
    /// It answers: `Re:`, In-Reply-To (RFC 5322 §3.6.4), an automatic reply (RFC 3834 §5).
    Answer,
    /// It passes mail on.
    Forward,
}

impl Talk {
    /// Whether the header is one of an answer or a forward. Mail systems' own addresses write neither, and may well put
    /// `Re:` before the subject of what they return.
    pub(super) fn of(header: &Header<'_>, report: &ReportHeader) -> Option<Self> {
        let from = report.from.as_deref().unwrap_or_default().to_lowercase();
        if is_daemon(&from) || has_name_of_daemon(header) || !report.failed_recipients.is_empty() {
            return None;
        }
        let subject = report.subject.as_deref().unwrap_or_default().to_lowercase();
        let label = subject.split([':', '：']).next().filter(|label| label.len() < subject.len());
        // "Re[2]:", "RE :"
        let label = label.map(|label| label.trim_end_matches(|c: char| !c.is_alphabetic()).trim_start());
        let answers = || header.has_any(&["In-Reply-To"]) || automatic::by_header(header, report).is_some();
        if subject.contains(NOTICE_BEHIND) {
            None
        } else if label.is_some_and(|label| ANSWERS.contains(&label)) || automatic::is_reply_subject(&subject)
        {
            Some(Self::Answer)
        } else if label.is_some_and(|label| FORWARDS.contains(&label)) {
            Some(Self::Forward)
        } else {
            (!is_bounce_subject(&subject) && answers()).then_some(Self::Answer)
        }
    }
}

/// Whether a bounce in the message is quoted, and not its own: an answer, or a forward with the null reverse-path, and so
/// by a machine. A person who forwards a bounce wants it to be read.
pub(super) fn is_quoting(header: &Header<'_>, report: &ReportHeader) -> bool {
    Talk::of(header, report).is_some_and(|talk| talk == Talk::Answer || has_null_path(header))
}

/// Some put their notice behind the subject of what they return.
const NOTICE_BEHIND: &str = " : non remis";

fn is_bounce_subject(subject: &str) -> bool {
    BOUNCE_SUBJECTS.iter().any(|words| subject.contains(words))
}

/// Whether the name beside the From address is one that only mail systems have.
fn has_name_of_daemon(header: &Header<'_>) -> bool {
    let name = header.first("From").map(mime::unstructured).unwrap_or_default().to_lowercase();
    name.contains("mailer-daemon") || name.contains("mail delivery s")
}

/// Whether the message came with the null reverse-path (RFC 5321 §4.5.5).
pub(super) fn has_null_path(header: &Header<'_>) -> bool {
    header.first("Return-Path").is_some_and(|raw| raw.trim_ascii() == b"<>")
}

/// Tells text bounces, automatic replies and the rest apart, where no part told. `claimed` says that the
/// message calls itself a `multipart/report` of delivery status.
pub(super) fn without_parts(header: &Header<'_>, report: &ReportHeader, claimed: bool) -> ReportKind {
    if claimed || !report.failed_recipients.is_empty() {
        return ReportKind::TextBounce;
    }
    let subject = report.subject.as_deref().unwrap_or_default().to_lowercase();
    let reply_subject = automatic::is_reply_subject(&subject);
    // "From: <>" is how some write the null reverse-path once more
    let nobody = header.first("From").is_some_and(|raw| raw.trim_ascii() == b"<>");
    let from = report.from.as_deref().unwrap_or_default().to_lowercase();
    let local_part = from.split('@').next().unwrap_or_default();
    let daemon = DAEMONS.contains(&local_part) || has_name_of_daemon(header);
    let postmaster = local_part.starts_with("postmaster");
    let automatic = automatic::by_header(header, report).is_some();
    let by_postmaster = postmaster && (has_null_path(header) || automatic);
    let looks_so = nobody || is_bounce_subject(&subject) || daemon || by_postmaster;
    if looks_so && !is_quoting(header, report) && (daemon || !reply_subject) {
        return ReportKind::TextBounce;
    }
    if automatic || reply_subject {
        return ReportKind::AutoReply;
    }
    ReportKind::Unrecognized
}

/// Whether an address, in lower case, is one that only mail systems write from; none at all is one.
pub(super) fn is_daemon(from: &str) -> bool {
    let local = from.split('@').next().unwrap_or_default().replace(['-', '_', '.'], "");
    from.is_empty()
        || ["mailerdaemon", "maildaemon", "postmaster", "daemon", "maildelivery"]
            .iter()
            .any(|role| local.contains(role))
}

/// Whether the mail system itself sent it: a daemon's address, the null reverse-path (RFC 5321 §4.5.5), or the
/// recipients in a field.
pub(super) fn is_by_mail_system(header: &Header<'_>, report: &ReportHeader) -> bool {
    let null = |name| header.first(name).is_some_and(|raw| raw.trim_ascii().ends_with(b"<>"));
    is_daemon(&report.from.as_deref().unwrap_or_default().to_lowercase())
        || null("Return-Path")
        || null("From")
        || !report.failed_recipients.is_empty()
}
