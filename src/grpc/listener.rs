//! The listener, and what it lets a peer do.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::num::NonZero;
use std::time::Duration;

use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::Server;
use tower::Service;
use tracing::info;

use super::Contract;
use accepted::Accepted;
use connection::{Connection, Open, Seat};
use cores::Handed;

mod accepted;
mod connection;
mod cores;

#[cfg(test)]
mod tests;

/// How long a connection that was made just before a shutdown may take to greet.
const LAST_GREETING: Duration = Duration::from_secs(1);

/// What keeps a listener from serving.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport broke.
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
    /// The machine gives no thread or no runtime for a core.
    #[error("a thread that answers calls can't be started: {0}")]
    Thread(#[source] io::Error),
    /// A thread that answers calls has ended before its time.
    #[error("a thread that answers calls broke off")]
    BrokenOff,
}

/// What the listener lets a peer do, and what it answers with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many threads answer calls, each with connections of its own and nothing that could wait;
    /// 0: the process's own runtime answers them.
    pub cores: usize,
    /// How many calls may be open on one connection.
    pub streams_per_connection: u32,
    /// How many bytes of metadata a call may have.
    pub metadata_bytes: u32,
    /// How long a peer may take to begin to speak HTTP/2.
    pub greeting: Duration,
    /// How long a connection takes new calls. Its peer then connects anew, perhaps to another
    /// replica.
    pub connection_age: Duration,
    /// How often a peer is asked whether it is still there.
    pub keepalive_interval: Duration,
    /// How long it may take to answer that.
    pub keepalive_timeout: Duration,
    /// How long calls may go on when the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cores: 0,
            streams_per_connection: 256,
            metadata_bytes: 16 * 1024,
            greeting: Duration::from_secs(10),
            connection_age: Duration::from_mins(30),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves connections until `shutdown`, on as many cores as the settings say, or all on this runtime
/// where they say none.
///
/// At the shutdown it takes no more connections, tells the open ones to end (GOAWAY), and waits for
/// their calls, at most [`Limits::drain`]. What is open even then ends with the runtime.
///
/// # Errors
/// [`ServeError`]. A connection that can't be accepted or breaks is no error.
pub async fn serve(
    listener: TcpListener,
    contract: Contract,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    match NonZero::new(limits.cores) {
        None => serve_here(listener, contract.here(), limits, shutdown).await,
        Some(cores) => {
            let main = Handle::current();
            let service = move || contract.clone().apart(main.clone());
            serve_on_cores(listener, service, (cores, limits), shutdown).await
        }
    }
}

/// Serves all connections on the runtime that it is polled by.
async fn serve_here<S: Served>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<(), ServeError>
where
    S::Future: Send,
{
    let open = Open::default();
    let connections =
        Accepted::new(listener, shutdown.clone()).map(move |stream| (stream, open.seat()));
    serve_connections(connections, service, limits, shutdown).await
}

/// Serves connections on so many threads, each of them by a service of its own.
async fn serve_on_cores<S: Served>(
    listener: TcpListener,
    service: impl Fn() -> S + Clone + Send + 'static,
    (cores, limits): (NonZero<usize>, Limits),
    shutdown: CancellationToken,
) -> Result<(), ServeError>
where
    S::Future: Send,
{
    let stop = shutdown.clone();
    let serve_one = move |handed: UnboundedReceiver<Handed>| {
        let connections = UnboundedReceiverStream::new(handed)
            // One that this runtime can't watch is dropped.
            .filter_map(|(stream, seat)| Some((TcpStream::from_std(stream).ok()?, seat)));
        serve_connections(connections, service(), limits, stop.clone())
    };
    cores::serve(Accepted::new(listener, shutdown), cores, serve_one).await
}

/// What a listener can serve.
trait Served:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static
{
}

impl<S> Served for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static
{
}

/// Waits until a connection must have greeted: in so much time, and soon after a shutdown.
async fn greeting_end(time: Duration, shutdown: CancellationToken) {
    let stopping = async {
        shutdown.cancelled().await;
        sleep(LAST_GREETING).await;
    };
    // Late, or the server stops: the same for one who has not even spoken.
    let _ = timeout(time, stopping).await;
}

/// Serves connections on the runtime that it is polled by, until they have ended after the shutdown.
async fn serve_connections<S: Served>(
    connections: impl Stream<Item = (TcpStream, Seat)>,
    service: S,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<(), ServeError>
where
    S::Future: Send,
{
    let stop = shutdown.clone();
    let connections = connections.map(move |accepted| {
        Connection::new(accepted, greeting_end(limits.greeting, stop.clone()))
    });
    let served = Server::builder()
        .max_concurrent_streams(limits.streams_per_connection)
        .http2_max_header_list_size(limits.metadata_bytes)
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        // Streams that a peer opens and resets at once (CVE-2023-44487), and streams that we have
        // to reset (CVE-2025-8671): beyond these the connection ends.
        .http2_max_pending_accept_reset_streams(Some(20))
        .http2_max_local_error_reset_streams(Some(64))
        // Without the grace that tonic has beside it: with one, it skips the GOAWAY and cuts the
        // connection with all of its calls.
        .max_connection_age(limits.connection_age)
        // The connections end with the shutdown, once those are taken that came before it: then the
        // open ones are told to end. By a signal of its own it would drop the others.
        .serve_with_incoming_shutdown(service, connections, pending());
    let drained = async {
        shutdown.cancelled().await;
        sleep(limits.drain).await;
    };
    tokio::select! {
        result = served => Ok(result?),
        () = drained => {
            info!("calls were still open when the time to end them was over");
            Ok(())
        }
    }
}
