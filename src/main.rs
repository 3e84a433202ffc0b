//! tokend: reads the command line, sets up the log, and does one thing.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use mimalloc::MiMalloc;
use secrecy::ExposeSecret as _;
use tokend::cli::{
    self, Args, Command, ConfigCommand, Environment, LeaseCommand, Session, Standing,
};
use tokend::client::Upstream;
use tokend::config::{Settings, Sources};
use tokend::rest;
use tokend::server::{self, Probe, Reached, Server, Wiring};
use tokend::telemetry;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Why the process ends with 1: a sentence for whoever started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    telemetry::tell_panics_in_one_line();
    let args = Args::parse();
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(run(args)));
    done.unwrap_or_else(|failure| {
        // Where even this can't be written, the exit status must do.
        drop(writeln!(std::io::stderr(), "tokend: {failure}"));
        ExitCode::FAILURE
    })
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
        Command::Completions { shell } => {
            cli::write_completions(shell, &mut std::io::stdout())?;
            Ok(ExitCode::SUCCESS)
        }
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
            std::io::stdout().write_all(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Healthcheck { server, management } => {
            let probe = probe(&sources, server, management.as_ref())?;
            server::healthcheck(&probe).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::OpenApi => {
            let description = rest::describe(&Settings::load(&sources)?.shim()?)?;
            std::io::stdout().write_all(description.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Config(command) => config(command, &Settings::load(&sources)?),
        Command::Client(command) => client(command, &Settings::load(&sources)?).await,
    }
}

async fn serve(settings: Settings) -> Result<ExitCode, Failure> {
    telemetry::init(settings.log.format, &settings.log.level)?;
    let shutdown = shutdown()?;
    let mut server = Server::bind(settings, Wiring::default()).await?;
    if let Some(welcome) = server.take_welcome() {
        welcome.write(&mut std::io::stdout())?;
    }
    server.serve(shutdown).await?;
    Ok(ExitCode::SUCCESS)
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
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

async fn client(command: cli::ClientCommand, settings: &Settings) -> Result<ExitCode, Failure> {
    let reached = server::reach(settings, command.connection().server.as_ref()).await?;
    let (upstream, standing, local) = match reached {
        Reached::Remote(upstream) => (upstream, Standing::Remote(Environment::of_process()), None),
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
