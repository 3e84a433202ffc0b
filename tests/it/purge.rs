//! The purge: what is over for a day is removed, and no caller waits for long.

use std::time::Duration;

use tokend::pb;

use crate::support::World;
use crate::support::database::Kind;

#[tokio::test]
async fn removes_what_is_over_and_says_that_there_is_no_more() {
    let world = World::start().await;
    world.user("alice").await.sign_in().await.revoke().await.unwrap();
    world.advance(Duration::from_hours(48));
    let purged = world.admin().api().purge(pb::PurgeRequest {}).await.unwrap();
    assert!(purged.token_count > 0 && !purged.more, "{purged:?}");
    let again = world.admin().api().purge(pb::PurgeRequest {}).await.unwrap();
    assert_eq!((again.token_count, again.more), (0, false));
}

#[tokio::test]
async fn answers_in_time_though_there_may_be_more() {
    // Nobody shares it, so no lease ends where time flies.
    let world = World::on(Kind::Sqlite, |_| {}).await;
    world.user("alice").await.sign_in().await.revoke().await.unwrap();
    world.advance(Duration::from_hours(48));
    world.clock().hurry(Duration::from_secs(5));
    let purged = world.admin().api().purge(pb::PurgeRequest {}).await.unwrap();
    assert!(purged.token_count > 0 && purged.more, "{purged:?}");
    let again = world.admin().api().purge(pb::PurgeRequest {}).await.unwrap();
    assert!(!again.more, "{again:?}");
}
