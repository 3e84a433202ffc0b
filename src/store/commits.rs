//! The ends of transactions, and what they tell of the database: whether it takes writes, and which
//! change is surely as durable as what was acknowledged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::sea_query::OnConflict;
use sea_orm::{DatabaseTransaction, DbErr, EntityTrait as _, IntoActiveModel as _};
use tokio::time::Instant;

use super::entity::meta;
use super::{SeaStore, changes};
use crate::domain::clock::Timestamp;
use crate::domain::random::Random as _;
use crate::domain::store::{Answer, Change, Mark, StoreError};

/// A commit of so long ago says enough about whether the next one will do.
const RECENT: Duration = Duration::from_secs(5);

/// The row of `meta` that is written to see whether the database takes writes.
const PROBE: &str = "write_probe";

/// What the commits of this process came to.
#[derive(Debug, Default)]
pub(super) struct Commits {
    last: Mutex<Last>,
    doubtful: AtomicBool,
}

#[derive(Debug, Default)]
struct Last {
    // When the last write was acknowledged; `None`: another transaction has begun since.
    at: Option<Instant>,
    // The newest change of the last commit that appended any.
    mark: Option<Mark>,
}

impl Commits {
    /// Whether an end of a transaction failed since this was asked last: then the connection that
    /// had it is not to be used again.
    pub(super) fn take_doubt(&self) -> bool {
        self.doubtful.swap(false, Ordering::AcqRel)
    }

    /// Notes that a transaction begins that will write.
    pub(super) fn begun(&self) {
        self.last().at = None;
    }

    /// Notes that something was written and committed. A commit of nothing says nothing: SQLite
    /// answers it though its disk is full.
    pub(super) fn wrote(&self) {
        self.last().at = Some(Instant::now());
    }

    fn failed(&self) {
        self.doubtful.store(true, Ordering::Release);
        self.last().at = None;
    }

    fn is_recent(&self) -> bool {
        self.last().at.is_some_and(|at| at.elapsed() < RECENT)
    }

    /// Notes the newest change of a commit that was acknowledged.
    pub(super) fn note(&self, mark: Mark) {
        self.last().mark = Some(mark);
    }

    /// Whether this very change was acknowledged to this process: what was committed before it is
    /// then as durable. The nonce tells it from one of the same number after a failover.
    pub(super) fn acknowledged(&self, mark: Mark) -> bool {
        self.last().mark == Some(mark)
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SeaStore {
    /// Commits. What an error leaves is not known, and it says so.
    pub(super) async fn commit(&self, transaction: DatabaseTransaction) -> Answer<()> {
        match transaction.commit().await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.commits.failed();
                Err(StoreError::Unavailable(Box::new(Unknown(error))))
            }
        }
    }

    /// Takes back what a transaction did, if it did anything.
    pub(super) async fn roll_back(&self, transaction: DatabaseTransaction) -> Answer<()> {
        transaction.rollback().await.map_err(|error| {
            self.commits.failed();
            error.into()
        })
    }
}

/// Answers the newest change, where it is known to be durable, or one that is appended to be so.
///
/// A database that waits for a standby shows after a restart what it had not acknowledged. Only what
/// it acknowledges after that is surely on the standby, and with it all that was committed before.
pub(super) async fn durable_head(store: &SeaStore, at: Timestamp) -> Answer<Mark> {
    let head = changes::head(store).await?;
    if store.commits.acknowledged(head) { Ok(head) } else { append_barrier(store, at).await }
}

/// Appends a change that makes nothing untrue, so that what was committed before is durable once
/// this is.
pub(super) async fn append_barrier(store: &SeaStore, at: Timestamp) -> Answer<Mark> {
    let transaction = store.begin().await?;
    let marks = changes::append(store, &transaction, vec![(&Change::Barrier, at)]).await?;
    store.commit(transaction).await?;
    store.commits.wrote();
    let mark = marks.last().copied().ok_or_else(|| super::convert::broken("changes"))?;
    store.commits.note(mark);
    Ok(mark)
}

/// Answers where the database takes writes: by a commit of a moment ago, or by one more, of a value
/// that nobody reads.
pub(super) async fn check_writable(store: &SeaStore) -> Answer<()> {
    if store.commits.is_recent() {
        return Ok(());
    }
    // Another value each time: SQLite writes no page that stays as it is.
    let mut bytes = [0; 8];
    store.random.fill(&mut bytes).map_err(|error| StoreError::Unavailable(error.into()))?;
    let row = meta::Model { name: PROBE.to_owned(), value: changes::hex(&bytes) };
    let replace =
        OnConflict::column(meta::Column::Name).update_column(meta::Column::Value).to_owned();
    let transaction = store.begin().await?;
    meta::Entity::insert(row.into_active_model())
        .on_conflict(replace)
        .exec_without_returning(&transaction)
        .await?;
    store.commit(transaction).await?;
    store.commits.wrote();
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("whether it was committed is not known: {0}")]
struct Unknown(#[source] DbErr);
