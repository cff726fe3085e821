//! Logs: to stderr, one line an event, never a payload, a filter's values or a credential.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts logging. `directives` as in `info,livelog=debug`.
///
/// # Errors
/// If the directives cannot be read.
pub fn start(directives: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().parse(directives)?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}
