//! The listener, and what it lets a peer do.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tracing::info;

use connection::Incoming;

mod connection;

#[cfg(test)]
mod tests;

/// What the listener lets a peer do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
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

/// Serves the routes until `shutdown`; then takes no more connections, tells the open ones to end
/// (GOAWAY), and waits for their calls, at most [`Limits::drain`]. What is open even then ends with
/// the runtime.
///
/// # Errors
/// As tonic's transport. A connection that can't be accepted or breaks is no error.
pub async fn serve(
    listener: TcpListener,
    routes: Routes,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<(), tonic::transport::Error> {
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
        .add_routes(routes)
        .serve_with_incoming_shutdown(
            Incoming::new(listener, limits.greeting, shutdown.clone()),
            shutdown.clone().cancelled_owned(),
        );
    let drained = async {
        shutdown.cancelled().await;
        tokio::time::sleep(limits.drain).await;
    };
    tokio::select! {
        result = served => result,
        () = drained => {
            info!("calls were still open when the time to end them was over");
            Ok(())
        }
    }
}
