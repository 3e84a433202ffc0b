//! A thread for each core, with a runtime and connections of its own: no call moves from one to the
//! other, and none of them does what could keep the others waiting.
//!
//! One socket listens, and each connection goes to the thread that has the fewest. (A socket for
//! each thread, on a shared port, would spread them by chance, and let a second process take its
//! part of the port unseen.)

use std::future::Future;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Limits, ServeError};
use crate::transport::{Accepted, Incoming, Permit};

/// How many threads there are, and what each lets a peer do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cores {
    pub(super) cores: NonZero<usize>,
    pub(super) limits: Limits,
}

/// How many connections are open. Clones share the count.
#[derive(Debug, Clone, Default)]
pub(super) struct Open(Arc<AtomicUsize>);

impl Open {
    /// Counts one more, until its seat is dropped.
    fn seat(&self) -> Seat {
        self.0.fetch_add(1, Ordering::Relaxed);
        Seat(self.clone())
    }

    /// How many there are.
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection's place in the count.
#[derive(Debug)]
pub(super) struct Seat(Open);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection on its way to its thread.
#[derive(Debug)]
pub(super) struct Handed {
    stream: std::net::TcpStream,
    permit: Permit,
    seat: Seat,
}

/// Where connections come from.
#[derive(Debug)]
pub(super) enum Source {
    /// A listener.
    Listener {
        /// Its connections.
        incoming: Incoming,
        /// Ends them.
        shutdown: CancellationToken,
        /// Their count.
        open: Open,
    },
    /// Whoever hands them to this thread.
    Core(mpsc::UnboundedReceiver<Handed>),
}

impl Source {
    /// Waits for the next one; `None`: there will be none.
    pub(super) async fn next(&mut self) -> Option<(Accepted, Seat)> {
        match self {
            Self::Listener { incoming, shutdown, open } => {
                Some((incoming.next(shutdown).await?, open.seat()))
            }
            Self::Core(handed) => loop {
                let Handed { stream, permit, seat } = handed.recv().await?;
                // One that this runtime can't watch is dropped.
                if let Ok(stream) = TcpStream::from_std(stream) {
                    return Some((Accepted { stream, permit }, seat));
                }
            },
        }
    }
}

/// A thread, for whoever hands it connections.
struct Core {
    // Each one that waits in it has a place at the listener, of which there is a bound.
    connections: mpsc::UnboundedSender<Handed>,
    open: Open,
}

/// Serves connections on so many threads until each of them has ended, after the shutdown.
/// `serve_one` serves what it is handed, on the runtime that it is called on.
///
/// # Errors
/// [`ServeError`], of a thread.
pub(super) async fn serve<F>(
    incoming: Incoming,
    cores: NonZero<usize>,
    shutdown: CancellationToken,
    serve_one: impl Fn(Source) -> F + Clone + Send + 'static,
) -> Result<(), ServeError>
where
    F: Future<Output = ()>,
{
    let mut threads = JoinSet::new();
    let mut handles = Vec::with_capacity(cores.get());
    for number in 0..cores.get() {
        let (sender, receiver) = mpsc::unbounded_channel();
        let serve_one = serve_one.clone();
        let ended = start(number, move || serve_one(Source::Core(receiver)))?;
        threads.spawn(async move { ended.await.map_err(|_| ServeError::BrokenOff) });
        handles.push(Core { connections: sender, open: Open::default() });
    }
    tokio::select! {
        // It ends after the shutdown, and with it what each thread is handed.
        () = hand_out(incoming, handles, &shutdown) => {}
        // Before the shutdown none ends but by a fault.
        Some(_) = threads.join_next() => return Err(ServeError::BrokenOff),
    }
    while let Some(ended) = threads.join_next().await {
        ended.unwrap_or(Err(ServeError::BrokenOff))?;
    }
    Ok(())
}

/// Hands each connection to the thread that has the fewest.
async fn hand_out(mut incoming: Incoming, cores: Vec<Core>, shutdown: &CancellationToken) {
    while let Some(Accepted { stream, permit }) = incoming.next(shutdown).await {
        let (Some(core), Ok(stream)) =
            (cores.iter().min_by_key(|core| core.open.count()), stream.into_std())
        else {
            continue;
        };
        // A thread that has ended is seen by whoever waits for its end.
        drop(core.connections.send(Handed { stream, permit, seat: core.open.seat() }));
    }
}

/// Starts a thread that runs a future to its end on a runtime of its own.
fn start<F>(
    number: usize,
    serve: impl FnOnce() -> F + Send + 'static,
) -> Result<oneshot::Receiver<()>, ServeError>
where
    F: Future<Output = ()>,
{
    let runtime: Runtime =
        Builder::new_current_thread().enable_all().build().map_err(ServeError::Thread)?;
    let (sender, ended) = oneshot::channel();
    let run = move || {
        runtime.block_on(serve());
        // With it ends what is still open.
        drop(runtime);
        // Nobody waits for it where the server itself has broken off.
        let _ = sender.send(());
    };
    thread::Builder::new().name(format!("grpc-{number}")).spawn(run).map_err(ServeError::Thread)?;
    Ok(ended)
}
