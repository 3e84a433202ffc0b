//! Dead rows that the purge has not come to: whoever makes or checks a token does not look at them,
//! however many there are.

use std::time::Duration;

use super::cpu::cpu;
use crate::support::alone::is_alone;
use crate::support::database::Kind;
use crate::support::{Actor, Session, Verdict, World};

/// How many there are of each sort: to look at each would take many times what a call takes.
const DEAD: usize = 20_000;

/// How many calls are measured in a turn, and how many turns there are.
const CALLS: usize = 10;
const TURNS: usize = 15;

/// A user, and the session that makes their tokens.
struct User {
    world: World,
    alice: Actor,
    session: Session,
}

impl User {
    async fn new() -> Self {
        // In the file of a process that can be measured.
        let world = World::on(Kind::Sqlite, |_| {}).await;
        let alice = world.user("alice").with(["token:create"]).await;
        let session = alice.sign_in().await;
        Self { world, alice, session }
    }

    /// Gives alice so many tokens that were revoked or have expired just now, with the grants, events
    /// and changes that they left: too late for the purge, which waits for a day.
    async fn bury(&self) {
        let now = tokend::domain::clock::Clock::now(self.world.clock()).micros();
        let ended = self.alice.sign_in_to("personal").await;
        let count = format!(
            "WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count LIMIT {DEAD})"
        );
        let (token, grant) = (&ended.token.id, &ended.token.grant_id);
        for (sort, revoked, expires) in [
            ("revoked", now.to_string(), "NULL".to_owned()),
            ("expired", "NULL".to_owned(), (now - 1).to_string()),
        ] {
            self.world.database().run(&format!(
                "INSERT INTO grants (id, user_id, generation, created_at, expires_at, revoked_at) \
                 {count} SELECT '{sort}-' || n, user_id, generation, created_at, {expires}, {revoked} \
                 FROM grants, count WHERE id = '{grant}'"
            ));
            self.world.database().run(&format!(
                "INSERT INTO tokens (id, user_id, grant_id, display_name, profile, kind, roles, \
                 digest, key_id, created_at, expires_at, revoked_at, last_used_at) \
                 {count} SELECT '{sort}-' || n, user_id, '{sort}-' || n, display_name, profile, kind, \
                 roles, randomblob(32), key_id, created_at, {expires}, {revoked}, NULL \
                 FROM tokens, count WHERE id = '{token}'"
            ));
            self.world.database().run(&format!(
                "INSERT INTO revocations (kind, id, grant_id, until) \
                 {count} SELECT 'jti', '{sort}-' || n, '{sort}-' || n, {now} FROM count"
            ));
        }
    }

    /// Makes tokens, checks each for the first time, and ends each: the processor time of the first
    /// two.
    async fn turn(&self) -> [Duration; 2] {
        let began = cpu();
        let mut made = Vec::new();
        for _ in 0..CALLS {
            made.push(self.session.draft("personal").make().await.unwrap());
        }
        let created = cpu();
        for token in &made {
            assert_eq!(self.world.check(&token.operation).await, Verdict::Allow);
        }
        let checked = cpu();
        for token in &made {
            assert_eq!(token.revoke().await.unwrap(), 1);
        }
        [created.saturating_sub(began), checked.saturating_sub(created)]
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test]
async fn are_looked_at_by_nobody_who_makes_or_checks_a_token() {
    if !is_alone("abuse::dead_rows::are_looked_at_by_nobody_who_makes_or_checks_a_token") {
        return;
    }
    let (few, many) = (User::new().await, User::new().await);
    many.bury().await;
    let mut costs: [[Vec<Duration>; 2]; 2] = Default::default();
    // By turns, so that what else the machine does comes to both.
    for _ in 0..TURNS {
        for (at, user) in [&few, &many].into_iter().enumerate() {
            for (cost, sort) in user.turn().await.into_iter().zip(&mut costs) {
                sort[at].push(cost);
            }
        }
    }
    for (sort, costs) in ["to make", "to check"].into_iter().zip(costs) {
        let [few, many] = costs.map(median);
        assert!(many < few * 3 / 2, "{sort}: {few:?}, and {many:?} with {DEAD} dead of each sort");
    }
}
