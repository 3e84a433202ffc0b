//! What the accept loop promises, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let done = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
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
async fn keeps_more_connections_than_it_has_places_waiting() {
    let server = Running::start(says_peer(), Limits { connections: 1, ..limits() }).await;
    let mut first = server.connect().await;
    first.write_all(REQUEST).await.unwrap();
    read_some(&mut first).await;
    let mut second = server.connect().await;
    second.write_all(REQUEST).await.unwrap();
    let mut buffer = [0; 1];
    let early = timeout(Duration::from_millis(50), second.read(&mut buffer)).await;
    assert!(early.is_err(), "answered beyond the bound");
    drop(first);
    assert!(read_some(&mut second).await.starts_with("HTTP/1.1 200"));
    server.stop().await;
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
    let serving = serve(listener, says_peer(), limits(), shutdown);
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
