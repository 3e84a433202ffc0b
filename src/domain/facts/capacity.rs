//! How much memory the facts may take, and how much they do.

use std::hash::Hash;

use super::kept::{GrantFact, TokenFact};
use super::{Fact, Shelf, Weigh, slot};
use crate::domain::identity::{Role, RoleId, User, UserId};
use crate::domain::token::{GrantId, TokenDigest};

const TOKEN: usize = slot::<TokenDigest, Option<TokenFact>>();
const GRANT: usize = slot::<GrantId, Option<GrantFact>>();

/// What part of the tokens' memory is for grants: they are asked for by refreshes, and of tokens
/// that outlived their user's generation.
const GRANTS: usize = 8;

/// A user with some roles.
const USUAL_USER: usize = 1 << 10;
/// A role of many permissions: the largest must fit in a part of the shelf.
const USUAL_ROLE: usize = 16 << 10;

/// How many bytes the facts of each sort may take.
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    /// Opaque tokens, those that were not found among them, and grants.
    pub tokens: usize,
    /// JWTs that were proven.
    pub jwts: usize,
    /// Users, and roles.
    pub users: usize,
}

impl Capacity {
    pub(super) fn token_shelf(self) -> Shelf<TokenDigest, Option<TokenFact>> {
        Shelf::new(self.tokens - self.tokens / GRANTS, TOKEN)
    }

    pub(super) fn grant_shelf(self) -> Shelf<GrantId, Option<GrantFact>> {
        Shelf::new(self.tokens / GRANTS, GRANT)
    }

    pub(super) fn user_shelf(self) -> Shelf<UserId, Fact<User>> {
        Shelf::new(self.users / 4 * 3, USUAL_USER)
    }

    pub(super) fn role_shelf(self) -> Shelf<RoleId, Fact<Role>> {
        Shelf::new(self.users / 4, USUAL_ROLE)
    }
}

/// What is kept of one sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Of which sort.
    pub sort: &'static str,
    /// How many.
    pub count: usize,
    /// How many bytes they take, to within what the allocator rounds.
    pub bytes: usize,
}

impl Held {
    pub(in crate::domain) fn on<K, V>(sort: &'static str, shelf: &Shelf<K, V>) -> Self
    where
        K: Hash + Eq + Clone,
        V: Clone + Weigh,
    {
        Self { sort, count: shelf.len(), bytes: shelf.bytes() }
    }
}
