//! Revocation: what it ends, and who may.

use tokend::pb::revoke_token_request::Target;
use tokend::pb::{self, DenyReason, ErrorReason, TokenState};
use tonic::Code;

use crate::support::{Api, Refusal, Session, Verdict, World};

const REVOKED: Verdict = Verdict::Deny(DenyReason::RevokedToken);
const NOT_FOUND: (Code, ErrorReason) = (Code::NotFound, ErrorReason::TokenNotFound);

async fn revoke(api: &Api, target: Target) -> Result<i32, Refusal> {
    let request = pb::RevokeTokenRequest { target: Some(target), ..Default::default() };
    api.revoke_token(request).await.map(|answer| answer.revoked_count)
}

#[tokio::test]
async fn denies_every_kind_of_token_once_it_is_revoked() {
    let world = World::start().await;
    let alice = world.user("alice").with(["orders:read"]).await;
    for (kind, session) in alice.every_kind().await {
        let check = || world.check(&session.operation).permission("orders:read");
        assert_eq!(check().await, Verdict::Allow, "{kind}");
        assert_eq!(session.revoke().await, Ok(1), "{kind}");
        assert_eq!(check().await, REVOKED, "{kind}");
        assert_eq!(session.revoke().await, Ok(0), "{kind}: again");
        let own = session.api().get_caller(pb::GetCallerRequest {}).await.unwrap_err();
        assert_eq!(own, (Code::Unauthenticated, ErrorReason::TokenInvalid), "{kind}");
    }
}

#[tokio::test]
async fn revokes_by_id_what_has_a_row() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    for (kind, session) in alice.every_kind().await {
        let id = Target::TokenId(session.token.id.clone());
        if kind.contains("by") {
            assert_eq!(revoke(&alice.api(), id).await.unwrap_err(), NOT_FOUND, "{kind}");
            assert_eq!(world.check(&session.operation).await, Verdict::Allow, "{kind}");
            continue;
        }
        assert_eq!(revoke(&alice.api(), id).await, Ok(1), "{kind}");
        assert_eq!(world.check(&session.operation).await, REVOKED, "{kind}");
        let request = pb::GetTokenRequest { token_id: session.token.id.clone() };
        let token = alice.api().get_token(request).await.unwrap().token.unwrap();
        assert_eq!(token.state(), TokenState::Revoked, "{kind}");
        assert!(token.revoke_time.is_some(), "{kind}");
    }
}

#[tokio::test]
async fn ends_a_whole_grant_by_its_refresh_token() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    for profile in ["operation", "harperdb"] {
        let (first, other) = (alice.sign_in_to(profile).await, alice.sign_in_to(profile).await);
        let second = first.refresh().await.unwrap();
        let refresh = if second.refresh.is_empty() { &first.refresh } else { &second.refresh };
        let count = revoke(&world.nobody(), Target::Secret(refresh.clone())).await.unwrap();
        assert!(count >= 1, "{profile}: {count}");
        for token in [&first.operation, &second.operation] {
            assert_eq!(world.check(token).await, REVOKED, "{profile}");
        }
        let refused = first.refresh().await.err().unwrap();
        assert_eq!(refused, (Code::Unauthenticated, ErrorReason::TokenInvalid), "{profile}");
        assert_eq!(world.check(&other.operation).await, Verdict::Allow, "{profile}");
        assert!(other.refresh().await.is_ok(), "{profile}");
    }
}

#[tokio::test]
async fn ends_a_grant_by_id_and_spares_personal_tokens_made_from_it() {
    let world = World::start().await;
    let alice = world.user("alice").with(["token:create"]).await;
    let session = alice.sign_in().await;
    let (refreshed, child) =
        (session.refresh().await.unwrap(), session.draft("azion").make().await.unwrap());
    let personal = session.draft("personal").make().await.unwrap();
    let grant = Target::GrantId(session.token.grant_id.clone());
    assert!(revoke(&alice.api(), grant.clone()).await.unwrap() >= 2);
    for token in [&session.operation, &refreshed.operation, &child.operation] {
        assert_eq!(world.check(token).await, REVOKED);
    }
    assert_eq!(world.check(&personal.operation).await, Verdict::Allow);
    assert_eq!(revoke(&alice.api(), grant).await, Ok(0));
}

#[tokio::test]
async fn ends_all_that_a_user_has() {
    let world = World::start().await;
    let (alice, bob) = (world.user("alice").await, world.user("bob").await);
    let tokens = alice.every_kind().await;
    let spared = bob.sign_in().await;
    assert!(revoke(&alice.api(), Target::UserId(alice.id.clone())).await.unwrap() >= 7);
    for (kind, session) in &tokens {
        assert_eq!(world.check(&session.operation).await, REVOKED, "{kind}");
    }
    assert_eq!(world.check(&spared.operation).await, Verdict::Allow);
    assert_eq!(world.check(&alice.sign_in().await.operation).await, Verdict::Allow);
}

#[tokio::test]
async fn does_not_find_what_is_anothers() {
    let world = World::start().await;
    let (alice, mallory) = (world.user("alice").await, world.user("mallory").await);
    let keeper = world.user("keeper").with(["token:revoke"]).await;
    let session = alice.sign_in().await;
    let user = Target::UserId(alice.id.clone());
    for target in [
        Target::TokenId(session.token.id.clone()),
        Target::Secret(session.operation.clone()),
        Target::Secret(session.refresh.clone()),
        Target::GrantId(session.token.grant_id.clone()),
    ] {
        let refused = revoke(&mallory.api(), target.clone()).await.unwrap_err();
        assert_eq!(refused, NOT_FOUND, "{target:?}");
    }
    let refused = revoke(&mallory.api(), user).await.unwrap_err();
    assert_eq!(refused, (Code::PermissionDenied, ErrorReason::PermissionMissing));
    assert_eq!(world.check(&session.operation).await, Verdict::Allow);
    assert!(session.refresh().await.is_ok());
    let secret = Target::Secret(session.operation.clone());
    assert_eq!(revoke(&keeper.api(), secret).await, Ok(1));
    assert_eq!(world.check(&session.operation).await, REVOKED);
}

#[tokio::test]
async fn needs_a_caller_for_all_but_a_secret() {
    let world = World::start().await;
    let session = world.user("alice").await.sign_in().await;
    let nobody = (Code::Unauthenticated, ErrorReason::BadCredentials);
    for target in [
        Target::TokenId(session.token.id.clone()),
        Target::GrantId(session.token.grant_id.clone()),
        Target::UserId(session.token.user_id.clone()),
    ] {
        let refused = revoke(&world.nobody(), target.clone()).await.unwrap_err();
        assert_eq!(refused, nobody, "{target:?}");
    }
    assert_eq!(world.check(&session.operation).await, Verdict::Allow);
}

#[tokio::test]
async fn finds_only_tokens_of_the_profile_that_is_named() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let (jwt, opaque) = (alice.sign_in().await, alice.sign_in_to("azion").await);
    let request = |secret: &str, profile: &str| pb::RevokeTokenRequest {
        target: Some(Target::Secret(secret.to_owned())),
        profile: profile.to_owned(),
        skip_wait: false,
    };
    for (secret, other) in [(&jwt.operation, "azion"), (&opaque.operation, "operation")] {
        let refused = world.nobody().revoke_token(request(secret, other)).await.unwrap_err();
        assert_eq!(refused, NOT_FOUND);
        assert_eq!(world.check(secret).await, Verdict::Allow);
    }
    let answer = world.nobody().revoke_token(request(&opaque.operation, "azion")).await;
    assert_eq!(answer.unwrap().revoked_count, 1);
    let unknown = world.nobody().revoke_token(request(&jwt.operation, "none")).await.unwrap_err();
    assert_eq!(unknown.fields, ["profile"]);
}

#[tokio::test]
async fn answers_what_a_token_was_that_is_revoked_by_its_id() {
    let world = World::start().await;
    world.admin().put_role("reader", ["orders:read"]).await;
    world.admin().put_role("writer", ["orders:write"]).await;
    let alice = world.user("alice").roles(["reader", "writer"]).await;
    for profile in ["epilot", "personal", "apinizer-personal", "azion", "operation"] {
        let request = |made: &Session, profile: &str| pb::RevokeTokenRequest {
            target: Some(Target::TokenId(made.token.id.clone())),
            profile: profile.to_owned(),
            skip_wait: false,
        };
        let chosen = alice.draft(profile).named("robot").roles(["reader"]).make().await.unwrap();
        let inheriting = alice.draft(profile).named("heir").make().await.unwrap();
        for made in [chosen, inheriting] {
            let refused = alice.api().revoke_token(request(&made, "harperdb")).await.unwrap_err();
            assert_eq!(refused, NOT_FOUND, "{profile}: the guard names another");
            assert_eq!(world.check(&made.operation).await, Verdict::Allow, "{profile}");
            let answer = alice.api().revoke_token(request(&made, profile)).await.unwrap();
            let mut token = answer.token.unwrap();
            assert_eq!(token.state(), TokenState::Revoked, "{profile}");
            assert!(token.revoke_time.take().is_some(), "{profile}");
            token.last_use_time = None;
            token.state = TokenState::Active.into();
            assert_eq!(token, made.token, "{profile}: name and roles as they were");
            let again = alice.api().revoke_token(request(&made, profile)).await.unwrap();
            assert_eq!((again.revoked_count, again.token.is_some()), (0, true), "{profile}");
        }
    }
}

#[tokio::test]
async fn finds_nothing_by_what_cannot_be_an_id() {
    let world = World::start().await;
    let api = world.user("alice").await.api();
    let nobody = (Code::Unauthenticated, ErrorReason::BadCredentials);
    for id in ["../x", "api_%00", "api_\0", "a b", " ", "*", "ä", "x".repeat(300).as_str()] {
        let target = Target::TokenId(id.to_owned());
        assert_eq!(revoke(&api, target.clone()).await.unwrap_err(), NOT_FOUND, "{id:?}");
        assert_eq!(revoke(&world.nobody(), target).await.unwrap_err(), nobody, "{id:?}");
        let get = pb::GetTokenRequest { token_id: id.to_owned() };
        assert_eq!(api.get_token(get).await.unwrap_err(), NOT_FOUND, "{id:?}");
    }
}

#[tokio::test]
async fn says_which_target_is_wrong() {
    let world = World::start().await;
    let api = world.admin().api();
    let none = api.revoke_token(pb::RevokeTokenRequest::default()).await.unwrap_err();
    assert_eq!(none.fields, ["target"]);
    for (target, field) in [
        (Target::GrantId("x".to_owned()), "grant_id"),
        (Target::UserId("x".to_owned()), "user_id"),
        (Target::TokenId(String::new()), "token_id"),
    ] {
        assert_eq!(revoke(&api, target).await.unwrap_err().fields, [field]);
    }
    let unknown = Target::UserId("00000000-0000-4000-8000-000000000000".to_owned());
    let refused = revoke(&api, unknown).await.unwrap_err();
    assert_eq!(refused, (Code::NotFound, ErrorReason::UserNotFound));
    let forged = revoke(&api, Target::Secret("0".repeat(40))).await.unwrap_err();
    assert_eq!(forged, NOT_FOUND);
}
