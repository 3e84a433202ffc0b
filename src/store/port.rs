//! The port, method by method: each is one function of the module of its subject. What writes is
//! tried again where the database broke it off, or shares its transaction with others.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::create::Creation;
use super::refresh::OrderedSwap;
use super::retry::retrying;
use super::revoke::{OrderedRevocation, Target};
use super::{
    SeaStore, attempts, audit, changes, clock, commits, cut, directory, facts, keys, purge,
    refresh, revoke, roles, tokens,
};
use crate::domain::clock::Timestamp;
use crate::domain::identity::{Realm, Role, RoleId, RoleName, User, UserId, Username};
use crate::domain::store::{
    Answer, Attempt, AttemptStart, Audit, AuditEvent, AuditQuery, Bootstrapped, Committed, Counter,
    Inserted, JtiRevocation, KeyChange, KeyRow, KeyState, Mark, NamePage, NewTokens, NewUser,
    Order, Owned, PasswordHash, PasswordUpdate, Purge, Purged, RefreshRow, Revocation, Revoked,
    Seq, Store, Swap, Swapped, Tail, Terms, TokenName, TokenQuery, UserUpdate,
};
use crate::domain::token::{Grant, GrantId, KeyId, Token, TokenDigest, TokenId};

#[async_trait]
impl Store for SeaStore {
    async fn head(&self) -> Answer<Mark> {
        changes::head(self).await
    }

    async fn durable_head(&self, at: Timestamp) -> Answer<Mark> {
        retrying(|| commits::durable_head(self, at)).await
    }

    async fn append_barrier(&self, at: Timestamp) -> Answer<Mark> {
        retrying(|| commits::append_barrier(self, at)).await
    }

    async fn check_writable(&self) -> Answer<()> {
        retrying(|| commits::check_writable(self)).await
    }

    async fn clock(&self) -> Answer<Timestamp> {
        clock::now(self, &self.readers).await
    }

    async fn changes_from(&self, seq: Seq) -> Answer<Tail> {
        changes::changes_from(self, seq).await
    }

    async fn announce_terms(&self, terms: Terms) -> Answer<()> {
        retrying(|| changes::announce_terms(self, terms)).await
    }

    async fn find_user(&self, id: UserId) -> Answer<Option<User>> {
        facts::find_user(self, id).await
    }

    async fn find_role(&self, id: RoleId) -> Answer<Option<Role>> {
        facts::find_role(self, id).await
    }

    async fn find_anonymous(&self, realm: &Realm) -> Answer<Option<Role>> {
        facts::find_anonymous(self, realm).await
    }

    async fn find_token_by_digest(&self, digest: TokenDigest) -> Answer<Option<(Token, Grant)>> {
        facts::find_token_by_digest(self, digest).await
    }

    async fn find_grant(&self, id: GrantId) -> Answer<Option<Grant>> {
        facts::find_grant(self, id).await
    }

    async fn list_revocations(&self) -> Answer<Vec<Revocation>> {
        facts::list_revocations(self).await
    }

    async fn list_keys(&self) -> Answer<Vec<KeyRow>> {
        facts::list_keys(self).await
    }

    async fn begin_attempt(&self, attempt: &Attempt) -> Answer<AttemptStart> {
        retrying(|| attempts::begin_attempt(self, attempt)).await
    }

    async fn succeed_attempt(
        &self,
        attempt: &Attempt,
        user: UserId,
        counter: &Counter,
    ) -> Answer<()> {
        retrying(|| attempts::succeed_attempt(self, attempt, user, counter)).await
    }

    async fn cancel_attempt(&self, attempt: &Attempt) -> Answer<()> {
        retrying(|| attempts::cancel_attempt(self, attempt)).await
    }

    async fn unlock_user(&self, id: UserId, order: &Order) -> Answer<Committed<()>> {
        retrying(|| attempts::unlock_user(self, id, order)).await
    }

    async fn replace_hash(
        &self,
        user: UserId,
        old: &PasswordHash,
        new: &PasswordHash,
    ) -> Answer<()> {
        retrying(|| directory::replace_hash(self, user, old, new)).await
    }

    async fn insert_tokens(&self, new: &NewTokens, order: &Order) -> Answer<Committed<()>> {
        let job = Creation { new: new.clone(), order: order.clone() };
        self.creations.write(self, job).await
    }

    async fn find_owned(&self, name: TokenName<'_>) -> Answer<Option<Owned>> {
        tokens::find_owned(self, name).await
    }

    async fn list_tokens(&self, query: &TokenQuery) -> Answer<Vec<(Token, Grant)>> {
        tokens::list_tokens(self, query).await
    }

    async fn find_root(&self, id: GrantId) -> Answer<Option<TokenId>> {
        tokens::find_root(self, id).await
    }

    async fn find_refresh(&self, digest: TokenDigest) -> Answer<Option<RefreshRow>> {
        refresh::find_refresh(self, digest).await
    }

    async fn swap_refresh(&self, swap: &Swap, order: &Order) -> Answer<Committed<Swapped>> {
        let job = OrderedSwap { swap: swap.clone(), order: order.clone() };
        self.swaps.write(self, job).await
    }

    async fn revoke_token(
        &self,
        id: &TokenId,
        grant: GrantId,
        order: &Order,
    ) -> Answer<Committed<Option<Revoked>>> {
        let target = Target::Token(id.clone(), grant);
        let job = OrderedRevocation { target, order: order.clone() };
        self.revocations.write(self, job).await
    }

    async fn revoke_jti(
        &self,
        jti: &JtiRevocation,
        order: &Order,
    ) -> Answer<Committed<Option<Revoked>>> {
        let job = OrderedRevocation { target: Target::Jti(jti.clone()), order: order.clone() };
        self.revocations.write(self, job).await
    }

    async fn revoke_grant(&self, id: GrantId, order: &Order) -> Answer<Committed<Option<Revoked>>> {
        let job = OrderedRevocation { target: Target::Grant(id), order: order.clone() };
        self.revocations.write(self, job).await
    }

    async fn revoke_user(&self, id: UserId, order: &Order) -> Answer<Committed<Option<Revoked>>> {
        retrying(|| revoke::revoke_user(self, id, order)).await
    }

    async fn touch_tokens(&self, uses: &[(TokenId, Timestamp)]) -> Answer<()> {
        retrying(|| tokens::touch_tokens(self, uses)).await
    }

    async fn insert_user(&self, new: &NewUser, order: &Order) -> Answer<Committed<Inserted>> {
        retrying(|| directory::insert_user(self, new, order)).await
    }

    async fn find_user_by_name(&self, realm: &Realm, name: &Username) -> Answer<Option<User>> {
        directory::find_user_by_name(self, realm, name).await
    }

    async fn find_password(&self, id: UserId) -> Answer<Option<(User, Option<PasswordHash>)>> {
        directory::find_password(self, id).await
    }

    async fn list_users(&self, page: &NamePage) -> Answer<Vec<(Username, User)>> {
        directory::list_users(self, page).await
    }

    async fn update_user(
        &self,
        update: &UserUpdate,
        order: &Order,
    ) -> Answer<Committed<Option<User>>> {
        retrying(|| directory::update_user(self, update, order)).await
    }

    async fn set_password(
        &self,
        update: &PasswordUpdate,
        order: &Order,
    ) -> Answer<Committed<Option<u32>>> {
        retrying(|| directory::set_password(self, update, order)).await
    }

    async fn delete_user(&self, id: UserId, order: &Order) -> Answer<Committed<bool>> {
        retrying(|| directory::delete_user(self, id, order)).await
    }

    async fn set_user_roles(
        &self,
        id: UserId,
        roles: &BTreeSet<RoleId>,
        order: &Order,
    ) -> Answer<Committed<Option<User>>> {
        retrying(|| directory::set_user_roles(self, id, roles, order)).await
    }

    async fn find_roles(&self, realm: &Realm, names: &BTreeSet<RoleName>) -> Answer<Vec<Role>> {
        roles::find_roles(self, realm, names).await
    }

    async fn put_role(&self, role: &Role, order: &Order) -> Answer<Committed<Role>> {
        retrying(|| roles::put_role(self, role, order)).await
    }

    async fn delete_role(
        &self,
        realm: &Realm,
        name: &RoleName,
        order: &Order,
    ) -> Answer<Committed<bool>> {
        retrying(|| roles::delete_role(self, realm, name, order)).await
    }

    async fn list_roles(&self, page: &NamePage) -> Answer<Vec<Role>> {
        roles::list_roles(self, page).await
    }

    async fn has_users(&self) -> Answer<bool> {
        retrying(|| roles::has_users(&self.readers)).await
    }

    async fn bootstrap(
        &self,
        admin: &NewUser,
        role: &Role,
        audit: &Audit,
    ) -> Answer<Committed<Bootstrapped>> {
        retrying(|| roles::bootstrap(self, admin, role, audit)).await
    }

    async fn insert_first_key(&self, key: &KeyRow, audit: &Audit) -> Answer<Committed<KeyChange>> {
        retrying(|| keys::insert_first_key(self, key, audit)).await
    }

    async fn replace_key(
        &self,
        old: &KeyId,
        left: KeyState,
        new: &KeyRow,
        order: &Order,
    ) -> Answer<Committed<KeyChange>> {
        retrying(|| keys::replace_key(self, old, left, new, order)).await
    }

    async fn retire_key(
        &self,
        id: &KeyId,
        at: Timestamp,
        order: &Order,
    ) -> Answer<Committed<KeyChange>> {
        retrying(|| keys::retire_key(self, id, at, order)).await
    }

    async fn insert_audit(&self, audit: &Audit) -> Answer<()> {
        retrying(|| audit::insert_audit(self, audit)).await
    }

    async fn list_audit(&self, query: &AuditQuery) -> Answer<Vec<AuditEvent>> {
        audit::list_audit(self, query).await
    }

    async fn set_terms(&self, terms: Terms, audit: &Audit) -> Answer<()> {
        retrying(|| changes::set_terms(self, terms, audit)).await
    }

    async fn fence(&self, order: &Order) -> Answer<Committed<u64>> {
        retrying(|| cut::fence(self, order)).await
    }

    async fn purge(&self, purge: Purge) -> Answer<Option<Purged>> {
        retrying(|| purge::purge(self, purge)).await
    }
}
