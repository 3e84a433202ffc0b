//! Connections as they come in: taken without a busy loop, and dropped if they never speak.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, Timeout, sleep, timeout};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// How long no connection is taken after the machine could not give one.
const PAUSE: Duration = Duration::from_millis(100);

/// What a client of HTTP/2 says first (RFC 9113, section 3.4), in bytes.
const GREETING_BYTES: usize = 24;

/// The connections of a listener.
#[derive(Debug)]
pub(super) struct Incoming {
    listener: TcpListener,
    greeting: Duration,
    shutdown: CancellationToken,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    /// Takes the connections of a listener, each of which must greet within this time, and before
    /// the shutdown.
    pub(super) const fn new(
        listener: TcpListener,
        greeting: Duration,
        shutdown: CancellationToken,
    ) -> Self {
        Self { listener, greeting, shutdown, pause: None }
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(cx)) {
                Ok((stream, _)) => {
                    let end = timeout(self.greeting, self.shutdown.clone().cancelled_owned());
                    return Poll::Ready(Some(Connection::new(stream, end)));
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Most likely there are no more file descriptors, and won't be in a moment either.
                Err(_) => self.pause = Some(Box::pin(sleep(PAUSE))),
            }
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    greeting: Option<Greeting>,
}

/// A greeting that is not there yet.
#[derive(Debug)]
struct Greeting {
    missing: usize,
    end: Pin<Box<Timeout<WaitForCancellationFutureOwned>>>,
}

impl Connection {
    fn new(stream: TcpStream, end: Timeout<WaitForCancellationFutureOwned>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let greeting = Greeting { missing: GREETING_BYTES, end: Box::pin(end) };
        Ok(Self { stream, greeting: Some(greeting) })
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        let Some(greeting) = &mut self.greeting else { return polled };
        greeting.missing = greeting.missing.saturating_sub(buf.filled().len() - before);
        if greeting.missing == 0 {
            self.greeting = None;
        } else if polled.is_pending() {
            // Late, or the server stops: the same for one who has not even spoken.
            let _ = ready!(greeting.end.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
