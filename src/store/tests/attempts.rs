//! Attempts to sign in.

use std::sync::{Arc, Mutex};

use super::*;

fn attempt(name: &str, network: &str, seconds: u64) -> Attempt {
    Attempt {
        realm: Realm::default(),
        username: Username::parse(name).unwrap(),
        network: network.to_owned(),
        policy: LockoutPolicy {
            failures: 3,
            first_lock: Duration::from_mins(1),
            longest_lock: Duration::from_mins(3),
            forget_after: HOUR,
        },
        longest_memory: HOUR,
        at: at(0).plus(Duration::from_secs(seconds)),
        lock_audit: audit(0),
    }
}

/// By a policy that locks for longer, from the second failure on, and that forgets sooner.
fn strict(name: &str, seconds: u64) -> Attempt {
    let policy = LockoutPolicy {
        failures: 2,
        first_lock: Duration::from_mins(10),
        longest_lock: Duration::from_mins(10),
        forget_after: Duration::from_mins(10),
    };
    Attempt { policy, ..attempt(name, "", seconds) }
}

async fn is_locked(bed: &Bed, attempt: &Attempt) -> bool {
    matches!(bed.begin_attempt(attempt).await.unwrap(), AttemptStart::Locked)
}

async fn fail(bed: &Bed, attempt: &Attempt, times: u32) {
    for _ in 0..times {
        assert!(!is_locked(bed, attempt).await);
    }
}

/// Begins an attempt of somebody who is known and not locked.
async fn begin(bed: &Bed, attempt: &Attempt) -> (UserId, Counter) {
    let start = bed.begin_attempt(attempt).await.unwrap();
    let AttemptStart::Known { user, password_hash: _, counter } = start else {
        panic!("{start:?}")
    };
    (user.id, counter)
}

async fn succeed(bed: &Bed, attempt: &Attempt) {
    let (user, counter) = begin(bed, attempt).await;
    bed.succeed_attempt(attempt, user, &counter).await.unwrap();
}

#[tokio::test]
async fn locks_from_the_third_failure_each_time_for_longer() {
    let bed = bed().await;
    bed.user(1, "alice").await;
    let audited = bed.audit_count().await;
    for name in ["alice", "nobody"] {
        fail(&bed, &attempt(name, "", 0), 3).await;
        for (locked_at, free_at) in [(59, 60), (179, 180), (359, 360), (539, 540)] {
            assert!(is_locked(&bed, &attempt(name, "", locked_at)).await, "{name} {locked_at}");
            fail(&bed, &attempt(name, "", free_at), 1).await;
        }
    }
    assert_eq!(bed.audit_count().await, audited + 10, "each lock is remembered");
}

#[tokio::test]
async fn says_who_is_known_with_their_hash() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    let start = bed.begin_attempt(&attempt("ALICE", "", 0)).await.unwrap();
    assert!(matches!(start, AttemptStart::Known { user: found, password_hash: Some(_), .. }
        if found.id == user));
    let start = bed.begin_attempt(&attempt("nobody", "", 0)).await.unwrap();
    assert!(matches!(start, AttemptStart::Unknown));
}

#[tokio::test]
async fn counts_each_of_many_at_once() {
    let bed = bed().await;
    bed.user(1, "alice").await;
    let attempt = attempt("alice", "", 0);
    let begin = || is_locked(&bed, &attempt);
    let all = tokio::join!(begin(), begin(), begin(), begin(), begin());
    let locked = [all.0, all.1, all.2, all.3, all.4].into_iter().filter(|locked| *locked);
    assert_eq!(locked.count(), 2);
}

#[tokio::test]
async fn forgets_failures_of_long_ago() {
    let bed = bed().await;
    bed.user(1, "alice").await;
    fail(&bed, &attempt("alice", "", 0), 2).await;
    fail(&bed, &attempt("alice", "", 3601), 2).await;
    assert!(!is_locked(&bed, &attempt("alice", "", 3602)).await);
}

#[tokio::test]
async fn success_clears_the_failures() {
    let bed = bed().await;
    bed.user(1, "alice").await;
    fail(&bed, &attempt("alice", "", 0), 2).await;
    succeed(&bed, &attempt("alice", "", 0)).await;
    fail(&bed, &attempt("alice", "", 1), 3).await;
}

#[tokio::test]
async fn strangers_do_not_lock_the_owner_out() {
    let bed = bed().await;
    bed.user(1, "alice").await;
    succeed(&bed, &attempt("alice", "home", 0)).await;

    fail(&bed, &attempt("alice", "away", 1), 3).await;

    assert!(is_locked(&bed, &attempt("alice", "away", 2)).await);
    assert!(!is_locked(&bed, &attempt("alice", "home", 2)).await);
    let month = 31 * 24 * 3600;
    fail(&bed, &attempt("alice", "away", month), 3).await;
    assert!(is_locked(&bed, &attempt("alice", "home", month + 1)).await, "known no more");
}

#[tokio::test]
async fn knows_a_network_from_its_latest_success_on() {
    let bed = bed().await;
    bed.user(1, "alice").await;
    let day = |days: u64| days * 24 * 3600;
    for since in [0, 1800, day(20)] {
        succeed(&bed, &attempt("alice", "home", since)).await;
    }

    fail(&bed, &attempt("alice", "away", day(49)), 3).await;

    assert!(!is_locked(&bed, &attempt("alice", "home", day(49))).await);
    assert!(is_locked(&bed, &attempt("alice", "away", day(49))).await);
}

#[tokio::test]
async fn success_clears_the_counter_that_its_beginning_used() {
    let bed = bed().await;
    bed.user(1, "alice").await;
    let early = attempt("alice", "home", 0);
    let (user, counter) = begin(&bed, &early).await;
    // Another from the same network makes it known before the early one ends.
    succeed(&bed, &attempt("alice", "home", 1)).await;
    fail(&bed, &attempt("alice", "home", 2), 2).await;
    bed.succeed_attempt(&early, user, &counter).await.unwrap();
    fail(&bed, &attempt("alice", "home", 3), 1).await;
    assert!(is_locked(&bed, &attempt("alice", "home", 4)).await, "the network's own stands");
}

#[tokio::test]
async fn takes_back_an_attempt_and_the_lock_that_it_caused() {
    let bed = bed().await;
    bed.user(1, "alice").await;
    let third = attempt("alice", "", 0);
    fail(&bed, &third, 3).await;
    assert!(is_locked(&bed, &attempt("alice", "", 1)).await);
    bed.cancel_attempt(&third).await.unwrap();
    fail(&bed, &attempt("alice", "", 2), 1).await;
    assert!(is_locked(&bed, &attempt("alice", "", 3)).await, "two of three were left");
}

#[tokio::test]
async fn takes_back_no_lock_that_another_attempt_set() {
    let bed = bed().await;
    bed.user(1, "alice").await;
    let first = attempt("alice", "", 0);
    fail(&bed, &first, 1).await;
    fail(&bed, &strict("alice", 1), 1).await;
    bed.cancel_attempt(&first).await.unwrap();
    assert!(is_locked(&bed, &attempt("alice", "", 600)).await);
    assert!(!is_locked(&bed, &attempt("alice", "", 601)).await);
}

#[tokio::test]
async fn forgets_at_the_very_end_of_a_lock_that_is_as_long() {
    let bed = bed().await;
    bed.user(1, "alice").await;
    for start in [0, 600, 1200] {
        fail(&bed, &strict("alice", start), 2).await;
        assert!(is_locked(&bed, &strict("alice", start + 599)).await);
    }
    // A policy that remembers for longer counts them all.
    fail(&bed, &attempt("alice", "", 1800), 1).await;
    assert!(is_locked(&bed, &attempt("alice", "", 1801)).await);
}

/// What a guesser does next.
#[derive(Clone, Copy)]
enum Move {
    /// Guesses, by the policy that locks late and remembers for a day.
    Growing,
    /// Guesses, by the policy that locks for half an hour and then forgets.
    Flat,
    /// Leaves the name alone for half an hour.
    Rest,
}

const DAY: u64 = 24 * 3600;

/// Guesses for a day as soon as the counter allows it, and answers when each guess was made.
fn guess(moves: impl IntoIterator<Item = Move>) -> Vec<u64> {
    let policy = |failures, first_lock, longest_lock, forget_after| LockoutPolicy {
        failures,
        first_lock: Duration::from_secs(first_lock),
        longest_lock: Duration::from_secs(longest_lock),
        forget_after: Duration::from_secs(forget_after),
    };
    let (growing, flat) = (policy(10, 1, 900, DAY), policy(6, 1800, 1800, 1800));
    let mut row = crate::store::entity::attempt::Model {
        bucket: String::new(),
        failures: 0,
        last_failure_at: 0,
        locked_until: None,
        forgiven: 0,
        memory: 0,
    };
    let (mut now, mut guesses) = (0, vec![]);
    for next in moves {
        let policy = match next {
            Move::Growing => growing,
            Move::Flat => flat,
            Move::Rest => {
                now += 1800;
                continue;
            }
        };
        if now >= DAY {
            break;
        }
        let longest_memory = Duration::from_secs(DAY);
        let attempt = Attempt { policy, longest_memory, ..attempt("alice", "", now) };
        row = crate::store::attempts::after_failure(row, &attempt);
        guesses.push(now);
        if let Some(end) = row.locked_until {
            now += Timestamp::from_micros(end).since(attempt.at).as_secs();
        }
    }
    guesses
}

#[test]
fn lets_nobody_guess_faster_by_changing_between_policies() {
    use std::iter::repeat_n;

    let alone = [Move::Growing, Move::Flat].map(|by| guess(repeat_n(by, 1000)));
    let until = |guesses: &[u64], end: u64| guesses.iter().filter(|at| **at <= end).count();
    for growing in 0..25 {
        for flat in 0..8 {
            for rests in 0..3 {
                let round = repeat_n(Move::Growing, growing)
                    .chain(repeat_n(Move::Flat, flat))
                    .chain(repeat_n(Move::Rest, rests));
                let moves: Vec<_> = round.collect();
                let mixed = guess(moves.iter().copied().cycle().take(1000));
                for (made, at) in (1..).zip(&mixed) {
                    let fastest = alone.iter().map(|guesses| until(guesses, *at)).max().unwrap();
                    // One may come a little before the lock of the faster policy ends.
                    assert!(made <= fastest + 1, "{growing} {flat} {rests}: {made}, {fastest}");
                }
            }
        }
    }
}

#[tokio::test]
async fn unlocks_every_counter_of_a_user() {
    let bed = bed().await;
    let user = bed.user(1, "alice").await;
    succeed(&bed, &attempt("alice", "home", 0)).await;
    for network in ["home", "away"] {
        fail(&bed, &attempt("alice", network, 0), 3).await;
    }
    let audited = bed.audit_count().await;
    let _ = bed.unlock_user(user, &order(0)).await.unwrap();
    for network in ["home", "away"] {
        assert!(!is_locked(&bed, &attempt("alice", network, 1)).await, "{network}");
    }
    assert_eq!(bed.audit_count().await, audited + 1);
}

#[tokio::test]
async fn asks_the_same_of_the_database_for_a_known_name_and_an_unknown_one() {
    let mut bed = bed().await;
    bed.user(1, "alice").await;
    let asked = Arc::new(Mutex::new(vec![]));
    let statements = asked.clone();
    bed.store.writers.set_metric_callback(move |info| {
        statements.lock().unwrap().push(info.statement.sql.clone());
    });
    for seconds in 0..4 {
        let mut both = vec![];
        for name in ["alice", "nobody"] {
            let attempt = attempt(name, "home", seconds);
            let locked = is_locked(&bed, &attempt).await;
            both.push((locked, std::mem::take(&mut *asked.lock().unwrap())));
        }
        assert_eq!(both[0], both[1]);
        assert_eq!((both[0].0, both[0].1.is_empty()), (seconds == 3, false));
    }
}
