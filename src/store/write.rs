//! A transaction that writes: judges its caller first, and ends with what others must hear of.

use std::slice;

use sea_orm::{DatabaseTransaction, EntityTrait as _, QuerySelect as _, TransactionTrait as _};

use super::convert::ACTIVE;
use super::entity::{grant, revocation, token, user};
use super::retry::commit;
use super::{SeaStore, audit, changes};
use crate::domain::clock::Timestamp;
use crate::domain::random::Random as _;
use crate::domain::store::{Answer, Audit, Change, Committed, Order, Proof, StoreError};

/// What is being written. Dropped without an end, nothing was.
pub(super) struct Write<'a> {
    store: &'a SeaStore,
    transaction: DatabaseTransaction,
    audit: &'a Audit,
    changes: Vec<Change>,
}

impl SeaStore {
    /// Begins to write by nobody's order: what can need no proof and appends no change.
    pub(super) async fn begin(&self) -> Answer<DatabaseTransaction> {
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
    /// [`StoreError::CallerGone`] where their proof holds no more.
    pub(super) async fn write<'a>(&'a self, order: &'a Order) -> Answer<Write<'a>> {
        let Order { proof, audit } = order;
        let write = self.write_unasked(audit).await?;
        if let Some(proof) = proof {
            judge(&write.transaction, proof).await?;
        }
        Ok(write)
    }
}

impl Write<'_> {
    /// The transaction.
    pub(super) fn on(&self) -> &DatabaseTransaction {
        &self.transaction
    }

    /// When it is written.
    pub(super) fn at(&self) -> Timestamp {
        self.audit.at
    }

    /// Notes what it makes untrue.
    pub(super) fn change(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Ends it, where something was done: remembers it, appends the changes and commits.
    pub(super) async fn done<T>(self, value: T) -> Answer<Committed<T>> {
        let Self { store, transaction, audit, changes } = self;
        audit::insert(&transaction, slice::from_ref(audit)).await?;
        let mut nonces = vec![0; changes.len() * 8];
        store.random.fill(&mut nonces).map_err(|error| StoreError::Unavailable(error.into()))?;
        // Last, for it takes the lock that orders all commits.
        let nonces = nonces.chunks_exact(8).filter_map(|nonce| nonce.try_into().ok());
        let changes: Vec<_> = changes.into_iter().zip(nonces.map(i64::from_ne_bytes)).collect();
        let mark = changes::append(store, &transaction, &changes, audit.at).await?;
        commit(transaction).await?;
        Ok(Committed { value, mark, found: None })
    }

    /// Ends it, where the database refused a row that another was faster with.
    pub(super) async fn refused<T>(self, value: T) -> Answer<Committed<T>> {
        self.transaction.rollback().await?;
        Ok(Committed { value, mark: None, found: None })
    }

    /// Ends it, where nothing was to be done.
    pub(super) async fn undone<T>(self, value: T) -> Answer<Committed<T>> {
        // Of the same transaction as what was found: a failover that loses the one loses the other.
        let found = changes::head_on(&self.transaction).await?;
        self.transaction.rollback().await?;
        Ok(Committed { value, mark: None, found: Some(found) })
    }
}

/// Judges again what a caller was proven by. What it read can't be changed before the commit.
async fn judge(transaction: &DatabaseTransaction, proof: &Proof) -> Answer<()> {
    let Proof { user, generation, grant, token } = proof;
    let row = user::Entity::find_by_id(user.to_string()).lock_shared().one(transaction).await?;
    if row.is_none_or(|row| row.state != ACTIVE || row.generation != generation.0) {
        return Err(StoreError::CallerGone);
    }
    if let Some(grant) = grant {
        let row =
            grant::Entity::find_by_id(grant.to_string()).lock_shared().one(transaction).await?;
        if row.is_none_or(|row| row.revoked_at.is_some() || row.generation != generation.0) {
            return Err(StoreError::CallerGone);
        }
    }
    if let Some(token) = token {
        let row =
            token::Entity::find_by_id(token.to_string()).lock_shared().one(transaction).await?;
        let jti = (changes::JTI.to_owned(), token.to_string());
        let revoked = revocation::Entity::find_by_id(jti).one(transaction).await?;
        if revoked.is_some() || row.is_some_and(|row| row.revoked_at.is_some()) {
            return Err(StoreError::CallerGone);
        }
    }
    Ok(())
}
