//! `KeyService`: which keys sign, and their replacement.

use std::sync::Arc;
use std::time::Duration;

use super::authority::Need;
use super::caller::{Caller, Intent};
use super::calls::{Origin, PublicKey, SigningKeyView, Wait};
use super::clock::Timestamp;
use super::core::Core;
use super::error::Error;
use super::identity::Realm;
use super::keys::{self, NewKey};
use super::profile::{Algorithm, Format, Life};
use super::store::{Actor, Audit, KeyChange, KeyPurpose, KeyRow, KeyState, Order};
use super::token::KeyId;

const ROTATE: &str = "key:rotate";
const RETIRE: &str = "key:retire";

/// How much longer than its tokens a key is kept.
const SLACK: Duration = Duration::from_hours(24);

impl Core {
    /// Answers the keys that the world may verify our tokens with: none that was retired before.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn public_keys(&self) -> Result<Vec<PublicKey>, Error> {
        Ok(self.knowledge.view().await?.keys.public_keys())
    }

    /// Lists the signing keys, newest first.
    ///
    /// # Errors
    /// [`Error::PermissionMissing`], [`Error::Invalid`], [`Error::Unavailable`]; what proves the
    /// caller.
    pub async fn list_signing_keys(
        &self,
        origin: &Origin,
        profile: &str,
    ) -> Result<Vec<SigningKeyView>, Error> {
        if !profile.is_empty() {
            self.settings.profiles.get(profile)?;
        }
        self.key_keeper(origin, "key:read").await?;
        let mut rows = self.store.list_keys().await?;
        rows.retain(|row| {
            row.purpose == KeyPurpose::Sign && (profile.is_empty() || row.profile == profile)
        });
        rows.sort_by(|a, b| {
            b.created_at.cmp(&a.created_at).then_with(|| a.profile.cmp(&b.profile))
        });
        Ok(rows.into_iter().map(key_view).collect())
    }

    /// Puts a new key in the place of the one that signs for a profile.
    ///
    /// # Errors
    /// As [`Self::list_signing_keys`]; [`Error::Invalid`] for a profile that signs nothing.
    pub async fn rotate_signing_key(
        &self,
        origin: &Origin,
        profile: &str,
        wait: Wait,
    ) -> Result<SigningKeyView, Error> {
        let profile = self.settings.profiles.get(profile)?;
        let Format::Jwt { algorithm, .. } = profile.format else {
            return Err(Error::field("profile", "makes tokens that no key signs"));
        };
        let caller = self.key_keeper(origin, ROTATE).await?;
        let name = profile.name.as_str();
        let old = self.knowledge.keys().signing(name)?.id.clone();
        let order = self.key_order(&caller, origin, ("key.rotate", ROTATE, &old));
        let new = self.generate(name, algorithm).await?;
        self.replace((old, KeyState::Verifying), new, order, wait).await
    }

    /// Ends a key at once: every token that it signed is refused. One that signs is replaced.
    ///
    /// # Errors
    /// As [`Self::list_signing_keys`]; [`Error::KeyNotFound`].
    pub async fn retire_signing_key(
        &self,
        origin: &Origin,
        id: &str,
        wait: Wait,
    ) -> Result<SigningKeyView, Error> {
        let id = KeyId::parse(id).map_err(|fault| Error::field("key_id", fault))?;
        let caller = self.key_keeper(origin, RETIRE).await?;
        let row = self.find_signing_key(&id).await?.ok_or(Error::KeyNotFound)?;
        let order = self.key_order(&caller, origin, ("key.retire", RETIRE, &id));
        let profile = self.settings.profiles.find(&row.profile).map(|profile| profile.format);
        match (row.state, profile) {
            (KeyState::Active, Some(Format::Jwt { algorithm, .. })) => {
                let new = self.generate(&row.profile, algorithm).await?;
                let _new = self.replace((id.clone(), KeyState::Retired), new, order, wait).await?;
            }
            // A key of a profile that the settings have lost needs no successor.
            (KeyState::Active | KeyState::Next | KeyState::Verifying | KeyState::Retired, _) => {
                let (store, key, now) = (Arc::clone(&self.store), id.clone(), self.now());
                let changed = self
                    .knowledge
                    .commit(wait, async move { store.retire_key(&key, now, &order).await })
                    .await?;
                match changed {
                    KeyChange::Done => {}
                    KeyChange::Lost => return Err(Error::KeyNotFound),
                }
            }
        }
        // The keys are read again before anything is signed, verified or published by them.
        self.knowledge.view().await?;
        self.find_signing_key(&id).await?.map(key_view).ok_or(Error::KeyNotFound)
    }

    /// Retires the keys that stopped signing so long ago that no token of theirs lives, and those
    /// that were published and, for whoever did it has gone, never signed.
    pub(super) async fn retire_outlived_keys(&self) -> Result<(), Error> {
        let now = self.now();
        for row in self.store.list_keys().await? {
            if row.purpose != KeyPurpose::Sign {
                continue;
            }
            let end = match row.state {
                KeyState::Verifying => row
                    .retired_at
                    .zip(self.longest_life(&row.profile))
                    .map(|(at, life)| at.plus(life)),
                KeyState::Next => Some(row.created_at),
                KeyState::Active | KeyState::Retired => None,
            };
            let is_over = |now: Timestamp| end.is_some_and(|end| end.plus(SLACK) < now);
            // By the clock that is behind: a fast one of ours must not end what lives.
            if is_over(now) && is_over(self.store.clock().await?) {
                let audit = Audit {
                    target: row.id.to_string(),
                    ..self.audit("key.retire", Actor::Service, None)
                };
                let (store, order) = (Arc::clone(&self.store), Order { proof: None, audit });
                let _lost_or_done = self
                    .knowledge
                    .commit(Wait::Skip, async move { store.retire_key(&row.id, now, &order).await })
                    .await?;
            }
        }
        Ok(())
    }

    /// How long the longest token of a profile lives that a key signs; `None`: for ever. A profile
    /// that the settings have lost may come back with any.
    fn longest_life(&self, profile: &str) -> Option<Duration> {
        let profile = self.settings.profiles.find(profile)?;
        let Life::For(longest) = profile.max_life else { return None };
        Some(profile.refresh.map_or(longest, |policy| policy.life.max(longest)))
    }

    /// Replaces the keys that sign by another algorithm than the settings now say.
    pub(super) async fn replace_keys_of_other_algorithms(&self) -> Result<(), Error> {
        for profile in self.settings.profiles.iter() {
            let Format::Jwt { algorithm, .. } = profile.format else { continue };
            let name = profile.name.as_str();
            let keys = self.knowledge.keys();
            // One that does not open was told of: the rest goes on, and lets it be retired.
            let Ok(old) = keys.signing(name) else { continue };
            if old.pair.algorithm() == algorithm {
                continue;
            }
            let new = self.generate(name, algorithm).await?;
            let audit = Audit {
                target: old.id.to_string(),
                ..self.audit("key.rotate", Actor::Service, None)
            };
            let order = Order { proof: None, audit };
            let left = (old.id.clone(), KeyState::Verifying);
            self.replace(left, new, order, Wait::ForAll).await?;
        }
        Ok(())
    }

    /// Puts a key in the place of another. It is published first, and all have heard of it before
    /// it signs: a replica that does not know it would refuse what it signed.
    async fn replace(
        &self,
        (old, left): (KeyId, KeyState),
        new: KeyRow,
        order: Order,
        wait: Wait,
    ) -> Result<SigningKeyView, Error> {
        let next = KeyRow { state: KeyState::Next, ..new.clone() };
        let audit =
            Audit { action: "key.publish", target: new.id.to_string(), ..order.audit.clone() };
        let publish = Order { audit, ..order.clone() };
        self.put((old.clone(), KeyState::Active), next, publish, Wait::ForAll).await?;
        self.put((old, left), new.clone(), order, wait).await?;
        self.knowledge.view().await?;
        Ok(key_view(new))
    }

    async fn put(
        &self,
        (old, left): (KeyId, KeyState),
        new: KeyRow,
        order: Order,
        wait: Wait,
    ) -> Result<(), Error> {
        let store = Arc::clone(&self.store);
        let changed = self
            .knowledge
            .commit(wait, async move { store.replace_key(&old, left, &new, &order).await })
            .await?;
        match changed {
            KeyChange::Done => Ok(()),
            KeyChange::Lost => Err(Error::Unavailable("the key was replaced meanwhile".into())),
        }
    }

    async fn generate(&self, profile: &str, algorithm: Algorithm) -> Result<KeyRow, Error> {
        let new = NewKey::Sign { profile: profile.to_owned(), algorithm };
        let (master, random, now) =
            (Arc::clone(&self.master), Arc::clone(&self.random), self.now());
        tokio::task::spawn_blocking(move || keys::generate(&new, &master, &*random, now))
            .await
            .map_err(Error::internal)?
    }

    async fn find_signing_key(&self, id: &KeyId) -> Result<Option<KeyRow>, Error> {
        let rows = self.store.list_keys().await?;
        Ok(rows.into_iter().find(|row| row.id == *id && row.purpose == KeyPurpose::Sign))
    }

    /// Keys are every realm's: the realm `default` keeps them for all.
    async fn key_keeper(&self, origin: &Origin, permission: &'static str) -> Result<Caller, Error> {
        let caller = self.caller(origin).await?;
        caller.need_in(&Realm::default(), permission)?;
        Ok(caller)
    }

    fn key_order(
        &self,
        caller: &Caller,
        origin: &Origin,
        (action, permission, key): (&'static str, &'static str, &KeyId),
    ) -> Order {
        let realm = Realm::default();
        let needs = vec![Need::permission(permission, &realm)];
        self.order(caller, origin, Intent::new(action, &realm, key, needs))
    }
}

fn key_view(row: KeyRow) -> SigningKeyView {
    let KeyRow { id, purpose: _, profile, algorithm, state, sealed: _, created_at, retired_at } =
        row;
    SigningKeyView { id, profile, algorithm, state, created_at, retired_at }
}
