//! Apinizer: `POST /apiops/auth/token`. `docs/dialects/apinizer.md` is the table.

#[cfg(test)]
mod tests;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use super::{Dialect, Mount, Rejection, not_allowed};
use crate::pb::{
    CreateTokenRequest, CreateTokenResponse, IssuedToken, PasswordCredential, create_token_request,
};
use crate::rest::call::Call;
use crate::rest::failure::{Failure, log_unsent};
use crate::rest::input::content_type::ContentType;
use crate::rest::input::form::{self, Form, FormFault};
use crate::rest::{Settings, Shim, json};

/// The line of the table.
pub(super) const MOUNT: Mount = Mount::of::<Apinizer>();

/// What requests are written in.
const FORM: &str = "application/x-www-form-urlencoded";

/// What every answer is written in.
const JSON: &str = "application/json;charset=UTF-8";

/// The one `grant_type`.
const GRANT: &str = "client_credentials";

/// JWTs for a name and a password, by the client credentials grant (RFC 6749, section 4.4).
#[derive(Debug)]
enum Apinizer {}

impl Dialect for Apinizer {
    const NAME: &'static str = "apinizer";

    fn base_path(settings: &Settings) -> Option<&str> {
        let apinizer = &settings.apinizer;
        apinizer.enabled.then_some(apinizer.base_path.as_str())
    }

    fn routes(_: &Settings) -> OpenApiRouter<Shim> {
        let token = routes!(create);
        OpenApiRouter::default().routes(token.map(|methods| methods.fallback(not_allowed("POST"))))
    }

    fn render(failure: &Failure, _: &HeaderMap) -> Response {
        match failure {
            Failure::BadCredentials => bad_credentials(),
            Failure::InvalidFields(fields) => {
                log_unsent(fields);
                internal()
            }
            Failure::Throttled(seconds) => throttled(*seconds),
            // No token is presented here.
            Failure::TokenInvalid
            | Failure::TokenExpired
            | Failure::TokenNotFound
            | Failure::Internal => internal(),
            Failure::NotFound
            | Failure::MethodNotAllowed { .. }
            | Failure::BodyTooLarge
            | Failure::BodyUnreadable
            | Failure::BodyLate
            | Failure::PermissionMissing
            | Failure::RoleNotHeld(_)
            | Failure::UserWithoutRole
            | Failure::Unavailable(_) => named(failure.status()),
        }
    }

    fn refusal() -> utoipa::openapi::Response {
        json::described::<ApinizerRefusal>(JSON)
    }
}

/// Who asks for a token.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is described only: the form is read parameter by parameter")]
struct ApinizerCredentials {
    /// Always `client_credentials`.
    #[schema(pattern = "^client_credentials$", example = "client_credentials")]
    grant_type: String,
    /// The user's name.
    client_id: String,
    /// The user's password.
    client_secret: String,
}

/// A token was made.
#[derive(Serialize, ToSchema)]
struct ApinizerToken {
    /// The token: a JWT.
    access_token: String,
    /// Always `Bearer`.
    token_type: &'static str,
    /// How many seconds it lives; absent: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expires_in: Option<u64>,
}

/// Why there is no token.
#[derive(Serialize, ToSchema)]
struct ApinizerRefusal {
    /// A word for programs.
    error: String,
    /// A sentence for people.
    error_description: String,
    /// When to come back, in seconds; only with 429.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after: Option<u64>,
}

/// Makes a token for a user's name and password.
#[utoipa::path(
    post,
    path = "/apiops/auth/token",
    request_body(content = ApinizerCredentials, content_type = FORM),
    responses(
        (status = 200, description = "The token", body = ApinizerToken, content_type = JSON),
        (status = 401, description = "No good credentials", body = ApinizerRefusal,
         content_type = JSON),
        (status = 403, description = "The user has no role, where the profile asks for one",
         body = ApinizerRefusal, content_type = JSON),
    ),
)]
async fn create(
    State(shim): State<Shim>,
    call: Call,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejection<Apinizer>> {
    let credential = read(&headers, &body)?;
    let settings = &shim.settings.apinizer;
    let message = CreateTokenRequest {
        credential: Some(create_token_request::Credential::Password(PasswordCredential {
            realm: settings.realm.clone(),
            ..credential
        })),
        profile: settings.profile.clone(),
        ..CreateTokenRequest::default()
    };
    let mut tokens = shim.upstream.tokens.clone();
    let CreateTokenResponse { token, refresh_token: _ } =
        call.send(message, async |request| tokens.create_token(request).await).await?;
    Ok(token.as_ref().and_then(created).ok_or(Failure::Internal)?)
}

/// Why a request is refused before anybody is asked.
enum Refused {
    NotAForm,
    Form(FormFault),
    GrantType,
}

/// Reads the name and the password. What is not sent is empty, which can be nobody's.
fn read(headers: &HeaderMap, body: &[u8]) -> Result<PasswordCredential, Refused> {
    if !ContentType::parse(headers).is_ok_and(|content_type| content_type.essence == FORM) {
        return Err(Refused::NotAForm);
    }
    let mut form = form::parse(body).map_err(Refused::Form)?;
    if take(&mut form, "grant_type") != GRANT {
        return Err(Refused::GrantType);
    }
    Ok(PasswordCredential {
        username: take(&mut form, "client_id"),
        password: take(&mut form, "client_secret"),
        ..PasswordCredential::default()
    })
}

fn take(form: &mut Form, name: &str) -> String {
    form.take(name).map(|value| value.expose_secret().to_owned()).unwrap_or_default()
}

// `None` where the server left out what the contract promises.
fn created(issued: &IssuedToken) -> Option<Response> {
    let IssuedToken { token, secret } = issued;
    let token = token.as_ref()?;
    // By whole seconds, as the JWT has them.
    let begin = token.create_time.as_ref()?.seconds;
    let expires_in = match &token.expire_time {
        Some(end) => Some(u64::try_from(end.seconds.checked_sub(begin)?).ok()?),
        None => None,
    };
    let body = ApinizerToken { access_token: secret.clone(), token_type: "Bearer", expires_in };
    let secret = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
    Some((secret, json::answer(StatusCode::OK, JSON, &body)).into_response())
}

fn refuse(status: StatusCode, error: &str, description: &str) -> Response {
    let body = ApinizerRefusal {
        error: error.to_owned(),
        error_description: description.to_owned(),
        retry_after: None,
    };
    json::answer(status, JSON, &body)
}

fn bad_credentials() -> Response {
    refuse(StatusCode::UNAUTHORIZED, "unauthorized_client", "Bad credentials")
}

fn throttled(seconds: u64) -> Response {
    let body = ApinizerRefusal {
        error: "rate_limit_exceeded".to_owned(),
        error_description: "Rate limit exceeded. Please try again later.".to_owned(),
        retry_after: Some(seconds),
    };
    json::answer(StatusCode::TOO_MANY_REQUESTS, JSON, &body)
}

fn internal() -> Response {
    refuse(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "An unexpected error occurred")
}

fn named(status: StatusCode) -> Response {
    let name = status.canonical_reason().unwrap_or_default();
    refuse(status, &name.to_ascii_lowercase().replace(' ', "_"), name)
}

impl From<Refused> for Rejection<Apinizer> {
    fn from(refused: Refused) -> Self {
        let invalid = |text: &str| refuse(StatusCode::BAD_REQUEST, "invalid_request", text);
        match refused {
            Refused::NotAForm => invalid("Content-Type must be application/x-www-form-urlencoded"),
            Refused::Form(FormFault::Duplicate(name)) => {
                invalid(&format!("{name} must be sent once"))
            }
            Refused::Form(FormFault::Malformed) => {
                invalid("The form has a malformed percent escape, or is not UTF-8.")
            }
            Refused::Form(FormFault::TooMany) => invalid("The form has more than 64 parameters."),
            Refused::GrantType => refuse(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "GrantType value must be client_credentials!",
            ),
        }
        .into()
    }
}
