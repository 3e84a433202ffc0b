//! Logging: to stderr, as text or as JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogFormat;

/// Logging could not be set up: the directives are wrong, or it is set up already.
#[derive(Debug, thiserror::Error)]
#[error("logging could not be set up")]
pub struct TelemetryError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Sets up the logging of this process. `level` is a level, or directives as `EnvFilter` reads
/// them. Colours are for terminals only.
///
/// # Errors
/// [`TelemetryError`] where the directives are wrong, or at a second call.
pub fn init(format: LogFormat, level: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(level).map_err(|error| TelemetryError(error.into()))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let set = match format {
        LogFormat::Text => lines.finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    };
    set.map_err(|error| TelemetryError(error.into()))
}
