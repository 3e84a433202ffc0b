//! How much of a request's body is read, and for how long.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::Shim;
use super::failure::Failure;
use crate::transport::RequestError;

/// The longest body that is read, in bytes.
pub(super) const LIMIT: usize = 64 * 1024;

/// How much more of one is thrown away before it is refused: a client of HTTP/2 that is still
/// sending may never look at an answer that ends its stream.
const DISCARDED: usize = 1024 * 1024;

/// And for how long.
const PATIENCE: Duration = Duration::from_secs(1);

/// Reads the whole body before the request goes on, so that one that is too long or never ends is
/// refused whether anybody reads it or not.
pub(super) async fn bound(State(shim): State<Shim>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let failure = match tokio::time::timeout(shim.settings.deadline, read(body)).await {
        Ok(Ok(body)) => return next.run(Request::from_parts(parts, body)).await,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::BodyLate,
    };
    failure.into_response()
}

async fn read(mut body: Body) -> Result<Body, Failure> {
    if body.size_hint().lower() <= LIMIT as u64 {
        match Limited::new(&mut body, LIMIT).collect().await {
            Ok(whole) => return Ok(Body::from(whole.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => {}
            Err(error) => return Err(broken(&*error)),
        }
    }
    // Whether it came to its end makes no difference.
    let _ = tokio::time::timeout(PATIENCE, discard(body)).await;
    Err(Failure::BodyTooLarge)
}

/// Says why a body could not be read.
fn broken(error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref() {
            Some(RequestError::Late) => return Failure::BodyLate,
            Some(RequestError::NoRoom(_)) => return Failure::Unavailable(1),
            Some(RequestError::TooLong(_)) => return Failure::BodyTooLarge,
            Some(RequestError::Broken(_)) | None => cause = error.source(),
        }
    }
    Failure::BodyUnreadable
}

/// Reads on to the end, or to [`DISCARDED`] bytes. Keeps nothing.
async fn discard(mut body: Body) {
    let mut left = DISCARDED;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(length) else { return };
        left = rest;
    }
}
