//! Logs: to stderr, one line an event, never a payload, a filter's values or a credential.

mod throttle;

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

pub use throttle::Throttle;

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// What is logged, and in which format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// As in `info,livelog=debug`.
    pub directives: String,
    /// Of each line.
    pub format: LogFormat,
}

/// Starts logging.
///
/// # Errors
/// If the directives cannot be read.
pub fn start(options: &LogOptions) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().parse(&options.directives);
    let filter = filter.map_err(|error| {
        let directives = &options.directives;
        anyhow::anyhow!(
            "--log {directives:?} cannot be used, where info,livelog=debug could: {error}"
        )
    })?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match options.format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}
