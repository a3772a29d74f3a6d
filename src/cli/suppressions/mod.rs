//! `dsnd suppressions check|show|list|add|remove|import|export`.

mod change;
mod check;
mod export;
mod import;
mod list;
mod show;

use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::filter::{self, stream_of};
use super::{block_on, listing, open_store, output, person, streams};
use crate::config::Config;
use crate::policy::Reason;
use crate::store::{Streams, Suppression, SuppressionFilter};

/// Verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Suppressions {
    /// Ask whether addresses are suppressed, and why.
    ///
    /// Exit status 0: none is. 1: at least one is. 2: it could not be told.
    Check(check::Check),
    /// Tell the whole story of an address: its entries, every change of them, every report about it.
    ///
    /// Exit status 0, or 1 when nothing is known of the address.
    Show(show::Show),
    /// List the entries, by address.
    List(Box<list::List>),
    /// Put addresses on the list by hand.
    Add(change::Add),
    /// Take addresses off the list, and forget what was counted against them; or take back whatever a filter matches.
    ///
    /// With addresses, exit status 0: all were on the list; 1: at least one was not.
    ///
    /// With a filter (one option or several, all of which must hold), every entry that stands and matches goes, in one
    /// transaction; exit status 0, also when there was none. What persons put on the list is spared unless --reason
    /// manual asks for it, complaints unless --reason complaint does, and imported lists unless --origin import does. --dry-run says how many there are and shows some.
    /// On a terminal it asks before it removes.
    Remove(Box<change::Remove>),
    /// Bring in a list: dsnd's own, a plain one, or what Amazon SES, SendGrid, Mailgun or Postmark export.
    ///
    /// What the list is, its columns or keys tell. Nothing that stands is shortened or made weaker, and what stands
    /// already stays, so a run that was broken off is simply started again. Take a wrong one back with `dsnd suppressions
    /// remove --origin import --since 1h`.
    ///
    /// Exit status 0: all of it was good. 1: some lines were not; the others were taken. 2: it could not be read or stored.
    Import(import::Import),
    /// Write the entries that stand to a list, in the order of their addresses, as they are at one moment.
    ///
    /// `dsnd suppressions import` makes the same entries of it again.
    Export(Box<export::Export>),
}

/// Options that say which entries are meant; all that are given must hold.
#[derive(Debug, Args)]
struct Filter {
    /// Only entries for this reason.
    #[arg(long, value_enum)]
    reason: Option<ReasonWord>,
    #[command(flatten)]
    options: filter::Options,
}

impl Filter {
    /// The filter of the store.
    fn resolve(&self, config: &Config) -> anyhow::Result<SuppressionFilter> {
        Ok(SuppressionFilter {
            common: self.options.resolve(config)?,
            reason: self.reason.map(Reason::from),
            ..SuppressionFilter::default()
        })
    }
}

/// A reason, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReasonWord {
    Soft,
    Hard,
    Manual,
    Complaint,
}

impl From<ReasonWord> for Reason {
    fn from(word: ReasonWord) -> Self {
        match word {
            ReasonWord::Soft => Self::Soft,
            ReasonWord::Hard => Self::Hard,
            ReasonWord::Manual => Self::Manual,
            ReasonWord::Complaint => Self::Complaint,
        }
    }
}

/// Runs a verb.
pub(super) fn run(config: Option<&Path>, verb: Suppressions) -> anyhow::Result<ExitCode> {
    let config = Config::load_without_keys(config)?;
    block_on(async {
        match verb {
            Suppressions::Check(arguments) => check::run(&config, &arguments).await,
            Suppressions::Show(arguments) => show::run(&config, &arguments).await,
            Suppressions::List(arguments) => list::run(&config, &arguments).await,
            Suppressions::Add(arguments) => change::add(&config, arguments).await,
            Suppressions::Remove(arguments) => change::remove(&config, &arguments).await,
            Suppressions::Import(arguments) => import::run(&config, arguments).await,
            Suppressions::Export(arguments) => export::run(&config, &arguments).await,
        }
    })
}

fn reason(entry: &Suppression) -> String {
    let reason = entry.reason.as_str();
    // A complaint's class says nothing more.
    let more = [&entry.class, &entry.status].into_iter().flatten().filter(|more| more.as_str() != reason);
    std::iter::once(reason).chain(more.map(String::as_str)).collect::<Vec<_>>().join(" ")
}

/// An entry in one line.
fn brief(streams: &Streams, entry: &Suppression) -> String {
    let term = if entry.expires_at.is_some() { "until " } else { "" };
    format!("{}, stream {}, {term}{}", reason(entry), streams::reach(streams, entry.stream), until(entry))
}

fn until(entry: &Suppression) -> String {
    match entry.expires_at {
        Some(at) if entry.recheckable => format!("{at}, recheckable"),
        Some(at) => at.to_string(),
        None => "for ever".to_owned(),
    }
}
