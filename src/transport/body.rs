//! The body of a request as it arrives: within the memory that is granted, and in time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use hyper::body::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::memory::{Call, NoRoom};

/// A piece of a body that is shorter than this is copied: uncopied, it would keep the whole buffer
/// that it was read into.
const SHORT: usize = 8 * 1024;

/// What a piece of a body costs that is kept beside its bytes.
const PIECE_BYTES: usize = 64;

/// How many bytes stand before a message of gRPC.
const PREFIX: usize = 5;

/// How long a body may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyTimes {
    /// All of it.
    pub whole: Duration,
    /// Before its rate is looked at.
    pub grace: Duration,
    /// How many bytes a second must have come after that, on average.
    pub rate: u32,
}

impl Default for BodyTimes {
    fn default() -> Self {
        // A packet that is lost twice comes three seconds later. A kibibyte a second is what the
        // slowest mobile networks carry, and what most requests have in all.
        Self { whole: Duration::from_secs(10), grace: Duration::from_secs(4), rate: 1024 }
    }
}

impl BodyTimes {
    /// How long a body may take of which so many bytes have come.
    fn after(&self, received: usize) -> Duration {
        let received = u32::try_from(received).unwrap_or(u32::MAX);
        let paid = Duration::from_secs(1).saturating_mul(received) / self.rate.max(1);
        self.grace.saturating_add(paid).min(self.whole)
    }
}

/// What a body holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Pieces, of which so many bytes are kept.
    Pieces {
        /// The bytes.
        most: usize,
    },
    /// A message of gRPC, of so many bytes at most.
    Message {
        /// The bytes.
        most: usize,
    },
    /// Messages of gRPC for as long as the client wants, each consumed as it comes.
    Messages,
}

/// Why a body is not read on.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There is no memory for it.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// It came too slowly.
    #[error("the request took too long to arrive")]
    Late,
    /// Its message is longer than it may be.
    #[error("the message is longer than {0} bytes")]
    TooLong(usize),
    /// The connection failed.
    #[error("the request broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The body of a request.
#[derive(Debug)]
pub struct RequestBody<B> {
    inner: B,
    held: Result<Arc<Call>, NoRoom>,
    framing: Framing,
    prefix: Prefix,
    times: BodyTimes,
    began: Instant,
    received: usize,
    waiting: Option<Waiting>,
}

/// The first bytes of a message of gRPC.
#[derive(Debug, Default)]
struct Prefix {
    bytes: [u8; PREFIX],
    read: usize,
}

/// What ends a body that does not come.
#[derive(Debug)]
struct Waiting {
    until: Instant,
    late: Pin<Box<Sleep>>,
    given_up: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<B> RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// The body of a call that is held, or of one for which there is no room: that one can't be
    /// read.
    pub fn new(
        inner: B,
        held: Result<Arc<Call>, NoRoom>,
        framing: Framing,
        times: BodyTimes,
    ) -> Self {
        if let Ok(call) = &held
            && (inner.is_end_stream() || framing == Framing::Messages)
        {
            call.arrived();
        }
        Self {
            inner,
            held,
            framing,
            prefix: Prefix::default(),
            times,
            began: Instant::now(),
            received: 0,
            waiting: None,
        }
    }

    /// The same where these bytes of it were read before.
    ///
    /// # Errors
    /// [`RequestError`], as if it had been read here.
    pub fn after(mut self, read: &[u8]) -> Result<Self, RequestError> {
        self.account(read).inspect_err(RequestError::count)?;
        Ok(self)
    }

    /// Takes some bytes into account.
    fn account(&mut self, bytes: &[u8]) -> Result<(), RequestError> {
        let call = match &self.held {
            Ok(call) => call,
            Err(no_room) => return Err((*no_room).into()),
        };
        if call.is_given_up() {
            return Err(NoRoom::GivenUp.into());
        }
        let before = self.received;
        self.received = before.saturating_add(bytes.len());
        match self.framing {
            Framing::Pieces { most } => {
                let kept = most.saturating_sub(before).min(bytes.len());
                if kept > 0 {
                    call.grow(kept + PIECE_BYTES)?;
                }
            }
            Framing::Message { most } => {
                // What a prefix announces is held before anybody makes room for it.
                if let Some(length) = self.prefix.read(bytes) {
                    if length > most {
                        return Err(RequestError::TooLong(most));
                    }
                    call.grow(length)?;
                }
                if self.received > most.saturating_add(PREFIX) {
                    return Err(RequestError::TooLong(most));
                }
            }
            Framing::Messages => {}
        }
        Ok(())
    }

    fn arrived(&self) {
        if let Ok(call) = &self.held {
            call.arrived();
        }
    }

    /// Ends the wait for a body that is late, or was given up for others.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<RequestError> {
        let Ok(call) = &self.held else { return Poll::Pending };
        if self.framing == Framing::Messages {
            return Poll::Pending;
        }
        let until = self.began + self.times.after(self.received);
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            until,
            late: Box::pin(sleep_until(until)),
            given_up: Box::pin(call.given_up().clone().cancelled_owned()),
        });
        if waiting.until != until {
            waiting.until = until;
            waiting.late.as_mut().reset(until);
        }
        if waiting.given_up.as_mut().poll(cx).is_ready() {
            return Poll::Ready(NoRoom::GivenUp.into());
        }
        waiting.late.as_mut().poll(cx).map(|()| RequestError::Late)
    }
}

impl RequestError {
    /// Counts what no other counts.
    fn count(&self) {
        match self {
            Self::Late => count_refused("late"),
            Self::TooLong(_) => count_refused("too_long"),
            Self::NoRoom(_) | Self::Broken(_) => {}
        }
    }
}

/// Shows the count of those before there is one.
pub(super) fn show_refused() {
    metrics::counter!("tokend_requests_refused_total", "reason" => "late").increment(0);
}

/// Counts a request that was not read to its end.
pub(super) fn count_refused(reason: &'static str) {
    metrics::counter!("tokend_requests_refused_total", "reason" => reason).increment(1);
}

impl Prefix {
    /// Reads on; answers the length of the message once, when it is known.
    fn read(&mut self, bytes: &[u8]) -> Option<usize> {
        let place = self.bytes.get_mut(self.read..).filter(|place| !place.is_empty())?;
        let count = place.len().min(bytes.len());
        for (place, byte) in place.iter_mut().zip(bytes) {
            *place = *byte;
        }
        self.read += count;
        if self.read < PREFIX {
            return None;
        }
        let [_, length @ ..] = self.bytes;
        Some(usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX))
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = RequestError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestError>>> {
        if let Err(no_room) = &self.held {
            return Poll::Ready(Some(Err((*no_room).into())));
        }
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending => {
                let refused = std::task::ready!(self.poll_wait(cx));
                refused.count();
                return Poll::Ready(Some(Err(refused)));
            }
            Poll::Ready(None) => {
                self.arrived();
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(error))) => {
                return Poll::Ready(Some(Err(RequestError::Broken(error.into()))));
            }
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        let frame = match frame.into_data() {
            Ok(data) => {
                if let Err(refused) = self.account(&data) {
                    refused.count();
                    return Poll::Ready(Some(Err(refused)));
                }
                let is_short = data.len() < SHORT;
                Frame::data(if is_short { Bytes::copy_from_slice(&data) } else { data })
            }
            Err(trailers) => trailers,
        };
        if self.inner.is_end_stream() {
            self.arrived();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_ok() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests;
