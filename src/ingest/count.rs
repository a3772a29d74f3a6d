//! What is counted about recorded messages.

use super::Summary;
use crate::metrics;
use crate::store::Recorded;

/// How far reports are believed, the most first.
const TRUST: [&str; 4] = ["proven", "token_only", "unsigned", "none"];

impl Summary {
    /// Counts a message that is committed, unless it was there before.
    pub(super) fn count(&self, recorded: &Recorded) {
        if recorded.duplicate {
            return;
        }
        let believed = |trust: &&str| self.events.iter().any(|(_, event)| event.trust == *trust);
        let trust = TRUST.into_iter().find(believed).unwrap_or("none");
        metrics::REPORTS.increment([self.kind, trust]);
        for (_, event) in &self.events {
            metrics::RECIPIENTS.increment([event.class, event.decision]);
        }
        for change in &recorded.changes {
            metrics::EVENTS.increment([change.as_str()]);
        }
        for stage in &self.defects {
            metrics::PARSE_DEFECTS.increment([stage]);
        }
    }
}

/// Where something could not be read, by what is stored about it: a place, a colon and what was wrong there.
pub(super) fn stage(defect: &str) -> &'static str {
    match defect.split_once(": ") {
        None if defect.starts_with("line ends") => "envelope",
        None | Some(("report" | "message", _)) => "report",
        Some(("mime", _)) => "mime",
        Some(("recipient", _)) => "text",
        Some(_) => "fields",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_has_a_stage() {
        for (defect, expected) in [
            ("mime: the closing boundary is missing", "mime"),
            ("Status: could not be read: \"x: y\"", "fields"),
            ("recipient: guessed", "text"),
            ("report: 3 more defects of this message are not listed", "report"),
            ("message: reading it failed", "report"),
            ("and 12 more", "report"),
            ("7 more recipients are in the raw message only (store.max_recipients)", "report"),
            ("line ends other than CRLF", "envelope"),
        ] {
            assert_eq!(stage(defect), expected, "{defect}");
        }
    }
}
