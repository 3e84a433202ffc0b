//! Answers in JSON.

use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};

use super::failure::Failure;

/// What most dialects call JSON.
pub(super) const JSON: &str = "application/json";

/// Writes `body` without a space between its parts, its keys in the order of its fields.
pub(super) fn answer(status: StatusCode, content_type: &str, body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, content_type)], text).into_response(),
        Err(_) => Failure::Internal.into_response(),
    }
}

/// Describes an answer of [`answer`], without words yet. A handler of the dialect names the type in
/// its description, which puts the schema itself beside.
pub(super) fn described<T: ToSchema>(content_type: &str) -> utoipa::openapi::Response {
    let schema = Ref::from_schema_name(T::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().content(content_type, content).build()
}
