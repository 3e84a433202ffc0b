//! The span of a request. It never holds the path: a dialect may carry a token there.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, Method};
use tracing::Instrument as _;
use tracing::field::Empty;

use super::TARGET;
use super::call::RequestId;
use super::dialect::{Dialect, spoken};
use crate::client::REQUEST_ID;

/// Opens the span, has failures told in the words of `D`, and tells the client the request's id.
pub(super) async fn observe<D: Dialect>(mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let span = tracing::info_span!(
        target: TARGET,
        "request",
        method = label(request.method()),
        route,
        dialect = D::NAME,
        status = Empty,
    );
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let asked = request.headers().clone();
    let response = next.run(request).instrument(span.clone()).await;
    let mut response = span.in_scope(|| spoken::<D>(response, &asked));
    let status = response.status().as_u16();
    span.record("status", status);
    if status >= 400 {
        tracing::debug!(target: TARGET, parent: &span, status, "refused");
    }
    if let Some(id) = id.told() {
        response.headers_mut().insert(HeaderName::from_static(REQUEST_ID), id.clone());
    }
    response
}

// The client may write anything for a method.
fn label(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    KNOWN.into_iter().find(|known| method == known).unwrap_or("_OTHER")
}
