//! What a run has seen, counted.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::calls::Answer;
use super::{LEASE, tell};

/// Counts from many tasks.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Figures>);

/// The counts.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) rounds: u64,
    /// Rounds that could not begin.
    pub(super) lost_rounds: u64,
    pub(super) revocations: u64,
    /// Revocations that failed, of which nothing is expected.
    pub(super) failed: u64,
    pub(super) checks: u64,
    /// Checks that began after the revocation had answered.
    pub(super) after: u64,
    /// And not later than a lease.
    pub(super) near: u64,
    pub(super) breaches: Vec<String>,
    pub(super) unavailable: u64,
    /// Checks without an answer.
    pub(super) unanswered: u64,
    /// How long the revocations took.
    waits: Vec<Duration>,
}

impl Ledger {
    pub(super) fn figures(&self) -> MutexGuard<'_, Figures> {
        self.0.lock().unwrap()
    }

    /// Notes a check that began `since` the revocation of its token had answered, if it had.
    pub(super) fn note(
        &self,
        answer: Answer,
        since: Option<Duration>,
        what: impl FnOnce() -> String,
    ) {
        let mut figures = self.figures();
        figures.checks += 1;
        figures.after += u64::from(since.is_some());
        figures.near += u64::from(since.is_some_and(|since| since <= LEASE));
        match (answer, since) {
            (Answer::Allow(_), Some(since)) => {
                let breach = format!("{} was allowed {since:?} after its end", what());
                figures.breaches.push(breach);
            }
            (Answer::Unavailable, _) => figures.unavailable += 1,
            (Answer::None, _) => figures.unanswered += 1,
            (Answer::Allow(_), None) | (Answer::Deny(_), _) => {}
        }
    }

    /// Notes a revocation that answered after this time.
    pub(super) fn ended(&self, wait: Duration) {
        let mut figures = self.figures();
        figures.revocations += 1;
        figures.waits.push(wait);
    }
}

impl Figures {
    /// The time that this share of the revocations did not exceed.
    fn quantile(&self, hundredth: usize) -> Duration {
        let mut waits = self.waits.clone();
        waits.sort_unstable();
        let at = waits.len().saturating_sub(1) * hundredth / 100;
        waits.get(at).copied().unwrap_or_default()
    }

    /// Writes a row of the table.
    pub(super) fn tell(&self, run: &str) {
        let (p50, p99) = (self.quantile(50).as_millis(), self.quantile(99).as_millis());
        let Self { rounds, lost_rounds, revocations, failed, checks, after, near, .. } = self;
        let Self { unavailable, unanswered, breaches, .. } = self;
        tell(&format!(
            "| {run} | {rounds} (+{lost_rounds} lost) | {revocations} | {failed} | {checks} | \
             {after} | {near} | {unavailable} | {unanswered} | {p50} ms | {p99} ms | **{}** |",
            breaches.len(),
        ));
    }
}
