//! Changing the database: committed, heard of by this process, and waited out.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::Knowledge;
use crate::domain::calls::Wait;
use crate::domain::error::Error;
use crate::domain::lease::Lease;
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
        let found = self.store.head().await?;
        let this = Arc::clone(self);
        let task = tokio::spawn(async move { this.settle(Left::AlreadyDone(found), wait).await });
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
            // Whoever did it may have died before all had heard of it, and this replica, too, may
            // not have heard yet.
            (Left::AlreadyDone(mark), Wait::ForAll) => {
                let terms = self.sync().await?;
                self.wait_out(terms).await;
                self.confirm(mark).await
            }
            (Left::AlreadyDone(mark) | Left::Change(mark), Wait::Skip) => {
                self.sync_past(mark).await.map(drop)
            }
            (Left::Change(mark), Wait::ForAll) => {
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

    /// Reads the tail, which must hold this change: else nothing is believed.
    async fn sync_past(&self, mark: Mark) -> Result<Terms, Error> {
        let synced = self.sync().await;
        if synced.is_err() || self.known.load().facts.known() < mark.seq {
            self.suspend();
        }
        synced
    }

    /// Asks once more for the change itself, after the wait: a failover may have lost it, and what
    /// was before it with it.
    async fn confirm(&self, mark: Mark) -> Result<(), Error> {
        match self.lease {
            Lease::Endless => Ok(()),
            Lease::For(_) => {
                let page = self.store.changes_from(mark.seq).await?;
                match page.changes.first() {
                    Some((found, _)) if *found == mark => Ok(()),
                    Some(_) | None => Err(Error::Unavailable("the commit was lost".into())),
                }
            }
        }
    }

    fn suspend(&self) {
        self.known.load().facts.suspend();
    }
}

/// What a mutation left behind.
enum Left {
    /// It was refused, or makes nothing untrue.
    Nothing,
    /// There was nothing to do: this change or one before it did it.
    AlreadyDone(Mark),
    /// This change is committed.
    Change(Mark),
    /// Nobody knows.
    Unsure,
}

impl Left {
    fn by<T>(answer: &Answer<Committed<T>>) -> Self {
        match answer {
            Ok(Committed { mark: Some(mark), .. }) => Self::Change(*mark),
            Ok(Committed { mark: None, found: Some(mark), .. }) => Self::AlreadyDone(*mark),
            Ok(Committed { mark: None, found: None, .. }) | Err(StoreError::CallerGone) => {
                Self::Nothing
            }
            Err(StoreError::Unavailable(_) | StoreError::Broken(_)) => Self::Unsure,
        }
    }
}
