//! The shim's own paths, and its own words where no dialect is spoken.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use super::call::Call;
use super::dialect::{Dialect, Mount, Rejection, not_allowed};
use super::failure::Failure;
use super::json::{self, JSON};
use super::{Settings, Shim, docs};
use crate::pb::{self, GetPublicKeysRequest, GetPublicKeysResponse};

/// What comes before the table of dialects.
pub(super) const MOUNT: Mount = Mount::of::<Own>();

const DOCS: &str = "/docs";
const DOCS_INDEX: &str = "/docs/";
const DOCS_PART: &str = "/docs/{file}";

/// What is said where no dialect is spoken: `{"error":"not found"}`.
#[derive(Debug)]
enum Own {}

impl Dialect for Own {
    const NAME: &'static str = "own";

    fn base_path(_: &Settings) -> Option<&str> {
        Some("")
    }

    fn routes(_: &Settings) -> OpenApiRouter<Shim> {
        const READ: &str = "GET, HEAD";
        let read = || not_allowed(READ);
        OpenApiRouter::default()
            .routes(routes!(public_keys).map(|methods| methods.fallback(read())))
            .routes(routes!(description).map(|methods| methods.fallback(read())))
            .route(DOCS, get(docs::enter).fallback(read()))
            .route(DOCS_INDEX, get(docs::index).fallback(read()))
            .route(DOCS_PART, get(docs::part).fallback(read()))
            .fallback(async || Failure::NotFound)
    }

    fn undescribed() -> Vec<String> {
        [DOCS, DOCS_INDEX, DOCS_PART].map(str::to_owned).to_vec()
    }

    fn render(failure: &Failure, _: &HeaderMap) -> Response {
        let status = match failure {
            // What these paths send is not the client's.
            Failure::InvalidFields(_)
            | Failure::BadCredentials
            | Failure::TokenInvalid
            | Failure::TokenExpired
            | Failure::TokenNotFound
            | Failure::PermissionMissing
            | Failure::RoleNotHeld(_)
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
        let error = status.canonical_reason().unwrap_or_default().to_ascii_lowercase();
        json::answer(status, JSON, &OwnRefusal { error })
    }

    fn refusal() -> utoipa::openapi::Response {
        json::described::<OwnRefusal>(JSON)
    }
}

/// Why there is no answer.
#[derive(Serialize, ToSchema)]
struct OwnRefusal {
    /// The name of the status, in small letters.
    error: String,
}

/// Public keys, as a JWK set (RFC 7517).
#[derive(Serialize, ToSchema)]
pub(super) struct KeySet {
    keys: Vec<PublicKey>,
}

/// A public key (RFC 7517). What its kind of key has not is left out.
#[derive(Serialize, ToSchema)]
struct PublicKey {
    kty: String,
    #[serde(rename = "use", skip_serializing_if = "String::is_empty")]
    purpose: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    alg: String,
    kid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    crv: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    x: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    y: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    n: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    e: String,
}

/// Answers the public keys that JWTs are verified by.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    responses(
        (status = 200, description = "The keys", body = KeySet,
         content_type = "application/jwk-set+json"),
        (status = 500, description = "A fault of ours", body = OwnRefusal),
    ),
)]
async fn public_keys(State(shim): State<Shim>, call: Call) -> Result<Response, Rejection<Own>> {
    let keys = KeySet::fetch(&shim, &call).await?;
    let cached = [(header::CACHE_CONTROL, "public, max-age=300")];
    Ok((cached, json::answer(StatusCode::OK, "application/jwk-set+json", &keys)).into_response())
}

/// Answers this description.
#[utoipa::path(
    get,
    path = "/openapi.json",
    responses((status = 200, description = "This description", body = serde_json::Value)),
)]
async fn description(State(shim): State<Shim>) -> Response {
    ([(header::CONTENT_TYPE, JSON)], shim.description).into_response()
}

impl KeySet {
    /// Asks the server for the keys.
    ///
    /// # Errors
    /// Whatever the server answers, or the transport.
    pub(super) async fn fetch(shim: &Shim, call: &Call) -> Result<Self, tonic::Status> {
        let mut keys = shim.upstream.keys.clone();
        let GetPublicKeysResponse { keys } = call
            .send(GetPublicKeysRequest {}, async |request| keys.get_public_keys(request).await)
            .await?;
        Ok(Self { keys: keys.into_iter().map(PublicKey::from).collect() })
    }
}

impl From<pb::JsonWebKey> for PublicKey {
    fn from(key: pb::JsonWebKey) -> Self {
        let pb::JsonWebKey { kty, r#use: purpose, alg, kid, crv, x, y, n, e } = key;
        Self { kty, purpose, alg, kid, crv, x, y, n, e }
    }
}
