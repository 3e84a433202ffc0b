//! Refreshing: one successor, whoever asks and however often; and the end of a grant whose old
//! token comes back.

use std::time::Duration;

use tokend::pb::{self, DenyReason, ErrorReason};
use tonic::Code;

use crate::support::{Session, Verdict, World};

const INVALID: (Code, ErrorReason) = (Code::Unauthenticated, ErrorReason::TokenInvalid);
const REUSED: (Code, ErrorReason) = (Code::Unauthenticated, ErrorReason::RefreshTokenReused);
const REVOKED: Verdict = Verdict::Deny(DenyReason::RevokedToken);

/// Says that the token that came back killed its grant, and nothing else.
async fn killed(world: &World, old: &Session, others: &[&Session]) {
    assert_eq!(old.refresh().await.err().unwrap(), REUSED);
    assert_eq!(world.check(&old.operation).await, REVOKED);
    assert_eq!(old.refresh().await.err().unwrap(), INVALID, "the grant is dead");
    for other in others {
        assert_eq!(world.check(&other.operation).await, Verdict::Allow);
        assert!(other.refresh().await.is_ok());
    }
}

#[tokio::test]
async fn answers_a_lost_answer_again() {
    let world = World::start().await;
    let first = world.user("alice").await.sign_in().await;
    let lost = first.refresh().await.unwrap();
    world.advance(Duration::from_secs(59));
    let again = first.refresh().await.unwrap();
    assert_eq!(lost.refresh, again.refresh);
    assert_ne!(first.refresh, again.refresh);
    for token in [&first.operation, &lost.operation, &again.operation] {
        assert_eq!(world.check(token).await, Verdict::Allow);
    }
}

#[tokio::test]
async fn kills_the_grant_of_a_token_that_comes_back_late() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let (first, other) = (alice.sign_in().await, alice.sign_in().await);
    let second = first.refresh().await.unwrap();
    world.advance(Duration::from_secs(61));
    killed(&world, &first, &[&other]).await;
    assert_eq!(world.check(&second.operation).await, REVOKED);
    assert_eq!(second.refresh().await.err().unwrap(), INVALID);
    let events = world.admin().events(|event| event.actor == alice.id).await;
    let reuses = events.iter().filter(|event| *event == "token.refresh reused").count();
    assert_eq!(reuses, 1, "{events:?}");
}

#[tokio::test]
async fn kills_the_grant_once_the_successor_was_seen_by_a_check() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let (first, other) = (alice.sign_in().await, alice.sign_in().await);
    let second = first.refresh().await.unwrap();
    assert_eq!(world.check(&second.operation).await, Verdict::Allow);
    killed(&world, &first, &[&other]).await;
}

#[tokio::test]
async fn kills_the_grant_once_the_successor_was_swapped() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let (first, other) = (alice.sign_in().await, alice.sign_in().await);
    let second = first.refresh().await.unwrap();
    let third = second.refresh().await.unwrap();
    killed(&world, &first, &[&other]).await;
    assert_eq!(third.refresh().await.err().unwrap(), INVALID);
}

#[tokio::test]
async fn remembers_over_a_restart_that_the_successor_was_seen() {
    let mut world = World::start().await;
    let first = world.user("alice").await.sign_in().await;
    let second = first.refresh().await.unwrap();
    assert_eq!(world.check(&second.operation).await, Verdict::Allow);
    world.restart().await;
    killed(&world, &first, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gives_two_hundred_racing_refreshes_one_successor() {
    let world = World::start().await;
    let session = world.user("alice").await.sign_in().await;
    let racers: Vec<_> = (0..200)
        .map(|_| {
            let session = session.clone();
            tokio::spawn(async move { session.refresh().await })
        })
        .collect();
    let mut successors = std::collections::BTreeSet::new();
    for racer in racers {
        let refreshed = racer.await.unwrap().unwrap();
        successors.insert(refreshed.refresh.clone());
        assert_ne!(refreshed.refresh, session.refresh);
    }
    assert_eq!(successors.len(), 1);
    assert_eq!(world.check(&session.operation).await, Verdict::Allow);
}

#[tokio::test]
async fn refreshes_with_a_fixed_token_as_often_as_asked() {
    let world = World::start().await;
    let session = world.user("alice").await.sign_in_to("harperdb").await;
    for _ in 0..3 {
        world.advance(Duration::from_hours(24));
        let refreshed = session.refresh().await.unwrap();
        assert_eq!(refreshed.refresh, "", "it answers no other");
        assert_eq!(world.check(&refreshed.operation).await, Verdict::Allow);
        assert_eq!(refreshed.token.grant_id, session.token.grant_id);
    }
    world.advance(Duration::from_hours(24 * 27));
    let refused = session.refresh().await.err().unwrap();
    assert_eq!(refused, (Code::Unauthenticated, ErrorReason::TokenExpired));
}

#[tokio::test]
async fn ends_a_family_when_it_was_to_end_at_the_sign_in() {
    let world = World::start().await;
    let mut session = world.user("alice").await.sign_in().await;
    for _ in 0..29 {
        world.advance(Duration::from_hours(24));
        session = session.refresh().await.unwrap();
    }
    world.advance(Duration::from_hours(24));
    let refused = session.refresh().await.err().unwrap();
    assert_eq!(refused, (Code::Unauthenticated, ErrorReason::TokenExpired));
}

#[tokio::test]
async fn takes_no_token_of_another_kind_and_consumes_none() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    for (kind, session) in alice.every_kind().await {
        let request = pb::RefreshOperationTokenRequest {
            refresh_token: session.operation.clone(),
            ..Default::default()
        };
        let refused = world.nobody().refresh_operation_token(request).await.unwrap_err();
        assert_eq!(refused, INVALID, "{kind}");
        assert_eq!(world.check(&session.operation).await, Verdict::Allow, "{kind}");
    }
    for forged in ["", "x", "tkr_0000000000000000000000000000000000000000000"] {
        let request = pb::RefreshOperationTokenRequest {
            refresh_token: forged.to_owned(),
            ..Default::default()
        };
        let refused = world.nobody().refresh_operation_token(request).await.unwrap_err();
        assert_eq!(refused, INVALID, "{forged:?}");
    }
}

#[tokio::test]
async fn takes_no_token_of_another_profile_than_is_named_and_consumes_none() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    for (profile, other) in [("operation", "harperdb"), ("harperdb", "operation")] {
        let session = alice.sign_in_to(profile).await;
        let request = |profile: &str| pb::RefreshOperationTokenRequest {
            refresh_token: session.refresh.clone(),
            profile: profile.to_owned(),
            ..Default::default()
        };
        let refused = world.nobody().refresh_operation_token(request(other)).await.unwrap_err();
        assert_eq!(refused, INVALID, "{profile}");
        assert!(world.nobody().refresh_operation_token(request(profile)).await.is_ok());
        let unknown = world.nobody().refresh_operation_token(request("none")).await.unwrap_err();
        assert_eq!(unknown.fields, ["profile"]);
    }
}

#[tokio::test]
async fn takes_no_token_of_another_realm_than_is_named_and_consumes_none() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    for profile in ["operation", "harperdb"] {
        let session = alice.sign_in_to(profile).await;
        let request = |realm: &str| pb::RefreshOperationTokenRequest {
            refresh_token: session.refresh.clone(),
            realm: realm.to_owned(),
            ..Default::default()
        };
        let refused = world.nobody().refresh_operation_token(request("customers")).await;
        assert_eq!(refused.unwrap_err(), INVALID, "{profile}");
        assert!(world.nobody().refresh_operation_token(request("default")).await.is_ok());
        let unknown = world.nobody().refresh_operation_token(request("none")).await.unwrap_err();
        assert_eq!(unknown.fields, ["realm"]);
        // Of another realm's token it is not even told that it has expired.
        world.advance(std::time::Duration::from_hours(31 * 24));
        let refused = world.nobody().refresh_operation_token(request("customers")).await;
        assert_eq!(refused.unwrap_err(), INVALID, "{profile}");
    }
}

#[tokio::test]
async fn keeps_the_roles_that_were_chosen() {
    let world = World::start().await;
    world.admin().put_role("reader", ["orders:read"]).await;
    world.admin().put_role("writer", ["orders:write"]).await;
    let alice = world.user("alice").roles(["reader", "writer"]).await;
    for profile in ["operation", "harperdb"] {
        let session = alice.draft(profile).roles(["reader"]).make().await.unwrap();
        let refreshed = session.refresh().await.unwrap();
        assert_eq!(refreshed.token.role_ids, ["reader"], "{profile}");
        let check = |permission| world.check(&refreshed.operation).permission(permission);
        assert_eq!(check("orders:read").await, Verdict::Allow, "{profile}");
        let missing = Verdict::Deny(DenyReason::MissingPermission);
        assert_eq!(check("orders:write").await, missing, "{profile}");
    }
}
