//! `dsnd ingest`: one message from standard input into the store, as an MTA's pipe hands it over.
//!
//! The exit status is one of `sysexits.h`, which tells an MTA whether to try again or to give up.

use std::io::{self, Read};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::{block_on, output};
use crate::address::{ForwardPath, Mailbox, ReversePath};
use crate::app::{ingest_settings, open_store};
use crate::classify::Classifier;
use crate::config::Config;
use crate::ingest::{Ingest, verdict};
use crate::smtp::command::{forward_path, reverse_path};
use crate::smtp::settings::MAX_COMMAND_LINE;
use crate::smtp::{Envelope, EnvelopeRecipient, Peer, PeerAddress, Protocol, RecipientVerdict};

/// `EX_USAGE`: the command was called wrongly.
pub(super) const USAGE: u8 = 64;
/// `EX_DATAERR`: the message cannot be taken, however often it comes.
const DATA: u8 = 65;
/// `EX_NOUSER`: there is no such mailbox.
const NO_USER: u8 = 67;
/// `EX_TEMPFAIL`: it cannot be taken now. A wrong configuration as well, and not `EX_CONFIG`: MTAs take that for final,
/// and a bounce would be lost for a slip of the pen.
const TRY_LATER: u8 = 75;
/// `EX_NOPERM`: the return path is not taken.
const NO_PERMISSION: u8 = 77;

/// Most that is read and dropped of a message that is not taken: an MTA that cannot write the whole of it may take
/// that for the failure, and not our exit status.
const MAX_DROPPED: u64 = 1 << 30;

/// What an MTA writes for the null reverse-path where it has to write something: pipe(8) and local(8) of Postfix.
const NULL_SENDER: &str = "MAILER-DAEMON";

/// Arguments.
#[derive(Debug, Args)]
pub(super) struct IngestArguments {
    /// The return path that the message came to; several where it came to several at once. Without it:
    /// ORIGINAL_RECIPIENT or RECIPIENT of the environment, as an MTA's local delivery sets them.
    #[arg(long, value_name = "ADDRESS", num_args = 1..)]
    return_path: Vec<String>,
    /// The message's own envelope sender, empty for the null one. Without it: SENDER of the environment, or null.
    #[arg(long, value_name = "ADDRESS")]
    sender: Option<String>,
}

/// Why a message was not taken: the exit status, and what standard error says.
struct Refusal(u8, String);

impl Refusal {
    fn of(code: u8, error: impl Into<anyhow::Error>) -> Self {
        Self(code, super::in_one_line(&error.into()))
    }
}

/// Does it, and makes of a panic what an MTA takes for "later": its own status, 101, would be final, and the message lost.
pub(super) fn guarded(run: impl FnOnce() -> ExitCode) -> ExitCode {
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        let _ = io::copy(&mut io::stdin().lock().take(MAX_DROPPED), &mut io::sink());
        output::error(
            "a fault of dsnd's own; the message is kept where it came from, and may be tried again",
        );
        ExitCode::from(TRY_LATER)
    })
}

/// Takes one message and says nothing, or says in one line why it does not.
pub(super) fn run(config: Option<&Path>, arguments: &IngestArguments) -> ExitCode {
    let mut message = io::stdin().lock();
    match take(config, arguments, &mut message) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Refusal(code, why)) => {
            let _ = io::copy(&mut message.take(MAX_DROPPED), &mut io::sink());
            why.lines().for_each(output::error);
            ExitCode::from(code)
        }
    }
}

fn take(config: Option<&Path>, arguments: &IngestArguments, message: &mut impl Read) -> Result<(), Refusal> {
    let config = Config::load(config).map_err(|error| Refusal::of(TRY_LATER, error))?;
    let classifier = Classifier::with_rules(&config.rules).map_err(|error| Refusal::of(TRY_LATER, error))?;
    let reverse_path = sender(arguments)?;
    // The return path is judged before anything is read or opened, as RCPT does it.
    let recipients = recipients(arguments, &config)?;
    let octets = read(message, config.smtp.max_message_size)?;
    let envelope = Envelope {
        tls: None,
        peer: Peer { connection: 0, address: PeerAddress::Pipe },
        protocol: Protocol::Local,
        helo: "pipe".to_owned(),
        reverse_path,
        envelope_id: None,
        recipients,
        bare_newlines: false, // a pipe has the line ends of this machine
    };
    let recorded = block_on(async {
        let store = Arc::new(open_store(&config).await?);
        let ingest = Ingest::new(Arc::clone(&store), Arc::new(classifier), ingest_settings(&config));
        let taken = ingest.take(envelope, octets).await;
        drop(ingest);
        if let Some(store) = Arc::into_inner(store) {
            store.close().await;
        }
        Ok(taken?)
    });
    // Whatever is wrong with the store: the MTA keeps the message until somebody has mended it.
    recorded.map(|_| ()).map_err(|error| Refusal::of(TRY_LATER, error))
}

/// The envelope sender. What is no address is kept as it is, as `MAIL FROM` does it.
fn sender(arguments: &IngestArguments) -> Result<ReversePath, Refusal> {
    let text = arguments.sender.clone().or_else(|| variable("SENDER")).unwrap_or_default();
    let text = text.trim();
    if text.is_empty() || text == NULL_SENDER {
        return Ok(ReversePath::Null);
    }
    if text.len() > MAX_COMMAND_LINE || text.chars().any(char::is_control) {
        return Err(Refusal(USAGE, format!("--sender: {:?} is no address", shortened(text))));
    }
    Ok(reverse_path(text).unwrap_or_else(|| ReversePath::Other(text.to_owned())))
}

/// The return paths that are taken, at least one. Where it came to several, those that are refused are left out.
fn recipients(arguments: &IngestArguments, config: &Config) -> Result<Vec<EnvelopeRecipient>, Refusal> {
    let mut named = arguments.return_path.clone();
    if named.is_empty() {
        // An alias leads here: the address before it is the one that the bounce came to.
        named.extend(["ORIGINAL_RECIPIENT", "RECIPIENT"].into_iter().filter_map(variable));
    }
    let mut accepted = Vec::new();
    let mut refusal = None;
    for text in &named {
        match judge(text, config) {
            Ok(forward_path) => accepted.push(EnvelopeRecipient { forward_path, original_recipient: None }),
            Err(refused) => refusal = refusal.or(Some(refused)),
        }
    }
    let nothing = || {
        let why = "no return path; name it with --return-path ADDRESS, or call this from an MTA that sets RECIPIENT";
        Refusal(USAGE, why.to_owned())
    };
    if accepted.is_empty() { Err(refusal.unwrap_or_else(nothing)) } else { Ok(accepted) }
}

fn judge(text: &str, config: &Config) -> Result<ForwardPath, Refusal> {
    // Exim and OpenSMTPD put an address into RECIPIENT without the quotes that its local part would need.
    let bare = |text: &str| {
        let (local_part, domain) = text.rsplit_once('@')?;
        Mailbox::new(local_part, domain).ok().map(ForwardPath::Mailbox)
    };
    let Some(path) = forward_path(text.trim()).or_else(|| bare(text.trim())) else {
        return Err(Refusal(USAGE, format!("--return-path: {:?} is no address", shortened(text))));
    };
    let verdict = verdict(&config.return_paths, &path);
    let code = match verdict {
        RecipientVerdict::Accept => return Ok(path),
        RecipientVerdict::NoSuchMailbox => NO_USER,
        RecipientVerdict::NotOurs | RecipientVerdict::Refuse(_) => NO_PERMISSION,
        RecipientVerdict::NoRoom | RecipientVerdict::TooMuchUnproven => TRY_LATER,
    };
    Err(Refusal(code, format!("{}: {}", shortened(text), verdict.reply())))
}

/// All of standard input, up to the largest message.
fn read(message: &mut impl Read, max_size: usize) -> Result<Vec<u8>, Refusal> {
    let mut octets = Vec::new();
    let limit = u64::try_from(max_size).unwrap_or(u64::MAX).saturating_add(1);
    let read = message.take(limit).read_to_end(&mut octets);
    read.map_err(|error| Refusal(TRY_LATER, format!("cannot read the message: {error}")))?;
    if octets.len() > max_size {
        let why = format!("552 5.3.4 Message too big; it may have {max_size} octets (smtp.max_message_size)");
        return Err(Refusal(DATA, why));
    }
    if octets.is_empty() {
        return Err(Refusal(DATA, "there is no message on standard input".to_owned()));
    }
    Ok(octets)
}

/// A variable of the environment, where it says something.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}

/// An argument for a message, which may not be as long as an argument may be.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(200)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_no_reason_to_give_a_message_up() {
        let status = |code: ExitCode| format!("{code:?}");
        assert_eq!(status(guarded(|| panic!("on purpose"))), status(ExitCode::from(TRY_LATER)));
        assert_eq!(status(guarded(|| ExitCode::from(DATA))), status(ExitCode::from(DATA)));
    }
}
