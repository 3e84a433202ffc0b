//! The command line: a client of the contract like any other.
//!
//! [`Args`] is what is typed. `main` starts servers itself and hands the [`ClientCommand`]s to
//! [`run`] together with a [`Session`], which says how the server is reached.

mod args;
mod audit;
mod context;
mod credentials;
mod error;
mod fence;
mod key;
mod output;
mod purge;
mod role;
mod secrets;
mod settings;
mod timestamp;
mod token;
mod user;
mod view;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::Shell;

pub use args::{Args, ClientCommand, Command, ConfigCommand, Connection, LeaseCommand, Noun};
pub use audit::AuditCommand;
pub use credentials::Environment;
pub use error::Error;
pub use key::KeyCommand;
pub use output::OutputFormat;
pub use role::RoleCommand;
pub use secrets::{Console, SecretSource};
pub use settings::{LogFormat, Set, Setting, SettingsArgs};
pub use token::TokenCommand;
pub use user::UserCommand;

use crate::client::Upstream;
use context::Context;

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// How a command reaches the server, and what it may ask for on the way.
pub struct Session<'a> {
    /// The server.
    pub upstream: Upstream,
    /// As whom it is called.
    pub standing: Standing,
    /// Where passwords and tokens are read from.
    pub secrets: Arc<dyn SecretSource>,
    /// Where remarks go that are no part of the answer: standard error.
    pub notes: &'a mut (dyn Write + Send),
}

/// As whom a server is called.
#[derive(Debug, Clone)]
pub enum Standing {
    /// The operator's own command line on a local database, over an upstream in this process:
    /// needs no credentials and takes none. The environment's are not looked at.
    Operator,
    /// Whoever the command's flags or this environment name.
    Remote(Environment),
}

/// How a command ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It did what was asked: exit status 0.
    Done,
    /// A token was checked and the answer is DENY: exit status 3.
    Denied,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::SUCCESS,
            Outcome::Denied => Self::from(3),
        }
    }
}

/// Runs one client command and writes its answer to `out`. Each call has a deadline of 30 s.
///
/// Who stops reading the answer (`tokend user list | head`) causes no error, unless a secret is
/// lost by it.
///
/// # Errors
/// What [`Error`] names. Nothing was written then, unless writing failed half way.
pub async fn run<'a>(
    command: ClientCommand,
    session: Session<'a>,
    out: &'a mut (dyn Write + Send),
) -> Result<Outcome, Error> {
    let mut context = Context::open(&command, session, out).await?;
    match command {
        ClientCommand::User(noun) => user::run(noun.command, &mut context).await?,
        ClientCommand::Role(noun) => role::run(noun.command, &mut context).await?,
        ClientCommand::Token(noun) => return token::run(noun.command, &mut context).await,
        ClientCommand::Key(noun) => key::run(noun.command, &mut context).await?,
        ClientCommand::Audit(noun) => audit::run(noun.command, &mut context).await?,
        ClientCommand::Purge(_) => purge::run(&mut context).await?,
        ClientCommand::Fence(_) => fence::run(&mut context).await?,
    }
    Ok(Outcome::Done)
}

/// Makes the script that completes this command line in `shell`.
#[must_use]
pub fn completions(shell: Shell) -> Vec<u8> {
    // Into memory, for clap panics where it can't write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "tokend", &mut script);
    script
}
