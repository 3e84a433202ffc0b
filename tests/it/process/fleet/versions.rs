//! Two versions on one database: what a later one has changed does not stop those that are there,
//! nor a way back.

use super::calls::{Answer, admin, check, create, revoke};
use super::{Fleet, Held, place};
use crate::support::Kind;

/// What a later version does first: it adds.
const LATER: [&str; 3] = [
    "CREATE TABLE later (id BIGINT NOT NULL PRIMARY KEY)",
    "ALTER TABLE tokens ADD COLUMN later BIGINT",
    "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20990101_000001_later', 0)",
];

fn run(held: &Held, statements: &[&str]) {
    let Held::Shared(database) = held else { panic!("it is beside others") };
    for statement in statements {
        database.run(statement);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn works_on_and_starts_anew_beside_a_later_version() {
    let kind = Kind::of_this_run();
    let held = Held::shared(kind).await;
    let count = if kind == Kind::Sqlite { 1 } else { 2 };
    let mut fleet = Fleet::start(held, count, |_, place| place);
    let upstreams = fleet.upstreams();
    let old = create(&upstreams[0], "azion", admin()).await.unwrap().0;
    let ended = create(&upstreams[0], "azion", admin()).await.unwrap().0;
    for upstream in &upstreams {
        assert!(matches!(check(upstream, &old, &[]).await, Answer::Allow(_)));
    }

    run(&fleet.held, &LATER);
    for upstream in &upstreams {
        // Those that run: by statements that they prepared before, too.
        let new = create(upstream, "azion", admin()).await.unwrap().0;
        assert!(matches!(check(upstream, &new, &[]).await, Answer::Allow(_)));
        revoke(upstream, &new).await.unwrap();
        assert!(matches!(check(upstream, &new, &[]).await, Answer::Deny(_)));
    }
    revoke(&upstreams[0], &ended).await.unwrap();
    for replica in &mut fleet.replicas {
        replica.kill();
        replica.start_again();
        let upstream = replica.upstream();
        assert!(matches!(check(&upstream, &old, &[]).await, Answer::Allow(_)));
        assert!(matches!(check(&upstream, &ended, &[]).await, Answer::Deny(_)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_off_a_database_that_does_not_admit_its_version() {
    let held = Held::shared(Kind::of_this_run()).await;
    run(&held, &LATER);
    run(&held, &["UPDATE meta SET value = '99' WHERE name = 'min_version'"]);
    let sentence = place(held.url()).run(&[]).sentence();
    assert!(sentence.contains("99"), "{sentence}");
}
