//! `dsnd serve`.

use std::path::Path;
use std::process::ExitCode;

use super::FAILED;
use crate::app::{self, AppError};
use crate::config::{Config, ConfigError};

/// Exit status (EX_CONFIG of sysexits.h): it cannot run as it is configured, however often it is started.
const WRONG_CONFIGURATION: u8 = 78;

/// Runs the daemon.
pub(super) fn run(config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = Config::load(config)?;
    super::log::start(&config.log);
    for variable in &config.unknown_variables {
        tracing::warn!("{variable}");
    }
    let passed = app::Passed::take();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(app::serve(config, passed));
    // Sessions that outlived their grace are cut here; nothing they were promised is lost.
    runtime.shutdown_background();
    result?;
    Ok(ExitCode::SUCCESS)
}

/// The exit status for an error. The systemd unit starts it again after all but one of these.
pub(super) fn status(error: &anyhow::Error) -> u8 {
    let wrong = error.is::<ConfigError>() || error.downcast_ref().is_some_and(AppError::is_configuration);
    if wrong { WRONG_CONFIGURATION } else { FAILED }
}
