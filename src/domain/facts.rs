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

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use super::clock::{Instant, Timestamp};
use super::identity::{Realm, Role, RoleId, User, UserId};
use super::lease::Lease;
use super::store::{Change, GrantChange, Mark, More, Revocation, Seq, Tail};
use super::token::{GrantId, TokenDigest, TokenId};

mod capacity;
#[cfg(test)]
mod fork;
mod kept;
mod marks;
mod revoked;
mod shelf;
mod weigh;

pub use capacity::{Capacity, Held};
#[cfg(test)]
pub(super) use fork::Image;
pub use kept::{GrantFact, Noted, Standing, TokenFact};
use marks::Marks;
use revoked::Revoked;
pub(super) use shelf::Shelf;
pub(super) use weigh::{Weigh, shared_text, slot};

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

/// The facts, from one load on. A reload makes another beside it and swaps the two.
#[derive(Debug)]
pub struct Facts {
    users: Shelf<UserId, Fact<User>>,
    roles: Shelf<RoleId, Fact<Role>>,
    tokens: Shelf<TokenDigest, Option<TokenFact>>,
    grants: Shelf<GrantId, Option<GrantFact>>,
    // Few realms, and asked for by every check: so that nobody who reads writes. Replaced under
    // the lock of the marks.
    anonymous: ArcSwap<HashMap<Realm, Fact<Role>>>,
    revoked: Revoked,
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
            users: capacity.user_shelf(),
            roles: capacity.role_shelf(),
            tokens: capacity.token_shelf(),
            grants: capacity.grant_shelf(),
            anonymous: ArcSwap::default(),
            revoked: Revoked::of(revocations),
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
        self.revoked.tokens.contains(id)
    }

    /// Whether a grant was revoked: of a JWT's grant for certain, and of an opaque token's where
    /// that was after the token was read.
    #[must_use]
    pub fn is_grant_revoked(&self, id: GrantId) -> bool {
        self.revoked.grants.contains(&id)
    }

    /// Whether keys read when `as_of` was known are still those of the database.
    #[must_use]
    pub fn admits_keys(&self, as_of: Seq) -> bool {
        as_of.0 >= self.keys_mark.load(Ordering::Acquire)
    }

    /// Answers a user, if it is kept whether there is one. So do the four below; they wait for
    /// nothing that is read from the database, and allocate nothing.
    #[must_use]
    pub fn kept_user(&self, id: UserId) -> Option<Fact<User>> {
        self.users.get(&id)
    }

    /// Answers a role.
    #[must_use]
    pub fn kept_role(&self, id: RoleId) -> Option<Fact<Role>> {
        self.roles.get(&id)
    }

    /// Answers what everyone in a realm holds.
    #[must_use]
    pub fn kept_anonymous(&self, realm: &Realm) -> Option<Fact<Role>> {
        self.anonymous.load().get(realm).cloned()
    }

    /// Answers an opaque token.
    #[must_use]
    pub fn kept_token(&self, digest: &TokenDigest) -> Option<Option<TokenFact>> {
        self.tokens.get(digest)
    }

    /// Answers a grant.
    #[must_use]
    pub fn kept_grant(&self, id: GrantId) -> Option<Option<GrantFact>> {
        self.grants.get(&id)
    }

    /// Remembers with an opaque token, where it is kept, that its use was noted.
    pub fn note_token(&self, digest: &TokenDigest, now: Timestamp) {
        let note = |token: &mut TokenFact| token.noted = Noted::at(now);
        self.tokens.change(digest, |token| token.iter_mut().for_each(note));
    }

    /// Keeps a user that was read after `as_of` was known.
    pub fn keep_user(&self, id: UserId, user: Fact<User>, as_of: Seq) -> Kept {
        self.keep(&FactKey::User(id), as_of, || self.users.insert(id, user))
    }

    /// Keeps a role.
    pub fn keep_role(&self, id: RoleId, role: Fact<Role>, as_of: Seq) -> Kept {
        self.keep(&FactKey::Role(id), as_of, || self.roles.insert(id, role))
    }

    /// Keeps what everyone in a realm holds.
    pub fn keep_anonymous(&self, realm: &Realm, role: Fact<Role>, as_of: Seq) -> Kept {
        self.keep(&FactKey::Anonymous(realm.clone()), as_of, || {
            self.change_anonymous(|all| drop(all.insert(realm.clone(), role)));
        })
    }

    /// Keeps an opaque token.
    pub fn keep_token(&self, digest: TokenDigest, token: Option<TokenFact>, as_of: Seq) -> Kept {
        self.keep(&FactKey::Token(digest), as_of, || self.tokens.insert(digest, token))
    }

    /// Keeps a grant.
    pub fn keep_grant(&self, id: GrantId, grant: Option<GrantFact>, as_of: Seq) -> Kept {
        self.keep(&FactKey::Grant(id), as_of, || self.grants.insert(id, grant))
    }

    fn keep(&self, fact: &FactKey, as_of: Seq, insert: impl FnOnce()) -> Kept {
        // Under the lock of the marks, so that no change slips in between look and insert.
        let marks = self.marks();
        if !marks.admits(fact, as_of) {
            return Kept::Stale;
        }
        insert();
        drop(marks);
        Kept::Yes
    }

    /// Under the lock of the marks alone.
    fn change_anonymous(&self, change: impl FnOnce(&mut HashMap<Realm, Fact<Role>>)) {
        let mut all = HashMap::clone(&self.anonymous.load());
        change(&mut all);
        self.anonymous.store(Arc::new(all));
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
                self.users.remove(id);
            }
            Change::Role(id) => {
                marks.raise(FactKey::Role(*id), seq);
                self.roles.remove(id);
            }
            Change::Anonymous(realm) => {
                marks.raise(FactKey::Anonymous(realm.clone()), seq);
                self.change_anonymous(|all| drop(all.remove(realm)));
            }
            Change::Token(digest) => {
                marks.raise(FactKey::Token(*digest), seq);
                self.tokens.remove(digest);
            }
            Change::Grant { id, until: _, revoked } => {
                marks.raise(FactKey::Grant(*id), seq);
                self.grants.remove(id);
                match revoked {
                    GrantChange::Revoked => self.revoked.grants.insert(*id),
                    GrantChange::Restamped => {}
                }
            }
            Change::Jti { id, until: _ } => self.revoked.tokens.insert(id.clone()),
            Change::Keys => self.keys_mark.store(seq.0, Ordering::Release),
            // Everything is loaded anew before an unknown one comes here.
            Change::Barrier | Change::Unknown => {}
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

    /// How many facts and revocations are kept, and the bytes that they take.
    #[must_use]
    pub fn held(&self) -> [Held; 5] {
        [
            Held::on("token", &self.tokens),
            Held::on("grant", &self.grants),
            Held::on("user", &self.users),
            Held::on("role", &self.roles),
            Held { sort: "revocation", count: self.revoked.len(), bytes: self.revoked.bytes() },
        ]
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn micros(instant: Instant) -> u64 {
    u64::try_from(instant.since_start().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
