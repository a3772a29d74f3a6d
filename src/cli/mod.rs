//! The command line: one file a verb.
//!
//! Results go to standard output, in tables and colours on a terminal and plain in a pipe; errors go to
//! standard error, in one line that names the thing and the fix, with exit status 2.

mod backup;
mod bounces;
mod check_config;
mod erase;
mod events;
mod evidence;
mod examples;
mod explain;
mod filter;
mod generate;
mod guide;
mod holds;
mod ingest;
mod listing;
mod log;
mod output;
mod paper;
mod part;
mod person;
mod progress;
mod quarantine;
mod reclassify;
mod replay;
mod return_path;
mod rules;
mod serve;
mod stats;
mod status;
mod store;
mod streams;
mod suppressions;
mod table;
mod tokens;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValue;
use clap::{FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::classify::Classifier;
use crate::classify::guide::Language;
use crate::config::Config;
use crate::store::sqlite::{Access, SqliteStore};

/// Exit status: it could not be done, or could not be told.
const FAILED: u8 = 2;

/// Receives bounces at the Return-Path and keeps the suppression list.
///
/// dsnd takes returned mail over SMTP, reads who failed and why, and answers for every address whether it
/// should still be mailed. `dsnd serve` runs the daemon; the other commands ask and change what it keeps, also
/// while it runs.
#[derive(Debug, Parser)]
#[command(name = "dsnd", version, max_term_width = 110, arg_required_else_help = true)]
struct Arguments {
    /// Configuration file. Without it: the one that DSND_CONFIG names, ./config/dsnd.toml, /etc/dsnd/dsnd.toml, then
    /// built-in defaults.
    // Not by clap's `env`: with the variable set, every usage line would ask for the option.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the daemon: receive bounces and keep the list.
    ///
    /// Runs in the foreground until SIGTERM or SIGINT (Ctrl-C); then it takes no new connections, lets messages
    /// on their way finish, and ends with status 0. Logs go to standard error.
    ///
    /// Exit status 78 where the configuration is wrong or an address cannot be listened on: to start it again does not
    /// help. 2 where it ended for another reason.
    Serve,
    /// Check the configuration and name everything that is wrong, with file, line and key.
    ///
    /// Exit status 0 when it is fine, 1 when something is wrong, 2 when it cannot be read.
    CheckConfig(check_config::CheckConfig),
    /// Read messages and say what they mean, without recording anything.
    Explain(explain::Explain),
    /// Say what a status code, a reply code or a whole reply line means and what to do about it.
    Status(status::Status),
    /// Bring bounces from files into the store: .eml files, mbox files, Maildirs.
    ///
    /// Each counts from the day of its Date field. What was recorded before changes nothing and is passed over, so a run
    /// that was broken off is simply started again. The history of the list names you and says when you did it, and what
    /// was suppressed wrongly goes again: `dsnd suppressions remove --origin replay --since 1h`.
    ///
    /// Exit status 0, or 2 when a file could not be read or is no message, or a message was too large; the others come in all the same.
    Replay(replay::Replay),
    /// Look at unproven bounces, and approve or discard them.
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineVerb),
    /// Take one message from standard input, as an MTA's pipe hands it over.
    ///
    /// Judges the return path as RCPT does over SMTP and records the message with the same promise: exit status 0
    /// means committed and synced. Says nothing then; otherwise one line on standard error, and a status of
    /// sysexits.h: 64 wrong arguments, 65 empty or too big, 67 no such mailbox, 77 return path refused, and 75 whenever it
    /// may work later, also when the configuration is wrong. May run while the daemon does.
    Ingest(ingest::IngestArguments),
    /// Ask and change the suppression list.
    #[command(subcommand)]
    Suppressions(suppressions::Suppressions),
    /// Make and check signed return paths, and the keys that sign them.
    #[command(subcommand)]
    ReturnPath(return_path::ReturnPathVerb),
    /// Look at suppressions that wait because far more than usual came at once, and let them through or not.
    #[command(subcommand)]
    Holds(holds::Holds),
    /// Look at what is told to others, how their webhooks stand, and let them have events again.
    #[command(subcommand)]
    Events(events::Events),
    /// Look at the bounces that came in.
    #[command(subcommand)]
    Bounces(bounces::Bounces),
    /// Judge stored bounces by today's rules, and make the list what it would be with them.
    ///
    /// Reads the raw message where it is kept, else the fields that were read from it, as far as they hold what decided. A
    /// bounce that means something else now gets its new class; an address that has one gets its entries as if it had
    /// always meant that, as of the time when it came, and nothing that is over by now. What persons did to an address
    /// stays, what is not proven stays without effect, and what an open hold would hold waits there. On a terminal it asks
    /// before it changes; elsewhere, --yes is needed where a rule would newly suppress for more than
    /// breaker.min_per_hour bounces. A run that was broken off is simply started again.
    ///
    /// Exit status 0; with --dry-run, 1 when something would change.
    Reclassify(reclassify::ReclassifyArguments),
    /// Forget a person: remove an address from reports, raw messages, history and counts, and from the list.
    ///
    /// Others who are named in the same messages stay. Where store.hash_key_file is configured, an address that is
    /// suppressed stays so under a keyed hash that nobody can read; without it, it can be mailed again afterwards, and
    /// the command says so before. What cannot be seen from here stays: logs, backups, what webhooks were told.
    Erase(erase::EraseArguments),
    /// Write a copy of the database to a file, while it is in use.
    ///
    /// Every message that was acknowledged before is in it. The copy is synced and checked, has mode 0600, and appears under
    /// its name when it is whole. To restore it: stop dsnd, put it in the place of store.path, delete the files -wal and -shm
    /// beside it, start dsnd.
    Backup(backup::BackupArguments),
    /// Look after the database: the key that addresses are hashed with.
    #[command(subcommand)]
    Store(store::StoreVerb),
    /// Count what came in, by day, week, class, domain or stream.
    ///
    /// Counts are kept for store.aggregates_days, longer than the bounces themselves. A domain is named where the return
    /// path proves it; everything else is counted under "-". What came twice is counted once, and what waited and was
    /// settled as what it became.
    Stats(stats::Stats),
    /// Look at the rules that decide what a text means, try them on a line, and find the texts that none knows.
    #[command(subcommand)]
    Rules(rules::RulesVerb),
    /// Make, list and revoke the tokens that open the HTTP API.
    #[command(subcommand)]
    Tokens(tokens::Tokens),
    /// Write manual pages, or completions for a shell.
    #[command(subcommand)]
    Generate(generate::Generate),
}

impl ValueEnum for Language {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::En, Self::De]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::En => PossibleValue::new("en").help("English"),
            Self::De => PossibleValue::new("de").help("Deutsch"),
        })
    }
}

/// Parses the arguments, runs the verb, and turns what comes of it into an exit status.
#[must_use]
pub fn main() -> ExitCode {
    if is_ingest(std::env::args_os()) { ingest::guarded(run) } else { run() }
}

fn run() -> ExitCode {
    let matches = examples::command().try_get_matches();
    let arguments = match matches.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => {
            match examples::elsewhere(&error) {
                Some(said) => output::error(&said),
                None => {
                    let _ = error.print(); // nobody listens any more
                }
            }
            // An MTA gets a status that it knows.
            let code = if error.exit_code() != 0 && is_ingest(std::env::args_os()) {
                ingest::USAGE
            } else {
                u8::try_from(error.exit_code()).unwrap_or(FAILED)
            };
            return ExitCode::from(code);
        }
    };
    let variable = || std::env::var_os("DSND_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let config = arguments.config.or_else(variable);
    let config = config.as_deref();
    let failed =
        if matches!(arguments.verb, Verb::Serve) { serve::status } else { |_: &anyhow::Error| FAILED };
    let result = match arguments.verb {
        Verb::Serve => serve::run(config),
        Verb::CheckConfig(verb) => check_config::run(config, &verb),
        Verb::Explain(verb) => explain::run(config, &verb),
        Verb::Status(verb) => status::run(config, &verb),
        Verb::Replay(verb) => replay::run(config, &verb),
        Verb::Ingest(verb) => Ok(ingest::run(config, &verb)),
        Verb::Quarantine(verb) => quarantine::run(config, &verb),
        Verb::Suppressions(verb) => suppressions::run(config, verb),
        Verb::ReturnPath(verb) => return_path::run(config, &verb),
        Verb::Holds(verb) => holds::run(config, &verb),
        Verb::Events(verb) => events::run(config, &verb),
        Verb::Bounces(verb) => bounces::run(config, &verb),
        Verb::Reclassify(verb) => reclassify::run(config, &verb),
        Verb::Erase(verb) => erase::run(config, &verb),
        Verb::Backup(verb) => backup::run(config, &verb),
        Verb::Store(verb) => store::run(config, &verb),
        Verb::Stats(verb) => stats::run(config, &verb),
        Verb::Rules(verb) => rules::run(config, &verb),
        Verb::Tokens(verb) => tokens::run(config, &verb),
        Verb::Generate(verb) => generate::run(verb),
    };
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS, // the reader has seen enough
        Err(error) => {
            // Most errors are one line; a wrong configuration has one for each problem.
            in_one_line(&error).lines().for_each(output::error);
            ExitCode::from(failed(&error))
        }
    }
}

/// Whether the first word that is no option of the whole program is `ingest`.
fn is_ingest(arguments: impl Iterator<Item = OsString>) -> bool {
    let mut arguments = arguments.skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            arguments.next();
        } else if !argument.to_string_lossy().starts_with('-') {
            return argument == "ingest";
        }
    }
    false
}

/// An error with its causes, without those that it has told already.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
}

/// A runtime for a command that asks the store: small, since it does one thing at a time.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        crate::app::outlive_file_size_limit()?;
        future.await
    })
}

/// The rules that the configuration names: the operator's own, then the embedded ones.
fn classifier(config: Option<&Path>) -> anyhow::Result<Classifier> {
    let config = Config::load_without_keys(config)?;
    Ok(Classifier::with_rules(&config.rules)?)
}

/// Opens the store that a configuration names. A variable that is much like one of ours may have been meant to name
/// another.
async fn open_store(config: &Config, access: Access) -> anyhow::Result<SqliteStore> {
    for variable in config.unknown_variables.iter().filter(|variable| variable.nearest.is_some()) {
        output::note(&variable.to_string());
    }
    let store =
        SqliteStore::open(&config.store.path, access, config.store_settings(), config.store.busy_timeout)
            .await?;
    if store.lacks_hash_key().await? {
        output::error(
            "addresses in the database are hashed, and none of them is found without its key; set store.hash_key_file",
        );
    }
    Ok(store)
}
