//! The fence: after a backup was restored, nothing that was given out before is good.

use tokend::pb::{self, DenyReason};

use crate::support::{Verdict, World};

#[tokio::test]
async fn ends_every_token_of_every_user_and_lets_them_sign_in_anew() {
    let mut world = World::start().await;
    let alice = world.user("alice").with(["orders:read"]).await;
    let bob = world.user("bob").await;
    let mut tokens = alice.every_kind().await;
    tokens.extend(bob.every_kind().await);
    for (_, session) in &tokens {
        assert_eq!(world.check(&session.operation).await, Verdict::Allow);
    }
    let fenced = world.admin().api().fence(pb::FenceRequest::default()).await.unwrap();
    assert_eq!(fenced.user_count, 3);
    for restarted in [false, true] {
        for (kind, session) in &tokens {
            let verdict = world.check(&session.operation).await;
            assert_eq!(verdict, Verdict::Deny(DenyReason::RevokedToken), "{kind}, {restarted}");
            assert!(session.refresh.is_empty() || session.refresh().await.is_err(), "{kind}");
        }
        world.restart().await;
    }
    let fresh = alice.sign_in().await;
    assert_eq!(world.check(&fresh.operation).permission("orders:read").await, Verdict::Allow);
}

#[tokio::test]
async fn ends_what_was_made_after_the_backup_too() {
    let mut world = World::start().await;
    let mut alice = world.user("alice").await;
    alice.change_password("another good password").await;
    let leaked = alice.sign_in().await;
    assert_eq!(world.check(&leaked.operation).await, Verdict::Allow);
    leaked.revoke().await.unwrap();
    // What was committed since the backup is gone: the new password, the grant, its revocation.
    for lost in [
        "UPDATE users SET generation = 1",
        "DELETE FROM revocations",
        "DELETE FROM tokens",
        "DELETE FROM grants",
    ] {
        world.database().run(lost);
    }
    world.restart().await;
    world.admin().api().fence(pb::FenceRequest::default()).await.unwrap();
    for restarted in [false, true] {
        let verdict = world.check(&leaked.operation).await;
        assert_eq!(verdict, Verdict::Deny(DenyReason::RevokedToken), "{restarted}");
        world.restart().await;
    }
}
