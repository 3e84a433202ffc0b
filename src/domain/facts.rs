//! What is kept in memory, and how long it may be believed.
//!
//! A fact is something read from the database: a user, a role, a token, a grant. Verdicts are
//! never kept. Everything here takes time as an argument and waits for nothing, so that a model
//! can drive it. The rules are those of strict revocation:
//!
//! - A fact has an `as_of`: the newest change that was known before its read began. A change marks
//!   its key; a fact older than its key's mark is thrown away, also when its slow read comes back
//!   after the change was applied. A mark that is forgotten raises a floor for all.
//! - Only the tail moves `known`. It publishes the marks first, then `known`, then the lease.
//! - A page of the tail begins with the change that is known, nonce and all; where it does not,
//!   everything is loaded anew.
//! - A lease counts from before the tail's read began.
//! - A judgement counts only if at its end `known` is what it was and the lease still holds.
//! - Where absence means "allowed" (revoked JWTs and grants), nothing is ever evicted.

use std::hash::Hash;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use quick_cache::sync::Cache;

use super::clock::{Instant, Timestamp};
use super::identity::{Realm, Role, RoleId, User, UserId};
use super::lease::Lease;
use super::store::{Change, GrantChange, Mark, More, Revocation, Seq, Tail};
use super::token::{Grant, GrantId, Token, TokenDigest, TokenId};

#[cfg(test)]
mod fork;
mod marks;
mod revoked;

#[cfg(test)]
pub(super) use fork::Image;
use marks::Marks;
use revoked::Revoked;

/// How many facts of each sort are kept at most.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Opaque tokens, those that were not found among them: about 0.5 KiB each.
    pub tokens: usize,
    /// Users, and grants: about 0.5 KiB each.
    pub users: usize,
}

/// What a fact is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FactKey {
    /// A user and which roles they have.
    User(UserId),
    /// A role.
    Role(RoleId),
    /// What everyone in a realm holds.
    Anonymous(Realm),
    /// An opaque token.
    Token(TokenDigest),
    /// A grant.
    Grant(GrantId),
    /// The keys.
    Keys,
}

/// Whether a fact that was read may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Kept {
    /// It may.
    Yes,
    /// A change came in between: read it again.
    Stale,
}

/// What a page of the tail came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Caught {
    /// Everything up to the page's end is known, and the page was the last: a lease may be taken.
    Up,
    /// The page was full: there may be more, and no lease.
    Behind,
    /// The list has no place for what is known, or says what this version can't read: everything
    /// must be loaded anew.
    Lost,
}

/// What was read: something, or that there is nothing.
pub type Fact<V> = Option<Arc<V>>;

/// Facts of one sort.
#[derive(Debug)]
pub struct Shelf<K, V>(Cache<K, Fact<V>>);

impl<K: Hash + Eq + Clone, V> Shelf<K, V> {
    fn new(capacity: usize) -> Self {
        Self(Cache::new(capacity))
    }

    /// Answers the fact, if it is kept.
    pub fn get(&self, key: &K) -> Option<Fact<V>> {
        self.0.get(key)
    }
}

/// The facts, from one load on. A reload makes another beside it and swaps the two.
#[derive(Debug)]
pub struct Facts {
    /// Users by id.
    pub users: Shelf<UserId, User>,
    /// Roles by what is behind their names.
    pub roles: Shelf<RoleId, Role>,
    /// What everyone in a realm holds.
    pub anonymous: Shelf<Realm, Role>,
    /// Opaque tokens by digest.
    pub tokens: Shelf<TokenDigest, Token>,
    /// Grants by id.
    pub grants: Shelf<GrantId, Grant>,
    revoked: RwLock<Revoked>,
    marks: Mutex<Marks>,
    keys_mark: AtomicI64,
    known: AtomicI64,
    // Read by the tail alone, beside `known`.
    known_nonce: AtomicI64,
    // Microseconds of the lease's clock; the greatest number is an endless lease.
    lease_until: AtomicU64,
    // When the read began by which all is known, on the same clock.
    asked_at: AtomicU64,
}

impl Facts {
    /// Begins with the revocations that a load found after it had read `known`, and no lease.
    #[must_use]
    pub fn new(capacity: Capacity, known: Mark, revocations: Vec<Revocation>) -> Self {
        Self {
            users: Shelf::new(capacity.users),
            roles: Shelf::new(capacity.users),
            anonymous: Shelf::new(1024),
            tokens: Shelf::new(capacity.tokens),
            grants: Shelf::new(capacity.users),
            revoked: RwLock::new(Revoked::of(revocations)),
            marks: Mutex::default(),
            keys_mark: AtomicI64::new(i64::MIN),
            known: AtomicI64::new(known.seq.0),
            known_nonce: AtomicI64::new(known.nonce),
            lease_until: AtomicU64::new(0),
            asked_at: AtomicU64::new(0),
        }
    }

    /// The newest change that all facts here take into account.
    #[must_use]
    pub fn known(&self) -> Seq {
        Seq(self.known.load(Ordering::Acquire))
    }

    /// The same, with its nonce: for the one tail.
    #[must_use]
    pub fn known_mark(&self) -> Mark {
        Mark { seq: self.known(), nonce: self.known_nonce.load(Ordering::Acquire) }
    }

    /// Whether the facts may be believed by a call that read its clock at `instant`, after it had
    /// arrived.
    #[must_use]
    pub fn lease_holds(&self, instant: Instant) -> bool {
        micros(instant) < self.lease_until.load(Ordering::Acquire)
    }

    /// Whether a judgement that began when `seq` was known may be answered at `instant`.
    #[must_use]
    pub fn still_hold(&self, seq: Seq, instant: Instant) -> bool {
        self.known() == seq && self.lease_holds(instant)
    }

    /// How long the lease still lasts (`None`: for ever).
    #[must_use]
    pub fn lease_left(&self, instant: Instant) -> Option<Duration> {
        let until = self.lease_until.load(Ordering::Acquire);
        (until != u64::MAX).then(|| Duration::from_micros(until.saturating_sub(micros(instant))))
    }

    /// How long ago the read began by which all here is known: no fact is staler than that.
    #[must_use]
    pub fn age(&self, instant: Instant) -> Duration {
        let asked = self.asked_at.load(Ordering::Acquire);
        Duration::from_micros(micros(instant).saturating_sub(asked))
    }

    /// Whether the JWT of this id was revoked.
    #[must_use]
    pub fn is_jti_revoked(&self, id: &TokenId) -> bool {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner).tokens.contains_key(id)
    }

    /// Whether the grant of a JWT was revoked.
    #[must_use]
    pub fn is_grant_revoked(&self, id: GrantId) -> bool {
        self.revoked.read().unwrap_or_else(PoisonError::into_inner).grants.contains_key(&id)
    }

    /// Whether keys read when `as_of` was known are still those of the database.
    #[must_use]
    pub fn admits_keys(&self, as_of: Seq) -> bool {
        as_of.0 >= self.keys_mark.load(Ordering::Acquire)
    }

    /// Keeps a user that was read after `as_of` was known.
    pub fn keep_user(&self, id: UserId, user: Option<Arc<User>>, as_of: Seq) -> Kept {
        self.keep(&self.users, (id, FactKey::User(id)), user, as_of)
    }

    /// Keeps a role.
    pub fn keep_role(&self, id: RoleId, role: Option<Arc<Role>>, as_of: Seq) -> Kept {
        self.keep(&self.roles, (id, FactKey::Role(id)), role, as_of)
    }

    /// Keeps what everyone in a realm holds.
    pub fn keep_anonymous(&self, realm: &Realm, role: Option<Arc<Role>>, as_of: Seq) -> Kept {
        let keys = (realm.clone(), FactKey::Anonymous(realm.clone()));
        self.keep(&self.anonymous, keys, role, as_of)
    }

    /// Keeps an opaque token.
    pub fn keep_token(&self, digest: TokenDigest, token: Option<Arc<Token>>, as_of: Seq) -> Kept {
        self.keep(&self.tokens, (digest, FactKey::Token(digest)), token, as_of)
    }

    /// Keeps a grant.
    pub fn keep_grant(&self, id: GrantId, grant: Option<Arc<Grant>>, as_of: Seq) -> Kept {
        self.keep(&self.grants, (id, FactKey::Grant(id)), grant, as_of)
    }

    fn keep<K: Hash + Eq + Clone, V>(
        &self,
        kept: &Shelf<K, V>,
        (key, fact): (K, FactKey),
        value: Option<Arc<V>>,
        as_of: Seq,
    ) -> Kept {
        // Under the lock of the marks, so that no change slips in between look and insert.
        let marks = self.marks();
        if !marks.admits(&fact, as_of) {
            return Kept::Stale;
        }
        kept.0.insert(key, value);
        Kept::Yes
    }

    /// Takes in a page of the tail that was asked for from [`Self::known_mark`] on.
    pub fn take_in(&self, page: &Tail) -> Caught {
        let fresh = match page.changes.split_first() {
            Some(((first, _), fresh)) if *first == self.known_mark() => fresh,
            // The list was purged past us, or a failover lost what we knew.
            Some(_) | None => return Caught::Lost,
        };
        if fresh.iter().any(|(_, change)| *change == Change::Unknown) {
            return Caught::Lost;
        }
        self.apply(fresh);
        match page.more {
            More::Perhaps => Caught::Behind,
            More::No => Caught::Up,
        }
    }

    /// Applies changes in the order of their numbers, then moves `known` to the last.
    fn apply(&self, changes: &[(Mark, Change)]) {
        for (mark, change) in changes {
            self.apply_one(mark.seq, change);
        }
        if let Some((last, _)) = changes.last() {
            self.known_nonce.store(last.nonce, Ordering::Release);
            self.known.store(last.seq.0, Ordering::Release);
        }
    }

    fn apply_one(&self, seq: Seq, change: &Change) {
        let mut marks = self.marks();
        match change {
            Change::User(id) => {
                marks.raise(FactKey::User(*id), seq);
                self.users.0.remove(id);
            }
            Change::Role(id) => {
                marks.raise(FactKey::Role(*id), seq);
                self.roles.0.remove(id);
            }
            Change::Anonymous(realm) => {
                marks.raise(FactKey::Anonymous(realm.clone()), seq);
                self.anonymous.0.remove(realm);
            }
            Change::Token(digest) => {
                marks.raise(FactKey::Token(*digest), seq);
                self.tokens.0.remove(digest);
            }
            Change::Grant { id, until, revoked } => {
                marks.raise(FactKey::Grant(*id), seq);
                self.grants.0.remove(id);
                match revoked {
                    GrantChange::Revoked => drop(self.revoked().grants.insert(*id, *until)),
                    GrantChange::Restamped => {}
                }
            }
            Change::Jti { id, until } => drop(self.revoked().tokens.insert(id.clone(), *until)),
            Change::Keys => self.keys_mark.store(seq.0, Ordering::Release),
            // Everything is loaded anew before it comes here.
            Change::Unknown => {}
        }
    }

    /// How often the lease was ended: what a tail asks before it reads.
    #[must_use]
    pub fn suspensions(&self) -> u64 {
        self.marks().suspensions
    }

    /// Lets the facts be believed as long as a lease lasts whose tail began its read at `began`.
    /// Nothing happens where the lease was ended since that read began, for what it was ended for
    /// may have been missed.
    pub fn take_lease(&self, lease: Lease, began: Instant, suspensions: u64) {
        let marks = self.marks();
        if marks.suspensions == suspensions {
            self.asked_at.store(micros(began), Ordering::Release);
            self.lease_until.store(lease.end(began).map_or(u64::MAX, micros), Ordering::Release);
        }
        drop(marks);
    }

    /// Ends the lease: it is not known what the database holds.
    pub fn suspend(&self) {
        let mut marks = self.marks();
        marks.suspensions += 1;
        self.lease_until.store(0, Ordering::Release);
        drop(marks);
    }

    /// Forgets revocations of JWTs that ended a day ago.
    pub fn forget_ended(&self, now: Timestamp) {
        self.revoked().forget_ended(now);
    }

    /// How many facts and revocations are kept: tokens, users, grants, revocations.
    #[must_use]
    pub fn counts(&self) -> [(&'static str, usize); 4] {
        let revoked = self.revoked.read().unwrap_or_else(PoisonError::into_inner);
        [
            ("token", self.tokens.0.len()),
            ("user", self.users.0.len()),
            ("grant", self.grants.0.len()),
            ("revocation", revoked.len()),
        ]
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn revoked(&self) -> RwLockWriteGuard<'_, Revoked> {
        self.revoked.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(instant: Instant) -> u64 {
    u64::try_from(instant.since_start().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
