//! `Authorize`, answered from memory before anything else is asked: no wait, no span, no other
//! thread. What memory can't answer, and whatever is not written in the plain way, goes on as if
//! this were not here.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response};
use prost::Message as _;
use prost::bytes::Bytes;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::metadata::GRPC_CONTENT_TYPE;
use tonic::{Code, Status};
use tower::Service;
use tracing::{Level, Span, enabled};

use super::answer;
use super::decisions::Decisions;
use super::frame::{Answered, Read, read_one};
use super::layers::{Rpc, Tally, deadline, request_id};
use super::status;
use crate::client;
use crate::domain::Core;
use crate::domain::calls::Check;
use crate::pb;

/// The path of a check.
pub(super) const PATH: &str = "/tokend.v1.TokenService/Authorize";

/// The longest check that is answered here, in bytes. The longest JWT is 8 KiB.
const LONGEST: usize = 16 * 1024;

/// What answers checks.
#[derive(Debug)]
pub(super) struct Checks {
    /// The rules.
    pub(super) core: Core,
    /// What is counted of decisions.
    pub(super) decisions: Arc<Decisions>,
    /// What is counted of calls.
    pub(super) rpc: Arc<Rpc>,
    /// How long a call may take.
    pub(super) max_deadline: Duration,
}

impl Checks {
    /// Whether it is a check written in the plain way, and no log wants to hear of each.
    fn take(&self, request: &Request<Body>) -> bool {
        let headers = request.headers();
        request.uri().path() == PATH
            && request.method() == Method::POST
            && headers.get(CONTENT_TYPE) == Some(&GRPC_CONTENT_TYPE)
            && !headers.contains_key("grpc-encoding")
            && !self.core.authorize_asks_caller()
            && !enabled!(Level::DEBUG)
    }

    /// Answers a check; `None`: not from memory.
    fn answer(&self, message: &Bytes) -> Option<Answered> {
        let request = pb::AuthorizeRequest::decode(message.clone()).ok()?;
        let verdict = self.core.authorize_at_once(Check::try_from(request).ok()?)?;
        self.decisions.count(&verdict);
        let length = answer::length(&verdict);
        Some(Answered::with(length, |bytes| answer::write(&verdict, bytes)))
    }
}

/// The checks, before all that a listener serves.
#[derive(Debug, Clone)]
pub(super) struct ChecksFirst<S> {
    /// What answers checks.
    pub(super) checks: Arc<Checks>,
    /// What answers the rest.
    pub(super) rest: S,
}

impl<S> Service<Request<Body>> for ChecksFirst<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.rest.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if self.checks.take(&request) {
            Box::pin(check_first(Arc::clone(&self.checks), self.rest.clone(), request))
        } else {
            Box::pin(self.rest.call(request))
        }
    }
}

async fn check_first<S>(
    checks: Arc<Checks>,
    mut rest: S,
    request: Request<Body>,
) -> Result<Response<Body>, Infallible>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let mut tally = Tally::start(Arc::clone(&checks.rpc), Span::none());
    let (head, body) = request.into_parts();
    let time = deadline::of(&head.headers, checks.max_deadline);
    let body = match read_in_time(body, time).await {
        Some(Read::Other(body)) => body,
        Some(Read::One(whole)) => {
            match catch_unwind(AssertUnwindSafe(|| checks.answer(&whole.message()))) {
                Ok(Some(answer)) => {
                    tally.end(Code::Ok);
                    return Ok(response(&head.headers, answer));
                }
                Ok(None) => whole.into_body(),
                // The panic hook has spoken.
                Err(_) => return Ok(failed(tally, status::panicked())),
            }
        }
        None => return Ok(failed(tally, status::deadline_exceeded())),
    };
    tally.hand_on();
    rest.call(Request::from_parts(head, body)).await
}

/// Reads the message; `None`: it did not come in time.
async fn read_in_time(body: Body, time: Duration) -> Option<Read> {
    let mut reading = pin!(read_one(body, LONGEST));
    // Most have come with the head of the request: a timer is for the others.
    if let Poll::Ready(read) = poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx))).await {
        return Some(read);
    }
    timeout(time, reading).await.ok()
}

fn response(asked: &HeaderMap, answer: Answered) -> Response<Body> {
    let mut response = Response::new(Body::new(answer));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC_CONTENT_TYPE);
    // Nothing of it is in a log, so no id is made for it.
    if let Some(id) = request_id::given(asked) {
        headers.insert(client::REQUEST_ID, id.clone());
    }
    response
}

fn failed(mut tally: Tally, status: Status) -> Response<Body> {
    tally.end(status.code());
    status.into_http()
}
