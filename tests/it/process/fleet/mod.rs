//! Several processes on one database, as a cluster has them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use tokend::client::Upstream;
use tokend::server::remote;
use tokio::task::block_in_place;

use super::{Place, Running, SERVING, http};
use crate::support::database::own::OwnServer;
use crate::support::{ADMIN_PASSWORD, Database, Kind, MASTER_KEY, template};

mod behind_proxy;
mod calls;
mod cases;
pub(in crate::process) mod chance;
mod distance;
mod faults;
mod keys_in_use;
mod killed;
mod ledger;
mod outage;
mod probes;
mod proxy;
mod read_only;
mod refresh_races;
mod restarts;
mod rounds;
mod strict;
mod versions;

/// How long each replica believes its facts: short, so that a run holds many revocations.
const LEASE: Duration = Duration::from_millis(50);

/// Names how many seconds each run takes, where somebody waits for its figures.
const LONG: &str = "TOKEND_TEST_LONG";

/// How often a replica's port may be somebody else's when it comes back.
const TRIES: u32 = 50;

/// How long a run takes: `short` in the suite.
fn time(short: Duration) -> Duration {
    let asked = std::env::var(LONG).ok().map(|text| text.parse().expect("a number of seconds"));
    asked.map_or(short, Duration::from_secs)
}

/// Whether somebody waits for figures.
pub(super) fn is_long() -> bool {
    std::env::var_os(LONG).is_some()
}

/// The kind of this run, where it has servers; else says that `test` is skipped.
pub(super) fn kind(test: &str) -> Option<Kind> {
    let kind = Kind::of_this_run();
    if kind == Kind::Sqlite {
        tell(&format!("SKIPPED {test}: SQLite has one process"));
        return None;
    }
    Some(kind)
}

/// Writes a line past the capture of the test harness, which hides what a test that passes prints.
pub(super) fn tell(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Where the database of a fleet is.
enum Held {
    /// Beside others.
    Shared(Database),
    /// On a server that can be ended.
    Own(OwnServer),
}

impl Held {
    /// One that was served before, beside others.
    async fn shared(kind: Kind) -> Self {
        Self::Shared(Database::copy(template(kind).await))
    }

    fn url(&self) -> &str {
        match self {
            Self::Shared(database) => database.url(),
            Self::Own(server) => server.url(),
        }
    }

    fn own(&mut self) -> &mut OwnServer {
        match self {
            Self::Shared(_) => panic!("others are on it"),
            Self::Own(server) => server,
        }
    }
}

/// Replicas, and their database.
struct Fleet {
    // Before the database, so that they end before it.
    replicas: Vec<Replica>,
    held: Held,
}

impl Fleet {
    /// Starts replicas, all at once, each with what `change` makes of its settings.
    fn start(held: Held, count: usize, change: impl Fn(usize, Place) -> Place) -> Self {
        let places = (0..count).map(|at| change(at, place(held.url())));
        let replicas = thread::scope(|scope| {
            let starts: Vec<_> =
                places.map(|place| scope.spawn(|| Replica::start(place))).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        Self { replicas, held }
    }

    fn upstreams(&self) -> Vec<Upstream> {
        self.replicas.iter().map(Replica::upstream).collect()
    }

    /// Fails where a process has ended by itself.
    fn assert_all_run(&mut self) {
        for replica in &mut self.replicas {
            let running = replica.running.as_mut().expect("it was started");
            assert_eq!(running.child.try_wait().unwrap(), None, "a replica has ended");
        }
    }
}

impl Drop for Fleet {
    /// Where a test has failed, shows what its replicas complained of.
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        for (at, replica) in self.replicas.iter_mut().enumerate() {
            let Some(running) = &mut replica.running else { continue };
            running.seen.extend(running.lines.try_iter());
            for line in running.seen.iter().filter(|line| !line.contains(" INFO ")) {
                tell(&format!("replica {at}: {line}"));
            }
        }
    }
}

/// The settings of a replica, which cost a test as little time as they can.
pub(super) fn place(database: &str) -> Place {
    let place = Place::new()
        .with("TOKEND__DATABASE__URL", database)
        .with("TOKEND__DATABASE__READERS", "2")
        .with("TOKEND__REST__ENABLED", "false")
        .with("TOKEND__REPLICA__LEASE", format!("{}ms", LEASE.as_millis()))
        .with("TOKEND__BOOTSTRAP__PASSWORD", ADMIN_PASSWORD)
        .with("TOKEND__PASSWORDS__MEMORY_KIB", "8")
        .with("TOKEND__PASSWORDS__ITERATIONS", "1")
        .with("TOKEND__PASSWORDS__THREADS", "1")
        .with("TOKEND__SIGN_IN__RATE_PER_MINUTE", "1000000")
        .with("TOKEND__SIGN_IN__BURST", "1000000");
    if database.starts_with("sqlite:") {
        return place;
    }
    place.with("TOKEND__KEYS__MASTER_KEY", MASTER_KEY)
}

/// A process of a fleet.
struct Replica {
    place: Place,
    /// `None`: it was killed.
    running: Option<Running>,
    grpc: SocketAddr,
    management: SocketAddr,
}

impl Replica {
    fn start(place: Place) -> Self {
        let mut running = place.start(&[], "");
        let line = running.wait_for(SERVING);
        let address = |listener: &str| -> SocketAddr {
            let (_, rest) = line.split_once(&format!("{listener}=")).unwrap();
            rest.split(' ').next().unwrap().trim_matches('"').parse().unwrap()
        };
        let (grpc, management) = (address("grpc"), address("management"));
        let mut place = place
            .with("TOKEND__GRPC__LISTEN", grpc.to_string())
            .with("TOKEND__MANAGEMENT__LISTEN", management.to_string());
        if !line.contains("rest=\"off\"") {
            place = place.with("TOKEND__REST__LISTEN", address("rest").to_string());
        }
        Self { place, running: Some(running), grpc, management }
    }

    /// Its clients, on a connection of their own.
    fn upstream(&self) -> Upstream {
        Upstream::remote(remote(&format!("http://{}", self.grpc).parse().unwrap()).unwrap())
    }

    fn signal(&self, signal: Signal) {
        self.running.as_ref().expect("it runs").signal(signal);
    }

    /// Ends it without any notice.
    fn kill(&mut self) {
        block_in_place(|| self.running.take().expect("it runs").kill());
    }

    /// Asks it to stop, and waits for its end, which must be a clean one.
    fn stop(&mut self) {
        let ended = block_in_place(|| self.running.take().expect("it runs").stop());
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }

    /// Starts it again at the same addresses.
    fn start_again(&mut self) {
        block_in_place(|| {
            for _ in 0..TRIES {
                let mut running = self.place.start(&[], "");
                if running.says(SERVING) {
                    self.running = Some(running);
                    return;
                }
                let said = running.ended().stderr;
                assert!(said.iter().any(|line| line.contains("can't listen")), "{said:#?}");
                // Until the connection is gone that took the port for its own end.
                thread::sleep(Duration::from_millis(100));
            }
            panic!("the port {} stays taken", self.grpc);
        });
    }

    /// Where it speaks the dialects.
    fn rest(&self) -> String {
        self.running.as_ref().expect("it runs").address("rest")
    }

    /// What `/readyz` says: the status and the body.
    async fn readyz(&self) -> (u16, String) {
        let url = format!("http://{}/readyz", self.management);
        let answer = http().get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Reads its log up to a line that holds these words.
    fn wait_for(&mut self, words: &str) -> String {
        block_in_place(|| self.running.as_mut().expect("it runs").wait_for(words))
    }

    /// How many lines of its log hold these words, as far as it was read and has come.
    fn told(&mut self, words: &str) -> usize {
        let running = self.running.as_mut().expect("it runs");
        running.seen.extend(running.lines.try_iter());
        running.seen.iter().filter(|line| line.contains(words)).count()
    }

    /// A counter of its metrics.
    async fn counter(&self, name: &str) -> u64 {
        let url = format!("http://{}/metrics", self.management);
        let metrics = http().get(url).send().await.unwrap().text().await.unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }
}
