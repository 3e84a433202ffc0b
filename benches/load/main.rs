//! The bench: drives the real server and one that does nothing by the same calls, and prints how
//! far what a call costs is from what it must cost. `docs/PERFORMANCE.md` says how to read it.

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

mod bounds;
mod drawing;
mod figures;
mod generator;
mod histogram;
mod machine;
mod noop;
mod options;
mod people;
mod report;
mod scenario;
mod script;
mod server;
mod traffic;
mod wire;

use machine::Machine;
use options::{Args, Options};
use report::Report;

/// Why the bench can't go on: a sentence for whoever started it.
type Failure = Box<dyn Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

/// A failure, in these words.
fn fail<T>(why: impl Into<String>) -> Result<T> {
    Err(why.into().into())
}

/// Tells whoever waits what goes on.
fn tell(what: &str) {
    // Who closed their terminal does not read it.
    drop(writeln!(std::io::stderr(), "{what}"));
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.noop {
        Some(answer) => noop::serve(answer, args.cores).map(|()| ExitCode::SUCCESS),
        None => bench(&args),
    };
    done.unwrap_or_else(|failure| {
        tell(&format!("the bench failed: {failure}"));
        ExitCode::FAILURE
    })
}

fn bench(args: &Args) -> Result<ExitCode> {
    let options = Options::of(args);
    let rows = scenario::run(&options)?;
    let report = Report { machine: Machine::look()?, rows };
    let said = if options.smoke { report.names() } else { report.table() };
    writeln!(std::io::stdout(), "{said}")?;
    for (path, text) in [(&args.json, report.json()?), (&args.svg, drawing::draw(&report))] {
        if let Some(path) = path {
            fs::write(path, text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
