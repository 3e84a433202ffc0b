//! The process as its user meets it: started, asked, stopped, killed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;
use tokend::client::Upstream;
use tokend::server::remote;

use crate::support::{Database, Kind, MASTER_KEY};

mod bad_input;
mod commands;
mod crash;
mod dead_rows;
mod deploy;
mod disk_full;
mod first_start;
mod fleet;
mod forged_keys;
mod output;
mod own_files;
mod readme;
mod shell;
mod standby;
mod stop;
mod story;
mod strangers;

/// How long a process may say nothing. More than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is said once all listeners are open.
const SERVING: &str = " serving ";

/// A client that no proxy of the machine's environment comes between.
fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// A folder of its own, and the environment of what runs in it.
struct Place {
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
    /// Where this process tests a server: one of it. Else there is a file in the folder.
    database: Option<Database>,
}

impl Place {
    /// On the database that this process tests.
    fn new() -> Self {
        let kind = Kind::of_this_run();
        if kind == Kind::Sqlite {
            return Self::on_sqlite();
        }
        let database = Database::empty(kind);
        let mut place = Self::on_sqlite()
            .with("TOKEND__DATABASE__URL", database.url())
            .with("TOKEND__KEYS__MASTER_KEY", MASTER_KEY);
        place.database = Some(database);
        place
    }

    /// With nothing in it and no word of a database, for what is SQLite's own or needs none.
    fn on_sqlite() -> Self {
        let any = "127.0.0.1:0";
        let folder = tempfile::tempdir().unwrap();
        let place = Self { folder, environment: Vec::new(), database: None };
        place
            .with("TOKEND__GRPC__LISTEN", any)
            .with("TOKEND__REST__LISTEN", any)
            .with("TOKEND__MANAGEMENT__LISTEN", any)
            .with("TOKEND__DATABASE__LOCK_WAIT", "50ms")
            .with("TOKEND__SHUTDOWN__DELAY", "0s")
            // So that whatever shows a stack trace shows it here.
            .with("RUST_BACKTRACE", "1")
    }

    /// With this in the environment, over what was there.
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.into()));
        self
    }

    /// Without this in the environment.
    fn without(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| *known != name);
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// What lies in the folder.
    fn names(&self) -> BTreeSet<String> {
        let files = fs::read_dir(self.folder.path()).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Starts the server and waits until it serves.
    fn serve(&self) -> Running {
        let mut server = self.start(&[], "");
        server.wait_for(SERVING);
        server
    }

    /// Runs a command to its end.
    fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments, "").ended()
    }

    /// Runs a command that reads `input` to its end.
    fn run_with(&self, arguments: &[&str], input: &str) -> Ended {
        self.start(arguments, input).ended()
    }

    /// Starts the server with files that grow no further than so many blocks of the shell's.
    fn serve_within(&self, blocks: u32) -> Running {
        self.serve_by(&format!("ulimit -f {blocks}"))
    }

    /// Starts the server so that its files can be kept from growing while it runs.
    fn serve_limitable(&self) -> Running {
        self.serve_by(":")
    }

    fn serve_by(&self, before: &str) -> Running {
        let mut shell = Command::new("sh");
        // The signal would end it; ignored, the write fails, as it does on a full disk.
        let script = format!("trap '' XFSZ; {before}; exec \"$0\"");
        shell.args(["-euc", &script, env!("CARGO_BIN_EXE_tokend")]);
        let mut server = self.start_command(shell, "");
        server.wait_for(SERVING);
        server
    }

    fn start(&self, arguments: &[&str], input: &str) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokend"));
        command.args(arguments);
        self.start_command(command, input)
    }

    /// Starts a command whose standard output goes elsewhere than to the test.
    fn start_into(&self, arguments: &[&str], stdout: Stdio) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokend"));
        command.args(arguments).stdout(stdout);
        Running::spawn(self.at_home(command), "", tempfile::tempfile().unwrap())
    }

    fn start_command(&self, command: Command, input: &str) -> Running {
        Running::start(self.at_home(command), input)
    }

    fn at_home(&self, mut command: Command) -> Command {
        command
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A process on its way; dropped, it is killed.
struct Running {
    child: Child,
    stdout: File,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Running {
    fn start(mut command: Command, input: &str) -> Self {
        // A file, for nobody has to read it in time.
        let stdout = tempfile::tempfile().unwrap();
        command.stdout(stdout.try_clone().unwrap());
        Self::spawn(command, input, stdout)
    }

    fn spawn(mut command: Command, input: &str, stdout: File) -> Self {
        command.stderr(Stdio::piped()).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Who does not read their input has not failed by that.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (told, lines) = channel();
        thread::spawn(move || {
            for line in stderr.lines() {
                if told.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { child, stdout, lines, seen: Vec::new() }
    }

    /// Reads the log up to a line that holds these words.
    fn wait_for(&mut self, words: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| self.fail(&format!("never said {words:?}")));
            self.seen.push(line.clone());
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Whether it says these words before it ends.
    fn says(&mut self, words: &str) -> bool {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.seen.push(line);
                    if self.seen.last().is_some_and(|line| line.contains(words)) {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => self.fail("neither speaks nor ends"),
            }
        }
    }

    fn fail(&self, why: &str) -> ! {
        panic!("{why}; it said: {:#?}", self.seen)
    }

    /// Where a listener of a server is: `grpc`, `rest` or `management`.
    fn address(&self, listener: &str) -> String {
        let serving = self.seen.iter().find(|line| line.contains(SERVING)).expect("it serves");
        let mut words = serving.split(' ').filter_map(|word| word.split_once('='));
        words.find(|(name, _)| *name == listener).unwrap().1.trim_matches('"').to_owned()
    }

    fn url(&self, listener: &str) -> String {
        format!("http://{}", self.address(listener))
    }

    /// The clients of a server.
    fn upstream(&self) -> Upstream {
        Upstream::remote(remote(&self.url("grpc").parse().unwrap()).unwrap())
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that was written to stdout until now.
    fn stdout(&mut self) -> String {
        let mut text = String::new();
        self.stdout.rewind().unwrap();
        self.stdout.read_to_string(&mut text).unwrap();
        text
    }

    /// What the first start says of the first user.
    fn welcome(&mut self) -> Welcome {
        Welcome(self.stdout())
    }

    /// Lets the files of a server grow no further than this; `None`: as far as there is room.
    fn limit_files(&self, bytes: Option<u64>) {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Fsize, limit).unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Asks a server to stop, and waits for its end.
    fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        self.ended()
    }

    /// Ends the process without any notice.
    fn kill(self) {
        self.signal(Signal::KILL);
        assert_eq!(self.ended().code, None);
    }

    /// Waits for the end.
    fn ended(mut self) -> Ended {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => self.fail("does not end"),
            }
        }
        let code = self.child.wait().unwrap().code();
        Ended { code, stdout: self.stdout(), stderr: std::mem::take(&mut self.seen) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A process that has ended.
#[derive(Debug)]
struct Ended {
    /// `None` where a signal ended it.
    code: Option<i32>,
    stdout: String,
    stderr: Vec<String>,
}

impl Ended {
    /// What it wrote, where it went well.
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.stdout
    }

    /// What it wrote, read as JSON, where it went well.
    #[track_caller]
    fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).unwrap()
    }

    /// The one sentence by which it says why it failed.
    #[track_caller]
    fn sentence(self) -> String {
        let faults = self.faults();
        assert_eq!(faults.len(), 1, "{faults:#?}");
        faults.concat()
    }

    /// The sentences by which it says why it failed.
    #[track_caller]
    fn faults(self) -> Vec<String> {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{self:#?}");
        let text = self.stderr.join("\n");
        let sentences = text.strip_prefix("tokend: ").expect("says who speaks");
        sentences.lines().map(str::to_owned).collect()
    }
}

/// What the first start says of the first user.
struct Welcome(String);

impl Welcome {
    fn password(&self) -> String {
        self.line("password: ").trim_start_matches("password: ").to_owned()
    }

    /// The line that begins so.
    fn line(&self, start: &str) -> String {
        let mut lines = self.0.lines().map(str::trim).filter(|line| line.starts_with(start));
        let line = lines.next().unwrap().to_owned();
        assert_eq!(lines.next(), None);
        line
    }
}
