//! The shim in a process of its own, a client of a world's server by its gRPC port.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;
use tokend::config::Settings;

tokio::task_local! {
    static APART: ();
}

/// Runs a test whose worlds have their shims apart.
pub(crate) async fn apart<T>(test: impl Future<Output = T>) -> T {
    APART.scope((), test).await
}

/// Whether the worlds of this test have their shims apart.
pub(crate) fn is_apart() -> bool {
    APART.try_with(|()| ()).is_ok()
}

/// A shim apart. Dropped, it is killed.
pub(crate) struct Shim {
    child: Child,
    pub(crate) address: SocketAddr,
    _folder: TempDir,
}

impl Shim {
    /// Starts one with the settings of a world, before the server at `grpc`.
    pub(crate) fn start(settings: &Settings, grpc: SocketAddr) -> Self {
        let folder = TempDir::new().expect("a folder");
        // The shim has no database, and its settings hold no secret.
        let mut settings = settings.clone();
        settings.database = Settings::default().database;
        settings.keys.master_key = None;
        fs::write(folder.path().join("tokend.toml"), settings.show()).expect("a file");
        let mut child = Command::new(env!("CARGO_BIN_EXE_tokend"))
            .args(["rest", "--upstream", &format!("http://{grpc}")])
            .current_dir(folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut log = BufReader::new(child.stderr.take().expect("its log"));
        let address = serving(&mut log);
        // So that it never waits for a reader.
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, address, _folder: folder }
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.child.kill().expect("a process of ours");
        self.child.wait().expect("its end");
    }
}

/// Reads the log up to where it says at which address it serves.
fn serving(log: &mut impl std::io::BufRead) -> SocketAddr {
    let mut seen = String::new();
    for line in log.lines() {
        let line = line.expect("text");
        if let Some((_, address)) = line.split_once(" serving rest=") {
            return address.parse().expect("an address");
        }
        seen += &line;
    }
    panic!("the shim ended: {seen}");
}
