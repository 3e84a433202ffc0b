//! The accept loop of the HTTP listeners: HTTP/1.1 and cleartext HTTP/2, everything bounded.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service as _;
use tracing::{debug, warn};

/// How long the loop rests where the machine has no socket to give.
const OUT_OF_SOCKETS: Duration = Duration::from_millis(200);

/// How long nobody must have come after the shutdown until the listener is closed, and how many are
/// taken meanwhile at most.
const QUIET: Duration = Duration::from_millis(50);
const LAST: usize = 1024;

/// How long a connection that was made just before the shutdown may take to ask for something.
const LAST_CALL: Duration = Duration::from_secs(1);

/// What a listener grants its clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections that are open at once; more wait in the kernel's queue.
    pub connections: usize,
    /// Bytes of a request's head.
    pub head_bytes: u32,
    /// How long a head may take to arrive, the first one from the connection's start, and a closing
    /// connection to close.
    pub head_time: Duration,
    /// How long a connection may be open without a request under way.
    pub idle_time: Duration,
    /// How long a request may take, its body included, until the answer begins.
    pub request_time: Duration,
    /// Requests that are under way at once on one HTTP/2 connection.
    pub concurrent_streams: u32,
    /// How long requests may go on after the shutdown began.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            head_bytes: 16 * 1024,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_mins(1),
            request_time: Duration::from_secs(90),
            // Each may hold a body of 64 KiB.
            concurrent_streams: 16,
            grace: Duration::from_secs(30),
        }
    }
}

/// Serves the router until the shutdown is asked for; then lets requests that are under way end,
/// at most for [`Limits::grace`]. No connection is left when it returns.
///
/// Each request carries `ConnectInfo<SocketAddr>`, the address of its peer.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    // Ends what outlives the grace, and everything where this future itself is dropped.
    let end = CancellationToken::new();
    let _end_on_drop = end.clone().drop_guard();
    let server = Server { router, limits, shutdown: shutdown.clone(), end: end.clone() };
    while let Some((place, socket, peer)) = accept(&listener, &places, &shutdown).await {
        connections.spawn(server.clone().drive(place, socket, peer));
    }
    // Those that have come before it, until nobody does: closed now, the listener would cut them off.
    for _ in 0..LAST {
        let next = accept(&listener, &places, &end);
        let Ok(Some((place, socket, peer))) = timeout(QUIET, next).await else { break };
        connections.spawn(server.clone().drive(place, socket, peer));
    }
    drop(listener);
    connections.close();
    if timeout(limits.grace, connections.wait()).await.is_err() {
        warn!(connections = connections.len(), "the grace is over; connections are cut");
        end.cancel();
        connections.wait().await;
    }
}

/// Waits for a place and a client to take it; `None` once the shutdown began.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let next = async {
        let place = Arc::clone(places).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => return Some((place, socket, peer)),
                Err(error) if is_of_the_client(error.kind()) => {}
                Err(error) => {
                    warn!(%error, "no connection could be accepted");
                    sleep(OUT_OF_SOCKETS).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        accepted = next => accepted,
    }
}

fn is_of_the_client(error: ErrorKind) -> bool {
    matches!(
        error,
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}

/// What every connection shares.
#[derive(Clone)]
struct Server {
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
    end: CancellationToken,
}

impl Server {
    /// Serves one connection to its end.
    async fn drive(self, place: OwnedSemaphorePermit, socket: TcpStream, peer: SocketAddr) {
        if let Err(error) = socket.set_nodelay(true) {
            debug!(%error, "TCP_NODELAY was refused");
        }
        let end = self.end.clone();
        tokio::select! {
            biased;
            () = end.cancelled() => {}
            () = self.converse(socket, peer) => {}
        }
        drop(place);
    }

    async fn converse(self, socket: TcpStream, peer: SocketAddr) {
        let Self { router, limits, shutdown, end: _ } = self;
        let under_way = UnderWay::new();
        let counted = under_way.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let (router, counted) = (router.clone(), counted.enter());
            async move {
                let response = answer(router, request, peer, limits.request_time).await;
                drop(counted);
                Ok::<_, Infallible>(response)
            }
        });
        let builder = builder(&limits);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(socket), service));
        let bound = tokio::select! {
            _ = connection.as_mut() => return,
            () = stopping(&shutdown, &under_way) => limits.grace,
            () = under_way.idle(limits.head_time, limits.idle_time) => limits.head_time,
        };
        connection.as_mut().graceful_shutdown();
        // A client that never reads would hold it open for ever.
        if timeout(bound, connection).await.is_err() {
            debug!(client.address = %peer, "a connection did not close; it is cut");
        }
    }
}

/// Waits for the shutdown, and then for the first request of a connection that has had none: closed
/// at once, it would lose one that is on its way.
async fn stopping(shutdown: &CancellationToken, under_way: &UnderWay) {
    shutdown.cancelled().await;
    // It has asked for nothing, then.
    let _ = timeout(LAST_CALL, under_way.first()).await;
}

async fn answer(
    mut router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    bound: Duration,
) -> Response<Body> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    match timeout(bound, router.call(request)).await {
        Ok(Ok(response)) => response,
        Err(_) => {
            let mut response = Response::new(Body::from(r#"{"error":"request timeout"}"#));
            *response.status_mut() = http::StatusCode::REQUEST_TIMEOUT;
            let json = http::HeaderValue::from_static("application/json");
            response.headers_mut().insert(http::header::CONTENT_TYPE, json);
            response
        }
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_buf_size(usize::try_from(limits.head_bytes).unwrap_or(usize::MAX).max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.concurrent_streams)
        .max_header_list_size(limits.head_bytes)
        .keep_alive_interval(limits.idle_time / 2)
        .keep_alive_timeout(limits.head_time)
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(256 * 1024)
        .max_send_buf_size(64 * 1024);
    builder
}

/// Counts the requests of one connection.
#[derive(Clone)]
struct UnderWay(Arc<watch::Sender<Count>>);

/// How many there are now, and how many there were.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    now: usize,
    ever: usize,
}

impl UnderWay {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Count::default())))
    }

    fn enter(&self) -> Counted {
        self.0.send_modify(|count| {
            count.now = count.now.saturating_add(1);
            count.ever = count.ever.saturating_add(1);
        });
        Counted(self.clone())
    }

    /// Waits until there was one.
    async fn first(&self) {
        // The sender is ours, so it is there.
        let _ = self.0.subscribe().wait_for(|count| count.ever > 0).await;
    }

    /// Waits until nothing was under way for `later`, and at first for `first`: a client that says
    /// nothing, or never ends what it says, is one of those.
    async fn idle(&self, first: Duration, later: Duration) {
        let mut count = self.0.subscribe();
        let mut time = first;
        loop {
            let is_busy = count.borrow_and_update().now > 0;
            if is_busy {
                time = later;
            }
            let change = count.changed();
            if is_busy {
                // The sender is ours, so it is there.
                let _ = change.await;
            } else if timeout(time, change).await.is_err() {
                return;
            }
        }
    }
}

/// A request that is under way.
struct Counted(UnderWay);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| count.now = count.now.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests;
