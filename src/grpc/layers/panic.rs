//! A net for panics: one call fails, and not the connection that it came by.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use http::Response;
use tonic::body::Body;
use tonic::codegen::{Bytes, StdError};
use tracing::error;

use crate::grpc::status;

/// Waits for the answer, and says `INTERNAL` where the call panics instead.
pub(super) async fn caught<R>(
    call: impl Future<Output = Result<Response<R>, Infallible>>,
) -> Response<Body>
where
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<StdError>,
{
    let mut call = pin!(call);
    let answer = std::future::poll_fn(|cx| {
        // A call that panicked is not polled again.
        match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    });
    match answer.await {
        Some(Ok(answer)) => answer.map(Body::new),
        None => {
            // What a panic says is kept out: slicing a text wrongly, for one, says the text.
            error!("a call panicked");
            status::panicked().into_http()
        }
    }
}
