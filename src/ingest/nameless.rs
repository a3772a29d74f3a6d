//! Reports that name nobody: a token says all the same whose they are.

use crate::report::{RecipientFields, Report, ReportKind};
use crate::returnpath::ReturnPath;

/// Gives a report without any recipient group one, where a token says that a message of ours came back: a DSN whose
/// fields cannot be read, or a bounce in words that name nobody. What became of the message is then read from the
/// text, and whom it was for from the token ([`super::attribute()`]).
///
/// Words are heard from mail systems only, so that a letter to such an address does nothing whatever it speaks of.
pub fn add_nameless(report: &mut Report, paths: &[ReturnPath]) {
    let is_bounce = match report.kind {
        ReportKind::Dsn => true,
        ReportKind::TextBounce => report.header.by_mail_system,
        ReportKind::Feedback | ReportKind::AutoReply | ReportKind::Mdn | ReportKind::Unrecognized => false,
    };
    let signed = || paths.iter().any(|path| matches!(path, ReturnPath::Token { .. }));
    if is_bounce && report.recipients.is_empty() && signed() {
        report.recipients.push(RecipientFields::default());
    }
}
