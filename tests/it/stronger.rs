//! Who acts on a user or a role needs all that these hold, whichever call it is.

use tokend::pb::set_password_request::Credential;
use tokend::pb::{self, ErrorReason, UserState};
use tonic::Code;

use crate::support::{Actor, Api, Refusal, Session, Verdict, World};

const DENIED: (Code, ErrorReason) = (Code::PermissionDenied, ErrorReason::PermissionMissing);

/// Each way to act on a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    SetPassword,
    RemovePassword,
    TakeRoles,
    AddRole,
    Disable,
    Rename,
    Unlock,
    Delete,
}

impl Act {
    /// The last is the last for a user.
    const ALL: [Self; 8] = [
        Self::SetPassword,
        Self::RemovePassword,
        Self::AddRole,
        Self::TakeRoles,
        Self::Disable,
        Self::Rename,
        Self::Unlock,
        Self::Delete,
    ];

    async fn on(self, user: &Actor, api: &Api) -> Result<(), Refusal> {
        let user_id = user.id.clone();
        let roles = |roles: &[&str]| pb::SetUserRolesRequest {
            user_id: user_id.clone(),
            role_ids: roles.iter().map(|role| (*role).to_owned()).collect(),
            skip_wait: true,
        };
        match self {
            Self::SetPassword => {
                let credential = Some(Credential::Password("taken".to_owned()));
                let request = pb::SetPasswordRequest { user_id, credential, ..Default::default() };
                api.set_password(request).await.map(drop)
            }
            Self::RemovePassword => {
                let request = pb::SetPasswordRequest { user_id, ..Default::default() };
                api.set_password(request).await.map(drop)
            }
            Self::TakeRoles => api.set_user_roles(roles(&[])).await.map(drop),
            Self::AddRole => {
                let own = user.username.as_str();
                api.set_user_roles(roles(&[own, "nothing"])).await.map(drop)
            }
            Self::Disable => {
                let state = UserState::Disabled.into();
                let request = pb::UpdateUserRequest { user_id, state, ..Default::default() };
                api.update_user(request).await.map(drop)
            }
            Self::Rename => {
                let display_name = Some("Renamed".to_owned());
                let request = pb::UpdateUserRequest { user_id, display_name, ..Default::default() };
                api.update_user(request).await.map(drop)
            }
            Self::Unlock => api.unlock_user(pb::UnlockUserRequest { user_id }).await.map(drop),
            Self::Delete => {
                let request = pb::DeleteUserRequest { user_id, skip_wait: true };
                api.delete_user(request).await.map(drop)
            }
        }
    }
}

/// All that managing users and roles asks for.
const MANAGING: [&str; 8] = [
    "user:update",
    "user:unlock",
    "user:set-password",
    "user:set-roles",
    "user:delete",
    "role:put",
    "role:delete",
    "token:create",
];

async fn world() -> World {
    let world = World::start().await;
    world.admin().put_role("nothing", []).await;
    world.admin().put_role("manager", MANAGING).await;
    world
}

/// A user who may manage others, and holds these permissions beside.
async fn manager<const N: usize>(world: &World, name: &str, permissions: [&str; N]) -> Actor {
    world.admin().put_role(name, permissions).await;
    world.user(name).roles(["manager", name]).await
}

/// The contract by each credential of a user.
async fn by_each_credential(user: &Actor) -> Vec<(&'static str, Api)> {
    let session = user.sign_in().await;
    let minted = session.draft("personal").make().await.expect("a token");
    vec![
        ("a password", user.api()),
        ("an operation token", session.api()),
        ("a personal token", user.draft("personal").make().await.expect("a token").api()),
        ("a personal token of a token", minted.api()),
        ("40 hex digits", user.sign_in_to("azion").await.api()),
    ]
}

async fn is_as_it_was(world: &World, user: &Actor, session: &Session) {
    let target = Some(pb::get_user_request::Target::UserId(user.id.clone()));
    let found = world.admin().api().get_user(pb::GetUserRequest { target }).await.unwrap();
    let found = found.user.unwrap();
    assert_eq!((found.state(), found.display_name.as_str()), (UserState::Active, ""));
    assert_eq!(found.role_ids, [user.username.as_str()]);
    assert!(user.draft("operation").make().await.is_ok(), "the password is as it was");
    assert_eq!(world.check(&session.operation).permission("orders:read").await, Verdict::Allow);
}

#[tokio::test]
async fn lets_nobody_act_on_a_user_who_holds_more() {
    let world = world().await;
    let boss = world.user("boss").with(["orders:read", "orders:write"]).await;
    let session = boss.sign_in().await;
    let below = manager(&world, "below", ["orders:write", "orders:read@self", "stock:*"]).await;
    for (how, api) in by_each_credential(&below).await {
        for act in Act::ALL {
            let refused = act.on(&boss, &api).await;
            let refused = refused.expect_err(&format!("{act:?} by {how} was done"));
            assert_eq!(refused, DENIED, "{act:?} by {how}");
            assert_eq!(refused.metadata["permission"], "orders:read", "{act:?} by {how}");
        }
    }
    is_as_it_was(&world, &boss, &session).await;
}

#[tokio::test]
async fn lets_those_act_who_hold_as_much() {
    let world = world().await;
    for (name, permissions) in [
        ("equal", ["orders:read", "orders:write@self"]),
        ("above", ["orders:*", "stock:count"]),
        ("all", ["*", "stock:count"]),
    ] {
        let user = manager(&world, name, permissions).await;
        for act in Act::ALL {
            let target = world
                .user(&format!("{name}-{act:?}"))
                .with(["orders:read", "orders:write@self", "orders:read@self"])
                .await;
            act.on(&target, &user.api()).await.unwrap_or_else(|refused| {
                panic!("{act:?} by {name}: {refused:?}");
            });
        }
    }
}

#[tokio::test]
async fn lets_everyone_act_on_themselves() {
    let world = world().await;
    for act in Act::ALL {
        if matches!(act, Act::SetPassword | Act::RemovePassword | Act::AddRole) {
            continue;
        }
        let user = manager(&world, &format!("{act:?}"), ["orders:read"]).await;
        act.on(&user, &user.sign_in().await.api()).await.unwrap_or_else(|refused| {
            panic!("{act:?}: {refused:?}");
        });
    }
}

#[tokio::test]
async fn takes_a_narrowed_token_for_no_more_than_it_carries() {
    let world = world().await;
    let boss = world.user("boss").with(["orders:read"]).await;
    let session = boss.sign_in().await;
    let strong = manager(&world, "strong", ["orders:*"]).await;
    for profile in ["operation", "personal", "azion"] {
        let narrow = strong.draft(profile).roles(["manager"]).make().await.unwrap();
        let made = narrow.draft("personal").make().await.unwrap();
        for (whose, target) in [("the boss's", &boss), ("their own", &strong)] {
            for act in Act::ALL {
                if target.id == strong.id && act == Act::SetPassword {
                    // That asks for the old one.
                    continue;
                }
                for api in [narrow.api(), made.api()] {
                    let refused = act.on(target, &api).await;
                    let refused = refused.expect_err(&format!("{act:?}: {whose}, {profile}"));
                    let by_old = target.id == strong.id && act == Act::RemovePassword;
                    let bad = (Code::Unauthenticated, ErrorReason::BadCredentials);
                    let expected = if by_old { bad } else { DENIED };
                    assert_eq!(refused, expected, "{act:?}: {whose}, {profile}");
                }
            }
        }
    }
    is_as_it_was(&world, &boss, &session).await;
    assert!(strong.sign_in().await.api().get_caller(Default::default()).await.is_ok());
}

#[tokio::test]
async fn lets_nobody_change_or_delete_a_role_that_grants_more() {
    let world = world().await;
    let boss = world.user("boss").with(["orders:read"]).await;
    world.admin().put_role("anonymous", ["news:read"]).await;
    let session = boss.sign_in().await;
    let below = manager(&world, "below", ["stock:*", "orders:read@self"]).await;
    let put = |id: &str, permissions: &[&str]| {
        let permissions = permissions.iter().map(|text| (*text).to_owned()).collect();
        let description = "Changed".to_owned();
        let role = pb::Role { id: id.to_owned(), permissions, description, ..Default::default() };
        pb::PutRoleRequest { role: Some(role), skip_wait: true }
    };
    for (how, api) in by_each_credential(&below).await {
        for (role, lacking) in [("boss", "orders:read"), ("anonymous", "news:read")] {
            for permissions in [&[] as &[&str], &["stock:count"], &[lacking]] {
                let refused = api.put_role(put(role, permissions)).await.unwrap_err();
                assert_eq!(refused, DENIED, "{role} by {how}");
                assert_eq!(refused.metadata["permission"], lacking, "{role} by {how}");
            }
            let role_id = role.to_owned();
            let delete = pb::DeleteRoleRequest { role_id, ..Default::default() };
            assert_eq!(api.delete_role(delete).await.unwrap_err(), DENIED, "{role} by {how}");
        }
    }
    assert_eq!(world.check(&session.operation).permission("orders:read").await, Verdict::Allow);
    assert_eq!(world.check("").permission("news:read").await, Verdict::Allow);
    // What they hold they may.
    let api = below.api();
    for permissions in [&["stock:count"] as &[&str], &["stock:*"], &["orders:read@self"], &[]] {
        api.put_role(put("clerk", permissions)).await.unwrap();
    }
    let delete = pb::DeleteRoleRequest { role_id: "clerk".to_owned(), ..Default::default() };
    api.delete_role(delete).await.unwrap();
}

#[tokio::test]
async fn asks_those_who_reach_another_realm_for_as_much() {
    let world = World::with(|settings| settings.realms = vec!["tenant".to_owned()]).await;
    let boss = world.user("boss").of("tenant").with(["orders:read"]).await;
    world.admin().put_role("nothing", []).await;
    let weak = world.user("weak").with(["realm:manage", "user:*"]).await;
    let strong = world.user("strong").with(["realm:manage", "user:*", "orders:read"]).await;
    for act in Act::ALL {
        if act == Act::AddRole {
            continue;
        }
        assert_eq!(act.on(&boss, &weak.api()).await.unwrap_err(), DENIED, "{act:?}");
    }
    assert!(boss.draft("operation").make().await.is_ok());
    Act::Rename.on(&boss, &strong.api()).await.unwrap();
}
