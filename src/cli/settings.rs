//! The settings that the command line takes, as names and text: `config` reads them.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, ValueEnum};
use secrecy::SecretString;

/// The settings given on the command line: they beat the environment and the file.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct SettingsArgs {
    /// The settings file [default: tokend.toml, where there is one]
    #[arg(long, global = true, value_name = "FILE", env = "TOKEND_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// Where the data is: `sqlite://FILE`, `postgres://…` or `mysql://…`
    ///
    /// Others on this machine can read a command line, so a URL with a password is refused here:
    /// put it into the environment, or into a file that `TOKEND__DATABASE__URL_FILE` names.
    #[arg(long, global = true, value_name = "URL", value_parser = secret, hide_short_help = true)]
    pub database_url: Option<SecretString>,
    /// Where gRPC listens [default: 127.0.0.1:50051]
    #[arg(long, global = true, value_name = "ADDRESS", hide_short_help = true)]
    pub grpc_listen: Option<String>,
    /// Where the REST shim listens [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDRESS", hide_short_help = true)]
    pub rest_listen: Option<String>,
    /// Where health and metrics are served [default: 127.0.0.1:9090]
    #[arg(long, global = true, value_name = "ADDRESS", hide_short_help = true)]
    pub management_listen: Option<String>,
    /// How the log is written
    #[arg(long, global = true, value_name = "FORMAT", hide_short_help = true)]
    pub log_format: Option<LogFormat>,
    /// All that `--set` gives.
    #[command(flatten)]
    pub set: Set,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// A setting given on the command line: its dotted name, and its value as text.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The dotted name, such as `grpc.listen`. Not known to exist.
    pub name: String,
    /// The value. Hidden from `Debug`, for some settings are secrets.
    pub value: SecretString,
}

/// What `--set` gives, before and behind the command, in that order.
///
/// Not a global argument of clap, for of those it keeps one level's values and drops the others
/// without a word.
#[derive(Debug, Clone, Default)]
pub struct Set(pub Vec<Setting>);

impl Set {
    /// Adds `--set` to every subcommand of `command`.
    pub(super) fn at_every_level(command: Command) -> Command {
        command.arg(Self::argument()).mut_subcommands(Self::at_every_level)
    }

    fn argument() -> Arg {
        Arg::new("set")
            .long("set")
            .value_name("NAME=VALUE")
            .value_parser(setting)
            .action(ArgAction::Append)
            .help("Sets any setting: --set grpc.reflection=false. May be repeated")
            .help_heading("Settings")
    }
}

impl clap::Args for Set {
    fn augment_args(command: Command) -> Command {
        command.arg(Self::argument())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Set {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut set = Self::default();
        set.update_from_arg_matches(matches)?;
        Ok(set)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let mut level = Some(matches);
        while let Some(matches) = level {
            self.0.extend(matches.get_many("set").into_iter().flatten().cloned());
            level = matches.subcommand().map(|(_, matches)| matches);
        }
        Ok(())
    }
}

impl SettingsArgs {
    /// The settings given, in the order in which they win: a later one beats an earlier one.
    #[must_use]
    pub fn overrides(&self) -> Vec<Setting> {
        let Self {
            config: _,
            database_url,
            grpc_listen,
            rest_listen,
            management_listen,
            log_format,
            set,
        } = self;
        let log_format = log_format.map(|format| match format {
            LogFormat::Text => "text".to_owned(),
            LogFormat::Json => "json".to_owned(),
        });
        let named = [
            ("database.url", database_url.clone()),
            ("grpc.listen", grpc_listen.clone().map(Into::into)),
            ("rest.listen", rest_listen.clone().map(Into::into)),
            ("management.listen", management_listen.clone().map(Into::into)),
            ("log.format", log_format.map(Into::into)),
        ];
        let named = named
            .into_iter()
            .filter_map(|(name, value)| Some(Setting { name: name.to_owned(), value: value? }));
        set.0.iter().cloned().chain(named).collect()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "clap asks for a Result")]
fn secret(text: &str) -> Result<SecretString, String> {
    Ok(text.into())
}

fn setting(text: &str) -> Result<Setting, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            Ok(Setting { name: name.to_owned(), value: value.into() })
        }
        Some(_) | None => Err("a setting is given as NAME=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use secrecy::ExposeSecret as _;

    use super::super::Args;

    fn parse(line: &str) -> Args {
        Args::try_parse_from(line.split(' ')).unwrap()
    }

    #[test]
    fn takes_settings_before_and_behind_the_command() {
        let args = parse(
            "tokend --rest-listen [::1]:80 --set a.b=c=d config --set e=f show --set g=h --log-format json \
             --database-url sqlite://x",
        );
        let overrides = args.settings.overrides();
        let pairs: Vec<_> =
            overrides.iter().map(|s| (s.name.as_str(), s.value.expose_secret())).collect();
        assert_eq!(
            pairs,
            [
                ("a.b", "c=d"),
                ("e", "f"),
                ("g", "h"),
                ("database.url", "sqlite://x"),
                ("rest.listen", "[::1]:80"),
                ("log.format", "json"),
            ]
        );
    }

    #[test]
    fn hides_the_values_of_settings_from_debug() {
        let args =
            parse("tokend --database-url postgres://u:hunter2@h --set keys.master_key=hunter2");
        assert!(!format!("{args:?}").contains("hunter2"));
    }
}
