//! The page at `/docs` that shows the description: all of it comes from this binary.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::response::{IntoResponse as _, Redirect, Response};
use http::header;
use utoipa_swagger_ui::Config;

use super::failure::Failure;

/// What the page may load: its own files and the pictures inside them.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                      img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    // Relative, for a proxy may have the shim under a path. No validator elsewhere is asked.
    Arc::new(Config::from("../openapi.json").validator_url("none"))
});

/// Leads to the page: its files are named relative to it.
pub(super) async fn enter() -> Redirect {
    Redirect::permanent("docs/")
}

/// Answers the page itself.
pub(super) async fn index() -> Result<Response, Failure> {
    file("index.html")
}

/// Answers a file of the page.
pub(super) async fn part(name: Result<Path<String>, PathRejection>) -> Result<Response, Failure> {
    let Path(name) = name.map_err(|_| Failure::NotFound)?;
    file(&name)
}

fn file(name: &str) -> Result<Response, Failure> {
    let found = utoipa_swagger_ui::serve(name, Arc::clone(&CONFIG));
    let found = found.map_err(|_| Failure::Internal)?.ok_or(Failure::NotFound)?;
    let headers = [
        (header::CONTENT_TYPE, found.content_type.as_str()),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    // Not copied: a client that takes its answers slowly would keep a copy for each.
    let bytes = match found.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    Ok((headers, bytes).into_response())
}
