//! The line in which writes wait for one another.

use std::borrow::Cow;
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_trait::async_trait;
use sea_orm::{DbErr, RuntimeErr};
use sqlx::error::{DatabaseError, ErrorKind};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, yield_now};

use super::*;
use crate::store::group::{Group, Job, Limits};

const REFUSED: u32 = 13;
const LOST: u32 = 14;
/// Broken off by the database the first time.
const DEADLOCKED: u32 = 15;
const PANICS: u32 = 66;

/// Where numbers are written, each transaction once it is let through.
pub(in crate::store) struct Page {
    group: Group<u32>,
    let_through: Semaphore,
    transactions: Mutex<Vec<Vec<u32>>>,
}

#[async_trait]
impl Job for u32 {
    type Store = Page;
    type Value = u32;
    const KIND: &'static str = "number";

    async fn write(page: &Page, jobs: &[u32]) -> Answer<Vec<Answer<u32>>> {
        page.transactions.lock().unwrap().push(jobs.to_vec());
        page.let_through.acquire().await.unwrap().forget();
        assert!(!jobs.contains(&PANICS), "as it was told");
        if jobs.contains(&REFUSED) {
            return Err(StoreError::Broken("refused".into()));
        }
        if jobs.contains(&DEADLOCKED) && page.transactions_with(DEADLOCKED) == 1 {
            return Err(DbErr::Exec(RuntimeErr::SqlxError(Arc::new(Deadlock.into()))).into());
        }
        if jobs.contains(&LOST) {
            return Err(StoreError::Unavailable("lost".into()));
        }
        Ok(jobs.iter().map(|number| Ok(*number)).collect())
    }
}

/// What PostgreSQL answers to one of two transactions that wait for each other.
#[derive(Debug, thiserror::Error)]
#[error("deadlock detected")]
struct Deadlock;

impl DatabaseError for Deadlock {
    fn message(&self) -> &'static str {
        "deadlock detected"
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some("40P01".into())
    }

    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

fn page(jobs: usize) -> Arc<Page> {
    let limits = Limits { jobs, leaders: 1, wait: Duration::from_secs(5) };
    Arc::new(Page {
        group: Group::new(limits),
        let_through: Semaphore::new(0),
        transactions: Mutex::default(),
    })
}

impl Page {
    /// Lets a number arrive.
    async fn write(self: &Arc<Self>, number: u32) -> JoinHandle<Answer<u32>> {
        let page = Arc::clone(self);
        let task = tokio::spawn(async move { page.group.write(&page, number).await });
        settle().await;
        task
    }

    async fn write_all(self: &Arc<Self>, numbers: &[u32]) -> Vec<JoinHandle<Answer<u32>>> {
        let mut tasks = Vec::new();
        for number in numbers {
            tasks.push(self.write(*number).await);
        }
        tasks
    }

    fn transactions_with(&self, number: u32) -> usize {
        self.transactions().iter().filter(|jobs| jobs.contains(&number)).count()
    }

    async fn let_through(&self, transactions: usize) {
        self.let_through.add_permits(transactions);
        settle().await;
    }

    fn transactions(&self) -> Vec<Vec<u32>> {
        self.transactions.lock().unwrap().clone()
    }
}

/// Lets every task go as far as it can: they share this thread.
async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

async fn written(tasks: Vec<JoinHandle<Answer<u32>>>) -> Vec<Option<u32>> {
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap().ok());
    }
    answers
}

#[tokio::test]
async fn a_lone_write_runs_at_once() {
    let page = page(9);
    let task = page.write(1).await;
    assert_eq!(page.transactions(), [[1]]);
    page.let_through(1).await;
    assert_eq!(task.await.unwrap().unwrap(), 1);
    let again = page.write(2).await;
    assert_eq!(page.transactions(), [[1], [2]]);
    page.let_through(1).await;
    assert_eq!(again.await.unwrap().unwrap(), 2);
}

#[tokio::test]
async fn those_who_come_meanwhile_share_the_next_transaction() {
    let page = page(9);
    let tasks = page.write_all(&[1, 2, 3, 4]).await;
    page.let_through(2).await;
    assert_eq!(page.transactions(), [vec![1], vec![2, 3, 4]]);
    assert_eq!(written(tasks).await, [Some(1), Some(2), Some(3), Some(4)]);
}

#[tokio::test]
async fn no_more_share_than_may() {
    let page = page(2);
    let tasks = page.write_all(&[1, 2, 3, 4]).await;
    page.let_through(3).await;
    assert_eq!(page.transactions(), [vec![1], vec![2, 3], vec![4]]);
    assert_eq!(written(tasks).await, [Some(1), Some(2), Some(3), Some(4)]);
}

#[tokio::test]
async fn nobody_waits_where_one_may_share() {
    let page = page(1);
    let tasks = page.write_all(&[1, 2]).await;
    assert_eq!(page.transactions(), [[1], [2]]);
    page.let_through(2).await;
    assert_eq!(written(tasks).await, [Some(1), Some(2)]);
}

#[tokio::test]
async fn what_was_refused_together_is_run_one_by_one() {
    let page = page(9);
    let tasks = page.write_all(&[1, 2, REFUSED, 3]).await;
    page.let_through(9).await;
    let mut transactions = page.transactions();
    assert_eq!(transactions[..2], [vec![1], vec![2, REFUSED, 3]]);
    transactions[2..].sort();
    assert_eq!(transactions[2..], [[2], [3], [REFUSED]]);
    assert_eq!(written(tasks).await, [Some(1), Some(2), None, Some(3)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_broken_off_together_is_run_together_again() {
    let page = page(9);
    let tasks = page.write_all(&[1, 2, DEADLOCKED, 3]).await;
    page.let_through(9).await;
    assert_eq!(written(tasks).await, [Some(1), Some(2), Some(DEADLOCKED), Some(3)]);
    let together = vec![2, DEADLOCKED, 3];
    assert_eq!(page.transactions(), [vec![1], together.clone(), together]);
}

#[tokio::test]
async fn what_may_have_been_done_is_not_run_again() {
    let page = page(9);
    let tasks = page.write_all(&[1, 2, LOST, 3]).await;
    page.let_through(9).await;
    assert_eq!(page.transactions(), [vec![1], vec![2, LOST, 3]]);
    let answers = futures_util::future::join_all(tasks).await;
    let unsure = |answer: &Answer<u32>| matches!(answer, Err(StoreError::Unavailable(_)));
    assert!(answers[1..].iter().all(|answer| unsure(answer.as_ref().unwrap())));
}

#[tokio::test]
async fn the_line_goes_on_where_a_leader_is_ended() {
    let page = page(2);
    let tasks = page.write_all(&[1, 2, 3, 4]).await;
    page.let_through(1).await;
    tasks[1].abort();
    settle().await;
    assert_eq!(page.transactions(), [vec![1], vec![2, 3], vec![4]]);
    page.let_through(1).await;
    let [one, _, three, four] = <[_; 4]>::try_from(tasks).unwrap();
    assert_eq!(one.await.unwrap().unwrap(), 1);
    // It may have been written.
    assert!(matches!(three.await.unwrap(), Err(StoreError::Unavailable(_))));
    assert_eq!(four.await.unwrap().unwrap(), 4);
}

#[tokio::test]
async fn the_line_goes_on_where_a_leader_panics() {
    let page = page(2);
    let tasks = page.write_all(&[1, PANICS, 3, 4]).await;
    page.let_through(3).await;
    let [one, two, three, four] = <[_; 4]>::try_from(tasks).unwrap();
    assert_eq!(one.await.unwrap().unwrap(), 1);
    assert!(two.await.unwrap_err().is_panic());
    assert!(matches!(three.await.unwrap(), Err(StoreError::Unavailable(_))));
    assert_eq!(four.await.unwrap().unwrap(), 4);
}

#[tokio::test]
async fn what_was_given_up_in_line_is_never_written() {
    let page = page(9);
    let tasks = page.write_all(&[1, 2, 3, 4]).await;
    tasks[1].abort();
    tasks[2].abort();
    settle().await;
    page.let_through(2).await;
    assert_eq!(page.transactions(), [[1], [4]]);
    assert_eq!(tasks.into_iter().next_back().unwrap().await.unwrap().unwrap(), 4);
}

#[tokio::test]
async fn the_line_goes_on_where_the_next_leader_was_just_ended() {
    let page = page(9);
    let mut calls = [1, 2, 3].map(|number| Box::pin(page.group.write(&page, number)));
    for call in &mut calls {
        assert!(polled(call).await.is_pending());
    }
    page.let_through.add_permits(2);
    let [mut one, two, mut three] = calls;
    assert!(polled(&mut one).await.is_ready());
    // It was told to lead, and has not heard it yet.
    drop(two);
    assert!(polled(&mut three).await.is_ready());
    assert_eq!(page.transactions(), [[1], [3]]);
}

async fn polled<F: Future + Unpin>(call: &mut F) -> Poll<F::Output> {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *call).poll(context))).await
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_does_not_come_is_not_waited_for_without_end() {
    let page = page(9);
    let tasks = page.write_all(&[1, 2]).await;
    tokio::time::advance(Duration::from_secs(6)).await;
    settle().await;
    let [one, two] = <[_; 2]>::try_from(tasks).unwrap();
    assert!(matches!(two.await.unwrap(), Err(StoreError::Unavailable(_))));
    page.let_through(2).await;
    assert_eq!(one.await.unwrap().unwrap(), 1);
    assert_eq!(page.transactions(), [[1]], "what was answered is not written later");
}
