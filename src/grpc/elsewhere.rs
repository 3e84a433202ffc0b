//! Calls run on another runtime than the one that took them: what may wait, or work for long, must
//! not stand in the way of checks.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tower::Service;

use super::layers::deadline;
use super::status;

/// A service whose calls run on a runtime of its own. A call that its caller drops ends there, too.
#[derive(Debug, Clone)]
pub(super) struct Elsewhere<S> {
    inner: S,
    runtime: Handle,
    max_deadline: Duration,
}

impl<S> Elsewhere<S> {
    /// Has the calls run there, none of them for longer than this.
    pub(super) const fn new(inner: S, runtime: Handle, max_deadline: Duration) -> Self {
        Self { inner, runtime, max_deadline }
    }
}

impl<S> Service<Request<Body>> for Elsewhere<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The call has the same deadline there. That it has passed must be heard of here, too, by
        // whom nothing on that runtime can keep waiting.
        let time = deadline::of(request.headers(), self.max_deadline);
        let call = AbortOnDropHandle::new(self.runtime.spawn(self.inner.call(request)));
        let answered = async move {
            match call.await {
                Ok(Ok(answer)) => answer,
                // A panic is caught within: that runtime has come to its end.
                Err(_) => status::stopping().into_http(),
            }
        };
        Box::pin(async move { Ok(deadline::within(time, answered).await) })
    }
}
