//! Logging: to stderr, as text or as JSON; and what is said of a panic. That stderr can't be
//! written, or that nobody reads it, costs lines and nothing else.

use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::panic::{Location, PanicHookInfo};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogFormat;

mod lines;

use lines::Lines;

/// The log of this process, once it is set up.
static LINES: OnceLock<Arc<Lines>> = OnceLock::new();

/// What says at each start that there is nothing to migrate.
const NOISY: &str = "sea_orm_migration";

/// Logging could not be set up: the directives are wrong, or it is set up already.
#[derive(Debug, thiserror::Error)]
#[error("logging could not be set up")]
pub struct TelemetryError(#[source] Box<dyn std::error::Error + Send + Sync>);

/// Sets up the logging of this process. `level` is a level, or directives as `EnvFilter` reads
/// them; the migrations are heard from `WARN` on unless they are named. Colours are for terminals
/// only.
///
/// # Errors
/// [`TelemetryError`] where the directives are wrong, or at a second call.
pub fn init(format: LogFormat, level: &str) -> Result<(), TelemetryError> {
    let filter = filter(level)?;
    let lines = lines().map_err(|error| TelemetryError(error.into()))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Arc::clone(&lines))
        // It would print them, and panic where it can't.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    let set = match format {
        LogFormat::Text => log.finish().try_init(),
        LogFormat::Json => log.json().flatten_event(true).finish().try_init(),
    };
    set.map_err(|error| TelemetryError(error.into()))?;
    // Another can't be first: its `init` would have failed this one.
    drop(LINES.set(lines));
    Ok(())
}

fn lines() -> std::io::Result<Arc<Lines>> {
    // A handle of its own, for the lock of the library's is held as long as a write takes.
    Lines::start(File::from(std::io::stderr().as_fd().try_clone_to_owned()?))
}

/// Says a sentence on stderr, behind what is logged. Where it can't be written it is lost.
pub fn say(sentence: &str) {
    let line = format!("{sentence}\n");
    match LINES.get() {
        Some(lines) => lines.push(line.as_bytes()),
        None => drop(std::io::stderr().write_all(line.as_bytes())),
    }
}

/// Waits until what was logged is written or lost, but no longer than this: a pipe may be full that
/// nobody reads.
pub fn finish(within: Duration) {
    if let Some(lines) = LINES.get() {
        lines.finish(within);
    }
}

/// How many lines of the log were lost, because they could not be written or found no room in the
/// queue before it.
#[must_use]
pub fn lost_lines() -> u64 {
    LINES.get().map_or(0, |lines| lines.lost())
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    let filter = EnvFilter::try_new(level).map_err(|error| TelemetryError(error.into()))?;
    if level.contains(NOISY) || filter.max_level_hint() <= Some(LevelFilter::WARN) {
        return Ok(filter);
    }
    let quiet = format!("{NOISY}=warn").parse();
    Ok(filter.add_directive(quiet.map_err(|error| TelemetryError(Box::new(error)))?))
}

/// Has a panic anywhere in this process tell its place and its thread, in one line: to the log, or
/// to stderr where none is set up. Never what it says, for that may quote a secret, and no stack.
pub fn tell_panics_in_one_line() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let place = panic.location().map_or_else(String::new, Location::to_string);
        let thread = thread::current();
        let thread = thread.name().unwrap_or_default();
        if tracing::dispatcher::has_been_set() {
            tracing::error!(panic.location = place, thread.name = thread, "a thread panicked");
        } else {
            // Where even this can't be written, nobody can be told.
            drop(writeln!(std::io::stderr(), "tokend: a fault at {place}, in thread {thread}"));
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use super::*;

    /// Set where a test is the process that panics, and says whether it logs.
    const PANIC: &str = "TOKEND_TEST_PANIC";

    fn stderr_of_a_panic(logs: &str) -> String {
        let name = "telemetry::tests::tells_the_place_of_a_panic_and_not_its_words";
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(PANIC, logs)
            .env("RUST_BACKTRACE", "1")
            .output()
            .unwrap();
        assert!(!child.status.success());
        String::from_utf8(child.stderr).unwrap()
    }

    #[test]
    fn tells_the_place_of_a_panic_and_not_its_words() {
        if let Ok(logs) = env::var(PANIC) {
            if logs == "yes" {
                init(LogFormat::Text, "info").unwrap();
            }
            tell_panics_in_one_line();
            drop(thread::spawn(|| panic!("hunter2")).join());
            finish(Duration::from_mins(1));
            std::process::exit(1);
        }
        for (logs, words) in [("yes", "a thread panicked"), ("no", "tokend: a fault at")] {
            let told = stderr_of_a_panic(logs);
            assert_eq!(told.lines().count(), 1, "{told}");
            assert!(told.contains(words), "{told}");
            assert!(told.contains(concat!(file!(), ":")), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }

    #[test]
    fn hears_of_migrations_only_what_is_wrong_unless_it_is_told_otherwise() {
        let directives = |level: &str| filter(level).unwrap().to_string();
        assert!(directives("info").contains("sea_orm_migration=warn"));
        assert!(directives("info,tokend=trace").contains("sea_orm_migration=warn"));
        assert_eq!(directives("error"), "error");
        let asked = directives("warn,sea_orm_migration::migrator=info");
        assert!(!asked.contains("sea_orm_migration=warn"), "{asked}");
    }
}
