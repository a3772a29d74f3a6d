//! Which lists are read, and what their columns or keys tell them by.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A kind of list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
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

    /// The format whose lists have these columns or keys, given as [`plain_name`] makes them; our own is
    /// [`Self::Csv`].
    pub(super) fn of_names(names: &[String]) -> Option<Self> {
        let has = |name: &str| names.iter().any(|known| known == name);
        if let [only] = names {
            return matches!(only.as_str(), "address" | "email" | "emailaddress" | "recipient")
                .then_some(Self::Plain);
        }
        if has("suppressionreason") && (has("emailaddress") || has("recipient")) {
            return Some(Self::Postmark);
        }
        if has("emailaddress") && has("reason") {
            return Some(Self::Ses);
        }
        if has("email") {
            return match () {
                () if has("status") && has("reason") => Some(Self::SendgridBounces),
                () if has("reason") && has("created") => Some(Self::SendgridInvalidEmails),
                () if has("ip") => Some(Self::SendgridSpamReports),
                () if has("created") || has("createdat") || has("groupid") => {
                    Some(Self::SendgridUnsubscribes)
                }
                () => None,
            };
        }
        if has("address") {
            return match () {
                () if has("code") && has("error") => Some(Self::MailgunBounces),
                () if has("tags") => Some(Self::MailgunUnsubscribes),
                () if OURS.iter().any(|column| has(column)) => Some(Self::Csv),
                () if has("createdat") => Some(Self::MailgunComplaints),
                () => None,
            };
        }
        None
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

/// Columns that only our own lists have beside `address`.
const OURS: [&str; 8] =
    ["reason", "stream", "class", "expiresat", "firstseen", "lastseen", "note", "evidence"];

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

    fn of(header: &str) -> Option<Format> {
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
            ("ip,email,created", Some(Format::SendgridSpamReports)),
            ("email,created", Some(Format::SendgridUnsubscribes)),
            ("email,group_id,group_name,created_at", Some(Format::SendgridUnsubscribes)),
            ("address,code,error,created_at", Some(Format::MailgunBounces)),
            ("address,created_at", Some(Format::MailgunComplaints)),
            ("address,tags,created_at", Some(Format::MailgunUnsubscribes)),
            ("Recipient,Origin,SuppressionReason,CreatedAt", Some(Format::Postmark)),
            ("EmailAddress,SuppressionReason,Origin,CreatedAt", Some(Format::Postmark)),
            ("name,age", None),
            ("email,name", None),
            ("address,city", None),
        ] {
            assert_eq!(of(header), format, "{header}");
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
