//! `dsnd erase`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::{block_on, open_store, output, part, person, progress};
use crate::address::Mailbox;
use crate::config::Config;
use crate::store::sqlite::{Access, SqliteStore, occurrences};
use crate::store::{Erase, Erased, Erasure, Store, Touched};

/// Arguments.
#[derive(Debug, Args)]
pub(super) struct EraseArguments {
    /// The person's address.
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// Say what would be removed, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Erase without asking.
    #[arg(long)]
    yes: bool,
    /// Rewrite the whole file afterwards, without the pages that are not used. Bounces get 451 meanwhile, and come again.
    #[arg(long)]
    vacuum: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    address: &'a str,
    dry_run: bool,
    #[serde(flatten)]
    erased: Erased,
    /// How often the octets of the address still stand in the files; null where nobody looked.
    left_in_file: Option<u64>,
    /// Whether the write-ahead log was emptied.
    log_emptied: bool,
}

/// Forgets a person.
pub(super) fn run(config: Option<&Path>, arguments: &EraseArguments) -> anyhow::Result<ExitCode> {
    let mailbox = Mailbox::parse(&arguments.address)
        .with_context(|| format!("{:?} is no address; nothing was changed", arguments.address))?;
    let config = Config::load(config)?;
    block_on(async {
        let store = open_store(&config, Access::Write).await?;
        let result = erase(&config, &store, arguments, &mailbox).await;
        store.close().await;
        // Not before: to close a file that SQLite has open in this process drops its locks (POSIX).
        told(&config, arguments, &mailbox.to_string(), &result?)
    })
}

/// What was done.
struct Outcome {
    erased: Erased,
    log_emptied: bool,
}

async fn erase(
    config: &Config,
    store: &SqliteStore,
    arguments: &EraseArguments,
    mailbox: &Mailbox,
) -> anyhow::Result<Outcome> {
    let address = mailbox.to_string();
    let mut erasure =
        Erasure { address: address.clone(), by: person::person(), at: Timestamp::now(), dry_run: true };
    let suppressed = store.suppression(&mailbox.comparison_form(), None, erasure.at).await?;
    if suppressed.is_some() && config.store.addresses.key().is_none() {
        output::error(&format!(
            "{address} is suppressed, and will not be any more: it can be mailed again. With store.hash_key_file it stays \
             suppressed under a keyed hash (`dsnd store keygen`)"
        ));
    }
    let mut erased = Erased::default();
    if arguments.dry_run || !arguments.yes {
        erased = find(store, &erasure).await?;
    }
    if !arguments.dry_run && !erased.is_empty() {
        if !arguments.yes && person::is_at_terminal() {
            table(&mut output::stdout(), &erased)?;
        }
        person::sure(&format!("Erase {address} for ever"), arguments.yes)?;
    }
    let mut log_emptied = false;
    if !arguments.dry_run {
        erasure.dry_run = false;
        erased = find(store, &erasure).await?;
        if arguments.vacuum {
            store
                .rewrite()
                .await
                .context("the file could not be rewritten; the address is erased all the same")?;
        }
        log_emptied = store.fold_log().await?;
        part::clear(&config.store.path);
    }
    Ok(Outcome { erased, log_emptied })
}

/// Counts what is left in the files, and says all of it.
fn told(
    config: &Config,
    arguments: &EraseArguments,
    address: &str,
    outcome: &Outcome,
) -> anyhow::Result<ExitCode> {
    let Outcome { erased, log_emptied } = *outcome;
    let looked = || occurrences(&config.store.path, address).context("cannot read the database file");
    let left = if arguments.dry_run { None } else { Some(looked()?) };
    let mut out = output::stdout();
    if arguments.json {
        let dry_run = arguments.dry_run;
        let answer = Answer { address, dry_run, erased, left_in_file: left, log_emptied };
        output::json_line(&mut out, &answer)?;
    } else {
        tell(&mut out, arguments, address, &erased)?;
    }
    out.flush()?;
    if !arguments.dry_run && !log_emptied {
        output::error("other programs are reading the database: the write-ahead log is emptied later");
    }
    if left.is_some_and(|left| left > 0) && !arguments.json {
        let again = if arguments.vacuum { "" } else { "; --vacuum rewrites the file without them" };
        output::error(&format!(
            "{address} still stands in the octets of {}: in addresses of others that end alike, or in pages that are not \
             used{again}",
            config.store.path.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(store: &SqliteStore, erasure: &Erasure) -> anyhow::Result<Erased> {
    let bar = progress::things(0);
    let erased = store.erase(erasure, &|done, total| progress::reach(&bar, done, total)).await;
    bar.finish_and_clear();
    Ok(erased?)
}

fn tell(
    out: &mut impl Write,
    arguments: &EraseArguments,
    address: &str,
    erased: &Erased,
) -> anyhow::Result<()> {
    if erased.is_empty() {
        let kept = if erased.still_suppressed {
            "only its keyed hash is kept"
        } else {
            "nothing is stored about it"
        };
        writeln!(out, "{}: {kept}", output::clean(address))?;
        return Ok(());
    }
    let word = if arguments.dry_run { "would be erased" } else { "erased" };
    writeln!(out, "{}: {word}", output::clean(address))?;
    table(out, erased)?;
    if erased.still_suppressed {
        let stays = if arguments.dry_run { "would stay" } else { "stays" };
        writeln!(out, "It {stays} suppressed, under a keyed hash.")?;
    }
    Ok(())
}

fn table(out: &mut impl Write, erased: &Erased) -> anyhow::Result<()> {
    let rows = erased.tables().into_iter().filter(|(_, touched)| !touched.is_empty());
    let row = |(name, Touched { removed, rewritten }): (&str, Touched)| {
        vec![name.to_owned(), removed.to_string(), rewritten.to_string()]
    };
    output::rows(out, &["what", "removed", "rewritten"], rows.map(row).collect(), true)
}
