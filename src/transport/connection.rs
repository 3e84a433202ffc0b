//! What is known of one connection while it is open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::Version;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::address::Network;

/// How many generations calls are counted in: those of this period, of the one before, and older.
const GENERATIONS: usize = 3;

/// A connection, as all know it who have to do with it. Numbers are read by eye: none of them
/// guards memory, so no order among them is asked for.
#[derive(Debug)]
pub struct Connection {
    peer: SocketAddr,
    pub(super) network: Network,
    /// Limits by address leave it alone.
    pub(super) is_exempt: bool,
    started: Instant,
    /// Ends it at once.
    pub(super) cut: CancellationToken,
    /// Milliseconds from the start to the last beginning or end of work for it.
    last: AtomicU64,
    /// Calls that have arrived whole and are not answered yet.
    working: AtomicUsize,
    /// Calls that have not ended, by the generation that they began in.
    calls: [AtomicUsize; GENERATIONS],
    generation: AtomicUsize,
    /// Calls whose answer goes on for as long as the client wants.
    streams: AtomicUsize,
    /// Bytes of its requests that are held. Changed under the lock of the memory alone.
    pub(super) held: AtomicUsize,
    pub(super) held_by_streams: AtomicUsize,
    /// Whether a request has come by it.
    asked: AtomicBool,
    head: Head,
}

/// The head of a request that is awaited.
#[derive(Debug)]
struct Head {
    /// Milliseconds from the start to its first byte, and 1; 0: none has begun.
    began: AtomicU64,
    /// Bytes that are missing of the greeting, where the connection must begin with one.
    greeting: AtomicUsize,
    /// Whether requests come one after the other, as in HTTP/1.1.
    in_turn: AtomicBool,
    /// Whether one of those is under way, whether all of it has arrived, and whether the next one
    /// has begun to.
    under_way: AtomicBool,
    arrived: AtomicBool,
    early: AtomicBool,
}

impl Connection {
    /// A connection that begins now.
    pub(super) fn new(peer: SocketAddr, is_exempt: bool) -> Self {
        Self {
            peer,
            network: Network::of(peer.ip()),
            is_exempt,
            started: Instant::now(),
            cut: CancellationToken::new(),
            last: AtomicU64::new(0),
            working: AtomicUsize::new(0),
            calls: std::array::from_fn(|_| AtomicUsize::new(0)),
            generation: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            held_by_streams: AtomicUsize::new(0),
            asked: AtomicBool::new(false),
            head: Head {
                began: AtomicU64::new(1),
                greeting: AtomicUsize::new(0),
                in_turn: AtomicBool::new(false),
                under_way: AtomicBool::new(false),
                arrived: AtomicBool::new(false),
                early: AtomicBool::new(false),
            },
        }
    }

    /// One of nobody's, for a test.
    #[cfg(test)]
    pub(crate) fn of(peer: &str) -> Arc<Self> {
        let peer: SocketAddr = peer.parse().unwrap();
        Arc::new(Self::new(peer, super::address::is_exempt(peer.ip(), &[])))
    }

    /// Whose it is.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Counts a call until the guard is dropped: with its answer.
    #[must_use]
    pub fn open_call(self: &Arc<Self>, now: Instant) -> OpenCall {
        self.touch(now);
        self.asked.store(true, Relaxed);
        let generation = self.generation.load(Relaxed) % GENERATIONS;
        if let Some(calls) = self.calls.get(generation) {
            calls.fetch_add(1, Relaxed);
        }
        OpenCall { connection: Arc::clone(self), generation: Some(generation) }
    }

    /// Whether it waits for its client: no call of it is worked on.
    pub(super) fn is_waiting(&self) -> bool {
        self.working.load(Relaxed) == 0
    }

    /// When work for it last began or ended.
    pub(super) fn last(&self) -> Instant {
        self.started + Duration::from_millis(self.last.load(Relaxed))
    }

    /// Whether any call has not ended.
    pub(super) fn is_in_use(&self) -> bool {
        self.streams.load(Relaxed) > 0 || self.calls.iter().any(|calls| calls.load(Relaxed) > 0)
    }

    /// Begins a new generation of calls, and answers whether one is still open that began before
    /// the last one did.
    pub(super) fn is_stuck(&self) -> bool {
        let next = self.generation.load(Relaxed).wrapping_add(1) % GENERATIONS;
        let oldest = self.calls.get(next).is_some_and(|calls| calls.load(Relaxed) > 0);
        self.generation.store(next, Relaxed);
        oldest
    }

    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    fn touch(&self, now: Instant) {
        self.last.store(self.millis(now), Relaxed);
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_millis().try_into().unwrap_or(u64::MAX)
    }

    /// A call has arrived whole.
    pub(super) fn begin_work(&self) {
        self.head.arrived.store(true, Relaxed);
        self.working.fetch_add(1, Relaxed);
        self.touch(Instant::now());
    }

    /// One that had arrived whole is answered.
    pub(super) fn end_work(&self) {
        self.working.fetch_sub(1, Relaxed);
        self.touch(Instant::now());
    }
}

/// What the reader of a connection sees.
impl Connection {
    /// Asks for a greeting of so many bytes, where a connection does not begin with a request.
    pub(super) fn await_greeting(&self, bytes: usize) {
        self.head.greeting.store(bytes, Relaxed);
    }

    /// Some bytes were read.
    pub(super) fn see(&self, bytes: usize) {
        let head = &self.head;
        let greeting = head.greeting.load(Relaxed);
        if greeting > 0 {
            let missing = greeting.saturating_sub(bytes);
            head.greeting.store(missing, Relaxed);
            if missing == 0 {
                head.began.store(0, Relaxed);
            }
        } else if head.in_turn.load(Relaxed) {
            if !head.under_way.load(Relaxed) {
                self.begin_head();
            } else if head.arrived.load(Relaxed) {
                head.early.store(true, Relaxed);
            }
        }
    }

    /// The head of a request was read.
    pub fn begin_request(&self, version: Version) {
        self.asked.store(true, Relaxed);
        let head = &self.head;
        head.began.store(0, Relaxed);
        if version < Version::HTTP_2 {
            head.in_turn.store(true, Relaxed);
            head.under_way.store(true, Relaxed);
            head.arrived.store(false, Relaxed);
            head.early.store(false, Relaxed);
        }
        self.touch(Instant::now());
    }

    /// All of its answer was handed over.
    pub fn end_request(&self) {
        self.touch(Instant::now());
        self.head.under_way.store(false, Relaxed);
        if self.head.early.load(Relaxed) {
            self.begin_head();
        }
    }

    fn begin_head(&self) {
        if self.head.began.load(Relaxed) == 0 {
            let now = self.millis(Instant::now());
            self.head.began.store(now.saturating_add(1), Relaxed);
        }
    }

    /// Whether no request has come by it yet.
    pub(super) fn is_new(&self) -> bool {
        !self.asked.load(Relaxed)
    }

    /// When the head began that is awaited; `None`: none did.
    pub(super) fn head_began(&self) -> Option<Instant> {
        let millis = self.head.began.load(Relaxed).checked_sub(1)?;
        Some(self.started + Duration::from_millis(millis))
    }
}

/// A call that has not ended.
#[derive(Debug)]
pub struct OpenCall {
    connection: Arc<Connection>,
    /// `None`: its answer goes on for as long as the client wants.
    generation: Option<usize>,
}

impl OpenCall {
    /// From now on it may go on for as long as the client wants.
    #[must_use]
    pub fn into_stream(mut self) -> Self {
        self.connection.streams.fetch_add(1, Relaxed);
        self.leave();
        self.generation = None;
        self
    }

    fn leave(&self) {
        let count = match self.generation {
            Some(generation) => self.connection.calls.get(generation),
            None => Some(&self.connection.streams),
        };
        if let Some(count) = count {
            count.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finds_a_call_stuck_after_two_generations_unless_it_is_a_stream() {
        let connection = Connection::of("192.0.2.1:1");
        let stuck = connection.open_call(Instant::now());
        let stream = connection.open_call(Instant::now()).into_stream();
        assert!(!connection.is_stuck());
        let late = connection.open_call(Instant::now());
        assert!(connection.is_stuck() || connection.is_stuck());
        drop(stuck);
        assert!(connection.is_in_use());
        drop(late);
        assert!(!connection.is_stuck() && !connection.is_stuck() && !connection.is_stuck());
        assert!(connection.is_in_use());
        drop(stream);
        assert!(!connection.is_in_use());
    }
}
