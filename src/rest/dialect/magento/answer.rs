//! Magento's answers: JSON, or the same as XML where the client would rather read that.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{ContentBuilder, Ref, ResponseBuilder};

use super::xml;
use crate::rest::failure::Failure;
use crate::rest::input::accept::Accept;

/// JSON, as the vendor calls it.
const JSON: &str = "application/json; charset=utf-8";

/// XML, as the vendor calls it.
const XML: &str = "application/xml; charset=utf-8";

/// Writes `body` in the form that the request's headers ask for; JSON where they leave it open.
pub(super) fn write(asked: &HeaderMap, status: StatusCode, body: &impl Serialize) -> Response {
    let preferred =
        Accept::parse(asked).prefers("application/json", &["application/xml", "text/xml"]);
    let written = match preferred {
        "application/json" => json(body).map(|text| (JSON, text)),
        _ => xml(body).map(|text| (XML, text)),
    };
    match written {
        Some((form, text)) => (status, [(header::CONTENT_TYPE, form)], text).into_response(),
        None => Failure::Internal.into_response(),
    }
}

/// Describes an answer of [`write()`], without words yet. It refers to the schema, which an operation
/// must have brought in.
pub(super) fn described<T: ToSchema>() -> utoipa::openapi::Response {
    let schema = || Ref::from_schema_name(T::name());
    let content = || ContentBuilder::new().schema(Some(schema())).build();
    ResponseBuilder::new().content(JSON, content()).content(XML, content()).build()
}

// The vendor's JSON has `\/` for `/`, which stands in strings alone.
fn json(body: &impl Serialize) -> Option<Vec<u8>> {
    let text = serde_json::to_string(body).ok()?;
    Some(text.replace('/', "\\/").into_bytes())
}

fn xml(body: &impl Serialize) -> Option<Vec<u8>> {
    xml::document(&serde_json::to_value(body).ok()?).ok()
}
