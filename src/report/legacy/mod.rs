//! Bounces that are no DSN: text alone, in the words of one family of programs a file.
//!
//! Each family implements [`Family`]; [`REGISTRY`] holds them in the order in which they are asked, the ones
//! with the clearest marks first and the reader for anything last. The first that reads a recipient wins.

mod activehunter;
mod aol;
mod barracuda;
mod biglobe;
mod bilingual;
mod bracketed;
mod directory;
mod dragonfly;
mod ezweb;
mod fml;
mod frontbridge;
mod gmail;
mod gmx;
mod googlegroups;
mod interscan;
mod ironport;
mod james;
mod kddi;
mod labelled;
mod letter;
mod mailenable;
mod mailfoundry;
mod mailmarshal;
mod mcafee;
mod messagelabs;
mod mfilter;
mod mimecast;
mod mxlogic;
mod prodigy;
mod qmail;
mod service;
mod ses;
mod sorry;
mod starred;
mod surfcontrol;
mod tonline;
mod trouble;
mod verizon;
mod workmail;
mod yahoo;
mod zoho;

pub(super) use letter::Letter;

use super::feedback::Feedback;
use super::{Action, Diagnostic, MessageFields, RecipientFields, ReturnedMessage};
use crate::address::TypedAddress;

/// A family of programs that write bounces of their own form.
pub(super) trait Family: Sync {
    /// The family's name, as it stands in defects and tests: `qmail`.
    fn name(&self) -> &'static str;

    /// Whether the mark of this family is so clear that a letter is a bounce by it alone, whatever its header
    /// says. Only such families are asked about letters that do not look like bounces.
    fn certain(&self) -> bool {
        true
    }

    /// Reads a letter of this family; `None` when it is none, or names no recipient.
    fn read(&self, letter: &Letter<'_>) -> Option<Reading>;
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
    /// What is known of the returned message otherwise.
    pub(super) original: Option<ReturnedMessage>,
    /// That it is no bounce but a complaint, and what it says.
    pub(super) feedback: Option<Feedback>,
}

/// Every family, in the order in which they are asked.
static REGISTRY: &[&dyn Family] = &[
    &qmail::Qmail,
    &ses::Ses,
    &googlegroups::GoogleGroups,
    &starred::Starred,
    &gmail::Gmail,
    &yahoo::Yahoo,
    &aol::Aol,
    &workmail::WorkMail,
    &zoho::Zoho,
    &gmx::Gmx,
    &tonline::TOnline,
    &dragonfly::DragonFly,
    &james::James,
    &mailmarshal::MailMarshal,
    &mfilter::MFilter,
    &ezweb::EzWeb,
    &kddi::Kddi,
    &biglobe::Biglobe,
    &interscan::InterScan,
    &mailfoundry::MailFoundry,
    &mxlogic::MxLogic,
    &mcafee::McAfee,
    &mimecast::Mimecast,
    &mailenable::MailEnable,
    &bracketed::Bracketed,
    &trouble::Trouble,
    &fml::Fml,
    &activehunter::ActiveHunter,
    &surfcontrol::SurfControl,
    &barracuda::Barracuda,
    &prodigy::Prodigy,
    &ironport::IronPort,
    &messagelabs::MessageLabs,
    &frontbridge::FrontBridge,
    &sorry::Sorry,
    &bilingual::Bilingual,
    &labelled::Labelled,
    &directory::Directory,
    &verizon::Verizon,
];

/// A letter that a family could read.
pub(super) struct Found {
    pub(super) reading: Reading,
    pub(super) original: Option<ReturnedMessage>,
}

/// Asks the families one after the other. `bounce` says that the header looks like a bounce's.
pub(super) fn read(letter: &Letter<'_>, bounce: bool) -> Option<Found> {
    REGISTRY.iter().filter(|family| bounce || family.certain()).find_map(|family| {
        let mut reading = family.read(letter).filter(|reading| !reading.recipients.is_empty())?;
        let original = reading
            .original_at
            .and_then(|at| super::returned::read(letter.text.get(at..)?.as_bytes()))
            .or_else(|| reading.original.take());
        Some(Found { reading, original })
    })
}

/// A recipient that failed, with what is said about it; `text` may be empty.
pub(super) fn failed(address: &str, text: &str) -> RecipientFields {
    let text = text.trim();
    RecipientFields {
        final_recipient: Some(TypedAddress { kind: None, value: address.to_owned() }),
        action: Some(Action::Failed),
        diagnostic_code: (!text.is_empty()).then(|| Diagnostic { kind: None, text: text.to_owned() }),
        ..RecipientFields::default()
    }
}
