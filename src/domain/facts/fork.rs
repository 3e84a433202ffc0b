//! Copies of facts, and what tells two apart: for the model, which goes on from one state in many
//! ways.
//!
//! All fields are named, so that a new one does not compile until it is copied and told apart. Of
//! the shelves only the contents count: the model drops what is kept whenever it likes, so how a
//! shelf chooses what it drops does not matter.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::{FactKey, Facts, Revoked, Shelf, Weigh};

/// More than the model keeps, on one part of a shelf.
const BYTES: usize = 64 << 10;

/// Of sets that absence is asked of: few, for the model makes many.
const SHARDS: usize = 2;

/// Everything that a later call may depend on.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(in crate::domain) struct Image {
    kept: BTreeSet<String>,
    numbers: [i64; 3],
    times: [u64; 2],
}

impl<K: Hash + Eq + Clone, V: Clone + Debug + Weigh> Shelf<K, V> {
    fn fork(&self) -> Self {
        let fork = Self::new(BYTES, BYTES);
        for (key, fact) in self.iter() {
            fork.insert(key, fact);
        }
        fork
    }

    fn image<'a, N: Debug>(
        &'a self,
        name: impl Fn(&K) -> N + 'a,
    ) -> impl Iterator<Item = String> + 'a {
        self.iter().map(move |(key, fact)| format!("{:?} is {fact:?}", name(&key)))
    }
}

impl Revoked {
    fn fork(&self) -> Self {
        let Self { tokens, grants } = self;
        let fork = Self::new(SHARDS);
        tokens.list().into_iter().for_each(|id| fork.tokens.insert(id));
        grants.list().into_iter().for_each(|id| fork.grants.insert(id));
        fork
    }
}

impl Facts {
    /// Others, which answer every call as these would.
    pub(in crate::domain) fn fork(&self) -> Self {
        let Self {
            users,
            roles,
            anonymous,
            tokens,
            grants,
            revoked,
            marks,
            keys_mark,
            known,
            known_nonce,
            lease_until,
            asked_at,
        } = self;
        let number = |number: &AtomicI64| AtomicI64::new(number.load(Ordering::Acquire));
        let time = |time: &AtomicU64| AtomicU64::new(time.load(Ordering::Acquire));
        Self {
            users: users.fork(),
            roles: roles.fork(),
            anonymous: ArcSwap::new(anonymous.load_full()),
            tokens: tokens.fork(),
            grants: grants.fork(),
            revoked: revoked.fork(),
            marks: Mutex::new(marks.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            keys_mark: number(keys_mark),
            known: number(known),
            known_nonce: number(known_nonce),
            lease_until: time(lease_until),
            asked_at: time(asked_at),
        }
    }

    /// What tells these facts from others.
    pub(in crate::domain) fn image(&self) -> Image {
        let Self {
            users,
            roles,
            anonymous,
            tokens,
            grants,
            revoked,
            marks,
            keys_mark,
            known,
            known_nonce,
            lease_until,
            asked_at,
        } = self;
        let number = |number: &AtomicI64| number.load(Ordering::Acquire);
        let time = |time: &AtomicU64| time.load(Ordering::Acquire);
        let mut kept = BTreeSet::new();
        kept.extend(users.image(|id| *id));
        kept.extend(roles.image(|id| *id));
        kept.extend(anonymous.load().iter().map(|of| format!("{of:?}")));
        kept.extend(tokens.image(|digest| *digest.as_bytes()));
        kept.extend(grants.image(|id| *id));
        kept.extend(revoked.tokens.list().iter().map(|entry| format!("revoked: {entry:?}")));
        kept.extend(revoked.grants.list().iter().map(|entry| format!("revoked: {entry:?}")));
        let marks = marks.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(marks.by_key.iter().map(|(key, seq)| match key {
            FactKey::Token(digest) => format!("mark of {:?}: {seq:?}", digest.as_bytes()),
            FactKey::User(_)
            | FactKey::Role(_)
            | FactKey::Anonymous(_)
            | FactKey::Grant(_)
            | FactKey::Keys => format!("mark of {key:?}: {seq:?}"),
        }));
        kept.insert(format!("{:?} {} {}", marks.floor, marks.most, marks.suspensions));
        Image {
            kept,
            numbers: [number(keys_mark), number(known), number(known_nonce)],
            times: [time(lease_until), time(asked_at)],
        }
    }

    /// Remembers no more marks than this before the older ones become the floor.
    pub(in crate::domain) fn bound_marks(&self, most: usize) {
        self.marks().most = most;
    }

    /// Forgets when a lease was that is over.
    pub(in crate::domain) fn lapse(&self) {
        self.lease_until.store(0, Ordering::Release);
        self.asked_at.store(0, Ordering::Release);
    }

    /// Forgets what stands for the marks that were forgotten, which the product never does.
    pub(in crate::domain) fn drop_floor(&self) {
        self.marks().floor = None;
    }

    /// Drops a fact, as a full shelf does.
    pub(in crate::domain) fn evict(&self, key: &FactKey) {
        match key {
            FactKey::User(id) => self.users.remove(id),
            FactKey::Role(id) => self.roles.remove(id),
            FactKey::Anonymous(realm) => self.change_anonymous(|all| drop(all.remove(realm))),
            FactKey::Token(digest) => self.tokens.remove(digest),
            FactKey::Grant(id) => self.grants.remove(id),
            FactKey::Keys => {}
        }
    }
}
