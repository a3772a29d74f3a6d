//! A text bounce as the families see it, and what they share in reading it.

use std::cell::OnceCell;

use regex::Regex;

use super::super::header::Header;
use super::super::{ReportHeader, ReturnedMessage, kind, mime, returned};
use super::copy::before_original;
use super::service::opening_words;
use super::text::lines;
use super::words::FAILURE;
use crate::address::lower_case;

/// A message that came back without a machine's part.
#[derive(Debug)]
pub(in crate::report) struct Letter<'a> {
    /// Its header fields, raw.
    pub(in crate::report) header: &'a Header<'a>,
    /// Its header as the report has it.
    pub(in crate::report) report: &'a ReportHeader,
    /// Whether its header looks like a bounce's.
    pub(in crate::report) bounce: bool,
    /// The text for people, decoded, with LF line ends.
    pub(in crate::report) text: &'a str,
    /// The text before the returned copy: what the reporting program wrote itself.
    pub(super) body: &'a str,
    /// The same in lower case; offsets are those of `body`.
    pub(super) lower: String,
    /// Where in the text the returned copy begins, when there is one.
    pub(super) original_at: Option<usize>,
    /// The header of what was returned, in the text or in a part of its own.
    pub(super) original: Option<ReturnedMessage>,
    /// See [`Self::opening_words`].
    opening: OnceCell<usize>,
    /// See [`Self::subject`].
    subject: OnceCell<String>,
    /// See [`Self::from`].
    from: OnceCell<String>,
}

impl<'a> Letter<'a> {
    /// Finds where the reporting program's own words end.
    pub(in crate::report) fn new(
        header: &'a Header<'a>,
        report: &'a ReportHeader,
        text: &'a str,
        attached: Option<&ReturnedMessage>,
        bounce: bool,
    ) -> Self {
        let (end, original_at) = before_original(text);
        let body = &text[..end];
        let quoted = || returned::read(text.get(original_at?..)?.as_bytes());
        Self {
            header,
            report,
            bounce,
            text,
            body,
            lower: lower_case(body),
            original_at,
            original: attached.cloned().or_else(quoted),
            opening: OnceCell::new(),
            subject: OnceCell::new(),
            from: OnceCell::new(),
        }
    }

    /// A header field as text, encoded words decoded; empty when there is none.
    pub(super) fn field(&self, name: &str) -> String {
        self.header.first(name).map(mime::unstructured).unwrap_or_default()
    }

    /// The subject in lower case.
    pub(super) fn subject(&self) -> &str {
        self.subject.get_or_init(|| self.report.subject.as_deref().unwrap_or_default().to_lowercase())
    }

    /// The From address in lower case.
    pub(super) fn from(&self) -> &str {
        self.from.get_or_init(|| self.report.from.as_deref().unwrap_or_default().to_lowercase())
    }

    /// Whether its From is one that only mail systems write from.
    pub(super) fn is_by_daemon(&self) -> bool {
        kind::is_daemon(self.from())
    }

    /// Whether a program sent it, as far as the header tells: a daemon's address, the null reverse-path
    /// (RFC 5321 §4.5.5), or a field that only programs write.
    pub(in crate::report) fn is_by_machine(&self) -> bool {
        self.is_by_mail_system() || self.report.auto_submitted.as_deref().is_some_and(|word| word != "no") // RFC 3834 §5
    }

    /// Whether the mail system itself sent it: a daemon's address, the null reverse-path, or the recipients in a field.
    /// Monitors and shops send automatic mail, too, and may speak of mail that failed.
    pub(in crate::report) fn is_by_mail_system(&self) -> bool {
        kind::is_by_mail_system(self.header, self.report)
    }

    /// Whether it is an answer, or passes mail on.
    pub(super) fn is_talk(&self) -> bool {
        kind::Talk::of(self.header, self.report).is_some()
    }

    /// Whether it came through a list or is a newsletter: what it says may be anybody's bounce, or an example of one.
    pub(in crate::report) fn is_from_a_list(&self) -> bool {
        self.header.has_any(&["List-Id", "List-Unsubscribe"])
    }

    /// The lines of the report's own words with the offsets they begin at, without their line ends.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &'a str)> + Clone {
        lines(self.body)
    }

    /// The lines of all of the text, for a program whose own rules look like marks of a copy.
    pub(super) fn text_lines(&self) -> impl Iterator<Item = (usize, &'a str)> + Clone {
        lines(self.text)
    }

    /// The first lines that hold anything, up to `count`.
    pub(super) fn opening(&self, count: usize) -> impl Iterator<Item = &'a str> + Clone {
        self.body.lines().map(str::trim).filter(|line| !line.is_empty()).take(count)
    }

    /// The lines it opens with, in lower case, before anything that is quoted or forwarded.
    pub(super) fn opening_words(&self) -> &str {
        &self.lower[..*self.opening.get_or_init(|| opening_words(&self.lower))]
    }

    /// The report's own words after the first match of a pattern, which is matched against lower case.
    pub(super) fn after(&self, pattern: &Regex) -> Option<&'a str> {
        self.body.get(pattern.find(&self.lower)?.end()..)
    }

    /// Whether the report's own words, in lower case, hold a match.
    pub(super) fn says(&self, pattern: &Regex) -> bool {
        pattern.is_match(&self.lower)
    }

    /// Whether the report's own words speak of mail that failed.
    pub(in crate::report) fn speaks_of_failure(&self) -> bool {
        self.says(&FAILURE)
    }

    /// The whole address for a bare local part, where the returned message or X-Failed-Recipients has it.
    pub(super) fn whole_address(&self, local_part: &str) -> Option<String> {
        let known = self.report.failed_recipients.iter();
        let to = self.original.iter().flat_map(|original| original.to.iter().chain(&original.delivered_to));
        known
            .chain(to)
            .find(|address| {
                address.rsplit_once('@').is_some_and(|(local, _)| local.eq_ignore_ascii_case(local_part))
            })
            .cloned()
    }

    /// The one recipient of the returned message, where there is one only.
    pub(super) fn only_recipient(&self) -> Option<String> {
        match self.original.as_ref()?.to.as_slice() {
            [only] if only.contains('@') => Some(only.clone()),
            _ => None,
        }
    }
}
