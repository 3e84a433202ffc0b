//! What the bench is told on its command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::generator::Load;
use crate::people::Size;

/// Personal tokens of a user: far fewer than the thousand beyond which one ends another, for each
/// new one counts the others.
pub(crate) const TOKENS_OF_A_USER: usize = 100;

/// Measures what calls cost, as ratios to what they must cost.
#[derive(Debug, Parser)]
#[command(name = "load")]
pub(crate) struct Args {
    /// How long each slice is, in seconds
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How often the slices of a comparison take turns
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only this scenario; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Everything small and short, to see that it works: the figures mean nothing
    #[arg(long)]
    smoke: bool,
    /// Also what takes many minutes and some 10 GB: many rows, memory, start
    #[arg(long)]
    big: bool,
    /// How many tokens calls are drawn from
    #[arg(long, default_value_t = 100_000)]
    tokens: usize,
    /// How many rows there are where there are many
    #[arg(long, default_value_t = 10_000_000)]
    rows: usize,
    /// How many tokens are known where memory is measured
    #[arg(long, default_value_t = 1_000_000)]
    facts: usize,
    /// Where databases are put; by default the machine's folder for temporary files
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Writes the figures here as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draws the ratios here as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// What the server that does nothing answers: this process is that server
    #[arg(long, hide = true)]
    pub(crate) noop: Option<String>,
    /// On how many cores it does nothing
    #[arg(long, hide = true, default_value_t = 0)]
    pub(crate) cores: usize,
    /// Cargo says so
    #[arg(long, hide = true)]
    bench: bool,
}

/// How the scenarios are run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// How long a slice is.
    pub(crate) slice: Duration,
    /// How many rounds there are.
    pub(crate) rounds: usize,
    /// How many calls are open at once.
    pub(crate) load: Load,
    /// What is in the database.
    pub(crate) size: Size,
    /// Where databases are.
    pub(crate) dir: Option<PathBuf>,
    /// How many rows there are where there are many.
    pub(crate) rows: usize,
    /// How many tokens are known where memory is measured.
    pub(crate) facts: usize,
    /// Whether no figure means anything.
    pub(crate) smoke: bool,
    /// Whether what takes long is wanted.
    pub(crate) big: bool,
    only: Vec<String>,
}

impl Options {
    /// Reads them.
    pub(crate) fn of(args: &Args) -> Self {
        let Args { seconds, rounds, only, smoke, big, tokens, rows, facts, dir, .. } = args;
        let load = if *smoke {
            Load { connections: 2, streams: 4 }
        } else {
            Load { connections: 8, streams: 32 }
        };
        let chains = load.calls();
        let size = if *smoke {
            Size { users: 8, roles: 8, tokens: 64, chains }
        } else {
            let users = tokens.div_ceil(TOKENS_OF_A_USER).max(128);
            Size { users, roles: 32, tokens: *tokens, chains }
        };
        let seconds = if *smoke { 0.05 } else { seconds.max(0.01) };
        Self {
            slice: Duration::from_secs_f64(seconds),
            rounds: if *smoke { 1 } else { (*rounds).max(1) },
            load,
            size,
            dir: dir.clone(),
            rows: *rows,
            facts: *facts,
            smoke: *smoke,
            big: *big,
            only: only.clone(),
        }
    }

    /// Whether a scenario is to be run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Those that were asked for by name.
    pub(crate) fn named(&self) -> &[String] {
        &self.only
    }
}
