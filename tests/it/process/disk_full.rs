//! A disk that takes no more: what was acknowledged holds, what was not is refused in so many
//! words, and all goes on once there is room.

use std::env;
use std::fs;

use tokend::client::Upstream;
use tokend::pb::create_token_request::Credential;
use tokend::pb::{self, Decision};
use tonic::Code;

use super::crash::{admin, authorize, create, revoke};
use super::fleet::chance::Chance;
use super::fleet::tell;
use super::{Place, Running};

/// How far a file grows, in blocks of 512 or 1024 bytes: some hundred tokens more.
const ROOM: u32 = 1500;

/// More tokens than there is room for.
const MANY: usize = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn refuses_to_write_on_a_full_disk_and_loses_nothing() {
    let place = Place::on_sqlite();
    let mut server = place.serve();
    let password = server.welcome().password();
    let upstream = server.upstream();
    let bearer = create(&upstream, "operation", admin(&password)).await.unwrap().0.secret;
    server.stop().ok();

    let server = place.serve_within(ROOM);
    let upstream = server.upstream();
    let by = || Credential::BearerToken(bearer.clone());
    let mut made = Vec::new();
    let refused = loop {
        assert!(made.len() < MANY, "the disk does not fill");
        match create(&upstream, "personal", by()).await {
            Ok((token, _)) => made.push(token.secret),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    let first = made.first().expect("there was room for one");
    // A smaller write may still find room: then it holds.
    let revoked = revoke(&upstream, first).await;
    assert!(
        revoked.as_ref().is_err_and(|refused| refused.code() == Code::Unavailable)
            || revoked.is_ok()
    );
    for secret in made.iter().skip(1).rev().take(20) {
        assert_eq!(authorize(&upstream, secret).await.decision(), Decision::Allow);
    }
    server.kill();

    let server = place.serve();
    let upstream = server.upstream();
    for secret in made.iter().skip(1) {
        assert_eq!(authorize(&upstream, secret).await.decision(), Decision::Allow);
    }
    if revoked.is_ok() {
        assert_eq!(authorize(&upstream, first).await.decision(), Decision::Deny);
    }
    let (fresh, _) = create(&upstream, "personal", by()).await.unwrap();
    revoke(&upstream, &fresh.secret).await.unwrap();
    assert_eq!(authorize(&upstream, &fresh.secret).await.decision(), Decision::Deny);
}

/// Names how many rounds of failing commits are run, where somebody waits for the figure.
const ROUNDS: &str = "TOKEND_TEST_ROUNDS";

/// How many rounds there are in the suite.
const FEW: usize = 12;

/// A server is started anew after so many rounds.
const ROUNDS_A_START: usize = 6;

/// What callers were told.
#[derive(Default)]
struct Told {
    good: Vec<String>,
    ended: Vec<String>,
    sessions: Vec<String>,
    failures: usize,
    calls: usize,
}

impl Told {
    /// Counts a call, and answers what it answered.
    fn heard<T>(&mut self, answer: Result<T, tonic::Status>) -> Option<T> {
        self.calls += 1;
        match answer {
            Ok(answer) => Some(answer),
            Err(refused) => {
                assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
                self.failures += 1;
                None
            }
        }
    }

    /// Makes tokens, ends every other one, and refreshes.
    async fn mixed_load(&mut self, upstream: &Upstream, bearer: &str) {
        for n in 0..6 {
            let by = Credential::BearerToken(bearer.to_owned());
            let Some((token, _)) = self.heard(create(upstream, "personal", by).await) else {
                continue;
            };
            if n % 2 == 1 {
                self.good.push(token.secret);
            } else if self.heard(revoke(upstream, &token.secret).await).is_some() {
                self.ended.push(token.secret);
            }
        }
        for session in &mut self.sessions {
            let request = pb::RefreshOperationTokenRequest {
                refresh_token: session.clone(),
                ..Default::default()
            };
            self.calls += 1;
            match upstream.tokens.clone().refresh_operation_token(request).await {
                Ok(next) => *session = next.into_inner().refresh_token.unwrap().secret,
                Err(refused) => {
                    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
                    self.failures += 1;
                }
            }
        }
    }

    /// Holds a server to it all.
    async fn assert_holds(&self, upstream: &Upstream) {
        for secret in &self.good {
            assert_eq!(authorize(upstream, secret).await.decision(), Decision::Allow);
        }
        for secret in &self.ended {
            let answer = authorize(upstream, secret).await;
            assert_eq!(answer.deny_reason(), pb::DenyReason::RevokedToken, "{answer:?}");
        }
    }
}

fn log_size(place: &Place) -> u64 {
    fs::metadata(place.path("tokend.db-wal")).map_or(0, |log| log.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_every_word_it_gave_while_and_after_commits_failed() {
    let rounds = env::var(ROUNDS).map_or(FEW, |rounds| rounds.parse().unwrap());
    let place = Place::on_sqlite();
    let mut server = place.serve_limitable();
    let password = server.welcome().password();
    let mut upstream = server.upstream();
    let bearer = create(&upstream, "personal", admin(&password)).await.unwrap().0.secret;
    let (mut told, mut chance) = (Told::default(), Chance::new());
    let (_, session) = create(&upstream, "operation", admin(&password)).await.unwrap();
    told.sessions.push(session.unwrap().secret);
    let mut failed_rounds = 0;
    for round in 1..=rounds {
        let before = told.failures;
        // Some writes of the round find room, and all from some place on do not: none at all, or
        // those that the log has to grow for, or any between.
        let most = usize::try_from(log_size(&place)).unwrap() + 40_000;
        server.limit_files(Some(u64::try_from(chance.below(most)).unwrap()));
        told.mixed_load(&upstream, &bearer).await;
        server.limit_files(None);
        failed_rounds += usize::from(told.failures > before);
        let room = told.failures;
        told.mixed_load(&upstream, &bearer).await;
        assert_eq!(told.failures, room, "round {round}: there is room again");
        if round % ROUNDS_A_START == 0 {
            told.assert_holds(&upstream).await;
            server = restart(&place, server, round);
            upstream = server.upstream();
            told.assert_holds(&upstream).await;
            told.good.truncate(200);
            told.ended.truncate(200);
        }
    }
    tell(&format!(
        "{rounds} rounds, {failed_rounds} with commits that failed: {} of {} calls failed, none of \
         the others was lost",
        told.failures, told.calls
    ));
    assert!(failed_rounds > rounds / 4, "{failed_rounds} of {rounds} rounds");
}

/// Ends a server, every other time without any notice, and starts it again.
fn restart(place: &Place, server: Running, round: usize) -> Running {
    if round.is_multiple_of(2 * ROUNDS_A_START) {
        server.kill();
    } else {
        server.stop().ok();
    }
    place.serve_limitable()
}

/// What the probes say: `/readyz`, and the command line by gRPC and by HTTP.
async fn probes(place: &Place, server: &Running) -> (u16, [Option<i32>; 2]) {
    let url = format!("{}/readyz", server.url("management"));
    let status = super::http().get(url).send().await.unwrap().status().as_u16();
    let command = [("--server", "grpc"), ("--management", "management")];
    let codes = command
        .map(|(flag, listener)| place.run(&["healthcheck", flag, &server.url(listener)]).code);
    (status, codes)
}

#[tokio::test(flavor = "multi_thread")]
async fn says_by_every_probe_that_the_disk_takes_no_more() {
    let place = Place::on_sqlite();
    let mut server = place.serve_limitable();
    let password = server.welcome().password();
    let upstream = server.upstream();
    assert_eq!(probes(&place, &server).await, (200, [Some(0), Some(0)]));
    server.limit_files(Some(0));
    let refused = create(&upstream, "personal", admin(&password)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert_eq!(probes(&place, &server).await, (503, [Some(1), Some(1)]));
    // Nobody writes: it notices by itself.
    server.limit_files(None);
    assert_eq!(probes(&place, &server).await, (200, [Some(0), Some(0)]));
}
