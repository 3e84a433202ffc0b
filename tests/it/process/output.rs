//! Output that can't be written, or that nobody reads: it costs lines, and nothing else.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, ErrorKind, PipeReader, PipeWriter, Write as _, pipe};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};

use super::{Ended, Place, SERVING, http};

/// What writes of which metric.
const LOST: &str = "tokend_log_lines_lost_total ";

fn full_disk() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

fn closed_pipe() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A pipe with no room in it, and who would have to read it.
fn full_pipe() -> (PipeWriter, PipeReader) {
    let (reader, mut writer) = pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    for size in [4096, 1] {
        while writer.write(&vec![b'x'; size]).map_err(|error| error.kind())
            != Err(ErrorKind::WouldBlock)
        {}
    }
    fcntl_setfl(&writer, flags).unwrap();
    (writer, reader)
}

/// A server whose log goes elsewhere than to the test.
struct Silent {
    child: Child,
    _stdout: BufReader<ChildStdout>,
    addresses: BTreeMap<String, String>,
    password: String,
}

impl Silent {
    /// Starts it, for the first time, and reads what it says of that.
    fn start(place: &Place, stderr: Stdio) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tokend"))
            .current_dir(place.folder.path())
            .env_clear()
            .envs(place.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut said = String::new();
        while !said.contains("buf curl") {
            assert_ne!(stdout.read_line(&mut said).unwrap(), 0, "it ended: {said}");
        }
        let password = said.split_once("password: ").unwrap().1.lines().next().unwrap().to_owned();
        // What it said comes after it has taken its ports.
        let lock = fs::read_to_string(place.path("tokend.db.lock")).unwrap();
        let addresses = lock.lines().filter_map(|line| line.split_once(' '));
        let addresses =
            addresses.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { child, _stdout: stdout, addresses, password }
    }

    async fn signs_in(&self) -> bool {
        let url = format!("http://{}/tokens", self.addresses["rest"]);
        let made = http().post(url).basic_auth("admin", Some(&self.password)).send().await;
        made.unwrap().status() == 201
    }

    /// How many lines it has lost.
    async fn lost(&self) -> u64 {
        let url = format!("http://{}/metrics", self.addresses["management"]);
        let metrics = http().get(url).send().await.unwrap().text().await.unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix(LOST));
        line.unwrap().parse().unwrap()
    }

    fn stop(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_and_counts_the_lines_where_its_log_can_not_be_written() {
    for stderr in [full_disk(), closed_pipe()] {
        let place = Place::on_sqlite().with("TOKEND__LOG__LEVEL", "trace");
        let server = Silent::start(&place, stderr);
        while server.lost().await == 0 {}
        assert!(server.signs_in().await);
        assert_eq!(server.stop(), Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn goes_on_and_ends_where_nobody_reads_its_log() {
    let (writer, unread) = full_pipe();
    let place = Place::on_sqlite().with("TOKEND__LOG__LEVEL", "trace");
    let server = Silent::start(&place, writer.into());
    // Until there is no room for what waits to be written. In the end there are too many attempts.
    while server.lost().await == 0 {
        futures_util::future::join_all((0..20).map(|_| server.signs_in())).await;
    }
    let last = server.lost().await;
    server.signs_in().await;
    assert!(server.lost().await > last);
    assert_eq!(server.stop(), Some(0));
    drop(unread);
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_a_shim_of_its_own_where_nobody_reads_its_log() {
    for words in ["rest --upstream http://127.0.0.1:9", "serve"] {
        let (writer, unread) = full_pipe();
        let place = Place::on_sqlite();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tokend"))
            .args(words.split(' '))
            .current_dir(place.folder.path())
            .env_clear()
            .envs(place.environment.iter().map(|(name, value)| (name, value)))
            // The port is taken: it has one thing to say, and nobody to say it to.
            .env("TOKEND__REST__LISTEN", "192.0.2.1:1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(writer)
            .spawn()
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(1), "{words}");
        drop(unread);
    }
}

#[test]
fn goes_on_and_tells_how_to_set_a_password_where_the_first_can_not_be_shown() {
    let (full, unread) = full_pipe();
    for stdout in [full_disk(), closed_pipe(), full.into()] {
        let place = Place::on_sqlite();
        let mut server = place.start_into(&[], stdout);
        let told = server.wait_for("could not be shown");
        assert!(told.contains("`tokend user passwd admin`"), "{told}");
        server.wait_for(SERVING);
        assert_eq!(server.stop().code, Some(0));

        let set = ["user", "passwd", "admin", "--password-stdin"];
        place.run_with(&set, "chosen by hand\n").ok();
        let server = place.serve();
        let url = server.url("grpc");
        let ask = ["user", "list", "--as", "admin", "--server", &url];
        let place = place.with("TOKEND_PASSWORD", "chosen by hand\r\n");
        assert!(place.run(&ask).ok().contains("admin"));
        assert_eq!(server.stop().code, Some(0));
    }
    drop(unread);
}

/// What only writes.
const COMMANDS: [&str; 7] = [
    "config show",
    "config check",
    "openapi",
    "completions bash",
    "user list",
    "role list --output json",
    "lease show",
];

#[test]
fn ends_a_command_quietly_where_nobody_reads_on() {
    let place = Place::on_sqlite();
    assert_eq!(place.serve().stop().code, Some(0));
    for command in COMMANDS.into_iter().chain(["--help", "--version"]) {
        let arguments: Vec<_> = command.split(' ').collect();
        let Ended { code, stderr, .. } = place.start_into(&arguments, closed_pipe()).ended();
        assert_eq!((code, stderr), (Some(0), vec![]), "{command}");
    }
}

#[test]
fn fails_a_command_whose_answer_can_not_be_written() {
    let place = Place::on_sqlite();
    assert_eq!(place.serve().stop().code, Some(0));
    for command in COMMANDS.into_iter().chain(["--help", "--version"]) {
        let arguments: Vec<_> = command.split(' ').collect();
        let sentence = place.start_into(&arguments, full_disk()).ended().sentence();
        assert!(sentence.contains("written: No space left on device"), "{command}: {sentence}");
    }
}
