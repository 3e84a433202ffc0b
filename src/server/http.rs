//! The HTTP listeners: HTTP/1.1 and cleartext HTTP/2, everything bounded.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{Service as _, service_fn};
use tracing::warn;

use crate::transport::{
    BodyTimes, Bounds, Connection, Framing, Incoming, Protocol, RawBody, RequestBody,
    RequestMemory, Shutdown, drive,
};

/// What a listener grants its clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request's head.
    pub head_bytes: u32,
    /// How long a head may take to arrive, from its first byte; the first one from the connection's
    /// start. A closing connection has as long to close.
    pub head_time: Duration,
    /// How long a connection may be open without a request under way.
    pub idle_time: Duration,
    /// How long the body of a request may take to arrive.
    pub body_times: BodyTimes,
    /// How many bytes of it are kept.
    pub body_bytes: usize,
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
            head_bytes: 16 * 1024,
            head_time: Duration::from_secs(10),
            // Google's load balancer keeps connections for ten minutes, and none for longer: who
            // closes first closes before a request that is on its way.
            idle_time: Duration::from_mins(11),
            body_times: BodyTimes::default(),
            body_bytes: 64 * 1024,
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
    mut incoming: Incoming,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    // Ends what outlives the grace, and everything where this future itself is dropped.
    let end = CancellationToken::new();
    let _end_on_drop = end.clone().drop_guard();
    let stop = Shutdown { begin: shutdown.clone(), end: end.clone() };
    while let Some(accepted) = incoming.next(&shutdown).await {
        let connection = Arc::clone(accepted.permit.connection());
        let memory = accepted.permit.memory().clone();
        let server = Server { router: router.clone(), limits, connection, memory };
        let service = service_fn(move |request| server.clone().answer(request));
        connections.spawn(drive(accepted, service, bounds(&limits), stop.clone()));
    }
    drop(incoming);
    connections.close();
    if timeout(limits.grace, connections.wait()).await.is_err() {
        warn!(connections = connections.len(), "the grace is over; connections are cut");
        end.cancel();
        connections.wait().await;
    }
}

const fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        protocol: Protocol::Any,
        streams: limits.concurrent_streams,
        head_bytes: limits.head_bytes,
        head_time: limits.head_time,
        idle_time: limits.idle_time,
        age: None,
        call_time: None,
        keepalive_interval: Duration::from_secs(30),
        keepalive_timeout: limits.head_time,
    }
}

/// What the requests of a connection share.
#[derive(Clone)]
struct Server {
    router: Router,
    limits: Limits,
    connection: Arc<Connection>,
    memory: RequestMemory,
}

impl Server {
    async fn answer(self, request: Request<RawBody>) -> Result<Response<Body>, Infallible> {
        let Self { mut router, limits, connection, memory } = self;
        connection.begin_request(request.version());
        let request_of = UnderWay(Arc::clone(&connection));
        // Where there is no room, the body says so to whoever reads it.
        let held = memory.hold(&connection, request.headers());
        let framing = Framing::Pieces { most: limits.body_bytes };
        let mut request = request.map(|body| {
            Body::new(RequestBody::new(body, held.clone(), framing, limits.body_times))
        });
        request.extensions_mut().insert(ConnectInfo(connection.peer()));
        let response = match timeout(limits.request_time, router.call(request)).await {
            Ok(Ok(response)) => response,
            Err(_) => timed_out(),
        };
        drop(held);
        Ok(response.map(|body| Body::new(Outgoing { body, _request: request_of })))
    }
}

fn timed_out() -> Response<Body> {
    let mut response = Response::new(Body::from(r#"{"error":"request timeout"}"#));
    *response.status_mut() = http::StatusCode::REQUEST_TIMEOUT;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

/// A request whose answer was not handed over yet.
struct UnderWay(Arc<Connection>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.end_request();
    }
}

/// The body of an answer, whose end is the request's.
struct Outgoing {
    body: Body,
    _request: UnderWay,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
