//! Checks: who may, and why not.

use std::time::Duration;

use tokend::config::Callers;
use tokend::pb::{DenyReason, ErrorReason, TokenKind};
use tonic::Code;

use crate::support::{Verdict, World};

const INVALID: (Code, ErrorReason) = (Code::InvalidArgument, ErrorReason::InvalidField);
const NOBODY: (Code, ErrorReason) = (Code::Unauthenticated, ErrorReason::BadCredentials);

#[tokio::test]
async fn allows_what_a_role_grants_and_names_what_is_missing() {
    let world = World::start().await;
    let alice = world.user("alice").with(["orders:read", "stock:*"]).await.sign_in().await;
    for permission in ["orders:read", "stock:count"] {
        let check = world.check(&alice.operation).permission(permission);
        assert_eq!(check.await, Verdict::Allow, "{permission}");
    }
    let check = world.check(&alice.operation).permission("orders:read").permission("orders:write");
    assert_eq!(check.clone().await, Verdict::Deny(DenyReason::MissingPermission));
    assert_eq!(check.answer().await.unwrap().missing_permissions, ["orders:write"]);
}

#[tokio::test]
async fn tells_who_the_bearer_is() {
    let world = World::start().await;
    let alice = world.user("Alice").with(["orders:read"]).await;
    let session = alice.sign_in().await;
    let answer = world.check(&session.operation).answer().await.unwrap();
    let (token, subject) = (answer.token.unwrap(), answer.subject.unwrap());
    assert_eq!((subject.user_id, subject.username), (alice.id, "Alice".to_owned()));
    assert_eq!(
        (subject.realm.as_str(), subject.role_ids.as_slice()),
        ("default", &["Alice".into()][..])
    );
    assert_eq!((&token.id, &token.grant_id), (&session.token.id, &session.token.grant_id));
    assert_eq!((token.profile.as_str(), token.kind()), ("operation", TokenKind::Operation));
    assert_eq!(token.expire_time, session.token.expire_time);
}

#[tokio::test]
async fn refuses_a_refresh_token_and_does_not_consume_it() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    for profile in ["operation", "harperdb"] {
        let session = alice.sign_in_to(profile).await;
        let check = world.check(&session.refresh).permission("orders:read");
        assert_eq!(check.await, Verdict::Deny(DenyReason::WrongKind), "{profile}");
        assert!(session.refresh().await.is_ok(), "{profile}");
    }
}

#[tokio::test]
async fn knows_no_token_that_it_did_not_make() {
    let world = World::start().await;
    let session = world.user("alice").await.sign_in().await;
    let (signed, signature) = session.operation.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let parts = [header, payload, signature];
    let forged = [
        "x".to_owned(),
        "0".repeat(40),
        format!("tkd_{}", "a".repeat(43)),
        format!("{signed}."),
        signed.to_owned(),
        format!("{}.{signature}", parts.join(".")),
        format!("{header}.{payload}A.{signature}"),
        "A".repeat(60_000),
    ];
    for token in forged {
        let verdict = world.check(&token).await;
        assert_eq!(verdict, Verdict::Deny(DenyReason::UnknownToken), "{token:.60}");
    }
}

#[tokio::test]
async fn refuses_a_token_from_its_last_second_on() {
    let world = World::start().await;
    let session = world.user("alice").await.sign_in().await;
    world.advance(Duration::from_secs(15 * 60 - 1));
    assert_eq!(world.check(&session.operation).await, Verdict::Allow);
    world.advance(Duration::from_secs(1));
    assert_eq!(world.check(&session.operation).await, Verdict::Deny(DenyReason::ExpiredToken));
}

#[tokio::test]
async fn reaches_by_self_only_what_the_bearer_owns() {
    let world = World::start().await;
    let alice = world.user("alice").with(["orders:read@self"]).await;
    let bob = world.user("bob").await;
    let token = alice.sign_in().await.operation;
    let check = world.check(&token).permission("orders:read");
    let missing = Verdict::Deny(DenyReason::MissingPermission);
    assert_eq!(check.clone().owned_by(&alice.id).await, Verdict::Allow);
    assert_eq!(check.clone().owned_by(&bob.id).await, missing);
    assert_eq!(check.await, missing);
}

#[tokio::test]
async fn lets_self_alone_count_where_the_profile_says_so() {
    let world = World::start().await;
    let carol = world.user("carol").of("customers").with(["orders:read@self", "shop:*"]).await;
    let token = carol.sign_in_to("magento-customer").await.operation;
    let check = |permission| world.check(&token).realm("customers").permission(permission);
    let missing = Verdict::Deny(DenyReason::MissingPermission);
    assert_eq!(check("orders:read").owned_by(&carol.id).await, Verdict::Allow);
    assert_eq!(check("shop:open").owned_by(&carol.id).await, missing);
    assert_eq!(check("shop:open").await, missing);
}

#[tokio::test]
async fn gives_everyone_what_anonymous_holds() {
    let world = World::start().await;
    let alice = world.user("alice").await.sign_in().await;
    let no_token = Verdict::Deny(DenyReason::NoToken);
    let guest = || world.check("").permission("catalog:read");
    assert_eq!(guest().await, no_token);
    world.admin().put_role("anonymous", ["catalog:read", "basket:*@self"]).await;
    assert_eq!(guest().await, Verdict::Allow);
    assert_eq!(world.check(&alice.operation).permission("catalog:read").await, Verdict::Allow);
    assert_eq!(guest().permission("basket:fill").await, no_token, "a guest has no self");
    assert_eq!(world.check("").await, no_token, "nothing was asked");
    world.admin().delete_role("anonymous").await;
    assert_eq!(guest().await, no_token);
}

#[tokio::test]
async fn takes_a_refused_bearer_for_a_guest_where_that_is_asked() {
    let world = World::start().await;
    world.admin().put_role("anonymous", ["catalog:read"]).await;
    let alice = world.user("alice").await.sign_in().await;
    alice.revoke().await.unwrap();
    for token in [&*alice.operation, "forged"] {
        let check = world.check(token).permission("catalog:read");
        assert_eq!(check.clone().or_guest().await, Verdict::Allow, "{token}");
        assert!(check.clone().or_guest().answer().await.unwrap().subject.is_none());
        assert!(matches!(check.await, Verdict::Deny(_)), "{token}");
    }
    let beyond = world.check("forged").permission("orders:read").or_guest();
    assert_eq!(beyond.await, Verdict::Deny(DenyReason::NoToken));
}

#[tokio::test]
async fn accepts_the_profiles_that_are_named() {
    let world = World::start().await;
    let token = world.user("alice").await.sign_in_to("azion").await.operation;
    assert_eq!(world.check(&token).profile("personal").profile("azion").await, Verdict::Allow);
    let wrong = Verdict::Deny(DenyReason::WrongProfile);
    assert_eq!(world.check(&token).profile("personal").await, wrong);
}

#[tokio::test]
async fn names_every_faulty_field_of_a_check() {
    let world = World::start().await;
    let check = world.check("").permission("orders:*").permission("ok").permission("a@self");
    let check = check.realm("nowhere").profile("none").owned_by("me");
    let refusal = check.answer().await.unwrap_err();
    assert_eq!(refusal, INVALID);
    let mut fields = refusal.fields;
    fields.sort();
    let faulty =
        ["permissions[0]", "permissions[2]", "profiles[0]", "realm", "resource.owner_user_id"];
    assert_eq!(fields, faulty);
}

#[tokio::test]
async fn does_not_read_who_asks_where_everybody_may() {
    let world = World::start().await;
    let token = world.user("alice").await.sign_in().await.operation;
    let request = || tokend::pb::AuthorizeRequest { token: token.clone(), ..Default::default() };
    for value in ["Basic ???", "Bearer forged", "Digest x"] {
        let api = world.nobody().with("authorization", value);
        assert!(api.authorize(request()).await.is_ok(), "{value}");
    }
}

#[tokio::test]
async fn asks_for_a_token_of_the_asker_where_the_operator_wants_it() {
    let world = World::with(|settings| {
        settings.authorize.callers = Callers::Authenticated;
    })
    .await;
    let alice = world.user("alice").await;
    let session = alice.sign_in().await;
    let request =
        || tokend::pb::AuthorizeRequest { token: session.operation.clone(), ..Default::default() };
    assert_eq!(world.nobody().authorize(request()).await.unwrap_err(), NOBODY);
    // A password is not even tried: no check makes us hash.
    assert_eq!(alice.api().authorize(request()).await.unwrap_err(), NOBODY);
    assert!(session.api().authorize(request()).await.is_ok());
    let refused = world.nobody().bearing("forged").authorize(request()).await.unwrap_err();
    assert_eq!(refused, (Code::Unauthenticated, ErrorReason::TokenInvalid));
}
