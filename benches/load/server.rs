//! Servers as processes of their own: the real one in a folder of its own, and what the machine
//! says of a process.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::figures::now;
use crate::{Result, fail};

/// The program.
const TOKEND: &str = env!("CARGO_BIN_EXE_tokend");
/// The first user's password.
pub(crate) const ADMIN_PASSWORD: &str = "the-first-users-password";
/// A profile whose refresh tokens don't rotate and whose tokens are signed as the default's are.
pub(crate) const FIXED: &str = "fixed";
const DATABASE: &str = "tokend.db";
const LOG: &str = "log";
/// How long a start, an answer or an end may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// What is not as it is by default: the profile above; and sign-ins are not counted, for all of
/// them come from one address. Nobody shares calls out, so a stop need not wait.
const SETTINGS: &str = r#"[shutdown]
delay = "0s"

[sign_in]
rate_per_minute = 4294967295
burst = 4294967295

[profiles.fixed]
kind = "operation"
format = "jwt"
algorithm = "EdDSA"
claims = "access_token"
lifetime = "15m"
refresh = "fixed"
refresh_lifetime = "30d"
"#;

/// A folder with a database, in which the program runs.
pub(crate) struct Place {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Place {
    /// An empty one, in a folder of this one or of the machine's choice.
    pub(crate) fn new(within: Option<&Path>) -> Result<Self> {
        let folder = folder(within)?;
        fs::write(folder.path().join("tokend.toml"), SETTINGS)?;
        let any = "127.0.0.1:0";
        let place = Self { folder, environment: Vec::new() };
        Ok(place
            .with("GRPC__LISTEN", any)
            .with("REST__LISTEN", any)
            .with("MANAGEMENT__LISTEN", any)
            .with("BOOTSTRAP__PASSWORD", ADMIN_PASSWORD))
    }

    /// With this setting, by its name in the environment.
    pub(crate) fn with(mut self, setting: &str, value: &str) -> Self {
        self.environment.push((format!("TOKEND__{setting}"), value.to_owned()));
        self
    }

    /// Another one with the same content. No server may run in this one.
    pub(crate) fn copy(&self, within: Option<&Path>) -> Result<Self> {
        let folder = folder(within)?;
        for file in fs::read_dir(self.folder.path())? {
            let file = file?;
            fs::copy(file.path(), folder.path().join(file.file_name()))?;
        }
        Ok(Self { folder, environment: self.environment.clone() })
    }

    /// The file of the database.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join(DATABASE)
    }

    /// What a setting is here, by its table and name; `None` where this build has none such.
    pub(crate) fn setting(&self, table: &str, name: &str) -> Result<Option<toml::Value>> {
        let shown = self.command().args(["config", "show"]).output()?;
        let shown: toml::Table = String::from_utf8(shown.stdout)?.parse()?;
        Ok(shown.get(table).and_then(|table| table.get(name)).cloned())
    }

    /// Starts a server and waits until it is ready.
    pub(crate) fn start(&self) -> Result<Process> {
        let mut command = self.command();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(self.folder.path().join(LOG))?);
        let mut process = Process::new(command.spawn()?);
        let begun = now();
        while begun.elapsed() < PATIENCE {
            if let Some(ended) = process.child.try_wait()? {
                return fail(format!("the server ended ({ended}): {}", self.log()));
            }
            if self.find(&mut process) && process.is_ready() {
                return Ok(process);
            }
            thread::sleep(Duration::from_millis(1));
        }
        fail(format!("the server is not ready after {PATIENCE:?}: {}", self.log()))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(TOKEND);
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        command.current_dir(self.folder.path()).env_clear().envs(environment);
        command
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join(LOG)).unwrap_or_default()
    }

    /// Reads where it listens from the lock file, once that is the process's own.
    fn find(&self, process: &mut Process) -> bool {
        let lock = self.folder.path().join(format!("{DATABASE}.lock"));
        let Ok(text) = fs::read_to_string(lock) else { return false };
        let line = |name: &str| {
            text.lines().filter_map(|line| line.split_once(' ')).find(|(known, _)| *known == name)
        };
        let own = line("pid").is_some_and(|(_, pid)| pid == process.child.id().to_string());
        let (Some((_, grpc)), Some((_, management)), true) =
            (line("grpc"), line("management"), own)
        else {
            return false;
        };
        // While the file is being written, a line may be cut short.
        let (Ok(grpc), Ok(management)) = (grpc.parse(), management.parse()) else {
            return false;
        };
        process.address = grpc;
        process.management = Some(management);
        true
    }
}

fn folder(within: Option<&Path>) -> Result<TempDir> {
    let made = match within {
        Some(within) => tempfile::tempdir_in(within)?,
        None => tempfile::tempdir()?,
    };
    Ok(made)
}

/// A server that runs. Dropped, it is killed.
pub(crate) struct Process {
    child: Child,
    /// Where it listens for calls.
    pub(crate) address: SocketAddr,
    management: Option<SocketAddr>,
}

impl Process {
    /// One that was started. Where it listens is for its starter to find out.
    pub(crate) fn new(child: Child) -> Self {
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), management: None }
    }

    /// The processor time of all threads that it has.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end meanwhile.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
            nanos += text.split(' ').next().unwrap_or_default().parse::<u64>().unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// How much of the machine's memory it holds, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        match kib.and_then(|kib| kib.parse::<u64>().ok()) {
            Some(kib) => Ok(kib * 1024),
            None => fail("the machine does not say what memory it holds"),
        }
    }

    /// How many facts it has read from the database.
    pub(crate) fn fact_reads(&self) -> Result<u64> {
        self.counter("tokend_fact_reads_total")
    }

    /// How many dead tokens it has removed.
    pub(crate) fn tokens_removed(&self) -> Result<u64> {
        self.counter("tokend_purged_rows_total{sort=\"token\"}")
    }

    fn counter(&self, name: &str) -> Result<u64> {
        let metrics = self.get("/metrics")?;
        let count = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(count.map_or(Ok(0), |count| count.trim().parse())?)
    }

    /// Asks it to stop, and waits for its end.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let ended = self.child.wait()?;
        if ended.success() { Ok(()) } else { fail(format!("the server ended badly: {ended}")) }
    }

    fn is_ready(&self) -> bool {
        self.get("/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }

    /// The whole answer of its management listener.
    fn get(&self, path: &str) -> Result<String> {
        let Some(address) = self.management else { return fail("it has no management listener") };
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
