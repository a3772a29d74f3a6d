//! Which lists are read, and what their columns or keys tell them by.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A kind of list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ListFormat)]
pub enum Format {
    /// Our own columns, in CSV.
    Csv,
    /// Our own fields, in NDJSON.
    Ndjson,
    /// An address a line.
    Plain,
    /// The account's suppression list of Amazon SES.
    Ses,
    /// Bounces of SendGrid.
    SendgridBounces,
    /// Blocks of SendGrid: what it does not count against the address. They have the columns of bounces.
    SendgridBlocks,
    /// Spam reports of SendGrid.
    SendgridSpamReports,
    /// Invalid addresses of SendGrid.
    SendgridInvalidEmails,
    /// Unsubscribes of SendGrid, from everything or from a group.
    SendgridUnsubscribes,
    /// Bounces of Mailgun.
    MailgunBounces,
    /// Complaints of Mailgun.
    MailgunComplaints,
    /// Unsubscribes of Mailgun, from everything or from a tag.
    MailgunUnsubscribes,
    /// The suppressions of a stream of Postmark.
    Postmark,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 13] = [
        Self::Csv,
        Self::Ndjson,
        Self::Plain,
        Self::Ses,
        Self::SendgridBounces,
        Self::SendgridBlocks,
        Self::SendgridSpamReports,
        Self::SendgridInvalidEmails,
        Self::SendgridUnsubscribes,
        Self::MailgunBounces,
        Self::MailgunComplaints,
        Self::MailgunUnsubscribes,
        Self::Postmark,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Plain => "plain",
            Self::Ses => "ses",
            Self::SendgridBounces => "sendgrid-bounces",
            Self::SendgridBlocks => "sendgrid-blocks",
            Self::SendgridSpamReports => "sendgrid-spam-reports",
            Self::SendgridInvalidEmails => "sendgrid-invalid-emails",
            Self::SendgridUnsubscribes => "sendgrid-unsubscribes",
            Self::MailgunBounces => "mailgun-bounces",
            Self::MailgunComplaints => "mailgun-complaints",
            Self::MailgunUnsubscribes => "mailgun-unsubscribes",
            Self::Postmark => "postmark",
        }
    }

    /// The format that a word stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }

    /// Every word, separated by commas.
    #[must_use]
    pub fn all_names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }

    /// What it is, in words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Csv => "a list of dsnd's, CSV",
            Self::Ndjson => "a list of dsnd's, NDJSON",
            Self::Plain => "a plain list of addresses",
            Self::Ses => "the suppression list of Amazon SES",
            Self::SendgridBounces => "bounces of SendGrid",
            Self::SendgridBlocks => "blocks of SendGrid",
            Self::SendgridSpamReports => "spam reports of SendGrid",
            Self::SendgridInvalidEmails => "invalid addresses of SendGrid",
            Self::SendgridUnsubscribes => "unsubscribes of SendGrid",
            Self::MailgunBounces => "bounces of Mailgun",
            Self::MailgunComplaints => "complaints of Mailgun",
            Self::MailgunUnsubscribes => "unsubscribes of Mailgun",
            Self::Postmark => "suppressions of Postmark",
        }
    }

    /// Whether it is one of dsnd's own.
    #[must_use]
    pub const fn is_ours(self) -> bool {
        matches!(self, Self::Csv | Self::Ndjson)
    }

    /// The format whose lists have just these columns or keys, given as [`plain_name`] makes them; our own is
    /// [`Self::Csv`].
    ///
    /// # Errors
    /// [`Beside`] where a format's columns are all there, and others that its lists do not have, or none that other lists
    /// of people do not have: an export of customers has an address and a date, too.
    pub(super) fn of_names(names: &[String]) -> Result<Option<Self>, Beside> {
        let has = |name: &&str| names.iter().any(|known| known == name);
        if let [only] = names {
            return Ok(matches!(only.as_str(), "address" | "email" | "emailaddress" | "recipient")
                .then_some(Self::Plain));
        }
        let mut beside = None;
        for shape in SHAPES.iter().filter(|shape| shape.needed.iter().all(has)) {
            let others: Vec<String> = names.iter().filter(|name| !shape.knows(name)).cloned().collect();
            if others.is_empty() && !shape.vague() {
                return Ok(Some(shape.format));
            }
            beside.get_or_insert(Beside { format: shape.format, others });
        }
        beside.map_or(Ok(None), Err)
    }

    /// Those of the columns or keys that lists of this format do not have.
    pub(super) fn foreign(self, names: &[String]) -> Vec<String> {
        let of_one = |shape: &&Shape| shape.format == self || (self.is_ours() && shape.format == Self::Csv);
        let known = |name: &str| match self {
            Self::Plain => self.address_columns().0.contains(&name),
            _ => SHAPES.iter().filter(of_one).any(|shape| shape.knows(name)),
        };
        names.iter().filter(|name| !known(name)).cloned().collect()
    }

    /// The columns of which one is needed to know the address, and what to call them.
    pub(super) const fn address_columns(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Csv
            | Self::Ndjson
            | Self::MailgunBounces
            | Self::MailgunComplaints
            | Self::MailgunUnsubscribes => (&["address"], "a column \"address\""),
            Self::Plain => (&["address", "email", "emailaddress", "recipient"], "addresses"),
            Self::Ses => (&["emailaddress", "email", "address"], "a column \"emailAddress\""),
            Self::SendgridBounces
            | Self::SendgridBlocks
            | Self::SendgridSpamReports
            | Self::SendgridInvalidEmails
            | Self::SendgridUnsubscribes => (&["email"], "a column \"email\""),
            Self::Postmark => (&["emailaddress", "recipient"], "a column \"EmailAddress\" or \"Recipient\""),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What tells a list: columns or keys that it needs, and those that it may have as well.
struct Shape {
    format: Format,
    needed: &'static [&'static str],
    more: &'static [&'static str],
}

impl Shape {
    fn knows(&self, name: &str) -> bool {
        self.needed.contains(&name) || self.more.contains(&name)
    }

    /// Whether it is an address with when and from where: what any list of people may be.
    fn vague(&self) -> bool {
        self.needed.iter().all(|name| matches!(*name, "email" | "address" | "created" | "createdat" | "ip"))
    }
}

/// A list with all columns of a format that may be something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beside {
    /// The format that it resembles.
    pub(super) format: Format,
    /// Columns beside those of the format; none where its own tell nothing.
    pub(super) others: Vec<String>,
}

/// The fields of our own lists, and what `suppressions list --json` shows beside them.
const OURS: &[&str] = &[
    "address",
    "stream",
    "streamname",
    "reason",
    "class",
    "status",
    "rule",
    "remotemta",
    "evidence",
    "note",
    "firstseen",
    "lastseen",
    "count",
    "expiresat",
    "recheckable",
    "softtermdays",
    "origin",
    "changedat",
    "bounce",
    "trust",
];

/// The shapes of all lists, those that need more before those that need less.
const SHAPES: [Shape; 13] = [
    Shape {
        format: Format::Postmark,
        needed: &["emailaddress", "suppressionreason"],
        more: &["origin", "createdat"],
    },
    Shape {
        format: Format::Postmark,
        needed: &["recipient", "suppressionreason"],
        more: &["origin", "createdat"],
    },
    Shape {
        format: Format::Ses,
        needed: &["emailaddress", "reason"],
        more: &["lastupdatetime", "attributes"],
    },
    Shape { format: Format::SendgridBounces, needed: &["email", "status", "reason", "created"], more: &[] },
    Shape { format: Format::SendgridInvalidEmails, needed: &["email", "reason", "created"], more: &[] },
    Shape { format: Format::SendgridSpamReports, needed: &["email", "ip", "created"], more: &[] },
    Shape {
        format: Format::SendgridUnsubscribes,
        needed: &["email", "groupid"],
        more: &["groupname", "createdat"],
    },
    Shape { format: Format::SendgridUnsubscribes, needed: &["email", "created"], more: &[] },
    Shape {
        format: Format::MailgunBounces,
        needed: &["address", "code", "error"],
        more: &["createdat", "messagehash"],
    },
    Shape {
        format: Format::MailgunUnsubscribes,
        // An address and tags are what any list of customers may have.
        needed: &["address", "tags", "createdat"],
        more: &["tag", "messagehash"],
    },
    Shape { format: Format::Csv, needed: &["address", "reason"], more: OURS },
    Shape { format: Format::Csv, needed: &["address", "class"], more: OURS },
    Shape { format: Format::MailgunComplaints, needed: &["address", "createdat"], more: &["messagehash"] },
];

/// Keys of JSON objects whose value is the list: of SES, of Mailgun, of Postmark; and those of SendGrid's contacts.
const CONTAINERS: [&str; 4] = ["suppresseddestinationsummaries", "items", "suppressions", "recipientemails"];

/// Whether the list is the value of such a key.
pub(super) fn is_container(key: &str) -> bool {
    CONTAINERS.contains(&plain_name(key).as_str())
}

/// A column or key without what its spellings differ in: `Email Address`, `emailAddress` and `email_address` are one.
pub(super) fn plain_name(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str) -> Result<Option<Format>, Beside> {
        Format::of_names(&header.split(',').map(plain_name).collect::<Vec<_>>())
    }

    #[test]
    fn a_list_is_known_by_its_columns() {
        for (header, format) in [
            ("address,stream,stream_name,reason,class", Some(Format::Csv)),
            ("address,reason", Some(Format::Csv)),
            ("Address", Some(Format::Plain)),
            ("email", Some(Format::Plain)),
            ("emailAddress,reason", Some(Format::Ses)),
            ("Email address,Reason,Last update time", Some(Format::Ses)),
            ("status,reason,email,created", Some(Format::SendgridBounces)),
            ("reason,email,created", Some(Format::SendgridInvalidEmails)),
            ("email,group_id,group_name,created_at", Some(Format::SendgridUnsubscribes)),
            ("address,code,error,created_at", Some(Format::MailgunBounces)),
            ("address,tags,created_at", Some(Format::MailgunUnsubscribes)),
            ("Recipient,Origin,SuppressionReason,CreatedAt", Some(Format::Postmark)),
            ("EmailAddress,SuppressionReason,Origin,CreatedAt", Some(Format::Postmark)),
            ("name,age", None),
            ("email,name", None),
            ("address,city", None),
        ] {
            assert_eq!(of(header), Ok(format), "{header}");
        }
    }

    /// Lists of living customers: an address, a date or a remark, and what no list of suppressions has.
    #[test]
    fn a_list_with_other_columns_beside_those_of_a_service_is_none_of_its_lists() {
        for (header, format, other) in [
            ("email,created,name", Format::SendgridUnsubscribes, "name"),
            ("email,created,ip,country", Format::SendgridSpamReports, "country"),
            ("id,email,status,reason,created", Format::SendgridBounces, "id"),
            ("address,created_at,plan", Format::MailgunComplaints, "plan"),
            ("address,tags,created_at,orders", Format::MailgunUnsubscribes, "orders"),
            ("address,reason,phone", Format::Csv, "phone"),
            ("Email Address,Reason,First Name", Format::Ses, "firstname"),
        ] {
            assert_eq!(of(header), Err(Beside { format, others: vec![other.to_owned()] }), "{header}");
        }
        for (header, format) in [
            ("email,created", Format::SendgridUnsubscribes),
            ("email,ip,created", Format::SendgridSpamReports),
            ("address,created_at", Format::MailgunComplaints),
        ] {
            assert_eq!(of(header), Err(Beside { format, others: vec![] }), "{header}");
        }
        for header in [
            "email,created_at",
            "address,tags",
            "id,email,name,status,created_at",
            "address,note",
            "email,signed_up",
        ] {
            assert_eq!(of(header), Ok(None), "{header}");
        }
    }

    #[test]
    fn every_format_has_one_name() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.as_str()), Some(format));
            assert_eq!(serde_json::to_value(format).unwrap(), format.as_str());
        }
        assert_eq!(Format::from_name("excel"), None);
    }
}
