//! The harness: the real server on real sockets and a database of its own, and those who use it.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokend::client::Upstream;
use tokend::config::Settings;
use tokend::domain::random::MachineRandom;
use tokend::server::{Server, StartError, Wiring, remote};
use tokend::store::lock::Addresses;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) mod actor;
mod admin;
pub(crate) mod alone;
pub(crate) mod apart;
pub(crate) mod api;
pub(crate) mod check;
pub(crate) mod clock;
pub(crate) mod database;
pub(crate) mod http;
pub(crate) mod refusal;

pub(crate) use actor::{Actor, Session, UserDraft};
pub(crate) use api::Api;
pub(crate) use check::{Check, Verdict};
pub(crate) use clock::TestClock;
pub(crate) use database::{Database, Kind, Template};
pub(crate) use http::Http;
pub(crate) use refusal::Refusal;

/// The password of the first user.
pub(crate) const ADMIN_PASSWORD: &str = "the-first-users-password";

/// What seals the keys in a server's database. On SQLite the product makes its own.
pub(crate) const MASTER_KEY: &str = "S2Vlcc8Txk1LJhfRN3yZ0aVmP5uQeB7wGdHoIi94CtM=";

/// A server with a database of its own, on ports that the machine chose. Dropped, it is gone.
pub(crate) struct World {
    database: Arc<Database>,
    settings: Settings,
    clock: Arc<TestClock>,
    line: Line,
    running: Option<Running>,
}

struct Running {
    addresses: Addresses,
    shim: Option<apart::Shim>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), StartError>>,
}

/// Where the server is now: those who use a world find it again after a restart.
#[derive(Clone)]
pub(crate) struct Line(Arc<RwLock<Upstream>>);

impl Line {
    pub(crate) fn get(&self) -> Upstream {
        self.0.read().expect("nobody panics with it").clone()
    }
}

impl World {
    /// A world with the settings of [`settings`].
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A world whose settings a test changes.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(Kind::of_this_run(), change).await
    }

    /// A world on a database of this kind, whichever this process tests.
    pub(crate) async fn on(kind: Kind, change: impl FnOnce(&mut Settings)) -> Self {
        let database = Arc::new(Database::copy(template(kind).await));
        let mut settings = settings(&database);
        change(&mut settings);
        let clock = Arc::new(TestClock::default());
        let (running, upstream) = run(&settings, &clock).await;
        let line = Line(Arc::new(RwLock::new(upstream)));
        Self { database, settings, clock, line, running: Some(running) }
    }

    /// A world that replicas may join. `None` on SQLite, where one process has the database to
    /// itself.
    pub(crate) async fn shared() -> Option<Self> {
        if Kind::of_this_run() == Kind::Sqlite {
            return None;
        }
        Some(Self::start().await)
    }

    /// Another server on the same database, with the same clocks.
    pub(crate) async fn replica(&self) -> Self {
        self.replica_with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn replica_with(&self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.settings.clone();
        change(&mut settings);
        self.join(settings, Arc::clone(&self.clock)).await
    }

    /// Another server on the same database, with clocks of its own that begin as the others did.
    pub(crate) async fn replica_elsewhere(&self) -> Self {
        self.join(self.settings.clone(), Arc::default()).await
    }

    async fn join(&self, settings: Settings, clock: Arc<TestClock>) -> Self {
        let (running, upstream) = run(&settings, &clock).await;
        Self {
            database: Arc::clone(&self.database),
            settings,
            clock,
            line: Line(Arc::new(RwLock::new(upstream))),
            running: Some(running),
        }
    }

    /// What keeps such a server from its start.
    pub(crate) async fn refusal_of_replica(
        &self,
        change: impl FnOnce(&mut Settings),
    ) -> StartError {
        let mut settings = self.settings.clone();
        change(&mut settings);
        Server::bind(settings, wiring(&self.clock)).await.expect_err("no start")
    }

    /// Where the server is, for those who move from one to another.
    pub(super) fn line(&self) -> Line {
        self.line.clone()
    }

    /// Stops the server as an operator would, and starts it again over the same database.
    pub(crate) async fn restart(&mut self) {
        self.restart_with(|_| {}).await;
    }

    /// Restarts with other settings.
    pub(crate) async fn restart_with(&mut self, change: impl FnOnce(&mut Settings)) {
        self.stop().await;
        change(&mut self.settings);
        let (running, upstream) = run(&self.settings, &self.clock).await;
        *self.line.0.write().expect("nobody panics with it") = upstream;
        self.running = Some(running);
    }

    /// Stops the server. Its database stays until the world is dropped.
    pub(crate) async fn stop(&mut self) {
        let running = self.running.take().expect("the server runs");
        running.shutdown.cancel();
        running.task.await.expect("no panic").expect("a clean end");
    }

    /// Lets time pass, on both clocks.
    pub(crate) fn advance(&self, time: Duration) {
        self.clock.advance(time);
    }

    pub(crate) fn clock(&self) -> &TestClock {
        &self.clock
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The gRPC address, for what no generated client sends.
    pub(crate) fn grpc_url(&self) -> String {
        format!("http://{}", self.addresses().grpc)
    }

    fn addresses(&self) -> &Addresses {
        &self.running.as_ref().expect("the server runs").addresses
    }

    /// The contract, by nobody.
    pub(crate) fn nobody(&self) -> Api {
        Api::of_nobody(self.line.clone())
    }

    /// The first user, who may do everything.
    pub(crate) fn admin(&self) -> Actor {
        let admin = self.settings.bootstrap.username.clone();
        Actor::new(self.line.clone(), ("default", &admin, ADMIN_PASSWORD), String::new())
    }

    /// A new user: `world.user("alice").with(["orders:read"]).await`.
    pub(crate) fn user(&self, name: &str) -> UserDraft {
        UserDraft::new(self.admin(), name)
    }

    /// A check: `world.check(&secret).permission("orders:read").await`.
    pub(crate) fn check(&self, secret: &str) -> Check {
        Check::new(self.nobody(), secret)
    }

    /// The dialects' listener, in the server's process or apart.
    pub(crate) fn http(&self) -> Http {
        let shim = self.running.as_ref().and_then(|running| running.shim.as_ref());
        Http::new(match shim {
            Some(shim) => shim.address,
            None => self.addresses().rest.expect("it is on"),
        })
    }

    /// The listener for probes and metrics.
    pub(crate) fn management(&self) -> Http {
        Http::new(self.addresses().management.expect("it is on"))
    }
}

/// The settings of a test: ports of the machine's choice, hashes that cost nothing, no time grid,
/// and no limit by address.
fn settings(database: &Database) -> Settings {
    let any_port = ([127, 0, 0, 1], 0).into();
    let mut settings = Settings::default();
    settings.grpc.listen = any_port;
    settings.rest.listen = any_port;
    settings.management.listen = any_port;
    settings.database.url = database.url().to_owned().into();
    if database.kind() != Kind::Sqlite {
        settings.database.readers = 2;
        settings.keys.master_key = Some(MASTER_KEY.into());
    }
    settings.bootstrap.password = Some(ADMIN_PASSWORD.into());
    settings.shutdown.delay = Some(Duration::ZERO);
    settings.passwords.memory_kib = 8;
    settings.passwords.iterations = 1;
    settings.passwords.threads = 1;
    settings.passwords.failure_grid = Duration::ZERO;
    settings.sign_in.rate_per_minute = 1_000_000;
    settings.sign_in.burst = 1_000_000;
    settings
}

fn wiring(clock: &Arc<TestClock>) -> Wiring {
    Wiring {
        clock: Arc::clone(clock) as _,
        random: Arc::new(MachineRandom::default()),
        statement_log: alone::statement_log(),
    }
}

async fn run(settings: &Settings, clock: &Arc<TestClock>) -> (Running, Upstream) {
    let mut settings = settings.clone();
    if apart::is_apart() {
        settings.rest.enabled = false;
        settings.grpc.trusted_peers = vec!["127.0.0.1/32".parse().expect("a network")];
    }
    let server = Server::bind(settings.clone(), wiring(clock)).await.expect("a start");
    let addresses = *server.addresses();
    let url = format!("http://{}/", addresses.grpc).parse().expect("a URL");
    let upstream = Upstream::remote(remote(&url).expect("a channel"));
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(server.serve(shutdown.clone()));
    let shim = apart::is_apart().then(|| apart::Shim::start(&settings, addresses.grpc));
    (Running { addresses, shim, shutdown, task }, upstream)
}

/// The database of a server that was started once and stopped: drawing its keys takes longer than
/// most tests.
pub(crate) async fn template(kind: Kind) -> &'static Template {
    static FILE: OnceCell<Template> = OnceCell::const_new();
    static SERVED: OnceCell<Template> = OnceCell::const_new();
    let template = if kind == Kind::Sqlite { &FILE } else { &SERVED };
    template
        .get_or_init(async || {
            let database = Database::empty(kind);
            let (running, _) = run(&settings(&database), &Arc::default()).await;
            running.shutdown.cancel();
            running.task.await.expect("no panic").expect("a clean end");
            database.into_template()
        })
        .await
}
