//! Whatever takes something from a user takes it from every kind of token at once.

use tokend::pb::revoke_token_request::Target;
use tokend::pb::{self, DenyReason, ErrorReason, UserState};
use tonic::Code;

use crate::support::{Actor, Session, Verdict, World};

const MISSING: Verdict = Verdict::Deny(DenyReason::MissingPermission);
const REVOKED: Verdict = Verdict::Deny(DenyReason::RevokedToken);
const DISABLED: Verdict = Verdict::Deny(DenyReason::DisabledUser);
const UNKNOWN: Verdict = Verdict::Deny(DenyReason::UnknownToken);

/// What is done to a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    Disable,
    Delete,
    ChangePassword,
    SetPassword,
    SignOutEverywhere,
    TakeRole,
    NarrowRole,
    DeleteRole,
}

impl Blow {
    const ALL: [Self; 8] = [
        Self::Disable,
        Self::Delete,
        Self::ChangePassword,
        Self::SetPassword,
        Self::SignOutEverywhere,
        Self::TakeRole,
        Self::NarrowRole,
        Self::DeleteRole,
    ];

    async fn strike(self, world: &World, user: &mut Actor) {
        let admin = world.admin();
        match self {
            Self::Disable => admin.set_state(user, UserState::Disabled).await,
            Self::Delete => admin.delete(user).await,
            Self::ChangePassword => user.change_password("a new one").await,
            Self::SetPassword => admin.set_password_of(user, "a new one").await,
            Self::SignOutEverywhere => {
                let target = Some(Target::UserId(user.id.clone()));
                let request = pb::RevokeTokenRequest { target, ..Default::default() };
                user.api().revoke_token(request).await.unwrap();
            }
            Self::TakeRole => admin.set_roles(user, []).await,
            Self::NarrowRole => admin.put_role(&user.username, ["stock:count"]).await,
            Self::DeleteRole => admin.delete_role(&user.username).await,
        }
    }

    /// What a check says from then on, by the one that says why.
    fn expected(self) -> &'static [Verdict] {
        match self {
            Self::Disable => &[DISABLED],
            // Of an opaque token not even the row is left.
            Self::Delete => &[DISABLED, REVOKED, UNKNOWN],
            Self::ChangePassword | Self::SetPassword | Self::SignOutEverywhere => &[REVOKED],
            Self::TakeRole | Self::NarrowRole | Self::DeleteRole => &[MISSING],
        }
    }

    /// Whether it ends the tokens themselves.
    fn ends_tokens(self) -> bool {
        match self {
            Self::Disable
            | Self::Delete
            | Self::ChangePassword
            | Self::SetPassword
            | Self::SignOutEverywhere => true,
            Self::TakeRole | Self::NarrowRole | Self::DeleteRole => false,
        }
    }
}

/// The user of a blow, with tokens of every kind: following their roles, and with the role chosen.
async fn armed(world: &World, name: &str) -> (Actor, Vec<(String, Session)>) {
    let user = world.user(name).with(["orders:read", "token:create"]).await;
    let mut tokens: Vec<(String, Session)> = Vec::new();
    for (kind, session) in user.every_kind().await {
        tokens.push((kind.to_owned(), session));
    }
    for profile in ["operation", "azion", "personal", "harperdb"] {
        let chosen = user.draft(profile).roles([name]).make().await.unwrap();
        tokens.push((format!("{profile} with a chosen role"), chosen));
        let parent = user.sign_in().await;
        let minted = parent.draft(profile).make().await.unwrap();
        tokens.push((format!("{profile} made from a token"), minted));
    }
    (user, tokens)
}

#[tokio::test]
async fn takes_from_every_token_what_its_user_lost() {
    let mut world = World::start().await;
    let mut struck = Vec::new();
    for blow in Blow::ALL {
        let (mut user, tokens) = armed(&world, &format!("{blow:?}")).await;
        for (kind, session) in &tokens {
            let check = world.check(&session.operation).permission("orders:read");
            assert_eq!(check.await, Verdict::Allow, "{blow:?}: {kind}");
        }
        blow.strike(&world, &mut user).await;
        denies(&world, blow, &tokens).await;
        struck.push((blow, tokens));
    }
    world.restart().await;
    for (blow, tokens) in struck {
        denies(&world, blow, &tokens).await;
    }
}

#[tokio::test]
async fn takes_it_on_another_replica_before_the_call_returns() {
    let Some(world) = World::shared().await else { return };
    let other = world.replica().await;
    for blow in Blow::ALL {
        let (mut user, tokens) = armed(&world, &format!("{blow:?}")).await;
        let there: Vec<_> =
            tokens.iter().map(|(kind, session)| (kind.clone(), session.at(&other))).collect();
        for (kind, session) in &there {
            let check = other.check(&session.operation).permission("orders:read");
            assert_eq!(check.await, Verdict::Allow, "{blow:?}: {kind}");
        }
        blow.strike(&world, &mut user).await;
        denies(&other, blow, &there).await;
    }
}

async fn denies(world: &World, blow: Blow, tokens: &[(String, Session)]) {
    for (kind, session) in tokens {
        let verdict = world.check(&session.operation).permission("orders:read").await;
        assert!(blow.expected().contains(&verdict), "{blow:?}: {kind}: {verdict:?}");
        let caller = session.api().get_caller(pb::GetCallerRequest {}).await;
        assert_eq!(caller.is_err(), blow.ends_tokens(), "{blow:?}: {kind}");
        let minted = session.draft("personal").make().await;
        assert!(minted.is_err(), "{blow:?}: {kind} made another");
        if blow.ends_tokens() {
            is_refused_by_every_dialect(world, &session.operation).await;
        }
        if session.refresh.is_empty() {
            continue;
        }
        match session.refresh().await {
            Ok(refreshed) => {
                assert!(!blow.ends_tokens(), "{blow:?}: {kind} was refreshed");
                let check = world.check(&refreshed.operation).permission("orders:read");
                assert_eq!(check.await, MISSING, "{blow:?}: {kind}");
            }
            Err(refused) => assert!(
                blow.ends_tokens()
                    || refused == (Code::Unauthenticated, ErrorReason::RefreshTokenReused),
                "{blow:?}: {kind}"
            ),
        }
    }
}

/// Shows a secret wherever a dialect takes a bearer.
async fn is_refused_by_every_dialect(world: &World, secret: &str) {
    let json = |method, path| {
        let request = world.http().request(method, path).header("content-type", "application/json");
        request.header("authorization", &format!("Bearer {secret}"))
    };
    let revoke = "/V1/integration/customer/revoke-customer-token";
    for (request, case) in [
        (json("GET", "/v1/access-tokens"), "epilot's list"),
        (json("POST", "/v1/access-tokens").body(r#"{"name":"another"}"#), "epilot's token"),
        (json("DELETE", "/v1/access-tokens/api_012345678901234567890"), "epilot's end"),
        (json("POST", "/").body(r#"{"operation":"user_info"}"#), "HarperDB's user"),
        (
            json("POST", "/").body(r#"{"operation":"refresh_operation_token"}"#),
            "HarperDB's refresh",
        ),
        (json("POST", revoke), "Magento's end"),
    ] {
        let answer = request.send().await;
        assert_eq!(answer.status, 401, "{case}: {answer}");
    }
}

#[tokio::test]
async fn revives_no_token_of_a_user_who_is_enabled_again() {
    let world = World::start().await;
    let (alice, tokens) = armed(&world, "alice").await;
    world.admin().set_state(&alice, UserState::Disabled).await;
    world.admin().set_state(&alice, UserState::Active).await;
    for (kind, session) in &tokens {
        assert_eq!(world.check(&session.operation).await, REVOKED, "{kind}");
        if !session.refresh.is_empty() {
            let refused = session.refresh().await.err().unwrap();
            assert_eq!(refused, (Code::Unauthenticated, ErrorReason::TokenInvalid), "{kind}");
        }
    }
    assert_eq!(world.check(&alice.sign_in().await.operation).await, Verdict::Allow);
}

#[tokio::test]
async fn gives_nothing_back_by_a_new_role_of_an_old_name() {
    let world = World::start().await;
    let (alice, tokens) = armed(&world, "alice").await;
    world.admin().delete_role("alice").await;
    world.admin().put_role("alice", ["orders:read", "token:create"]).await;
    for (kind, session) in &tokens {
        let check = world.check(&session.operation).permission("orders:read");
        assert_eq!(check.await, MISSING, "{kind}");
    }
    // Given anew, it is one that no token chose.
    world.admin().set_roles(&alice, ["alice"]).await;
    for (kind, session) in &tokens {
        let verdict = world.check(&session.operation).permission("orders:read").await;
        let expected = if kind.contains("chosen") { MISSING } else { Verdict::Allow };
        assert_eq!(verdict, expected, "{kind}");
    }
}

#[tokio::test]
async fn gives_nothing_back_to_a_new_user_of_an_old_name() {
    let world = World::start().await;
    let (alice, tokens) = armed(&world, "alice").await;
    world.admin().delete(&alice).await;
    let new = world.user("alice").with(["orders:read"]).await;
    assert_ne!(new.id, alice.id);
    for (kind, session) in &tokens {
        let verdict = world.check(&session.operation).await;
        assert!(matches!(verdict, Verdict::Deny(_)), "{kind}: {verdict:?}");
    }
}

#[tokio::test]
async fn spares_personal_tokens_where_that_is_asked() {
    let world = World::start().await;
    let (alice, tokens) = armed(&world, "alice").await;
    // So that they are known here as they were before.
    for (kind, session) in &tokens {
        let verdict = world.check(&session.operation).permission("orders:read").await;
        assert_eq!(verdict, Verdict::Allow, "{kind}");
    }
    let request = pb::SetPasswordRequest {
        credential: Some(pb::set_password_request::Credential::Password("new".to_owned())),
        old_password: alice.password.clone(),
        keep_personal_tokens: true,
        ..Default::default()
    };
    assert!(alice.api().set_password(request).await.unwrap().revoked_grant_count > 0);
    for (kind, session) in &tokens {
        let verdict = world.check(&session.operation).permission("orders:read").await;
        let expected = if kind.contains("personal") { Verdict::Allow } else { REVOKED };
        assert_eq!(verdict, expected, "{kind}");
    }
    // What was spared can be revoked as ever.
    world.admin().set_state(&alice, UserState::Disabled).await;
    for (kind, session) in &tokens {
        assert!(matches!(world.check(&session.operation).await, Verdict::Deny(_)), "{kind}");
    }
}
