//! Personal tokens that were made with another personal token, and die with it.

use std::time::Duration;

use tokend::pb::revoke_token_request::Target;
use tokend::pb::{self, DenyReason, ErrorReason};
use tonic::Code;

use crate::support::{Actor, Session, Verdict, World};

const REVOKED: Verdict = Verdict::Deny(DenyReason::RevokedToken);

async fn alice(world: &World) -> Actor {
    world.user("alice").with(["orders:read", "token:create"]).await
}

/// A personal token, one made with it, and one made with an operation token that was made from
/// that one.
async fn chain(user: &Actor, between: &str) -> [Session; 4] {
    let first = user.sign_in_to("personal").await;
    let second = first.draft("personal").make().await.unwrap();
    let operation = second.draft(between).make().await.unwrap();
    let third = operation.draft("apinizer-personal").make().await.unwrap();
    [first, second, operation, third]
}

async fn revoke(user: &Actor, target: Target) -> i32 {
    let request = pb::RevokeTokenRequest { target: Some(target), ..Default::default() };
    user.api().revoke_token(request).await.unwrap().revoked_count
}

async fn verdicts(world: &World, sessions: &[Session]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for session in sessions {
        verdicts.push(world.check(&session.operation).permission("orders:read").await);
    }
    verdicts
}

#[tokio::test]
async fn die_with_it_however_it_is_revoked() {
    let mut world = World::start().await;
    let user = alice(&world).await;
    let mut dead = Vec::new();
    for between in ["azion", "operation", "harperdb"] {
        let target: [fn(&Session) -> Target; 3] = [
            |first| Target::TokenId(first.token.id.clone()),
            |first| Target::Secret(first.operation.clone()),
            |first| Target::GrantId(first.token.grant_id.clone()),
        ];
        for target in target {
            let all = chain(&user, between).await;
            assert_eq!(verdicts(&world, &all).await, vec![Verdict::Allow; 4], "{between}");
            let target = target(&all[0]);
            assert_eq!(revoke(&user, target.clone()).await, 4, "{between}: {target:?}");
            assert_eq!(verdicts(&world, &all).await, vec![REVOKED; 4], "{between}: {target:?}");
            assert_eq!(revoke(&user, target).await, 0, "{between}: again");
            dead.extend(all);
        }
    }
    world.restart().await;
    assert_eq!(verdicts(&world, &dead).await, vec![REVOKED; dead.len()]);
}

#[tokio::test]
async fn die_on_another_replica_before_the_call_returns() {
    let Some(world) = World::shared().await else { return };
    let other = world.replica().await;
    let user = alice(&world).await;
    let all = chain(&user, "azion").await;
    assert_eq!(verdicts(&other, &all).await, vec![Verdict::Allow; 4]);
    assert_eq!(revoke(&user, Target::TokenId(all[0].token.id.clone())).await, 4);
    assert_eq!(verdicts(&other, &all).await, vec![REVOKED; 4]);
}

#[tokio::test]
async fn name_the_personal_token_that_they_die_with() {
    let world = World::start().await;
    let user = alice(&world).await;
    let [first, second, operation, third] = chain(&user, "azion").await;
    let parents = [&first, &second, &operation, &third].map(|one| one.token.parent_id.clone());
    let expected = ["", &first.token.id, "", &second.token.id].map(str::to_owned);
    assert_eq!(parents, expected);
    for made in [&first, &second, &third] {
        let request = pb::GetTokenRequest { token_id: made.token.id.clone() };
        let shown = user.api().get_token(request).await.unwrap().token.unwrap();
        assert_eq!(shown.parent_id, made.token.parent_id);
    }
    let listed = user.api().list_tokens(pb::ListTokensRequest::default()).await.unwrap().tokens;
    let listed = listed.into_iter().find(|token| token.id == third.token.id).unwrap();
    assert_eq!(listed.parent_id, second.token.id);
}

#[tokio::test]
async fn spare_those_above_them() {
    let world = World::start().await;
    let user = alice(&world).await;
    let all = chain(&user, "operation").await;
    assert_eq!(revoke(&user, Target::TokenId(all[1].token.id.clone())).await, 3);
    assert_eq!(verdicts(&world, &all).await, [Verdict::Allow, REVOKED, REVOKED, REVOKED]);
}

#[tokio::test]
async fn are_not_those_that_a_sign_in_made() {
    let world = World::start().await;
    let user = alice(&world).await;
    for profile in ["operation", "azion", "harperdb"] {
        let session = user.sign_in_to(profile).await;
        let made = session.draft("personal").make().await.unwrap();
        assert_eq!(made.token.parent_id, "", "{profile}");
        assert!(revoke(&user, Target::GrantId(session.token.grant_id.clone())).await >= 1);
        assert_eq!(
            verdicts(&world, &[session, made]).await,
            [REVOKED, Verdict::Allow],
            "{profile}"
        );
    }
}

#[tokio::test]
async fn live_on_where_their_profile_says_so() {
    let world = World::with(|settings| {
        settings.profiles.get_mut("apinizer-personal").unwrap().outlives_parent = Some(true);
    })
    .await;
    let user = alice(&world).await;
    for profile in ["epilot", "apinizer-personal"] {
        let first = user.sign_in_to(profile).await;
        let made = first.draft(profile).make().await.unwrap();
        let dying = first.draft("personal").make().await.unwrap();
        assert_eq!(made.token.parent_id, "", "{profile}");
        assert_eq!(dying.token.parent_id, first.token.id, "{profile}");
        assert_eq!(revoke(&user, Target::TokenId(first.token.id.clone())).await, 2, "{profile}");
        let verdicts = verdicts(&world, &[first, made, dying]).await;
        assert_eq!(verdicts, [REVOKED, Verdict::Allow, REVOKED], "{profile}");
    }
}

#[tokio::test]
async fn die_with_one_that_makes_room() {
    let world = World::with(|settings| {
        settings.profiles.get_mut("personal").unwrap().max_live_per_user = Some(3);
    })
    .await;
    let user = alice(&world).await;
    let first = user.sign_in_to("personal").await;
    world.advance(Duration::from_secs(1));
    let made = first.draft("apinizer-personal").make().await.unwrap();
    for _ in 0..3 {
        world.advance(Duration::from_secs(1));
        user.sign_in_to("personal").await;
    }
    assert_eq!(verdicts(&world, &[first, made]).await, [REVOKED; 2]);
}

#[tokio::test]
async fn are_kept_with_it_by_a_new_password() {
    let world = World::start().await;
    let user = alice(&world).await;
    let all = chain(&user, "azion").await;
    let request = pb::SetPasswordRequest {
        credential: Some(pb::set_password_request::Credential::Password("new".to_owned())),
        old_password: user.password.clone(),
        keep_personal_tokens: true,
        ..Default::default()
    };
    user.api().set_password(request).await.unwrap();
    let expected = [Verdict::Allow, Verdict::Allow, REVOKED, Verdict::Allow];
    assert_eq!(verdicts(&world, &all).await, expected);
    assert_eq!(all[0].revoke().await, Ok(3));
    assert_eq!(verdicts(&world, &all).await, vec![REVOKED; 4]);
}

#[tokio::test]
async fn are_not_made_while_it_is_revoked() {
    let world = World::start().await;
    let user = alice(&world).await;
    for round in 0..15 {
        let first = user.sign_in_to("personal").await;
        let operation = first.draft("azion").make().await.unwrap();
        let (by, between, revoked) = tokio::join!(
            first.draft("personal").make(),
            operation.draft("personal").make(),
            first.revoke(),
        );
        assert!(revoked.unwrap() >= 2, "{round}");
        for made in [by, between] {
            match made {
                Ok(made) => assert_eq!(world.check(&made.operation).await, REVOKED, "{round}"),
                Err(refused) => assert_eq!(
                    refused,
                    (Code::Unauthenticated, ErrorReason::TokenInvalid),
                    "{round}"
                ),
            }
        }
    }
}
