//! epilot: `/v1/access-tokens`. `docs/dialects/epilot.md` is the table.

mod client;
#[cfg(test)]
mod tests;
mod token;
mod wish;

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use super::{Dialect, Mount, Rejection, not_allowed};
use crate::pb::{CreateTokenResponse, RevokeTokenResponse};
use crate::rest::call::Call;
use crate::rest::failure::{Failure, log_unsent};
use crate::rest::json::{self, JSON};
use crate::rest::own::KeySet;
use crate::rest::{Settings, Shim};
use client::Client;
use token::{EpilotNewToken, EpilotToken};
use wish::{EpilotWish, Fault};

/// The line of the table.
pub(super) const MOUNT: Mount = Mount::of::<Epilot>();

/// Personal tokens for the bearer of another.
#[derive(Debug)]
enum Epilot {}

impl Dialect for Epilot {
    const NAME: &'static str = "epilot";

    fn base_path(settings: &Settings) -> Option<&str> {
        let epilot = &settings.epilot;
        epilot.enabled.then_some(epilot.base_path.as_str())
    }

    fn routes(_: &Settings) -> OpenApiRouter<Shim> {
        let tokens = routes!(create, list);
        let token = routes!(revoke);
        let keys = routes!(public_keys);
        OpenApiRouter::default()
            .routes(tokens.map(|methods| methods.fallback(not_allowed("GET, HEAD, POST"))))
            .routes(token.map(|methods| methods.fallback(not_allowed("DELETE"))))
            .routes(keys.map(|methods| methods.fallback(not_allowed("GET, HEAD"))))
    }

    fn render(failure: &Failure, _: &HeaderMap) -> Response {
        match failure {
            Failure::BadCredentials | Failure::TokenInvalid | Failure::TokenExpired => {
                let message = "Unauthorized";
                json::answer(failure.status(), JSON, &EpilotUnauthorized { message })
            }
            Failure::RoleNotHeld(role) => {
                refusal(failure.status(), &format!("The caller does not hold the role `{role}`."))
            }
            // What a client may have caused is told by the handlers.
            Failure::InvalidFields(fields) => {
                log_unsent(fields);
                named(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Failure::NotFound
            | Failure::MethodNotAllowed { .. }
            | Failure::BodyTooLarge
            | Failure::BodyUnreadable
            | Failure::BodyLate
            | Failure::TokenNotFound
            | Failure::PermissionMissing
            | Failure::UserWithoutRole
            | Failure::Throttled(_)
            | Failure::Unavailable(_)
            | Failure::Internal => named(failure.status()),
        }
    }

    fn refusal() -> utoipa::openapi::Response {
        json::described::<EpilotRefusal>(JSON)
    }
}

/// Why there is no answer.
#[derive(Serialize, ToSchema)]
struct EpilotRefusal {
    /// The status.
    status: u16,
    /// Its name, or one sentence.
    error: String,
}

/// No good token was presented.
#[derive(Serialize, ToSchema)]
struct EpilotUnauthorized {
    /// `Unauthorized`.
    message: &'static str,
}

/// Makes a personal token for the bearer of another.
#[utoipa::path(
    post,
    path = "/v1/access-tokens",
    security(("bearer" = [])),
    request_body(content = EpilotWish, content_type = "application/json"),
    responses(
        (status = 201, description = "The token", body = EpilotNewToken),
        (status = 401, description = "No good token was presented", body = EpilotUnauthorized),
        (status = 403, description = "The caller may not, or does not hold a role that they chose",
         body = EpilotRefusal),
    ),
)]
async fn create(
    State(shim): State<Shim>,
    call: Call,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejection<Epilot>> {
    let client = Client::of(&shim, call, &headers)?;
    let wish = match EpilotWish::read(&headers, &body) {
        Ok(wish) => wish,
        Err(fault) => return Err(client.refuse(fault).await),
    };
    let message = wish.message(&shim.settings.epilot.profile);
    let failure = match client.create(message).await {
        Ok(CreateTokenResponse { token, refresh_token: _ }) => {
            let made = token.and_then(EpilotNewToken::of).ok_or(Failure::Internal)?;
            let secret = [(header::CACHE_CONTROL, "no-store")];
            return Ok((secret, json::answer(StatusCode::CREATED, JSON, &made)).into_response());
        }
        Err(status) => Failure::from(status),
    };
    let Failure::InvalidFields(fields) = &failure else { return Err(failure.into()) };
    match wish.fault(fields) {
        Some(fault) => Err(client.refuse(fault).await),
        None => Err(failure.into()),
    }
}

/// Lists the caller's live tokens, newest first.
#[utoipa::path(
    get,
    path = "/v1/access-tokens",
    security(("bearer" = [])),
    params(("token_type" = Option<Vec<String>>, Query,
            description = "The types to list. All tokens are of the type `api`")),
    responses(
        (status = 200, description = "The tokens", body = Vec<EpilotToken>),
        (status = 401, description = "No good token was presented", body = EpilotUnauthorized),
        (status = 403, description = "The token presented manages itself alone",
         body = EpilotRefusal),
    ),
)]
async fn list(
    State(shim): State<Shim>,
    call: Call,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Rejection<Epilot>> {
    let client = Client::of(&shim, call, &headers)?;
    let tokens = if asks_for_api(&query.unwrap_or_default()) {
        client.list(&shim.settings.epilot.profile).await?
    } else {
        client.prove().await?;
        Vec::new()
    };
    let tokens: Option<Vec<_>> = tokens.into_iter().map(EpilotToken::of).collect();
    Ok(json::answer(StatusCode::OK, JSON, &tokens.ok_or(Failure::Internal)?))
}

/// Ends a token.
#[utoipa::path(
    delete,
    path = "/v1/access-tokens/{id}",
    security(("bearer" = [])),
    params(("id" = String, Path, description = "The token's id")),
    responses(
        (status = 200, description = "It is dead", body = EpilotToken),
        (status = 401, description = "No good token was presented", body = EpilotUnauthorized),
        (status = 404, description = "No live token that the caller may end",
         body = EpilotRefusal),
    ),
)]
async fn revoke(
    State(shim): State<Shim>,
    call: Call,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Rejection<Epilot>> {
    let client = Client::of(&shim, call, &headers)?;
    // Of what is no text this is left. No id is like it, and the caller is judged first.
    let id = id.map_or_else(|_| "\u{fffd}".to_owned(), |Path(id)| id);
    match client.revoke(id, &shim.settings.epilot.profile).await.map_err(Failure::from) {
        Ok(RevokeTokenResponse { token: _, revoked_count: 0, stale_for: _ }) => {
            Err(Failure::TokenNotFound.into())
        }
        Ok(RevokeTokenResponse { token, revoked_count: _, stale_for: _ }) => {
            let ended = token.and_then(EpilotToken::of).ok_or(Failure::Internal)?;
            Ok(json::answer(StatusCode::OK, JSON, &ended))
        }
        Err(Failure::InvalidFields(fields)) if fields == ["token_id"] => {
            Err(client.refuse(Failure::TokenNotFound).await)
        }
        Err(failure) => Err(failure.into()),
    }
}

/// Answers the public keys that JWTs are verified by. No token of this dialect is one.
#[utoipa::path(
    get,
    path = "/v1/access-tokens/.well-known/jwks.json",
    responses((status = 200, description = "The keys", body = KeySet)),
)]
async fn public_keys(State(shim): State<Shim>, call: Call) -> Result<Response, Rejection<Epilot>> {
    let keys = KeySet::fetch(&shim, &call).await?;
    let cached = [(header::CACHE_CONTROL, "public, max-age=300")];
    Ok((cached, json::answer(StatusCode::OK, JSON, &keys)).into_response())
}

// Clients write a list of types as `token_type=a&token_type=b` or with `[]` behind the name.
fn asks_for_api(query: &str) -> bool {
    let is = |text: &str, word: &str| percent_decode_str(text).eq(word.bytes());
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let of_type = |(name, _): &(&str, &str)| is(name, "token_type") || is(name, "token_type[]");
    let mut types = pairs.filter(of_type).map(|(_, value)| value).peekable();
    types.peek().is_none() || types.any(|value| is(value, "api"))
}

fn refusal(status: StatusCode, error: &str) -> Response {
    json::answer(status, JSON, &EpilotRefusal { status: status.as_u16(), error: error.to_owned() })
}

fn named(status: StatusCode) -> Response {
    refusal(status, status.canonical_reason().unwrap_or_default())
}

impl From<Fault> for Rejection<Epilot> {
    fn from(fault: Fault) -> Self {
        refusal(StatusCode::BAD_REQUEST, &fault.to_string()).into()
    }
}
