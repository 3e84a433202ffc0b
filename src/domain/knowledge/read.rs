//! Facts, kept or read: whoever misses one reads it, once for all who ask.

use std::future::Future;
use std::sync::Arc;

use super::sync::open_keys;
use super::{Knowledge, Known, MOST_TRIES, View, restless};
use crate::domain::clock::Timestamp;
use crate::domain::error::Error;
use crate::domain::facts::{Fact, FactKey, GrantFact, Kept, TokenFact};
use crate::domain::identity::{Realm, Role, RoleId, User, UserId};
use crate::domain::profile::Profiles;
use crate::domain::store::{Answer, Seq};
use crate::domain::token::{GrantId, TokenDigest};

impl Knowledge {
    /// Finds a user.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn user(&self, view: &View, id: UserId) -> Result<Fact<User>, Error> {
        let facts = view.facts();
        let place = Place { key: || FactKey::User(id), kept: || facts.kept_user(id) };
        let read = || async { Ok(self.store.find_user(id).await?.map(Arc::new)) };
        self.fact(view, place, read, |user, as_of| facts.keep_user(id, user, as_of)).await
    }

    /// Finds a role.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn role(&self, view: &View, id: RoleId) -> Result<Fact<Role>, Error> {
        let facts = view.facts();
        let place = Place { key: || FactKey::Role(id), kept: || facts.kept_role(id) };
        let read = || async { Ok(self.store.find_role(id).await?.map(Arc::new)) };
        self.fact(view, place, read, |role, as_of| facts.keep_role(id, role, as_of)).await
    }

    /// Finds what everyone in a realm holds.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn anonymous(&self, view: &View, realm: &Realm) -> Result<Fact<Role>, Error> {
        let facts = view.facts();
        let key = || FactKey::Anonymous(realm.clone());
        let place = Place { key, kept: || facts.kept_anonymous(realm) };
        let read = || async { Ok(self.store.find_anonymous(realm).await?.map(Arc::new)) };
        self.fact(view, place, read, |role, as_of| facts.keep_anonymous(realm, role, as_of)).await
    }

    /// Finds an opaque token, of one of these profiles or of one that is no more.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn token(
        &self,
        view: &View,
        digest: TokenDigest,
        profiles: &Profiles,
    ) -> Result<Option<TokenFact>, Error> {
        let facts = view.facts();
        let place = Place { key: || FactKey::Token(digest), kept: || facts.kept_token(&digest) };
        let read = || async {
            let row = self.store.find_token_by_digest(digest).await?;
            Ok(row.map(|(token, grant)| TokenFact::of(token, &grant, profiles)))
        };
        self.fact(view, place, read, |token, as_of| facts.keep_token(digest, token, as_of)).await
    }

    /// Finds a grant.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn grant(&self, view: &View, id: GrantId) -> Result<Option<GrantFact>, Error> {
        let facts = view.facts();
        let place = Place { key: || FactKey::Grant(id), kept: || facts.kept_grant(id) };
        let read = || async { Ok(self.store.find_grant(id).await?.as_ref().map(GrantFact::of)) };
        self.fact(view, place, read, |grant, as_of| facts.keep_grant(id, grant, as_of)).await
    }

    /// Remembers with an opaque token, where it is kept, that its use was noted.
    pub fn note_token(&self, digest: &TokenDigest, now: Timestamp) {
        self.known.load().facts.note_token(digest, now);
    }

    async fn fact<V, F>(
        &self,
        view: &View,
        place: Place<impl Fn() -> FactKey + Send, impl Fn() -> Option<V> + Send>,
        read: impl Fn() -> F + Send,
        keep: impl Fn(V, Seq) -> Kept + Send,
    ) -> Result<V, Error>
    where
        V: Clone + Send,
        F: Future<Output = Answer<V>> + Send,
    {
        let Place { key, kept } = place;
        if let Some(found) = kept() {
            return Ok(found);
        }
        // Calls that miss the same fact share one read.
        let _turn = self.loads.turn(key()).await;
        if let Some(found) = kept() {
            return Ok(found);
        }
        for _ in 0..MOST_TRIES {
            let as_of = view.facts().known();
            metrics::counter!("tokend_fact_reads_total").increment(1);
            let value = read().await?;
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
        let before = known.keys.load();
        let keys = open_keys((&rows, as_of), &self.master, Some(&before))?;
        known.keys.store(Arc::new(keys));
        Ok(())
    }
}

/// Where a fact is kept, and what its readers take turns by.
struct Place<K, G> {
    key: K,
    kept: G,
}
