//! `dsnd store keygen|hash`.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{block_on, open_store, output, person, progress};
use crate::config::Config;
use crate::returnpath::keys;
use crate::store::Erase;
use crate::store::sqlite::Access;

/// Verbs.
#[derive(Debug, Subcommand)]
pub(super) enum StoreVerb {
    /// Make the key that addresses are hashed with, for store.hash_key_file.
    Keygen(Keygen),
    /// Hash every address that was recorded before store.hash_addresses was switched on.
    ///
    /// Raw messages, subjects, and whom returned messages were from and to are dropped. Works in small steps beside the
    /// daemon, may be broken off and started again, and cannot be taken back.
    Hash(Hash),
}

/// `keygen`.
#[derive(Debug, Args)]
pub(super) struct Keygen {
    /// The file, which must not be there yet; it is made with mode 0600. Without it the key goes to standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// `hash`.
#[derive(Debug, Args)]
pub(super) struct Hash {
    /// Hash without asking.
    #[arg(long)]
    yes: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// The answer of `hash`.
#[derive(Debug, Serialize)]
struct Hashed {
    /// How many rows were looked at.
    rows: u64,
}

/// Runs a verb.
pub(super) fn run(config: Option<&Path>, verb: &StoreVerb) -> anyhow::Result<ExitCode> {
    match verb {
        StoreVerb::Keygen(arguments) => keygen(arguments),
        StoreVerb::Hash(arguments) => hash(config, arguments),
    }
}

fn keygen(arguments: &Keygen) -> anyhow::Result<ExitCode> {
    let secret = keys::generate().context("the system has no randomness")?;
    let line = Zeroizing::new(format!("{}\n", *secret));
    let mut out = output::stdout();
    let Some(path) = &arguments.output else {
        out.write_all(line.as_bytes())?;
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    };
    let named = path.display();
    // With another key nothing that was hashed would be found: one that is there is never replaced.
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(line.as_bytes()).and_then(|()| file.sync_all()))
        .with_context(|| format!("cannot write {named}"))?;
    writeln!(
        out,
        "{named}: key made; name the file in store.hash_key_file, and keep a copy apart from the database and its backups"
    )?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn hash(config: Option<&Path>, arguments: &Hash) -> anyhow::Result<ExitCode> {
    let config = Config::load(config)?;
    anyhow::ensure!(
        config.store.addresses.all_hashed(),
        "store.hash_addresses is off: what comes in would go on being recorded in clear; nothing was changed"
    );
    let what = "Hash every address in the database, and drop raw messages and subjects, for ever";
    person::sure(what, arguments.yes)?;
    let rows = block_on(async {
        let store = open_store(&config, Access::Write).await?;
        let bar = progress::things(0);
        let hashed = store.hash_everything(&|done, total| progress::reach(&bar, done, total)).await;
        bar.finish_and_clear();
        let folded = store.fold_log().await;
        store.close().await;
        if !folded? {
            output::error("other programs are reading the database: the write-ahead log is emptied later");
        }
        Ok(hashed?)
    })?;
    let mut out = output::stdout();
    if arguments.json {
        output::json_line(&mut out, &Hashed { rows })?;
    } else {
        writeln!(out, "{rows} rows: every address is hashed")?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
