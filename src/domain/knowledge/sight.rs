//! What a judgement sees: the facts that memory holds, and those that were read for it.
//!
//! A judgement is a plain function of what it sees, with nothing in it that waits. Where a fact is
//! missing it says which, and is made anew once that was read.

use std::sync::Arc;

use super::{Knowledge, View, restless};
use crate::domain::error::Error;
use crate::domain::facts::{Fact, Facts, GrantFact, TokenFact};
use crate::domain::identity::{Realm, Role, RoleId, User, UserId};
use crate::domain::keys::KeyRing;
use crate::domain::profile::Profiles;
use crate::domain::token::{GrantId, TokenDigest};

/// How many facts are read for one judgement: more than its token, its user and all of their roles.
/// Each is read once, so this ends only what goes round in circles.
const MOST_READS: usize = 1000;

/// A fact that a judgement needs and that memory does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// An opaque token.
    Token(TokenDigest),
    /// A grant.
    Grant(GrantId),
    /// A user.
    User(UserId),
    /// A role.
    Role(RoleId),
    /// What everyone in a realm holds.
    Anonymous(Realm),
}

/// What one judgement sees. Its end must be asked whether it still held.
#[derive(Debug)]
pub struct Sight<'a> {
    facts: &'a Facts,
    keys: &'a KeyRing,
    read: Read,
}

/// What was read for one judgement. Memory may have dropped it again before its end.
#[derive(Debug, Default)]
struct Read {
    tokens: Vec<(TokenDigest, Option<TokenFact>)>,
    grants: Vec<(GrantId, Option<GrantFact>)>,
    users: Vec<(UserId, Fact<User>)>,
    roles: Vec<(RoleId, Fact<Role>)>,
    anonymous: Vec<(Realm, Fact<Role>)>,
}

impl<'a> Sight<'a> {
    /// Sees what memory holds.
    pub(super) fn new(facts: &'a Facts, keys: &'a KeyRing) -> Self {
        Self { facts, keys, read: Read::default() }
    }

    /// The facts themselves: for what is always known.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        self.facts
    }

    /// The keys.
    #[must_use]
    pub const fn keys(&self) -> &KeyRing {
        self.keys
    }

    /// Answers an opaque token.
    ///
    /// # Errors
    /// [`Missing`]: it is to be read first.
    pub fn token(&self, digest: TokenDigest) -> Result<Option<TokenFact>, Missing> {
        among(&self.read.tokens, &digest)
            .or_else(|| self.facts.kept_token(&digest))
            .ok_or(Missing::Token(digest))
    }

    /// Answers a grant.
    ///
    /// # Errors
    /// [`Missing`]: it is to be read first.
    pub fn grant(&self, id: GrantId) -> Result<Option<GrantFact>, Missing> {
        among(&self.read.grants, &id)
            .or_else(|| self.facts.kept_grant(id))
            .ok_or(Missing::Grant(id))
    }

    /// Answers a user.
    ///
    /// # Errors
    /// [`Missing`]: it is to be read first.
    pub fn user(&self, id: UserId) -> Result<Fact<User>, Missing> {
        among(&self.read.users, &id).or_else(|| self.facts.kept_user(id)).ok_or(Missing::User(id))
    }

    /// Answers the roles behind these ids; those that were deleted are left out.
    ///
    /// # Errors
    /// [`Missing`]: one is to be read first.
    pub fn roles(&self, ids: impl Iterator<Item = RoleId>) -> Result<Vec<Arc<Role>>, Missing> {
        let mut roles = Vec::with_capacity(ids.size_hint().1.unwrap_or_default());
        for id in ids {
            roles.extend(self.role(id)?);
        }
        Ok(roles)
    }

    fn role(&self, id: RoleId) -> Result<Fact<Role>, Missing> {
        among(&self.read.roles, &id).or_else(|| self.facts.kept_role(id)).ok_or(Missing::Role(id))
    }

    /// Answers what everyone in a realm holds.
    ///
    /// # Errors
    /// [`Missing`]: it is to be read first.
    pub fn anonymous(&self, realm: &Realm) -> Result<Fact<Role>, Missing> {
        among(&self.read.anonymous, realm)
            .or_else(|| self.facts.kept_anonymous(realm))
            .ok_or_else(|| Missing::Anonymous(realm.clone()))
    }
}

fn among<K: PartialEq, V: Clone>(read: &[(K, V)], key: &K) -> Option<V> {
    read.iter().find(|(of, _)| of == key).map(|(_, fact)| fact.clone())
}

impl Knowledge {
    /// Judges by what memory holds, if that is enough and may be believed now. Waits for nothing.
    pub fn judge_at_once<T>(
        &self,
        judge: impl FnOnce(&Sight<'_>) -> Result<T, Missing>,
    ) -> Option<T> {
        let arrived = self.clock.instant();
        let known = self.known.load();
        if !known.facts.lease_holds(arrived) {
            return None;
        }
        let seq = known.facts.known();
        let keys = known.keys.load();
        if !known.facts.admits_keys(keys.as_of) {
            return None;
        }
        let judged = judge(&Sight::new(&known.facts, &keys)).ok()?;
        self.held(&known, seq).then_some(judged)
    }

    /// Judges with this view, reading what memory does not hold.
    ///
    /// # Errors
    /// [`Error::Unavailable`], also where it never has enough.
    pub async fn judge<T>(
        &self,
        view: &View,
        profiles: &Profiles,
        mut judge: impl FnMut(&Sight<'_>) -> Result<T, Missing>,
    ) -> Result<T, Error> {
        let mut sight = Sight::new(view.facts(), &view.keys);
        for _ in 0..MOST_READS {
            let missing = match judge(&sight) {
                Ok(judged) => return Ok(judged),
                Err(missing) => missing,
            };
            let read = &mut sight.read;
            match missing {
                Missing::Token(digest) => {
                    read.tokens.push((digest, self.token(view, digest, profiles).await?));
                }
                Missing::Grant(id) => read.grants.push((id, self.grant(view, id).await?)),
                Missing::User(id) => read.users.push((id, self.user(view, id).await?)),
                Missing::Role(id) => read.roles.push((id, self.role(view, id).await?)),
                Missing::Anonymous(realm) => {
                    let role = self.anonymous(view, &realm).await?;
                    read.anonymous.push((realm, role));
                }
            }
        }
        Err(restless())
    }
}
