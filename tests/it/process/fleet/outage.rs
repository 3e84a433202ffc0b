//! The database is gone under load: checks go on within the lease, then they are refused, and all
//! recovers by itself. Where the operator chose it, they go on for longer, and say so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokend::client::Upstream;
use tokend::pb;
use tokend::pb::revoke_token_request::Target;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::calls::{Answer, admin, bounded, check, create};
use super::cases::Wait;
use super::rounds::Checker;
use super::{Fleet, Held, is_long, kind, tell, time};
use crate::support::Kind;
use crate::support::database::own::OwnServer;

/// Long enough that a busy machine reads the tail in time.
const LEASE: Duration = Duration::from_millis(500);

/// For how long stale facts are served.
const BOUND: Duration = Duration::from_secs(5);

/// How long the outage lasts: a check that is refused may take two seconds.
const OUTAGE: Duration = Duration::from_secs(10);

/// How long the load lasts before the outage.
const BEFORE: Duration = Duration::from_secs(1);

/// How long it may take until every replica decides again.
const RECOVERY: Duration = Duration::from_secs(20);

/// How many tasks check on each replica without a pause.
const WORKERS: usize = 2;

/// A check under load.
#[derive(Debug, Clone, Copy)]
struct Seen {
    replica: usize,
    began: Instant,
    answered: Instant,
    answer: Answer,
}

/// What an outage was like.
struct Outage {
    seen: Vec<Seen>,
    /// When the server was asked to end.
    asked: Instant,
    /// When it had ended.
    down: Instant,
    /// When it was started again.
    started: Instant,
    /// When it served again.
    back: Instant,
}

/// Runs a fleet under load, and has the database ended for a while.
async fn outage(fleet: &mut Fleet, end: fn(&mut OwnServer)) -> Outage {
    let warm = Checker::new(fleet, Wait::ForAll).await.warm().await;
    let secrets: Arc<[String]> = warm.secrets().into();
    let is_over = Arc::new(AtomicBool::new(false));
    let upstreams = fleet.upstreams();
    for upstream in &upstreams {
        join_all(secrets.iter().map(|secret| check(upstream, secret, &[]))).await;
    }
    let workers = upstreams.iter().enumerate().flat_map(|it| std::iter::repeat_n(it, WORKERS));
    let workers: Vec<_> = workers
        .map(|it| (it.0, it.1.clone(), Arc::clone(&secrets), Arc::clone(&is_over)))
        .map(|(at, upstream, secrets, is_over)| {
            tokio::spawn(load((at, upstream), secrets, is_over))
        })
        .collect();
    sleep(BEFORE).await;
    let asked = Instant::now();
    block_in_place(|| end(fleet.held.own()));
    let down = Instant::now();
    sleep(time(OUTAGE)).await;
    let started = Instant::now();
    block_in_place(|| fleet.held.own().start_again());
    let back = Instant::now();
    let mut waiting: Vec<_> = upstreams.iter().collect();
    while !waiting.is_empty() {
        assert!(back.elapsed() < RECOVERY, "no recovery");
        let mut still = Vec::new();
        for upstream in waiting {
            if !matches!(check(upstream, &secrets[0], &[]).await, Answer::Allow(_)) {
                still.push(upstream);
            }
        }
        waiting = still;
    }
    // A moment of the load after it.
    sleep(BEFORE).await;
    is_over.store(true, Ordering::Relaxed);
    let mut seen = Vec::new();
    for worker in workers {
        seen.extend(worker.await.unwrap());
    }
    fleet.assert_all_run();
    // Mutations, too.
    create(&upstreams[0], "azion", admin()).await.unwrap();
    Outage { seen, asked, down, started, back }
}

async fn load(
    (replica, upstream): (usize, Upstream),
    secrets: Arc<[String]>,
    is_over: Arc<AtomicBool>,
) -> Vec<Seen> {
    let mut seen = Vec::new();
    for secret in secrets.iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let began = Instant::now();
        let answer = check(&upstream, secret, &[]).await;
        seen.push(Seen { replica, began, answered: Instant::now(), answer });
    }
    seen
}

impl Outage {
    /// The checks that began in this time.
    fn between(&self, from: Instant, to: Instant) -> impl Iterator<Item = &Seen> {
        self.seen.iter().filter(move |seen| (from..to).contains(&seen.began))
    }

    /// The checks of a replica that began after then and were answered during the outage.
    fn past(&self, replica: usize, from: Instant) -> impl Iterator<Item = &Seen> {
        let seen = self.between(from, self.started);
        seen.filter(move |seen| seen.replica == replica && seen.answered < self.started)
    }

    /// When each replica first allowed a check again, from the moment that the server was back.
    fn recovery(&self) -> Vec<Duration> {
        let replicas = 0..=self.seen.iter().map(|seen| seen.replica).max().unwrap();
        let firsts = replicas.map(|replica| {
            let allowed = |seen: &&Seen| {
                seen.replica == replica
                    && seen.began >= self.back
                    && matches!(seen.answer, Answer::Allow(_))
            };
            self.seen.iter().filter(allowed).map(|seen| seen.began - self.back).min().unwrap()
        });
        firsts.collect()
    }

    /// Writes the answers by second, where somebody waits for them.
    fn tell(&self, name: &str) {
        if !is_long() {
            return;
        }
        let kind = Kind::of_this_run();
        let down = (self.started - self.down).as_secs_f64();
        tell(&format!("{kind:?}, {name}: down for {down:.1} s; back: {:?}", self.recovery()));
        tell("| second of the outage | ALLOW | of them stale | UNAVAILABLE | no answer |");
        let first = self.seen.iter().map(|seen| seen.began).min().unwrap();
        let last = self.seen.iter().map(|seen| seen.began).max().unwrap();
        let from = (self.asked - first).as_secs().cast_signed();
        let to = (last - self.asked).as_secs().cast_signed();
        for second in -from - 1..=to {
            let is_of = |seen: &&Seen| {
                let late = seen.began.checked_duration_since(self.asked);
                let early = self.asked.saturating_duration_since(seen.began);
                let at = late.map_or_else(
                    || -early.as_secs().cast_signed() - 1,
                    |late| late.as_secs().cast_signed(),
                );
                at == second
            };
            let mut counts = [0; 4];
            for seen in self.seen.iter().filter(is_of) {
                match seen.answer {
                    Answer::Allow(age) => {
                        counts[0] += 1;
                        counts[1] += i32::from(!age.is_zero());
                    }
                    Answer::Unavailable => counts[2] += 1,
                    Answer::None => counts[3] += 1,
                    Answer::Deny(_) => {}
                }
            }
            let [allow, stale, unavailable, none] = counts;
            tell(&format!("| {second} | {allow} | {stale} | {unavailable} | {none} |"));
        }
    }
}

fn is_fresh(seen: &Seen) -> bool {
    seen.answer == Answer::Allow(Duration::ZERO)
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_past_the_lease_while_the_database_is_gone() {
    let Some(kind) = kind("refuses_past_the_lease_while_the_database_is_gone") else { return };
    let held = Held::Own(block_in_place(|| OwnServer::start(kind)));
    let mut fleet = Fleet::start(held, 3, |_, place| {
        place.with("TOKEND__REPLICA__LEASE", format!("{}ms", LEASE.as_millis()))
    });
    let outage = outage(&mut fleet, OwnServer::stop).await;
    outage.tell("refuse");
    let first = outage.seen.iter().map(|seen| seen.began).min().unwrap();
    assert!(outage.between(first, outage.asked).all(is_fresh));
    assert!(outage.between(outage.asked, outage.down + LEASE).any(is_fresh));
    for replica in 0..3 {
        let past: Vec<_> = outage.past(replica, outage.down + LEASE).collect();
        assert!(!past.is_empty(), "{replica}");
        assert!(past.iter().all(|seen| seen.answer == Answer::Unavailable), "{past:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_stale_facts_for_as_long_as_it_was_told_to() {
    let Some(kind) = kind("serves_stale_facts_for_as_long_as_it_was_told_to") else { return };
    let held = Held::Own(block_in_place(|| OwnServer::start(kind)));
    let mut fleet = Fleet::start(held, 3, |_, place| {
        place
            .with("TOKEND__REPLICA__LEASE", format!("{}ms", LEASE.as_millis()))
            .with("TOKEND__REPLICA__DATABASE_LOSS", "serve_stale")
            .with("TOKEND__REPLICA__STALE_FOR", format!("{}s", BOUND.as_secs()))
    });
    let upstream = fleet.replicas[0].upstream();
    let secret = create(&upstream, "azion", admin()).await.unwrap().0;
    let target = Some(Target::Secret(secret));
    let request = pb::RevokeTokenRequest { target, ..Default::default() };
    let revoked = bounded(upstream.tokens.clone().revoke_token(request)).await.unwrap();
    assert_eq!(Duration::try_from(revoked.stale_for.unwrap()), Ok(BOUND));

    let outage = outage(&mut fleet, OwnServer::kill).await;
    outage.tell("serve_stale");
    let stale = |seen: &Seen| match seen.answer {
        Answer::Allow(age) => !age.is_zero() && age <= BOUND,
        Answer::Deny(_) | Answer::Unavailable | Answer::None => false,
    };
    for replica in 0..3 {
        let within = outage.between(outage.down + LEASE, outage.asked + BOUND - LEASE);
        let within: Vec<_> = within.filter(|seen| seen.replica == replica).collect();
        assert!(within.iter().any(|seen| stale(seen)), "{within:?}");
        // Who met the first failure of a sync waited for it, and may have been too late by then.
        let is_good = |seen: &&Seen| stale(seen) || seen.answer == Answer::Unavailable;
        assert!(within.iter().all(is_good), "{within:?}");
        let past: Vec<_> = outage.past(replica, outage.down + BOUND).collect();
        assert!(!past.is_empty(), "{replica}");
        assert!(past.iter().all(|seen| seen.answer == Answer::Unavailable), "{past:?}");
    }
}
