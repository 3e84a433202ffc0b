//! Magento: `POST /V1/integration/{admin,customer}/token` and `…/customer/revoke-customer-token`, in
//! JSON and XML. `docs/dialects/magento.md` is the table.

mod answer;
mod credentials;
mod refusal;
pub(super) mod soap;
#[cfg(test)]
mod tests;
mod xml;

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, any};
use http::{HeaderMap, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use self::credentials::Credentials;
use self::refusal::Refusal;
use super::{Dialect, Mount, Rejection};
use crate::pb::{
    AuthorizeRequest, AuthorizeResponse, CreateTokenRequest, CreateTokenResponse, Decision,
    PasswordCredential, RevokeTokenRequest, RevokeTokenResponse, create_token_request,
    revoke_token_request,
};
use crate::rest::call::Call;
use crate::rest::failure::Failure;
use crate::rest::input::authorization::bearer;
use crate::rest::settings::Members;
use crate::rest::{Settings, Shim, openapi};

/// The line of the table.
pub(super) const MOUNT: Mount = Mount::of::<Magento>();

/// What lies under these and is no route is refused in the words of this dialect.
const ITS_OWN: [&str; 3] = ["/V1", "/rest", "/index.php"];

/// Opaque tokens for admins and customers.
#[derive(Debug)]
enum Magento {}

impl Dialect for Magento {
    const NAME: &'static str = "magento";

    fn base_path(settings: &Settings) -> Option<&str> {
        let magento = &settings.magento;
        magento.enabled.then_some(magento.base_path.as_str())
    }

    fn routes(settings: &Settings) -> OpenApiRouter<Shim> {
        let mut routes = operations();
        for prefix in prefixes(&settings.magento.stores) {
            routes = routes.nest(&prefix, openapi::repeated(operations()));
        }
        Self::undescribed().iter().fold(routes, |routes, path| routes.route(path, nothing()))
    }

    fn undescribed() -> Vec<String> {
        let under =
            |path: &str| [path.to_owned(), format!("{path}/"), format!("{path}/{{*other}}")];
        ITS_OWN.into_iter().flat_map(under).collect()
    }

    fn render(failure: &Failure, asked: &HeaderMap) -> Response {
        Refusal::from(failure).write(asked)
    }

    fn refusal() -> utoipa::openapi::Response {
        answer::described::<Refusal>()
    }
}

fn operations() -> OpenApiRouter<Shim> {
    OpenApiRouter::default()
        .routes(routes!(create_for_admin).map(alone))
        .routes(routes!(create_for_customer).map(alone))
        .routes(routes!(revoke_for_customer).map(alone))
}

/// Refuses every other method as if the path were not there, and so without `Allow`.
fn alone(methods: MethodRouter<Shim>) -> MethodRouter<Shim> {
    nothing().merge(methods)
}

fn nothing() -> MethodRouter<Shim> {
    any(async || Failure::NotFound)
}

/// What may stand before `/V1`, other than nothing. A store that is named twice is one.
fn prefixes(stores: &[String]) -> Vec<String> {
    let stores: BTreeSet<_> = stores.iter().collect();
    let mut bare = vec![String::new(), "/rest".to_owned()];
    bare.extend(stores.into_iter().map(|store| format!("/rest/{store}")));
    let indexed: Vec<_> = bare.iter().map(|prefix| format!("/index.php{prefix}")).collect();
    bare.into_iter().skip(1).chain(indexed).collect()
}

/// A token.
#[derive(Serialize, ToSchema)]
#[schema(pattern = "^[0-9a-z]{32}$")]
struct MagentoToken(String);

/// Whether it was done.
#[derive(Serialize, ToSchema)]
struct MagentoDone(bool);

/// Makes a token for an admin's name and password.
#[utoipa::path(
    post,
    path = "/V1/integration/admin/token",
    request_body(content(
        (Credentials = "application/json"),
        (Credentials = "application/xml"),
        (Credentials = "text/xml"),
        (Credentials = "application/xhtml+xml"),
    )),
    responses(
        (status = 200, description = "The token", content(
            (MagentoToken = "application/json; charset=utf-8"),
            (MagentoToken = "application/xml; charset=utf-8"),
        )),
        (status = 401, description = "No good credentials, or no role", content(
            (Refusal = "application/json; charset=utf-8"),
            (Refusal = "application/xml; charset=utf-8"),
        )),
    ),
)]
async fn create_for_admin(
    State(shim): State<Shim>,
    call: Call,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejection<Magento>> {
    create(&shim, &call, &shim.settings.magento.admin, (&headers, &body)).await
}

/// Makes a token for a customer's name and password.
#[utoipa::path(
    post,
    path = "/V1/integration/customer/token",
    request_body(content(
        (Credentials = "application/json"),
        (Credentials = "application/xml"),
        (Credentials = "text/xml"),
        (Credentials = "application/xhtml+xml"),
    )),
    responses(
        (status = 200, description = "The token", content(
            (MagentoToken = "application/json; charset=utf-8"),
            (MagentoToken = "application/xml; charset=utf-8"),
        )),
        (status = 401, description = "No good credentials", content(
            (Refusal = "application/json; charset=utf-8"),
            (Refusal = "application/xml; charset=utf-8"),
        )),
    ),
)]
async fn create_for_customer(
    State(shim): State<Shim>,
    call: Call,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Rejection<Magento>> {
    create(&shim, &call, &shim.settings.magento.customer, (&headers, &body)).await
}

/// Ends all tokens of the customer who asks. A body is ignored.
#[utoipa::path(
    post,
    path = "/V1/integration/customer/revoke-customer-token",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "They are dead", content(
            (MagentoDone = "application/json; charset=utf-8"),
            (MagentoDone = "application/xml; charset=utf-8"),
        )),
        (status = 401, description = "No live token of a customer's", content(
            (Refusal = "application/json; charset=utf-8"),
            (Refusal = "application/xml; charset=utf-8"),
        )),
    ),
)]
async fn revoke_for_customer(
    State(shim): State<Shim>,
    call: Call,
    headers: HeaderMap,
) -> Result<Response, Rejection<Magento>> {
    let refused = || Refusal::not_authorized("self").write(&headers);
    let (authorization, token) = bearer(&headers).ok_or_else(refused)?;
    let call = call.on_behalf_of(authorization, Some(&shim.settings.magento.customer.realm))?;
    let Some(user_id) = find_customer(&shim, &call, &token).await? else {
        return Err(refused().into());
    };
    let message = RevokeTokenRequest {
        target: Some(revoke_token_request::Target::UserId(user_id)),
        ..RevokeTokenRequest::default()
    };
    let mut tokens = shim.upstream.tokens.clone();
    let RevokeTokenResponse { token: _, revoked_count: _, stale_for: _ } =
        call.send(message, async |request| tokens.revoke_token(request).await).await?;
    Ok(answer::write(&headers, StatusCode::OK, &MagentoDone(true)))
}

async fn create(
    shim: &Shim,
    call: &Call,
    members: &Members,
    (headers, body): (&HeaderMap, &Bytes),
) -> Result<Response, Rejection<Magento>> {
    let credentials = Credentials::read(headers, body).map_err(|refusal| refusal.write(headers))?;
    let token = MagentoToken(sign_in(shim, call, members, credentials).await?);
    let secret = [(header::CACHE_CONTROL, "no-store")];
    Ok((secret, answer::write(headers, StatusCode::OK, &token)).into_response())
}

/// Makes a token, and answers its secret.
async fn sign_in(
    shim: &Shim,
    call: &Call,
    members: &Members,
    credentials: Credentials,
) -> Result<String, Failure> {
    let Credentials { username, password } = credentials;
    let Members { realm, profile } = members;
    let credential = create_token_request::Credential::Password(PasswordCredential {
        realm: realm.clone(),
        username,
        password: password.expose_secret().to_owned(),
        accept_final_newline: false,
    });
    let message = CreateTokenRequest {
        credential: Some(credential),
        profile: profile.clone(),
        ..CreateTokenRequest::default()
    };
    let mut tokens = shim.upstream.tokens.clone();
    let CreateTokenResponse { token, refresh_token: _ } =
        call.send(message, async |request| tokens.create_token(request).await).await?;
    let secret = token.map(|issued| issued.secret).filter(|secret| !secret.is_empty());
    secret.ok_or(Failure::Internal)
}

/// Finds whose the token is: the id of a customer; `None` where it is no live token of one.
async fn find_customer(
    shim: &Shim,
    call: &Call,
    token: &SecretString,
) -> Result<Option<String>, Failure> {
    let Members { realm, profile } = &shim.settings.magento.customer;
    let message = AuthorizeRequest {
        token: token.expose_secret().to_owned(),
        realm: realm.clone(),
        profiles: vec![profile.clone()],
        ..AuthorizeRequest::default()
    };
    let mut tokens = shim.upstream.tokens.clone();
    let verdict: AuthorizeResponse =
        call.send(message, async |request| tokens.authorize(request).await).await?;
    match verdict.decision() {
        Decision::Allow => {
            let subject = verdict.subject.ok_or(Failure::Internal)?;
            Ok(Some(subject.user_id))
        }
        Decision::Deny => Ok(None),
        Decision::Unspecified => Err(Failure::Internal),
    }
}
