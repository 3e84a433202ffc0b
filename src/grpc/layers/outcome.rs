//! How calls end: counted, timed and told to the log, by what the end of each answer says.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::{Code, Status};
use tracing::{Span, debug};

use super::rpc::{Rpc, name};
use crate::grpc::status;

/// A call on its way. Dropped, it is counted with the code that it ended with.
#[derive(Debug)]
pub(in crate::grpc) struct Tally {
    rpc: Arc<Rpc>,
    span: Span,
    started: Instant,
    end: End,
}

/// How a call ended.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Nothing was seen of it: a call dropped like this was cancelled.
    Unseen,
    /// With this code.
    Code(Code),
    /// It was handed on to where it is counted.
    Elsewhere,
}

impl Tally {
    /// Begins.
    pub(in crate::grpc) fn start(rpc: Arc<Rpc>, span: Span) -> Self {
        Self::since(Instant::now(), rpc, span)
    }

    /// Follows a call that began earlier.
    pub(in crate::grpc) const fn since(started: Instant, rpc: Arc<Rpc>, span: Span) -> Self {
        Self { rpc, span, started, end: End::Unseen }
    }

    /// The call has ended with this code.
    pub(in crate::grpc) fn end(&mut self, code: Code) {
        self.end = End::Code(code);
    }

    /// The call goes on elsewhere and is counted there.
    pub(in crate::grpc) fn hand_on(mut self) {
        self.end = End::Elsewhere;
    }

    fn see(&mut self, headers: &HeaderMap) {
        if let Some(code) = headers.get(Status::GRPC_STATUS) {
            self.end(Code::from_bytes(code.as_bytes()));
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let Self { rpc, span, started, end } = self;
        let code = match end {
            End::Unseen => Code::Cancelled,
            End::Code(code) => *code,
            End::Elsewhere => return,
        };
        let time = started.elapsed();
        rpc.count(code, time);
        span.in_scope(|| {
            let (code, seconds) = (name(code), time.as_secs_f64());
            debug!(rpc.code = code, rpc.duration_seconds = seconds, "answered");
        });
    }
}

/// Keeps the tally with the answer until its end, and ends it when the server stops while nothing
/// of it is ready to be sent: an open stream would keep the server from stopping.
pub(super) fn watched(
    answer: Response<Body>,
    mut tally: Tally,
    shutdown: CancellationToken,
) -> Response<Body> {
    // A failure without a message says its code here, and all others in the trailers.
    tally.see(answer.headers());
    answer.map(|inner| Body::new(Watched { inner, tally, stop: Stop::Unasked(shutdown) }))
}

/// The body of an answer, watched.
struct Watched {
    inner: Body,
    tally: Tally,
    stop: Stop,
}

/// Whether the server stops. Most answers end without ever having to ask.
enum Stop {
    Unasked(CancellationToken),
    Awaited(Pin<Box<WaitForCancellationFutureOwned>>),
}

impl Stop {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Self::Unasked(shutdown) = self {
            *self = Self::Awaited(Box::pin(shutdown.clone().cancelled_owned()));
        }
        match self {
            Self::Unasked(_) => Poll::Pending,
            Self::Awaited(stop) => stop.as_mut().poll(cx),
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.tally.see(trailers);
                }
            }
            Poll::Ready(Some(Err(status))) => self.tally.end(status.code()),
            Poll::Ready(None) => {
                if let End::Unseen = self.tally.end {
                    self.tally.end(Code::Unknown);
                }
            }
            Poll::Pending if self.stop.poll(cx).is_ready() => {
                let (head, ()) = status::stopping().into_http().into_parts();
                self.tally.see(&head.headers);
                self.inner = Body::empty();
                return Poll::Ready(Some(Ok(Frame::trailers(head.headers))));
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
