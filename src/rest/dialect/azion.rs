//! Azion: `POST /tokens` and `DELETE /tokens/:token`. `docs/dialects/azion.md` is the table.

#[cfg(test)]
mod tests;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use super::{Dialect, Mount, Rejection, not_allowed};
use crate::authorization::{Authorization, Fault};
use crate::pb::{
    CreateTokenRequest, CreateTokenResponse, IssuedToken, PasswordCredential, RevokeTokenRequest,
    RevokeTokenResponse, create_token_request, revoke_token_request,
};
use crate::rest::call::Call;
use crate::rest::failure::{Failure, log_unsent};
use crate::rest::input::accept::{Accept, NotAcceptable};
use crate::rest::input::authorization::{Repeated, single};
use crate::rest::json::{self, JSON};
use crate::rest::{Settings, Shim, timestamp};

/// The line of the table.
pub(super) const MOUNT: Mount = Mount::of::<Azion>();

/// The methods of `/tokens`.
const TOKENS: &str = "POST, OPTIONS";

/// The methods of `/tokens/:token`.
const TOKEN: &str = "DELETE, OPTIONS";

const VERSIONS: [&str; 3] = ["1", "2", "3"];

/// Opaque tokens for a name and a password.
#[derive(Debug)]
enum Azion {}

impl Dialect for Azion {
    const NAME: &'static str = "azion";

    fn base_path(settings: &Settings) -> Option<&str> {
        let azion = &settings.azion;
        azion.enabled.then_some(azion.base_path.as_str())
    }

    fn routes(_: &Settings) -> OpenApiRouter<Shim> {
        let tokens = routes!(create, tokens_options);
        let token = routes!(revoke, token_options);
        OpenApiRouter::default()
            .routes(tokens.map(|methods| methods.fallback(not_allowed(TOKENS))))
            .routes(token.map(|methods| methods.fallback(not_allowed(TOKEN))))
    }

    fn render(failure: &Failure, _: &HeaderMap) -> Response {
        match failure {
            Failure::BadCredentials => unauthorized("Invalid username/password."),
            Failure::InvalidFields(fields) => invalid(fields),
            Failure::TokenNotFound => detail(StatusCode::NOT_FOUND, "Not found."),
            Failure::MethodNotAllowed { method, allow: _ } => {
                detail(failure.status(), &format!("Method \"{method}\" not allowed."))
            }
            Failure::Throttled(seconds) => {
                let unit = if *seconds == 1 { "second" } else { "seconds" };
                let text =
                    format!("Request was throttled. Expected available in {seconds} {unit}.");
                detail(failure.status(), &text)
            }
            Failure::PermissionMissing | Failure::RoleNotHeld(_) | Failure::UserWithoutRole => {
                detail(failure.status(), "You do not have permission to perform this action.")
            }
            // No token is presented as a credential here.
            Failure::TokenInvalid | Failure::TokenExpired => {
                named(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Failure::NotFound
            | Failure::BodyTooLarge
            | Failure::BodyUnreadable
            | Failure::BodyLate
            | Failure::Unavailable(_)
            | Failure::Internal => named(failure.status()),
        }
    }

    fn refusal() -> utoipa::openapi::Response {
        json::described::<AzionRefusal>(JSON)
    }
}

/// A token was made.
#[derive(Serialize, ToSchema)]
struct AzionToken {
    /// The token: 40 hex digits.
    #[schema(pattern = "^[0-9a-f]{40}$")]
    token: String,
    /// When it was made.
    #[schema(example = "2019-04-01 13:53:28.536782+00:00")]
    created_at: String,
    /// When it ends; `null`: never.
    #[schema(example = "2019-04-02 13:53:28.536782+00:00")]
    expires_at: Option<String>,
}

/// Why there is no answer.
#[derive(Serialize, ToSchema)]
struct AzionRefusal {
    /// One sentence.
    detail: String,
}

/// Makes a token for a user's name and password.
#[utoipa::path(
    post,
    path = "/tokens",
    security(("basic" = [])),
    responses(
        (status = 201, description = "The token", body = AzionToken),
        (status = 401, description = "No good credentials", body = AzionRefusal),
        (status = 406, description = "`Accept` admits no answer of ours", body = AzionRefusal),
    ),
)]
async fn create(
    State(shim): State<Shim>,
    call: Call,
    headers: HeaderMap,
) -> Result<Response, Rejection<Azion>> {
    Accept::parse(&headers).admits_json(&VERSIONS)?;
    let (username, password) = Authorization::parse_basic(authorization(&headers)?.as_bytes())?;
    let settings = &shim.settings.azion;
    let credential = create_token_request::Credential::Password(PasswordCredential {
        realm: settings.realm.clone(),
        username,
        password: password.expose_secret().to_owned(),
        accept_final_newline: true,
    });
    let message = CreateTokenRequest {
        credential: Some(credential),
        profile: settings.profile.clone(),
        ..CreateTokenRequest::default()
    };
    let mut tokens = shim.upstream.tokens.clone();
    let CreateTokenResponse { token, refresh_token: _ } =
        call.send(message, async |request| tokens.create_token(request).await).await?;
    Ok(token.as_ref().and_then(created).ok_or(Failure::Internal)?)
}

/// Ends a token of the user's own.
#[utoipa::path(
    delete,
    path = "/tokens/{token}",
    params(("token" = String, Path, description = "The token")),
    security(("basic" = [])),
    responses(
        (status = 204, description = "It is dead"),
        (status = 401, description = "No good credentials", body = AzionRefusal),
        (status = 404, description = "No live token of the user's", body = AzionRefusal),
        (status = 406, description = "`Accept` admits no answer of ours", body = AzionRefusal),
    ),
)]
async fn revoke(
    State(shim): State<Shim>,
    call: Call,
    headers: HeaderMap,
    token: Result<Path<String>, PathRejection>,
) -> Result<Response, Rejection<Azion>> {
    Accept::parse(&headers).admits_json(&VERSIONS)?;
    let authorization = authorization(&headers)?;
    Authorization::parse_basic(authorization.as_bytes())?;
    // Of what is no text this is left. No token is like it, and the credentials are judged first.
    let secret = token.map_or_else(|_| "\u{fffd}".to_owned(), |Path(token)| token);
    let settings = &shim.settings.azion;
    let call = call.on_behalf_of(authorization, Some(&settings.realm))?;
    let call = call.counted_by(&settings.profile)?.accepting_final_newline();
    let message = RevokeTokenRequest {
        target: Some(revoke_token_request::Target::Secret(secret)),
        profile: settings.profile.clone(),
        skip_wait: false,
    };
    let mut tokens = shim.upstream.tokens.clone();
    let RevokeTokenResponse { token: _, revoked_count, stale_for: _ } =
        call.send(message, async |request| tokens.revoke_token(request).await).await?;
    if revoked_count == 0 {
        return Err(Failure::TokenNotFound.into());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

// The vendor's stack joins repeated headers, and then finds a space in the credentials.
fn authorization(headers: &HeaderMap) -> Result<&HeaderValue, Fault> {
    single(headers).map_err(|Repeated| Fault::Spaces)?.ok_or(Fault::Absent)
}

// `None` where the server left out what the contract promises.
fn created(issued: &IssuedToken) -> Option<Response> {
    let IssuedToken { token, secret } = issued;
    let token = token.as_ref()?;
    let expires_at = match &token.expire_time {
        Some(time) => Some(timestamp::spaced(time)?),
        None => None,
    };
    let body = AzionToken {
        token: secret.clone(),
        created_at: timestamp::spaced(token.create_time.as_ref()?)?,
        expires_at,
    };
    let secret = [(header::CACHE_CONTROL, "no-store")];
    Some((secret, json::answer(StatusCode::CREATED, JSON, &body)).into_response())
}

/// Names the methods of the path.
#[utoipa::path(options, path = "/tokens", responses((status = 204, description = "In `Allow`")))]
async fn tokens_options() -> Response {
    allow(TOKENS)
}

/// Names the methods of the path.
#[utoipa::path(
    options,
    path = "/tokens/{token}",
    params(("token" = String, Path, description = "Not looked at")),
    responses((status = 204, description = "In `Allow`")),
)]
async fn token_options() -> Response {
    allow(TOKEN)
}

fn allow(methods: &'static str) -> Response {
    (StatusCode::NO_CONTENT, [(header::ALLOW, methods)]).into_response()
}

fn invalid(fields: &[String]) -> Response {
    if fields == ["secret"] {
        return detail(StatusCode::NOT_FOUND, "Not found.");
    }
    log_unsent(fields);
    named(StatusCode::INTERNAL_SERVER_ERROR)
}

fn detail(status: StatusCode, text: &str) -> Response {
    json::answer(status, JSON, &AzionRefusal { detail: text.to_owned() })
}

fn named(status: StatusCode) -> Response {
    detail(status, status.canonical_reason().unwrap_or_default())
}

fn unauthorized(text: &str) -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"api\"")];
    (challenge, detail(StatusCode::UNAUTHORIZED, text)).into_response()
}

impl From<Fault> for Rejection<Azion> {
    fn from(fault: Fault) -> Self {
        unauthorized(match fault {
            Fault::Absent => "Authentication credentials were not provided.",
            Fault::Empty => "Invalid basic header. No credentials provided.",
            Fault::Spaces => "Invalid basic header. Credentials string should not contain spaces.",
            Fault::Encoding => "Invalid basic header. Credentials not correctly base64 encoded.",
        })
        .into()
    }
}

impl From<NotAcceptable> for Rejection<Azion> {
    fn from(reason: NotAcceptable) -> Self {
        let text = match reason {
            NotAcceptable::Version => "Invalid version in \"Accept\" header.",
            NotAcceptable::Json => "Could not satisfy the request Accept header.",
        };
        detail(StatusCode::NOT_ACCEPTABLE, text).into()
    }
}
