//! The composition root: settings in, running listeners out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::client::{InProcess, Upstream};
use crate::config::Settings;
use crate::domain::Core;
use crate::domain::store::More;
use crate::grpc::{self, ServeError};
use crate::rest;
use crate::store::lock::Addresses;
use crate::store::{Connections, SeaStore};
use crate::transport::Incoming;

mod admission;
mod convert;
mod drain;
mod error;
pub mod http;
mod lease;
pub mod management;
mod master_key;
mod open;
mod probe;
mod readiness;
mod upstream;
mod welcome;

pub use error::StartError;
pub use lease::{reset_lease, show_lease};
pub use open::Wiring;
pub use probe::{Probe, healthcheck};
pub use upstream::{Reached, reach, remote};
pub use welcome::Welcome;

use admission::Admissions;
use management::{ManagementState, Metrics};
use open::Opened;
use readiness::Readiness;

/// How often what is kept in memory is written, and how soon what is dead is removed.
const HOUSEKEEPING: Duration = Duration::from_mins(1);
/// How often all facts are read anew.
const RENEWAL: Duration = Duration::from_hours(1);
/// How often the gauges are set, and other replicas told of refresh tokens in use.
const GAUGES: Duration = Duration::from_secs(5);

/// A server that holds its database and its ports, and serves once it is told to.
pub struct Server {
    opened: Opened,
    grpc: TcpListener,
    rest: Option<TcpListener>,
    management: Option<TcpListener>,
    addresses: Addresses,
    metrics: Metrics,
    welcome: Option<Welcome>,
    settings: Settings,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Server {
    /// Takes the database and the ports, and makes the first user where there is none.
    ///
    /// # Errors
    /// What stands in the way, in a sentence. Nothing is half-made then.
    pub async fn bind(settings: Settings, wiring: Wiring) -> Result<Self, StartError> {
        // The lock before the ports: of two servers in one folder, the second should hear of the
        // first, and not of a port.
        let lock = open::lock(&settings).await?;
        let grpc = listen("grpc.listen", settings.grpc.listen).await?;
        let rest = if settings.rest.enabled {
            Some(listen("rest.listen", settings.rest.listen).await?)
        } else {
            None
        };
        let management = if settings.management.enabled {
            Some(listen("management.listen", settings.management.listen).await?)
        } else {
            None
        };
        let addresses = Addresses {
            grpc: grpc.local_addr()?,
            rest: rest.as_ref().map(TcpListener::local_addr).transpose()?,
            management: management.as_ref().map(TcpListener::local_addr).transpose()?,
        };
        let metrics = Metrics::install()?;
        let opened = open::open(&settings, wiring, lock).await?;
        match welcome::first_user(&opened.core, &settings, &addresses).await {
            Ok(welcome) => {
                opened.announce(&addresses)?;
                Ok(Self { opened, grpc, rest, management, addresses, metrics, welcome, settings })
            }
            Err(error) => {
                opened.close().await;
                Err(error)
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What the operator is told at the very first start: the only time that the first user's
    /// password is seen.
    pub fn take_welcome(&mut self) -> Option<Welcome> {
        self.welcome.take()
    }

    /// Serves until the shutdown is asked for, then lets what is under way end, writes what is
    /// kept in memory, and closes the database.
    ///
    /// # Errors
    /// What keeps it from serving.
    pub async fn serve(self, shutdown: CancellationToken) -> Result<(), StartError> {
        let Self { opened, grpc, rest, management, addresses, metrics, welcome: _, settings } =
            self;
        let core = opened.core.clone();
        let stages = Stages::default();
        let readiness = Readiness::new(core.clone(), stages.stopping.clone());
        let health = readiness.for_grpc().await;
        let stop = &stages.stop;
        let contract = grpc::contract(core.clone(), convert::grpc(&settings, stop), &health)?;
        let tasks = TaskTracker::new();
        tasks.spawn(housekeep(core.clone(), Arc::clone(&opened.store), stop.clone()));
        tasks.spawn(remove_dead(core.clone(), stop.clone()));
        tasks.spawn(readiness.clone().keep_up(health.clone()));
        let admissions = Admissions::new(&settings);
        let serving = tasks.spawn(grpc::serve(
            Incoming::new(grpc, admissions.grpc),
            contract.clone(),
            convert::grpc_limits(&settings),
            stop.clone(),
        ));
        if let Some(listener) = rest {
            let upstream = Upstream::in_process(contract.routes(), InProcess::Shim);
            let router = rest::router(upstream, shim(&settings, listener.local_addr()?)?)?;
            let router = drain::closing(router, stages.stopping.clone());
            let limits = convert::http_limits(&settings);
            let incoming = Incoming::new(listener, admissions.rest);
            tasks.spawn(http::serve(incoming, router, limits, stop.clone()));
        }
        let last = TaskTracker::new();
        if let Some(listener) = management {
            let ready = readiness.for_probes();
            let router = management::router(ManagementState { ready, metrics: metrics.clone() });
            let limits = http::Limits { grace: Duration::ZERO, ..http::Limits::default() };
            let incoming = Incoming::new(listener, admissions.management);
            last.spawn(http::serve(incoming, router, limits, stages.stopped.clone()));
        }
        last.spawn(metrics.keep_up(stages.stopped.clone()));
        last.spawn(keep_up(core.clone(), stages.stopped.clone()));
        health.refresh().await;
        log_start(&addresses);
        let outcome = stages.run(shutdown, serving, (&health, settings.shutdown.delay())).await;
        tasks.close();
        tasks.wait().await;
        if let Err(error) = core.flush_uses().await {
            warn!(%error, "the last uses of tokens were not written");
        }
        stages.stopped.cancel();
        last.close();
        last.wait().await;
        opened.close().await;
        info!("stopped");
        outcome
    }
}

/// How a server comes to its end, step by step: each is cancelled when it begins.
#[derive(Default)]
struct Stages {
    /// It says that it is not ready, and serves everything all the same.
    stopping: CancellationToken,
    /// Listeners take no more, and what is under way ends.
    stop: CancellationToken,
    /// Nothing is under way any more. The probes have answered until here, so that an orchestrator
    /// sees the stop, and the tail was read, so that the last checks had a lease.
    stopped: CancellationToken,
}

impl Stages {
    /// Waits until the server is to stop, or breaks off, and has it take no more.
    async fn run(
        &self,
        shutdown: CancellationToken,
        mut serving: JoinHandle<Result<(), ServeError>>,
        (health, delay): (&grpc::Health, Duration),
    ) -> Result<(), StartError> {
        let mut broken_off = None;
        tokio::select! {
            () = shutdown.cancelled() => {}
            ended = &mut serving => broken_off = Some(ended),
        }
        self.stopping.cancel();
        health.stop().await;
        if broken_off.is_none() {
            info!(delay_seconds = delay.as_secs_f64(), "stopping: not ready, and still serving");
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                ended = &mut serving => broken_off = Some(ended),
            }
        }
        info!("stopping");
        self.stop.cancel();
        match broken_off {
            Some(ended) => ended.map_err(std::io::Error::other)?.map_err(StartError::from),
            None => Ok(()),
        }
    }
}

/// Runs the shim alone, as a client of a server elsewhere, until the shutdown is asked for.
///
/// # Errors
/// What stands in the way, in a sentence.
pub async fn serve_rest(
    settings: Settings,
    upstream: Upstream,
    bound: impl FnOnce(SocketAddr),
    shutdown: CancellationToken,
) -> Result<(), StartError> {
    let listener = listen("rest.listen", settings.rest.listen).await?;
    let address = listener.local_addr()?;
    let router = rest::router(upstream, shim(&settings, address)?)?;
    bound(address);
    let router = drain::closing(router, shutdown.clone());
    let (stop, delay) = (CancellationToken::new(), settings.shutdown.delay());
    let stopping = async {
        shutdown.cancelled().await;
        info!(delay_seconds = delay.as_secs_f64(), "stopping: still serving");
        tokio::time::sleep(delay).await;
        stop.cancel();
    };
    let incoming = Incoming::new(listener, Admissions::of_rest(&settings));
    let serving = http::serve(incoming, router, convert::http_limits(&settings), stop.clone());
    tokio::join!(serving, stopping);
    Ok(())
}

/// Brings the database to this version's shape, and closes it.
///
/// # Errors
/// What stands in the way, in a sentence.
pub async fn migrate(settings: &Settings) -> Result<(), StartError> {
    let lock = open::lock(settings).await?;
    open::open_store(settings, None).await?.close().await;
    drop(lock);
    Ok(())
}

/// All services of a database that no server holds, for the operator's own command line.
///
/// # Errors
/// What stands in the way, in a sentence.
async fn operator(settings: &Settings) -> Result<(Upstream, Opened), StartError> {
    let lock = open::lock(settings).await?;
    let opened = open::open(settings, Wiring::default(), lock).await?;
    let stop = CancellationToken::new();
    let health = Readiness::new(opened.core.clone(), stop.clone()).for_grpc().await;
    let contract = grpc::contract(opened.core.clone(), convert::grpc(settings, &stop), &health)?;
    Ok((Upstream::in_process(contract.routes(), InProcess::Operator), opened))
}

/// The settings of a shim that listens here.
fn shim(settings: &Settings, address: SocketAddr) -> Result<rest::Settings, StartError> {
    Ok(rest::Settings { address: welcome::reachable(address), ..settings.shim()? })
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|cause| StartError::Port { setting, address, cause })
}

async fn housekeep(core: Core, store: Arc<SeaStore>, stop: CancellationToken) {
    let mut gauges = tokio::time::interval(GAUGES);
    let mut chores = tokio::time::interval(HOUSEKEEPING);
    let mut renewals = interval_at(Instant::now() + RENEWAL, RENEWAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = gauges.tick() => {
                core.publish_metrics();
                publish_connections(&store);
                if let Err(error) = core.flush_refreshes().await {
                    warn!(%error, "refreshes in use were not written; it is tried again");
                }
            }
            _ = renewals.tick() => {
                if let Err(error) = core.renew().await {
                    warn!(%error, "what is kept was not read anew; it is tried again");
                }
            }
            _ = chores.tick() => {
                if let Err(error) = core.housekeep().await {
                    warn!(%error, "housekeeping failed; it is tried again");
                }
            }
        }
    }
}

/// Removes what is dead all the time, as long as there may be more.
async fn remove_dead(core: Core, stop: CancellationToken) {
    let mut runs = tokio::time::interval(HOUSEKEEPING);
    let run = async {
        loop {
            runs.tick().await;
            match core.remove_dead().await {
                Ok(More::No) => {}
                Ok(More::Perhaps) => runs.reset_immediately(),
                Err(error) => warn!(%error, "dead rows were not removed; it is tried again"),
            }
        }
    };
    stop.run_until_cancelled(run).await;
}

async fn keep_up(core: Core, stop: CancellationToken) {
    stop.run_until_cancelled(core.keep_up()).await;
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is read by eye")]
fn publish_connections(store: &SeaStore) {
    for Connections { sort, open, busy } in store.connections() {
        metrics::gauge!("tokend_database_connections", "sort" => sort).set(open as f64);
        metrics::gauge!("tokend_database_connections_busy", "sort" => sort).set(busy as f64);
    }
}

fn log_start(addresses: &Addresses) {
    let Addresses { grpc, rest, management } = addresses;
    let text = |address: &Option<SocketAddr>| {
        address.map_or_else(|| "off".to_owned(), |address| address.to_string())
    };
    info!(grpc = %grpc, rest = text(rest), management = text(management), "serving");
}

/// The process's own wiring: its clocks, its randomness.
impl Default for Wiring {
    fn default() -> Self {
        Self {
            clock: Arc::new(crate::domain::clock::SystemClock),
            random: Arc::new(crate::domain::random::MachineRandom::default()),
            statement_log: None,
        }
    }
}
