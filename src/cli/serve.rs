//! `dsnd serve`.

use std::path::Path;
use std::process::ExitCode;

use crate::app;
use crate::config::Config;

/// Runs the daemon.
pub(super) fn run(config: Option<&Path>) -> anyhow::Result<ExitCode> {
    let config = Config::load(config)?;
    super::log::start(&config.log);
    let passed = app::Passed::take();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(app::serve(config, passed));
    // Sessions that outlived their grace are cut here; nothing they were promised is lost.
    runtime.shutdown_background();
    result?;
    Ok(ExitCode::SUCCESS)
}
