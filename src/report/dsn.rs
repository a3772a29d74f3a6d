//! Delivery status notifications: field groups into the types of this module's parent (RFC 3464 §2.2, §2.3).
//!
//! A field that cannot be read costs itself and is noted; a field that comes twice counts the first time and
//! is kept among the extensions after that. So is, as it came, an address or MTA name that had a comment.

use jiff::Timestamp;

use super::defects::Defects;
use super::fields::{self, Paragraphs, RawField, Role};
use super::{Action, Diagnostic, Field, MessageFields, RecipientFields, mime};
use crate::status::EnhancedStatusCode;

/// Recipient groups kept of one message; more are counted and noted.
pub const MAX_RECIPIENTS: usize = 100_000;

/// Extension fields kept of the message and of each recipient.
pub const MAX_EXTENSIONS: usize = 200;

/// What the delivery-status parts of one message say.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Fields about the message.
    pub(super) message: MessageFields,
    /// One entry a group.
    pub(super) recipients: Vec<RecipientFields>,
    current: Option<Group>,
    /// Fields about a recipient that stand among those about the message, and no recipient with them.
    misplaced: Option<Group>,
    dropped: usize,
}

/// A recipient group in the making.
#[derive(Debug, Default)]
struct Group {
    fields: RecipientFields,
    /// A bit for each field of RFC 3464 that was there, readable or not.
    seen: u16,
}

const ORIGINAL_RECIPIENT: u16 = 1;
const FINAL_RECIPIENT: u16 = 1 << 1;

impl Group {
    fn has_address(&self) -> bool {
        self.seen & (ORIGINAL_RECIPIENT | FINAL_RECIPIENT) != 0
    }
}

impl Reader {
    /// Reads one decoded `message/delivery-status` body; bodies of several parts add up.
    pub(super) fn read(&mut self, body: &[u8], defects: &mut Defects) {
        for paragraph in Paragraphs::new(body) {
            self.paragraph(&paragraph, defects);
        }
        self.flush(defects);
    }

    /// Ends the last group and notes what was left out.
    pub(super) fn finish(&mut self, defects: &mut Defects) {
        self.flush(defects);
        if let Some(group) = self.misplaced.take() {
            defects.add("Reporting-MTA", "fields about a recipient among those about the message", "");
            if self.recipients.is_empty() {
                self.current = Some(group); // better than nothing
                self.flush(defects);
            }
        }
        if self.dropped > 0 {
            let what =
                format!("{} recipient groups beyond the first {MAX_RECIPIENTS} were not kept", self.dropped);
            defects.add("Final-Recipient", &what, "");
        }
    }

    fn paragraph(&mut self, paragraph: &[RawField<'_>], defects: &mut Defects) {
        let has = |role| paragraph.iter().any(|field| field.role == role);
        let leader = paragraph.iter().find(|field| matches!(field.role, Role::Address | Role::Recipient));
        let goes_on = !has(Role::Address)
            && self.current.as_ref().is_some_and(|group| {
                // An empty line too many inside a group: nothing of it was there before.
                paragraph.iter().all(|field| group.seen & bit(field.name) == 0)
            });
        if !goes_on {
            self.flush(defects);
        }
        // Extensions at the head belong to the message if a field about it follows, else to the recipient.
        let about_message = leader.is_none() || has(Role::Message);
        if self.current.is_none() && !about_message {
            self.current = Some(Group::default());
        }
        let misplaced = has(Role::Message) && !has(Role::Address) && !goes_on;
        for (at, field) in paragraph.iter().enumerate() {
            match field.role {
                Role::Message => self.message_field(field, defects),
                Role::Extension if self.current.is_none() => {
                    let (value, _) = read_value(field, defects);
                    extend(&mut self.message.extensions, field.name, value, defects);
                }
                _ => {
                    if self.starts_group(paragraph, at, leader) {
                        self.flush(defects);
                    }
                    self.current.get_or_insert_default().field(field, defects);
                }
            }
        }
        if misplaced && let Some(group) = self.current.take() {
            for field in paragraph.iter().filter(|field| field.role == Role::Recipient) {
                extend(&mut self.message.extensions, field.name, field.value().0, defects);
            }
            self.misplaced.get_or_insert(group);
        }
    }

    /// Whether a new group begins here although no empty line says so (RFC 3464 §2.3 wants one).
    fn starts_group(&self, paragraph: &[RawField<'_>], at: usize, leader: Option<&RawField<'_>>) -> bool {
        let Some(group) = self.current.as_ref().filter(|group| group.has_address()) else { return false };
        let field = &paragraph[at];
        if group.seen & bit(field.name) != 0
            && (field.role == Role::Address
                || leader.is_some_and(|first| first.name.eq_ignore_ascii_case(field.name)))
        {
            return true;
        }
        // Original-Recipient directly before a second Final-Recipient, or the other way round.
        field.role == Role::Address
            && at > 0
            && paragraph[at - 1].role != Role::Address
            && paragraph
                .get(at + 1)
                .is_some_and(|next| next.role == Role::Address && group.seen & bit(next.name) != 0)
    }

    fn message_field(&mut self, field: &RawField<'_>, defects: &mut Defects) {
        let message = &mut self.message;
        let (value, _) = read_value(field, defects);
        let name = field.name.to_ascii_lowercase();
        let repeated = match name.as_str() {
            "original-envelope-id" => message.original_envelope_id.is_some(),
            "reporting-mta" => message.reporting_mta.is_some(),
            "dsn-gateway" => message.dsn_gateway.is_some(),
            "received-from-mta" => message.received_from_mta.is_some(),
            _ => message.arrival_date.is_some(),
        };
        if repeated {
            extend(&mut message.extensions, field.name, value, defects);
            return;
        }
        keep_commented(&mut message.extensions, field, &value, defects);
        match name.as_str() {
            // RFC 3464 §2.2.1
            "original-envelope-id" => message.original_envelope_id = Some(value).filter(|id| !id.is_empty()),
            "reporting-mta" => message.reporting_mta = noted(fields::mta(&value), field, &value, defects), // RFC 3464 §2.2.2
            "dsn-gateway" => message.dsn_gateway = noted(fields::mta(&value), field, &value, defects), // RFC 3464 §2.2.3
            // RFC 3464 §2.2.4
            "received-from-mta" => {
                message.received_from_mta = noted(fields::mta(&value), field, &value, defects)
            }
            // RFC 3464 §2.2.5
            _ => message.arrival_date = date(field, &value, defects),
        }
    }

    fn flush(&mut self, defects: &mut Defects) {
        let Some(group) = self.current.take() else { return };
        if group.seen == 0 {
            self.message.extensions.extend(group.fields.extensions);
            self.message.extensions.truncate(MAX_EXTENSIONS);
            return;
        }
        if group.fields.original_recipient.is_none() && group.fields.final_recipient.is_none() {
            defects.add("Final-Recipient", "a recipient group without an address", "");
        }
        if self.recipients.len() < MAX_RECIPIENTS {
            self.recipients.push(group.fields);
        } else {
            self.dropped += 1;
        }
    }
}

impl Group {
    fn field(&mut self, field: &RawField<'_>, defects: &mut Defects) {
        let (value, _) = read_value(field, defects);
        let bit = bit(field.name);
        let recipient = &mut self.fields;
        if bit == 0 || self.seen & bit != 0 {
            extend(&mut recipient.extensions, field.name, value, defects);
            return;
        }
        self.seen |= bit;
        keep_commented(&mut recipient.extensions, field, &value, defects);
        match field.name.to_ascii_lowercase().as_str() {
            // RFC 3464 §2.3.1
            "original-recipient" => {
                recipient.original_recipient = noted(fields::address(&value), field, &value, defects);
            }
            // RFC 3464 §2.3.2
            "final-recipient" => {
                recipient.final_recipient = noted(fields::address(&value), field, &value, defects)
            }
            "action" => recipient.action = noted(action(&value), field, &value, defects), // RFC 3464 §2.3.3
            "status" => recipient.status = noted(status(&value), field, &value, defects), // RFC 3464 §2.3.4
            "remote-mta" => recipient.remote_mta = noted(fields::mta(&value), field, &value, defects), // RFC 3464 §2.3.5
            // RFC 3464 §2.3.6
            "diagnostic-code" => recipient.diagnostic_code = diagnostic(&value),
            // RFC 3464 §2.3.7
            "last-attempt-date" => recipient.last_attempt_date = date(field, &value, defects),
            // RFC 3464 §2.3.8
            "final-log-id" => recipient.final_log_id = Some(value).filter(|id| !id.is_empty()),
            // RFC 3464 §2.3.9
            _ => recipient.will_retry_until = date(field, &value, defects),
        }
    }
}

/// The bit of a per-recipient field in [`Group::seen`]; 0 for any other.
fn bit(name: &str) -> u16 {
    const NAMES: [&str; 9] = [
        "original-recipient",
        "final-recipient",
        "action",
        "status",
        "remote-mta",
        "diagnostic-code",
        "last-attempt-date",
        "final-log-id",
        "will-retry-until",
    ];
    NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)).map_or(0, |at| 1 << at)
}

/// Reads an Action (RFC 3464 §2.3.3): any case, comments and what follows the keyword passed over, and the
/// other forms of the word that MTAs write.
#[must_use]
pub fn action(value: &str) -> Option<Action> {
    let bare = fields::without_comments(value).trim().to_ascii_lowercase();
    let word = bare.split(|c: char| !c.is_ascii_alphabetic()).find(|word| !word.is_empty())?;
    match word {
        "failed" | "fail" | "failure" | "error" | "expired" => Some(Action::Failed),
        "delayed" | "delay" | "deferred" => Some(Action::Delayed),
        "delivered" | "deliver" => Some(Action::Delivered),
        "relayed" | "relay" => Some(Action::Relayed),
        "expanded" | "expand" => Some(Action::Expanded),
        _ => None,
    }
}

/// Reads a Status (RFC 3464 §2.3.4): comments passed over, spaces inside the code closed up, and a code that
/// stands after other words or only in the comment found.
#[must_use]
pub fn status(value: &str) -> Option<EnhancedStatusCode> {
    let bare = fields::without_comments(value);
    let bare = bare.trim();
    if let Some((code, _)) = EnhancedStatusCode::prefix(bare) {
        return Some(code);
    }
    let closed: String = bare.chars().take(40).filter(|c| !c.is_whitespace()).collect();
    closed.parse().ok().or_else(|| EnhancedStatusCode::find(value).map(|(code, _)| code))
}

/// Reads a Diagnostic-Code (RFC 3464 §2.3.6). Parentheses in it are text, not comments. Empty: none.
fn diagnostic(value: &str) -> Option<Diagnostic> {
    let (kind, text) = fields::typed(value);
    (!text.is_empty()).then(|| Diagnostic { kind, text: text.to_owned() })
}

fn date(field: &RawField<'_>, value: &str, defects: &mut Defects) -> Option<Timestamp> {
    noted(mime::date(value), field, value, defects)
}

fn noted<T>(read: Option<T>, field: &RawField<'_>, value: &str, defects: &mut Defects) -> Option<T> {
    if read.is_none() {
        defects.add(field.name, if value.is_empty() { "empty" } else { "could not be read" }, value);
    }
    read
}

fn read_value(field: &RawField<'_>, defects: &mut Defects) -> (String, bool) {
    let (value, long) = field.value();
    if long {
        defects.add(field.name, "longer than is kept, and cut", "");
    }
    (value, long)
}

/// An address or MTA name with a comment loses it; the comment can hold the alias or the host's IP address.
fn keep_commented(extensions: &mut Vec<Field>, field: &RawField<'_>, value: &str, defects: &mut Defects) {
    let typed = field.role == Role::Address || field.name.to_ascii_lowercase().ends_with("-mta");
    if typed && value.contains('(') && fields::typed(value).0.as_deref() != Some("x400") {
        extend(extensions, field.name, value.to_owned(), defects);
    }
}

fn extend(extensions: &mut Vec<Field>, name: &str, value: String, defects: &mut Defects) {
    if extensions.len() < MAX_EXTENSIONS {
        extensions.push(Field { name: name.to_owned(), value });
    } else {
        defects.add(name, "more extension fields than are kept", "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Reader {
        let mut reader = Reader::default();
        let mut defects = Defects::default();
        reader.read(body.as_bytes(), &mut defects);
        reader.finish(&mut defects);
        reader
    }

    fn recipients(body: &str) -> Vec<(Option<String>, Option<String>)> {
        let group = |group: &RecipientFields| {
            let address = group.final_recipient.as_ref().map(|address| address.value.clone());
            (address, group.status.map(|status| status.to_string()))
        };
        read(body).recipients.iter().map(group).collect()
    }

    fn two() -> Vec<(Option<String>, Option<String>)> {
        ["a@b", "c@d"]
            .iter()
            .zip(["5.1.1", "4.2.2"])
            .map(|(a, s)| (Some((*a).into()), Some(s.into())))
            .collect()
    }

    #[test]
    fn two_recipients_stay_two_however_their_groups_are_set_apart() {
        for body in [
            "Reporting-MTA: mx\n\nFinal-Recipient: a@b\nStatus: 5.1.1\n\nFinal-Recipient: c@d\nStatus: 4.2.2\n",
            "Reporting-MTA: mx\nFinal-Recipient: a@b\nStatus: 5.1.1\nFinal-Recipient: c@d\nStatus: 4.2.2\n",
            "Final-Recipient: a@b\n\nStatus: 5.1.1\n\nFinal-Recipient: c@d\n \nStatus: 4.2.2\nReporting-MTA: mx\n",
            "Action: failed\nFinal-Recipient: a@b\nStatus: 5.1.1\nAction: failed\nFinal-Recipient: c@d\nStatus: 4.2.2\n",
            "Status: 5.1.1\nFinal-Recipient: a@b\n\nStatus: 4.2.2\nFinal-Recipient: c@d\n",
            "Final-Recipient: a@b\nOriginal-Recipient: a@b\nStatus: 5.1.1\nOriginal-Recipient: c@d\nFinal-Recipient: c@d\nStatus: 4.2.2\n",
            "Original-Recipient: a@b\nStatus: 5.1.1\nFinal-Recipient: a@b\nX-Y: z\n\n\nX-Y: z\nFinal-Recipient: c@d\nStatus: 4.2.2\n",
        ] {
            assert_eq!(recipients(body), two(), "{body}");
        }
    }

    #[test]
    fn fields_about_a_recipient_among_those_about_the_message_make_none() {
        let reader = read("Reporting-MTA: mx\nAction: failed\n\nFinal-Recipient: a@b\nStatus: 5.1.1\n");
        assert_eq!(reader.recipients.len(), 1);
        assert_eq!(reader.message.extensions, [Field { name: "Action".into(), value: "failed".into() }]);
        let alone = read("Reporting-MTA: mx\nAction: failed\nStatus: 5.1.1\n");
        assert_eq!(alone.recipients.len(), 1);
        assert_eq!(alone.recipients[0].action, Some(Action::Failed));
    }

    #[test]
    fn actions_and_statuses_are_read_as_they_are_written() {
        for (value, read) in [
            ("failed", Some(Action::Failed)),
            ("FAILED (bad destination)", Some(Action::Failed)),
            ("(see below) delayed", Some(Action::Delayed)),
            ("delivered;", Some(Action::Delivered)),
            ("deliverable", None),
            ("", None),
        ] {
            assert_eq!(action(value), read, "{value}");
        }
        for (value, read) in [
            ("5.1.1", Some("5.1.1")),
            ("5.1.1 (bad mailbox)", Some("5.1.1")),
            ("5. 1. 1", Some("5.1.1")),
            ("smtp; 550 5.7.1 no", Some("5.7.1")),
            ("(permanent: 5.2.2)", Some("5.2.2")),
            ("5.7.606.", Some("5.7.606")),
            ("550", None),
            ("5.1", None),
            ("5.1.1.1", None),
            ("", None),
        ] {
            assert_eq!(status(value).map(|code| code.to_string()).as_deref(), read, "{value}");
        }
    }
}
