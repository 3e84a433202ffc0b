//! What is acknowledged was done, and holds: where the list of changes loses what was committed,
//! where rows are missing that a restored backup or a failover has lost, and by clocks that are
//! wrong.

use std::time::Duration;

use tokend::domain::clock::{Clock as _, SystemClock, Timestamp};
use tokend::pb::{self, DenyReason};
use tonic::Code;

use crate::support::{Kind, Session, Verdict, World};

const REVOKED: Verdict = Verdict::Deny(DenyReason::RevokedToken);

/// What a revoker waits at least for the lease of these worlds.
const WAIT: Duration = Duration::from_millis(260);

const DAY: Duration = Duration::from_hours(24);

/// Lets the list of changes lose each one at once, in whichever way the database takes rows away.
fn lose_changes(world: &World) -> bool {
    match world.database().kind() {
        Kind::Sqlite => world.database().run(
            "CREATE TRIGGER lose AFTER INSERT ON changes \
             BEGIN DELETE FROM changes WHERE seq = NEW.seq; END",
        ),
        Kind::Postgres => world.database().run(
            "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER lose BEFORE INSERT ON changes FOR EACH ROW EXECUTE FUNCTION lose()",
        ),
        // It has no way to take back the row that a trigger is told of.
        Kind::Mariadb => return false,
    }
    true
}

#[tokio::test]
async fn acknowledges_no_change_that_the_list_does_not_hold() {
    let world = World::start().await;
    let alice = world.user("alice").await;
    let sessions = alice.every_kind().await;
    if !lose_changes(&world) {
        return;
    }
    for (kind, session) in sessions {
        let refused = session.revoke().await.expect_err(kind);
        assert_eq!(refused.code, Code::Unavailable, "{kind}");
    }
    let skipping = pb::UpdateUserRequest {
        user_id: alice.id.clone(),
        state: pb::UserState::Disabled.into(),
        skip_wait: true,
        ..Default::default()
    };
    let refused = world.admin().api().update_user(skipping).await.expect_err("skips the wait only");
    assert_eq!(refused.code, Code::Unavailable);
}

/// Takes a grant and the rows of its tokens away, as a failover does that has lost them.
fn lose_grant(world: &World, session: &Session) {
    let grant = &session.token.grant_id;
    world.database().run(&format!("DELETE FROM tokens WHERE grant_id = '{grant}'"));
    world.database().run(&format!("DELETE FROM grants WHERE id = '{grant}'"));
}

#[tokio::test]
async fn ends_a_jwt_whose_grant_is_lost() {
    let mut world = World::with(|settings| {
        // A personal token that is a JWT, too.
        let profile = settings.profiles.get_mut("apinizer").expect("it is there");
        profile.kind = Some(tokend::config::KindWord::Personal);
        profile.max_lifetime = Some(tokend::config::Lifetime::For(DAY));
    })
    .await;
    let alice = world.user("alice").await;
    let mut ended = Vec::new();
    for profile in ["operation", "apinizer", "harperdb"] {
        let session = alice.sign_in_to(profile).await;
        lose_grant(&world, &session);
        assert_eq!(world.check(&session.operation).await, Verdict::Allow, "{profile}");
        assert_eq!(session.revoke().await.unwrap(), 1, "{profile}");
        assert_eq!(world.check(&session.operation).await, REVOKED, "{profile}");
        ended.push((profile, session));
    }
    world.restart().await;
    for (profile, session) in &ended {
        assert_eq!(world.check(&session.operation).await, REVOKED, "{profile}, after a restart");
        assert_eq!(session.revoke().await.unwrap(), 0, "{profile}, again");
    }
}

#[tokio::test]
async fn ends_a_jwt_whose_revocation_is_lost() {
    let mut world = World::start().await;
    let alice = world.user("alice").await;
    for profile in ["operation", "apinizer"] {
        let session = alice.sign_in_to(profile).await;
        session.revoke().await.unwrap();
        // Its row says that it is revoked still, which no check of a JWT reads.
        world.database().run("DELETE FROM revocations");
        world.restart().await;
        assert_eq!(world.check(&session.operation).await, Verdict::Allow, "{profile}");
        session.revoke().await.unwrap();
        assert_eq!(world.check(&session.operation).await, REVOKED, "{profile}");
    }
}

/// A world whose clock is right, and a replica whose clock is so much ahead of it.
async fn fast_replica(world: &World, ahead: Duration) -> World {
    let now = SystemClock.now();
    world.clock().set(now);
    let fast = world.replica_elsewhere().await;
    fast.clock().set(now.plus(ahead));
    fast
}

#[tokio::test]
async fn ends_what_has_been_over_for_days_by_its_own_clock_alone() {
    let Some(world) = World::shared().await else { return };
    for days in [3, 400] {
        let fast = fast_replica(&world, DAY * days).await;
        let alice = world.user(&format!("alice-{days}")).await;
        for (kind, session) in alice.every_kind().await {
            assert_eq!(world.check(&session.operation).await, Verdict::Allow, "{kind}");
            session.at(&fast).revoke().await.unwrap();
            world.advance(WAIT);
            assert_eq!(world.check(&session.operation).await, REVOKED, "{kind}, {days} days ahead");
        }
    }
}

#[tokio::test]
async fn retires_no_key_by_its_own_clock_alone() {
    let mut world = World::start().await;
    let now = SystemClock.now();
    world.clock().set(now);
    let session = world.user("alice").await.sign_in().await;
    let profile = "operation".to_owned();
    let rotation = pb::RotateSigningKeyRequest { profile, skip_wait: false };
    world.admin().api().rotate_signing_key(rotation).await.unwrap();
    world.clock().set(now.plus(DAY * 400));
    // It keeps house as soon as it has started, and ends that before it stops.
    world.restart().await;
    world.restart().await;
    world.clock().set(now);
    assert_eq!(world.check(&session.operation).await, Verdict::Allow);
}

#[tokio::test]
async fn takes_no_retry_for_reuse_by_a_fast_clock() {
    let Some(world) = World::shared().await else { return };
    let fast = fast_replica(&world, DAY).await;
    let session = world.user("alice").await.sign_in().await;
    let first = session.refresh().await.unwrap();
    let again = session.at(&fast).refresh().await.unwrap();
    assert_eq!(first.refresh, again.refresh, "the same successor");
    assert_eq!(world.check(&first.operation).await, Verdict::Allow);
}

#[tokio::test]
async fn gives_no_not_found_for_a_deleted_user_before_all_have_heard() {
    let Some(world) = World::shared().await else { return };
    let (other, third) = (world.replica().await, world.replica().await);
    let alice = world.user("alice").await;
    let session = alice.sign_in_to("azion").await;
    assert_eq!(third.check(&session.operation).await, Verdict::Allow);
    let delete = |skip_wait| pb::DeleteUserRequest { user_id: alice.id.clone(), skip_wait };
    // As if the first had died before its wait.
    world.admin().api().delete_user(delete(true)).await.unwrap();
    assert_eq!(third.check(&session.operation).await, Verdict::Allow, "its lease");
    let gone = other.admin().api().delete_user(delete(false)).await.expect_err("it is done");
    assert_eq!(gone.code, Code::NotFound);
    let answer = third.check(&session.operation).await;
    assert_eq!(answer, Verdict::Deny(DenyReason::UnknownToken));
}

#[tokio::test]
async fn gives_no_not_found_for_a_deleted_role_before_all_have_heard() {
    let Some(world) = World::shared().await else { return };
    let (other, third) = (world.replica().await, world.replica().await);
    let alice = world.user("alice").with(["orders:read"]).await;
    let session = alice.sign_in_to("azion").await;
    let may = async || third.check(&session.operation).permission("orders:read").await;
    assert_eq!(may().await, Verdict::Allow);
    let role = "alice".to_owned();
    let delete = |skip_wait| pb::DeleteRoleRequest {
        realm: String::new(),
        role_id: role.clone(),
        skip_wait,
    };
    world.admin().api().delete_role(delete(true)).await.unwrap();
    assert_eq!(may().await, Verdict::Allow, "its lease");
    let gone = other.admin().api().delete_role(delete(false)).await.expect_err("it is done");
    assert_eq!(gone.code, Code::NotFound);
    assert_eq!(may().await, Verdict::Deny(DenyReason::MissingPermission));
}

#[tokio::test]
async fn ends_a_year_old_token_by_a_slow_clock() {
    let Some(world) = World::shared().await else { return };
    let now = SystemClock.now();
    world.clock().set(now);
    let slow = world.replica_elsewhere().await;
    slow.clock().set(Timestamp::from_seconds(now.seconds() - 365 * 86_400).unwrap());
    for (kind, session) in world.user("alice").await.every_kind().await {
        session.at(&slow).revoke().await.unwrap();
        world.advance(WAIT);
        assert_eq!(world.check(&session.operation).await, REVOKED, "{kind}");
    }
}
