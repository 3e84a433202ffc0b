//! Connections that are kept and not used.

use std::time::Duration;

use tokend::pb::Decision;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::crash::authorize;
use super::{Attacked, STRANGER, THIS_MACHINE, connect};

/// As many files as a service has by default on most systems.
const FILES: u32 = 1024;

/// More connections than that.
const MANY: usize = 1100;

/// What a client of HTTP/2 says before its first request.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A request to REST whose body does not come.
const UNFINISHED: &[u8] =
    b"POST /tokens HTTP/1.1\r\nhost: test\r\ncontent-length: 60000\r\n\r\nxxxxxxxx";

async fn open(from: [u8; 4], attacked: &Attacked, listener: &str, said: &[u8]) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..MANY {
        let mut stranger = connect(from, attacked.address(listener)).await;
        // It may be closed by now.
        let _ = stranger.write_all(said).await;
        open.push(stranger);
    }
    open
}

/// How many of them have been closed.
async fn closed(strangers: &mut [TcpStream]) -> usize {
    let mut closed = 0;
    for stranger in strangers {
        let mut said = vec![0; 4096];
        loop {
            match stranger.try_read(&mut said) {
                Ok(0) => break closed += 1,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(_) => break closed += 1,
            }
        }
        tokio::task::yield_now().await;
    }
    closed
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_others_while_a_stranger_keeps_connections_to_every_listener() {
    for from in [STRANGER, THIS_MACHINE] {
        let attacked = Attacked::with_files(FILES).await;
        let mut all = Vec::new();
        for (listener, said) in [
            ("grpc", GREETING),
            ("grpc", &b""[..]),
            ("rest", UNFINISHED),
            ("rest", b"GET / HTTP/1.1\r\nhost:"),
            ("management", b""),
        ] {
            all.push(open(from, &attacked, listener, said).await);
            attacked.serves_others().await;
            attacked.holds_little();
        }
        for listener in ["grpc", "rest", "management"] {
            let reason =
                if from == STRANGER || listener == "management" { "address" } else { "listener" };
            let closed = attacked
                .metric(&format!(
                    r#"tokend_connections_closed_total{{listener="{listener}",reason="{reason}"}} "#
                ))
                .await;
            assert!(
                closed > 0.0 || (from == THIS_MACHINE && listener == "management"),
                "{listener}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_a_stranger_no_more_connections_than_one_address_may_have() {
    let attacked = Attacked::with_files(FILES).await;
    let mut strangers = open(STRANGER, &attacked, "grpc", GREETING).await;
    attacked.serves_others().await;
    let open = attacked.metric(r#"tokend_connections{listener="grpc"} "#).await;
    assert!((1.0..200.0).contains(&open), "{open}");
    // Each end is heard of, sooner or later.
    let mut ends = 0;
    while ends < MANY - 128 {
        ends = closed(&mut strangers).await;
    }
    // One of the last is still there, and is answered.
    let mut last = strangers.pop().unwrap();
    last.write_all(b"\0\0\x08\x06\0\0\0\0\0pingpong").await.unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"pingpong") {
        let mut more = [0; 256];
        let count = last.read(&mut more).await.unwrap();
        assert!(count > 0, "{said:?}");
        said.extend_from_slice(&more[..count]);
    }
}

/// How many connections strangers keep who come from many addresses, where this process may have as
/// many; and from how many addresses.
const CROWD: usize = 10_000;
const ADDRESSES: u8 = 100;

/// How many calls are timed.
const CALLS: usize = 2000;

/// As many files as a service has that means to keep so many connections.
const MANY_FILES: u32 = 16_384;

/// What the server has spent of the processor's time on calls, one after the other.
async fn spent_on_calls(attacked: &Attacked) -> Duration {
    let before = attacked.processor_time();
    for _ in 0..CALLS {
        let verdict = authorize(&attacked.upstream, &attacked.secret).await;
        assert_eq!(verdict.decision(), Decision::Allow);
    }
    attacked.processor_time().saturating_sub(before)
}

#[tokio::test(flavor = "multi_thread")]
async fn costs_a_call_no_more_while_ten_thousand_are_connected() {
    tokend::transport::files::raise();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = usize::try_from(limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    // Others open files in this process, too.
    let crowd = CROWD.min(files / 2);
    let server_files = MANY_FILES.min(u32::try_from(files).unwrap_or(u32::MAX));
    let attacked = Attacked::with_files(server_files).await;
    let alone = spent_on_calls(&attacked).await;
    let mut strangers = Vec::new();
    for number in 0..crowd {
        let network = u8::try_from(number % usize::from(ADDRESSES)).unwrap();
        let mut stranger = connect([127, 1, network, 2], attacked.address("grpc")).await;
        // It may be closed by now.
        let _ = stranger.write_all(GREETING).await;
        strangers.push(stranger);
    }
    attacked.serves_others().await;
    attacked.holds_little();
    let crowded = spent_on_calls(&attacked).await;
    assert!(crowded < alone * 2, "{alone:?}, then {crowded:?}");
    let open = attacked.metric(r#"tokend_connections{listener="grpc"} "#).await;
    assert!((1000.0..=2048.0).contains(&open), "{open}");
    drop(strangers);
}

#[tokio::test(flavor = "multi_thread")]
async fn raises_the_limit_for_open_files_to_what_the_system_allows() {
    let attacked = Attacked::with_files(FILES).await;
    let limits = format!("/proc/{}/limits", attacked.server.pid());
    let line = |text: String| {
        text.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned()
    };
    let words = line(std::fs::read_to_string(limits).unwrap());
    let words: Vec<_> = words.split_whitespace().collect();
    assert_eq!((words[3], words[4]), ("1024", "1024"));

    let place = super::Place::on_sqlite();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-euc", "ulimit -Sn 256; exec \"$0\"", env!("CARGO_BIN_EXE_tokend")]);
    let mut server = place.start_command(shell, "");
    server.wait_for(super::SERVING);
    let words = line(std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap());
    let words: Vec<_> = words.split_whitespace().collect();
    assert_eq!(words[3], words[4]);
}
