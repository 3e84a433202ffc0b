//! The checker: tokens are made, checked on the replicas that others use, ended through the one,
//! and checked on. A check that began after an end had answered OK, and is allowed, is a breach.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::future::join_all;
use tokend::client::Upstream;
use tokend::pb::DenyReason;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep};
use tonic::Status;

use super::calls::{Answer, check};
use super::cases::{Case, Maker, Wait};
use super::chance::Chance;
use super::ledger::Ledger;
use super::{Fleet, LEASE};

/// How many tasks check on each replica without a pause, beside those that end tokens.
const WORKERS: usize = 1;

/// How many tokens are ended at once.
const AT_ONCE: usize = 8;

/// Whether something is in the way of the replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// Nothing: each call must succeed.
    Fair,
    /// Something: calls may fail.
    Foul,
}

/// What a checker is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It makes tokens.
    Making,
    /// It ends them.
    Ending,
    /// It does nothing any more.
    Over,
}

/// Makes rounds, and keeps their figures.
pub(super) struct Checker {
    /// Through which tokens are ended.
    revoker: Upstream,
    /// On which they are checked.
    others: Vec<Upstream>,
    wait: Wait,
    phase: watch::Sender<Phase>,
    pub(super) ledger: Arc<Ledger>,
}

struct Round {
    cases: Vec<Case>,
    maker: Maker,
    revoker: Upstream,
    others: Vec<Upstream>,
    wait: Wait,
    at_once: Semaphore,
    is_over: AtomicBool,
    ledger: Arc<Ledger>,
}

impl Checker {
    /// Revokes through the first replica, and checks on the others.
    pub(super) async fn new(fleet: &Fleet, wait: Wait) -> Self {
        let mut others = fleet.upstreams();
        let revoker = others.remove(0);
        Maker::sign_in(&revoker).await.unwrap().prepare().await.unwrap();
        let phase = watch::Sender::new(Phase::Making);
        Self { revoker, others, wait, phase, ledger: Arc::default() }
    }

    /// Makes rounds until then, and at least one.
    pub(super) async fn run(&self, weather: Weather, until: Instant) {
        loop {
            match self.round(weather).await {
                Ok(()) => self.ledger.figures().rounds += 1,
                Err(status) => {
                    assert_eq!(weather, Weather::Foul, "{status:?}");
                    self.ledger.figures().lost_rounds += 1;
                    sleep(LEASE).await;
                }
            }
            let is_over = Instant::now() >= until;
            self.phase.send_replace(if is_over { Phase::Over } else { Phase::Making });
            if is_over {
                return;
            }
        }
    }

    /// Waits until tokens are ended, or all is over.
    pub(super) async fn ends(&self) -> Phase {
        let mut phase = self.phase.subscribe();
        *phase.wait_for(|phase| *phase != Phase::Making).await.expect("it is there")
    }

    /// Makes the tokens of a round.
    async fn begin(&self) -> Result<Arc<Round>, Status> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("user-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let maker = Maker::sign_in(&self.revoker).await?;
        let cases = maker.cases(&name).await?;
        Ok(Arc::new(Round {
            cases,
            maker,
            revoker: self.revoker.clone(),
            others: self.others.clone(),
            wait: self.wait,
            at_once: Semaphore::new(AT_ONCE),
            is_over: AtomicBool::new(false),
            ledger: Arc::clone(&self.ledger),
        }))
    }

    async fn round(&self, weather: Weather) -> Result<(), Status> {
        let round = self.begin().await?;
        round.warm(weather).await;
        let workers = (0..self.others.len() * WORKERS)
            .map(|at| tokio::spawn(Arc::clone(&round).hammer(at % self.others.len())));
        let workers: Vec<_> = workers.collect();
        self.phase.send_replace(Phase::Ending);
        let ends = (0..round.cases.len()).map(|at| tokio::spawn(Arc::clone(&round).end(at)));
        for end in join_all(ends).await {
            end.unwrap();
        }
        self.phase.send_replace(Phase::Making);
        round.is_over.store(true, Ordering::Relaxed);
        for worker in join_all(workers).await {
            worker.unwrap();
        }
        round.look_again(weather).await;
        let round = Arc::into_inner(round).expect("all tasks have ended");
        round.maker.sign_out().await;
        Ok(())
    }

    /// Whether each replica decides, and the first makes tokens.
    pub(super) async fn all_decide(&self) -> bool {
        let Ok(maker) = Maker::sign_in(&self.revoker).await else { return false };
        let secret = maker.secret().to_owned();
        let checks = self.others.iter().map(|other| check(other, &secret, &[]));
        let answers = join_all(checks).await;
        maker.sign_out().await;
        answers.iter().all(|answer| matches!(answer, Answer::Allow(_)))
    }

    /// Makes tokens, warms the replicas with them, and answers how to check them all again.
    pub(super) async fn warm(&self) -> Warm {
        let round = self.begin().await.unwrap();
        round.warm(Weather::Fair).await;
        Warm(round)
    }
}

/// Tokens whose facts every replica keeps.
pub(super) struct Warm(Arc<Round>);

impl Warm {
    /// Checks each on each replica but the first: all are allowed. Answers how many checks it was.
    pub(super) async fn check(&self) -> u64 {
        let before = self.0.ledger.figures().checks;
        self.0.warm(Weather::Fair).await;
        let after = self.0.ledger.figures().checks;
        after - before
    }

    /// The secrets that need no permission.
    pub(super) fn secrets(&self) -> Vec<String> {
        let cases = self.0.cases.iter().filter(|case| case.permissions.is_empty());
        cases.flat_map(|case| case.secrets.iter().cloned()).collect()
    }
}

impl Round {
    /// Checks a token on a replica.
    async fn check(&self, replica: usize, (case, secret): (&Case, &str)) -> Answer {
        let began = Instant::now();
        let answer = check(&self.others[replica], secret, case.permissions).await;
        let since = case.ended.get().and_then(|ended| began.checked_duration_since(*ended));
        self.ledger.note(answer, since, || format!("{:?} on replica {replica}", case.sort));
        answer
    }

    /// Each token with each replica.
    fn pairs(&self) -> impl Iterator<Item = (usize, (&Case, &str))> {
        (0..self.others.len()).flat_map(|replica| {
            self.cases.iter().flat_map(move |case| {
                case.secrets.iter().map(move |secret| (replica, (case, secret.as_str())))
            })
        })
    }

    /// Lets the replicas read all that is needed to check the tokens.
    async fn warm(&self, weather: Weather) {
        let checks = self.pairs().map(async |(replica, token)| {
            let answer = self.check(replica, token).await;
            let is_good = matches!(answer, Answer::Allow(_)) || weather == Weather::Foul;
            assert!(is_good, "{:?} on replica {replica}: {answer:?}", token.0.sort);
        });
        join_all(checks).await;
    }

    /// Checks without a pause: mostly what has just ended.
    async fn hammer(self: Arc<Self>, replica: usize) {
        let mut chance = Chance::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let is_fresh = |case: &&Case| case.ended.get().is_some_and(|at| at.elapsed() < LEASE);
            let fresh: Vec<_> = self.cases.iter().filter(is_fresh).collect();
            let case = if fresh.is_empty() { chance.one(&self.cases) } else { chance.one(&fresh) };
            self.check(replica, (case, chance.one(&case.secrets).as_str())).await;
        }
    }

    /// Ends a case, and checks it from the moment that this has answered.
    async fn end(self: Arc<Self>, at: usize) {
        let case = &self.cases[at];
        let mut chance = Chance::new();
        let _turn = self.at_once.acquire().await.unwrap();
        if self.wait == Wait::ForAll && chance.below(4) == 0 {
            // Somebody else has ended it, and did not wait: who comes second must.
            let other = chance.one(&self.others);
            drop(self.maker.end(case, other, Wait::Skip).await);
        }
        let mut began = Instant::now();
        let mut done = self.maker.end(case, &self.revoker, self.wait).await;
        if done.is_err() {
            // Nobody knows what it did: who tries again elsewhere gets the same promise.
            began = Instant::now();
            done = self.maker.end(case, chance.one(&self.others), self.wait).await;
        }
        if done.is_err() {
            self.ledger.figures().failed += 1;
            return;
        }
        let ended = *case.ended.get_or_init(Instant::now);
        self.ledger.ended(began.elapsed());
        while ended.elapsed() < LEASE {
            let secret = chance.one(&case.secrets).as_str();
            let checks = (0..self.others.len()).map(|on| self.check(on, (case, secret)));
            join_all(checks).await;
        }
    }

    /// Checks every token once more.
    async fn look_again(&self, weather: Weather) {
        let checks = self.pairs().map(async |(replica, token)| {
            let answer = self.check(replica, token).await;
            if weather == Weather::Fair {
                assert!(matches!(answer, Answer::Deny(_)), "{:?}: {answer:?}", token.0.sort);
                assert_ne!(answer, Answer::Deny(DenyReason::UnknownToken));
            }
        });
        join_all(checks).await;
    }
}
