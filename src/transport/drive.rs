//! A connection from its start to its end: what it may do, and for how long.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::{Builder, Connection as Conversation};
use hyper_util::service::TowerToHyperService;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tower::Service;
use tracing::debug;

use super::RawBody;
use super::accept::Accepted;
use super::connection::Connection;
use super::io::Socket;

/// What a client of HTTP/2 says first (RFC 9113, section 3.4), in bytes.
const GREETING_BYTES: usize = 24;

/// What a peer may send unasked on one stream of HTTP/2, and on all streams of a connection. So much
/// of what nobody reads is kept.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;

/// The window that a connection needs for each call that it may have open at once. h2 counts up to
/// 256 bytes for a short message that waits to be read, and ends the connection where they come to
/// more than half of its window: so many calls would be lost at once.
const WINDOW_OF_CALL: u32 = 512;

/// How much of an answer waits in a stream of HTTP/2 for its peer to take it.
const SEND_BUFFER: usize = 64 * 1024;

/// Streams that a peer opens and resets at once (CVE-2023-44487), and streams that we have to reset
/// (CVE-2025-8671): beyond these the connection ends. What comes late for a call that was answered
/// early counts as the latter, and a peer that does nothing wrong sends some of it in its time.
const RESET_STREAMS: usize = 20;
const RESET_BY_US: usize = 1024;

/// How long a connection that was made just before a shutdown may take to speak.
const LAST_CALL: Duration = Duration::from_secs(1);

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/2 alone, as gRPC does. A client may connect long before its first call.
    Http2,
    /// HTTP/1.1 or HTTP/2. A client connects with its first request.
    Any,
}

/// What a connection may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// What is spoken.
    pub protocol: Protocol,
    /// How many calls may be open at once on a connection of HTTP/2.
    pub streams: u32,
    /// How many bytes the head of a request may have.
    pub head_bytes: u32,
    /// How long a head may take, from its first byte; the first one, or the greeting, from the
    /// connection's start.
    pub head_time: Duration,
    /// How long a connection may be open without a call.
    pub idle_time: Duration,
    /// How long a connection takes new calls, and then how long it may take to end those that go on.
    pub age: Option<Duration>,
    /// How long a call may take, its answer taken by the client included, unless it is a stream.
    pub call_time: Option<Duration>,
    /// How often a peer of HTTP/2 is asked whether it is still there.
    pub keepalive_interval: Duration,
    /// How long it may take to answer that, and a connection that was told to close to do so.
    pub keepalive_timeout: Duration,
}

/// How connections end with their listener.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// They are told to end, and take no more calls.
    pub begin: CancellationToken,
    /// They are cut.
    pub end: CancellationToken,
}

/// What happens on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// It has ended.
    Ended,
    /// The head of a request has begun.
    Head,
    /// After the listener was told to stop, its first request has come.
    Spoken,
    /// The listener is told to stop.
    Stop,
    /// A time has come.
    Due,
}

/// What is to be done with a connection when its time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Nothing before this.
    Later(Instant),
    /// It is told to close, and has so long for it.
    Close(Duration),
    /// It is cut.
    Cut,
}

type Fault = Box<dyn StdError + Send + Sync>;

/// What can answer the requests of a connection.
pub trait Answers:
    Service<
        Request<RawBody>,
        Response = Response<Self::Body>,
        Error = Self::Broken,
        Future = Self::Answering,
    > + Clone
    + Send
    + 'static
{
    /// The body of an answer.
    type Body: http_body::Body<Data = Bytes, Error: Into<Fault>> + Send + 'static;
    /// Why there is none.
    type Broken: Into<Fault>;
    /// An answer that is made.
    type Answering: Future<Output = Result<Response<Self::Body>, Self::Broken>> + Send + 'static;
}

impl<S, B> Answers for S
where
    S: Service<Request<RawBody>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Fault>,
    B: http_body::Body<Data = Bytes, Error: Into<Fault>> + Send + 'static,
{
    type Body = B;
    type Broken = S::Error;
    type Answering = S::Future;
}

/// Serves a connection to its end.
pub async fn drive<S: Answers>(accepted: Accepted, service: S, bounds: Bounds, shutdown: Shutdown) {
    let Accepted { stream, permit } = accepted;
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "TCP_NODELAY was refused");
    }
    let connection = Arc::clone(permit.connection());
    if bounds.protocol == Protocol::Http2 {
        connection.await_greeting(GREETING_BYTES);
    }
    let socket = Socket { stream, connection: Arc::clone(&connection) };
    let builder = builder(&bounds);
    let conversation =
        pin!(builder.serve_connection(TokioIo::new(socket), TowerToHyperService::new(service)));
    let clocked = Clocked { connection: &connection, bounds: &bounds };
    let served = clocked.serve(conversation, &shutdown.begin);
    tokio::select! {
        biased;
        () = connection.cut.cancelled() => {}
        () = shutdown.end.cancelled() => {}
        () = served => {}
    }
    drop(permit);
}

/// A connection, and the times that it is bound to.
struct Clocked<'a> {
    connection: &'a Connection,
    bounds: &'a Bounds,
}

type Talk<'a, 'b, S> =
    Pin<&'a mut Conversation<'b, TokioIo<Socket>, TowerToHyperService<S>, TokioExecutor>>;

impl Clocked<'_> {
    async fn serve<S: Answers>(&self, mut talk: Talk<'_, '_, S>, stop: &CancellationToken) {
        let Self { connection, bounds } = self;
        let mut timer = pin!(sleep_until(connection.started() + bounds.head_time));
        let mut stuck_at = bounds.call_time.map(|time| connection.started() + time / 2);
        let mut seen = connection.head_began();
        let mut stopping = pin!(stop.cancelled());
        let mut is_stopping = false;
        loop {
            let talk_on = poll_fn(|cx| {
                if talk.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Event::Ended);
                }
                if is_stopping && !connection.is_new() {
                    return Poll::Ready(Event::Spoken);
                }
                let began = connection.head_began();
                let is_new = began != seen && began.is_some();
                seen = began;
                if is_new { Poll::Ready(Event::Head) } else { Poll::Pending }
            });
            let event = tokio::select! {
                biased;
                event = talk_on => event,
                () = stopping.as_mut(), if !is_stopping => Event::Stop,
                () = timer.as_mut() => Event::Due,
            };
            let close = match event {
                Event::Ended => return,
                Event::Head => {
                    let due = Instant::now() + bounds.head_time;
                    if due < timer.deadline() {
                        timer.as_mut().reset(due);
                    }
                    continue;
                }
                // Closed at once, it would lose a request that is on its way.
                Event::Stop if connection.is_new() => {
                    is_stopping = true;
                    timer.as_mut().reset(Instant::now() + LAST_CALL);
                    continue;
                }
                // The listener sees to it that this ends.
                Event::Stop | Event::Spoken => None,
                Event::Due if is_stopping => return,
                Event::Due => match self.due(Instant::now(), &mut stuck_at) {
                    Due::Later(time) => {
                        timer.as_mut().reset(time);
                        continue;
                    }
                    Due::Close(time) => Some(time),
                    Due::Cut => return,
                },
            };
            talk.as_mut().graceful_shutdown();
            return close_within(talk, close).await;
        }
    }

    /// Judges a connection by the times that it is bound to.
    fn due(&self, now: Instant, stuck_at: &mut Option<Instant>) -> Due {
        let Self { connection, bounds } = self;
        let mut next = now + bounds.idle_time;
        if let Some(began) = connection.head_began() {
            let late = began + bounds.head_time;
            if now >= late {
                return Due::Cut;
            }
            next = next.min(late);
        }
        if let Some((at, time)) = stuck_at.as_mut().zip(bounds.call_time) {
            if now >= *at {
                *at = now + time / 2;
                if connection.is_stuck() {
                    debug!("an answer was not taken in time; the connection is cut");
                    return Due::Cut;
                }
            }
            next = next.min(*at);
        }
        if let Some(age) = bounds.age {
            let old = connection.started() + age;
            if now >= old {
                return Due::Close(age);
            }
            next = next.min(old);
        }
        let idle = connection.last() + bounds.idle_time;
        if connection.is_waiting() && !connection.is_in_use() {
            if now >= idle {
                return Due::Close(bounds.keepalive_timeout);
            }
            next = next.min(idle);
        }
        Due::Later(next)
    }
}

/// Waits for a connection to close, at most so long.
async fn close_within(talk: impl Future, time: Option<Duration>) {
    let Some(time) = time else { return drop(talk.await) };
    // A client that never reads would hold it open for ever.
    if timeout(time, talk).await.is_err() {
        debug!("a connection did not close; it is cut");
    }
}

fn builder(bounds: &Bounds) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // It counts from the end of the answer before, and can't tell a client that is slow from
        // one that rests: the times above are for both.
        .header_read_timeout(None)
        .max_buf_size(usize::try_from(bounds.head_bytes).unwrap_or(usize::MAX).max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(bounds.head_bytes)
        .keep_alive_interval(bounds.keepalive_interval)
        .keep_alive_timeout(bounds.keepalive_timeout)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(
            CONNECTION_WINDOW.max(bounds.streams.saturating_mul(WINDOW_OF_CALL)),
        )
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(RESET_BY_US);
    match bounds.protocol {
        Protocol::Http2 => builder.http2_only(),
        Protocol::Any => builder,
    }
}
