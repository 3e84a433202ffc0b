//! Which grants were made for a personal token. A personal token has a grant of its own from its
//! beginning, and no other one comes into that: so what was read once is kept.

use quick_cache::sync::Cache;

use super::store::{Answer, Store};
use super::token::{GrantId, TokenId};

/// How many grants are known at most: a hundred bytes each.
const MOST: usize = 10_000;

/// The personal tokens that grants were made for.
#[derive(Debug)]
pub(super) struct Roots(Cache<GrantId, Option<TokenId>>);

impl Default for Roots {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl Roots {
    /// Finds the personal token that a grant was made for; `None`: it was made by a sign-in.
    pub(super) async fn find(&self, store: &dyn Store, grant: GrantId) -> Answer<Option<TokenId>> {
        self.0.get_or_insert_async(&grant, store.find_root(grant)).await
    }
}
