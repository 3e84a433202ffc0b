//! Connections as a listener accepts them: each has a place or is closed, and there is no busy loop
//! where the machine has none to give.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::admission::{Admission, Permit};

/// How long no connection is taken after the machine could not give one.
const PAUSE: Duration = Duration::from_millis(100);

/// How long nobody must have come after the shutdown until the listener is closed. Whoever is in the
/// kernel's queue then is cut off.
const QUIET: Duration = Duration::from_millis(50);

/// How many are taken after the shutdown at most.
const LAST: usize = 1024;

/// The connections of a listener.
#[derive(Debug)]
pub struct Incoming {
    listener: TcpListener,
    admission: Admission,
    /// How many are still taken after the shutdown.
    last: Option<usize>,
}

/// A connection that has a place.
#[derive(Debug)]
pub struct Accepted {
    /// Its socket.
    pub stream: TcpStream,
    /// Its place.
    pub permit: Permit,
}

impl Incoming {
    /// Takes the connections of a listener.
    #[must_use]
    pub const fn new(listener: TcpListener, admission: Admission) -> Self {
        Self { listener, admission, last: None }
    }

    /// Waits for the next connection that there is a place for. Those for which there is none are
    /// closed. After the shutdown it answers those that had come before it, and then `None`. Given
    /// up, it loses no connection.
    pub async fn next(&mut self, shutdown: &CancellationToken) -> Option<Accepted> {
        if self.last.is_none() {
            let next = shutdown.run_until_cancelled(self.accept()).await;
            if next.is_some() {
                return next;
            }
        }
        let left = self.last.unwrap_or(LAST).checked_sub(1)?;
        self.last = Some(left);
        timeout(QUIET, self.accept()).await.ok()
    }

    async fn accept(&self) -> Accepted {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    if let Ok(permit) = self.admission.admit(peer) {
                        return Accepted { stream, permit };
                    }
                }
                Err(error) if is_of_the_client(error.kind()) => {}
                // Most likely there are no more file descriptors, and won't be in a moment either.
                Err(error) => {
                    warn!(%error, "no connection could be accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

fn is_of_the_client(error: ErrorKind) -> bool {
    matches!(
        error,
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}
