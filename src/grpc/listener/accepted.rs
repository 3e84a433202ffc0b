//! Connections as a listener accepts them: without a busy loop where the machine gives none.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How long no connection is taken after the machine could not give one.
const PAUSE: Duration = Duration::from_millis(100);

/// How long nobody must have come after the shutdown until the listener is closed. Whoever is in the
/// kernel's queue then is cut off.
const QUIET: Duration = Duration::from_millis(50);

/// How many are taken after the shutdown at most.
const LAST: usize = 1024;

/// The connections of a listener. There is always a next one until the shutdown, and then those that
/// have come before it.
#[derive(Debug)]
pub(super) struct Accepted {
    listener: TcpListener,
    pause: Option<Pin<Box<Sleep>>>,
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
    last: Option<Last>,
}

/// What is taken after the shutdown.
#[derive(Debug)]
struct Last {
    left: usize,
    quiet: Pin<Box<Sleep>>,
}

impl Accepted {
    /// Takes the connections of a listener until the shutdown.
    pub(super) fn new(listener: TcpListener, shutdown: CancellationToken) -> Self {
        let shutdown = Box::pin(shutdown.cancelled_owned());
        Self { listener, pause: None, shutdown, last: None }
    }

    /// Whether one more may be taken.
    fn count(&mut self) -> bool {
        let Some(last) = &mut self.last else { return true };
        last.quiet.set(sleep(QUIET));
        last.left = last.left.saturating_sub(1);
        last.left > 0
    }

    /// Waits until nobody comes any more.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.last.is_none() {
            ready!(self.shutdown.as_mut().poll(cx));
        }
        let last = || Last { left: LAST, quiet: Box::pin(sleep(QUIET)) };
        self.last.get_or_insert_with(last).quiet.as_mut().poll(cx)
    }
}

impl Stream for Accepted {
    type Item = TcpStream;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<TcpStream>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match self.listener.poll_accept(cx) {
                Poll::Ready(Ok((stream, _))) => {
                    return Poll::Ready(self.count().then_some(stream));
                }
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Most likely there are no more file descriptors, and won't be in a moment either.
                Poll::Ready(Err(_)) => self.pause = Some(Box::pin(sleep(PAUSE))),
                Poll::Pending => return self.poll_end(cx).map(|()| None),
            }
        }
    }
}
