//! Changing the database: committed, heard of by this process, and waited out.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::Knowledge;
use crate::domain::calls::Wait;
use crate::domain::error::Error;
use crate::domain::store::{Answer, Committed, Mark, StoreError, Terms};

impl Knowledge {
    /// Does what changes the database, and answers once every replica has surely heard of it.
    ///
    /// It runs in a task of its own, so that no caller's hanging up leaves a change committed and
    /// not applied, or cuts the wait short.
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

    /// Makes sure that everybody has heard of what was found to be done already, outside of a
    /// mutation. Whether it is still done is for the caller to look at again.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn catch_up(self: &Arc<Self>, wait: Wait) -> Result<(), Error> {
        let this = Arc::clone(self);
        let task = tokio::spawn(async move {
            let found = this.store.durable_head(this.clock.now()).await?;
            this.settle(Left::Committed(found), wait).await
        });
        task.await.map_err(Error::internal)?
    }

    /// How long some replica may answer without having heard of what was committed, because it
    /// serves stale facts, as the last sync found it; `None`: none does.
    #[must_use]
    pub fn stale_for(&self) -> Option<Duration> {
        self.terms().serve_stale
    }

    async fn settle(&self, left: Left, wait: Wait) -> Result<(), Error> {
        match (left, wait) {
            (Left::Nothing, _) => Ok(()),
            (Left::Committed(mark), Wait::Skip) => {
                self.sync_past(mark).await?;
                self.confirm(mark).await
            }
            (Left::Committed(mark), Wait::ForAll) => {
                let terms = self.sync_past(mark).await?;
                self.wait_out(terms).await;
                self.confirm(mark).await
            }
            // It may have been committed: nothing is believed before the tail was read.
            (Left::Unsure, _) => {
                self.suspend();
                let synced = self.sync().await;
                if synced.is_err() {
                    // A reload may have brought facts with a lease from before the commit.
                    self.suspend();
                }
                synced.map(drop)
            }
        }
    }

    /// Waits until every lease that began before now has surely run out.
    async fn wait_out(&self, terms: Terms) {
        let time = self.lease.wait(terms);
        if !time.is_zero() {
            self.clock.sleep(time).await;
        }
    }

    /// Reads the tail, which must hold this change: else nothing is believed, and it was not done.
    async fn sync_past(&self, mark: Mark) -> Result<Terms, Error> {
        let synced = self.sync().await;
        if synced.is_ok() && self.known.load().facts.known() >= mark.seq {
            return synced;
        }
        self.suspend();
        synced.and(Err(lost()))
    }

    /// Asks once more for the change itself, after the wait: a failover may have lost it, and what
    /// was before it with it. So may a connection that only seemed to commit.
    async fn confirm(&self, mark: Mark) -> Result<(), Error> {
        let page = self.page(mark.seq).await?;
        match page.changes.first() {
            Some((found, _)) if *found == mark => Ok(()),
            Some(_) | None => Err(lost()),
        }
    }

    fn suspend(&self) {
        self.known.load().facts.suspend();
    }
}

fn lost() -> Error {
    Error::Unavailable("the commit was lost".into())
}

/// What a mutation left behind.
enum Left {
    /// It was refused, or makes nothing untrue.
    Nothing,
    /// This change is committed: it did what was asked. Or it or one before it had done it
    /// already, and whoever did that may have died before all had heard of it.
    Committed(Mark),
    /// Nobody knows.
    Unsure,
}

impl Left {
    fn by<T>(answer: &Answer<Committed<T>>) -> Self {
        match answer {
            Ok(
                Committed { mark: Some(mark), .. }
                | Committed { found: Some(mark), mark: None, .. },
            ) => Self::Committed(*mark),
            Ok(Committed { mark: None, found: None, .. })
            | Err(StoreError::CallerGone | StoreError::Denied(_)) => Self::Nothing,
            Err(StoreError::Unavailable(_) | StoreError::Broken(_)) => Self::Unsure,
        }
    }
}
