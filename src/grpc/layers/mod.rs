//! What stands around every call, from the outside in: the request's id, a span, the metrics, the
//! deadline, and a net for panics.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::codegen::{Bytes, StdError};
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service;
use tower::layer::layer_fn;
use tracing::{Instrument as _, info_span};

use super::status;

pub(super) mod deadline;
mod outcome;
mod panic;
pub(super) mod request_id;
mod rpc;

#[cfg(test)]
mod tests;

pub(super) use outcome::Tally;
pub(super) use rpc::{Rpc, Rpcs, Sends};

/// What the layers need to know.
#[derive(Debug)]
pub(super) struct Layers {
    /// The methods that there are.
    pub(super) rpcs: Arc<Rpcs>,
    /// How long a call may take, whatever its caller grants it.
    pub(super) max_deadline: Duration,
    /// Ends open streams.
    pub(super) shutdown: CancellationToken,
}

/// Puts the layers around all routes, an unknown method's answer too.
pub(super) fn around(routes: Routes, layers: Layers) -> Routes {
    let layers = Arc::new(layers);
    let layer = layer_fn(move |inner| Layered { inner, layers: Arc::clone(&layers) });
    Routes::from(routes.into_axum_router().layer(layer))
}

/// Says whose fault it is that tonic could not read a request: a message that is none, or a frame.
/// It says INTERNAL of it, as of a fault of the server. Ours all have details.
fn of_unread(answer: Response<Body>) -> Response<Body> {
    match Status::from_header_map(answer.headers()) {
        Some(status) if status.code() == Code::Internal && status.details().is_empty() => {
            status::unreadable(status.message()).into_http()
        }
        Some(_) | None => answer,
    }
}

/// A service within the layers.
#[derive(Debug, Clone)]
struct Layered<S> {
    inner: S,
    layers: Arc<Layers>,
}

impl<S, B, R> Service<Request<B>> for Layered<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    S::Future: Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<StdError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let id = request_id::of(request.headers());
        let rpc = self.layers.rpcs.get(request.uri().path());
        let span = info_span!(
            "rpc",
            rpc.service = &*rpc.service,
            rpc.method = &*rpc.method,
            request.id = id.to_str().unwrap_or_default(),
        );
        let tally = outcome::Tally::start(rpc, span.clone());
        let time = deadline::of(request.headers(), self.layers.max_deadline);
        let shutdown = self.layers.shutdown.clone();
        let call = self.inner.call(request);
        let answered = async move {
            let answer = deadline::within(time, panic::caught(call)).await;
            let answer = of_unread(answer);
            let mut answer = outcome::watched(answer, tally, shutdown);
            request_id::echo(id, &mut answer);
            Ok(answer)
        };
        Box::pin(answered.instrument(span))
    }
}
