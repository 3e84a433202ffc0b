//! Strangers who take all that they can get: memory, connections, time. The server takes a bounded
//! amount of each, and answers others meanwhile.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tokend::client::Upstream;
use tokend::pb::Decision;
use tokend::pb::create_token_request::Credential;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::crash::{admin, authorize, create};
use super::{Place, Running, SERVING, http};

mod connections;
mod floods;
mod memory;

/// How much more memory a stranger may cost, in KiB.
const MOST: usize = 64 * 1024;

/// Where it is set, what the attacks cost is written down: the time of `Authorize` and of `/readyz`,
/// and the memory.
const FIGURES: &str = "TOKEND_TEST_FIGURES";

/// Strangers, and this machine itself, which a proxy on it would be.
const STRANGER: [u8; 4] = [127, 0, 0, 2];
const THIS_MACHINE: [u8; 4] = [127, 0, 0, 1];

/// A server, and those who use it as they should.
struct Attacked {
    server: Running,
    upstream: Upstream,
    password: String,
    secret: String,
    before: usize,
    _place: Place,
}

impl Attacked {
    /// Starts a server that may have so many files open.
    async fn with_files(files: u32) -> Self {
        // The strangers are in this process.
        tokend::transport::files::raise();
        // Requests are taken from memory alone: hashing takes what it takes.
        let place = Place::on_sqlite().with("TOKEND__PASSWORDS__MEMORY_KIB", "1024");
        let mut shell = Command::new("sh");
        let script = format!("ulimit -n {files}; exec \"$0\"");
        shell.args(["-euc", &script, env!("CARGO_BIN_EXE_tokend")]);
        let mut server = place.start_command(shell, "");
        server.wait_for(SERVING);
        let password = server.welcome().password();
        let upstream = server.upstream();
        let secret = create(&upstream, "operation", admin(&password)).await.unwrap().0.secret;
        let mut attacked = Self { server, upstream, password, secret, before: 0, _place: place };
        attacked.serves_others().await;
        attacked.before = attacked.resident();
        attacked
    }

    fn address(&self, listener: &str) -> SocketAddr {
        self.server.address(listener).parse().unwrap()
    }

    /// What the process holds of the machine's memory, in KiB.
    fn resident(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// The processor time that the process has taken: of all its threads, to the nanosecond.
    fn processor_time(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.server.pid())).unwrap();
        let spent = tasks.map(|task| {
            // It may have ended.
            let stat = fs::read_to_string(task.unwrap().path().join("schedstat"));
            let stat = stat.unwrap_or_default();
            stat.split_whitespace().next().map_or(0, |nanos| nanos.parse::<u64>().unwrap())
        });
        Duration::from_nanos(spent.sum())
    }

    /// Fails where others are not served, each by a connection of their own.
    async fn serves_others(&self) {
        let began = Instant::now();
        let upstream = self.server.upstream();
        for upstream in [&self.upstream, &upstream] {
            assert_eq!(authorize(upstream, &self.secret).await.decision(), Decision::Allow);
        }
        let authorized = began.elapsed() / 2;
        let by = Credential::BearerToken(self.secret.clone());
        create(&upstream, "personal", by).await.unwrap();
        create(&upstream, "operation", admin(&self.password)).await.unwrap();
        for (listener, path) in [("rest", ".well-known/jwks.json"), ("management", "readyz")] {
            let url = format!("{}/{path}", self.server.url(listener));
            let began = Instant::now();
            assert_eq!(http().get(url).send().await.unwrap().status(), 200, "{path}");
            if path == "readyz" && std::env::var_os(FIGURES).is_some() {
                let (ready, taken) = (began.elapsed(), self.resident().saturating_sub(self.before));
                let figures = format!("{authorized:?} {ready:?} {taken} KiB more\n");
                std::io::stderr().write_all(figures.as_bytes()).unwrap();
            }
        }
    }

    /// Fails where the process has taken more memory than strangers may cost.
    #[track_caller]
    fn holds_little(&self) {
        self.holds_at_most(MOST);
    }

    fn holds_at_most(&self, most: usize) {
        let taken = self.resident().saturating_sub(self.before);
        assert!(taken <= most, "{} KiB, then {taken} KiB more", self.before);
    }

    /// One line of the metrics.
    async fn metric(&self, start: &str) -> f64 {
        let url = format!("{}/metrics", self.server.url("management"));
        let page = http().get(url).send().await.unwrap().text().await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(start));
        line.unwrap_or_default().trim().parse().unwrap_or_default()
    }
}

/// Connects from an address.
async fn connect(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}
