//! The connections to a database server: three pools, and when one is not used again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::pool::{PoolConnection, PoolConnectionMetadata, PoolOptions};
use sqlx::{ConnectOptions as _, Connection, Database, Pool};
use tokio::time;

use super::{Connections, OpenError, Options};

/// How many connections the tail has: one, and one more for those who look whether a change is
/// still there.
const TAIL: u32 = 2;

/// How long a connection may take to answer that it is as it should be.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection that was idle for longer is checked before it is used.
const FRESH: Duration = Duration::from_secs(1);

/// For so long after a connection was made, all others are checked before they are used: longer
/// than what is [`FRESH`] is idle, and its check and the driver's ping took when it was given back.
const DOUBT: Duration = Duration::from_secs(5);

/// A connection that was idle for this is closed. A server, or what stands before it, may cut it
/// without a word after a longer time.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_mins(10);

/// A connection is replaced after this, so that a server that has moved is found.
const MAX_LIFETIME: Duration = Duration::from_mins(30);

/// How long a pool waits after a server that must not be used.
const PAUSE: Duration = Duration::from_secs(1);

/// How long to wait before a server that was not there is asked again.
const RETRY: Duration = Duration::from_millis(200);

/// What is done with each connection to a server.
#[async_trait]
pub(super) trait Server: Clone + Send + Sync + 'static {
    /// The driver.
    type Driver: Database;

    /// Sets a new connection as it must be.
    ///
    /// # Errors
    /// The server must not be used, and why.
    async fn prepare(&self, connection: &mut Of<Self>) -> Result<(), OpenError>;

    /// Whether the connection answers what it is asked, has no transaction open, and leads to a
    /// server that takes writes. What was left midway may have left one in any other state.
    async fn is_clean(&self, connection: &mut Of<Self>) -> Result<bool, sqlx::Error>;
}

/// A connection to a server.
pub(super) type Of<S> = <<S as Server>::Driver as Database>::Connection;

type HowTo<S> = <Of<S> as Connection>::Options;

/// The connections to one server.
#[derive(Debug)]
pub(super) struct Pools<DB: Database> {
    /// Those that write.
    pub(super) writers: Pool<DB>,
    /// Those that read.
    pub(super) readers: Pool<DB>,
    /// Those of the tail, which nothing else waits for.
    pub(super) tail: Pool<DB>,
    kept: Slot<DB>,
}

/// The connection that the tail was read by the last time, and when it was taken from its pool.
/// Giving one back costs a round trip or two, in which it can't be used: a database that is far away
/// would be asked by new connections alone, each of which takes many to be made.
type Slot<DB> = Arc<Mutex<Option<(PoolConnection<DB>, time::Instant)>>>;

impl<DB: Database> Pools<DB> {
    /// Takes pools that were made.
    pub(super) fn of(writers: Pool<DB>, readers: Pool<DB>, tail: Pool<DB>) -> Self {
        Self { writers, readers, tail, kept: Slot::default() }
    }

    /// Makes the pools. No connection is made yet.
    pub(super) fn new<S: Server<Driver = DB>>(
        server: &S,
        options: &Options,
        connect: &HowTo<S>,
    ) -> Self {
        let last = LastMade::default();
        // What the tail asks proves its server each time.
        let (doubtful, sure) = ((&last, &last), (&last, &LastMade::default()));
        let pool = |most: u32, made| {
            pool_of(server, options.connection_wait, made)
                .max_connections(most.max(1))
                .connect_lazy_with(connect.clone())
        };
        Self::of(pool(options.writers, doubtful), pool(options.readers, doubtful), pool(TAIL, sure))
    }

    /// Takes a connection of the tail.
    pub(super) async fn tail(&self) -> Result<Whole<DB>, sqlx::Error> {
        let kept = self.kept().take().filter(|(_, taken)| taken.elapsed() < MAX_LIFETIME);
        let (connection, taken) = match kept {
            Some(kept) => kept,
            None => (self.tail.acquire().await?, time::Instant::now()),
        };
        Ok(Whole { connection: Some(connection), taken, slot: Arc::clone(&self.kept) })
    }

    fn kept(&self) -> MutexGuard<'_, Option<(PoolConnection<DB>, time::Instant)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the connections.
    pub(super) fn count(&self) -> [Connections; 3] {
        [("read", &self.readers), ("write", &self.writers), ("tail", &self.tail)].map(
            |(sort, pool)| {
                let open = usize::try_from(pool.size()).unwrap_or(usize::MAX);
                Connections { sort, open, busy: open.saturating_sub(pool.num_idle()) }
            },
        )
    }

    /// Closes all connections, once what is under way has ended.
    pub(super) async fn close(&self) {
        drop(self.kept().take());
        // The last one to close folds SQLite's log back into the file, which readers may not.
        for pool in [&self.tail, &self.readers, &self.writers] {
            pool.close().await;
        }
    }
}

/// Closes the connection that was kept: given back to a pool that ends with its runtime it might
/// stay open.
impl<DB: Database> Drop for Pools<DB> {
    fn drop(&mut self) {
        if let Some((connection, _)) = self.kept().take() {
            drop(connection.detach());
        }
    }
}

/// A connection of the tail. One that was left midway would keep its place until its server
/// answered, or for ever: dropped, it is closed.
pub(super) struct Whole<DB: Database> {
    connection: Option<PoolConnection<DB>>,
    taken: time::Instant,
    slot: Slot<DB>,
}

impl<DB: Database> Whole<DB> {
    /// The connection.
    pub(super) fn on(&mut self) -> Result<&mut DB::Connection, sqlx::Error> {
        self.connection.as_deref_mut().ok_or(sqlx::Error::WorkerCrashed)
    }

    /// Ends its use after a whole answer: the tail goes on by it, where it leads to a server that
    /// takes writes. Else it is given back, which closes it, for the next may lead elsewhere.
    pub(super) fn done(mut self, leads_to: ServerIs) {
        let Some(connection) = self.connection.take() else { return };
        match leads_to {
            ServerIs::Primary => {
                let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
                let before = slot.replace((connection, self.taken));
                drop(slot);
                // Of another who read at the same time.
                drop(before);
            }
            ServerIs::Standby => drop(connection),
        }
    }
}

/// What a server says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerIs {
    /// It takes writes.
    Primary,
    /// It does not.
    Standby,
}

impl ServerIs {
    /// Reads it from the first row of the tail.
    pub(super) fn by<R: sqlx::Row>(rows: &[R]) -> Self
    where
        bool: sqlx::Type<R::Database> + for<'r> sqlx::Decode<'r, R::Database>,
        &'static str: sqlx::ColumnIndex<R>,
    {
        let is_primary = |row: &R| row.try_get::<bool, _>("is_primary").unwrap_or(false);
        if rows.first().is_some_and(is_primary) { Self::Primary } else { Self::Standby }
    }
}

impl<DB: Database> Drop for Whole<DB> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

/// Makes a pool of one connection, which is not replaced while it is used.
pub(super) fn one<S: Server>(server: &S, options: &Options, connect: &HowTo<S>) -> Pool<S::Driver> {
    let alone = LastMade::default();
    pool_of(server, options.connection_wait, (&alone, &alone))
        .max_connections(1)
        .connect_lazy_with(connect.clone())
}

/// When the last connection was made, of all pools. It may lead to another server than those before
/// it: the name has moved, and the old primary, read-only now, has left their sessions open. So what
/// was checked before that moment is checked again. Else a reader could find an old row, and it
/// would be kept as of a change that the tail has read on the new primary.
#[derive(Debug, Clone, Default)]
struct LastMade(Arc<Mutex<Option<time::Instant>>>);

impl LastMade {
    /// Notes that one was made, and leads to a server that takes writes.
    fn note(&self) {
        *self.last() = Some(time::Instant::now());
    }

    /// Whether it was made so lately that all others are in doubt.
    fn is_recent(&self) -> bool {
        self.last().is_some_and(|made| made.elapsed() < DOUBT)
    }

    fn last(&self) -> MutexGuard<'_, Option<time::Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes a pool that notes when it made a connection, and doubts its own where one was made.
fn pool_of<S: Server>(
    server: &S,
    wait: Duration,
    (noted, heeded): (&LastMade, &LastMade),
) -> PoolOptions<S::Driver> {
    let (prepared, before, after) = (server.clone(), server.clone(), server.clone());
    let (noted, heeded) = (noted.clone(), heeded.clone());
    PoolOptions::new()
        .acquire_timeout(wait)
        // Without a bound; ours have one.
        .test_before_acquire(false)
        .idle_timeout(IDLE_TIMEOUT)
        .max_lifetime(MAX_LIFETIME)
        .after_connect(move |connection, _| {
            let (server, noted) = (prepared.clone(), noted.clone());
            Box::pin(async move {
                let prepared = server.prepare(connection).await;
                match prepared {
                    // Before anything is read by it.
                    Ok(()) => noted.note(),
                    // Else the pool asks a hundred times, and logs each.
                    Err(_) => time::sleep(PAUSE).await,
                }
                prepared.map_err(below)
            })
        })
        .before_acquire(move |connection, metadata: PoolConnectionMetadata| {
            let server = before.clone();
            let is_fresh = metadata.idle_for < FRESH && !heeded.is_recent();
            Box::pin(async move { Ok(is_fresh || is_clean(&server, connection).await) })
        })
        // A call that was given up leaves its statement, or a transaction, midway.
        .after_release(move |connection, _| {
            let server = after.clone();
            Box::pin(async move { Ok(is_clean(&server, connection).await) })
        })
}

async fn is_clean<S: Server>(server: &S, connection: &mut Of<S>) -> bool {
    matches!(time::timeout(CHECK_TIMEOUT, server.is_clean(connection)).await, Ok(Ok(true)))
        // The driver's own account: were it wrong, what comes next would be a savepoint.
        && !connection.is_in_transaction()
}

fn below(error: OpenError) -> sqlx::Error {
    if let OpenError::Server(error) = error {
        return error;
    }
    sqlx::Error::Configuration(Box::new(error))
}

/// Makes the first connection to a server, which may be about to start.
///
/// # Errors
/// It is not there in time, or must not be used: in a sentence, which the pools would not give.
pub(super) async fn first<S: Server>(
    server: &S,
    options: &Options,
    connect: &HowTo<S>,
) -> Result<Of<S>, OpenError> {
    let deadline = time::Instant::now() + options.connection_wait;
    loop {
        let made = time::timeout_at(deadline, connect.connect()).await;
        match made {
            Ok(Ok(mut connection)) => {
                let prepared = time::timeout_at(deadline, server.prepare(&mut connection)).await;
                prepared.map_err(|_| OpenError::NoAnswer(options.connection_wait))??;
                return Ok(connection);
            }
            Ok(Err(error)) if !is_passing(&error) => return Err(OpenError::Server(error)),
            Ok(Err(error)) if time::Instant::now() + RETRY >= deadline => {
                return Err(OpenError::Server(error));
            }
            Ok(Err(_)) => time::sleep(RETRY).await,
            Err(_) => return Err(OpenError::NoAnswer(options.connection_wait)),
        }
    }
}

fn is_passing(error: &sqlx::Error) -> bool {
    let refused = error.as_database_error();
    matches!(error, sqlx::Error::Io(_))
        || refused.is_some_and(sqlx::error::DatabaseError::is_transient_in_connect_phase)
}
