//! The shim's own paths, and its own words where no dialect is spoken.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use super::call::Call;
use super::dialect::{self, Dialect, Rejection};
use super::failure::Failure;
use super::{Settings, Shim, json};
use crate::pb::{GetPublicKeysRequest, GetPublicKeysResponse, JsonWebKey};

/// What is said where no dialect is spoken: `{"error":"not found"}`.
#[derive(Debug)]
pub(super) enum Own {}

impl Dialect for Own {
    const NAME: &'static str = "own";

    fn base_path(_: &Settings) -> Option<&str> {
        Some("")
    }

    fn routes() -> Router<Shim> {
        let keys = get(public_keys).fallback(dialect::not_allowed::<Self>("GET, HEAD"));
        Router::new()
            .route("/.well-known/jwks.json", keys)
            .fallback(async || dialect::answer::<Self>(&Failure::NotFound))
    }

    fn render(failure: &Failure) -> Response {
        let status = match failure {
            // What these paths send is not the client's.
            Failure::InvalidFields(_)
            | Failure::BadCredentials
            | Failure::TokenInvalid
            | Failure::TokenExpired
            | Failure::TokenNotFound
            | Failure::PermissionMissing
            | Failure::RoleNotHeld
            | Failure::UserWithoutRole => StatusCode::INTERNAL_SERVER_ERROR,
            Failure::NotFound
            | Failure::MethodNotAllowed { .. }
            | Failure::BodyTooLarge
            | Failure::BodyUnreadable
            | Failure::BodyLate
            | Failure::Throttled(_)
            | Failure::Unavailable(_)
            | Failure::Internal => failure.status(),
        };
        let name = status.canonical_reason().unwrap_or_default().to_ascii_lowercase();
        json::answer(status, &json!({ "error": name }))
    }
}

async fn public_keys(State(shim): State<Shim>, call: Call) -> Result<Response, Rejection<Own>> {
    let mut keys = shim.upstream.keys.clone();
    let GetPublicKeysResponse { keys } = call
        .send(GetPublicKeysRequest {}, async |request| keys.get_public_keys(request).await)
        .await?;
    let keys: Vec<Value> = keys.iter().map(jwk).collect();
    let headers = [
        (header::CONTENT_TYPE, "application/jwk-set+json"),
        (header::CACHE_CONTROL, "public, max-age=300"),
    ];
    Ok((headers, json!({ "keys": keys }).to_string()).into_response())
}

fn jwk(key: &JsonWebKey) -> Value {
    let JsonWebKey { kty, r#use, alg, kid, crv, x, y, n, e } = key;
    let members = [
        ("kty", kty),
        ("use", r#use),
        ("alg", alg),
        ("kid", kid),
        ("crv", crv),
        ("x", x),
        ("y", y),
        ("n", n),
        ("e", e),
    ];
    let present = members.into_iter().filter(|(_, value)| !value.is_empty());
    present.map(|(name, value)| (name.to_owned(), json!(value))).collect::<Map<_, _>>().into()
}
