//! Calls that end in time, whatever happens to who is called.

use std::time::Duration;

use tokend::client::Upstream;
use tokend::pb;
use tokend::pb::create_token_request::Credential;
use tokend::pb::revoke_token_request::Target;
use tokio::time::timeout;
use tonic::{Code, Request, Response, Status};

use crate::support::ADMIN_PASSWORD;

/// How long a caller waits. More than a server does.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for a call, and not for ever.
pub(super) async fn bounded<T>(
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    match timeout(PATIENCE, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("the caller has gone")),
    }
}

/// A request by the bearer of a token.
pub(super) fn by<T>(bearer: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let header = format!("Bearer {bearer}").parse().unwrap();
    request.metadata_mut().insert("authorization", header);
    request
}

/// A user who proves it by a password.
pub(super) fn password(username: &str, password: &str) -> Credential {
    let (username, password) = (username.to_owned(), password.to_owned());
    Credential::Password(pb::PasswordCredential { username, password, ..Default::default() })
}

/// The first user.
pub(super) fn admin() -> Credential {
    password("admin", ADMIN_PASSWORD)
}

/// The secrets of a new token, and of the refresh token that goes with it, if one does.
pub(super) async fn create(
    upstream: &Upstream,
    profile: &str,
    credential: Credential,
) -> Result<(String, Option<String>), Status> {
    let (credential, profile) = (Some(credential), profile.to_owned());
    let request = pb::CreateTokenRequest { credential, profile, ..Default::default() };
    let answer = bounded(upstream.tokens.clone().create_token(request)).await?;
    Ok((answer.token.unwrap().secret, answer.refresh_token.map(|refresh| refresh.secret)))
}

/// Revokes by secret.
pub(super) async fn revoke(upstream: &Upstream, secret: &str) -> Result<(), Status> {
    let target = Some(Target::Secret(secret.to_owned()));
    let request = pb::RevokeTokenRequest { target, ..Default::default() };
    bounded(upstream.tokens.clone().revoke_token(request)).await.map(drop)
}

/// The secrets of the operation token and the refresh token that a refresh gives.
pub(super) async fn refresh(upstream: &Upstream, secret: &str) -> Result<(String, String), Status> {
    let refresh_token = secret.to_owned();
    let request = pb::RefreshOperationTokenRequest { refresh_token, ..Default::default() };
    let answer = bounded(upstream.tokens.clone().refresh_operation_token(request)).await?;
    Ok((answer.operation_token.unwrap().secret, answer.refresh_token.unwrap().secret))
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// How old the facts may have been.
    Allow(Duration),
    Deny(pb::DenyReason),
    /// The replica said that it can't decide.
    Unavailable,
    /// No answer came.
    None,
}

/// Asks for a decision.
pub(super) async fn check(upstream: &Upstream, secret: &str, permissions: &[&str]) -> Answer {
    let request = pb::AuthorizeRequest {
        token: secret.to_owned(),
        permissions: permissions.iter().map(|&permission| permission.to_owned()).collect(),
        ..Default::default()
    };
    let answer = match bounded(upstream.tokens.clone().authorize(request)).await {
        Ok(answer) => answer,
        // A server's own words have details.
        Err(status) if status.code() == Code::Unavailable && !status.details().is_empty() => {
            return Answer::Unavailable;
        }
        Err(_) => return Answer::None,
    };
    match answer.decision() {
        pb::Decision::Allow => {
            let age = answer.facts_age.map(|age| Duration::try_from(age).unwrap());
            Answer::Allow(age.unwrap_or_default())
        }
        pb::Decision::Deny => Answer::Deny(answer.deny_reason()),
        pb::Decision::Unspecified => panic!("{answer:?}"),
    }
}
