//! Group commit: writes that arrive while another is under way share the next transaction.
//!
//! There is no timer and no task of its own. Whoever arrives while nobody leads runs at once;
//! whoever arrives later waits in line, and when a transaction has ended, the first in line leads
//! the next one, with as many of the others as may share it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::retry::{is_refused, retrying};
use crate::domain::store::{Answer, StoreError};

/// A write that can share a transaction with others of its kind.
#[async_trait]
pub(super) trait Job: Send + Sync + Sized + 'static {
    /// Where it is written.
    type Store: Sync;

    /// What it comes to.
    type Value: Send;

    /// What the metric calls its kind.
    const KIND: &'static str;

    /// Writes all of these in one transaction, and answers each, in their order.
    ///
    /// # Errors
    /// None was written, or that is not known.
    async fn write(store: &Self::Store, jobs: &[Self]) -> Answer<Vec<Answer<Self::Value>>>;
}

/// How many share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How many jobs one transaction takes; with one, each has its own.
    pub(super) jobs: usize,
    /// How many transactions of the kind are under way at once.
    pub(super) leaders: usize,
    /// How long a job waits for its turn.
    pub(super) wait: Duration,
}

/// The jobs of one kind.
pub(super) struct Group<J: Job> {
    limits: Limits,
    line: Arc<Mutex<Line<J>>>,
}

struct Line<J: Job> {
    waiting: VecDeque<Waiting<J>>,
    leading: usize,
    tickets: u64,
}

struct Waiting<J: Job> {
    ticket: u64,
    job: J,
    reply: oneshot::Sender<Reply<J>>,
}

/// What one who waits is told.
enum Reply<J: Job> {
    /// Another has written it.
    Written(Answer<J::Value>),
    /// It was not written, perhaps for the sake of one that was with it: it is run by itself.
    Alone(J),
    /// It is first in line.
    Lead(J, Lead<J>),
}

enum Arrival<J: Job> {
    First(J, Lead<J>),
    Later(u64, oneshot::Receiver<Reply<J>>),
}

/// The right to run a transaction. Dropped, in whatever way that comes, it goes to the first in
/// line.
struct Lead<J: Job>(Option<Arc<Mutex<Line<J>>>>);

impl<J: Job> Group<J> {
    /// Makes one, where nobody waits yet.
    pub(super) fn new(limits: Limits) -> Self {
        let line = Line { waiting: VecDeque::new(), leading: 0, tickets: 0 };
        Self { limits, line: Arc::new(Mutex::new(line)) }
    }

    /// Writes a job, by itself or with others.
    ///
    /// # Errors
    /// Its own; that of the transaction it shared, where nobody knows whose fault it is; and
    /// [`StoreError::Unavailable`] where its turn did not come in time, or whoever wrote it was
    /// ended midway.
    pub(super) async fn write(&self, store: &J::Store, job: J) -> Answer<J::Value> {
        if self.limits.jobs <= 1 {
            return alone(store, job).await;
        }
        match self.arrive(job) {
            Arrival::First(job, lead) => self.lead(store, job, lead).await,
            Arrival::Later(ticket, reply) => match self.turn(ticket, reply).await? {
                Reply::Written(answer) => answer,
                Reply::Alone(job) => alone(store, job).await,
                Reply::Lead(job, lead) => self.lead(store, job, lead).await,
            },
        }
    }

    fn arrive(&self, job: J) -> Arrival<J> {
        let mut line = lock(&self.line);
        if line.leading < self.limits.leaders {
            line.leading += 1;
            return Arrival::First(job, Lead(Some(Arc::clone(&self.line))));
        }
        let (reply, told) = oneshot::channel();
        line.tickets += 1;
        let ticket = line.tickets;
        line.waiting.push_back(Waiting { ticket, job, reply });
        Arrival::Later(ticket, told)
    }

    /// Waits for what becomes of a job: for its turn no longer than the limit, and after that for
    /// as long as it takes.
    async fn turn(&self, ticket: u64, mut reply: oneshot::Receiver<Reply<J>>) -> Answer<Reply<J>> {
        let told = match timeout(self.limits.wait, &mut reply).await {
            Ok(told) => told,
            Err(_) if self.leave(ticket) => {
                return Err(StoreError::Unavailable("no turn to write came in time".into()));
            }
            Err(_) => reply.await,
        };
        told.map_err(|_| {
            StoreError::Unavailable("whoever wrote it was ended: it may have been done".into())
        })
    }

    /// Leaves the line. `false`: it was this one's turn.
    fn leave(&self, ticket: u64) -> bool {
        let mut line = lock(&self.line);
        let place = line.waiting.iter().position(|waiting| waiting.ticket == ticket);
        place.and_then(|place| line.waiting.remove(place)).is_some()
    }

    async fn lead(&self, store: &J::Store, own: J, lead: Lead<J>) -> Answer<J::Value> {
        let (mut jobs, mut replies) = (vec![own], Vec::new());
        for Waiting { ticket: _, job, reply } in self.gather() {
            jobs.push(job);
            replies.push(reply);
        }
        if replies.is_empty() {
            let only = jobs.pop().ok_or_else(nothing)?;
            return alone(store, only).await;
        }
        // All of them anew where it was broken off for another's sake: each by itself would meet
        // the same other, and all of these besides.
        let written = retrying(|| J::write(store, &jobs)).await;
        // Before the answers, so that the next transaction begins at once.
        drop(lead);
        match written {
            Ok(answers) => {
                count::<J>(jobs.len());
                let mut answers = answers.into_iter();
                let own = answers.next().unwrap_or_else(|| Err(nothing()));
                tell(replies, answers.map(Reply::Written));
                own
            }
            Err(error) if is_refused(&error) => {
                tracing::debug!(%error, "a shared transaction is undone; each is run by itself");
                let mut jobs = jobs.into_iter();
                let own = jobs.next().ok_or_else(nothing)?;
                tell(replies, jobs.map(Reply::Alone));
                alone(store, own).await
            }
            Err(error) => {
                let error = Arc::new(error);
                tell(replies, std::iter::repeat_with(|| Reply::Written(Err(shared(&error)))));
                Err(shared(&error))
            }
        }
    }

    /// Takes those who wait, as many as may share with one more. Whoever gave up is left out.
    fn gather(&self) -> Vec<Waiting<J>> {
        let mut line = lock(&self.line);
        let here = |waiting: &Waiting<J>| !waiting.reply.is_closed();
        let mut taken = Vec::with_capacity(line.waiting.len().min(self.limits.jobs));
        while taken.len() + 1 < self.limits.jobs
            && let Some(first) = line.waiting.pop_front()
        {
            taken.extend(Some(first).filter(here));
        }
        taken
    }
}

impl<J: Job> Drop for Lead<J> {
    fn drop(&mut self) {
        let Some(line) = self.0.take() else { return };
        loop {
            let next = {
                let mut line = lock(&line);
                let next = line.waiting.pop_front();
                if next.is_none() {
                    line.leading -= 1;
                }
                next
            };
            let Some(Waiting { ticket: _, job, reply }) = next else { return };
            match reply.send(Reply::Lead(job, Lead(Some(Arc::clone(&line))))) {
                Ok(()) => return,
                // They gave up; what comes back must not be dropped with its right.
                Err(Reply::Lead(_, mut lead)) => lead.0 = None,
                Err(Reply::Written(_) | Reply::Alone(_)) => {}
            }
        }
    }
}

/// Runs a job in a transaction of its own, and again where the database broke it off.
async fn alone<J: Job>(store: &J::Store, job: J) -> Answer<J::Value> {
    let jobs = [job];
    let answers = retrying(|| J::write(store, &jobs)).await?;
    count::<J>(1);
    answers.into_iter().next().unwrap_or_else(|| Err(nothing()))
}

#[expect(clippy::cast_precision_loss, reason = "a thousand at most")]
fn count<J: Job>(jobs: usize) {
    metrics::histogram!("tokend_group_commit_jobs", "kind" => J::KIND).record(jobs as f64);
}

fn tell<J: Job>(replies: Vec<oneshot::Sender<Reply<J>>>, with: impl Iterator<Item = Reply<J>>) {
    for (reply, with) in replies.into_iter().zip(with) {
        // Whoever gave up meanwhile hears nothing.
        drop(reply.send(with));
    }
}

fn lock<J: Job>(line: &Mutex<Line<J>>) -> MutexGuard<'_, Line<J>> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nothing() -> StoreError {
    StoreError::Broken("a transaction answered fewer than it was for".into())
}

fn shared(error: &Arc<StoreError>) -> StoreError {
    StoreError::Unavailable(Box::new(Shared(Arc::clone(error))))
}

#[derive(Debug, thiserror::Error)]
#[error("the transaction that it shared failed")]
struct Shared(#[source] Arc<StoreError>);
