//! Signing keys that are replaced and ended while their tokens are made and checked without a
//! pause: no check fails by a rotation, and none is allowed by a key that was retired.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokend::client::Upstream;
use tokend::pb;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::super::PATIENCE;
use super::calls::{Answer, admin, by, check, create};
use super::chance::Chance;
use super::{Fleet, Held, time};
use crate::support::Kind;

/// The profiles whose tokens a key signs, each with another algorithm.
const PROFILES: [&str; 3] = ["operation", "apinizer", "harperdb"];

/// How often each key is replaced or ended.
const TIMES: usize = 3;

/// How many checks there are between two of these on each replica, at least.
const CHECKS: usize = 30;

/// A JWT, and the key that it names.
#[derive(Clone)]
struct Signed {
    secret: String,
    kid: String,
}

/// A key whose end was asked for.
#[derive(Debug, Clone, Copy)]
struct End {
    asked: Instant,
    /// When it was acknowledged.
    done: Option<Instant>,
}

/// What those who make and check tokens share.
#[derive(Default)]
struct Load {
    tokens: Mutex<Vec<Signed>>,
    ends: Mutex<HashMap<String, End>>,
    checks: Vec<AtomicUsize>,
    faults: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

fn kid(jwt: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(jwt.split('.').next().unwrap()).unwrap();
    let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    fn fault(&self, what: String) {
        self.faults.lock().unwrap().push(what);
    }

    fn end_of(&self, kid: &str) -> Option<End> {
        self.ends.lock().unwrap().get(kid).copied()
    }

    /// Makes tokens of every profile.
    async fn make(self: Arc<Self>, upstream: Upstream) {
        while self.goes_on() {
            for profile in PROFILES {
                match create(&upstream, profile, admin()).await {
                    Ok((secret, _)) => {
                        let kid = kid(&secret);
                        self.tokens.lock().unwrap().push(Signed { secret, kid });
                    }
                    Err(refused) => self.fault(format!("no token of {profile}: {refused:?}")),
                }
            }
        }
    }

    /// Checks tokens on a replica, the new ones above all.
    async fn check(self: Arc<Self>, (at, upstream): (usize, Upstream)) {
        let mut chance = Chance::new();
        while self.goes_on() {
            let token = {
                let tokens = self.tokens.lock().unwrap();
                let recent = &tokens[tokens.len().saturating_sub(30)..];
                if recent.is_empty() { None } else { Some(chance.one(recent).clone()) }
            };
            let Some(token) = token else {
                tokio::task::yield_now().await;
                continue;
            };
            let began = Instant::now();
            let answer = check(&upstream, &token.secret, &[]).await;
            self.checks[at].fetch_add(1, Ordering::Relaxed);
            let end = self.end_of(&token.kid);
            let is_right = match (answer, end) {
                (Answer::Allow(_), end) => {
                    end.and_then(|end| end.done).is_none_or(|done| began <= done)
                }
                (Answer::Deny(pb::DenyReason::RevokedToken), Some(end)) => {
                    Instant::now() > end.asked
                }
                (Answer::Deny(_) | Answer::Unavailable | Answer::None, _) => false,
            };
            if !is_right {
                self.fault(format!("replica {at}: {answer:?} of {} by {end:?}", token.kid));
            }
        }
    }

    /// Waits until each replica has answered so many checks more.
    async fn checked(&self) {
        let before: Vec<_> =
            self.checks.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let is_done = || {
            let now = self.checks.iter().map(|count| count.load(Ordering::Relaxed));
            now.zip(&before).all(|(now, before)| now >= before + CHECKS)
        };
        while !is_done() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Replicas under load.
struct Busy {
    fleet: Fleet,
    upstreams: Vec<Upstream>,
    load: Arc<Load>,
    workers: Vec<JoinHandle<()>>,
    bearer: String,
}

impl Busy {
    async fn start() -> Self {
        let kind = Kind::of_this_run();
        let count = if kind == Kind::Sqlite { 1 } else { 3 };
        let fleet = Fleet::start(Held::shared(kind).await, count, |_, place| place);
        let upstreams = fleet.upstreams();
        // Not by a key that may be retired.
        let bearer = create(&upstreams[0], "azion", admin()).await.unwrap().0;
        let checks = upstreams.iter().map(|_| AtomicUsize::default()).collect();
        let load = Arc::new(Load { checks, ..Load::default() });
        let last = upstreams.last().unwrap().clone();
        let mut workers = vec![tokio::spawn(Arc::clone(&load).make(last))];
        for busy in upstreams.iter().cloned().enumerate() {
            workers.push(tokio::spawn(Arc::clone(&load).check(busy)));
        }
        Self { fleet, upstreams, load, workers, bearer }
    }

    /// Ends the load, and answers what went wrong under it.
    async fn stop(&mut self) -> Vec<String> {
        self.load.checked().await;
        self.load.is_over.store(true, Ordering::Relaxed);
        for worker in self.workers.drain(..) {
            worker.await.unwrap();
        }
        self.fleet.assert_all_run();
        std::mem::take(&mut self.load.faults.lock().unwrap())
    }

    /// Runs this over and over: so often, or for as long as somebody waits for it.
    async fn repeat(&self, mut run: impl AsyncFnMut(&'static str, &Upstream)) {
        let began = Instant::now();
        let mut count = 0;
        while count < TIMES || began.elapsed() < time(Duration::ZERO) {
            for profile in PROFILES {
                self.load.checked().await;
                run(profile, &self.upstreams[count % self.upstreams.len()]).await;
            }
            count += 1;
        }
    }

    /// The key that signs for a profile.
    async fn active(&self, profile: &str, upstream: &Upstream) -> String {
        let request = pb::ListSigningKeysRequest { profile: profile.to_owned() };
        let request = by(&self.bearer, request);
        let mut keys = upstream.keys.clone();
        let listed = timeout(PATIENCE, keys.list_signing_keys(request));
        let keys = listed.await.unwrap().unwrap().into_inner().keys;
        let is_active = |key: &&pb::SigningKey| key.state() == pb::SigningKeyState::Active;
        keys.iter().find(is_active).unwrap().id.clone()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_no_check_while_they_are_replaced() {
    let mut busy = Busy::start().await;
    let rotate = async |profile: &'static str, upstream: &Upstream| {
        let request = pb::RotateSigningKeyRequest { profile: profile.to_owned(), skip_wait: false };
        let request = by(&busy.bearer, request);
        timeout(PATIENCE, upstream.keys.clone().rotate_signing_key(request))
            .await
            .unwrap()
            .unwrap();
    };
    busy.repeat(rotate).await;
    assert_eq!(busy.stop().await, [""; 0]);
    // What the first of them signed is as good as what the last one does.
    let tokens = std::mem::take(&mut *busy.load.tokens.lock().unwrap());
    let kids: std::collections::BTreeSet<_> = tokens.iter().map(|token| &token.kid).collect();
    assert!(kids.len() > PROFILES.len() * TIMES, "{kids:?}");
    for upstream in &busy.upstreams {
        for token in &tokens {
            let answer = check(upstream, &token.secret, &[]).await;
            assert!(matches!(answer, Answer::Allow(_)), "{answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn end_all_that_they_signed_once_they_are_retired() {
    let mut busy = Busy::start().await;
    let retire = async |profile: &'static str, upstream: &Upstream| {
        let key_id = busy.active(profile, upstream).await;
        let end = End { asked: Instant::now(), done: None };
        busy.load.ends.lock().unwrap().insert(key_id.clone(), end);
        let request = pb::RetireSigningKeyRequest { key_id: key_id.clone(), skip_wait: false };
        let request = by(&busy.bearer, request);
        timeout(PATIENCE, upstream.keys.clone().retire_signing_key(request))
            .await
            .unwrap()
            .unwrap();
        let end = End { done: Some(Instant::now()), ..end };
        busy.load.ends.lock().unwrap().insert(key_id, end);
    };
    busy.repeat(retire).await;
    assert_eq!(busy.stop().await, [""; 0]);
    let tokens = std::mem::take(&mut *busy.load.tokens.lock().unwrap());
    let is_dead = |token: &&Signed| busy.load.end_of(&token.kid).is_some();
    assert!(tokens.iter().filter(is_dead).count() > TIMES, "none was of a retired key");
    assert!(!tokens.iter().all(|token| is_dead(&token)), "none was of a key in use");
    for again in [false, true] {
        for at in 0..busy.fleet.replicas.len() {
            if again {
                busy.fleet.replicas[at].kill();
                busy.fleet.replicas[at].start_again();
            }
            let upstream = busy.fleet.replicas[at].upstream();
            for token in &tokens {
                let answer = check(&upstream, &token.secret, &[]).await;
                if is_dead(&token) {
                    assert_eq!(answer, Answer::Deny(pb::DenyReason::RevokedToken));
                } else {
                    assert!(matches!(answer, Answer::Allow(_)), "{answer:?}");
                }
            }
        }
    }
}
