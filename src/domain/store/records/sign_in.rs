//! Attempts to prove a user by password.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

use super::Audit;
use crate::domain::clock::Timestamp;
use crate::domain::identity::{Realm, User, Username};

/// How failed sign-ins lock a name. Failures by one policy count for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockoutPolicy {
    /// The failure that locks: the n-th, and each one after.
    pub failures: u32,
    /// How long the first lock lasts; each next is twice as long.
    pub first_lock: Duration,
    /// How long a lock lasts at most.
    pub longest_lock: Duration,
    /// How long after the last failure all are forgotten, where no policy counted one that
    /// remembers for longer.
    pub forget_after: Duration,
}

/// An attempt to prove a user by password.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The realm.
    pub realm: Realm,
    /// The name.
    pub username: Username,
    /// The network it comes from: the address, or the /64 of an IPv6 one; empty where unknown. One
    /// that the name signed in from within 30 days has a counter of its own.
    pub network: String,
    /// How failures lock.
    pub policy: LockoutPolicy,
    /// The longest that any policy of this service remembers.
    pub longest_memory: Duration,
    /// When.
    pub at: Timestamp,
    /// What is remembered where this attempt locks the name.
    pub lock_audit: Audit,
}

/// What came of an attempt so far. The failure is counted already.
#[derive(Debug)]
pub enum AttemptStart {
    /// The name is locked: nothing was counted.
    Locked,
    /// There is no such user; a shared row counts the attempt.
    Unknown,
    /// The user, to be proven.
    Known {
        /// Who they are, with the generation that a new grant must carry.
        user: User,
        /// The hash of their password; `None`: they have none.
        password_hash: Option<PasswordHash>,
        /// What counted the attempt.
        counter: Counter,
    },
}

/// What counted an attempt, for its end.
#[derive(Debug, Clone)]
pub struct Counter {
    /// Its name in the database.
    pub bucket: String,
    /// Whether a sign-in from the attempt's network was noted so lately that one more tells
    /// nothing new.
    pub network: NetworkNote,
}

/// What is noted of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkNote {
    /// A sign-in a short while ago.
    Fresh,
    /// None, or one of longer ago.
    Stale,
}

/// The hash of a password: a PHC string.
#[derive(Clone)]
pub struct PasswordHash(pub SecretString);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}
