//! Connections as a listener accepts them: without a busy loop where the machine gives none.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};
use tokio_stream::Stream;

/// How long no connection is taken after the machine could not give one.
const PAUSE: Duration = Duration::from_millis(100);

/// The connections of a listener. There is always a next one.
#[derive(Debug)]
pub(super) struct Accepted {
    listener: TcpListener,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Accepted {
    /// Takes the connections of a listener.
    pub(super) const fn new(listener: TcpListener) -> Self {
        Self { listener, pause: None }
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
            match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, _)) => return Poll::Ready(Some(stream)),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Most likely there are no more file descriptors, and won't be in a moment either.
                Err(_) => self.pause = Some(Box::pin(sleep(PAUSE))),
            }
        }
    }
}
