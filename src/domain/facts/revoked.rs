//! The JWTs and grants that were revoked. Absence means "allowed", so nothing is ever evicted.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::store::Revocation;
use crate::domain::token::{GrantId, TokenId};

/// How much longer than what it revokes a revocation is remembered.
const SLACK: Duration = Duration::from_hours(24);

/// What is revoked, each until when it matters (`None`: for ever).
#[derive(Debug, Default, Clone)]
pub(super) struct Revoked {
    /// By `jti`.
    pub(super) tokens: HashMap<TokenId, Option<Timestamp>>,
    /// By grant.
    pub(super) grants: HashMap<GrantId, Option<Timestamp>>,
}

impl Revoked {
    /// Begins with what the database holds.
    pub(super) fn of(revocations: Vec<Revocation>) -> Self {
        let mut revoked = Self::default();
        for revocation in revocations {
            match revocation {
                Revocation::Jti(id, until) => drop(revoked.tokens.insert(id, until)),
                Revocation::Grant(id, until) => drop(revoked.grants.insert(id, until)),
            }
        }
        revoked
    }

    /// Forgets what ended long ago.
    pub(super) fn forget_ended(&mut self, now: Timestamp) {
        let keep = |until: &Option<Timestamp>| until.is_none_or(|end| end.plus(SLACK) > now);
        self.tokens.retain(|_, until| keep(until));
        self.grants.retain(|_, until| keep(until));
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.tokens.len() + self.grants.len()
    }
}
