//! Setting up the log.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat, LogLevel};

/// Starts logging to standard error. A panic is logged like everything else, by its place alone: its words could
/// hold what a message says.
pub(super) fn start(config: &LogConfig) {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "a part of dsnd panicked; please report it");
    }));
    let level = match config.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // The SMTP grammar logs whole command lines, addresses in full: what it says, our own log says as well.
    // rustls warns of every alert; why a handshake failed, our own log says as well.
    let rustls = if config.level < LogLevel::Debug { "error" } else { level };
    let filter =
        EnvFilter::new(format!("{level},samotop_parser=off,samotop_core=off,sqlx=warn,rustls={rustls}"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let colours =
        std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    match config.format {
        LogFormat::Text => builder.with_ansi(colours).with_target(false).init(),
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(true).with_span_list(true).init()
        }
    }
}
