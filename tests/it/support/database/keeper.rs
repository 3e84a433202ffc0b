//! A process that outlives this one by as long as it takes to end a server and clear up after it.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The user that a server runs as where this process is the superuser's, whom servers refuse.
const NOBODY: u32 = 65_534;

/// Memory of which a server may fill this much is a better place than a disk.
const ROOM: u64 = 1 << 30;

/// How often a server is asked whether it has started or ended, and how often at most.
const GLANCE: Duration = Duration::from_millis(10);
const GLANCES: u32 = 6000;

/// What PostgreSQL says while processes of one that was killed are still about to end.
const NOT_YET: &str = "pre-existing shared memory block";

/// Runs `prepare` and `serve`, shell functions that come before it, and waits for the end of its
/// input: however the process that holds the other end of it ends, that comes. Until then, each
/// line is `start`, or a signal to end the server by, and a number that no line before it had.
const SCRIPT: &str = r#"
exec 2>&1
trap 'cd /; rm -rf "$FOLDER"' EXIT
prepare || exit
serve &
exec >/dev/null 2>&1
server=$!
while read -r word number; do
    case $word in
    start)
        serve >"started.$number" 2>&1 &
        server=$!
        ;;
    *)
        kill -s "$word" $server
        wait $server
        server=
        : >"ended.$number"
        ;;
    esac
done
[ -z "$server" ] || kill -s "$SIGNAL" $server
wait
"#;

/// What is to be kept.
pub(super) struct Plan<'a> {
    /// The shell functions `prepare` and `serve`. They find in the environment `FOLDER`, which is
    /// theirs, `PORT`, `PASSWORD`, and `AS`, the words before a command that may not be the
    /// superuser's.
    pub(super) functions: &'a str,
    /// What else is in the environment.
    pub(super) environment: Vec<(&'static str, PathBuf)>,
    /// By which signal the server ends at once.
    pub(super) signal: &'static str,
    /// What the server says when it serves.
    pub(super) ready: &'static str,
    pub(super) port: u16,
    pub(super) password: &'a str,
}

/// A server that runs. Dropped, it is gone, and all of its files.
pub(super) struct Kept {
    child: Child,
    input: Option<ChildStdin>,
    folder: PathBuf,
    ready: &'static str,
    /// How many lines it was sent.
    lines: u32,
}

impl Kept {
    /// Starts a server and waits until it says that it serves.
    ///
    /// # Errors
    /// What it said, where it ended.
    pub(super) fn start(plan: &Plan<'_>) -> Result<Self, String> {
        let (folder, run_as) = folder();
        let mut child = Command::new("sh")
            .args(["-c", &format!("{}{SCRIPT}", plan.functions)])
            .env("FOLDER", &folder)
            .env("AS", run_as)
            .env("PORT", plan.port.to_string())
            .env("PASSWORD", plan.password)
            .env("SIGNAL", plan.signal)
            .envs(plan.environment.iter().map(|(name, value)| (name, value)))
            // An interrupt from the keyboard is for this process, and not for the keeper.
            .process_group(0)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell");
        let input = child.stdin.take();
        let mut log = BufReader::new(child.stdout.take().expect("its words"));
        let kept = Self { child, input, folder, ready: plan.ready, lines: 0 };
        let mut said = String::new();
        while !said.contains(plan.ready) {
            if log.read_line(&mut said).expect("text") == 0 {
                return Err(said);
            }
        }
        // So that it never waits for a reader.
        thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Ok(kept)
    }

    /// Ends the server by a signal, and waits for that. Its files stay.
    pub(super) fn end(&mut self, signal: &str) {
        let mark = self.send(signal, "ended");
        self.wait(|| mark.exists());
    }

    /// Starts the server that was ended, and waits until it serves.
    pub(super) fn start_again(&mut self) {
        loop {
            let log = self.send("start", "started");
            let mut said = String::new();
            self.wait(|| {
                said = fs::read_to_string(&log).unwrap_or_default();
                said.contains(self.ready) || said.contains(NOT_YET)
            });
            if said.contains(self.ready) {
                return;
            }
        }
    }

    /// Sends a word, and answers the path of the file that it leads to.
    fn send(&mut self, word: &str, file: &str) -> PathBuf {
        self.lines += 1;
        let line = format!("{word} {}\n", self.lines);
        let input = self.input.as_mut().expect("it runs");
        input.write_all(line.as_bytes()).expect("a keeper that reads");
        self.folder.join(format!("{file}.{}", self.lines))
    }

    fn wait(&self, mut is_done: impl FnMut() -> bool) {
        for _ in 0..GLANCES {
            if is_done() {
                return;
            }
            thread::sleep(GLANCE);
        }
        panic!("the server in {} does not do as it is told", self.folder.display());
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.input.take());
        // It may have ended.
        drop(self.child.wait());
    }
}

/// Makes a folder that the keeper removes, and tells how a server is run that may use it.
fn folder() -> (PathBuf, String) {
    let memory = Path::new("/dev/shm");
    let has_room = rustix::fs::statvfs(memory)
        .is_ok_and(|memory| memory.f_bavail.saturating_mul(memory.f_frsize) >= ROOM);
    let parent = if has_room { memory.to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new().prefix("tokend-test-").tempdir_in(parent);
    let folder = folder.expect("a folder").keep();
    let mut run_as = String::new();
    if folder.metadata().expect("the folder").uid() == 0 {
        chown(&folder, Some(NOBODY), Some(NOBODY)).expect("another owner");
        run_as = format!("setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups");
    }
    (folder, run_as)
}
