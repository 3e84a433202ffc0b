//! The listener, and what it lets a peer do.

use std::convert::Infallible;
use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tower::{Service, ServiceExt as _};
use tracing::info;

use super::Contract;
use super::metered::Peer;
use crate::transport::{Accepted, BodyTimes, Bounds, Incoming, Protocol, RawBody, Shutdown, drive};
use cores::{Cores, Open, Source};

mod cores;

#[cfg(test)]
mod tests;

/// What keeps a listener from serving.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
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
    /// How long the message of a call may take to arrive.
    pub body_times: BodyTimes,
    /// How long a call may take, its answer taken by its caller included. Streams have no end.
    pub call_time: Duration,
    /// How long a connection may be open without a call.
    pub idle_time: Duration,
    /// How long a connection takes new calls. Its peer then connects anew, perhaps to another
    /// replica. It may take as long again to end its streams.
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
            body_times: BodyTimes::default(),
            call_time: Duration::from_secs(40),
            idle_time: Duration::from_mins(15),
            connection_age: Duration::from_mins(30),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(10),
        }
    }
}

impl Limits {
    const fn bounds(&self) -> Bounds {
        Bounds {
            protocol: Protocol::Http2,
            streams: self.streams_per_connection,
            head_bytes: self.metadata_bytes,
            head_time: self.greeting,
            idle_time: self.idle_time,
            age: Some(self.connection_age),
            call_time: Some(self.call_time),
            keepalive_interval: self.keepalive_interval,
            keepalive_timeout: self.keepalive_timeout,
        }
    }
}

/// Serves connections until `shutdown`, on as many cores as the settings say, or all on this runtime
/// where they say none.
///
/// At the shutdown it takes no more connections, tells the open ones to end (GOAWAY), and waits for
/// their calls, at most [`Limits::drain`]. What is open even then is cut.
///
/// # Errors
/// [`ServeError`]. A connection that can't be accepted or breaks is no error.
pub async fn serve(
    incoming: Incoming,
    contract: Contract,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    match NonZero::new(limits.cores) {
        None => {
            let checks = contract.here(limits.body_times);
            serve_here(incoming, move |peer| checks.on(peer), limits, shutdown).await;
            Ok(())
        }
        Some(cores) => {
            let main = Handle::current();
            let make = move || {
                let checks = contract.clone().apart(main.clone(), limits.body_times);
                move |peer| checks.on(peer)
            };
            serve_on_cores(incoming, make, Cores { cores, limits }, shutdown).await
        }
    }
}

/// Serves all connections on the runtime that it is polled by, each by a service of its own.
async fn serve_here<S: Served>(
    incoming: Incoming,
    make: impl Fn(Peer) -> S,
    limits: Limits,
    shutdown: CancellationToken,
) where
    S::Future: Send,
{
    let source = Source::Listener { incoming, shutdown: shutdown.clone(), open: Open::default() };
    serve_connections(source, make, limits, shutdown).await;
}

/// Serves connections on so many threads, each of which makes their services by a function of its
/// own.
async fn serve_on_cores<S: Served, M: Fn(Peer) -> S>(
    incoming: Incoming,
    make: impl Fn() -> M + Clone + Send + 'static,
    Cores { cores, limits }: Cores,
    shutdown: CancellationToken,
) -> Result<(), ServeError>
where
    S::Future: Send,
{
    let stop = shutdown.child_token();
    // The threads are not of this future: without a word they would go on when it is dropped.
    let _stop_on_drop = stop.clone().drop_guard();
    let serve_one = move |source| serve_connections(source, make(), limits, stop.clone());
    cores::serve(incoming, cores, shutdown, serve_one).await
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

/// Serves connections on the runtime that it is polled by, until they have ended after the shutdown.
async fn serve_connections<S: Served>(
    mut source: Source,
    make: impl Fn(Peer) -> S,
    limits: Limits,
    shutdown: CancellationToken,
) where
    S::Future: Send,
{
    let connections = TaskTracker::new();
    let end = CancellationToken::new();
    // They end with this future, too.
    let _end_on_drop = end.clone().drop_guard();
    let stop = Shutdown { begin: shutdown.clone(), end: end.clone() };
    while let Some((accepted, seat)) = source.next().await {
        let service =
            make(peer(&accepted)).map_request(|request: Request<RawBody>| request.map(Body::new));
        let driven = drive(accepted, service, limits.bounds(), stop.clone());
        connections.spawn(async move {
            driven.await;
            drop(seat);
        });
    }
    drop(source);
    shutdown.cancelled().await;
    connections.close();
    if timeout(limits.drain, connections.wait()).await.is_err() {
        info!("calls were still open when the time to end them was over");
        end.cancel();
        connections.wait().await;
    }
}

fn peer(accepted: &Accepted) -> Peer {
    let Accepted { stream: _, permit } = accepted;
    Peer { connection: Arc::clone(permit.connection()), memory: permit.memory().clone() }
}
