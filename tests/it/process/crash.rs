//! `kill -9`: what was acknowledged holds, and nothing is half-made.

use std::collections::BTreeMap;

use tokend::client::Upstream;
use tokend::pb;
use tokend::pb::create_token_request::Credential;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tonic::{Request, Status};

use super::Place;

/// How many answers come before the kill.
const ANSWERS: usize = 200;

/// What was acknowledged of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Made,
    /// It was asked for, and no answer came.
    AskedToRevoke,
    Revoked,
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_every_word_it_gave_before_it_was_killed() {
    let place = Place::new();
    let mut server = place.serve();
    let password = server.welcome().password();
    let bearer = create(&server.upstream(), "operation", admin(&password)).await.unwrap().0.secret;
    let (tell, mut told) = unbounded_channel();
    let workers: Vec<_> = (0..4)
        .map(|_| tokio::spawn(work(server.upstream(), bearer.clone(), tell.clone())))
        .collect();
    drop(tell);
    let mut known = BTreeMap::new();
    for _ in 0..ANSWERS {
        let (secret, what) = told.recv().await.unwrap();
        known.insert(secret, what);
    }
    server.kill();
    for worker in workers {
        worker.await.unwrap();
    }
    while let Some((secret, what)) = told.recv().await {
        known.insert(secret, what);
    }

    let again = place.serve();
    let upstream = again.upstream();
    for (secret, what) in &known {
        let answer = authorize(&upstream, secret).await;
        match what {
            Told::Made => assert_eq!(answer.decision(), pb::Decision::Allow, "{answer:?}"),
            Told::AskedToRevoke => {}
            Told::Revoked => {
                assert_eq!(answer.deny_reason(), pb::DenyReason::RevokedToken, "{answer:?}");
            }
        }
    }
    for kept in [Told::Made, Told::Revoked] {
        assert!(known.values().any(|what| *what == kept), "{kept:?}");
    }
    assert_every_token_is_whole(&upstream, &bearer, known.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn knows_a_revoked_sign_in_after_it_was_killed() {
    let place = Place::new();
    let mut server = place.serve();
    let password = server.welcome().password();
    let upstream = server.upstream();
    let (ended, ended_refresh) = create(&upstream, "operation", admin(&password)).await.unwrap();
    let (kept, kept_refresh) = create(&upstream, "operation", admin(&password)).await.unwrap();
    revoke(&upstream, &ended_refresh.unwrap().secret).await.unwrap();
    server.kill();

    let again = place.serve();
    let upstream = again.upstream();
    let answer = authorize(&upstream, &ended.secret).await;
    assert_eq!(answer.deny_reason(), pb::DenyReason::RevokedToken);
    assert_eq!(authorize(&upstream, &kept.secret).await.decision(), pb::Decision::Allow);
    let request = pb::RefreshOperationTokenRequest {
        refresh_token: kept_refresh.unwrap().secret,
        ..Default::default()
    };
    let fresh = upstream.tokens.clone().refresh_operation_token(request).await.unwrap();
    let fresh = fresh.into_inner().operation_token.unwrap();
    assert_eq!(authorize(&upstream, &fresh.secret).await.decision(), pb::Decision::Allow);
}

/// Makes tokens and revokes every other one, until the server is gone.
async fn work(upstream: Upstream, bearer: String, tell: UnboundedSender<(String, Told)>) {
    let say = |secret: &str, what| tell.send((secret.to_owned(), what)).unwrap();
    for round in 0.. {
        let bearer = Credential::BearerToken(bearer.clone());
        let Ok((token, _)) = create(&upstream, "personal", bearer).await else { return };
        say(&token.secret, Told::Made);
        if round % 2 == 0 {
            say(&token.secret, Told::AskedToRevoke);
            if revoke(&upstream, &token.secret).await.is_err() {
                return;
            }
            say(&token.secret, Told::Revoked);
        }
    }
}

/// Makes a token of a profile: it and the refresh token that goes with it.
pub(super) async fn create(
    upstream: &Upstream,
    profile: &str,
    credential: Credential,
) -> Result<(pb::IssuedToken, Option<pb::IssuedToken>), Status> {
    let (credential, profile) = (Some(credential), profile.to_owned());
    let request = pb::CreateTokenRequest { credential, profile, ..Default::default() };
    let answer = upstream.tokens.clone().create_token(request).await?.into_inner();
    Ok((answer.token.unwrap(), answer.refresh_token))
}

pub(super) fn admin(password: &str) -> Credential {
    let (username, password) = ("admin".to_owned(), password.to_owned());
    Credential::Password(pb::PasswordCredential { username, password, ..Default::default() })
}

pub(super) async fn revoke(upstream: &Upstream, secret: &str) -> Result<(), Status> {
    let target = Some(pb::revoke_token_request::Target::Secret(secret.to_owned()));
    let request = pb::RevokeTokenRequest { target, ..Default::default() };
    let answer = upstream.tokens.clone().revoke_token(request).await?.into_inner();
    assert!(answer.revoked_count > 0);
    Ok(())
}

pub(super) async fn authorize(upstream: &Upstream, secret: &str) -> pb::AuthorizeResponse {
    let request = pb::AuthorizeRequest { token: secret.to_owned(), ..Default::default() };
    upstream.tokens.clone().authorize(request).await.unwrap().into_inner()
}

/// Lists the tokens: none is missing, and each is of a grant and in a state.
async fn assert_every_token_is_whole(upstream: &Upstream, bearer: &str, least: usize) {
    let mut page_token = String::new();
    let mut count = 0;
    loop {
        let profile = "personal".to_owned();
        let request = pb::ListTokensRequest { profile, page_token, ..Default::default() };
        let mut request = Request::new(request);
        let header = format!("Bearer {bearer}").parse().unwrap();
        request.metadata_mut().insert("authorization", header);
        let page = upstream.tokens.clone().list_tokens(request).await.unwrap().into_inner();
        for token in &page.tokens {
            assert!(!token.grant_id.is_empty() && token.create_time.is_some(), "{token:?}");
            let revoked = token.state() == pb::TokenState::Revoked;
            assert_eq!(token.revoke_time.is_some(), revoked, "{token:?}");
        }
        count += page.tokens.len();
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert!(count >= least, "{count} of {least} tokens");
}
