//! What was acknowledged holds after a restart.

use tokend::pb::DenyReason;

use crate::support::{Kind, Verdict, World};

#[tokio::test]
async fn keeps_tokens_good_and_revoked_ones_revoked_over_a_restart() {
    let mut world = World::start().await;
    let alice = world.user("alice").with(["orders:read"]).await;
    let (good, dead) = (alice.every_kind().await, alice.every_kind().await);
    for (kind, session) in &dead {
        assert_eq!(session.revoke().await, Ok(1), "{kind}");
    }
    for _ in 0..2 {
        world.restart().await;
        for (kind, session) in &good {
            let check = world.check(&session.operation).permission("orders:read");
            assert_eq!(check.await, Verdict::Allow, "{kind}");
        }
        for (kind, session) in &dead {
            let verdict = world.check(&session.operation).await;
            assert_eq!(verdict, Verdict::Deny(DenyReason::RevokedToken), "{kind}");
        }
    }
}

#[tokio::test]
async fn answers_a_lost_refresh_again_after_a_restart() {
    let mut world = World::start().await;
    let session = world.user("alice").await.sign_in().await;
    let lost = session.refresh().await.unwrap();
    world.restart().await;
    assert_eq!(session.refresh().await.unwrap().refresh, lost.refresh);
}

#[tokio::test]
async fn keeps_a_name_locked_over_a_restart() {
    let mut world = World::with(|settings| settings.sign_in.lockout.failures = 2).await;
    let mut alice = world.user("alice").await;
    let password = std::mem::replace(&mut alice.password, "a guess".to_owned());
    for _ in 0..2 {
        assert!(alice.draft("operation").make().await.is_err());
    }
    alice.password = password;
    world.restart().await;
    assert!(alice.draft("operation").make().await.is_err());
    world.advance(std::time::Duration::from_secs(2));
    assert!(alice.draft("operation").make().await.is_ok());
}

#[tokio::test]
async fn leaves_nothing_but_a_file_and_its_key_when_it_stops() {
    let mut world = World::on(Kind::Sqlite, |_| {}).await;
    world.user("alice").await.sign_in().await;
    world.stop().await;
    let names: Vec<_> = world.database().contents().into_keys().collect();
    assert_eq!(names, ["tokend.db", "tokend.db.key"]);
}

#[tokio::test]
async fn refuses_a_token_by_the_time_of_day_though_the_clock_was_set_back() {
    use tokend::domain::clock::Clock as _;
    let world = World::start().await;
    let alice = world.user("alice").await;
    let before = world.clock().now();
    world.advance(std::time::Duration::from_hours(1));
    let session = alice.sign_in().await;
    assert_eq!(session.revoke().await, Ok(1));
    world.clock().set(before);
    let verdict = world.check(&session.operation).await;
    assert_eq!(verdict, Verdict::Deny(DenyReason::RevokedToken));
    let new = alice.sign_in().await;
    assert_eq!(world.check(&new.operation).await, Verdict::Allow);
}
