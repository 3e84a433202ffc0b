//! The databases that tests run on.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::database::{Database, Kind};

/// Set in the process that is to be killed.
const VICTIM: &str = "TOKEND_TEST_VICTIM";

#[test]
fn copies_what_a_template_holds() {
    if Kind::of_this_run() == Kind::Sqlite {
        return;
    }
    let first = Database::empty(Kind::of_this_run());
    first.run("CREATE TABLE t (a VARCHAR(9) PRIMARY KEY); INSERT INTO t VALUES ('one')");
    let template = first.into_template();
    let (one, other) = (Database::copy(&template), Database::copy(&template));
    one.run("INSERT INTO t VALUES ('two')");
    assert_eq!(one.contents()["t"], b"one\ntwo");
    assert_eq!(other.contents()["t"], b"one");
}

#[test]
fn ends_the_server_of_a_process_that_is_killed() {
    const TEST: &str = "databases::ends_the_server_of_a_process_that_is_killed";
    if Kind::of_this_run() == Kind::Sqlite {
        return;
    }
    if std::env::var_os(VICTIM).is_some() {
        let url = format!("{}\n", Database::empty(Kind::of_this_run()).url());
        std::io::stderr().write_all(url.as_bytes()).unwrap();
        thread::park();
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", TEST, "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let url = BufReader::new(victim.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    let address = url.split_once('@').unwrap().1.split_once('/').unwrap().0;
    TcpStream::connect(address).unwrap();
    victim.kill().unwrap();
    victim.wait().unwrap();
    while TcpStream::connect(address).is_ok() {
        thread::sleep(Duration::from_millis(10));
    }
}
