//! What the command line takes, and what it says for `--help`.

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use http::Uri;

use super::audit::AuditCommand;
use super::key::KeyCommand;
use super::output::OutputFormat;
use super::role::RoleCommand;
use super::settings::{Set, SettingsArgs};
use super::token::TokenCommand;
use super::user::UserCommand;

const EXAMPLES: &str = "\
Examples:
  tokend                                       run the server, on SQLite in this folder
  tokend user add alice --role orders-clerk    make a user; asks for a password
  tokend token create --user alice --profile personal --name backup --ttl 30d
  echo \"$SECRET\" | tokend token check --permission orders:read
  tokend --set grpc.listen=0.0.0.0:50051 config show";

/// Issues, refreshes, revokes and checks tokens.
#[derive(Debug, Parser)]
#[command(name = "tokend", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(mut_subcommands(Set::at_every_level))]
pub struct Args {
    /// The settings.
    // Before `command`: clap takes the subcommand's matches away as it reads that field.
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// What to do; nothing: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What tokend does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the server: gRPC, the REST shim and the management port. The default
    Serve,
    /// Runs the REST shim alone, as a client of a server elsewhere
    Rest {
        /// The gRPC address of that server, such as `http://10.0.0.7:50051`
        #[arg(long, value_name = "URL", value_parser = server_url)]
        upstream: Uri,
    },
    /// Brings the database to this version's shape, and ends
    Migrate,
    /// Shows or sets how long revocations wait for the replicas of a database
    #[command(subcommand)]
    Lease(LeaseCommand),
    /// Asks a server whether it is ready: exit status 0 if it is, else 1
    ///
    /// Without a URL it asks at the management address of the settings.
    Healthcheck {
        /// Ask by gRPC, at this address
        #[arg(long, value_name = "URL", value_parser = server_url, conflicts_with = "management")]
        server: Option<Uri>,
        /// Ask by HTTP, at this management address
        #[arg(long, value_name = "URL", value_parser = server_url)]
        management: Option<Uri>,
    },
    /// Shows or checks the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Writes the OpenAPI 3.1 description of what the shim serves under the settings
    #[command(name = "openapi", after_help = "Example:\n  tokend openapi > openapi.json")]
    OpenApi,
    /// Writes a script that completes this command line in a shell
    #[command(after_help = "Example:\n  tokend completions bash > /etc/bash_completion.d/tokend")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// A client of the contract.
    #[command(flatten)]
    Client(ClientCommand),
}

/// What is done with the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Prints the settings in force, secrets hidden
    Show,
    /// Names every fault of the settings: exit status 0 if there is none
    Check,
}

/// What is done with the leases that replicas have announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum LeaseCommand {
    /// Prints the longest lease, and how long some replica serves stale facts
    Show,
    /// Announces those of the settings in place of all that were announced before
    ///
    /// For when every replica runs with shorter ones: by themselves they only ever rise. Until
    /// then a revocation would not wait long enough.
    Reset,
}

/// The commands that are clients of the contract.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Users: those who can prove themselves
    User(Noun<UserCommand>),
    /// Roles: named sets of permissions
    Role(Noun<RoleCommand>),
    /// Tokens
    Token(Noun<TokenCommand>),
    /// Keys that sign tokens
    Key(Noun<KeyCommand>),
    /// What happened
    Audit(Noun<AuditCommand>),
    /// Removes what is dead and no longer needed, now
    ///
    /// The server does so by itself all the time.
    Purge(Connection),
    /// Ends every grant and token that there is, after a backup was restored
    ///
    /// The backup may hold as good what was revoked since it was made.
    Fence(Connection),
}

impl ClientCommand {
    /// Where the command goes, and as whom.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        match self {
            Self::User(noun) => &noun.connection,
            Self::Role(noun) => &noun.connection,
            Self::Token(noun) => &noun.connection,
            Self::Key(noun) => &noun.connection,
            Self::Audit(noun) => &noun.connection,
            Self::Purge(connection) | Self::Fence(connection) => connection,
        }
    }
}

/// What is done to one kind of thing.
#[derive(Debug, clap::Args)]
pub struct Noun<C: Subcommand> {
    /// Where the command goes, and as whom.
    #[command(flatten)]
    pub connection: Connection,
    /// What is done.
    #[command(subcommand)]
    pub command: C,
}

// The checks across these flags are in `credentials`: clap judges a global flag once per level.
/// Where a client command goes, and as whom.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The server to call, such as `http://127.0.0.1:50051`
    ///
    /// Without it: the server that runs on the local database, or else that database itself, as
    /// its operator.
    #[arg(long, global = true, value_name = "URL", env = "TOKEND_SERVER", hide_env_values = true,
          value_parser = server_url)]
    pub server: Option<Uri>,
    /// Sign in with the token that is the next line of standard input
    ///
    /// The environment variable `TOKEND_TOKEN` does the same.
    #[arg(long, global = true)]
    pub token_stdin: bool,
    /// Sign in as this user, with the password in `TOKEND_PASSWORD` or asked for
    #[arg(long = "as", global = true, value_name = "NAME")]
    pub as_user: Option<String>,
    /// The realm of the user of --as [default: default]
    #[arg(long, global = true, value_name = "REALM")]
    pub as_realm: Option<String>,
    /// How answers are printed
    #[arg(long, global = true, value_name = "FORMAT", default_value = "table")]
    pub output: OutputFormat,
}

fn server_url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|_| "this is no URL".to_owned())?;
    match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            Err("no user or password belongs into the URL".to_owned())
        }
        (Some("http" | "https"), Some(_)) => Ok(url),
        (_, _) => Err("a server's URL begins with http:// or https://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Args {
        Args::try_parse_from(line.split(' ')).unwrap()
    }

    fn fault(line: &str) -> String {
        Args::try_parse_from(line.split(' ')).unwrap_err().to_string()
    }

    #[test]
    fn is_a_command_line_that_clap_finds_no_fault_with() {
        Args::command().debug_assert();
    }

    #[test]
    fn serves_where_no_command_is_given() {
        assert!(parse("tokend").command.is_none());
        assert!(parse("tokend --grpc-listen 127.0.0.1:0").command.is_none());
    }

    #[test]
    fn takes_connection_flags_at_any_level_of_a_noun() {
        for line in [
            "tokend user --server http://h:1 --as bob list --output json",
            "tokend user list --as bob --output json --server http://h:1",
        ] {
            let Some(Command::Client(command)) = parse(line).command else { panic!("{line}") };
            let connection = command.connection();
            assert_eq!(connection.server.as_ref().unwrap().host(), Some("h"));
            assert_eq!(connection.as_user.as_deref(), Some("bob"));
            assert_eq!(connection.output, OutputFormat::Json);
        }
    }

    #[test]
    fn refuses_a_server_that_is_no_http_url_or_that_holds_a_password() {
        for url in ["h:1", "ftp://h", "http://", "http://u:p@h"] {
            fault(&format!("tokend rest --upstream {url}"));
        }
        parse("tokend rest --upstream https://h:1");
    }

    #[test]
    fn refuses_what_says_two_things_at_once_or_none() {
        for line in [
            "tokend healthcheck --server http://h --management http://h",
            "tokend user roles alice clerk --none",
            "tokend user add alice --no-password --password-stdin",
            "tokend role put clerk",
            "tokend role put clerk --permission a:b --no-permissions",
            "tokend token create --profile p --name n --ttl 1d --never",
            "tokend token create --profile p --name n --role r --no-roles",
            "tokend token revoke",
            "tokend token revoke t1 --grant g1",
            "tokend token revoke t1 --realm r",
            "tokend config",
        ] {
            fault(line);
        }
    }

    #[test]
    fn takes_no_secret_as_an_argument() {
        for line in [
            "tokend user add alice --password hunter2",
            "tokend user passwd alice hunter2",
            "tokend user list --token hunter2",
            "tokend token check hunter2",
        ] {
            fault(line);
        }
    }

    #[test]
    fn helps_in_plain_words() {
        let help = Args::command().render_help().to_string();
        insta::assert_snapshot!(help, @r#"
        Issues, refreshes, revokes and checks tokens

        Usage: tokend [OPTIONS] [COMMAND]

        Commands:
          serve        Runs the server: gRPC, the REST shim and the management port. The default
          rest         Runs the REST shim alone, as a client of a server elsewhere
          migrate      Brings the database to this version's shape, and ends
          lease        Shows or sets how long revocations wait for the replicas of a database
          healthcheck  Asks a server whether it is ready: exit status 0 if it is, else 1
          config       Shows or checks the settings
          openapi      Writes the OpenAPI 3.1 description of what the shim serves under the settings
          completions  Writes a script that completes this command line in a shell
          user         Users: those who can prove themselves
          role         Roles: named sets of permissions
          token        Tokens
          key          Keys that sign tokens
          audit        What happened
          purge        Removes what is dead and no longer needed, now
          fence        Ends every grant and token that there is, after a backup was restored
          help         Print this message or the help of the given subcommand(s)

        Options:
          -h, --help     Print help (see more with '--help')
          -V, --version  Print version

        Settings:
              --config <FILE>     The settings file [default: tokend.toml, where there is one] [env:
                                  TOKEND_CONFIG]
              --set <NAME=VALUE>  Sets any setting: --set grpc.reflection=false. May be repeated

        Examples:
          tokend                                       run the server, on SQLite in this folder
          tokend user add alice --role orders-clerk    make a user; asks for a password
          tokend token create --user alice --profile personal --name backup --ttl 30d
          echo "$SECRET" | tokend token check --permission orders:read
          tokend --set grpc.listen=0.0.0.0:50051 config show
        "#);
    }
}
