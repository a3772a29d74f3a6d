//! Which recipients are taken.

use jiff::Timestamp;
use tracing::info;

use crate::address::ForwardPath;
use crate::metrics;
use crate::returnpath::{Refusal, ReturnPaths};
use crate::smtp::RecipientVerdict;
use crate::smtp::limits::Notices;

/// Recipients that were refused, each reason for itself: anybody can have a thousand refused in a second.
static REFUSED: Notices = Notices::new();

/// Whether a forward-path is taken, now.
#[must_use]
pub fn verdict(return_paths: &ReturnPaths, recipient: &ForwardPath) -> RecipientVerdict {
    let Err(refusal) = return_paths.judge(recipient, Timestamp::now()) else {
        return RecipientVerdict::Accept;
    };
    if let Some(times) = REFUSED.happened(refusal.as_str()) {
        // Never the address itself: a token in a log lets its reader send reports about its recipient.
        info!(reason = refusal.as_str(), %refusal, times, "recipients refused");
    }
    match refusal {
        Refusal::NoSuchMailbox => RecipientVerdict::NoSuchMailbox,
        Refusal::NotOurs => RecipientVerdict::NotOurs,
        Refusal::Token(_) | Refusal::Batv(_) | Refusal::Unsigned => {
            metrics::RETURN_PATHS_REFUSED.increment([refusal.as_str()]);
            RecipientVerdict::Refuse(refusal.text())
        }
    }
}
