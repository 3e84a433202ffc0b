//! Realms: what is one's is unknown to the others.

use std::time::Duration;

use tokend::client::REALM;
use tokend::pb::revoke_token_request::Target;
use tokend::pb::{self, DenyReason, ErrorReason};
use tonic::Code;

use crate::support::{Actor, Verdict, World};

const UNKNOWN: Verdict = Verdict::Deny(DenyReason::UnknownToken);
const NOT_FOUND: (Code, ErrorReason) = (Code::NotFound, ErrorReason::TokenNotFound);
const NO_USER: (Code, ErrorReason) = (Code::NotFound, ErrorReason::UserNotFound);
const DENIED: (Code, ErrorReason) = (Code::PermissionDenied, ErrorReason::PermissionMissing);

/// A world with the realm `tenant`, `alice` in `default`, and one in `tenant` who may do all there.
async fn two_realms() -> (World, Actor, Actor) {
    let world = World::with(|settings| settings.realms = vec!["tenant".to_owned()]).await;
    let alice = world.user("alice").with(["orders:read"]).await;
    let landlord = world.user("landlord").of("tenant").with(["*"]).await;
    (world, alice, landlord)
}

#[tokio::test]
async fn does_not_know_a_token_of_another_realm() {
    let (world, alice, landlord) = two_realms().await;
    for (kind, session) in alice.every_kind().await {
        let check = || world.check(&session.operation);
        assert_eq!(check().realm("tenant").await, UNKNOWN, "{kind}");
        assert_eq!(check().realm("default").await, Verdict::Allow, "{kind}");
        assert_eq!(check().realm("*").await, Verdict::Allow, "{kind}");
    }
    let foreign = landlord.sign_in().await;
    assert_eq!(world.check(&foreign.operation).await, UNKNOWN, "empty is `default`");
    assert_eq!(world.check(&foreign.operation).realm("tenant").await, Verdict::Allow);
}

#[tokio::test]
async fn lets_nobody_see_or_touch_what_is_another_realms() {
    let (world, alice, landlord) = two_realms().await;
    let (session, api) = (alice.sign_in().await, landlord.api());
    let token_id = session.token.id.clone();
    let get = pb::GetTokenRequest { token_id: token_id.clone() };
    assert_eq!(api.get_token(get).await.unwrap_err(), NOT_FOUND);
    for target in [
        Target::TokenId(token_id),
        Target::Secret(session.operation.clone()),
        Target::Secret(session.refresh.clone()),
        Target::GrantId(session.token.grant_id.clone()),
    ] {
        let request = pb::RevokeTokenRequest { target: Some(target), ..Default::default() };
        assert_eq!(api.revoke_token(request).await.unwrap_err(), NOT_FOUND);
    }
    let user_id = alice.id.clone();
    let list = pb::ListTokensRequest { user_id: user_id.clone(), ..Default::default() };
    let target = Some(Target::UserId(user_id.clone()));
    let revoke = pb::RevokeTokenRequest { target, ..Default::default() };
    let target = Some(pb::get_user_request::Target::UserId(user_id.clone()));
    let update = pb::UpdateUserRequest { user_id: user_id.clone(), ..Default::default() };
    let roles = pb::SetUserRolesRequest { user_id: user_id.clone(), ..Default::default() };
    let password = pb::SetPasswordRequest { user_id: user_id.clone(), ..Default::default() };
    let delete = pb::DeleteUserRequest { user_id: user_id.clone(), skip_wait: false };
    for refused in [
        api.list_tokens(list).await.unwrap_err(),
        api.revoke_token(revoke).await.unwrap_err(),
        api.get_user(pb::GetUserRequest { target }).await.unwrap_err(),
        api.update_user(update).await.unwrap_err(),
        api.unlock_user(pb::UnlockUserRequest { user_id }).await.unwrap_err(),
        api.set_user_roles(roles).await.unwrap_err(),
        api.set_password(password).await.unwrap_err(),
        api.delete_user(delete).await.unwrap_err(),
    ] {
        assert_eq!(refused, NO_USER);
    }
    assert_eq!(world.check(&session.operation).await, Verdict::Allow);
    assert!(session.refresh().await.is_ok());
}

#[tokio::test]
async fn answers_for_what_is_another_realms_as_for_what_is_not() {
    let (_world, alice, landlord) = two_realms().await;
    let api = landlord.api();
    let get = |user_id: &str| pb::GetUserRequest {
        target: Some(pb::get_user_request::Target::UserId(user_id.to_owned())),
    };
    let foreign = api.get_user(get(&alice.id)).await.unwrap_err();
    let absent = api.get_user(get("00000000-0000-4000-8000-000000000000")).await.unwrap_err();
    assert_eq!(foreign, absent);
}

#[tokio::test]
async fn keeps_managers_to_their_own_realm() {
    let (_world, _, landlord) = two_realms().await;
    let api = landlord.api();
    let role =
        pb::Role { realm: "default".to_owned(), id: "mine".to_owned(), ..Default::default() };
    let realm = || "default".to_owned();
    for refused in [
        api.create_user(pb::CreateUserRequest { username: "x".to_owned(), ..Default::default() })
            .await
            .unwrap_err(),
        api.put_role(pb::PutRoleRequest { role: Some(role), skip_wait: false }).await.unwrap_err(),
        api.delete_role(pb::DeleteRoleRequest {
            realm: realm(),
            role_id: "admin".to_owned(),
            skip_wait: false,
        })
        .await
        .unwrap_err(),
        api.list_users(pb::ListUsersRequest { realm: realm(), ..Default::default() })
            .await
            .unwrap_err(),
        api.list_roles(pb::ListRolesRequest { realm: realm(), ..Default::default() })
            .await
            .unwrap_err(),
        api.list_audit_events(pb::ListAuditEventsRequest { realm: realm(), ..Default::default() })
            .await
            .unwrap_err(),
        api.rotate_signing_key(Default::default()).await.unwrap_err(),
        api.list_signing_keys(Default::default()).await.unwrap_err(),
        api.purge(pb::PurgeRequest {}).await.unwrap_err(),
    ] {
        assert_eq!(refused, DENIED);
    }
}

#[tokio::test]
async fn shows_a_realms_manager_its_own_events_alone() {
    let (_world, _, landlord) = two_realms().await;
    landlord.sign_in().await;
    let answer = landlord.api().list_audit_events(Default::default()).await.unwrap();
    assert!(!answer.events.is_empty());
    assert!(answer.events.iter().all(|event| event.realm == "tenant"), "{:?}", answer.events);
}

#[tokio::test]
async fn keeps_two_users_and_roles_of_one_name_apart() {
    let (world, alice, _) = two_realms().await;
    let other = world.user("alice").of("tenant").with(["parcels:pack"]).await;
    assert_ne!(alice.id, other.id);
    let (here, there) = (alice.sign_in().await, other.sign_in().await);
    let missing = Verdict::Deny(DenyReason::MissingPermission);
    for (token, own, foreign) in [
        (&here.operation, "orders:read", "parcels:pack"),
        (&there.operation, "parcels:pack", "orders:read"),
    ] {
        let check = |permission| world.check(token).realm("*").permission(permission);
        assert_eq!(check(own).await, Verdict::Allow);
        assert_eq!(check(foreign).await, missing);
    }
}

#[tokio::test]
async fn gives_no_token_of_a_profile_that_is_another_realms() {
    let (_world, alice, landlord) = two_realms().await;
    let mut draft = alice.draft("magento-customer").make().await.err().unwrap();
    assert_eq!(draft.fields, ["password.realm"]);
    let session = landlord.sign_in().await;
    draft = session.draft("magento-customer").make().await.err().unwrap();
    assert_eq!(draft, DENIED);
}

#[tokio::test]
async fn gives_no_role_of_another_realm() {
    let (world, alice, landlord) = two_realms().await;
    let refused = alice.draft("personal").roles(["landlord"]).make().await.err().unwrap();
    assert_eq!(refused, (Code::PermissionDenied, ErrorReason::RoleNotHeld));
    let request = pb::SetUserRolesRequest {
        user_id: landlord.id.clone(),
        role_ids: vec!["admin".to_owned()],
        skip_wait: false,
    };
    let refused = world.admin().api().set_user_roles(request).await.unwrap_err();
    assert_eq!(refused, (Code::NotFound, ErrorReason::RoleNotFound));
}

#[tokio::test]
async fn takes_a_bearer_of_the_realm_that_the_metadata_names() {
    let (world, alice, landlord) = two_realms().await;
    let invalid = (Code::Unauthenticated, ErrorReason::TokenInvalid);
    for (user, own, others) in
        [(&alice, ["default", ""], "tenant"), (&landlord, ["tenant", "tenant"], "default")]
    {
        for (kind, session) in user.every_kind().await {
            for realm in own {
                let caller = session.api().with(REALM, realm).get_caller(Default::default()).await;
                assert_eq!(caller.unwrap().user.unwrap().id, user.id, "{kind}");
            }
            for realm in [others, "customers", "nowhere", "*", "NOT A REALM"] {
                let api = session.api().with(REALM, realm);
                let refused = api.get_caller(Default::default()).await.unwrap_err();
                assert_eq!(refused, invalid, "{kind} {realm:?}");
                let refused = api.create_token(Default::default()).await.unwrap_err();
                assert_eq!(refused, invalid, "{kind} {realm:?}");
            }
        }
    }
    let twice = world.nobody().bearing("x").with(REALM, "default").with(REALM, "default");
    let refused = twice.get_caller(Default::default()).await.unwrap_err();
    assert_eq!(refused.fields, [REALM]);
}

#[tokio::test]
async fn tells_nothing_of_a_dead_token_of_another_realm() {
    let (world, alice, _) = two_realms().await;
    let gone = world.user("gone").await;
    let mut tokens = alice.every_kind().await;
    tokens.extend(gone.every_kind().await);
    world.admin().delete(&gone).await;
    let forged = world.nobody().bearing("tkd_x").with(REALM, "tenant");
    let unknown = forged.get_caller(Default::default()).await.unwrap_err();
    assert_eq!(unknown, (Code::Unauthenticated, ErrorReason::TokenInvalid));
    let expired = (Code::Unauthenticated, ErrorReason::TokenExpired);
    world.advance(Duration::from_hours(48));
    let mut own_expired = 0;
    for (kind, session) in tokens {
        let ask =
            async |realm| session.api().with(REALM, realm).get_caller(Default::default()).await;
        if session.token.expire_time.is_some() {
            let own = ask("default").await.unwrap_err();
            own_expired += usize::from(own == expired);
        } else {
            session.revoke().await.ok();
        }
        assert_eq!(ask("tenant").await.unwrap_err(), unknown, "{kind}");
        assert_eq!(ask("nowhere").await.unwrap_err(), unknown, "{kind}");
    }
    assert!(own_expired > 0, "in its own realm it is told that it has expired");
}

#[tokio::test]
async fn asks_no_realm_of_a_token_in_the_body() {
    let (world, _, landlord) = two_realms().await;
    let session = landlord.sign_in().await;
    let credential = pb::create_token_request::Credential::BearerToken(session.operation.clone());
    let credential = Some(credential);
    let request = pb::CreateTokenRequest { credential, ..Default::default() };
    assert!(world.nobody().with(REALM, "default").create_token(request).await.is_ok());
}

#[tokio::test]
async fn asks_the_realm_of_those_who_ask_for_decisions() {
    let world = World::with(|settings| {
        settings.authorize.callers = tokend::config::Callers::Authenticated;
    })
    .await;
    let service = world.user("service").await.sign_in().await;
    let api = |realm| service.api().with(REALM, realm);
    assert!(api("default").authorize(Default::default()).await.is_ok());
    let refused = api("customers").authorize(Default::default()).await.unwrap_err();
    assert_eq!(refused, (Code::Unauthenticated, ErrorReason::TokenInvalid));
}
