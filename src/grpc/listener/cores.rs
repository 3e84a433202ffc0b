//! A thread for each core, with a runtime and connections of its own: no call moves from one to the
//! other, and none of them does what could keep the others waiting.
//!
//! One socket listens, and each connection goes to the thread that has the fewest. (A socket for
//! each thread, on a shared port, would spread them by chance, and let a second process take its
//! part of the port unseen.)

use std::future::Future;
use std::num::NonZero;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;

use super::ServeError;
use super::accepted::Accepted;
use super::connection::{Open, Seat};

/// A connection on its way to its thread.
pub(super) type Handed = (std::net::TcpStream, Seat);

/// A thread, for whoever hands it connections.
struct Core {
    // Each one that waits in it is an open file, of which there is a bound.
    connections: mpsc::UnboundedSender<Handed>,
    open: Open,
}

/// Serves connections on so many threads until each of them has ended, after the shutdown.
/// `serve_one` serves what it is handed, on the runtime that it is called on.
///
/// # Errors
/// [`ServeError`]: as `serve_one`, or of a thread.
pub(super) async fn serve<F>(
    accepted: Accepted,
    cores: NonZero<usize>,
    serve_one: impl Fn(mpsc::UnboundedReceiver<Handed>) -> F + Clone + Send + 'static,
) -> Result<(), ServeError>
where
    F: Future<Output = Result<(), ServeError>>,
{
    let mut threads = JoinSet::new();
    let mut handles = Vec::with_capacity(cores.get());
    for number in 0..cores.get() {
        let (sender, receiver) = mpsc::unbounded_channel();
        let serve_one = serve_one.clone();
        let ended = start(number, move || serve_one(receiver))?;
        threads.spawn(async move { ended.await.unwrap_or(Err(ServeError::BrokenOff)) });
        handles.push(Core { connections: sender, open: Open::default() });
    }
    tokio::select! {
        // It ends after the shutdown, and with it what each thread is handed.
        () = hand_out(accepted, handles) => {}
        // Before the shutdown none ends but by a fault.
        Some(ended) = threads.join_next() => return ended.unwrap_or(Err(ServeError::BrokenOff)),
    }
    while let Some(ended) = threads.join_next().await {
        ended.unwrap_or(Err(ServeError::BrokenOff))?;
    }
    Ok(())
}

/// Hands each connection to the thread that has the fewest.
async fn hand_out(mut accepted: Accepted, cores: Vec<Core>) {
    while let Some(stream) = accepted.next().await {
        let (Some(core), Ok(stream)) =
            (cores.iter().min_by_key(|core| core.open.count()), stream.into_std())
        else {
            continue;
        };
        // A thread that has ended is seen by whoever waits for its end.
        drop(core.connections.send((stream, core.open.seat())));
    }
}

/// Starts a thread that runs a future to its end on a runtime of its own.
fn start<F>(
    number: usize,
    serve: impl FnOnce() -> F + Send + 'static,
) -> Result<oneshot::Receiver<Result<(), ServeError>>, ServeError>
where
    F: Future<Output = Result<(), ServeError>>,
{
    let runtime: Runtime =
        Builder::new_current_thread().enable_all().build().map_err(ServeError::Thread)?;
    let (sender, ended) = oneshot::channel();
    let run = move || {
        let served = runtime.block_on(serve());
        // With it ends what is still open.
        drop(runtime);
        // Nobody waits for it where the server itself has broken off.
        drop(sender.send(served));
    };
    thread::Builder::new().name(format!("grpc-{number}")).spawn(run).map_err(ServeError::Thread)?;
    Ok(ended)
}
