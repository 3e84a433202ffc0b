//! Who may manage: each call asks for its permission, and nobody gives away what they do not hold.

use std::collections::BTreeSet;

use tokend::pb::revoke_token_request::Target;
use tokend::pb::{self, ErrorReason};
use tonic::Code;

use crate::support::{Actor, Api, Refusal, World};

const DENIED: (Code, ErrorReason) = (Code::PermissionDenied, ErrorReason::PermissionMissing);
const NOT_HELD: (Code, ErrorReason) = (Code::PermissionDenied, ErrorReason::RoleNotHeld);

fn role(id: &str, permissions: &[&str]) -> pb::PutRoleRequest {
    let permissions = permissions.iter().map(|text| (*text).to_owned()).collect();
    let role = pb::Role { id: id.to_owned(), permissions, ..Default::default() };
    pb::PutRoleRequest { role: Some(role), skip_wait: false }
}

fn roles(user: &Actor, roles: &[&str]) -> pb::SetUserRolesRequest {
    let role_ids = roles.iter().map(|text| (*text).to_owned()).collect();
    pb::SetUserRolesRequest { user_id: user.id.clone(), role_ids, skip_wait: false }
}

fn user(name: &str, roles: &[&str]) -> pb::CreateUserRequest {
    let role_ids = roles.iter().map(|text| (*text).to_owned()).collect();
    pb::CreateUserRequest { username: name.to_owned(), role_ids, ..Default::default() }
}

fn password(user: &Actor) -> pb::SetPasswordRequest {
    pb::SetPasswordRequest {
        user_id: user.id.clone(),
        credential: Some(pb::set_password_request::Credential::Password("taken".to_owned())),
        ..Default::default()
    }
}

/// Each call that manages, with the permission that it asks for.
async fn managing(api: &Api, victim: &Actor) -> Vec<(&'static str, Option<Refusal>)> {
    let user_id = victim.id.clone();
    let unlock = pb::UnlockUserRequest { user_id: user_id.clone() };
    let update = pb::UpdateUserRequest { user_id: user_id.clone(), ..Default::default() };
    let delete = pb::DeleteUserRequest { user_id: user_id.clone(), skip_wait: false };
    let get = pb::get_user_request::Target::UserId(user_id.clone());
    let get = pb::GetUserRequest { target: Some(get) };
    let no_role = pb::DeleteRoleRequest { role_id: "none".to_owned(), ..Default::default() };
    let retire = pb::RetireSigningKeyRequest { key_id: "none".to_owned(), skip_wait: false };
    let list = pb::ListTokensRequest { user_id: user_id.clone(), ..Default::default() };
    let revoke =
        pb::RevokeTokenRequest { target: Some(Target::UserId(user_id)), ..Default::default() };
    vec![
        ("user:create", api.create_user(user("new", &[])).await.err()),
        ("user:read", api.get_user(get).await.err()),
        ("user:read", api.list_users(Default::default()).await.err()),
        ("user:update", api.update_user(update).await.err()),
        ("user:unlock", api.unlock_user(unlock).await.err()),
        ("user:set-password", api.set_password(password(victim)).await.err()),
        ("user:set-roles", api.set_user_roles(roles(victim, &[])).await.err()),
        ("user:delete", api.delete_user(delete).await.err()),
        ("role:put", api.put_role(role("new", &[])).await.err()),
        ("role:delete", api.delete_role(no_role).await.err()),
        ("role:read", api.list_roles(Default::default()).await.err()),
        ("key:read", api.list_signing_keys(Default::default()).await.err()),
        ("key:rotate", api.rotate_signing_key(Default::default()).await.err()),
        ("key:retire", api.retire_signing_key(retire).await.err()),
        ("audit:read", api.list_audit_events(Default::default()).await.err()),
        ("maintenance:purge", api.purge(pb::PurgeRequest {}).await.err()),
        ("maintenance:fence", api.fence(pb::FenceRequest::default()).await.err()),
        ("token:read", api.list_tokens(list).await.err()),
        ("token:revoke", api.revoke_token(revoke).await.err()),
    ]
}

#[tokio::test]
async fn asks_for_the_permission_of_each_call() {
    let world = World::start().await;
    let victim = world.user("victim").await;
    let mallory = world.user("mallory").with(["orders:*"]).await;
    for (permission, refused) in managing(&mallory.api(), &victim).await {
        let refused = refused.unwrap_or_else(|| panic!("{permission} was not asked for"));
        assert_eq!(refused, DENIED, "{permission}");
        assert_eq!(refused.metadata["permission"], permission);
    }
    let nobody = (Code::Unauthenticated, ErrorReason::BadCredentials);
    for (permission, refused) in managing(&world.nobody(), &victim).await {
        assert_eq!(refused.unwrap(), nobody, "{permission}");
    }
}

#[tokio::test]
async fn lets_each_permission_do_its_own_call_and_no_other() {
    let world = World::start().await;
    let names: BTreeSet<&str> = {
        let victim = world.user("first").await;
        managing(&world.nobody(), &victim).await.iter().map(|(name, _)| *name).collect()
    };
    for own in names {
        let victim = world.user(&format!("victim-{}", own.replace(':', "-"))).await;
        let name = format!("keeper-{}", own.replace(':', "-"));
        let keeper = world.user(&name).with([own]).await;
        for (permission, refused) in managing(&keeper.api(), &victim).await {
            let denied = refused.is_some_and(|refused| refused == DENIED);
            assert_eq!(denied, permission != own, "{own}: {permission}");
        }
        if own == "user:create" {
            let name = pb::UserName { username: "new".to_owned(), ..Default::default() };
            let target = Some(pb::get_user_request::Target::Name(name));
            let made = world.admin().api().get_user(pb::GetUserRequest { target }).await.unwrap();
            let request =
                pb::DeleteUserRequest { user_id: made.user.unwrap().id, skip_wait: false };
            world.admin().api().delete_user(request).await.unwrap();
        }
    }
}

#[tokio::test]
async fn lets_nobody_give_away_what_they_do_not_hold() {
    let world = World::start().await;
    world.admin().put_role("boss", ["orders:*", "users:read"]).await;
    world.admin().put_role("clerk", ["orders:read@self"]).await;
    let boss = world.user("the-boss").roles(["boss"]).await;
    let clerk = world.user("the-clerk").roles(["clerk"]).await;
    let manager = world
        .user("manager")
        .with(["role:put", "user:create", "user:set-roles", "user:set-password", "orders:read"])
        .await;
    let api = manager.api();
    for permission in ["*", "orders:*", "orders:write", "user:*", "*@self", "role:delete"] {
        let refused = api.put_role(role("mine", &["orders:read", permission])).await.unwrap_err();
        assert_eq!(refused, DENIED, "{permission}");
        assert_eq!(refused.metadata["permission"], permission);
    }
    for refused in [
        api.set_user_roles(roles(&clerk, &["clerk", "boss"])).await.unwrap_err(),
        api.set_user_roles(roles(&manager, &["manager", "boss"])).await.unwrap_err(),
        api.create_user(user("puppet", &["boss"])).await.unwrap_err(),
        api.create_user(user("puppet", &["admin"])).await.unwrap_err(),
    ] {
        assert_eq!(refused, NOT_HELD);
    }
    assert_eq!(api.set_password(password(&boss)).await.unwrap_err(), DENIED);
    assert!(boss.draft("operation").make().await.is_ok(), "the password is as it was");
    // What they hold they may give, by the whole and by a part.
    api.put_role(role("mine", &["orders:read", "orders:read@self"])).await.unwrap();
    api.set_user_roles(roles(&clerk, &["clerk", "mine"])).await.unwrap();
    api.create_user(user("helper", &["clerk"])).await.unwrap();
    api.set_password(password(&clerk)).await.unwrap();
}

#[tokio::test]
async fn keeps_a_role_that_a_user_has_though_the_caller_could_not_give_it() {
    let world = World::start().await;
    world.admin().put_role("boss", ["orders:*"]).await;
    let boss = world.user("the-boss").roles(["boss"]).await;
    let manager = world.user("manager").with(["user:set-roles", "stock:count"]).await;
    world.admin().put_role("clerk", ["stock:*"]).await;
    let answer = manager.api().set_user_roles(roles(&boss, &["boss", "clerk"])).await;
    assert_eq!(answer.unwrap_err(), NOT_HELD);
    assert!(manager.api().set_user_roles(roles(&boss, &["boss"])).await.is_ok());
}

#[tokio::test]
async fn lets_no_narrowed_token_give_away_more_than_it_carries() {
    let world = World::start().await;
    world.admin().put_role("keeper", ["role:put"]).await;
    world.admin().put_role("boss", ["orders:*"]).await;
    let both = world.user("both").roles(["keeper", "boss"]).await;
    let narrow = both.draft("operation").roles(["keeper"]).make().await.unwrap();
    let refused = narrow.api().put_role(role("mine", &["orders:read"])).await.unwrap_err();
    assert_eq!(refused, DENIED);
    let whole = both.sign_in().await;
    assert!(whole.api().put_role(role("mine", &["orders:read"])).await.is_ok());
}

#[tokio::test]
async fn lets_a_narrowed_token_manage_itself_alone() {
    let world = World::start().await;
    let alice = world.user("alice").with(["orders:read"]).await;
    let other = alice.sign_in().await;
    let narrow = alice.draft("personal").roles(["alice"]).make().await.unwrap();
    let api = narrow.api();
    let get = |id: &str| pb::GetTokenRequest { token_id: id.to_owned() };
    assert!(api.get_token(get(&narrow.token.id)).await.is_ok());
    let not_found = (Code::NotFound, ErrorReason::TokenNotFound);
    assert_eq!(api.get_token(get(&other.token.id)).await.unwrap_err(), not_found);
    assert_eq!(api.list_tokens(Default::default()).await.unwrap_err(), DENIED);
    let change = pb::SetPasswordRequest {
        credential: Some(pb::set_password_request::Credential::Password("taken".to_owned())),
        old_password: alice.password.clone(),
        ..Default::default()
    };
    assert_eq!(api.set_password(change).await.unwrap_err(), DENIED);
    for target in [
        Target::TokenId(other.token.id.clone()),
        Target::GrantId(other.token.grant_id.clone()),
        Target::Secret(other.operation.clone()),
    ] {
        let request = pb::RevokeTokenRequest { target: Some(target), ..Default::default() };
        assert_eq!(api.revoke_token(request).await.unwrap_err(), not_found);
    }
    let own = Some(Target::TokenId(narrow.token.id.clone()));
    let request = pb::RevokeTokenRequest { target: own, ..Default::default() };
    assert_eq!(api.revoke_token(request).await.unwrap().revoked_count, 1);
}
