//! Facts, kept or read: whoever misses one reads it, once for all who ask.

use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use super::{Knowledge, Known, MOST_TRIES, View, restless};
use crate::domain::error::Error;
use crate::domain::facts::{Fact, FactKey, Facts, Kept, Shelf};
use crate::domain::identity::{Realm, Role, RoleId, User, UserId};
use crate::domain::keys::KeyRing;
use crate::domain::store::{Answer, Seq};
use crate::domain::token::{Grant, GrantId, Token, TokenDigest};

impl Knowledge {
    /// Finds a user.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn user(&self, view: &View, id: UserId) -> Result<Fact<User>, Error> {
        let facts = view.facts();
        let read = || self.store.find_user(id);
        let keep = |user, as_of| facts.keep_user(id, user, as_of);
        self.fact(facts, (&facts.users, id, FactKey::User(id)), read, keep).await
    }

    /// Finds a role.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn role(&self, view: &View, id: RoleId) -> Result<Fact<Role>, Error> {
        let facts = view.facts();
        let read = || self.store.find_role(id);
        let keep = |role, as_of| facts.keep_role(id, role, as_of);
        self.fact(facts, (&facts.roles, id, FactKey::Role(id)), read, keep).await
    }

    /// Finds what everyone in a realm holds.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn anonymous(&self, view: &View, realm: &Realm) -> Result<Fact<Role>, Error> {
        let facts = view.facts();
        let read = || self.store.find_anonymous(realm);
        let keep = |role, as_of| facts.keep_anonymous(realm, role, as_of);
        let place = (&facts.anonymous, realm.clone(), FactKey::Anonymous(realm.clone()));
        self.fact(facts, place, read, keep).await
    }

    /// Finds an opaque token.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn token(&self, view: &View, digest: TokenDigest) -> Result<Fact<Token>, Error> {
        let facts = view.facts();
        let read = || self.store.find_token_by_digest(digest);
        let keep = |token, as_of| facts.keep_token(digest, token, as_of);
        self.fact(facts, (&facts.tokens, digest, FactKey::Token(digest)), read, keep).await
    }

    /// Finds a grant.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn grant(&self, view: &View, id: GrantId) -> Result<Fact<Grant>, Error> {
        let facts = view.facts();
        let read = || self.store.find_grant(id);
        let keep = |grant, as_of| facts.keep_grant(id, grant, as_of);
        self.fact(facts, (&facts.grants, id, FactKey::Grant(id)), read, keep).await
    }

    async fn fact<K, V, F>(
        &self,
        facts: &Facts,
        (kept, key, fact): (&Shelf<K, V>, K, FactKey),
        read: impl Fn() -> F + Send,
        keep: impl Fn(Fact<V>, Seq) -> Kept + Send,
    ) -> Result<Fact<V>, Error>
    where
        K: Hash + Eq + Clone + Send + Sync,
        V: Send + Sync,
        F: Future<Output = Answer<Option<V>>> + Send,
    {
        if let Some(found) = kept.get(&key) {
            return Ok(found);
        }
        // Calls that miss the same fact share one read.
        let _turn = self.loads.turn(fact).await;
        if let Some(found) = kept.get(&key) {
            return Ok(found);
        }
        for _ in 0..MOST_TRIES {
            let as_of = facts.known();
            metrics::counter!("tokend_fact_reads_total").increment(1);
            let value = read().await?.map(Arc::new);
            match keep(value.clone(), as_of) {
                Kept::Yes => return Ok(value),
                Kept::Stale => {}
            }
        }
        Err(restless())
    }

    pub(super) async fn reload_keys(&self, known: &Known) -> Result<(), Error> {
        let _turn = self.loads.turn(FactKey::Keys).await;
        if known.facts.admits_keys(known.keys.load().as_of) {
            return Ok(());
        }
        let as_of = known.facts.known();
        let rows = self.store.list_keys().await?;
        known.keys.store(Arc::new(KeyRing::open(&rows, &self.master, as_of)?));
        Ok(())
    }
}
