//! A right that is taken away while its holder's call is under way: the call fails.
//!
//! A call is let through by what its server knows. So the rows are changed behind the server's
//! back, where no change tells of it: to the server that is the moment between its judging a call
//! and its writing it, for as long as a test likes.

use tokend::pb::revoke_token_request::Target;
use tokend::pb::{self, ErrorReason};
use tonic::Code;

use crate::support::{Actor, Api, Refusal, Session, Verdict, World};

mod races;

const DENIED: (Code, ErrorReason) = (Code::PermissionDenied, ErrorReason::PermissionMissing);
const NOT_HELD: (Code, ErrorReason) = (Code::PermissionDenied, ErrorReason::RoleNotHeld);
const HIDDEN: (Code, ErrorReason) = (Code::NotFound, ErrorReason::TokenNotFound);

/// How a user loses what a role named like them grants.
#[derive(Debug, Clone, Copy)]
enum Loss {
    OfTheRole,
    OfThePermission,
    ByTheEndOfTheRole,
}

impl Loss {
    const ALL: [Self; 3] = [Self::OfTheRole, Self::OfThePermission, Self::ByTheEndOfTheRole];

    fn strike(self, world: &World, user: &Actor) {
        let (id, name) = (&user.id, &user.username);
        let take = format!("DELETE FROM user_roles WHERE user_id = '{id}'");
        world.database().run(&match self {
            Self::OfTheRole => take,
            Self::OfThePermission => {
                format!("UPDATE roles SET permissions = '[]' WHERE name = '{name}'")
            }
            Self::ByTheEndOfTheRole => format!("{take}; DELETE FROM roles WHERE name = '{name}'"),
        });
    }
}

/// Each call that changes something by a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    CreateUser,
    UpdateUser,
    UnlockUser,
    SetPassword,
    ImportOwnHash,
    SetUserRoles,
    DeleteUser,
    PutRole,
    DeleteRole,
    RotateKey,
    RetireKey,
    Fence,
    RevokeToken,
    RevokeBySecret,
    RevokeOpaque,
    RevokeGrant,
    RevokeUser,
    CreateToken,
    CreatePersonal,
}

/// What is acted on.
struct Victim {
    user: Actor,
    session: Session,
    opaque: Session,
}

impl Act {
    const ALL: [Self; 19] = [
        Self::CreateUser,
        Self::UpdateUser,
        Self::UnlockUser,
        Self::SetPassword,
        Self::ImportOwnHash,
        Self::SetUserRoles,
        Self::DeleteUser,
        Self::PutRole,
        Self::DeleteRole,
        Self::RotateKey,
        Self::RetireKey,
        Self::Fence,
        Self::RevokeToken,
        Self::RevokeBySecret,
        Self::RevokeOpaque,
        Self::RevokeGrant,
        Self::RevokeUser,
        Self::CreateToken,
        Self::CreatePersonal,
    ];

    fn permission(self) -> &'static str {
        match self {
            Self::CreateUser => "user:create",
            Self::UpdateUser => "user:update",
            Self::UnlockUser => "user:unlock",
            Self::SetPassword | Self::ImportOwnHash => "user:set-password",
            Self::SetUserRoles => "user:set-roles",
            Self::DeleteUser => "user:delete",
            Self::PutRole => "role:put",
            Self::DeleteRole => "role:delete",
            Self::RotateKey => "key:rotate",
            Self::RetireKey => "key:retire",
            Self::Fence => "maintenance:fence",
            Self::RevokeToken
            | Self::RevokeBySecret
            | Self::RevokeOpaque
            | Self::RevokeGrant
            | Self::RevokeUser => "token:revoke",
            Self::CreateToken | Self::CreatePersonal => "token:create",
        }
    }

    /// What whoever has lost the permission hears.
    fn refusal(self) -> (Code, ErrorReason) {
        match self {
            Self::RevokeToken | Self::RevokeBySecret | Self::RevokeOpaque | Self::RevokeGrant => {
                HIDDEN
            }
            Self::CreateUser
            | Self::UpdateUser
            | Self::UnlockUser
            | Self::SetPassword
            | Self::ImportOwnHash
            | Self::SetUserRoles
            | Self::DeleteUser
            | Self::PutRole
            | Self::DeleteRole
            | Self::RotateKey
            | Self::RetireKey
            | Self::Fence
            | Self::RevokeUser
            | Self::CreateToken
            | Self::CreatePersonal => DENIED,
        }
    }

    /// Whether a password in the metadata needs no permission for it.
    fn is_of_bearers(self) -> bool {
        matches!(self, Self::CreateToken | Self::CreatePersonal)
    }

    async fn by(self, api: &Api, own: &Actor, victim: &Victim) -> Result<(), Refusal> {
        let user_id = victim.user.id.clone();
        let session = &victim.session;
        match self {
            Self::CreateUser => {
                let username = format!("puppet of {}", own.username);
                let request = pb::CreateUserRequest { username, ..Default::default() };
                api.create_user(request).await.map(drop)
            }
            Self::UpdateUser => {
                let display_name = Some("Renamed".to_owned());
                let request = pb::UpdateUserRequest { user_id, display_name, ..Default::default() };
                api.update_user(request).await.map(drop)
            }
            Self::UnlockUser => api.unlock_user(pb::UnlockUserRequest { user_id }).await.map(drop),
            Self::SetPassword => {
                let request = pb::SetPasswordRequest { user_id, ..Default::default() };
                api.set_password(request).await.map(drop)
            }
            Self::ImportOwnHash => import_own_hash(api, own).await,
            Self::SetUserRoles => {
                let role_ids = vec!["nothing".to_owned()];
                let request = pb::SetUserRolesRequest { user_id, role_ids, skip_wait: false };
                api.set_user_roles(request).await.map(drop)
            }
            Self::DeleteUser => {
                let request = pb::DeleteUserRequest { user_id, skip_wait: false };
                api.delete_user(request).await.map(drop)
            }
            Self::PutRole => {
                let id = format!("role-of-{}", own.username);
                let role = Some(pb::Role { id, ..Default::default() });
                api.put_role(pb::PutRoleRequest { role, skip_wait: false }).await.map(drop)
            }
            Self::DeleteRole => {
                let role_id = "nothing".to_owned();
                let request = pb::DeleteRoleRequest { role_id, ..Default::default() };
                api.delete_role(request).await.map(drop)
            }
            Self::RotateKey => api.rotate_signing_key(Default::default()).await.map(drop),
            Self::RetireKey => retire(api, &session.operation).await,
            Self::Fence => api.fence(pb::FenceRequest::default()).await.map(drop),
            Self::RevokeToken => revoke(api, Target::TokenId(session.token.id.clone())).await,
            Self::RevokeBySecret => revoke(api, Target::Secret(session.operation.clone())).await,
            Self::RevokeOpaque => {
                revoke(api, Target::Secret(victim.opaque.operation.clone())).await
            }
            Self::RevokeGrant => revoke(api, Target::GrantId(session.token.grant_id.clone())).await,
            Self::RevokeUser => revoke(api, Target::UserId(user_id)).await,
            Self::CreateToken => mint(api, "operation").await,
            Self::CreatePersonal => mint(api, "personal").await,
        }
    }
}

async fn import_own_hash(api: &Api, own: &Actor) -> Result<(), Refusal> {
    let hash = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$\
                aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGg";
    let hash = pb::set_password_request::Credential::PasswordHash(hash.to_owned());
    let (credential, old_password) = (Some(hash), own.password.clone());
    let request = pb::SetPasswordRequest { credential, old_password, ..Default::default() };
    api.set_password(request).await.map(drop)
}

async fn mint(api: &Api, profile: &str) -> Result<(), Refusal> {
    let profile = profile.to_owned();
    let request = pb::CreateTokenRequest { profile, ..Default::default() };
    api.create_token(request).await.map(drop)
}

async fn retire(api: &Api, signed: &str) -> Result<(), Refusal> {
    let request = pb::RetireSigningKeyRequest { key_id: kid(signed), skip_wait: false };
    api.retire_signing_key(request).await.map(drop)
}

async fn revoke(api: &Api, target: Target) -> Result<(), Refusal> {
    let request = pb::RevokeTokenRequest { target: Some(target), ..Default::default() };
    api.revoke_token(request).await.map(drop)
}

fn kid(jwt: &str) -> String {
    use base64::Engine as _;
    let head = jwt.split('.').next().expect("a head");
    let head = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(head).expect("base64");
    let head: serde_json::Value = serde_json::from_slice(&head).expect("JSON");
    head["kid"].as_str().expect("a key").to_owned()
}

/// The server lets them through by this.
async fn is_known_to_hold(api: &Api, role: &str) -> bool {
    let caller = api.get_caller(pb::GetCallerRequest {}).await.expect("a caller");
    caller.roles.iter().any(|held| held.id == role && !held.permissions.is_empty())
}

#[tokio::test]
async fn judges_the_right_to_each_change_where_it_is_written() {
    let world = World::start().await;
    world.admin().put_role("nothing", []).await;
    let user = world.user("victim").await;
    let session = user.sign_in().await;
    let opaque = user.sign_in_to("azion").await;
    let victim = Victim { user, session, opaque };
    for (n, act) in Act::ALL.into_iter().enumerate() {
        // Each by one way of losing it, in turn, and some by all.
        let all = matches!(act, Act::UpdateUser | Act::RevokeToken | Act::CreateToken);
        let losses = if all { &Loss::ALL[..] } else { &Loss::ALL[n % 3..=n % 3] };
        for loss in losses {
            let name = format!("{act:?}-{loss:?}");
            let keeper = world.user(&name).with([act.permission()]).await;
            let bearer = keeper.sign_in().await.api();
            let by_password = keeper.api();
            assert!(is_known_to_hold(&bearer, &name).await);
            loss.strike(&world, &keeper);
            for (how, api) in [("a token", &bearer), ("a password", &by_password)] {
                if how == "a password" && act.is_of_bearers() {
                    continue;
                }
                assert!(is_known_to_hold(api, &name).await, "{name} by {how} is let through");
                let refused = act.by(api, &keeper, &victim).await;
                let refused = refused.expect_err(&format!("{name} by {how} was done"));
                assert_eq!(refused, act.refusal(), "{name} by {how}");
            }
        }
    }
    // Nothing was done to them by any of these.
    assert_eq!(world.check(&victim.session.operation).await, Verdict::Allow);
}

#[tokio::test]
async fn judges_the_roles_of_a_new_token_where_it_is_written() {
    let world = World::start().await;
    let without_role = (Code::PermissionDenied, ErrorReason::UserWithoutRole);
    for (profile, chosen, refusal) in [
        ("operation", true, NOT_HELD),
        ("personal", true, NOT_HELD),
        ("magento-admin", false, without_role),
    ] {
        let name = format!("{profile}-{chosen}");
        let user = world.user(&name).with(["orders:read", "token:create"]).await;
        let draft = || {
            let draft = user.draft(profile);
            if chosen { draft.roles([name.as_str()]) } else { draft }
        };
        draft().make().await.expect("a token");
        world.database().run(&format!("DELETE FROM user_roles WHERE user_id = '{}'", user.id));
        assert!(is_known_to_hold(&user.api(), &name).await);
        assert_eq!(draft().make().await.err().expect("no token"), refusal, "{name}");
    }
}
