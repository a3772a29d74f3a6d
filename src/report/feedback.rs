//! Feedback reports, ARF (RFC 5965), and the complaints that providers send in forms of their own.

use std::net::IpAddr;

use jiff::Timestamp;

use super::defects::Defects;
use super::fields::{Paragraphs, RawField};
use super::header::Header;
use super::parts::Parts;
use super::{RecipientFields, ReturnedMessage, mime};
use crate::address::{Mailbox, TypedAddress, lower};

/// Most complainers and reported domains taken from one report.
const MAX_VALUES: usize = 1_000;

/// Lines of the text in which a report says what it is; a person's letter may speak of it further down.
const OPENING_LINES: usize = 2;

/// Fields of the reported message in which a provider notes to whom it was delivered.
const NOTED_RECIPIENT: [&str; 2] = ["X-HmXmrOriginalRecipient", "X-Original-Rcpt-To"];

/// What a complaint brings of the message it is about (RFC 5965 §2).
const MESSAGES_AND_HEADERS: [&str; 2] = ["message/rfc822", "text/rfc822-headers"];

/// The one of them that only a complaint has; ordinary MTAs write the other, too.
const COMPLAINT_MARK: &str = "X-HmXmrOriginalRecipient";

/// What a feedback report says about the message (RFC 5965 §3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feedback {
    /// Feedback-Type in lower case (§3.1): `abuse`, `fraud`, `virus`, `not-spam`, `opt-out`, `auth-failure` …;
    /// of a complaint without a machine's part what its text or its form says.
    pub feedback_type: Option<String>,
    /// User-Agent (§3.1).
    pub user_agent: Option<String>,
    /// Original-Mail-From (§3.2), without angle brackets.
    pub original_mail_from: Option<String>,
    /// Return-Path of the message that the complaint is about, without angle brackets.
    pub return_path: Option<String>,
    /// Arrival-Date or Received-Date (§3.2).
    pub arrival_date: Option<Timestamp>,
    /// Source-IP (§3.2).
    pub source_ip: Option<IpAddr>,
    /// Reported-Domain (§3.3).
    pub reported_domains: Vec<String>,
}

/// A feedback report with the people who complained.
#[derive(Debug, Default)]
pub(super) struct Complaint {
    pub(super) feedback: Feedback,
    /// An entry each; one without an address where the report hides it, so that the return path can tell.
    pub(super) recipients: Vec<RecipientFields>,
    /// Original-Envelope-Id (RFC 5965 §3.2).
    pub(super) original_envelope_id: Option<String>,
}

/// Whether a message without a feedback part is a complaint nonetheless; gives its type.
pub(super) fn informal(parts: &Parts<'_>, subject: &str, text: &str) -> Option<String> {
    if let Some(kind) = type_in(text) {
        return Some(kind.to_owned());
    }
    let attached = parts.leaves.iter().any(|leaf| leaf.content_type.essence == "message/rfc822");
    let about_message = subject.trim().to_lowercase().starts_with("complaint about message from ");
    (attached && (about_message || noted(parts, &[COMPLAINT_MARK]).is_some())).then(|| "abuse".to_owned())
}

/// What the line says that opens the text of a report: `This is an email abuse report for an email message …`.
fn type_in(text: &str) -> Option<&'static str> {
    const WORDS: [(&str, &str); 7] = [
        ("not-spam", "not-spam"),
        ("authentication-failure", "auth-failure"),
        ("auth-failure", "auth-failure"),
        ("opt-out", "opt-out"),
        ("fraud", "fraud"),
        ("virus", "virus"),
        ("abuse", "abuse"),
    ];
    let opening = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(OPENING_LINES);
    opening.map(str::to_lowercase).find_map(|line| {
        let (words, _) = line.split_once(" report for an email message")?;
        let said = words.starts_with("this is a").then_some(words)?;
        WORDS.iter().find(|(word, _)| said.contains(word)).map(|(_, kind)| *kind)
    })
}

/// Reads a feedback report.
pub(super) fn read(
    parts: &Parts<'_>,
    original: Option<&ReturnedMessage>,
    text: &str,
    defects: &mut Defects,
) -> Complaint {
    let mut complaint = Complaint::default();
    for leaf in &parts.leaves {
        if leaf.content_type.essence == "message/feedback-report" {
            let body = leaf.decoded(usize::MAX, defects);
            for paragraph in Paragraphs::new(&body) {
                for field in &paragraph {
                    complaint.field(field, defects);
                }
            }
        }
    }
    if complaint.feedback.feedback_type.is_none() {
        complaint.feedback.feedback_type = type_in(text).map(str::to_owned);
    }
    complaint.feedback.return_path = returned(parts, &MESSAGES_AND_HEADERS, &["Return-Path"]);
    if complaint.recipients.is_empty() {
        let only = original.filter(|message| message.to.len() == 1).map(|message| message.to[0].clone());
        let address = noted_recipient(parts).or(only).filter(|address| is_readable(address));
        complaint.recipients.push(complainer(address));
    }
    complaint
}

impl Complaint {
    fn field(&mut self, field: &RawField<'_>, defects: &mut Defects) {
        let (value, _) = field.value();
        let value = value.trim();
        if value.is_empty() {
            return;
        }
        let feedback = &mut self.feedback;
        let bare = || value.trim_matches(['<', '>', ' ']).to_owned();
        match field.name.to_ascii_lowercase().as_str() {
            // RFC 5965 §3.1
            "feedback-type" => {
                let word = value.split([';', ' ', '(']).next().unwrap_or_default();
                feedback.feedback_type.get_or_insert_with(|| word.to_ascii_lowercase());
            }
            "user-agent" => {
                feedback.user_agent.get_or_insert_with(|| value.to_owned());
            }
            // RFC 5965 §3.2
            "original-envelope-id" => {
                self.original_envelope_id.get_or_insert_with(|| value.to_owned());
            }
            "original-mail-from" => {
                feedback.original_mail_from.get_or_insert_with(bare);
            }
            "arrival-date" | "received-date" => {
                let date = mime::date(value);
                if date.is_none() {
                    defects.add(field.name, "could not be read", value);
                }
                feedback.arrival_date = feedback.arrival_date.or(date);
            }
            "source-ip" => {
                let address = value.trim_matches(['[', ']']).parse();
                if address.is_err() {
                    defects.add(field.name, "could not be read", value);
                }
                feedback.source_ip = feedback.source_ip.or(address.ok());
            }
            // RFC 5965 §3.3; Removal-Recipient is of the drafts before it and still in use
            "original-rcpt-to" | "removal-recipient" => self.recipient(value),
            "reported-domain" if feedback.reported_domains.len() < MAX_VALUES => {
                feedback.reported_domains.push(value.to_lowercase());
            }
            _ => {}
        }
    }

    fn recipient(&mut self, value: &str) {
        for address in mime::addresses(value.as_bytes()) {
            let known = |one: &RecipientFields| {
                one.original_recipient.as_ref().is_some_and(|had| had.value.eq_ignore_ascii_case(&address))
            };
            if is_readable(&address)
                && self.recipients.len() < MAX_VALUES
                && !self.recipients.iter().any(known)
            {
                self.recipients.push(complainer(Some(address)));
            }
        }
    }
}

/// An entry for somebody who complained.
pub(super) fn complainer(address: Option<String>) -> RecipientFields {
    RecipientFields {
        original_recipient: address.map(|value| TypedAddress { kind: None, value }),
        ..RecipientFields::default()
    }
}

/// To whom the reported message went, where the provider notes it in that message.
fn noted_recipient(parts: &Parts<'_>) -> Option<String> {
    noted(parts, &NOTED_RECIPIENT)
}

/// The address in the first of these fields of an attached message.
fn noted(parts: &Parts<'_>, fields: &[&str]) -> Option<String> {
    returned(parts, &["message/rfc822"], fields)
}

/// The same in a part of one of these media types.
fn returned(parts: &Parts<'_>, types: &[&str], fields: &[&str]) -> Option<String> {
    let messages = parts.leaves.iter().filter(|leaf| types.contains(&leaf.content_type.essence.as_str()));
    messages.take(5).find_map(|leaf| {
        let (body, _) = mime::decode(&leaf.body, leaf.encoding, super::returned::MAX_HEADER);
        let (header, _) = Header::read(&body, true);
        let raw = fields.iter().find_map(|name| header.first(name))?;
        mime::addresses(raw).into_iter().next()
    })
}

/// Whether an address is one: neither hidden (RFC 6590) nor cut.
fn is_readable(address: &str) -> bool {
    let Ok(mailbox) = Mailbox::parse(address) else { return false };
    let local_part = lower(mailbox.local_part());
    !local_part.starts_with("redacted") && !local_part.chars().all(|c| matches!(c, 'x' | '*' | '.'))
}
