//! A message on the wire: a byte that says whether it is compressed, its length in four bytes, and
//! the message itself.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, HeaderValue};
use http_body::{Body as _, Frame, SizeHint};
use prost::bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tonic::Status;
use tonic::body::Body;

use crate::transport::OpenCall;

/// How many bytes stand before a message.
const PREFIX: usize = 5;

/// What most answers take, in bytes.
const USUAL: usize = 384;

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
pub(super) fn read_one(body: Body, most: usize) -> Reading {
    Reading { body, read: Bytes::new(), most }
}

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    body: Body,
    read: Bytes,
    most: usize,
}

impl Reading {
    /// Reads on by another body, which is made of this one and of what was read of it.
    pub(super) fn through(self, body: impl FnOnce(Body, &[u8]) -> Body) -> Self {
        let Self { body: rest, read, most } = self;
        // What was read would keep the whole buffer that it was read into.
        Self { body: body(rest, &read), read: Bytes::copy_from_slice(&read), most }
    }
}

impl Future for Reading {
    type Output = Read;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Read> {
        let Self { body, read, most } = &mut *self;
        let rest = loop {
            if body.is_end_stream() {
                break None;
            }
            match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => *read = joined(mem::take(read), data),
                    // Trailers, which no request has.
                    Err(_) => break Some(Ok(mem::take(body))),
                },
                Some(Err(error)) => break Some(Err(error)),
                None => break None,
            }
            if read.len() > PREFIX + *most {
                break Some(Ok(mem::take(body)));
            }
        };
        let read = mem::take(read);
        Poll::Ready(match rest {
            None if is_whole(&read) => Read::One(Whole(read)),
            None => Read::Other(put_back(read, Ok(Body::empty()))),
            Some(rest) => Read::Other(put_back(read, rest)),
        })
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
            return Poll::Ready(Some(Ok(Frame::data(mem::take(&mut self.read)))));
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
    /// Counts the call until all of it was taken.
    open: Option<OpenCall>,
}

impl Answered {
    /// Has a message written.
    pub(super) fn with(open: Option<OpenCall>, write: impl FnOnce(&mut BytesMut)) -> Self {
        let mut bytes = BytesMut::with_capacity(USUAL);
        bytes.put_bytes(0, PREFIX);
        write(&mut bytes);
        let length = u32::try_from(bytes.len() - PREFIX).unwrap_or(u32::MAX);
        let (_, mut place) = bytes.split_at_mut(1);
        place.put_u32(length);
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
        Self { message: Some(bytes.freeze()), trailers: Some(trailers), open }
    }
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = if let Some(message) = self.message.take() {
            Some(Frame::data(message))
        } else {
            self.open = None;
            self.trailers.take().map(Frame::trailers)
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
