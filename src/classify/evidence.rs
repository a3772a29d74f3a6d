//! What a report says about one recipient, brought into the order in which it is believed.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem;

use crate::address::lower;
use crate::report::{Action, RecipientFields, Report};
use crate::status::{EnhancedStatusCode, ReplyCode, StatusClass};

/// Longest text of one source that rules are run over, in bytes; what a host says fits many times over.
pub const MAX_EVIDENCE: usize = 8 * 1024;

/// Recipients of one report whose paragraphs are looked for in its prose: each search walks all of it.
const MAX_PROSE_RECIPIENTS: usize = 64;

/// Put before whatever another host said, and mean nothing by themselves: Cisco IronPort's, and that of Postfix where it
/// asked that host before it took the message.
const LABELS: [&str; 2] = ["Unknown address error ", "undeliverable address: "];

/// Where a piece of evidence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceField {
    /// The Action field (RFC 3464 §2.3.3).
    Action,
    /// The Status field (RFC 3464 §2.3.4).
    Status,
    /// The Diagnostic-Code field (RFC 3464 §2.3.6).
    DiagnosticCode,
    /// An extension field that carries a diagnostic, such as X-Supplementary-Info.
    Extension,
    /// The text meant for people.
    Text,
    /// The header, or the fields of a feedback report or disposition notification (RFC 5965, RFC 8098).
    Header,
    /// There was nothing to go by.
    Nothing,
}

impl EvidenceField {
    /// The word used in output and in the store.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Status => "status",
            Self::DiagnosticCode => "diagnostic_code",
            Self::Extension => "extension",
            Self::Text => "text",
            Self::Header => "header",
            Self::Nothing => "nothing",
        }
    }
}

/// One text that may decide, with white space and the repeated codes of a multi-line reply folded away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it stands.
    pub field: EvidenceField,
    /// The folded text, at most [`MAX_EVIDENCE`] bytes.
    pub text: String,
    /// The reply code the remote host gave, if the text shows one.
    pub reply_code: Option<ReplyCode>,
    /// The enhanced status code in the text.
    pub status: Option<EnhancedStatusCode>,
    /// The last code in the text that says more than "expired", where [`Self::status`] is x.4.7: the last error
    /// inside.
    pub last_error: Option<EnhancedStatusCode>,
    /// Where the two codes stand in `text`, for showing them.
    pub codes: Option<Range<usize>>,
}

/// Everything that decides about one recipient.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The Action field.
    pub action: Option<Action>,
    /// The Status field.
    pub status: Option<EnhancedStatusCode>,
    /// The reporting MTA says until when it will go on trying.
    pub will_retry: bool,
    /// Texts, the most trusted first.
    pub sources: Vec<Source>,
    /// Lower-cased names of the hosts that speak: Remote-MTA, Reporting-MTA, the recipient's domain.
    pub hosts: Vec<String>,
    /// The recipient was guessed.
    pub guessed: bool,
    /// The Remote-MTA field's host.
    pub remote_mta: Option<String>,
}

impl Source {
    /// Folds a text and reads its codes.
    #[must_use]
    pub fn new(field: EvidenceField, text: &str) -> Self {
        let mut text = fold_reply(cut(text, MAX_EVIDENCE));
        if !text.is_ascii() && text.contains(['\u{2018}', '\u{2019}']) {
            text = text.replace(['\u{2018}', '\u{2019}'], "'"); // typographers' "doesn't" is everybody's
        }
        for label in LABELS {
            if let Some(start) = memmem::find(text.as_bytes(), label.as_bytes()) {
                text.replace_range(start..start + label.len(), "");
            }
        }
        let reply = match ReplyCode::prefix(&text) {
            Some(code) if code.get() >= 400 => Some((code, 0..3)),
            _ => ReplyCode::find_failure(&text),
        };
        // A code right behind the reply code belongs to it; one elsewhere is still better than none.
        let status = reply
            .as_ref()
            .and_then(|(_, range)| {
                let rest = &text[range.end..];
                let skipped =
                    rest.len() - rest.trim_start_matches([' ', '-', '#', '(', '[', '<', '\'', '"']).len();
                let (code, length) = EnhancedStatusCode::prefix(&rest[skipped..])?;
                let start = range.end + skipped;
                Some((code, start..start + length))
            })
            .or_else(|| {
                EnhancedStatusCode::find_all(&text).find(|(code, _)| code.class != StatusClass::Success)
            });
        let expired = |code: EnhancedStatusCode| code.subject == 4 && code.detail == 7;
        let last_error = status.as_ref().filter(|(code, _)| expired(*code)).and_then(|_| {
            let failures = EnhancedStatusCode::find_all(&text).map(|(code, _)| code);
            failures.filter(|code| code.class != StatusClass::Success && !expired(*code)).last()
        });
        let codes = match (&reply, &status) {
            (Some((_, reply)), Some((_, status)))
                if reply.end <= status.start && status.start - reply.end <= 3 =>
            {
                Some(reply.start..status.end)
            }
            (_, Some((_, status))) => Some(status.clone()),
            (Some((_, reply)), None) => Some(reply.clone()),
            (None, None) => None,
        };
        Self {
            field,
            reply_code: reply.map(|(code, _)| code),
            status: status.map(|(code, _)| code),
            last_error,
            codes,
            text,
        }
    }
}

impl Evidence {
    /// Gathers what a report says about one of its recipients.
    #[must_use]
    pub fn gather(report: &Report, fields: &RecipientFields) -> Self {
        let mut sources = Vec::new();
        if let Some(diagnostic) = &fields.diagnostic_code {
            sources.push(Source::new(EvidenceField::DiagnosticCode, &diagnostic.text));
        }
        for field in &fields.extensions {
            if carries_diagnostic(&field.name) {
                sources.push(Source::new(EvidenceField::Extension, &field.value));
            }
        }
        if let Some(text) = prose_about(report, fields) {
            sources.push(Source::new(EvidenceField::Text, &text));
        }
        let host = |mta: &crate::address::TypedAddress| {
            let name = mta.value.split_whitespace().next()?;
            Some(name.trim_end_matches('.').to_lowercase()).filter(|name| !name.is_empty())
        };
        let mta_hosts =
            [&fields.remote_mta, &report.message.reporting_mta].into_iter().flatten().filter_map(host);
        let domain = [&fields.final_recipient, &fields.original_recipient]
            .into_iter()
            .flatten()
            .find_map(|address| Some(address.mailbox()?.domain_key()));
        Self {
            action: fields.action,
            status: fields.status,
            guessed: report.guessed,
            will_retry: fields.will_retry_until.is_some(),
            hosts: mta_hosts.chain(domain).collect(),
            remote_mta: fields.remote_mta.as_ref().and_then(host),
            sources: sources.into_iter().filter(|source| !source.text.is_empty()).collect(),
        }
    }
}

/// Extension fields known to carry what the remote host said.
fn carries_diagnostic(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["x-supplementary-info", "x-diagnostic", "x-error", "x-reason", "x-smtp-reply", "x-remote-reply"]
        .iter()
        .any(|known| name.starts_with(known))
}

/// The part of the human-readable text that is about this recipient.
///
/// With one recipient all of it is; with several, the paragraphs that name this one, without the lines that
/// name another. The text of a report is the MTA's boilerplate around the host's own words, so it is asked
/// last.
fn prose_about<'r>(report: &'r Report, fields: &RecipientFields) -> Option<Cow<'r, str>> {
    if report.text.trim().is_empty() || report.recipients.len() > MAX_PROSE_RECIPIENTS {
        return None;
    }
    if report.recipients.len() == 1 {
        return Some(Cow::Borrowed(&report.text));
    }
    let addresses: Vec<String> = [&fields.original_recipient, &fields.final_recipient]
        .into_iter()
        .flatten()
        .map(|address| lower(address.value.trim_matches(['<', '>'])))
        .filter(|address| address.contains('@'))
        .collect();
    if addresses.is_empty() {
        return None;
    }
    let mut about = String::new();
    let mut ours = false;
    let mut before = "";
    for line in report.text.lines().take(2_000) {
        let lower = lower(line);
        // In a transcript for several, a reply behind a whole one that names nobody may be anybody's.
        let another = reply_of(line).is_some() && reply_of(before).is_some_and(|rest| rest.starts_with(' '));
        before = line;
        if lower.contains('@') {
            if addresses.iter().any(|address| lower.contains(address.as_str())) {
                ours = true;
            } else if lower.trim_start().starts_with(['<', '('])
                || lower.trim_end().ends_with(':')
                || names_first(&lower)
            {
                ours = false;
            }
        } else if line.trim().is_empty() || another {
            ours = false;
        }
        if ours && about.len() < MAX_EVIDENCE {
            about.push_str(line);
            about.push('\n');
        }
    }
    (!about.is_empty()).then_some(Cow::Owned(about))
}

/// What stands behind the reply code that a line begins with, also after the `<<<` of a transcript: a space, or a hyphen
/// where the reply goes on (RFC 5321 §4.2.1).
fn reply_of(line: &str) -> Option<&str> {
    let (code, rest) = line.trim_start_matches(['<', ' ', '\t']).split_at_checked(3)?;
    (code.bytes().all(|byte| byte.is_ascii_digit()) && rest.starts_with([' ', '-'])).then_some(rest)
}

/// A line that begins with an address begins another recipient's paragraph.
fn names_first(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(|word| word.contains('@'))
}

/// Cuts at a character boundary.
pub(crate) fn cut(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length)]
}

/// Makes one line of a reply: white space runs become one space, and the code that every further line of a
/// multi-line reply repeats (`550-5.1.1 …`, RFC 5321 §4.2.1) is taken out.
fn fold_reply(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut first: Option<(String, Option<EnhancedStatusCode>)> = None;
    let mut skip_status: Option<EnhancedStatusCode> = None;
    let several = text.trim_start().as_bytes().get(3) == Some(&b'-');
    let mut behind = 0;
    for word in text.split_whitespace() {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        // What a paragraph says, no sentence of the one before says: "Your mail server" below "User unknown".
        if start - behind > 1
            && text[behind..start].bytes().filter(|byte| *byte == b'\n').count() > 1
            && out.ends_with(char::is_alphanumeric)
        {
            out.push('.');
        }
        behind = start + word.len();
        let bytes = word.as_bytes();
        let starts_with_code = bytes.len() >= 3 && bytes[..3].iter().all(u8::is_ascii_digit);
        let mut word = word;
        if starts_with_code && (bytes.len() == 3 || bytes[3] == b'-') {
            match &first {
                None => {
                    let rest = word[3..].trim_start_matches('-');
                    first =
                        Some((word[..3].to_owned(), EnhancedStatusCode::prefix(rest).map(|(code, _)| code)));
                }
                Some((code, status)) if *code == word[..3] && bytes.len() > 3 => {
                    word = word[4..].trim_start_matches('-');
                    if let Some((found, length)) = EnhancedStatusCode::prefix(word)
                        && (status.is_none() || *status == Some(found))
                    {
                        word = &word[length..];
                    }
                }
                Some((code, status)) if *code == word => {
                    // "550 5.1.1" again, as separate words, on the last line of the reply.
                    skip_status = *status;
                    if status.is_some() || several {
                        continue;
                    }
                }
                Some(_) => {}
            }
        } else if let Some((_, status @ None)) = &mut first {
            *status = EnhancedStatusCode::prefix(word).map(|(code, _)| code);
        } else if let Some(expected) = skip_status.take()
            && EnhancedStatusCode::prefix(word) == Some((expected, word.len()))
        {
            continue;
        }
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multi_line_reply_becomes_one_line() {
        for (reply, folded) in [
            (
                "550-5.1.1 The mailbox\n    550-5.1.1 does not exist 550 5.1.1 here",
                "550-5.1.1 The mailbox does not exist here",
            ),
            ("550-No such user 550-really 550 gone", "550-No such user really gone"),
            ("550 No such user; see 550 in the manual", "550 No such user; see 550 in the manual"),
            ("452  4.2.2   over\r\n\tquota", "452 4.2.2 over quota"),
            ("550 User unknown\n\nYour mail server", "550 User unknown. Your mail server"),
            ("", ""),
        ] {
            assert_eq!(fold_reply(reply), folded);
        }
    }

    #[test]
    fn the_code_beside_the_reply_is_the_one_that_counts() {
        let source = Source::new(
            EvidenceField::DiagnosticCode,
            "host mx[10.5.1.1] said: 550 5.7.606 see 5.1.1 in the manual",
        );
        assert_eq!(source.status.unwrap().to_string(), "5.7.606");
        assert_eq!(source.reply_code.unwrap().get(), 550);
        assert_eq!(&source.text[source.codes.unwrap()], "550 5.7.606");
    }

    proptest::proptest! {
        #[test]
        fn any_text_can_be_evidence(text in "\\PC*") {
            let source = Source::new(EvidenceField::Text, &text);
            if let Some(range) = source.codes {
                proptest::prop_assert!(source.text.get(range).is_some());
            }
        }
    }
}
