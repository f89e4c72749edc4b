//! Log lines: to standard error, level and form from the configuration, `RUST_LOG` before both.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat, LogLevel};

/// For commands that answer a question: only what is wrong is said.
pub(super) const QUIET: Log = Log {
    level: LogLevel::Warn,
    format: LogFormat::Text,
};

/// Starts logging. A second call changes nothing.
pub(super) fn start(log: Log) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(log.level.name()));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // The error means that somebody has set it up before.
    let _ = match log.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
}
