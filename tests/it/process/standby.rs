//! A primary that acknowledges nothing before its standby has it. What it had committed and not
//! acknowledged is there after a restart, and gone after a failover: nothing may rest on it.

use std::pin::pin;
use std::time::Duration;

use tokend::client::Upstream;
use tokend::pb;
use tokend::pb::revoke_token_request::Target;
use tokio::task::block_in_place;
use tonic::{Request, Status};

use super::Place;
use super::crash::{admin, authorize, create};
use super::fleet::{kind, place};
use crate::support::database::pair::Pair;
use crate::support::{ADMIN_PASSWORD, Kind};

/// How often the primary is asked who waits.
const GLANCE: Duration = Duration::from_millis(10);

fn revocation(target: Target) -> pb::RevokeTokenRequest {
    pb::RevokeTokenRequest { target: Some(target), ..Default::default() }
}

async fn revoke(upstream: &Upstream, secret: &str) -> Result<i32, Status> {
    let request = revocation(Target::Secret(secret.to_owned()));
    Ok(upstream.tokens.clone().revoke_token(request).await?.into_inner().revoked_count)
}

/// Waits until so many commits wait for the standby. Fails where the call is answered before.
async fn until_waiting<T: std::fmt::Debug>(
    pair: &Pair,
    call: &mut (impl Future<Output = Result<T, Status>> + Unpin),
) {
    loop {
        tokio::select! {
            answer = &mut *call => panic!("answered without the standby: {answer:?}"),
            () = tokio::time::sleep(GLANCE) => {}
        }
        if block_in_place(|| pair.waiting()) > 0 {
            return;
        }
    }
}

fn replica(url: &str) -> Place {
    // Its calls wait for the standby for as long as a test takes.
    place(url).with("TOKEND__GRPC__MAX_DEADLINE", "5m")
}

/// What finds its work done that no standby has: by each way to ask for it.
#[tokio::test(flavor = "multi_thread")]
async fn rests_on_nothing_that_the_standby_does_not_have() {
    if kind("what a standby does not have") != Some(Kind::Postgres) {
        return;
    }
    let mut pair = block_in_place(Pair::start);
    let place = replica(&pair.url());
    let server = block_in_place(|| place.serve());
    let upstream = server.upstream();
    let token = |profile| create(&upstream, profile, admin(ADMIN_PASSWORD));
    let opaque = token("azion").await.unwrap().0.secret;
    let jwt = token("apinizer").await.unwrap().0.secret;
    let (_, refresh) = token("operation").await.unwrap();
    let refresh = refresh.unwrap().secret;
    let (kept, family) = token("operation").await.unwrap();
    let family = family.unwrap().secret;
    block_in_place(|| pair.end_standby());

    for secret in [&opaque, &jwt, &refresh] {
        let mut first = pin!(revoke(&upstream, secret));
        until_waiting(&pair, &mut first).await;
        block_in_place(|| {
            pair.kill_primary();
            pair.start_primary();
        });
        first.await.expect_err("nobody knows what became of it");
        let mut again = pin!(revoke_until_reached(&upstream, secret));
        until_waiting(&pair, &mut again).await;
        block_in_place(|| pair.start_standby());
        assert_eq!(again.await.unwrap(), 0, "it was done");
        block_in_place(|| pair.end_standby());
    }
    let mut first = pin!(renew(&upstream, &family));
    until_waiting(&pair, &mut first).await;
    block_in_place(|| {
        pair.kill_primary();
        pair.start_primary();
    });
    first.await.expect_err("nobody knows what became of it");
    let mut again = pin!(renew_until_reached(&upstream, &family));
    until_waiting(&pair, &mut again).await;
    block_in_place(|| pair.start_standby());
    let successor = again.await.unwrap();

    block_in_place(|| {
        pair.kill_primary();
        pair.promote();
        server.kill();
    });
    let place = replica(&pair.standby_url());
    let server = block_in_place(|| place.serve());
    let upstream = server.upstream();
    for secret in [&opaque, &jwt] {
        let answer = authorize(&upstream, secret).await;
        assert_eq!(answer.deny_reason(), pb::DenyReason::RevokedToken);
    }
    renew(&upstream, &refresh).await.expect_err("its grant is revoked");
    renew(&upstream, &successor).await.expect("it was answered");
    assert_eq!(authorize(&upstream, &kept.secret).await.decision(), pb::Decision::Allow);
}

/// Asks until a connection to the server that was started again takes the question.
async fn revoke_until_reached(upstream: &Upstream, secret: &str) -> Result<i32, Status> {
    loop {
        match revoke(upstream, secret).await {
            Err(status) if status.code() == tonic::Code::Unavailable => {}
            answered => return answered,
        }
        tokio::time::sleep(GLANCE).await;
    }
}

async fn renew(upstream: &Upstream, refresh_token: &str) -> Result<String, Status> {
    let refresh_token = refresh_token.to_owned();
    let request = pb::RefreshOperationTokenRequest { refresh_token, ..Default::default() };
    let answer = upstream.tokens.clone().refresh_operation_token(Request::new(request)).await?;
    Ok(answer.into_inner().refresh_token.expect("a successor").secret)
}

async fn renew_until_reached(upstream: &Upstream, refresh_token: &str) -> Result<String, Status> {
    loop {
        match renew(upstream, refresh_token).await {
            Err(status) if status.code() == tonic::Code::Unavailable => {}
            answered => return answered,
        }
        tokio::time::sleep(GLANCE).await;
    }
}
