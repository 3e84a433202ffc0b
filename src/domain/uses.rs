//! When tokens were last used: kept here, and written to the database in batches.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::clock::Timestamp;
use super::token::TokenId;

/// The most that is kept until the next batch. What comes beyond is not noted.
const MOST: usize = 100_000;

/// Uses that the database does not know yet.
#[derive(Debug, Default)]
pub struct Uses(Mutex<HashMap<TokenId, Timestamp>>);

impl Uses {
    /// Notes a use.
    pub fn note(&self, id: &TokenId, now: Timestamp) {
        let mut uses = self.uses();
        if let Some(last) = uses.get_mut(id) {
            *last = now.max(*last);
        } else if uses.len() < MOST {
            uses.insert(id.clone(), now);
        }
    }

    /// Whether a use of this token was noted and not written yet.
    #[must_use]
    pub fn has(&self, id: &TokenId) -> bool {
        self.uses().contains_key(id)
    }

    /// Lists what is to be written.
    #[must_use]
    pub fn list(&self) -> Vec<(TokenId, Timestamp)> {
        self.uses().iter().map(|(id, at)| (id.clone(), *at)).collect()
    }

    /// Forgets what was written, but for what was used again since.
    pub fn forget(&self, written: &[(TokenId, Timestamp)]) {
        let mut uses = self.uses();
        for (id, at) in written {
            if uses.get(id) == Some(at) {
                uses.remove(id);
            }
        }
    }

    fn uses(&self) -> MutexGuard<'_, HashMap<TokenId, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
