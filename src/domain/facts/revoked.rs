//! The JWTs and grants that were revoked. Absence means "allowed", so nothing is ever evicted: what
//! no longer matters is left behind when everything is read anew, after the purge has removed it by
//! the database's clock. So is a grant that no JWT was made from: its opaque tokens are read anew
//! with it, and their rows say that it is over. What changes told since is what one hour's
//! revocations come to.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::domain::store::Revocation;
use crate::domain::token::{GrantId, TokenId};

/// Each check of a JWT asks here, so those of many cores must seldom meet.
pub(super) const SHARDS: usize = 64;

/// What is revoked.
#[derive(Debug)]
pub(super) struct Revoked {
    /// By `jti`.
    pub(super) tokens: Shards<TokenId>,
    /// By grant.
    pub(super) grants: Shards<GrantId>,
}

impl Revoked {
    pub(super) fn new(shards: usize) -> Self {
        Self { tokens: Shards::new(shards), grants: Shards::new(shards) }
    }

    /// Begins with what the database holds.
    pub(super) fn of(revocations: Vec<Revocation>) -> Self {
        let revoked = Self::new(SHARDS);
        for revocation in revocations {
            match revocation {
                Revocation::Jti(id, _) => revoked.tokens.insert(id),
                Revocation::Grant(id, _) => revoked.grants.insert(id),
            }
        }
        revoked
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.tokens.len() + self.grants.len()
    }

    /// How many bytes they take.
    pub(super) fn bytes(&self) -> usize {
        self.tokens.bytes() + self.grants.bytes()
    }
}

/// Ids, in parts with a lock each.
#[derive(Debug)]
pub(super) struct Shards<K> {
    hasher: RandomState,
    shards: Box<[Shard<K>]>,
}

/// A part, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Shard<K> {
    // How many it has. Whoever reads zero here need not write into the lock.
    count: AtomicUsize,
    ids: RwLock<HashSet<K>>,
}

impl<K: Hash + Eq> Shards<K> {
    fn new(shards: usize) -> Self {
        let empty = || Shard { count: AtomicUsize::new(0), ids: RwLock::default() };
        Self {
            hasher: RandomState::new(),
            shards: std::iter::repeat_with(empty).take(shards.max(1)).collect(),
        }
    }

    /// Whether an id is among them.
    pub(super) fn contains(&self, id: &K) -> bool {
        let Some(shard) = self.shard(id) else { return false };
        shard.count.load(Ordering::Acquire) > 0 && shard.read().contains(id)
    }

    /// Adds an id. Before this returns, whoever asks finds it.
    pub(super) fn insert(&self, id: K) {
        if let Some(shard) = self.shard(&id) {
            let mut ids = shard.write();
            ids.insert(id);
            shard.count.store(ids.len(), Ordering::Release);
        }
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.count.load(Ordering::Acquire)).sum()
    }

    fn bytes(&self) -> usize {
        // A byte beside each place, of which seven in eight may be taken.
        let places = |shard: &Shard<K>| shard.read().capacity() * 8 / 7;
        let places: usize = self.shards.iter().map(places).sum();
        places * (size_of::<K>() + 1)
    }

    /// The one part that an id can be in. There is always one.
    fn shard(&self, id: &K) -> Option<&Shard<K>> {
        let count = u64::try_from(self.shards.len()).ok()?;
        let place = self.hasher.hash_one(id).checked_rem(count)?;
        self.shards.get(usize::try_from(place).ok()?)
    }

    /// Goes through all of them.
    #[cfg(test)]
    pub(super) fn list(&self) -> Vec<K>
    where
        K: Clone,
    {
        let list = |shard: &Shard<K>| -> Vec<_> { shard.read().iter().cloned().collect() };
        self.shards.iter().flat_map(list).collect()
    }
}

impl<K> Shard<K> {
    fn read(&self) -> RwLockReadGuard<'_, HashSet<K>> {
        self.ids.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashSet<K>> {
        self.ids.write().unwrap_or_else(PoisonError::into_inner)
    }
}
