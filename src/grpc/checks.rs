//! `Authorize`, answered from memory before anything else is asked: no wait, no span, no other
//! thread. What memory can't answer, and whatever is not written in the plain way, goes on as if
//! this were not here.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response};
use prost::Message as _;
use prost::bytes::Bytes;
use tokio::time::{Instant, timeout};
use tokio_util::either::Either;
use tonic::body::Body;
use tonic::metadata::GRPC_CONTENT_TYPE;
use tonic::{Code, Status};
use tower::Service;
use tracing::{Level, Span, enabled};

use super::answer;
use super::decisions::Decisions;
use super::frame::{Answered, Read, Reading, read_one};
use super::layers::{Rpc, Tally, deadline, request_id};
use super::metered::{Metered, Peer, Rules};
use super::status;
use crate::client;
use crate::domain::Core;
use crate::domain::calls::{Check, Verdict};
use crate::pb;
use crate::transport::OpenCall;

/// The path of a check.
pub(super) const PATH: &str = "/tokend.v1.TokenService/Authorize";

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The longest check that is answered here, in bytes. The longest JWT is 8 KiB.
const LONGEST: usize = 16 * 1024;

/// What answers checks.
#[derive(Debug, Clone)]
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
            && !headers.contains_key(ENCODING)
            && !self.core.authorize_asks_caller()
            && !enabled!(Level::DEBUG)
    }

    /// Answers what was read, if that is a check and memory has the answer; or gives the body back.
    fn answer(
        &self,
        asked: &HeaderMap,
        read: Read,
        started: &mut Started,
    ) -> Result<Response<Body>, Body> {
        let whole = match read {
            Read::One(whole) => whole,
            Read::Other(body) => return Err(body),
        };
        let message = whole.message();
        let Started { began, open } = started;
        let (code, response) = match catch_unwind(AssertUnwindSafe(|| self.decide(message))) {
            Ok(Some(verdict)) => {
                let answered = Answered::with(open.take(), |bytes| answer::write(&verdict, bytes));
                (Code::Ok, response(asked, answered))
            }
            Ok(None) => return Err(whole.into_body()),
            // The panic hook has spoken.
            Err(_) => failed(&status::panicked()),
        };
        self.rpc.count(code, began.elapsed());
        Ok(response)
    }

    /// Decides a check; `None`: not from memory.
    fn decide(&self, message: Bytes) -> Option<Verdict> {
        let request = pb::AuthorizeRequest::decode(message).ok()?;
        let verdict = self.core.authorize_at_once(Check::try_from(request).ok()?)?;
        self.decisions.count(&verdict);
        Some(verdict)
    }
}

/// A check that has begun.
#[derive(Debug)]
struct Started {
    began: Instant,
    /// Goes with the answer.
    open: Option<OpenCall>,
}

/// The checks, before all that a listener serves. Clones share one: each core should have one of
/// its own, so that no call writes what other cores' calls write.
#[derive(Debug)]
pub(super) struct ChecksFirst<S>(Arc<Front<S>>);

impl<S> ChecksFirst<S> {
    /// Has the checks answered before the rest, which follows the rules.
    pub(super) fn new(checks: Checks, rest: S, rules: Rules) -> Self {
        Self(Arc::new(Front { checks, rest, rules: Arc::new(rules) }))
    }

    /// The same for the calls of one peer.
    pub(super) fn on(&self, peer: Peer) -> OnConnection<S> {
        OnConnection { front: Arc::clone(&self.0), peer }
    }
}

#[derive(Debug)]
struct Front<S> {
    checks: Checks,
    rest: S,
    rules: Arc<Rules>,
}

/// What answers the calls of one connection.
#[derive(Debug)]
pub(super) struct OnConnection<S> {
    front: Arc<Front<S>>,
    peer: Peer,
}

impl<S> Clone for OnConnection<S> {
    fn clone(&self) -> Self {
        Self { front: Arc::clone(&self.front), peer: self.peer.clone() }
    }
}

impl<S: Clone> OnConnection<S> {
    fn rest(&self) -> Metered<S> {
        let Front { checks: _, rest, rules } = &*self.front;
        Metered::new(rest.clone(), self.peer.clone(), Arc::clone(rules))
    }
}

type Answer = Result<Response<Body>, Infallible>;

impl<S> Service<Request<Body>> for OnConnection<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<Ready<Answer>, Pin<Box<dyn Future<Output = Answer> + Send>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { front, peer } = self;
        let began = Instant::now();
        let open = peer.connection.open_call(began);
        if !front.checks.take(&request) {
            return Either::Right(Box::pin(self.rest().answer(request, open)));
        }
        let mut started = Started { began, open: Some(open) };
        let (head, body) = request.into_parts();
        let mut reading = read_one(body, LONGEST);
        // Most bodies have come with their heads. Nobody is woken for what has not: it is asked
        // for anew.
        match Pin::new(&mut reading).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(read) => match front.checks.answer(&head.headers, read, &mut started) {
                Ok(response) => Either::Left(ready(Ok(response))),
                Err(body) => {
                    let open = started.open.unwrap_or_else(|| peer.connection.open_call(began));
                    let request = Request::from_parts(head, body);
                    Either::Right(Box::pin(self.rest().answer(request, open)))
                }
            },
            Poll::Pending => Either::Right(Box::pin(self.clone().read_on(head, reading, began))),
        }
    }
}

impl<S> OnConnection<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    /// Answers a call whose body is still to come.
    async fn read_on(self, head: Parts, reading: Reading, began: Instant) -> Answer {
        let Self { front, peer } = self;
        let Front { checks, rest, rules } = &*front;
        let time = deadline::of(&head.headers, checks.max_deadline);
        let request = Request::from_parts(head, ());
        let open = peer.connection.open_call(began);
        let call = match peer.hold(&request, rules, open) {
            Ok(call) => call,
            Err(refused) => return Ok(*refused),
        };
        // Counts a call that is given up before its body has come.
        let mut tally = Tally::since(began, Arc::clone(&checks.rpc), Span::none());
        let reading = reading.through(|body, read| call.body(body, read));
        let Ok(read) = timeout(time, reading).await else {
            let (code, response) = failed(&status::deadline_exceeded());
            tally.end(code);
            return Ok(response);
        };
        tally.hand_on();
        let open = peer.connection.open_call(began);
        let mut started = Started { began, open: Some(open) };
        let (head, ()) = request.into_parts();
        match checks.answer(&head.headers, read, &mut started) {
            Ok(response) => Ok(response),
            Err(body) => call.answer(rest.clone(), Request::from_parts(head, body), peer).await,
        }
    }
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

fn failed(status: &Status) -> (Code, Response<Body>) {
    (status.code(), status.clone().into_http())
}
