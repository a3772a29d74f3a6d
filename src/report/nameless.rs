//! A bounce that names nobody, for those who know from elsewhere whose it is.

use std::sync::LazyLock;

use regex::Regex;

use super::legacy::{FAILURE, WARNING, pattern};
use super::{Action, RecipientFields, Report, ReportKind};

/// Words of a report that all went well.
static SUCCESS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"success|(?:has|have|was|were) been (?:delivered|relayed|expanded)|(?:was|were|is) (?:delivered|relayed|expanded)|confirmation of delivery",
    )
});

impl Report {
    /// The recipient group of a bounce without any, with no address in it: of a DSN whose fields cannot be read, or of
    /// words that name nobody. What is known besides stands in [`Report::text`].
    ///
    /// `None` for what has groups, and for what is no bounce: other kinds, words that no mail system wrote, words of
    /// success alone. A delay is one.
    #[must_use]
    pub fn nameless_group(&self) -> Option<RecipientFields> {
        let is_bounce = match self.kind {
            ReportKind::Dsn => true,
            ReportKind::TextBounce => self.header.by_mail_system,
            ReportKind::Feedback | ReportKind::AutoReply | ReportKind::Mdn | ReportKind::Unrecognized => {
                false
            }
        };
        if !is_bounce || !self.recipients.is_empty() {
            return None;
        }
        let subject = self.header.subject.as_deref().unwrap_or_default().to_lowercase();
        let text = self.text.to_lowercase();
        let says = |words: &Regex| words.is_match(&subject) || words.is_match(&text);
        if says(&SUCCESS) && !says(&FAILURE) {
            return None;
        }
        let waits = WARNING.is_match(&text) || subject.contains("delay") || subject.starts_with("warning");
        let action = waits.then_some(Action::Delayed);
        Some(RecipientFields { action, ..RecipientFields::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The action of the group that a letter gets, `Some(None)` for a group without one.
    fn group(header: &str, text: &str) -> Option<Option<Action>> {
        let report = Report::parse(format!("{header}\n\n{text}\n").as_bytes());
        assert!(report.recipients.is_empty(), "{report:?}");
        report.nameless_group().map(|group| group.action)
    }

    #[test]
    fn what_mail_systems_say_of_nobody_is_failed_or_delayed() {
        let daemon = "From: MAILER-DAEMON@mx.example\nSubject:";
        for (header, text, found) in [
            (format!("{daemon} failure notice"), "No such user.", Some(None)),
            (format!("{daemon} failure notice"), "", Some(None)),
            (format!("{daemon} Delayed mail"), "Still trying.", Some(Some(Action::Delayed))),
            (format!("{daemon} notice"), "Your message has been delayed.", Some(Some(Action::Delayed))),
            (format!("{daemon} Delivery report"), "Your message was delivered.", None),
            (format!("{daemon} Delivery report"), "It was not delivered.", Some(None)),
            ("From: bob@x.example\nSubject: Undelivered mail".to_owned(), "User unknown.", None),
            (
                "From: bob@x.example\nReturn-Path: <>\nSubject: Undelivered mail".to_owned(),
                "Gone.",
                Some(None),
            ),
            ("From: daemon@x.example\nReturn-Path: <>\nSubject: Mail".to_owned(), "It failed.", Some(None)),
            ("From: daemon@x.example\nReturn-Path: <>\nSubject: Mail".to_owned(), "Welcome.", None),
            ("From: bob@x.example\nReturn-Path: <>\nSubject: Mail".to_owned(), "It failed.", None),
        ] {
            assert_eq!(group(&header, text), found, "{header}\n{text}");
        }
    }
}
