//! Reports that name nobody: a token says all the same whose they are.

use crate::report::Report;
use crate::returnpath::ReturnPath;

/// Gives a bounce without any recipient group one ([`Report::nameless_group`]), where a token says that a message of
/// ours came back. What became of that message is then read from the text, and whom it was for from the token
/// ([`super::attribute()`]).
pub fn add_nameless(report: &mut Report, paths: &[ReturnPath]) {
    if paths.iter().any(|path| matches!(path, ReturnPath::Token { .. })) {
        report.recipients.extend(report.nameless_group());
    }
}
