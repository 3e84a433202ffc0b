//! The list of changes: what makes kept facts untrue.

use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::identity::{Realm, RoleId, UserId};
use crate::domain::token::{GrantId, TokenDigest, TokenId};

/// The number of a change: the order of them is the order of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub i64);

/// A place in the list of changes: a number, and the random nonce of the change that has it, so
/// that a number given twice (after a failover that lost a commit) is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The number.
    pub seq: Seq,
    /// The nonce.
    pub nonce: i64,
}

/// A committed event that makes a kept fact untrue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The user, or which roles they have.
    User(UserId),
    /// The role.
    Role(RoleId),
    /// What everyone in the realm holds.
    Anonymous(Realm),
    /// The opaque token.
    Token(TokenDigest),
    /// The grant; `until` is when its last JWT will have ended (`None`: never), where it was
    /// revoked.
    Grant {
        /// The grant.
        id: GrantId,
        /// How long the revocation matters.
        until: Option<Timestamp>,
        /// Whether it was revoked, or changed otherwise.
        revoked: GrantChange,
    },
    /// The JWT was revoked; it would have ended at `until` (`None`: never).
    Jti {
        /// Its `jti`.
        id: TokenId,
        /// How long the revocation matters.
        until: Option<Timestamp>,
    },
    /// The keys.
    Keys,
    /// Nothing: it was committed for the sake of what had been committed before it.
    Barrier,
    /// Something that this version does not know: everything is loaded anew.
    Unknown,
}

/// What happened to a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantChange {
    /// It was revoked.
    Revoked,
    /// It was given the user's new generation.
    Restamped,
}

/// A page of the list of changes.
#[derive(Debug, Clone)]
pub struct Tail {
    /// The changes from the asked number on, itself included, in order.
    pub changes: Vec<(Mark, Change)>,
    /// Whether there may be more.
    pub more: More,
    /// What the replicas had announced when it was read.
    pub terms: Terms,
    /// The database's own time of day when it was read.
    pub clock: Timestamp,
}

/// How long replicas may go on without having heard of a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// The longest lease that any replica takes. Zero where none takes one that ends.
    pub longest_lease: Duration,
    /// How long some replica answers from its facts when the database is lost: then no change is
    /// surely heard of before. `None`: none does.
    pub serve_stale: Option<Duration>,
}

/// Whether there is more than was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    /// A page came back full, or time was over.
    Perhaps,
    /// That was all.
    No,
}

/// What was committed, and the last change that it appended (`None`: it made nothing untrue).
#[derive(Debug, Clone)]
#[must_use]
pub struct Committed<T> {
    /// What it came to.
    pub value: T,
    /// Where in the list of changes it stands.
    pub mark: Option<Mark>,
    /// Where nothing was to be done, a change that is as durable as what is acknowledged: whatever
    /// did it is no later.
    pub found: Option<Mark>,
}
