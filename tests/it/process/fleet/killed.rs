//! `kill -9` of a replica at random moments: what was acknowledged holds, on every replica, and
//! nothing is half-made.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokend::client::Upstream;
use tokend::pb;
use tokend::pb::create_token_request::Credential;
use tokio::time::{Instant, sleep};
use tonic::Code;

use super::calls::{Answer, admin, bounded, by, check, create, refresh, revoke};
use super::chance::Chance;
use super::{Fleet, Held, is_long, tell, time};
use crate::support::Kind;

/// How many times a replica is killed at least.
const KILLS: u32 = 6;

/// How long the work goes on before a kill.
const MOST: Duration = Duration::from_millis(600);

/// How many tasks do each sort of work.
const WORKERS: usize = 3;

/// Lets what is over look as if it had been for days, so that there is something to purge.
const AGE: [&str; 4] = [
    "UPDATE tokens SET revoked_at = 1 WHERE revoked_at IS NOT NULL",
    "UPDATE grants SET revoked_at = 1 WHERE revoked_at IS NOT NULL",
    "UPDATE revocations SET until = 1 WHERE until IS NOT NULL",
    "UPDATE changes SET committed_at = 1",
];

/// What a caller was told of a token or a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Made,
    /// Its end was asked for, and no answer came.
    AskedToEnd,
    Ended,
}

/// An operation token, and the refresh token that goes with it where there is one.
#[derive(Debug)]
struct Word {
    secret: String,
    refresh: Option<String>,
    told: Told,
}

/// Who works until a replica no longer answers, or all is over.
#[derive(Clone)]
struct Worker {
    upstream: Upstream,
    bearer: String,
    is_over: Arc<AtomicBool>,
}

/// How many words were kept.
#[derive(Debug, Default)]
struct Tally {
    kills: u32,
    made: usize,
    ended: usize,
    sessions: usize,
    asked: usize,
    purged: i64,
}

impl Worker {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// Makes opaque tokens, and ends every other one.
    async fn tokens(self) -> Vec<Word> {
        let mut words: Vec<Word> = Vec::new();
        while self.goes_on() {
            let credential = Credential::BearerToken(self.bearer.clone());
            let Ok((secret, refresh)) = create(&self.upstream, "azion", credential).await else {
                break;
            };
            words.push(Word { secret, refresh, told: Told::Made });
            if words.len().is_multiple_of(2) && !self.end(words.last_mut().unwrap()).await {
                break;
            }
        }
        words
    }

    /// Signs in, refreshes some times, and ends every other session.
    async fn sessions(self) -> Vec<Word> {
        let mut words: Vec<Word> = Vec::new();
        while self.goes_on() {
            let Ok((secret, first)) = create(&self.upstream, "operation", admin()).await else {
                break;
            };
            let mut word = Word { secret, refresh: first, told: Told::Made };
            let mut is_lost = false;
            for _ in 0..4 {
                match refresh(&self.upstream, word.refresh.as_deref().unwrap()).await {
                    Ok((secret, next)) => (word.secret, word.refresh) = (secret, Some(next)),
                    Err(_) => is_lost = true,
                }
                if is_lost || !self.goes_on() {
                    break;
                }
            }
            is_lost = is_lost || (words.len() % 2 == 1 && !self.end(&mut word).await);
            words.push(word);
            if is_lost {
                break;
            }
        }
        words
    }

    /// Ends a token, or its session where it has one. Answers whether that was acknowledged.
    async fn end(&self, word: &mut Word) -> bool {
        word.told = Told::AskedToEnd;
        let done = revoke(&self.upstream, word.refresh.as_ref().unwrap_or(&word.secret)).await;
        if done.is_ok() {
            word.told = Told::Ended;
        }
        done.is_ok()
    }

    /// Purges.
    async fn purges(self) -> i64 {
        let mut count = 0;
        while self.goes_on() {
            let request = by(&self.bearer, pb::PurgeRequest {});
            let Ok(purged) = bounded(self.upstream.maintenance.clone().purge(request)).await else {
                break;
            };
            count += purged.token_count + purged.grant_count + purged.change_count;
        }
        count
    }
}

/// Works on all replicas, kills one at some moment, starts it again, and holds all to their words.
async fn kill_once(fleet: &mut Fleet, chance: &mut Chance, tally: &mut Tally) {
    age(fleet);
    let upstreams = fleet.upstreams();
    let (bearer, session) = create(&upstreams[0], "operation", admin()).await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let victim = chance.below(upstreams.len());
    let worker = |at: usize| {
        // Half of the work is the victim's.
        let on = if at.is_multiple_of(2) { victim } else { at / 2 % upstreams.len() };
        let (upstream, bearer) = (upstreams[on].clone(), bearer.clone());
        Worker { upstream, bearer, is_over: Arc::clone(&is_over) }
    };
    let tokens: Vec<_> = (0..WORKERS).map(|at| tokio::spawn(worker(at).tokens())).collect();
    let sessions: Vec<_> = (0..WORKERS).map(|at| tokio::spawn(worker(at).sessions())).collect();
    let purges = tokio::spawn(worker(0).purges());
    sleep(chance.time(MOST)).await;
    fleet.replicas[victim].kill();
    is_over.store(true, Ordering::Relaxed);
    tally.kills += 1;
    tally.purged += purges.await.unwrap();
    let mut words = Vec::new();
    for worker in tokens.into_iter().chain(sessions) {
        words.extend(worker.await.unwrap());
    }
    // Those that are left keep their word while one is gone, and so does that one when it is back.
    for (at, upstream) in upstreams.iter().enumerate() {
        if at != victim {
            assert_kept(upstream, &words).await;
        }
    }
    fleet.replicas[victim].start_again();
    let back = fleet.replicas[victim].upstream();
    assert_kept(&back, &words).await;
    let any = chance.one(&upstreams[..]);
    let any = if std::ptr::eq(any, &raw const upstreams[victim]) { &back } else { any };
    refresh_all(any, &words).await;
    tally.add(&words);

    revoke(&back, &session.unwrap()).await.unwrap();
    let tokens = words.iter().filter(|word| word.refresh.is_none());
    let ends = tokens.map(async |word| {
        let answer = check(any, &word.secret, &[]).await;
        assert!(matches!(answer, Answer::Deny(_)), "{answer:?} {word:?}");
    });
    join_all(ends).await;
}

fn age(fleet: &Fleet) {
    let Held::Shared(database) = &fleet.held else { panic!("it is beside others") };
    for statement in AGE {
        database.run(statement);
    }
}

/// Holds a replica to what callers were told.
async fn assert_kept(upstream: &Upstream, words: &[Word]) {
    let checks = words.iter().map(async |word| {
        let answer = check(upstream, &word.secret, &[]).await;
        match word.told {
            Told::Made => assert!(matches!(answer, Answer::Allow(_)), "{answer:?} {word:?}"),
            Told::AskedToEnd => {}
            Told::Ended => assert!(matches!(answer, Answer::Deny(_)), "{answer:?} {word:?}"),
        }
    });
    join_all(checks).await;
}

/// Refreshes every session by the last secret that its caller got: though a refresh may have been
/// under way, it is not lost. One that was ended stays so.
async fn refresh_all(upstream: &Upstream, words: &[Word]) {
    let sessions = words.iter().filter_map(|word| Some((word, word.refresh.as_ref()?)));
    let refreshes = sessions.map(async |(word, secret)| {
        let answer = refresh(upstream, secret).await;
        match (word.told, &answer) {
            (Told::AskedToEnd, _) => {}
            (Told::Made, Ok((fresh, _))) => {
                let answer = check(upstream, fresh, &[]).await;
                assert!(matches!(answer, Answer::Allow(_)), "{answer:?} {word:?}");
            }
            (Told::Ended, Err(status)) if status.code() == Code::Unauthenticated => {}
            (Told::Made | Told::Ended, _) => panic!("{answer:?} {word:?}"),
        }
    });
    join_all(refreshes).await;
}

impl Tally {
    fn add(&mut self, words: &[Word]) {
        for word in words {
            match word.told {
                Told::Made => self.made += 1,
                Told::AskedToEnd => self.asked += 1,
                Told::Ended => self.ended += 1,
            }
            self.sessions += usize::from(word.refresh.is_some());
        }
    }
}

/// Lists what is left: each token is of a grant, and in a state.
async fn assert_every_token_is_whole(upstream: &Upstream) {
    let bearer = create(upstream, "operation", admin()).await.unwrap().0;
    let mut page_token = String::new();
    loop {
        let request = pb::ListTokensRequest { page_token, page_size: 500, ..Default::default() };
        let page = bounded(upstream.tokens.clone().list_tokens(by(&bearer, request))).await;
        let page = page.unwrap();
        for token in &page.tokens {
            assert!(!token.grant_id.is_empty() && token.create_time.is_some(), "{token:?}");
            let is_revoked = token.state() == pb::TokenState::Revoked;
            assert_eq!(token.revoke_time.is_some(), is_revoked, "{token:?}");
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_every_word_that_it_gave_before_it_was_killed() {
    let kind = Kind::of_this_run();
    let count = if kind == Kind::Sqlite { 1 } else { 2 };
    let mut fleet = Fleet::start(Held::shared(kind).await, count, |_, place| place);
    let (began, mut chance, mut tally) = (Instant::now(), Chance::new(), Tally::default());
    while tally.kills < KILLS || began.elapsed() < time(Duration::ZERO) {
        kill_once(&mut fleet, &mut chance, &mut tally).await;
    }
    assert_every_token_is_whole(&fleet.replicas[0].upstream()).await;
    fleet.assert_all_run();
    if is_long() {
        tell(&format!("{kind:?}, killed: {tally:?}"));
    }
    assert!(tally.made > 0 && tally.ended > 0 && tally.sessions > 0, "{tally:?}");
    assert!(tally.purged > 0, "{tally:?}");
}
