//! `dsnd check-config`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::output;
use crate::classify::Classifier;
use crate::config::Config;
use crate::smtp::tls::TlsAcceptor;
use crate::store::StoreError;
use crate::store::sqlite::Access;

/// Arguments.
#[derive(Debug, Args)]
pub(super) struct CheckConfig {
    /// One JSON object, on standard output.
    #[arg(long)]
    json: bool,
}

/// The answer as JSON.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    file: Option<String>,
    problems: &'a [String],
    warnings: &'a [String],
}

/// Names everything that is wrong; 1 when something is.
pub(super) fn run(config: Option<&Path>, arguments: &CheckConfig) -> anyhow::Result<ExitCode> {
    let (config, problems) = Config::examine(config)?;
    let mut wrong: Vec<String> = problems.iter().map(ToString::to_string).collect();
    if let Err(error) = Classifier::with_rules(&config.rules) {
        wrong.extend(error.to_string().lines().map(str::to_owned));
    }
    if let Some(folder) = config.store.path.parent()
        && !folder.as_os_str().is_empty()
        && !folder.is_dir()
    {
        wrong.push(format!(
            "store.path: there is no folder {}; create it, or name another file",
            folder.display()
        ));
    }
    if let Some(settings) = &config.tls
        && let Err(error) = TlsAcceptor::check(settings)
    {
        wrong.push(format!("{}: {error}", error.key(settings)));
    }
    wrong.extend(open_door(&config));
    let unknown: Vec<String> = config.unknown_variables.iter().map(ToString::to_string).collect();
    let file = config.file;
    let file = file.map(|path| path.display().to_string());
    let fine = wrong.is_empty();
    let mut out = output::stdout();
    if !arguments.json {
        unknown.iter().for_each(|warning| output::note(warning));
    }
    if arguments.json {
        output::json_line(&mut out, &Answer { file, problems: &wrong, warnings: &unknown })?;
    } else if fine {
        writeln!(out, "{}: fine", file.as_deref().unwrap_or("built-in defaults"))?;
    } else {
        wrong.iter().for_each(|problem| output::error(problem));
    }
    out.flush()?;
    Ok(ExitCode::from(u8::from(!fine)))
}

/// What is wrong where the API can be reached from elsewhere and there is no token. Without a database there is none.
/// One that cannot be read is a matter of the daemon.
fn open_door(config: &Config) -> Option<String> {
    let open = config.http.open_door()?;
    let asked = super::block_on(async {
        let store = match super::open_store(config, Access::Read).await {
            Err(error) if matches!(error.downcast_ref(), Some(StoreError::Missing(_))) => {
                return Ok(Some(open));
            }
            opened => opened?,
        };
        let problem = crate::app::open_door(&config.http, &store).await;
        store.close().await;
        Ok(problem?)
    });
    asked.ok().flatten()
}
