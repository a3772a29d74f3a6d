//! `dsnd check-config`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::output;
use crate::classify::Classifier;
use crate::config::{Config, ConfigError};
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
}

/// Names everything that is wrong; 1 when something is.
pub(super) fn run(config: Option<&Path>, arguments: &CheckConfig) -> anyhow::Result<ExitCode> {
    let mut wrong = Vec::new();
    let loaded = match Config::load(config) {
        Ok(config) => Some(config),
        Err(ConfigError::Wrong(problems)) => {
            wrong.extend(problems.iter().map(ToString::to_string));
            None
        }
        Err(error @ ConfigError::Read { .. }) => return Err(error.into()),
    };
    let own_rules = loaded.as_ref().map(|config| config.rules.as_slice()).unwrap_or_default();
    if let Err(error) = Classifier::with_rules(own_rules) {
        wrong.extend(error.to_string().lines().map(str::to_owned));
    }
    if let Some(folder) = loaded.as_ref().and_then(|config| config.store.path.parent())
        && !folder.as_os_str().is_empty()
        && !folder.is_dir()
    {
        wrong.push(format!(
            "store.path: there is no folder {}; create it, or name another file",
            folder.display()
        ));
    }
    if let Some(settings) = loaded.as_ref().and_then(|config| config.tls.as_ref())
        && let Err(error) = TlsAcceptor::check(settings)
    {
        wrong.push(format!("{}: {error}", error.key(settings)));
    }
    if let Some(config) = &loaded
        && let Some(problem) = open_door(config)
    {
        wrong.push(problem);
    }
    let file = loaded.and_then(|config| config.file).or_else(|| config.map(Path::to_owned));
    let file = file.map(|path| path.display().to_string());
    let fine = wrong.is_empty();
    let mut out = output::stdout();
    if arguments.json {
        output::json_line(&mut out, &Answer { file, problems: &wrong })?;
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
