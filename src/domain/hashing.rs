//! The threads that hash passwords: few, of the lowest priority, behind a bounded and fair queue,
//! so that a storm of sign-ins does not move the latency of anything else.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::error::Error;
use super::password;

const RETRY_AFTER: Duration = Duration::from_secs(1);
const LOWEST_PRIORITY: i32 = 19;
/// How long a thread without work keeps the memory of its last hash.
const KEEPS_MEMORY: Duration = Duration::from_secs(1);

/// How many hashes are made at once, and how many wait.
#[derive(Debug, Clone, Copy)]
pub struct PoolSize {
    /// Threads. Each holds the memory of one hash, until it has had no work for a second.
    pub threads: usize,
    /// Places in the queue.
    pub queue: usize,
}

type Work = Box<dyn FnOnce() + Send>;
type IsWanted = Box<dyn Fn() -> bool + Send>;

struct Job {
    is_wanted: IsWanted,
    work: Work,
}

#[derive(Default)]
struct Queue {
    // One lane for each client network; they take turns.
    lanes: VecDeque<(String, VecDeque<Job>)>,
    waiting: usize,
    // Places that are promised, by network.
    promised: HashMap<String, usize>,
    running: HashMap<String, usize>,
    closed: bool,
}

/// The threads. They end when the last handle is dropped.
#[derive(Clone)]
pub struct HashPool(Arc<Handle>);

struct Handle(Arc<Shared>);

/// A place in the queue, held before there is anything to hash. Dropped unused, it is given back.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
    network: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.give_back(&self.network);
    }
}

struct Shared {
    size: PoolSize,
    queue: Mutex<Queue>,
    arrival: Condvar,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("size", &self.size).finish_non_exhaustive()
    }
}

impl fmt::Debug for HashPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashPool").field("size", &self.0.0.size).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.queue().closed = true;
        self.0.arrival.notify_all();
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
        Ok(Self(Arc::new(Handle(shared))))
    }

    /// Takes a place for a client of this network.
    ///
    /// # Errors
    /// [`Error::Busy`] at once where the queue is full, or this network has its share of it.
    pub fn reserve(&self, network: &str) -> Result<Place, Error> {
        let shared = Arc::clone(&self.0.0);
        shared.promise(network)?;
        Ok(Place { shared, network: network.to_owned() })
    }

    /// Does the work on one of the threads, for a client of this network.
    ///
    /// # Errors
    /// As [`Self::reserve`] and [`Self::run_at`].
    pub async fn run<T, F>(&self, network: &str, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.run_at(self.reserve(network)?, work).await
    }

    /// Does the work on one of the threads. It is dropped unstarted where the caller has gone by
    /// the time its turn comes.
    ///
    /// # Errors
    /// [`Error::Internal`] where the work panics.
    pub async fn run_at<T, F>(&self, place: Place, work: F) -> Result<T, Error>
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
        self.0.0.push(&place.network, job);
        drop(place);
        receiver.await.map_err(|_| Error::internal("a hash thread broke off"))
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.0.queue().waiting
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn promise(&self, network: &str) -> Result<(), Error> {
        let mut queue = self.queue();
        let lanes = queue.lanes.iter().map(|(lane, jobs)| (lane.as_str(), jobs.len()));
        let promised = queue.promised.iter().map(|(lane, count)| (lane.as_str(), *count));
        let (mut own, mut others) = (0, 0);
        for (lane, count) in lanes.chain(promised) {
            if lane == network { own += count } else { others += count }
        }
        let share = if others > 0 { (self.size.queue / 4).max(1) } else { self.size.queue };
        if own + others >= self.size.queue || own >= share {
            return Err(Error::Busy { retry_after: RETRY_AFTER });
        }
        *queue.promised.entry(network.to_owned()).or_default() += 1;
        Ok(())
    }

    fn give_back(&self, network: &str) {
        take_one(&mut self.queue().promised, network);
    }

    fn push(&self, network: &str, job: Job) {
        let mut queue = self.queue();
        match queue.lanes.iter_mut().find(|(lane, _)| lane == network) {
            Some((_, jobs)) => jobs.push_back(job),
            None => queue.lanes.push_back((network.to_owned(), [job].into())),
        }
        queue.waiting += 1;
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
            if let Some(found) = queue.take((self.size.threads / 2).max(1)) {
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
        take_one(&mut self.queue().running, network);
    }
}

fn take_one(counts: &mut HashMap<String, usize>, network: &str) {
    if let Some(count) = counts.get_mut(network) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(network);
        }
    }
}

impl Queue {
    /// Takes the next job, lane by lane. A network that runs its share already comes last.
    fn take(&mut self, share: usize) -> Option<(String, Job)> {
        let running = |lane: &str| self.running.get(lane).copied().unwrap_or(0);
        let at = self.lanes.iter().position(|(lane, _)| running(lane) < share).unwrap_or(0);
        let (network, mut jobs) = self.lanes.remove(at)?;
        let job = jobs.pop_front()?;
        if !jobs.is_empty() {
            self.lanes.push_back((network.clone(), jobs));
        }
        self.waiting -= 1;
        *self.running.entry(network.clone()).or_default() += 1;
        Some((network, job))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn job(order: &mpsc::Sender<u32>, number: u32) -> Job {
        let order = order.clone();
        Job { is_wanted: Box::new(|| true), work: Box::new(move || order.send(number).unwrap()) }
    }

    fn shared(threads: usize, queue: usize) -> Shared {
        let size = PoolSize { threads, queue };
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

    #[test]
    fn lets_networks_take_turns() {
        let shared = shared(1, 16);
        let (sender, order) = mpsc::channel();
        for number in 0..3 {
            shared.push("a", job(&sender, number));
        }
        shared.push("b", job(&sender, 10));
        for _ in 0..4 {
            let (network, job) = shared.next().unwrap();
            (job.work)();
            shared.done(&network);
        }
        assert_eq!(order.try_iter().collect::<Vec<_>>(), [0, 10, 1, 2]);
    }

    #[test]
    fn refuses_at_once_when_full_and_takes_places_that_were_given_back() {
        let shared = shared(1, 2);
        shared.promise("a").unwrap();
        shared.promise("a").unwrap();
        assert!(matches!(shared.promise("b"), Err(Error::Busy { .. })));
        shared.give_back("a");
        shared.promise("b").unwrap();
    }

    #[test]
    fn gives_one_network_a_quarter_while_others_wait() {
        let shared = shared(1, 8);
        let (sender, _order) = mpsc::channel();
        shared.push("b", job(&sender, 0));
        shared.promise("a").unwrap();
        shared.promise("a").unwrap();
        assert!(matches!(shared.promise("a"), Err(Error::Busy { .. })));
        shared.promise("c").unwrap();
    }

    #[tokio::test]
    async fn answers_what_the_work_made_and_survives_a_panic() {
        let pool = HashPool::start(PoolSize { threads: 1, queue: 4 }).unwrap();
        let broken = pool.run("a", || panic!("on purpose")).await;
        assert!(matches!(broken, Err::<(), _>(Error::Internal(_))));
        assert_eq!(pool.run("a", || 7).await.unwrap(), 7);
    }
}
