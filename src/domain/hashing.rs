//! The threads that hash passwords: few, of the lowest priority, behind a bounded and fair queue,
//! so that a storm of sign-ins does not move the latency of anything else.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::error::Error;
use super::password;

mod lanes;
mod turns;

use lanes::Lanes;
pub use turns::Turn;
use turns::Turns;

const RETRY_AFTER: Duration = Duration::from_secs(1);
const LOWEST_PRIORITY: i32 = 19;
/// How long a thread without work keeps the memory of its last hash.
const KEEPS_MEMORY: Duration = Duration::from_secs(1);

/// How many hashes are made at once, and how many wait.
#[derive(Debug, Clone, Copy)]
pub struct PoolSize {
    /// Threads. Each holds the memory of one hash, until it has had no work for a second.
    pub threads: usize,
    /// How many are counted and hashed at once: more than threads, for who is counted waits for
    /// the database and not for a thread. What writes there at once bounds the sense of it.
    pub turns: usize,
    /// Places in the queue.
    pub queue: usize,
    /// How long one waits in it at most.
    pub wait: Duration,
}

type Work = Box<dyn FnOnce() + Send>;
type IsWanted = Box<dyn Fn() -> bool + Send>;

struct Job {
    is_wanted: IsWanted,
    work: Work,
}

#[derive(Default)]
struct Queue {
    lanes: Lanes<Job>,
    closed: bool,
}

/// The threads, and the turns by which callers come to them. They end when the last handle is
/// dropped.
#[derive(Clone)]
pub struct HashPool(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    turns: Arc<Turns>,
}

struct Shared {
    size: PoolSize,
    queue: Mutex<Queue>,
    arrival: Condvar,
}

impl fmt::Debug for HashPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashPool").field("size", &self.0.shared.size).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue().closed = true;
        self.shared.arrival.notify_all();
    }
}

impl HashPool {
    /// Starts the threads.
    ///
    /// # Errors
    /// [`Error::Internal`] where the machine starts none.
    pub fn start(size: PoolSize) -> Result<Self, Error> {
        let queue = Mutex::default();
        let shared = Arc::new(Shared { size, queue, arrival: Condvar::new() });
        for number in 0..size.threads.max(1) {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("hash-{number}"))
                .spawn(move || shared.work())
                .map_err(Error::internal)?;
        }
        Ok(Self(Arc::new(Handle { shared, turns: Arc::new(Turns::new(size)) })))
    }

    /// Waits for a turn for a client of this network.
    ///
    /// # Errors
    /// [`Error::Busy`]: at once where the queue is full or this network has its share of it; or
    /// where its turn does not come in time.
    pub async fn enter(&self, network: &str) -> Result<Turn, Error> {
        self.0.turns.enter(network).await
    }

    /// Does the work on one of the threads, for a client of this network.
    ///
    /// # Errors
    /// As [`Self::enter`] and [`Self::run_in`].
    pub async fn run<T, F>(&self, network: &str, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.run_in(&self.enter(network).await?, work).await
    }

    /// Does the work on one of the threads. It is dropped unstarted where the caller has gone by
    /// the time a thread is free.
    ///
    /// # Errors
    /// [`Error::Internal`] where the work panics.
    pub async fn run_in<T, F>(&self, turn: &Turn, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let watched = Arc::clone(&sender);
        let job = Job {
            is_wanted: Box::new(move || {
                let sender = watched.lock().unwrap_or_else(PoisonError::into_inner);
                sender.as_ref().is_some_and(|sender| !sender.is_closed())
            }),
            work: Box::new(move || {
                let done = work();
                let sender = sender.lock().unwrap_or_else(PoisonError::into_inner).take();
                // A caller who left in the meantime wants no answer.
                drop(sender.map(|sender| sender.send(done)));
            }),
        };
        self.0.shared.push(turn.network(), job);
        receiver.await.map_err(|_| Error::internal("a hash thread broke off"))
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.turns.waiting() + self.0.shared.queue().lanes.waiting()
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, network: &str, job: Job) {
        let mut queue = self.queue();
        queue.lanes.push(network, job);
        drop(queue);
        self.arrival.notify_one();
    }

    fn work(&self) {
        // Of the calling thread alone. Refused by some sandboxes, and then only a courtesy.
        let _ = rustix::process::setpriority_process(None, LOWEST_PRIORITY);
        while let Some((network, job)) = self.next() {
            if (job.is_wanted)() {
                // The panic hook has spoken; the caller learns it from the closed channel.
                drop(catch_unwind(AssertUnwindSafe(job.work)));
            }
            self.done(&network);
        }
    }

    /// Waits for a job; `None` once the pool is closed.
    fn next(&self) -> Option<(String, Job)> {
        let mut queue = self.queue();
        let mut keeps_memory = true;
        loop {
            if queue.closed {
                return None;
            }
            if let Some(found) = queue.lanes.take((self.size.threads / 2).max(1)) {
                return Some(found);
            }
            queue = if keeps_memory {
                let (waited, is_over) = self.wait_briefly(queue);
                keeps_memory = !is_over;
                waited
            } else {
                self.arrival.wait(queue).unwrap_or_else(PoisonError::into_inner)
            };
        }
    }

    /// Waits for a job, and lets the memory go where none comes in time. Answers whether it did.
    fn wait_briefly<'a>(&'a self, queue: MutexGuard<'a, Queue>) -> (MutexGuard<'a, Queue>, bool) {
        let (queue, wait) =
            self.arrival.wait_timeout(queue, KEEPS_MEMORY).unwrap_or_else(PoisonError::into_inner);
        if !wait.timed_out() {
            return (queue, false);
        }
        drop(queue);
        // It takes a while: not under the lock.
        password::release_memory();
        (self.queue(), true)
    }

    fn done(&self, network: &str) {
        self.queue().lanes.done(network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(threads: usize, queue: usize) -> Shared {
        let size = PoolSize { threads, turns: threads, queue, wait: PoolSize::WAIT };
        Shared { size, queue: Mutex::default(), arrival: Condvar::new() }
    }

    #[test]
    fn lets_the_memory_go_where_no_job_comes() {
        let cost = password::HashCost { memory_kib: 8, iterations: 1, parallelism: 1 };
        let text = password::Password::parse(&"p".into()).unwrap();
        password::hash(&text, &[1; 16], cost).unwrap();
        assert_eq!(password::kept_memory(), 8);
        let shared = shared(1, 4);
        loop {
            let (queue, is_over) = shared.wait_briefly(shared.queue());
            assert_eq!(password::kept_memory() == 0, is_over);
            drop(queue);
            if is_over {
                break;
            }
        }
    }

    #[tokio::test]
    async fn answers_what_the_work_made_and_survives_a_panic() {
        let pool =
            HashPool::start(PoolSize { threads: 1, turns: 1, queue: 4, wait: PoolSize::WAIT })
                .unwrap();
        let broken = pool.run("a", || panic!("on purpose")).await;
        assert!(matches!(broken, Err::<(), _>(Error::Internal(_))));
        assert_eq!(pool.run("a", || 7).await.unwrap(), 7);
    }
}
