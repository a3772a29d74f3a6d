//! `dsnd return-path keygen|mint|verify`.

use std::io::{BufRead, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{output, streams};
use crate::address::{ForwardPath, Mailbox, comparison_form};
use crate::config::{Config, read_key_file};
use crate::returnpath::{Keys, MintError, Refusal, ReturnPath, ReturnPaths, keys, mint as mint_one};

/// Stands for standard input among addresses.
const STDIN: &str = "-";

/// Verbs.
#[derive(Debug, Subcommand)]
pub(super) enum ReturnPathVerb {
    /// Make a key that signs return paths.
    Keygen(Keygen),
    /// Make the return path of a message to each address, with the newest key.
    Mint(Mint),
    /// Say whether a return path is ours and valid.
    ///
    /// Exit status 0: it is signed and valid, and with --recipient made for that address. 1: it is not.
    Verify(Verify),
}

/// `keygen`.
#[derive(Debug, Args)]
pub(super) struct Keygen {
    /// Add it to this key file, with the next free id; the file is made with mode 0600 where it is not there.
    /// Without it the key goes to standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The key's id, 0 to 15.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=15))]
    id: Option<u8>,
}

/// `mint`.
#[derive(Debug, Args)]
pub(super) struct Mint {
    /// Whom the messages go to; - reads addresses from standard input, one a line.
    #[arg(required = true, value_name = "ADDRESS")]
    addresses: Vec<String>,
    /// The sending stream, by name or number.
    #[arg(long, value_name = "STREAM", default_value = "0")]
    stream: String,
    /// With the recipient readable in it, where it fits into 64 octets.
    #[arg(long)]
    readable: bool,
    /// The domain behind the @, instead of the first of return_path.domains.
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// One JSON object an address.
    #[arg(long)]
    json: bool,
}

/// `verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The return path.
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// Also ask whether it was made for this recipient.
    #[arg(long, value_name = "ADDRESS")]
    recipient: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// What is known of the address that a message came to.
pub(super) struct Arrival {
    pub(super) ours: ReturnPaths,
    pub(super) path: ReturnPath,
}

/// The answer of `verify`.
#[derive(Debug, Serialize)]
struct Verified<'a> {
    return_path: &'a str,
    state: &'static str,
    kind: Option<&'static str>,
    reason: Option<String>,
    recipient: Option<String>,
    made_for_recipient: Option<bool>,
    key_id: Option<u8>,
    stream: Option<u32>,
    made: Option<String>,
    days_left: Option<i64>,
}

/// Runs a verb.
pub(super) fn run(config: Option<&Path>, verb: &ReturnPathVerb) -> anyhow::Result<ExitCode> {
    match verb {
        ReturnPathVerb::Keygen(arguments) => keygen(arguments),
        ReturnPathVerb::Mint(arguments) => mint(config, arguments),
        ReturnPathVerb::Verify(arguments) => verify(config, arguments),
    }
}

/// What the configured receiver would make of a return path now.
pub(super) fn arrival(config: Option<&Path>, address: &str) -> anyhow::Result<Arrival> {
    let config = Config::load(config)?;
    let path = config
        .return_paths
        .judge(&forward_path(address)?, Timestamp::now())
        .with_context(|| format!("a message to {address} would be refused"))?;
    Ok(Arrival { ours: config.return_paths, path })
}

fn mailbox(address: &str) -> anyhow::Result<Mailbox> {
    Mailbox::parse(address).with_context(|| format!("{address:?} is no address"))
}

fn forward_path(address: &str) -> anyhow::Result<ForwardPath> {
    Ok(ForwardPath::Mailbox(mailbox(address)?))
}

fn keygen(arguments: &Keygen) -> anyhow::Result<ExitCode> {
    let secret = keys::generate().context("the system has no randomness")?;
    let today = date(Timestamp::now());
    let mut out = output::stdout();
    let Some(path) = &arguments.output else {
        let line = Zeroizing::new(format!("{} {} # {today}\n", arguments.id.unwrap_or(1), *secret));
        out.write_all(line.as_bytes())?;
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    };
    let named = || path.display();
    // The mode is checked and the keys are read before anything is written.
    let known = if path.exists() {
        read_key_file(path).with_context(|| format!("cannot use the keys in {}", named()))?
    } else {
        Keys::default()
    };
    let id = match arguments.id {
        Some(id) if known.get(id).is_some() => anyhow::bail!("key {id} is in {} already", named()),
        Some(id) => id,
        None => known.next_id().with_context(|| {
            format!("all sixteen ids are taken in {}; remove a key whose return paths have expired", named())
        })?,
    };
    let mut file = std::fs::OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", named()))?;
    let mut last = [b'\n'];
    if file.seek(std::io::SeekFrom::End(-1)).is_ok() {
        file.read_exact(&mut last)?;
    }
    let line_end = if last == [b'\n'] { "" } else { "\n" };
    let line = Zeroizing::new(format!("{line_end}{id} {} # {today}\n", *secret));
    file.write_all(line.as_bytes())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", named()))?;
    let next = if known.is_empty() {
        "name the file in return_path.keys_file, then `systemctl reload dsnd`, then give the key to your senders"
    } else {
        "`dsnd return-path mint` signs with it from now on, and the daemon refuses what it signs until \
         `systemctl reload dsnd`; give it to your senders after that"
    };
    writeln!(out, "{}: key {id} added; {next}", named())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn mint(config: Option<&Path>, arguments: &Mint) -> anyhow::Result<ExitCode> {
    let named = arguments.addresses.iter().filter(|address| *address != STDIN);
    let named = named.map(|address| mailbox(address)).collect::<Result<Vec<_>, _>>()?;
    let from_input = arguments.addresses.iter().any(|address| address == STDIN);
    let config = Config::load(config)?;
    config.return_paths.keys().newest().ok_or(MintError::NoKey)?;
    let domain = arguments.domain.as_ref().or_else(|| config.domains.first()).map(String::as_str);
    let stream = u32::try_from(streams::number(&config.streams, &arguments.stream)?)?;
    let now = Timestamp::now();
    let mut out = output::stdout();
    // Only where it is asked for: a shell's loop reads its addresses from there.
    let input = from_input.then(|| std::io::stdin().lock().lines()).into_iter().flatten().zip(1..);
    let input = input.filter_map(|(line, number)| match line {
        Ok(line) if line.trim().is_empty() => None,
        Ok(line) => Some(mailbox(line.trim()).with_context(|| format!("line {number} of standard input"))),
        Err(error) => Some(Err(error).context("cannot read standard input")),
    });
    for recipient in named.into_iter().map(Ok).chain(input) {
        let recipient = recipient?;
        let how = (stream, arguments.readable);
        let minted = mint_one(&config.return_paths, domain, &recipient, how, now)?;
        if arguments.json {
            output::json_line(&mut out, &minted)?;
        } else {
            writeln!(out, "{}", minted.return_path)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn verify(config: Option<&Path>, arguments: &Verify) -> anyhow::Result<ExitCode> {
    let path = forward_path(&arguments.address)?;
    let asked = arguments.recipient.as_deref().map(mailbox).transpose()?;
    let config = Config::load(config)?;
    let now = Timestamp::now();
    let judged = config.return_paths.judge(&path, now);
    let mut verified = verified(&arguments.address, &judged);
    if let Ok(ReturnPath::Token { token, .. }) = &judged {
        verified.days_left = Some(config.return_paths.days_left(token, now));
        verified.made_for_recipient = asked
            .as_ref()
            .map(|recipient| token.names(config.return_paths.keys(), &recipient.comparison_form()));
    } else if let Some(asked) = &asked {
        let same = |named: &String| comparison_form(named) == asked.comparison_form();
        verified.made_for_recipient = Some(verified.recipient.as_ref().is_some_and(same));
    }
    let fine = verified.state == "valid" && verified.made_for_recipient != Some(false);
    let mut out = output::stdout();
    if arguments.json {
        output::json_line(&mut out, &verified)?;
    } else {
        print(&mut out, &verified, arguments.recipient.as_deref())?;
    }
    out.flush()?;
    Ok(ExitCode::from(u8::from(!fine)))
}

fn verified<'a>(return_path: &'a str, judged: &Result<ReturnPath, Refusal>) -> Verified<'a> {
    let mut verified = Verified {
        return_path,
        state: "unsigned",
        kind: None,
        reason: None,
        recipient: None,
        made_for_recipient: None,
        key_id: None,
        stream: None,
        made: None,
        days_left: None,
    };
    match judged {
        Ok(ReturnPath::Token { token, readable }) => {
            verified.state = "valid";
            verified.kind = Some("token");
            verified.recipient = readable.as_ref().map(ToString::to_string);
            verified.key_id = Some(token.key_id());
            verified.stream = Some(token.stream());
            verified.made = Some(token.made());
        }
        Ok(ReturnPath::Batv { recipient }) => {
            verified.state = "valid";
            verified.kind = Some("batv");
            verified.recipient = recipient.as_ref().map(ToString::to_string);
        }
        Ok(ReturnPath::Verp { recipient }) => {
            verified.kind = Some("verp");
            verified.recipient = Some(recipient.to_string());
        }
        Ok(ReturnPath::Fixed) => verified.kind = Some("fixed"),
        Err(refusal) => {
            verified.state = "refused";
            verified.reason = Some(refusal.to_string());
        }
    }
    verified
}

fn print(out: &mut impl Write, verified: &Verified<'_>, asked: Option<&str>) -> anyhow::Result<()> {
    let other = verified.state == "valid" && verified.made_for_recipient == Some(false);
    let state = if other { "made for another recipient" } else { verified.state };
    let style = output::style_of(if other { "refused" } else { state });
    writeln!(out, "{}: {style}{state}{style:#}", output::clean(verified.return_path))?;
    output::field(out, "because", verified.reason.as_deref())?;
    output::field(out, "kind", verified.kind)?;
    output::field(out, "recipient", verified.recipient.as_deref())?;
    if let (Some(asked), Some(made_for)) = (asked, verified.made_for_recipient) {
        output::field(out, "made for", Some(&format!("{asked}: {}", if made_for { "yes" } else { "no" })))?;
    }
    output::field(out, "key", verified.key_id.map(|id| id.to_string()).as_deref())?;
    output::field(out, "stream", verified.stream.map(|stream| stream.to_string()).as_deref())?;
    output::field(out, "made", verified.made.as_deref())?;
    output::field(out, "days left", verified.days_left.map(|days| days.to_string()).as_deref())?;
    Ok(())
}

fn date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}
