//! A disk that takes no more: what was acknowledged holds, what was not is refused in so many
//! words, and all goes on once there is room.

use tokend::pb::Decision;
use tokend::pb::create_token_request::Credential;
use tonic::Code;

use super::Place;
use super::crash::{admin, authorize, create, revoke};

/// How far a file grows, in blocks of 512 or 1024 bytes: some hundred tokens more.
const ROOM: u32 = 1500;

/// More tokens than there is room for.
const MANY: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn refuses_to_write_on_a_full_disk_and_loses_nothing() {
    let place = Place::on_sqlite();
    let mut server = place.serve();
    let password = server.welcome().password();
    let upstream = server.upstream();
    let bearer = create(&upstream, "operation", admin(&password)).await.unwrap().0.secret;
    server.stop().ok();

    let server = place.serve_within(ROOM);
    let upstream = server.upstream();
    let by = || Credential::BearerToken(bearer.clone());
    let mut made = Vec::new();
    let refused = loop {
        assert!(made.len() < MANY, "the disk does not fill");
        match create(&upstream, "personal", by()).await {
            Ok((token, _)) => made.push(token.secret),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    let first = made.first().expect("there was room for one");
    // A smaller write may still find room: then it holds.
    let revoked = revoke(&upstream, first).await;
    assert!(
        revoked.as_ref().is_err_and(|refused| refused.code() == Code::Unavailable)
            || revoked.is_ok()
    );
    for secret in made.iter().skip(1).rev().take(20) {
        assert_eq!(authorize(&upstream, secret).await.decision(), Decision::Allow);
    }
    server.kill();

    let server = place.serve();
    let upstream = server.upstream();
    for secret in made.iter().skip(1) {
        assert_eq!(authorize(&upstream, secret).await.decision(), Decision::Allow);
    }
    if revoked.is_ok() {
        assert_eq!(authorize(&upstream, first).await.decision(), Decision::Deny);
    }
    let (fresh, _) = create(&upstream, "personal", by()).await.unwrap();
    revoke(&upstream, &fresh.secret).await.unwrap();
    assert_eq!(authorize(&upstream, &fresh.secret).await.decision(), Decision::Deny);
}
