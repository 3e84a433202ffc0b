//! How much of a request's body is read, and for how long.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http_body::Body as _;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::Shim;
use super::failure::Failure;

/// The longest body that is read, in bytes.
pub(super) const LIMIT: usize = 64 * 1024;

/// Reads the whole body before the request goes on, so that one that is too long or never ends is
/// refused whether anybody reads it or not. One that says so itself is refused unread.
pub(super) async fn bound(State(shim): State<Shim>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let failure = match tokio::time::timeout(shim.settings.deadline, read(body)).await {
        Ok(Ok(body)) => return next.run(Request::from_parts(parts, body)).await,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::BodyLate,
    };
    failure.into_response()
}

async fn read(body: Body) -> Result<Body, Failure> {
    if body.size_hint().lower() > LIMIT as u64 {
        return Err(Failure::BodyTooLarge);
    }
    match Limited::new(body, LIMIT).collect().await {
        Ok(whole) => Ok(Body::from(whole.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::BodyTooLarge),
        Err(_) => Err(Failure::BodyUnreadable),
    }
}
