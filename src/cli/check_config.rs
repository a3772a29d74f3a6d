//! `dsnd check-config`.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use super::output;
use crate::classify::Classifier;
use crate::config::{Config, ConfigError};

/// Names everything that is wrong; 1 when something is.
pub(super) fn run(config: Option<&Path>) -> anyhow::Result<ExitCode> {
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
    if let (Some(config), true) = (loaded, wrong.is_empty()) {
        let file =
            config.file.map_or_else(|| "built-in defaults".to_owned(), |path| path.display().to_string());
        writeln!(output::stdout(), "{file}: fine")?;
        return Ok(ExitCode::SUCCESS);
    }
    for problem in wrong {
        output::error(&problem);
    }
    Ok(ExitCode::from(1))
}
