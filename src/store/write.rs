//! A transaction that writes: judges its callers first, and ends with what others must hear of.

use std::mem;

use sea_orm::sea_query::LockType;
use sea_orm::{DatabaseTransaction, TransactionTrait as _};

use super::held::{Held, Wanted};
use super::{SeaStore, audit, changes};
use crate::domain::clock::Timestamp;
use crate::domain::store::{Answer, Audit, Change, Committed, Mark, Order, StoreError};

/// What is being written, by one order after the other. Dropped without an end, nothing was.
pub(super) struct Write<'a> {
    store: &'a SeaStore,
    transaction: DatabaseTransaction,
    audit: &'a Audit,
    changes: Vec<Change>,
}

/// What an order comes to.
pub(super) enum End<T> {
    /// Something was done.
    Done(T),
    /// Nothing was to be done, and nothing was written.
    Undone(T),
    /// The caller's proof holds no more or they may not, and nothing was written.
    Refused(StoreError),
}

/// An order that has come to its end, within a transaction that has not.
pub(super) struct Ended<'a, T> {
    end: End<T>,
    audit: &'a Audit,
    changes: Vec<Change>,
}

impl SeaStore {
    /// Begins to write by nobody's order: what can need no proof and appends no change.
    pub(super) async fn begin(&self) -> Answer<DatabaseTransaction> {
        self.commits.begun();
        Ok(self.writers.begin_with_options(self.engine.write_options()).await?)
    }

    /// Begins to write what the service itself has decided.
    pub(super) async fn write_unasked<'a>(&'a self, audit: &'a Audit) -> Answer<Write<'a>> {
        let transaction = self.begin().await?;
        Ok(Write { store: self, transaction, audit, changes: Vec::new() })
    }

    /// Begins to write what someone has ordered.
    ///
    /// # Errors
    /// [`StoreError::CallerGone`] where their proof holds no more, and [`StoreError::Denied`] where
    /// they may not.
    pub(super) async fn write<'a>(&'a self, order: &'a Order) -> Answer<Write<'a>> {
        Ok(self.write_holding(order, Wanted::default()).await?.0)
    }

    /// The same, and holds these rows beside those that the caller is judged by.
    pub(super) async fn write_holding<'a>(
        &'a self,
        order: &'a Order,
        mut wanted: Wanted,
    ) -> Answer<(Write<'a>, Held)> {
        let Order { proof, audit } = order;
        let write = self.write_unasked(audit).await?;
        wanted.add_proof(proof.as_ref());
        let held = wanted.hold(&write.transaction, LockType::Share).await?;
        held.admits(proof.as_ref())?;
        Ok((write, held))
    }
}

impl<'a> Write<'a> {
    /// The transaction.
    pub(super) fn on(&self) -> &DatabaseTransaction {
        &self.transaction
    }

    /// What it is written to.
    pub(super) fn store(&self) -> &SeaStore {
        self.store
    }

    /// When it is written.
    pub(super) fn at(&self) -> Timestamp {
        self.audit.at
    }

    /// Notes what it makes untrue.
    pub(super) fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Turns to the next order: what is noted from now on is of this one.
    pub(super) fn turn_to(&mut self, order: &'a Order) {
        self.audit = &order.audit;
    }

    /// Ends the order that it is at.
    pub(super) fn end<T>(&mut self, end: End<T>) -> Ended<'a, T> {
        Ended { end, audit: self.audit, changes: mem::take(&mut self.changes) }
    }

    /// Ends it, where something was done: remembers it, appends the changes and commits.
    pub(super) async fn done<T>(mut self, value: T) -> Answer<Committed<T>> {
        let ended = self.end(End::Done(value));
        self.finish_one(ended).await
    }

    /// Ends it, where the database refused a row that another was faster with.
    pub(super) async fn refused<T>(self, value: T) -> Answer<Committed<T>> {
        self.store.roll_back(self.transaction).await?;
        Ok(Committed { value, mark: None, found: None })
    }

    /// Ends it, where nothing was to be done.
    pub(super) async fn undone<T>(mut self, value: T) -> Answer<Committed<T>> {
        let ended = self.end(End::Undone(value));
        self.finish_one(ended).await
    }

    async fn finish_one<T>(self, ended: Ended<'a, T>) -> Answer<Committed<T>> {
        let answers = self.finish(vec![ended]).await?;
        answers.into_iter().next().unwrap_or(Err(StoreError::CallerGone))
    }

    /// Ends it for all orders: remembers what was done, appends the changes and commits; or takes
    /// everything back, where nothing was. Answers each order, in their order.
    pub(super) async fn finish<T>(
        self,
        ended: Vec<Ended<'a, T>>,
    ) -> Answer<Vec<Answer<Committed<T>>>> {
        let Self { store, transaction, audit: Audit { at, .. }, changes: _ } = self;
        let at = *at;
        let done = ended.iter().filter(|one| matches!(one.end, End::Done(_)));
        let done: Vec<_> = done.map(|one| (one.audit, &one.changes)).collect();
        let is_undone = |one: &Ended<'_, T>| matches!(one.end, End::Undone(_));
        let any_undone = ended.iter().any(is_undone);
        let any_done = !done.is_empty();
        let audits: Vec<_> = done.iter().map(|(audit, _)| *audit).collect();
        audit::insert(&transaction, &audits).await?;
        let mut noted: Vec<_> =
            done.iter().flat_map(|(audit, own)| own.iter().map(|one| (one, audit.at))).collect();
        let mut found = None;
        if any_undone && noted.is_empty() {
            // Of the same transaction as what was found: a failover that loses the one loses the
            // other.
            let head = changes::head_on(&transaction).await?;
            found = Some(head);
            if !any_done && !store.commits.acknowledged(head) {
                // Whoever did what was found may never have had it acknowledged: an answer that
                // rests on it must be as durable as one that does it.
                noted.push((&Change::Barrier, at));
            }
        }
        // Last, for it takes the lock that orders all commits.
        let marks = changes::append(store, &transaction, noted).await?;
        if any_done || !marks.is_empty() {
            store.commit(transaction).await?;
            store.commits.wrote();
        } else {
            store.roll_back(transaction).await?;
        }
        if let Some(last) = marks.last() {
            store.commits.note(*last);
            // One of them may have found what another has done.
            found = Some(*last);
        }
        Ok(answers(ended, &marks, found))
    }
}

/// Gives each order what is its own.
fn answers<T>(
    ended: Vec<Ended<'_, T>>,
    mut marks: &[Mark],
    found: Option<Mark>,
) -> Vec<Answer<Committed<T>>> {
    let answer = |Ended { end, audit: _, changes }| match end {
        End::Done(value) => {
            let (own, rest) = marks.split_at_checked(changes.len()).unwrap_or((marks, &[]));
            marks = rest;
            Ok(Committed { value, mark: own.last().copied(), found: None })
        }
        End::Undone(value) => Ok(Committed { value, mark: None, found }),
        End::Refused(error) => Err(error),
    };
    ended.into_iter().map(answer).collect()
}
