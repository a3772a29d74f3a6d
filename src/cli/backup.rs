//! `dsnd backup`.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::part::{Part, ended};
use super::{block_on, open_store, output, progress};
use crate::config::Config;
use crate::store::Backup;
use crate::store::sqlite::Access;

/// Arguments.
#[derive(Debug, Args)]
pub(super) struct BackupArguments {
    /// Where the copy goes; it appears there when it is whole.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Also in place of a file that is there.
    #[arg(long)]
    force: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Answer {
    file: String,
    octets: u64,
}

/// Copies the database while it is in use.
pub(super) fn run(config: Option<&Path>, arguments: &BackupArguments) -> anyhow::Result<ExitCode> {
    let config = Config::load(config)?;
    let file = std::path::absolute(&arguments.file)?;
    check(&config.store.path, &file, arguments.force)?;
    let (part, octets) = block_on(async {
        let ended = ended();
        // Made here and not by SQLite, so that others cannot read it from the first moment on.
        let part = Part::create(&file, &config.store.path)?;
        let copy = async {
            let store = open_store(&config, Access::Read).await?;
            let bar = progress::octets(Some(0)).with_message("copying");
            let told = |done, total| progress::reach(&bar, done, total);
            let copied = store.copy_into(part.path(), &told).await.context("no backup was made");
            bar.finish_and_clear();
            store.close().await;
            copied
        };
        let octets = tokio::select! {
            copied = copy => copied?,
            signal = ended => return Err(signal),
        };
        Ok((part, octets))
    })?;
    part.place(arguments.force)?;

    let mut out = output::stdout();
    let name = file.display().to_string();
    if arguments.json {
        output::json_line(&mut out, &Answer { file: name, octets })?;
    } else {
        writeln!(out, "{}: {octets} octets, whole", output::clean(&name))?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// What would make the copy of no use, or cost something that is there.
fn check(database: &Path, file: &Path, force: bool) -> anyhow::Result<()> {
    let beside = |suffix: &str| {
        let mut name = OsString::from(file);
        name.push(suffix);
        PathBuf::from(name)
    };
    if let (Ok(database), Ok(file)) = (std::fs::metadata(database), std::fs::metadata(file)) {
        let same = (database.dev(), database.ino()) == (file.dev(), file.ino());
        anyhow::ensure!(!same, "that is the database itself; name another file");
    }
    anyhow::ensure!(!file.is_dir(), "{} is a folder; name a file in it", file.display());
    anyhow::ensure!(force || !file.exists(), "{} is there already; --force replaces it", file.display());
    for log in [beside("-wal"), beside("-shm")] {
        // SQLite would take it for the log of the copy.
        anyhow::ensure!(!log.exists(), "{} is there: a database of that name is in use", log.display());
    }
    Ok(())
}
