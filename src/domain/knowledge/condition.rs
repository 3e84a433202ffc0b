//! How the reads of the tail fare, told once when that changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{info, warn};

use crate::domain::clock::Instant;
use crate::domain::error::{Error, NoLease};
use crate::domain::lease::Lease;

/// After so many syncs in a row that took a whole lease, and so long, the database counts as too far
/// away: a few may have met a moment of a busy machine.
pub(super) const SLOW_SYNCS: usize = 3;
const SLOW_TIME: Duration = Duration::from_secs(1);

/// How the database answers the tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// It answers in time.
    Good,
    /// It answers, and each answer is older than a lease by the time it is here.
    TooFar {
        /// What the last one took.
        round_trip: Duration,
    },
    /// It did not answer the last time.
    Lost,
}

/// Follows the syncs of one replica.
#[derive(Debug)]
pub(super) struct Conditions {
    lease: Lease,
    now: Mutex<Now>,
    // Whether somebody reads the tail again and again, so that a bad condition ends by itself.
    followed: AtomicBool,
}

#[derive(Debug)]
struct Now {
    condition: Condition,
    slow: Option<Slow>,
}

/// Syncs that took a whole lease each, and no other in between.
#[derive(Debug, Clone, Copy)]
struct Slow {
    count: usize,
    since: Instant,
}

impl Conditions {
    /// Begins well: where it does not, nothing starts.
    pub(super) const fn new(lease: Lease) -> Self {
        let now = Now { condition: Condition::Good, slow: None };
        Self { lease, now: Mutex::new(now), followed: AtomicBool::new(false) }
    }

    /// How it is now.
    pub(super) fn get(&self) -> Condition {
        self.now().condition
    }

    /// Says that the tail is read again and again until the answer is dropped.
    pub(super) fn follow(&self) -> Following<'_> {
        self.followed.store(true, Ordering::Release);
        Following(self)
    }

    /// Why a call need not even ask the database: what is wrong is known, and whoever follows it
    /// will notice the end of it.
    pub(super) fn known_fault(&self) -> Option<NoLease> {
        if !self.followed.load(Ordering::Acquire) {
            return None;
        }
        self.fault()
    }

    /// What is wrong, as far as it is known.
    pub(super) fn fault(&self) -> Option<NoLease> {
        match (self.get(), self.lease) {
            (Condition::Lost, _) => Some(NoLease::Lost),
            (Condition::TooFar { round_trip }, Lease::For(lease)) => {
                Some(NoLease::TooFar { round_trip, lease })
            }
            (Condition::TooFar { .. }, Lease::Endless) | (Condition::Good, _) => None,
        }
    }

    /// Notes a sync that was asked then and answered then.
    pub(super) fn answered(&self, asked: Instant, answered: Instant) {
        let mut now = self.now();
        let round_trip = answered.since(asked);
        let lease = match self.lease {
            Lease::For(lease) if round_trip >= lease => lease,
            Lease::For(_) | Lease::Endless => return now.become_good(),
        };
        let Slow { count, since } = now.slow.unwrap_or(Slow { count: 0, since: asked });
        let slow = Slow { count: count.saturating_add(1), since };
        now.slow = Some(slow);
        if slow.count < SLOW_SYNCS || answered.since(since) < SLOW_TIME {
            return;
        }
        if !matches!(now.condition, Condition::TooFar { .. }) {
            warn!(
                database.round_trip = %humane(round_trip),
                replica.lease = %humane(lease),
                "the round trip to the database is longer than the lease: no decision can be made",
            );
        }
        now.condition = Condition::TooFar { round_trip };
    }

    /// Notes a sync that failed.
    pub(super) fn failed(&self, error: &Error) {
        let mut now = self.now();
        now.slow = None;
        if now.condition != Condition::Lost {
            let cause = std::error::Error::source(error);
            warn!(%error, cause, "the database does not answer; it is asked on");
        }
        now.condition = Condition::Lost;
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Now {
    fn become_good(&mut self) {
        match self.condition {
            Condition::Good => {}
            Condition::Lost => info!("the database answers again"),
            Condition::TooFar { .. } => {
                info!("the round trip to the database is shorter than the lease again");
            }
        }
        *self = Self { condition: Condition::Good, slow: None };
    }
}

/// As long as it lives, somebody reads the tail again and again.
pub(super) struct Following<'a>(&'a Conditions);

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.0.followed.store(false, Ordering::Release);
    }
}

/// Whole milliseconds, for people.
fn humane(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_millis(200);

    fn conditions() -> Conditions {
        Conditions::new(Lease::For(LEASE))
    }

    /// Syncs, one after the other, each of which takes so long.
    fn sync(conditions: &Conditions, start: &mut Instant, time: Duration) {
        let asked = *start;
        *start = asked.plus(time);
        conditions.answered(asked, *start);
    }

    #[test]
    fn is_too_far_only_after_several_slow_answers_in_a_row_and_a_while() {
        let (conditions, mut now) = (conditions(), Instant::from_duration(Duration::ZERO));
        for _ in 0..2 {
            // A second is not over before the fifth.
            for _ in 0..4 {
                sync(&conditions, &mut now, LEASE);
                assert_eq!(conditions.get(), Condition::Good);
            }
            sync(&conditions, &mut now, LEASE / 2);
        }
        for _ in 0..5 {
            sync(&conditions, &mut now, LEASE);
        }
        let far = NoLease::TooFar { round_trip: LEASE, lease: LEASE };
        assert_eq!(conditions.fault(), Some(far));
        sync(&conditions, &mut now, LEASE / 2);
        assert_eq!(conditions.fault(), None);
        for _ in 1..SLOW_SYNCS {
            sync(&conditions, &mut now, Duration::from_secs(1));
            assert_eq!(conditions.fault(), None, "a while, and too few");
        }
        sync(&conditions, &mut now, Duration::from_secs(1));
        assert!(conditions.fault().is_some());
    }

    #[test]
    fn knows_a_fault_only_while_somebody_follows_it() {
        let conditions = conditions();
        conditions.failed(&Error::internal("gone"));
        assert_eq!(conditions.fault(), Some(NoLease::Lost));
        assert_eq!(conditions.known_fault(), None);
        let following = conditions.follow();
        assert_eq!(conditions.known_fault(), Some(NoLease::Lost));
        drop(following);
        assert_eq!(conditions.known_fault(), None);
    }

    #[test]
    fn has_no_distance_where_the_lease_is_endless() {
        let conditions = Conditions::new(Lease::Endless);
        let mut now = Instant::from_duration(Duration::ZERO);
        for _ in 0..SLOW_SYNCS {
            sync(&conditions, &mut now, Duration::from_mins(1));
        }
        assert_eq!(conditions.get(), Condition::Good);
    }
}
