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

/// Tells text bounces, automatic replies and the rest apart, where no part told. `claimed` says that the
/// message calls itself a `multipart/report` of delivery status.
pub(super) fn without_parts(header: &Header<'_>, report: &ReportHeader, claimed: bool) -> ReportKind {
    if claimed || !report.failed_recipients.is_empty() {
        return ReportKind::TextBounce;
    }
    let subject = report.subject.as_deref().unwrap_or_default().to_lowercase();
    let bounce_subject = BOUNCE_SUBJECTS.iter().any(|words| subject.contains(words));
    let reply_subject = automatic::is_reply_subject(&subject);
    // "From: <>" is how some write the null reverse-path once more
    let nobody = header.first("From").is_some_and(|raw| raw.trim_ascii() == b"<>");
    let from = report.from.as_deref().unwrap_or_default().to_lowercase();
    let local_part = from.split('@').next().unwrap_or_default();
    let name = header.first("From").map(mime::unstructured).unwrap_or_default().to_lowercase();
    let daemon =
        DAEMONS.contains(&local_part) || name.contains("mailer-daemon") || name.contains("mail delivery s");
    let postmaster = local_part.starts_with("postmaster");
    // RFC 5321 §4.5.5: the reverse-path of a bounce is empty
    let null_path = header.first("Return-Path").is_some_and(|raw| raw.trim_ascii() == b"<>");
    let automatic = automatic::by_header(header, report).is_some();
    if nobody || bounce_subject || daemon || (postmaster && (null_path || automatic) && !reply_subject) {
        // An answer to a bounce, or a talk about one, is none.
        // Some put the notice behind the subject of what they return.
        let notice = subject.contains(" : non remis");
        let talk = subject.starts_with("re:") && !daemon && !postmaster && !null_path && !notice;
        if !talk && (daemon || !reply_subject) {
            return ReportKind::TextBounce;
        }
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
