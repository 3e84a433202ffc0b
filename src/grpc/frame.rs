//! A message on the wire: a byte that says whether it is compressed, its length in four bytes, and
//! the message itself.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, HeaderValue};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use prost::bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tonic::Status;
use tonic::body::Body;

/// How many bytes stand before a message.
const PREFIX: usize = 5;

/// What a request's body holds.
#[derive(Debug)]
pub(super) enum Read {
    /// One message, whole and not compressed.
    One(Whole),
    /// Something else: the body, as if nothing of it had been read.
    Other(Body),
}

/// A message with what stands before it.
#[derive(Debug)]
pub(super) struct Whole(Bytes);

impl Whole {
    /// The message alone.
    pub(super) fn message(&self) -> Bytes {
        self.0.slice(PREFIX..)
    }

    /// The body that it came as.
    pub(super) fn into_body(self) -> Body {
        put_back(self.0, Ok(Body::empty()))
    }
}

/// Reads a body that holds one message, of so many bytes at most.
pub(super) async fn read_one(mut body: Body, most: usize) -> Read {
    let mut read = Bytes::new();
    while !body.is_end_stream() {
        match body.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => read = joined(read, data),
                // Trailers, which no request has.
                Err(_) => return Read::Other(put_back(read, Ok(body))),
            },
            Some(Err(error)) => return Read::Other(put_back(read, Err(error))),
            None => break,
        }
        if read.len() > PREFIX + most {
            return Read::Other(put_back(read, Ok(body)));
        }
    }
    if is_whole(&read) {
        Read::One(Whole(read))
    } else {
        Read::Other(put_back(read, Ok(Body::empty())))
    }
}

fn joined(first: Bytes, second: Bytes) -> Bytes {
    // Most come in one piece.
    if first.is_empty() {
        return second;
    }
    let mut both = BytesMut::with_capacity(first.len() + second.len());
    both.put(first);
    both.put(second);
    both.freeze()
}

/// Whether this is one message that is not compressed, and nothing else.
fn is_whole(mut read: &[u8]) -> bool {
    read.len() >= PREFIX
        && read.get_u8() == 0
        && usize::try_from(read.get_u32()).is_ok_and(|length| length == read.len())
}

fn put_back(read: Bytes, rest: Result<Body, Status>) -> Body {
    Body::new(Unread { read, rest: rest.map_err(Some) })
}

/// A body of which a part was read and put back.
struct Unread {
    read: Bytes,
    rest: Result<Body, Option<Status>>,
}

impl http_body::Body for Unread {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if !self.read.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.read)))));
        }
        match &mut self.rest {
            Ok(rest) => Pin::new(rest).poll_frame(cx),
            Err(error) => Poll::Ready(error.take().map(Err)),
        }
    }
}

/// The body of an answer that is one message and succeeded.
#[derive(Debug)]
pub(super) struct Answered {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Answered {
    /// Has a message of this length written.
    pub(super) fn with(length: usize, write: impl FnOnce(&mut BytesMut)) -> Self {
        let mut bytes = BytesMut::with_capacity(PREFIX + length);
        bytes.put_u8(0);
        bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        write(&mut bytes);
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
        Self { message: Some(bytes.freeze()), trailers: Some(trailers) }
    }
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match self.message.take() {
            Some(message) => Some(Frame::data(message)),
            None => self.trailers.take().map(Frame::trailers),
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.message.as_ref().map_or_else(SizeHint::default, |message| {
            SizeHint::with_exact(message.len().try_into().unwrap_or(u64::MAX))
        })
    }
}

#[cfg(test)]
mod tests;
