//! Changing the database: committed, heard of by this process, and waited out.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::{Knowledge, Lease};
use crate::domain::calls::Wait;
use crate::domain::error::Error;
use crate::domain::store::{Answer, Committed, Mark, StoreError};

impl Knowledge {
    /// Does what changes the database, and answers once every replica has surely heard of it.
    ///
    /// It runs in a task of its own, so that no caller's hanging up leaves a change committed and
    /// not applied.
    ///
    /// # Errors
    /// What `mutation` answers; [`Error::Unavailable`] where it is not known what was committed.
    pub async fn commit<T, F>(self: &Arc<Self>, wait: Wait, mutation: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Answer<Committed<T>>> + Send + 'static,
    {
        let this = Arc::clone(self);
        let task = tokio::spawn(async move {
            let answer = mutation.await;
            this.settle(Left::by(&answer), wait).await?;
            Ok(answer?.value)
        });
        task.await.map_err(Error::internal)?
    }

    async fn settle(&self, left: Left, wait: Wait) -> Result<(), Error> {
        match left {
            Left::Nothing => Ok(()),
            // Somebody did it before, and may have died before they had waited.
            Left::AlreadyDone => match self.lease {
                Lease::For(length) if wait == Wait::ForAll => {
                    wait_out(length).await;
                    self.sync().await
                }
                Lease::For(_) | Lease::Endless => Ok(()),
            },
            Left::Change(mark) => {
                self.sync_past(mark).await?;
                match self.lease {
                    Lease::For(length) if wait == Wait::ForAll => {
                        wait_out(length).await;
                        self.sync_past(mark).await
                    }
                    Lease::For(_) | Lease::Endless => Ok(()),
                }
            }
            // It may have been committed: nothing is believed before the tail was read.
            Left::Unsure => {
                self.known.load().facts.suspend();
                self.sync().await
            }
        }
    }

    /// Reads the tail, which must hold this change: else nothing is believed.
    async fn sync_past(&self, mark: Mark) -> Result<(), Error> {
        let synced = self.sync().await;
        let known = self.known.load();
        if synced.is_err() || known.facts.known() < mark.seq {
            known.facts.suspend();
        }
        synced
    }
}

/// What a mutation left behind.
enum Left {
    /// It was refused.
    Nothing,
    /// There was nothing to do.
    AlreadyDone,
    /// This change is committed.
    Change(Mark),
    /// Nobody knows.
    Unsure,
}

impl Left {
    fn by<T>(answer: &Answer<Committed<T>>) -> Self {
        match answer {
            Ok(Committed { mark: Some(mark), value: _ }) => Self::Change(*mark),
            Ok(Committed { mark: None, value: _ }) => Self::AlreadyDone,
            Err(StoreError::CallerGone) => Self::Nothing,
            Err(StoreError::Unavailable(_) | StoreError::Broken(_)) => Self::Unsure,
        }
    }
}

/// Waits until a lease of this length has surely run out everywhere. A quarter more, for clocks
/// may be slewed.
async fn wait_out(lease: Duration) {
    tokio::time::sleep(lease + lease / 4 + Duration::from_millis(10)).await;
}
