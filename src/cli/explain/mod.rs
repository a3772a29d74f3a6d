//! `dsnd explain FILE…|-`.

mod card;

use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::return_path::{self, Arrival};
use super::{FAILED, output};
use crate::classify::guide::Language;
use crate::ingest::explain;
use crate::report::mbox;

/// Largest message that is read, in bytes.
const MAX_MESSAGE: u64 = 256 * 1024 * 1024;

/// Arguments.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Message files; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// One JSON object a message.
    #[arg(long)]
    json: bool,
    /// Leave out the explanation of each code.
    #[arg(long, conflicts_with = "json")]
    short: bool,
    /// The language of explanations.
    #[arg(long, value_enum, default_value = "en")]
    lang: Language,
    /// The address the messages came to: says how far they are believed. Keys come from the configuration.
    #[arg(long, value_name = "ADDRESS")]
    return_path: Option<String>,
}

/// Explains every file; goes on after one that cannot be read, and says so in the exit status.
pub(super) fn run(config: Option<&Path>, arguments: &Explain) -> anyhow::Result<ExitCode> {
    let arrival = match &arguments.return_path {
        Some(address) => Some(return_path::arrival(config, address)?),
        None => None,
    };
    let classifier = super::classifier(config)?;
    let mut out: Box<dyn Write> =
        if arguments.json { Box::new(output::together()) } else { Box::new(output::stdout()) };
    let mut code = ExitCode::SUCCESS;
    for source in &arguments.files {
        let message = match read(source) {
            Ok(message) => message,
            Err(error) => {
                output::error(&format!("cannot read {source}: {error}"));
                code = ExitCode::from(FAILED);
                continue;
            }
        };
        for (index, message) in mbox::messages(&message).enumerate() {
            // The first bears the file's name alone, so that a file of one message is called what it is.
            let source = if index == 0 { source.clone() } else { format!("{source}#{}", index + 1) };
            let arrival = arrival.as_ref().map(|Arrival { ours, path }| (ours, path));
            let explained = explain(&classifier, &source, &message, arrival);
            if arguments.json {
                output::json_line(&mut out, &explained)?;
            } else {
                card::print(&mut out, &explained, classifier.registry(), arguments)?;
            }
        }
    }
    out.flush()?;
    Ok(code)
}

fn read(source: &str) -> std::io::Result<Vec<u8>> {
    let mut message = Vec::new();
    let input: Box<dyn Read> = if source == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        let file = std::fs::File::open(source)?;
        let length = file.metadata()?.len().min(MAX_MESSAGE);
        message.reserve_exact(length as usize + 1); // so that the end is seen without more room
        Box::new(file)
    };
    input.take(MAX_MESSAGE + 1).read_to_end(&mut message)?;
    if message.len() as u64 > MAX_MESSAGE {
        return Err(std::io::Error::other(format!("larger than {} MiB", MAX_MESSAGE >> 20)));
    }
    Ok(message)
}
