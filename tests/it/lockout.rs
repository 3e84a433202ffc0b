//! How failed sign-ins lock a name, where each profile has a policy of its own.

use std::time::Duration;

use tokend::pb::{self, ErrorReason};
use tonic::Code;

use crate::support::{Actor, World};

const BAD: (Code, ErrorReason) = (Code::Unauthenticated, ErrorReason::BadCredentials);
const HALF_AN_HOUR: Duration = Duration::from_mins(30);
const SECOND: Duration = Duration::from_secs(1);
/// Half an hour but for that second.
const ALMOST: Duration = Duration::from_secs(30 * 60 - 1);

/// Fails to sign in to a profile, each time before anybody is locked out.
async fn fail(user: &Actor, profile: &str, times: usize) {
    let mut guesser = user.clone();
    "a guess".clone_into(&mut guesser.password);
    for _ in 0..times {
        assert_eq!(guesser.draft(profile).make().await.err().unwrap(), BAD);
    }
}

async fn is_let_in(user: &Actor, profile: &str) -> bool {
    match user.draft(profile).make().await {
        Ok(_) => true,
        Err(refused) => {
            assert_eq!(refused, BAD);
            false
        }
    }
}

/// A world with one user for each profile of Magento.
async fn magento() -> (World, [(Actor, &'static str); 2]) {
    let world = World::start().await;
    let admin = world.user("alice").with(["orders:read"]).await;
    let customer = world.user("alice").of("customers").await;
    (world, [(admin, "magento-admin"), (customer, "magento-customer")])
}

#[tokio::test]
async fn locks_for_half_an_hour_from_the_sixth_failure_on() {
    let (world, users) = magento().await;
    for (user, profile) in &users {
        // The same over and over: behind a lock there are six tries again, and it does not grow.
        for round in 0..3 {
            fail(user, profile, 5).await;
            assert!(is_let_in(user, profile).await, "{profile} {round}: five lock nobody");
            fail(user, profile, 6).await;
            assert!(!is_let_in(user, profile).await, "{profile} {round}");
            world.advance(ALMOST);
            assert!(!is_let_in(user, profile).await, "{profile} {round}");
            world.advance(SECOND);
            fail(user, profile, 6).await;
            assert!(!is_let_in(user, profile).await, "{profile} {round}");
            world.advance(HALF_AN_HOUR);
            fail(user, profile, 5).await;
            assert!(is_let_in(user, profile).await, "{profile} {round}: a success resets");
        }
    }
}

#[tokio::test]
async fn counts_no_attempt_while_a_name_is_locked() {
    let (world, [(admin, profile), _]) = magento().await;
    fail(&admin, profile, 6).await;
    world.advance(ALMOST);
    fail(&admin, profile, 20).await;
    world.advance(SECOND);
    fail(&admin, profile, 5).await;
    assert!(is_let_in(&admin, profile).await);
}

#[tokio::test]
async fn forgets_failures_half_an_hour_after_the_last() {
    let (world, [(admin, profile), _]) = magento().await;
    fail(&admin, profile, 5).await;
    world.advance(HALF_AN_HOUR);
    fail(&admin, profile, 5).await;
    world.advance(ALMOST);
    fail(&admin, profile, 1).await;
    assert!(!is_let_in(&admin, profile).await, "five and one, a second too early");
}

#[tokio::test]
async fn locks_out_of_every_profile_who_is_locked_by_one() {
    let (world, [(admin, profile), _]) = magento().await;
    fail(&admin, profile, 6).await;
    world.advance(ALMOST);
    for other in ["operation", "azion", "epilot"] {
        assert!(!is_let_in(&admin, other).await, "{other}");
    }
    let caller = admin.api().get_caller(pb::GetCallerRequest {}).await;
    assert_eq!(caller.unwrap_err(), BAD, "by the metadata");
    world.advance(SECOND);
    assert!(is_let_in(&admin, "operation").await);
}

#[tokio::test]
async fn applies_the_policy_for_all_where_a_profile_has_none() {
    let (world, [(admin, profile), _]) = magento().await;
    fail(&admin, "operation", 9).await;
    assert!(is_let_in(&admin, "operation").await);
    // Whoever names no profile, by the metadata.
    let mut guesser = admin.clone();
    "a guess".clone_into(&mut guesser.password);
    for _ in 0..9 {
        let refused = guesser.api().get_caller(pb::GetCallerRequest {}).await;
        assert_eq!(refused.unwrap_err(), BAD);
    }
    assert!(is_let_in(&admin, "operation").await);
    // Whoever names one has its policy, by the metadata too.
    for _ in 0..6 {
        let request = pb::CreateTokenRequest { profile: profile.to_owned(), ..Default::default() };
        assert_eq!(guesser.api().create_token(request).await.unwrap_err(), BAD);
    }
    world.advance(ALMOST);
    assert!(!is_let_in(&admin, "operation").await);
}

#[tokio::test]
async fn counts_the_failures_of_all_profiles_together() {
    let (world, [(admin, profile), _]) = magento().await;
    fail(&admin, "operation", 5).await;
    fail(&admin, profile, 1).await;
    world.advance(ALMOST);
    assert!(!is_let_in(&admin, "operation").await, "the sixth was by the stricter profile");
    world.advance(SECOND);
    fail(&admin, "operation", 4).await;
    assert!(!is_let_in(&admin, "operation").await, "the tenth");
    world.advance(SECOND);
    fail(&admin, "operation", 1).await;
    world.advance(SECOND);
    assert!(!is_let_in(&admin, "operation").await, "the eleventh locks for twice as long");
}

#[tokio::test]
async fn forgets_by_one_profile_nothing_that_another_remembers() {
    let (world, [(admin, profile), _]) = magento().await;
    fail(&admin, profile, 6).await;
    world.advance(HALF_AN_HOUR);
    fail(&admin, "operation", 4).await;
    assert!(!is_let_in(&admin, "operation").await, "six and four are ten");
    world.advance(HALF_AN_HOUR);
    fail(&admin, profile, 1).await;
    world.advance(ALMOST);
    assert!(!is_let_in(&admin, profile).await, "they are remembered for a day now");
    world.advance(Duration::from_hours(24));
    fail(&admin, profile, 5).await;
    assert!(is_let_in(&admin, profile).await, "after that day it is as at first");
}

#[tokio::test]
async fn counts_a_caller_by_the_policy_of_the_dialect_s_profile() {
    let world = World::with(|settings| {
        for name in ["azion", "harperdb"] {
            let lockout = &mut settings.profiles.get_mut(name).unwrap().lockout;
            (lockout.failures, lockout.first_lock) = (Some(2), Some(HALF_AN_HOUR));
            lockout.longest_lock = Some(HALF_AN_HOUR);
        }
    })
    .await;
    for (name, profile) in [("alice", "azion"), ("bob", "harperdb")] {
        let user = world.user(name).await;
        for _ in 0..2 {
            let request = if profile == "azion" {
                world.http().delete("/tokens/0")
            } else {
                let request = world.http().post("/").header("content-type", "application/json");
                request.body(r#"{"operation":"user_info"}"#)
            };
            assert_eq!(request.basic(name, "a guess").send().await.status, 401, "{profile}");
        }
        assert!(!is_let_in(&user, profile).await, "{profile}");
        world.advance(HALF_AN_HOUR);
        assert!(is_let_in(&user, profile).await, "{profile}");
    }
}

#[tokio::test]
async fn remembers_failures_for_as_long_as_the_settings_say_whatever_is_purged() {
    let day = Duration::from_hours(24);
    let remembering = World::with(|settings| {
        settings.sign_in.lockout.forget_after = 60 * day;
        settings.sign_in.lockout.longest_lock = day;
        settings.sign_in.lockout.first_lock = day;
    });
    let world = remembering.await;
    let user = world.user("alice").await;
    fail(&user, "operation", 9).await;
    world.advance(31 * day);
    world.admin().api().purge(pb::PurgeRequest {}).await.unwrap();
    fail(&user, "operation", 1).await;
    assert!(!is_let_in(&user, "operation").await, "that was the tenth");
}
