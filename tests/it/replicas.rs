//! Several servers on one database: what one takes back, none gives, and what one has promised,
//! all keep. Only the clock of these tests ends a lease, and no tail is read by itself: none that
//! comes in time can save the promise. On SQLite there are no others.

use std::collections::BTreeSet;
use std::time::Duration;

use tokend::domain::clock::Timestamp;
use tokend::pb::revoke_token_request::Target;
use tokend::pb::{self, DenyReason, ErrorReason};
use tonic::Code;

use crate::support::{Session, Verdict, World};

const REVOKED: Verdict = Verdict::Deny(DenyReason::RevokedToken);

/// What a revoker waits at least for the lease of these worlds.
const WAIT: Duration = Duration::from_millis(260);

fn by_secret(session: &Session, skip_wait: bool) -> pb::RevokeTokenRequest {
    let target = Some(Target::Secret(session.operation.clone()));
    pb::RevokeTokenRequest { target, skip_wait, ..Default::default() }
}

#[tokio::test]
async fn denies_everywhere_what_one_has_revoked() {
    let Some(world) = World::shared().await else { return };
    let other = world.replica().await;
    for (kind, session) in world.user("alice").await.every_kind().await {
        assert_eq!(other.check(&session.operation).await, Verdict::Allow, "{kind}");
        session.revoke().await.unwrap();
        assert_eq!(other.check(&session.operation).await, REVOKED, "{kind}");
        assert_eq!(world.check(&session.operation).await, REVOKED, "{kind}");
    }
}

#[tokio::test]
async fn would_allow_it_elsewhere_without_the_wait() {
    let Some(world) = World::shared().await else { return };
    let other = world.replica().await;
    for (kind, session) in world.user("alice").await.every_kind().await {
        assert_eq!(other.check(&session.operation).await, Verdict::Allow, "{kind}");
        world.nobody().revoke_token(by_secret(&session, true)).await.unwrap();
        assert_eq!(other.check(&session.operation).await, Verdict::Allow, "{kind}: its lease");
        world.advance(WAIT);
        assert_eq!(other.check(&session.operation).await, REVOKED, "{kind}");
    }
}

#[tokio::test]
async fn denies_at_once_where_it_is_revoked_again_without_the_wait() {
    let Some(world) = World::shared().await else { return };
    let other = world.replica().await;
    for (kind, session) in world.user("alice").await.every_kind().await {
        assert_eq!(other.check(&session.operation).await, Verdict::Allow, "{kind}");
        world.nobody().revoke_token(by_secret(&session, true)).await.unwrap();
        assert_eq!(other.check(&session.operation).await, Verdict::Allow, "{kind}: its lease");
        let again = other.nobody().revoke_token(by_secret(&session, true)).await.unwrap();
        assert_eq!(again.revoked_count, 0, "{kind}");
        assert_eq!(other.check(&session.operation).await, REVOKED, "{kind}");
    }
}

#[tokio::test]
async fn denies_elsewhere_what_has_expired_by_the_revoker_s_clock_alone() {
    let Some(world) = World::shared().await else { return };
    let fast = world.replica_elsewhere().await;
    let alice = world.user("alice").await;
    for profile in ["operation", "azion", "apinizer"] {
        let session = alice.sign_in_to(profile).await;
        assert_eq!(world.check(&session.operation).await, Verdict::Allow, "{profile}");
        let end = session.token.expire_time.unwrap().seconds;
        fast.clock().set(Timestamp::from_seconds(end + 60).unwrap());
        assert_eq!(session.at(&fast).revoke().await.unwrap(), 0, "{profile}");
        // What the revoker has waited for by its own clock.
        world.advance(WAIT);
        assert_eq!(world.check(&session.operation).await, REVOKED, "{profile}");
    }
}

#[tokio::test]
async fn waits_for_the_longest_lease_that_anyone_has_announced() {
    let Some(world) = World::shared().await else { return };
    let hasty = world.replica_with(|settings| settings.replica.lease = SHORT).await;
    let session = world.user("alice").await.sign_in_to("azion").await;
    assert_eq!(world.check(&session.operation).await, Verdict::Allow);
    let before = world.clock().since_boot();
    session.at(&hasty).revoke().await.unwrap();
    assert!(world.clock().since_boot() >= before + WAIT);
    assert_eq!(world.check(&session.operation).await, REVOKED);
}

/// The shortest lease that the settings take.
const SHORT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn waits_as_long_where_another_has_done_it_and_told_nobody() {
    let Some(world) = World::shared().await else { return };
    let (other, third) = (world.replica().await, world.replica().await);
    let session = world.user("alice").await.sign_in_to("azion").await;
    assert_eq!(third.check(&session.operation).await, Verdict::Allow);
    // As if the first had died before its wait.
    world.nobody().revoke_token(by_secret(&session, true)).await.unwrap();
    let again = other.nobody().revoke_token(by_secret(&session, false)).await.unwrap();
    assert_eq!(again.revoked_count, 0);
    assert_eq!(third.check(&session.operation).await, REVOKED);
}

#[tokio::test]
async fn loads_at_its_start_what_was_revoked_before() {
    let Some(world) = World::shared().await else { return };
    let tokens = world.user("alice").await.every_kind().await;
    for (_, session) in &tokens {
        session.revoke().await.unwrap();
    }
    let late = world.replica().await;
    for (kind, session) in &tokens {
        assert_eq!(late.check(&session.operation).await, REVOKED, "{kind}");
    }
}

#[tokio::test]
async fn ends_everything_everywhere_by_a_fence() {
    let Some(world) = World::shared().await else { return };
    let other = world.replica().await;
    let tokens = world.user("alice").await.every_kind().await;
    for (kind, session) in &tokens {
        assert_eq!(other.check(&session.operation).await, Verdict::Allow, "{kind}");
    }
    world.admin().api().fence(pb::FenceRequest::default()).await.unwrap();
    for (kind, session) in &tokens {
        assert_eq!(other.check(&session.operation).await, REVOKED, "{kind}");
    }
}

#[tokio::test]
async fn announces_its_lease_again_where_that_was_taken_back_too_early() {
    let Some(world) = World::shared().await else { return };
    let hasty = world.replica_with(|settings| settings.replica.lease = SHORT).await;
    tokend::server::reset_lease(hasty.settings()).await.unwrap();
    // The next sync of the other finds it.
    world.advance(WAIT);
    let session = world.user("alice").await.sign_in_to("azion").await;
    assert_eq!(world.check(&session.operation).await, Verdict::Allow);
    session.at(&hasty).revoke().await.unwrap();
    assert_eq!(world.check(&session.operation).await, REVOKED);
    let shown = tokend::server::show_lease(hasty.settings()).await.unwrap();
    assert_eq!(shown, "longest lease: 200ms\nserve stale: no replica does\n");
}

#[tokio::test]
async fn says_how_long_a_revocation_may_not_be_heard_of() {
    let Some(world) = World::shared().await else { return };
    let _lenient = world
        .replica_with(|settings| {
            settings.replica.database_loss = tokend::config::DatabaseLoss::ServeStale;
            settings.replica.stale_for = Duration::from_secs(90);
        })
        .await;
    let session = world.user("alice").await.sign_in().await;
    let answer = world.nobody().revoke_token(by_secret(&session, false)).await.unwrap();
    assert_eq!(answer.stale_for.map(|time| time.seconds), Some(90));
}

#[tokio::test]
async fn signs_with_a_new_key_only_what_every_replica_can_verify() {
    let Some(world) = World::shared().await else { return };
    let other = world.replica().await;
    let alice = world.user("alice").await;
    for profile in ["operation", "harperdb", "apinizer"] {
        let old = alice.sign_in_to(profile).await;
        assert_eq!(other.check(&old.operation).await, Verdict::Allow, "{profile}");
        let request = pb::RotateSigningKeyRequest { profile: profile.to_owned(), skip_wait: true };
        world.admin().api().rotate_signing_key(request).await.unwrap();
        let new = alice.sign_in_to(profile).await;
        for session in [&old, &new] {
            assert_eq!(other.check(&session.operation).await, Verdict::Allow, "{profile}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gives_refreshes_that_race_on_three_replicas_one_successor() {
    let Some(world) = World::shared().await else { return };
    let (second, third) = (world.replica().await, world.replica().await);
    let session = world.user("alice").await.sign_in().await;
    let racers: Vec<_> = (0..200)
        .map(|n| {
            let session = session.at([&world, &second, &third][n % 3]);
            tokio::spawn(async move { session.refresh().await })
        })
        .collect();
    let mut successors = BTreeSet::new();
    for racer in racers {
        match racer.await.unwrap() {
            Ok(refreshed) => drop(successors.insert(refreshed.refresh)),
            Err(refused) => assert_eq!(refused.code, Code::Aborted, "{refused:?}"),
        }
    }
    assert_eq!(successors.len(), 1);
    assert_eq!(third.check(&session.operation).await, Verdict::Allow);
}

#[tokio::test]
async fn answers_a_lost_answer_again_by_another_replica() {
    let Some(world) = World::shared().await else { return };
    let other = world.replica().await;
    let first = world.user("alice").await.sign_in().await;
    let lost = first.refresh().await.unwrap();
    let again = first.at(&other).refresh().await.unwrap();
    assert_eq!(lost.refresh, again.refresh);
    assert_eq!(other.check(&again.operation).await, Verdict::Allow);
}

#[tokio::test]
async fn kills_a_grant_everywhere_whose_old_token_comes_back_by_another_replica() {
    let Some(world) = World::shared().await else { return };
    let other = world.replica().await;
    let alice = world.user("alice").await;
    let (first, kept) = (alice.sign_in().await, alice.sign_in().await);
    let second = first.refresh().await.unwrap();
    let third = second.refresh().await.unwrap();
    assert_eq!(world.check(&third.operation).await, Verdict::Allow);
    let reused = first.at(&other).refresh().await.err().unwrap();
    assert_eq!(reused, (Code::Unauthenticated, ErrorReason::RefreshTokenReused));
    assert_eq!(world.check(&third.operation).await, REVOKED);
    assert_eq!(world.check(&kept.operation).await, Verdict::Allow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn accepts_nothing_of_a_grant_whose_refreshes_raced_its_end() {
    let Some(world) = World::shared().await else { return };
    let other = world.replica().await;
    let alice = world.user("alice").await;
    for _ in 0..30 {
        let session = alice.sign_in().await;
        let racers: Vec<_> = (0..4)
            .map(|_| {
                let session = session.at(&other);
                tokio::spawn(async move { session.refresh().await })
            })
            .collect();
        let target = Some(Target::GrantId(session.token.grant_id.clone()));
        let request = pb::RevokeTokenRequest { target, ..Default::default() };
        alice.api().revoke_token(request).await.unwrap();
        assert_eq!(other.check(&session.operation).await, REVOKED);
        for racer in racers {
            let Ok(refreshed) = racer.await.unwrap() else { continue };
            assert_eq!(other.check(&refreshed.operation).await, REVOKED);
            assert_eq!(world.check(&refreshed.operation).await, REVOKED);
            assert!(refreshed.refresh().await.is_err());
        }
    }
}

#[tokio::test]
async fn locks_a_name_on_every_replica() {
    let Some(world) = World::shared().await else { return };
    let other = world.replica().await;
    let alice = world.user("alice").await;
    let mut guesser = alice.clone();
    guesser.password = "a guess".to_owned();
    for n in 0..10 {
        let place = if n % 2 == 0 { &world } else { &other };
        assert!(guesser.at(place).draft("operation").make().await.is_err());
    }
    for place in [&world, &other] {
        assert!(alice.at(place).draft("operation").make().await.is_err());
    }
}

#[tokio::test]
async fn decides_nothing_and_says_why_where_every_sync_outlasts_the_lease() {
    let Some(world) = World::shared().await else { return };
    let session = world.user("alice").await.sign_in().await;
    assert_eq!(world.check(&session.operation).await, Verdict::Allow);
    // Whatever is asked of the database comes back when the lease is over that it would have given.
    world.clock().hurry(WAIT);
    for _ in 0..3 {
        let refused = world.check(&session.operation).answer().await.unwrap_err();
        assert_eq!(refused, (Code::Unavailable, ErrorReason::StoreUnavailable));
        assert!(refused.message.contains("longer than the lease"), "{refused:?}");
        assert!(refused.retry_after.is_some());
    }
    let ready = world.management().get("/readyz").send().await;
    assert_eq!(ready.status, 503, "{ready}");
    assert!(ready.body.contains("longer than the lease (200 ms)"), "{ready}");

    world.clock().hurry(Duration::ZERO);
    assert_eq!(world.check(&session.operation).await, Verdict::Allow);
    assert_eq!(world.management().get("/readyz").send().await.status, 200);
}
