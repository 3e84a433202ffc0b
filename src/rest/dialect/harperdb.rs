//! HarperDB: `POST /` with an `operation`. `docs/dialects/harperdb.md` is the table.

mod request;
#[cfg(test)]
mod tests;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use super::{Dialect, Mount, Rejection};
use crate::authorization::{Authorization, Fault};
use crate::pb::{
    CreateTokenRequest, CreateTokenResponse, GetCallerRequest, GetCallerResponse,
    PasswordCredential, RefreshOperationTokenRequest, RefreshOperationTokenResponse, Role, User,
    UserState, create_token_request,
};
use crate::rest::call::Call;
use crate::rest::failure::{Failure, log_unsent};
use crate::rest::input::authorization::{Repeated, single};
use crate::rest::json::{self, JSON};
use crate::rest::{Settings, Shim, TARGET};
use request::{Credentials, FieldFault, Fields, HarperdbRequest, Operation, Refused};

/// The line of the table.
pub(super) const MOUNT: Mount = Mount::of::<Harperdb>();

/// A pair of JWTs for a name and a password: one for operations, one that renews it.
#[derive(Debug)]
enum Harperdb {}

impl Dialect for Harperdb {
    const NAME: &'static str = "harperdb";

    fn base_path(settings: &Settings) -> Option<&str> {
        let harperdb = &settings.harperdb;
        harperdb.enabled.then_some(harperdb.base_path.as_str())
    }

    fn routes(_: &Settings) -> OpenApiRouter<Shim> {
        // Its one path is the root: what else is asked of it is nobody's. Merged and not a fallback,
        // which would send `Allow`.
        let not_found = any(async || Failure::NotFound);
        OpenApiRouter::default().routes(routes!(operate).map(|methods| methods.merge(not_found)))
    }

    fn render(failure: &Failure, _: &HeaderMap) -> Response {
        match failure {
            // As where no dialect is spoken.
            Failure::NotFound => refuse(failure.status(), "not found"),
            Failure::BadCredentials => unauthorized("invalid credentials"),
            Failure::TokenInvalid => unauthorized("invalid token"),
            Failure::TokenExpired => unauthorized("token expired"),
            Failure::InvalidFields(fields) => invalid(fields),
            Failure::Throttled(seconds) => {
                let text = format!("too many attempts, try again in {seconds} seconds");
                refuse(failure.status(), &text)
            }
            // No token is looked for here.
            Failure::TokenNotFound => named(StatusCode::INTERNAL_SERVER_ERROR),
            Failure::MethodNotAllowed { .. }
            | Failure::BodyTooLarge
            | Failure::BodyUnreadable
            | Failure::BodyLate
            | Failure::PermissionMissing
            | Failure::RoleNotHeld(_)
            | Failure::UserWithoutRole
            | Failure::Unavailable(_)
            | Failure::Internal => named(failure.status()),
        }
    }

    fn refusal() -> utoipa::openapi::Response {
        json::described::<HarperdbRefusal>(JSON)
    }
}

/// What an operation came to.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum HarperdbAnswer {
    Tokens(HarperdbTokens),
    User(HarperdbUser),
}

/// Tokens were made.
#[derive(Serialize, ToSchema)]
struct HarperdbTokens {
    /// The token that operations are asked with: a JWT.
    operation_token: String,
    /// The token that makes operation tokens: a JWT; only where both were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refresh_token: Option<String>,
}

/// Who asks.
#[derive(Serialize, ToSchema)]
struct HarperdbUser {
    /// Whether they may sign in.
    active: bool,
    /// Their name.
    username: String,
    /// The first of their roles; `null`: they have none.
    #[schema(required = true)]
    role: Option<HarperdbRole>,
}

/// A role.
#[derive(Serialize, ToSchema)]
struct HarperdbRole {
    /// Its name.
    role: String,
    /// Its name.
    id: String,
    /// What it grants.
    permission: HarperdbPermission,
}

/// What a role grants.
#[derive(Serialize, ToSchema)]
struct HarperdbPermission {
    /// Whether that is everything.
    super_user: bool,
}

/// Why there is no answer.
#[derive(Serialize, ToSchema)]
struct HarperdbRefusal {
    /// What is wrong.
    error: String,
}

/// Makes a pair of tokens, renews the operation token, or says who asks.
#[utoipa::path(
    post,
    path = "/",
    request_body = HarperdbRequest,
    security((), ("basic" = []), ("bearer" = [])),
    responses(
        (status = 200, description = "What the operation came to", body = HarperdbAnswer),
        (status = 401, description = "No good credentials", body = HarperdbRefusal),
        (status = 403, description = "The user has no role, where the profile asks for one",
         body = HarperdbRefusal),
        (status = 415, description = "The body is no JSON", body = HarperdbRefusal),
    ),
)]
async fn operate(
    State(shim): State<Shim>,
    call: Call,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejection<Harperdb>> {
    let (operation, fields) = request::read(&headers, &body)?;
    match operation {
        Operation::CreateAuthenticationTokens => create(&shim, &call, &fields).await,
        Operation::RefreshOperationToken => refresh(&shim, &call, (&headers, &fields)).await,
        Operation::UserInfo => user_info(&shim, call, &headers).await,
    }
}

async fn create(
    shim: &Shim,
    call: &Call,
    fields: &Fields,
) -> Result<Response, Rejection<Harperdb>> {
    let Credentials { username, password, lifetime } = fields.credentials()?;
    let settings = &shim.settings.harperdb;
    let credential = create_token_request::Credential::Password(PasswordCredential {
        realm: settings.realm.clone(),
        username: username.to_owned(),
        password: password.to_owned(),
        accept_final_newline: false,
    });
    let message = CreateTokenRequest {
        credential: Some(credential),
        profile: settings.profile.clone(),
        lifetime: lifetime.map(create_token_request::Lifetime::Ttl),
        ..CreateTokenRequest::default()
    };
    let mut tokens = shim.upstream.tokens.clone();
    let CreateTokenResponse { token, refresh_token } =
        call.send(message, async |request| tokens.create_token(request).await).await?;
    let (Some(token), Some(refresh_token)) = (token, refresh_token) else {
        tracing::error!(target: TARGET, "the profile of this dialect makes no pair of tokens");
        return Err(Failure::Internal.into());
    };
    Ok(issued(token.secret, Some(refresh_token.secret)))
}

async fn refresh(
    shim: &Shim,
    call: &Call,
    (headers, fields): (&HeaderMap, &Fields),
) -> Result<Response, Rejection<Harperdb>> {
    let refresh_token = match bearer(headers)? {
        Some(token) => token.expose_secret().to_owned(),
        None => fields.refresh_token()?.to_owned(),
    };
    let settings = &shim.settings.harperdb;
    let message = RefreshOperationTokenRequest {
        refresh_token,
        profile: settings.profile.clone(),
        realm: settings.realm.clone(),
    };
    let mut tokens = shim.upstream.tokens.clone();
    let RefreshOperationTokenResponse { operation_token, refresh_token: _ } =
        call.send(message, async |request| tokens.refresh_operation_token(request).await).await?;
    Ok(issued(operation_token.ok_or(Failure::Internal)?.secret, None))
}

async fn user_info(
    shim: &Shim,
    call: Call,
    headers: &HeaderMap,
) -> Result<Response, Rejection<Harperdb>> {
    let caller = caller(headers)?;
    let settings = &shim.settings.harperdb;
    let call = call.on_behalf_of(caller, Some(&settings.realm))?.counted_by(&settings.profile)?;
    let mut tokens = shim.upstream.tokens.clone();
    let asked = call.send(GetCallerRequest {}, async |request| tokens.get_caller(request).await);
    let GetCallerResponse { user, token: _, roles } =
        asked.await.map_err(|status| login_failed(status.into()))?;
    let User { username, state, .. } = user.ok_or(Failure::Internal)?;
    let answer = HarperdbAnswer::User(HarperdbUser {
        active: state == i32::from(UserState::Active),
        username,
        role: roles.into_iter().next().map(HarperdbRole::from),
    });
    Ok(json::answer(StatusCode::OK, JSON, &answer))
}

impl From<Role> for HarperdbRole {
    fn from(role: Role) -> Self {
        let Role { realm: _, id, description: _, permissions } = role;
        let super_user = permissions.iter().any(|permission| permission == "*");
        Self { role: id.clone(), id, permission: HarperdbPermission { super_user } }
    }
}

// What is wrong with a name and password has other words here than on create.
fn login_failed(failure: Failure) -> Rejection<Harperdb> {
    if matches!(failure, Failure::BadCredentials) {
        return unauthorized("Login failed").into();
    }
    failure.into()
}

fn authorization(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Failure> {
    single(headers).map_err(|Repeated| Failure::TokenInvalid)
}

/// The token of the header; `None` where there is none, or the header is of another scheme.
fn bearer(headers: &HeaderMap) -> Result<Option<SecretString>, Failure> {
    let Some(value) = authorization(headers)? else { return Ok(None) };
    match Authorization::parse_bearer(value.as_bytes()) {
        Ok(token) => Ok(Some(token)),
        Err(Fault::Absent) => Ok(None),
        Err(Fault::Empty | Fault::Spaces | Fault::Encoding) => Err(Failure::TokenInvalid),
    }
}

/// The header that names the caller.
fn caller(headers: &HeaderMap) -> Result<&HeaderValue, Rejection<Harperdb>> {
    let must_login = || unauthorized("Must login");
    let value = authorization(headers)?.ok_or_else(must_login)?;
    if bearer(headers)?.is_none() {
        Authorization::parse_basic(value.as_bytes()).map_err(|fault| match fault {
            Fault::Absent => must_login(),
            Fault::Empty | Fault::Spaces | Fault::Encoding => unauthorized("Login failed"),
        })?;
    }
    Ok(value)
}

fn issued(operation_token: String, refresh_token: Option<String>) -> Response {
    let answer = HarperdbAnswer::Tokens(HarperdbTokens { operation_token, refresh_token });
    let secret = [(header::CACHE_CONTROL, "no-store")];
    (secret, json::answer(StatusCode::OK, JSON, &answer)).into_response()
}

fn invalid(fields: &[String]) -> Response {
    let sent = |field: &String| matches!(field.as_str(), "username" | "password" | "ttl");
    if fields.is_empty() || !fields.iter().all(sent) {
        log_unsent(fields);
        return named(StatusCode::INTERNAL_SERVER_ERROR);
    }
    refuse(StatusCode::BAD_REQUEST, &FieldFault::Lifetime.to_string())
}

fn refuse(status: StatusCode, text: &str) -> Response {
    json::answer(status, JSON, &HarperdbRefusal { error: text.to_owned() })
}

fn unauthorized(text: &str) -> Response {
    refuse(StatusCode::UNAUTHORIZED, text)
}

fn named(status: StatusCode) -> Response {
    refuse(status, status.canonical_reason().unwrap_or_default())
}

impl From<Refused> for Rejection<Harperdb> {
    fn from(refused: Refused) -> Self {
        let status = match &refused {
            Refused::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refused::Empty
            | Refused::TooDeep
            | Refused::DuplicateKey(_)
            | Refused::Malformed
            | Refused::NoOperation
            | Refused::UnknownOperation(_)
            | Refused::Fields(_) => StatusCode::BAD_REQUEST,
        };
        refuse(status, &refused.to_string()).into()
    }
}
