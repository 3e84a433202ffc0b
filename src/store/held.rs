//! The rows that a transaction judges by, which nobody can change before it ends.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::LockType;
use sea_orm::{
    ColumnTrait as _, Condition, DatabaseTransaction, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};

use super::changes::{GRANT, JTI};
use super::convert::ACTIVE;
use super::ending::Ended;
use super::entity::{grant, revocation, token, user};
use super::pieces::padded;
use crate::domain::authority::Evidence;
use crate::domain::clock::Timestamp;
use crate::domain::identity::{Generation, Realm, Role, RoleId, RoleName, UserId};
use crate::domain::store::{Answer, Proof, StoreError};
use crate::domain::token::{GrantId, TokenId};

mod roles;

use roles::WantedRoles;

/// How many rows are asked for at once.
const AT_ONCE: usize = 1024;

/// How a row is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hold {
    /// Others may hold it, too, and nobody changes it.
    Shared,
    /// Nobody else holds it.
    Alone,
}

/// Which rows are to be held.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    users: BTreeMap<String, Hold>,
    roles: WantedRoles,
    grants: BTreeSet<String>,
    tokens: BTreeSet<String>,
    noted: Noted,
}

/// What `revocations` is asked for.
#[derive(Debug, Default)]
struct Noted {
    jtis: BTreeSet<String>,
    grants: BTreeSet<String>,
}

/// The rows, as they will be until the end of the transaction.
#[derive(Debug, Default)]
pub(super) struct Held {
    users: BTreeMap<String, (String, i64)>,
    alone: BTreeMap<String, user::Model>,
    evidence: Evidence,
    grants: BTreeMap<String, grant::Model>,
    tokens: BTreeMap<String, token::Model>,
    noted: Noted,
}

impl Wanted {
    /// Adds what a caller was proven by, if they were, and what they are judged by.
    pub(super) fn add_proof(&mut self, proof: Option<&Proof>) {
        let Some(Proof { user, generation: _, grant, token, authority }) = proof else { return };
        self.add_user(*user);
        if let Some(grant) = grant {
            self.add_grant(*grant);
        }
        if let Some(token) = token {
            self.add_token(token);
            self.noted.jtis.insert(token.to_string());
        }
        if let Some(authority) = authority {
            self.roles.add_caller(*user);
            self.roles.add(authority.roles());
            for user in authority.users() {
                self.add_user(user);
                self.roles.add_all_of(user);
            }
        }
    }

    /// Adds a user.
    pub(super) fn add_user(&mut self, id: UserId) {
        self.users.entry(id.to_string()).or_insert(Hold::Shared);
    }

    /// Adds a user who is to be changed.
    pub(super) fn change_user(&mut self, id: UserId) {
        self.users.insert(id.to_string(), Hold::Alone);
    }

    /// Adds a user whose roles are to be changed.
    pub(super) fn change_roles_of(&mut self, id: UserId) {
        self.change_user(id);
        self.roles.add_all_of(id);
    }

    /// Adds roles.
    pub(super) fn add_roles(&mut self, ids: &BTreeSet<RoleId>) {
        self.roles.add(ids.iter().copied());
    }

    /// Adds the role of a name, which is to be changed. There is one at most.
    pub(super) fn change_role(&mut self, realm: &Realm, name: &RoleName) {
        self.roles.change(realm, name);
    }

    /// Adds a grant.
    pub(super) fn add_grant(&mut self, id: GrantId) {
        self.grants.insert(id.to_string());
    }

    /// Adds a token.
    pub(super) fn add_token(&mut self, id: &TokenId) {
        self.tokens.insert(id.to_string());
    }

    /// Adds a JWT, which may have no row, with all that a check of it asks for.
    pub(super) fn add_jwt(&mut self, id: &TokenId, grant: GrantId) {
        self.add_token(id);
        self.add_grant(grant);
        self.noted.jtis.insert(id.to_string());
        self.noted.grants.insert(grant.to_string());
    }

    /// Reads the rows and locks them: users first, then roles, grants and tokens, each sort in the
    /// order of their ids, so that nobody who does the same waits for one who waits for them.
    /// Grants and tokens are locked as is said; users and roles are shared, but for what is to be
    /// changed.
    pub(super) async fn hold(self, on: &DatabaseTransaction, lock: LockType) -> Answer<Held> {
        let Self { users, roles, grants, tokens, noted } = self;
        let mut held = Held::default();
        for (hold, ids) in runs(users) {
            held.hold_users(on, ids, hold).await?;
        }
        held.evidence = roles.hold(on).await?;
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
            let rows = token::Entity::find()
                .filter(token::Column::Id.is_in(ids))
                .order_by_asc(token::Column::Id)
                .lock(lock)
                .all(on)
                .await?;
            held.tokens.extend(rows.into_iter().map(|row| (row.id.clone(), row)));
        }
        // After the locks: whoever revokes one of these holds its grant.
        held.noted = noted.read(on).await?;
        Ok(held)
    }
}

impl Held {
    /// Judges again what a caller was proven by, and whether they may.
    ///
    /// # Errors
    /// [`StoreError::CallerGone`] and [`StoreError::Denied`].
    pub(super) fn admits(&self, proof: Option<&Proof>) -> Answer<()> {
        let Some(proof) = proof else { return Ok(()) };
        if !self.is_good(proof) {
            return Err(StoreError::CallerGone);
        }
        match &proof.authority {
            None => Ok(()),
            Some(authority) => Ok(authority.judge(&self.evidence)?),
        }
    }

    fn is_good(&self, proof: &Proof) -> bool {
        let Proof { user, generation: Generation(generation), grant, token, authority: _ } = proof;
        let user = self.users.get(&user.to_string());
        let grant = grant.map(|grant| self.grants.get(&grant.to_string()));
        user.is_some_and(|(state, own)| state == ACTIVE && own == generation)
            && grant.is_none_or(|row| {
                row.is_some_and(|row| row.revoked_at.is_none() && row.generation == *generation)
            })
            && token.as_ref().is_none_or(|token| !self.is_revoked(token))
    }

    /// Whether a token is revoked, with or without a row.
    fn is_revoked(&self, token: &TokenId) -> bool {
        let id = token.to_string();
        let by_row = self.tokens.get(&id).is_some_and(|row| row.revoked_at.is_some());
        by_row || self.noted.jtis.contains(&id)
    }

    /// Whether there is such a user.
    pub(super) fn has_user(&self, id: UserId) -> bool {
        self.users.contains_key(&id.to_string())
    }

    /// Takes the row of a user who is to be changed. `None`: there is no such user.
    pub(super) fn take_user(&mut self, id: UserId) -> Option<user::Model> {
        self.alone.remove(&id.to_string())
    }

    /// Lists the roles of a user, all of which were asked for.
    pub(super) fn roles_of(&self, id: UserId) -> BTreeSet<RoleId> {
        self.evidence.roles_of(id).map(|role| role.id).collect()
    }

    /// Leaves out the roles that are not there any more.
    pub(super) fn present(&self, roles: &BTreeSet<RoleId>) -> BTreeSet<RoleId> {
        roles.iter().copied().filter(|role| self.evidence.roles.contains_key(role)).collect()
    }

    /// Finds the role that is to be changed.
    pub(super) fn find_role(&self, realm: &Realm, name: &RoleName) -> Option<&Role> {
        self.evidence.find_role(realm, name)
    }

    /// Finds a grant.
    pub(super) fn find_grant(&self, id: GrantId) -> Option<&grant::Model> {
        self.grants.get(&id.to_string())
    }

    /// Finds a token.
    pub(super) fn find_token(&self, id: &TokenId) -> Option<&token::Model> {
        self.tokens.get(&id.to_string())
    }

    /// Whether a check refuses a JWT that was asked for: it goes by these rows alone. That the token
    /// or the grant has a row of its own which says so, or has none, is nothing to go by.
    pub(super) fn refuses(&self, jti: &TokenId, grant: GrantId) -> bool {
        self.noted.jtis.contains(&jti.to_string()) || self.noted.grants.contains(&grant.to_string())
    }

    /// Notes that this transaction has revoked a token, by its row or its `jti`.
    pub(super) fn note_token(&mut self, id: &TokenId, at: Timestamp) {
        let id = id.to_string();
        if let Some(row) = self.tokens.get_mut(&id) {
            row.revoked_at = Some(at.micros());
        }
        self.noted.jtis.insert(id);
    }

    /// Notes that this transaction has revoked grants, and which of them checks are told of.
    pub(super) fn note_grants(&mut self, ended: &Ended, at: Timestamp) {
        for id in &ended.grants {
            if let Some(row) = self.grants.get_mut(id) {
                row.revoked_at = Some(at.micros());
            }
        }
        self.noted.grants.extend(ended.noted.iter().cloned());
    }

    async fn hold_users(
        &mut self,
        on: &DatabaseTransaction,
        ids: Vec<String>,
        hold: Hold,
    ) -> Answer<()> {
        let rows =
            user::Entity::find().filter(user::Column::Id.is_in(ids)).order_by_asc(user::Column::Id);
        match hold {
            Hold::Shared => {
                let columns = [user::Column::Id, user::Column::State, user::Column::Generation];
                let rows = rows.select_only().columns(columns).lock_shared().into_tuple();
                let rows: Vec<(String, String, i64)> = rows.all(on).await?;
                for (id, state, generation) in rows {
                    self.users.insert(id, (state, generation));
                }
            }
            Hold::Alone => {
                for row in rows.lock_exclusive().all(on).await? {
                    self.users.insert(row.id.clone(), (row.state.clone(), row.generation));
                    self.alone.insert(row.id.clone(), row);
                }
            }
        }
        Ok(())
    }
}

fn at_once(ids: BTreeSet<String>) -> impl Iterator<Item = Vec<String>> {
    let ids: Vec<_> = ids.into_iter().collect();
    let pages: Vec<_> = ids.chunks(AT_ONCE).map(|page| padded(page.to_vec())).collect();
    pages.into_iter()
}

/// Cuts a list, where the next row is held otherwise, and into pieces that are asked for at once.
fn runs(ids: BTreeMap<String, Hold>) -> Vec<(Hold, Vec<String>)> {
    let ids: Vec<_> = ids.into_iter().collect();
    let alike = ids.chunk_by(|(_, one), (_, other)| one == other);
    let pieces = alike.flat_map(|alike| alike.chunks(AT_ONCE));
    let run = |piece: &[(String, Hold)]| {
        let hold = piece.first().map_or(Hold::Shared, |(_, hold)| *hold);
        (hold, padded(piece.iter().map(|(id, _)| id.clone()).collect()))
    };
    pieces.map(run).collect()
}

impl Noted {
    /// Answers what of it is there, in one statement for many.
    async fn read(self, on: &DatabaseTransaction) -> Answer<Self> {
        let mut found = Self::default();
        let both = [(JTI, self.jtis), (GRANT, self.grants)];
        let ids =
            both.into_iter().flat_map(|(kind, ids)| ids.into_iter().map(move |id| (kind, id)));
        let ids: Vec<_> = ids.collect();
        for ids in ids.chunks(AT_ONCE) {
            let of = |kind| {
                let ids = ids.iter().filter(|(own, _)| *own == kind).map(|(_, id)| id.clone());
                padded(ids.collect())
            };
            let any = [JTI, GRANT].into_iter().map(|kind| (kind, of(kind)));
            let any = any.filter(|(_, ids)| !ids.is_empty()).fold(
                Condition::any(),
                |any, (kind, ids)| {
                    any.add(
                        Condition::all()
                            .add(revocation::Column::Kind.eq(kind))
                            .add(revocation::Column::Id.is_in(ids)),
                    )
                },
            );
            let rows: Vec<(String, String)> = revocation::Entity::find()
                .select_only()
                .columns([revocation::Column::Kind, revocation::Column::Id])
                .filter(any)
                .into_tuple()
                .all(on)
                .await?;
            for (kind, id) in rows {
                match kind.as_str() {
                    JTI => found.jtis.insert(id),
                    _ => found.grants.insert(id),
                };
            }
        }
        Ok(found)
    }
}
