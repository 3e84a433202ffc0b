//! The harness: the real server on real sockets and a database of its own, and those who use it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tempfile::TempDir;
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
pub(crate) use http::Http;
pub(crate) use refusal::Refusal;

/// The password of the first user.
pub(crate) const ADMIN_PASSWORD: &str = "the-first-users-password";

const DATABASE: &str = "tokend.db";

/// A server with a database of its own, on ports that the machine chose. Dropped, it is gone.
pub(crate) struct World {
    dir: TempDir,
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
        let dir = TempDir::new().expect("a folder");
        for (name, bytes) in template().await {
            write(&dir.path().join(name), bytes).expect("a file");
        }
        let mut settings = settings(dir.path());
        change(&mut settings);
        let clock = Arc::new(TestClock::default());
        let (running, upstream) = run(&settings, &clock).await;
        let line = Line(Arc::new(RwLock::new(upstream)));
        Self { dir, settings, clock, line, running: Some(running) }
    }

    /// Stops the server as an operator would, and starts it again over the same files.
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

    /// Stops the server. Its files stay until the world is dropped.
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

    /// The folder of the database, its key and its lock.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
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
pub(crate) fn settings(folder: &Path) -> Settings {
    let any_port = ([127, 0, 0, 1], 0).into();
    let mut settings = Settings::default();
    settings.grpc.listen = any_port;
    settings.rest.listen = any_port;
    settings.management.listen = any_port;
    settings.database.url = format!("sqlite://{}", path(folder).display()).into();
    settings.bootstrap.password = Some(ADMIN_PASSWORD.into());
    settings.passwords.memory_kib = 8;
    settings.passwords.iterations = 1;
    settings.passwords.threads = 1;
    settings.passwords.failure_grid = Duration::ZERO;
    settings.sign_in.rate_per_minute = 1_000_000;
    settings.sign_in.burst = 1_000_000;
    settings
}

fn path(folder: &Path) -> PathBuf {
    folder.join(DATABASE)
}

async fn run(settings: &Settings, clock: &Arc<TestClock>) -> (Running, Upstream) {
    let wiring = Wiring {
        clock: Arc::clone(clock) as _,
        random: Arc::new(MachineRandom::default()),
        statement_log: alone::statement_log(),
    };
    let mut settings = settings.clone();
    if apart::is_apart() {
        settings.rest.enabled = false;
        settings.grpc.trusted_peers = vec!["127.0.0.1/32".parse().expect("a network")];
    }
    let server = Server::bind(settings.clone(), wiring).await.expect("a start");
    let addresses = *server.addresses();
    let url = format!("http://{}/", addresses.grpc).parse().expect("a URL");
    let upstream = Upstream::remote(remote(&url).expect("a channel"));
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(server.serve(shutdown.clone()));
    let shim = apart::is_apart().then(|| apart::Shim::start(&settings, addresses.grpc));
    (Running { addresses, shim, shutdown, task }, upstream)
}

/// The files of a server that was started once and stopped: drawing its keys takes longer than
/// most tests.
async fn template() -> &'static BTreeMap<PathBuf, Vec<u8>> {
    static FILES: OnceCell<BTreeMap<PathBuf, Vec<u8>>> = OnceCell::const_new();
    FILES
        .get_or_init(async || {
            let dir = TempDir::new().expect("a folder");
            let settings = settings(dir.path());
            assert!(settings.database.url.expose_secret().ends_with(DATABASE));
            let (running, _) = run(&settings, &Arc::default()).await;
            running.shutdown.cancel();
            running.task.await.expect("no panic").expect("a clean end");
            files(dir.path())
        })
        .await
}

/// Writes a file that only its owner reads: the server refuses a key that others can.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

/// All files of a folder but the lock.
pub(crate) fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").file_name().into())
        .filter(|name: &PathBuf| name.extension().is_none_or(|ending| ending != "lock"))
        .map(|name| (name.clone(), std::fs::read(folder.join(name)).expect("a file")))
        .collect()
}
