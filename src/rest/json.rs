//! Answers in JSON.

use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde_json::Value;

/// Writes `body` without a space between its parts, its keys in the order they were put in.
pub(super) fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
