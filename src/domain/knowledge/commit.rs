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
        match task.await {
            Ok(done) => done,
            Err(broken_off) => {
                // It may have been committed.
                self.settle(Left::Unsure, wait).await?;
                Err(Error::internal(broken_off))
            }
        }
    }

    /// Makes sure that everybody has heard of what was found to be done already.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn catch_up(&self, wait: Wait) -> Result<(), Error> {
        self.settle(Left::AlreadyDone, wait).await
    }

    async fn settle(&self, left: Left, wait: Wait) -> Result<(), Error> {
        match left {
            Left::Nothing => Ok(()),
            // Somebody did it before, and may not have heard of it or waited it out yet.
            Left::AlreadyDone => match wait {
                Wait::Skip => Ok(()),
                Wait::ForAll => {
                    self.wait_out().await;
                    self.sync().await
                }
            },
            Left::Change(mark) => {
                self.sync_past(mark).await?;
                match (self.lease, wait) {
                    (Lease::For(_), Wait::ForAll) => {
                        self.wait_out().await;
                        self.sync_past(mark).await
                    }
                    (Lease::For(_), Wait::Skip) | (Lease::Endless, _) => Ok(()),
                }
            }
            // It may have been committed: nothing is believed before the tail was read.
            Left::Unsure => {
                self.known.load().facts.suspend();
                self.sync().await
            }
        }
    }

    /// Waits until every lease that began before now has surely run out. A quarter more, for
    /// clocks may be slewed.
    async fn wait_out(&self) {
        match self.lease {
            Lease::Endless => {}
            Lease::For(length) => {
                tokio::time::sleep(length + length / 4 + Duration::from_millis(10)).await;
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
