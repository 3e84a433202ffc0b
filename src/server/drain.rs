//! How a listener of HTTP sends its clients away while the process is about to stop.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::header::CONNECTION;
use http::{HeaderValue, Version};
use tokio_util::sync::CancellationToken;

/// Has every answer end its connection once `stopping` is cancelled: a client of HTTP/1.1 hears of
/// it before it sends the next request, and so never sends one into a connection that is closing.
/// HTTP/2 has GOAWAY for that.
pub(super) fn closing(router: Router, stopping: CancellationToken) -> Router {
    router.layer(from_fn_with_state(stopping, close))
}

async fn close(
    State(stopping): State<CancellationToken>,
    request: Request,
    next: Next,
) -> Response {
    let version = request.version();
    let mut response = next.run(request).await;
    // Asked when the answer is made: it may have taken its time.
    if version <= Version::HTTP_11 && stopping.is_cancelled() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
