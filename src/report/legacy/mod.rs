//! Bounces that are no DSN: text alone, in the words of one family of programs a file.
//!
//! Each family implements [`Family`], or is a row of the table; [`asked`] has them in the order in which they are
//! asked, those with the clearest marks first and the reader for anything last. The first that reads a recipient wins.

mod activehunter;
mod aol;
mod communigate;
mod copy;
mod courier;
mod domino;
mod embedded;
mod entries;
mod exchange;
mod exim;
mod ezweb;
mod failed_recipients;
mod fml;
mod generic;
mod gmx;
mod googlegroups;
mod groupwise;
mod imail;
mod interscan;
mod james;
mod letter;
mod list_servers;
mod listed;
mod mdaemon;
mod messaging_server;
mod opensmtpd;
mod postfix;
mod qmail;
mod sendmail;
mod service;
mod ses;
mod stated;
mod table;
mod text;
mod verizon;
mod words;
mod workmail;
mod yahoo;
mod zoho;

use std::sync::LazyLock;

pub(super) use letter::Letter;
use regex::Regex;
use table::opened_by;
pub(super) use text::pattern;
pub(super) use words::{FAILURE, WARNING};

use super::feedback::Feedback;
use super::{Action, Diagnostic, MessageFields, RecipientFields, ReturnedMessage};
use crate::address::{TypedAddress, comparison_form};
use crate::status::{EnhancedStatusCode, ReplyCode};

/// Longest text kept about one recipient, in bytes.
const MAX_SAID: usize = 8 * 1024;

/// Recipients kept of one letter. Real ones name a few; a list of thousands is no bounce.
pub(super) const MAX_RECIPIENTS: usize = 500;

/// Longest text that several recipients get a copy of each, in bytes.
const MAX_SHARED: usize = 1024;

/// A family of programs that write bounces of their own form.
pub(super) trait Family: Sync {
    /// The family's name, as it stands in defects and tests: `qmail`.
    fn name(&self) -> &'static str;

    /// Whether the mark of this family is so clear that a letter is a bounce by it alone, whatever its header
    /// says. Only such families are asked about letters that do not look like bounces.
    fn certain(&self) -> bool {
        true
    }

    /// Whether the program writes its bounces like an answer, `Re: …`.
    fn answers(&self) -> bool {
        false
    }

    /// Reads a letter of this family; `None` when it is none, or names no recipient.
    fn read(&self, letter: &Letter<'_>) -> Option<Reading>;
}

/// How sure a family is of the recipients it read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Confidence {
    /// Taken for one because it stands near words of failure, and for nothing better.
    Doubtful,
    /// A sentence or a list says so, in words that no family claims as its own.
    Likely,
    /// Read from where the family is known to write it.
    #[default]
    Sure,
}

impl Confidence {
    /// What a defect says of it; nothing where there is nothing to say.
    pub(super) const fn remark(self) -> Option<&'static str> {
        match self {
            Self::Doubtful => Some("guessed from an address near words of failure (confidence: doubtful)"),
            Self::Likely => Some("read from prose of no known program (confidence: likely)"),
            Self::Sure => None,
        }
    }
}

/// What a family found in a letter.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The recipients, at least one.
    pub(super) recipients: Vec<RecipientFields>,
    /// Fields about the whole message, as far as the text has them.
    pub(super) message: MessageFields,
    /// Where in the letter's text the returned message begins.
    pub(super) original_at: Option<usize>,
    /// How sure the family is of the recipients.
    pub(super) confidence: Confidence,
    /// What is known of the returned message otherwise.
    pub(super) original: Option<ReturnedMessage>,
    /// That it is no bounce but a complaint, and what it says.
    pub(super) feedback: Option<Feedback>,
}

impl Reading {
    /// A reading of recipients and nothing else.
    fn of(recipients: Vec<RecipientFields>) -> Self {
        Self { recipients, ..Self::default() }
    }

    /// The same from a host with this name, if it is one.
    fn reported_by(mut self, host: Option<&str>) -> Self {
        let host = host.map(|host| host.trim().trim_end_matches(['.', ':', ',']));
        self.message.reporting_mta = host
            .filter(|host| host.contains('.') && !host.contains(|c: char| c.is_whitespace() || c == '@'))
            .map(|host| TypedAddress { kind: None, value: host.to_owned() });
        self
    }

    /// The same, not given up yet.
    fn delayed(mut self) -> Self {
        for recipient in &mut self.recipients {
            recipient.action = Some(Action::Delayed);
        }
        self
    }

    /// The same, as sure as this.
    const fn with(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }
}

/// The families that are asked first: their own marks tell them.
static MARKED: &[&dyn Family] = &[
    &ses::Ses,
    &embedded::Embedded,
    &qmail::Qmail,
    &googlegroups::GoogleGroups,
    &yahoo::Yahoo,
    &aol::Aol,
    &workmail::WorkMail,
    &zoho::Zoho,
    &gmx::Gmx,
    &james::James,
    &ezweb::EzWeb,
    &fml::Fml,
    &activehunter::ActiveHunter,
    &verizon::Verizon,
];

/// Those that are asked after the table, the readers for anything last.
static BY_WORDS: &[&dyn Family] = &[
    &postfix::Postfix,
    &exim::Exim,
    &opensmtpd::OpenSmtpd,
    &courier::Courier,
    &exchange::Exchange,
    &exchange::AnyLanguage,
    &domino::Domino,
    &groupwise::GroupWise,
    &imail::Imail,
    &interscan::InterScan,
    &communigate::CommuniGate,
    &mdaemon::MDaemon,
    &messaging_server::MessagingServer,
    &list_servers::ListServers,
    &sendmail::Sendmail,
    &failed_recipients::FailedRecipients,
    &listed::Listed,
    &stated::Stated,
    &generic::Generic,
];

/// Every family that may have written a letter, in the order in which they are asked.
fn asked(letter: &Letter<'_>) -> impl Iterator<Item = &'static dyn Family> {
    let table = std::iter::once_with(|| opened_by(letter)).flatten().map(|family| family as &dyn Family);
    MARKED.iter().copied().chain(table).chain(BY_WORDS.iter().copied())
}

/// A letter that a family could read.
pub(super) struct Found {
    /// The name of the family.
    pub(super) family: &'static str,
    pub(super) reading: Reading,
    pub(super) original: Option<ReturnedMessage>,
}

/// Asks the families one after the other.
pub(super) fn read(letter: &Letter<'_>) -> Option<Found> {
    let bounce = letter.bounce;
    // Someone answers to a bounce, or forwards one: his letter is none.
    let talk = !bounce && letter.is_talk();
    let may = |family: &&'static dyn Family| bounce || (family.certain() && (!talk || family.answers()));
    asked(letter).filter(may).find_map(|family| {
        let mut reading = family.read(letter).filter(|reading| !reading.recipients.is_empty())?;
        reading.original_at = reading.original_at.or(letter.original_at);
        let original = letter.original.clone().or_else(|| reading.original.take());
        Some(Found { family: family.name(), reading, original })
    })
}

/// A recipient that failed, with what is said about it; `text` may be empty.
pub(super) fn failed(address: &str, text: &str) -> RecipientFields {
    let text = from_reason(text.trim());
    RecipientFields {
        final_recipient: Some(TypedAddress { kind: None, value: address.to_owned() }),
        action: Some(Action::Failed),
        remote_mta: remote_host(text),
        diagnostic_code: (!text.is_empty()).then(|| Diagnostic { kind: None, text: text.to_owned() }),
        ..RecipientFields::default()
    }
}

/// How programs name the host that refused.
static REMOTE_HOST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i-u)\b(?:host|server|connect to|connected to|talking to|remote host|lost connection with|giving up on)\s+<?([a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)+)",
    )
});

/// The same at the start of a line, of a host that speaks.
static SPEAKING_HOST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?im-u)^([a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)+) (?:does not like recipient|failed after i sent)")
});

/// The host that refused, where the text names one.
fn remote_host(text: &str) -> Option<TypedAddress> {
    let named = REMOTE_HOST.captures(text).and_then(|found| found.get(1));
    let speaks = ["does not like", "failed after"].iter().any(|words| text.contains(words));
    let speaking = speaks.then(|| SPEAKING_HOST.captures(text)?.get(1)).flatten();
    let host = [named, speaking].into_iter().flatten().min_by_key(|host| host.start())?;
    Some(TypedAddress { kind: None, value: host.as_str().to_owned() })
}

/// A text from its `Reason:` line on, which says more than the prose before it; all of it where a code stands before.
fn from_reason(text: &str) -> &str {
    const LABEL: &str = "reason:";
    let starts = |line: &str| line.get(..LABEL.len()).is_some_and(|start| start.eq_ignore_ascii_case(LABEL));
    let labelled = |(_, line): &(usize, &str)| starts(line.trim()) && line.trim().len() > LABEL.len();
    let Some((at, _)) = text::lines(text).find(labelled) else { return text };
    let before = &text[..at];
    if ReplyCode::find_failure(before).is_some() || EnhancedStatusCode::find(before).is_some() {
        return text;
    }
    text[at..].trim_start()[LABEL.len()..].trim_start()
}

/// Whether two addresses are the same but for the case of their letters.
fn same_address(a: &str, b: &str) -> bool {
    comparison_form(a) == comparison_form(b)
}

#[cfg(test)]
mod tests {
    use super::table::TABLE;
    use super::*;

    #[test]
    fn the_host_that_refused_is_read_from_the_text() {
        for (text, host) in [
            ("host mx.x.example[192.0.2.1] said: 550 no", Some("mx.x.example")),
            ("192.0.2.7 does not like recipient.\nRemote host said: 550 no", Some("192.0.2.7")),
            ("Connected to 192.0.2.7 but sender was rejected.", Some("192.0.2.7")),
            ("... while talking to mx.x.example.:", Some("mx.x.example")),
            ("Remote host said: 550 no", None),
            ("", None),
        ] {
            assert_eq!(remote_host(text).map(|mta| mta.value).as_deref(), host, "{text}");
        }
    }

    #[test]
    fn a_reason_beats_the_prose_before_it() {
        for (text, said) in [
            ("It was rejected by policy.\nReason: User unknown\nSorry.", "User unknown\nSorry."),
            ("reason:  gone", "gone"),
            ("550 5.1.1 User unknown\nReason: see our site", "550 5.1.1 User unknown\nReason: see our site"),
            ("No reason: none\nReason:\n", "No reason: none\nReason:\n"),
            ("", ""),
        ] {
            assert_eq!(from_reason(text), said, "{text}");
        }
    }

    #[test]
    fn every_family_has_a_name_of_its_own() {
        let table = TABLE.iter().map(|family| family as &dyn Family);
        let families = MARKED.iter().copied().chain(table).chain(BY_WORDS.iter().copied());
        let mut names: Vec<_> = families.map(Family::name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
