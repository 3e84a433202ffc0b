//! What the accept loop promises, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::transport::{Admission, AdmissionLimits};

use super::*;

/// Longer than any test: what should end must end by itself.
const LONG: Duration = Duration::from_mins(10);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n";

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    done: JoinHandle<()>,
}

impl Running {
    async fn start(router: Router, limits: Limits) -> Self {
        Self::with_places(router, limits, 100).await
    }

    async fn with_places(router: Router, limits: Limits, connections: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let places = AdmissionLimits { connections, per_address: connections, trusted: Vec::new() };
        let admission = Admission::new("test", places, RequestMemory::new(32 << 20));
        let incoming = Incoming::new(listener, admission);
        let done = tokio::spawn(serve(incoming, router, limits, shutdown.clone()));
        Self { address, shutdown, done }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.done.await.unwrap();
    }
}

fn limits() -> Limits {
    Limits {
        idle_time: LONG,
        head_time: LONG,
        request_time: LONG,
        grace: LONG,
        ..Limits::default()
    }
}

fn says_peer() -> Router {
    Router::new().route(
        "/",
        get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }),
    )
}

/// A route that tells that it was reached and answers once it may.
fn waits(reached: &Arc<Notify>, may_go: &Arc<Notify>) -> Router {
    let (reached, may_go) = (Arc::clone(reached), Arc::clone(may_go));
    Router::new().route(
        "/",
        get(|| async move {
            reached.notify_one();
            may_go.notified().await;
            "done"
        }),
    )
}

async fn read_to_end(mut socket: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end, too.
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn read_some(socket: &mut TcpStream) -> String {
    let mut buffer = [0; 4096];
    let count = socket.read(&mut buffer).await.unwrap();
    String::from_utf8(buffer[..count].to_vec()).unwrap()
}

#[tokio::test]
async fn tells_each_request_its_peer() {
    let server = Running::start(says_peer(), limits()).await;
    let mut socket = server.connect().await;
    let local = socket.local_addr().unwrap().to_string();
    socket.write_all(REQUEST).await.unwrap();
    let answer = read_some(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with(&local), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn speaks_cleartext_http2() {
    let server = Running::start(says_peer(), limits()).await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let answer = client.get(format!("http://{}/", server.address)).send().await.unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_2);
    assert_eq!(answer.status(), 200);
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn closes_what_is_idle_whatever_it_said_before() {
    let short = Limits { idle_time: Duration::from_millis(30), ..limits() };
    let bounded = Limits { head_time: Duration::from_millis(30), ..short };
    let server = Running::start(says_peer(), bounded).await;
    // Nothing; the half of a preface; the half of a head; a whole preface; a request.
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for said in [&b""[..], b"PRI", b"GET / HTTP/1.1\r\nhost:", preface, REQUEST] {
        let mut socket = server.connect().await;
        socket.write_all(said).await.unwrap();
        let mut end = Vec::new();
        let _ = socket.read_to_end(&mut end).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn gives_the_first_request_no_longer_than_a_head() {
    let bounded = Limits { head_time: Duration::from_millis(30), ..limits() };
    let server = Running::start(says_peer(), bounded).await;
    for said in [&b""[..], b"PRI", b"GET / HTTP/1.1\r\nhost:"] {
        let mut socket = server.connect().await;
        socket.write_all(said).await.unwrap();
        let mut end = Vec::new();
        let _ = socket.read_to_end(&mut end).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn cuts_requests_whose_body_never_ends() {
    let short = Limits { request_time: Duration::from_millis(30), ..limits() };
    let router = Router::new().route("/", axum::routing::post(|_: axum::body::Bytes| async {}));
    let server = Running::start(router, short).await;
    let mut socket = server.connect().await;
    let head = b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\nx";
    socket.write_all(head).await.unwrap();
    assert!(read_some(&mut socket).await.starts_with("HTTP/1.1 408"));
    drop(socket);
    server.stop().await;
}

#[tokio::test]
async fn refuses_heads_that_are_too_large() {
    let server = Running::start(says_peer(), limits()).await;
    let mut socket = server.connect().await;
    let head = format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    socket.write_all(head.as_bytes()).await.unwrap();
    assert!(read_some(&mut socket).await.starts_with("HTTP/1.1 431"));
    server.stop().await;
}

#[tokio::test]
async fn closes_at_once_what_it_has_no_place_for() {
    let (reached, may_go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = Running::with_places(waits(&reached, &may_go), limits(), 1).await;
    let mut first = server.connect().await;
    first.write_all(REQUEST).await.unwrap();
    reached.notified().await;
    assert_eq!(read_to_end(server.connect().await).await, "");
    may_go.notify_one();
    assert!(read_some(&mut first).await.starts_with("HTTP/1.1 200"));
    server.stop().await;
}

#[tokio::test]
async fn gives_the_place_of_an_idle_connection_to_a_new_one() {
    let server = Running::with_places(says_peer(), limits(), 1).await;
    let mut first = server.connect().await;
    first.write_all(REQUEST).await.unwrap();
    read_some(&mut first).await;
    let mut second = server.connect().await;
    second.write_all(REQUEST).await.unwrap();
    assert!(read_some(&mut second).await.starts_with("HTTP/1.1 200"));
    assert_eq!(read_to_end(first).await, "");
    server.stop().await;
}

#[tokio::test]
async fn gives_the_place_of_an_unfinished_body_to_a_new_connection() {
    let router = Router::new().route("/", post(|_: axum::body::Bytes| async {}).get(|| async {}));
    let patient = BodyTimes { whole: LONG, grace: LONG, rate: 1 };
    let server = Running::with_places(router, Limits { body_times: patient, ..limits() }, 1).await;
    let mut first = server.connect().await;
    first.write_all(UNFINISHED).await.unwrap();
    let mut second = server.connect().await;
    second.write_all(REQUEST).await.unwrap();
    assert!(read_some(&mut second).await.starts_with("HTTP/1.1 200"));
    assert_eq!(read_to_end(first).await, "");
    server.stop().await;
}

/// Limits of which the times are the product's.
fn usual() -> Limits {
    Limits::default()
}

/// Sends a request and reads its answer.
async fn ask(socket: &mut TcpStream) {
    socket.write_all(REQUEST).await.unwrap();
    assert!(read_some(socket).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(start_paused = true)]
async fn keeps_an_idle_connection_for_longer_than_a_head_may_take() {
    let server = Running::start(says_peer(), usual()).await;
    let mut socket = server.connect().await;
    for _ in 0..3 {
        ask(&mut socket).await;
        sleep(usual().idle_time / 10 * 9).await;
    }
    ask(&mut socket).await;
    let began = Instant::now();
    assert_eq!(read_to_end(socket).await, "");
    assert!((usual().idle_time..usual().idle_time * 2).contains(&began.elapsed()));
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn cuts_a_later_head_that_has_begun_and_does_not_end() {
    let server = Running::start(says_peer(), usual()).await;
    for drips in [&[&b"GET / HTTP/1.1\r\n"[..]][..], &[b"G", b"E", b"T", b" ", b"/", b" ", b"H"]] {
        let mut socket = server.connect().await;
        ask(&mut socket).await;
        sleep(Duration::from_mins(1)).await;
        let began = Instant::now();
        for drip in drips {
            // It may have been cut before.
            let _ = socket.write_all(drip).await;
            sleep(Duration::from_secs(2)).await;
        }
        assert_eq!(read_to_end(socket).await, "");
        let time = usual().head_time;
        assert!((time..time + Duration::from_secs(5)).contains(&began.elapsed()));
    }
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn gives_a_first_head_no_time_to_be_idle() {
    let server = Running::start(says_peer(), usual()).await;
    for said in [&b""[..], b"GET / HTTP/1.1\r\n"] {
        let mut socket = server.connect().await;
        socket.write_all(said).await.unwrap();
        let began = Instant::now();
        assert_eq!(read_to_end(socket).await, "");
        let time = usual().head_time;
        assert!((time..time + Duration::from_secs(1)).contains(&began.elapsed()));
    }
    server.stop().await;
}

/// A route that reads a body, and says why it could not.
fn reads() -> Router {
    Router::new().route(
        "/",
        post(|body: axum::body::Body| async {
            match axum::body::to_bytes(body, usize::MAX).await {
                Ok(body) => body.len().to_string(),
                Err(error) => std::error::Error::source(&error).unwrap().to_string(),
            }
        }),
    )
}

const UNFINISHED: &[u8] = b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 9999\r\n\r\nx";

#[tokio::test(start_paused = true)]
async fn waits_for_a_body_as_long_as_it_comes_at_a_rate() {
    let server = Running::start(reads(), usual()).await;
    // A byte and no more; a hundred bytes a second; two kibibytes a second, to the end.
    for (piece, whole) in [(0, false), (100, false), (2048, true)] {
        let mut socket = server.connect().await;
        let began = Instant::now();
        socket.write_all(UNFINISHED).await.unwrap();
        let mut left = 9998;
        let answer = loop {
            let piece = left.min(piece);
            left -= piece;
            socket.write_all(&vec![b'x'; piece]).await.unwrap();
            if let Ok(answer) = timeout(Duration::from_secs(1), read_some(&mut socket)).await {
                break answer;
            }
        };
        assert!(began.elapsed() < usual().body_times.whole, "{piece}");
        assert_eq!(answer.ends_with("\r\n9999"), whole, "{answer}");
        assert_eq!(answer.ends_with("took too long to arrive"), !whole, "{answer}");
    }
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn waits_for_no_body_longer_than_for_a_whole_one() {
    let server = Running::start(reads(), usual()).await;
    let mut socket = server.connect().await;
    let began = Instant::now();
    socket
        .write_all(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 99999\r\n\r\n")
        .await
        .unwrap();
    let answer = loop {
        socket.write_all(&[b'x'; 4096]).await.unwrap();
        if let Ok(answer) = timeout(Duration::from_secs(1), read_some(&mut socket)).await {
            break answer;
        }
    };
    assert!(answer.ends_with("took too long to arrive"), "{answer}");
    let whole = usual().body_times.whole;
    assert!((whole..whole + Duration::from_secs(2)).contains(&began.elapsed()));
    server.stop().await;
}

#[tokio::test]
async fn has_no_memory_for_more_than_one_connection_may_hold() {
    let (reached, may_go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let router = waits(&reached, &may_go);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let places = AdmissionLimits { connections: 9, per_address: 9, trusted: Vec::new() };
    // A connection may hold less than what a call costs.
    let admission = Admission::new("test", places, RequestMemory::new(16 * 1024));
    let shutdown = CancellationToken::new();
    let incoming = Incoming::new(listener, admission);
    tokio::spawn(serve(
        incoming,
        reads().merge(router.route("/get", get(|| async {}))),
        limits(),
        shutdown,
    ));
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(UNFINISHED).await.unwrap();
    let answer = read_some(&mut socket).await;
    assert!(answer.ends_with("hold too much memory"), "{answer}");
}

#[tokio::test]
async fn lets_requests_end_that_are_under_way_at_shutdown() {
    let (reached, may_go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let server = Running::start(waits(&reached, &may_go), limits()).await;
    let mut socket = server.connect().await;
    socket.write_all(REQUEST).await.unwrap();
    reached.notified().await;
    server.shutdown.cancel();
    may_go.notify_one();
    let answer = read_to_end(socket).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    server.done.await.unwrap();
}

#[tokio::test]
async fn cuts_what_outlives_the_grace_and_closes_what_is_idle() {
    let (reached, never) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let grace = Limits { grace: Duration::from_millis(30), ..limits() };
    let server = Running::start(waits(&reached, &never), grace).await;
    let (mut busy, idle) = (server.connect().await, server.connect().await);
    busy.write_all(REQUEST).await.unwrap();
    reached.notified().await;
    server.stop().await;
    assert_eq!(read_to_end(busy).await, "");
    assert_eq!(read_to_end(idle).await, "");
}

#[tokio::test]
async fn leaves_no_connection_where_it_is_dropped() {
    let server = Running::start(says_peer(), limits()).await;
    let mut socket = server.connect().await;
    socket.write_all(REQUEST).await.unwrap();
    read_some(&mut socket).await;
    server.done.abort();
    assert_eq!(read_to_end(socket).await, "");
}

#[tokio::test]
async fn answers_those_who_had_come_before_the_shutdown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    // They wait in the kernel's queue, some of them with their request, and some send it in a moment.
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(REQUEST).await.unwrap();
        sockets.push(socket);
    }
    let late = TcpStream::connect(address).await.unwrap();
    let places = AdmissionLimits { connections: 100, per_address: 100, trusted: Vec::new() };
    let admission = Admission::new("test", places, RequestMemory::new(32 << 20));
    let serving = serve(Incoming::new(listener, admission), says_peer(), limits(), shutdown);
    let asking = async {
        let mut answers = Vec::new();
        for socket in sockets {
            answers.push(read_to_end(socket).await);
        }
        let mut late = late;
        late.write_all(REQUEST).await.unwrap();
        answers.push(read_to_end(late).await);
        answers
    };
    let ((), answers) = tokio::join!(serving, asking);
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}
