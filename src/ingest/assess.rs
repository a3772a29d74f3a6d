//! Who a recipient group is about, and what it means: the part that `explain` shares with the receiver.

use crate::address::{Mailbox, TypedAddress, comparison_form};
use crate::classify::evidence::Evidence;
use crate::classify::{Classification, Classifier};
use crate::report::fields::decoded;
use crate::report::{RecipientFields, Report, ReportKind};
use crate::smtp::command::xtext;

/// One recipient of a report, found and judged.
#[derive(Debug, Clone)]
pub struct Assessed {
    /// The address the sender used; `None` when the report names none.
    pub recipient: Option<String>,
    /// What it means.
    pub classification: Classification,
    /// What it was concluded from.
    pub evidence: Evidence,
}

/// Finds the recipient of a group and classifies it.
#[must_use]
pub fn assess(classifier: &Classifier, report: &Report, fields: &RecipientFields) -> Assessed {
    let (classification, evidence) = classifier.weigh(report, fields);
    Assessed { recipient: recipient(report, fields), classification, evidence }
}

/// The address the sender used: Original-Recipient before Final-Recipient (RFC 3464 §2.3.1), then what the
/// rest of the message says, where that leaves no choice. A value that is no mailbox (a pipe, an X.400
/// address) is taken only when nothing better is there.
fn recipient(report: &Report, fields: &RecipientFields) -> Option<String> {
    let value = |address: &Option<TypedAddress>| {
        // An encoded word can hold anything; what steers a terminal or ends a line is no part of an address.
        let value: String = decoded(&address.as_ref()?.value).chars().filter(|c| !c.is_control()).collect();
        let value = value.trim().to_owned();
        Some(value).filter(|value| !value.is_empty())
    };
    let (original, last) = (value(&fields.original_recipient), value(&fields.final_recipient));
    // Exim hands ORCPT on as xtext: a+2Bb is a+b where Final-Recipient says so too.
    let as_decoded = original.as_deref().and_then(from_xtext);
    if let (Some(decoded), Some(last)) = (as_decoded, &last)
        && comparison_form(&decoded) == comparison_form(last)
    {
        return Some(last.clone());
    }
    let as_mailbox = |named: &String| {
        if Mailbox::parse(named).is_ok() { Some(named.clone()) } else { with_quotes(named) }
    };
    let mailbox = || [&original, &last].into_iter().flatten().find_map(as_mailbox);
    let only = || only_candidate(report).filter(|candidate| Mailbox::parse(candidate).is_ok());
    mailbox().or_else(only).or_else(|| original.clone().or_else(|| last.clone()))
}

/// The one address that the rest of a report about one recipient names.
fn only_candidate(report: &Report) -> Option<String> {
    if report.recipients.len() != 1 {
        return None;
    }
    let one_of = |list: &[String]| match list {
        [one] => Some(one.clone()),
        _ => None,
    };
    one_of(&report.header.failed_recipients).or_else(|| {
        // What a complaint hides is not guessed from the message it is about.
        let original = report.original.as_ref().filter(|_| report.kind != ReportKind::Feedback)?;
        one_of(&original.to)
    })
}

/// An address whose local part an MTA wrote without the quotes that it needs, with them; `None` for any other.
pub(super) fn with_quotes(text: &str) -> Option<String> {
    if Mailbox::parse(text).is_ok() {
        return None;
    }
    let (local_part, domain) = text.rsplit_once('@')?;
    Mailbox::new(local_part, domain).ok().map(|mailbox| mailbox.to_string())
}

/// What a text means where it is xtext (RFC 3461 §4); `None` where nothing in it is encoded.
pub(super) fn from_xtext(text: &str) -> Option<String> {
    xtext::decode(text).filter(|decoded| decoded != text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    fn recipient_of(fields: &str, rest: &str) -> Option<String> {
        let message = format!(
            "From: MAILER-DAEMON@mx.example\n{rest}MIME-Version: 1.0\nContent-Type: multipart/report; \
             report-type=delivery-status; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n\
             Reporting-MTA: dns; mx.example\n\n{fields}Action: failed\nStatus: 5.1.1\n\n--b\n\
             Content-Type: text/rfc822-headers\n\nTo: returned@example.org\n\n--b--\n"
        );
        let report = Report::parse(message.as_bytes());
        recipient(&report, &report.recipients[0])
    }

    #[test]
    fn the_address_the_sender_used_is_found() {
        for (fields, rest, found) in [
            (
                "Original-Recipient: rfc822; a@x.example\nFinal-Recipient: rfc822; b@y.example\n",
                "",
                "a@x.example",
            ),
            ("Final-Recipient: rfc822; b@y.example\n", "", "b@y.example"),
            ("Final-Recipient: rfc822; \"odd name\"@y.example\n", "", "\"odd name\"@y.example"),
            ("Final-Recipient: rfc822; odd name@y.example\n", "To: x@y.example\n", "\"odd name\"@y.example"),
            (
                "Original-Recipient: rfc822;\"odd+20name\"@y.example\nFinal-Recipient: rfc822;<\"odd name\"@y.example>\n",
                "",
                "\"odd name\"@y.example",
            ),
            (
                "Original-Recipient: rfc822; a+2Bb@x.example\nFinal-Recipient: rfc822; a+b@x.example\n",
                "",
                "a+b@x.example",
            ),
            (
                "Original-Recipient: rfc822; a+2Bb@x.example\nFinal-Recipient: rfc822; c@x.example\n",
                "",
                "a+2Bb@x.example",
            ),
            (
                "Original-Recipient: unknown; nobody\nFinal-Recipient: rfc822; b@y.example\n",
                "",
                "b@y.example",
            ),
            ("", "X-Failed-Recipients: f@z.example\n", "f@z.example"),
            ("", "", "returned@example.org"),
        ] {
            assert_eq!(recipient_of(fields, rest).as_deref(), Some(found), "{fields}{rest}");
        }
    }
}
