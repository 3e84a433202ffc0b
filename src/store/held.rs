//! The rows that a transaction judges by, which nobody can change before it ends.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::LockType;
use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use super::changes::JTI;
use super::convert::ACTIVE;
use super::entity::{grant, revocation, token, user};
use super::pieces::padded;
use crate::domain::identity::{Generation, UserId};
use crate::domain::store::{Answer, Proof};
use crate::domain::token::{GrantId, TokenId};

/// How many rows are asked for at once.
const AT_ONCE: usize = 1024;

/// Which rows are to be held.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    users: BTreeSet<String>,
    grants: BTreeSet<String>,
    tokens: BTreeSet<String>,
}

/// The rows, as they will be until the end of the transaction.
#[derive(Debug, Default)]
pub(super) struct Held {
    users: BTreeMap<String, (String, i64)>,
    grants: BTreeMap<String, grant::Model>,
    revoked: BTreeSet<String>,
}

impl Wanted {
    /// Adds what a caller was proven by, if they were.
    pub(super) fn add_proof(&mut self, proof: Option<&Proof>) {
        let Some(Proof { user, generation: _, grant, token }) = proof else { return };
        self.add_user(*user);
        if let Some(grant) = grant {
            self.add_grant(*grant);
        }
        if let Some(token) = token {
            self.add_token(token);
        }
    }

    /// Adds a user.
    pub(super) fn add_user(&mut self, id: UserId) {
        self.users.insert(id.to_string());
    }

    /// Adds a grant.
    pub(super) fn add_grant(&mut self, id: GrantId) {
        self.grants.insert(id.to_string());
    }

    /// Adds a token.
    pub(super) fn add_token(&mut self, id: &TokenId) {
        self.tokens.insert(id.to_string());
    }

    /// Reads the rows and locks them: users first, then grants, then tokens, each sort in the
    /// order of their ids, so that nobody who does the same waits for one who waits for them.
    /// Users are shared, the others locked as is said.
    pub(super) async fn hold(self, on: &DatabaseTransaction, lock: LockType) -> Answer<Held> {
        let Self { users, grants, tokens } = self;
        let mut held = Held::default();
        for ids in at_once(users) {
            held.users.extend(hold_users(on, ids).await?);
        }
        for ids in at_once(grants) {
            let rows = grant::Entity::find()
                .filter(grant::Column::Id.is_in(ids))
                .order_by_asc(grant::Column::Id)
                .lock(lock)
                .all(on)
                .await?;
            held.grants.extend(rows.into_iter().map(|row| (row.id.clone(), row)));
        }
        for ids in at_once(tokens) {
            held.revoked.extend(hold_tokens(on, ids, lock).await?);
        }
        Ok(held)
    }
}

impl Held {
    /// Judges again what a caller was proven by.
    pub(super) fn admits(&self, proof: Option<&Proof>) -> bool {
        let Some(Proof { user, generation: Generation(generation), grant, token }) = proof else {
            return true;
        };
        let user = self.users.get(&user.to_string());
        let grant = grant.map(|grant| self.grants.get(&grant.to_string()));
        user.is_some_and(|(state, own)| state == ACTIVE && own == generation)
            && grant.is_none_or(|row| {
                row.is_some_and(|row| row.revoked_at.is_none() && row.generation == *generation)
            })
            && token.as_ref().is_none_or(|token| !self.revoked.contains(&token.to_string()))
    }

    /// Whether there is such a user.
    pub(super) fn has_user(&self, id: UserId) -> bool {
        self.users.contains_key(&id.to_string())
    }

    /// Finds a grant.
    pub(super) fn find_grant(&self, id: GrantId) -> Option<&grant::Model> {
        self.grants.get(&id.to_string())
    }
}

fn at_once(ids: BTreeSet<String>) -> impl Iterator<Item = Vec<String>> {
    let ids: Vec<_> = ids.into_iter().collect();
    let pages: Vec<_> = ids.chunks(AT_ONCE).map(|page| padded(page.to_vec())).collect();
    pages.into_iter()
}

async fn hold_users(
    on: &DatabaseTransaction,
    ids: Vec<String>,
) -> Answer<impl Iterator<Item = (String, (String, i64))>> {
    let rows: Vec<(String, String, i64)> = user::Entity::find()
        .select_only()
        .columns([user::Column::Id, user::Column::State, user::Column::Generation])
        .filter(user::Column::Id.is_in(ids))
        .order_by_asc(user::Column::Id)
        .lock_shared()
        .into_tuple()
        .all(on)
        .await?;
    Ok(rows.into_iter().map(|(id, state, generation)| (id, (state, generation))))
}

/// Answers those that are revoked, with or without a row.
async fn hold_tokens(
    on: &DatabaseTransaction,
    ids: Vec<String>,
    lock: LockType,
) -> Answer<impl Iterator<Item = String>> {
    let rows: Vec<(String, Option<i64>)> = token::Entity::find()
        .select_only()
        .columns([token::Column::Id, token::Column::RevokedAt])
        .filter(token::Column::Id.is_in(ids.clone()))
        .order_by_asc(token::Column::Id)
        .lock(lock)
        .into_tuple()
        .all(on)
        .await?;
    let jtis: Vec<String> = revocation::Entity::find()
        .select_only()
        .column(revocation::Column::Id)
        .filter(revocation::Column::Kind.eq(JTI))
        .filter(revocation::Column::Id.is_in(ids))
        .into_tuple()
        .all(on)
        .await?;
    let by_row = rows.into_iter().filter_map(|(id, revoked)| revoked.map(|_| id));
    Ok(by_row.chain(jtis))
}
