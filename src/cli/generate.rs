//! `dsnd generate man|completions`: what packages ship beside the program.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::{examples, output};

/// Verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Generate {
    /// Write the manual pages into a folder: dsnd.1, and one for each verb.
    Man(Man),
    /// Write completions for a shell to standard output.
    ///
    /// For bash, put them into /usr/share/bash-completion/completions/dsnd; for zsh, into a file named _dsnd on the
    /// fpath; for fish, into ~/.config/fish/completions/dsnd.fish.
    Completions(Completions),
}

/// `man`.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The folder; it is made where it is not there.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// `completions`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Writes them; they are made from the same description as `--help`.
pub(super) fn run(verb: Generate) -> anyhow::Result<ExitCode> {
    let mut command = examples::command();
    match verb {
        Generate::Man(Man { folder }) => {
            std::fs::create_dir_all(&folder)
                .and_then(|()| clap_mangen::generate_to(command, &folder))
                .with_context(|| format!("cannot write manual pages to {}", folder.display()))?;
        }
        Generate::Completions(Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "dsnd", &mut script);
            let mut out = output::stdout();
            out.write_all(&script)?;
            out.flush()?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
