//! Refreshes that race the end of their grant: whoever wins, nothing of the grant is accepted once
//! the end was acknowledged, on any replica.

use std::time::Duration;

use futures_util::future::join_all;
use tokend::client::Upstream;
use tokend::pb;
use tokend::pb::revoke_token_request::Target;
use tokio::time::sleep;
use tonic::{Code, Status};

use super::calls::{Answer, admin, bounded, by, check, create, refresh};
use super::chance::Chance;
use super::{Fleet, Held, is_long, tell};
use crate::support::Kind;

/// How many grants are ended: in the suite, and where somebody waits for it.
const ROUNDS: usize = 160;
const LONG_ROUNDS: usize = 10_000;

/// How many of them at once.
const AT_ONCE: usize = 8;

/// How many refresh at once.
const RACERS: usize = 4;

/// How late the end is asked for at most, and how late a refresh: an end takes longer until it is
/// done.
const LATEST_END: Duration = Duration::from_millis(12);
const LATEST_REFRESH: Duration = Duration::from_millis(60);

/// What somebody holds of a grant.
#[derive(Debug, Default)]
struct Secrets {
    operations: Vec<String>,
    refreshes: Vec<String>,
}

/// By what a grant is ended.
#[derive(Debug, Clone, Copy)]
enum By {
    Id,
    /// Its refresh token, while that is swapped.
    Current,
    /// One that was swapped before.
    Old,
}

impl By {
    const ALL: [Self; 3] = [Self::Id, Self::Current, Self::Old];
}

/// How the races went.
#[derive(Debug, Default)]
struct Tally {
    /// Refreshes that were faster than the end, and those that were not.
    won: usize,
    lost: usize,
}

struct Race {
    upstreams: Vec<Upstream>,
    bearer: String,
}

impl Race {
    /// Signs in and refreshes once. Answers the grant, too.
    async fn begin(&self) -> (String, Secrets) {
        let request = pb::CreateTokenRequest { credential: Some(admin()), ..Default::default() };
        let made = bounded(self.upstreams[0].tokens.clone().create_token(request)).await.unwrap();
        let (token, first) = (made.token.unwrap(), made.refresh_token.unwrap().secret);
        let (operation, current) = refresh(&self.upstreams[0], &first).await.unwrap();
        let grant = token.token.unwrap().grant_id;
        (
            grant,
            Secrets { operations: vec![token.secret, operation], refreshes: vec![first, current] },
        )
    }

    async fn end(&self, grant: &str, held: &Secrets, by_what: By) -> Result<(), Status> {
        let target = Some(match by_what {
            By::Id => Target::GrantId(grant.to_owned()),
            By::Current => Target::Secret(held.refreshes[1].clone()),
            By::Old => Target::Secret(held.refreshes[0].clone()),
        });
        let request = by(&self.bearer, pb::RevokeTokenRequest { target, ..Default::default() });
        bounded(self.upstreams[0].tokens.clone().revoke_token(request)).await.map(drop)
    }

    /// Lets refreshes of one token race the end of its grant.
    async fn run(&self, by_what: By) -> Tally {
        let (grant, mut held) = self.begin().await;
        let mut chance = Chance::new();
        let current = held.refreshes[1].clone();
        let racers: Vec<_> = (0..RACERS)
            .map(|at| {
                let upstream = self.upstreams[at % self.upstreams.len()].clone();
                let (current, later) = (current.clone(), chance.time(LATEST_REFRESH));
                tokio::spawn(async move {
                    sleep(later).await;
                    refresh(&upstream, &current).await
                })
            })
            .collect();
        sleep(chance.time(LATEST_END)).await;
        self.end(&grant, &held, by_what).await.unwrap();
        // Those that were answered before, and those that still are: all of them.
        let mut tally = Tally::default();
        for racer in racers {
            match racer.await.unwrap() {
                Ok((operation, next)) => {
                    held.operations.push(operation);
                    held.refreshes.push(next);
                    tally.won += 1;
                }
                Err(refused) => {
                    assert!(is_refusal(&refused), "{refused:?}");
                    tally.lost += 1;
                }
            }
        }
        self.assert_dead(&held, by_what).await;
        tally
    }

    /// Nothing of it is accepted, on any replica.
    async fn assert_dead(&self, held: &Secrets, by_what: By) {
        for upstream in &self.upstreams {
            for secret in &held.operations {
                let answer = check(upstream, secret, &[]).await;
                assert_eq!(answer, Answer::Deny(pb::DenyReason::RevokedToken), "{by_what:?}");
            }
            for secret in &held.refreshes {
                let refused = refresh(upstream, secret).await.map(drop).unwrap_err();
                assert_eq!(refused.code(), Code::Unauthenticated, "{by_what:?}: {refused:?}");
                let mut tokens = upstream.tokens.clone();
                let bearer = bounded(tokens.get_caller(by(secret, pb::GetCallerRequest {}))).await;
                assert_eq!(bearer.unwrap_err().code(), Code::Unauthenticated, "{by_what:?}");
            }
        }
    }
}

/// What a refresh may be told that came too late, or met another.
fn is_refusal(status: &Status) -> bool {
    matches!(status.code(), Code::Unauthenticated | Code::Aborted)
}

#[tokio::test(flavor = "multi_thread")]
async fn accepts_nothing_of_a_grant_that_ended_while_it_was_refreshed() {
    let kind = Kind::of_this_run();
    let count = if kind == Kind::Sqlite { 1 } else { 3 };
    let mut fleet = Fleet::start(Held::shared(kind).await, count, |_, place| place);
    let upstreams = fleet.upstreams();
    let bearer = create(&upstreams[0], "azion", admin()).await.unwrap().0;
    let race = Race { upstreams, bearer };
    let rounds = if is_long() { LONG_ROUNDS } else { ROUNDS };
    let mut tally = Tally::default();
    for from in (0..rounds).step_by(AT_ONCE) {
        let runs = (from..from + AT_ONCE).map(|round| race.run(By::ALL[round % By::ALL.len()]));
        for Tally { won, lost } in join_all(runs).await {
            tally.won += won;
            tally.lost += lost;
        }
    }
    fleet.assert_all_run();
    if is_long() {
        tell(&format!("{kind:?}: {rounds} grants ended while refreshed: {tally:?}"));
    }
    // Else nothing has raced.
    assert!(tally.won > 0 && tally.lost > 0, "{tally:?}");
}
