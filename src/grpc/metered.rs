//! Calls from a listener, within the memory and the time that one connection, one address and the
//! process have for requests.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use prost::bytes::Bytes;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};
use tower::{Service, ServiceExt as _};

use super::layers::{Rpc, Rpcs, Sends};
use super::status;
use crate::transport::{
    BodyTimes, Call, Connection, Framing, NoRoom, OpenCall, RequestBody, RequestMemory,
};

/// What a stream that a client may go on writing to costs beside its call: the message that is
/// read, and two answers that wait to be taken, each of the size of a description of the contract.
const STREAM_BYTES: usize = 128 * 1024;

/// Whose a call is.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// The connection that it came by.
    pub(super) connection: Arc<Connection>,
    /// What holds its request.
    pub(super) memory: RequestMemory,
}

/// How long requests may be, and how long they may take.
#[derive(Debug)]
pub(super) struct Rules {
    /// The methods that there are.
    pub(super) rpcs: Arc<Rpcs>,
    /// How many bytes a message may have, unless its method needs more.
    pub(super) request_bytes: usize,
    /// How long it may take to arrive.
    pub(super) times: BodyTimes,
}

/// The longest message of `PutRole`, in bytes: a thousand permissions of 128 characters, a name and a
/// description take 130 KiB. What the other methods take stays within 16 KiB.
const ROLE_BYTES: usize = 256 * 1024;

impl Rules {
    /// The longest message of a method.
    fn most(&self, path: &str) -> usize {
        match path {
            "/tokend.v1.DirectoryService/PutRole" => self.request_bytes.max(ROLE_BYTES),
            _ => self.request_bytes,
        }
    }

    /// The longest message of any method.
    pub(super) fn longest(request_bytes: usize) -> usize {
        request_bytes.max(ROLE_BYTES)
    }
}

/// Calls of one peer, each held until it is answered.
#[derive(Debug, Clone)]
pub(super) struct Metered<S> {
    inner: S,
    peer: Peer,
    rules: Arc<Rules>,
}

/// A call that is held.
#[derive(Debug)]
pub(super) struct Held {
    rpc: Arc<Rpc>,
    call: Arc<Call>,
    open: OpenCall,
    framing: Framing,
    times: BodyTimes,
}

impl Peer {
    /// Holds a call.
    ///
    /// # Errors
    /// The answer, where there is no room for it.
    pub(super) fn hold<B>(
        &self,
        request: &Request<B>,
        rules: &Rules,
        open: OpenCall,
    ) -> Result<Held, Box<Response<Body>>> {
        let path = request.uri().path();
        let rpc = rules.rpcs.get(path);
        let framing = match rpc.client {
            Sends::Message => Framing::Message { most: rules.most(path) },
            Sends::Stream => Framing::Messages,
        };
        let held = self.memory.hold(&self.connection, request.headers()).and_then(|call| {
            if rpc.server == Sends::Stream {
                call.stream(if rpc.client == Sends::Stream { STREAM_BYTES } else { 0 })?;
            }
            Ok(call)
        });
        match held {
            Ok(call) => Ok(Held { rpc, call, open, framing, times: rules.times }),
            Err(no_room) => Err(Box::new(refused(&rpc, no_room))),
        }
    }
}

fn refused(rpc: &Rpc, _: NoRoom) -> Response<Body> {
    rpc.count(Code::ResourceExhausted, std::time::Duration::ZERO);
    status::no_room().into_http()
}

impl Held {
    /// The body of the call, of which these bytes were read before.
    pub(super) fn body(&self, body: Body, read: &[u8]) -> Body {
        let body = RequestBody::new(body, Ok(Arc::clone(&self.call)), self.framing, self.times);
        match body.after(read) {
            Ok(body) => Body::new(body.map_err(status::of_request)),
            Err(error) => {
                let status = status::of_request(error);
                Body::new(http_body_util::StreamBody::new(tokio_stream::once(Err::<
                    Frame<Bytes>,
                    Status,
                >(
                    status
                ))))
            }
        }
    }

    /// Has it answered.
    pub(super) async fn answer<S>(self, inner: S, mut request: Request<Body>, peer: Peer) -> Answer
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let address = Some(peer.connection.peer());
        let info = TcpConnectInfo { local_addr: None, remote_addr: address };
        request.extensions_mut().insert(info);
        let response = inner.oneshot(request).await?;
        let Self { rpc, call, open, framing: _, times: _ } = self;
        let is_over = response.headers().contains_key(Status::GRPC_STATUS);
        let (call, open) = match rpc.server {
            Sends::Stream if !is_over => (Some(call), open.into_stream()),
            Sends::Message | Sends::Stream => (None, open),
        };
        Ok(response.map(|body| Body::new(Answering { body, _open: open, _call: call })))
    }
}

type Answer = Result<Response<Body>, Infallible>;

impl<S> Metered<S> {
    /// Has the calls of a peer answered by `inner`.
    pub(super) const fn new(inner: S, peer: Peer, rules: Arc<Rules>) -> Self {
        Self { inner, peer, rules }
    }
}

impl<S> Metered<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    /// Has a call answered.
    pub(super) async fn answer(self, request: Request<Body>, open: OpenCall) -> Answer {
        let Self { inner, peer, rules } = self;
        let held = match peer.hold(&request, &rules, open) {
            Ok(held) => held,
            Err(refused) => return Ok(*refused),
        };
        let request = request.map(|body| held.body(body, &[]));
        held.answer(inner, request, peer).await
    }
}

impl<S> Service<Request<Body>> for Metered<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let open = self.peer.connection.open_call(Instant::now());
        Box::pin(self.clone().answer(request, open))
    }
}

/// The body of an answer, whose end is the call's.
struct Answering {
    body: Body,
    _open: OpenCall,
    _call: Option<Arc<Call>>,
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
