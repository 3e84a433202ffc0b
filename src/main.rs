//! tokend: reads the command line, sets up the log, and does one thing.

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use mimalloc::MiMalloc;
use secrecy::ExposeSecret as _;
use tokend::cli::{
    self, Args, Command, ConfigCommand, Environment, LeaseCommand, Session, Standing,
};
use tokend::client::Upstream;
use tokend::config::{Settings, Sources};
use tokend::rest;
use tokend::server::{self, Probe, Reached, Server, Welcome, Wiring};
use tokend::telemetry;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Why the process ends with 1: a sentence for whoever started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How long the process waits for its log, or for whoever reads its standard output: nobody may.
const PATIENCE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    telemetry::tell_panics_in_one_line();
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(said) => return answer_of_clap(&said),
    };
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(run(args)));
    let code = done.unwrap_or_else(|failure| {
        telemetry::say(&format!("tokend: {failure}"));
        ExitCode::FAILURE
    });
    telemetry::finish(PATIENCE);
    code
}

/// Help and the version go to standard output, what is wrong with the command line to stderr.
fn answer_of_clap(said: &clap::Error) -> ExitCode {
    match said.print() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            telemetry::say(&format!("tokend: {}", unwritten(&error)));
            ExitCode::FAILURE
        }
        Ok(()) | Err(_) => u8::try_from(said.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}

/// Writes to standard output, to the end.
fn write(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush())
}

/// Answers a command. Who has closed the pipe has read enough: that is no failure.
fn print(text: &[u8]) -> Result<ExitCode, Failure> {
    match write(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(unwritten(&error).into()),
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}

fn unwritten(error: &io::Error) -> String {
    format!("the answer could not be written: {error}")
}

async fn run(args: Args) -> Result<ExitCode, Failure> {
    let Args { settings, command } = args;
    let sources = Sources {
        file: settings.config.clone(),
        flags: settings
            .overrides()
            .into_iter()
            .map(|setting| (setting.name, setting.value.expose_secret().to_owned()))
            .collect(),
        ..Sources::of_process()
    };
    match command.unwrap_or(Command::Serve) {
        Command::Completions { shell } => print(&cli::completions(shell)),
        Command::Serve => serve(Settings::load(&sources)?).await,
        Command::Rest { upstream } => {
            let settings = Settings::load(&sources)?;
            telemetry::init(settings.log.format, &settings.log.level)?;
            let upstream = Upstream::remote(server::remote(&upstream)?);
            let bound = |address| tracing::info!(rest = %address, "serving");
            server::serve_rest(settings, upstream, bound, shutdown()?).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Migrate => {
            server::migrate(&Settings::load(&sources)?).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Lease(command) => {
            let settings = Settings::load(&sources)?;
            let text = match command {
                LeaseCommand::Show => server::show_lease(&settings).await?,
                LeaseCommand::Reset => server::reset_lease(&settings).await?,
            };
            print(text.as_bytes())
        }
        Command::Healthcheck { server, management } => {
            let probe = probe(&sources, server, management.as_ref())?;
            server::healthcheck(&probe).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::OpenApi => print(rest::describe(&Settings::load(&sources)?.shim()?)?.as_bytes()),
        Command::Config(command) => config(command, &Settings::load(&sources)?),
        Command::Client(command) => client(command, &Settings::load(&sources)?).await,
    }
}

async fn serve(settings: Settings) -> Result<ExitCode, Failure> {
    telemetry::init(settings.log.format, &settings.log.level)?;
    let shutdown = shutdown()?;
    let mut server = Server::bind(settings, Wiring::default()).await?;
    if let Some(welcome) = server.take_welcome() {
        show(&welcome).await;
    }
    server.serve(shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

/// Shows what the first start has to say. Where nobody can read it the server goes on, and the log
/// tells how to set another password.
async fn show(welcome: &Welcome) {
    let text = welcome.text();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // A thread of nobody's: a write into a pipe that is full may never end.
    let writes = std::thread::Builder::new().spawn(move || sender.send(write(text.as_bytes())));
    let cause = match (writes, tokio::time::timeout(PATIENCE, receiver).await) {
        (Ok(_), Ok(Ok(Ok(())))) => return,
        (Err(error), _) | (_, Ok(Ok(Err(error)))) => error.to_string(),
        (Ok(_), Ok(Err(_)) | Err(_)) => "nobody reads it".to_owned(),
    };
    tracing::warn!(
        user.name = welcome.username(),
        cause,
        "the first user's password could not be shown on standard output, and nobody knows it: \
         stop this server and set another one by `tokend user passwd {}`",
        welcome.username(),
    );
}

/// Cancelled at the first SIGINT or SIGTERM. A second one ends the process at once.
fn shutdown() -> Result<CancellationToken, Failure> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let shutdown = CancellationToken::new();
    let asked = shutdown.clone();
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked.is_cancelled() {
                telemetry::finish(PATIENCE / 10);
                std::process::exit(1);
            }
            asked.cancel();
        }
    });
    Ok(shutdown)
}

fn probe(
    sources: &Sources,
    server: Option<http::Uri>,
    management: Option<&http::Uri>,
) -> Result<Probe, Failure> {
    if let Some(url) = server {
        return Ok(Probe::Grpc(url));
    }
    match management.and_then(http::Uri::authority) {
        Some(authority) => Ok(Probe::Management(authority.to_string())),
        None => Ok(Probe::of_listener(Settings::load(sources)?.management.listen)),
    }
}

fn config(command: ConfigCommand, settings: &Settings) -> Result<ExitCode, Failure> {
    let text = match command {
        ConfigCommand::Show => settings.show(),
        ConfigCommand::Check => {
            settings.profiles()?;
            "the settings are valid\n".to_owned()
        }
    };
    print(text.as_bytes())
}

async fn client(command: cli::ClientCommand, settings: &Settings) -> Result<ExitCode, Failure> {
    let reached = server::reach(settings, command.connection().server.as_ref()).await?;
    let (upstream, standing, local) = match reached {
        Reached::Remote(upstream) => (upstream, Standing::Remote(Environment::of_process()?), None),
        Reached::Local(upstream, local) => (upstream, Standing::Operator, Some(local)),
    };
    let session = Session {
        upstream,
        standing,
        secrets: Arc::new(cli::Console),
        notes: &mut std::io::stderr(),
    };
    let outcome = cli::run(command, session, &mut std::io::stdout()).await;
    if let Some(local) = local {
        local.close().await;
    }
    Ok(outcome?.into())
}
